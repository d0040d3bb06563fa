"""Build: valid STIX with ids that stay, names in the identities alone, and versions only where content changed."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import stix2

from tocsin.intake.build import Built, incident_id, objects_of
from tocsin.intake.formats import SourceRecord
from tocsin.intake.mapping import load_mapping
from tocsin.intake.observables import observable
from tocsin.intake.translate import Translation, assessed_findings, translate
from tocsin.stix.effects import EXTENSION_ID, Answers
from tocsin.stix.markings import Tlp
from tocsin.stix.objects import ObjectVersion
from tocsin.stix.validate import problems

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
CREATOR = "identity--7e1d8b9e-5f64-4f0e-9d0b-6f5d3b8f4a11"
CSV = load_mapping("csv")
FULL = {
    "id": "T-1",
    "incident_type": "ransomware",
    "occurred": "2025-03",
    "country": "EE",
    "sector": "622110",
    "victim": "Example Hospital; Example Clinic",
    "reporter": "CERT Example",
    "attacker_indicators": "192.0.2.1; bad.example",
    "victim_indicators": "2001:db8::1",
    "summary": "Told to all.",
}


def table(**cells: str) -> Translation:
    return translate(SourceRecord("T-1", {**FULL, **cells}, b"", "t.csv:2"), CSV)


def build(
    translation: Translation,
    before: Sequence[Built] = (),
    *,
    now: datetime = NOW,
    secret: bytes = b"secret",
    marking: str | None = Tlp.AMBER.marking,
    assumed: tuple[str, ...] = (),
) -> list[Built]:
    return objects_of(
        translation,
        secret=secret,
        owner="",
        source="tickets",
        creator_id=CREATOR,
        marking_id=marking,
        now=now,
        previous={one.version.id: one.version for one in before},
        assumed=assumed,
    )


def by_role(built: Sequence[Built], role: str) -> list[ObjectVersion]:
    return [one.version for one in built if one.role == role]


@pytest.mark.parametrize("marking", [Tlp.AMBER.marking, None])
def test_everything_that_is_built_is_valid_stix(marking: str | None) -> None:
    built = build(table(), marking=marking)
    assert [one.role for one in built].count("relationship") == 6
    for one in built:
        assert problems(one.version) == []
        assert one.version.value.get("object_marking_refs") == ([marking] if marking else None)


def test_the_incident_comes_first_and_names_nobody() -> None:
    built = build(table())
    incident = built[0].version
    assert incident.id == incident_id(b"secret", "", "tickets", "csv", "T-1")
    for name in ("Example Hospital", "Example Clinic", "CERT Example", "T-1", "192.0.2.1"):
        assert name not in incident.raw.decode()
    assert incident.value["description"] == "Told to all."


def test_names_stand_in_the_identities_and_relationships_tie_all_together() -> None:
    built = build(table())
    incident = built[0].version.id
    victims, (reporter,) = by_role(built, "victim"), by_role(built, "reporter")
    assert [victim.value["name"] for victim in victims] == ["Example Hospital", "Example Clinic"]
    assert {victim.value["identity_class"] for victim in victims} == {"organization"}
    assert victims[0].value["sectors"] == ["healthcare"]
    ties = {
        (tie.value["source_ref"], tie.value["relationship_type"], tie.value["target_ref"])
        for tie in by_role(built, "relationship")
    }
    assert {(incident, "targets", victims[0].id), (reporter.id, "contact-for", incident)} <= ties
    attackers, others = by_role(built, "attacker"), by_role(built, "observable")
    assert {one.type for one in attackers} == {"ipv4-addr", "domain-name"}
    assert [one.type for one in others] == ["ipv6-addr"]
    assert (incident, "related-to", others[0].id) in ties


def test_the_same_record_built_again_is_the_very_same_versions() -> None:
    first = build(table())
    again = build(table(), first, now=NOW + timedelta(days=1))
    assert [one.version for one in again] == [one.version for one in first]
    assert all(new.version is old.version for new, old in zip(again, first, strict=True) if old.role != "attacker")


def test_only_what_changed_gets_a_later_version() -> None:
    first = build(table())
    second = build(table(country="LV"), first, now=NOW + timedelta(days=1))
    changed = [new.role for new, old in zip(second, first, strict=True) if new.version != old.version]
    assert changed == ["incident"]
    incident = second[0].version.value
    assert (incident["created"], incident["modified"]) == ("2026-01-02T03:04:05.678Z", "2026-01-03T03:04:05.678Z")
    assert incident["extensions"][EXTENSION_ID]["classified"]["at"] == "2026-01-03T03:04:05.678Z"


def test_a_clock_set_back_never_hides_a_correction() -> None:
    first = build(table())
    second = build(table(country="LV"), first, now=NOW - timedelta(days=1))
    assert second[0].version.version == "2026-01-02T03:04:05.679Z"


def test_ids_tell_nothing_to_who_lacks_the_secret_and_hold_one_incident_only() -> None:
    ours, theirs = build(table()), build(table(), secret=b"other")
    keyed = [one.version.id for one in ours if one.role not in ("observable", "attacker")]
    assert not set(keyed) & {one.version.id for one in theirs}
    other = translate(SourceRecord("T-2", {**FULL, "id": "T-2"}, b"", "t.csv:3"), CSV)
    assert not {one.version.id for one in by_roles(build(other))} & set(keyed)


def by_roles(built: Sequence[Built]) -> list[Built]:
    return [one for one in built if one.role not in ("observable", "attacker")]


def test_a_record_without_names_makes_an_incident_alone() -> None:
    bare = translate(SourceRecord("T-9", {"id": "T-9", "incident_type": "ddos"}, b"", "t.csv:2"), CSV)
    assert [one.role for one in build(bare)] == ["incident"]


def test_what_a_default_filled_is_said_to_be_assumed() -> None:
    incident = build(table(), assumed=("tlp",))[0].version.value
    assert "tlp" in incident["extensions"][EXTENSION_ID]["classified"]["assumed"]


def test_a_persons_assessment_makes_a_version_with_its_own_time() -> None:
    first = build(table())
    answers = Answers(cyber_action="yes", effect_achieved="no")
    findings = assessed_findings(table().findings, answers, "analyst", "CERT Example", NOW + timedelta(hours=1))
    assessed = objects_of(
        table(),
        secret=b"secret",
        owner="",
        source="tickets",
        creator_id=CREATOR,
        marking_id=Tlp.AMBER.marking,
        now=NOW + timedelta(hours=1),
        previous={one.version.id: one.version for one in first},
        findings=findings,
    )
    incident = assessed[0].version
    assert incident != first[0].version
    assert problems(incident) == []
    classified = incident.value["extensions"][EXTENSION_ID]["classified"]
    assert (classified["basis"], classified["at"]) == ("assessed", "2026-01-02T04:04:05.678Z")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("192.0.2.1", "ipv4-addr"),
        ("192.0.2.0/24", "ipv4-addr"),
        ("2001:DB8::1", "ipv6-addr"),
        ("bad.Example", "domain-name"),
        ("hxxps://bad[.]example/x?y", "url"),
        ("me@bad.example", "email-addr"),
        ("d41d8cd98f00b204e9800998ecf8427e", "file"),
        ("a" * 64, "file"),
    ],
)
def test_an_observable_has_the_id_that_stix_computes(text: str, kind: str) -> None:
    made = observable(text)
    assert made is not None
    assert made["type"] == kind
    content = {key: value for key, value in made.items() if key != "id"}
    assert stix2.parse(json.dumps(content), version="2.1")["id"] == made["id"]
    assert problems(made) == []


@pytest.mark.parametrize("text", ["", "nonsense", "999.1.1.1", "a b.example", "abc123", "192.0.2.1/99", "x@y"])
def test_a_text_that_names_no_observable_is_none(text: str) -> None:
    assert observable(text) is None


def test_the_content_of_a_translation_decides_and_not_where_it_was_read() -> None:
    moved = replace(table(), place="elsewhere.csv:99")
    assert moved.as_value() == table().as_value()
