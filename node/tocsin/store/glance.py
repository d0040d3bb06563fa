"""Glance: one question put to the driver itself, outside any transaction, and the moment of its answer.

One statement sees one state, so what needs only one needs no transaction: no beginning, no end, and nothing of
SQLAlchemy, whose rows cost more than reading them. Which state it was is part of the answer: whoever knows
something of an equal `Moment` knows it of this very state.

SQLite reads in the event loop, and takes a breath after each two megabytes, so that nobody waits for a long page.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

import asyncpg

from tocsin.store.moment import STATE, Moment, PostgresqlWitness, Session, SqliteWitness, moment_of
from tocsin.store.passing import ASYNCPG_ERRORS, passing, unavailable

AT_ONCE = 8  # connections; whoever comes then waits
_BREATH = 2 * 1024 * 1024  # bytes: some milliseconds
_FIRST_SLICE, _LONGEST_SLICE = 4, 128  # rows
_SLICE_BYTES = 256 * 1024  # that a slice is meant to have
_TRIES = 3  # to find SQLite at rest while a statement begins: the time of a few microseconds


class Glance(NamedTuple):
    """The columns of an answer, in the order of the first where bytes were counted; none where there is no row.

    `cut`: there was more than fits into the bytes.
    """

    columns: Sequence[Sequence[Any]]
    cut: bool
    moment: Moment


class Glances(Protocol):
    """Whoever answers questions. The first column orders the rows, the last holds content to be weighed."""

    async def look(self, question: str, values: Sequence[Any], max_bytes: int | None) -> Glance:
        """As many rows as hold `max_bytes` of content, but at least one; None: all. Raises Unavailable."""
        ...

    async def close(self) -> None: ...


class SqliteGlances:
    """A statement's state is that of its first step; it is known if the witness says the same before and after."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], witness: SqliteWitness) -> None:
        self._connect = connect
        self._witness = witness
        self._idle: list[sqlite3.Connection] = []
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def look(self, question: str, values: Sequence[Any], max_bytes: int | None) -> Glance:
        try:
            async with self._connection() as connection:
                cursor, moment = self._begin(connection, question, values)
                try:
                    rows, cut = (
                        (cursor.fetchall(), False) if max_bytes is None else await _weighed(cursor, max_bytes)
                    )
                finally:
                    cursor.close()
        except sqlite3.Error as why:
            if not passing(why):
                raise
            raise unavailable(why) from why
        return Glance(tuple(zip(*rows, strict=True)), cut, moment)

    def _begin(
        self, connection: sqlite3.Connection, question: str, values: Sequence[Any]
    ) -> tuple[sqlite3.Cursor, Moment]:
        for _ in range(_TRIES):
            before = self._witness.now()
            cursor = connection.execute(question, values)  # the driver takes the first step here
            if self._witness.now() == before:
                return cursor, before
            cursor.close()
        return connection.execute(question, values), Moment(Session(), 0)  # of some state, nobody knows which

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[sqlite3.Connection]:
        async with self._turn:
            connection = self._idle.pop() if self._idle else self._connect()
            sound = True
            try:
                yield connection
            except sqlite3.Error:
                sound = False
                raise
            finally:
                if sound:
                    self._idle.append(connection)
                else:
                    connection.close()

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


async def _weighed(cursor: sqlite3.Cursor, max_bytes: int) -> tuple[list[Any], bool]:
    """Rows by the slice, as long as they fit. What does not fit was read, but no more than a slice of it."""
    rows: list[Any] = []
    size, breath, heaviest, step = 0, _BREATH, 1, _FIRST_SLICE
    while slice_ := cursor.fetchmany(step):
        weights = [len(row[-1]) for row in slice_]
        if size + sum(weights) <= max_bytes:
            size += sum(weights)
            rows += slice_
        else:
            for row, weight in zip(slice_, weights, strict=True):
                size += weight
                if size > max_bytes and rows:
                    return rows, True
                rows.append(row)
        heaviest = max(heaviest, *weights)
        step = max(1, min(_LONGEST_SLICE, _SLICE_BYTES // heaviest))
        if size > breath:
            breath = size + _BREATH
            await asyncio.sleep(0)
    return rows, False


@dataclass(slots=True)
class _Line:
    """A connection, and that of the witness which answered after this one was opened.

    So this one outlived no crash of the server that the witness's did not outlive as well: had the server gone
    down after a moment that was taken there, neither could have answered since.
    """

    connection: asyncpg.Connection
    session: Session = field(default_factory=Session)


class PostgresqlGlances:
    """The statement itself says which snapshot it has."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], witness: PostgresqlWitness) -> None:
        self._connect = connect
        self._witness = witness
        self._idle: list[_Line] = []
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def look(self, question: str, values: Sequence[Any], max_bytes: int | None) -> Glance:
        async with self._line() as line:
            found = await line.connection.fetch(question, *values)
        # it is the first, unless the server let several workers answer
        at = 0 if found[0][0] is None else next(at for at, row in enumerate(found) if row[0] is None)
        state = found.pop(at)[-1]
        moment = moment_of(None if state is None else state.decode("ascii"), line.session)
        if max_bytes is not None:
            found.sort(key=itemgetter(0))
        columns = tuple(zip(*found, strict=True))
        if max_bytes is None or not columns:
            return Glance(columns, cut=False, moment=moment)
        sizes = [len(content) for content in columns[-1]]
        if sum(sizes) <= max_bytes or len(sizes) == 1:
            return Glance(columns, cut=False, moment=moment)
        fitting = max(1, sum(so_far <= max_bytes for so_far in accumulate(sizes)))
        return Glance([column[:fitting] for column in columns], cut=True, moment=moment)

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[_Line]:
        async with self._turn:
            line = self._idle.pop() if self._idle else None
            kept = False
            try:
                if line is None:
                    line = await self._open()
                yield line
                kept = True
            except (*ASYNCPG_ERRORS, OSError, TimeoutError) as why:
                lost = line is None or line.connection.is_closed()
                if not (lost or passing(why)):
                    raise
                await self.close()  # those that wait here were lost with it
                raise unavailable(why) from why
            finally:
                if kept and line is not None:
                    self._idle.append(line)
                elif line is not None:
                    line.connection.terminate()  # in the middle of an answer, or worse

    async def _open(self) -> _Line:
        line = _Line(await self._connect())
        try:
            # any answer of the witness's present session after this opening will do
            await self._witness.moment()
            if await self._witness.same_server(line.connection):
                line.session = self._witness.session
        except BaseException:
            line.connection.terminate()
            raise
        return line

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().connection.terminate()


def with_state(question: str, columns: int) -> str:
    """A question to PostgreSQL that also says of which state its answer is: in the last column, which holds bytes,
    of a row whose first is null."""
    nothing = "NULL, " * (columns - 1)
    return f"SELECT {nothing}convert_to({STATE}, 'UTF8') UNION ALL ({question})"
