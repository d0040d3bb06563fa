"""Neighbours: real nodes for tests of peers and federation: the app itself, listening, each with its own store."""

import hashlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn

from tocsin.app import make_app, serving
from tocsin.peers.pull import PullReport, Terms, pull_once
from tocsin.policy.configuration import read_configuration
from tocsin.settings import Home
from tocsin.sharing import apply as applying
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import Node, keep
from tocsin.sharing.release import Outcome, release
from tocsin.stix.effects import EXTENSION_ID
from tocsin.stix.markings import tlp_from_word
from tocsin.stix.objects import ObjectVersion, keyed_id, make_object, stix_time
from tocsin.store import accounts, objects, pages, parties, peers, records, releases
from tocsin.store.peers import LedgerRow, Pull
from tocsin.store.transaction import Store
from tocsin.taxii.client import Bounds

ALLOW_ANY = "rules: [{id: any, match: {origin: any}, then: allow, reason: whatever comes}]"
EFFECTS_ALONE = """
rules:
  - {id: any, match: {origin: any}, then: allow, reason: whatever comes}
  - {id: no-effect-yet, match: {origin: any, type: incident, stage: near-miss}, then: deny, reason: not yet}
"""
QUICK = Terms(bounds=Bounds(deadline=10.0, silence=5.0, attempts=1), chance=lambda: 0.5)
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TAXII = "application/taxii+json;version=2.1"


