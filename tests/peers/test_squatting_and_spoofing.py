"""Squatting and spoofing: whatever a peer or a writer claims of what others created, nothing of theirs changes.

Each script is tried by pull (as if the peer had made it), by relay (as if it passed it on) and by post. Afterwards
our objects and those of an honest peer are what they were, our readers see of them what they saw, and what claims
too much is kept apart, or refused, with a reason.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from neighbours import ALLOW_ANY, START, Neighbour, a_peer, an_incident, neighbour
from tocsin.errors import BadInput, NotAllowed, NotFound
from tocsin.intake.receive import AHEAD, Posted, read_offered, receive_posts
from tocsin.sharing.apply import in_force
from tocsin.sharing.withdraw import delete_posted
from tocsin.stix.effects import EXTENSION_CREATOR, EXTENSION_DEFINITION, EXTENSION_ID
from tocsin.stix.markings import Tlp, marking_definitions
from tocsin.stix.objects import keyed_id, make_object, stix_time
from tocsin.store import objects, parties
from zoo import COLLECTION, FOLDER, Animal, Liar, animal, http

GAMMA = "identity--22222222-0000-4000-8000-000000000002"
MALLORY = "identity--33333333-0000-4000-8000-000000000003"
OLDER, LATER, FAR = "2026-01-01T00:00:00.000Z", "2026-06-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"
REDACTED = """
rules:
  - {id: any, match: {origin: any}, then: allow, reason: whatever comes}
  - {id: cut, match: {origin: ours, type: incident}, then: redact, redact: [victim], reason: victims stay home}
"""

Value = Mapping[str, Any]


def who(id_: str, name: str, **more: Any) -> dict[str, Any]:
    dates = {"created": stix_time(START), "modified": stix_time(START)}
    value = {"type": "identity", "spec_version": "2.1", "id": id_, "name": name, "identity_class": "organization"}
    return value | dates | {"object_marking_refs": [Tlp.GREEN.marking]} | more


def made_by(creator: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    dates = {"created": stix_time(START), "modified": stix_time(START)}
    value = {"type": kind, "spec_version": "2.1", "id": keyed_id(b"made", kind, name), "created_by_ref": creator}
    return value | dates | {"object_marking_refs": [Tlp.GREEN.marking]} | more


def without(value: Value, *names: str) -> dict[str, Any]:
    return {name: found for name, found in value.items() if name not in names}


@dataclass
class Stage:
    """A node with an incident of its own, one of gamma's, both shown to acme; and mallory, who lies.

    `liar` is mallory as a peer; as a writer mallory posts.
    """

    node: Neighbour
    settings: Mapping[str, Any]
    lying: Animal
    liar: Liar
    ours: dict[str, Any]
    theirs: dict[str, Any]
    copy_id: str = ""

    @property
    def us(self) -> str:
        return self.node.node.identity

    def says(self, value: Value, **more: Any) -> None:
        """An entry of mallory's log; also for what is no object, and then the entry names ours."""
        try:
            self.liar.says(value, **more)
        except BadInput:
            ours = make_object(self.ours)
            named = {"id": ours.id, "version": ours.version, "sha256": ours.sha256}
            self.liar.says(json.dumps(value).encode(), **named | more)

    async def admit(self, **animals: Animal) -> None:
        """Further peers, which offer what they have as `regional`."""
        for name in animals:
            self.node.home.write_secret(f"peers/{name}", "w0rd")
        known = {name: a_peer(found.url, "regional") for name, found in animals.items()}
        await self.node.apply(
            dict(self.settings) | {"peers": self.settings["peers"] | known}, onward=ALLOW_ANY, masked=REDACTED
        )

    def offer_second(self, value: Value) -> None:
        """Let mallory offer this in a second collection."""
        id_ = COLLECTION.replace("a", "b")
        rows = [{"id": COLLECTION, "title": "regional"}, {"id": id_, "title": "second"}]
        listed = [row | {"can_read": True, "can_write": False} for row in rows]
        self.lying.answers["/root/collections/"] = http(200, {"collections": listed})
        other = Liar.__new__(Liar)
        other.entries = []
        other.says(value)
        self.lying.answers[f"{FOLDER.replace(COLLECTION, id_)}changes/"] = other.answer

    async def post(self, *values: Value, key: str = "inbox", account: str = "mallory-corp") -> list[Posted]:
        async with self.node.store.writing() as tx:
            party = await parties.party_by_name(tx, account)
            items = [read_offered(json.dumps(value).encode()) for value in values]
            configuration, now = await in_force(tx), await tx.now()
            return await receive_posts(tx, configuration, self.node.node, key, party, items, now=now)

    async def delete(self, value: Value) -> str:
        async with self.node.store.writing() as tx:
            party = await parties.party_by_name(tx, "mallory-corp")
            configuration, now = await in_force(tx), await tx.now()
            try:
                await delete_posted(tx, configuration, self.node.node, "inbox", value["id"], party, now=now)
            except (NotAllowed, NotFound) as why:
                return str(why)
        return ""

    async def seen(self) -> dict[str, Any]:
        """What is held of the protected objects, and everything that readers were ever told of them."""
        protected = {self.ours["id"], self.theirs["id"], self.copy_id, self.us, GAMMA, Tlp.GREEN.marking}
        protected |= {EXTENSION_ID, EXTENSION_CREATOR["id"]}
        held = {id_: await self.node.newest(id_) for id_ in sorted(protected)}
        logs = {key: await self.node.log(key) for key in ("onward", "inbox", "masked")}
        told = {key: [(r.op, r.object_id, r.version, r.sha256) for r in rows] for key, rows in logs.items()}
        return {"held": held} | {
            key: sorted(row for row in rows if row[1] in protected) for key, rows in told.items()
        }

    async def speakers(self, *ids: str) -> set[str]:
        """Who is believed to speak for the creators of objects."""
        async with self.node.store.reading() as tx:
            names = {party.id: party.name for party in await parties.parties(tx)}
            found = (await objects.offered(tx, ids)).values()
        sources = [source for versions in found for version in versions for source in version.sources]
        return {names.get(source.party_id, "us") for source in sources if source.authentic}


