"""Importing: the same again adds nothing, a change makes one version, and a person's word stays."""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from stix2validator import ValidationOptions, validate_string

from scene import ALLOW_OURS, NODE, Scene
from tocsin.errors import BadFile, NotFound
from tocsin.intake import importing
from tocsin.intake.importing import Import, ImportReport, RecordOutcome, assess, classify_records, import_records
from tocsin.settings import Home
from tocsin.stix.effects import Answers
from tocsin.stix.markings import Tlp
from tocsin.stix.validate import problems
from tocsin.store import objects, records

AUTO = {"c": {"readers": ["acme"], "release": "automatic"}}
VCDB = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "vcdb" / "incidents"

RANSOM = {
    "schema_version": "1.3.4",
    "incident_id": "one",
    "security_incident": "Confirmed",
    "action": {"malware": {"variety": ["Ransomware"], "vector": ["Email attachment"]}},
    "actor": {"external": {"variety": ["Organized crime"], "motive": ["Financial"], "country": ["Unknown"]}},
    "asset": {"assets": [{"variety": "S - File"}]},
    "attribute": {"availability": {"variety": ["Obscuration"]}},
    "victim": {"victim_id": "Examplia Logistics", "country": ["EE"], "industry": "484121"},
    "timeline": {"incident": {"year": 2025, "month": 3}},
}
NOT_TOUCHED = {"new": 0, "changed": 0, "refused": 0}


@pytest.fixture
async def scene(store) -> Scene:
    scene = Scene(store)
    await scene.apply(AUTO, {"c": ALLOW_OURS})
    return scene


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "records"
    folder.mkdir()
    return folder


def write(folder: Path, name: str, record: object) -> Path:
    file = folder / name
    file.write_text(record if isinstance(record, str) else json.dumps(record))
    return file


@dataclass
class Imported:
    """A report, and what was heard of each record."""

    report: ImportReport
    outcomes: list[RecordOutcome]


async def run(scene: Scene, *paths: Path, tlp: Tlp | None = Tlp.GREEN, dry_run: bool = False, **order) -> Imported:
    home = Home(paths[0].parent)
    told = Import(order.pop("format", "veris"), order.pop("source", "rt"), tlp=tlp, **order)
    heard: list[RecordOutcome] = []
    report = await import_records(scene.store, home, NODE, told, paths, dry_run=dry_run, heard=heard.append)
    assert Counter(outcome.what for outcome in heard) == report.counts
    assert sum(outcome.needs_review for outcome in heard) == report.to_review
    return Imported(report, heard)


def counts(imported: Imported) -> dict[str, int]:
    return {what: imported.report.count(what) for what in ("new", "changed", "unchanged", "refused")}


async def versions_of(scene: Scene, id_: str) -> int:
    async with scene.store.reading() as tx:
        return len(await objects.versions(tx, id_))


async def test_a_record_imported_again_adds_nothing_and_a_changed_one_makes_one_version(scene, folder):
    file = write(folder, "one.json", RANSOM)
    first = await run(scene, file)
    id_ = first.outcomes[0].incident_id
    assert counts(first)["new"] == 1
    before = await scene.seen("c")
    again = await run(scene, file)
    assert counts(again) == NOT_TOUCHED | {"unchanged": 1}
    assert first.report.released == {("c", "whole"): 1}
    assert again.report.released == {}
    assert await scene.seen("c") == before
    write(folder, "one.json", RANSOM | {"victim": RANSOM["victim"] | {"country": ["LV"]}})
    assert counts(await run(scene, file))["changed"] == 1
    assert await versions_of(scene, id_) == 2
    assert (await scene.seen("c"))[id_]["modified"] > before[id_]["modified"]


async def test_a_field_that_no_rule_reads_changes_nothing(scene, folder):
    file = write(folder, "one.json", RANSOM)
    await run(scene, file)
    write(folder, "one.json", RANSOM | {"plus": {"dbir_year": 2026}})
    assert counts(await run(scene, file)) == NOT_TOUCHED | {"unchanged": 1}


async def test_the_same_id_of_another_source_or_format_is_another_incident(scene, folder):
    file = write(folder, "one.json", RANSOM)
    first, second = await run(scene, file, source="rt"), await run(scene, file, source="vcdb")
    assert first.outcomes[0].incident_id != second.outcomes[0].incident_id


