"""What is no STIX 2.1 object is refused with its place; what is merely unknown passes."""

import copy
import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from stix2validator import ValidationOptions, validate_instance

from tocsin.stix import validate
from tocsin.stix.canonical import dump_json, read_json
from tocsin.stix.effects import EXTENSION_CREATOR, EXTENSION_DEFINITION, EXTENSION_ID
from tocsin.stix.objects import make_object
from tocsin.stix.validate import MAX_PATTERN_BYTES, MAX_PROBLEMS, problems

HANGS = 30  # seconds: a hang, whatever else the machine is doing

DATES = {"created": "2025-01-01T00:00:00.000Z", "modified": "2025-01-01T00:00:00.000Z"}
UUID = "1a2b3c4d-1111-4222-8333-444455556666"
SAMPLES = Path(__file__).parents[2].parent / "shared" / "data" / "stix"


def _object(kind: str, **more: object) -> dict[str, object]:
    return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{UUID}", **DATES, **more}


def _observable(kind: str, **more: object) -> dict[str, object]:
    return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{UUID}", **more}


def _indicator(pattern: str) -> dict[str, object]:
    return _object("indicator", pattern=pattern, pattern_type="stix", valid_from="2025-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "value",
    [
        _object("incident", name="x"),
        _object(
            "incident", name="x", x_acme_score=Decimal("1.50"), foo_bar={"deep": [None]}
        ),  # unknown properties survive
        _object(
            "incident",
            name="x",
            extensions={f"extension-definition--{UUID}": {"extension_type": "property-extension"}},
        ),
        _object("x-acme-ticket", anything=[1, 2, 3]),  # an unknown type
        _object("event", extensions={f"extension-definition--{UUID}": {"extension_type": "new-sdo"}}),
        _observable("ipv4-addr", value="192.0.2.1"),
        {"type": "ipv4-addr", "id": f"ipv4-addr--{UUID}", "value": "192.0.2.1"},  # spec_version is optional here
        {"type": "x-acme-sensor", "id": f"x-acme-sensor--{UUID}", "value": "a"},
        _observable(
            "network-traffic",
            src_ref=f"url--{UUID}",
            protocols=["tcp"],
            start=DATES["created"],
            end=DATES["created"],
        ),
        _indicator("[ipv4-addr:value = '192.0.2.1']"),
        _indicator("[file:name = '" + "(" * 100 + r"\'" + "[" * 100 + "']"),  # brackets in a literal
        _object(
            "relationship",
            relationship_type="targets",
            source_ref=f"incident--{UUID}",
            target_ref=f"identity--{UUID}",
        ),
        dict(EXTENSION_DEFINITION),
        dict(EXTENSION_CREATOR),
    ],
)
def test_what_is_valid_passes(value):
    assert problems(value) == []
    assert problems(make_object(value)) == []


