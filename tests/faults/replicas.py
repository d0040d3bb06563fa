"""Replicas: one node as several real `tocsin serve` over one database, and the proxy that stands in front of them.

Over PostgreSQL each replica has a home of its own with the same files, as on a machine of its own; over SQLite the
processes share the one home.
"""

import asyncio
import itertools
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tocsin.settings import Home
from tocsin.store import accounts, parties
from tocsin.store.transaction import Store

TAXII = "application/taxii+json;version=2.1"
WRITERS = tuple(f"writer-{number}" for number in range(8))
COLLECTIONS = {key: f"3f0c4d5e-7a11-4c1e-9b0d-00000000001{number}" for number, key in enumerate("abcdef")}
POLICY = "rules: [{id: posted, match: {type: [indicator, malware]}, then: allow, reason: writers may share these}]"
_LENGTH = re.compile(rb"^content-length: *(\d+)\r\n", re.IGNORECASE | re.MULTILINE)
_CONNECTION = re.compile(rb"^connection: *[a-z-]+\r\n", re.IGNORECASE | re.MULTILINE)


def settings(
    database: str, readers: Sequence[str] = ("rita", "tess"), title: str = "Collection", peers: str = ""
) -> str:
    """`tocsin.yaml`: rita and tess read every collection, the writers add to each, sven may use nothing.

    `peers`: lines of YAML below that key.
    """
    company = "{kind: company, country: EE}"
    lines = ["node:", "  name: CERT Alpha", "  country: EE", f'  database: "{database}"', "accounts:"]
    lines += [f"  {name}: {company}" for name in ("rita", "tess", "sven", *WRITERS)]
    lines += ["collections:"]
    for key, id_ in COLLECTIONS.items():
        lines += [
            f"  {key}:",
            f"    id: {id_}",
            f"    title: {title} {key}",
            f"    readers: [{', '.join(readers)}]",
        ]
        lines += [f"    writers: [{', '.join(WRITERS)}]", "    clearance: green", "    unmarked: clear"]
        lines += ["    policy: open"]
    lines += ["peers:", peers] if peers else []
    return "\n".join(lines) + "\n"


def write_files(home: Home, text: str) -> None:
    home.policies.mkdir(parents=True, exist_ok=True)
    home.settings_file.write_text(text)
    (home.policies / "open.yaml").write_text(POLICY)


def indicator(number: int, version: int = 0, **more: Any) -> dict[str, Any]:
    """An indicator with a foreseeable id. A version later by one is later by a millisecond."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
        "created": "2025-03-01T00:00:00.000Z",
        "modified": f"2025-03-01T00:00:{version // 1000:02d}.{version % 1000:03d}Z",
        "name": f"indicator {number}",
        "pattern": "[ipv4-addr:value = '192.0.2.1']",
        "pattern_type": "stix",
        "valid_from": "2025-03-01T00:00:00Z",
        **more,
    }


@dataclass
class Replica:
    """One process of `tocsin serve`; it keeps its port over a restart. What it says is in `log`."""

    home: Home
    log: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    _said: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._said = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, "-m", "tocsin.cli", "serve", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--home", str(self.home.path)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def wait_until_it_listens(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + 60
        while not (found := re.search(rb"listens on http://[^ :]+:(\d+) ", self.log.read_bytes()[self._said :])):
            said = self.log.read_text()
            assert self.process.poll() is None, f"it does not start:\n{said}"
            assert time.monotonic() < deadline, f"it does not start:\n{said}"
            time.sleep(0.02)
        self.port = int(found[1])

    def end(self, number: int) -> int:
        """Send a signal that ends it; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=40)

    def restart(self, number: int) -> int:
        """End it by a signal and start it again; the exit code of the one that ended."""
        code = self.end(number)
        self.start()
        self.wait_until_it_listens()
        return code


