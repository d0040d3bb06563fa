"""Wire: HTTP as bytes on a socket, for what no client library would send."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from taxii_node import TAXII, ServedNode

HANG = 20.0  # seconds; what takes longer counts as a hang, even on a busy machine


@dataclass(frozen=True)
class Answer:
    """One answer as it came. Names of headers are in lower case; one that came twice is there twice."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __getitem__(self, name: str) -> str:
        return next(value for found, value in self.headers if found == name)

    def dated(self) -> tuple:
        """Everything of it but its date."""
        return self.status, tuple(one for one in self.headers if one[0] != "date"), self.body


class Wire:
    """One connection to a node."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.gone = False  # the node no longer takes anything

    async def send(self, *parts: bytes) -> None:
        """Send, or find that the node has hung up, which the answer then tells."""
        try:
            for part in parts:
                self._writer.write(part)
                await asyncio.wait_for(self._writer.drain(), HANG)
        except ConnectionError:
            self.gone = True

    async def answer(self, *, of_head: bool = False) -> Answer | None:
        """The next answer; nothing where the connection ended instead, or broke off in the middle of it."""
        try:
            head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), HANG)
            line, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
            pairs = (one.partition(":") for one in rest)
            headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
            length = int(dict(headers).get("content-length", "0"))
            status = int(line.split(" ", 2)[1])
            empty = of_head or status in (204, 304)
            body = b"" if empty else await asyncio.wait_for(self._reader.readexactly(length), HANG)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return Answer(status, headers, body)

    async def answers(self) -> list[Answer]:
        """Every answer until the connection ends."""
        found = []
        while answer := await self.answer():
            found.append(answer)
        return found

    async def ended(self) -> bool:
        """Whether the node ends the connection without another word."""
        try:
            return await asyncio.wait_for(self._reader.read(1), HANG) == b""
        except ConnectionError:
            return True

    def finish(self) -> None:
        """Say that nothing more will come, and go on listening."""
        with suppress(OSError):  # the node was first
            self._writer.write_eof()


@asynccontextmanager
async def connected(node: ServedNode, *, takes: int | None = None) -> AsyncIterator[Wire]:
    """A connection; `takes` is about how many bytes it takes in while nobody asks for an answer."""
    host, _, port = node.url.removeprefix("http://").partition(":")
    client = socket.socket()
    client.setblocking(False)
    if takes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes)
    await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=client, limit=takes or 2**16)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):  # the node was first
            await writer.wait_closed()


def head_of(node: ServedNode, line: str, *headers: str, by: str = "walt", host: str = "Host: x") -> bytes:
    """The head of a request by an account."""
    key = [f"X-API-Key: {node.tokens[by]}"] if by else []
    return "\r\n".join([line, *([host] if host else []), *key, *headers, "", ""]).encode("latin-1")


def adding(node: ServedNode, *headers: str, by: str = "walt") -> bytes:
    """The head of a POST to the collection under test."""
    path = node.collection_url().removeprefix(node.url)
    return head_of(node, f"POST {path}objects/ HTTP/1.1", f"Content-Type: {TAXII}", *headers, by=by)


async def one_answer(node: ServedNode, *parts: bytes, of_head: bool = False) -> Answer | None:
    """What a node says first to these bytes."""
    async with connected(node) as wire:
        await wire.send(*parts)
        return await wire.answer(of_head=of_head)
