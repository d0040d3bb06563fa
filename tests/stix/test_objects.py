"""Identifiers, timestamps, object versions and references."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import plainly
from tocsin.errors import BadInput, TooLarge
from tocsin.stix.canonical import Limits
from tocsin.stix.objects import (
    ID,
    extension_ids,
    find_references,
    from_micros,
    is_timestamp,
    keyed_id,
    make_object,
    named,
    next_version,
    read_object,
    references,
    stix_time,
    to_micros,
    version_key,
)

ONE = "incident--6f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6"
TWO = "identity--7f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6"


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"[]", ""),
        (b'"x"', ""),
        (b"{}", "type"),
        (b'{"type":7,"id":"incident--6f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6"}', "type"),
        (b'{"type":"incident"}', "id"),
        (b'{"type":"incident","id":"6f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6"}', "id"),
        (b'{"type":"incident","id":"INCIDENT--6f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6"}', "id"),
        (b'{"type":"incident","id":"incident--6F1A2F5E-3c4b-4d5e-8f60-718293a4b5c6"}', "id"),
        (b'{"type":"incident","id":"incident--6f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6\\n"}', "id"),
        (b'{"type":"identity","id":"incident--6f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6"}', "id"),
        (b'{"type":"incident","id":"incident--6f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6","modified":null}', "modified"),
        (b'{"type":"incident","id":"incident--6f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6","created":"2025"}', "created"),
    ],
)
def test_what_every_object_must_have_is_checked(raw, place):
    with pytest.raises(BadInput) as caught:
        read_object(raw)
    assert place in {problem.place for problem in caught.value.problems}


def test_an_object_above_the_limit_is_too_large():
    with pytest.raises(TooLarge, match="3 bytes; an object may have 2"):
        read_object(b"{ }", Limits(object=2))


def test_the_bytes_of_an_object_are_kept_as_they_came():
    raw = b'{ "type":"incident","id":"%s","created":"2025-01-01T00:00:00Z","x_n":1.50 }' % ONE.encode()
    version = read_object(raw)
    assert (version.raw, version.version, version.revoked, version.creator) == (
        raw,
        "2025-01-01T00:00:00Z",
        False,
        None,
    )


def test_modified_names_the_version_and_an_observable_has_none():
    dated = make_object(
        {"type": "incident", "id": ONE, "created": "2025-01-01T00:00:00Z", "modified": "2025-01-02T00:00:00Z"}
    )
    assert dated.version == "2025-01-02T00:00:00Z"
    assert (
        make_object({"type": "url", "id": ONE.replace("incident", "url"), "value": "http://x.example/"}).version
        is None
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-01T00:00:00Z", True),
        ("2025-01-01T00:00:00.123456789012345678901234567890Z", True),
        ("2016-12-31T23:59:60Z", True),  # a leap second
        ("2024-02-29T00:00:00Z", True),
        ("2025-02-29T00:00:00Z", False),
        ("2025-01-01T24:00:00Z", False),
        ("2025-01-01T23:60:00Z", False),
        ("2025-01-01T00:60:60Z", False),
        ("2025-04-31T00:00:60Z", False),
        ("2025-01-01T00:00:61Z", False),
        ("0000-01-01T00:00:00Z", False),
        ("2025-01-01T00:00:00", False),
        ("2025-01-01T00:00:00+00:00", False),
        ("2025-01-01t00:00:00z", False),
        ("2025-01-01T00:00:00.Z", False),
        ("2025-01-01T00:00:00Z\n", False),
        ("２０２５-01-01T00:00:00Z", False),  # digits of another script
    ],
)
def test_a_timestamp_is_rfc_3339_in_utc(text, expected):
    assert is_timestamp(text) is expected


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("2025-01-01T00:00:00Z", "2025-01-01T00:00:00.000Z"),
        ("2025-01-01T00:00:00.1Z", "2025-01-01T00:00:00.100000Z"),
        ("2025-01-01T00:00:10Z", "2025-01-01T00:00:10.0Z"),
    ],
)
def test_digits_without_value_do_not_make_another_version(left, right):
    assert version_key(left) == version_key(right)


@given(st.lists(st.tuples(st.datetimes(), st.integers(0, 10**9 - 1), st.integers(0, 3)), min_size=2, max_size=6))
def test_version_keys_sort_like_the_instants_they_name(moments):
    rows = []
    for moment, nanos, zeros in moments:
        whole = moment.replace(microsecond=0)
        fraction = f"{nanos:09d}".rstrip("0") + "0" * zeros
        text = whole.isoformat() + (f".{fraction}" if fraction else "") + "Z"
        assert is_timestamp(text)
        rows.append(((whole, nanos), version_key(text)))
    assert [key for _, key in sorted(rows)] == sorted(key for _, key in rows)
    for (left, left_key), (right, right_key) in pairwise(rows):
        assert (left == right) == (left_key == right_key)


@given(st.integers(0, 253402300799999999))
def test_microseconds_survive_their_text(micros):
    assert to_micros(datetime.fromisoformat(from_micros(micros))) == micros


def test_a_moment_is_written_in_utc_milliseconds():
    moment = datetime(2025, 1, 1, 2, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
    assert stix_time(moment) == "2025-01-01T00:00:00.123Z"


@pytest.mark.parametrize(
    ("now", "previous", "expected"),
    [
        ("2025-01-01T00:00:00+00:00", None, "2025-01-01T00:00:00.000Z"),
        ("2025-01-02T00:00:00+00:00", "2025-01-01T00:00:00.000Z", "2025-01-02T00:00:00.000Z"),
        ("2025-01-01T00:00:00+00:00", "2025-01-01T00:00:00.000Z", "2025-01-01T00:00:00.001Z"),
        ("2024-01-01T00:00:00+00:00", "2025-01-01T00:00:00.9999Z", "2025-01-01T00:00:01.000Z"),
        ("2024-01-01T00:00:00+00:00", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00.001Z"),
        ("2015-01-01T00:00:00+00:00", "2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.501Z"),
    ],
)
def test_a_version_that_we_make_is_always_the_newest(now, previous, expected):
    made = next_version(datetime.fromisoformat(now), previous)
    assert made == expected
    assert previous is None or version_key(made) > version_key(previous)


@given(st.binary(min_size=16, max_size=32), st.lists(st.text(), max_size=3))
def test_a_keyed_id_has_the_shape_of_version_4(secret, parts):
    made = keyed_id(secret, "incident", *parts)
    assert ID.match(made)
    number = uuid.UUID(made.removeprefix("incident--"))
    assert (number.version, number.variant) == (4, uuid.RFC_4122)
    assert made == keyed_id(secret, "incident", *parts)


def test_parts_of_a_keyed_id_do_not_run_together():
    made = {keyed_id(b"s" * 32, "incident", *parts) for parts in [("ab", "c"), ("a", "bc"), ("abc",), ("abc", "")]}
    assert len(made) == 4
    assert keyed_id(b"s" * 32, "identity", "a")[10:] != keyed_id(b"s" * 32, "incident", "a")[10:]
    assert keyed_id(b"s" * 32, "incident", "a") != keyed_id(b"t" * 32, "incident", "a")


def test_references_are_found_at_any_depth_and_nowhere_else():
    value = {
        "id": ONE,
        "created_by_ref": TWO,
        "name": TWO,
        "object_refs": [ONE, "not an id", {"inner_ref": TWO}],
        "granular_markings": [{"marking_ref": TWO, "selectors": ["name"]}],
        "extensions": {
            "y": {"cluster": TWO},
            "x": {"deep": [{"some_ref": ONE, "odd_ref": {"more_refs": [TWO]}, "number_ref": 7}]},
        },
        "cluster": ONE,
        "list_ref": [{"a_ref": ONE}],
    }
    assert set(references(value)) == {
        (("created_by_ref",), TWO),
        (("object_refs", 0), ONE),
        (("object_refs", 2, "inner_ref"), TWO),
        (("granular_markings", 0, "marking_ref"), TWO),
        (("extensions", "x", "deep", 0, "some_ref"), ONE),
        (("extensions", "x", "deep", 0, "odd_ref", "more_refs", 0), TWO),
        (("list_ref", 0, "a_ref"), ONE),
        (("extensions", "y", "cluster"), TWO),
    }


KEYS = st.sampled_from(
    ["a_ref", "a_refs", "_ref", "_refs", "ref", "x_reference", "cluster", "extensions", "objects", "xref"]
)
TEXTS = st.sampled_from(
    [ONE, TWO, "", "not an id", f" {ONE}", TWO.upper(), f"{ONE}\n", "a--b--" + ONE, ONE[:-1], ONE + "0"]
)
VALUES = st.recursive(
    TEXTS | st.none() | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_references_are_what_the_plain_rules_find(value):
    found = find_references(value)
    assert list(found.named) == list(references(value)) == list(plainly.references(value))
    assert sorted((_place(path), text) for path, text in found.misspelt) == sorted(plainly.misspelt(value, ""))


def _place(path):
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def test_a_version_knows_what_it_names():
    extension = "extension-definition--7f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6"
    value = {
        "type": "incident",
        "id": ONE,
        "created_by_ref": TWO,
        "x_ref": TWO.upper(),
        "extensions": {extension: {}},
    }
    version = make_object(value)
    assert version.named == named(value) == {TWO, extension}
    assert version.references is version.references
    assert version.references == find_references(value)
    assert version == make_object(value)


@pytest.mark.parametrize(
    "text",
    [
        ONE,
        f"a--b--{ONE}",
        "x-a--" + ONE,
        f"{'a' * 250}--{ONE[-36:]}",
        f"{'a' * 251}--{ONE[-36:]}",
        f"aa--{ONE[-36:]}",
        f"a--a--{ONE[-36:]}",
        f"abc---{ONE[-36:]}",
    ],
)
def test_an_identifier_is_what_it_always_was(text):
    assert (ID.match(text) is None) == (plainly.ID.match(text) is None)


@given(st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,31})?Z?\Z"))
def test_timestamps_are_what_the_plain_rules_take(text):
    assert is_timestamp(text) == plainly.is_timestamp(text)


def test_extension_definitions_named_by_an_object_are_found():
    named = "extension-definition--7f1a2f5e-3c4b-4d5e-8f60-718293a4b5c6"
    assert extension_ids({"extensions": {named: {}, "http-request-ext": {}}}) == {named}
    assert extension_ids({"extensions": ["odd"]}) == extension_ids({}) == set()


def test_a_moment_before_1970_has_negative_microseconds():
    assert to_micros(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000_000
    assert from_micros(-1_000_000) == "1969-12-31T23:59:59.000000Z"
