"""G6 as operators have it: three nodes in their own processes, and nothing but commands."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parents[2] / "node/tocsin/cli/demo/samples/amber"
POLICY = "rules: [{id: any, match: {origin: any}, then: allow, reason: whatever comes}]\n"


@dataclass(frozen=True)
class Node:
    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/taxii2/"

    def command(self, *words: str, stdin: str = "", codes: tuple[int, ...] = (0, 3)) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tocsin.cli", *words, "--home", str(self.home)],
            input=stdin,
            capture_output=True,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "TOCSIN_HOME"},
            check=False,
        )
        assert done.returncode in codes, done.stdout + done.stderr
        return done.stdout

    def lines(self, *words: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.command(*words, "--json").splitlines()]

    def ids(self) -> set[str]:
        return {one["id"] for one in self.lines("incidents")}

    @contextmanager
    def serving(self) -> Iterator[None]:
        words = [sys.executable, "-m", "tocsin.cli", "serve", "--port", str(self.port), "--home", str(self.home)]
        with (self.home.parent / f"{self.home.name}.log").open("a") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
            try:
                self._until_it_listens(process)
                yield
            finally:
                process.kill()
                process.wait()

    def _until_it_listens(self, process: "subprocess.Popen[bytes]") -> None:
        for _ in range(600):
            if process.poll() is not None:
                break
            with socket.socket() as knocking:
                if knocking.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        pytest.fail((self.home.parent / f"{self.home.name}.log").read_text())


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _made(folder: Path, name: str) -> Node:
    node = Node(folder / name, _free_port())
    node.command("init", "--name", name.title())
    for old in (node.home / "policies").glob("*.yaml"):
        old.unlink()
    (node.home / "policies" / "open.yaml").write_text(POLICY)
    return node


def _peer(node: Node, *wanted: str) -> dict[str, Any]:
    return {"url": node.url, "pull": [{"collection": one, "every": "1s"} for one in wanted]}


def _apply(node: Node, readers: list[str], peers: dict[str, Any], accounts: tuple[str, ...] = ()) -> None:
    settings = {
        "node": {"name": node.home.name.title()},
        "accounts": {name: {"kind": "company", "contact": f"soc@{name}.example"} for name in accounts},
        "peers": peers,
        "collections": {
            "exchange": {
                "title": "Exchange",
                "readers": readers,
                "clearance": "amber",
                "release": "automatic",
                "policy": "open",
            }
        },
    }
    (node.home / "tocsin.yaml").write_text(json.dumps(settings))
    node.command("apply", "--yes")


def _until(what: Any, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.5)


def _recipients(node: Node, id_: str) -> dict[str, tuple[str, str | None, int]]:
    (notice,) = node.lines("withdrawals", id_, "--all")
    return {one["name"]: (one["how"], one["outcome"], one["open"]) for one in notice["recipients"]}


def test_a_withdrawal_goes_down_the_line_though_a_node_was_down(tmp_path):
    alpha, beta, gamma = (_made(tmp_path, name) for name in ("alpha", "beta", "gamma"))
    _apply(alpha, ["beta", "acme"], {"beta": _peer(beta)}, ("acme",))
    _apply(beta, ["gamma"], {"alpha": _peer(alpha, "exchange"), "gamma": _peer(gamma)})
    _apply(gamma, [], {"beta": _peer(beta, "exchange")})
    beta.command("peer", "credential", "alpha", stdin=alpha.command("account", "token", "beta"))
    gamma.command("peer", "credential", "beta", stdin=beta.command("account", "token", "gamma"))
    alpha.command("import", "veris", str(SAMPLES), "--source", "rt", "--tlp", "green")
    first, second = sorted(alpha.ids())[:2]
    done = {"beta": ("acknowledged", "purged", 0), "acme": ("cannot be told", None, 0)}
    with alpha.serving():
        with beta.serving(), gamma.serving():
            _until(lambda: gamma.ids() == alpha.ids())
            alpha.command("withdraw", first, "--reason", "by mistake", "--yes")
            _until(lambda: _recipients(alpha, first) == done)
            assert first not in beta.ids() | gamma.ids()
        alpha.command("withdraw", second, "--reason", "by mistake", "--yes")  # beta is down
        assert _recipients(alpha, second)["beta"] == ("waiting", None, 0)
        late = alpha.command("withdrawals", second, "--late-after", "0", "--messages", codes=(3,))
        assert re.search(r"beta +LATE", late)
        assert "To acme, soc@acme.example:" in late
        with beta.serving(), gamma.serving():
            _until(lambda: _recipients(alpha, second) == done)
            assert second not in beta.ids() | gamma.ids()