@pytest_asyncio.fixture
async def stage(tmp_path, make_database):
    async with (
        neighbour("Beta", tmp_path / "beta", make_database("sqlite")) as beta,
        animal() as honest,
        animal() as lying,
    ):
        gamma, liar = Liar(honest, GAMMA), Liar(lying, MALLORY)
        reading = {"readers": ["acme"]}
        settings = {
            "accounts": {name: {"kind": "company"} for name in ("acme", "mallory-corp", "rival")},
            "peers": {
                "gamma": a_peer(honest.url, "regional"),
                "mallory": a_peer(lying.url, "regional", "second"),
            },
            "collections": {
                "onward": reading,
                "inbox": reading | {"writers": ["mallory-corp", "rival"]},
                "outbox": {"writers": ["mallory-corp"]},
                "masked": reading,
            },
        }
        await beta.apply(settings, onward=ALLOW_ANY, masked=REDACTED)
        for name in ("gamma", "mallory"):
            beta.home.write_secret(f"peers/{name}", "w0rd")
        ours = beta.incident("ours")
        await beta.make(ours)
        theirs = an_incident(keyed_id(b"gamma", "incident", "one"), GAMMA, START, text="gamma's")
        gamma.says(who(GAMMA, "CERT Gamma"))
        gamma.says(theirs)
        assert (await beta.pull("gamma")).tally.stored == 2
        (copy_id,) = {id_ for id_, _, _ in await beta.shows("masked") if id_.startswith("incident--")} - {
            theirs["id"]
        }
        yield Stage(beta, settings, lying, liar, ours, theirs, copy_id)


# What mallory says: (value, what else its entry in the log says). A script gives all that it says, in order.
Said = tuple[Value, Mapping[str, Any]]
SCRIPTS: dict[str, Callable[[Stage], list[Said]]] = {}
# By peer: whether everything of a script ends kept apart or refused; else it is held on mallory's word alone.
KEPT_OUT: dict[str, bool] = {}


def script(*, kept_out: bool):
    def note(write: Callable[[Stage], list[Said]]):
        SCRIPTS[write.__name__], KEPT_OUT[write.__name__] = write, kept_out
        return write

    return note


# --- our ids -------------------------------------------------------------------------------------------------


