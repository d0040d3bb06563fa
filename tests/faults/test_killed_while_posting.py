"""`kill -9` of the node at any moment while four writers post: what was acknowledged stands, once.

Two kills on each database by default, 200 in the full form; `TOCSIN_TEST_KILLS` asks for a number.
"""

import asyncio
import signal

import pytest

from extent import FULL, dice_for, extent
from history import History, check_all, check_integrity, check_recent, spread, start_again, until_ready, writing
from replicas import deployed

KILLS = extent("kills", 2, 200)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_what_was_acknowledged_stands_once_after_every_kill(make_empty, tmp_path, record_property, engine):
    dice, history, restarts = dice_for(f"kills while posting, {engine}"), History(), []
    with deployed(tmp_path, make_empty(engine), 1) as node:
        async with writing(node, history, dice):
            for number in range(KILLS):
                await history.goes_on()  # none is killed before it did anything
                await asyncio.sleep(dice.uniform(0.0, 0.5))
                restarts.append(await start_again(node, signal.SIGKILL))
                await check_recent(node.database, history)
                if number % 10 == 0:
                    await check_integrity(node.database)
        await until_ready(node, 0.0, patience=float("inf"))
        await check_all(node, history)
    assert history.answers[0] > 0  # somebody was waiting for an answer when it was killed
    record_property("kills", KILLS)
    record_property("acknowledged, none lost", len(history.acknowledged))
    record_property("without an answer", history.answers[0])
    record_property("ready after", spread(restarts))
    if FULL:
        assert max(restarts) <= 5.0
