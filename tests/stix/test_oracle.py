"""Our verdict on a thousand objects of all types is that of the two public judges, or there is a reason.

`stix2` (strict where it can be while unknown properties may pass) and `stix2-validator` (its MUSTs) are asked
about each. `TOCSIN_TEST_OBJECTS` asks for more than a thousand.
"""

import json
import os
from collections import Counter
from collections.abc import Callable

import pytest
import stix2
import stix2.exceptions
import stix2validator

from objects_of_stix import FAULTS, TYPES, Drawn, drawn
from tocsin.errors import BadInput
from tocsin.stix.objects import read_object
from tocsin.stix.validate import problems

NUMBER = int(os.environ.get("TOCSIN_TEST_OBJECTS", "1000"))
MUSTS_ALONE = stix2validator.ValidationOptions(version="2.1", silent=True, disabled="all")
Judge = Callable[[bytes], bool]


def ours(raw: bytes) -> bool:
    try:
        return not problems(read_object(raw))
    except BadInput:
        return False


def the_library(raw: bytes) -> bool:
    try:
        stix2.parse(raw.decode(), allow_custom=True, version="2.1")
    except (stix2.exceptions.STIXError, ValueError, TypeError):
        return False
    return True


def the_validator(raw: bytes) -> bool:
    try:
        return stix2validator.validate_instance(json.loads(raw), MUSTS_ALONE).is_valid
    except (stix2validator.ValidationError, TypeError, ValueError):  # it trusts dates to be texts, ids to be UUIDs
        return False


# Why a judge takes what we refuse. Nothing that either refuses is taken here.
TAKEN_BY_THE_LIBRARY = {
    "null": "common/properties.json of OASIS: no null; the library drops it, which we may not",
    "empty list": "common/properties.json of OASIS: a list has members; the library drops it",
    "labels": "the same, in a property of §3.2",
    "one letter": "§3.1: a name has 3 to 250 characters; the library does not look at names that are not its own",
    "reserved": "common/core.json of OASIS: reserved by the standard; custom to the library",
    "confidence": "§3.2: 0 to 100; the library looks at the type alone when custom properties may pass",
    "empty extensions": "common/core.json of OASIS: at least one; the library takes it for absent",
    "extension without content": "§7.3: it says at least its extension_type; the library keeps it",
    "extension without a definition": "§7.3: the id of a definition, or a name of §6; the library takes any",
    "no id": "§3.2: required; the library makes one up",
    "another kind": "types of the properties' tables; the library makes text of whatever it is given",
    "order": "§3.2, and the notes of §4 and §5: some pairs the library does not compare",
    "id in capitals": "§2.9: RFC 4122 §3 writes UUIDs in lower case, so that one object has one id here",
}
TAKEN_BY_THE_VALIDATOR = {
    "id in capitals": TAKEN_BY_THE_LIBRARY["id in capitals"],
    "version 2.0": "§3.2: `2.1`; the schema takes `2.0` as well, for bundles of both",
    "order": "§4: the validator does not compare analysis_started and analysis_ended",
}


def described(one: Drawn) -> str:
    return f"{one.fault or 'valid'} at {one.where or '-'}: {json.dumps(one.value)}"


@pytest.fixture(scope="module")
def objects() -> list[tuple[Drawn, bytes]]:
    found = [drawn(number) for number in range(NUMBER)]
    return [(one, json.dumps(one.value).encode()) for one in found]


def test_what_is_drawn_is_of_every_type_whole_and_spoilt(objects):
    whole = {one.value["type"] for one, _ in objects if not one.fault}
    assert whole == set(TYPES)
    spoilt = Counter(one.fault for one, _ in objects)
    assert set(FAULTS) < set(spoilt)
    assert spoilt[""] >= NUMBER // 3


def test_what_is_whole_is_taken_by_all(objects):
    for one, raw in objects:
        if not one.fault:
            assert (ours(raw), the_library(raw), the_validator(raw)) == (True, True, True), described(one)


def test_what_is_spoilt_is_refused(objects):
    for one, raw in objects:
        assert ours(raw) == (not one.fault), described(one)


@pytest.mark.parametrize(
    ("judge", "reasons"),
    [(the_library, TAKEN_BY_THE_LIBRARY), (the_validator, TAKEN_BY_THE_VALIDATOR)],
    ids=["stix2", "stix2-validator"],
)
def test_a_judge_differs_only_where_there_is_a_reason(objects, judge, reasons):
    differing = Counter()
    for one, raw in objects:
        if ours(raw) != judge(raw):
            assert one.fault in reasons, described(one)
            differing[one.fault] += 1
    assert set(reasons) - set(differing) <= {"order", "confidence"}  # drawn seldom
