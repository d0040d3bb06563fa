"""Seals: hashes by which the logs vouch for what was written to them, each over the seal before and new rows.

A transaction that appends to a log seals what it appended; events of the audit are sealed a little later, by
whoever next looks after the node. So a row that is changed, taken out, put in or moved afterwards no longer agrees
with its seal, nor any seal with one that was taken out before it. Two things show only against a head that was
written down elsewhere (`audit verify --heads`): an end that was cut off together with its seals, and a chain that
was made anew from some row on. What was not sealed yet vouches for nothing.

The hash of a seal is the SHA-256, in hexadecimal digits, of the digits of the seal before (none: nothing)
followed by the digits of the SHA-256 of its text: a JSON list `[log, first, last, rows, at]` and each row as a
JSON list, one a line, in their order. Of the release log a row is everything but what changes later (whether it
stands), with the SHA-256 of the version that it puts; grants are two logs, what was given and what ended.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Select, String, Text, bindparam, case, cast, func, insert, literal_column, or_, select, text

from tocsin.errors import BadInput
from tocsin.stix.canonical import read_hashed
from tocsin.store.question import Question
from tocsin.store.tables import audit, collection, configuration, grant, object_version, release, seal
from tocsin.store.transaction import Transaction

GRANTS = "grant"
GRANTS_ENDED = "grant ended"
CONFIGURATION = "configuration"
AUDIT = "audit"

_STRETCH = 5_000  # rows read at once
_LINES = msgspec.json.Encoder()


def log_of_releases(collection_id: str) -> str:
    """The name under which a collection's release log is sealed."""
    return f"release {collection_id}"


@dataclass(frozen=True, slots=True)
class Seal:
    """One seal. `first` and `last`: by what the rows of its log are ordered; `at` in microseconds."""

    log: str
    first: int
    last: int
    entries: int
    sha256: str
    at: int


def _digest(log: str, at: int, rows: Sequence[Sequence[Any]]) -> str:
    """The hash of what is sealed, without the seal before it. The first value of a row orders it."""
    return _text(log, rows[0][0], rows[-1][0], len(rows), at, _LINES.encode_lines(rows))


def _text(log: str, first: int, last: int, count: int, at: int, lines: bytes) -> str:
    return hashlib.sha256(_LINES.encode((log, first, last, count, at)) + b"\n" + lines).hexdigest()


def _chained(before: str, digest: str) -> str:
    return hashlib.sha256((before + digest).encode("ascii")).hexdigest()


# --- what is sealed ------------------------------------------------------------------------------------------


def _releases(collection_id: str) -> Select[Any]:
    r, v = release.c, object_version.c
    puts = r.op.in_(("put", "revoke"))
    return (
        select(
            r.position,
            r.op,
            r.object_id,
            r.type,
            r.version_seq,
            r.version_key,
            case((puts, v.sha256), else_=""),
            r.form,
            r.hops,
            cast(r.rules, Text),
            r.configuration_sha256,
            r.released,
        )
        .outerjoin(object_version, v.seq == r.version_seq)
        .where(r.collection_id == collection_id)
    )


def _given() -> Select[Any]:
    g = grant.c
    return select(g.seq, g.party_id, g.collection_id, g.role, g.first_position, g.given)


def _ended() -> Select[Any]:
    g = grant.c
    ended = func.coalesce(g.ended, 0)  # where only the position says so, it was never sealed
    return select(ended, g.seq, g.last_position).where(or_(g.ended.is_not(None), g.last_position.is_not(None)))


def _configurations() -> Select[Any]:
    c = configuration.c
    return select(c.seq, c.sha256, cast(c.files, Text), c.applied)


def _events() -> Select[Any]:
    a = audit.c
    return select(a.seq, a.at, a.event, a.subject, cast(a.details, Text))


_ROWS: dict[str, Callable[[], Select[Any]]] = {
    GRANTS: _given,
    GRANTS_ENDED: _ended,
    CONFIGURATION: _configurations,
    AUDIT: _events,
}


def _rows_of(log: str) -> Select[Any]:
    kind, _, collection_id = log.partition(" ")
    return _releases(collection_id) if kind == "release" else _ROWS[log]()


