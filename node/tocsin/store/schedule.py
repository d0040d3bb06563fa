"""Schedule: what a person wants to happen to an incident later. A row is done once, by whoever claims it first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Row, Select, func, select, update

from tocsin.store.tables import collection, pull, schedule
from tocsin.store.transaction import Transaction, in_batches

Kind = Literal["publish", "withdraw", "downgrade"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One thing that is to happen at `due` (µs) to an incident, in one collection or ('') everywhere.

    `details`: of a publication whether it follows, of a downgrade the level. `done`: when it was carried out or
    given up, and `outcome` what became of it; None while it is still to come.
    """

    incident_id: str
    collection_id: str
    kind: Kind
    due: int
    by: str
    made: int
    details: Mapping[str, Any] = field(default_factory=dict)
    done: int | None = None
    outcome: str | None = None
    seq: int | None = None  # given by the database


async def plan(tx: Transaction, rows: Iterable[Planned]) -> None:
    """Note what is to happen."""
    values = [
        {
            "incident_id": one.incident_id,
            "collection_id": one.collection_id,
            "kind": one.kind,
            "due": one.due,
            "details": dict(one.details),
            "by": one.by,
            "made": one.made,
        }
        for one in rows
    ]
    for batch in in_batches(values):
        await tx.connection.execute(schedule.insert(), batch)


async def due(tx: Transaction, now: int, limit: int = 100) -> list[Planned]:
    """What should have happened by `now`, in the order in which it should have."""
    s = schedule.c
    wanted = select(schedule).where(s.done.is_(None), s.due <= now).order_by(s.due, s.seq).limit(limit)
    return await _read(tx, wanted)


async def to_come(tx: Transaction, incident_ids: Iterable[str] | None = None) -> list[Planned]:
    """What is still to happen, the soonest first; to these incidents, if given."""
    s = schedule.c
    wanted = select(schedule).where(s.done.is_(None)).order_by(s.due, s.seq)
    if incident_ids is None:
        return await _read(tx, wanted)
    found: list[Planned] = []
    for batch in in_batches(dict.fromkeys(incident_ids)):
        found += await _read(tx, wanted.where(s.incident_id.in_(batch)))
    return found


async def claim(tx: Transaction, seq: int, now: int) -> bool:
    """Take what is due upon oneself, in the transaction that carries it out; False when somebody else has."""
    s = schedule.c
    mine = await tx.connection.execute(update(schedule).where(s.seq == seq, s.done.is_(None)).values(done=now))
    return mine.rowcount == 1


async def settle(tx: Transaction, seq: int, outcome: str) -> None:
    """Say what became of what was claimed."""
    await tx.connection.execute(update(schedule).where(schedule.c.seq == seq).values(outcome=outcome))


async def cancel(
    tx: Transaction, incident_ids: Sequence[str], now: int, why: str, collection_id: str | None = None
) -> int:
    """Give up what is still to come of these incidents, everywhere or in one collection; how much it was."""
    s = schedule.c
    count = 0
    for batch in in_batches(dict.fromkeys(incident_ids)):
        gone = update(schedule).where(s.incident_id.in_(batch), s.done.is_(None))
        if collection_id is not None:
            gone = gone.where(s.collection_id == collection_id)
        count += (await tx.connection.execute(gone.values(done=now, outcome=why))).rowcount
    return count


async def newest_position(tx: Transaction) -> int:
    """The latest position of any log, which looks like a time; 0 where there is none."""
    return int((await tx.connection.execute(select(func.max(collection.c.last_position)))).scalar() or 0)


async def clocks_of_peers(tx: Transaction, since: int) -> dict[str, int]:
    """By how many µs each peer's clock was ahead of ours, of those that answered since a moment."""
    p = pull.c
    wanted = select(p.party_id, func.max(p.skew)).where(p.skew.is_not(None), p.last_success >= since)
    return {party_id: int(skew) for party_id, skew in await tx.connection.execute(wanted.group_by(p.party_id))}


async def _read(tx: Transaction, wanted: Select[Any]) -> list[Planned]:
    return [_planned(row) for row in await tx.connection.execute(wanted)]


def _planned(row: Row[Any]) -> Planned:
    return Planned(
        row.incident_id,
        row.collection_id,
        row.kind,
        row.due,
        row.by,
        row.made,
        row.details,
        row.done,
        row.outcome,
        row.seq,
    )