@pytest.mark.parametrize(
    ("value", "place", "said"),
    [
        ({}, "type", "missing"),
        ({"type": 7}, "type", "not a string"),
        ({"type": "bundle", "id": f"bundle--{UUID}", "objects": []}, "type", "envelope"),
        ({"type": "incident", "id": f"incident--{UUID}", "name": "x", **DATES}, "spec_version", "STIX 2.0"),
        ({"type": "incident", "id": f"incident--{UUID}", "name": "x"}, "spec_version", "STIX 2.0"),
        ({"type": "x-acme-ticket", "id": f"x-acme-ticket--{UUID}", **DATES}, "spec_version", "STIX 2.0"),
        ({**_object("incident", name="x"), "spec_version": "2.0"}, "spec_version", "only STIX 2.1"),
        ({**_object("incident", name="x"), "spec_version": ["2.1"]}, "spec_version", "only STIX 2.1"),
        (_object("incident"), "", '"name" is a required property'),
        (_object("incident", name=7), "name", "string"),
        (_object("incident", name="x", labels=[]), "labels", "less than 1 item"),
        (_object("incident", name="x", x_odd=None), "x_odd", "null and empty lists are not allowed"),
        (_object("incident", name="x", Name="y"), "", "'Name' was unexpected"),
        (_object("incident", name="x", severity="high"), "", "reserves"),
        ({**EXTENSION_DEFINITION, "extension_properties": ["rank"]}, "", "extension_properties: not together"),
        (_object("incident", name="x", confidence=101), "confidence", "100"),
        (_object("incident", name="x", confidence=Decimal("0.5")), "confidence", "integer"),
        (_object("incident", name="x", created_by_ref="nobody"), "created_by_ref", "does not match"),
        (_object("incident", name="x", extensions={"odd": {}}), "extensions", "unexpected"),
        (
            _object("incident", name="x", extensions={f"extension-definition--{UUID}": {}}),
            f"extensions.extension-definition--{UUID}",
            "",
        ),
        ({**_object("incident", name="x"), "id": "incident--1"}, "id", "does not match"),
        (
            {**_object("incident", name="x"), "created": "2025-02-30T00:00:00.000Z"},
            "created",
            "not a STIX timestamp",
        ),
        (
            {**_object("incident", name="x"), "created": "2026-01-01T00:00:00.000Z"},
            "modified",
            "at or after created",
        ),
        ({**_object("incident", name="x"), "created": "2025-01-01T00:00:00Z"}, "created", "does not match"),
        (
            {**_indicator("[a:b = 1]"), "valid_until": "2025-01-01T00:00:00.000Z"},
            "valid_until",
            "is not after valid_from",
        ),
        (
            _observable(
                "network-traffic", protocols=["tcp"], start="2025-01-02T00:00:00Z", end="2025-01-01T00:00:00Z"
            ),
            "end",
            "after start",
        ),
        (_object("incident", name="x", x_ref=f"incident--{UUID}".upper()), "x_ref", "lower case"),
        (
            _object("incident", name="x", x_things=[{"some_refs": [f" incident--{UUID}"]}]),
            "x_things[0].some_refs",
            "lower case",
        ),
        (_indicator("(" * 65 + "[a:b = 1]" + ")" * 65), "pattern", "nested 66 deep; at most 64"),
        (_indicator("[a:b = '" + "é" * (MAX_PATTERN_BYTES // 2) + "']"), "pattern", "a pattern may have 65536"),
        (_observable("ipv4-addr"), "", "required"),
        (_observable("network-traffic", protocols=["tcp"]), "", "none of the forms"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(value, place, said):
    found = problems(value)
    assert any(problem.place == place and said in problem.text for problem in found), found


def test_the_extension_belongs_on_incidents_alone():
    ours = {EXTENSION_ID: {"extension_type": "property-extension", "effect_type": "undetermined"}}
    assert problems(_object("incident", name="x", extensions=ours)) == []
    assert "belongs on an incident" in problems(_object("campaign", name="x", extensions=ours))[0].text


@pytest.mark.parametrize(
    "ours", [None, 7, [], "x", {}, {"extension_type": "property-extension", "times": 7, "severity": []}]
)
def test_an_extension_of_another_shape_is_a_problem_and_no_failure(ours):
    found = problems(_object("incident", name="x", extensions={EXTENSION_ID: ours}))
    assert any(problem.place.startswith(f"extensions.{EXTENSION_ID}") for problem in found)


@pytest.mark.parametrize("extensions", [None, [], "x", {EXTENSION_ID: []}])
@pytest.mark.parametrize("kind", ["incident", "campaign", "url", "x-acme-thing"])
def test_extensions_of_another_shape_are_a_problem_on_any_type(kind, extensions):
    assert problems(_object(kind, name="x", value="y", extensions=extensions))


@pytest.mark.parametrize(
    "value",
    [
        _object("incident", name="x", **{f"K{number}": None for number in range(20_000)}),
        _object("incident", name="x", object_marking_refs=["x"] * 50_000),
        _object("incident", name="x", labels=["x" * 100_000, 7]),
        {**_object("incident", name="x"), "type": "a" * 250_000},
        {**_object("incident", name="x"), "type": "a-" * 120_000},
        {**_object("incident", name="x"), "id": "a" * 250_000},
        _indicator("[" * 65_000),
        _indicator("[a:b = '" + "\\" * 65_000),
    ],
    ids=["keys", "refs", "label", "type", "dashes", "id", "brackets", "escapes"],
)
def test_hostile_objects_are_answered_shortly_and_soon(value):
    began = time.perf_counter()
    found = problems(value)
    assert time.perf_counter() - began < HANGS
    assert len(found) <= MAX_PROBLEMS
    assert all(len(problem.text) < 1000 for problem in found)


def test_every_stix_type_has_its_schema():
    for folder, number in (("sdos", 19), ("sros", 2), ("observables", 18)):
        assert len(validate._types(folder)) == number
        for kind in validate._types(folder):
            assert problems({"type": kind, "spec_version": "2.1"})


def test_schemas_are_compiled_once():
    incident = _object("incident", name="x")
    problems(incident)
    compiled = validate._compiled.cache_info().misses
    for _ in range(200):
        problems(incident)
    assert validate._compiled.cache_info().misses == compiled


def test_the_validator_of_oasis_is_never_imported():
    code = (
        "import sys\n"
        "from tocsin.stix.validate import problems\n"
        "problems({'type': 'incident', 'spec_version': '2.1'})\n"
        "assert not {'stix2validator', 'requests', 'jsonschema', 'antlr4'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_validating_changes_nothing():
    value = _object("incident", name="x", x_list=[Decimal("1.0")], extensions={"odd": {}})
    before = copy.deepcopy(value)
    problems(value)
    assert value == before


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample data is not beside this checkout")
def test_samples_are_judged_as_the_validator_of_oasis_judges_them():
    options = ValidationOptions(version="2.1", silent=True)
    judged = refused = 0
    for file in sorted(SAMPLES.glob("valid/**/*.json")):
        whole = read_json(file.read_bytes())
        for value in whole.get("objects", [whole]):
            if value.get("spec_version") != "2.1":
                continue
            judged += 1
            if validate_instance(json.loads(dump_json(value)), options).is_valid:
                assert problems(value) == [], file.name
            else:
                refused += 1
    assert judged > 20
    assert refused < judged
