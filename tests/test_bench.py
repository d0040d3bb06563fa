"""The measuring itself: that it runs, that figures come of it, and that what it watches for is watched for."""

import json
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )


def test_a_small_run_of_writers_and_pollers_gives_figures_and_loses_nothing(tmp_path):
    file = tmp_path / "figures.json"
    sizes = ("--objects", "100", "--posts", "200", "--repeats", "1")
    done = bench("mixed", "--quick", "--engine", "sqlite", "--against", "--json", str(file), *sizes)
    assert done.returncode == 0, done.stderr
    said = json.loads(file.read_text())
    figures = {figure["case"]: figure for figure in said["figures"]}
    assert set(figures) == {
        "1 writer alone",
        "1 writer, 8 pollers",
        "polls beside 1 writer",
        "8 writers alone",
        "8 writers, 8 pollers",
        "polls beside 8 writers",
    }
    for case, figure in figures.items():
        assert figure["rate"] > 0
        assert 0 < figure["p50"] <= figure["p99"]
        assert figure["lost"] == 0
        if "polls beside" not in case:
            assert figure["count"] == 200
            assert figure["anonymous"] > 1024 * 1024
    assert {goal["work"] for goal in said["goals"]} >= {
        "mixed 1 writer, 8 pollers",
        "mixed 8 writers, 8 pollers: lost",
    }
    assert "1 writer, 8 pollers" in done.stdout


def test_an_unknown_scenario_is_said_with_those_there_are():
    done = bench("ingest-1")
    assert done.returncode == 2
    assert "ingest-1000" in done.stderr


def test_publishing_planning_and_applying_a_policy_gives_figures_and_goals(tmp_path):
    file = tmp_path / "figures.json"
    done = bench(
        "policy", "--quick", "--engine", "sqlite", "--against", "bare", "--json", str(file), "--records", "30"
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(file.read_text())
    figures = {(figure["case"], figure["target"]): figure for figure in said["figures"]}
    assert set(figures) == {
        ("publish", "tocsin-sqlite"),
        ("plan", "tocsin-sqlite"),
        ("apply", "tocsin-sqlite"),
        ("polls alone", "tocsin-sqlite"),
        ("polls beside plan", "tocsin-sqlite"),
        ("polls beside apply", "tocsin-sqlite"),
        ("publish", "bare-sqlite"),
    }
    assert all(figure["rate"] > 0 for figure in figures.values())
    assert figures["publish", "tocsin-sqlite"]["count"] == 30
    assert "policy: publish to 10 collections" in {goal["work"] for goal in said["goals"]}
