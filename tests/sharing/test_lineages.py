"""Each source speaks for itself: nobody's later version, revocation or silence moves what another one said.

Rows that once failed: an object held from several sources, a word that covered too much, what is made together.
"""

import json
from datetime import timedelta

import pytest

from scene import (
    ALLOW_ALL_OURS,
    ALLOW_ANY,
    ALLOW_OURS,
    NODE,
    Scene,
    an_incident,
    identity_of,
    relationship,
)
from tocsin.errors import NotAllowed
from tocsin.intake.receive import read_offered, receive, remote, withdraw_word
from tocsin.sharing.node import keep
from tocsin.sharing.page import read_changes
from tocsin.sharing.release import release
from tocsin.sharing.withdraw import delete_posted
from tocsin.stix.markings import Tlp
from tocsin.stix.objects import make_object, stix_time
from tocsin.store import objects, pages, parties, releases

ID = "incident--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a"
BETA, GAMMA, DELTA = (identity_of(f"CERT {name}") for name in ("Beta", "Gamma", "Delta"))
BOX = {"inbox": {"readers": ["acme"], "writers": ["writer", "rival"], "clearance": "amber"}}
FROM_BETA = "rules: [{id: b, match: {origin: beta}, then: allow, reason: b}]"
BY_HAND = {"c": {"readers": ["acme"]}}
AUTO = {"c": {"readers": ["acme"], "release": "automatic"}}
DENY = "rules: [{id: no, match: {type: incident, origin: any}, then: deny, reason: no}]"
ADDRESS = {"type": "ipv4-addr", "spec_version": "2.1", "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd"}


def address(tlp: str) -> dict[str, object]:
    return ADDRESS | {"value": "198.51.100.3", "object_marking_refs": [Tlp[tlp].marking]}


def foreign(scene: Scene, creator=DELTA, **more):
    name = more.pop("name", "foreign")
    return an_incident(scene.clock, creator=creator["id"], id=ID, **more) | {"name": name}


async def everything(scene: Scene, key: str) -> list[tuple[str, str]]:
    """What `match[version]=all` shows of incidents: the name of each version, and how it was written."""
    async with scene.store.reading() as tx:
        what = pages.Filter(versions=frozenset({"all"}))
        rows = (await pages.page(tx, (await scene.ids(tx))[key], what, 1000)).rows
    return [(json.loads(row.raw)["name"], row.op) for row in rows if row.type == "incident"]


async def pin(scene: Scene, peer: str, identity: str) -> None:
    async with scene.store.writing() as tx:
        party = await parties.party_by_name(tx, peer)
        await parties.pin_identity(tx, party.id, identity)


async def take_back(scene: Scene, peer: str, *values) -> None:
    scene.later()
    async with scene.store.writing() as tx:
        party = await parties.party_by_name(tx, peer)
        said = [(value["id"], make_object(value).sha256) for value in values]
        await withdraw_word(tx, scene.configuration, NODE, said, party, f"{peer}-collection", now=scene.now)


async def delete(scene: Scene, account: str, id_: str) -> None:
    scene.later()
    async with scene.store.writing() as tx:
        party = await parties.party_by_name(tx, account)
        await delete_posted(tx, scene.configuration, NODE, "inbox", id_, party, now=scene.now)


# --- a word binds its source only ----------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["peer", "writer"])
async def test_a_later_version_by_another_releases_nobody_s_secret_older_one(scene, by):
    rules = "rules: [{id: g, match: {origin: [gamma, writer]}, then: allow, reason: b}]"
    await scene.apply(BOX, {"inbox": rules})
    await scene.receive("beta", DELTA, foreign(scene, tlp="red", name="SECRET"), hops=1)
    scene.later()
    invented = foreign(scene, name="invented")
    await (
        scene.receive("gamma", DELTA, invented, hops=1)
        if by == "peer"
        else scene.post("writer", "inbox", DELTA, invented)
    )
    assert "SECRET" not in str(await everything(scene, "inbox"))


async def test_a_peer_that_no_rule_allows_withdraws_nothing_of_another_s(scene):
    await scene.apply(BOX, {"inbox": FROM_BETA})
    await scene.receive("beta", DELTA, foreign(scene, name="beta says"))
    scene.later()
    await scene.receive("gamma", foreign(scene, name="gamma says"))
    assert await everything(scene, "inbox") == [("beta says", "put")]


async def test_an_older_version_that_could_not_enter_by_itself_does_not_come_along(scene):
    await scene.apply(BOX, {"inbox": FROM_BETA})
    red = foreign(scene, tlp="red", name="RED")
    scene.later()
    await scene.receive("beta", DELTA, red, foreign(scene, name="green"))
    assert await everything(scene, "inbox") == [("green", "put")]


