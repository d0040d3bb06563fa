"""Every class of error as a shell sees it: one sentence on standard error, the right code, and never a trace."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from cli_node import SAMPLES
from tocsin.cli.main import make_app


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, ""),
        (("--help",), 0, ""),
        (("--version",), 0, ""),
        (("incidents",), 2, "which home? Give --home DIR, set TOCSIN_HOME"),
        (("incidents", "--home", "nowhere"), 1, "is not a home of Tocsin: no tocsin.yaml (run: tocsin init)"),
        (("incidnets",), 2, "No such command"),
        (("incidents", "--colour"), 2, "No such option"),
        (("init",), 2, "--name"),
        (("account",), 2, ""),
        (("import", "veris"), 2, "PATH"),
        (("serve", "--port", "99999"), 2, "--port"),
    ],
)
def test_wrong_usage_and_missing_homes(typed, words, code, said):
    done = typed(*words)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("show", "ffffffff"), 1, "tocsin: nothing here begins with ffffffff\n"),
        (("import", "vris", "."), 2, "tocsin: unknown format 'vris'; did you mean 'veris'?\n"),
        (("publish", "--waiting"), 1, "There is no terminal to ask on: say --yes"),
        (("status",), 3, ""),
        (("incidents", "--json"), 0, ""),
    ],
)
def test_each_class_of_error_in_a_home(stocked, typed, words, code, said):
    done = typed(*words, TOCSIN_HOME=str(stocked.home))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_it_says_its_version(typed):
    assert typed("--version").stdout == f"tocsin {version('tocsin')}\n"


def test_a_home_is_found_by_option_by_variable_and_by_standing_in_it(node, typed, monkeypatch):
    assert typed("status", "--home", str(node.home)).returncode == 0
    assert typed("status", TOCSIN_HOME=str(node.home)).returncode == 0
    assert typed("status").returncode == 2
    monkeypatch.chdir(node.home)
    assert CliRunner().invoke(make_app(), ["status"]).exit_code == 0


def test_results_are_on_standard_output_and_progress_is_silent_when_piped(node, typed):
    done = typed("import", "veris", str(SAMPLES / "amber"), "--home", str(node.home))
    assert (done.returncode, done.stderr) == (0, "")
    assert "13 records: 13 new." in done.stdout
    assert "\x1b" not in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error(stocked, typed):
    command = f"{sys.executable} -m tocsin.cli fields --json --home {stocked.home} | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_a_secret_that_others_can_read_stops_every_command(node):
    (node.home / "keys/namespace").chmod(0o640)
    assert "others can read this secret" in node.refused("incidents")


def test_a_home_without_its_database_says_so(node):
    (node.home / "tocsin.db").unlink()
    assert "there is no database (run: tocsin init)" in node.refused("incidents")


def test_a_faulty_line_is_told_once_with_its_place(node):
    node.edit("collections:", "colections:")
    said = node.refused("apply", "--yes")
    assert "tocsin.yaml:" in said
    assert "unknown key 'colections'; did you mean 'collections'?" in said
