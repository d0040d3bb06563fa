"""What a collection keeps for so long and no longer leaves its log without a withdrawal, and stays out."""

import os
import random
from datetime import timedelta

import pytest

from scene import ALLOW_ANY, NODE, Scene, an_incident, identity_of, relationship
from test_stability import ADDRESS, Story, _moved_by_judging_again, _open_references
from tocsin.errors import BadFile
from tocsin.sharing import retention
from tocsin.sharing.publish import publish
from tocsin.sharing.release import prune, sit
from tocsin.stix.objects import FREE_TYPES, make_object
from tocsin.store import objects, pruned, releases
from tocsin.store.transaction import Store

STORIES = int(os.environ.get("TOCSIN_TEST_STORIES", "6"))
DELTA = identity_of("CERT Delta")
ANY = ALLOW_ANY.removesuffix("]")
REDACT = f"{ANY}, {{id: r, match: {{means: wiper, origin: any}}, then: redact, redact: [victim], reason: y}}]"


async def opened(scene: Scene, policy: str = ALLOW_ANY, confirmed: int | None = None, **more) -> Scene:
    await scene.apply(
        {"c": {"readers": ["acme"], "release": "automatic", "retention": "30d"} | more}, {"c": policy}, confirmed
    )
    return scene


async def pruned_now(scene: Scene, batch: int = retention.BATCH) -> list[str]:
    """Everything that is too old by the scene's clock goes, as the job does it."""
    gone: list[str] = []
    for _ in range(10):
        after, before = 0, len(gone)
        while after is not None:
            async with scene.store.writing() as tx:
                outcomes, after = await retention._step(
                    tx, scene.configuration, NODE, "c", after, scene.now, batch
                )
            gone += [one.object_id for one in outcomes if one.what == "pruned"]
        if len(gone) == before:
            return sorted(gone)
    raise AssertionError("it never ends")


async def ops(scene: Scene, id_: str) -> list[str]:
    async with scene.store.reading() as tx:
        return [one.op for one in await releases.history(tx, [id_])]


def theirs(scene: Scene, digit: str = "1", **more):
    id_ = f"incident--{digit}d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a"
    return an_incident(scene.clock, creator=DELTA["id"], id=id_) | more


async def test_only_what_was_released_longer_ago_is_pruned(scene):
    await opened(scene)
    old = scene.incident("old")
    await scene.make((old, "incident"))
    scene.later(days=29)
    young = scene.incident("young")
    await scene.make((young, "incident"))
    assert await pruned_now(scene) == []
    scene.later(days=2)
    assert await pruned_now(scene) == [old.id]
    assert await scene.incidents_seen("c") == {young.id}
    assert await ops(scene, old.id) == ["put", "prune"]
    async with scene.store.reading() as tx:
        assert old.id in await objects.newest(tx, [old.id])  # what is ours stays in our own store


async def test_another_form_of_age_the_first_put_counts_not_the_last(scene):
    await opened(scene)
    made = scene.incident("old")
    await scene.make((made, "incident"))
    scene.later(days=20)
    await opened(scene, policy="rules: []", confirmed=6)
    await opened(scene)
    assert await ops(scene, made.id) == ["put", "withdraw", "put"]
    scene.later(days=11)
    assert made.id in await pruned_now(scene)


async def test_judging_again_and_applying_do_not_bring_it_back_and_explain_says_why(scene):
    await opened(scene)
    made, brought = scene.incident("old"), theirs(scene)
    await scene.make((made, "incident"))
    await scene.receive("beta", DELTA, brought)
    scene.later(days=31)
    assert set(await pruned_now(scene)) >= {made.id, brought["id"]}
    assert await _moved_by_judging_again(scene) == []
    await opened(scene, policy=REDACT, title="another")
    await scene.apply({"c": {"readers": ["acme"], "release": "automatic"}}, {"c": ALLOW_ANY})  # kept for ever now
    assert await scene.incidents_seen("c") == set()
    for id_ in (made.id, brought["id"]):
        found = await scene.explain(id_, "c")
        assert (found.would, found.stands) == ("withheld", None)
        assert [reason.rule for reason in found.reasons][-1] == "pruned"


async def test_the_same_from_another_peer_or_older_does_not_enter_again_but_a_new_version_does(scene):
    await opened(scene)
    older = theirs(scene)
    scene.later()
    brought = theirs(scene)
    await scene.receive("beta", DELTA, brought)
    scene.later(days=31)
    await pruned_now(scene)
    await scene.receive("gamma", DELTA, brought, older)
    assert await scene.incidents_seen("c") == set()
    await scene.receive("gamma", DELTA, theirs(scene))
    assert await scene.incidents_seen("c") == {brought["id"]}
    assert await _moved_by_judging_again(scene) == []
    assert await pruned_now(scene) == []


