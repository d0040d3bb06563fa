"""Asking: with a terminal, a person is asked, and only a yes, or the very number, goes on."""

import os
import pty
import subprocess
import sys

import pytest


def _at_a_terminal(home, *words, typed):
    """A command with a terminal to ask on; what it said there and on standard output, and its exit code."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", *words, "--home", str(home)],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TOCSIN_HOME"},
    )
    os.write(master, typed.encode())
    said, _ = process.communicate(timeout=60)
    os.close(slave)
    os.close(master)
    return process.returncode, said


@pytest.mark.parametrize(("answer", "code", "stands"), [("y\n", 0, "redacted"), ("n\n", 1, None), ("\n", 1, None)])
def test_publishing_is_asked_and_only_a_yes_publishes(stocked, answer, code, stands):
    done, said = _at_a_terminal(stocked.home, "publish", "rt:CA-011", typed=answer)
    assert done == code
    assert "shared, read by acme" in said
    assert "Publish 1 incident? [y/N]" in said
    assert stocked.lines("show", "rt:CA-011", "--json")[0]["collections"][0]["stands"] == stands


@pytest.mark.parametrize(("offset", "code"), [(0, 0), (1, 1)])
def test_taking_much_away_asks_for_the_number_itself(stocked, offset, code):
    stocked("publish", "--waiting", "--yes")
    stocked.edit("match: {tlp: red, origin: any}", "match: {type: incident, origin: any}", "policies/shared.yaml")
    example = "  - {object: examples/ransomware.json, expect: redact, rule: victims-unnamed}\n"
    stocked.edit(example, "", "policies/shared.yaml")
    number = len(stocked.lines("incidents", "--in", "shared", "--json"))
    plan = stocked.refused("apply", "--yes")
    wanted = int(plan.partition("--confirm ")[2].split(";")[0])
    assert wanted >= number
    done, said = _at_a_terminal(stocked.home, "apply", typed=f"{wanted + offset}\n" + "y\n")
    assert done == code, said
    assert f"Type {wanted} to go on" in said
    assert bool(stocked.lines("incidents", "--in", "shared", "--json")) == bool(code)
