"""What enters a collection, in which form, and what makes it leave again."""

import pytest

from scene import (
    ALLOW_ALL_OURS,
    ALLOW_ANY,
    ALLOW_OURS,
    NODE,
    START,
    an_incident,
    identity_of,
    relationship,
    whats,
)
from tocsin.errors import Refused
from tocsin.stix.markings import Tlp
from tocsin.stix.objects import make_object
from tocsin.store import pages

ADDRESS = {
    "type": "ipv4-addr",
    "spec_version": "2.1",
    "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd",
    "value": "198.51.100.3",
    "object_marking_refs": [Tlp.GREEN.marking],
}
AUTO = {"c": {"readers": ["acme"], "release": "automatic"}}
BY_HAND = {"c": {"readers": ["acme"], "release": "by-hand"}}


async def test_an_incident_made_here_waits_until_a_person_publishes_it(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_OURS})
    incident = scene.incident()
    assert whats(await scene.make((incident, "incident"))) == {("c", incident.id): "waiting"}
    assert await scene.seen("c") == {}
    assert whats(await scene.publish(incident.id)) == {("c", incident.id): "whole"}
    assert await scene.incidents_seen("c") == {incident.id}


async def test_an_automatic_collection_releases_at_once_and_publishing_again_changes_nothing(scene):
    await scene.apply(AUTO, {"c": ALLOW_OURS})
    incident = scene.incident()
    await scene.make((incident, "incident"))
    before = await scene.seen("c")
    assert incident.id in before
    assert whats(await scene.publish(incident.id)) == {("c", incident.id): "unchanged"}
    assert await scene.seen("c") == before


async def test_creator_and_marking_enter_with_the_first_that_names_them_and_leave_with_the_last(scene):
    await scene.apply(
        AUTO, {"c": "rules: [{id: r, match: {type: incident, stage: effect}, then: allow, reason: x}]"}
    )
    assert await scene.seen("c") == {}
    one, two = scene.incident("one"), scene.incident("two")
    await scene.make((one, "incident"))
    await scene.make((two, "incident"))
    assert set(await scene.seen("c")) >= {one.id, two.id, NODE.identity, Tlp.GREEN.marking}
    assert Tlp.AMBER.marking not in await scene.seen("c")
    scene.later()
    await scene.make((scene.incident("one", stage="attempt"), "incident"))
    assert NODE.identity in await scene.seen("c")
    await scene.make((scene.incident("two", stage="attempt"), "incident"))
    assert await scene.seen("c") == {}


async def test_a_new_version_of_something_published_by_hand_waits_too(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_OURS})
    first = scene.incident()
    await scene.make((first, "incident"))
    await scene.publish(first.id)
    scene.later()
    second = scene.incident(means=["wiper"])
    await scene.make((second, "incident"))
    assert (await scene.seen("c"))[first.id]["modified"] == first.version
    await scene.publish(first.id)
    assert (await scene.seen("c"))[first.id]["modified"] == second.version


async def test_published_with_follow_a_new_version_enters_by_itself(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_OURS})
    first = scene.incident()
    await scene.make((first, "incident"))
    await scene.publish(first.id, follow=True)
    scene.later()
    second = scene.incident(means=["wiper"])
    await scene.make((second, "incident"))
    assert (await scene.seen("c"))[first.id]["modified"] == second.version


async def test_when_the_newest_version_is_denied_the_older_ones_are_withdrawn_with_it(scene):
    await scene.apply(AUTO, {"c": ALLOW_OURS})
    first = scene.incident()
    await scene.make((first, "incident"))
    scene.later()
    raised = scene.incident(tlp="red")
    assert whats(await scene.make((raised, "incident")))[("c", first.id)] == "withdrawn"
    assert first.id not in await scene.seen("c")


async def test_what_stands_when_it_is_held_stays_as_it_is_and_what_is_newer_waits(scene):
    await scene.apply(AUTO, {"c": ALLOW_OURS})
    first = scene.incident()
    await scene.make((first, "incident"))
    await scene.hold(first.id)
    scene.later()
    newer = scene.incident(means=["wiper"])
    await scene.make((newer, "incident"))
    assert (await scene.seen("c"))[first.id]["modified"] == first.version
    await scene.publish(first.id)
    assert (await scene.seen("c"))[first.id]["modified"] == newer.version


