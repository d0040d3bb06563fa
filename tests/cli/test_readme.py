"""README: what it tells people to type is what works."""

import itertools
import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tocsin.cli.main import make_app

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def _lines() -> list[str]:
    return [line[2:] for block in _blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def test_it_is_two_screens_at_most():
    assert len(README.splitlines()) <= 135


def test_it_names_the_two_commands_that_everything_starts_with():
    assert "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/tocsin demo\n" in README
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest" in README


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_its_links_lead_somewhere(target):
    assert (CHECKOUT / target).is_file()


@pytest.mark.parametrize("path", re.findall(r"^\| `([\w/ .]+?)/?` \|", README, re.MULTILINE))
def test_its_map_names_rooms_that_are_there(path):
    first, *others = path.split(" ")
    for room in (first, *(str(Path(first).parent / other) for other in others)):
        assert (CHECKOUT / room).exists()


@pytest.mark.slow
def test_its_console_blocks_run_in_order(tmp_path):
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/tocsin"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tocsin.cli "$@"\n')
    script.chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "TOCSIN_HOME"},
        "HOME": str(tmp_path),
        "PATH": f"{script.parent}:{os.environ['PATH']}",
    }
    folder = tmp_path / "checkout"  # its files, and whatever the lines write beside them
    folder.mkdir()
    for name in ("node", "mappings"):
        (folder / name).symlink_to(CHECKOUT / name)
    (folder / "their.token").write_text("the-token-that-they-gave-us\n", encoding="utf-8")
    for line in _lines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            environment[name] = value.replace("~", str(tmp_path))
            continue
        if line == "tocsin check":
            _edit_as_told(tmp_path / "tocsin/tocsin.yaml")
        if line == "tocsin serve":
            assert "listens on" in _served(f"{line} --port 0", environment)
            continue
        done = subprocess.run(
            ["bash", "-c", line], env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        wanted = (0, 3) if line == "tocsin status" else (0,)  # 3: something waits for a person
        assert done.returncode in wanted, f"{line}\n{done.stdout}{done.stderr}"


def _edit_as_told(file: Path) -> None:
    """What README says to change in tocsin.yaml."""
    (accounts,) = _blocks("yaml")
    text = file.read_text(encoding="utf-8")
    assert "accounts: {}\n" in text
    assert "readers: [] " in text
    file.write_text(text.replace("accounts: {}\n", accounts).replace("readers: [] ", "readers: [acme] "))


def _served(command: str, environment: dict[str, str]) -> str:
    process = subprocess.Popen(
        shlex.split(command), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    guard = threading.Timer(60, process.kill)
    guard.start()
    try:
        said = process.stdout.readline()
        process.terminate()
        process.communicate()
    finally:
        guard.cancel()
        process.kill()
    return said


def test_nothing_refers_to_a_design_that_users_do_not_have():
    files = [
        file for room in ("node", "extensions", "mappings", "deploy") for file in (CHECKOUT / room).rglob("*")
    ]
    texts = [file for file in files if file.suffix in (".py", ".md", ".yaml", ".json", ".conf", ".service", "")]
    read = {file: file.read_text(encoding="utf-8") for file in [*texts, CHECKOUT / "README.md"] if file.is_file()}
    assert len(read) > 100
    assert [str(file) for file, text in read.items() if "DESIGN" in text] == []


OPERATING = (CHECKOUT / "deploy/OPERATING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", re.findall(r"^\$ tocsin (.+)$", OPERATING, re.MULTILINE))
def test_the_commands_of_the_handbook_take_the_options_that_it_gives_them(line):
    """They speak of a node that has them to do; that they exist, and are spelt so, is what is tested here."""
    words = shlex.split(line)
    command = list(itertools.takewhile(lambda word: re.fullmatch(r"[a-z]+", word) and word not in _NAMES, words))
    shown = CliRunner().invoke(make_app(), [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0, shown.output
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output, f"tocsin {' '.join(command)} has no {option}"


_NAMES = ("acme", "slice")
