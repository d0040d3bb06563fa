"""Golden pairs: invented records and what the shipped mappings must make of them."""

import json
from pathlib import Path

import pytest

from tocsin.intake.formats import FORMATS, SourceRecord, read_paths
from tocsin.intake.mapping import load_mapping
from tocsin.intake.translate import classification, translate

GOLDEN = Path(__file__).parent / "golden"
VERIS_RECORDS = sorted((GOLDEN / "veris").glob("*.record.json"))


@pytest.mark.parametrize("file", VERIS_RECORDS, ids=lambda file: file.name.removesuffix(".record.json"))
def test_a_veris_record_is_classified_as_agreed(file: Path) -> None:
    mapping = load_mapping("veris")
    (record,) = read_paths(FORMATS["veris"], [file], mapping.reading)
    assert isinstance(record, SourceRecord)
    printed = classification(translate(record, mapping))
    expected = json.loads(file.with_name(file.name.replace(".record.", ".expected.")).read_text())
    assert {key: printed[key] for key in expected} == expected


def test_the_golden_folder_is_not_empty() -> None:
    assert len(VERIS_RECORDS) == 10


def test_rows_of_a_table_are_classified_as_agreed() -> None:
    mapping = load_mapping("csv")
    file = GOLDEN / "csv" / "tickets.csv"
    found = list(read_paths(FORMATS["csv"], [file], mapping.reading))
    lines = (GOLDEN / "csv" / "tickets.expected.jsonl").read_text().splitlines()
    assert len(found) == len(lines)
    for record, line in zip(found, lines, strict=True):
        assert isinstance(record, SourceRecord)
        printed = classification(translate(record, mapping))
        expected = json.loads(line)
        assert {key: printed[key] for key in expected} == expected
