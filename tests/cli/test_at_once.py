"""Two nodes as two processes: what one publishes, the other has within a second."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cli_node import Node, new_node

BOUND = 5.0  # seconds; on a machine with nothing else to do it is a fifth of one


@contextmanager
def _serving(node: Node) -> Iterator[str]:
    """Its address, while it serves; it must end well, and at once though others wait for news of it."""
    running = subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", "serve", "--port", "0", "--home", str(node.home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TOCSIN_HOME"},
    )
    said = ""
    try:
        for line in running.stdout or ():
            said += line
            if found := re.search(r"listens on (http://\S+) ", line):
                yield found[1]
                running.send_signal(signal.SIGTERM)
                rest, _ = running.communicate(timeout=20)
                assert running.returncode == 0, rest
                return
        pytest.fail(f"it did not start:\n{said}")
    finally:
        running.kill()
        running.communicate()


def _ask(home: Path, question: str) -> int:
    with closing(sqlite3.connect(f"file:{home / 'tocsin.db'}?mode=ro", uri=True)) as database:
        return database.execute(question).fetchone()[0]


def _until(happens: Callable[[], bool], seconds: float = 60.0) -> float:
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < seconds
        time.sleep(0.005)
    return time.monotonic()


def test_what_is_published_by_hand_is_at_the_other_node_within_a_second(node, tmp_path, record_property):
    alpha, beta = node, new_node(tmp_path / "beta")
    alpha.edit("peers: {}", "peers:\n  beta: {url: 'http://127.0.0.1:9/taxii2/', country: EE}")
    alpha.edit("readers: [] ", "readers: [beta] ")
    alpha.ok("apply", "--yes")
    alpha.import_samples()
    token = alpha.ok("account", "token", "beta")
    published = "SELECT count(*) FROM release WHERE type = 'incident'"
    held = "SELECT count(*) FROM object_version WHERE type = 'incident'"
    with _serving(alpha) as address:
        beta.ok("peer", "add", "alpha", f"{address}/taxii2/", "--pull", "shared", "--country", "EE")
        beta.ok("peer", "credential", "alpha", typed=token)
        beta.ok("apply", "--yes")
        with _serving(beta):
            _until(lambda: _ask(beta.home, "SELECT count(*) FROM job WHERE name = 'listen alpha'") == 1)
            time.sleep(1)  # for its request to arrive
            assert _ask(beta.home, held) == 0
            publishing = typed_in_the_background(alpha, "publish", "--waiting", "--yes")
            there = _until(lambda: _ask(alpha.home, published) > 0)
            here = _until(lambda: _ask(beta.home, held) == _ask(alpha.home, published))
            assert publishing.wait(30) in (0, 3)  # of these, some are not for sharing
            (compared,) = beta.lines("sync", "--compare", "--json")
            assert (compared["state"], compared["compared"], compared["difference"]) == ("in step", True, None)
            assert "compared: the same is held here" in beta.ok("sync", "alpha", "--compare")
    record_property("seconds", round(here - there, 3))
    print(f"published there, and here {here - there:.3f} s later")
    assert here - there < BOUND


def typed_in_the_background(node: Node, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tocsin.cli", *words, "--home", str(node.home)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)
