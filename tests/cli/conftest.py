"""Homes for the tests of the command line, and commands as a shell starts them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli_node import Node, new_node, stock


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than 20 seconds on two slow cores; run all the same")


@pytest.fixture(autouse=True)
def _no_home_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TOCSIN_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def _new(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return new_node(tmp_path_factory.mktemp("new") / "home")


@pytest.fixture(scope="session")
def _stocked(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return stock(new_node(tmp_path_factory.mktemp("stocked") / "home"))


def _copy(of: Node, to: Path) -> Node:
    """The same home elsewhere, modes and all: quicker than making it anew for each test."""
    shutil.copytree(of.home, to)
    return Node(to)


@pytest.fixture
def node(_new: Node, tmp_path: Path) -> Node:
    """A new home of CERT Alpha in EE."""
    return _copy(_new, tmp_path / "home")


@pytest.fixture
def stocked(_stocked: Node, tmp_path: Path) -> Node:
    """The same with the amber samples, waiting; acme reads `shared`."""
    return _copy(_stocked, tmp_path / "home")


Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    """A command as its own process, as a shell starts it."""

    def run(*words: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if name != "TOCSIN_HOME"}
        return subprocess.run(
            [sys.executable, "-m", "tocsin.cli", *words],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env={**kept, **environment},
            check=False,
        )

    return run
