"""Transaction: one piece of work on the database, whole or absent, on SQLite and PostgreSQL alike.

`Store.reading` gives one unchanging view of everything; `Store.writing` commits when its block ends without an
error, and nothing was acknowledged before that. SQLite (WAL, `synchronous=FULL`) takes its one write lock at
the start of a writing transaction; writers of this process queue before it, so that only other processes use up
the time that SQLite waits. PostgreSQL reads under REPEATABLE READ and writes under READ COMMITTED: what must be
ordered is ordered by row locks (`releases.lock`).

Whatever may succeed when asked again (a lock not had in time, a lost connection, a full disk) is Unavailable.
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import islice
from json import loads
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import URL, Dialect, Table, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tocsin.errors import BadInput, NotFound, Refused, Unavailable
from tocsin.stix.canonical import dump_json
from tocsin.store.behind import Line
from tocsin.store.glance import Glance, Glances, PostgresqlGlances, SqliteGlances
from tocsin.store.held import Fresh, Told
from tocsin.store.inline import READER, WRITER
from tocsin.store.log import Head
from tocsin.store.migrations import Revision, revision_of, upgrade
from tocsin.store.moment import Moment, PostgresqlWitness, SqliteWitness, Witness
from tocsin.store.passing import DRIVER_ERRORS, no_database, not_let_in, passing, pooled, unavailable

log = logging.getLogger(__name__)

Clock = Callable[[], int]

BUSY_TIMEOUT = 5.0  # seconds that SQLite waits for another process's write
QUEUE_TIMEOUT = 30.0  # seconds that a writer waits for others of this process
_BATCH = 500  # values in one IN list
_READERS = 64  # of SQLite at once; without a thread each, they cost next to nothing
_READER_CACHE = 1024  # KiB of each
_READER_MAP = 2**31 - 65536  # bytes of the file, as many as SQLite maps at most
_POOL_TIMEOUT = 10  # seconds to wait for a connection
_CONNECT_SECONDS = 10
_LOCK_TIMEOUT = "10s"
_OLDEST_SQLITE = (3, 35, 0)  # RETURNING
_OLDEST_POSTGRESQL = 14
_ANALYSE_FROM, _ANALYSE_TO = 500, 256_000  # rows written between two countings; doubled each time

T = TypeVar("T")


@dataclass(slots=True)
class Transaction:
    """One open transaction. Handed down to whatever reads or writes; never kept beyond its block."""

    connection: Line
    _clock: Clock | None = field(repr=False)
    _now: int | None = None
    _written: int = 0
    fresh: Fresh = field(default_factory=Fresh, repr=False)  # what came into being in it
    told: dict[str, Told] = field(default_factory=dict, repr=False)  # what contents read in it say, by hash
    heads: dict[str, Head] = field(default_factory=dict, repr=False)  # of the logs that it holds, by collection

    @property
    def on_postgresql(self) -> bool:
        return self.connection.dialect.name == "postgresql"

    async def now(self) -> int:
        """The database's clock in microseconds since 1970, read once: a transaction happens at one moment.

        SQLite has no clock of its own; there it is the clock of this process.
        """
        if self._now is None:
            if self._clock is not None:
                self._now = self._clock()
            elif self.on_postgresql:
                moment = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
                self._now = int((await self.connection.execute(moment)).scalar_one())
            else:
                self._now = time.time_ns() // 1000
        return self._now

    def wrote(self, rows: int) -> None:
        """Count rows written to the large tables, so that PostgreSQL's planner hears of them in time."""
        self._written += rows

    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """An INSERT that knows ON CONFLICT."""
        return postgresql.insert(table) if self.on_postgresql else sqlite.insert(table)


