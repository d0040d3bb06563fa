"""What is erased leaves every log first, then every table; and nobody brings it back."""

import pytest
from sqlalchemy import text

from scene import ALLOW_ALL_OURS, ALLOW_ANY, NODE, an_incident, identity_of, relationship
from tocsin.errors import NotFound, Refused
from tocsin.sharing import erase as erasing
from tocsin.stix.markings import Tlp
from tocsin.stix.objects import make_object
from tocsin.store import erasures, records, seals
from tocsin.store.tables import metadata

CANARY = "Quokkafjord Savings Cooperative"
AUTO = {"c": {"readers": ["beta"], "release": "automatic"}}
POSTED = {"c": {"readers": ["beta"], "writers": ["writer"]}}


async def erase(scene, *ids):
    scene.later()
    async with scene.store.writing() as tx:
        planned = await erasing.plan(tx, NODE, ids)
        await erasing.erase(tx, scene.configuration, NODE, planned, because="asked", by="operator", now=scene.now)
    return planned


async def dump(scene) -> str:
    """Every value of every table, as text."""
    async with scene.store.reading() as tx:
        found = []
        for table in metadata.sorted_tables:
            for row in await tx.connection.execute(text(f'SELECT * FROM "{table.name}"')):
                found += [
                    value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in row
                ]
    return "\n".join(found)


def ours(scene, name: str, victim: dict) -> list:
    one = scene.incident(name)
    link = relationship(one.id, victim["id"], NODE.identity)
    return [(one, "incident"), (make_object(victim), "victim"), (make_object(link), "relationship")]


async def test_what_was_made_only_with_it_goes_too_and_what_others_have_stays(scene):
    await scene.apply(AUTO, {"c": ALLOW_ALL_OURS})
    victim, shared = identity_of(CANARY, NODE.identity), identity_of("Reported by", NODE.identity)
    one = ours(scene, "one", victim)
    await scene.make(*one, (make_object(shared), "reporter"))
    two = scene.incident("two")
    await scene.make((two, "incident"), (make_object(shared), "reporter"))
    assert CANARY in await dump(scene)
    planned = await erase(scene, one[0][0].id)
    assert set(planned.made_with) == {victim["id"], one[2][0].id}
    assert planned.stay == (shared["id"],)
    assert CANARY not in await dump(scene)
    assert set(await scene.seen("c")) >= {two.id, shared["id"]}
    assert not set(await scene.seen("c")) & set(planned.ids)
    async with scene.store.reading() as tx:
        assert await erasures.erased(tx, planned.ids) == set(planned.ids)
        assert [log for log in await seals.logs(tx) if (await seals.check(tx, log)).fault] == []
        withdrawn = (
            await tx.connection.execute(text("SELECT count(*) FROM release WHERE op = 'withdraw'"))
        ).scalar()
    assert withdrawn == 3


async def test_a_persons_words_on_it_and_its_redacted_copies_go_too(scene):
    rule = "{id: unnamed, match: {type: incident}, then: redact, redact: [victim], reason: nobody is named}"
    redact = f"{ALLOW_ALL_OURS.removesuffix(']')}, {rule}]"
    await scene.apply(AUTO, {"c": redact})
    one = scene.incident()
    await scene.make((one, "incident"))
    copies = await scene.incidents_seen("c")
    async with scene.store.writing() as tx:
        await records.add_assessment(tx, one.id, {"notes": CANARY}, "analyst", CANARY, scene.now)
    assert copies
    assert one.id not in copies
    with pytest.raises(Refused, match="redacted copy"):
        await erase(scene, *copies)
    planned = await erase(scene, one.id)
    assert set(planned.copies) == copies
    assert planned.amount.assessments == 1
    assert CANARY not in await dump(scene)


async def test_a_peer_and_a_writer_who_bring_it_again_are_refused_with_the_reason(scene):
    await scene.apply(POSTED, {"c": ALLOW_ANY})
    theirs = an_incident(scene.clock, CANARY, creator=identity_of("Beta")["id"])
    who = identity_of("Beta")
    await scene.receive("beta", who, theirs)
    posted = identity_of(CANARY + " too", tlp="green")
    await scene.post("writer", "c", posted)
    await erase(scene, theirs["id"], posted["id"])
    assert CANARY not in await dump(scene)
    scene.later()
    newer = theirs | {"modified": "2026-03-02T00:00:00.000Z"}
    for again in (theirs, newer):
        (answer,) = await scene.receive("gamma", again)
        assert (answer.outcome, answer.reason) == ("refused", erasures.REFUSAL)
    (answer,) = await scene.post("writer", "c", posted)
    assert (answer.outcome, answer.message) == ("failure", erasures.REFUSAL)
    assert CANARY not in await dump(scene)
    async with scene.store.writing() as tx:
        assert await erasing.allow_again(tx, [theirs["id"]], by="operator", now=scene.now) == [theirs["id"]]
        with pytest.raises(NotFound):
            await erasing.allow_again(tx, [theirs["id"]], by="operator", now=scene.now)
    (answer,) = await scene.receive("beta", newer)
    assert answer.outcome == "stored"


async def test_a_writer_is_told_that_it_was_erased_only_where_it_once_stood(scene):
    rules = "{id: i, match: {type: identity}, then: allow, reason: x}"
    writers = {"readers": ["beta"], "writers": ["writer", "rival"]}
    unnamed = (
        f"rules: [{rules}, {{id: r, match: {{type: identity}}, then: redact, redact: [narrative], reason: x}}]"
    )
    policies = {"c": ALLOW_ANY, "d": f"rules: [{rules}]", "e": unnamed}
    await scene.apply(dict.fromkeys(policies, writers), policies)
    known, copied = identity_of("known"), identity_of("copied") | {"description": "free text"}
    await scene.post("writer", "c", known)
    (told,) = await scene.post("writer", "e", copied)
    assert told.message.startswith("redacted")
    await erase(scene, known["id"], copied["id"])
    nobodys = relationship(known["id"], copied["id"], NODE.identity) | {"created_by_ref": identity_of("me")["id"]}
    (silence,) = await scene.post("rival", "d", nobodys)
    assert silence.outcome == "failure"
    for key, poster, value, message in (
        ("c", "writer", known, erasures.REFUSAL),
        ("c", "rival", known, erasures.REFUSAL),  # he can read it in the log
        ("d", "writer", known, silence.message),
        ("d", "rival", known, silence.message),
        ("e", "writer", copied, erasures.REFUSAL),
        ("e", "rival", copied, silence.message),
        ("c", "rival", copied, erasures.REFUSAL),  # it went on into that one
        ("d", "writer", copied, silence.message),
    ):
        (answer,) = await scene.post(poster, key, value)
        where = (key, poster, value["name"])
        assert (*where, answer.outcome, answer.message) == (*where, "failure", message)
        (imposter,) = await scene.post(poster, "d", value | {"created_by_ref": NODE.identity})
        assert "in the name of this node" in imposter.message  # as of any other id
    assert not {known["id"], copied["id"]} & {
        *await scene.seen("c"),
        *await scene.seen("d"),
        *await scene.seen("e"),
    }


async def test_what_everything_names_and_what_was_never_here_is_not_erased(scene):
    await scene.apply(AUTO, {"c": ALLOW_ALL_OURS})
    for id_ in (NODE.identity, Tlp.GREEN.marking):
        with pytest.raises(Refused):
            await erase(scene, id_)
    with pytest.raises(NotFound):
        await erase(scene, "incident--00000000-0000-4000-8000-000000000000")
