"""HTTP/1.1 as bytes on a socket: what could be read in two ways is refused, and nothing is said out of place."""

import asyncio
import json
import re
import socket

import pytest

from taxii_node import TAXII, indicator
from tocsin import transport

HEAD = b"POST /healthz HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def database_url(make_database):
    """One engine: nothing here depends on which."""
    return make_database("sqlite")


async def _talk(node, *parts: bytes, pause: float = 0.01) -> bytes:
    """Everything that the node says on one connection, until it ends it."""
    host, _, port = node.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def _answers(said: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", said)


REFUSED = [
    ("the length twice", HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    ("two lengths", HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
    ("a list of lengths", HEAD + b"Content-Length: 3, 3\r\n\r\nabc"),
    ("a length with a sign", HEAD + b"Content-Length: +3\r\n\r\nabc"),
    ("a negative length", HEAD + b"Content-Length: -3\r\n\r\nabc"),
    ("a hexadecimal length", HEAD + b"Content-Length: 0x3\r\n\r\nabc"),
    ("a length beyond counting", HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nabc"),
    ("an empty length", HEAD + b"Content-Length:\r\n\r\nabc"),
    ("length and coding", HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("coding and length", HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
    ("the coding twice", HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked within chunked", HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked within gzip", HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("gzip within chunked", HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("an unknown coding", HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("no coding at all", HEAD + b"Transfer-Encoding: identity\r\n\r\nabc"),
    ("a vertical tab before the coding", HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("a space before the colon", HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("a coding in HTTP/1.0", b"POST /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("lines that end in LF", b"GET /healthz HTTP/1.1\nHost: x\n\n"),
    ("one line that ends in LF", b"GET /healthz HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"),
    ("CR within a value", b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"),
    ("a folded line", b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
    ("a line before the first", b"GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n"),
    ("NUL in a value", b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"),
    ("a line without a colon", b"GET /healthz HTTP/1.1\r\nHost: x\r\nab\r\n\r\n"),
    ("a line without a name", b"GET /healthz HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n"),
    ("no host", b"GET /healthz HTTP/1.1\r\n\r\n"),
    ("two hosts", b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    ("HTTP/0.9", b"GET /healthz\r\n\r\n"),
    ("HTTP/1.2", b"GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n"),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a space in the path", b"GET /health z HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a path of Latin-1", b"GET /healthz\xe9 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("an unknown method", b"RING /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("CONNECT", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    (
        "another protocol, with a body",
        HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    ),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)),
    ("a long path", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("many lines", b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 15_000 + b"\r\n"),
]


@pytest.mark.parametrize(("_", "sent"), REFUSED, ids=[name for name, _ in REFUSED])
async def test_what_could_be_read_in_two_ways_is_refused_once_and_ends_the_connection(node, _, sent):
    said = await _talk(node, sent, NEXT)
    if not said and len(sent) > 60_000:
        return  # hung up before all of it had been sent, which throws away what was said
    head, _, body = said.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"http/1.1 400 bad request"
    assert f"content-type: {TAXII}".encode() in lines
    assert b"connection: close" in lines
    assert any(line.startswith(b"date: ") for line in lines)
    assert json.loads(body)["http_status"] == "400"  # and nothing follows


BROKEN_BODIES = [
    ("LF after the size", CHUNKED + b"3\nabc\r\n0\r\n\r\n"),
    ("nothing after the chunk", CHUNKED + b"3\r\nabc0\r\n\r\n"),
    ("LF after the chunk", CHUNKED + b"3\r\nabc\n0\r\n\r\n"),
    ("a size with a sign", CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a prefix", CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n"),
    ("a size beyond counting", CHUNKED + b"fffffffffffffffff1\r\nabc\r\n0\r\n\r\n"),
    ("LF in an extension", CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    ("a trailer", CHUNKED + b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n"),
]


@pytest.mark.parametrize(("_", "sent"), BROKEN_BODIES, ids=[name for name, _ in BROKEN_BODIES])
async def test_after_a_broken_body_nothing_is_read_as_a_request(node, _, sent):
    said = await _talk(node, sent, NEXT)
    assert len(_answers(said)) <= 1  # at most one answer: to the head, or to the body
    assert b"200 OK" not in said
    assert b"alive" not in said


async def test_a_posted_body_that_breaks_is_refused_and_stores_nothing(node):
    head = (
        f"POST /exchange/collections/regional/objects/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        f"{node.tokens['walt']}\r\nContent-Type: {TAXII}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    said = await _talk(node, head, b"2\r\n{}\r\n", b"zz\r\n", NEXT, pause=0.05)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert len(_answers(said)) == 1


TAKEN = [
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",  # RFC 9112 §2.2
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"GET http://elsewhere.example/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nhost:x\r\nConnection: close\r\nX: \xe9\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",  # a Java client's first
]


@pytest.mark.parametrize("sent", TAKEN)
async def test_what_is_plain_is_taken_in_whole_and_byte_by_byte(node, sent):
    for parts in ([sent], [sent[n : n + 1] for n in range(len(sent))]):
        said = await _talk(node, *parts, pause=0)
        assert said.startswith(b"HTTP/1.1 200 OK\r\n"), said
        assert said.endswith(b'{"status":"alive"}')


async def test_after_another_protocol_was_asked_for_nothing_more_is_read(node):
    asked = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    for parts in ([asked + NEXT], [asked, NEXT]):
        said = await _talk(node, *parts)
        assert said.count(b"HTTP/1.1 200 OK") == 1


async def test_pipelined_requests_are_answered_in_order_and_a_broken_one_behind_them_ends_it(node):
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    absent = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    said = await _talk(node, one + absent + one + b"GET / HTTP/1.1\r\nHost : x\r\n\r\n" + one)
    assert _answers(said) == [b"200", b"404", b"200"]


async def test_what_follows_a_connection_that_was_to_close_is_no_request(node):
    said = await _talk(node, NEXT + NEXT)
    assert said.count(b"HTTP/1.1 200 OK") == 1


async def test_a_head_may_have_its_limit_and_no_more(node):
    start = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    room = transport.HEAD_BYTES - 200
    said = await _talk(node, start + b"A: " + b"a" * room + b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 ")
    for parts in ([b"A: " + b"a" * (room + 400) + b"\r\n\r\n"], [b"A: ", *[b"a" * 10_000] * 9]):
        said = await _talk(node, start, *parts)
        assert said[:12] in (b"HTTP/1.1 400", b"")


async def test_empty_lines_do_not_keep_a_connection_alive(node, monkeypatch):
    monkeypatch.setattr(transport.PromptProtocol, "head_seconds", 0.1)
    assert await _talk(node, *[b"\r\n"] * 30, pause=0.02) == b""


async def test_a_client_that_takes_nothing_loses_its_connection(node, monkeypatch):
    monkeypatch.setattr(transport.PromptProtocol, "taking_seconds", 0.3)
    await node.fill([indicator(n, description="x" * 250_000) for n in range(33)])  # more than the system keeps
    listener = node.url.removeprefix("http://").partition(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((listener[0], int(listener[2])))
        client.sendall(
            b"GET /exchange/collections/regional/objects/ HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer %b\r\n\r\n" % node.tokens["rita"].encode()
        )
        await asyncio.sleep(1.5)
        client.setblocking(False)
        taken = 0
        loop = asyncio.get_running_loop()
        try:
            while part := await asyncio.wait_for(loop.sock_recv(client, 65536), 10):
                taken += len(part)
        except ConnectionResetError:
            pass
    assert taken < 8_000_000


async def test_a_client_that_takes_its_time_gets_everything(node, monkeypatch):
    monkeypatch.setattr(transport.PromptProtocol, "taking_seconds", 1.0)
    await node.fill([indicator(n, description="x" * 250_000) for n in range(12)])
    host, _, port = node.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=64 * 1024)
    writer.write(
        b"GET /exchange/collections/regional/objects/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: Bearer %b\r\n\r\n" % node.tokens["rita"].encode()
    )
    said = b""
    while part := await reader.read(200_000):
        said += part
        await asyncio.sleep(0.05)
    writer.close()
    assert len(json.loads(said.partition(b"\r\n\r\n")[2])["objects"]) == 12
