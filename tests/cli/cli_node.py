"""A home for the tests of the command line, and commands typed in it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from tocsin.cli.main import make_app

SAMPLES = Path(__file__).parents[2] / "node/tocsin/cli/demo/samples"


@dataclass(frozen=True, slots=True)
class Node:
    """A home, and the commands typed in it within this process. What they print has no terminal to go to."""

    home: Path

    def __call__(self, *words: str, typed: str = "") -> Result:
        return CliRunner().invoke(make_app(), [*words, "--home", str(self.home)], input=typed)

    def ok(self, *words: str, typed: str = "") -> str:
        """Standard output of a command that must succeed."""
        done = self(*words, typed=typed)
        assert done.exit_code == 0, done.output
        return done.stdout

    def lines(self, *words: str) -> list[dict[str, Any]]:
        """The JSON Lines of a command, whether or not a person is needed."""
        done = self(*words)
        assert done.exit_code in (0, 3), done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    def refused(self, *words: str, code: int = 1, typed: str = "") -> str:
        """Standard error of a command that must fail with this code."""
        done = self(*words, typed=typed)
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.stderr
        return done.stderr

    def edit(self, old: str, new: str, file: str = "tocsin.yaml") -> None:
        path = self.home / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def import_samples(self, folder: str = "amber", *, tlp: str = "amber") -> None:
        self.ok("import", "veris", str(SAMPLES / folder), "--source", "rt", "--tlp", tlp)


def new_node(home: Path) -> Node:
    """A new home of CERT Alpha in EE."""
    made = Node(home)
    made.ok("init", "--name", "CERT Alpha", "--country", "EE")
    return made


def stock(node: Node) -> Node:
    """Let acme read `shared`, and import the amber samples."""
    node.edit("accounts: {}", "accounts:\n  acme: {kind: company, country: EE}")
    node.edit("readers: [] ", "readers: [acme] ")
    node.ok("apply", "--yes")
    node.import_samples()
    return node
