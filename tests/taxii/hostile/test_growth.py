"""Memory (reliability rows 18, 19, N5; G7): what is sent at one time makes no process grow without bound."""

import asyncio
import json

from living import MB, living
from test_hostile_json import WHOLE
from wire import adding, connected, head_of

from taxii_node import indicator
from tocsin.sharing.page import MAX_PAGE_BYTES
from tocsin.taxii.body import ALLOWANCE

BOUND = 150 * MB


def envelope(writer: int, text: str = "x" * 10_000) -> bytes:
    """Ten megabytes of a thousand objects, less a little."""
    return json.dumps(
        {"objects": [indicator(10_000 * writer + n, description=text) for n in range(1000)]}
    ).encode()


async def test_many_large_bodies_at_a_time_are_worked_off_within_a_bound(tmp_path):
    async with living(tmp_path) as node:
        await node.post(envelope(0))
        bodies = [envelope(number) for number in range(1, 7)]
        async with node.watched():
            answers = await asyncio.gather(
                *(node.post(body, by=("walt", "pia")[n % 2]) for n, body in enumerate(bodies))
            )
        assert {answer.status_code for answer in answers} <= {202, 429}
        assert node.peak <= BOUND, node.peak / MB


async def test_unfinished_bodies_hold_no_more_than_their_room(tmp_path):
    async with living(tmp_path) as node:
        await node.post(envelope(0))
        async with asyncio.TaskGroup() as tasks, node.watched():
            part, done = b" " * (9 * MB), asyncio.Event()

            async def sender(by):
                async with connected(node) as wire:
                    sending = asyncio.ensure_future(
                        wire.send(adding(node, f"Content-Length: {10 * MB}", by=by), part)
                    )
                    await done.wait()
                    sending.cancel()

            for number in range(40):
                tasks.create_task(sender(("walt", "pia")[number % 2]))
            await asyncio.sleep(2)
            assert (await node.get("objects/?limit=1")).status_code == 200
            done.set()
        assert node.peak <= BOUND, node.peak / MB


async def test_a_body_made_to_cost_costs_little_memory(tmp_path):
    async with living(tmp_path) as node:
        await node.post(envelope(0))
        for name, make in WHOLE:
            body = make()
            async with node.watched():
                answer = await node.post(body)
            assert answer.status_code in (202, 400, 422), name
            assert node.peak <= BOUND, (name, node.peak / MB)
        async with node.watched():
            await node.post(envelope(0))
        assert node.peak <= BOUND, node.peak / MB


async def test_readers_who_take_nothing_hold_no_more_than_their_turns(tmp_path):
    async with living(tmp_path) as node:
        await node.post(envelope(0))
        path = node.collection_url().removeprefix(node.url)
        async with asyncio.TaskGroup() as tasks, node.watched():
            done = asyncio.Event()

            async def reader(number):
                async with connected(node, takes=4096) as wire:
                    await wire.send(head_of(node, f"GET {path}objects/?limit={900 - number} HTTP/1.1", by="rita"))
                    await done.wait()

            for number in range(60):
                tasks.create_task(reader(number))
            await asyncio.sleep(2)
            assert (await node.get("objects/?limit=1", by="walt")).status_code == 200
            done.set()
        turns = ALLOWANCE.party_requests * MAX_PAGE_BYTES
        assert node.peak <= turns + 50 * MB, node.peak / MB
