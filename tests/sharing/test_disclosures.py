"""Who was offered what, former readers included; before and after is nobody's."""

import tracemalloc

from sqlalchemy import delete, event, insert, select, text, update

from scene import ALLOW_ALL_OURS, NODE
from test_withdraw import take_back
from tocsin.policy.configuration import read_configuration
from tocsin.sharing import apply as applying
from tocsin.sharing.disclosures import disclosures, offered_to
from tocsin.store import acknowledgements
from tocsin.store.acknowledgements import Acknowledgement
from tocsin.store.fetches import Fetches
from tocsin.store.parties import party_by_name
from tocsin.store.spans import spans
from tocsin.store.tables import collection, release
from tocsin.store.transaction import in_batches

BETA = {"c": {"readers": ["beta"], "release": "automatic"}}
_UNNAMED = "{id: unnamed, match: {type: incident}, then: redact, redact: [victim], reason: nobody is named}"
UNNAMED = f"{ALLOW_ALL_OURS.removesuffix(']')}, {_UNNAMED}]"
GAMMA = {"c": {"readers": ["gamma"], "release": "automatic"}}


async def told(scene, id_):
    async with scene.store.reading() as tx:
        return await disclosures(tx, id_)


async def test_who_reads_while_it_stands_was_offered_it_and_who_comes_later_was_not(scene):
    await scene.apply(BETA, {"c": ALLOW_ALL_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    (only,) = await told(scene, one.id)
    assert (only.reader, only.collection, only.form, only.rules, only.until) == (
        "beta",
        "c",
        "whole",
        ("ours",),
        None,
    )
    assert only.configuration_sha256 == scene.configuration.sha256
    assert only.fetched is None
    await scene.apply(GAMMA, {"c": ALLOW_ALL_OURS})
    before, after = await told(scene, one.id)
    assert (before.reader, before.until is None) == ("beta", False)
    assert (after.reader, after.until) == ("gamma", None)
    await take_back(scene, one.id)
    await scene.apply(BETA, {"c": ALLOW_ALL_OURS})
    assert [(each.reader, each.until is None) for each in await told(scene, one.id)] == [
        ("beta", False),
        ("gamma", False),
    ]


async def test_what_was_fetched_stands_beside_it(scene):
    await scene.apply(BETA, {"c": ALLOW_ALL_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    (only,) = await told(scene, one.id)
    async with scene.store.reading() as tx:
        collection_id = (await scene.ids(tx))["c"]
        party = await party_by_name(tx, "beta")
    sent = Fetches()
    sent.note(party.id, collection_id, after=0, first=only.position, last=only.position, whole=True)
    await sent.flush(scene.store)
    (only,) = await told(scene, one.id)
    assert only.fetched
    assert only.whole
    assert only.acknowledged is None
    await take_back(scene, one.id)
    async with scene.store.writing() as tx:
        (span,) = await spans(tx, [one.id])
        end = span.ended_position
        said = Acknowledgement(party.id, collection_id, end, one.id, "purged", "", 0, scene.now)
        await acknowledgements.put(tx, [said])
    (only,) = await told(scene, one.id)
    assert only.acknowledged == "purged"


async def test_a_redacted_copy_is_told_of_under_its_original(scene):
    await scene.apply(BETA, {"c": UNNAMED})
    one = scene.incident(victim_count={"lo": 1, "best": 1, "hi": 1})
    await scene.make((one, "incident"))
    (only,) = await told(scene, one.id)
    assert (only.copy_of, only.form, only.object_id != one.id) == (one.id, "copy", True)
    assert only.omitted


async def told_of(scene, reader, since=0):
    async with scene.store.reading() as tx:
        party = await party_by_name(tx, reader)
        return [one async for one in offered_to(tx, party, since=since)]


async def test_the_account_of_a_reader_is_what_the_accounts_of_all_objects_say_of_him(scene):
    both = {"c": {"readers": ["beta"], "release": "automatic"}, "d": {"readers": ["beta"], "release": "automatic"}}
    policies = {"c": ALLOW_ALL_OURS, "d": UNNAMED}
    await scene.apply(both, policies)
    made = [scene.incident(name, victim_count={"lo": 1, "best": 1, "hi": 1}) for name in ("one", "two", "three")]
    for one in made:
        await scene.make((one, "incident"))
    await take_back(scene, made[1].id)
    scene.later()
    await scene.make((scene.incident("three"), "incident"))
    await scene.apply({key: one | {"readers": ["gamma"]} for key, one in both.items()}, policies)
    await scene.apply(both, policies)  # beta comes back: a second grant of the same logs
    async with scene.store.reading() as tx:
        beta, keys = await party_by_name(tx, "beta"), await scene.ids(tx)
        stood = await spans(tx, (await tx.connection.execute(text("SELECT object_id FROM release"))).scalars())
    sent = Fetches()
    for number, span in enumerate(stood):
        sent.note(
            beta.id, span.collection_id, after=None, first=span.position, last=span.position, whole=number < 2
        )
    await sent.flush(scene.store)
    ended = next(one for one in stood if one.ended_position is not None)
    async with scene.store.writing() as tx:
        said = (
            beta.id,
            ended.collection_id,
            ended.ended_position,
            ended.object_id,
            "retained",
            "law",
            0,
            scene.now,
        )
        await acknowledgements.put(tx, [Acknowledgement(*said)])
    by_object = {
        (one.collection, one.position, one.since): one
        for id_ in dict.fromkeys(span.object_id for span in stood)
        for one in await told(scene, id_)
        if one.reader == "beta"
    }
    found = await told_of(scene, "beta")
    assert {(one.collection, one.position, one.since): one for one in found} == by_object
    assert len(found) == len(by_object) > 8
    assert [(one.collection, one.position) for one in found] == sorted((o.collection, o.position) for o in found)
    assert {one.form for one in found} == {"whole", "copy"}
    assert any(one.copy_of for one in found)
    assert any(one.acknowledged == "retained" for one in found)
    assert len({one.whole for one in found}) == 2
    assert await told_of(scene, "acme") == []
    assert keys.keys() == {one.collection for one in found}


async def test_since_leaves_out_what_no_longer_stood_for_him_then(scene):
    await scene.apply(BETA, {"c": ALLOW_ALL_OURS})
    early, late = scene.incident("early"), scene.incident("late")
    await scene.make((early, "incident"))
    await scene.make((late, "incident"))
    await take_back(scene, early.id)
    scene.later(minutes=1)
    ids = {one.object_id for one in await told_of(scene, "beta", scene.now)}
    assert (late.id in ids, early.id in ids) == (True, False)
    assert {one.object_id for one in await told_of(scene, "beta")} == ids | {early.id}


async def test_a_reader_who_is_no_longer_in_the_file_is_told_of_as_before(scene):
    await scene.apply(BETA, {"c": ALLOW_ALL_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    without = read_configuration({"tocsin.yaml": "node: {name: CERT Alpha, country: EE}"})
    foreseen = await applying.plan(scene.store, without, NODE)
    await applying.apply(scene.store, foreseen, NODE, confirmed=foreseen.taken_away)
    found = {each.object_id: each for each in await told_of(scene, "beta")}
    assert found[one.id].collection == "c"
    assert all(each.until for each in found.values())


async def test_a_long_log_is_told_of_by_one_question_and_few_rows_at_a_time(scene):
    await scene.apply(BETA, {"c": ALLOW_ALL_OURS})
    one = scene.incident()
    await scene.make((one, "incident"))
    many = 100_000
    async with scene.store.writing() as tx:
        row = (await tx.connection.execute(select(release).order_by(release.c.position.desc()))).first()._asdict()
        await tx.connection.execute(delete(release))
        for batch in in_batches(range(many)):
            values = [
                row
                | {
                    "position": row["position"] + at,
                    "object_id": f"incident--{at % (many // 2)}",
                    "version_key": "v",
                }
                | {"current": False, "last": False}
                for at in batch
            ]
            await tx.connection.execute(insert(release), values)
        await tx.connection.execute(update(collection).values(last_position=row["position"] + many))
    asked = []
    async with scene.store.reading() as tx:
        party = await party_by_name(tx, "beta")
        event.listen(tx.connection.sync_connection, "before_cursor_execute", lambda *about: asked.append(about[2]))
        tracemalloc.start()
        try:
            count = open_ = 0
            async for disclosure in offered_to(tx, party):
                count += 1
                open_ += disclosure.until is None
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (count, open_) == (many, many // 2)
    assert len(asked) < 8
    assert peak < 3_000_000
