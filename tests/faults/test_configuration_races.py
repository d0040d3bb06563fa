"""Configurations that come into force beside other processes: once, and nothing is judged by the one before."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from replicas import indicator
from scene import NODE, Scene, files
from tocsin.errors import Unavailable
from tocsin.intake.receive import read_offered, receive_posts
from tocsin.policy.configuration import read_configuration
from tocsin.sharing.apply import apply, apply_unnoticed, in_force
from tocsin.stix.objects import make_object
from tocsin.store import configuration as applied
from tocsin.store import parties
from tocsin.store.transaction import Store

OPEN = {"c": {"readers": ["acme"], "writers": ["writer"], "unmarked": "clear"}}
ALLOW = "rules: [{id: posted, match: {type: indicator}, then: allow, reason: writers may share these}]"
DENY = "rules: [{id: none, match: {type: indicator}, then: deny, reason: not any more}]"


@asynccontextmanager
async def processes(url: str, count: int):
    """As many stores over one database as there would be processes."""
    async with AsyncExitStack() as stack:
        stores = [await Store.open(url, require_durable=False) for _ in range(count)]
        for one in stores:
            stack.push_async_callback(one.close)
        yield stores


async def test_what_processes_propose_that_start_at_once_comes_into_force_once(database_url):
    wanted = read_configuration(files(OPEN, {"c": ALLOW}))
    async with processes(database_url, 4) as stores:
        done = await asyncio.gather(*(apply_unnoticed(store, wanted, NODE) for store in stores))
        async with stores[0].reading() as tx:
            assert [one.sha256 for one in await applied.history(tx)] == [wanted.sha256]
            names = [party.name for party in await parties.parties(tx)]
            assert len(set(names)) == len(names)
    assert sorted(one.is_in_force for one in done) == [False, True, True, True]


async def test_a_process_that_starts_brings_nothing_into_force_that_readers_would_notice(store):
    scene = Scene(store)
    await scene.apply(OPEN, {"c": ALLOW})
    await scene.post("writer", "c", indicator(1))
    wanted = read_configuration(files(OPEN, {"c": DENY}))
    assert (await apply_unnoticed(store, wanted, NODE)).touches_released
    async with store.reading() as tx:
        assert (await in_force(tx)).sha256 == scene.configuration.sha256
    assert indicator(1)["id"] in await scene.seen("c")


async def test_a_plan_stays_good_while_writers_add(store):
    scene = Scene(store)
    await scene.apply(OPEN, {"c": ALLOW})
    await scene.post("writer", "c", indicator(1))
    foreseen = await scene.plan({"c": {**OPEN["c"], "title": "Renamed"}}, {"c": ALLOW})
    await scene.post("writer", "c", indicator(2))
    await apply(store, foreseen, NODE)
    async with store.reading() as tx:
        assert (await in_force(tx)).sha256 == foreseen.proposed.sha256


async def test_what_waited_while_a_configuration_came_into_force_is_not_judged_by_the_one_before(make_database):
    """On PostgreSQL alone: on SQLite the one waits for the other before it reads anything."""
    async with processes(make_database("postgresql"), 2) as (store, other):
        scene = Scene(other)
        await scene.apply(OPEN, {"c": ALLOW})
        async with store.writing() as tx:
            party = await parties.party_by_name(tx, "writer")
            before = await in_force(tx)  # as every request reads it, before it waits for the logs
            await scene.apply(OPEN, {"c": DENY})
            posted = [read_offered(make_object(indicator(1)).raw)]
            with pytest.raises(Unavailable):
                await receive_posts(tx, before, NODE, "c", party, posted, now=await tx.now())
        assert indicator(1)["id"] not in await scene.seen("c")
