"""Admission: what one process takes on at a time, and that nobody waits for, or learns of, another party (S22)."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

import httpx2
import pytest
from wire import HANG, adding, connected, head_of, one_answer

from taxii_node import TAXII, indicator
from tocsin.problems import Busy, TooManyRequests
from tocsin.store import accounts
from tocsin.taxii.body import Allowance, Room

MIB = 1024 * 1024
BODY = json.dumps({"objects": [indicator(1)]}).encode()


# --- a room, by itself ---------------------------------------------------------------------------------------


async def test_a_room_is_given_in_the_order_of_asking_and_never_beyond_its_size():
    room, inside, most, order = Room(10, lambda: Busy("full")), 0, 0, []
    chance = random.Random(7)

    async def guest(number, amount):
        nonlocal inside, most
        async with room.holding(amount, 10):
            order.append(number)
            inside += amount
            most = max(most, inside)
            await asyncio.sleep(chance.random() / 1000)
            inside -= amount

    await asyncio.gather(*(guest(number, chance.randint(1, 10)) for number in range(200)))
    assert order == list(range(200))
    assert most <= 10
    async with room.holding(10, 0.1):  # all of it was given back
        pass


async def test_who_gives_up_leaves_the_room_as_it_was():
    room = Room(10, lambda: Busy("full"), waiting=3)
    async with room.holding(8, 1):
        waiting = [asyncio.ensure_future(_held(room, 5)) for _ in range(2)]
        small = asyncio.ensure_future(_held(room, 2))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await _held(room, 1)  # too many wait already
        waiting[0].cancel()
        waiting[1].cancel()
        await asyncio.wait_for(small, HANG)  # who stood behind them needs less, and there is room
        with pytest.raises(Busy):
            async with room.holding(5, 0.01):
                pytest.fail("there is no room")
    async with room.holding(10, 0.1):
        pass


async def test_what_is_larger_than_the_room_has_it_alone():
    room = Room(10, lambda: TooManyRequests("full"))
    async with room.holding(1000, 0.1):
        with pytest.raises(TooManyRequests):
            async with room.holding(1, 0.01):
                pytest.fail("there is no room")


async def _held(room, amount):
    async with room.holding(amount, HANG):
        pass


# --- over HTTP -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def body_in_work(node, *, by="walt", size=MIB):
    """A request that has its turn, and room for a body that does not come."""
    async with connected(node) as wire:
        await wire.send(adding(node, f"Content-Length: {size}", "Expect: 100-continue", by=by))
        assert (await wire.answer()).status == 100  # said when the node begins to read
        yield wire


async def test_a_party_with_too_much_in_work_is_429_with_a_time_to_come_back_and_the_others_are_served(serve):
    allowance = Allowance(party_requests=2, party_waiting=1, wait_seconds=0.2)
    async with serve(allowance=allowance) as node, body_in_work(node), body_in_work(node):
        answers = await asyncio.gather(*(node.get(f"/exchange/?{n}", by="walt") for n in range(3)))
        for answer in answers:
            assert answer.status_code == 429
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Content-Type"] == TAXII
            assert answer.json()["http_status"] == "429"
        for by in ("rita", "pia"):
            assert (await node.get("/exchange/", by=by)).status_code == 200
        assert (await node.get("/exchange/", by="")).status_code == 401


async def test_the_tokens_of_one_party_are_counted_together(serve):
    allowance = Allowance(party_requests=2, party_waiting=1, wait_seconds=0.2)
    async with serve(allowance=allowance) as node:
        async with node.store.writing() as tx:
            node.tokens["walt again"] = await accounts.make_token(tx, node.parties["walt"], await tx.now())
        async with body_in_work(node), body_in_work(node, by="walt again"):
            for by in ("walt", "walt again"):
                assert (await node.get(f"/exchange/?{by}", by=by)).status_code == 429
            assert (await node.get("/exchange/", by="rita")).status_code == 200


async def test_what_comes_with_a_revoked_token_is_not_counted_for_whose_it_was(serve):
    allowance = Allowance(party_requests=1, party_waiting=0, wait_seconds=0.2)
    async with serve(allowance=allowance) as node:
        node.tokens["lost"] = node.tokens["walt"]
        assert (await node.get("/exchange/", by="lost")).status_code == 200
        async with node.store.writing() as tx:
            await accounts.revoke_tokens(tx, node.parties["walt"], await tx.now())
            node.tokens["walt"] = await accounts.make_token(tx, node.parties["walt"], await tx.now())
        assert (await node.get("/exchange/", by="lost")).status_code == 401
        async with body_in_work(node):
            assert (await node.get("/exchange/?walt", by="walt")).status_code == 429
            assert (await node.get("/exchange/?lost", by="lost")).status_code == 401  # a desk of its own


async def test_no_more_requests_of_one_party_are_in_work_than_the_operator_lowered_the_limit_to(serve):
    async with serve(limits={"requests": 1}) as node:
        async with body_in_work(node):
            with pytest.raises(httpx2.ReadTimeout):  # it waits for its turn
                await node.get("/exchange/", by="walt", timeout=0.5)
            assert (await node.get("/exchange/", by="rita")).status_code == 200
        assert (await node.get("/exchange/", by="walt")).status_code == 200


async def test_a_process_full_of_bodies_is_503_with_a_time_to_come_back_and_goes_on_reading(serve):
    allowance = Allowance(bodies=2 * MIB, party_bodies=2 * MIB, wait_seconds=0.2)
    async with serve(allowance=allowance) as node:
        async with body_in_work(node, size=2 * MIB):
            answer = await node.post(BODY, by="pia")
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Content-Type"] == TAXII
            assert (await node.get("objects/", by="walt")).status_code == 200
        assert (await node.post(BODY, by="pia")).status_code == 202


async def test_the_bodies_of_one_party_leave_room_for_the_others(serve):
    allowance = Allowance(bodies=4 * MIB, party_bodies=MIB, wait_seconds=0.2)
    async with serve(allowance=allowance) as node, body_in_work(node, size=MIB):
        assert (await node.post(BODY, by="walt")).status_code == 429
        assert (await node.post(BODY, by="pia")).status_code == 202


async def test_eight_writers_with_large_envelopes_wait_a_little_and_are_all_taken(serve):
    allowance = Allowance(bodies=4 * MIB, party_bodies=4 * MIB, party_requests=4)
    async with serve(allowance=allowance) as node:

        def envelope(writer):  # a megabyte and a half
            return {"objects": [indicator(1000 * writer + n, description="x" * 14_000) for n in range(100)]}

        answers = await asyncio.gather(*(node.post(envelope(writer), timeout=60) for writer in range(8)))
        assert [answer.status_code for answer in answers] == [202] * 8
        assert sum(answer.json()["success_count"] for answer in answers) == 800


async def test_a_client_that_goes_away_gives_its_turn_and_its_room_back(serve):
    allowance = Allowance(bodies=MIB, party_bodies=MIB, party_requests=1, party_waiting=1, wait_seconds=HANG)
    async with serve(allowance=allowance) as node:
        for _ in range(5):
            async with body_in_work(node, size=MIB) as wire:
                await wire.send(b"{")
        assert (await node.post(BODY)).status_code == 202


async def test_the_body_of_a_stranger_is_not_waited_for(node):
    for by, status in (("", 401), ("nora", 404), ("rita", 403)):
        answer = await one_answer(node, adding(node, f"Content-Length: {9 * MIB}", "Expect: 100-continue", by=by))
        assert answer.status == status, by
        assert answer["connection"] == "close"


async def test_many_tokens_that_are_none_are_each_refused_alike(node):
    said = set()
    for number in range(200):
        head = head_of(node, "GET /taxii2/ HTTP/1.1", f"X-API-Key: tcn_{number}", by="")
        said.add((await one_answer(node, head)).dated())
    assert [answer[0] for answer in said] == [401]
