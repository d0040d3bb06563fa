"""Peers: where we stand in reading each of their collections, and what became of what they offered."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sqlalchemy import Row, Select, delete, func, or_, select, update

from tocsin.errors import NotFound, Refused
from tocsin.store.tables import ledger, pull
from tocsin.store.transaction import Transaction, in_batches

Protocol = Literal["tocsin", "taxii"]
LedgerOutcome = Literal["stored", "duplicate", "quarantined", "refused"]


@dataclass(frozen=True, slots=True)
class Pull:
    """The state of reading one collection of one peer. Times in microseconds.

    `wanted` is the id, alias or title from `tocsin.yaml`; `collection_id` and `protocol` were found at first
    contact; `attempts` are failures in a row; `due` is when to ask next. `epoch`: of the peer's log, within which
    the cursor means something; `skew`: by how much its clock was ahead of ours when it last answered; `compared`:
    when what it offers and what we hold were last compared, and `difference` what that found, in words (None: in
    step), or what we know of a gap.
    """

    party_id: str
    wanted: str
    collection_id: str | None
    protocol: Protocol | None
    cursor: str | None
    attempts: int
    due: int
    last_success: int | None
    last_error: str | None
    epoch: str | None = None
    skew: int | None = None
    compared: int | None = None
    difference: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What became of one object that a peer offered.

    `position`: where in the peer's collection; `object_id`, `version` and `sha256` are '' where it could not be
    read; `content`: of a quarantined object, for a person to judge.
    """

    party_id: str
    collection_id: str
    position: str
    object_id: str
    version: str
    sha256: str
    outcome: LedgerOutcome
    reason: str
    at: int
    content: bytes | None = field(default=None, repr=False)
    seq: int | None = None  # given by the database


# --- pulls ---------------------------------------------------------------------------------------------------


async def ensure_pulls(tx: Transaction, wanted: Iterable[tuple[str, str]]) -> None:
    """Make a row, due at once, for each (party id, wanted) that has none."""
    rows = [{"party_id": party_id, "wanted": name} for party_id, name in sorted(set(wanted))]
    for batch in in_batches(rows):
        await tx.connection.execute(tx.insert(pull).on_conflict_do_nothing(), batch)


async def pulls(tx: Transaction, party_id: str | None = None) -> list[Pull]:
    """All pulls, or those of one peer, the longest due first."""
    wanted = select(pull).order_by(pull.c.due, pull.c.party_id, pull.c.wanted)
    if party_id is not None:
        wanted = wanted.where(pull.c.party_id == party_id)
    return [_pull(row) for row in await tx.connection.execute(wanted)]


async def pull_state(tx: Transaction, party_id: str, wanted: str) -> Pull | None:
    row = (await tx.connection.execute(select(pull).where(_of(party_id, wanted)))).one_or_none()
    return _pull(row) if row else None


async def pin_collection(
    tx: Transaction, party_id: str, wanted: str, collection_id: str, protocol: Protocol
) -> None:
    """Note which collection a name stands for at a peer, and how that peer speaks.

    Raises NotFound for an unknown pull; Refused when the name stood for another collection before.
    """
    state = await pull_state(tx, party_id, wanted)
    if state is None:
        raise _unknown(wanted)
    if state.collection_id not in (None, collection_id):
        raise Refused(f"{wanted!r} was the peer's collection {state.collection_id}, and now is {collection_id}")
    await _set(tx, party_id, wanted, collection_id=collection_id, protocol=protocol)


async def move_cursor(
    tx: Transaction, party_id: str, wanted: str, old: str | None, new: str | None, *, epoch: str = ""
) -> bool:
    """Move the cursor in the transaction that stores its page; False when another process was there first.

    `epoch`: of the log that it is a position of, where the peer says.
    """
    values = {"cursor": new, **({"epoch": epoch} if epoch else {})}
    moved = await tx.connection.execute(
        update(pull).where(_of(party_id, wanted), pull.c.cursor.is_not_distinct_from(old)).values(values)
    )
    return moved.rowcount == 1


async def failed(tx: Transaction, party_id: str, wanted: str, why: str, due: int) -> None:
    """One more failure in a row; ask again at `due`. Raises NotFound."""
    await _set(tx, party_id, wanted, attempts=pull.c.attempts + 1, last_error=why, due=due)


async def succeeded(
    tx: Transaction, party_id: str, wanted: str, at: int, due: int, *, skew: int | None = None
) -> None:
    """The peer answered at `at`, with a clock that was ahead by `skew`; ask again at `due`. Raises NotFound."""
    await _set(tx, party_id, wanted, attempts=0, last_error=None, last_success=at, due=due, skew=skew)


