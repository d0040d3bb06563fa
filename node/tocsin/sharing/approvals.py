"""Approvals: who has said that something may enter a collection that wants more than one person to say so.

A person is an account with the role of a publisher or an operator, shown by that account's token: whoever may log
in to the machine could otherwise be several. An approval is of what is newest, the incident with everything that
was made with it: when any of that changes, it is another thing to approve, but for who approved what follows too.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tocsin.errors import NotAllowed
from tocsin.policy.configuration import Configuration
from tocsin.policy.decision import Reason
from tocsin.settings import AccountSettings
from tocsin.sharing.node import OURS
from tocsin.store import accounts, approvals, objects, parties, records, releases
from tocsin.store.approvals import Approval
from tocsin.store.objects import HeldVersion
from tocsin.store.transaction import Transaction

APPROVAL = "approvals"  # the rule that reasons name

_ROLES = ("publisher", "operator")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whose word counts as an approval: the account's party id, and its name today."""

    party_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How far an incident has come in one collection: how many must approve what is newest, and who has.

    `follow`: all that are needed approved what comes later too.
    """

    wanted: int
    by: tuple[str, ...] = ()
    follow: bool = False

    @property
    def missing(self) -> int:
        return max(self.wanted - len(self.by), 0)

    @property
    def reason(self) -> Reason:
        return Reason(APPROVAL, self.words)

    @property
    def words(self) -> str:
        """`approved by mari; 1 more person must approve it (2 in all)`."""
        said = f"approved by {' and '.join(self.by)}" if self.by else "nobody has approved it yet"
        if not self.missing:
            return said
        more = f"{self.missing} {'more ' if self.by else ''}person{'s' if self.missing > 1 else ''}"
        return f"{said}; {more} must approve it ({self.wanted} in all)"


def is_person(configuration: Configuration, name: str) -> bool:
    """Whether an account's word counts as a person's approval."""
    account = configuration.settings.party(name)
    return isinstance(account, AccountSettings) and account.role in _ROLES


async def prove(tx: Transaction, configuration: Configuration, name: str, token: str) -> Person:
    """The person of this name, shown by his token. Raises NotAllowed when it is not his, or his word approves
    nothing."""
    if not is_person(configuration, name):
        raise NotAllowed(f"{name!r} is no account with role: publisher or operator: its word approves nothing")
    party = await accounts.verify_token(tx, token.strip())
    if party is None or party.name != name:
        raise NotAllowed(f"that is no valid token of {name} (a new one: tocsin account token {name})")
    if party.suspended or party.paused:
        raise NotAllowed(f"{name} is {'suspended' if party.suspended else 'paused'}")
    return Person(party.id, party.name)


def wanting(configuration: Configuration, collections: Mapping[str, str]) -> dict[str, int]:
    """How many approvals each of these collections (key → id) wants, of those that want more than one; by id."""
    settings = configuration.settings.collections
    return {
        id_: settings[key].approvals
        for key, id_ in collections.items()
        if key in settings and settings[key].approvals > 1
    }


async def approve(
    tx: Transaction, collection_ids: Iterable[str], ids: Sequence[str], person: Person, *, follow: bool, now: int
) -> None:
    """Note one person's word on what is newest of these incidents; collections are locked by the caller."""
    prints = await _fingerprints(tx, ids)
    said = [
        Approval(id_, place, person.party_id, prints[id_], follow, now)
        for place in collection_ids
        for id_ in ids
        if id_ in prints
    ]
    await approvals.put(tx, said)


async def tallies(
    tx: Transaction, configuration: Configuration, wanted: Mapping[str, int], ids: Sequence[str]
) -> dict[tuple[str, str], Tally]:
    """Who approved what is newest, by collection id (those of `wanted`) and incident id."""
    if not wanted or not ids:
        return {}
    prints = await _fingerprints(tx, ids)
    names = {party.id: party.name for party in await parties.parties(tx)}
    counted: dict[tuple[str, str], list[Approval]] = {(place, id_): [] for place in wanted for id_ in ids}
    for one in await approvals.approvals(tx, ids):
        covers = one.follow or one.version_key == prints.get(one.incident_id)
        here = (one.collection_id, one.incident_id)
        if covers and here in counted and is_person(configuration, names.get(one.by, "")):
            counted[here].append(one)
    return {
        (place, id_): Tally(
            wanted[place],
            tuple(names[one.by] for one in said),
            follow=sum(one.follow for one in said) >= wanted[place],
        )
        for (place, id_), said in counted.items()
    }


async def half_approved(tx: Transaction, configuration: Configuration) -> list[tuple[str, str, Tally]]:
    """What waits for a further person: collection key, incident, and how far it has come."""
    known = {row.key: row.id for row in await releases.collections(tx)}
    found = []
    for key in configuration.settings.collections:
        wanted = wanting(configuration, {key: known[key]} if key in known else {})
        for place in wanted:
            ids = await approvals.approved(tx, place)
            said = await tallies(tx, configuration, wanted, ids)
            found += [
                (key, id_, said[place, id_]) for id_ in ids if said[place, id_].by and said[place, id_].missing
            ]
    return found


async def _fingerprints(tx: Transaction, ids: Sequence[str]) -> dict[str, str]:
    """What exactly is approved: the newest version of each incident, and a hash over that of all made with it."""
    company: dict[str, set[str]] = {id_: {id_} for id_ in ids}
    for one in await records.belonging_to(tx, ids):
        company[one.incident_id].add(one.object_id)
    offered = await objects.offered(tx, sorted(set().union(*company.values())))
    newest = {id_: max(_told(found), key=_order) for id_, found in offered.items() if found}
    prints = {}
    for id_, members in company.items():
        if id_ in newest:
            lines = [f"{one} {newest[one].sha256}" for one in sorted(members) if one in newest]
            digest = hashlib.sha256("\n".join(lines).encode("ascii")).hexdigest()
            prints[id_] = f"{newest[id_].version_key}~{digest[:32]}"
    return prints


def _order(version: HeldVersion) -> tuple[str, str]:
    return version.version_key, version.sha256


def _told(versions: Sequence[HeldVersion]) -> Sequence[HeldVersion]:
    """Of what is ours, our own word; of what is not, everybody's."""
    ours = [
        version
        for version in versions
        if any(source.party_id == OURS and source.collection_id == OURS for source in version.sources)
    ]
    return ours or versions
