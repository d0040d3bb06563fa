"""Seeded bugs: forty that somebody could write into the judges, and the proofs of this room notice them.

Each is at work in a process of its own, in a copy of one module's source (`mutants`). By default a handful that
differ in where they are; `TOCSIN_TEST_MUTANTS=40` takes all and prints the table.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from extent import extent
from mutants import MUTANTS, mutated

NUMBER = extent("MUTANTS", ordinary=3, full=len(MUTANTS))
WORLDS = 60  # at most; a bug is mostly noticed in the first few
MAY_LIVE = 1
_FIRST = ("allow-beats-deny", "translations-tell", "company-is-redacted-alone", "text-stays", "we-copy-others")
_ORDER = sorted(MUTANTS, key=lambda mutant: (mutant.name not in _FIRST, mutant.name))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bug_still_fits_the_source(mutant):
    spec = find_spec(mutant.module)
    assert spec is not None
    text = Path(str(spec.origin)).read_text(encoding="utf-8")
    assert mutated(text, mutant) != text


def test_forty_different_bugs_are_listed():
    assert len({(one.module, one.right, one.wrong) for one in MUTANTS}) == len({one.name for one in MUTANTS}) == 40


def test_the_proofs_notice_bugs():
    found = [_noticed(mutant.name, WORLDS) for mutant in _ORDER[:NUMBER]]
    print("\n".join(f"{one['mutant']:32} {one['noticed'] or '-':18} world {one['world']}" for one in found))
    living = [one["mutant"] for one in found if not one["noticed"]]
    assert len(living) <= (MAY_LIVE if len(MUTANTS) == NUMBER else 0), f"nobody noticed {', '.join(living)}"


def test_the_proofs_notice_nothing_where_there_is_no_bug():
    assert _noticed("none", 4 if len(MUTANTS) > NUMBER else WORLDS)["noticed"] == ""


def _noticed(name: str, worlds: int) -> dict[str, object]:
    words = [sys.executable, str(Path(__file__).with_name("mutants.py")), name, str(worlds)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return said