async def compared(tx: Transaction, party_id: str, wanted: str, at: int, difference: str | None) -> None:
    """What it offers and what we hold were compared at `at`: in step, or how not. Raises NotFound."""
    await _set(tx, party_id, wanted, compared=at, difference=difference)


async def differs(tx: Transaction, party_id: str, wanted: str, difference: str | None) -> None:
    """What we know without having compared: that we are not in step, or (None) no longer so. Raises NotFound."""
    await _set(tx, party_id, wanted, difference=difference)


async def hasten(tx: Transaction, party_id: str, cursors: Mapping[str, str], now: int) -> None:
    """There is more in these collections of a peer than we had read, up to these cursors: they are due now."""
    for collection_id, cursor in cursors.items():
        unread = (pull.c.party_id == party_id, pull.c.collection_id == collection_id, pull.c.cursor == cursor)
        await tx.connection.execute(update(pull).where(*unread, pull.c.due > now).values(due=now))


def _of(party_id: str, wanted: str) -> Any:
    return (pull.c.party_id == party_id) & (pull.c.wanted == wanted)


async def _set(tx: Transaction, party_id: str, wanted: str, **values: Any) -> None:
    done = await tx.connection.execute(update(pull).where(_of(party_id, wanted)).values(**values))
    if done.rowcount == 0:
        raise _unknown(wanted)


def _unknown(wanted: str) -> NotFound:
    return NotFound(f"nothing called {wanted!r} is pulled from this peer")


def _pull(row: Row[Any]) -> Pull:
    return Pull(
        row.party_id,
        row.wanted,
        row.collection_id,
        row.protocol,
        row.cursor,
        row.attempts,
        row.due,
        row.last_success,
        row.last_error,
        row.epoch,
        row.skew,
        row.compared,
        row.difference,
    )


# --- ledger --------------------------------------------------------------------------------------------------


async def add_ledger(tx: Transaction, rows: Sequence[LedgerRow]) -> int:
    """Note what became of what was offered; how many were new. The same offer again is not noted again."""
    noted = 0
    insert = tx.insert(ledger).on_conflict_do_nothing().returning(ledger.c.seq)
    for batch in in_batches(rows):
        values = [
            {
                "party_id": row.party_id,
                "collection_id": row.collection_id,
                "position": row.position,
                "object_id": row.object_id,
                "version": row.version,
                "sha256": row.sha256,
                "outcome": row.outcome,
                "reason": row.reason,
                "at": row.at,
                "content": row.content,
            }
            for row in batch
        ]
        noted += len((await tx.connection.execute(insert, values)).all())
    return noted


async def ledgered(
    tx: Transaction, party_id: str, collection_id: str, object_ids: Iterable[str]
) -> set[tuple[str, str, str]]:
    """The (id, version, sha256) of those objects that the ledger of this collection names already, wherever."""
    named = select(ledger.c.object_id, ledger.c.version, ledger.c.sha256).where(
        ledger.c.party_id == party_id, ledger.c.collection_id == collection_id
    )
    found = set()
    for batch in in_batches(sorted(set(object_ids))):
        for row in await tx.connection.execute(named.where(ledger.c.object_id.in_(batch))):
            found.add((row.object_id, row.version, row.sha256))
    return found


class LedgerNote(NamedTuple):
    """What the ledger says of one entry of a peer's log."""

    seq: int
    position: str
    object_id: str
    sha256: str
    outcome: LedgerOutcome
    reason: str


async def noted_at(
    tx: Transaction, party_id: str, collection_id: str, positions: Iterable[str]
) -> dict[tuple[str, str, str], LedgerNote]:
    """What the ledger says of the entries at these positions, by position, id and hash."""
    found: dict[tuple[str, str, str], LedgerNote] = {}
    for batch in in_batches(dict.fromkeys(positions)):
        rows = await tx.connection.execute(_notes(party_id, collection_id).where(ledger.c.position.in_(batch)))
        found |= {(row.position, row.object_id, row.sha256): LedgerNote._make(row) for row in rows}
    return found


async def not_plain(
    tx: Transaction, party_id: str, collection_id: str, reasons: Collection[str]
) -> list[LedgerNote]:
    """What the ledger has of a collection beside what was simply taken in: what was refused or waits in
    quarantine, and what was noted for one of these reasons. In the order in which it was noted."""
    other = or_(ledger.c.outcome.in_(["refused", "quarantined"]), ledger.c.reason.in_(list(reasons)))
    rows = await tx.connection.execute(_notes(party_id, collection_id).where(other))
    return sorted(LedgerNote._make(row) for row in rows)


