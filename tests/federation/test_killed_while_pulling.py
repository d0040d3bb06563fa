"""A pull that is killed at any moment: the cursor is never ahead of the data, and nothing comes twice."""

import asyncio
import multiprocessing
import os
import random
import sys

import pytest

from neighbours import alpha_and_beta
from pulling_process import pull
from tocsin.taxii.query import read_position


@pytest.fixture(scope="module")
def processes():
    """Processes that start at once: forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pulling_process"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join(sys.path)
        )  # the fork server of Python 3.11 is not told by itself
        yield context


@pytest.mark.parametrize(("engine", "kills"), [("sqlite", 20), ("postgresql", 20)])
async def test_kills_lose_nothing_and_double_nothing(tmp_path, make_database, processes, engine, kills):
    dice = random.Random(f"kills on {engine}")
    urls = [make_database(engine), make_database(engine)]
    async with alpha_and_beta(tmp_path, lambda _: urls.pop(0) if len(urls) > 1 else urls[0]) as (alpha, beta):
        await alpha.make_many(120)
        log = await alpha.log()
        position_of = {entry.object_id: entry.position for entry in log}
        killed_half_way = 0
        for _ in range(kills):
            process = processes.Process(target=pull, args=(str(beta.home.path), urls[0], 3))
            process.start()
            before = await _cursor(beta)
            for _ in range(200):  # until it moves: what comes before is importing and connecting
                await asyncio.sleep(0.01)
                if await _cursor(beta) != before or not process.is_alive():
                    break
            await asyncio.sleep(dice.random() * 0.08)
            process.kill()
            await asyncio.to_thread(process.join)
            cursor = await _cursor(beta)
            held = {id_ for id_, _, _ in await beta.holds("alpha")}
            named = {row.object_id for row in await beta.ledger("alpha")}
            upto = {id_ for id_, position in position_of.items() if position <= cursor}
            assert named == upto  # neither more nor less than the cursor says
            assert held <= upto
            killed_half_way += 0 < len(upto) < len(position_of)
        assert killed_half_way >= kills // 4
        report = await beta.pull("alpha")
        assert (report.state, report.error) == ("in step", "")
        assert await beta.holds() >= await alpha.shows()
        ledger = await beta.ledger("alpha")
        assert [row.object_id for row in ledger] == [entry.object_id for entry in log]
        assert len({row.position for row in ledger}) == len(ledger)
        assert {row.outcome for row in ledger if row.object_id.startswith("incident--")} == {"stored"}


async def _cursor(node) -> int:
    state = await node.state("alpha")
    return read_position(state.cursor, "cursor") if state and state.cursor else 0