async def test_what_is_held_before_it_stands_stays_out(scene):
    await scene.apply(
        {"c": BY_HAND["c"], "d": AUTO["c"]}, {"c": ALLOW_OURS, "d": ALLOW_OURS.replace("effect", "x")}
    )
    one = scene.incident()
    await scene.apply(BY_HAND, {"c": ALLOW_OURS})
    await scene.make((one, "incident"))
    await scene.hold(one.id)
    await scene.apply({"c": AUTO["c"]}, {"c": ALLOW_OURS})
    assert (await scene.explain(one.id, "c")).would == "held"
    assert await scene.incidents_seen("c") == set()


async def test_what_is_held_is_withdrawn_all_the_same_when_a_rule_denies_it(scene):
    await scene.apply(AUTO, {"c": ALLOW_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    await scene.hold(one.id)
    none = "rules: [{id: none, match: {type: identity}, then: allow, reason: x}]"
    plan = await scene.plan(AUTO, {"c": none})
    await scene.apply(AUTO, {"c": none}, confirmed=plan.taken_away)
    assert await scene.incidents_seen("c") == set()


async def test_a_word_for_one_collection_says_nothing_of_another(scene):
    two = {"c": BY_HAND["c"], "d": BY_HAND["c"]}
    await scene.apply(two, {"c": ALLOW_OURS, "d": ALLOW_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    await scene.publish(one.id, key="d")
    assert await scene.incidents_seen("c") == set()
    assert await scene.incidents_seen("d") == {one.id}
    await scene.hold(one.id, key="d")
    await scene.publish(one.id)
    assert await scene.incidents_seen("c") == {one.id}


async def test_an_observable_is_published_with_its_incident(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_ALL_OURS})
    incident = scene.incident()
    address = make_object(ADDRESS)
    tie = make_object(relationship(incident.id, address.id, NODE.identity))
    await scene.make((incident, "incident"), (address, "observable"), (tie, "relationship"))
    assert not {incident.id, address.id, tie.id} & set(await scene.seen("c"))
    await scene.publish(incident.id)
    assert {incident.id, address.id, tie.id} <= set(await scene.seen("c"))


async def test_what_others_made_waits_for_nobody_s_word_here(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_OURS})
    with pytest.raises(Refused, match="not made here"):
        await scene.publish("incident--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a")


async def test_what_bears_no_marking_counts_as_amber_strict_and_red_is_above_every_clearance(scene):
    await scene.apply(
        {
            "c": {"release": "automatic", "clearance": "amber", "readers": ["acme"]},
            "d": {"release": "automatic", "clearance": "amber+strict", "readers": ["acme"]},
        },
        {"c": ALLOW_OURS, "d": ALLOW_OURS},
    )
    bare, red = scene.incident("bare", tlp=None), scene.incident("red", tlp="red")
    assert whats(await scene.make((bare, "incident"))) == {("c", bare.id): "withheld", ("d", bare.id): "whole"}
    assert set(whats(await scene.make((red, "incident"))).values()) == {"withheld"}


REDACT = """
rules:
  - {id: ours, match: {type: incident}, then: allow, reason: ours}
  - {id: abroad, match: {readers_outside: EE}, then: redact, redact: [victim, attribution], reason: not abroad}
"""


async def test_a_copy_has_its_own_id_and_a_new_version_only_if_visible_bytes_change(scene):
    await scene.apply({"c": {"readers": ["beta"], "release": "automatic"}}, {"c": REDACT})
    first = scene.incident(actor_type="criminal", countries=["EE"])
    (outcome,) = [o for o in await scene.make((first, "incident")) if o.object_id == first.id]
    assert outcome.what == "redacted"
    seen = await scene.seen("c")
    assert first.id not in seen
    copy = seen[outcome.stands_as]
    assert "actor_type" not in str(copy)
    assert outcome.stands_as[-22] == "4"
    scene.later()
    hidden_edit = scene.incident(actor_type="hacktivist", countries=["EE"])
    assert whats(await scene.make((hidden_edit, "incident")))[("c", first.id)] == "unchanged"
    assert await scene.seen("c") == seen
    scene.later()
    visible_edit = scene.incident(actor_type="hacktivist", countries=["EE"], means=["wiper"])
    assert whats(await scene.make((visible_edit, "incident")))[("c", first.id)] == "redacted"
    assert (await scene.seen("c"))[outcome.stands_as]["modified"] > copy["modified"]


async def test_whole_and_copy_never_stand_side_by_side(scene):
    collections = {"c": {"readers": ["beta"], "release": "automatic"}}
    await scene.apply(collections, {"c": ALLOW_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    await scene.apply(collections, {"c": REDACT}, confirmed=1)
    assert one.id not in await scene.seen("c")
    assert len(await scene.incidents_seen("c")) == 1
    await scene.apply(collections, {"c": ALLOW_OURS}, confirmed=None)
    assert await scene.incidents_seen("c") == {one.id}


UNATTRIBUTED = """
rules:
  - {id: ours, match: {origin: ours}, then: allow, reason: ours}
  - {id: abroad, match: {readers_outside: EE}, then: redact, redact: [HIDE], reason: not abroad}
"""


async def _with_a_victim(scene, hide):
    await scene.apply(
        {"c": {"readers": ["beta"], "release": "automatic"}}, {"c": UNATTRIBUTED.replace("HIDE", hide)}
    )
    incident = scene.incident()
    victim = make_object(identity_of("Acme Dental", NODE.identity))
    targets = make_object(relationship(incident.id, victim.id, NODE.identity))
    await scene.make((incident, "incident"), (victim, "victim"), (targets, "relationship"))
    seen = await scene.seen("c")
    assert not {incident.id, victim.id, targets.id} & set(seen)
    assert "Acme Dental" not in str(seen)
    return seen


async def test_references_between_copies_are_rewritten_within_the_collection(scene):
    seen = await _with_a_victim(scene, "attribution")
    (copy,) = [value for value in seen.values() if value["type"] == "relationship"]
    assert {copy["source_ref"], copy["target_ref"]} <= set(seen)


async def test_a_redacted_victim_leaves_nothing_of_itself_nor_of_what_ties_it_to_the_incident(scene):
    seen = await _with_a_victim(scene, "victim")
    assert sorted(v["type"] for v in seen.values() if v["type"] in ("incident", "identity", "relationship")) == [
        "identity",  # of this node
        "identity",  # of who defined the extension
        "incident",
    ]


async def test_a_relationship_of_ours_whose_end_is_hidden_does_not_enter(scene):
    await scene.apply(
        AUTO, {"c": "rules: [{id: r, match: {type: [incident, relationship]}, then: allow, reason: x}]"}
    )
    incident = scene.incident()
    victim = make_object(identity_of("Acme Dental", NODE.identity))
    targets = make_object(relationship(incident.id, victim.id, NODE.identity))
    await scene.make((incident, "incident"), (victim, "victim"), (targets, "relationship"))
    assert targets.id not in await scene.seen("c")
    assert "Acme Dental" not in str(await scene.seen("c"))
    assert {r.rule for r in (await scene.explain(targets.id, "c")).reasons} >= {"copy"}


async def test_whether_the_missing_end_is_hidden_or_was_never_here_makes_no_difference(scene):
    """Over a peer's relationship: the same answer, and it enters when its end does."""
    await scene.apply({"c": {"readers": ["acme"], "clearance": "green"}}, {"c": ALLOW_ANY})
    creator = identity_of("CERT Gamma")
    end = an_incident(START, creator=creator["id"], id="incident--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a")
    rel = relationship(end["id"], creator["id"], creator["id"])
    await scene.receive("gamma", creator, rel)
    assert rel["id"] not in await scene.seen("c")
    await scene.receive("gamma", end | {"object_marking_refs": [Tlp.RED.marking]})
    assert rel["id"] not in await scene.seen("c")
    scene.later()
    later = an_incident(scene.clock, creator=creator["id"], id=end["id"])
    await scene.receive("gamma", later)
    assert {end["id"], rel["id"], creator["id"]} <= set(await scene.seen("c"))


async def test_what_a_peer_brought_enters_only_by_a_rule_that_names_its_origin(scene):
    named = "rules: [{id: r, match: {type: incident, origin: [gamma]}, then: allow, reason: x}]"
    collections = {"c": {"readers": ["acme"]}, "d": {"readers": ["acme"]}}
    await scene.apply(collections, {"c": ALLOW_OURS, "d": named})
    foreign = an_incident(
        START, creator=identity_of("CERT Gamma")["id"], id="incident--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a"
    )
    await scene.receive("gamma", identity_of("CERT Gamma"), foreign)
    assert await scene.incidents_seen("c") == set()
    assert await scene.incidents_seen("d") == {foreign["id"]}


async def test_nothing_goes_back_to_its_only_source_nor_further_than_max_hops(scene):
    collections = {"back": {"readers": ["gamma"]}, "on": {"readers": ["gamma", "beta"]}}
    await scene.apply(collections, {"back": ALLOW_ANY, "on": ALLOW_ANY})
    creator = identity_of("CERT Gamma")
    near = an_incident(START, creator=creator["id"], id="incident--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a")
    far = an_incident(START, creator=creator["id"], id="incident--8d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a")
    await scene.receive("gamma", creator, near)
    await scene.receive("gamma", far, hops=3)
    assert await scene.incidents_seen("back") == set()
    assert await scene.incidents_seen("on") == {near["id"]}
    assert {r.rule for r in (await scene.explain(far["id"], "on")).reasons} == {"max-hops"}


async def test_a_rule_in_error_keeps_new_things_out_and_recalls_nothing(scene):
    await scene.apply(AUTO, {"c": ALLOW_OURS})
    first = scene.incident()
    await scene.make((first, "incident"))
    broken = """
rules:
  - {id: ours, match: {type: incident}, then: allow, reason: ours}
  - {id: broken, when: "object.sectors[0] == 'x'", then: deny, reason: fails on an empty list}
"""
    await scene.apply(AUTO, {"c": broken})
    assert await scene.incidents_seen("c") == {first.id}
    second = scene.incident("second")
    assert whats(await scene.make((second, "incident"))) == {("c", second.id): "stuck"}
    assert await scene.incidents_seen("c") == {first.id}


async def test_a_copy_is_never_judged_as_if_it_were_an_incident_of_ours(scene):
    collections = {
        "c": {"readers": ["beta"], "release": "automatic"},
        "d": {"readers": ["acme"], "release": "automatic"},
    }
    await scene.apply(collections, {"c": REDACT, "d": ALLOW_ALL_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    await scene.apply(collections, {"c": REDACT + "\n", "d": ALLOW_ALL_OURS})
    assert await scene.incidents_seen("d") == {one.id}


async def test_of_a_copy_only_the_newest_version_can_be_asked_for(scene):
    """An older one was made under other rules, or of what has since been corrected."""
    collections = {"c": {"readers": ["beta"], "release": "automatic"}}
    await scene.apply(collections, {"c": REDACT})
    one = scene.incident(actor_type="criminal", motives=["financial"], countries=["EE"], sectors=["naics:52"])
    await scene.make((one, "incident"))
    stricter = REDACT.replace("[victim, attribution]", "[victim, attribution, answers, severity-inputs]")
    await scene.apply(collections, {"c": stricter})
    scene.later()
    changed = scene.incident(countries=["EE"], means=["wiper"])
    await scene.make((changed, "incident"))
    async with scene.store.reading() as tx:
        collection_id = (await scene.ids(tx))["c"]
        rows = (await pages.page(tx, collection_id, pages.Filter(versions=frozenset({"all"})), 100)).rows
    assert len([row for row in rows if row.object_id.startswith("incident--")]) == 1
