"""Bare: the database alone, writing and reading the same bytes in the best way we know: the limit.

One table, with the indexes that serve the reads; a transaction for each envelope, as durable as the node's; pages
by keyset, joined as bytes. No validation, no policy, no audit, no HTTP, one connection, in this process.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncpg
from sqlalchemy import make_url
from tests.bench.corpus import Made
from tests.bench.measure import Sample, sampled
from tests.bench.targets.taxii import PAGE, ids_in

_COLLECTION = "3f0c4d5e-7a11-4c1e-9b0d-000000000001"  # of the length that a real one has
_STEP = 20
_FIRST = 1_750_000_000_000_000

_COLUMNS = """
    collection TEXT NOT NULL, added {integer} NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
    version TEXT NOT NULL, spec_version TEXT NOT NULL, last {boolean} NOT NULL, raw {bytes} NOT NULL
"""
_INDEXES = (
    "CREATE UNIQUE INDEX object_version ON object (collection, id, version)",
    "CREATE INDEX object_last ON object (collection, added) WHERE {last}",
    "CREATE INDEX object_last_type ON object (collection, type, added) WHERE {last}",
)


class BareSqlite:
    """SQLite by the driver of the standard library: WAL, synchronous=FULL, executemany."""

    engine: str = "sqlite"
    name: str = "bare-sqlite"
    turns: int | None = None
    posts: int | None = None

    def __init__(self, folder: Path) -> None:
        self._added = _FIRST
        self._connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536", "mmap_size=8589934592"):
            self._connection.execute(f"PRAGMA {pragma}")
        columns = _COLUMNS.format(integer="INTEGER", boolean="INTEGER", bytes="BLOB")
        self._connection.execute(f"CREATE TABLE object ({columns})")
        for index in _INDEXES:
            self._connection.execute(index.format(last="last = 1"))

    def ingest(self, envelopes: Sequence[Sequence[Made]], seconds: float) -> Sample:
        """A transaction for each envelope."""
        rows = [self._rows(objects) for objects in envelopes]
        return sampled(None, None, lambda: _clocked(self._write, rows, seconds))

    def fill(self, objects: Sequence[Made]) -> None:
        """Write off the clock."""
        self._write(self._rows(objects))

    def read(self, seconds: float, kind: str | None = None) -> tuple[Sample, list[str]]:
        """Everything by pages, each joined as bytes."""
        of_kind = "AND type = ?" if kind else ""
        page = (
            f"SELECT raw, added FROM object WHERE collection = ? {of_kind} AND last = 1 AND added > ? "
            "ORDER BY added LIMIT ?"
        )
        fixed = (_COLLECTION, kind) if kind else (_COLLECTION,)

        def fetch(after: int) -> list[tuple[bytes, int]]:
            return self._connection.execute(page, (*fixed, after, PAGE)).fetchall()

        return _paged(fetch, seconds)

    def settle(self) -> None:
        """Let the planner know what was filled."""
        self._connection.execute("ANALYZE")

    def stop(self) -> None:
        self._connection.close()

    def _write(self, rows: list[tuple[object, ...]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def _rows(self, objects: Sequence[Made]) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        for made in objects:
            self._added += _STEP
            rows.append((_COLLECTION, self._added, made.id, made.type, made.version, "2.1", 1, made.raw))
        return rows


class BarePostgresql:
    """PostgreSQL by asyncpg: one prepared INSERT from arrays for each envelope, prepared keyset pages."""

    engine: str = "postgresql"
    name: str = "bare-postgresql"
    turns: int | None = None
    posts: int | None = None

    def __init__(self, url: str, database_pid: int) -> None:
        self._added = _FIRST
        self._pid = database_pid
        self._runner = asyncio.Runner()
        self._run = self._runner.run
        self._run(self._open(url))

    async def _open(self, url: str) -> None:
        parsed = make_url(url)
        self._connection = await asyncpg.connect(
            host=parsed.query.get("host"), user=parsed.username, database=parsed.database
        )
        columns = _COLUMNS.format(integer="bigint", boolean="boolean", bytes="bytea STORAGE MAIN")
        # ids are compared byte by byte, which is quicker than by a language
        columns = columns.replace("TEXT", 'TEXT COLLATE "C"')
        await self._connection.execute(f"CREATE TABLE object ({columns})")
        for index in _INDEXES:
            await self._connection.execute(index.format(last="last"))
        self._insert = await self._connection.prepare(
            f"INSERT INTO object SELECT '{_COLLECTION}', added, id, type, version, '2.1', true, raw "
            "FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[]) "
            "AS t(added, id, type, version, raw)"
        )
        page = (
            f"SELECT raw, added FROM object WHERE collection = '{_COLLECTION}' {{of_kind}} AND last "
            f"AND added > $1 ORDER BY added LIMIT {PAGE}"
        )
        self._page = await self._connection.prepare(page.format(of_kind=""))
        self._page_of_kind = await self._connection.prepare(page.format(of_kind="AND type = $2"))

    def ingest(self, envelopes: Sequence[Sequence[Made]], seconds: float) -> Sample:
        """A transaction for each envelope."""
        rows = [self._rows(objects) for objects in envelopes]
        return sampled(None, self._pid, lambda: self._run(self._clocked(rows, seconds)))

    def fill(self, objects: Sequence[Made]) -> None:
        """Write off the clock."""
        self._run(self._write(self._rows(objects)))

    def settle(self) -> None:
        """Let the planner know what was filled."""
        self._run(self._connection.execute("VACUUM ANALYZE object"))

    def read(self, seconds: float, kind: str | None = None) -> tuple[Sample, list[str]]:
        """Everything by pages, each joined as bytes."""
        ids: list[str] = []
        return sampled(None, self._pid, lambda: self._run(self._read(ids, seconds, kind))), ids

    def stop(self) -> None:
        self._run(self._connection.close())
        self._runner.close()

    async def _write(self, columns: tuple[list[object], ...]) -> None:
        await self._insert.fetch(*columns)

    async def _clocked(self, rows: Sequence[tuple[list[object], ...]], seconds: float) -> Sample:
        clock = _Clock(seconds)
        for columns in rows:
            with clock:
                await self._write(columns)
            clock.count += len(columns[0])
            if clock.over:
                break
        return clock.sample

    async def _read(self, ids: list[str], seconds: float, kind: str | None) -> Sample:
        clock, after = _Clock(seconds), 0
        while not clock.over:
            with clock:
                rows = await (self._page_of_kind.fetch(after, kind) if kind else self._page.fetch(after))
                page = b",".join([row[0] for row in rows])
            clock.count += len(rows)
            ids += ids_in([page])
            if len(rows) < PAGE:
                break
            after = rows[-1][1]
        return clock.sample

    def _rows(self, objects: Sequence[Made]) -> tuple[list[object], ...]:
        first = self._added + _STEP
        self._added += _STEP * len(objects)
        return (
            list(range(first, self._added + 1, _STEP)),
            [made.id for made in objects],
            [made.type for made in objects],
            [made.version for made in objects],
            [made.raw for made in objects],
        )


Bare = BareSqlite | BarePostgresql


class _Clock:
    """Times what is done under `with`, and the CPU that this process needs for it."""

    def __init__(self, seconds: float) -> None:
        self.count = 0
        self._latencies: list[float] = []
        self._cpu = 0.0
        self._until = time.perf_counter() + seconds

    def __enter__(self) -> None:
        self._began = time.process_time(), time.perf_counter()

    def __exit__(self, *why: object) -> None:
        self._latencies.append(time.perf_counter() - self._began[1])
        self._cpu += time.process_time() - self._began[0]

    @property
    def over(self) -> bool:
        return time.perf_counter() > self._until

    @property
    def sample(self) -> Sample:
        return Sample(self.count, sum(self._latencies), self._latencies, server_cpu=self._cpu)


def _clocked(
    write: Callable[[list[tuple[object, ...]]], None], rows: Sequence[list[tuple[object, ...]]], seconds: float
) -> Sample:
    clock = _Clock(seconds)
    for batch in rows:
        with clock:
            write(batch)
        clock.count += len(batch)
        if clock.over:
            break
    return clock.sample


def _paged(fetch: Callable[[int], list[tuple[bytes, int]]], seconds: float) -> tuple[Sample, list[str]]:
    ids: list[str] = []
    clock, after = _Clock(seconds), 0
    while not clock.over:
        with clock:
            rows = fetch(after)
            page = b",".join([row[0] for row in rows])
        clock.count += len(rows)
        ids += ids_in([page])
        if len(rows) < PAGE:
            break
        after = rows[-1][1]
    return clock.sample, ids
