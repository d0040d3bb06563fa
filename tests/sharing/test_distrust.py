"""A peer not trusted any more since a moment: what came from it leaves, and comes back if that was a mistake."""

import pytest

from offering import distrust_since, ledger, numbers, offer, refuse, release, resume
from scene import ALLOW_ANY, NODE, START, an_incident, identity_of
from tocsin.intake.receive import withdraw_word
from tocsin.stix.objects import make_object, stix_time
from tocsin.store import dealings, objects, parties, releases
from tocsin.store.tables import fetch

COLLECTIONS = {
    "inbox": {"readers": ["acme", "gamma"], "clearance": "amber", "release": "automatic"},
}
GAMMA = identity_of("gamma")
OTHER = identity_of("somebody")


def incident(number, creator=GAMMA["id"], **more):
    id_ = f"incident--7d1fbc1e-0f5c-4c64-9d0a-00000000000{number}"
    return an_incident(more.pop("at", START), str(number), creator=creator, id=id_, **more)


@pytest.fixture
async def inbox(scene):
    """Gamma offered one incident before the moment, and two after it; one of these beta offers too."""
    await scene.apply(COLLECTIONS, {"inbox": ALLOW_ANY})
    async with scene.store.writing() as tx:
        await parties.pin_identity(tx, (await parties.party_by_name(tx, "gamma")).id, GAMMA["id"])
    await offer(scene, "gamma", GAMMA, incident(1))
    await scene.make((scene.incident("ours"), "incident"))
    scene.later(hours=1)
    scene.since = scene.now
    await offer(scene, "gamma", OTHER, incident(2), incident(3), hops=0)
    await offer(scene, "beta", OTHER, incident(3), hops=1)
    return scene


async def state(scene):
    """Everything that readers and our people see of the peers' objects."""
    rows = [(row.object_id, row.sha256, row.outcome) for row in await ledger(scene)]
    async with scene.store.reading() as tx:
        found = await objects.offered(tx, await objects.all_ids(tx))
    words = {
        (one.id, one.sha256, s.party_id, s.word, s.authentic, s.hops)
        for versions in found.values()
        for one in versions
        for s in one.sources
    }
    return await scene.seen("inbox"), words, rows


async def test_what_came_since_leaves_and_what_came_before_or_from_others_too_stays(inbox):
    before = await inbox.seen("inbox")
    done = await distrust_since(inbox, "gamma", inbox.since)
    assert sorted(done.quarantined) == sorted([OTHER["id"], incident(2)["id"], incident(3)["id"]])
    seen = await inbox.seen("inbox")
    assert set(before) - set(seen) == {incident(2)["id"]}
    assert seen[incident(3)["id"]] == incident(3)  # beta offers it
    assert {(o.object_id, o.what) for o in done.outcomes if o.what == "withdrawn"} == {
        (incident(2)["id"], "withdrawn")
    }
    rows = {row.object_id: row for row in await ledger(inbox)}
    assert rows[incident(1)["id"]].outcome == "stored"
    for number in (2, 3):
        row = rows[incident(number)["id"]]
        assert (row.outcome, row.reason) == ("quarantined", "not trusted")
        assert row.content == make_object(incident(number)).raw
    async with inbox.store.reading() as tx:
        assert (await parties.party_by_name(tx, "gamma")).suspended
        assert (await objects.versions(tx, incident(2)["id"]))[0].raw == b""  # nowhere but in quarantine


async def test_resuming_and_releasing_all_undoes_it(inbox):
    before = await state(inbox)
    await distrust_since(inbox, "gamma", inbox.since)
    assert await state(inbox) != before
    await resume(inbox, "gamma")
    judged = await release(inbox, *await numbers(inbox))
    assert {one.judgement for one in judged} == {"released"}
    assert await state(inbox) == before
    # and what comes later is taken in as ever
    assert await offer(inbox, "gamma", incident(2, at=inbox.clock)) == ["stored"]


async def test_a_revocation_that_came_since_is_lifted_too(inbox):
    revoked = incident(1) | {"revoked": True, "modified": stix_time(inbox.clock)}
    await offer(inbox, "gamma", revoked)
    assert (await inbox.seen("inbox"))[incident(1)["id"]]["revoked"] is True
    await distrust_since(inbox, "gamma", inbox.since)
    async with inbox.store.reading() as tx:
        assert not (await objects.newest(tx, [incident(1)["id"]]))[incident(1)["id"]].revoked


async def test_what_was_taken_back_since_is_named(inbox):
    inbox.later()
    async with inbox.store.writing() as tx:
        gamma = await parties.party_by_name(tx, "gamma")
        gone = [(incident(1)["id"], make_object(incident(1)).sha256)]
        await withdraw_word(tx, inbox.configuration, NODE, gone, gamma, "gamma-collection", now=inbox.now)
    done = await distrust_since(inbox, "gamma", inbox.since)
    assert done.taken_back == (incident(1)["id"],)


async def test_a_second_time_finds_nothing_more_and_what_is_refused_stays_refused(inbox):
    await distrust_since(inbox, "gamma", inbox.since)
    await refuse(inbox, *await numbers(inbox))
    again = await distrust_since(inbox, "gamma", inbox.since)
    assert (again.quarantined, again.outcomes) == ((), ())
    assert await numbers(inbox) == []
    assert {row.outcome for row in await ledger(inbox) if row.object_id == incident(2)["id"]} == {"refused"}


async def test_what_it_was_shown_and_fetched_since_is_told(inbox):
    async with inbox.store.writing() as tx:
        gamma = await parties.party_by_name(tx, "gamma")
        (collection,) = await releases.collections(tx)
        shown = await dealings.shown_since(tx, gamma.id, inbox.since)
        row = {
            "party_id": gamma.id,
            "collection_id": collection.id,
            "first_position": shown[0].position,
            "last_position": shown[0].position,
            "whole": True,
            "began": inbox.since - 1,
            "ended": inbox.since + 1,
        }
        await tx.connection.execute(
            fetch.insert(), [row, row | {"began": inbox.since - 9, "ended": inbox.since - 5}]
        )
    done = await distrust_since(inbox, "gamma", inbox.since)
    told = {one.object_id for one in done.shown if one.object_id.startswith("incident--")}
    assert told == {incident(2)["id"], incident(3)["id"]}
    assert [(one.first_position, one.ended) for one in done.fetched] == [
        (shown[0].position, inbox.since + 1),
    ]


async def test_who_reads_nothing_of_ours_was_shown_nothing(inbox):
    assert (await distrust_since(inbox, "beta", inbox.since)).shown == []


async def test_a_reader_that_came_since_was_shown_what_stood(inbox):
    await inbox.apply(
        {"inbox": COLLECTIONS["inbox"] | {"readers": ["acme", "beta"]}}, {"inbox": ALLOW_ANY}, confirmed=None
    )
    done = await distrust_since(inbox, "beta", inbox.since)
    assert incident(1)["id"] in {one.object_id for one in done.shown}