@script(kept_out=True)
def our_incident_in_an_older_version(on):
    return [(on.ours | {"modified": OLDER, "created": OLDER, "name": "squatter"}, {})]


@script(kept_out=True)
def our_incident_in_a_newer_version(on):
    return [(on.ours | {"modified": LATER, "name": "squatter"}, {})]


@script(kept_out=True)
def our_incident_in_the_same_version_with_other_content(on):
    return [(on.ours | {"name": "squatter"}, {})]


@script(kept_out=True)
def our_incident_in_the_year_9999(on):
    return [(on.ours | {"modified": FAR, "name": "squatter"}, {})]


@script(kept_out=True)
def our_incident_with_another_creator(on):
    return [(on.ours | {"modified": LATER, "created_by_ref": MALLORY}, {})]


@script(kept_out=True)
def our_incident_with_no_creator(on):
    return [(without(on.ours, "created_by_ref") | {"modified": LATER}, {})]


@script(kept_out=True)
def our_incident_without_any_date(on):
    return [(without(on.ours, "created", "modified") | {"name": "squatter"}, {})]


@script(kept_out=True)
def our_incident_revoked(on):
    return [(on.ours | {"modified": LATER, "revoked": True}, {"op": "revoke"})]


@script(kept_out=True)
def our_incident_as_another_type(on):
    return [(on.ours | {"type": "report", "modified": LATER}, {})]


@script(kept_out=True)
def our_incident_under_its_id_in_capitals(on):
    return [(on.ours | {"id": on.ours["id"].upper(), "modified": LATER}, {})]


@script(kept_out=True)
def our_incident_nested_in_a_bundle(on):
    inner = dict(on.ours) | {"modified": LATER, "name": "squatter"}
    return [({"type": "bundle", "id": keyed_id(b"m", "bundle", "one"), "objects": [inner]}, {})]


@script(kept_out=False)
def our_incident_nested_in_a_property(on):
    inner = dict(on.ours) | {"modified": LATER, "name": "squatter"}
    return [
        (who(MALLORY, "Mallory"), {}),
        (made_by(MALLORY, "note", "n", content="x", object_refs=[MALLORY], x_objects=[inner]), {}),
    ]


@script(kept_out=True)
def what_names_our_incident_and_carries_something_else(on):
    other = made_by(MALLORY, "note", "n", content="x", object_refs=[MALLORY])
    return [(other, {"id": on.ours["id"], "version": on.ours["modified"]})]


@script(kept_out=True)
def what_names_our_hash_and_carries_something_else(on):
    sha256 = make_object(on.ours).sha256
    return [(on.theirs | {"name": "other", "modified": LATER}, {"sha256": sha256})]


@script(kept_out=True)
def a_copy_of_ours(on):
    return [(on.ours | {"id": on.copy_id, "created_by_ref": MALLORY, "modified": LATER}, {})]


@script(kept_out=True)
def a_copy_of_ours_in_our_name(on):
    return [(on.ours | {"id": on.copy_id, "modified": LATER}, {})]


# --- our name ------------------------------------------------------------------------------------------------


@script(kept_out=True)
def our_identity_replaced(on):
    return [(who(on.us, "Mallory", modified=LATER), {})]


@script(kept_out=True)
def our_identity_with_another_creator(on):
    return [(who(on.us, "Mallory", modified=LATER, created_by_ref=MALLORY), {})]


@script(kept_out=False)
def our_name_under_another_id(on):
    return [(who(MALLORY, "Beta"), {})]


@script(kept_out=True)
def an_incident_in_our_name(on):
    return [(an_incident(keyed_id(b"m", "incident", "forged"), on.us, START), {})]


@script(kept_out=True)
def a_relationship_in_our_name(on):
    names = {"source_ref": on.ours["id"], "target_ref": on.theirs["id"], "relationship_type": "related-to"}
    return [(made_by(on.us, "relationship", "r", **names), {})]


@script(kept_out=True)
def the_identity_behind_our_extension(on):
    return [(EXTENSION_CREATOR | {"modified": LATER, "name": "Mallory"}, {})]


# --- what others made ----------------------------------------------------------------------------------------


@script(kept_out=False)
def their_incident_in_an_older_version(on):
    return [(on.theirs | {"modified": OLDER, "created": OLDER, "name": "forged"}, {})]


