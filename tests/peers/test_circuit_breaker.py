"""The circuit breaker: a peer that goes on failing is asked less and less; one answer, and all is as before."""

import asyncio
from dataclasses import replace

import pytest

from neighbours import QUICK, a_peer, neighbour
from tocsin.errors import PeerFailed
from tocsin.peers import worker
from tocsin.peers.pull import Budget
from tocsin.peers.retry import LONGEST_PAUSE
from tocsin.taxii.client import Bounds, Credential, PeerClient
from zoo import FOLDER, JSON, ZOO, Liar, a_node, animal, at, http


async def pause(node) -> float:
    """Seconds until the peer is asked again."""
    async with node.store.reading() as tx:
        return ((await node.state("zoo")).due - await tx.now()) / 1_000_000


async def test_a_peer_that_goes_on_failing_is_asked_less_and_less_and_a_success_closes_the_circuit(
    tmp_path, make_database
):
    async with neighbour("Beta", tmp_path, make_database("sqlite")) as beta, animal() as zoo:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional", every="60s")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        liar = Liar(zoo)
        decent = zoo.answers[f"{FOLDER}changes/"]
        zoo.answers[f"{FOLDER}changes/"] = http(500, {})
        pauses = []
        for _ in range(12):
            await beta.pull("zoo")
            pauses.append(await pause(beta))
        least = [
            0.75 * min(15 * 2**n, LONGEST_PAUSE) - 5 for n in range(12)
        ]  # half of it is chance, here its middle
        assert all(low < pause <= low + 5 for low, pause in zip(least, pauses, strict=True)), pauses
        assert (await beta.state("zoo")).attempts == 12
        zoo.answers[f"{FOLDER}changes/"] = decent
        liar.says(beta.incident("one", created_by_ref=ZOO))
        assert (await beta.pull("zoo")).tally.stored == 1  # as when it is due, or a person asks for it
        state = await beta.state("zoo")
        assert (state.attempts, state.last_error) == (0, None)
        assert 50 < await pause(beta) <= 63
        zoo.answers[f"{FOLDER}changes/"] = http(500, {})
        await beta.pull("zoo")
        assert await pause(beta) < 15


async def test_until_it_is_due_a_failing_peer_is_not_asked_at_all(tmp_path, make_database, monkeypatch):
    monkeypatch.setattr(worker, "LONGEST_TICK", 0.1)
    monkeypatch.setattr(worker, "SHORTEST_TICK", 0.05)
    async with neighbour("Beta", tmp_path, make_database("sqlite")) as beta, animal() as zoo:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional", every="1s")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        zoo.answers["/taxii2/"] = http(500, {})
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(beta.store, beta.home, beta.node, stop, QUICK))
        await asyncio.sleep(1.5)
        stop.set()
        await working
        assert zoo.paths() == ["/.well-known/tocsin.json", "/taxii2/"]
        assert (await beta.state("zoo")).attempts == 1


def endless():
    """A log of positions without end."""
    told = 0

    async def answer(asked, writer):
        nonlocal told
        told += 1
        await asyncio.sleep(0.1)
        entry = b'{"op":"prune","position":"%s","id":"incident--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a"}'
        page = b'{"more":true,"position":"%s","entries":[' + entry + b"]}"
        writer.write(http(200, page % ((at(told).encode(),) * 2), JSON))

    return answer


@pytest.mark.parametrize(
    ("budget", "most"),
    [(Budget(objects=5), 5), (Budget(bytes=500), 5), (Budget(seconds=0.35), 8)],
    ids=["objects", "bytes", "seconds"],
)
async def test_a_cycle_ends_with_its_budget_of_objects_bytes_or_time(tmp_path, make_database, budget, most):
    async with neighbour("Beta", tmp_path, make_database("sqlite")) as beta, animal() as zoo:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        zoo.answers |= a_node(ZOO) | {f"{FOLDER}changes/": endless()}
        report = await beta.pull("zoo", terms=replace(QUICK, budget=budget))
        assert report.state == "unfinished"
        assert 1 <= report.tally.pages <= most
        assert (await beta.state("zoo")).cursor == at(report.tally.pages)  # the next cycle goes on from there


async def test_whoever_keeps_us_waiting_again_and_again_is_left_in_the_end():
    async with animal() as zoo:

        async def slow(asked, writer):
            await asyncio.sleep(0.3 if len(zoo.asked) < 4 else 5)
            writer.write(http(200, {}))

        zoo.answers["/taxii2/"] = slow
        bounds = Bounds(deadline=2.0, altogether=2.0, attempts=1)
        async with PeerClient("zoo", zoo.url, Credential({}), bounds) as client:
            for _ in range(3):
                await client.get(zoo.url)
            with pytest.raises(PeerFailed, match="kept us waiting for more than 2 s in one cycle"):
                await client.get(zoo.url)
            assert 2.0 <= client.waited < 10
        assert len(zoo.asked) == 4


async def test_pages_of_nothing_come_to_an_end(tmp_path, make_database):
    async with neighbour("Beta", tmp_path, make_database("sqlite")) as beta, animal() as zoo:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        told = 0

        async def nothing(asked, writer):
            nonlocal told
            told += 1
            writer.write(http(200, {"more": True, "position": at(told), "entries": []}, JSON))

        zoo.answers |= a_node(ZOO)
        zoo.answers[f"{FOLDER}changes/"] = nothing
        report = await beta.pull("zoo")
        assert (report.state, "gives nothing" in report.error, told) == ("failed", True, 10)
