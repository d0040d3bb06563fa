"""The quick way to read never gives another value than the strict one, nor another hash; the same for writing."""

import json
import re
from decimal import Decimal
from enum import IntEnum, StrEnum

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import plainly
from tocsin.errors import BadInput, TooLarge
from tocsin.stix import canonical as lanes
from tocsin.stix.canonical import (
    LIMITS,
    MAX_INTEGER,
    Limits,
    canonical,
    content_hash,
    dump_json,
    read_hashed,
    split_envelope,
)

LOW = Limits(depth=5, string=40)


def quick(raw, limits=LIMITS):
    return lanes._read_quickly(raw, limits)


def strictly(raw, limits):
    """What the strict reader says: `repr` tells apart what `==` does not (1, 1.0, True; the order of keys)."""
    try:
        return repr(lanes._read_strictly(raw, limits)), None
    except BadInput as why:
        return None, [(problem.place, problem.text) for problem in why.problems]


# Texts in every spelling: few keys, so that they repeat; escapes, spaces, numbers at the edge, nesting.
SPACE = st.sampled_from(["", "", "", " ", "\n\t", "\r  "])
ESCAPES = [
    r"\"",
    r"\\",
    r"\/",
    r"\n",
    r"\b",
    r"\u0061",
    r"\u0041",
    r"\u0022",
    r"\u0000",
    r"\u005c",
    r"\u00e9",
    r"\ud83d\ude00",
    r"\uD83D",
    r"\udfff",
    r"\\\"",
]
PIECE = st.one_of(
    st.sampled_from([*ESCAPES, "a", "b", "key", "é", "😀", "\ufb33", "\x7f", "u0022", "{[", ":,"]),
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"\\'), max_size=4),
)
STRING = st.lists(PIECE, max_size=5).map(lambda pieces: '"' + "".join(pieces) + '"')
KEY = st.sampled_from(
    ['"a"', '"b"', '"\\u0061"', '"\\u0062"', '""', '"\\""', '"\\u0022"', '"\\\\"', '"é"', '"😀"', '"\ufb33"']
)
NUMBER = st.sampled_from(
    [
        "0",
        "-0",
        "1",
        "-1",
        "1.0",
        "-0.0",
        "1e0",
        "10e-1",
        "0.1E+1",
        "1e308",
        "1e309",
        "1e-400",
        "1e-399",
        "0e99999",
        "0e-99999999999999999999",
        "1.5e7",
        "01",
        "1.",
        "NaN",
        "1e99999999999999999999",
        "9007199254740991",
        "-9007199254740992",
        "11111111111111111",
        "18446744073709551616",
        "-Infinity",
        "0.12345678901234567890",
        "9999999999999999999999999999999999999999",
    ]
)
LEAF = st.one_of(STRING, NUMBER, st.sampled_from(["true", "false", "null", "{}", "[]", '""']))


def _list(members):
    return st.tuples(SPACE, st.lists(members, max_size=4)).map(lambda p: "[" + p[0] + f"{p[0]},".join(p[1]) + "]")


def _object(members):
    pair = st.tuples(KEY, SPACE, SPACE, members).map(lambda p: f"{p[0]}{p[1]}:{p[2]}{p[3]}")
    return st.tuples(SPACE, st.lists(pair, max_size=4)).map(lambda p: "{" + p[0] + f",{p[0]}".join(p[1]) + "}")


TEXT = st.recursive(LEAF, lambda inner: st.one_of(_list(inner), _object(inner)), max_leaves=15)


@settings(max_examples=300)
@given(TEXT, st.sampled_from([LIMITS, LOW]))
@example('{"a":1,"a":1}', LIMITS)
@example('{"a":"\\"","a":1}', LIMITS)
@example('{"a":{},"a":{}}', LIMITS)
@example('{"a":1,"\\u0061":"\\u0022\\u0022"}', LIMITS)  # the two marks that the dropped key had, spelt otherwise
@example('{"a":{"b":1,"b":2},"a":{"b":1}}', LIMITS)
@example('"\\u0000"', LIMITS)
@example('{"\\u0000":1}', LIMITS)
@example("[1,[9007199254740992]]", LIMITS)
@example('{"\ufb33":1,"😀":2}', LIMITS)
@example('[{"n":1.0}]', LIMITS)
@example("[[[[[[]]]]]]", LOW)
@example('["' + "é" * 21 + '"]', LOW)
def test_whatever_is_read_quickly_is_what_the_strict_reader_reads(text, limits):
    raw = text.encode()
    value, problems = strictly(raw, limits)
    found = quick(raw, limits)
    if found is not None:
        assert problems is None
        assert repr(found[0]) == value
        assert found[1] is None or found[1] == plainly.canonical(found[0])
    if problems is None:
        read, sha256 = read_hashed(raw, limits)
        assert repr(read) == value
        assert sha256 == content_hash(read)
    else:
        with pytest.raises(BadInput) as caught:
            read_hashed(raw, limits)
        assert [(problem.place, problem.text) for problem in caught.value.problems] == problems


