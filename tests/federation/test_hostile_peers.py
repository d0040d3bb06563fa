"""Hostile peers beside good ones: each ends in words for the operator, and costs the others nothing but its share.

The full form (TOCSIN_TEST_FULL=1, or TOCSIN_TEST_ROUNDS=n) measures how long the good ones take (tests/README.md).
"""

import asyncio
import json
import os
import re
import resource
import statistics
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from extent import FULL, SEED, dice_for, extent
from neighbours import Neighbour, a_peer, neighbour
from tocsin.peers import worker
from tocsin.peers.pull import Budget, PullReport, Terms
from tocsin.taxii.client import Bounds
from zoo import at
from zoo_behaviours import BEHAVIOURS, every

BOUNDS = Bounds(deadline=2.0, altogether=4.0, silence=1.0, connect=1.0, attempts=2, pause=0.1)
TERMS = Terms(budget=Budget(objects=400, seconds=2.0), bounds=BOUNDS, chance=lambda: 0.5)
TESTS = Path(__file__).parents[1]


@asynccontextmanager
async def keeper(*names: str):
    """Peers with these behaviours in a process of their own, so that what they do costs us nothing by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(TESTS / "zoo_behaviours.py"),
        *names,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()
        process._transport.close()  # its pipes; asyncio leaves that to chance


def named(kinds) -> list[str]:
    return [f"{name}:{speaks}" for name, speaks in kinds]


async def configure(beta: Neighbour, urls: dict[str, str], every_: str = "60s") -> None:
    for key in urls:
        beta.home.write_secret(f"peers/{key}", "w0rd")
    known = {key: a_peer(url, "regional", every=every_) for key, url in urls.items()}
    await beta.apply(
        {
            "accounts": {"acme": {"kind": "company"}},
            "peers": known,
            "collections": {"onward": {"readers": ["acme"]}},
        }
    )


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def peak() -> int:
    """Megabytes that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def test_there_are_enough_behaviours_to_mean_something():
    assert len(BEHAVIOURS) >= 30


def chosen() -> list[tuple[str, str]]:
    """All behaviours, in each way of speaking; in an ordinary run some of those that do not take long."""
    found = list(every())
    if FULL:
        return found
    dice_for("behaviours").shuffle(found)
    quick = [(name, speaks) for name, speaks in dict(found).items() if not BEHAVIOURS[name].floods]
    return quick[: extent("behaviours", 24, len(found))]


async def test_each_hostile_peer_ends_in_words_for_the_operator_and_none_blocks(
    tmp_path, make_database, record_property
):
    """Eight at a time, beside a decent one, of which nothing is missed."""
    kinds = chosen()
    record_property("behaviours", f"{len(kinds)}, seed {SEED}")
    async with AsyncExitStack() as stack:
        beta = await stack.enter_async_context(neighbour("Beta", tmp_path, make_database("sqlite")))
        keys = [f"p{number}" for number in range(len(kinds))]
        urls = await stack.enter_async_context(keeper("is decent:node", *named(kinds)))
        await configure(beta, dict(zip(["decent", *keys], urls, strict=True)))
        files, memory, asked = 0, peak(), 0
        for first in range(0, len(keys), 8):
            part = keys[first : first + 8]
            good, *reports = await asyncio.gather(*(beta.pull(key, terms=TERMS) for key in ("decent", *part)))
            asked += 1
            files = files or open_files()  # from then on as many are open as so many pulls at once need
            assert (good.state, good.tally.stored) == ("in step", 1)
            for key, kind, report in zip(part, kinds[first : first + 8], reports, strict=True):
                if BEHAVIOURS[kind[0]].words and report.state != "failed":
                    report = await beta.pull(key, terms=TERMS)  # what only shows when one comes back
                check_end(kind, report)
                state = await beta.state(key)
                assert (state.last_error or "") == report.error, kind
                assert (state.attempts > 0) == bool(report.error), kind
        assert len(await beta.ledger("decent")) == asked
        assert open_files() <= files + 4
        record_property("memory", f"{peak() - memory} MB more at most")
        assert peak() - memory <= 150


def check_end(kind: tuple[str, str], report: PullReport) -> None:
    words = BEHAVIOURS[kind[0]].words
    if words:
        assert report.state == "failed", kind
        assert re.search(words, report.error), (kind, report.error)
        assert len(report.error) < 1000, kind
    else:
        assert report.state in ("in step", "unfinished"), (kind, report.state, report.error)


async def test_five_of_eight_peers_are_hostile_and_the_good_ones_miss_nothing(
    tmp_path, make_database, record_property, monkeypatch
):
    """Rounds with five hostile peers, other ones each time, and rounds with none, by turns, in one run."""
    rounds, hostile = extent("rounds", 1, 24), 5
    kinds = list(every()) if FULL else chosen()
    dice_for("rounds").shuffle(kinds)
    took: dict[str, list[float]] = {"alone": [], "beset": []}
    phase = "alone"
    real = worker.pull_once

    async def timed(store, home, node, peer_name, wanted, **more):
        began = time.perf_counter()
        report = await real(store, home, node, peer_name, wanted, **more)
        if peer_name.startswith("good") and report.state == "in step":
            took[phase].append(time.perf_counter() - began)
        return report

    monkeypatch.setattr(worker, "pull_once", timed)
    monkeypatch.setattr(worker, "LONGEST_TICK", 0.3)
    async with AsyncExitStack() as stack:
        beta = await stack.enter_async_context(neighbour("Beta", tmp_path, make_database("sqlite")))
        good = ["good1", "good2", "good3"]
        urls = dict(zip(good, await stack.enter_async_context(keeper(*["is decent:node"] * 3)), strict=True))
        files = open_files()
        memory = 0
        for number in range(2 * rounds):
            phase = "beset" if number % 2 else "alone"
            async with AsyncExitStack() as cage:
                bad, five = {}, []
                if phase == "beset":
                    five = [kinds[(number // 2 * hostile + n) % len(kinds)] for n in range(hostile)]
                    found = await cage.enter_async_context(keeper(*named(five)))
                    bad = {f"bad{number}-{n}": url for n, url in enumerate(found)}
                await configure(beta, urls | bad, "1s")
                enough = {key: len(await beta.ledger(key)) + 4 for key in good}
                stop = asyncio.Event()
                working = asyncio.create_task(worker.run(beta.store, beta.home, beta.node, stop, TERMS))
                until = time.monotonic() + 120
                while waiting := [key for key in good if len(await beta.ledger(key)) < enough[key]]:
                    await asyncio.wait({working}, timeout=0.1)
                    assert not working.done()
                    assert time.monotonic() < until, (waiting, five)
                stop.set()
                await working
                memory = memory or peak()
        for key in good:
            rows = await beta.ledger(key)
            assert {row.outcome for row in rows} == {"stored"}
            assert [row.position for row in rows] == [at(n) for n in range(1, len(rows) + 1)]  # none is missing
        assert open_files() <= files + 4
        assert peak() - memory <= 150
    alone, beset = (statistics.quantiles(took[when], n=20)[-1] for when in ("alone", "beset"))
    record_property("memory", f"{peak() - memory} MB more at most")
    record_property("p95", f"{alone * 1000:.0f} ms alone, {beset * 1000:.0f} ms beset: {beset / alone:.2f} times")
    record_property(
        "pulls", f"{len(took['alone'])} alone, {len(took['beset'])} beset, {rounds} rounds, seed {SEED}"
    )
    if FULL:
        assert beset <= 1.5 * alone
