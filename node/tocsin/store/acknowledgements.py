"""Acknowledgements: what readers told us they did with what we took back, and what we owe to those we read from.

Beside them stands what both rest on: the entries of a log that take something back, and what the log showed of
their objects before. Who was shown what follows from these and from grants; `sharing.notices` works it out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, or_, select, update

from tocsin.store import audit
from tocsin.store.log import Op
from tocsin.store.tables import acknowledgement, fetch, object_version, owed, pull, push, release
from tocsin.store.tables import audit as audit_table
from tocsin.store.transaction import Transaction, in_batches

Done = Literal["purged", "retained", "refused"]

_READS = "reads changes"  # in the audit


# --- what logs took back -------------------------------------------------------------------------------------


class Taking(NamedTuple):
    """An entry that takes something back: a withdrawal, or a revocation that stands. `released`: clock, µs."""

    collection_id: str
    position: int
    op: Literal["withdraw", "revoke"]
    object_id: str
    type: str
    version: str
    version_key: str
    version_seq: int
    spec_version: str
    sha256: str
    form: Literal["whole", "copy"]
    hops: int
    released: int


class Shown(NamedTuple):
    """Any entry of a log, as far as it says who was shown what."""

    position: int
    op: Op
    object_id: str
    version_key: str
    version_seq: int
    current: bool


async def takings(
    tx: Transaction,
    collection_id: str,
    *,
    after: int = 0,
    limit: int | None = None,
    object_ids: Iterable[str] | None = None,
    positions: Iterable[int] | None = None,
) -> list[Taking]:
    """Those of one log beyond a position, in its order; of some objects or at some positions only, if given."""
    r = release.c
    beyond = [r.position > after]
    if object_ids is not None:
        found = []
        for batch in in_batches(dict.fromkeys(object_ids)):
            found += await _takings(tx, collection_id, [*beyond, r.version_seq.in_(_versions_of(batch))], None)
        return sorted(found, key=lambda taking: taking.position)[:limit]
    if positions is not None:
        found = []
        for places in in_batches(dict.fromkeys(positions)):
            found += await _takings(tx, collection_id, [*beyond, r.position.in_(places)], None)
        return sorted(found, key=lambda taking: taking.position)[:limit]
    return await _takings(tx, collection_id, beyond, limit)


async def unanswered(
    tx: Transaction, collection_id: str, firsts: Mapping[str, int], *, before: int, after: int, limit: int
) -> list[Taking]:
    """Those of one log beyond `after`, released before a moment (µs), that one of some parties at least has not
    answered. `firsts`: the parties, each with the position up to which no withdrawal concerns it. A revocation
    may, since a version before it stands on."""
    r, a = release.c, acknowledgement.c
    open_ = or_(
        *(
            and_(
                or_(r.position > first, r.op == "revoke"),
                ~exists().where(
                    a.party_id == party_id, a.collection_id == r.collection_id, a.position == r.position
                ),
            )
            for party_id, first in sorted(firsts.items())
        )
    )
    return await _takings(tx, collection_id, [r.position > after, r.released < before, open_], limit)


async def _takings(
    tx: Transaction, collection_id: str, more: Sequence[ColumnElement[bool]], limit: int | None
) -> list[Taking]:
    r, v = release.c, object_version.c
    wanted = (
        select(
            r.collection_id,
            r.position,
            r.op,
            r.object_id,
            r.type,
            v.version,
            r.version_key,
            r.version_seq,
            v.spec_version,
            v.sha256,
            r.form,
            r.hops,
            r.released,
        )
        .join(object_version, v.seq == r.version_seq)
        .where(r.collection_id == collection_id, _takes_back(), *more)
        .order_by(r.position)
    )
    if limit is not None:
        wanted = wanted.limit(limit)
    return [Taking._make(row) for row in await tx.connection.execute(wanted)]


def _takes_back() -> ColumnElement[bool]:
    """A revocation that was replaced is not told, since what replaced it is."""
    r = release.c
    return or_(r.op == "withdraw", and_(r.op == "revoke", r.current))


async def shown(tx: Transaction, collection_id: str, object_ids: Iterable[str]) -> dict[str, list[Shown]]:
    """Every entry of one log about these objects, by object and in the order of the log."""
    r = release.c
    found: dict[str, list[Shown]] = {}
    for batch in in_batches(dict.fromkeys(object_ids)):
        wanted = (
            select(r.position, r.op, r.object_id, r.version_key, r.version_seq, r.current)
            .where(r.collection_id == collection_id, r.version_seq.in_(_versions_of(batch)))
            .order_by(r.position)
        )
        for row in await tx.connection.execute(wanted):
            entry = Shown(row.position, row.op, row.object_id, row.version_key, row.version_seq, bool(row.current))
            found.setdefault(entry.object_id, []).append(entry)
    return found


def _versions_of(object_ids: Sequence[str]) -> Select[Any]:
    return select(object_version.c.seq).where(object_version.c.id.in_(object_ids))


async def standing_up_to(tx: Transaction, collection_id: str, position: int) -> set[str]:
    """The ids of what stands in a log, as far as a position."""
    r = release.c
    wanted = select(r.object_id).where(r.collection_id == collection_id, r.position <= position, r.current)
    return set((await tx.connection.execute(wanted.distinct())).scalars())


# --- what readers said ---------------------------------------------------------------------------------------


class Acknowledgement(NamedTuple):
    """What a reader did with one entry that took something back. `open`: of those that it had passed it on to, how
    many have not answered it. `at` in µs."""

    party_id: str
    collection_id: str
    position: int
    object_id: str
    outcome: Done
    reason: str
    open: int
    at: int


_ACKNOWLEDGED = ("party_id", "collection_id", "position")


async def put(tx: Transaction, said: Iterable[Acknowledgement]) -> list[Acknowledgement]:
    """Note acknowledgements; each takes the place of the one before it. Those that say something new."""
    latest = {(one.party_id, one.collection_id, one.position): one for one in said}
    known: dict[tuple[str, str, int], Acknowledgement] = {}
    a = acknowledgement.c
    for batch in in_batches(latest):
        party_ids, collection_ids = {key[0] for key in batch}, {key[1] for key in batch}
        rows = await tx.connection.execute(
            select(acknowledgement).where(
                a.party_id.in_(party_ids),
                a.collection_id.in_(collection_ids),
                a.position.in_([k[2] for k in batch]),
            )
        )
        known |= {(row.party_id, row.collection_id, row.position): Acknowledgement._make(row) for row in rows}
    new = [one for key, one in latest.items() if key not in known or known[key]._replace(at=one.at) != one]
    insert = tx.insert(acknowledgement)
    said_before = insert.on_conflict_do_update(
        index_elements=_ACKNOWLEDGED,
        set_={name: insert.excluded[name] for name in ("outcome", "reason", "open", "at")},
    )
    for rows_ in in_batches(new):
        await tx.connection.execute(said_before, [one._asdict() for one in rows_])
    return new


async def acknowledgements(
    tx: Transaction, collection_id: str, *, party_id: str | None = None, positions: Iterable[int] | None = None
) -> dict[tuple[str, int], Acknowledgement]:
    """What was said of one log, by (party id, position); of one party or some positions only, if given."""
    a = acknowledgement.c
    wanted = select(acknowledgement).where(a.collection_id == collection_id)
    if party_id is not None:
        wanted = wanted.where(a.party_id == party_id)
    asked = [wanted] if positions is None else [wanted.where(a.position.in_(b)) for b in in_batches(positions)]
    found = {}
    for one in asked:
        for row in await tx.connection.execute(one):
            found[row.party_id, row.position] = Acknowledgement._make(row)
    return found


# --- what readers asked for ----------------------------------------------------------------------------------


async def reads_changes(tx: Transaction, party_id: str, collection_id: str) -> bool:
    """Whether this reader has ever read this log as nodes do, and so can be told of what is taken back."""
    return (party_id, collection_id) in await readers_of_changes(tx, collection_id, [party_id])


async def readers_of_changes(
    tx: Transaction, collection_id: str, party_ids: Iterable[str]
) -> set[tuple[str, str]]:
    """Those of the parties that have, as (party id, collection id)."""
    found = set()
    subjects = {_subject(party_id, collection_id): party_id for party_id in party_ids}
    a = audit_table.c
    for batch in in_batches(subjects):
        wanted = select(a.subject).where(a.subject.in_(batch), a.event == _READS).distinct()
        found |= {
            (subjects[subject], collection_id) for subject in (await tx.connection.execute(wanted)).scalars()
        }
    return found


async def note_reads_changes(tx: Transaction, party_id: str, collection_id: str, now: int) -> None:
    """Note that a reader reads a log as nodes do. The first time alone is of interest."""
    await audit.append(tx, _READS, _subject(party_id, collection_id), {}, now)


def _subject(party_id: str, collection_id: str) -> str:
    return f"{party_id} {collection_id}"


async def fetched(tx: Transaction, collection_id: str) -> dict[str, list[tuple[int, int]]]:
    """The stretches of one log that were sent to each party, as first and last positions."""
    f = fetch.c
    wanted = select(f.party_id, f.first_position, f.last_position).where(f.collection_id == collection_id)
    found: dict[str, list[tuple[int, int]]] = {}
    for party_id, first, last in await tx.connection.execute(wanted):
        found.setdefault(party_id, []).append((first, last))
    return found


async def pushed(tx: Transaction) -> set[tuple[str, str]]:
    """(party id, collection id) of each log that is added to a collection of a foreign server."""
    p = push.c
    return {(row[0], row[1]) for row in await tx.connection.execute(select(p.party_id, p.collection_id))}


# --- what we owe ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Owed:
    """Our answer to an entry of a peer's log that takes something back. `position` as the peer wrote it; `told`:
    when the peer took the answer (µs), None where it is still to be told."""

    party_id: str
    collection_id: str
    position: str
    object_id: str
    sha256: str
    outcome: Done
    reason: str
    open: int
    at: int
    told: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.party_id, self.collection_id, self.position)


async def owe(tx: Transaction, answers: Iterable[Owed]) -> None:
    """Owe these answers; one that is another than before is to be told again."""
    o = owed.c
    insert = tx.insert(owed)
    changed = or_(
        o.outcome != insert.excluded.outcome, o.reason != insert.excluded.reason, o.open != insert.excluded.open
    )
    again = insert.on_conflict_do_update(
        index_elements=["party_id", "collection_id", "position"],
        set_={name: insert.excluded[name] for name in ("outcome", "reason", "open")} | {"told": None},
        where=changed,
    )
    rows = {one.key: one for one in answers}
    for batch in in_batches(rows.values()):
        values = [
            {
                "party_id": one.party_id,
                "collection_id": one.collection_id,
                "position": one.position,
                "object_id": one.object_id,
                "sha256": one.sha256,
                "outcome": one.outcome,
                "reason": one.reason,
                "open": one.open,
                "at": one.at,
            }
            for one in batch
        ]
        await tx.connection.execute(again, values)


async def owed_about(tx: Transaction, object_ids: Iterable[str]) -> list[Owed]:
    """Every answer that speaks of these objects."""
    found: list[Owed] = []
    for batch in in_batches(dict.fromkeys(object_ids)):
        found += await _owed(tx, select(owed).where(owed.c.object_id.in_(batch)))
    return found


async def unsettled(tx: Transaction, party_id: str, reason: str, limit: int) -> list[Owed]:
    """Answers to a party that may have changed by themselves: readers of ours are open, or they gave `reason`."""
    o = owed.c
    wanted = select(owed).where(o.party_id == party_id, or_(o.open > 0, o.reason == reason)).order_by(o.at)
    return await _owed(tx, wanted.limit(limit))


async def untold(tx: Transaction, party_id: str, collection_id: str, limit: int) -> list[Owed]:
    """What is still to be told about one collection of a party, in the order of its log."""
    o = owed.c
    wanted = select(owed).where(o.party_id == party_id, o.told.is_(None), o.collection_id == collection_id)
    return await _owed(tx, wanted.order_by(o.position).limit(limit))


async def untold_count(tx: Transaction, party_id: str) -> int:
    """How many answers a party has still to be told."""
    wanted = select(func.count()).where(owed.c.party_id == party_id, owed.c.told.is_(None))
    return int((await tx.connection.execute(wanted)).scalar_one())


async def hasten(tx: Transaction, now: int) -> None:
    """Have the collections read at once about which answers are still to be told, where their peers answer: they
    are told after a pull."""
    waits = exists().where(
        owed.c.party_id == pull.c.party_id, owed.c.collection_id == pull.c.collection_id, owed.c.told.is_(None)
    )
    at_once = update(pull).where(pull.c.attempts == 0, pull.c.due > now, waits)
    await tx.connection.execute(at_once.values(due=now))


async def was_told(tx: Transaction, answers: Iterable[Owed], at: int) -> None:
    """The peer took these answers. One that changed since stays to be told."""
    o = owed.c
    for one in answers:
        same = (o.outcome == one.outcome, o.reason == one.reason, o.open == one.open)
        here = (o.party_id == one.party_id, o.collection_id == one.collection_id, o.position == one.position)
        await tx.connection.execute(update(owed).where(*here, *same).values(told=at))


async def _owed(tx: Transaction, wanted: Select[Any]) -> list[Owed]:
    return [_owed_row(row) for row in await tx.connection.execute(wanted)]


def _owed_row(row: Row[Any]) -> Owed:
    return Owed(
        row.party_id,
        row.collection_id,
        row.position,
        row.object_id,
        row.sha256,
        row.outcome,
        row.reason,
        row.open,
        row.at,
        row.told,
    )
