"""What the proofs found once, and a story for each that a person can read."""

from datetime import timedelta

import pytest

from scene import ALLOW_ANY, NODE, START, identity_of
from tocsin.sharing.release import release
from tocsin.stix.markings import Tlp
from tocsin.stix.objects import from_micros, keyed_id, make_object, stix_time
from tocsin.store import releases

WRITES = {"writers": ["writer"], "readers": ["acme"]}
INCIDENTS_ONLY = "rules: [{id: incidents, match: {type: incident}, then: allow, reason: incidents alone}]"


async def test_what_a_collection_refuses_was_never_said_to_another(scene):
    await scene.apply({"a": WRITES, "b": WRITES}, {"a": INCIDENTS_ONLY, "b": ALLOW_ANY})
    value = identity_of("Delta")
    (told,) = await scene.post("writer", "a", value)
    assert told.outcome == "failure"
    assert value["id"] not in await scene.seen("b")
    async with scene.store.reading() as tx:
        history = await releases.history(tx, [value["id"]])
    assert not history


async def test_what_a_collection_takes_goes_where_others_hear_of_it(scene):
    await scene.apply({"a": WRITES, "b": WRITES}, {"a": ALLOW_ANY, "b": ALLOW_ANY})
    value = identity_of("Delta")
    (told,) = await scene.post("writer", "a", value)
    assert told.outcome == "success"
    assert value["id"] in await scene.seen("b")


async def test_no_translation_tells_what_a_copy_leaves_out(scene):
    policy = """rules:
      - {id: ours, match: {origin: ours}, then: allow, reason: ours}
      - {id: nameless, match: {type: identity}, then: redact, redact: [narrative], reason: no names}
    """
    await scene.apply({"a": {"release": "automatic", "readers": ["acme"]}}, {"a": policy})
    incident, bank = scene.incident(), make_object(identity_of("Bank of Lilliput", NODE.identity))
    german = {
        "type": "language-content",
        "spec_version": "2.1",
        "id": keyed_id(NODE.secret, "language-content", "one"),
        "created": stix_time(START),
        "modified": stix_time(START),
        "created_by_ref": NODE.identity,
        "object_ref": bank.id,
        "contents": {"de": {"name": "Bank von Liliput"}},
        "object_marking_refs": [Tlp.GREEN.marking],
    }
    await scene.make((incident, "incident"), (bank, "other"), (make_object(german), "other"))
    seen = await scene.seen("a")
    assert "Name withheld" in str(seen)
    assert "Liliput" not in str(seen)


async def test_a_definition_stands_beside_what_names_it_though_its_incident_does_not(scene):
    policy = "rules: [{id: all, match: {origin: ours, type: [identity, note]}, then: allow, reason: x}]"
    await scene.apply({"a": {"release": "automatic", "readers": ["acme"]}}, {"a": policy})
    first = identity_of("Bank of Lilliput", NODE.identity)
    definition = {
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": keyed_id(NODE.secret, "extension-definition", "one"),
        "created": stix_time(START),
        "modified": stix_time(START),
        "created_by_ref": NODE.identity,
        "name": "colour",
        "schema": "https://lilliput.example/colour",
        "version": "1.0.0",
        "extension_types": ["property-extension"],
    }
    said = {definition["id"]: {"extension_type": "property-extension", "colour": "red"}}
    theirs = identity_of("Delta", at=START) | {"extensions": said}
    await scene.apply(
        {"a": {"release": "automatic", "readers": ["acme"]}},
        {"a": policy.replace("origin: ours", "origin: any")},
    )
    await scene.make(
        (scene.incident(), "incident"), (make_object(first), "other"), (make_object(definition), "other")
    )
    await scene.receive("beta", theirs)
    assert {theirs["id"], definition["id"]} <= (await scene.seen("a")).keys()


async def test_no_copy_is_published_that_a_missing_reference_makes_invalid(scene):
    policy = "rules: [{id: all, match: {type: [incident, network-traffic]}, then: allow, reason: x}]"
    await scene.apply({"a": {"release": "automatic", "readers": ["acme"]}}, {"a": policy})
    address = {"type": "ipv4-addr", "spec_version": "2.1", "id": keyed_id(NODE.secret, "ipv4-addr", "one")}
    address |= {"value": "192.0.2.7", "object_marking_refs": [Tlp.GREEN.marking]}
    traffic = {
        "type": "network-traffic",
        "spec_version": "2.1",
        "id": keyed_id(NODE.secret, "network-traffic", "one"),
    }
    traffic |= {"protocols": ["tcp"], "src_ref": address["id"], "object_marking_refs": [Tlp.GREEN.marking]}
    made = [(make_object(value), "other") for value in (address, traffic)]
    await scene.make((scene.incident(), "incident"), *made)
    seen = await scene.seen("a")
    assert not [id_ for id_ in seen if id_.startswith("network-traffic--")]


