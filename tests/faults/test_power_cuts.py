"""The power goes while four writers post: what was acknowledged is on the disk when it comes back.

The disk is an ext4 file system in a file, which is shut down under the node without writing anything more. One
cut by default, 100 in the full form, in which PostgreSQL loses its power as well; `TOCSIN_TEST_CUTS` asks for a
number.

A machine without power answers nobody, but this one goes on: an `fdatasync` that Linux is in while the file system
is shut down returns without an error now and then (a bare SQLite sees it in one cut of forty). So what is answered
after the cut has begun counts as if there had been no answer.
"""

import asyncio
import signal
from contextlib import ExitStack

import pytest

from cluster import Cluster
from disks import LoopDisk, NoDisk, loop_disk
from extent import FULL, dice_for, extent
from history import History, check_all, check_integrity, check_recent, spread, start_again, writing
from postgresql_server import NoPostgresql
from replicas import deployed

CUTS = extent("cuts", 1, 100)


@pytest.fixture
def disk(tmp_path):
    with ExitStack() as stack:
        try:
            made = stack.enter_context(loop_disk(tmp_path, 1024))
        except NoDisk as why:
            pytest.skip(f"no disk whose power can be cut: {why}")
        yield made


async def _cut(disk: LoopDisk, history: History) -> None:
    history.too_late = True
    await asyncio.to_thread(disk.cut)


async def test_what_was_acknowledged_survives_the_power_cut_of_the_machine_with_its_sqlite_file(
    disk: LoopDisk, tmp_path, record_property
):
    dice, history, restarts = dice_for("power cuts, SQLite"), History(), []
    database = f"sqlite:///{disk.folder / 'home-0' / 'tocsin.db'}"
    # what a node says of a disk that fails under it is no concern here
    with deployed(disk.folder, database, 1, logs=tmp_path, quiet=False) as node:
        for number in range(CUTS):
            async with writing(node, history, dice, first=4 * number):
                await history.goes_on()
                await asyncio.sleep(dice.uniform(0.0, 0.5))
                await _cut(disk, history)
                await asyncio.sleep(dice.uniform(0.0, 0.1))  # the node may find out, and must say so well
                await asyncio.to_thread(node.replicas[0].end, signal.SIGKILL)
            await asyncio.to_thread(disk.remount)
            history.too_late = False
            restarts.append(await start_again(node))
            await check_integrity(node.database)
            await check_recent(node.database, history)
        await check_all(node, history)
        await asyncio.to_thread(node.replicas[0].end, signal.SIGKILL)
    record_property("power cuts", CUTS)
    record_property("acknowledged, none lost", len(history.acknowledged))
    record_property("answers", dict(history.answers))
    record_property("ready after", spread(restarts))


@pytest.mark.skipif(not FULL, reason="PostgreSQL's own promise: only in the full form (TOCSIN_TEST_FULL=1)")
async def test_what_was_acknowledged_survives_the_power_cut_of_the_machine_with_postgresql(
    disk: LoopDisk, tmp_path, record_property
):
    dice, history = dice_for("power cuts, PostgreSQL"), History()
    try:
        cluster = Cluster.make(disk.folder / "data")
    except NoPostgresql as why:
        pytest.skip(f"no PostgreSQL: {why}")
    with cluster, deployed(tmp_path, cluster.url(), 1, quiet=False) as node:
        for number in range(CUTS):
            async with writing(node, history, dice, first=4 * number):
                await history.goes_on()
                await asyncio.sleep(dice.uniform(0.0, 0.5))
                await _cut(disk, history)
                await asyncio.sleep(dice.uniform(0.0, 0.1))
                await asyncio.to_thread(cluster.kill)
            await asyncio.to_thread(disk.remount)
            history.too_late = False
            await asyncio.to_thread(cluster.start)
            async with writing(node, history, dice, first=4 * (CUTS + number)):
                await history.goes_on()  # the node finds its database again
            await check_recent(node.database, history)
        await check_integrity(node.database)
        await check_all(node, history)
        await asyncio.to_thread(cluster.kill)
    record_property("power cuts", CUTS)
    record_property("acknowledged, none lost", len(history.acknowledged))
    record_property("answers", dict(history.answers))
