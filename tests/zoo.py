"""Zoo: a raw HTTP server that misbehaves as a test tells it to, and counts who comes."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tocsin.stix.objects import from_micros, make_object

TAXII = "application/taxii+json;version=2.1"
JSON = "application/json"
ZOO = "identity--11111111-0000-4000-8000-000000000001"  # whom the liar speaks for


@dataclass(frozen=True)
class Asked:
    """One request: path, query, headers in lower case."""

    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]


Behaviour = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Animal:
    """One server. `answers` maps a path to the bytes of an answer, or to a behaviour; anything else is 404."""

    port: int = 0
    answers: dict[str, bytes | Behaviour] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    raw: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None  # in place of HTTP
    closed: bool = False  # nobody listens
    server: asyncio.Server | None = None
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/taxii2/"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await (self.raw or self._answer)(reader, writer)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        target = urlsplit(head[0].split(" ")[1])
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        asked = Asked(target.path, parse_qs(target.query), headers)
        self.asked.append(asked)
        answer = self.answers.get(target.path, http(404, {}))
        if isinstance(answer, bytes):
            writer.write(answer)
        else:
            await answer(asked, writer)


def http(
    status: int,
    body: bytes | Mapping[str, Any],
    media_type: str = TAXII,
    length: int | None = None,
    **headers: str,
) -> bytes:
    """An answer as bytes; names of headers are written with `_` for `-`."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {media_type}", "Connection: close"]
    lines.append(f"Content-Length: {len(raw) if length is None else length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + raw


@asynccontextmanager
async def animal(tls: ssl.SSLContext | None = None) -> AsyncIterator[Animal]:
    found = Animal()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=tls)
    found.port, found.server = server.sockets[0].getsockname()[1], server
    try:
        yield found
    finally:
        server.close()
        ending = list(found.serving)
        for task in ending:
            task.cancel()
        for ended in await asyncio.gather(*ending, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        await server.wait_closed()


COLLECTION = "aaaaaaaa-0000-4000-8000-000000000001"
FOLDER = f"/root/collections/{COLLECTION}/"


def an_offer(title: str = "regional", id_: str = COLLECTION, **more: Any) -> dict[str, bytes]:
    """Discovery, API root and one collection, as a decent server shows them."""
    collection = {"id": id_, "title": title, "can_read": True, "can_write": False, **more}
    return {
        "/taxii2/": http(200, {"title": "zoo", "default": "/root/", "api_roots": ["/root/"]}),
        "/root/": http(200, {"title": "root", "versions": [TAXII], "max_content_length": 1000}),
        "/root/collections/": http(200, {"collections": [collection]}),
    }


def a_node(identity: str, **more: Any) -> dict[str, bytes]:
    """The descriptor of a node, with its collection."""
    said = {"tocsin": 1, "name": "zoo", "taxii": "/taxii2/", "changes": True, "identity": {"id": identity}}
    return an_offer() | {"/.well-known/tocsin.json": http(200, said | more, "application/json")}


def at(number: int) -> str:
    return from_micros(1_770_000_000_000_000 + number)


class Liar:
    """A node whose changes feed says what a test wants."""

    def __init__(self, zoo: Animal, identity: str = ZOO) -> None:
        self.entries: list[bytes] = []
        self.origin = zoo.origin
        zoo.answers |= a_node(identity)
        zoo.answers[f"{FOLDER}changes/"] = self.answer

    def says(self, value, op: str = "put", **more) -> None:
        """An entry at the next position; `more` overwrites what it says."""
        raw = value if isinstance(value, bytes) else make_object(value).raw
        entry = {"op": op, "position": at(len(self.entries) + 1), "version": "v", "hops": 0}
        if not isinstance(value, bytes):
            version = make_object(value)
            entry |= {"id": version.id, "version": version.version, "sha256": version.sha256}
        entry |= more
        with_object = b"" if op in ("withdraw", "prune") else b', "object": ' + raw
        self.entries.append(json.dumps(entry).encode()[:-1] + with_object + b"}")

    async def answer(self, asked, writer) -> None:
        after = asked.query.get("after", [""])[0]
        start = next((n for n in range(len(self.entries), 0, -1) if at(n) <= after), 0)
        page = self.entries[start : start + int(asked.query["limit"][0])]
        position, more = at(start + len(page)), start + len(page) < len(self.entries)
        head = json.dumps({"more": more, "position": position}, separators=(",", ":")).encode()
        writer.write(http(200, head[:-1] + b',"entries":[' + b",".join(page) + b"]}", JSON))