async def test_a_source_id_repeated_in_one_import_is_refused_with_both_places(scene, folder):
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    first, second = write(folder / "a", "one.json", RANSOM), write(folder / "b", "one.json", RANSOM)
    report = await run(scene, folder)
    assert counts(report) == {"new": 1, "changed": 0, "unchanged": 0, "refused": 1}
    (refused,) = [outcome for outcome in report.outcomes if outcome.what == "refused"]
    assert str(first) in refused.reason
    assert str(second) in refused.place


async def test_what_is_broken_is_told_with_its_place_and_the_others_are_imported(scene, folder):
    write(folder, "good.json", RANSOM)
    write(folder, "comma.json", '{"action": {},}')
    write(folder, "twice.json", '{"action": {}, "action": {}}')
    write(folder, "stix.json", {"type": "bundle", "id": "bundle--1", "objects": []})
    write(folder, "empty.json", "")
    (folder / "bytes.json").write_bytes(b"\xff\xfe{}")
    report = await run(scene, folder)
    assert counts(report) == {"new": 1, "changed": 0, "unchanged": 0, "refused": 5}
    for outcome in report.outcomes:
        assert outcome.what == "new" or (outcome.place.startswith(str(folder)) and outcome.reason)
    assert len(await scene.incidents_seen("c")) == 1


async def test_each_record_is_heard_of_in_its_order_whatever_the_batches(scene, folder, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 2)
    lines = [json.dumps(RANSOM | {"incident_id": f"r{number}"}) for number in range(5)]
    file = write(folder, "many.jsonl", "\n".join(["{", *lines[:3], "{", lines[0], *lines[3:], "{", "{", "{"]))
    heard = (await run(scene, file)).outcomes
    assert [outcome.place for outcome in heard] == [f"{file}:{line}" for line in range(1, 12)]
    assert [number for number, outcome in enumerate(heard, 1) if outcome.what == "refused"] == [1, 5, 6, 9, 10, 11]
    assert [outcome.source_id for outcome in heard if outcome.what == "new"] == ["r0", "r1", "r2", "r3", "r4"]
    assert len(await scene.incidents_seen("c")) == 5


async def test_a_report_counts_unknown_values_one_by_one_up_to_a_bound(scene, folder, monkeypatch):
    monkeypatch.setattr(importing, "MOST_UNKNOWN", 2)
    records = [
        RANSOM | {"incident_id": f"r{number}", "action": {"malware": {"variety": [f"Strange {number % 4}"]}}}
        for number in range(8)
    ]
    report = (await run(scene, write(folder, "many.jsonl", "\n".join(map(json.dumps, records))))).report
    assert report.unknown == {f"action.malware.variety[0] = 'Strange {kind}'": 2 for kind in (0, 1)}
    assert report.more_unknown == 4


async def test_what_a_person_assessed_needs_no_review_whatever_the_record_says(scene, folder):
    file = write(folder, "one.json", RANSOM | {"action": {"malware": {"variety": ["Strange"]}}})
    (outcome,) = (await run(scene, file)).outcomes
    assert outcome.needs_review
    async with scene.store.writing() as tx:
        answers = Answers(cyber_action="yes", effect_achieved="no")
        await assess(tx, NODE, outcome.incident_id, answers, role="analyst", because=None, now=await tx.now())
    assert (await run(scene, file)).report.to_review == 0


async def test_a_file_that_cannot_be_read_is_told(scene, folder):
    report = await run(scene, folder / "missing.json")
    assert counts(report)["refused"] == 1
    assert "missing.json" in report.outcomes[0].place


async def test_a_dry_run_says_what_would_be_and_stores_nothing(scene, folder):
    file = write(folder, "one.json", RANSOM)
    assert counts(await run(scene, file, dry_run=True))["new"] == 1
    async with scene.store.reading() as tx:
        assert await objects.all_ids(tx, {"incident"}) == []
        assert (
            await records.of_incidents(tx, [(await run(scene, file, dry_run=True)).outcomes[0].incident_id]) == {}
        )


async def test_what_was_read_and_the_rule_behind_each_value_are_kept(scene, folder):
    record = RANSOM | {"attribute": {"availability": {"variety": ["Obscuration", "Sublimation"]}}}
    report = await run(scene, write(folder, "one.json", record))
    (outcome,) = report.outcomes
    assert any("Sublimation" in value for value in outcome.unmapped)
    async with scene.store.reading() as tx:
        kept = (await records.of_incidents(tx, [outcome.incident_id]))[outcome.incident_id]
    assert json.loads(kept.content) == record
    assert any(rule["rule"].endswith("Ransomware") for rule in kept.translation["rules"])