def in_batches(values: Iterable[T], size: int = _BATCH) -> Iterator[list[T]]:
    """The values in lists short enough for one statement."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


class Store:
    """The database of one node. Made by `open`; belongs to the event loop that opened it."""

    def __init__(
        self,
        reader: AsyncEngine,
        writer: AsyncEngine,
        witness: Witness,
        glances: Glances,
        clock: Clock | None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._witness = witness
        self._glances = glances
        self._clock = clock
        self._turn = asyncio.Lock() if writer.dialect.name == "sqlite" else None
        self._unanalysed = 0
        self._analyse_at = _ANALYSE_FROM

    @classmethod
    async def open(cls, url: str, *, clock: Clock | None = None, require_durable: bool = True) -> "Store":
        """Open a database at the schema of this version of Tocsin, and check that what it commits is kept.

        `clock` (microseconds) stands in for the database's own in tests. Without `require_durable`, which only
        tests leave out, nothing is promised after a power cut. Raises NotFound for a SQLite file that is not
        there, Refused with what to do for a database that will not do, Unavailable when it cannot be reached.
        """
        target = _target(url)
        if target.file is not None:
            _check_file(target.file)
        reader = _engine(target, durable=require_durable, reading=True)
        writer = _engine(target, durable=require_durable, reading=False)
        store = cls(reader, writer, *_observers(target, durable=require_durable), clock)
        try:
            with _no_pooler():
                async with store.reading() as tx:
                    if tx.on_postgresql:
                        await _check_postgresql(tx.connection, durable=require_durable)
                    else:
                        await _check_sqlite(tx.connection, durable=require_durable)
                    _check_schema(await tx.connection.run_sync(revision_of))
        except BaseException:
            await store.close()
            raise
        return store

    @staticmethod
    async def create(url: str) -> None:
        """Make the database, or bring an older one to the newest schema; one that is there already stays.

        Several processes may do this at once. Raises Refused for a database of a newer Tocsin.
        """
        target = _target(url)
        if target.file is not None:
            _make_file(target.file)
        engine = _migrating_engine(target)
        try:
            with _no_pooler(), _translated():
                async with _connected(engine) as connection, connection.begin():
                    found = await connection.run_sync(revision_of)
                    if found.unknown:
                        raise Refused(_NEWER.format(found=found.found))
                    await connection.run_sync(upgrade)
        finally:
            await engine.dispose()

    async def close(self) -> None:
        await self._glances.close()
        await self._witness.close()
        await self._reader.dispose()
        await self._writer.dispose()

    @property
    def dialect(self) -> Dialect:
        """How questions are to be written for `glance`."""
        return self._reader.dialect

    async def moment(self) -> Moment:
        """The moment now: equal to an earlier one where nothing at all was committed since. Raises Unavailable."""
        return await self._witness.moment()

    async def glance(self, question: str, values: Sequence[Any], max_bytes: int | None) -> Glance:
        """The answer to one question, outside any transaction, and of which moment it is. Raises Unavailable.

        The first column orders the rows and is never null. The last has content: no more of it comes than
        `max_bytes`, but a row; None: all of it.
        """
        return await self._glances.look(question, values, max_bytes)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """A transaction that sees one unchanging state and can write nothing. Raises Unavailable."""
        with _translated():
            async with _connected(self._reader) as connection, connection.begin():
                yield Transaction(Line(connection), self._clock)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """A transaction that is committed when the block has ended; undone by any error. Raises Unavailable."""
        async with self._in_turn():
            with _translated():
                async with _connected(self._writer) as connection, connection.begin():
                    tx = Transaction(Line(connection), self._clock)
                    try:
                        yield tx
                        await tx.connection.settle()
                    except BaseException:
                        await tx.connection.give_up()
                        raise
            if tx.on_postgresql and tx._written:
                await self._analyse(tx._written)

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        """The writers of this process one after the other, where the database takes one at a time."""
        if self._turn is None:
            yield
            return
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT):
                await self._turn.acquire()
        except TimeoutError as why:
            raise Unavailable("too many are waiting to write") from why
        try:
            yield
        finally:
            self._turn.release()

    async def _analyse(self, rows: int) -> None:
        """Let PostgreSQL count a database that is being filled; ever more rarely, and at last no more.

        Its own round comes by only once a minute, and a planner that believes the tables empty reads all of a log
        to find one object.
        """
        self._unanalysed += rows
        if not self._unanalysed >= self._analyse_at <= _ANALYSE_TO:
            return
        self._unanalysed, self._analyse_at = 0, self._analyse_at * 2
        try:
            async with _connected(self._writer) as connection, connection.begin():
                await connection.execute(text("ANALYZE (SKIP_LOCKED) object_version, source, reference, release"))
        except (DBAPIError, Unavailable) as why:  # what was written is committed, whatever becomes of this
            log.warning("PostgreSQL did not count its rows: %s", why)


# --- addresses -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Target:
    url: URL
    file: Path | None  # of SQLite


def _target(url: str) -> _Target:
    if url.startswith("sqlite:///"):
        # not parsed as a URL: a folder may be called `50%` or `what?`
        file = Path(url.removeprefix("sqlite:///"))
        if not file.is_absolute():
            raise BadInput(
                f"database {url!r}: an absolute path is needed, as in sqlite:////var/lib/tocsin/tocsin.db"
            )
        return _Target(URL.create(WRITER, database=str(file)), file)
    try:
        parsed = make_url(url)
    except ArgumentError as why:
        raise BadInput("database: not an address (sqlite, or postgresql://user@host/db)") from why
    if parsed.drivername not in ("postgresql", "postgres"):
        raise BadInput(f"database: {parsed.drivername!r} is not known (sqlite, or postgresql://user@host/db)")
    return _Target(parsed.set(drivername="postgresql+asyncpg"), None)


def _make_file(file: Path) -> None:
    """SQLite gives its journal files the mode of this one, so it is private from its first byte."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        _check_file(file)
    except OSError as why:
        raise Refused(f"{file}: cannot be made: {why.strerror}") from why


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise NotFound(f"{file}: there is no database (run: tocsin init)")
    if file.stat().st_mode & 0o077:
        raise Refused(f"{file}: other users of this machine may read it (run: chmod 600 {file})")


