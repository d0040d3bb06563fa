"""A new node reads everything that another has, and either of them is killed again and again meanwhile.

Some thousand objects by default and two kills; a million and twenty in the full form, which then may take no more
than a quarter longer than without. `TOCSIN_TEST_BACKFILL` asks for a number of objects,
`TOCSIN_TEST_INTERRUPTIONS` of kills.
"""

import asyncio
import signal
import time
from collections.abc import Iterator

from extent import dice_for, extent
from history import send, start_again
from reader import Beta, held, memory_of, offered, read_by_beta
from replicas import WRITERS, Deployment, indicator

OBJECTS = extent("backfill", 2_000, 1_000_000)
KILLS = extent("interruptions", 2, 20)
MOST_MEMORY = 300.0  # MiB of each process
LONGER_AT_MOST = 1.25
_TELLING = 500_000  # objects from which starting again no longer weighs
_AT_ONCE = 1000


async def test_a_backfill_that_is_interrupted_again_and_again_ends_with_the_same(
    make_empty, tmp_path, record_property
):
    with read_by_beta(tmp_path, make_empty("sqlite")) as alpha:
        await _fill(alpha)
        await start_again(alpha, signal.SIGTERM)  # what it needed for being filled is no matter here
        betas = [
            await Beta.make(tmp_path / name, make_empty("sqlite"), alpha) for name in ("undisturbed", "disturbed")
        ]
        try:
            async with memory_of(alpha) as offering:
                undisturbed = await _timed_sync(betas[0])
                begun = time.monotonic()
                await _sync_disturbed(alpha, betas[1])
                disturbed = time.monotonic() - begun
            everything = await offered(alpha)
            assert everything[0] == OBJECTS
            assert [await held(beta) for beta in betas] == [everything, everything]
        finally:
            for beta in betas:
                beta.end()
    longer = disturbed / undisturbed
    record_property("objects", OBJECTS)
    record_property("undisturbed", f"{undisturbed:.1f} s, {OBJECTS / undisturbed:,.0f} objects/s")
    record_property(f"with {KILLS} kills", f"{disturbed:.1f} s, {longer:.2f} x")
    record_property("each kill costs", f"{(disturbed - undisturbed) / KILLS:.2f} s")
    reading = max(beta.peak for beta in betas)
    record_property("memory at most", f"{offering.memory:.0f} MiB offering, {reading:.0f} MiB reading")
    assert max(offering.memory, reading) <= MOST_MEMORY
    if OBJECTS >= _TELLING:
        assert longer <= LONGER_AT_MOST


async def _fill(alpha: Deployment) -> None:
    """Two writers add the objects."""
    parts = iter(range(0, OBJECTS, _AT_ONCE))

    async def fill(by: str) -> None:
        async with alpha.client(alpha.addresses[0], by) as http:
            for first in parts:
                values = [indicator(number) for number in range(first, min(first + _AT_ONCE, OBJECTS))]
                answer = await send(http, values)
                assert answer is not None
                assert answer.status_code == 202
                assert answer.json()["failure_count"] == 0

    await asyncio.gather(*map(fill, WRITERS[:2]))


async def _timed_sync(beta: Beta) -> float:
    begun = time.monotonic()
    assert await beta.sync().wait() == 0, beta.log.read_text()
    return time.monotonic() - begun


async def _sync_disturbed(alpha: Deployment, beta: Beta) -> None:
    """Sync to the end, and kill one side or the other at points all along the way."""
    sync = beta.sync()
    for number, point in enumerate(_points()):
        while await beta.progress() < point:
            if sync.process.poll() is not None:
                assert sync.process.returncode in (0, 1), beta.log.read_text()  # 1: it says that it was cut off
                sync = beta.sync()
            sync.look()
            await asyncio.sleep(0.02)
        if number % 2:
            await start_again(alpha, signal.SIGKILL)
        else:
            await asyncio.to_thread(sync.kill)
            sync = beta.sync()
    while await sync.wait() != 0:
        assert sync.process.returncode == 1, beta.log.read_text()
        sync = beta.sync()


def _points() -> Iterator[int]:
    """How far the reader is when it is disturbed: somewhere in each of as many equal parts."""
    dice = dice_for("interruptions of a back-fill")
    for number in range(KILLS):
        yield int(OBJECTS * (number + dice.uniform(0.05, 0.85)) / KILLS)
