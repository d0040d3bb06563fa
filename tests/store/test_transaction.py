"""A transaction is whole or absent, a reader sees one state, and a database that could lose data is refused."""

import asyncio
import os
import sqlite3
import stat
import time
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from postgresql_server import FAST, start
from samples import incident, keep
from tocsin.errors import BadInput, NotFound, Refused, Unavailable
from tocsin.store import audit, objects, releases, transaction
from tocsin.store.tables import token
from tocsin.store.transaction import Store


async def test_an_error_leaves_nothing_behind(store):
    async def fail():
        async with store.writing() as tx:
            await audit.append(tx, "event", "subject", {}, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with store.reading() as tx:
        assert await audit.entries(tx) == []


async def test_a_cancelled_transaction_leaves_nothing_behind_and_the_next_one_works(store):
    begun = asyncio.Event()

    async def wait_for_ever():
        async with store.writing() as tx:
            await audit.append(tx, "event", "subject", {}, 1)
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait_for_ever())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with store.writing() as tx:
        assert await audit.entries(tx) == []
        await audit.append(tx, "event", "subject", {}, 2)
    async with store.reading() as tx:
        assert [entry.at for entry in await audit.entries(tx)] == [2]


async def test_a_reader_sees_one_state_while_others_write(store):
    async with store.writing() as tx:
        await audit.append(tx, "first", "s", {}, 1)
    async with store.reading() as reader:
        assert len(await audit.entries(reader)) == 1
        async with store.writing() as tx:
            await audit.append(tx, "second", "s", {}, 2)
        assert len(await audit.entries(reader)) == 1
    async with store.reading() as reader:
        assert len(await audit.entries(reader)) == 2


async def test_a_reader_does_not_wait_for_a_writer(store):
    async with store.writing() as tx:
        await audit.append(tx, "unseen", "s", {}, 1)
        async with asyncio.timeout(2), store.reading() as reader:
            assert await audit.entries(reader) == []


async def test_a_reading_transaction_writes_nothing(store):
    # the driver's own error, where the statement is put to it past SQLAlchemy
    with pytest.raises((DBAPIError, sqlite3.OperationalError), match=r"readonly|read-only"):
        async with store.reading() as tx:
            await audit.append(tx, "event", "s", {}, 1)
    async with store.reading() as tx:
        assert await audit.entries(tx) == []


async def test_what_breaks_a_rule_of_the_schema_is_an_error_of_ours_and_not_passing(store):
    row = {"id": "t", "party_id": "nobody", "sha256": b"", "created": 1}
    with pytest.raises(IntegrityError):
        async with store.writing() as tx:
            await tx.connection.execute(token.insert(), row)


async def test_the_clock_is_read_once_for_each_transaction(database_url):
    ticks = iter(range(100, 200))
    store = await Store.open(database_url, clock=lambda: next(ticks), require_durable=False)
    try:
        async with store.writing() as tx:
            assert (await tx.now(), await tx.now()) == (100, 100)
        async with store.reading() as tx:
            assert await tx.now() == 101
    finally:
        await store.close()


async def test_the_clock_of_the_database_is_in_microseconds(store):
    before = time.time_ns() // 1000
    async with store.reading() as tx:
        first = await tx.now()
    async with store.reading() as tx:
        second = await tx.now()
    assert before - 1_000_000 <= first < second <= time.time_ns() // 1000 + 1_000_000


async def test_decimals_in_what_is_kept_as_json_keep_their_digits(store):
    exact = Decimal("0.1234567890123456789")
    async with store.writing() as tx:
        await audit.append(tx, "event", "s", {"score": exact, "count": 3, "text": "é", "none": None}, 1)
        (entry,) = await audit.entries(tx)
    assert entry.details == {"score": exact, "count": 3, "text": "é", "none": None}


# --- SQLite --------------------------------------------------------------------------------------------------


@pytest.fixture
def sqlite_url(make_database):
    return make_database("sqlite")


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


