"""A node that really listens, on both databases, with a log filled through the store and readers of every kind.

Accounts: `rita` reads, `walt` reads and adds, `pia` may only add, `nora` may use nothing. Collections: `regional`
is the one under test, `second` another that rita reads, `private` one that only walt reads.
"""

import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import uvicorn

from tocsin.app import make_app, serving
from tocsin.policy.configuration import Configuration, read_configuration
from tocsin.settings import Home, LimitSettings
from tocsin.sharing.node import Node as Us
from tocsin.sharing.node import keep_own_objects
from tocsin.stix.objects import make_object
from tocsin.store import accounts, grants, objects, parties, releases
from tocsin.store import configuration as applied
from tocsin.store.releases import Entry
from tocsin.store.transaction import Store, Transaction
from tocsin.taxii.body import ALLOWANCE

REGIONAL = "3f0c4d5e-7a11-4c1e-9b0d-000000000001"
SECOND = "3f0c4d5e-7a11-4c1e-9b0d-000000000002"
PRIVATE = "3f0c4d5e-7a11-4c1e-9b0d-000000000003"
NAMESPACE = "5b" * 32
TAXII = "application/taxii+json;version=2.1"

SETTINGS = f"""
node: {{name: CERT Alpha, country: EE}}
accounts:
  rita: {{kind: company, country: EE}}
  walt: {{kind: company, country: EE}}
  pia: {{kind: company, country: EE}}
  nora: {{kind: company, country: EE}}
collections:
  regional:
    id: {REGIONAL}
    title: Regional exchange
    description: What the region shares
    readers: [rita, walt]
    writers: [walt, pia]
    clearance: green
    unmarked: clear
    policy: open
  second: {{id: {SECOND}, title: Second, readers: [rita], policy: open, unmarked: clear}}
  private: {{id: {PRIVATE}, title: Private, readers: [walt], policy: open, unmarked: clear}}
"""
POLICY = """
rules:
  - {id: posted, match: {type: [indicator, malware, domain-name]}, then: allow, reason: writers may share these}
  - {id: no-malware, match: {type: malware}, then: deny, reason: malware stays out}
"""


@dataclass
class Clock:
    """The database's clock, one second on with each look, so that nothing depends on how fast a machine is."""

    at: int = 1_741_944_413_000_000

    def __call__(self) -> int:
        self.at += 1_000_000
        return self.at


@dataclass
class ServedNode:
    """One node: where it listens, its store, and a token for everybody."""

    url: str
    store: Store
    home: Home
    configuration: Configuration
    parties: dict[str, str]  # name → id
    tokens: dict[str, str]
    http: httpx2.AsyncClient

    @property
    def root(self) -> str:
        return f"{self.url}/exchange/"

    def collection_url(self, id_: str = REGIONAL) -> str:
        return f"{self.root}collections/{id_}/"

    async def get(self, path: str, *, by: str = "rita", method: str = "GET", **more) -> httpx2.Response:
        """A request by an account, below the API root unless the path begins with a slash."""
        headers = {"Authorization": f"Bearer {self.tokens[by]}"} if by else {}
        headers |= more.pop("headers", {})
        url = f"{self.url}{path}" if path.startswith("/") else f"{self.collection_url()}{path}"
        return await self.http.request(method, url, headers=headers, **more)

    async def post(self, body, *, by: str = "walt", path: str = "objects/", **more) -> httpx2.Response:
        headers = {"Content-Type": TAXII} | more.pop("headers", {})
        given = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.get(path, by=by, method="POST", headers=headers, **given, **more)

    async def fill(self, values: Sequence[dict], *, collection_id: str = REGIONAL, op: str = "put") -> list[int]:
        """Put versions into a log, past policy, and give their positions."""
        async with self.store.writing() as tx:
            now = await tx.now()
            entries = []
            for value in values:
                version = make_object(value)
                stored = await objects.add_version(tx, version, received=now)
                await objects.set_word(tx, stored.seq, "", "", "put", authentic=True, hops=0, at=now)
                entries.append(
                    Entry(
                        op=op,
                        object_id=version.id,
                        type=version.type,
                        version_seq=stored.seq,
                        version_key=stored.version_key,
                        form="whole",
                        hops=0,
                        rules=("posted",),
                    )
                )
            written = await releases.append(tx, collection_id, entries, self.configuration.sha256, now)
            return [line.position for line in written]


def indicator(number: int, modified: str = "2025-03-01T00:00:00.000Z", **more) -> dict:
    """An indicator with a foreseeable id; its versions differ by `modified`."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
        "created": "2025-03-01T00:00:00.000Z",
        "modified": modified,
        "name": f"indicator {number}",
        "pattern": "[ipv4-addr:value = '192.0.2.1']",
        "pattern_type": "stix",
        "valid_from": "2025-03-01T00:00:00Z",
        **more,
    }


def domain(number: int) -> dict:
    """An observable: it has neither `created` nor `modified`."""
    return {
        "type": "domain-name",
        "spec_version": "2.1",
        "id": f"domain-name--00000000-0000-4000-8000-{number:012d}",
        "value": f"host{number}.example",
    }


@asynccontextmanager
async def listening(app, limits: LimitSettings | None = None) -> AsyncIterator[str]:
    """uvicorn on a free port, in this event loop, as `tocsin serve` runs it; gives the base address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", **serving(limits))
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # what `Server.serve` does, without its main loop and its waits of a tenth of a second
    await server.startup([listener])
    await server.on_tick(0)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for listening_ in server.servers:
            listening_.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        await server.lifespan.shutdown()
        listener.close()


async def bring_into_force(tx: Transaction, home: Home, configuration: Configuration) -> dict[str, str]:
    """What `sharing.apply` keeps, without its judging: the logs begin empty. Gives the ids of the parties."""
    now, settings = await tx.now(), configuration.settings
    await applied.apply(tx, configuration.files, configuration.sha256, now)
    names = {**dict.fromkeys(settings.accounts, "account"), **dict.fromkeys(settings.peers, "peer")}
    people = await parties.ensure_parties(tx, names, {}, now)
    ids = {key: collection.id for key, collection in settings.collections.items()}
    collections = await releases.ensure_collections(tx, ids, {}, now)
    wanted = {
        (people[name], collections[key], role)
        for key, collection in settings.collections.items()
        for role, names in (("reader", collection.readers), ("writer", collection.writers))
        for name in names
    }
    await grants.set_grants(tx, wanted, now)
    await keep_own_objects(tx, Us(home.namespace()), settings.node, now)
    return people


@asynccontextmanager
async def served(
    store: Store,
    path: Path,
    *,
    settings: str = SETTINGS,
    policy: str = POLICY,
    limits: Mapping[str, object] | None = None,
    **options,
) -> AsyncIterator[ServedNode]:
    """`limits` as an operator writes them; `options` as `make_app` takes them."""
    home = Home(path)
    home.policies.mkdir()
    home.settings_file.write_text(f"{settings}\nlimits: {json.dumps(limits or {})}\n")
    (home.policies / "open.yaml").write_text(policy)
    home.write_secret("namespace", NAMESPACE)
    configuration = read_configuration(home.configuration_files())
    async with store.writing() as tx:
        people = await bring_into_force(tx, home, configuration)
        tokens = {name: await accounts.make_token(tx, id_, await tx.now()) for name, id_ in people.items()}
    given = configuration.settings.limits
    options = {"allowance": ALLOWANCE.under(given), **options}
    app = make_app(store, home, **options)
    async with listening(app, given if limits else None) as url, httpx2.AsyncClient() as http:
        yield ServedNode(url, store, home, configuration, people, tokens, http)