@script(kept_out=False)
def their_incident_in_a_newer_version(on):
    return [(on.theirs | {"modified": LATER, "name": "forged"}, {})]


@script(kept_out=False)
def their_incident_in_the_same_version_with_other_content(on):
    return [(on.theirs | {"name": "forged"}, {})]


@script(kept_out=True)
def their_incident_in_the_year_9999(on):
    return [(on.theirs | {"modified": FAR, "name": "forged"}, {})]


@script(kept_out=True)
def their_incident_with_another_creator(on):
    return [(on.theirs | {"modified": LATER, "created_by_ref": MALLORY}, {})]


@script(kept_out=True)
def their_incident_with_no_creator(on):
    return [(without(on.theirs, "created_by_ref") | {"modified": LATER}, {})]


@script(kept_out=False)
def their_incident_revoked(on):
    return [(on.theirs | {"modified": LATER, "revoked": True}, {"op": "revoke"})]


@script(kept_out=False)
def their_identity_replaced(on):
    return [(who(GAMMA, "Mallory", modified=LATER), {})]


@script(kept_out=True)
def their_identity_with_another_creator(on):
    return [(who(GAMMA, "Mallory", modified=LATER, created_by_ref=MALLORY), {})]


@script(kept_out=False)
def an_incident_in_their_name(on):
    return [(an_incident(keyed_id(b"m", "incident", "forged"), GAMMA, START), {})]


@script(kept_out=False)
def a_relationship_in_their_name(on):
    names = {"source_ref": on.theirs["id"], "target_ref": on.ours["id"], "relationship_type": "duplicate-of"}
    return [(made_by(GAMMA, "relationship", "r", **names), {})]


@script(kept_out=False)
def a_note_in_their_name(on):
    return [(made_by(GAMMA, "note", "n", content="all clear", object_refs=[on.theirs["id"], on.ours["id"]]), {})]


@script(kept_out=False)
def a_translation_in_their_name(on):
    said = {"object_ref": on.theirs["id"], "object_modified": on.theirs["modified"]}
    return [(made_by(GAMMA, "language-content", "l", contents={"de": {"name": "gelogen"}}, **said), {})]


# --- definitions ---------------------------------------------------------------------------------------------

GREEN = next(value for value in marking_definitions() if value["id"] == Tlp.GREEN.marking)


@script(kept_out=False)
def a_marking_redefined(on):
    return [(GREEN | {"name": "TLP:CLEAR", "definition": {"tlp": "white"}}, {})]


@script(kept_out=False)
def a_marking_redefined_later(on):
    return [
        (
            without(GREEN, "extensions")
            | {"created": LATER, "definition_type": "statement", "definition": {"statement": "free for all"}},
            {},
        )
    ]


@script(kept_out=False)
def our_extension_redefined(on):
    return [
        (EXTENSION_DEFINITION | {"modified": LATER, "schema": "https://mallory.example/", "version": "9.9"}, {})
    ]


@script(kept_out=False)
def our_extension_with_another_creator(on):
    return [(EXTENSION_DEFINITION | {"modified": LATER, "created_by_ref": MALLORY, "version": "9.9"}, {})]


# --- saying two things, and dates ----------------------------------------------------------------------------


def own(name: str, **more: Any) -> dict[str, Any]:
    return an_incident(keyed_id(b"mallory", "incident", name), MALLORY, START, **more)


@script(kept_out=True)
def its_own_in_the_year_9999(on):
    return [(own("far") | {"modified": FAR}, {})]


@script(kept_out=True)
def its_own_created_in_the_year_9999(on):
    return [(own("far") | {"created": FAR}, {})]


@script(kept_out=True)
def its_own_beyond_what_clocks_may_differ(on):
    return [(own("soon") | {"modified": stix_time(datetime.now(UTC) + AHEAD + timedelta(minutes=5))}, {})]


# --- the proof -----------------------------------------------------------------------------------------------


def test_there_are_enough_scripts_to_mean_something():
    assert len(SCRIPTS) >= 30


def together(names: list[str], count: int = 9) -> list[Any]:
    """Scripts that are tried one after the other at one node, which takes a while to set up."""
    parts = [names[at : at + count] for at in range(0, len(names), count)]
    return [pytest.param(part, id=f"{part[0]} to {part[-1]}") for part in parts]


