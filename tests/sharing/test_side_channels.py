"""What is hidden is told by nothing that speaks of it: side channels S11 to S19, one by one."""

import json

import pytest

from scene import ALLOW_ANY, NODE, START, an_incident, identity_of
from tocsin.stix.markings import Tlp
from tocsin.stix.objects import keyed_id, make_object, stix_time

SECRET = "Vexilla Works"  # what only the hidden original and those that quote it say
ANY = {"c": {"readers": ["acme"], "clearance": "amber", "release": "automatic"}}
HIDDEN = keyed_id(NODE.secret, "incident", "hidden")
SHOWN = keyed_id(NODE.secret, "incident", "shown")
TIMES = {"first_observed": "2026-03-01T11:22:33.444Z", "last_observed": "2026-03-01T11:22:33.444Z"}


def told(kind, **members):
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": keyed_id(NODE.secret, kind, "telling"),
        "created": stix_time(START),
        "modified": stix_time(START),
        "created_by_ref": NODE.identity,
        "object_marking_refs": [Tlp.GREEN.marking],
        **members,
    }


# each speaks of what is hidden, and of what is shown wherever its type can; by type
SPEAKING = {
    "note": told("note", content=SECRET, object_refs=[SHOWN, HIDDEN]),
    "opinion": told("opinion", opinion="agree", explanation=SECRET, object_refs=[SHOWN, HIDDEN]),
    "report": told(
        "report", name=SECRET, published="2026-03-01T11:22:33.444Z", object_refs=[SHOWN, HIDDEN], labels=[SECRET]
    ),
    "grouping": told("grouping", name=SECRET, context="unspecified", object_refs=[SHOWN, HIDDEN]),
    "language-content": told("language-content", object_ref=HIDDEN, contents={"en": {"name": SECRET}}),
    "sighting": told("sighting", sighting_of_ref=HIDDEN, description=SECRET, count=3),
    "relationship": told(
        "relationship", relationship_type="related-to", source_ref=SHOWN, target_ref=HIDDEN, description=SECRET
    ),
    "observed-data": told("observed-data", object_refs=[HIDDEN], number_observed=7, **TIMES),
}


def hidden_original(scene):
    """What stays here: it is red."""
    return make_object(
        an_incident(scene.clock, "hidden", tlp="red")
        | {"description": SECRET, "external_references": [{"source_name": "tickets", "external_id": SECRET}]}
    )


async def leaks(scene):
    """What readers find that tells of the hidden original."""
    seen = json.dumps(await scene.seen("c"))
    return [word for word in (HIDDEN, HIDDEN.partition("--")[2][:8], SECRET, "11:22:33") if word in seen]


@pytest.mark.parametrize("kind", SPEAKING)
async def test_what_we_say_of_something_hidden_stays_here_with_it(scene, kind):
    await scene.apply(ANY, {"c": ALLOW_ANY})
    await scene.make((hidden_original(scene), "incident"))
    shown = scene.incident("shown")
    await scene.make((shown, "incident"), (make_object(SPEAKING[kind]), "other"))
    assert await leaks(scene) == []
    assert await scene.incidents_seen("c") == {SHOWN}
    assert (await scene.explain(SPEAKING[kind]["id"], "c")).stands is None


@pytest.mark.parametrize("kind", SPEAKING)
async def test_what_a_peer_says_of_something_hidden_is_not_passed_on(scene, kind):
    await scene.apply(ANY, {"c": ALLOW_ANY})
    await scene.make((hidden_original(scene), "incident"))
    await scene.make((scene.incident("shown"), "incident"))
    creator = identity_of("gamma")
    theirs = SPEAKING[kind] | {"id": keyed_id(b"gamma", kind, "telling"), "created_by_ref": creator["id"]}
    await scene.receive("gamma", creator, theirs)
    assert await leaks(scene) == []
    assert (await scene.explain(theirs["id"], "c")).stands is None


@pytest.mark.parametrize("kind", SPEAKING)
async def test_it_leaves_with_what_it_speaks_of(scene, kind):
    await scene.apply({"c": ANY["c"] | {"clearance": "red"}}, {"c": ALLOW_ANY})
    await scene.make((hidden_original(scene), "incident"))
    await scene.make((scene.incident("shown"), "incident"), (make_object(SPEAKING[kind]), "other"))
    assert SPEAKING[kind]["id"] in await scene.seen("c")
    plan = await scene.plan(ANY, {"c": ALLOW_ANY})
    await scene.apply(ANY, {"c": ALLOW_ANY}, confirmed=plan.taken_away)
    assert await leaks(scene) == []


async def test_a_sighting_does_not_say_where_by_an_identity_that_is_hidden(scene):
    await scene.apply(ANY, {"c": ALLOW_ANY})
    victim = identity_of("victim", NODE.identity, tlp="red")
    sighting = told("sighting", sighting_of_ref=SHOWN, where_sighted_refs=[victim["id"]])
    await scene.make(
        (scene.incident("shown"), "incident"), (make_object(victim), "victim"), (make_object(sighting), "other")
    )
    assert victim["id"] not in json.dumps(await scene.seen("c"))
    copy = (await scene.explain(sighting["id"], "c")).stands_as
    assert "where_sighted_refs" not in (await scene.seen("c"))[copy]


HIDE = """
rules:
  - {id: any, match: {origin: any}, then: allow, reason: shared}
  - {id: hide, match: {origin: any}, then: redact, redact: [victim], reason: victims stay here}
"""


@pytest.mark.parametrize("kind", SPEAKING)
async def test_beside_a_copy_nothing_tells_what_the_copy_leaves_out(scene, kind):
    """S11, S14 to S16, S19: ids made of values, counts, precise times, references to elsewhere, labels."""
    await scene.apply({"c": ANY["c"] | {"clearance": "red"}}, {"c": HIDE})
    await scene.make((hidden_original(scene), "incident"))
    address = {
        "type": "ipv4-addr",
        "spec_version": "2.1",
        "id": "ipv4-addr--5853f6a4-638f-5b4e-9b0f-ded361ae3812",  # whoever tries values finds it
        "value": "192.0.2.1",
        "object_marking_refs": [Tlp.GREEN.marking],
    }
    company = [(make_object(value), role) for value, role in ((SPEAKING[kind], "other"), (address, "observable"))]
    await scene.make((scene.incident("shown"), "incident"), *company)
    assert len(await scene.incidents_seen("c")) == 2
    assert await leaks(scene) == []
    seen = json.dumps(await scene.seen("c"))
    for word in (address["id"], "192.0.2.1", SHOWN, SPEAKING[kind]["id"]):
        assert word not in seen