async def test_sqlite_is_opened_so_that_what_it_commits_is_kept(sqlite_url):
    store = await Store.open(sqlite_url)
    try:
        for session in (store.writing, store.reading):
            async with session() as tx:
                for pragma, value in (
                    ("journal_mode", "wal"),
                    ("synchronous", 2),
                    ("foreign_keys", 1),
                    ("busy_timeout", 5000),
                ):
                    assert (await tx.connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one() == value
    finally:
        await store.close()


async def test_the_files_of_sqlite_are_private(sqlite_url, tmp_path):
    fresh = tmp_path / "fresh.db"
    previous = os.umask(0)
    try:
        await Store.create(f"sqlite:///{fresh}")
        store = await Store.open(f"sqlite:///{fresh}")
        async with store.writing() as tx:
            await audit.append(tx, "event", "s", {}, 1)
            files = list(tmp_path.glob("fresh.db*"))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
        await store.close()
    finally:
        os.umask(previous)
    assert len(modes) == 3  # the database, its journal, and the index of the journal
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("opening", [Store.open, Store.create])
async def test_a_file_that_others_may_read_is_refused(sqlite_url, opening):
    _file(sqlite_url).chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        await opening(sqlite_url)


async def test_a_missing_file_is_not_made_by_opening_it(tmp_path):
    with pytest.raises(NotFound, match="tocsin init"):
        await Store.open(f"sqlite:///{tmp_path / 'absent.db'}")
    assert list(tmp_path.iterdir()) == []


async def test_a_file_in_a_folder_that_does_not_exist_cannot_be_made(tmp_path):
    with pytest.raises(Refused, match="cannot be made"):
        await Store.create(f"sqlite:///{tmp_path / 'absent' / 'x.db'}")


async def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path):
    file = tmp_path / "tocsin.db"
    file.write_bytes(b"this is a letter to grandmother, and no database at all" * 20)
    file.chmod(0o600)
    for opening in (Store.open, Store.create):
        with pytest.raises(Unavailable, match="no database"):
            await opening(f"sqlite:///{file}")


@pytest.mark.parametrize("name", ["50%.db", "what?.db", "a b#c.db", "ü.db"])
async def test_a_path_may_hold_any_sign(tmp_path, name):
    url = f"sqlite:///{tmp_path / name}"
    await Store.create(url)
    await (await Store.open(url)).close()
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize(
    "url",
    ["", "sqlite", "sqlite:///relative.db", "sqlite://", "mysql://host/db", "postgresql+psycopg://h/db", "x://"],
)
async def test_an_address_that_is_none_is_bad_input(url):
    with pytest.raises(BadInput, match="database"):
        await Store.open(url)


async def test_a_lock_that_is_not_had_in_time_is_unavailable(sqlite_url, monkeypatch):
    monkeypatch.setattr(transaction, "BUSY_TIMEOUT", 0.1)
    holder = await Store.open(sqlite_url)
    other = await Store.open(sqlite_url)  # as another process would
    try:
        async with holder.writing():
            with pytest.raises(Unavailable, match="locked"):
                async with other.writing():
                    pass
            async with other.reading() as tx:
                assert await audit.entries(tx) == []
        async with other.writing() as tx:
            await audit.append(tx, "event", "s", {}, 1)
    finally:
        await holder.close()
        await other.close()


async def test_writers_of_one_process_queue_and_do_not_use_up_the_patience_of_sqlite(sqlite_url, monkeypatch):
    monkeypatch.setattr(transaction, "BUSY_TIMEOUT", 0.05)
    store = await Store.open(sqlite_url, require_durable=False)

    async def write(number: int) -> None:
        async with store.writing() as tx:
            await audit.append(tx, "event", "s", {}, number)
            await asyncio.sleep(0.02)

    try:
        await asyncio.gather(*(write(n) for n in range(20)))
        async with store.reading() as tx:
            assert [entry.at for entry in await audit.entries(tx)] == list(range(19, -1, -1))
    finally:
        await store.close()


async def test_a_writer_does_not_wait_for_ever_for_another(sqlite_url, monkeypatch):
    monkeypatch.setattr(transaction, "QUEUE_TIMEOUT", 0.05)
    store = await Store.open(sqlite_url, require_durable=False)
    try:
        async with store.writing():
            with pytest.raises(Unavailable, match="waiting to write"):
                async with store.writing():
                    pass
        async with store.writing() as tx:
            assert await audit.entries(tx) == []
    finally:
        await store.close()


async def test_as_many_read_at_once_as_ask(store):
    inside = 0
    full = asyncio.Event()

    async def read() -> None:
        nonlocal inside
        async with store.reading() as tx:
            assert await audit.entries(tx) == []
            inside += 1
            if inside == 10:
                full.set()
            await full.wait()

    async with asyncio.timeout(20):
        await asyncio.gather(*(read() for _ in range(10)))