async def test_a_person_s_classification_is_overwritten_by_no_later_import(scene, folder):
    file = write(folder, "one.json", RANSOM)
    (outcome,) = (await run(scene, file)).outcomes
    answers = Answers(
        cyber_action="yes", effect_achieved="yes", accessed="yes", impaired="no", places=frozenset({"server"})
    )
    async with scene.store.writing() as tx:
        await assess(
            tx, NODE, outcome.incident_id, answers, role="analyst", because="read the report", now=await tx.now()
        )
    labels = (await scene.seen("c"))[outcome.incident_id]["labels"]
    assert "effects:exploitation-of-application-server" in labels
    write(folder, "one.json", RANSOM | {"victim": RANSOM["victim"] | {"country": ["LV"]}})
    assert counts(await run(scene, file))["changed"] == 1
    seen = (await scene.seen("c"))[outcome.incident_id]
    assert "effects:exploitation-of-application-server" in seen["labels"]
    assert "LV" in seen["name"]


async def test_what_was_not_made_here_is_not_assessed_here(scene):
    async with scene.store.writing() as tx:
        with pytest.raises(NotFound):
            await assess(
                tx,
                NODE,
                "incident--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a",
                Answers(),
                role="x",
                because=None,
                now=1,
            )


async def test_a_marking_by_default_is_recorded_as_assumed(store, folder):
    scene = Scene(store)
    import scene as module

    text = module.NODE_YAML.replace("country: EE}\naccounts", "country: EE, default_tlp: green}\naccounts")
    original, module.NODE_YAML = module.NODE_YAML, text
    try:
        await scene.apply(AUTO, {"c": ALLOW_OURS})
    finally:
        module.NODE_YAML = original
    report = await run(scene, write(folder, "one.json", RANSOM), tlp=None)
    value = (await scene.seen("c"))[report.outcomes[0].incident_id]
    assert Tlp.GREEN.marking in value["object_marking_refs"]
    assert "tlp" in str(value["extensions"])


async def test_a_mapping_of_one_s_own_that_does_not_load_stops_the_import_before_anything_is_read(scene, folder):
    (folder / "mappings").mkdir()
    write(
        folder / "mappings",
        "veris.yaml",
        "mapping: veris\nversion: '1'\nformat: veris\ndescription: x\ntabels: []\n",
    )
    with pytest.raises(BadFile, match=r"mappings/veris.yaml:5.*did you mean 'tables'"):
        await run(scene, write(folder, "one.json", RANSOM))


@pytest.mark.skipif(not VCDB.is_dir(), reason="the sample records do not stand beside this checkout")
async def test_every_record_of_the_community_database_imports_and_is_valid(scene, tmp_path):
    report = await run(scene, VCDB, source="vcdb")
    assert counts(report) == {"new": 150, "changed": 0, "unchanged": 0, "refused": 0}
    async with scene.store.reading() as tx:
        made = await objects.newest(tx, await objects.all_ids(tx))
    assert [problem for version in made.values() for problem in problems(version.object)] == []
    bundle = {
        "type": "bundle",
        "id": "bundle--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a",
        "objects": [json.loads(version.raw) for version in made.values()],
    }
    judged = validate_string(json.dumps(bundle), ValidationOptions(version="2.1", disabled=["202", "401", "302"]))
    assert [str(error) for error in judged.errors] == []
    before = await scene.seen("c")
    assert counts(await run(scene, VCDB, source="vcdb")) == NOT_TOUCHED | {"unchanged": 150}
    assert await scene.seen("c") == before


def test_classify_stores_nothing_and_gives_the_id_that_an_import_would_give(tmp_path, folder):
    home = Home(tmp_path / "home")
    home.write_secret("namespace", NODE.secret.hex())
    write(folder, "one.json", RANSOM)
    write(folder, "broken.json", "{")
    broken, line = classify_records(home, "veris", [folder])
    assert broken.reason
    assert line["source_id"] == "one"
    assert line["categories"] == ["data-attack"]
    assert line["sector"] == "48"
    shutil.rmtree(home.path)
