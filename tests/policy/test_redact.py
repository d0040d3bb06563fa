"""A redacted copy is another object, built up from coded fields."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stix2.registry import STIX2_OBJ_MAPS
from stix2.v21 import vocab

from stix_samples import OTHER, UNKNOWN_EXTENSION, UUID, full_object
from test_redact_every_type import COPY, CREATOR, DATE, ORIGINALS, copy_of, full_incident
from tocsin.policy.coded import NEVER, VOCABULARIES
from tocsin.policy.redact import GROUPS, KEEPS, CopyImpossible, redacted, without_dates_hash
from tocsin.stix.canonical import dump_json
from tocsin.stix.effects import EXTENSION_ID, INCIDENT_CORE_ID
from tocsin.stix.validate import problems

NOTHING: frozenset[str] = frozenset()
ATTRIBUTED = full_object("relationship") | {"relationship_type": "attributed-to"}
LATER = "2027-01-01T00:00:00.000Z"


def copied(value: dict[str, Any], *groups: str, keep: tuple[str, ...] = (), **given: Any) -> dict[str, Any]:
    return redacted(
        value,
        frozenset(groups),
        frozenset(keep),
        **{
            "id": f"{value['type']}--{COPY}",
            "created": DATE,
            "modified": DATE,
            "creator": CREATOR,
            "rewrite": lambda target: target,
        }
        | given,
    )[0]


def effects_of(copy: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = copy["extensions"][EXTENSION_ID]
    return found


# --- the incident ---------------------------------------------------------------------------------------------


def test_the_name_and_labels_of_an_incident_come_from_coded_fields_and_the_copy_s_own_id():
    original = full_incident() | {"name": "Vexilla Works encrypted", "labels": ["vexilla"]}
    copy = copied(original, "victim")
    assert copy["name"] == f"Data attack, health, EE ({COPY[:8]})"
    assert copy["labels"] == ["effect-type:disruptive", "effects:data-attack", "means:ransomware"]


def test_what_each_group_hides_of_an_incident():
    original = full_incident()
    assert effects_of(copied(original))["sectors"] == ["naics:622110", "nis2:health/hospitals"]
    assert effects_of(copied(original, "victim"))["sectors"] == ["naics:62", "nis2:health"]
    assert effects_of(copied(original))["public_core"][0]["identifier"] == "AS64496"
    assert effects_of(copied(original, "victim"))["public_core"] == [{"element": "routing.ixp"}]
    assert "persons_affected" not in effects_of(copied(original, "victim"))
    assert {"actor_type", "motives"} & effects_of(copied(original, "attribution")).keys() == set()
    assert "answers" not in effects_of(copied(original, "answers"))
    assert effects_of(copied(original, "reporter"))["request"] == {
        "type": "assistance",
        "answer_by": "2025-03-05T00:00:00Z",
    }
    for copy in (copied(original), copied(original, *GROUPS)):
        assert effects_of(copy)["effects"] == [{"effect": "data-attack", "confidence": 90, "basis": "mapped"}]
        assert effects_of(copy)["stage"] == "effect"
        assert copy["extensions"][INCIDENT_CORE_ID]["determination"] == "suspected"


@pytest.mark.parametrize(
    ("groups", "keep", "start", "answer_by"),
    [
        ((), (), {"value": "2025-03-04", "fidelity": "day"}, "2025-03-05T00:00:00Z"),
        (("exact-times",), (), {"value": "2025-03", "fidelity": "month"}, "2025-03-01T00:00:00Z"),
        (("exact-times",), ("exact-times",), {"value": "2025-03", "fidelity": "month"}, "2025-03-01T00:00:00Z"),
        ((), ("exact-times",), {"value": "2025-03-04T10:11:12Z", "fidelity": "second"}, "2025-03-05T17:00:00Z"),
    ],
)
def test_times_are_told_to_the_day_unless_kept_and_to_the_month_when_redacted(groups, keep, start, answer_by):
    copy = copied(full_incident(), *groups, keep=keep)
    assert effects_of(copy)["times"]["occurred"]["start"] == start
    assert effects_of(copy)["request"]["answer_by"] == answer_by
    assert problems(copy) == []


def test_an_incident_of_a_foreign_tool_keeps_nothing_but_its_kind():
    copy = copied(full_object("incident"))
    assert set(copy) == {
        *("type", "spec_version", "id", "created_by_ref", "created", "modified"),
        *("confidence", "object_marking_refs", "name"),
    }
    assert copy["name"].endswith(f"({COPY[:8]})")


# --- keep -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "keep", "property_", "groups"),
    [
        ("malware", "description", "description", "narrative"),
        ("malware", "name", "name", None),
        ("malware", "labels", "labels", "narrative"),
        ("malware", "external_references", "external_references", "references"),
        ("malware", "unknown-properties", "found_by", None),
        ("malware", "unknown-properties", "details", None),
        ("identity", "contact_information", "contact_information", "reporter"),
        ("note", "content", "content", "narrative"),
        ("location", "place", "city", "victim"),
    ],
)
def test_text_stays_only_where_keep_names_it_and_never_against_a_group(kind, keep, property_, groups):
    original = full_object(kind)
    if kind != "note":
        assert copied(original).get(property_) != original[property_]
    assert copied(original, keep=(keep,))[property_] == original[property_]
    if groups is not None and kind != "note":
        assert copied(original, groups, keep=(keep,)).get(property_) != original[property_]


def test_an_unknown_extension_stays_only_where_keep_names_it():
    original = full_object("malware")
    assert "extensions" not in copied(original, keep=("unknown-properties", "description"))
    copy = copied(original, keep=("unknown-extensions",))
    assert copy["extensions"] == original["extensions"]


def test_what_is_kept_is_kept_with_references_as_they_stand_here_and_without_the_original_s_id():
    original = full_object("malware") | {
        "maker_ref": f"identity--{OTHER}",
        "seen_refs": [f"identity--{OTHER}", "not an id"],
        "deep": {"maker_ref": f"identity--{UUID}", "said": Decimal("1.10"), "nothing": None},
        "itself": f"https://tracker.example/malware--{UUID}",
    }
    there = {f"identity--{OTHER}": f"identity--{COPY}"}
    copy = copied(original, keep=("unknown-properties",), rewrite=there.get)
    assert copy["maker_ref"] == f"identity--{COPY}"
    assert copy["seen_refs"] == [f"identity--{COPY}"]
    assert copy["deep"] == {"said": Decimal("1.10"), "nothing": None}
    assert "itself" not in copy


def test_a_property_that_stix_knows_is_never_kept_as_unknown():
    for kind, value in ORIGINALS.items():
        if kind in ("note", "artifact", "malware-analysis", "incident with effects"):
            continue
        copy = copied(value, keep=("unknown-properties",))
        assert set(copy) - set(copied(value)) == {"found_by", "details"}


# --- references -----------------------------------------------------------------------------------------------


def report(*targets: str) -> dict[str, Any]:
    return full_object("report") | {"object_refs": list(targets)}


def test_references_are_rewritten_and_absent_ones_are_left_out():
    one, two, three = (f"malware--{n}b1f2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d" for n in "123")
    there = {one: one, two: f"malware--{COPY}"}
    value, omitted = redacted(
        report(one, two, three),
        NOTHING,
        NOTHING,
        id=f"report--{COPY}",
        created=DATE,
        modified=DATE,
        creator=CREATOR,
        rewrite=there.get,
    )
    assert value["object_refs"] == [one, f"malware--{COPY}"]
    assert "object_refs: 1 of 3" in omitted
    assert "description" in omitted


@pytest.mark.parametrize("kind", ["report", "relationship", "sighting", "opinion", "grouping", "observed-data"])
def test_without_the_reference_that_it_is_about_there_is_no_copy(kind):
    with pytest.raises(CopyImpossible, match="would be missing"):
        copied(full_object(kind), rewrite=lambda target: None)


@pytest.mark.parametrize("text", ["vexilla", "marking-definition--vexilla", f"malware--{UUID}x"])
def test_what_stands_where_a_reference_belongs_but_is_none_is_left_out(text):
    with pytest.raises(CopyImpossible):
        copied(report(text))
    with pytest.raises(CopyImpossible, match="no identifier"):
        copied(full_object("malware") | {"object_marking_refs": [text]})


def test_markings_stay_as_they_are():
    original = full_object("tool")
    assert (
        copied(original, *GROUPS, rewrite=lambda target: None)["object_marking_refs"]
        == original["object_marking_refs"]
    )


# --- no copy --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "groups", "side", "said"),
    [
        ({"type": "x-own", "id": f"x-own--{UUID}"}, (), None, "not known"),
        ({"type": "marking-definition", "id": f"marking-definition--{UUID}"}, (), None, "not known"),
        ({"type": "language-content", "id": f"language-content--{UUID}"}, (), None, "not known"),
        (full_object("tool") | {"granular_markings": [{}]}, (), None, "granular markings"),
        (full_object("note"), (), None, "content would be missing"),
        (full_object("threat-actor"), ("attribution",), None, "attribution is redacted"),
        (
            full_object("relationship") | {"relationship_type": "attributed-to"},
            ("attribution",),
            None,
            "attribution",
        ),
        (full_object("relationship") | {"relationship_type": "at-vexilla"}, (), None, "relationship_type"),
        (full_object("domain-name"), ("victim-observables",), None, "victim-observables is redacted"),
        (full_object("domain-name"), ("victim",), None, "victim-observables is redacted"),
        (full_object("domain-name"), ("attacker-observables",), "attacker", "attacker-observables is redacted"),
        (full_object("indicator"), ("victim",), None, "victim-observables is redacted"),
        (full_object("indicator"), ("attacker-observables",), "attacker", "attacker-observables is redacted"),
        (full_object("identity"), ("victim",), "victim", "victim is redacted"),
    ],
)
def test_where_nothing_could_be_shown_there_is_no_copy_and_the_reason_is_said(value, groups, side, said):
    with pytest.raises(CopyImpossible, match=said):
        copied(value, *groups, side=side)


@pytest.mark.parametrize("kind", ["domain-name", "indicator", "file", "ipv4-addr"])
def test_an_observable_known_to_be_the_attacker_s_outlives_the_victim_s_redaction(kind):
    original = full_object(kind)
    copy = copied(original, "victim", "victim-observables", "reporter", side="attacker")
    named = {"indicator": "pattern", "file": "hashes"}.get(kind, "value")
    assert copy[named] == original[named]
    assert problems(copy) == []


def test_a_party_on_no_known_side_is_copied_without_its_name():
    copy = copied(full_object("identity"), "victim")
    assert copy["name"] == f"Name withheld ({COPY[:8]})"
    assert copy["identity_class"] == "organization"
    assert copied(full_object("identity"), "attribution", keep=("name",))["name"] == "text"


def test_a_public_vulnerability_keeps_its_number_and_nothing_else_its_name():
    vulnerability = full_object("vulnerability")
    assert copied(vulnerability | {"name": "CVE-2026-12345"})["name"] == "CVE-2026-12345"
    assert copied(vulnerability | {"name": "CVE-2026-12345 at Vexilla"})["name"] == f"Name withheld ({COPY[:8]})"


def test_times_that_would_fall_together_lose_the_later_one():
    original = full_object("relationship") | {
        "start_time": "2025-03-04T10:00:00.000Z",
        "stop_time": "2025-03-04T12:00:00.000Z",
    }
    copy = copied(original)
    assert copy["start_time"] == "2025-03-04T00:00:00Z"
    assert "stop_time" not in copy


def test_a_revoked_original_has_a_revoked_copy():
    assert copied(full_object("tool") | {"revoked": True})["revoked"] is True


def test_a_copy_of_a_copy_bears_no_digits_of_the_first():
    first = copied(full_object("identity"), "victim")
    second = copied(first, "attribution", keep=("name",), id=f"identity--{OTHER}")
    assert COPY[:8] not in json.dumps(second)
    assert second["name"] == f"Name withheld ({OTHER[:8]})"


# --- hidden edits ---------------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.from_regex(r"x_[a-z]{1,8}", fullmatch=True)


@pytest.mark.parametrize("kind", ["malware", "identity", "relationship", "file", "incident with effects"])
@given(unknown=st.dictionaries(_NAMES, _JSON, max_size=3), extension=_JSON, text=st.text(max_size=20))
def test_an_edit_of_what_a_copy_does_not_show_changes_no_byte_of_it(kind, unknown, extension, text):
    value = {name: member for name, member in ORIGINALS[kind].items() if name not in ("found_by", "details")}
    edited = value | unknown | {"description": text, "lang": text}
    edited["extensions"] = value["extensions"] | {UNKNOWN_EXTENSION: extension}
    assert dump_json(copy_of(edited, NOTHING)) == dump_json(copy_of(ORIGINALS[kind], NOTHING))


def test_the_hash_without_dates_tells_whether_anything_visible_changed():
    tool = full_object("tool")
    first, later = copied(tool), copied(tool, created=LATER, modified=LATER)
    assert without_dates_hash(first) == without_dates_hash(later)
    assert without_dates_hash(first) != without_dates_hash(copied(tool | {"confidence": 2}))


# --- the tables -----------------------------------------------------------------------------------------------

_OPEN = {
    "identity.identity_class": vocab.IDENTITY_CLASS,
    "identity.sectors": vocab.INDUSTRY_SECTOR,
    "location.region": vocab.REGION,
    "grouping.context": vocab.GROUPING_CONTEXT,
    "indicator.indicator_types": vocab.INDICATOR_TYPE,
    "indicator.pattern_type": vocab.PATTERN_TYPE,
    "infrastructure.infrastructure_types": vocab.INFRASTRUCTURE_TYPE,
    "threat-actor.threat_actor_types": vocab.THREAT_ACTOR_TYPE,
    "threat-actor.roles": vocab.THREAT_ACTOR_ROLE,
    "threat-actor.sophistication": vocab.THREAT_ACTOR_SOPHISTICATION,
    "threat-actor.resource_level": vocab.ATTACK_RESOURCE_LEVEL,
    "threat-actor.primary_motivation": vocab.ATTACK_MOTIVATION,
    "intrusion-set.secondary_motivations": vocab.ATTACK_MOTIVATION,
    "malware.malware_types": vocab.MALWARE_TYPE,
    "malware.architecture_execution_envs": vocab.PROCESSOR_ARCHITECTURE,
    "malware.implementation_languages": vocab.IMPLEMENTATION_LANGUAGE,
    "malware.capabilities": vocab.MALWARE_CAPABILITIES,
    "malware-analysis.result": vocab.MALWARE_RESULT,
    "opinion.opinion": vocab.OPINION,
    "report.report_types": vocab.REPORT_TYPE,
    "tool.tool_types": vocab.TOOL_TYPE,
    "user-account.account_type": vocab.ACCOUNT_TYPE,
}


@pytest.mark.parametrize("path", _OPEN)
def test_vocabularies_are_those_of_the_standard(path):
    assert VOCABULARIES[path] == set(_OPEN[path])


def test_properties_that_no_copy_holds_are_ones_that_the_standard_knows():
    for kind, names in NEVER.items():
        known = STIX2_OBJ_MAPS["2.1"]["objects"].get(kind) or STIX2_OBJ_MAPS["2.1"]["observables"][kind]
        assert names <= set(known._properties)


def test_groups_are_those_of_the_agreement():
    assert set(GROUPS) == {
        *("victim", "reporter", "narrative", "references", "attribution", "victim-observables"),
        *("attacker-observables", "exact-times", "severity-inputs", "answers"),
    }
    assert {"labels", "exact-times", "unknown-properties", "unknown-extensions"} <= set(KEEPS)
