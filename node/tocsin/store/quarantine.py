"""Quarantine: what peers offered and a person is to judge: rows of the ledger, each with its content."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, select, update

from tocsin.store.peers import LedgerOutcome, LedgerRow
from tocsin.store.tables import ledger, object_version, source
from tocsin.store.transaction import Transaction, in_batches

_COLUMNS = (
    ledger.c.party_id,
    ledger.c.collection_id,
    ledger.c.position,
    ledger.c.object_id,
    ledger.c.version,
    ledger.c.sha256,
    ledger.c.outcome,
    ledger.c.reason,
    ledger.c.at,
    ledger.c.seq,
)


@dataclass(frozen=True, slots=True)
class Doubted:
    """A version that was taken in from a peer's collection and is not believed any more."""

    seq: int
    collection_id: str  # the peer's
    object_id: str
    version: str
    sha256: str


async def waiting(
    tx: Transaction, party_id: str | None = None, *, after: int = 0, limit: int | None = None
) -> list[LedgerRow]:
    """What waits for a person's judgement, oldest first and without its content; `after` is the last seq seen."""
    wanted = (
        select(*_COLUMNS).where(ledger.c.outcome == "quarantined", ledger.c.seq > after).order_by(ledger.c.seq)
    )
    if party_id is not None:
        wanted = wanted.where(ledger.c.party_id == party_id)
    if limit is not None:
        wanted = wanted.limit(limit)
    return [_row(row) for row in await tx.connection.execute(wanted)]


async def entries(tx: Transaction, seqs: Iterable[int], *, holding: bool = False) -> dict[int, LedgerRow]:
    """Rows of the ledger by number, whatever became of them, with their contents.

    `holding`: nobody else judges them before the end of the transaction.
    """
    found = {}
    for batch in in_batches(sorted(set(seqs))):
        wanted = select(*_COLUMNS, ledger.c.content).where(ledger.c.seq.in_(batch)).order_by(ledger.c.seq)
        for row in await tx.connection.execute(wanted.with_for_update() if holding else wanted):
            found[row.seq] = replace(_row(row), content=row.content)
    return found


async def known_hops(
    tx: Transaction, party_id: str, source_id: str, object_ids: Iterable[str]
) -> dict[tuple[str, str], int]:
    """How many nodes what a source once offered had passed, by id and hash; withdrawn or not."""
    t, s = object_version.c, source.c
    found = {}
    for batch in in_batches(sorted(set(object_ids))):
        wanted = (
            select(t.id, t.sha256, s.hops)
            .join(source, s.version_seq == t.seq)
            .where(t.id.in_(batch), s.party_id == party_id, s.collection_id == source_id)
        )
        for row in await tx.connection.execute(wanted):
            found[row.id, row.sha256] = row.hops
    return found


async def put_back(tx: Transaction, party_id: str, doubted: Sequence[Doubted], reason: str, now: int) -> None:
    """What was taken in from a peer goes to quarantine with its content: where the ledger names it, that row says
    so from now on, else a new one."""
    named = await _named(tx, party_id)
    for batch in in_batches(doubted):
        contents = select(object_version.c.seq, object_version.c.raw)
        found = await tx.connection.execute(contents.where(object_version.c.seq.in_([one.seq for one in batch])))
        raws = {row.seq: row.raw for row in found}
        changed, made = [], []
        for one in batch:
            said = {"reason": reason, "at": now, "content": raws.get(one.seq)}
            number = named.get((one.collection_id, one.object_id, one.sha256))
            if number is not None:
                changed.append({"number": number, **said})
            else:
                made.append(
                    {
                        "party_id": party_id,
                        "collection_id": one.collection_id,
                        "position": "",
                        "object_id": one.object_id,
                        "version": one.version,
                        "sha256": one.sha256,
                        "outcome": "quarantined",
                        **said,
                    }
                )
        if changed:
            await tx.connection.execute(_CHANGE, changed)
        if made:
            insert = tx.insert(ledger)
            new = {name: insert.excluded[name] for name in ("outcome", "reason", "at", "content")}
            await tx.connection.execute(insert.on_conflict_do_update(index_elements=_KEY, set_=new), made)


_KEY = ("party_id", "collection_id", "position", "object_id", "version", "sha256")
_CHANGE = (
    update(ledger)
    .where(ledger.c.seq == bindparam("number"))
    .values(outcome="quarantined", reason=bindparam("reason"), at=bindparam("at"), content=bindparam("content"))
)


async def _named(tx: Transaction, party_id: str) -> dict[tuple[str, str, str], int]:
    """The last row that says that something was taken in, by collection, id and hash: one walk over the ledger."""
    c = ledger.c
    taken_in: tuple[LedgerOutcome, ...] = ("stored", "duplicate")
    wanted = (
        select(c.collection_id, c.object_id, c.sha256, c.seq)
        .where(c.party_id == party_id, c.outcome.in_(taken_in))
        .order_by(c.seq)
    )
    return {(row.collection_id, row.object_id, row.sha256): row.seq for row in await tx.connection.execute(wanted)}


def _row(row: Any) -> LedgerRow:
    return LedgerRow(
        party_id=row.party_id,
        collection_id=row.collection_id,
        position=row.position,
        object_id=row.object_id,
        version=row.version,
        sha256=row.sha256,
        outcome=row.outcome,
        reason=row.reason,
        at=row.at,
        seq=row.seq,
    )