# --- engines -------------------------------------------------------------------------------------------------


def _engine(target: _Target, *, durable: bool, reading: bool) -> AsyncEngine:
    if target.file is not None:
        begin = "BEGIN" if reading else "BEGIN IMMEDIATE"
        url = target.url.set(drivername=READER) if reading else target.url
        return _sqlite_engine(url, _pragmas(durable=durable, reading=reading), begin, _READERS if reading else 1)
    engine = _postgresql_engine(target.url, pool_size=6)
    if reading:
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine.execution_options(isolation_level="READ COMMITTED")


def _observers(target: _Target, *, durable: bool) -> tuple[Witness, Glances]:
    """Those who watch for commits, and those who read without a transaction."""
    if (file := target.file) is not None:
        watching = SqliteWitness(file, BUSY_TIMEOUT)
        pragmas = _pragmas(durable=durable, reading=True)

        def connect_sqlite() -> sqlite3.Connection:
            connection = sqlite3.connect(file, timeout=BUSY_TIMEOUT, isolation_level=None)
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
            return connection

        return watching, SqliteGlances(connect_sqlite, watching)
    _, where = target.url.get_dialect()().create_connect_args(target.url)

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(**where, timeout=_CONNECT_SECONDS, server_settings=_POSTGRESQL_SETTINGS)

    asked = PostgresqlWitness(connect)
    return asked, PostgresqlGlances(connect, asked)


def _migrating_engine(target: _Target) -> AsyncEngine:
    if target.file is None:
        return _postgresql_engine(target.url, pool_size=1)
    # a table is altered by making it anew, which foreign keys would forbid
    pragmas = [p for p in _pragmas(durable=True, reading=False) if not p.startswith("foreign_keys")]
    return _sqlite_engine(target.url, pragmas, "BEGIN IMMEDIATE", 1)


def _pragmas(*, durable: bool, reading: bool) -> list[str]:
    synchronous = "FULL" if durable else "OFF"
    pragmas = ["journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"]
    if not reading:
        return pragmas
    # what many readers keep for themselves adds up; the system keeps the file for all of them, and lets them look
    # at it without a copy
    return [*pragmas, "query_only=ON", f"cache_size=-{_READER_CACHE}", f"mmap_size={_READER_MAP}"]


