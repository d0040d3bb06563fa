"""Every value of both VERIS enumerations has a row: nothing of VERIS is unknown to the mapping."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tocsin.intake.formats import SourceRecord
from tocsin.intake.mapping import load_mapping
from tocsin.intake.translate import translate

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "vcdb"
VERIS = load_mapping("veris")

# What the mapping does not read on purpose: no effect, actor, time or place follows from it.
NOT_READ = (
    "asset.country",
    "actor.external.country",
    "actor.partner.country",
    "victim.employee_count",
    "victim.government",
    "victim.revenue",
    "timeline.",
    "attribute.availability.duration",
    "value_chain.",
    "impact.",
    "cost_corrective_action",
)
NOT_READ_PLUS = "plus."  # except data_abuse, which is read

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the VERIS enumerations are not beside the checkout")


def enumerated(file: str) -> Iterator[tuple[str, str]]:
    def walk(node: Any, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(node, dict):
            for name, member in node.items():
                yield from walk(member, f"{path}.{name}" if path else name)
        else:
            yield from ((path, str(value)) for value in node)

    return walk(json.loads((DATA / file).read_text()), "")


@needs_data
@pytest.mark.parametrize("file", ["vcdb-enum-1.3.4.json", "verisc-enum-latest.json"])
def test_every_value_of_the_enumeration_has_a_row(file: str) -> None:
    missing = []
    read = 0
    for path, value in enumerated(file):
        if path.startswith(NOT_READ) or (path.startswith(NOT_READ_PLUS) and not path.endswith("data_abuse")):
            continue
        read += 1
        if path == "victim.country":
            record = SourceRecord("r", {"action": {}, "victim": {"country": [value]}}, b"", "x:1")
            if translate(record, VERIS).unmapped:
                missing.append((path, value))
        elif not VERIS.knows(path, value):
            missing.append((path, value))
    assert missing == []
    assert read > 500


def test_a_value_that_veris_does_not_have_is_not_known() -> None:
    assert VERIS.knows("action.malware.variety", "ransomware")
    assert not VERIS.knows("action.malware.variety", "ransom ware")
    assert not VERIS.knows("action.malware.varieties", "Ransomware")
