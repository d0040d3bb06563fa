"""JSON is read strictly, and the hash says what the author said."""

import json
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import BadInput, TooLarge
from tocsin.stix.canonical import (
    MAX_INTEGER,
    Limits,
    canonical,
    content_hash,
    dump_json,
    read_json,
    split_envelope,
)

HANGS = 30  # seconds: a hang, whatever else the machine is doing


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"a":1,"a":2}', "given twice"),
        (b'{"a":{"b":1,"\\u0062":2}}', "given twice"),  # the same key, spelt differently
        (b'{"a":NaN}', "NaN is not a JSON number"),
        (b'{"a":-Infinity}', "-Infinity is not a JSON number"),
        (b'{"a":1e400}', "number out of range"),
        (b'{"a":1e-500}', "number out of range"),
        (b'{"a":1e99999999999999999999}', "number out of range"),
        (b'{"a":0e-99999999999999999999}', "number out of range"),
        (b'{"a":9007199254740992}', "beyond 53 bits"),
        (b'{"a":-9007199254740992}', "beyond 53 bits"),
        (b'{"a":' + b"9" * 100_000 + b"}", "beyond 53 bits"),
        (b'{"a":"\\ud800"}', "a: holds a NUL or a lone surrogate"),
        (b'{"a":["x","\\udfff y"]}', "a[1]: holds a NUL or a lone surrogate"),
        (b'{"a":"\\u0000"}', "a: holds a NUL or a lone surrogate"),
        (b'{"a":{"\\u0000":1}}', "a: a key holds a NUL or a lone surrogate"),
        (b'{"a":"\x00"}', "control character"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),  # a surrogate in UTF-8 disguise
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"[" * 33 + b"]" * 33, "nested 33 deep; at most 32"),
        (b"[" * 1_000_000, "nested more than 1000 deep"),
        (b'{"a":01}', "line 1, column"),
        (b'{"a":1}{}', "Extra data"),
        (b"", "line 1, column 1"),
    ],
)
def test_what_two_parsers_could_understand_differently_is_refused(raw, said):
    with pytest.raises(BadInput) as caught:
        read_json(raw)
    assert said in str(caught.value)


def test_brackets_inside_strings_are_not_nesting():
    assert read_json(b'{"a":"' + b"[" * 100 + b'\\"{"}') == {"a": "[" * 100 + '"{'}


def test_depth_32_is_read():
    assert read_json(b"[" * 32 + b"]" * 32)


@pytest.mark.parametrize("raw", [b'"' + b'\\"' * 500_000, b'"\\' * 300_000, b'["' * 16 + b'\\"' * 400_000])
def test_an_unclosed_string_takes_linear_time(raw):
    began = time.perf_counter()
    with pytest.raises(BadInput):
        read_json(raw)
    assert time.perf_counter() - began < HANGS


def test_a_string_above_the_limit_is_refused_by_bytes_not_characters():
    limits = Limits(string=10)
    assert read_json('"ééééé"'.encode(), limits) == "ééééé"
    with pytest.raises(BadInput, match="above 10 bytes"):
        read_json('"éééééé"'.encode(), limits)


def test_the_largest_safe_integers_are_read():
    assert read_json(f"[{MAX_INTEGER},-{MAX_INTEGER},-0]".encode()) == [MAX_INTEGER, -MAX_INTEGER, 0]


@pytest.mark.parametrize("one", ["1", "1.0", "1e0", "10e-1", "0.1E+1", "1.000000000000000000000000"])
def test_one_number_has_one_hash_however_it_is_spelt(one):
    assert content_hash(read_json(one.encode())) == content_hash(1)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("0.12345678901234567890", "0.12345678901234567891"),  # one double, two numbers
        ("1e300", "1.0000000000000000000001e300"),
        ("9007199254740993.0", "9007199254740992.0"),
        ("1e-7", "1e-8"),
        ('"1"', "1"),
        ("null", "false"),
        ("[]", "{}"),
    ],
)
def test_two_values_have_two_hashes(left, right):
    assert content_hash(read_json(left.encode())) != content_hash(read_json(right.encode()))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7},
            '{"\\r":2,"1":4,"\x80":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
        ),
        ('\x0f\b\t"\\/\x7f', '"\\u000f\\b\\t\\"\\\\/\x7f"'),
        ([Decimal("-0.0"), 0.1, Decimal("1E+2"), True, None], "[0,0.1,100,true,null]"),
        (
            [Decimal("1e20"), Decimal("1e21"), Decimal("1.5e-7"), Decimal("0.000001")],
            "[100000000000000000000,1e+21,1.5e-7,0.000001]",
        ),
    ],
)
def test_the_canonical_form_is_that_of_rfc_8785(value, expected):
    assert canonical(value).decode() == expected


def test_the_order_of_keys_does_not_change_the_hash():
    assert content_hash(read_json(b'{"b":1,"a":[2]}')) == content_hash(read_json(b'{"a":[2],"b":1}'))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_what_is_written_reads_back_with_the_same_hash(value):
    assert content_hash(read_json(dump_json(value))) == content_hash(value)


def test_a_large_number_that_was_no_integer_can_be_read_again():
    value = read_json(b'{"a":1.2207031250000000e16}')
    assert read_json(dump_json(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity")])
def test_a_number_that_json_lacks_is_never_written(value):
    with pytest.raises(ValueError, match="not a JSON number"):
        dump_json({"a": [value]})
    with pytest.raises(ValueError, match="not a JSON number"):
        content_hash(value)


def test_what_is_no_json_is_never_written():
    with pytest.raises(TypeError, match="set is not JSON"):
        dump_json({"a": {1}})


def test_members_of_an_envelope_are_the_bytes_that_were_sent():
    assert split_envelope(b'{"more":false, "objects": [ {"a": 1.0} , 7,"x" ]}') == [b'{"a": 1.0}', b"7", b'"x"']


@pytest.mark.parametrize("raw", [b"{}", b'{"objects":[]}'])
def test_an_envelope_may_be_empty(raw):
    assert split_envelope(raw) == []


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b'{"objects":{}}',
        b'{"objects":null}',
        b'{"objects":[1',
        b'{"objects":[1]}x',
        b"",
        b'{"objects":' + b"[" * 100 + b"]" * 100 + b"}",
    ],
)
def test_what_is_no_envelope_is_refused(raw):
    with pytest.raises(BadInput):
        split_envelope(raw)


def test_objects_given_twice_are_refused():
    with pytest.raises(BadInput, match="given twice"):
        split_envelope(b'{"objects":[1],"more":false,"obj\\u0065cts":[2]}')


def test_a_value_called_objects_is_not_a_key():
    assert split_envelope(b'{"id":"objects","objects":[1],"x":{"objects":[2]}}') == [b"1"]


def test_too_many_objects_are_too_large():
    with pytest.raises(TooLarge, match="3 objects; at most 2"):
        split_envelope(json.dumps({"objects": [1, 2, 3]}).encode(), Limits(objects=2))