async def test_a_new_version_of_ours_enters_with_what_it_was_made_with(scene):
    await opened(scene)
    victim = make_object(identity_of("Victim", NODE.identity))
    incident = scene.incident("one")
    tie = make_object(relationship(incident.id, victim.id, NODE.identity))
    await scene.make((incident, "incident"), (victim, "victim"), (tie, "relationship"))
    scene.later(days=31)
    assert set(await pruned_now(scene)) >= {incident.id, victim.id, tie.id}
    await scene.make((scene.incident("one"), "incident"), (victim, "victim"), (tie, "relationship"))
    assert {incident.id, victim.id, tie.id} <= set(await scene.seen("c"))
    scene.later(days=29)
    await scene.make((scene.incident("one"), "incident"))  # its company is as old as it was
    scene.later(days=3)
    assert await pruned_now(scene) == []


async def test_publishing_by_name_puts_it_back_ours_and_others_for_as_long_again(scene):
    await opened(scene, release="by-hand")
    made, brought = scene.incident("old"), theirs(scene)
    await scene.make((made, "incident"))
    await scene.publish(made.id)
    await scene.receive("beta", DELTA, brought)
    for _ in range(2):
        scene.later(days=31)
        assert set(await pruned_now(scene)) >= {made.id, brought["id"]}
        await scene.publish(made.id, brought["id"])
        assert await scene.incidents_seen("c") == {made.id, brought["id"]}
        assert await _moved_by_judging_again(scene) == []
        scene.later(days=29)
        assert await pruned_now(scene) == []
    scene.later()
    async with scene.store.writing() as tx:  # not by name: what waits
        await publish(tx, scene.configuration, NODE, [made.id], now=scene.now, by_name=False)


async def test_things_stay_while_anything_names_them_and_come_back_with_what_names_them_anew(scene):
    await opened(scene)
    sighted = relationship(theirs(scene)["id"], ADDRESS["id"], DELTA["id"])
    await scene.receive("beta", DELTA, ADDRESS)
    scene.later(days=29)
    await scene.receive("beta", theirs(scene), sighted)
    scene.later(days=2)
    assert await pruned_now(scene) == []
    scene.later(days=29)
    gone = await pruned_now(scene)
    assert set(gone) >= {ADDRESS["id"], theirs(scene)["id"], sighted["id"]}
    assert await _moved_by_judging_again(scene) == []
    assert {id_ for id_ in await scene.seen("c") if id_.partition("--")[0] not in FREE_TYPES} <= NODE.creators
    await scene.receive("beta", ADDRESS, DELTA)  # said again, and nothing new of it
    assert ADDRESS["id"] not in await scene.seen("c")
    new = theirs(scene, "2")
    await scene.receive("beta", DELTA, new, relationship(new["id"], ADDRESS["id"], DELTA["id"]))
    assert {ADDRESS["id"], new["id"]} <= set(await scene.seen("c"))
    assert await _open_references(scene) == set()
    assert await _moved_by_judging_again(scene) == []


async def test_what_names_it_goes_with_it_or_becomes_a_copy_where_it_is_ours(scene):
    await opened(scene)
    old = theirs(scene)
    await scene.receive("beta", DELTA, old)
    scene.later(days=25)
    naming = theirs(scene, "2", x_ref=old["id"])
    await scene.receive("beta", DELTA, naming)
    ours = make_object(an_incident(scene.clock, "ours") | {"x_ref": old["id"]})
    await scene.make((ours, "incident"))
    scene.later(days=6)
    assert set(await pruned_now(scene)) == {old["id"], naming["id"], DELTA["id"]}
    (copy,) = await scene.incidents_seen("c")
    assert copy != ours.id
    assert await ops(scene, ours.id) == ["put", "prune"]
    assert await _open_references(scene) == set()
    assert await _moved_by_judging_again(scene) == []


async def test_a_redacted_copy_is_pruned_and_not_made_again_until_its_original_changes(scene):
    await opened(scene, policy=REDACT)
    made = scene.incident("one", means=["wiper"])
    await scene.make((made, "incident"))
    (copy,) = await scene.incidents_seen("c")
    scene.later(days=31)
    assert made.id in await pruned_now(scene)
    assert await ops(scene, copy) == ["put", "prune"]
    assert await _moved_by_judging_again(scene) == []
    await opened(scene)  # whole now, if it were new
    assert await scene.incidents_seen("c") == set()
    await scene.make((scene.incident("one", means=["wiper"]), "incident"))
    assert await scene.incidents_seen("c") == {made.id}


