"""PostgreSQL goes down under load and comes back: clients are told to come again (503), and nothing is lost.

Its fast and its immediate shutdown, and `kill -9`. One of each by default, 50 together in the full form;
`TOCSIN_TEST_RESTARTS` asks for a number.
"""

import asyncio
import itertools
import signal
import time

import pytest

from cluster import Cluster
from extent import FULL, dice_for, extent
from history import History, check_all, check_recent, reading, spread, writing
from postgresql_server import NoPostgresql
from replicas import deployed

RESTARTS = extent("restarts", 3, 50)
WAYS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)


@pytest.fixture
def cluster(tmp_path):
    try:
        made = Cluster.make(tmp_path / "data")
    except NoPostgresql as why:
        pytest.skip(f"no PostgreSQL: {why}")
    with made:
        yield made


async def test_clients_are_told_to_come_again_and_nothing_acknowledged_is_lost(
    cluster: Cluster, tmp_path, record_property
):
    dice, written, read = dice_for("restarts of PostgreSQL"), History(), History()
    recovered = []
    stop = asyncio.Event()
    with deployed(tmp_path, cluster.url(), 1) as node:
        reader = asyncio.create_task(reading(node, read, stop))
        async with writing(node, written, dice):
            for _, how in zip(range(RESTARTS), itertools.cycle(WAYS), strict=False):
                await written.goes_on()
                await asyncio.sleep(dice.uniform(0.0, 0.5))
                await asyncio.to_thread(cluster.stop, how)
                await asyncio.sleep(dice.uniform(0.0, 0.5))
                back = await asyncio.to_thread(cluster.start)
                await asyncio.gather(written.goes_on(), read.goes_on())
                recovered.append(time.monotonic() - back)
                await check_recent(node.database, written)
        stop.set()
        await reader
        await check_all(node, written)
    for history in (written, read):
        assert not history.odd, history.odd[:3]
        assert set(history.answers) <= {200, 202, 503}  # nobody's connection breaks off: the node itself is well
        assert history.answers[503] > 0
    record_property("restarts of PostgreSQL", RESTARTS)
    record_property("acknowledged, none lost", len(written.acknowledged))
    record_property("told to come again", f"{written.answers[503]} writes, {read.answers[503]} reads")
    record_property("writes and reads go on after", spread(recovered))
    if FULL:
        assert max(recovered) <= 3.0
