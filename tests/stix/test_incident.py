"""What is known of an incident, as STIX and back."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stix2validator import ValidationOptions, validate_instance

from findings import FINDINGS, IDENTITY, MOMENTS
from tocsin.errors import BadInput
from tocsin.stix.canonical import dump_json, read_json
from tocsin.stix.effects import EXTENSION_ID, FIDELITIES, INCIDENT_CORE_ID
from tocsin.stix.incident import (
    Classified,
    Effect,
    Estimate,
    Findings,
    Moment,
    Period,
    Score,
    Severity,
    Times,
    build_incident,
    findings_sentence,
    generated_labels,
    moment,
    moment_of,
    read_effects,
)
from tocsin.stix.markings import TLP2, Tlp
from tocsin.stix.validate import problems

ID = "incident--1a2b3c4d-1111-4222-8333-444455556666"
ORACLE = ValidationOptions(version="2.1", silent=True)


def _built(findings: Findings, id: str = ID) -> dict[str, object]:
    return build_incident(
        findings,
        id=id,
        creator=IDENTITY,
        created="2025-03-14T09:30:00.000Z",
        modified="2025-03-14T09:30:00.001Z",
        markings=[TLP2[Tlp.GREEN]],
    )


@given(FINDINGS)
@settings(max_examples=150)
def test_whatever_is_known_the_incident_is_valid(findings):
    incident = _built(findings)
    assert problems(incident) == []
    assert problems(read_json(dump_json(incident))) == []
    verdict = validate_instance(json.loads(dump_json(incident)), ORACLE)
    assert verdict.is_valid, [str(error) for error in verdict.errors]


@given(FINDINGS)
@settings(max_examples=150)
def test_what_was_built_reads_back_as_it_was_known(findings):
    assert read_effects(_built(findings)) == findings


@given(FINDINGS)
@settings(max_examples=50)
def test_a_sentence_can_always_be_said(findings):
    sentence = findings_sentence(findings)
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_nothing_known_is_nothing_said():
    ours = _built(Findings(determination="suspected", investigation_status="new"))["extensions"][EXTENSION_ID]
    assert ours == {"extension_type": "property-extension", "effect_type": "undetermined"}


def test_what_a_default_filled_is_recorded_as_assumed():
    incident = _built(Findings(investigation_status="closed", classified=Classified(assumed=("stage",))))
    core, ours = incident["extensions"][INCIDENT_CORE_ID], incident["extensions"][EXTENSION_ID]
    assert (core["determination"], core["investigation_status"]) == ("suspected", "closed")
    assert ours["classified"]["assumed"] == ["stage", "determination"]


@pytest.mark.parametrize(
    ("findings", "name"),
    [
        (Findings(), "Undetermined incident (1a2b3c4d)"),
        (Findings(effect_type="no-effect", countries=("EE",)), "Incident without effect, EE (1a2b3c4d)"),
        (Findings(effect_type="not-cyber"), "Incident that is not cyber (1a2b3c4d)"),
        (Findings(effect_type="mixed", sectors=("naics:62",)), "Mixed incident, NAICS 62 (1a2b3c4d)"),
        (
            Findings(
                effects=(Effect("exploitation-of-sensors", 90, "mapped"), Effect("data-attack", 90, "mapped")),
                effect_type="mixed",
                sectors=("naics:22", "nis2:energy/electricity"),
                countries=("LV", "EE"),
            ),
            "Data attack and exploitation of sensors, energy electricity, EE LV (1a2b3c4d)",
        ),
        (Findings(countries=("EE", "LV", "LT", "FI")), "Undetermined incident, 4 countries (1a2b3c4d)"),
    ],
)
def test_the_name_is_made_of_coded_values_and_the_object_s_own_id(findings, name):
    assert _built(findings)["name"] == name


def test_the_name_bears_nothing_that_names_a_victim():
    secret = "Hospital of Nowhere"
    findings = Findings(
        description=secret,
        classified=Classified(organisation=secret),
        severity=Severity(scores=(Score(secret, 1, secret),)),
    )
    incident = _built(findings)
    assert secret not in incident["name"]
    assert not any(secret in label for label in incident["labels"])


def test_two_incidents_alike_have_two_names():
    other = _built(Findings(), ID.replace("1a2b3c4d", "ffff0000"))
    assert other["name"] != _built(Findings())["name"]


def test_labels_repeat_type_effects_and_means():
    findings = Findings(
        effects=(Effect("data-attack", 90, "mapped"),), effect_type="disruptive", means=("wiper", "ransomware")
    )
    labels = ["effect-type:disruptive", "effects:data-attack", "means:ransomware", "means:wiper"]
    incident = _built(findings)
    assert incident["labels"] == labels == generated_labels(incident["extensions"][EXTENSION_ID])


def test_the_confidence_of_an_incident_is_that_of_its_weakest_effect():
    effects = (Effect("data-attack", 90, "mapped"), Effect("exploitation-of-sensors", 30, "mapped"))
    assert _built(Findings(effects=effects, effect_type="mixed"))["confidence"] == 30
    assert "confidence" not in _built(Findings())


def test_the_disruption_index_is_repeated_where_other_tools_look():
    severity = Severity(Estimate(1, 2, 3), scores=(Score("NCISS", 37),))
    core = _built(Findings(severity=severity))["extensions"][INCIDENT_CORE_ID]
    assert [(score["name"], score["value"]) for score in core["scores"]] == [("CDI", 2), ("NCISS", 37)]


@pytest.mark.parametrize(
    ("text", "expected", "earliest", "latest"),
    [
        ("2013", Moment("2013", "year"), "2013-01-01T00:00:00", "2013-12-31T23:59:59"),
        ("2024-02", Moment("2024-02", "month"), "2024-02-01T00:00:00", "2024-02-29T23:59:59"),
        ("9999-12", Moment("9999-12", "month"), "9999-12-01T00:00:00", "9999-12-31T23:59:59"),
        ("2013-04-05", Moment("2013-04-05", "day"), "2013-04-05T00:00:00", "2013-04-05T23:59:59"),
        ("2013-04-05T10Z", Moment("2013-04-05T10Z", "hour"), "2013-04-05T10:00:00", "2013-04-05T10:59:59"),
        ("2013-04-05T10:30Z", Moment("2013-04-05T10:30Z", "minute"), "2013-04-05T10:30:00", "2013-04-05T10:30:59"),
        (
            "2013-04-05T10:30:09Z",
            Moment("2013-04-05T10:30:09Z", "second"),
            "2013-04-05T10:30:09",
            "2013-04-05T10:30:09",
        ),
        (
            "2013-04-05T10:30:09.999Z",
            Moment("2013-04-05T10:30:09Z", "second"),
            "2013-04-05T10:30:09",
            "2013-04-05T10:30:09",
        ),
    ],
)
def test_a_time_is_as_precise_as_its_text(text, expected, earliest, latest):
    found = moment(text)
    assert found == expected
    assert found.earliest().isoformat() == f"{earliest}+00:00"
    assert found.latest().isoformat() == f"{latest}+00:00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "13",
        "2013-",
        "2013-13",
        "2013-00",
        "2013-04-31",
        "2013-04-05T10",
        "2013-04-05T25Z",
        "2013-04-05 10:30",
        "0000",
        "2013\n",
        "２０１３",
        "2013-04-05T10:30:60Z",
        "2013-04-05T10:30:00+02:00",
        "unknown",
    ],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(BadInput, match="is not a time"):
        moment(text)


def test_an_instant_is_told_in_utc():
    instant = datetime(2025, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert moment_of(instant, "day") == Moment("2024-12-31", "day")
    assert moment_of(instant) == Moment("2024-12-31T23:30:00Z", "second")


@given(MOMENTS, st.sampled_from(FIDELITIES))
def test_a_coarser_time_still_holds_the_finer_one(when, fidelity):
    coarse = when.coarsened(fidelity)
    assert coarse.earliest() <= when.earliest() <= when.latest() <= coarse.latest()
    assert moment(coarse.value) == coarse
    assert FIDELITIES.index(coarse.fidelity) == min(FIDELITIES.index(fidelity), FIDELITIES.index(when.fidelity))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"type": "incident"},
        {"type": "incident", "extensions": []},
        {"type": "incident", "extensions": {EXTENSION_ID: "odd"}},
        {"type": "campaign", "extensions": {EXTENSION_ID: {}}},
    ],
)
def test_an_object_without_the_extension_has_no_findings(value):
    assert read_effects(value) is None


@pytest.mark.parametrize(
    ("spelling", "confidence"), [("90", 90), ("90.0", 90), ("9e1", 90), ("90.5", 0), ("true", 0), ('"90"', 0)]
)
def test_a_whole_number_is_read_however_it_is_spelt(spelling, confidence):
    ours = b'{"effects":[{"effect":"data-attack","confidence":%s}]}' % spelling.encode()
    found = read_effects({"type": "incident", "extensions": {EXTENSION_ID: read_json(ours)}})
    assert found is not None
    assert found.effects[0].confidence == confidence


def test_reading_tolerates_whatever_stands_there():
    odd = {
        "effects": [7, {"effect": "ransomware"}, {"effect": "data-attack", "confidence": "high", "basis": None}],
        "effect_type": 7,
        "stage": "later",
        "means": "ransomware",
        "motives": ["financial", 7, "greed"],
        "times": {
            "occurred": "2013",
            "detected": {"value": "yesterday"},
            "known": {"value": "2013", "fidelity": 7},
        },
        "sectors": {"naics": 62},
        "victim_count": True,
        "persons_affected": {"lo": "many"},
        "severity": {"scores": [{"name": "x"}, 7], "inputs": []},
        "public_core": [{"element": "naming.website"}],
        "request": {"type": "money"},
        "answers": {"impaired": "perhaps", "places": ["moon", "server"]},
        "classified": 7,
        "trans_border": "yes",
    }
    found = read_effects(
        {"type": "incident", "extensions": {EXTENSION_ID: odd, INCIDENT_CORE_ID: {"determination": "x"}}}
    )
    assert found is not None
    assert found.effects == (Effect("data-attack", 0, "reported", ""),)
    assert (found.effect_type, found.stage, found.means, found.motives) == (
        "undetermined",
        None,
        (),
        ("financial",),
    )
    assert found.times == Times(known=Moment("2013", "year"))
    assert (found.victim_count, found.persons_affected, found.request, found.classified) == (
        None,
        None,
        None,
        None,
    )
    assert found.answers.places == {"server"}
    assert (found.answers.impaired, found.trans_border, found.determination) == ("unknown", None, None)


@pytest.mark.parametrize(
    ("findings", "sentence"),
    [
        (Findings(), "Undetermined."),
        (
            Findings(
                effects=(Effect("data-attack", 90, "mapped"),),
                effect_type="disruptive",
                exploitive_unknown=True,
                means=("ransomware", "unknown"),
                sectors=("nis2:health",),
                countries=("EE",),
                times=Times(occurred=Period(moment("2013"), moment("2013"))),
                determination="failed-attempt",
            ),
            "Disruptive: data attack (90 % sure); loss of information not ruled out; by ransomware; in health, EE;"
            " occurred 2013; failed attempt.",
        ),
        (
            Findings(
                effect_type="exploitive", disruptive_unknown=True, times=Times(occurred=Period(end=moment("2013")))
            ),
            "Exploitive; disruption not ruled out; occurred until 2013.",
        ),
        (
            Findings(times=Times(occurred=Period(moment("2012"), moment("2013-04")))),
            "Undetermined; occurred 2012 to 2013-04.",
        ),
    ],
)
def test_the_sentence_for_people(findings, sentence):
    assert findings_sentence(findings) == sentence


def test_a_moment_is_never_before_the_first_year():
    assert moment("0001").earliest() == datetime(1, 1, 1, tzinfo=UTC)