def _sqlite_engine(url: URL, pragmas: Sequence[str], begin: str, connections: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None},  # we begin, not the driver
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT,
        json_serializer=_dump,
        json_deserializer=_load,
    )

    def on_connect(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


_POSTGRESQL_SETTINGS = {
    "application_name": "tocsin",
    "jit": "off",
    "lock_timeout": _LOCK_TIMEOUT,
    "idle_in_transaction_session_timeout": "60s",
}


def _postgresql_engine(url: URL, *, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url,
        connect_args={"timeout": _CONNECT_SECONDS, "server_settings": _POSTGRESQL_SETTINGS},
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=_POOL_TIMEOUT,
        json_serializer=_dump,
        json_deserializer=_load,
    )


def _dump(value: Any) -> str:
    return dump_json(value).decode("utf-8")


_load = partial(loads, parse_float=Decimal)  # no digit is lost, as everywhere


# --- what may pass -------------------------------------------------------------------------------------------


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        connection = await engine.connect()
    except (OSError, PoolExhausted) as why:
        raise Unavailable(f"the database cannot be reached: {why}") from why
    except DBAPIError as why:
        cause = why.driver_exception
        if no_database(cause):
            raise Unavailable(f"{engine.url.database} is no database, or a damaged one: {cause}") from why
        if not_let_in(cause):
            raise Unavailable(f"PostgreSQL does not let us in: {cause}") from why
        if pooled(cause):
            raise Refused(_POOLED.format(said=_first_line(cause))) from why
        raise
    try:
        yield connection
    finally:
        await asyncio.shield(connection.close())


@contextmanager
def _translated() -> Iterator[None]:
    """Driver errors that may pass become Unavailable; those that would come again stay what they are."""
    try:
        yield
    except DBAPIError as why:
        if not (why.connection_invalidated or passing(why.driver_exception)):
            raise
        raise unavailable(why.driver_exception) from why
    except DRIVER_ERRORS as why:  # of what was written behind, past SQLAlchemy
        if not passing(why):
            raise
        raise unavailable(why) from why


@contextmanager
def _no_pooler() -> Iterator[None]:
    """At start, what only a pooler makes PostgreSQL say becomes Refused: no later attempt would end better."""
    try:
        yield
    except DBAPIError as why:
        if not pooled(why.driver_exception):
            raise
        raise Refused(_POOLED.format(said=_first_line(why.driver_exception))) from why


def _first_line(cause: BaseException) -> str:
    return str(cause).partition("\n")[0]


# --- checks at start -----------------------------------------------------------------------------------------

_NEWER = (
    "the database was written by a newer version of Tocsin (schema {found}): install that version, "
    "or restore a backup made by this one"
)


_POOLED = (
    "a pooler stands before PostgreSQL and keeps no session for us ({said}): give `database:` the address of "
    "PostgreSQL itself, or of a pgbouncer in session mode that hands our settings on"
)


def _check_schema(schema: Revision) -> None:
    if schema.unknown:
        raise Refused(_NEWER.format(found=schema.found))
    if schema.found != schema.newest:
        raise Refused(
            f"the database has schema {schema.found or 'none'}, this version of Tocsin needs {schema.newest}: "
            "make a backup, then run tocsin check (or start tocsin serve), which upgrades it"
        )


async def _check_sqlite(connection: Line, *, durable: bool) -> None:
    version = sqlite3.sqlite_version_info
    if version < _OLDEST_SQLITE:
        raise Refused(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed")
    expected = {"journal_mode": "wal", "foreign_keys": 1}
    if durable:
        expected["synchronous"] = 2  # FULL
    for name, value in expected.items():
        found = (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
        if found != value:
            raise Refused(
                f"SQLite's {name} is {found!r} and cannot be made {value!r} on this file system: "
                "keep the home on a local disk, or use PostgreSQL"
            )


async def _check_postgresql(connection: Line, *, durable: bool) -> None:
    major = int((await connection.exec_driver_sql("SHOW server_version_num")).scalar_one()) // 10_000
    if major < _OLDEST_POSTGRESQL:
        raise Refused(f"PostgreSQL {major} is too old: {_OLDEST_POSTGRESQL} or newer is needed")
    encoding = (await connection.exec_driver_sql("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise Refused(f"the database has the encoding {encoding}: make it with ENCODING 'UTF8'")
    if not durable:
        return
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one() == "off":
            raise Refused(f"PostgreSQL has {name} = off: what was acknowledged could be lost; set it to on")
