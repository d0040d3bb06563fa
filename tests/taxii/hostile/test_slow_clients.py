"""Slow clients (reliability row 17, N4): each has an absolute time for its head, its body and its answer."""

import asyncio
import json
import resource

import pytest
from wire import HANG, adding, connected, head_of

from taxii_node import indicator
from tocsin import transport
from tocsin.taxii.body import ALLOWANCE, Allowance

ENVELOPE = json.dumps({"objects": [indicator(1)]}).encode()


async def trickle(wire, data, pause=0.02):
    """A byte at a time, until nobody listens."""
    for at in range(len(data)):
        await wire.send(data[at : at + 1])
        await asyncio.sleep(pause)


async def until(node, status, by):
    """Ask until it is answered like that."""
    for _ in range(int(HANG / 0.02)):
        if (await node.get("/exchange/?again", by=by)).status_code == status:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"never answered {status}")


def test_the_promised_times_are_what_is_served_with():
    assert transport.PromptProtocol.head_seconds == 10
    assert ALLOWANCE.body_seconds == 60


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"G",
        b"GET",
        b"GET /healthz HTTP/1.1",
        b"GET /healthz HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ",
    ],
)
async def test_a_head_that_stays_unfinished_ends_the_connection(node, monkeypatch, begun):
    monkeypatch.setattr(transport.PromptProtocol, "head_seconds", 0.1)
    async with connected(node) as wire:
        await wire.send(begun)
        assert await wire.ended()


async def test_a_head_that_comes_byte_by_byte_ends_the_connection_in_the_same_time(node, monkeypatch):
    monkeypatch.setattr(transport.PromptProtocol, "head_seconds", 0.2)
    async with connected(node) as wire:
        head = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 2000
        trickling = asyncio.ensure_future(trickle(wire, head))
        assert await wire.ended()
        trickling.cancel()


async def test_the_second_head_of_a_connection_has_no_more_time_than_the_first(node, monkeypatch):
    monkeypatch.setattr(transport.PromptProtocol, "head_seconds", 0.2)
    async with connected(node) as wire:
        await wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await wire.answer()).status == 200
        trickling = asyncio.ensure_future(trickle(wire, b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 2000))
        assert await wire.ended()
        trickling.cancel()


@pytest.mark.parametrize(
    ("framing", "begun"),
    [
        (f"Content-Length: {len(ENVELOPE)}", b""),
        (f"Content-Length: {len(ENVELOPE)}", ENVELOPE[:-1]),
        ("Transfer-Encoding: chunked", b""),
        ("Transfer-Encoding: chunked", b"5"),
        ("Transfer-Encoding: chunked", b'5\r\n{"ob'),
        ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (len(ENVELOPE), ENVELOPE)),  # whole, and no end
    ],
)
async def test_a_body_that_stays_unfinished_is_refused_and_stores_nothing(serve, framing, begun):
    async with serve(allowance=Allowance(body_seconds=0.2, silent_seconds=0.1)) as node, connected(node) as wire:
        await wire.send(adding(node, framing), begun)
        answer = await wire.answer()
        assert answer.status == 400
        assert b"did not arrive within" in answer.body
        assert await wire.ended()
        assert (await node.get("objects/")).content == b"{}"


async def test_a_body_that_comes_byte_by_byte_is_refused_in_the_same_time(serve):
    async with serve(allowance=Allowance(body_seconds=0.3, rest_seconds=0.3)) as node, connected(node) as wire:
        await wire.send(adding(node, "Content-Length: 100000"))
        trickling = asyncio.ensure_future(trickle(wire, b" " * 100_000))
        assert (await wire.answer()).status == 400
        assert await wire.ended()
        trickling.cancel()


async def test_hundreds_of_slow_clients_keep_nobody_waiting(node, monkeypatch):
    monkeypatch.setattr(transport.PromptProtocol, "head_seconds", 5.0)
    count = min(300, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
    async with asyncio.TaskGroup() as tricklers:
        gone = asyncio.Event()

        async def trickler():
            async with connected(node) as wire:
                await wire.send(b"GET /taxii2/ HTTP/1.1\r\nHost: x\r\n")
                while not gone.is_set():
                    await wire.send(b"X")
                    await asyncio.sleep(0.5)

        for _ in range(count):
            tricklers.create_task(trickler())
        await asyncio.sleep(0)
        for _ in range(20):
            assert (await asyncio.wait_for(node.get("objects/"), HANG)).status_code == 200
        gone.set()


async def test_slow_bodies_of_one_party_keep_no_other_waiting(serve):
    allowance = Allowance(party_requests=3, party_waiting=2, body_seconds=30)
    async with serve(allowance=allowance) as node, asyncio.TaskGroup() as tasks:
        held = asyncio.Event()

        async def holder():
            async with connected(node) as wire:
                await wire.send(adding(node, "Content-Length: 1000000"), b"{")
                await held.wait()

        for _ in range(5):
            tasks.create_task(holder())
        await until(node, 429, by="walt")
        for _ in range(5):
            assert (await asyncio.wait_for(node.get("objects/"), HANG)).status_code == 200
            assert (await node.post(ENVELOPE, by="pia")).status_code == 202
        held.set()


async def test_who_does_not_take_his_answer_loses_the_connection_and_his_turn_is_free_again(serve, caplog):
    allowance = Allowance(piece_seconds=0.2, party_requests=1, party_waiting=0)
    async with serve(allowance=allowance) as node:
        await node.fill([indicator(number, description="x" * 200_000) for number in range(40)])
        async with connected(node, takes=4096) as wire:
            await wire.send(head_of(node, f"GET {node.collection_url()}objects/ HTTP/1.1", by="rita"))
            await until(node, 429, by="rita")
            await until(node, 200, by="rita")
    caplog.clear()  # uvicorn says that this answer was not completed