async def test_a_writer_is_told_the_same_whoever_else_brought_what_he_posts(scene):
    await scene.apply({"a": WRITES}, {"a": INCIDENTS_ONLY})
    unknown, known = identity_of("Delta"), identity_of("Epsilon")
    await scene.receive("beta", known, hops=3)  # too far to be passed on
    told = [one for value in (unknown, known) for one in await scene.post("writer", "a", value)]
    assert told[0].outcome == "failure"
    assert told[0].message == told[1].message


async def test_a_writer_of_a_refused_observable_learns_nothing_of_when_it_was_first_here(scene):
    await scene.apply({"a": WRITES}, {"a": INCIDENTS_ONLY})
    lock = {"type": "mutex", "spec_version": "2.1", "id": keyed_id(b"elsewhere", "mutex", "one"), "name": "lock"}
    await scene.receive("beta", lock)
    scene.later(hours=5)
    (told,) = await scene.post("writer", "a", lock)
    assert (told.outcome, told.version) == ("failure", from_micros(scene.now))


async def test_what_nobody_published_says_on_whose_side_an_observable_is_to_no_reader(scene):
    policy = """rules:
      - {id: any, match: {origin: any}, then: allow, reason: x}
      - {id: less, match: {type: ipv4-addr, origin: any}, then: redact, redact: [attacker-observables], reason: y}
    """
    await scene.apply({"a": {"readers": ["acme"]}}, {"a": policy})
    address = {"type": "ipv4-addr", "spec_version": "2.1", "id": keyed_id(b"elsewhere", "ipv4-addr", "one")}
    address |= {"value": "192.0.2.7", "object_marking_refs": [Tlp.GREEN.marking]}
    await scene.receive("beta", address)
    before = await scene.seen("a")
    assert "192.0.2.7" in str(before)
    await scene.make((scene.incident(), "incident"), (make_object(address), "attacker"))
    assert await scene.seen("a") == before


# --- creators ------------------------------------------------------------------------------------------------

GAMMA_ONLY = "rules: [{id: gamma, match: {origin: gamma}, then: allow, reason: what gamma tells}]"


def _definition(creator: str) -> dict[str, object]:
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": keyed_id(b"elsewhere", "marking-definition", "one"),
        "created": stix_time(START),
        "created_by_ref": creator,
        "definition_type": "statement",
        "definition": {"statement": "for members"},
        "name": "members",
    }


def _note(creator: str, *about: str) -> dict[str, object]:
    return {
        "type": "note",
        "spec_version": "2.1",
        "id": keyed_id(b"elsewhere", "note", *about),
        "created": stix_time(START),
        "modified": stix_time(START),
        "created_by_ref": creator,
        "content": "seen",
        "object_refs": list(about),
        "object_marking_refs": [Tlp.GREEN.marking],
    }


def _tool(name: str, creator: str) -> dict[str, object]:
    return {
        "type": "tool",
        "spec_version": "2.1",
        "id": keyed_id(b"elsewhere", "tool", name),
        "created": stix_time(START),
        "modified": stix_time(START),
        "created_by_ref": creator,
        "name": name,
        "object_marking_refs": [Tlp.GREEN.marking],
    }


async def test_no_definition_that_nothing_names_lets_in_an_identity_that_another_peer_refers_to(scene):
    await scene.apply({"a": {"readers": ["gamma", "acme"]}}, {"a": GAMMA_ONLY})
    hidden = identity_of("Delta")
    await scene.receive("gamma", _tool("hammer", hidden["id"]))
    await scene.receive("beta", hidden, _definition(hidden["id"]))
    assert not await scene.seen("a")
    await scene.receive("gamma", hidden)  # its own word of the creator
    assert set(await scene.seen("a")) == {hidden["id"], _tool("hammer", "")["id"], Tlp.GREEN.marking}


