"""A paused peer: nothing is asked of it, and what is being read from it is left, by whatever process."""

import asyncio
from dataclasses import replace

import pytest
import pytest_asyncio

from neighbours import QUICK, START, a_peer, an_incident, neighbour
from test_worker import in_step, until, working
from tocsin.peers import worker
from tocsin.peers.pull import Budget
from tocsin.peers.status import peer_status
from tocsin.peers.worker import sync_all
from tocsin.sharing.apply import in_force
from tocsin.stix.objects import keyed_id
from tocsin.store import parties, pauses
from tocsin.store.pauses import EVERYBODY
from tocsin.taxii.client import Bounds
from zoo import FOLDER, ZOO, Liar, animal


@pytest_asyncio.fixture
async def beta(tmp_path, make_database):
    async with neighbour("Beta", tmp_path / "beta", make_database("sqlite")) as node:
        yield node


async def pause(node, name="alpha", *, everybody=False):
    async with node.store.writing() as tx:
        id_ = EVERYBODY if everybody else (await parties.party_by_name(tx, name)).id
        await pauses.put(tx, [id_], "a drill", "mari", await tx.now())


async def resume(node):
    async with node.store.writing() as tx:
        await pauses.lift(tx, await pauses.pauses(tx))


@pytest.mark.parametrize("everybody", [False, True])
async def test_a_paused_peer_is_not_asked_and_read_on_once_it_is_resumed(pair, everybody):
    alpha, beta = pair
    await alpha.make_many(3)
    await pause(beta, everybody=everybody)
    assert [report.state for report in await sync_all(beta.store, beta.home, beta.node)] == ["paused"]
    assert await beta.state("alpha") is None
    async with beta.store.reading() as tx:
        assert await worker.due(tx, await in_force(tx)) == []
    await resume(beta)
    assert (await beta.pull("alpha")).state == "in step"
    assert await beta.holds("alpha") >= {entry for entry in await alpha.shows() if "identity" not in entry[0]}


async def test_a_page_that_comes_after_the_pause_is_not_stored(beta):
    async with animal() as zoo:
        liar = Liar(zoo)
        liar.says(an_incident(keyed_id(b"zoo", "incident", "one"), ZOO, START))
        whole = liar.answer

        async def late(asked, writer):
            await pause(beta, "zoo")
            await whole(asked, writer)

        zoo.answers[f"{FOLDER}changes/"] = late
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        assert (await beta.pull("zoo")).state == "paused"
        assert (await beta.holds("zoo"), (await beta.state("zoo")).cursor) == (set(), None)
        await resume(beta)
        zoo.answers[f"{FOLDER}changes/"] = whole
        assert (await beta.pull("zoo")).tally.stored == 1


async def test_whoever_is_being_read_when_he_is_paused_is_left_at_once(pair):
    alpha, beta = pair
    hung = asyncio.Event()

    async def hang(asked, writer):
        hung.set()
        await asyncio.sleep(60)

    async def left() -> bool:
        return "pull zoo" not in {task.get_name() for task in asyncio.all_tasks()}

    async with animal() as zoo:
        zoo.answers["/.well-known/tocsin.json"] = hang
        peers = {"zoo": a_peer(zoo.url, "regional"), "alpha": a_peer(alpha.url, "regional")}
        await beta.apply({"peers": peers, "collections": {"onward": {}}})
        beta.home.write_secret("peers/zoo", "w0rd")
        await alpha.make_many(2)
        async with working(beta, terms=replace(QUICK, bounds=Bounds(deadline=60.0, silence=60.0, attempts=1))):
            await asyncio.wait_for(hung.wait(), 20)
            assert not await left()
            await pause(beta, "zoo")
            await until(left, 5)  # the worker looks twice a second; this machine may be slow
            await until(in_step(beta, "alpha"))  # nobody else is held up
        assert (await beta.state("zoo")).attempts == 0  # a pause is no failure of the peer


async def test_how_a_peer_stands_says_that_it_is_paused_and_why_and_how_far_behind_it_is(pair):
    alpha, beta = pair
    await alpha.make_many(3)
    terms = replace(QUICK, budget=Budget(objects=1), page=1)
    assert (await beta.pull("alpha", terms=terms)).state == "unfinished"
    await pause(beta)
    async with beta.store.reading() as tx:
        found = await peer_status(tx, await in_force(tx), "alpha")
        now = await tx.now()
    assert (found.words, found.paused.because, found.overdue) == ("paused", "a drill", 0)
    (collection,) = found.collections
    assert (collection.unfinished, collection.failing_since, collection.every) == (True, None, 60)
    assert 0 <= collection.lag <= now - collection.last_success
    await resume(beta)
    assert (await beta.pull("alpha")).state == "in step"
    beta.home.write_secret("peers/alpha", "revoked")
    await beta.pull("alpha")
    async with beta.store.reading() as tx:
        found = await peer_status(tx, await in_force(tx), "alpha")
    (collection,) = found.collections
    assert (collection.unfinished, collection.failing_since) == (False, collection.last_success)
