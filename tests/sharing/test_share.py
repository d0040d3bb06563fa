"""What is shared with one reader by name enters his direct collection, and nothing else does."""

import pytest

import scene as scenery
from scene import ALLOW_ANY, ALLOW_OURS, NODE, an_incident, identity_of
from tocsin.errors import BadFile, NotFound
from tocsin.policy.configuration import read_configuration
from tocsin.sharing.share import share
from tocsin.sharing.withdraw import withdraw

DIRECT = {
    "c": {"readers": ["acme"], "release": "automatic"},
    "direct-beta": {"readers": ["beta"], "direct": True},
}
RULES = {"c": ALLOW_OURS}


async def give(scene, *ids, to="beta", follow=False):
    scene.later()
    async with scene.store.writing() as tx:
        return await share(tx, scene.configuration, NODE, ids, to, by="operator", now=scene.now, follow=follow)


async def test_a_direct_collection_stays_empty_whatever_is_published_or_brought(scene):
    await scene.apply(DIRECT, RULES)
    one = scene.incident()
    await scene.make((one, "incident"))
    await scene.publish(one.id, follow=True)
    creator = identity_of("gamma")
    theirs = an_incident(scene.clock, creator=creator["id"], id="incident--3a1f9c1e-0b3c-4f43-9c1c-111111111111")
    address = {
        "type": "ipv4-addr",
        "spec_version": "2.1",
        "id": "ipv4-addr--5853f6a4-638f-5b4e-9b0f-ded361ae3812",
        "value": "192.0.2.1",
    }
    await scene.receive("gamma", creator, theirs, address)
    assert await scene.seen("direct-beta") == {}


async def test_what_is_shared_by_name_enters_at_any_tlp_with_what_it_names(scene):
    await scene.apply(DIRECT, RULES)
    red = scene.incident(tlp="red")
    await scene.make((red, "incident"))
    creator = identity_of("gamma")
    theirs = an_incident(
        scene.clock, tlp="red", creator=creator["id"], id="incident--3a1f9c1e-0b3c-4f43-9c1c-111111111111"
    )
    await scene.receive("gamma", creator, theirs)
    outcomes = await give(scene, red.id, theirs["id"])
    assert {o.object_id: o.what for o in outcomes if o.object_id in (red.id, theirs["id"])} == {
        red.id: "whole",
        theirs["id"]: "whole",
    }
    assert {red.id, theirs["id"], creator["id"], NODE.identity} <= set(await scene.seen("direct-beta"))
    assert await scene.incidents_seen("c") == set()


@pytest.mark.parametrize(("follow", "newest"), [(False, "first"), (True, "second")])
async def test_a_newer_version_goes_the_same_way_only_if_it_is_to_follow(scene, follow, newest):
    await scene.apply(DIRECT, RULES)
    first = scene.incident(tlp="amber")
    await scene.make((first, "incident"))
    await give(scene, first.id, follow=follow)
    scene.later()
    second = scene.incident(tlp="amber", means=["wiper"])
    await scene.make((second, "incident"))
    shown = (await scene.seen("direct-beta"))[first.id]["modified"]
    assert shown == {"first": first.version, "second": second.version}[newest]


async def test_what_was_shared_is_taken_back_like_anything_else(scene):
    await scene.apply(DIRECT, RULES)
    one = scene.incident()
    await scene.make((one, "incident"))
    await give(scene, one.id)
    scene.later()
    async with scene.store.writing() as tx:
        await withdraw(
            tx, scene.configuration, NODE, [one.id], reason="x", by="o", now=scene.now, key="direct-beta"
        )
    assert await scene.incidents_seen("direct-beta") == set()
    assert await scene.incidents_seen("c") == {one.id}
    await give(scene, one.id)
    assert await scene.incidents_seen("direct-beta") == {one.id}


async def test_who_has_no_direct_collection_is_given_nothing(scene):
    await scene.apply({"c": DIRECT["c"]}, {"c": ALLOW_ANY})
    one = scene.incident()
    await scene.make((one, "incident"))
    with pytest.raises(NotFound, match="direct collection"):
        await give(scene, one.id)


@pytest.mark.parametrize(
    "settings",
    [
        {"readers": ["beta", "acme"]},
        {"readers": []},
        {"readers": ["beta"], "writers": ["acme"]},
        {"readers": ["beta"], "release": "automatic"},
        {"readers": ["beta"], "policy": "c"},
    ],
)
def test_a_direct_collection_is_for_one_reader_and_filled_by_hand(settings):
    with pytest.raises(BadFile, match="direct collection"):
        read_configuration(scenery.files({"d": {"direct": True} | settings}, {}))


def test_another_collection_needs_a_policy():
    with pytest.raises(BadFile, match="which policy"):
        read_configuration(
            {"tocsin.yaml": scenery.files({}, {})["tocsin.yaml"] + "collections: {d: {title: d, readers: [beta]}}"}
        )
