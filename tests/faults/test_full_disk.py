"""The disk of the node is full: writes are told so (503), reads go on, nothing is lost; with room all works again.

On a small file system where root may mount one. Without root a limit on the size of files stands in for it: the
database cannot grow either. Two cycles by default, 20 in the full form; `TOCSIN_TEST_FULL_DISKS` asks for a
number.
"""

import asyncio
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from disks import NoDisk, fill, small_disk
from extent import dice_for, extent
from history import History, Writer, check_all, check_recent, everything_shown, reading
from replicas import WRITERS, Deployment, deployed

CYCLES = extent("full_disks", 2, 20)
MEGABYTES = 48
NO_ROOM = "The node has no room left to store this."


@dataclass
class Room:
    """How to take the room of a running node away, and to give it back."""

    folder: Path
    take: Callable[[Deployment, int], None]
    give_back: Callable[[Deployment], None]
    reason: str


@contextmanager
def _small_disk(folder: Path) -> Iterator[Room]:
    with small_disk(folder, MEGABYTES) as place:

        def take(node: Deployment, leaving: int) -> None:
            fill(place, leaving)

        def give_back(node: Deployment) -> None:
            (place / "filler").unlink()

        yield Room(place, take, give_back, NO_ROOM)


@contextmanager
def _limited_files(folder: Path) -> Iterator[Room]:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    def take(node: Deployment, leaving: int) -> None:
        largest = max(file.stat().st_size for file in folder.glob("home-0/tocsin.db*"))
        _limit(node, (largest + leaving, resource.RLIM_INFINITY))

    yield Room(folder, take, lambda node: _limit(node, unlimited), "The node cannot do this now")


def _limit(node: Deployment, limit: tuple[int, int]) -> None:
    (replica,) = node.replicas
    assert replica.process is not None
    resource.prlimit(replica.process.pid, resource.RLIMIT_FSIZE, limit)


@pytest.fixture(params=["a full disk", "files that may not grow"])
def room(request, tmp_path):
    make = _small_disk if request.param == "a full disk" else _limited_files
    with ExitStack() as stack:
        try:
            room = stack.enter_context(make(tmp_path))
        except NoDisk as why:
            pytest.skip(f"no small disk: {why}")
        yield room


async def test_writes_are_told_so_reads_go_on_and_with_room_all_works_again(
    room: Room, tmp_path_factory, record_property
):
    dice, written, read = dice_for("full disks"), History(), History()
    database = f"sqlite:///{room.folder / 'home-0' / 'tocsin.db'}"
    stop = asyncio.Event()
    with deployed(room.folder, database, 1, logs=tmp_path_factory.mktemp("logs")) as node:
        reader = asyncio.create_task(reading(node, read, stop))
        for cycle in range(CYCLES):
            writers = [Writer(4 * cycle + number, written, dice) for number in range(4)]
            await _write(node, writers, written, 202, 20)
            room.take(node, dice.choice((0, 0, 20_000, 80_000)))
            await _write(node, writers, written, 503, 10)
            await check_recent(node.database, written)
            assert {(one["id"], one["modified"]) for one in await everything_shown(node, "tess")} >= set(
                written.acknowledged
            )
            room.give_back(node)
            await _write(node, writers, written, 202, 1)
            await check_recent(node.database, written)
        stop.set()
        await reader
        await check_all(node, written)
    assert set(read.answers) == {200}  # nobody who reads has noticed
    assert set(written.answers) == {202, 503}
    assert all(reason.startswith(room.reason) for reason in written.reasons), written.reasons
    record_property("times without room", CYCLES)
    record_property("acknowledged, none lost", len(written.acknowledged))
    record_property("told that there is no room", written.answers[503])
    record_property("read meanwhile", read.answers[200])


async def _write(node: Deployment, writers: list[Writer], history: History, status: int, count: int) -> None:
    """All write at once until there were so many more answers with this status."""
    enough = history.answers[status] + count
    stop = asyncio.Event()

    async def write(writer: Writer, by: str) -> None:
        async with node.client(node.addresses[0], by) as http:
            await writer.write(http, stop)

    tasks = [asyncio.create_task(write(writer, by)) for writer, by in zip(writers, WRITERS, strict=False)]
    try:
        async with asyncio.timeout(60):
            while history.answers[status] < enough:  # noqa: ASYNC110 - the writers themselves are what is waited for
                await asyncio.sleep(0.01)
    finally:
        stop.set()
        await asyncio.gather(*tasks)
