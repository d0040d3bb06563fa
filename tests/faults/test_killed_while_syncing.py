"""`kill -9` of either side while one node reads another: the reader ends with exactly what the other offers, once.

Two kills on each database by default, 200 in the full form; `TOCSIN_TEST_KILLS` asks for a number.
"""

import asyncio
import signal

import pytest

from extent import dice_for, extent
from history import History, ask, check_all, check_integrity, spread, start_again, writing
from reader import Beta, held, offered, read_by_beta

KILLS = extent("kills", 2, 200)
_DOUBLED = "SELECT id, version FROM object_version GROUP BY id, version HAVING count(*) > 1 LIMIT 3"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_the_reader_ends_with_exactly_what_is_offered_whichever_side_was_killed(
    make_empty, tmp_path, record_property, engine
):
    dice, history, restarts = dice_for(f"kills while syncing, {engine}"), History(), []
    half_way = 0
    with read_by_beta(tmp_path, make_empty(engine)) as alpha:
        beta = await Beta.make(tmp_path / "beta", make_empty(engine), alpha)
        try:
            async with writing(alpha, history, dice):
                for number in range(KILLS):
                    await history.goes_on()
                    before, sync = await beta.progress(), beta.sync()
                    while sync.process.poll() is None and await beta.progress() == before:  # noqa: ASYNC110 - a process
                        await asyncio.sleep(0.01)  # what comes before is starting and connecting
                    await asyncio.sleep(dice.uniform(0.0, 0.3))
                    half_way += sync.process.poll() is None
                    if number % 2 == 0:
                        await asyncio.to_thread(sync.kill)
                    else:
                        restarts.append(await start_again(alpha, signal.SIGKILL))
                        assert await sync.wait(150) in (0, 1), beta.log.read_text()  # 1: it says what went wrong
                    assert await ask(beta.database, _DOUBLED) == []
                    if number % 10 == 0:
                        await check_integrity(beta.database)
            assert await beta.sync().wait() == 0, beta.log.read_text()
            assert await held(beta) == await offered(alpha)
            assert await ask(beta.database, _DOUBLED) == []
            await check_integrity(beta.database)
            await check_all(alpha, history)
        finally:
            beta.end()
    record_property("kills", f"{KILLS}, {half_way} of them half-way, {len(restarts)} of the node that is read")
    record_property("objects", len(history.acknowledged))
    if restarts:
        record_property("ready after", spread(restarts))
