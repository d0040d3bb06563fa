"""What is shown before it is done is what happens: by reader, over all that he reads, in random stories."""

import random

import pytest

from scene import ALLOW_OURS, NODE, Scene, files
from test_stability import POLICIES, STEPS, STORIES, Story
from tocsin.policy.configuration import read_configuration
from tocsin.sharing import apply as applying
from tocsin.store import copies, releases
from tocsin.store.transaction import Store

READERS = ("acme", "writer", "beta")
REDACT = "{id: r, match: {type: incident}, then: redact, redact: [narrative], reason: y}"
RULES = [*POLICIES, f"{ALLOW_OURS.removesuffix(']')}, {REDACT}]"]


def proposal(dice: random.Random):
    collections = {
        key: {
            "readers": dice.sample(READERS, dice.randint(0, 2)),
            "release": dice.choice(["automatic", "by-hand"]),
            "clearance": dice.choice(["green", "amber", "red"]),
        }
        for key in dice.choice([("c",), ("c", "d"), ("d", "c")])
    }
    return collections, {key: dice.choice(RULES) for key in collections}


async def views(scene: Scene) -> dict[str, dict[tuple[str, str], str]]:
    """By reader: what he finds, by collection and id, with the version."""
    settings = scene.configuration.settings.collections
    found: dict[str, dict[tuple[str, str], str]] = {name: {} for name in READERS}
    for key, collection in settings.items():
        seen = await scene.seen(key)
        for name in collection.readers:
            found[name] |= {(key, id_): value.get("modified", "") for id_, value in seen.items()}
    return found


async def originals(scene: Scene, ids) -> dict[str, str]:
    async with scene.store.reading() as tx:
        links = await copies.originals_of(tx, list(ids))
    return {id_: links[id_].original_id if id_ in links else id_ for id_ in ids}


@pytest.mark.parametrize("seed", range(max(2, STORIES // 3)))
async def test_a_plan_says_for_each_reader_what_then_happens(store: Store, seed: int):
    scene = Scene(store)
    story = Story(scene, 5000 + seed)
    await scene.apply(*proposal(story.dice))
    for _ in range(STEPS // 3):
        step = story.dice.choice([story.bring, story.make, story.make, story.say])
        await step()
        asked = proposal(story.dice)
        before = await views(scene)
        foreseen = await scene.plan(*asked)
        previewed = {name: await applying.preview(store, foreseen.proposed, NODE, name) for name in READERS}
        done = await scene.apply(*asked, confirmed=foreseen.taken_away or None)
        after = await views(scene)
        assert done.readers == foreseen.readers, f"seed {seed}"
        plans = {one.name: one for one in foreseen.readers}
        for name in READERS:
            found = {(one.entry.collection, one.entry.object_id) for one in previewed[name]}
            assert found == set(after[name]), f"seed {seed}: {name} finds something else than was shown"
            await _agrees(scene, plans.get(name), before[name], after[name], f"seed {seed}: {name}")


async def _agrees(scene, plan, before, after, where):
    if plan is None:
        assert before == after, where
        return
    was, is_ = {id_ for _, id_ in before}, {id_ for _, id_ in after}
    known = await originals(scene, was | is_)
    told = {move.object_id: move.what for move in plan.moves}
    for id_ in was ^ is_:
        # a copy may come or go beside the original that he finds in another collection
        assert known[id_] in told or {known[id_]} & was & is_, (where, id_, told)
    for object_id, what in told.items():
        forms_before = {id_ for id_ in was if known[id_] == object_id}
        forms_after = {id_ for id_ in is_ if known[id_] == object_id}
        whole_before, whole_after = object_id in forms_before, object_id in forms_after
        expected = {
            "receives": not forms_before and whole_after,
            "receives redacted": not forms_before and forms_after and not whole_after,
            "sees redacted": whole_before and forms_after and not whole_after,
            "sees whole": forms_before and not whole_before and whole_after,
            "loses": forms_before and not forms_after,
            "receives anew": bool(forms_before) and bool(forms_after) and whole_before == whole_after,
        }[what]
        assert expected, (where, object_id, what, forms_before, forms_after)
    linked = {known[id_] for id_ in was | is_ if len({x for x in was | is_ if known[x] == known[id_]}) > 1}
    linked_before = {known[id_] for id_ in was if len({x for x in was if known[x] == known[id_]}) > 1}
    named = {known.get(ids[0], ids[0]) for ids in plan.links}
    assert named >= linked - linked_before, (where, linked, plan.links)


async def test_what_leaves_one_collection_and_stands_in_another_is_not_lost(scene):
    both = {"c": {"readers": ["acme"], "release": "automatic"}, "d": {"readers": ["acme"], "release": "automatic"}}
    await scene.apply(both, {"c": ALLOW_OURS, "d": ALLOW_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    plan = await scene.plan(both, {"c": "rules: []", "d": ALLOW_OURS})
    (reader,) = plan.readers
    assert {move.object_id: move.what for move in reader.moves}.get(one.id) != "loses"


async def test_a_reader_who_gets_the_original_of_a_copy_he_held_can_link_the_two(scene):
    redacted = f"{ALLOW_OURS.removesuffix(']')}, {REDACT}]"
    auto = {"c": {"readers": ["acme"], "release": "automatic"}}
    await scene.apply(auto, {"c": redacted})
    one = scene.incident()
    await scene.make((one, "incident"))
    (copy,) = await scene.incidents_seen("c")
    plan = await scene.plan(auto, {"c": ALLOW_OURS})
    (reader,) = plan.readers
    assert tuple(sorted((one.id, copy))) in reader.links
    assert [move.what for move in reader.moves if move.object_id == one.id] == ["sees whole"]


async def test_a_preview_stores_nothing(scene):
    auto = {"c": {"readers": ["acme"], "release": "automatic"}}
    await scene.apply(auto, {"c": ALLOW_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    wanted = read_configuration(files({"c": {**auto["c"], "readers": ["acme", "beta"]}}, {"c": ALLOW_OURS}))
    found = await applying.preview(scene.store, wanted, NODE, "beta")
    assert one.id in {sight.entry.object_id for sight in found}
    async with scene.store.reading() as tx:
        assert await applying.in_force(tx) == scene.configuration
        (row,) = await releases.collections(tx)
    assert row.standing == len(await scene.seen("c"))