async def test_definitions_and_creators_stay_while_they_are_named_and_all_versions_go_together(scene):
    await opened(scene)
    for _ in range(3):
        await scene.make((scene.incident("one"), "incident"))
    scene.later(days=31)
    young = scene.incident("young")
    await scene.make((young, "incident"))
    assert await pruned_now(scene) == [scene.incident("one").id]
    assert NODE.identity in await scene.seen("c")
    assert (await ops(scene, scene.incident("one").id)).count("prune") == 3


async def test_what_a_writer_posts_again_stays_out_and_the_post_says_so(scene):
    await opened(scene, writers=["writer"])
    posted = theirs(scene)
    assert [one.outcome for one in await scene.post("writer", "c", posted)] == ["success"]
    scene.later(days=31)
    assert posted["id"] in await pruned_now(scene)
    (again,) = await scene.post("writer", "c", posted)
    assert (again.outcome, "no longer keeps it" in again.message) == ("failure", True)
    assert await scene.incidents_seen("c") == set()
    newer = theirs(scene)
    await scene.post("writer", "c", newer)
    assert await scene.incidents_seen("c") == {posted["id"]}
    async with scene.store.reading() as tx:
        standing = await releases.standing(tx, (await scene.ids(tx))["c"], [posted["id"]])
        assert len(standing[posted["id"]].versions) == 1  # the older one does not come along


async def test_small_batches_prune_the_same(scene):
    await opened(scene)
    made = [scene.incident(str(number)) for number in range(7)]
    for one in made:
        await scene.make((one, "incident"))
    scene.later(days=31)
    assert set(await pruned_now(scene, batch=2)) >= {one.id for one in made}
    assert await scene.incidents_seen("c") == set()


async def test_a_collection_without_retention_is_never_asked_for_what_was_pruned(scene, monkeypatch):
    await scene.apply({"c": {"readers": ["acme"], "release": "automatic"}}, {"c": ALLOW_ANY})

    async def asked(*_):
        raise AssertionError("nobody pruned anything")

    monkeypatch.setattr(pruned, "pruned", asked)
    await scene.make((scene.incident("one"), "incident"))
    scene.later(days=4000)
    assert await pruned_now(scene) == []
    assert len(await scene.incidents_seen("c")) == 1


async def test_the_job_prunes_by_the_clock_of_the_database_and_foreseeing_changes_nothing(scene):
    async with scene.store.reading() as tx:
        now = await tx.now()
    scene.clock += timedelta(microseconds=now - scene.now) - timedelta(days=31)
    await opened(scene)
    made = scene.incident("old")
    await scene.make((made, "incident"))
    foreseen = await retention.foresee(scene.store, NODE)
    assert foreseen["c"]["incident"] == 1
    assert await scene.incidents_seen("c") == {made.id}
    assert await retention.prune_expired(scene.store, NODE) == foreseen
    assert await scene.incidents_seen("c") == set()
    assert (await retention.prune_expired(scene.store, NODE))["c"].total() == 0


@pytest.mark.parametrize("given", ["0d", "a year", "-1d", 365])
async def test_a_retention_is_a_duration(scene, given):
    with pytest.raises(BadFile):
        await opened(scene, retention=given)


@pytest.mark.parametrize("seed", range(STORIES))
async def test_whatever_was_pruned_what_stands_is_closed_and_judging_again_changes_nothing(make_database, seed):
    store = await Store.open(make_database("sqlite"), require_durable=False)
    try:
        story = Story(Scene(store), seed)
        dice = random.Random(seed)
        await story.begin()
        steps = []
        for _ in range(8):
            steps.append(await story.step())
            story.scene.later(days=1)
            async with store.writing() as tx:
                (court,) = await sit(tx, story.scene.configuration, NODE)
                before = story.scene.now - dice.randint(1, 4) * 86_400_000_000
                rows = await pruned.stood(tx, court.collection_id, after=0, limit=1000)
                expired = await retention._expired(tx, NODE, court.collection_id, rows, before)
                await prune(tx, court, expired, story.scene.now)
            assert await _moved_by_judging_again(story.scene) == [], steps
            assert await _open_references(story.scene) == set(), steps
    finally:
        await store.close()
