"""Bench: what a run was asked for, and the targets it has started; every one of them ends with it."""

import asyncio
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg
from sqlalchemy import make_url
from tests.bench import environments
from tests.bench.corpus import Corpus, envelope
from tests.bench.processes import NotStarted, free_port, launch, wait_for_port
from tests.bench.targets import judging, medallion, node, opentaxii
from tests.bench.targets.bare import Bare, BarePostgresql, BareSqlite
from tests.bench.targets.taxii import MEDIA_TYPE, TaxiiTarget
from tests.postgresql_server import NoPostgresql, PostgresqlServer, start

ENGINES = ("sqlite", "postgresql")
REFERENCES = ("bare", "transport", "opentaxii", "medallion")
# Durable, as in production, with the memory of a small machine.
PRODUCTION = ("shared_buffers=256MB", "max_wal_size=4GB", "wal_compression=on", "jit=off")
_FILL_BATCH = 5_000
TRANSPORT = Path(__file__).parent / "apart" / "transport_app.py"


class Target(Protocol):
    """What every target has."""

    name: str
    engine: str
    turns: int | None  # repeats that it is measured in; None: all

    def stop(self) -> None: ...


T = TypeVar("T", bound=Target)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run was asked for. `objects`: in a filled collection; `posts`: written in one repeat; `sizes`: of
    collections, for growth; `seconds`: the longest that one repeat of one target may take; `poll_seconds`: of
    one repeat of small requests."""

    engines: tuple[str, ...] = ENGINES
    against: tuple[str, ...] = REFERENCES
    objects: int = 10_000
    posts: int = 10_000
    records: int = 3_000
    sizes: tuple[int, ...] = (10_000, 100_000)
    repeats: int = 5
    seconds: float = 20.0
    poll_seconds: float = 2.0


@dataclass(slots=True)
class Bench:
    """One run; a context manager. A target that is asked for again is the same one."""

    wanted: Wanted
    corpus: Corpus = field(default_factory=Corpus)
    notes: list[str] = field(default_factory=list)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="tocsin-bench-")))
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)
    _kept: dict[Hashable, Target] = field(default_factory=dict, repr=False)
    _postgresql: PostgresqlServer | None = None

    def __enter__(self) -> "Bench":
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        return self

    def __exit__(self, *why: object) -> None:
        for target in list(self._kept.values()):
            self.close(target)
        self._stack.close()

    def say(self, text: str) -> None:
        """Tell whoever waits."""
        print(text, file=sys.stderr, flush=True)

    # --- targets -------------------------------------------------------------------------------------------

    def node(self, engine: str, count: int = 0, use: str = "") -> TaxiiTarget:
        """A running node that holds the first `count` objects of the corpus; another one for another `use`."""
        return self._once(("node", engine, count, use), lambda: self._start_node(engine, count))

    def judging(self, engine: str) -> TaxiiTarget:
        """A running node with many rules for many collections, without any incident."""
        return self._once(("judging", engine), lambda: self._start_judging(engine))

    def bare(self, engine: str, count: int = 0, use: str = "") -> Bare:
        """The bare database, with the same."""
        return self._once(("bare", engine, count, use), lambda: self._start_bare(engine, count))

    def transport(self, kind: str) -> TaxiiTarget:
        """A bare answer over HTTP: `asgi` or `fastapi`."""
        return self._once(("transport", kind), partial(self._start_transport, kind))

    def opentaxii(self, engine: str, count: int = 0, use: str = "") -> TaxiiTarget:
        """OpenTAXII with the first `count` objects."""
        return self._once(("opentaxii", engine, count, use), lambda: self._start_opentaxii(engine, count))

    def medallion(self, count: int = 0, use: str = "") -> TaxiiTarget:
        """medallion with the first `count` objects."""
        start_ = partial(medallion.start, corpus=self.corpus, count=count)
        return self._once(("medallion", count, use), lambda: start_(self.new_folder("medallion")))

    def line_up(self, *kinds: str, count: int = 0, use: str = "") -> list[Any]:
        """The targets of these kinds that this run compares, each with `count` objects."""
        makers: list[Callable[[], Target]] = []
        for kind in kinds:
            if kind != "node" and kind not in self.wanted.against:
                continue
            if kind == "transport":
                makers += [partial(self.transport, which) for which in ("asgi", "fastapi")]
            elif kind != "medallion":
                make = {"node": self.node, "bare": self.bare, "opentaxii": self.opentaxii}[kind]
                makers += [partial(make, engine, count, use) for engine in self.wanted.engines]
            elif count <= medallion.MOST:
                makers.append(partial(self.medallion, count, use))
            else:
                self.note(f"left out: medallion, which cannot answer over {count:,} objects")
        return self.those_of(*makers)

    def those_of(self, *makers: Callable[[], T]) -> list[T]:
        """Those targets that can be had; of the others it is noted why not."""
        found = []
        for make in makers:
            try:
                found.append(make())
            except (NotStarted, NoPostgresql) as why:
                self.note(f"left out: {why}")
        return found

    def close(self, target: Target) -> None:
        """End a target before the run ends."""
        for key in [key for key, kept in self._kept.items() if kept is target]:
            del self._kept[key]
        target.stop()

    @property
    def postgresql(self) -> PostgresqlServer:
        """The PostgreSQL of this run. Raises NoPostgresql."""
        if self._postgresql is None:
            self._postgresql = start(PRODUCTION)
            self._stack.callback(self._postgresql.stop)
        return self._postgresql

    @property
    def postgresql_pid(self) -> int:
        """The first process of it."""
        return int((self.postgresql.folder / "data" / "postmaster.pid").read_text().split()[0])

    def postgresql_version(self) -> str:
        """Of the server of this run; empty where none was had."""
        return asyncio.run(_version(self.postgresql.url())) if self._postgresql else ""

    def new_folder(self, name: str) -> Path:
        """A new folder of this run."""
        folder = self.folder / f"{name}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        return folder

    def new_database(self) -> str:
        """An empty PostgreSQL database, as a URL."""
        name = f"bench_{uuid.uuid4().hex}"
        asyncio.run(_execute(self.postgresql.url(), f"CREATE DATABASE {name}"))
        return self.postgresql.url(name)

    # --- starting ------------------------------------------------------------------------------------------

    def _once(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]  # type: ignore[return-value]  # what was made by the same key

    def note(self, text: str) -> None:
        """Put a line below the report, once, and say it."""
        if text not in self.notes:
            self.notes.append(text)
            self.say(text)

    def _start_node(self, engine: str, count: int) -> TaxiiTarget:
        database = "sqlite" if engine == "sqlite" else self.new_database()
        pid = None if engine == "sqlite" else self.postgresql_pid
        if count > _FILL_BATCH * 4:
            self.say(f"filling a node on {engine} with {count:,} objects")
        started = node.start(
            self.new_folder("node"), engine, database, corpus=self.corpus, count=count, database_pid=pid
        )
        self._settle(database)
        return started

    def _start_judging(self, engine: str) -> TaxiiTarget:
        database = "sqlite" if engine == "sqlite" else self.new_database()
        pid = None if engine == "sqlite" else self.postgresql_pid
        return judging.start(self.new_folder("judging"), engine, database, pid)

    def _start_bare(self, engine: str, count: int) -> Bare:
        if engine == "sqlite":
            bare: Bare = BareSqlite(self.new_folder("bare"))
        else:
            bare = BarePostgresql(self.new_database(), self.postgresql_pid)
        for first in range(0, count, _FILL_BATCH):
            bare.fill(self.corpus.many(first, min(_FILL_BATCH, count - first)))
        bare.settle()
        return bare

    def _start_opentaxii(self, engine: str, count: int) -> TaxiiTarget:
        folder = self.new_folder("opentaxii")
        if engine == "sqlite":
            url, pid = f"sqlite:///{folder / 'opentaxii.db'}", None
        else:
            url, pid = opentaxii.address_of(self.new_database()), self.postgresql_pid
        started = opentaxii.start(folder, engine, url, corpus=self.corpus, count=count, database_pid=pid)
        self._settle(url)
        self.note(f"OpenTAXII: {environments.versions_of('opentaxii')}")
        return started

    def _settle(self, url: str) -> None:
        """What PostgreSQL would do by itself within minutes of a filling."""
        if url.startswith("postgresql"):
            asyncio.run(_execute(url, "VACUUM ANALYZE", "CHECKPOINT"))

    def _start_transport(self, kind: str) -> TaxiiTarget:
        page = self.folder / "page"
        page.write_bytes(envelope(self.corpus.many(0, 1000)))
        port = free_port()
        command = [sys.executable, str(TRANSPORT), kind, str(page), str(port)]
        server = launch(command, self.folder / f"{kind}.log", cwd=self.folder)
        wait_for_port(server, port)
        headers = {"Host": "node.example", "Accept": MEDIA_TYPE}
        return TaxiiTarget(
            name=kind, engine="", server=server, path="/", reading=headers, writing=headers, stop=server.stop
        )


async def _connect(url: str) -> asyncpg.Connection:
    parsed = make_url(url)
    return await asyncpg.connect(host=parsed.query.get("host"), user=parsed.username, database=parsed.database)


async def _execute(url: str, *statements: str) -> None:
    connection = await _connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _version(url: str) -> str:
    connection = await _connect(url)
    try:
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()
