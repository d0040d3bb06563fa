"""Newcomers: what an account posts into a collection and was never here before.

Most of what comes in is of that kind. Nothing of it stands, nobody else speaks of it, nothing was made with it,
and where it was posted it is served with its references as posted. So policy's word on it is the
last: the way through `judging` (sources heard in turn, closure, copies) could only end as it began. Here it ends
at once; what such an object names is still judged there. Whatever is not so plain goes that way as a whole:
definitions, and creators, which need no rule where they are named, revocations, what a rule redacts or cannot
judge, and what another collection lets in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tocsin.policy.attributes import Provenance
from tocsin.policy.decision import Decision, Deny, Reason, Whole
from tocsin.sharing.subjects import Court, provenance_of
from tocsin.stix.objects import FREE_TYPES
from tocsin.store import releases
from tocsin.store.held import HeldVersion, Source
from tocsin.store.parties import Party
from tocsin.store.releases import log_of
from tocsin.store.transaction import Transaction

_SILENCE = Deny((Reason("silence", "no rule allows what others post elsewhere"),))


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Newcomers by their id: those that enter whole, and those that are denied, each with policy's decision.

    `names`: what those that enter name. `creators`: whom they name as creator, and on whose word.
    """

    entering: dict[str, tuple[HeldVersion, Decision]] = field(default_factory=dict)
    denied: dict[str, Decision] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    creators: dict[str, set[str]] = field(default_factory=dict)


async def tell_apart(tx: Transaction, court: Court, ids: Iterable[str]) -> tuple[Newcomers, list[str]]:
    """The newcomers among these objects, and the rest, in their order."""
    newcomers = Newcomers()
    entered = tx.fresh.written(log_of(court.collection_id))
    provenances: dict[Source, Provenance | None] = {}
    rest: dict[str, None] = {}
    for id_ in ids:
        version = tx.fresh.sole(id_)
        if version is None or version.type in FREE_TYPES or version.revoked or id_ in entered:
            rest[id_] = None
            continue
        (source,) = version.sources
        if source not in provenances:
            provenances[source] = _posters(court, court.people.get(source.party_id), source)
        provenance = provenances[source]
        decision = _decided(court, version, provenance) if provenance is not None else None
        if isinstance(decision, Deny):
            newcomers.denied[id_] = decision
        elif isinstance(decision, Whole) and provenance is not None and provenance.posted_here:
            newcomers.entering[id_] = (version, decision)
            newcomers.names.update(version.names)
            if creator := version.creator:
                newcomers.creators.setdefault(creator, set()).add(source.party_id)
        else:
            rest[id_] = None
    await _may_enter_as_creators(tx, court, newcomers, rest)
    return newcomers, list(rest)


def of_no_concern(tx: Transaction, people: Mapping[str, Party], ids: Iterable[str]) -> set[str]:
    """Those of these objects that a court denies by mere silence, where they were not posted into its own
    collection and no rule of it hears others: newcomers that an account posted, but no identities, which may enter
    as creators."""
    found = set()
    for id_ in ids:
        version = tx.fresh.sole(id_)
        if version is None or version.type in _MAY_BE_NAMED or version.revoked:
            continue
        party = people.get(version.sources[0].party_id)
        if party is not None and party.kind == "account":
            found.add(id_)
    return found


_MAY_BE_NAMED = FREE_TYPES | {"identity"}


def _posters(court: Court, party: Party | None, source: Source) -> Provenance | None:
    """An account's word as rules see it; a peer's has travelled, and what this node made waits for a person."""
    if party is None or party.kind != "account":
        return None
    return provenance_of(court, party, source, reviewed=False)


def _decided(court: Court, version: HeldVersion, provenance: Provenance) -> Decision:
    if not (court.hears_others or provenance.posted_here):
        return _SILENCE
    return court.precedents.decide(version.value, provenance)


async def _may_enter_as_creators(
    tx: Transaction, court: Court, newcomers: Newcomers, rest: dict[str, None]
) -> None:
    """An identity that policy denies may enter all the same as the creator of what stands: that is not plain.

    Where only what enters now names it, it is judged for being named.
    """
    identities = [id_ for id_ in newcomers.denied if id_.startswith("identity--")]
    for id_ in await releases.creators_standing(tx, court.collection_id, identities):
        del newcomers.denied[id_]
        rest[id_] = None