@dataclass
class Deployment:
    """One node: its replicas, its database, and tokens for everybody."""

    replicas: list[Replica]
    database: str
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        return [replica.address for replica in self.replicas]

    @asynccontextmanager
    async def client(self, address: str, by: str = "rita", **more: Any) -> AsyncIterator[httpx2.AsyncClient]:
        headers = {"Authorization": f"Bearer {self.tokens[by]}", "Accept": TAXII}
        async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=40, **more) as made:
            yield made

    def command(self, *words: str, at: int = 0) -> str:
        """A command of the operator as its own process in the home of a replica, beside what serves."""
        done = subprocess.run(
            [sys.executable, "-m", "tocsin.cli", *words, "--home", str(self.replicas[at].home.path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make_tokens(self, *names: str) -> None:
        """Tokens as `tocsin account token` makes them, without a process for each."""

        async def make() -> dict[str, str]:
            store = await Store.open(self.database, require_durable=False)
            try:
                async with store.writing() as tx:
                    now = await tx.now()
                    found = {name: await parties.party_by_name(tx, name) for name in names}
                    return {name: await accounts.make_token(tx, one.id, now) for name, one in found.items()}
            finally:
                await store.close()

        with ThreadPoolExecutor(1) as thread:  # whatever event loop the test has
            self.tokens |= thread.submit(asyncio.run, make()).result()

    def said(self) -> str:
        return "".join(replica.log.read_text() for replica in self.replicas)


@contextmanager
def deployed(
    folder: Path, database: str, count: int, *, text: str = "", logs: Path | None = None, quiet: bool = True
) -> Iterator[Deployment]:
    """A node of `count` processes that start at once on an empty database; nothing but files is there before.

    `text`: another `tocsin.yaml`; `logs`: another folder for what they say. Unless `quiet` is taken from it, no
    process may have shown a stack trace at the end.
    """
    first = Home(folder / "home-0")
    write_files(first, text or settings(database))
    first.write_secret("namespace", os.urandom(32).hex())
    homes = [first] * count
    if database.startswith("postgresql"):
        homes = [first, *(Home(folder / f"home-{number}") for number in range(1, count))]
        for home in homes[1:]:
            shutil.copytree(first.path, home.path)
    logs = logs or folder
    node = Deployment([Replica(home, logs / f"log-{n}") for n, home in enumerate(homes)], database)
    try:
        for replica in node.replicas:
            replica.start()
        for replica in node.replicas:
            replica.wait_until_it_listens()
        node.make_tokens("rita", "tess", "sven", *WRITERS)
        yield node
    finally:
        for replica in node.replicas:
            if replica.process is not None:
                replica.process.kill()
                replica.process.wait()
    assert not quiet or "Traceback" not in node.said(), node.said()


class RoundRobin:
    """A proxy that gives each request to the next replica, whoever asks and over whichever connection.

    It does what deploy/ tells real ones to do: a replica that cannot be reached is passed over; a request that
    broke off is asked of another only where asking twice does no harm. `served` counts the answers of each,
    `failed` what could not be answered, by method.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._ports = [int(address.rpartition(":")[2]) for address in addresses]
        self._turns = itertools.cycle(range(len(self._ports)))
        self.served: Counter[int] = Counter()
        self.failed: Counter[bytes] = Counter()
        self.address = ""

    async def answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                writer.write(await self._answer(head, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _answer(self, head: bytes, body: bytes) -> bytes:
        turn = next(self._turns)
        for port in (*self._ports[turn:], *self._ports[:turn]):
            try:
                upstream = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                continue
            try:
                answer = await _exchange(*upstream, head, body)
            except (asyncio.IncompleteReadError, ConnectionError):
                if head.startswith(b"GET "):
                    continue
                break
            self.served[port] += 1
            return answer
        self.failed[head.partition(b" ")[0]] += 1
        return b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, body: bytes) -> bytes:
    """One request over a connection of its own, and its whole answer. IncompleteReadError: it broke off."""
    try:
        writer.write(_CONNECTION.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        content = await reader.readexactly(0 if b" 304 " in answer[:16] else _length(answer))
    finally:
        writer.close()
    return _CONNECTION.sub(b"", answer) + content


def _length(head: bytes) -> int:
    found = _LENGTH.search(head)
    return int(found[1]) if found else 0


@asynccontextmanager
async def round_robin(node: Deployment) -> AsyncIterator[RoundRobin]:
    proxy = RoundRobin(node.addresses)
    server = await asyncio.start_server(proxy.answer_all, "127.0.0.1", 0)
    proxy.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()


def path_of(key: str, what: str = "objects/") -> str:
    return f"/exchange/collections/{COLLECTIONS[key]}/{what}"


async def patiently(ask: Callable[[], Awaitable[httpx2.Response]], tries: int = 200) -> httpx2.Response:
    """What a client does that is told 502 or 503, or nothing: it asks the same again."""
    for _ in range(tries):
        try:
            answer = await ask()
        except httpx2.TransportError:
            await asyncio.sleep(0.1)
            continue
        if answer.status_code not in (502, 503):
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError("no answer, however often it was asked for")


async def post(http: httpx2.AsyncClient, key: str, values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add objects, again if it is not known whether that was done; the status that was answered."""

    async def ask() -> httpx2.Response:
        return await http.post(path_of(key), json={"objects": values}, headers={"Content-Type": TAXII})

    answer = await patiently(ask)
    assert answer.status_code == 202, answer.text
    status = answer.json()
    assert status["success_count"] + status["failure_count"] == len(values)
    return status


async def pages(
    http: httpx2.AsyncClient, key: str, what: str, asked: Mapping[str, str | int]
) -> AsyncIterator[httpx2.Response]:
    """One walk: every page by `next`, the first as asked."""
    query = dict(asked)
    while True:
        answer = await patiently(lambda: http.get(path_of(key, what), params=query))
        assert answer.status_code == 200, answer.text
        yield answer
        page = answer.json()
        assert ("next" in page) == bool(page.get("more"))
        if not page.get("more"):
            return
        query["next"] = page["next"]


async def follow(
    http: httpx2.AsyncClient,
    key: str,
    done: asyncio.Event,
    what: str = "objects/",
    *,
    walking: bool = True,
    shown: Callable[[str], str] = str,
    **asked: str | int,
) -> AsyncIterator[httpx2.Response]:
    """Page after page with something on it, until the writers are done and nothing more comes.

    `walking`: by `next` to the end of a walk, and only then by the date of what came last; else by that alone.
    `shown`: what the client makes of that date. Every date is later than the one before, or this fails.
    """
    after: dict[str, str] = {}
    last = ""
    while True:
        finished, news = done.is_set(), False
        async for answer in pages(http, key, what, {**asked, **after}):
            first = answer.headers.get("X-TAXII-Date-Added-First")
            if first is None:
                break
            if shown is str:
                assert first > last
                assert answer.headers["X-TAXII-Date-Added-Last"] >= first
            news = news or answer.headers["X-TAXII-Date-Added-Last"] > last
            last = answer.headers["X-TAXII-Date-Added-Last"]
            yield answer
            if not walking:
                break
        if last:
            after = {"added_after": shown(last)}
        if not news:
            if finished:
                return
            await asyncio.sleep(0.05)
