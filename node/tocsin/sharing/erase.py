"""Erase: content destroyed here, asked back from whoever was offered it, and the fact kept.

What was made only with an incident goes with it: its victims' identities, its relationships, its observables; what
other incidents have too stays. So do redacted copies, source records and their translations, persons' assessments,
what stands in the ledger for a person to judge, and the answers to POSTs that speak of it. The log, the audit and
the grants stay as they are: they hold ids, hashes and rules, and reasons that persons typed.

An erased id never comes back: not from a peer, a writer or a tracker, in whatever version, unless a person allows
it again by name. What another record of a tracker needs (the same victim, hit again) is made anew with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tocsin.errors import NotFound, Refused
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import Node
from tocsin.sharing.release import Outcome
from tocsin.sharing.withdraw import withdraw
from tocsin.stix.objects import FREE_TYPES
from tocsin.store import audit, copies, erasures, objects, records, releases
from tocsin.store.erasures import Amount
from tocsin.store.objects import HeldVersion
from tocsin.store.transaction import Transaction

WITHDRAWN = "it is erased here"  # the reason that is kept with the withdrawal


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What would be destroyed: `named` by a person, `made_with` it and nothing else, `copies` made of them.

    `stay`: what was made with it, and with others too. `naming`: what others said of it, which stays.
    """

    named: tuple[str, ...]
    made_with: tuple[str, ...]
    copies: tuple[str, ...]
    stay: tuple[str, ...]
    naming: tuple[str, ...]
    amount: Amount

    @property
    def ids(self) -> tuple[str, ...]:
        return (*self.named, *self.made_with, *self.copies)


async def plan(tx: Transaction, node: Node, object_ids: Iterable[str]) -> ErasurePlan:
    """What erasing these would destroy.

    Raises NotFound for what was never here, Refused for what everything names.
    """
    named = tuple(dict.fromkeys(object_ids))
    for id_ in named:
        if id_.partition("--")[0] in FREE_TYPES or id_ in node.creators:
            raise Refused(f"{id_} stands for what names it: erase that")
        if not await objects.dates(tx, id_):
            raise NotFound(f"{id_} is not here")
    company = {one.object_id for one in await records.belonging_to(tx, named)} - set(named)
    elsewhere = await records.belongings_of(tx, company)
    only = sorted(
        id_
        for id_ in company
        if all(one.incident_id in named for one in elsewhere.get(id_, ())) and _goes(id_, node)
    )
    originals = await copies.originals_of(tx, named)
    links = [link for id_ in (*named, *only) for link in await copies.all_copies_of(tx, id_)]
    made = tuple(sorted({link.copy_id for link in links} - set(named)))
    naming = await objects.referring(tx, [*named, *only, *made])
    gone = {*named, *only, *made}
    if original := next((link.original_id for link in originals.values() if link.original_id not in gone), None):
        raise Refused(f"that is a redacted copy of {original}, and would be made again: erase that")
    return ErasurePlan(
        named,
        tuple(only),
        made,
        tuple(sorted(company - set(only))),
        tuple(sorted(naming - gone)),
        await erasures.amount(tx, sorted(gone)),
    )


def _goes(id_: str, node: Node) -> bool:
    return id_.partition("--")[0] not in FREE_TYPES and id_ not in node.creators


async def of_victim(tx: Transaction, text: str) -> dict[str, str]:
    """The objects that a victim's name, or part of it, leads to, and why each: identities with it in their name,
    the incidents that these were made with, and incidents whose source record holds it.

    Upper and lower case, all of it or first letters, are tried; records are searched as they were read.
    """
    found: dict[str, str] = {}
    for words in dict.fromkeys((text, text.casefold(), text.upper(), text.title())):
        raw = words.encode("utf-8")
        for id_ in await erasures.records_with(tx, raw):
            found.setdefault(id_, "its source record holds the text")
        for id_ in await erasures.objects_with(tx, "identity", raw):
            if any(text.casefold() in _name(version).casefold() for version in await objects.versions(tx, id_)):
                found.setdefault(id_, "the text is in its name")
    named = [id_ for id_ in found if id_.startswith("identity--")]
    for id_, belongings in (await records.belongings_of(tx, named)).items():
        for one in belongings:
            if one.role in ("victim", "reporter"):
                found.setdefault(one.incident_id, f"{id_} was made with it, as its {one.role}")
    return found


async def of_identity(tx: Transaction, identity: str) -> list[str]:
    """A victim's identity, and the incidents of ours that it was made with. Raises NotFound."""
    if not await objects.dates(tx, identity):
        raise NotFound(f"{identity} is not here")
    belongings = (await records.belongings_of(tx, [identity])).get(identity, [])
    return list(dict.fromkeys([*(one.incident_id for one in belongings), identity]))


def _name(version: HeldVersion) -> str:
    return str(version.value.get("name", "")) if version.raw else ""


async def erase(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    planned: ErasurePlan,
    *,
    because: str,
    by: str,
    now: int,
) -> list[Outcome]:
    """Take back what stands of it, so that nodes are told, and destroy it; what left which collection.

    `because` is kept with the fact: it must not name what was erased. Raises Refused where something of it would
    still stand afterwards.
    """
    held = await objects.newest(tx, [*planned.named, *planned.made_with])
    outcomes = await withdraw(tx, configuration, node, sorted(held), reason=WITHDRAWN, by=by, now=now)
    standing = await releases.standing_everywhere(tx, planned.ids)
    if standing:
        raise Refused(f"{min(standing)} still stands in a collection, and cannot be erased: withdraw it first")
    await erasures.note(tx, planned.ids, because, by, now)
    await erasures.destroy(tx, planned.ids)
    details = {"because": because, "by": by}
    await audit.append_all(tx, [audit.Event("erased", id_, details) for id_ in planned.ids], now)
    return outcomes


async def allow_again(tx: Transaction, object_ids: Sequence[str], *, by: str, now: int) -> list[str]:
    """What was erased may come back, from whoever has it. Raises NotFound for what was not erased."""
    lifted = await erasures.allow_again(tx, object_ids)
    if missing := [id_ for id_ in object_ids if id_ not in lifted]:
        raise NotFound(f"{missing[0]} was not erased here")
    await audit.append_all(tx, [audit.Event("allowed again", id_, {"by": by}) for id_ in sorted(lifted)], now)
    return sorted(lifted)