async def logs(tx: Transaction) -> list[str]:
    """Every log that is, or was ever, sealed here."""
    ids = (await tx.connection.execute(select(collection.c.id).order_by(collection.c.id))).scalars()
    known = [*map(log_of_releases, ids), GRANTS, GRANTS_ENDED, CONFIGURATION, AUDIT]
    sealed = (await tx.connection.execute(select(seal.c.log).distinct().order_by(seal.c.log))).scalars()
    return list(dict.fromkeys([*known, *sealed]))


async def _read(tx: Transaction, log: str, after: int | None) -> list[tuple[Any, ...]]:
    """The rows of a log that follow, in their order: the first value of each says where it stands."""
    wanted = _rows_of(log)
    columns = list(wanted.selected_columns)
    # many grants end at one moment, and are read together
    wanted = wanted.order_by(*columns[:2]).limit(None if log == GRANTS_ENDED else _STRETCH)
    if after is not None:
        wanted = wanted.where(columns[0] > after)
    return [tuple(row) for row in await tx.connection.execute(wanted)]


# --- sealing -------------------------------------------------------------------------------------------------


async def last(tx: Transaction, log: str) -> Seal | None:
    """The newest seal of a log."""
    row = (
        await tx.connection.execute(select(seal).where(seal.c.log == log).order_by(seal.c.last.desc()).limit(1))
    ).one_or_none()
    return None if row is None else _seal(row)


async def at(tx: Transaction, log: str, last_: int) -> Seal | None:
    """The seal of a log that ends at a place."""
    row = (await tx.connection.execute(select(seal).where(seal.c.log == log, seal.c.last == last_))).one_or_none()
    return None if row is None else _seal(row)


def _seal(row: Any) -> Seal:
    return Seal(row.log, row.first, row.last, row.entries, row.sha256, row.at)


async def seal_appended(
    tx: Transaction, collection_id: str, rows: Sequence[Sequence[Any]], now: int, *, is_first: bool
) -> None:
    """Seal what was just appended to a release log, as `_releases` has it; the caller holds the log.

    `is_first`: the log was empty. What stands unsealed in a log from before there were seals is sealed with it.
    """
    if not rows:
        return  # what does not stand is not taken away
    log = log_of_releases(collection_id)
    if is_first:
        await _put(tx, log, rows, "", now)
        return
    digest = _digest(log, now, rows)
    values = {"log": log, "first": rows[0][0], "last": rows[-1][0], "entries": len(rows), "at": now}
    if tx.on_postgresql:
        if not await _SEAL_NEXT.ask(tx, digest=digest, **values):
            await seal_rest(tx, log, now)
        return
    if not (before := await _SEAL_BEFORE.ask(tx, log=log)):
        await seal_rest(tx, log, now)
        return
    await _PUT.ask(tx, sha256=_chained(before[0][0], digest), **values)


_SEAL_BEFORE = Question(
    lambda lists: select(seal.c.sha256).where(seal.c.log == bindparam("log")).order_by(seal.c.last.desc()).limit(1)
)
_COLUMNS = ("log", "first", "last", "entries", "sha256", "at")
_PUT = Question(lambda lists: insert(seal).values({name: bindparam(name) for name in _COLUMNS}))


def _seal_next(bindings: object) -> Any:
    """Of PostgreSQL, which hashes itself: one round trip, and none to learn of the seal before."""
    before = (
        select(seal.c.sha256)
        .where(seal.c.log == bindparam("log"))
        .order_by(seal.c.last.desc())
        .limit(1)
        .subquery("before")
    )
    chained = func.encode(
        func.sha256(
            func.convert_to(before.c.sha256 + bindparam("digest", type_=String()), literal_column("'UTF8'"))
        ),
        literal_column("'hex'"),
    )
    c = seal.c
    given = {
        name: cast(bindparam(name, type_=c[name].type), c[name].type) for name in ("log", "first", "last", "at")
    }
    number = cast(bindparam("entries", type_=c.entries.type), c.entries.type)
    made = select(given["log"], given["first"], given["last"], number, chained, given["at"])
    return (
        insert(seal).from_select(_COLUMNS, made.select_from(before), include_defaults=False).returning(seal.c.last)
    )


