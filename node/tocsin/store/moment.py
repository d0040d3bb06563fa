"""Moment: proof that nothing was committed, by whatever process, since something was read.

Two equal moments mean that between them nothing at all was committed, so what was read at the first is what would
be read at the second. What is remembered between requests is believed only with that proof, never for a while.

SQLite: `PRAGMA data_version` on a connection that does nothing else. It is another number whenever any other
connection of any process has committed since it was asked last; our writers are other connections. It is read from
the shared index of the write-ahead log at each call, in a few microseconds.

PostgreSQL: the text of `pg_current_snapshot()`, on a connection of its own. It names xmin, xmax and the running
transactions between, so two equal texts see the same transactions ended: one that wrote has an id; at its end it
leaves the list of the running or, where its id is not below xmax, moves xmax beyond itself. xmax never goes back
and nobody joins the list below it, so no text returns. Two things could break that, and do not:

- After a crash of the server, ids that were never written to disk are given out again. So a moment also holds the
  connection that it was asked over, which no crash survives (`Session`).
- A standby's snapshot does not name the running ones. There a moment equals no other, not even itself asked again.

Requests that ask while a question is on its way share the next one, never that one: it may have looked before they
came. So a proof is as fresh as the request, and eight that poll at once cost one round trip.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import asyncpg

from tocsin.errors import Unavailable
from tocsin.store.passing import ASYNCPG_ERRORS, passing, unavailable

SECONDS = 10.0  # for an answer of PostgreSQL; a server that needs longer cannot be reached


class Session:
    """One connection of a witness, from its opening to its end. Equal to nothing but itself."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the database said of its state. Opaque: there is nothing to do with one but to compare it."""

    _session: Session = field(repr=False)
    _state: int | str


class Witness(Protocol):
    """Whoever can say whether anything was committed."""

    async def moment(self) -> Moment:
        """The moment now: everything committed before this call is in it. Raises Unavailable."""
        ...

    async def close(self) -> None: ...


class SqliteWitness:
    """Asks in the event loop itself: nothing is waited for."""

    def __init__(self, file: Path, busy_timeout: float) -> None:
        self._file = file
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._session = Session()

    async def moment(self) -> Moment:
        return self.now()

    def now(self) -> Moment:
        """The same as `moment`, without a turn of the event loop."""
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    f"{self._file.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=self._busy_timeout
                )
                self._session = Session()
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as why:
            self._drop()
            if not passing(why):
                raise
            raise unavailable(why) from why
        return Moment(self._session, version)

    async def close(self) -> None:
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_STARTED = "SELECT pg_postmaster_start_time()"
# As text that tells states apart, or null where the server cannot say.
STATE = "CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_snapshot()::text END"


class PostgresqlWitness:
    """Asks over a connection of its own, once for all who wait."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection | None = None
        self._question: asyncpg.prepared_stmt.PreparedStatement | None = None
        self._session = Session()
        self._started: object = None
        self._asking: asyncio.Task[Moment] | None = None
        self._next: asyncio.Task[Moment] | None = None

    @property
    def session(self) -> Session:
        """The connection that answered last."""
        return self._session

    async def same_server(self, other: asyncpg.Connection) -> bool:
        """Whether another connection leads to the server that answered last, and not to its stand-in."""
        return bool(await other.fetchval(_STARTED) == self._started)

    async def moment(self) -> Moment:
        if self._next is None:
            self._next = asyncio.create_task(self._ask_after(self._asking))
        return await asyncio.shield(self._next)  # one who gives up takes nothing from the others

    async def _ask_after(self, before: "asyncio.Task[Moment] | None") -> Moment:
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._asking, self._next = self._next, None  # whoever comes from here on needs a later answer
        try:
            async with asyncio.timeout(SECONDS):
                return await self._ask()
        except (*ASYNCPG_ERRORS, OSError, TimeoutError) as why:
            lost = self._connection is None or self._connection.is_closed()
            self._drop()
            if not (lost or isinstance(why, OSError | TimeoutError) or passing(why)):
                raise
            raise Unavailable(f"the database cannot be reached: {why or 'it does not answer'}") from why

    async def _ask(self) -> Moment:
        if self._connection is None or self._question is None or self._connection.is_closed():
            self._connection = await self._connect()
            self._started = await self._connection.fetchval(_STARTED)
            self._question = await self._connection.prepare(f"SELECT {STATE}")
            self._session = Session()
        return moment_of(await self._question.fetchval(), self._session)

    async def close(self) -> None:
        for task in (self._next, self._asking):
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError, Unavailable):
                    await task
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(timeout=2)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def moment_of(state: str | None, session: Session) -> Moment:
    """What PostgreSQL said (`STATE`) as a moment; one that equals no other where it could say nothing."""
    return Moment(Session(), "") if state is None else Moment(session, state)
