"""What a person planned happens when it is due, once, and not by a clock that may be wrong."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from scene import ALLOW_OURS, NODE, Scene, identity_of, relationship
from tocsin.errors import BadInput, Refused
from tocsin.sharing import schedule as planning
from tocsin.sharing.withdraw import withdraw
from tocsin.stix.markings import Tlp, marked
from tocsin.stix.objects import make_object
from tocsin.store import parties, pauses, peers, schedule
from tocsin.store.tables import pull

AUTO = {"c": {"readers": ["beta"], "release": "automatic"}}
BY_HAND = {"c": {"readers": ["beta"]}, "d": {"readers": ["acme"]}}
RULES = {"c": ALLOW_OURS, "d": ALLOW_OURS}
HOUR = 3_600_000_000


@pytest.fixture
def clock(scene: Scene, monkeypatch) -> Scene:
    """The database's clock and the machine's are those of the scene."""
    monkeypatch.setattr(scene.store, "_clock", lambda: scene.now)
    monkeypatch.setattr(planning.time, "time_ns", lambda: scene.now * 1000)
    return scene


async def embargo(scene, *ids, key=None, until=HOUR):
    async with scene.store.writing() as tx:
        await planning.publish_later(
            tx, scene.configuration, NODE, ids, due=scene.now + until, by="mari", now=scene.now, key=key
        )


async def expire(scene, *ids, at=HOUR):
    async with scene.store.writing() as tx:
        await planning.withdraw_later(tx, ids, due=scene.now + at, by="mari", now=scene.now)


async def made(scene, collections, **more):
    await scene.apply(collections, {key: RULES[key] for key in collections})
    one = scene.incident(**more)
    await scene.make((one, "incident"))
    return one


@pytest.mark.parametrize("collections", [{"c": BY_HAND["c"]}, {"c": {**BY_HAND["c"], "direct": False}}])
async def test_what_is_under_embargo_enters_when_that_ends_and_once(clock, collections):
    one = await made(clock, collections)
    await embargo(clock, one.id)
    clock.later(minutes=59)
    assert await planning.carry_out_due(clock.store, NODE) == 0
    assert await clock.incidents_seen("c") == set()
    clock.later(minutes=2)
    counts = await asyncio.gather(*(planning.carry_out_due(clock.store, NODE) for _ in range(3)))
    assert sum(counts) == 1
    assert await clock.incidents_seen("c") == {one.id}


async def test_an_embargo_keeps_out_of_an_automatic_collection_too(clock):
    await clock.apply({"c": BY_HAND["c"]}, {"c": ALLOW_OURS})
    one = clock.incident()
    await clock.make((one, "incident"))
    await embargo(clock, one.id)
    await clock.apply(AUTO, {"c": ALLOW_OURS})
    assert await clock.incidents_seen("c") == set()
    clock.later(hours=2)
    await planning.carry_out_due(clock.store, NODE)
    assert await clock.incidents_seen("c") == {one.id}


async def test_an_embargo_on_what_readers_have_comes_too_late(clock):
    one = await made(clock, AUTO)
    with pytest.raises(Refused, match="too late"):
        await embargo(clock, one.id)


async def test_an_embargo_for_one_collection_says_nothing_of_another(clock):
    one = await made(clock, BY_HAND)
    await clock.publish(one.id, key="d")
    await embargo(clock, one.id, key="c")
    assert (await clock.incidents_seen("c"), await clock.incidents_seen("d")) == (set(), {one.id})
    clock.later(hours=2)
    await planning.carry_out_due(clock.store, NODE)
    assert await clock.incidents_seen("c") == {one.id}


async def test_what_expires_leaves_and_stays_out(clock):
    one = await made(clock, AUTO)
    await expire(clock, one.id)
    clock.later(hours=2)
    await planning.carry_out_due(clock.store, NODE)
    assert await clock.incidents_seen("c") == set()
    clock.later()
    await clock.make((clock.incident(means=["wiper"]), "incident"))
    assert await clock.incidents_seen("c") == set()


async def test_a_downgrade_makes_new_versions_that_go_where_the_old_ones_stand(clock):
    await clock.apply(
        {"c": {**AUTO["c"], "clearance": "green"}, "d": {**BY_HAND["d"], "clearance": "amber"}}, RULES
    )
    one = clock.incident(tlp="amber")
    victim = make_object(identity_of("victim", NODE.identity, tlp="amber"))
    tie = make_object(relationship(one.id, victim.id, NODE.identity, tlp="amber"))
    await clock.make((one, "incident"), (victim, "victim"), (tie, "relationship"))
    await clock.publish(one.id, key="d")
    async with clock.store.writing() as tx:
        await planning.downgrade_later(
            tx, [one.id], level=Tlp.GREEN, due=clock.now + HOUR, by="mari", now=clock.now
        )
    assert one.id not in await clock.seen("c")
    clock.later(hours=2)
    assert await planning.carry_out_due(clock.store, NODE) == 1
    for key in ("c", "d"):
        shown = (await clock.seen(key))[one.id]
        assert marked(shown).level is Tlp.GREEN
        assert shown["modified"] > one.version
    async with clock.store.writing() as tx:
        with pytest.raises(Refused, match="no lower"):
            await planning.downgrade_later(
                tx, [one.id], level=Tlp.AMBER, due=clock.now + HOUR, by="mari", now=clock.now
            )


@pytest.mark.parametrize("word", ["hold", "withdraw"])
async def test_a_later_word_of_a_person_cancels_what_was_planned(clock, word):
    one = await made(clock, {"c": BY_HAND["c"]})
    await embargo(clock, one.id)
    if word == "hold":
        await clock.hold(one.id)
    else:
        async with clock.store.writing() as tx:
            await withdraw(tx, clock.configuration, NODE, [one.id], reason="x", by="o", now=clock.now)
    clock.later(hours=2)
    assert await planning.carry_out_due(clock.store, NODE) == 0
    assert await clock.incidents_seen("c") == set()


async def test_what_cannot_be_done_is_given_up_with_its_reason_and_holds_up_nothing(clock):
    await clock.apply(BY_HAND, RULES)
    one, two = clock.incident("one"), clock.incident("two")
    await clock.make((one, "incident"))
    await clock.make((two, "incident"))
    await embargo(clock, one.id, key="d")
    await embargo(clock, two.id, key="c")
    await clock.apply({"c": BY_HAND["c"]}, {"c": ALLOW_OURS})
    clock.later(hours=2)
    assert await planning.carry_out_due(clock.store, NODE) == 2
    assert await clock.incidents_seen("c") == {two.id}
    async with clock.store.reading() as tx:
        assert await schedule.to_come(tx) == []


async def test_nothing_can_be_planned_for_the_past(clock):
    one = await made(clock, {"c": BY_HAND["c"]})
    with pytest.raises(BadInput, match="passed"):
        await embargo(clock, one.id, until=-1)


async def test_a_clock_that_may_be_wrong_carries_out_nothing(clock, monkeypatch):
    one = await made(clock, {"c": BY_HAND["c"], "d": BY_HAND["d"]})
    await embargo(clock, one.id, key="c")
    two = clock.incident("two")
    clock.later(hours=2)
    monkeypatch.setattr(planning.time, "time_ns", lambda: (clock.now + 61_000_000) * 1000)
    assert await planning.carry_out_due(clock.store, NODE) == 0  # the machine's clock says otherwise
    monkeypatch.setattr(planning.time, "time_ns", lambda: clock.now * 1000)
    clock.later(hours=1)
    await clock.make((two, "incident"))
    await clock.publish(two.id, key="d")
    clock.clock -= timedelta(minutes=30)
    assert await planning.carry_out_due(clock.store, NODE) == 0  # time has gone back
    clock.later(hours=1)
    await _skewed(clock, beta=90, gamma=95)
    assert await planning.carry_out_due(clock.store, NODE) == 0  # several peers say that it is later, or earlier
    await _skewed(clock, beta=90, gamma=1)
    assert await planning.carry_out_due(clock.store, NODE) == 1
    assert one.id in await clock.incidents_seen("c")


async def _skewed(scene, **seconds):
    async with scene.store.writing() as tx:
        for name, skew in seconds.items():
            party = await parties.party_by_name(tx, name)
            await peers.ensure_pulls(tx, [(party.id, "x")])
            await tx.connection.execute(
                update(pull)
                .where(pull.c.party_id == party.id)
                .values(skew=skew * 1_000_000, last_success=scene.now)
            )


async def test_a_pause_of_everything_stops_what_is_planned(clock):
    one = await made(clock, {"c": BY_HAND["c"]})
    await embargo(clock, one.id)
    clock.later(hours=2)
    async with clock.store.writing() as tx:
        await pauses.put(tx, [pauses.EVERYBODY], "alarm", "mari", clock.now)
    assert await planning.carry_out_due(clock.store, NODE) == 0
    async with clock.store.writing() as tx:
        await pauses.lift(tx, [pauses.EVERYBODY])
    assert await planning.carry_out_due(clock.store, NODE) == 1