@settings(max_examples=200)
@given(TEXT.map(str.encode), st.data())
def test_damaged_texts_are_read_by_both_ways_or_refused(raw, data):
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        put = data.draw(
            st.sampled_from(
                [b"", b'"', b"\\", b"{", b"}", b"[", b",", b":", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xf0"]
            )
        )
        raw = raw[:at] + put + raw[at + data.draw(st.integers(0, 2)) :]
    found = quick(raw)
    if found is not None:
        assert strictly(raw, LIMITS) == (repr(found[0]), None)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"incident","n":7,"m":[1,-9007199254740991],"t":"a \\"quoted\\" \\\\ word\\n"}',
        '{"é":"😀","k":{"l":[[],{},null,true]}}'.encode(),
        b'{"caf\\u00e9":"\\ud83d\\ude00"}',
        b'{"lat":1.50,"big":1e21}',
        b"[" * 32 + b"]" * 32,
        b'["' + b"x" * 200_000 + b'"]',
    ],
)
def test_the_ordinary_is_read_quickly(raw):
    assert quick(raw) is not None


def test_texts_above_the_limit_of_one_string_are_read_quickly_when_no_string_is_long():
    assert quick(json.dumps(["x" * 1000] * 1000).encode()) is not None
    assert quick(json.dumps(["x" * 100_000] * 3).encode()) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=6)
    ),
    max_leaves=15,
)


@settings(max_examples=200)
@given(JSON)
def test_what_is_written_is_what_the_plain_rules_give(value):
    assert canonical(value) == plainly.canonical(value)
    assert dump_json(value) == plainly.dump_json(value)


def test_every_character_is_escaped_as_rfc_8785_asks():
    for start in range(0, 0x110000, 0x800):
        if 0xD800 <= start < 0xE000:
            continue
        text = "".join(map(chr, range(start, start + 0x800)))
        assert canonical({text: text}) == dump_json({text: text}) == plainly.canonical({text: text})


def test_keys_are_ordered_by_utf_16_code_units():
    keys = ["\ufb33", "😀", "a", "€", "B", "aa", "", "\x80", "\U0010ffff", "\uffff", "\ue000", "\ud7ff"]
    value = {key: dict.fromkeys(keys, 1) for key in keys}
    assert canonical(value) == plainly.canonical(value)
    raw = json.dumps(value).encode()
    assert read_hashed(raw)[1] == content_hash(value) == content_hash(json.loads(raw))


class Word(StrEnum):
    ONE = "one"


class Level(IntEnum):
    TWO = 2


def test_members_of_enumerations_are_written_as_what_they_stand_for():
    value = {Word.ONE: [Word.ONE, Level.TWO, True]}
    assert dump_json(value) == canonical(value) == b'{"one":["one",2,true]}'


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1: 2}, "int is no key"),
        ([{None: 1}], "NoneType is no key"),
        ([b"x"], "bytes is not JSON"),
        ([{1}], "set is not JSON"),
        ({"a": object()}, "object is not JSON"),
    ],
)
def test_what_json_lacks_is_never_written(value, said):
    for write in (dump_json, canonical):
        with pytest.raises(TypeError, match=said):
            write(value)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_half_a_surrogate_pair_is_never_written(text):
    for value in (text, {text: 1}):
        for write in (dump_json, canonical):
            with pytest.raises(UnicodeEncodeError):
                write(value)


SMALL = Limits(depth=4, objects=5)