_SEAL_NEXT = Question(_seal_next)


async def _put(tx: Transaction, log: str, rows: Sequence[Sequence[Any]], before: str, now: int) -> None:
    sha256 = _chained(before, _digest(log, now, rows))
    first, last_ = rows[0][0], rows[-1][0]
    await _PUT.ask(tx, log=log, first=first, last=last_, entries=len(rows), sha256=sha256, at=now)


async def seal_rest(tx: Transaction, log: str, now: int) -> int:
    """Seal all that stands in a log beyond its newest seal; how many rows. Several seals, where it is much.

    The caller holds the log: nobody else writes to it. The audit is held here, once nobody is half-way.
    """
    if tx.on_postgresql and log == AUDIT:
        # whoever was given a number has committed or is undone, and nobody is given one meanwhile
        await tx.connection.execute(text("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE"))
    before = await last(tx, log)
    after, chain, count = (before.last, before.sha256, 0) if before else (None, "", 0)
    while rows := await _read(tx, log, after):
        digest = _digest(log, now, rows)
        chain = _chained(chain, digest)
        after = rows[-1][0]
        await _PUT.ask(tx, log=log, first=rows[0][0], last=after, entries=len(rows), sha256=chain, at=now)
        count += len(rows)
    return count


async def is_waiting(tx: Transaction) -> bool:
    """Whether the audit has events that are not sealed yet."""
    newest = (await tx.connection.execute(select(func.max(audit.c.seq)))).scalar_one()
    before = await last(tx, AUDIT)
    return newest is not None and (before is None or before.last < newest)


# --- verifying -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checked:
    """What verifying one log came to. `fault`: the first rows that do not agree, in words; '' if all do.

    `unsealed`: rows beyond the newest seal, for which nothing vouches.
    """

    log: str
    rows: int
    seals: int
    unsealed: int
    fault: str


async def check(tx: Transaction, log: str, progress: Callable[[int], None] = lambda rows: None) -> Checked:
    """Recompute every seal of one log from its rows, in order; stops at the first that does not agree."""
    if not (log in _ROWS or log.startswith("release ")):
        return Checked(log, 0, 0, 0, f"seals of a log {log!r}, which there is not")
    rows = _Rows(tx, log)
    chain, count, seals = "", 0, 0
    async for one in _seals(tx, log):
        wanted = await rows.up_to(one.last)
        count += len(wanted)
        seals += 1
        if fault := _fault(one, wanted, chain):
            return Checked(log, count, seals, 0, fault)
        chain = one.sha256
        progress(len(wanted))
    left = await rows.count_rest()
    fault = ""
    if left and log != AUDIT:
        fault = f"{_named(log, rows.next_one())} is not sealed: it was put in, or its seal was taken away"
    return Checked(log, count + left, seals, left, fault)


def _fault(one: Seal, rows: Sequence[Sequence[Any]], chain: str) -> str:
    span = f"{_place(one.log, one.first)} to {_place(one.log, one.last)} (sealed as {one.entries:,} together)"
    if not rows:
        return f"{span}: all of them are missing"
    if rows[0][0] != one.first:
        what = (
            "is there, and was not sealed" if rows[0][0] < one.first else "is the first, and another was sealed so"
        )
        return f"{_named(one.log, rows[0])} {what}"
    if rows[-1][0] != one.last:
        return f"{_place(one.log, one.last)} is missing"
    if len(rows) != one.entries:
        return f"{span}: there are {len(rows):,}"
    lines = _LINES.encode_lines(rows)
    if _chained(chain, _text(one.log, one.first, one.last, one.entries, one.at, lines)) != one.sha256:
        return f"{span}: not as they were sealed, or a seal before them is missing"
    return ""


def _named(log: str, row: Sequence[Any]) -> str:
    what = f", {row[1]} of {row[2]}" if log.startswith("release ") else ""
    return f"{_place(log, row[0])}{what}"


def _place(log: str, at: int) -> str:
    return f"position {at}" if log.startswith("release ") else f"row {at}"


