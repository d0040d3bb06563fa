"""The sample of the VERIS community database: every record becomes a valid incident, quickly, without a crash."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tocsin.intake.build import objects_of
from tocsin.intake.formats import FORMATS, SourceRecord, read_paths
from tocsin.intake.mapping import load_mapping
from tocsin.intake.translate import classification, translate
from tocsin.stix.effects import contradictions
from tocsin.stix.markings import Tlp
from tocsin.stix.validate import problems

INCIDENTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "vcdb" / "incidents"
pytestmark = pytest.mark.skipif(not INCIDENTS.is_dir(), reason="the VCDB sample is not beside the checkout")


def test_every_record_of_the_sample_becomes_valid_objects() -> None:
    mapping = load_mapping("veris")
    kinds: Counter[str] = Counter()
    reviews = 0
    for record in read_paths(FORMATS["veris"], [INCIDENTS], mapping.reading):
        assert isinstance(record, SourceRecord)
        found = translate(record, mapping)
        built = objects_of(
            found,
            secret=b"secret",
            owner="",
            source="vcdb",
            creator_id="identity--7e1d8b9e-5f64-4f0e-9d0b-6f5d3b8f4a11",
            marking_id=Tlp.GREEN.marking,
            now=datetime(2026, 1, 2, tzinfo=UTC),
            previous={},
        )
        for one in built:
            assert problems(one.version) == []
        findings = found.findings
        labels = [effect.effect for effect in findings.effects]
        assert contradictions(labels, findings.effect_type, findings.answers) == []
        assert not any(
            entry.path.startswith(("action", "asset", "attribute", "actor")) for entry in found.unmapped
        )
        printed = classification(found, built[0].version.id)
        kinds[printed["effect_type"]] += 1
        reviews += printed["needs_review"]
    assert kinds.total() == 150
    # many such records are mistakes, losses and thefts; none of the types may swallow the rest
    assert kinds["exploitive"] > kinds["disruptive"] > kinds["mixed"] > 0
    assert kinds["not-cyber"] > 15
    assert kinds["undetermined"] < 15
    assert reviews < 50