@pytest.mark.parametrize("names", together(list(SCRIPTS)))
async def test_nothing_that_others_created_changes(stage, names):
    before = await stage.seen()
    speakers = await stage.speakers(stage.ours["id"], stage.theirs["id"], GAMMA)
    told = 0
    for name in names:
        said = SCRIPTS[name](stage)
        for way, hops in (("pull", 0), ("relay", 2)):
            for value, more in said:
                stage.says(value, **{"hops": hops} | dict(more))
            report = await stage.node.pull("mallory")
            assert (report.state, report.error) == ("in step", ""), (name, way)
            assert await stage.seen() == before, (name, way)
        ledger = await stage.node.ledger("mallory")
        new, told = ledger[told:], len(ledger)
        assert len(new) == 2 * len(said), name  # each entry ends in one state
        assert all(row.reason for row in new if row.outcome in ("quarantined", "refused")), name
        assert all(row.content for row in new if row.outcome == "quarantined"), name
        assert not KEPT_OUT[name] or {row.outcome for row in new} <= {"quarantined", "refused"}, name
        answers = await stage.post(*(value for value, _ in said))
        assert [bool(one.message) for one in answers] == [one.outcome == "failure" for one in answers], name
        assert await stage.seen() == before, (name, "post")
        assert await stage.speakers(stage.ours["id"], stage.theirs["id"], GAMMA) == speakers, name
        claimed = [value["id"] for value, _ in said if MALLORY not in (value.get("created_by_ref"), value["id"])]
        assert "mallory" not in await stage.speakers(*claimed), name


@pytest.mark.parametrize("op", ["withdraw", "prune"])
async def test_a_withdrawal_of_what_others_created_takes_nothing_back(stage, op):
    before = await stage.seen()
    for id_ in (stage.ours["id"], stage.theirs["id"], stage.copy_id, stage.us, GAMMA):
        value = await stage.node.newest(id_)
        for hops in (0, 2):
            stage.says(value, op=op, hops=hops)
        assert (await stage.node.pull("mallory")).state == "in step"
        assert await stage.seen() == before
        assert await stage.delete(value)  # refused, in words
        assert await stage.seen() == before


async def test_a_second_writer_changes_nothing_that_the_first_one_posted(stage):
    first = own("first")
    assert [answer.outcome for answer in await stage.post(first, account="rival")] == ["success"]
    shown = await stage.node.shows("inbox")
    for forged in (
        first | {"name": "x"},
        first | {"modified": LATER},
        first | {"revoked": True, "modified": LATER},
    ):
        (answer,) = await stage.post(forged)
        assert (answer.outcome, "another writer" in answer.message) == ("failure", True)
    assert "Only who posted" in await stage.delete(first)
    assert await stage.node.shows("inbox") == shown


# --- who comes first -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["mallory", "gamma"])
async def test_a_peer_is_who_it_says_itself_though_another_claimed_to_have_made_it(stage, first):
    """Mallory tells of delta as of a customer of its own, before or after delta's own node does."""
    delta = "identity--44444444-0000-4000-8000-000000000004"
    async with animal() as there:
        itself = who(delta, "CERT Delta")
        Liar(there, delta).says(itself)
        customer = who(delta, "Customer of Mallory", created_by_ref=MALLORY, modified=LATER)
        stage.liar.says(customer)
        await stage.admit(delta=there)
        for name in ("mallory", "delta") if first == "mallory" else ("delta", "mallory"):
            await stage.node.pull(name)
        assert await stage.node.newest(delta) == itself
        assert await stage.speakers(delta) == {"delta"}
        again = customer | {"name": "Customer again", "modified": "2026-07-01T00:00:00.000Z"}
        stage.liar.says(again)
        assert (await stage.node.pull("mallory")).tally.quarantined == 1
        assert await stage.node.newest(delta) == itself


