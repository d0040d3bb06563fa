"""The worker: each peer when it is due, none by another's fault, each page once however many processes read."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from neighbours import QUICK, a_peer, introduce, neighbour
from tocsin.errors import NotFound
from tocsin.peers import worker
from tocsin.peers.worker import run, sync_all
from tocsin.store import jobs, parties, peers
from tocsin.store.transaction import Store
from tocsin.taxii.client import Bounds
from zoo import FOLDER, ZOO, Liar, a_node, animal, http


@asynccontextmanager
async def working(node, *, stores=None, terms=QUICK):
    """One worker for each store, until the block ends."""
    stop = asyncio.Event()
    workers = [asyncio.create_task(run(s, node.home, node.node, stop, terms)) for s in stores or [node.store]]
    try:
        yield workers
    finally:
        stop.set()
        await asyncio.gather(*workers)


async def until(condition, seconds: float = 60.0) -> None:
    began = time.monotonic()
    while not await condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds} s")
        await asyncio.sleep(0.02)


def in_step(node, peer, wanted="regional"):
    async def look() -> bool:
        state = await node.state(peer, wanted)
        return state is not None and state.last_success is not None

    return look


async def test_new_objects_arrive_by_themselves(pair, monkeypatch):
    alpha, beta = pair
    monkeypatch.setattr(worker, "LONGEST_TICK", 0.2)
    await beta.apply(
        {"peers": {"alpha": a_peer(alpha.url, "regional", every="1s")}, "collections": {"onward": {}}}
    )
    first, second = alpha.incident("first"), alpha.incident("second")
    await alpha.make(first)
    async with working(beta):
        await until(lambda: _has(beta, first["id"]))
        await alpha.make(second)
        await until(lambda: _has(beta, second["id"]))


async def _has(node, id_) -> bool:
    return await node.newest(id_) is not None


async def test_a_peer_in_trouble_of_any_kind_holds_up_nobody(pair):
    alpha, beta = pair
    await alpha.make_many(5)

    async def hang(asked, writer):
        await asyncio.sleep(30)

    async with animal() as hanging, animal() as lying, animal() as down:
        hanging.answers["/.well-known/tocsin.json"] = hang
        lying.answers |= a_node(ZOO) | {f"{FOLDER}changes/": http(200, b"<html>", "text/html")}
        troubled = {
            "a-down": a_peer("http://127.0.0.1:1/taxii2/", "regional"),
            "b-hanging": a_peer(hanging.url, "regional"),
            "c-lying": a_peer(lying.url, "regional"),
            "d-without-credential": a_peer(down.url, "regional"),
            "e-nonsense": a_peer("http://user:word@zoo.example/", "regional"),
        }
        await beta.apply(
            {"peers": {**troubled, "z-alpha": a_peer(alpha.url, "regional")}, "collections": {"onward": {}}}
        )
        await introduce(beta, alpha, "z-alpha", "beta")
        for name in ("a-down", "b-hanging", "c-lying", "e-nonsense"):
            beta.home.write_secret(f"peers/{name}", "w0rd")
        terms = replace(QUICK, bounds=Bounds(deadline=1.5, silence=1.5, attempts=1))

        async def all_told() -> bool:
            states = [await beta.state(name) for name in troubled]
            return all(state is not None and state.attempts >= 1 for state in states)

        async with working(beta, terms=terms):
            await until(in_step(beta, "z-alpha"))
            hanging_state = await beta.state("b-hanging")
            assert hanging_state is None or hanging_state.attempts == 0  # it still hangs
            await until(all_told)
        assert await beta.holds() >= await alpha.shows()
        assert (await beta.state("z-alpha")).attempts == 0
        words = {name: (await beta.state(name)).last_error for name in troubled}
    assert "cannot be reached" in words["a-down"]
    assert "fell silent" in words["b-hanging"] or "did not finish" in words["b-hanging"]
    assert "text/html" in words["c-lying"]
    assert "no credential" in words["d-without-credential"]
    assert "must not hold a credential" in words["e-nonsense"]


async def test_a_failure_puts_off_and_a_success_forgets_it(pair):
    alpha, beta = pair
    async with animal() as zoo:
        await beta.apply({"peers": {"alpha": a_peer(zoo.url, "regional")}, "collections": {"onward": {}}})
        zoo.answers["/taxii2/"] = http(503, {}, Retry_After="600")
        for _ in range(3):
            report = await beta.pull("alpha")
        state = await beta.state("alpha")
        assert report.state == "failed"
        assert state.attempts == 3
        assert state.last_error == report.error == "alpha answered 503 at /taxii2/"
        async with beta.store.reading() as tx:
            assert 590 < (state.due - await tx.now()) / 1_000_000 <= 600
    await beta.apply({"peers": {"alpha": a_peer(alpha.url, "regional")}, "collections": {"onward": {}}})
    assert (await beta.pull("alpha")).state == "in step"
    state = await beta.state("alpha")
    assert (state.attempts, state.last_error) == (0, None)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_two_workers_at_once_read_each_page_once(tmp_path, make_database, engine, monkeypatch):
    monkeypatch.setattr(worker, "LONGEST_TICK", 0.2)
    url = make_database(engine)
    async with neighbour("Beta", tmp_path / "beta", url) as beta, animal() as zoo:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        liar = Liar(zoo)
        for number in range(60):
            liar.says(beta.incident(f"n{number}", created_by_ref=ZOO))
        other = await Store.open(url, require_durable=False)
        try:
            async with working(beta, stores=[beta.store, other], terms=replace(QUICK, page=5)):
                await until(in_step(beta, "zoo"))
                await asyncio.sleep(0.3)
        finally:
            await other.close()
        asked = [asked.query.get("after", [""])[0] for asked in zoo.asked if asked.path.endswith("/changes/")]
        assert len(asked) == len(set(asked)) == 12
        assert len(await beta.ledger("zoo")) == 60


async def test_without_a_lease_the_cursor_keeps_it_right(pair):
    alpha, beta = pair
    await alpha.make_many(30)
    small = replace(QUICK, page=4)
    reports = await asyncio.gather(*(beta.pull("alpha", terms=small) for _ in range(3)))
    assert "failed" not in {report.state for report in reports}
    assert "in step" in {report.state for report in reports}
    assert await beta.holds() >= await alpha.shows()
    assert [row.object_id for row in await beta.ledger("alpha")] == [row.object_id for row in await alpha.log()]


async def test_a_fault_of_ours_is_noted_with_the_peer_and_stops_no_other(pair, monkeypatch):
    alpha, beta = pair
    await beta.apply(
        {
            "peers": {"alpha": a_peer(alpha.url, "regional"), "bad": a_peer(alpha.url, "regional")},
            "collections": {"onward": {}},
        }
    )
    real = worker.pull_once

    async def faulty(store, home, node, peer_name, wanted, **more):
        if peer_name == "bad":
            async with store.writing() as tx:
                party = await parties.party_by_name(tx, peer_name)
                await peers.ensure_pulls(tx, [(party.id, wanted)])
            raise ZeroDivisionError("a mistake of ours")
        return await real(store, home, node, peer_name, wanted, **more)

    monkeypatch.setattr(worker, "pull_once", faulty)

    async def noted() -> bool:
        state = await beta.state("bad")
        return state is not None and state.attempts > 0

    async with working(beta):
        await until(noted)
        await until(in_step(beta, "alpha"))
    assert "a fault of this node" in (await beta.state("bad")).last_error


async def test_a_worker_that_is_cancelled_ends_and_gives_its_leases_back(pair):
    alpha, beta = pair
    await alpha.make_many(20)
    stop = asyncio.Event()
    task = asyncio.create_task(run(beta.store, beta.home, beta.node, stop, replace(QUICK, page=2)))
    await until(lambda: _moved(beta))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with working(beta):
        await until(in_step(beta, "alpha"))
    assert await beta.holds() >= await alpha.shows()


async def _moved(node) -> bool:
    state = await node.state("alpha")
    return state is not None and state.cursor is not None


async def test_sync_reads_every_peer_to_its_end_and_reports_each(pair):
    alpha, beta = pair
    await alpha.make_many(30)
    beta_peers = {
        "alpha": a_peer(alpha.url, "regional", "nothing like it"),
        "down": a_peer("http://127.0.0.1:1/", "x"),
    }
    await beta.apply({"peers": beta_peers, "collections": {"onward": {}}})
    beta.home.write_secret("peers/down", "w0rd")
    terms = replace(QUICK, page=4, budget=replace(QUICK.budget, objects=8))
    reports = await sync_all(beta.store, beta.home, beta.node, terms=terms)
    assert [(report.peer, report.wanted, report.state) for report in reports] == [
        ("alpha", "regional", "in step"),
        ("alpha", "nothing like it", "failed"),
        ("down", "x", "failed"),
    ]
    assert reports[0].tally.seen >= 30
    assert "does not offer us 'nothing like it' (it offers: 'regional')" in reports[1].error
    assert [r.peer for r in await sync_all(beta.store, beta.home, beta.node, "down", terms)] == ["down"]
    with pytest.raises(NotFound, match="no peer 'nobody'"):
        await sync_all(beta.store, beta.home, beta.node, "nobody")


async def test_a_worker_that_is_cancelled_while_it_gives_its_lease_back_leaves_none(pair, monkeypatch):
    _, beta = pair
    done = asyncio.Event()

    async def ended_at_its_end(self, turn, lease):
        asyncio.current_task().cancel()  # which the next await tells: that of giving the lease back
        done.set()

    monkeypatch.setattr(worker._Worker, "_pull", ended_at_its_end)
    async with working(beta):
        await done.wait()
    async with beta.store.writing() as tx:
        assert await jobs.lease(tx, "pull alpha regional", "another process", await tx.now(), 60)
