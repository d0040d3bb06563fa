"""What a person takes back leaves, and stays out until published by name; what is revoked is over for good."""

import pytest

from scene import ALLOW_ANY, ALLOW_OURS, NODE, an_incident, identity_of, relationship
from tocsin.errors import NotFound, Refused
from tocsin.sharing.withdraw import revoke, withdraw
from tocsin.stix.objects import make_object

BY_HAND = {"c": {"readers": ["beta"]}}
AUTO = {"c": {"readers": ["beta"], "release": "automatic"}, "d": {"readers": ["acme"], "release": "automatic"}}
BOTH = {"c": ALLOW_OURS, "d": ALLOW_OURS}


async def take_back(scene, *ids, key=None, reason="named a bystander"):
    scene.later()
    async with scene.store.writing() as tx:
        return await withdraw(
            tx, scene.configuration, NODE, ids, reason=reason, by="operator", now=scene.now, key=key
        )


async def end(scene, *ids):
    scene.later()
    async with scene.store.writing() as tx:
        return await revoke(tx, scene.configuration, NODE, ids, reason="wrong", by="operator", now=scene.now)


async def test_what_is_withdrawn_leaves_and_comes_back_only_by_name(scene):
    await scene.apply(AUTO, BOTH)
    one = scene.incident()
    await scene.make((one, "incident"))
    outcomes = await take_back(scene, one.id)
    assert {(o.collection, o.what) for o in outcomes} == {("c", "withdrawn"), ("d", "withdrawn")}
    assert await scene.incidents_seen("c") == await scene.incidents_seen("d") == set()
    scene.later()
    await scene.make((scene.incident(means=["wiper"]), "incident"))  # not by a new version
    await scene.apply(AUTO, {"c": ALLOW_ANY, "d": ALLOW_ANY})  # nor by other rules
    assert await scene.incidents_seen("c") == set()
    assert [r.rule for r in (await scene.explain(one.id, "c")).reasons] == ["withdrawn"]
    await scene.publish(one.id)
    assert await scene.incidents_seen("c") == await scene.incidents_seen("d") == {one.id}


async def test_what_is_withdrawn_from_one_collection_stays_in_the_other(scene):
    await scene.apply(AUTO, BOTH)
    one = scene.incident()
    await scene.make((one, "incident"))
    await take_back(scene, one.id, key="c")
    assert (await scene.incidents_seen("c"), await scene.incidents_seen("d")) == (set(), {one.id})


async def test_what_was_withdrawn_everywhere_comes_back_only_where_it_is_published(scene):
    await scene.apply(AUTO, BOTH)
    one = scene.incident()
    await scene.make((one, "incident"))
    await take_back(scene, one.id)
    await scene.publish(one.id, key="d")
    assert (await scene.incidents_seen("c"), await scene.incidents_seen("d")) == (set(), {one.id})
    await scene.publish(one.id)
    assert await scene.incidents_seen("c") == {one.id}


async def test_what_was_made_with_an_incident_leaves_with_it(scene):
    rules = "rules: [{id: ours, match: {origin: ours}, then: allow, reason: x}]"
    await scene.apply({"c": AUTO["c"]}, {"c": rules})
    one = scene.incident()
    victim = make_object(identity_of("victim", NODE.identity))
    tie = make_object(relationship(one.id, victim.id, NODE.identity))
    await scene.make((one, "incident"), (victim, "victim"), (tie, "relationship"))
    assert {victim.id, tie.id} <= set(await scene.seen("c"))
    await take_back(scene, one.id)
    assert {one.id, victim.id, tie.id} & set(await scene.seen("c")) == set()
    await scene.publish(one.id)
    assert {one.id, victim.id, tie.id} <= set(await scene.seen("c"))


async def test_a_redacted_copy_is_withdrawn_as_well(scene):
    redact = (
        "rules: [{id: a, match: {type: incident}, then: allow, reason: x}, "
        "{id: r, match: {type: incident}, then: redact, redact: [narrative], reason: x}]"
    )
    await scene.apply({"c": AUTO["c"]}, {"c": redact})
    one = scene.incident()
    await scene.make((one, "incident"))
    (copy,) = await scene.incidents_seen("c")
    assert copy != one.id
    await take_back(scene, one.id)
    assert await scene.incidents_seen("c") == set()
    await scene.publish(one.id)
    assert await scene.incidents_seen("c") == {copy}


async def test_what_a_peer_brought_can_be_withdrawn_and_stays_out_though_it_is_offered_again(scene):
    await scene.apply({"c": {"readers": ["acme"]}}, {"c": ALLOW_ANY})
    creator = identity_of("beta")
    theirs = an_incident(scene.clock, creator=creator["id"], id="incident--3a1f9c1e-0b3c-4f43-9c1c-111111111111")
    await scene.receive("beta", creator, theirs)
    assert await scene.incidents_seen("c") == {theirs["id"]}
    await take_back(scene, theirs["id"])
    scene.later()
    await scene.receive("gamma", theirs)
    await scene.receive("beta", {**theirs, "modified": an_incident(scene.clock)["modified"], "name": "newer"})
    assert await scene.incidents_seen("c") == set()
    await scene.publish(theirs["id"])
    assert await scene.incidents_seen("c") == {theirs["id"]}


async def test_a_writer_posts_what_a_person_took_back_in_vain(scene):
    await scene.apply({"c": {"writers": ["writer"], "readers": ["acme"]}}, {"c": ALLOW_OURS})
    posted = an_incident(
        scene.clock, creator=identity_of("w")["id"], id="incident--44444444-4444-4444-8444-444444444444"
    )
    (told,) = await scene.post("writer", "c", posted)
    assert told.outcome == "success", told
    await take_back(scene, posted["id"], reason="secret words")
    (told,) = await scene.post("writer", "c", posted)
    assert told.outcome == "failure"
    assert "secret words" not in told.message


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("incident--00000000-0000-4000-8000-000000000000", NotFound),
        (NODE.identity, Refused),
        ("marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", Refused),
    ],
)
async def test_what_is_not_here_or_stands_for_others_is_not_withdrawn(scene, what, error):
    await scene.apply(AUTO, BOTH)
    with pytest.raises(error):
        await take_back(scene, what)


async def test_what_is_revoked_is_so_for_every_reader_and_stays_so(scene):
    await scene.apply({**AUTO, "e": {"readers": ["gamma"]}}, {**BOTH, "e": ALLOW_OURS})
    one, waiting = scene.incident(), scene.incident("two")
    await scene.make((one, "incident"))
    await scene.make((waiting, "incident"))
    await scene.publish(one.id, key="e")
    await end(scene, one.id)
    for key in ("c", "d", "e"):
        assert (await scene.seen(key))[one.id]["revoked"] is True
    assert waiting.id not in await scene.seen("e")
    with pytest.raises(Refused, match="final"):
        await end(scene, one.id)


async def test_what_is_not_ours_is_not_revoked(scene):
    await scene.apply({"c": {"readers": ["acme"]}}, {"c": ALLOW_ANY})
    creator = identity_of("beta")
    theirs = an_incident(scene.clock, creator=creator["id"], id="incident--3a1f9c1e-0b3c-4f43-9c1c-111111111111")
    await scene.receive("beta", creator, theirs)
    with pytest.raises(Refused, match="only its creator"):
        await end(scene, theirs["id"])
