"""A configuration comes into force: what it would move is said first, and what takes much away is asked twice."""

import pytest

from scene import ALLOW_OURS
from tocsin.errors import Refused

C = {"c": {"readers": ["acme"], "release": "automatic"}}
NONE = "rules: [{id: none, match: {type: identity}, then: allow, reason: x}]"


async def test_the_plan_is_what_then_happens(scene):
    await scene.apply(C, {"c": ALLOW_OURS})
    incidents = [scene.incident(str(n), tlp="green" if n % 2 else "amber") for n in range(6)]
    for incident in incidents:
        await scene.make((incident, "incident"))
    stricter = {
        "c": ALLOW_OURS.replace("}]", "}, {id: d, match: {tlp: amber, origin: any}, then: deny, reason: x}]")
    }
    plan = await scene.plan(C, stricter)
    (planned,) = plan.collections
    assert planned.count("withdraw") == 3 + 1  # three incidents, and the marking that only they named
    before = await scene.seen("c")
    await scene.apply(C, stricter, confirmed=plan.taken_away or None)
    gone = {change.object_id for change in planned.changes if change.kind == "withdraw"}
    assert set(before) - set(await scene.seen("c")) == gone


async def test_more_than_twenty_objects_are_not_taken_away_without_the_number(scene):
    await scene.apply(C, {"c": ALLOW_OURS})
    for n in range(25):
        await scene.make((scene.incident(str(n)), "incident"))
    plan = await scene.plan(C, {"c": NONE})
    assert plan.taken_away >= 25
    before = await scene.seen("c")
    for number in (None, 1):
        with pytest.raises(Refused, match=str(plan.taken_away)):
            await scene.apply(C, {"c": NONE}, confirmed=number)
    assert await scene.seen("c") == before
    await scene.apply(C, {"c": NONE}, confirmed=plan.taken_away)
    assert await scene.incidents_seen("c") == set()


async def test_what_touches_nothing_released_is_told_from_what_does(scene):
    await scene.apply(C, {"c": ALLOW_OURS})
    assert (await scene.plan(C, {"c": ALLOW_OURS})).is_in_force
    assert not (await scene.plan(C, {"c": ALLOW_OURS + "\n# a remark"})).touches_released
    await scene.make((scene.incident(), "incident"))
    assert not (await scene.plan(C, {"c": ALLOW_OURS + "\n# a remark"})).touches_released
    more = {"c": C["c"] | {"readers": ["acme", "beta"]}}
    plan = await scene.plan(more, {"c": ALLOW_OURS})
    assert plan.touches_released
    assert plan.collections[0].readers_added == ("beta",)


async def test_a_collection_that_leaves_the_files_is_a_withdrawal_that_needs_its_number(scene):
    await scene.apply(C, {"c": ALLOW_OURS})
    for n in range(21):
        await scene.make((scene.incident(str(n)), "incident"))
    plan = await scene.plan({}, {})
    assert plan.collections[0].closed
    assert plan.taken_away > 20
    with pytest.raises(Refused):
        await scene.apply({}, {})


async def test_a_plan_made_before_another_came_into_force_is_not_applied(scene):
    from scene import NODE, files
    from tocsin.policy.configuration import read_configuration
    from tocsin.sharing import apply as applying

    await scene.apply(C, {"c": ALLOW_OURS})
    old = await scene.plan(C, {"c": NONE})
    await scene.apply(C, {"c": ALLOW_OURS + "\n# newer"})
    with pytest.raises(Refused, match="in the meantime"):
        await applying.apply(scene.store, old, NODE, confirmed=old.taken_away)
    assert read_configuration(files(C, {"c": NONE})).sha256 == old.proposed.sha256


async def test_a_collection_keeps_its_id_and_its_log_when_it_is_renamed(scene):
    await scene.apply(C, {"c": ALLOW_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    async with scene.store.reading() as tx:
        before = await scene.ids(tx)
    renamed = {"d": C["c"] | {"was": "c", "policy": "c"}}
    await scene.apply(renamed, {"c": ALLOW_OURS})
    async with scene.store.reading() as tx:
        assert (await scene.ids(tx))["d"] == before["c"]
    assert await scene.incidents_seen("d") == {one.id}