class _Rows:
    """The rows of one log, read a stretch at a time."""

    def __init__(self, tx: Transaction, log: str) -> None:
        self._tx = tx
        self._log = log
        self._rows: list[tuple[Any, ...]] = []
        self._first_left: tuple[Any, ...] = ()
        self._from = 0
        self._after: int | None = None
        self._ended = False

    async def up_to(self, last_: int) -> list[Any]:
        """Those that follow, the one at `last_` included."""
        found: list[Any] = []
        while True:
            rows, start = self._rows, self._from
            end = start
            if rows and rows[-1][0] <= last_:
                end = len(rows)
            else:
                while end < len(rows) and rows[end][0] <= last_:
                    end += 1
            found += rows[start:end]
            self._from = end
            if end < len(rows) or not await self._more():
                return found

    def next_one(self) -> Any:
        """The row before those that `count_rest` counted."""
        return self._first_left

    async def count_rest(self) -> int:
        """How many follow."""
        count = 0
        while True:
            if count == 0 and self._from < len(self._rows):
                self._first_left = self._rows[self._from]
            count += len(self._rows) - self._from
            self._from = len(self._rows)
            if not await self._more():
                return count

    async def _more(self) -> bool:
        if self._ended:
            return False
        rows = await _read(self._tx, self._log, self._after)
        self._ended = not rows
        self._rows, self._from = rows, 0
        if rows:
            self._after = rows[-1][0]
        return bool(rows)


async def _seals(tx: Transaction, log: str) -> AsyncIterator[Seal]:
    after: int | None = None
    while True:
        wanted = select(seal).where(seal.c.log == log).order_by(seal.c.last).limit(_STRETCH)
        if after is not None:
            wanted = wanted.where(seal.c.last > after)
        rows = (await tx.connection.execute(wanted)).all()
        for row in rows:
            yield _seal(row)
        if not rows:
            return
        after = rows[-1].last


async def check_contents(tx: Transaction, progress: Callable[[int], None] = lambda rows: None) -> Checked:
    """Whether every content that is kept still has the SHA-256 that its row says."""
    v = object_version.c
    after, count = 0, 0
    while True:
        wanted = select(v.seq, v.id, v.version, v.sha256, v.raw).where(v.seq > after).order_by(v.seq)
        rows = (await tx.connection.execute(wanted.limit(_FEW))).all()
        for row in rows:
            if row.raw is not None and not _is_content(row.raw, row.sha256):
                said = f"{row.id}, version {row.version}: not the content that was kept (number {row.seq})"
                return Checked(CONTENTS, count, 0, 0, said)
            count += row.raw is not None
        if not rows:
            return Checked(CONTENTS, count, 0, 0, "")
        after = rows[-1].seq
        progress(len(rows))
        await asyncio.sleep(0)


CONTENTS = "contents"
_FEW = 500  # contents read at once: each may be a megabyte


def _is_content(raw: bytes, sha256: str) -> bool:
    try:
        return read_hashed(raw)[1] == sha256
    except BadInput:
        return False


async def check_logs(tx: Transaction) -> list[str]:
    """What is wrong between tables: entries of a configuration that is not kept, logs that end elsewhere than
    their heads say, entries of no collection."""
    r, c = release.c, collection.c
    kept = select(configuration.c.sha256)
    unknown = select(r.collection_id, func.min(r.position).label("first"), r.configuration_sha256)
    unknown = unknown.where(r.configuration_sha256.not_in(kept)).group_by(r.collection_id, r.configuration_sha256)
    faults = [
        f"{log_of_releases(row.collection_id)}: position {row.first} names a configuration that is not kept"
        for row in await tx.connection.execute(unknown.order_by(r.collection_id))
    ]
    end = select(func.max(r.position)).where(r.collection_id == c.id).scalar_subquery()
    ends = select(c.id, c.last_position, func.coalesce(end, 0).label("end")).order_by(c.id)
    faults += [
        f"{log_of_releases(row.id)}: it ends at position {row.end}, and its head says {row.last_position}"
        for row in await tx.connection.execute(ends)
        if row.last_position != row.end
    ]
    strange = select(r.collection_id).where(r.collection_id.not_in(select(c.id))).distinct()
    faults += [
        f"{log_of_releases(id_)}: there is no such collection"
        for id_ in (await tx.connection.execute(strange.order_by(r.collection_id))).scalars()
    ]
    return faults
