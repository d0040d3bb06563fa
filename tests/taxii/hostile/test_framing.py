"""Framing (reliability row 20): where one message ends and the next begins is never in doubt (P-HTTP).

What is refused at all stands in `test_transport`; here each ambiguity hides a request that would store something.
"""

import asyncio
import json

import pytest
from wire import HANG, adding, connected, head_of, one_answer

from taxii_node import TAXII, indicator

ENVELOPE = json.dumps({"objects": [indicator(1)]}).encode()
CHUNKED = "Transfer-Encoding: chunked"


def hidden(node) -> bytes:
    return adding(node, f"Content-Length: {len(ENVELOPE)}") + ENVELOPE


# Each: the headers of an outer request to a harmless address, and what stands before the hidden one.
AMBIGUOUS = [
    ("both, and the coding ends first", ["Content-Length: {all}", CHUNKED], b"0\r\n\r\n"),
    ("both, and the length ends first", [CHUNKED, "Content-Length: 3"], b"1f4\r\n"),
    ("two lengths", ["Content-Length: 0", "Content-Length: {all}"], b""),
    ("two lengths, the other way", ["Content-Length: {all}", "Content-Length: 0"], b""),
    ("a list of lengths", ["Content-Length: 0, {all}"], b""),
    ("a length with a sign", ["Content-Length: +0"], b""),
    ("a length of letters", ["Content-Length: 0x0"], b""),
    ("a length in other digits", ["Content-Length: \xb2"], b""),
    ("a length after a space", ["Content-Length : {all}"], b""),
    ("a length in a folded line", ["Content-Length:", " {all}"], b""),
    ("a length in a folded value", ["X: y", " Content-Length: {all}"], b""),
    ("a length after a bare CR", ["X: y\rContent-Length: {all}"], b""),
    ("a length after a bare LF", ["X: y\nContent-Length: {all}"], b""),
    ("a length after a NUL", ["X: y\0", "Content-Length: {all}"], b""),
    ("a coding that is none", ["Transfer-Encoding: identity", "Content-Length: 0"], b""),
    ("a coding misspelt", ["Transfer-Encoding: xchunked", "Content-Length: 0"], b""),
    ("a coding in quotes", ['Transfer-Encoding: "chunked"', "Content-Length: 0"], b""),
    ("a coding after a tab", ["Transfer-Encoding:\tchunked", "Content-Length: 0"], b"0\r\n\r\n"),
    ("a coding within another", ["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n"),
    ("chunked, then another", ["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n"),
    ("chunked twice", [CHUNKED, CHUNKED], b"0\r\n\r\n"),
    ("an underscore for a hyphen", ["Transfer_Encoding: chunked", "Content-Length: {all}"], b"0\r\n\r\n"),
    ("a size with a sign", [CHUNKED], b"+0\r\n\r\n"),
    ("a size with a prefix", [CHUNKED], b"0x0\r\n\r\n"),
    ("a negative size", [CHUNKED], b"-1\r\n\r\n"),
    ("a size that overflows", [CHUNKED], b"10000000000000000\r\n\r\n"),
    ("a size that ends in LF", [CHUNKED], b"0\n\n"),
    ("a size that ends in CR", [CHUNKED], b"0\r\r"),
    ("an empty size", [CHUNKED], b"\r\n\r\n"),
    ("a chunk without its end", [CHUNKED], b"1\r\na0\r\n\r\n"),
    ("a chunk longer than it says", [CHUNKED], b"1\r\nab\r\n0\r\n\r\n"),
    ("an extension with LF", [CHUNKED], b"1;x\ny\r\na\r\n0\r\n\r\n"),
    ("an extension without end", [CHUNKED], b"1;" + b"x" * 20_000),
    ("a trailer that is a length", [CHUNKED], b"0\r\nContent-Length: 5\r\n\r\n"),
    ("a length of minus one", ["Content-Length: -1"], b""),
    ("a body behind an upgrade", ["Connection: Upgrade", "Upgrade: h2c", "Content-Length: 0"], b""),
    ("a connection that was to end", ["Connection: close", "Content-Length: 0"], b""),
    ("an unknown expectation", ["Expect: 200-ok", "Content-Length: {all}"], b""),
]


@pytest.mark.parametrize("line", ["POST /exchange/ HTTP/1.1", "GET /healthz HTTP/1.1"])
async def test_no_ambiguity_hides_a_request(node, line):
    inner = hidden(node)
    for name, headers, before in AMBIGUOUS:
        lines = [header.format(all=len(before) + len(inner)) for header in headers]
        async with connected(node) as wire:
            await wire.send(head_of(node, line, *lines), before + inner, inner)
            wire.finish()
            answers = await wire.answers()
        assert all(answer.status < 500 for answer in answers), name
        assert 202 not in [answer.status for answer in answers], name
        assert (await node.get("objects/")).content == b"{}", name


async def test_a_refused_body_is_never_read_as_the_next_request(node):
    """Whoever answers early must not take what still arrives for a request."""
    inner = hidden(node)
    refusals = [
        adding(node, f"Content-Length: {10**8}"),  # 413
        adding(node, f"Content-Length: {len(inner)}", by="nora"),  # 404
        adding(node, f"Content-Length: {len(inner)}", by="rita"),  # 403
        adding(node, f"Content-Length: {len(inner)}", by=""),  # 401
        adding(node, f"Content-Length: {len(inner)}", "Content-Encoding: gzip"),  # 415
        head_of(node, "PUT /exchange/ HTTP/1.1", f"Content-Length: {len(inner)}"),  # 405
        head_of(node, "POST /nowhere HTTP/1.1", f"Content-Length: {len(inner)}"),  # 404
        head_of(node, "GET /taxii2/ HTTP/1.1", f"Content-Length: {len(inner)}"),  # 200
    ]
    for head in refusals:
        async with connected(node) as wire:
            await wire.send(head, inner)
            wire.finish()
            answers = await wire.answers()
        assert len(answers) == 1, head
        assert answers[0]["connection"] == "close", head
    async with connected(node) as wire:  # who said that he would wait, and does not, may find the connection ended
        await wire.send(adding(node, f"Content-Length: {len(inner)}", "Expect: 100-continue", by="nora"), inner)
        assert len(await wire.answers()) <= 1
    assert (await node.get("objects/")).content == b"{}"


async def test_a_refused_body_is_not_read_for_as_long_as_somebody_sends(node):
    async with asyncio.timeout(3 * HANG):
        for head in (
            adding(node, CHUNKED, by=""),
            adding(node, CHUNKED),
            head_of(node, "GET /healthz HTTP/1.1", CHUNKED),
        ):
            async with connected(node) as wire:
                chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
                await wire.send(head)
                sent = 0
                while sent < 200 and not wire.gone:
                    await wire.send(*[chunk] * 16)
                    sent += 1
                assert sent < 200, "two hundred megabytes were taken"


async def test_a_body_in_chunks_of_one_byte_is_taken_like_any_other(node):
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in ENVELOPE + b" " * 50_000) + b"0\r\n\r\n"
    answer = await one_answer(node, adding(node, CHUNKED), body)
    assert answer.status == 202
    assert json.loads(answer.body)["success_count"] == 1


async def test_a_body_that_comes_in_pieces_of_one_byte_is_taken_like_any_other(node):
    body = b"".join(
        (b"3;name=value\r\n" + ENVELOPE[:3], b"\r\n%x\r\n" % len(ENVELOPE[3:]), ENVELOPE[3:], b"\r\n0\r\n\r\n")
    )
    answer = await one_answer(node, adding(node, CHUNKED), *(body[at : at + 1] for at in range(len(body))))
    assert answer.status == 202


async def test_many_pipelined_requests_are_answered_in_their_order(node):
    await node.fill([indicator(1)])
    paths = [node.collection_url().removeprefix(node.url) + "objects/", "/taxii2/", "/nowhere", "/healthz"] * 25
    async with connected(node) as wire:
        await wire.send(b"".join(head_of(node, f"GET {path} HTTP/1.1") for path in paths))
        answers = [await wire.answer() for _ in paths]
    alone = {path: await one_answer(node, head_of(node, f"GET {path} HTTP/1.1")) for path in set(paths)}
    assert [answer.body for answer in answers] == [alone[path].body for path in paths]


async def test_a_request_behind_a_body_is_answered_after_it(node):
    async with connected(node) as wire:
        await wire.send(
            hidden(node) + head_of(node, f"GET {node.collection_url().removeprefix(node.url)}objects/ HTTP/1.1")
        )
        first, second = await wire.answer(), await wire.answer()
    assert first.status == 202
    assert indicator(1)["id"].encode() in second.body


@pytest.mark.parametrize(
    "head",
    [
        b"GET /taxii2/ HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"GET /taxii2/ HTTP/1.1\r\nHost: x\r\n" + b"X" * 200_000 + b": y\r\n\r\n",
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"X" * 200_000,
        b"GET /taxii2/ HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    ],
    ids=["value", "name", "path", "method", "lines"],
)
async def test_a_head_above_its_limit_is_refused_or_ends_the_connection(node, head):
    answer = await one_answer(node, head)
    assert answer is None or (400 <= answer.status < 500 and answer["content-type"] == TAXII)
