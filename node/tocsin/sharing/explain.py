"""Explain: what each collection makes of one object: decision, rule, reason, readers, what a copy leaves out."""

from dataclasses import dataclass

from tocsin.policy.closure import State
from tocsin.policy.configuration import Configuration
from tocsin.policy.decision import Reason
from tocsin.sharing.approvals import Tally, tallies, wanting
from tocsin.sharing.judging import Verdict, judge, name_kinds
from tocsin.sharing.node import Node
from tocsin.sharing.subjects import Court
from tocsin.store import parties, records, releases, withdrawals
from tocsin.store import pruned as prunes
from tocsin.store.transaction import Transaction
from tocsin.store.withdrawals import EVERYWHERE, Withdrawal


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one object stands in one collection, and how it would if it were judged now.

    `would`: whole, redacted, withheld, waiting, held or stuck. `stands`: whole, redacted, or None.
    """

    collection: str
    would: str
    stands: str | None
    stands_as: str | None
    reasons: tuple[Reason, ...]
    readers: tuple[str, ...]
    omitted: tuple[str, ...]
    withdrawn: Withdrawal | None = None  # by a person, who may let it in again
    approvals: Tally | None = None  # of an incident of ours, where the collection wants some


async def explain(
    tx: Transaction, configuration: Configuration, node: Node, object_id: str, *, key: str | None = None
) -> list[Explanation]:
    """The explanation for each collection, or for the one named `key`, in the order of the configuration."""
    rows = {row.key: row.id for row in await releases.collections(tx)}
    back = (await withdrawals.withdrawals(tx, [object_id])).get(object_id, {})
    people = {party.id: party for party in await parties.parties(tx)}
    made_here = any(one.object_id == object_id for one in await records.belonging_to(tx, [object_id]))
    pruning = await prunes.collections_with_pruned(tx)
    found = []
    for name in configuration.settings.collections:
        if name in rows and (key is None or name == key):
            court = Court(configuration, node, name, rows[name], people, rows[name] in pruning)
            verdicts = await name_kinds(tx, await judge(tx, court, [object_id]), posted=True)
            here = back.get(rows[name]) or back.get(EVERYWHERE)
            wanted = wanting(configuration, {name: rows[name]}) if made_here or here else {}
            said = (await tallies(tx, configuration, wanted, [object_id])).get((rows[name], object_id))
            found += [_explanation(court, verdict, here, said) for verdict in verdicts if verdict.id == object_id]
    return found


_STANDS = {State.WHOLE: "whole", State.COPY: "redacted", State.OUT: None}


def _explanation(
    court: Court, verdict: Verdict, withdrawn: Withdrawal | None, approvals: Tally | None
) -> Explanation:
    copy = verdict.copy
    stands_as = None
    if verdict.stands is State.WHOLE:
        stands_as = verdict.id
    elif verdict.stands is State.COPY and verdict.link:
        stands_as = verdict.link.copy_id
    return Explanation(
        collection=court.key,
        would=_would(verdict),
        stands=_STANDS[verdict.stands],
        stands_as=stands_as,
        reasons=verdict.reasons,
        readers=tuple(reader.name for reader in court.readers),
        omitted=copy.omitted if copy else (),
        withdrawn=withdrawn,
        approvals=approvals,
    )


def _would(verdict: Verdict) -> str:
    if verdict.stuck:
        return "stuck"
    if verdict.state is State.OUT and verdict.lineage is None and verdict.subject.pending:
        return verdict.subject.pending
    return _STANDS[verdict.state] or "withheld"
