"""demo: two nodes exchange, it is proved that nothing else left, and afterwards nothing of it is there."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tocsin.cli.demo.exchange import SAMPLES
from tocsin.cli.demo.outcome import _differences, _names_found, _names_missing, _samples, _spellings


def _demo(tmp_path, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", "demo", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "TOCSIN_HOME": "/nowhere"},
    )


@pytest.mark.slow
def test_the_demo_holds_and_leaves_nothing_behind(tmp_path):
    process = _demo(tmp_path, "--once")
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    for part in ("redacted", "no: several-countries", "held", "there is nothing else", "none is there"):
        assert part in said
    assert "Traceback" not in said
    pulls = re.findall(r"cert-alpha/(\w+): in step; (\d+) objects stored, (\d+) duplicate", said)
    pulled = {place: int(stored) + int(known) for place, stored, known in pulls}
    sums = re.search(r"exactly the (\d+) objects that it was offered \((.*?)\)", said.replace("\n", " "))
    counts = {place: int(count) for count, place in re.findall(r"(\d+) in '(\w+)'", sums[2])}
    twice = int(re.search(r"(\d+) of them in both", sums[2])[1])
    assert int(sums[1]) == sum(counts.values()) - twice
    assert pulled == counts
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_ended_early_has_proved_nothing_and_leaves_nothing_behind(tmp_path, number):
    process = _demo(tmp_path, "--once")
    for line in process.stdout:
        if "has a home" in line:
            break
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    for _ in range(20):  # a process that was just being started would show its own words only now
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert str(tmp_path) not in running
        time.sleep(0.1)


def test_the_samples_are_enough_and_differ(tmp_path):
    samples = list(_samples())
    assert len(samples) >= 25
    assert len({source_id for source_id, _, _ in samples}) == len(samples)
    assert {folder.name for folder in SAMPLES.iterdir()} == {"green", "amber", "red", "unmarked", "helpdesk.csv"}


# --- the proof itself can fail -------------------------------------------------------------------------------


def test_the_comparison_sees_what_is_missing_what_is_too_much_and_what_differs():
    one, other = ("incident--1", "2025", "aa"), ("incident--1", "2025", "bb")
    assert list(_differences({one}, {one}, set())) == []
    assert len(list(_differences({one}, set(), set()))) == 1
    assert len(list(_differences(set(), {one}, set()))) == 1
    assert len(list(_differences({one}, {other}, set()))) == 2
    assert len(list(_differences(set(), set(), {one}))) == 1
    assert list(_differences({("identity--1", "2025", "aa")}, set(), {("identity--1", "2025", "aa")})) == []


@pytest.mark.parametrize("written", ["plain", "escaped", "hexadecimal"])
def test_the_search_finds_a_name_however_it_is_written(written):
    name = "Põhjala Clinic"
    spelling = dict(zip(("plain", "escaped", "hexadecimal"), _spellings(name), strict=True))[written]
    places = {"here": b"..." + spelling + b"..."}
    assert len(list(_names_found([name], places))) == 1
    assert list(_names_missing([name], places)) == []
    assert len(list(_names_missing(["Another"], places))) == 1
