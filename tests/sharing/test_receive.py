"""What a peer offers and a writer posts: each object ends in one state, and a word binds its source only."""

import itertools
import json

import pytest

from scene import ALLOW_ANY, ALLOW_OURS, NODE, START, an_incident, identity_of, relationship
from tocsin.errors import NotAllowed, NotFound
from tocsin.intake.receive import withdraw_word
from tocsin.sharing.withdraw import delete_posted
from tocsin.stix.markings import Tlp
from tocsin.stix.objects import make_object
from tocsin.store import objects, parties

ID = "incident--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a"
GAMMA = identity_of("CERT Gamma")
INBOX = {"inbox": {"readers": ["acme"], "writers": ["writer", "rival"], "clearance": "amber"}}


async def _pin(scene, peer, identity):
    async with scene.store.writing() as tx:
        party = await parties.party_by_name(tx, peer)
        await parties.pin_identity(tx, party.id, identity)


async def _in_force(scene, id_):
    async with scene.store.reading() as tx:
        return (await objects.newest(tx, [id_]))[id_]


def foreign(scene, **effects):
    return an_incident(scene.clock, creator=GAMMA["id"], id=ID, **effects)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "line 1"),
        (b'{"type": "incident", "type": "incident"}', "given twice"),
        (b'{"type": "identity", "id": "identity--x"}', "not a STIX identifier"),
        (b'{"a": NaN}', "not a JSON number"),
        (b"[" * 100 + b"]" * 100, "nested"),
        (b'{"type":"identity","id":"identity--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a","name":"x"}', "spec_version"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
async def test_one_bad_object_is_refused_with_its_reason_and_spoils_no_neighbour(scene, raw, why):
    await scene.apply(INBOX, {"inbox": ALLOW_ANY})
    first, bad, second = await scene.receive("gamma", GAMMA, raw, foreign(scene))
    assert (first.outcome, bad.outcome, second.outcome) == ("stored", "refused", "stored")
    assert why in bad.reason


async def test_the_same_again_is_a_duplicate_and_changes_nothing(scene):
    await scene.apply(INBOX, {"inbox": ALLOW_ANY})
    offer = (GAMMA, foreign(scene))
    assert {r.outcome for r in await scene.receive("gamma", *offer)} == {"stored"}
    before = await scene.seen("inbox")
    assert {r.outcome for r in await scene.receive("gamma", *offer)} == {"duplicate"}
    assert await scene.seen("inbox") == before


async def test_an_id_of_ours_brought_by_a_peer_is_quarantined_and_ours_stays(scene):
    await scene.apply({"c": {"readers": ["acme"], "release": "automatic"}}, {"c": ALLOW_ANY})
    ours = scene.incident()
    await scene.make((ours, "incident"))
    scene.later()
    (squat,) = await scene.receive(
        "gamma", json.loads(ours.raw) | {"modified": "2027-01-01T00:00:00.000Z", "name": "squatter"}
    )
    assert squat.outcome == "quarantined"
    assert "squatter" not in str(await scene.seen("c"))
    (again,) = await scene.receive("gamma", ours.raw)
    assert again.outcome == "duplicate"


async def test_nobody_else_speaks_in_the_name_of_this_node(scene):
    await scene.apply(INBOX, {"inbox": ALLOW_ANY})
    (forged,) = await scene.receive("gamma", an_incident(scene.clock, creator=NODE.identity, id=ID))
    assert forged.outcome == "quarantined"


@pytest.mark.parametrize("order", list(itertools.permutations(["authentic", "asserted", "newer"])))
async def test_authentic_beats_asserted_whatever_came_first(scene, order):
    await scene.apply(INBOX, {"inbox": ALLOW_ANY})
    await _pin(scene, "gamma", GAMMA["id"])
    at = scene.clock
    offers = {
        "authentic": ("gamma", an_incident(at, creator=GAMMA["id"], id=ID, means=["ransomware"])),
        "asserted": ("beta", an_incident(at, creator=GAMMA["id"], id=ID, means=["wiper"])),
        "newer": ("beta", an_incident(at.replace(year=2027), creator=GAMMA["id"], id=ID, means=["ddos"])),
    }
    await scene.receive("gamma", GAMMA)
    for name in order:
        await scene.receive(offers[name][0], offers[name][1])
    assert "ransomware" in str((await _in_force(scene, ID)).value)
    assert "ransomware" in str((await scene.seen("inbox"))[ID])


async def test_a_writer_s_post_stands_as_posted_references_and_all(scene):
    await scene.apply(INBOX, {"inbox": ALLOW_OURS.replace("type: incident", "posted_here: true")})
    rel = relationship(ID, "identity--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5b", GAMMA["id"])
    (posted,) = await scene.post("writer", "inbox", rel)
    assert posted.outcome == "success"
    assert (await scene.seen("inbox"))[rel["id"]] == rel


async def test_a_post_that_policy_refuses_fails_with_the_rule_s_reason(scene):
    deny = """
rules:
  - {id: all, match: {origin: any}, then: allow, reason: x}
  - {id: no-wipers, match: {means: wiper, origin: any}, then: deny, reason: wipers are told by telephone}
"""
    await scene.apply(INBOX, {"inbox": deny})
    good, bad, red = await scene.post(
        "writer",
        "inbox",
        an_incident(scene.clock, creator=GAMMA["id"], id=ID),
        an_incident(scene.clock, creator=GAMMA["id"], id=ID.replace("7d", "8d"), means=["wiper"]),
        an_incident(scene.clock, creator=GAMMA["id"], id=ID.replace("7d", "9d"), tlp="red"),
    )
    assert (good.outcome, bad.outcome, red.outcome) == ("success", "failure", "failure")
    assert "wipers are told by telephone" in bad.message
    assert "clearance" in red.message


async def test_only_who_posted_an_object_makes_versions_of_it_and_deletes_it(scene):
    await scene.apply(INBOX, {"inbox": ALLOW_ANY})
    value = an_incident(scene.clock, creator=GAMMA["id"], id=ID)
    await scene.post("writer", "inbox", value)
    scene.later()
    (usurped,) = await scene.post(
        "rival", "inbox", an_incident(scene.clock, creator=GAMMA["id"], id=ID, means=["ddos"])
    )
    assert usurped.outcome == "failure"
    with pytest.raises(NotAllowed):
        await _delete(scene, "rival", ID)
    with pytest.raises(NotFound):
        await _delete(scene, "writer", ID.replace("7d", "8d"))
    await _delete(scene, "writer", ID)
    assert ID not in await scene.seen("inbox")
    (again,) = await scene.post("writer", "inbox", value)
    assert again.outcome == "success"
    assert ID in await scene.seen("inbox")


async def _delete(scene, account, id_):
    scene.later()
    async with scene.store.writing() as tx:
        party = await parties.party_by_name(tx, account)
        await delete_posted(tx, scene.configuration, NODE, "inbox", id_, party, now=scene.now)


async def test_an_observable_has_no_creator_and_every_content_stays_with_its_source(scene):
    await scene.apply(INBOX, {"inbox": ALLOW_ANY})
    address = {
        "type": "ipv4-addr",
        "spec_version": "2.1",
        "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd",
        "value": "198.51.100.3",
    }
    for peer in ("gamma", "beta", "gamma"):
        await scene.receive(peer, address)
    async with scene.store.reading() as tx:
        (version,) = (await objects.offered(tx, [address["id"]]))[address["id"]]
    assert len(version.sources) == 2
    assert make_object(address).sha256 == version.sha256
    assert START.year == 2026


async def test_other_content_under_the_same_version_from_the_same_source_is_kept_apart(scene):
    await scene.apply(INBOX, {"inbox": ALLOW_ANY})
    at = scene.clock
    value = an_incident(at, creator=GAMMA["id"], id=ID)
    await scene.receive("gamma", GAMMA, value)
    (other,) = await scene.receive("gamma", an_incident(at, creator=GAMMA["id"], id=ID, means=["ddos"]))
    assert other.outcome == "quarantined"
    assert (await scene.seen("inbox"))[ID] == value
    post = an_incident(at, creator=GAMMA["id"], id=ID.replace("7d", "8d"))
    await scene.post("writer", "inbox", post)
    (changed,) = await scene.post("writer", "inbox", post | {"name": "other"})
    assert changed.outcome == "failure"
    assert "new version" in changed.message


async def test_a_log_carries_one_content_of_an_observable_until_that_is_no_longer_offered(scene):
    await scene.apply(INBOX, {"inbox": ALLOW_ANY})
    file = {"type": "file", "spec_version": "2.1", "id": "file--5a27d487-c542-5f97-a131-a8866b477b46"}
    marked = {"object_marking_refs": [Tlp.GREEN.marking]}
    first, second = file | marked | {"name": "one.exe"}, file | marked | {"name": "two.exe"}
    await scene.receive("gamma", first)
    await scene.receive("beta", second)
    assert (await scene.seen("inbox"))[file["id"]] == first
    async with scene.store.writing() as tx:
        party = await parties.party_by_name(tx, "gamma")
        taken_back = [(file["id"], make_object(first).sha256)]
        await withdraw_word(
            tx, scene.configuration, NODE, taken_back, party, "gamma-collection", now=scene.now + 1_000_000
        )
    assert (await scene.seen("inbox"))[file["id"]] == second
