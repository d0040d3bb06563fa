"""Pauses: rows that every way of looking up a party sees, on both databases."""

import pytest

from tocsin.store import accounts, parties, pauses
from tocsin.store import configuration as applied
from tocsin.store.pauses import EVERYBODY

NOW = 1_741_944_413_000_000


@pytest.fixture
async def people(store):
    async with store.writing() as tx:
        ids = await parties.ensure_parties(tx, {"acme": "account", "beta": "peer"}, {}, NOW)
        await applied.apply(tx, {"tocsin.yaml": ""}, "0" * 64, NOW)
        tokens = {name: await accounts.make_token(tx, id_, NOW) for name, id_ in ids.items()}
    return ids, tokens


async def paused_by_every_way(store, people) -> set[str]:
    """Who is paused; each way of looking up a party must say the same."""
    ids, tokens = people
    async with store.reading() as tx:
        ways = [
            {party.name for party in await parties.parties(tx) if party.paused},
            {name for name in ids if (await parties.party_by_name(tx, name)).paused},
            {name for name, id_ in ids.items() if (await parties.party_by_id(tx, id_)).paused},
            {name for name, token in tokens.items() if (await accounts.verify_token(tx, token)).paused},
        ]
    glanced = set()
    for name, token in tokens.items():
        holder, _ = await accounts.glance_at_holder(store, token)
        glanced |= {name} if holder.party.paused else set()
    assert all(way == glanced for way in ways), (ways, glanced)
    return glanced


async def test_every_way_of_looking_up_a_party_sees_its_pause_and_everybodys(store, people):
    ids, _ = people
    assert await paused_by_every_way(store, people) == set()
    async with store.writing() as tx:
        assert not await pauses.paused(tx)
        assert await pauses.put(tx, [ids["beta"]], "a test", "mari", NOW) == [ids["beta"]]
    assert await paused_by_every_way(store, people) == {"beta"}
    async with store.writing() as tx:
        assert not await pauses.paused(tx)  # one is not everything
        assert await pauses.put(tx, [EVERYBODY], "fire", "mari", NOW + 1) == [EVERYBODY]
        assert await pauses.paused(tx)
    assert await paused_by_every_way(store, people) == {"acme", "beta"}
    async with store.writing() as tx:
        assert await pauses.lift(tx, [EVERYBODY]) == [EVERYBODY]
    assert await paused_by_every_way(store, people) == {"beta"}  # by itself, still
    async with store.writing() as tx:
        assert await pauses.lift(tx, [ids["beta"], ids["acme"]]) == [ids["beta"]]
    assert await paused_by_every_way(store, people) == set()


async def test_a_pause_keeps_its_first_reason_and_time(store, people):
    ids, _ = people
    async with store.writing() as tx:
        await pauses.put(tx, [ids["beta"]], "first", "mari", NOW)
        assert await pauses.put(tx, [ids["beta"], ids["acme"]], "second", "juku", NOW + 5) == [ids["acme"]]
        found = await pauses.pauses(tx)
    assert [(found[ids[name]].because, found[ids[name]].by, found[ids[name]].since) for name in ids] == [
        ("second", "juku", NOW + 5),
        ("first", "mari", NOW),
    ]