@pytest.mark.parametrize("hops", [0, 1])
async def test_who_was_merely_said_to_have_created_something_keeps_its_creator_out_no_more(stage, hops):
    """A relay takes the creator out of what it passes on, or names another; then the creator's node offers it."""
    delta = "identity--44444444-0000-4000-8000-000000000004"
    genuine = an_incident(keyed_id(b"d", "incident", "one"), delta, START, text="genuine")
    for said in (without(genuine, "created_by_ref"), genuine | {"created_by_ref": GAMMA}):
        stage.says(said | {"name": "squatted", "modified": LATER}, hops=hops)
    await stage.node.pull("mallory")
    async with animal() as there:
        liar = Liar(there, delta)
        liar.says(who(delta, "CERT Delta"))
        liar.says(genuine)
        await stage.admit(delta=there)
        assert (await stage.node.pull("delta")).tally.stored == 2
    assert await stage.node.newest(genuine["id"]) == genuine
    assert {
        row.sha256 for row in await stage.node.log("onward") if row.object_id == genuine["id"] and row.raw
    } == {make_object(genuine).sha256}


# --- saying two things ---------------------------------------------------------------------------------------


async def test_other_content_for_the_same_version_is_kept_apart_in_one_page_and_later(stage):
    said = own("two")
    stage.liar.says(said)
    stage.liar.says(said | {"name": "in the same page"})
    await stage.node.pull("mallory")
    stage.liar.says(said | {"name": "later"})
    await stage.node.pull("mallory")
    assert [row.outcome for row in await stage.node.ledger("mallory")] == ["stored", "quarantined", "quarantined"]
    assert await stage.node.newest(said["id"]) == said


async def test_who_takes_back_a_version_and_says_another_is_heard_and_readers_are_told_of_both(stage):
    """Its last word on a version counts (a log is told in its order): this is a correction, not two stories."""
    said = own("two")
    corrected = said | {"name": "corrected"}
    stage.liar.says(who(MALLORY, "Mallory"))
    stage.liar.says(said)
    await stage.node.pull("mallory")
    stage.liar.says(said, op="withdraw")
    stage.liar.says(corrected)
    await stage.node.pull("mallory")
    assert await stage.node.newest(said["id"]) == corrected
    (row,) = [row for row in await stage.node.log("onward") if row.object_id == said["id"] and row.raw]
    assert json.loads(row.raw) == corrected


async def test_of_two_contents_in_two_collections_the_lower_hash_counts_and_the_operator_reads_of_it(stage):
    said = own("two")
    other = said | {"name": "another story"}
    lower = min(said, other, key=lambda value: make_object(value).sha256)
    stage.liar.says(said)
    stage.offer_second(other)
    await stage.node.pull("mallory")
    await stage.node.pull("mallory", "second")
    assert await stage.node.newest(said["id"]) == lower
    first, second = await stage.node.ledger("mallory")
    assert (first.outcome, first.reason, second.outcome) == ("stored", "", "stored")
    assert "gave other content for this very version" in second.reason


async def test_a_writer_that_tells_two_collections_two_stories_is_read_in_each_as_it_said_there(stage):
    """What a writer is told depends on nothing outside the collection, and so does what its readers see."""
    said = own("two")
    other = said | {"name": "another story"}
    assert [answer.outcome for answer in await stage.post(said, key="inbox")] == ["success"]
    assert [answer.outcome for answer in await stage.post(other, key="outbox")] == ["success"]
    for key, value in (("inbox", said), ("outbox", other)):
        shown = {row.sha256 for row in await stage.node.log(key) if row.object_id == said["id"] and row.raw}
        assert make_object(value).sha256 in shown, key


# --- who may be believed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("hops", [0, 1, 2])
async def test_nobody_is_authentic_by_saying_that_he_is_near(stage, hops):
    forged = an_incident(keyed_id(b"m", "incident", "forged"), GAMMA, START)
    made = own("made")
    stage.liar.says(forged, hops=hops)
    stage.liar.says(made, hops=hops)
    await stage.node.pull("mallory")
    assert await stage.speakers(forged["id"]) == set()
    assert await stage.speakers(made["id"]) == ({"mallory"} if hops == 0 else set())


async def test_a_clock_that_is_ahead_by_less_is_believed(stage):
    value = own("soon") | {"modified": stix_time(datetime.now(UTC) + AHEAD - timedelta(minutes=5))}
    stage.liar.says(value)
    assert (await stage.node.pull("mallory")).tally.stored == 1
