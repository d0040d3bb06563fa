"""Ahead: another process reads and translates, and nothing else is different for that."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from scene import ALLOW_OURS, NODE, Scene
from tocsin.errors import BadFile, Unavailable
from tocsin.intake import ahead, importing
from tocsin.intake.ahead import WORTH_IT, batches_ahead, is_worth_it
from tocsin.intake.importing import Import, RecordOutcome, import_records
from tocsin.settings import Home
from tocsin.stix.markings import Tlp
from tocsin.store import records
from tocsin.store.transaction import Store

RECORD = {
    "schema_version": "1.3.4",
    "security_incident": "Confirmed",
    "action": {"malware": {"variety": ["Ransomware", "Nothing known"], "vector": ["Email attachment"]}},
    "actor": {"external": {"variety": ["Organized crime"], "motive": ["Financial"]}},
    "asset": {"assets": [{"variety": "S - File"}]},
    "attribute": {"availability": {"variety": ["Obscuration"]}},
    "timeline": {"incident": {"year": 2025, "month": 3}},
}


@pytest.fixture
async def scene(store) -> Scene:
    scene = Scene(store)
    await scene.apply({"c": {"readers": ["acme"], "release": "automatic"}}, {"c": ALLOW_OURS})
    return scene


@pytest.fixture
def folder(tmp_path) -> Path:
    """Records in several batches, among them one that is no JSON, one that comes twice, an empty file."""
    folder = tmp_path / "records"
    folder.mkdir()
    lines = [json.dumps(_record(f"r{number}")) for number in range(30)]
    lines[7] = "{broken"
    lines[21] = json.dumps(_record("r3"))
    (folder / "many.jsonl").write_text("\n".join(lines))
    (folder / "none.json").write_text("")
    return folder


@pytest.fixture
def always(monkeypatch) -> None:
    monkeypatch.setattr(ahead, "WORTH_IT", 0)
    monkeypatch.setattr(importing, "BATCH", 4)


def _record(id_: str) -> dict:
    return RECORD | {"incident_id": id_, "victim": {"victim_id": f"Examplia {id_}", "country": ["EE"]}}


async def _imported(scene: Scene, folder: Path, *, dry_run: bool = False, progress=lambda done: None) -> list:
    heard: list[RecordOutcome] = []
    order = Import("veris", "rt", tlp=Tlp.GREEN)
    report = await import_records(
        scene.store,
        Home(folder.parent),
        NODE,
        order,
        [folder],
        dry_run=dry_run,
        heard=heard.append,
        progress=progress,
    )
    return [heard, report.counts, report.unknown, report.to_review, report.released]


async def test_it_stores_and_says_what_one_process_alone_would(make_database, monkeypatch, folder):
    async def lived(least: int) -> list:
        monkeypatch.setattr(ahead, "WORTH_IT", least)
        store = await Store.open(
            make_database("sqlite"), clock=lambda: 1_772_366_400_000_000, require_durable=False
        )
        try:
            scene = Scene(store)
            await scene.apply({"c": {"readers": ["acme"], "release": "automatic"}}, {"c": ALLOW_OURS})
            done: list[int] = []
            told = await _imported(scene, folder, progress=done.append)
            ids = [outcome.incident_id for outcome in told[0] if outcome.incident_id]
            async with store.reading() as tx:
                return [told, done, await records.of_incidents(tx, ids), await scene.seen("c")]
        finally:
            await store.close()

    monkeypatch.setattr(importing, "BATCH", 4)
    alone = await lived(WORTH_IT)
    assert alone == await lived(0)
    heard = alone[0][0]
    assert [outcome.what for outcome in heard].count("refused") == 3
    assert any("many.jsonl:22" in outcome.place and "many.jsonl:4" in outcome.reason for outcome in heard)


@pytest.mark.usefixtures("always")
async def test_a_mapping_that_does_not_load_is_told_with_its_lines(scene, folder):
    own = folder.parent / "mappings"
    own.mkdir()
    (own / "veris.yaml").write_text("mapping: veris\nversion: 1\nformat: verris\n")
    with pytest.raises(BadFile) as told:
        await _imported(scene, folder)
    assert any(problem.place.startswith("mappings/veris.yaml:") for problem in told.value.problems)


@pytest.mark.usefixtures("always")
async def test_when_it_is_killed_what_was_stored_stays_and_the_next_import_goes_on(scene, folder, monkeypatch):
    started = _noting(monkeypatch)

    def kill(done: int) -> None:
        if done == 8:
            os.kill(started[0].pid, signal.SIGKILL)

    # so that it cannot have sent everything before it is killed
    lines = [json.dumps(_record(f"r{number}") | {"notes": "x" * 60_000}) for number in range(200)]
    (folder / "many.jsonl").write_text("\n".join(lines))
    with pytest.raises(Unavailable, match=r"killed \(signal 9\).*import again"):
        await _imported(scene, folder, progress=kill)
    stored = len(await scene.incidents_seen("c"))
    assert 8 <= stored < 200
    _, counts, *_ = await _imported(scene, folder)
    assert (counts["unchanged"], counts["new"]) == (stored, 200 - stored)


@pytest.mark.usefixtures("always")
async def test_it_ends_with_the_import_that_is_interrupted(scene, folder, monkeypatch):
    started = _noting(monkeypatch)
    begun = asyncio.Event()
    importing_ = asyncio.create_task(_imported(scene, folder, progress=lambda done: begun.set()))
    await begun.wait()
    importing_.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing_
    assert started[0].returncode is not None


@pytest.mark.usefixtures("always")
async def test_nothing_is_read_elsewhere_for_a_dry_run(scene, folder, monkeypatch):
    started = _noting(monkeypatch)
    _, counts, *_ = await _imported(scene, folder, dry_run=True)
    assert (counts["new"], started) == (28, [])


async def test_a_module_that_lies_where_a_person_happens_to_be_is_not_run(folder, tmp_path, monkeypatch):
    (tmp_path / "pickle.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert [len(batch) async for batch in batches_ahead(Home(tmp_path), "veris", [folder], 100)] == [31]


def test_small_inputs_and_pipes_are_read_by_the_import_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    small, large, pipe = (tmp_path / name for name in ("small", "large", "pipe"))
    small.write_bytes(b"{}")
    with large.open("wb") as file:
        file.truncate(WORTH_IT)
    os.mkfifo(pipe)
    assert not is_worth_it([small])
    assert is_worth_it([small, large])
    assert is_worth_it([tmp_path])
    assert not is_worth_it([large, pipe])
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert not is_worth_it([large])


def _noting(monkeypatch) -> list[asyncio.subprocess.Process]:
    """The processes that are started from here on."""
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def noting(*args, **options):
        started.append(await start(*args, **options))
        return started[-1]

    monkeypatch.setattr(ahead.asyncio, "create_subprocess_exec", noting)
    return started
