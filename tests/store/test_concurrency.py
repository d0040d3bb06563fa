"""Many write one log at once and many read it: everybody sees what is committed, in the order of the log."""

import asyncio
import sys
from pathlib import Path

import pytest

from samples import NOW, incident, incident_id, keep, make_collection, put
from tocsin.store import jobs, objects, pages, peers, releases
from tocsin.store.pages import Filter
from tocsin.store.parties import ensure_parties
from tocsin.store.transaction import Store

WRITERS, ROUNDS, EACH = 8, 6, 3


async def test_no_reader_misses_what_eight_writers_commit(database_url):
    """Two stores on one database, as two processes have them."""
    stores = [await Store.open(database_url, require_durable=False) for _ in range(2)]
    try:
        async with stores[0].writing() as tx:
            collection_id = await make_collection(tx)
        done = asyncio.Event()
        committed: list[tuple[int, str]] = []

        async def write(writer: int) -> None:
            for round_ in range(ROUNDS):
                first = (writer * ROUNDS + round_) * EACH
                versions = [incident(first + n) for n in range(EACH)]
                async with stores[writer % 2].writing() as tx:
                    kept = await objects.add_versions(tx, versions, received=NOW)
                    await asyncio.sleep(
                        0.002
                    )  # the longer between the clock and the commit, the more could go wrong
                    entries = [put(v, s) for v, s in zip(versions, kept, strict=True)]
                    written = await releases.append(tx, collection_id, entries, "c", await tx.now())
                committed.extend((entry.position, entry.object_id) for entry in written)

        async def poll(reader: int) -> list[tuple[int, str]]:
            seen: list[tuple[int, str]] = []
            while True:
                last_round = done.is_set()
                async with stores[reader % 2].reading() as tx:
                    after = seen[-1][0] if seen else None
                    page = await pages.page(tx, collection_id, Filter(after=after), 7)
                seen += [(row.position, row.object_id) for row in page.rows]
                if last_round and not page.rows:
                    return seen
                await asyncio.sleep(0.001)

        async def write_all() -> None:
            await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
            done.set()

        *seen, _ = await asyncio.gather(*(poll(reader) for reader in range(3)), write_all())
        assert len(committed) == WRITERS * ROUNDS * EACH
        for one in seen:
            assert one == sorted(committed)
        async with stores[0].reading() as tx:
            head = await releases.head(tx, collection_id)
        assert (head.last_position, head.standing) == (max(committed)[0], len(committed))
    finally:
        for store in stores:
            await store.close()


async def test_writers_of_several_collections_do_not_wait_in_a_circle(store):
    async with store.writing() as tx:
        ids = list((await releases.ensure_collections(tx, {"a": None, "b": None, "c": None}, {}, NOW)).values())
        kept = await keep(tx, incident(1))

    async def write(order: list[str]) -> None:
        async with store.writing() as tx:
            await releases.lock(tx, order)
            for collection_id in order:
                await releases.append(tx, collection_id, [put(incident(1), kept)], "c", NOW)
                await asyncio.sleep(0)

    await asyncio.gather(*(write(order) for order in (ids, ids[::-1], ids[1:], ids[:2]) for _ in range(5)))
    async with store.reading() as tx:
        for collection_id in ids:
            assert (await releases.head(tx, collection_id)).standing == 1


async def test_the_same_version_from_many_at_once_is_kept_once(store):
    versions = [incident(n) for n in range(20)]

    async def add(order: list) -> list[int]:
        async with store.writing() as tx:
            return [stored.seq for stored in await objects.add_versions(tx, order, received=NOW)]

    found = await asyncio.gather(*(add(versions if n % 2 else versions[::-1]) for n in range(6)))
    assert {tuple(sorted(seqs)) for seqs in found} == {tuple(sorted(found[0]))}
    async with store.reading() as tx:
        kept = [one.seq for version in versions for one in await objects.versions(tx, version.id)]
    assert sorted(kept) == sorted(found[0])


async def test_one_of_two_moves_a_cursor(store):
    async with store.writing() as tx:
        party = (await ensure_parties(tx, {"beta": "peer"}, {}, NOW))["beta"]
        await peers.ensure_pulls(tx, [(party, "c")])

    async def move(new: str) -> bool:
        async with store.writing() as tx:
            return await peers.move_cursor(tx, party, "c", None, new)

    assert sorted(await asyncio.gather(move("1"), move("2"), move("3"))) == [False, False, True]


async def test_one_of_many_gets_a_lease(store):
    async def take(holder: str) -> bool:
        async with store.writing() as tx:
            return await jobs.lease(tx, "sync", holder, NOW, 10)

    assert sorted(await asyncio.gather(*(take(f"h{n}") for n in range(5)))) == [False] * 4 + [True]


_PROCESS = """
import asyncio, sys
sys.path.insert(0, {here!r})
from samples import incident, make_collection, put
from tocsin.store import objects, releases
from tocsin.store.transaction import Store

async def main(first):
    store = await Store.open({url!r}, require_durable=False)
    async with store.reading() as tx:
        (collection,) = await releases.collections(tx)
    for number in range(first, first + 25):
        version = incident(number)
        async with store.writing() as tx:
            stored = await objects.add_version(tx, version, received=1)
            await releases.append(tx, collection.id, [put(version, stored)], "c", await tx.now())
    await store.close()

asyncio.run(main(int(sys.argv[1])))
"""


async def test_two_processes_write_one_database(database_url):
    store = await Store.open(database_url, require_durable=False)
    try:
        async with store.writing() as tx:
            collection_id = await make_collection(tx)
        script = _PROCESS.format(here=str(Path(__file__).parent), url=database_url)
        writing = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-W", "error", "-c", script, str(first), stderr=asyncio.subprocess.PIPE
            )
            for first in (0, 100)
        ]
        seen: list[str] = []
        after = None
        while True:
            over = all(process.returncode is not None for process in writing)
            async with store.reading() as tx:
                page = await pages.page(tx, collection_id, Filter(after=after), 10)
            seen += [row.object_id for row in page.rows]
            after = page.rows[-1].position if page.rows else after
            if over and not page.rows:
                break
            await asyncio.sleep(0.005)
        for process in writing:
            assert (await process.communicate())[1] == b""
            assert process.returncode == 0
    finally:
        await store.close()
    assert sorted(seen) == sorted(incident_id(n) for n in (*range(25), *range(100, 125)))


@pytest.mark.parametrize("seconds", [10])
async def test_a_lease_is_extended_given_back_and_runs_out(store, seconds):
    async with store.writing() as tx:
        assert await jobs.lease(tx, "sync", "a", NOW, seconds)
        assert await jobs.lease(tx, "sync", "a", NOW + 5_000_000, seconds)  # extended
        assert not await jobs.lease(tx, "sync", "b", NOW + 14_999_999, seconds)
        assert await jobs.lease(tx, "sync", "b", NOW + 15_000_000, seconds)  # it ran out
        await jobs.release_lease(tx, "sync", "a")  # no longer a's
        assert not await jobs.lease(tx, "sync", "a", NOW + 15_000_001, seconds)
        await jobs.release_lease(tx, "sync", "b")
        assert await jobs.lease(tx, "sync", "a", NOW + 15_000_002, seconds)