@dataclass
class Neighbour:
    """One node. `url` is where its TAXII is spoken while it listens."""

    name: str
    home: Home
    store: Store
    listener: socket.socket
    made: int = field(default=0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/taxii2/"

    @property
    def node(self) -> Node:
        return Node(self.home.namespace())

    @property
    def moment(self) -> datetime:
        """A time that no object of this node had before."""
        self.made += 1
        return START + timedelta(seconds=self.made)

    async def apply(self, settings: Mapping[str, Any], confirmed: int | None = None, **policies: str) -> None:
        """Bring a configuration into force; a collection without a policy of its own lets everything through."""
        collections = {
            key: {"title": key, "policy": key, "clearance": "amber", "release": "automatic"} | dict(collection)
            for key, collection in settings.get("collections", {}).items()
        }
        text = json.dumps({"node": {"name": self.name}, **settings, "collections": collections})
        self.home.policies.mkdir(exist_ok=True)
        self.home.settings_file.write_text(text)
        for key in collections:
            (self.home.policies / f"{key}.yaml").write_text(policies.get(key, ALLOW_ANY))
        configuration = read_configuration(self.home.configuration_files())
        foreseen = await applying.plan(self.store, configuration, self.node)
        await applying.apply(self.store, foreseen, self.node, confirmed=confirmed)

    async def admits(self, party: str) -> str:
        """A token by which `party` is known here."""
        async with self.store.writing() as tx:
            found = await parties.party_by_name(tx, party)
            return await accounts.make_token(tx, found.id, await tx.now())

    def incident(self, name: str, **more: Any) -> dict[str, Any]:
        """An incident of this node; the same name again is its next version."""
        return an_incident(keyed_id(self.node.secret, "incident", name), self.node.identity, self.moment, **more)

    async def make(self, *values: Mapping[str, Any] | ObjectVersion) -> list[Outcome]:
        """Store incidents of ours as an import would, and release them."""
        versions = [v if isinstance(v, ObjectVersion) else make_object(v) for v in values]
        async with self.store.writing() as tx:
            now = await tx.now()
            configuration = await in_force(tx)
            await keep(tx, versions, now)
            for version in versions:
                await records.put_belongings(tx, {version.id: [(version.id, "incident")]})
            return await release(tx, configuration, self.node, [v.id for v in versions], now=now)

    async def make_many(self, count: int, prefix: str = "many") -> list[str]:
        values = [self.incident(f"{prefix} {number}") for number in range(count)]
        await self.make(*values)
        return [value["id"] for value in values]

    async def pull(self, peer: str, wanted: str = "regional", terms: Terms = QUICK, **more: Any) -> PullReport:
        return await pull_once(self.store, self.home, self.node, peer, wanted, terms=terms, **more)

    async def state(self, peer: str, wanted: str = "regional") -> Pull:
        async with self.store.reading() as tx:
            party = await parties.party_by_name(tx, peer)
            return await peers.pull_state(tx, party.id, wanted)

    async def ledger(self, peer: str) -> list[LedgerRow]:
        """What the ledger says of a peer, oldest first."""
        async with self.store.reading() as tx:
            party = await parties.party_by_name(tx, peer)
            return (await peers.ledger_rows(tx, party.id, limit=100_000))[::-1]

    async def holds(self, peer: str | None = None) -> set[tuple[str, str, str]]:
        """(id, version, sha256) held on the word of a peer, or of anybody."""
        async with self.store.reading() as tx:
            party = await parties.party_by_name(tx, peer) if peer else None
            found = await objects.offered(tx, await objects.all_ids(tx))
        return {
            (version.id, version.version, version.sha256)
            for versions in found.values()
            for version in versions
            if any(s.word != "withdraw" and (party is None or s.party_id == party.id) for s in version.sources)
        }

    async def newest(self, id_: str) -> dict[str, Any] | None:
        async with self.store.reading() as tx:
            found = await objects.newest(tx, [id_])
        return json.loads(found[id_].raw) if id_ in found and found[id_].raw else None

    async def shows(self, key: str = "regional") -> set[tuple[str, str, str]]:
        """(id, version, sha256) that readers of a collection of ours find now."""
        return {(row.object_id, row.version, row.sha256) for row in await self.log(key) if row.raw is not None}

    async def log(self, key: str = "regional") -> tuple[pages.ChangeRow, ...]:
        """A collection's log as a node that was always there reads it."""
        async with self.store.reading() as tx:
            ids = {row.key: row.id for row in await releases.collections(tx)}
            return (await pages.changes(tx, ids[key], 0, 100_000)).rows


def an_incident(
    id_: str,
    creator: str,
    moment: datetime,
    *,
    tlp: str = "green",
    text: str = "data-attack",
    stage: str = "effect",
    **more: Any,
) -> dict[str, Any]:
    return {
        "type": "incident",
        "spec_version": "2.1",
        "id": id_,
        "created": stix_time(START),
        "modified": stix_time(moment),
        "created_by_ref": creator,
        "name": text,
        "object_marking_refs": [tlp_from_word(tlp).marking],
        "extensions": {
            EXTENSION_ID: {
                "extension_type": "property-extension",
                "effects": [{"effect": "data-attack", "confidence": 90, "basis": "mapped", "rule": "test"}],
                "effect_type": "disruptive",
                "stage": stage,
            }
        },
        **more,
    }


@asynccontextmanager
async def neighbour(name: str, folder: Path, database_url: str, *, skew: int = 0) -> AsyncIterator[Neighbour]:
    """A home and an open store, whose clock is ahead by `skew` µs; it does not listen yet."""
    home = Home(folder)
    home.write_secret("namespace", hashlib.sha256(name.encode()).hexdigest())
    clock = (lambda: time.time_ns() // 1000 + skew) if skew else None
    store = await Store.open(database_url, require_durable=False, clock=clock)
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        yield Neighbour(name, home, store, listener)
    finally:
        listener.close()
        await store.close()


@asynccontextmanager
async def listening(node: Neighbour, **options: Any) -> AsyncIterator[None]:
    """The node's app behind uvicorn, in this event loop, as `tocsin serve` runs it."""
    app = make_app(node.store, node.home, **options)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", **serving())
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # what `Server.serve` does, without its main loop, which would notice the end only after a tenth of a second
    again = socket.socket(fileno=socket.dup(node.listener.fileno()))
    await server.startup([again])
    await server.on_tick(0)
    try:
        yield
    finally:
        await server.shutdown([again])


async def introduce(reader: Neighbour, publisher: Neighbour, as_: str, known_as: str) -> None:
    """`reader` gets the token by which `publisher` knows it."""
    reader.home.write_secret(f"peers/{as_}", await publisher.admits(known_as))


def a_peer(url: str, *wanted: str, every: str = "60s", **more: Any) -> dict[str, Any]:
    return {"url": url, "auth": "bearer", "pull": [{"collection": w, "every": every} for w in wanted], **more}


MakeDatabase = Callable[[str], str]


@asynccontextmanager
async def alpha_and_beta(
    tmp_path: Path, make_database: MakeDatabase, engine: str = "sqlite"
) -> AsyncIterator[tuple[Neighbour, Neighbour]]:
    """Alpha offers `regional` to beta and listens; beta pulls it, and shows what it holds to acme in `onward`."""
    async with (
        neighbour("Alpha", tmp_path / "alpha", make_database(engine)) as alpha,
        neighbour("Beta", tmp_path / "beta", make_database(engine)) as beta,
    ):
        await alpha.apply(
            {"peers": {"beta": a_peer(beta.url)}, "collections": {"regional": {"readers": ["beta"]}}}
        )
        await beta.apply(
            {
                "accounts": {"acme": {"kind": "company"}},
                "peers": {"alpha": a_peer(alpha.url, "regional")},
                "collections": {"onward": {"readers": ["acme"]}},
            }
        )
        await introduce(beta, alpha, "alpha", "beta")
        async with listening(alpha):
            yield alpha, beta


@asynccontextmanager
async def alpha_gamma_and_beta(
    tmp_path: Path, make_database: MakeDatabase
) -> AsyncIterator[tuple[Neighbour, Neighbour, Neighbour]]:
    """Alpha offers `regional` (no near misses) to both; gamma offers all that it holds to beta as `passed-on`, and
    beta all to gamma as `back`."""
    async with AsyncExitStack() as stack:
        alpha, beta, gamma = [
            await stack.enter_async_context(neighbour(name, tmp_path / name, make_database("sqlite")))
            for name in ("Alpha", "Beta", "Gamma")
        ]
        await alpha.apply(
            {
                "peers": {"beta": a_peer(beta.url), "gamma": a_peer(gamma.url)},
                "collections": {"regional": {"readers": ["beta", "gamma"]}},
            },
            regional=EFFECTS_ALONE,
        )
        await gamma.apply(
            {
                "peers": {"beta": a_peer(beta.url, "back"), "alpha": a_peer(alpha.url, "regional")},
                "collections": {"passed-on": {"readers": ["beta"]}},
            }
        )
        await beta.apply(
            {
                "accounts": {"acme": {"kind": "company"}},
                "peers": {"alpha": a_peer(alpha.url, "regional"), "gamma": a_peer(gamma.url, "passed-on")},
                "collections": {"onward": {"readers": ["acme"]}, "back": {"readers": ["gamma"]}},
            }
        )
        await introduce(gamma, alpha, "alpha", "gamma")
        await introduce(beta, alpha, "alpha", "beta")
        await introduce(beta, gamma, "gamma", "beta")
        await introduce(gamma, beta, "beta", "gamma")
        for node in (alpha, beta, gamma):
            await stack.enter_async_context(listening(node))
        yield alpha, gamma, beta
