"""Every object has every attribute, and what nobody said is empty."""

import pytest

from stix_samples import TYPES, full_object
from test_redact_every_type import full_incident
from tocsin.policy.attributes import FIELDS, STIX_TYPES, Provenance, attributes, within
from tocsin.policy.expression import compile_expression
from tocsin.stix.markings import TLP2, Tlp

NAMES = {field.name for field in FIELDS}


@pytest.mark.parametrize("kind", TYPES)
def test_every_object_has_every_attribute_so_that_an_expression_never_misses_one(kind):
    found = attributes(full_object(kind), Provenance())
    assert found.keys() == NAMES
    for field in FIELDS:
        expression = compile_expression(f"object.{field.name}", {f"object.{field.name}": field.cel}, place="")
        assert expression.value({f"object.{field.name}": found[field.name]}) == found[field.name]


def test_the_types_that_rules_know_are_those_of_the_standard():
    own = {"language-content", "marking-definition", "extension-definition"}
    assert set(STIX_TYPES) == {*TYPES, *own}


def test_what_nobody_said_is_empty_and_never_invented():
    found = attributes({"type": "incident"}, Provenance())
    assert (
        found["tlp"] == found["effect_type"] == found["stage"] == found["determination"] == found["creator"] == ""
    )
    assert found["effects"] == found["sectors"] == found["public_core"] == []
    assert found["severity"] is found["trans_border"] is found["confidence"] is None


def test_an_incident_says_what_its_extension_says():
    found = attributes(full_incident(), Provenance(origin="acme", owner="acme", reviewed=True, hops=2))
    assert {name: found[name] for name in ("effects", "effect_type", "stage", "means", "severity", "basis")} == {
        "effects": ["data-attack"],
        "effect_type": "disruptive",
        "stage": "effect",
        "means": ["ransomware"],
        "severity": 2,
        "basis": "mapped",
    }
    assert (found["tlp"], found["marked"], found["origin"], found["hops"]) == ("amber", True, "acme", 2)
    assert (found["request"], found["countries"], found["reviewed"]) == ("assistance", ["EE"], True)


@pytest.mark.parametrize(
    ("marks", "tlp"),
    [
        ({}, ""),
        ({"object_marking_refs": [TLP2[Tlp.AMBER_STRICT]]}, "amber+strict"),
        ({"object_marking_refs": ["marking-definition--00000000-0000-4000-8000-000000000000"]}, "red"),
        ({"granular_markings": [{"marking_ref": TLP2[Tlp.CLEAR], "selectors": ["name"]}]}, "red"),
    ],
)
def test_the_level_is_the_object_s_own_marking(marks, tlp):
    assert attributes({"type": "tool"} | marks, Provenance())["tlp"] == tlp


@pytest.mark.parametrize(
    ("sector", "outer", "inside"),
    [
        ("naics:522110", "naics:52", True),
        ("naics:52", "naics:52", True),
        ("naics:52", "naics:522", False),
        ("nis2:energy/oil", "nis2:energy", True),
        ("nis2:energy", "nis2:energy/oil", False),
        ("nis2:energy-trade", "nis2:energy", False),
    ],
)
def test_a_sector_lies_within_another(sector, outer, inside):
    assert within(sector, outer) is inside
