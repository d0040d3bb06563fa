"""What is written while the caller goes on is part of the transaction: whole or absent, however that ends."""

import asyncio

import pytest
from sqlalchemy import func, select

from tocsin.store import bulk
from tocsin.store.tables import reference

COLUMNS = ("version_seq", "target_id")


def rows(start: int, count: int) -> list[tuple[int, str]]:
    return [(start + number, "identity--x") for number in range(count)]


async def written(store) -> int:
    async with store.reading() as tx:
        return (await tx.connection.execute(select(func.count()).select_from(reference))).scalar_one()


async def write_long(tx) -> None:
    """A long write and a short one behind it, both under way."""
    await tx.now()
    await tx.connection.execute(select(1))  # the transaction has begun
    await bulk.insert(tx, reference, COLUMNS, rows(0, 5_000))
    await bulk.insert(tx, reference, COLUMNS, rows(1_000_000, 500))


async def test_what_is_written_behind_is_there_for_whoever_asks_next(store):
    async with store.writing() as tx:
        await write_long(tx)
        count = select(func.count()).select_from(reference)
        assert (await tx.connection.execute(count)).scalar_one() == 5_500
    assert await written(store) == 5_500


async def test_an_error_of_what_is_written_behind_undoes_everything(store):
    async def twice():
        async with store.writing() as tx:
            await write_long(tx)
            await bulk.insert(tx, reference, COLUMNS, rows(0, 500))  # they are there already

    with pytest.raises(Exception, match=r"(?i)unique"):
        await twice()
    assert await written(store) == 0
    async with store.writing() as tx:
        await write_long(tx)
    assert await written(store) == 5_500


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("fails", [False, True])
async def test_being_cancelled_however_often_undoes_everything(store, times, fails):
    begun = asyncio.Event()

    async def work():
        async with store.writing() as tx:
            await write_long(tx)
            begun.set()
            if fails:
                raise ZeroDivisionError
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises((asyncio.CancelledError, ZeroDivisionError)):
        await task
    assert await written(store) == 0
    async with store.writing() as tx:
        await write_long(tx)
    assert await written(store) == 5_500