async def notes_of(
    tx: Transaction, party_id: str, collection_id: str, object_ids: Iterable[str]
) -> list[LedgerNote]:
    """Everything that the ledger has of these objects, in the order in which it was noted."""
    found = []
    for batch in in_batches(sorted(set(object_ids))):
        rows = await tx.connection.execute(_notes(party_id, collection_id).where(ledger.c.object_id.in_(batch)))
        found += [LedgerNote._make(row) for row in rows]
    return sorted(found)


def _notes(party_id: str, collection_id: str) -> Select[Any]:
    c = ledger.c
    wanted = select(c.seq, c.position, c.object_id, c.sha256, c.outcome, c.reason)
    return wanted.where(c.party_id == party_id, c.collection_id == collection_id)


async def note_again(tx: Transaction, rows: Sequence[LedgerRow]) -> None:
    """Note what became of entries that were taken in once more: it takes the place of what was noted before."""
    for row in rows:
        c = ledger.c
        await tx.connection.execute(
            delete(ledger).where(
                c.party_id == row.party_id,
                c.collection_id == row.collection_id,
                c.position == row.position,
                c.object_id == row.object_id,
                c.version == row.version,
                c.sha256 == row.sha256,
            )
        )
    await add_ledger(tx, rows)


async def ledger_counts(
    tx: Transaction, party_id: str, collection_id: str | None = None
) -> dict[LedgerOutcome, int]:
    """How many of the peer's offers ended in each outcome; each outcome is there, at 0 if need be."""
    wanted = select(ledger.c.outcome, func.count().label("n")).where(ledger.c.party_id == party_id)
    if collection_id is not None:
        wanted = wanted.where(ledger.c.collection_id == collection_id)
    counts: dict[LedgerOutcome, int] = {"stored": 0, "duplicate": 0, "quarantined": 0, "refused": 0}
    for row in await tx.connection.execute(wanted.group_by(ledger.c.outcome)):
        counts[row.outcome] = row.n
    return counts


async def ledger_reasons(tx: Transaction, party_id: str, reasons: Iterable[str]) -> dict[str, int]:
    """How many of the peer's offers were noted for each of these reasons; each is there, at 0 if need be."""
    counts = dict.fromkeys(reasons, 0)
    wanted = (
        select(ledger.c.reason, func.count().label("n"))
        .where(ledger.c.party_id == party_id, ledger.c.outcome == "stored", ledger.c.reason.in_(list(counts)))
        .group_by(ledger.c.reason)
    )
    return counts | {row.reason: row.n for row in await tx.connection.execute(wanted)}


async def ledger_rows(
    tx: Transaction, party_id: str, *, before: int | None = None, limit: int = 100
) -> list[LedgerRow]:
    """The latest rows of one peer, latest first; `before` is the last seq already seen."""
    wanted = select(ledger).where(ledger.c.party_id == party_id).order_by(ledger.c.seq.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(ledger.c.seq < before)
    return [_ledger_row(row) for row in await tx.connection.execute(wanted)]


async def quarantined(tx: Transaction, party_id: str | None = None) -> list[LedgerRow]:
    """What waits for a person's judgement, oldest first."""
    wanted = select(ledger).where(ledger.c.outcome == "quarantined").order_by(ledger.c.seq)
    if party_id is not None:
        wanted = wanted.where(ledger.c.party_id == party_id)
    return [_ledger_row(row) for row in await tx.connection.execute(wanted)]


async def settle(tx: Transaction, seq: int, outcome: LedgerOutcome, reason: str) -> None:
    """A person's judgement on a quarantined offer; its bytes are no longer kept here.

    Raises NotFound when that row is not quarantined (any more).
    """
    done = await tx.connection.execute(
        update(ledger)
        .where(ledger.c.seq == seq, ledger.c.outcome == "quarantined")
        .values(outcome=outcome, reason=reason, content=None)
    )
    if done.rowcount == 0:
        raise NotFound(f"nothing is quarantined under the number {seq}")


def _ledger_row(row: Row[Any]) -> LedgerRow:
    return LedgerRow(
        row.party_id,
        row.collection_id,
        row.position,
        row.object_id,
        row.version,
        row.sha256,
        row.outcome,
        row.reason,
        row.at,
        row.content,
        row.seq,
    )
