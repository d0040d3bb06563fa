"""Quarantine: a person's word on what a peer offered and could not be believed: let in all the same, or refused.

It is let in by the same door as everything else, as something that its bringer asserts. What is ours stays ours:
that no person can allow. Whatever is said ends the entry in the ledger in one state, once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from tocsin.intake.receive import Read, Received, read_offered, receive, remote
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import Node
from tocsin.stix.objects import ObjectVersion
from tocsin.store import audit, parties, peers, quarantine, releases
from tocsin.store.parties import Party
from tocsin.store.peers import LedgerRow
from tocsin.store.transaction import Transaction

AT_ONCE = 200  # entries judged in one transaction

Judgement = Literal["released", "refused", "kept", "ended before", "unknown"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one entry.

    `kept`: it cannot be let in, and still waits, for `reason`; `ended before`: somebody judged it, and `reason` is
    what the ledger says of it; `unknown`: no entry has this number.
    """

    number: int
    judgement: Judgement
    object_id: str = ""
    reason: str = ""


async def release(
    tx: Transaction, configuration: Configuration, node: Node, numbers: Sequence[int], *, by: str, now: int
) -> list[Judged]:
    """Let in what stands in quarantine under these numbers, in the order in which it came. The caller commits."""
    waiting, answers = await _waiting(tx, numbers)
    for (party_id, collection_id), group in groupby(waiting, lambda row: (row.party_id, row.collection_id)):
        rows = list(group)
        party = await parties.party_by_id(tx, party_id)
        if party is None:
            raise LookupError(f"the ledger names party {party_id}, which is not there")
        offered = await _offered(tx, configuration, party, collection_id, rows)
        allowed = {(row.object_id, row.sha256) for row in rows}
        received = await receive(tx, configuration, node, offered, party, collection_id, now=now, allowed=allowed)
        for row, item in zip(rows, received, strict=True):
            answers[_number(row)] = await _end_released(tx, party, row, item, by=by, now=now)
    return [answers[number] for number in dict.fromkeys(numbers)]


async def refuse(tx: Transaction, numbers: Sequence[int], *, by: str, now: int) -> list[Judged]:
    """End what stands in quarantine under these numbers; its content is destroyed. The caller commits."""
    waiting, answers = await _waiting(tx, numbers)
    names = {party.id: party.name for party in await parties.parties(tx)}
    for row in waiting:
        number = _number(row)
        await peers.settle(tx, number, "refused", f"refused by {by}: {row.reason}")
        await _note(tx, "quarantine refused", names[row.party_id], row, by=by, now=now)
        answers[number] = Judged(number, "refused", row.object_id, row.reason)
    return [answers[number] for number in dict.fromkeys(numbers)]


async def _waiting(tx: Transaction, numbers: Iterable[int]) -> tuple[list[LedgerRow], dict[int, Judged]]:
    """The rows that wait to be judged, held to the end of the transaction; and the answers for all others."""
    await releases.lock_all(tx)  # before any row, as whoever takes something in does
    wanted = list(dict.fromkeys(numbers))
    found = await quarantine.entries(tx, wanted, holding=True)
    answers = {}
    for number in wanted:
        row = found.get(number)
        if row is None:
            answers[number] = Judged(number, "unknown", reason="no entry of the ledger has this number")
        elif row.outcome != "quarantined":
            answers[number] = Judged(number, "ended before", row.object_id, f"{row.outcome}: {row.reason}")
    return [found[number] for number in sorted(found) if number not in answers], answers


async def _offered(
    tx: Transaction,
    configuration: Configuration,
    party: Party,
    collection_id: str,
    rows: Sequence[LedgerRow],
) -> list[Read]:
    """What was offered, as its content is read now. How far it had come is known where it was believed once."""
    ids = [row.object_id for row in rows]
    known = await quarantine.known_hops(tx, party.id, remote(collection_id), ids)
    read = [read_offered(row.content or b"", limits=configuration.limits) for row in rows]
    return [one._replace(hops=_hops(one.version, row, party, known)) for one, row in zip(read, rows, strict=True)]


def _hops(
    version: ObjectVersion | None, row: LedgerRow, party: Party, known: Mapping[tuple[str, str], int]
) -> int:
    """The ledger does not keep it: a node that is not the creator's was at least the second to have it."""
    if (row.object_id, row.sha256) in known:
        return known[row.object_id, row.sha256]
    if version is None or party.identity_id is None or party.identity_id in (version.creator, version.id):
        return 0
    return 1


async def _end_released(
    tx: Transaction, party: Party, row: LedgerRow, item: Received, *, by: str, now: int
) -> Judged:
    number = _number(row)
    match item.outcome:
        case "stored" | "duplicate":
            await peers.settle(tx, number, item.outcome, f"let in by {by}: {row.reason}")
            await _note(tx, "quarantine released", party.name, row, by=by, now=now)
            return Judged(number, "released", row.object_id, row.reason)
        case "quarantined" | "refused":
            return Judged(number, "kept", row.object_id, item.reason)


async def _note(tx: Transaction, event: str, peer: str, row: LedgerRow, *, by: str, now: int) -> None:
    details = {
        "number": row.seq,
        "peer": peer,
        "version": row.version,
        "sha256": row.sha256,
        "reason": row.reason,
        "by": by,
    }
    await audit.append(tx, event, row.object_id or peer, details, now)


def _number(row: LedgerRow) -> int:
    if row.seq is None:
        raise LookupError("a row of the ledger without its number")
    return row.seq