async def test_a_full_disk_is_unavailable_and_leaves_the_store_usable(sqlite_url):
    store = await Store.open(sqlite_url)
    try:
        async with store.writing() as tx:
            pages = (await tx.connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
            await tx.connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(Unavailable, match="full"):
            async with store.writing() as tx:
                await keep(tx, incident(1, description="x" * 200_000))
        async with store.writing() as tx:
            assert await objects.all_ids(tx) == []
            await audit.append(tx, "event", "s", {}, 1)
    finally:
        await store.close()


# --- PostgreSQL ----------------------------------------------------------------------------------------------


@pytest.fixture
def postgresql_database(make_database):
    return make_database("postgresql")


async def test_a_server_that_may_lose_commits_is_refused(postgresql_database):
    with pytest.raises(Refused, match="fsync = off"):
        await Store.open(postgresql_database)


async def test_a_server_that_keeps_its_commits_is_accepted_until_one_setting_says_otherwise(postgresql_url):
    if os.environ.get("TOCSIN_TEST_POSTGRESQL"):
        pytest.skip("a server of our own is needed, to change its settings")
    server = await asyncio.to_thread(start, ())
    try:
        await Store.create(server.url())
        await (await Store.open(server.url())).close()
        careless = await Store.open(server.url())
        async with careless.writing() as tx:
            await tx.connection.execute(text("ALTER ROLE postgres SET synchronous_commit = off"))
        await careless.close()
        with pytest.raises(Refused, match="synchronous_commit = off"):
            await Store.open(server.url())
    finally:
        await asyncio.to_thread(server.stop)
    assert FAST  # the other tests' server is the careless one


async def test_a_server_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="cannot be reached"):
        await Store.open(f"postgresql://postgres@/db?host={tmp_path}")


async def test_a_database_that_does_not_exist_is_refused_with_a_sentence(postgresql_database):
    absent = make_url(postgresql_database).set(database="absent").render_as_string()
    with pytest.raises(Unavailable, match="absent"):
        await Store.open(absent)


async def test_a_lost_connection_is_unavailable_and_the_next_transaction_works(postgresql_database):
    store = await Store.open(postgresql_database, require_durable=False)

    async def lose_it():
        async with store.writing() as tx:
            await audit.append(tx, "event", "s", {}, 1)
            mine = (await tx.connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            async with store.writing() as other:
                await other.connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
            await audit.append(tx, "event", "s", {}, 2)

    try:
        with pytest.raises(Unavailable):
            await lose_it()
        async with store.writing() as tx:
            assert await audit.entries(tx) == []
    finally:
        await store.close()


async def test_two_that_wait_for_each_other_are_unavailable_not_stuck(postgresql_database):
    store = await Store.open(postgresql_database, require_durable=False)
    first_holds, second_holds = asyncio.Event(), asyncio.Event()

    async def work(first: int, second: int, holds: asyncio.Event, other_holds: asyncio.Event) -> None:
        async with store.writing() as tx:
            await tx.connection.execute(text(f"SELECT pg_advisory_xact_lock({first})"))
            holds.set()
            await other_holds.wait()
            await tx.connection.execute(text(f"SELECT pg_advisory_xact_lock({second})"))

    try:
        ended = await asyncio.gather(
            work(1, 2, first_holds, second_holds), work(2, 1, second_holds, first_holds), return_exceptions=True
        )
    finally:
        await store.close()
    assert [type(end) for end in ended if end is not None] == [Unavailable]


# --- PostgreSQL alone ----------------------------------------------------------------------------------------


async def test_what_is_committed_stays_acknowledged_though_its_rows_cannot_be_counted(make_database, monkeypatch):
    class Gone:
        async def connect(self):
            raise OSError("no connection")

    store = await Store.open(make_database("postgresql"), require_durable=False)
    writer = store._writer
    try:
        async with store.writing() as tx:
            await audit.append(tx, "event", "subject", {}, 1)
            tx.wrote(1_000)
            monkeypatch.setattr(store, "_writer", Gone())
        assert store._unanalysed == 0  # it was tried
        async with store.reading() as tx:
            assert len(await audit.entries(tx)) == 1
    finally:
        monkeypatch.setattr(store, "_writer", writer)
        await store.close()


async def test_writers_follow_one_another_where_there_is_no_collection_to_hold(make_database):
    store = await Store.open(make_database("postgresql"), require_durable=False)
    held = asyncio.Event()

    async def second():
        async with store.writing() as tx:
            await releases.lock_all(tx)
            held.set()

    try:
        async with store.writing() as tx:
            assert await releases.lock_all(tx) == []
            waiting = asyncio.create_task(second())
            await asyncio.sleep(0.2)
            assert not held.is_set()
        await waiting
        assert held.is_set()
    finally:
        await store.close()
