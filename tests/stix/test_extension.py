"""The files of the effects extension agree with the code, with each other, and with STIX."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from stix2validator import ValidationOptions, validate_instance

from tocsin.stix import effects as words
from tocsin.stix import validate
from tocsin.stix.effects import EXTENSION_CREATOR, EXTENSION_DEFINITION, EXTENSION_ID, INCIDENT_CORE_ID
from tocsin.stix.incident import Findings, read_effects
from tocsin.stix.objects import make_object
from tocsin.stix.validate import problems

HERE = Path(__file__).parents[2] / "extensions" / "effects"
SCHEMA = json.loads((HERE / "schema.json").read_text(encoding="utf-8"))
GROUPS = json.loads((HERE / "redaction-groups.json").read_text(encoding="utf-8"))
SPECIFICATION = (HERE / "README.md").read_text(encoding="utf-8")
VALID = sorted((HERE / "examples" / "valid").glob("*.json"))
INVALID = sorted((HERE / "examples" / "invalid").glob("*.json"))
KINDS = {"code", "text", "number", "boolean", "ref", "refs", "moment", "sector", "time"}
VOCABULARIES = {
    "effect": words.EFFECTS,
    "effect-type": words.EFFECT_TYPES,
    "stage": words.STAGES,
    "means": words.MEANS,
    "root-cause": words.ROOT_CAUSES,
    "actor-type": words.ACTOR_TYPES,
    "motive": words.MOTIVES,
    "claimed-by": words.CLAIMED_BY,
    "basis": words.BASES,
    "request": words.REQUESTS,
    "place": words.PLACES,
    "fidelity": words.FIDELITIES,
    "public-core-element": words.PUBLIC_CORE,
    "nis2-sector": words.NIS2_SECTORS,
}


@pytest.mark.parametrize(("name", "vocabulary"), VOCABULARIES.items())
def test_schema_and_code_have_one_vocabulary(name, vocabulary):
    assert tuple(SCHEMA["$defs"][name]["enum"]) == tuple(vocabulary)


def test_no_vocabulary_of_the_schema_is_left_untested():
    assert {name for name, definition in SCHEMA["$defs"].items() if "enum" in definition} == set(VOCABULARIES)


def test_the_pattern_of_sectors_lists_the_sectors_of_nis2():
    assert "|".join(words.NIS2_SECTORS) in SCHEMA["$defs"]["sector"]["pattern"]


def test_the_answers_of_the_schema_are_the_questions_of_the_code():
    assert tuple(SCHEMA["properties"]["answers"]["properties"]) == (*words.QUESTIONS, "places")


@pytest.mark.parametrize("vocabulary", [*VOCABULARIES.values(), words.QUESTIONS, tuple(SCHEMA["properties"])])
def test_the_specification_names_every_word(vocabulary):
    assert [word for word in vocabulary if f"`{word}`" not in SPECIFICATION] == []


def test_nothing_may_be_added_inside_the_extension():
    def open_objects(node, place):
        if isinstance(node, dict):
            if node.get("type") == "object" and node.get("additionalProperties") is not False:
                yield place
            for key, member in node.items():
                yield from open_objects(member, f"{place}/{key}")
        elif isinstance(node, list):
            for index, item in enumerate(node):
                yield from open_objects(item, f"{place}/{index}")

    assert list(open_objects(SCHEMA, "")) == []


def test_definition_and_creator_are_the_objects_the_code_offers():
    assert EXTENSION_DEFINITION["id"] == EXTENSION_ID
    assert EXTENSION_DEFINITION["created_by_ref"] == EXTENSION_CREATOR["id"]
    options = ValidationOptions(version="2.1", silent=True)
    for value in (EXTENSION_DEFINITION, EXTENSION_CREATOR):
        assert validate_instance(dict(value), options).is_valid
        assert make_object(value).id == value["id"]


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_valid_examples_are_valid(file):
    value = json.loads(file.read_text(encoding="utf-8"))
    assert problems(value) == []
    assert validate_instance(value, ValidationOptions(version="2.1", silent=True)).is_valid
    assert read_effects(value) is not None


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_invalid_examples_are_refused_where_they_say(file):
    example = json.loads(file.read_text(encoding="utf-8"))
    assert example["because"]
    assert example["place"] in {problem.place for problem in problems(example["object"])}


def test_there_are_examples_and_one_of_them_uses_every_field():
    assert len(VALID) >= 7
    assert len(INVALID) >= 25
    full = json.loads((HERE / "examples" / "valid" / "full.json").read_text(encoding="utf-8"))
    unused = set(SCHEMA["properties"]) - set(full["extensions"][EXTENSION_ID])
    # two cannot be true of what is mixed, and the third is never in an original
    assert unused == {"disruptive_unknown", "exploitive_unknown", "victim_pseudonyms"}


def test_examples_name_only_what_is_plainly_invented():
    for file in [*VALID, *INVALID]:
        for host in re.findall(r"https?://([^/\"]+)", file.read_text(encoding="utf-8")):
            assert host.endswith(".example"), (file.name, host)


# Redaction groups


def _rules(kind):
    rule = GROUPS["types"][kind]
    common = GROUPS["common"][rule["extends"]]
    return {**common["coded"], **rule["coded"]}, {**common["free"], **rule["free"]}, rule


@pytest.mark.parametrize("folder", ["sdos", "sros", "observables"])
def test_every_stix_type_says_what_a_copy_may_hold(folder):
    assert validate._types(folder) <= set(GROUPS["types"])
    extends = "observable" if folder == "observables" else "object"
    assert {GROUPS["types"][kind]["extends"] for kind in validate._types(folder)} == {extends}


@pytest.mark.parametrize("kind", sorted(GROUPS["types"]))
def test_the_rules_of_a_type_are_well_formed(kind):
    coded, free, rule = _rules(kind)
    assert not coded.keys() & free.keys()
    named = set()
    for path, field in coded.items():
        assert field["kind"] in KINDS, path
        named |= set(field["groups"])
    for field in free.values():
        assert field["keep"]
        named |= set(field["groups"])
    withheld = rule.get("withheld", {})
    assert withheld.keys() <= {"always", "side", "by"}
    named |= set(withheld.get("always", ()))
    for groups in withheld.get("side", {}).values():
        named |= set(groups)
    for values in withheld.get("by", {}).values():
        named |= {group for groups in values.values() for group in groups}
    assert named <= set(GROUPS["groups"])
    made = {*GROUPS["common"][rule["extends"]]["made"], *rule.get("made", ())}
    for path in rule["required"]:
        assert path in coded or path in free or path in made or any(name.startswith(f"{path}.") for name in coded)
    assert set(rule.get("stand_ins", {})) <= set(rule["required"])
    for item, keys in rule.get("items", {}).items():
        assert {f"{item}.{key}" for key in keys} <= coded.keys()


@pytest.mark.parametrize("kind", sorted(GROUPS["types"]))
def test_the_rules_name_properties_that_the_type_has(kind):
    folder = next(folder for folder in ("sdos", "sros", "observables") if kind in validate._types(folder))
    properties: set[str] = set()
    required: set[str] = set()

    def collect(schema, always=True):
        properties.update(schema.get("properties", {}))
        if always:
            required.update(schema.get("required", ()))
        for part in schema.get("allOf", ()):
            target = part.get("$ref", "").rpartition("/")[2]
            common = validate._schemas_dir() / "common" / target
            collect(json.loads(common.read_text(encoding="utf-8")) if target else part, always)
        for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
            collect(part, always=False)

    collect(json.loads((validate._schemas_dir() / folder / f"{kind}.json").read_text(encoding="utf-8")))
    coded, free, rule = _rules(kind)
    first = {re.split(r"[.\[]", path)[0] for path in (*coded, *free)}
    assert first <= properties
    made = {*GROUPS["common"][rule["extends"]]["made"], *rule.get("made", ())}
    assert required <= {*rule["required"], *made}


def _leaves(node, place):
    """The paths of all values that the schema of our extension lets in."""
    if "$ref" in node:
        node = SCHEMA["$defs"][node["$ref"].rpartition("/")[2]]
    if set(node.get("properties", ())) == {"value", "fidelity"} or "oneOf" in node:
        yield place
    elif "properties" in node:
        for key, member in node["properties"].items():
            yield from _leaves(member, f"{place}.{key}" if place else key)
    elif "items" in node:
        items = node["items"]
        target = SCHEMA["$defs"].get(items.get("$ref", "").rpartition("/")[2], items)
        yield from _leaves(items, f"{place}[]") if "properties" in target else [place]
    else:
        yield place


def test_every_field_of_our_extension_is_coded_or_free():
    coded, free, rule = _rules("incident")
    prefix = f"extensions.{EXTENSION_ID}."
    known = {path.removeprefix(prefix) for path in (*coded, *free) if path.startswith(prefix)}
    leaves = set(_leaves(SCHEMA, "")) - {"extension_type", "victim_pseudonyms"}
    assert f"{prefix}victim_pseudonyms" in rule["made"]  # a copy's own: those of what it was made of never pass
    nodes = "severity.inputs.nodes"  # one free field as a whole
    leaves = {nodes if leaf.startswith(nodes) else leaf for leaf in leaves}
    assert known == leaves
    assert set(rule["extension_required"]) == {EXTENSION_ID, INCIDENT_CORE_ID}


def test_free_text_of_an_incident_is_never_coded():
    coded, _, _ = _rules("incident")
    assert [path for path, field in coded.items() if field["kind"] == "text"] == []


def test_findings_have_every_field_of_the_extension():
    # what we make is made of findings, so an original cannot have what only copies may
    found = {field.name for field in fields(Findings)}
    assert set(SCHEMA["properties"]) - found == {"extension_type", "victim_pseudonyms"}