async def test_who_repeats_what_another_tells_adds_no_creator_to_it(scene):
    await scene.apply({"a": {"readers": ["gamma", "acme"]}}, {"a": GAMMA_ONLY})
    delta = identity_of("Delta")
    other = identity_of("Delta", at=START + timedelta(days=1)) | {"description": "told by beta alone"}
    tool = _tool("hammer", delta["id"])
    await scene.receive("gamma", delta, tool)
    before = await scene.seen("a")
    await scene.receive("beta", other, tool)
    assert await scene.seen("a") == before
    await scene.receive("beta", identity_of("Delta", at=START + timedelta(days=2)) | {"description": "again"})
    assert await scene.seen("a") == before
    async with scene.store.writing() as tx:  # judged alone, as in a batch
        await release(tx, scene.configuration, NODE, [delta["id"]], now=scene.now)
    assert await scene.seen("a") == before


async def test_an_identity_that_names_itself_stays_though_a_second_peer_brings_it(scene):
    await scene.apply({"a": {"readers": ["gamma", "acme"]}}, {"a": GAMMA_ONLY})
    delta = identity_of("Delta")
    delta["created_by_ref"] = delta["id"]
    await scene.receive("gamma", delta)
    await scene.receive("beta", delta, identity_of("Epsilon", delta["id"]))
    assert set(await scene.seen("a")) == {delta["id"], Tlp.GREEN.marking}


async def test_two_of_ours_that_name_each_other_become_whole_together_when_what_they_wait_for_arrives(scene):
    await scene.apply({"a": {"release": "automatic", "readers": ["acme"]}}, {"a": ALLOW_ANY})
    missing = identity_of("Delta")
    incident = scene.incident()
    first, second = _tool("hammer", NODE.identity), _tool("anvil", NODE.identity)
    one = _note(NODE.identity, first["id"], missing["id"])
    two = _note(NODE.identity, second["id"], one["id"])
    one["object_refs"] = [*one["object_refs"], two["id"]]
    made = [(make_object(value), "other") for value in (first, second, one, two)]
    await scene.make((incident, "incident"), *made)
    assert not {one["id"], two["id"]} & (await scene.seen("a")).keys()  # they stand as copies
    await scene.receive("beta", missing)
    assert {one["id"], two["id"]} <= (await scene.seen("a")).keys()


# --- what a writer is told, and what of his is shown ---------------------------------------------------------


@pytest.mark.parametrize("word", ["one", "two", "three", "four"])  # by any order of the hashes
async def test_what_waits_beside_a_post_never_shows_in_its_place(scene, word):
    policy = "rules: [{id: any, match: {origin: any}, then: allow, reason: x}]"
    await scene.apply({"a": WRITES}, {"a": policy})
    missing = identity_of("Delta")
    hidden = _note(missing["id"], missing["id"]) | {"content": f"what beta says: {word}"}
    await scene.receive("beta", hidden)
    assert hidden["id"] not in await scene.seen("a")
    (*_, told) = await scene.post("writer", "a", missing, hidden | {"content": "what the writer says"})
    assert (told.outcome, told.message) == ("success", "")
    assert (await scene.seen("a"))[hidden["id"]]["content"] == "what the writer says"


@pytest.mark.parametrize("word", ["one", "two", "three", "four"])
async def test_no_hidden_account_of_a_creator_shows_in_place_of_the_writers(scene, word):
    policy = """rules:
      - {id: posts, match: {posted_here: true}, then: allow, reason: x}
      - {id: notes, match: {origin: beta, type: note}, then: allow, reason: y}
    """
    await scene.apply({"a": WRITES}, {"a": policy})
    delta = identity_of("Delta")
    waiting = _note(delta["id"], identity_of("Missing")["id"])
    await scene.receive("beta", delta | {"description": f"what beta says: {word}"}, waiting)
    assert not await scene.seen("a")
    await scene.post("writer", "a", delta | {"description": "the writer's"}, _tool("hammer", delta["id"]))
    assert (await scene.seen("a"))[delta["id"]]["description"] == "the writer's"


@pytest.mark.parametrize(
    "let_in",
    [
        pytest.param("match: {origin: beta}", id="waiting-for-what-it-names"),
        pytest.param('match: {origin: beta}, when: "size(stix.labels) > 0"', id="kept-out-by-an-error"),
    ],
)
async def test_a_refused_writer_is_told_why_his_own_word_does_not_enter_and_nothing_of_what_waits(scene, let_in):
    policy = f"rules: [{{id: theirs, {let_in}, then: allow, reason: x}}]"
    await scene.apply({"a": WRITES}, {"a": policy})
    missing = identity_of("Delta")["id"]
    known, unknown = _note(missing, missing), _note(missing, identity_of("Epsilon")["id"])
    await scene.receive("beta", known)
    told = [one for value in (known, unknown) for one in await scene.post("writer", "a", value)]
    assert [one.outcome for one in told] == ["failure", "failure"]
    assert told[0].message == told[1].message