async def test_nobody_but_its_creator_s_node_revokes_an_object_of_another(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    await scene.receive("beta", DELTA, foreign(scene, name="beta says"))
    scene.later()
    await scene.receive("gamma", foreign(scene, name="gone") | {"revoked": True})
    assert await everything(scene, "inbox") == [("beta says", "put")]


async def test_a_revocation_enters_unjudged_and_without_the_content_that_policy_forbids(scene):
    await scene.apply(BOX, {"inbox": FROM_BETA})
    await pin(scene, "beta", BETA["id"])
    await scene.receive("beta", BETA, foreign(scene, BETA, name="v1"))
    scene.later()
    second = foreign(scene, BETA, name="RED TEXT", tlp="red")
    scene.later()
    third = foreign(scene, BETA, name="RED FAREWELL", tlp="red") | {"revoked": True}
    await scene.receive("beta", second, third)
    (shown,) = await everything(scene, "inbox")
    assert "RED" not in shown[0]
    assert shown[1] == "revoke"
    revoked = (await scene.seen("inbox"))[ID]
    assert (revoked["revoked"], revoked["modified"]) == (True, third["modified"])


async def test_a_revocation_that_policy_allows_is_the_creator_s_own(scene):
    await scene.apply(BOX, {"inbox": FROM_BETA})
    await pin(scene, "beta", BETA["id"])
    await scene.receive("beta", BETA, foreign(scene, BETA))
    scene.later()
    farewell = foreign(scene, BETA, name="mistake") | {"revoked": True}
    await scene.receive("beta", farewell)
    assert (await scene.seen("inbox"))[ID] == farewell


async def test_a_peer_s_own_identity_is_renamed_by_nobody_else(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    await pin(scene, "beta", BETA["id"])
    await scene.receive("beta", BETA)
    scene.later()
    await scene.receive("gamma", identity_of("CERT Beta", at=scene.clock) | {"name": "RENAMED"})
    assert (await scene.seen("inbox"))[BETA["id"]]["name"] == "CERT Beta"


async def test_what_an_outranked_source_withdraws_does_not_come_back_by_another_s_withdrawal(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    one, other = foreign(scene, name="A"), foreign(scene, name="B")
    high, low = sorted((one, other), key=lambda value: make_object(value).sha256, reverse=True)
    await scene.receive("beta", DELTA, high)
    await scene.receive("gamma", low)
    await take_back(scene, "beta", high)
    await take_back(scene, "gamma", low)
    assert await everything(scene, "inbox") == []


async def test_a_peer_whose_collection_bears_our_collection_s_id_is_no_writer_of_it(scene):
    await scene.apply(BOX, {"inbox": ALLOW_OURS})
    await scene.post("writer", "inbox", DELTA, foreign(scene, name="posted"))
    scene.later()
    async with scene.store.writing() as tx:
        gamma = await parties.party_by_name(tx, "gamma")
        ours = (await scene.ids(tx))["inbox"]
        offered = [read_offered(make_object(foreign(scene, name="squatter")).raw)]
        await receive(tx, scene.configuration, NODE, offered, gamma, ours, now=scene.now)
    assert await everything(scene, "inbox") == [("posted", "put")]
    assert remote(ours) != ours


async def test_of_several_collections_of_one_peer_the_nearest_path_counts(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    value = foreign(scene)
    async with scene.store.writing() as tx:
        beta = await parties.party_by_name(tx, "beta")
        for collection, hops in (("c1", 0), ("c2", 3)):
            offered = [read_offered(make_object(one).raw, hops) for one in (DELTA, value)]
            await receive(tx, scene.configuration, NODE, offered, beta, collection, now=scene.now)
    assert ID in await scene.seen("inbox")


# --- what a writer can learn, and undo -----------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [False, True])
async def test_the_answer_to_a_poster_does_not_depend_on_what_we_hold_from_others(scene, hidden):
    await scene.apply(BOX, {"inbox": ALLOW_OURS})
    first = foreign(scene)
    scene.later()
    if hidden:
        await pin(scene, "beta", DELTA["id"])
        await scene.receive("beta", DELTA, foreign(scene, tlp="red", name="SECRET"))
    answers = await scene.post("writer", "inbox", DELTA, first)
    assert [(one.outcome, one.message) for one in answers] == [("success", "")] * 2
    assert (await scene.seen("inbox"))[ID] == first


@pytest.mark.parametrize("hidden", [False, True])
async def test_an_observable_of_an_unpublished_incident_cannot_be_found_out_by_posting_it(scene, hidden):
    rules = "rules: [{id: p, match: {posted_here: true, origin: any}, then: allow, reason: x}]"
    await scene.apply(BOX, {"inbox": rules})
    if hidden:
        incident = scene.incident(tlp="red")
        await scene.make((incident, "incident"), (make_object(address("RED")), "observable"))
    (answer,) = await scene.post("writer", "inbox", address("GREEN"))
    assert (answer.outcome, answer.message) == ("success", "")
    assert (await scene.seen("inbox"))[str(ADDRESS["id"])] == address("GREEN")


async def test_posting_into_a_second_collection_takes_nothing_from_the_first(scene):
    two = BOX | {"other": {"readers": ["acme"], "writers": ["writer"]}}
    await scene.apply(two, {"inbox": ALLOW_OURS, "other": ALLOW_OURS})
    value = foreign(scene)
    for key in ("inbox", "other"):
        await scene.post("writer", key, DELTA, value)
    assert ID in await scene.seen("inbox")
    assert ID in await scene.seen("other")


async def test_a_denied_post_is_not_kept_and_a_second_writer_does_not_learn_of_it(scene):
    await scene.apply(BOX, {"inbox": "rules: []"})
    (first,) = await scene.post("writer", "inbox", foreign(scene))
    (second,) = await scene.post("rival", "inbox", foreign(scene, name="other"))
    assert first.message == second.message
    async with scene.store.reading() as tx:
        assert await objects.offered(tx, [ID]) == {}


async def test_a_poster_is_not_told_what_a_rule_stumbled_over(scene):
    rules = ALLOW_ANY.replace("}]", "}, {id: r, when: 'readers[9].country == \"EE\"', then: deny, reason: y}]")
    await scene.apply(BOX, {"inbox": rules})
    (answer,) = await scene.post("writer", "inbox", foreign(scene))
    assert answer.outcome == "failure"
    assert "9" not in answer.message


async def test_what_another_source_offers_too_is_not_said_to_be_deleted(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    value = foreign(scene)
    await scene.receive("beta", DELTA, value)
    await scene.post("writer", "inbox", value)
    with pytest.raises(NotAllowed):
        await delete(scene, "writer", ID)
    assert ID in await scene.seen("inbox")


async def test_every_content_of_a_version_is_kept_with_its_source(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    one, other = foreign(scene, name="A"), foreign(scene, name="B")
    high, low = sorted((one, other), key=lambda value: make_object(value).sha256, reverse=True)
    await scene.post("writer", "inbox", DELTA, high)
    await scene.receive("gamma", low)
    async with scene.store.reading() as tx:
        assert len((await objects.offered(tx, [ID]))[ID]) == 2


# --- a person's word, and what is made together --------------------------------------------------------------


async def test_what_stood_automatically_is_still_judged_once_it_is_released_by_hand(scene):
    await scene.apply(AUTO, {"c": ALLOW_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    await scene.apply(BY_HAND, {"c": ALLOW_OURS})
    assert await scene.incidents_seen("c") == {one.id}
    scene.later()
    await scene.make((scene.incident(means=["wiper"]), "incident"))
    assert (await scene.seen("c"))[one.id]["modified"] == one.version
    plan = await scene.plan(BY_HAND, {"c": DENY})
    await scene.apply(BY_HAND, {"c": DENY}, confirmed=plan.taken_away)
    assert await scene.incidents_seen("c") == set()


async def test_a_victim_that_a_changed_record_no_longer_names_is_taken_back_and_never_released(scene, tmp_path):
    from tocsin.intake.importing import Import, import_records
    from tocsin.settings import Home

    await scene.apply(BY_HAND, {"c": ALLOW_ALL_OURS})
    record = {
        "action": {"malware": {"variety": ["Ransomware"]}},
        "actor": {"external": {"variety": ["Organized crime"]}},
        "asset": {"assets": [{"variety": "S - File"}]},
        "attribute": {"availability": {"variety": ["Obscuration"]}},
    }
    for name in ("First Victim", "Second Victim"):
        (tmp_path / "one.json").write_text(json.dumps(record | {"victim": {"victim_id": name, "country": ["EE"]}}))
        await import_records(scene.store, Home(tmp_path), NODE, Import("veris", "rt", tlp=Tlp.GREEN), [tmp_path])
    await scene.apply({"c": BY_HAND["c"] | {"description": "again"}}, {"c": ALLOW_ALL_OURS})
    assert "Victim" not in str(await scene.seen("c"))
    async with scene.store.reading() as tx:
        held = await objects.offered(tx, await objects.all_ids(tx))
    assert "First Victim" not in str([version.raw for versions in held.values() for version in versions])


async def test_a_word_covers_the_objects_that_were_there_and_no_others(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_ALL_OURS})
    seen_elsewhere = make_object(address("GREEN"))
    await scene.make((scene.incident("B"), "incident"), (seen_elsewhere, "observable"))
    a = scene.incident("A")
    await scene.make((a, "incident"))
    await scene.publish(a.id)
    scene.later()
    await scene.make((scene.incident("A", means=["wiper"]), "incident"), (seen_elsewhere, "observable"))
    assert seen_elsewhere.id not in await scene.seen("c")


async def test_a_clock_set_back_lets_nothing_in_under_an_old_word(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_ALL_OURS})
    a = scene.incident("A")
    await scene.make((a, "incident"))
    await scene.publish(a.id)
    scene.clock -= timedelta(hours=1)
    victim = identity_of("Victim Ltd", NODE.identity, at=scene.clock) | {"created": stix_time(scene.clock)}
    await scene.make((a, "incident"), (make_object(victim), "victim"))
    assert "Victim Ltd" not in str(await scene.seen("c"))


async def test_a_hidden_incident_changes_nothing_of_what_a_published_one_shows(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_ALL_OURS})
    await scene.make((scene.incident("B", tlp="red"), "incident"), (make_object(address("RED")), "observable"))
    a = scene.incident("A")
    await scene.make((a, "incident"), (make_object(address("GREEN")), "observable"))
    await scene.publish(a.id)
    assert (await scene.seen("c"))[str(ADDRESS["id"])] == address("GREEN")


async def test_what_was_made_with_an_incident_stands_only_beside_it(scene):
    rules = """
rules:
  - {id: ours, match: {origin: ours}, then: allow, reason: ours}
  - {id: quiet, match: {means: wiper, origin: any}, then: deny, reason: not this}
"""
    await scene.apply(AUTO, {"c": rules})
    victim = make_object(identity_of("Victim Ltd", NODE.identity))
    await scene.make((scene.incident(means=["wiper"]), "incident"), (victim, "victim"))
    assert "Victim Ltd" not in str(await scene.seen("c"))
    scene.later()
    await scene.make((scene.incident(means=["ddos"]), "incident"), (victim, "victim"))
    assert victim.id in await scene.seen("c")
    scene.later()
    await scene.make((scene.incident(means=["wiper"]), "incident"), (victim, "victim"))
    assert "Victim Ltd" not in str(await scene.seen("c"))


async def test_what_was_made_with_an_incident_is_redacted_as_that_is(scene):
    rules = """
rules:
  - {id: ours, match: {origin: ours}, then: allow, reason: ours}
  - {id: unnamed, match: {type: incident, origin: any}, then: redact, redact: [victim], reason: not named}
"""
    await scene.apply(AUTO, {"c": rules})
    incident = scene.incident()
    victim = make_object(identity_of("Victim Ltd", NODE.identity))
    tie = make_object(relationship(incident.id, victim.id, NODE.identity))
    await scene.make((incident, "incident"), (victim, "victim"), (tie, "relationship"))
    assert len(await scene.incidents_seen("c")) == 1
    assert "Victim Ltd" not in str(await scene.seen("c"))


async def test_a_victim_is_not_released_by_being_named_as_somebody_s_creator(scene):
    rules = """
rules:
  - {id: ours, match: {type: incident}, then: allow, reason: x}
  - {id: v, match: {readers_outside: [EE]}, then: redact, redact: [victim], reason: y}
"""
    await scene.apply({"abroad": {"readers": ["beta"], "writers": ["writer"]}}, {"abroad": rules})
    incident = scene.incident()
    victim = make_object(identity_of("Victim Ltd", NODE.identity))
    await scene.make((incident, "incident"), (victim, "victim"))
    await scene.publish(incident.id)
    await scene.post("writer", "abroad", an_incident(scene.clock, creator=victim.id, id=ID))
    assert "Victim Ltd" not in str(await scene.seen("abroad"))


async def test_the_creator_of_what_stands_as_a_copy_does_not_enter_with_it(scene):
    rules = """
rules:
  - {id: any, match: {type: incident, origin: any}, then: allow, reason: x}
  - {id: r, match: {type: incident, origin: any}, then: redact, redact: [reporter], reason: y}
"""
    await scene.apply(BY_HAND, {"c": rules})
    await scene.receive("beta", DELTA, foreign(scene))
    seen = await scene.seen("c")
    assert len(await scene.incidents_seen("c")) == 1
    assert "CERT Delta" not in str(seen)


async def test_what_is_held_in_one_collection_is_released_there_only_by_name(scene):
    two = {"c": BY_HAND["c"], "d": BY_HAND["c"]}
    await scene.apply(two, {"c": ALLOW_OURS, "d": ALLOW_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    await scene.hold(one.id, key="c")
    await scene.publish(one.id)
    assert await scene.incidents_seen("c") == set()
    assert await scene.incidents_seen("d") == {one.id}
    await scene.publish(one.id, key="c")
    assert await scene.incidents_seen("c") == {one.id}


# --- configurations come and go ------------------------------------------------------------------------------


async def test_a_collection_that_comes_back_shows_nothing_that_was_withdrawn_meanwhile(scene):
    other = {"o": {"readers": ["acme"]}}
    await scene.apply(BOX | other, {"inbox": ALLOW_ANY, "o": ALLOW_OURS})
    value = foreign(scene)
    await scene.receive("beta", DELTA, value)
    plan = await scene.plan(other, {"o": ALLOW_OURS})
    await scene.apply(other, {"o": ALLOW_OURS}, confirmed=plan.taken_away or None)
    await take_back(scene, "beta", value, DELTA)
    plan = await scene.plan(BOX | other, {"inbox": ALLOW_ANY, "o": ALLOW_OURS})
    await scene.apply(BOX | other, {"inbox": ALLOW_ANY, "o": ALLOW_OURS}, confirmed=plan.taken_away or None)
    assert ID not in await scene.seen("inbox")


async def test_a_reader_who_comes_back_is_told_of_what_was_withdrawn_while_he_was_away(scene):
    def read_by(name):
        return {"inbox": {"readers": [name], "clearance": "amber"}}

    async def switch(name):
        plan = await scene.plan(read_by(name), {"inbox": ALLOW_ANY})
        await scene.apply(read_by(name), {"inbox": ALLOW_ANY}, confirmed=plan.taken_away or None)

    await switch("acme")
    value = foreign(scene)
    await scene.receive("beta", DELTA, value)
    await switch("rival")
    await take_back(scene, "beta", value)
    await switch("acme")
    told = {}
    for name in ("acme", "rival", "writer"):
        async with scene.store.reading() as tx:
            party = await parties.party_by_name(tx, name)
            collection = (await scene.ids(tx))["inbox"]
            rows = (await read_changes(tx, collection, party.id, 0, 100)).rows
        told[name] = [row.op for row in rows if row.object_id == ID]
    assert told == {"acme": ["withdraw"], "rival": ["withdraw"], "writer": []}


async def test_a_renamed_peer_is_no_withdrawal(scene, monkeypatch):
    rules = "rules: [{id: b, match: {origin: NAME}, then: allow, reason: b}]"
    await scene.apply(BOX, {"inbox": rules.replace("NAME", "beta")})
    await scene.receive("beta", DELTA, foreign(scene))
    import scene as scenes

    monkeypatch.setattr(scenes, "NODE_YAML", scenes.NODE_YAML.replace("  beta: {", "  bravo: {was: beta, "))
    plan = await scene.plan(BOX, {"inbox": rules.replace("NAME", "bravo")})
    assert plan.taken_away == 0
    await scene.apply(BOX, {"inbox": rules.replace("NAME", "bravo")})
    assert ID in await scene.seen("inbox")


async def test_a_new_name_of_the_node_is_something_that_readers_see(scene, monkeypatch):
    await scene.apply(AUTO, {"c": ALLOW_OURS})
    await scene.make((scene.incident(), "incident"))
    import scene as scenes

    monkeypatch.setattr(scenes, "NODE_YAML", scenes.NODE_YAML.replace("CERT Alpha", "CERT Omega"))
    assert (await scene.plan(AUTO, {"c": ALLOW_OURS})).touches_released


async def test_the_tokens_of_an_account_that_left_do_not_come_back_with_its_name(scene, monkeypatch):
    from tocsin.store import accounts

    await scene.apply({}, {})
    async with scene.store.writing() as tx:
        token = await accounts.make_token(tx, (await parties.party_by_name(tx, "acme")).id, scene.now)
    import scene as scenes

    everybody = scenes.NODE_YAML
    monkeypatch.setattr(scenes, "NODE_YAML", everybody.replace("  acme:", "  ajax:"))
    await scene.apply({}, {})
    monkeypatch.setattr(scenes, "NODE_YAML", everybody)
    await scene.apply({}, {})
    async with scene.store.reading() as tx:
        assert await accounts.verify_token(tx, token) is None


async def test_a_copy_that_is_withdrawn_is_no_longer_kept(scene):
    redact = ALLOW_OURS.replace(
        "}]", "}, {id: r, match: {origin: any}, then: redact, redact: [answers], reason: x}]"
    )
    await scene.apply(AUTO, {"c": redact})
    one = scene.incident()
    await scene.make((one, "incident"))
    (copy,) = await scene.incidents_seen("c")
    scene.later()
    await scene.make((scene.incident(tlp="red"), "incident"))
    async with scene.store.reading() as tx:
        assert [version.raw for version in await objects.versions(tx, copy)] == [b""]
        assert (await releases.standing(tx, (await scene.ids(tx))["c"], [copy])) == {}


# --- what may not be heard, and who is heard then ------------------------------------------------------------


async def test_a_peer_that_says_more_of_an_object_keeps_out_nothing_that_others_say(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    await scene.receive("beta", DELTA, foreign(scene, name="beta says"))
    scene.later()
    hidden = {"x_ref": ID.replace("7d", "8d")}
    await scene.receive("gamma", foreign(scene, name="gamma says") | hidden)
    assert await everything(scene, "inbox") == [("beta says", "put")]


async def test_a_peer_s_version_that_a_rule_redacts_makes_no_copy_of_another_s_whole_object(scene):
    more = "}, {id: r, match: {means: wiper, origin: any}, then: redact, redact: [answers], reason: x}]"
    await scene.apply(BOX, {"inbox": ALLOW_ANY.replace("}]", more)})
    await scene.receive("beta", DELTA, foreign(scene, name="beta says"))
    scene.later()
    await scene.receive("gamma", foreign(scene, name="gamma says", means=["wiper"]))
    assert await everything(scene, "inbox") == [("beta says", "put")]


async def test_another_creator_does_not_make_an_object_one_s_own(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    await pin(scene, "beta", BETA["id"])
    await pin(scene, "gamma", GAMMA["id"])
    await scene.receive("beta", BETA, foreign(scene, BETA, name="beta's own"))
    scene.later()
    _, hijacked = await scene.receive("gamma", GAMMA, foreign(scene, GAMMA, name="HIJACKED"))
    (revoked,) = await scene.receive("gamma", foreign(scene, GAMMA) | {"revoked": True})
    assert (hijacked.outcome, revoked.outcome) == ("quarantined", "quarantined")
    assert await everything(scene, "inbox") == [("beta's own", "put")]


@pytest.mark.parametrize("fate", ["denied", "redacted"])
async def test_a_poster_does_not_find_out_what_becomes_of_our_incident_with_the_same_observable(scene, fate):
    rules = """
rules:
  - {id: any, match: {origin: any}, then: allow, reason: x}
  - {id: hide, match: {type: incident, origin: ours}, then: redact, redact: [victim], reason: y}
"""
    await scene.apply(BOX, {"inbox": rules})
    incident = scene.incident(tlp="red" if fate == "denied" else "green")
    await scene.make((incident, "incident"), (make_object(address("GREEN")), "observable"))
    await scene.publish(incident.id)
    (answer,) = await scene.post("writer", "inbox", address("GREEN"))
    assert (answer.outcome, answer.message) == ("success", "")


async def test_what_a_peer_still_offers_stays_when_our_incident_leaves(scene):
    await scene.apply(AUTO, {"c": ALLOW_ANY})
    seen = make_object(address("GREEN"))
    await scene.make((scene.incident(), "incident"), (seen, "observable"))
    await scene.receive("beta", address("GREEN"))
    scene.later()
    await scene.make((scene.incident(tlp="red"), "incident"), (seen, "observable"))
    assert seen.id in await scene.seen("c")


async def test_a_bad_neighbour_in_a_post_takes_nothing_that_was_accepted(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    value = foreign(scene)
    broken = json.dumps({"type": "incident", "id": ID, "spec_version": "2.1"}).encode()
    answers = await scene.post("writer", "inbox", DELTA, value, broken)
    assert [one.outcome for one in answers] == ["success", "success", "failure"]
    again = await scene.post("writer", "inbox", value, value | {"name": "changed"})
    assert [one.outcome for one in again] == ["success", "failure"]
    async with scene.store.reading() as tx:
        assert len((await objects.offered(tx, [ID]))[ID]) == 1
    assert (await scene.seen("inbox"))[ID] == value


async def test_a_post_that_cannot_be_judged_recalls_nothing_that_was_posted_before(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    await scene.post("writer", "inbox", DELTA, foreign(scene, sectors=["naics:52"], name="first"))
    broken = ALLOW_ANY.replace("}]", "}, {id: b, when: \"object.sectors[0] == 'x'\", then: deny, reason: y}]")
    await scene.apply(BOX, {"inbox": broken})
    scene.later()
    (answer,) = await scene.post("writer", "inbox", foreign(scene, name="second"))
    assert answer.outcome == "failure"
    await scene.apply(BOX, {"inbox": broken + "\n# again"})
    assert await everything(scene, "inbox") == [("first", "put")]


NAMELESS = """
rules:
  - {id: ours, match: {origin: ours}, then: allow, reason: x}
  - {id: a, match: {type: incident, origin: any}, then: redact, redact: [victim], reason: y}
"""


async def test_a_rule_in_error_lets_out_nothing_of_what_an_incident_hides(scene):
    await scene.apply(AUTO, {"c": NAMELESS})
    victim = make_object(identity_of("Victim Ltd", NODE.identity))
    await scene.make((scene.incident(), "incident"), (victim, "victim"))
    when = "object.sectors[0] == 'x'"
    broken = f'  - {{id: b, match: {{type: incident, origin: any}}, when: "{when}", then: deny, reason: z}}'
    await scene.apply(AUTO, {"c": f"{NAMELESS}{broken}\n"})
    assert "Victim Ltd" not in str(await scene.seen("c"))


async def test_when_an_incident_tells_less_so_does_what_was_made_with_it(scene):
    rules = """
rules:
  - {id: ours, match: {origin: ours}, then: allow, reason: x}
  - {id: a, match: {type: incident, origin: any}, then: redact, redact: [attribution], keep: [name], reason: y}
  - {id: w, match: {means: wiper, origin: any}, then: redact, redact: [victim], reason: z}
"""
    await scene.apply(AUTO, {"c": rules})
    victim = make_object(identity_of("Victim Ltd", NODE.identity))
    one = scene.incident()
    await scene.make((one, "incident"), (victim, "victim"))
    scene.later()
    async with scene.store.writing() as tx:
        await keep(tx, [scene.incident(means=["wiper"])], scene.now)
        await release(tx, scene.configuration, NODE, [one.id], now=scene.now)
    assert "Victim Ltd" not in str(await scene.seen("c"))


async def test_a_word_on_one_incident_lets_in_nothing_that_waits_with_another(scene):
    await scene.apply(AUTO, {"c": ALLOW_ALL_OURS})
    a = scene.incident("A")
    await scene.make((a, "incident"))
    await scene.make((scene.incident("B", tlp="red"), "incident"))
    await scene.hold(a.id)
    scene.later()
    seen = make_object(address("GREEN"))
    await scene.make((scene.incident("A", means=["wiper"]), "incident"), (seen, "observable"))
    await scene.make((scene.incident("B", tlp="red"), "incident"), (seen, "observable"))
    assert seen.id not in await scene.seen("c")


async def test_what_its_creator_has_revoked_does_not_enter_through_a_relay(scene):
    await scene.apply({}, {})
    await pin(scene, "beta", BETA["id"])
    value = foreign(scene, BETA)
    await scene.receive("beta", BETA, value)
    await scene.receive("gamma", BETA, value, hops=1)
    scene.later()
    await scene.receive("beta", foreign(scene, BETA) | {"revoked": True})
    await scene.apply(BY_HAND, {"c": ALLOW_ANY})
    assert await everything(scene, "c") == []


@pytest.mark.parametrize("creator_first", [True, False])
async def test_an_incident_enters_whether_its_creator_came_before_or_after_it(scene, creator_first):
    rules = "rules: [{id: b, match: {type: incident, origin: beta}, then: allow, reason: b}]"
    await scene.apply(BOX, {"inbox": rules})
    for value in (DELTA, foreign(scene)) if creator_first else (foreign(scene), DELTA):
        await scene.receive("beta", value)
    assert {ID, DELTA["id"]} <= set(await scene.seen("inbox"))


async def test_nothing_is_left_of_what_only_the_withdrawn_object_named(scene):
    rules = "rules: [{id: b, match: {type: incident, origin: beta}, then: allow, reason: b}]"
    await scene.apply(BOX, {"inbox": rules})
    value = foreign(scene)
    await scene.receive("beta", DELTA, value)
    await take_back(scene, "beta", value)
    assert await scene.seen("inbox") == {}


async def test_a_creator_does_not_enter_for_what_does_not_enter_itself(scene):
    rules = "rules: [{id: b, match: {type: [incident, relationship], origin: beta}, then: allow, reason: b}]"
    await scene.apply(BOX, {"inbox": rules})
    waiting = foreign(scene) | {"x_ref": ID.replace("7d", "8d")}
    tie = relationship(DELTA["id"], DELTA["id"], GAMMA["id"])
    await scene.receive("beta", DELTA, waiting, tie)
    async with scene.store.writing() as tx:
        again = await release(tx, scene.configuration, NODE, [DELTA["id"], ID, tie["id"]], now=scene.now)
    assert {one.what for one in again} == {"withheld"}
    assert await scene.seen("inbox") == {}


async def test_two_contents_of_one_version_in_one_offer_are_not_both_taken(scene):
    await scene.apply(BOX, {"inbox": ALLOW_ANY})
    one = foreign(scene, name="A")
    answers = await scene.receive("beta", DELTA, one, one | {"name": "B"})
    assert [answer.outcome for answer in answers] == ["stored", "stored", "quarantined"]


async def test_after_a_bare_revocation_the_object_is_still_its_creator_s(scene):
    await scene.apply(BOX, {"inbox": FROM_BETA})
    await pin(scene, "beta", BETA["id"])
    await scene.receive("beta", BETA, foreign(scene, BETA))
    scene.later()
    farewell = foreign(scene, BETA, tlp="red") | {"revoked": True}
    await scene.receive("beta", farewell)
    (again,) = await scene.receive("beta", farewell)
    (relayed,) = await scene.receive("gamma", farewell, hops=1)
    assert (again.outcome, relayed.outcome) == ("duplicate", "stored")


async def test_a_revocation_waits_for_nothing_that_it_names(scene):
    await scene.apply(BOX, {"inbox": FROM_BETA})
    await pin(scene, "beta", BETA["id"])
    await scene.receive("beta", BETA, foreign(scene, BETA))
    scene.later()
    hidden = {"x_ref": ID.replace("7d", "8d")}
    await scene.receive("beta", foreign(scene, BETA) | {"revoked": True} | hidden)
    assert (await scene.seen("inbox"))[ID]["revoked"] is True


async def test_no_names_is_a_rule_that_leaves_this_node_its_own(scene):
    rules = ALLOW_OURS.replace(
        "}]", "}, {id: n, match: {type: identity, origin: any}, then: deny, reason: no names}]"
    )
    await scene.apply(AUTO, {"c": rules})
    one = scene.incident()
    await scene.make((one, "incident"))
    assert {one.id, NODE.identity} <= set(await scene.seen("c"))


async def test_what_is_held_and_has_left_comes_back_only_by_a_person(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    await scene.publish(one.id)
    await scene.hold(one.id)
    for rules in (DENY, ALLOW_OURS):
        plan = await scene.plan(BY_HAND, {"c": rules})
        await scene.apply(BY_HAND, {"c": rules}, confirmed=plan.taken_away or None)
    assert await scene.incidents_seen("c") == set()
    await scene.publish(one.id)
    assert await scene.incidents_seen("c") == {one.id}


async def test_a_word_for_one_collection_goes_on_following(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    await scene.publish(one.id, follow=True)
    await scene.publish(one.id, key="c")
    scene.later()
    newer = scene.incident(means=["wiper"])
    await scene.make((newer, "incident"))
    assert (await scene.seen("c"))[one.id]["modified"] == newer.version


async def test_who_speaks_for_copies_leaves_with_the_last_of_them(scene):
    rules = """
rules:
  - {id: g, match: {type: incident, origin: gamma}, then: allow, reason: x}
  - {id: r, match: {type: incident, origin: gamma}, then: redact, redact: [answers], reason: y}
"""
    await scene.apply(BY_HAND, {"c": rules})
    await scene.receive("gamma", GAMMA, foreign(scene, GAMMA))
    assert NODE.identity in await scene.seen("c")
    whole = "rules: [{id: g, match: {type: incident, origin: gamma}, then: allow, reason: x}]"
    await scene.apply(
        BY_HAND, {"c": whole}, confirmed=(await scene.plan(BY_HAND, {"c": whole})).taken_away or None
    )
    seen = await scene.seen("c")
    assert NODE.identity not in seen
    assert {ID, GAMMA["id"]} <= set(seen)


async def test_what_an_incident_no_longer_holds_leaves_with_it_though_another_waits_with_the_same(scene):
    await scene.apply(BY_HAND, {"c": ALLOW_ALL_OURS})
    seen = make_object(address("GREEN"))
    await scene.make((scene.incident("A"), "incident"), (seen, "observable"))
    b = scene.incident("B")
    await scene.make((b, "incident"), (seen, "observable"))
    await scene.publish(b.id, follow=True)
    assert seen.id in await scene.seen("c")
    scene.later()
    await scene.make((scene.incident("B", means=["wiper"]), "incident"))
    assert seen.id not in await scene.seen("c")