@settings(max_examples=200)
@example(['""'] * 5 + ['{"a":{"a":{"a":{"a":[]}}}}'], "", [])  # both too many and too deep: either may be said
@given(st.lists(TEXT, max_size=6), SPACE, st.lists(TEXT, max_size=2))
def test_an_envelope_is_split_into_the_bytes_of_its_members(texts, space, others):
    texts = [text for text in texts if _is_json(text)]
    rest = [f',{space}"x{n}":{text}' for n, text in enumerate(others) if _is_json(text)]
    raw = f'{{{space}"objects"{space}:[{space}{f"{space},{space}".join(texts)}{space}]{"".join(rest)}}}'.encode()
    deep = max([lanes._depth(text.encode()) for text in texts], default=0) > SMALL.depth
    deep = deep or lanes._depth(raw) > SMALL.depth + 2
    many = len(texts) > SMALL.objects
    if deep:
        with pytest.raises(BadInput, match="levels|at a time" if many else "deep; at most 6 levels"):
            split_envelope(raw, SMALL)
    elif many:
        with pytest.raises(TooLarge):
            split_envelope(raw, SMALL)
    else:
        assert split_envelope(raw, SMALL) == [text.encode() for text in texts]


def _is_json(text):
    try:
        msgspec.json.decode(text.encode(), type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True


def test_a_member_with_many_brackets_is_not_deep():
    wide = b"[" + b",".join([b"[]"] * 300) + b',"[[[["]'
    deep = b"[" * 33 + b'"\\ud83d\\ude00"' + b"]" * 33
    assert split_envelope(b'{"objects":[%s,1,%s]}' % (wide, wide)) == [wide, b"1", wide]
    with pytest.raises(BadInput, match="nested 35 deep; at most 34 levels"):
        split_envelope(b'{"objects":[%s,1,%s]}' % (wide, deep))
    with pytest.raises(BadInput, match="nested 40 deep"):
        split_envelope(b'{"objects":[],"x":%s}' % (b"[" * 39 + b"]" * 39))


# Hashes of databases that exist: none of these may ever change.
@pytest.mark.parametrize(
    ("raw", "sha256"),
    [
        ("{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        (
            r'{"b":[1,2.50,-0.0,1E+2,1e-7,1e21],"a":{"\u0061":"\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t\u001f\u007f"}}',
            "86459c24c983623f6c60a2e77601ba365aeb0f8ff5df6ca26e406538506b505f",
        ),
        (
            '{"\ufb33":1,"😀":2,"€":3,"\\r":4,"1":5,"ö":6}',
            "83e48eb42f548bc84f1298ce4c925fb8d89a2862f69378ed4e81d543c1eee6af",
        ),
        (
            '{"type":"indicator","spec_version":"2.1","id":"indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",'
            '"created":"2016-04-06T20:03:48.000Z","modified":"2016-04-06T20:03:48.000Z",'
            "\"pattern\":\"[file:hashes.'SHA-256' = '00']\","
            '"pattern_type":"stix","valid_from":"2016-01-01T00:00:00Z"'
            ',"confidence":50,"revoked":false}',
            "228f50f938ce38520be88524ebc6d97626e5208399dac3c84a2a1c0997a7dc4c",
        ),
        (
            '{"lat":48.8566000,"lon":2.3522,"n":9007199254740991,"m":-9007199254740991,"x":null,'
            '"big":123456789012345678901234567890.5}',
            "ea0e40b13a1abf0398b8b55282635bcce038462d902df40e38d77d2b631ddb1c",
        ),
    ],
)
def test_a_hash_once_given_is_given_for_ever(raw, sha256):
    raw = raw.encode()
    assert read_hashed(raw)[1] == sha256
    assert content_hash(lanes._read_strictly(raw, LIMITS)) == sha256


def test_integers_at_the_edge_are_the_same_both_ways():
    for number in (MAX_INTEGER, -MAX_INTEGER, MAX_INTEGER + 1, -MAX_INTEGER - 1, 10**40):
        assert (quick(b"[%d]" % number) is None) == (abs(number) > MAX_INTEGER)


def test_decimals_keep_their_digits():
    found = quick(b"[1.50,-0.0,1E+5,0.12345678901234567890]")
    assert found is not None
    assert repr(found[0]) == repr(
        [Decimal("1.50"), Decimal("-0.0"), Decimal("1E+5"), Decimal("0.12345678901234567890")]
    )
    assert found[1] is None
    assert re.fullmatch("[0-9a-f]{64}", read_hashed(b"[1.50]")[1])
