"""serve: a process that listens, follows what is in force, and ends well when it is told to."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def _serving(home, *words) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """A serving process, its address, and what it said up to then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", "serve", "--port", "0", "--home", str(home), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TOCSIN_HOME"},
    )
    said: list[str] = []
    try:
        for line in process.stdout or ():
            said.append(line)
            if found := re.search(r"listens on (http://\S+) ", line):
                yield process, found[1], said
                break
        else:
            pytest.fail("".join(said))
    finally:
        process.kill()
        process.communicate()


def _get(address: str) -> tuple[int, dict]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=10) as answer:
        return answer.status, json.loads(answer.read())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_ends_well(node, number):
    with _serving(node.home) as (process, address, _):
        status, ready = _get(f"{address}/readyz")
        assert (status, ready["status"]) == (200, "ready")
        process.send_signal(number)
        rest, _ = process.communicate(timeout=20)
        assert process.returncode == 0, rest
        assert "Stopped." in rest
        assert "Traceback" not in rest


def test_a_port_that_is_taken_is_said_plainly(node, typed):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = typed("serve", "--port", str(port), "--home", str(node.home))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1, port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_touches_nothing_released_takes_effect_at_start(node):
    node.edit("title: Incidents that we share", "title: Another title")
    with _serving(node.home) as (_, _, said):
        assert any("The files are in force now" in line for line in said)
    assert node.lines("collections", "--json")[0]["title"] == "Another title"


def test_what_readers_would_notice_waits_for_a_person(stocked):
    stocked("publish", "--waiting", "--yes")
    stocked.edit("readers: [acme]", "readers: []")
    with _serving(stocked.home) as (_, _, said):
        assert any("would change what readers see" in line for line in said)
    assert stocked.lines("collections", "--json")[0]["readers"] == ["acme"]


def test_a_reader_of_an_empty_collection_is_not_let_in_by_a_start(node):
    node.edit("accounts: {}", "accounts:\n  acme: {kind: company, country: EE}")
    node.edit("readers: [] ", "readers: [acme] ")
    with _serving(node.home) as (_, _, said):
        assert any("would change what readers see" in line for line in said)
    assert node.lines("collections", "--json")[0]["readers"] == []


def test_faulty_files_leave_what_is_in_force(stocked):
    stocked.edit("clearance: amber ", "clearence: amber ")
    with _serving(stocked.home) as (_, address, said):
        assert any("did you mean 'clearance'?" in line for line in said)
        assert _get(f"{address}/readyz")[1]["files"] == "faulty: run tocsin check"


def test_commands_work_beside_it(stocked):
    with _serving(stocked.home) as (_, address, _):
        stocked.ok("publish", "rt:CA-011", "--yes")
        token = stocked.ok("account", "token", "acme").strip()
        (shared,) = stocked.lines("collections", "--json")
        path = f"{address}/exchange/collections/{shared['id']}/objects/?match%5Btype%5D=incident"
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/taxii+json;version=2.1"}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(path, headers=headers), timeout=10) as answer:
            found = json.loads(answer.read())["objects"]
        assert [one["type"] for one in found] == ["incident"]
        assert "Exampleton" not in json.dumps(found)
