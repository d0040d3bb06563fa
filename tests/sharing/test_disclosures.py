"""Who was offered what, former readers included; before and after is nobody's."""

from scene import ALLOW_ALL_OURS
from test_withdraw import take_back
from tocsin.sharing.disclosures import disclosures
from tocsin.store import acknowledgements
from tocsin.store.acknowledgements import Acknowledgement
from tocsin.store.fetches import Fetches
from tocsin.store.parties import party_by_name
from tocsin.store.spans import spans

BETA = {"c": {"readers": ["beta"], "release": "automatic"}}
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
    redact = "rules: [{id: no-victims, match: {origin: ours}, then: redact, redact: [victim], reason: unnamed}]"
    await scene.apply(BETA, {"c": redact})
    one = scene.incident(victim_count={"lo": 1, "best": 1, "hi": 1})
    await scene.make((one, "incident"))
    for each in await told(scene, one.id):
        assert (each.copy_of in (one.id, None), each.form in ("copy", "whole")) == (True, True)
        assert (each.copy_of is not None) == (each.form == "copy")
