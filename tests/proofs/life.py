"""Life: a world goes through the node as it is: the same doors, the same judges, the same log.

The clock is given, and so is what is random, so that a life can be lived twice.
"""

import asyncio
import hashlib
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from graphs import SECRET, Step, World
from tocsin.app import make_app
from tocsin.intake.receive import read_offered, receive, receive_posts
from tocsin.policy.configuration import Configuration, read_configuration
from tocsin.settings import Home
from tocsin.sharing import apply as applying
from tocsin.sharing.node import Node, keep_company
from tocsin.sharing.publish import publish
from tocsin.sharing.release import release
from tocsin.stix.objects import make_object
from tocsin.store import accounts, copies, parties
from tocsin.store.transaction import Store

START = int(datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()) * 1_000_000
NODE = Node(SECRET)
TAXII = "application/taxii+json;version=2.1"


@cache
def _workshop() -> Path:
    """Where databases stand while they live: in memory where the machine has such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="tocsin-proofs-", dir=memory if memory.is_dir() else None))


@cache
def _template() -> Path:
    file = _workshop() / "template.db"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, Store.create(f"sqlite:///{file}")).result()
    return file


@contextmanager
def chance(seed: str) -> Iterator[Callable[[], None]]:
    """What the system calls random comes from a seed; what is given begins it anew."""
    drawn: Counter[int] = Counter()

    def urandom(size: int) -> bytes:
        drawn[size] += 1  # by size, for SQLAlchemy draws too, ten bytes for each statement that it writes
        return hashlib.shake_128(f"{seed}/{size}/{drawn[size]}".encode()).digest(size)

    before, inner = os.urandom, random._urandom  # type: ignore[attr-defined]  # SystemRandom took it by name
    os.urandom = random._urandom = urandom  # type: ignore[attr-defined]  # as above
    try:
        yield drawn.clear
    finally:
        os.urandom, random._urandom = before, inner  # type: ignore[attr-defined]  # as above


@dataclass
class Life:
    world: World
    store: Store
    home: Home
    configuration: Configuration
    clock: dict[str, int] = field(default_factory=lambda: {"at": START})
    tokens: dict[str, str] = field(default_factory=dict)

    async def step(self, step: Step, seconds: int = 60) -> list[Any]:
        """One step, a minute after the one before, or so many seconds."""
        self.clock["at"] += seconds * 1_000_000
        now = self.clock["at"]
        async with self.store.writing() as tx:
            match step.what:
                case "make":
                    made: dict[str, list[Any]] = {}
                    for one in step.told:
                        made.setdefault(one.incident, []).append((make_object(one.value), one.role))
                    touched, left = await keep_company(tx, made, now)
                    return await release(tx, self.configuration, NODE, [*touched, *left], now=now)
                case "publish":
                    key = step.where or None
                    return await publish(
                        tx, self.configuration, NODE, step.ids, now=now, key=key, follow=step.follow
                    )
            party = await parties.party_by_name(tx, step.by)
            assert party is not None
            items = [read_offered(make_object(one.value).raw, one.hops) for one in step.told]
            if step.what == "receive":
                return list(await receive(tx, self.configuration, NODE, items, party, f"of-{step.by}", now=now))
            return list(await receive_posts(tx, self.configuration, NODE, step.where, party, items, now=now))

    async def originals(self, key: str) -> dict[str, str]:
        """The copies that were made for a collection: id of the copy by that of the original."""
        collection = self.world.settings["collections"][key]["id"]
        ids = sorted({told.id for told in self.world.told()})
        async with self.store.reading() as tx:
            links = await copies.copies_of(tx, collection, ids)
        return {id_: link.copy_id for id_, link in links.items()}

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[httpx2.AsyncClient]:
        """A client of the whole application, without a network."""
        app = make_app(self.store, self.home)
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://node.example") as client:
                yield client

    def headers(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[name]}", "Accept": TAXII, "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Beginning:
    """A node in whose database the configuration of a world is in force, and nothing has happened yet."""

    world: World
    folder: Path
    configuration: Configuration
    tokens: dict[str, str]


@asynccontextmanager
async def beginning(world: World) -> AsyncIterator[Beginning]:
    folder = Path(tempfile.mkdtemp(dir=_workshop()))
    home = Home(folder)
    try:
        home.policies.mkdir()
        for name, text in world.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        home.write_secret("namespace", SECRET.hex())
        shutil.copy(_template(), home.database_file)
        store = await Store.open(f"sqlite:///{home.database_file}", clock=lambda: START, require_durable=False)
        try:
            foreseen = await applying.plan(store, read_configuration(world.files), NODE)
            done = await applying.apply(store, foreseen, NODE)
            async with store.writing() as tx:
                people = sorted(await parties.parties(tx), key=lambda one: one.name)
                tokens = {party.name: await accounts.make_token(tx, party.id, START) for party in people}
        finally:
            await store.close()
        yield Beginning(world, folder, done.proposed, tokens)
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def living(world: World, start: Beginning | None = None) -> AsyncIterator[Life]:
    """A life of a world, from its beginning or from that of a world with the same configuration."""
    if start is None:
        async with beginning(world) as found, living(world, found) as life:
            yield life
        return
    folder = Path(tempfile.mkdtemp(dir=_workshop()))
    try:
        shutil.copytree(start.folder, folder, dirs_exist_ok=True)
        home, clock = Home(folder), {"at": START}
        store = await Store.open(
            f"sqlite:///{home.database_file}", clock=lambda: clock["at"], require_durable=False
        )
        try:
            yield Life(world, store, home, start.configuration, clock, dict(start.tokens))
        finally:
            await store.close()
    finally:
        shutil.rmtree(folder)
