"""Equal moments: nothing was committed in between, by this store, another one or another process; never else."""

import asyncio
import contextlib
import random
import sys

import pytest

from samples import NOW
from tocsin.errors import Unavailable
from tocsin.store import accounts, audit, moment, parties
from tocsin.store.moment import PostgresqlWitness, Session, moment_of
from tocsin.store.transaction import Store

# Commits one line of audit each time it is told to.
OTHER_PROCESS = """
import asyncio, sys
from tocsin.store import audit
from tocsin.store.transaction import Store

async def main():
    store = await Store.open(sys.argv[1], require_durable=False)
    while line := await asyncio.to_thread(sys.stdin.readline):
        async with store.writing() as tx:
            await audit.append(tx, "event", line.strip(), {}, 1)
        print("done", flush=True)
    await store.close()

asyncio.run(main())
"""


async def _write(store, subject="s"):
    async with store.writing() as tx:
        await audit.append(tx, "event", subject, {}, 1)


async def _count(store):
    async with store.reading() as tx:
        return len(await audit.entries(tx, limit=10_000))


async def test_nothing_committed_is_the_same_moment(store):
    before = await store.moment()
    assert await store.moment() == before
    await _count(store)  # reading is no commit
    assert await store.moment() == before

    async def fail():
        async with store.writing() as tx:
            await audit.append(tx, "event", "s", {}, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await _count(store) == 0


async def test_every_commit_is_another_moment(store):
    seen = [await store.moment()]
    for _ in range(5):
        await _write(store)
        seen.append(await store.moment())
    assert len(set(seen)) == 6


async def test_what_is_not_committed_yet_may_not_be_read_under_a_moment_that_stays(store):
    """A long transaction began before and commits after: the moments around its commit differ."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def write():
        async with store.writing() as tx:
            await audit.append(tx, "long", "s", {}, 1)
            begun.set()
            await go_on.wait()

    task = asyncio.create_task(write())
    await begun.wait()
    inside = await store.moment()
    assert await _count(store) == 0
    assert await store.moment() == inside
    go_on.set()
    await task
    assert await store.moment() != inside


async def test_a_commit_of_another_store_is_another_moment(store, database_url):
    other = await Store.open(database_url, require_durable=False)
    try:
        for _ in range(3):
            before = await store.moment(), await other.moment()
            await _write(other)
            assert await store.moment() != before[0]
            assert await other.moment() != before[1]
    finally:
        await other.close()


async def test_a_commit_of_another_process_is_another_moment(store, database_url):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        OTHER_PROCESS,
        database_url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for number in range(5):
            before = await store.moment()
            assert await store.moment() == before
            process.stdin.write(f"{number}\n".encode())
            assert await process.stdout.readline() == b"done\n"
            assert await store.moment() != before
        assert await _count(store) == 5
    finally:
        process.stdin.close()
        await process.wait()


async def test_a_revoked_token_is_another_moment_however_small_the_change(store):
    async with store.writing() as tx:
        people = await parties.ensure_parties(tx, {"acme": "account"}, {}, NOW)
        await accounts.make_token(tx, people["acme"], NOW)
    before = await store.moment()
    async with store.writing() as tx:
        await accounts.revoke_tokens(tx, people["acme"], NOW)
    after = await store.moment()
    assert after != before
    async with store.writing() as tx:
        await parties.set_suspended(tx, people["acme"], True)
    assert await store.moment() not in (before, after)


@pytest.mark.parametrize("seed", range(3))
async def test_in_a_hundred_random_interleavings_an_equal_moment_is_an_equal_state(database_url, seed):
    """Two stores write, read and look at random; whatever was read between two equal moments is what is there."""
    rnd = random.Random(seed)
    stores = [await Store.open(database_url, require_durable=False) for _ in range(2)]
    committed = 0
    wrong, hits = [], 0

    async def write(store):
        nonlocal committed
        async with store.writing() as tx:
            await audit.append(tx, "event", "s", {}, 1)
            await asyncio.sleep(rnd.random() / 500)
        committed += 1

    async def remember(store):
        """As the exchange does: read, keep it if the moments around it are equal, believe it while they stay."""
        nonlocal hits
        before = await store.moment()
        found = await _count(store)
        if await store.moment() != before:
            return
        for _ in range(4):
            await asyncio.sleep(rnd.random() / 300)
            at_least = committed  # acknowledged before we ask
            now = await store.moment()
            if now == before:
                hits += 1
                if found < at_least:
                    wrong.append((found, at_least))

    try:
        for _ in range(100 // 5):
            await asyncio.gather(
                *(
                    write(rnd.choice(stores)) if rnd.random() < 0.4 else remember(rnd.choice(stores))
                    for _ in range(5)
                )
            )
            await remember(stores[0])  # at rest, so that it is believed at least then
    finally:
        for store in stores:
            await store.close()
    assert wrong == []
    assert hits >= 20
    assert committed > 5


# --- PostgreSQL ----------------------------------------------------------------------------------------------


class _SlowServer:
    """A witness's connection that counts, and whose answers come when they are let."""

    def __init__(self):
        self.questions = 0
        self.asked = asyncio.Event()
        self.let = asyncio.Event()
        self.state = "1:1:"
        self.closed = False

    async def prepare(self, question):
        return self

    async def fetchval(self, *question):
        if question:  # when the server was started
            return "started"
        self.asked.set()
        self.questions += 1
        seen = self.state  # what it looks at when it is asked, not when it answers
        await self.let.wait()
        return seen

    def is_closed(self):
        return self.closed

    def terminate(self):
        self.closed = True

    async def close(self, **_options):
        self.closed = True


async def test_who_asks_while_a_question_is_on_its_way_shares_the_next_and_never_that_one():
    server = _SlowServer()

    async def connect():
        return server

    witness = PostgresqlWitness(connect)
    first = asyncio.create_task(witness.moment())
    await server.asked.wait()
    server.state = "2:2:"  # committed while the first is on its way
    late = [asyncio.create_task(witness.moment()) for _ in range(7)]
    await asyncio.sleep(0)
    late[0].cancel()  # who gives up takes nothing from the others
    server.let.set()
    early, *others = await asyncio.gather(first, *late, return_exceptions=True)
    assert server.questions == 2
    assert isinstance(others.pop(0), asyncio.CancelledError)
    assert len({*others}) == 1
    assert early not in others
    assert await witness.moment() == others[0]
    await witness.close()


async def test_a_server_that_does_not_answer_is_unavailable_and_is_asked_anew(monkeypatch):
    monkeypatch.setattr(moment, "SECONDS", 0.05)
    servers = [_SlowServer(), _SlowServer()]
    unused = iter(servers)

    async def connect():
        return next(unused)

    witness = PostgresqlWitness(connect)
    ended = await asyncio.gather(*(witness.moment() for _ in range(3)), return_exceptions=True)
    assert {type(end) for end in ended} == {Unavailable}
    assert servers[0].closed
    monkeypatch.setattr(moment, "SECONDS", 10)
    again = asyncio.create_task(witness.moment())
    await servers[1].asked.wait()
    servers[1].let.set()
    assert await again == await witness.moment()
    await witness.close()


def test_the_same_state_in_another_session_is_another_moment():
    session = Session()
    assert moment_of("7:9:8", session) == moment_of("7:9:8", session)
    assert moment_of("7:9:8", session) != moment_of("7:9:", session)
    assert moment_of("7:9:8", session) != moment_of("7:9:8", Session())
    assert moment_of(None, session) != moment_of(None, session)  # a standby cannot say


async def test_a_lost_witness_proves_nothing_across_its_loss(make_database):
    store = await Store.open(make_database("postgresql"), require_durable=False)
    try:
        before = await store.moment()
        async with store.writing() as tx:
            await tx.connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with contextlib.suppress(Unavailable):  # where the news of the loss has not arrived yet
            assert await store.moment() != before
        after = await store.moment()
        assert after != before
        assert await store.moment() == after
    finally:
        await store.close()


async def test_a_server_that_is_gone_is_unavailable(tmp_path):
    async def connect():
        raise ConnectionRefusedError("nobody there")

    witness = PostgresqlWitness(connect)
    for _ in range(2):
        with pytest.raises(Unavailable, match="nobody there"):
            await witness.moment()
    await witness.close()
