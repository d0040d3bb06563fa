"""What is known of incidents of ours: records, assessments, what belongs to them, and a person's word on them."""

from dataclasses import replace
from decimal import Decimal

import pytest

from samples import NOW, incident, incident_id, keep
from tocsin.stix.objects import version_key
from tocsin.store import objects, publications, records
from tocsin.store.publications import Publication
from tocsin.store.records import Belonging, Record

V1, V2 = ("2025-01-01T00:00:00.000Z", "2025-01-02T00:00:00.000Z")


def record(number: int, **more) -> Record:
    fields = {
        "incident_id": incident_id(number),
        "owner": "",
        "source": "rt-gov",
        "format": "veris",
        "source_id": str(number),
        "content": b"\x00 as read",
        "place": f"in.json:{number}",
        "mapping": "veris@1",
        "translation": {"rules": ["r1"], "score": Decimal("0.10")},
        "translation_sha256": "h",
        "imported": NOW,
    }
    return Record(**{**fields, **more})


async def test_a_record_is_found_by_what_its_source_calls_it(store):
    async with store.writing() as tx:
        await records.put(tx, record(1), record(2), record(3, owner="acme", source_id="1"))
        assert await records.find(tx, "", "rt-gov", "veris", "1") == record(1)
        assert await records.find(tx, "", "rt-gov", "csv", "1") is None
        assert set(await records.find_all(tx, "", "rt-gov", "veris", ["1", "2", "9"])) == {"1", "2"}
        assert [found.owner for found in await records.named(tx, "rt-gov", "1")] == ["", "acme"]
        assert set(await records.of_incidents(tx, [incident_id(1), incident_id(9)])) == {incident_id(1)}


async def test_a_record_read_again_is_kept_as_last_read(store):
    again = replace(
        record(1), content=b"new", translation={"rules": []}, translation_sha256="h2", imported=NOW + 1
    )
    async with store.writing() as tx:
        await records.put(tx, record(1))
        await records.put(tx, again)
        assert await records.find(tx, "", "rt-gov", "veris", "1") == again


async def test_the_newest_assessment_counts_and_all_are_kept(store):
    async with store.writing() as tx:
        await records.add_assessment(tx, "i1", {"effect": "data-attack"}, "analyst", None, NOW)
        await records.add_assessment(tx, "i1", {"effect": "none"}, "publisher", "looked again", NOW)
        newest = await records.newest_assessments(tx, ["i1", "i2"])
        assert {id_: (a.answers, a.by_role, a.because) for id_, a in newest.items()} == {
            "i1": ({"effect": "none"}, "publisher", "looked again")
        }
        assert len(await records.assessments(tx, "i1")) == 2
        assert await records.assessed(tx, ["i1", "i2"]) == {"i1"}


async def test_what_belongs_to_an_incident_is_what_was_noted_last(store):
    async with store.writing() as tx:
        made = {
            "i1": [("i1", "incident"), ("v", "victim"), ("o", "observable")],
            "i2": [("i2", "incident"), ("v", "victim")],
        }
        await records.put_belongings(tx, made)
        assert await records.belongings_of(tx, ["v", "o", "x"]) == {
            "v": [Belonging("v", "i1", "victim"), Belonging("v", "i2", "victim")],
            "o": [Belonging("o", "i1", "observable")],
        }
        await records.put_belongings(tx, {"i1": [("i1", "incident"), ("v", "reporter")]})
        assert await records.belonging_to(tx, ["i1"]) == [
            Belonging("i1", "i1", "incident"),
            Belonging("v", "i1", "reporter"),
        ]
        assert await records.belongings_of(tx, ["o"]) == {}


# --- publications --------------------------------------------------------------------------------------------


async def _ours(tx, number: int, *versions: str) -> str:
    for version in versions:
        await keep(tx, incident(number, version))
    await records.put_belongings(tx, {incident_id(number): [(incident_id(number), "incident")]})
    return incident_id(number)


@pytest.mark.parametrize(
    ("words", "waits"),
    [
        # (collection, state, up to which version, follow)
        ([], True),
        ([("", "published", V2, False)], False),
        ([("", "published", V1, False)], True),  # a newer version came since
        ([("", "published", V1, True)], False),
        ([("", "published", None, False)], True),
        ([("c", "released", V2, False)], True),  # an automatic collection's own rule is no person's word
        ([("c", "published", V2, False)], False),
        ([("", "held", None, False)], False),
        ([("c", "published", V1, False), ("", "held", V1, False)], False),
    ],
)
async def test_an_incident_waits_until_a_word_covers_its_newest_version(store, words, waits):
    async with store.writing() as tx:
        id_ = await _ours(tx, 1, V1, V2)
        for collection, state, upto, follow in words:
            key = None if upto is None else version_key(upto)
            word = Publication(id_, id_, collection, state, key, follow, NOW)
            await publications.set_publications(tx, [word])
        assert await publications.waiting(tx) == ([id_] if waits else [])
        assert set(await publications.publications(tx, [id_])) == {(id_, id_, c) for c, *_ in words}


async def test_what_is_not_ours_or_no_longer_held_does_not_wait(store):
    async with store.writing() as tx:
        await keep(tx, incident(1), "peer", "c")
        id_ = await _ours(tx, 2, V1)
        seq = (await objects.newest(tx, [id_]))[id_].seq
        await objects.set_word(tx, seq, "", "", "withdraw", authentic=True, hops=0, at=NOW)
        assert await publications.waiting(tx) == []


async def test_a_word_takes_the_place_of_the_one_before_it(store):
    async with store.writing() as tx:
        id_ = await _ours(tx, 1, V1)
        held = Publication(id_, id_, "", "held", None, False, NOW)
        published = Publication(id_, id_, "", "published", version_key(V1), True, NOW + 1)
        for word in (held, published):
            await publications.set_publications(tx, [word])
        assert await publications.publications(tx, [id_]) == {(id_, id_, ""): published}


@pytest.mark.parametrize(
    ("before", "let_in", "expected"),
    [
        (None, V1, ("released", V1)),
        (("released", V1), V2, ("released", V2)),
        (("released", V2), V1, ("released", V2)),
        (("published", V1), V2, ("published", V2)),
        (("held", None), V2, ("held", None)),
    ],
)
async def test_what_an_automatic_collection_let_in_only_adds_to_a_person_s_word(store, before, let_in, expected):
    async with store.writing() as tx:
        if before is not None:
            state, upto = before
            key = version_key(upto) if upto else None
            await publications.set_publications(tx, [Publication("i", "a", "c", state, key, False, NOW)])
        await publications.note_released(tx, "c", [("i", "a", version_key(let_in))], NOW)
        word = (await publications.publications(tx, ["a"]))["i", "a", "c"]
        assert (word.state, word.version_key) == (expected[0], version_key(expected[1]) if expected[1] else None)
