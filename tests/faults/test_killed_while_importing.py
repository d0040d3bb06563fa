"""`kill -9` at any moment of an import: what was acknowledged is there, once, and nothing is there by halves.

Twenty kills by default, 200 in the full form; `TOCSIN_TEST_KILLS` asks for a number.
"""

import json
import time
from pathlib import Path

import pytest

from extent import dice_for, extent
from importing_process import start
from scene import ALLOW_OURS, NODE, Scene
from tocsin.store import objects, records

KILLS = extent("kills", 20, 200)
RECORDS = 240


def _records(folder: Path) -> None:
    for number in range(RECORDS):
        record = {
            "schema_version": "1.3.4",
            "security_incident": "Confirmed",
            "action": {"hacking": {"variety": ["DoS"], "vector": ["Web application"]}},
            "actor": {"external": {"variety": ["Activist"], "motive": ["Ideology"], "country": ["Unknown"]}},
            "asset": {"assets": [{"variety": "S - Web application"}]},
            "attribute": {"availability": {"variety": ["Interruption"]}},
            "victim": {"victim_id": f"Examplia {number}", "country": ["EE"], "industry": "922190"},
            "timeline": {"incident": {"year": 2025}},
        }
        (folder / f"record-{number:04}.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("read_ahead", "kills", "seconds"),
    [(False, KILLS, 0.4), (True, KILLS // 4, 1.2)],
    ids=["alone", "another process reads ahead"],
)
async def test_nothing_acknowledged_is_lost_or_doubled_and_no_record_is_there_by_halves(
    store, database_url, tmp_path, read_ahead, kills, seconds
):
    _records(tmp_path)
    scene = Scene(store)
    await scene.apply({"c": {"readers": ["acme"], "release": "automatic"}}, {"c": ALLOW_OURS})
    dice = dice_for("kills while importing")
    acknowledged = 0
    for _ in range(kills):
        told = _killed_after(dice.uniform(0, seconds), database_url, tmp_path, read_ahead=read_ahead)
        acknowledged = max(acknowledged, told)
        await _check_whole(scene, acknowledged)
    counts = _run_to_the_end(database_url, tmp_path, read_ahead=read_ahead)
    assert counts["new"] + counts["unchanged"] == RECORDS
    assert counts["refused"] == 0
    await _check_whole(scene, RECORDS)
    assert len(await scene.incidents_seen("c")) == RECORDS


def _killed_after(seconds: float, url: str, folder: Path, *, read_ahead: bool) -> int:
    """Kill an import `seconds` after it was ready; how many records it had been acknowledged."""
    importing, told = start(url, folder, NODE.secret, read_ahead=read_ahead)
    assert told.recv() == "ready"
    time.sleep(seconds)
    importing.kill()
    importing.join()
    acknowledged = 0
    while told.poll():
        try:
            said = told.recv()
        except EOFError:
            break
        acknowledged = said if isinstance(said, int) else acknowledged
    return acknowledged


def _run_to_the_end(url: str, folder: Path, *, read_ahead: bool) -> dict[str, int]:
    importing, told = start(url, folder, NODE.secret, read_ahead=read_ahead)
    while not isinstance(said := told.recv(), dict):
        pass
    importing.join()
    assert importing.exitcode == 0
    return said


async def _check_whole(scene: Scene, at_least: int) -> None:
    async with scene.store.reading() as tx:
        ids = await objects.all_ids(tx, {"incident"})
        kept = await records.of_incidents(tx, ids)
        company = await records.belonging_to(tx, ids)
        held = await objects.offered(tx, ids)
    assert len(ids) >= at_least
    assert set(kept) == set(ids)
    assert {len(versions) for versions in held.values()} <= {1}
    assert len(company) == 3 * len(ids)  # itself, its victim, and what ties the two
    assert await scene.incidents_seen("c") == set(ids)
