"""What goes in comes out: whatever a valid object holds is served with the same values.

Promised are the *values*, in the author's own spelling of numbers and dates: `1.50` does not become `1.5`, nor
`…00.000Z` another date of the same instant. Today the node does more than that: it keeps the bytes of each object
as a slice of the body that brought it and joins answers from them, so even white space, escapes and the order of
keys come back; the last test looks at that.

Looked at are every place where an object or its version shows: the page, the object by id, its versions, the
manifest; on both databases; and again after the store was closed and the node started anew.
"""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taxii_node import SETTINGS, ServedNode, listening, served
from tocsin.app import make_app
from tocsin.store.transaction import Store

ANY = "rules: [{id: any, match: {origin: any}, then: allow, reason: writers may share what they have}]"
THEN = "2025-03-01T00:00:00.000Z"
KIB = 1024


@dataclass(frozen=True)
class Number:
    """A number as it is spelt: `1.50` is another one than `1.5`."""

    text: str


def exact(raw: bytes | str) -> Any:
    """JSON with every number as it is spelt, and every object as a tuple of its pairs, in order."""
    return json.loads(raw, parse_float=Number, parse_int=Number, object_pairs_hook=tuple)


def number_of(number: int) -> str:
    return f"indicator--00000000-0000-4000-8000-{number:012d}"


def body_of(number: int, *more: str, modified: str = THEN, created: str = THEN) -> bytes:
    """The bytes of an indicator, with further members as they are to be spelt."""
    head = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": number_of(number),
        "created": created,
        "modified": modified,
        "pattern": "[ipv4-addr:value = '192.0.2.1']",
        "pattern_type": "stix",
    }
    if not any(member.startswith('"valid_from"') for member in more):
        head["valid_from"] = "2025-03-01T00:00:00Z"
    return ",".join([json.dumps(head)[:-1], *more]).encode() + b"}"


# --- a node, and the same node started anew ---------------------------------------------------------------------


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url, require_durable=False)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def started_anew(database_url: str, node: ServedNode) -> AsyncIterator[ServedNode]:
    """The node over its database, opened again: nothing of the former process is left."""
    async with (
        opened(database_url) as store,
        listening(make_app(store, node.home)) as url,
        httpx2.AsyncClient() as http,
    ):
        yield replace(node, url=url, store=store, http=http)


@asynccontextmanager
async def first_life(database_url: str, path: Path) -> AsyncIterator[ServedNode]:
    red = SETTINGS.replace("clearance: green", "clearance: red")
    async with opened(database_url) as store, served(store, path, settings=red, policy=ANY) as node:
        yield node


async def post(node: ServedNode, raws: Sequence[bytes]) -> None:
    answer = await node.post(b'{"objects":[%b]}' % b",".join(raws))
    assert (answer.status_code, answer.json().get("failures", [])) == (202, []), answer.text


async def pages(node: ServedNode, path: str, query: str = "limit=100&match[version]=all") -> list[bytes]:
    """Every answer, by `next`."""
    answers = [await node.get(f"{path}?{query}")]
    while "next" in (read := answers[-1].json()):
        answers.append(await node.get(f"{path}?{query}&next={read['next']}"))
    return [answer.content for answer in answers]


def objects_in(answers: Iterable[bytes]) -> list[Any]:
    return [one for answer in answers for one in dict(exact(answer)).get("objects", [])]


async def comes_back(node: ServedNode, raws: Sequence[bytes], *, singly: bool = True) -> None:
    """Each of these shows with its values wherever it, or its version, does; `singly`: by its id as well."""
    expected: dict[str, list[Any]] = {}
    for raw in raws:
        expected.setdefault(dict(exact(raw))["id"], []).append(exact(raw))
    found = by_id(await pages(node, "objects/"))
    versions: dict[str, list[str]] = {}
    for record in objects_in(await pages(node, "manifest/")):
        versions.setdefault(dict(record)["id"], []).append(dict(record)["version"])
    for id_, values in expected.items():
        assert sorted(map(str, found.get(id_, []))) == sorted(map(str, values))
        dated = [version for one in values if (version := dict(one).get("modified", dict(one).get("created")))]
        assert sorted(versions[id_]) == sorted(dated) or not dated
        if singly:
            alone = await node.get(f"objects/{id_}/?match[version]=all")
            assert by_id([alone.content]) == {id_: found[id_]}
            told = await node.get(f"objects/{id_}/versions/")
            assert told.json()["versions"] == versions[id_]


def by_id(answers: Iterable[bytes]) -> dict[str, list[Any]]:
    """Every version of every object in some envelopes."""
    found: dict[str, list[Any]] = {}
    for one in objects_in(answers):
        found.setdefault(dict(one)["id"], []).append(one)
    return found


async def goes_round(database_url: str, path: Path, raws: Sequence[bytes]) -> None:
    async with first_life(database_url, path) as node:
        await post(node, raws)
        await comes_back(node, raws)
    async with started_anew(database_url, node) as again:
        await comes_back(again, raws, singly=len(raws) < 50)


# --- odd cases, named -------------------------------------------------------------------------------------------

NUMBERS = [
    *("0", "-0", "0.0", "-0.0", "0.10", "1.0", "1.50", "100e-2", "1E5", "1e+05", "1e22", "0e0", "0.0e-5"),
    *("9007199254740991", "-9007199254740991", "9007199254740993.0", "12345678901234567890.0"),
    "3.14159265358979323846264338327950288419716939937510",
    "123456789012345678901234567890.123456789012345678901234567890",
    "0." + "0" * 300 + "1",
    *(
        "5e-324",
        "4.9406564584124654e-324",
        "2.2250738585072011e-308",
        "1e-399",
        "1.7976931348623157e308",
        "9.99e308",
    ),
    "1" + "0" * 300 + ".5",
]
TEXTS = [
    *(
        '""',
        '" "',
        '"\\u00e9"',
        '"é"',
        '"e\u0301"',
        '"ﬁ Å Å"',
    ),  # composed, combining, compatibility: never normalised
    *('"𝄞"', '"\\ud834\\udd1e"', '"\\uD834\\uDD1E"', '"👩\u200d👩\u200d👧 🏳\ufe0f\u200d🌈"', '"\U0010ffff"'),
    *('"\u202eabc\u202c"', '"שלום"', '"مرحبا \u200f"', '"\u2066a\u2069"', '"ภาษาไทย"', '"中文"', '"क्षि"'),
    *('"\\/"', '"/"', '"\\""', '"\\\\"', '"\\b\\f\\n\\r\\t"', '"\\u0001\\u001f\\u007f"', '"\x7f"', '"\\u0041"'),
    *('"\u2028\u2029"', '"\ufeff"', '"\ufffe\uffff"', '"\ufffd"', '"\u0085\u00a0\u00ad"', '"\ue000"'),
    *('"\\\\u0000"', '"\\\\ud800"', '"%00"', '"</script>"', '"\'; DROP TABLE release; --"', '"{}"', '"null"'),
]
EMPTY = ["false", "0", "0.0", '""', "{}", "[[]]", "[{}]", '[""]', "[null]", '{"a": null}', '{"a": []}', '{"": ""}']
NAMES = [  # of columns, parameters, envelopes, and of what languages keep for themselves
    *(
        "seq",
        "raw",
        "version",
        "version_key",
        "sha256",
        "received",
        "spec_versions",
        "position",
        "current",
        "last",
    ),
    *("hops", "form", "rules", "size", "released", "object_id", "object_type", "collection_id", "version_seq"),
    *("configuration_sha256", "objects", "more", "next", "successes", "date_added", "media_type", "added_after"),
    *(
        "authentic",
        "party_id",
        "word",
        "sources",
        "rowid",
        "oid",
        "ctid",
        "xmin",
        "select",
        "class",
        "constructor",
    ),
    *("proto", "self", "value", "members", "content_hash", "x" * 250),
]
KEYS = ["", " ", "a.b", "$ref", "__proto__", "ключ", "𝄞", "\\u00e8", "e\u0301", "é", "match[id]", "0", "A" * 1000]
DIGITS = ["", ".1", ".10", ".100", *(f".{'1234567890' * 3}"[: n + 1] for n in range(4, 31)), ".000", ".000000000"]


def nested(levels: int) -> str:
    """As many levels of lists and objects in turn."""
    opening = "".join('{"a":' if level % 2 else "[" for level in range(levels))
    closing = "".join("}" if level % 2 else "]" for level in reversed(range(levels)))
    return f"{opening}7{closing}"


CASES = {
    "numbers": [f'"x_n": {text}, "x_l": [{text}, {{"deep": {text}}}]' for text in NUMBERS],
    "texts": [f'"x_s": {text}, "description": {text}, "x_l": [{{"deep": {text}}}]' for text in TEXTS],
    "empty-looking values": [f'"x_e": {text}' for text in EMPTY],
    "empty-looking values of what STIX defines": [
        '"name": "", "description": "", "labels": [""], "revoked": false',
        '"confidence": 0',
    ],
    "names": [f'"{name}": "{number}"' for number, name in enumerate(NAMES)],
    "keys": ['"x_k": {' + ", ".join(f'"{key}": {n}' for n, key in enumerate(KEYS)) + "}"],
    "dates": [f'"valid_from": "2025-03-01T00:00:00{digits}Z", "x_at": "00:00{digits}"' for digits in DIGITS],
    "far dates": [
        '"valid_from": "0001-01-01T00:00:00Z", "valid_until": "9999-12-31T23:59:60.999999999Z"',
        '"valid_from": "2016-12-31T23:59:60Z"',
    ],
    "unknown extensions": [
        '"extensions": {"extension-definition--00000000-0000-4000-8000-0000000000aa": '
        '{"extension_type": "property-extension", "rank": 1.0, "deep": {"list": [1, [2, [3.50]]]}}}',
        '"extensions": {"extension-definition--00000000-0000-4000-8000-0000000000bb": '
        '{"extension_type": "toplevel-property-extension"}}, "toxicity": 8.0, "rank": 5',
        '"extensions": {"extension-definition--00000000-0000-4000-8000-0000000000cc": '
        '{"extension_type": "property-extension", "seq": 1}, '
        '"extension-definition--00000000-0000-4000-8000-0000000000dd": '
        '{"raw": "", "extension_type": "property-extension"}}',
    ],
    "nesting to the limit": [f'"x_d": {nested(levels)}' for levels in (1, 10, 30, 31)],
    "strings to the limit": [
        '"x_s": "' + "x" * (256 * KIB) + '"',
        '"x_s": "' + "é" * (128 * KIB) + '"',
        '"x_s": "' + "𝄞" * (64 * KIB) + '"',
        '"x_s": "' + "\\u00e9" * (128 * KIB) + '"',
    ],
    "many members": ['"x_m": {' + ",".join(f'"key_{n}": {n}.0' for n in range(2000)) + "}"],
}  # fmt: skip


async def test_every_odd_case_comes_back_wherever_it_shows(database_url, tmp_path):
    cases = [more for found in CASES.values() for more in found]
    await goes_round(database_url, tmp_path, [body_of(number, more) for number, more in enumerate(cases)])


async def test_an_object_comes_back_at_the_greatest_size_that_one_may_have(database_url, tmp_path):
    pad = 256 * KIB - 10
    room = 1024 * KIB - len(body_of(0, *(f'"x_{n}": "{"x" * pad}"' for n in range(3)), '"x_3": ""'))
    raw = body_of(0, *(f'"x_{n}": "{"x" * pad}"' for n in range(3)), f'"x_3": "{"y" * room}"')
    assert len(raw) == 1024 * KIB
    await goes_round(database_url, tmp_path, [raw, body_of(1)])


@pytest.mark.parametrize(
    "more",
    [
        f'"x_d": {nested(32)}',
        '"x_s": "' + "x" * (256 * KIB + 1) + '"',
        '"x_s": "' + "é" * (128 * KIB) + 'x"',
        '"x_n": 9007199254740993',
        '"x_n": 1e400',
        '"x_s": "\\u0000"',
        '"x_s": "\\ud834"',
        '"x_e": null',
        '"x_e": []',
    ],
)
async def test_beyond_its_limits_an_object_is_refused_and_its_neighbour_comes_back(database_url, tmp_path, more):
    async with first_life(database_url, tmp_path) as node:
        answer = await node.post(b'{"objects":[%b,%b]}' % (body_of(1, more), body_of(2)))
        assert [one["id"] for one in answer.json()["successes"]] == [number_of(2)]
        assert len(answer.json()["failures"][0]["message"]) > 10
        await comes_back(node, [body_of(2)])
        assert (await node.get(f"objects/{number_of(1)}/")).status_code == 404


# --- versions ---------------------------------------------------------------------------------------------------


async def test_versions_of_every_number_of_digits_keep_their_spelling(database_url, tmp_path):
    digits = [f".{'123456789123456'[:n]}" for n in range(3, 16)]
    raws = [
        body_of(number, f'"x_v": {number}.0', modified=f"2025-03-01T00:00:00{fraction}Z")
        for number, fraction in enumerate(digits)
    ]
    together = [
        body_of(500, f'"x_v": {number}.0', modified=f"2025-03-01T00:00:00{fraction}Z")
        for number, fraction in enumerate(digits)
    ]
    await goes_round(database_url, tmp_path, [*raws, *together])


async def test_one_instant_spelt_twice_is_one_version_in_the_spelling_that_came_first(database_url, tmp_path):
    first = body_of(1, '"x_n": 1.50', modified="2025-03-01T00:00:00.100Z")
    async with first_life(database_url, tmp_path) as node:
        await post(node, [first])
        # the same value in other digits is the same content; served is what came first
        await post(node, [body_of(1, '"x_n": 1.5', modified="2025-03-01T00:00:00.100Z")])
        await comes_back(node, [first])
        for spelt in ("2025-03-01T00:00:00.100Z", "2025-03-01T00:00:00.1Z", "2025-03-01T00:00:00.100000Z"):
            answer = await node.get(f"objects/{number_of(1)}/?match[version]={spelt}")
            assert objects_in([answer.content]) == [exact(first)]


async def test_objects_without_dates_and_definitions_keep_all_their_values(database_url, tmp_path):
    id_ = "00000000-0000-4000-8000-000000000001"
    raws = [
        b'{"type":"software","spec_version":"2.1","id":"software--%b","name":"Example","version":"7.20"}'
        % id_.encode(),
        b'{"type":"file","spec_version":"2.1","id":"file--%b","size":0,"name":"\\u0001","x_n":1.10}'
        % id_.encode(),
        b'{"type":"domain-name","id":"domain-name--%b","value":"xn--e1afmkfd.example"}' % id_.encode(),
        b'{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--%b",'
        b'"created":"2025-01-01T00:00:00.500Z","definition_type":"statement","definition":{"statement":"\\u00a9"}}'
        % id_.encode(),
        b'{"type":"x-example-thing","spec_version":"2.1","id":"x-example-thing--%b","created":"%b","modified":"%b",'
        b'"seq":1.0,"raw":{"a":[1,2.50,""]}}' % (id_.encode(), THEN.encode(), THEN.encode()),
    ]
    await goes_round(database_url, tmp_path, raws)


# --- whatever else there is -------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
_SPELT_TEXT = st.builds(lambda text, ascii_only: json.dumps(text, ensure_ascii=ascii_only), _TEXT, st.booleans())
_SPELT_NUMBER = st.one_of(
    st.integers(-(2**53) + 1, 2**53 - 1).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})\.[0-9]{1,25}", fullmatch=True),
    st.from_regex(r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,10})?[eE][+-]?[0-9]{1,2}", fullmatch=True),
)
_SPACE = st.sampled_from(["", " ", "\n", "\t", "\r\n "])


def _spelt_list(items: list[str], space: str) -> str:
    return "[" + space + f"{space},{space}".join(items) + space + "]"


def _spelt_object(pairs: dict[str, str], space: str) -> str:
    return "{" + f"{space},".join(f"{json.dumps(key)}{space}:{space}{text}" for key, text in pairs.items()) + "}"


_SPELT = st.recursive(
    st.one_of(_SPELT_TEXT, _SPELT_NUMBER, st.sampled_from(["true", "false"])),
    lambda inner: st.one_of(
        st.builds(_spelt_list, st.lists(inner, min_size=1, max_size=4), _SPACE),
        st.builds(_spelt_object, st.dictionaries(_TEXT, inner, max_size=4), _SPACE),
    ),
    max_leaves=12,
)
_PROPERTIES = st.dictionaries(st.from_regex(r"x_[a-z0-9_]{1,20}", fullmatch=True), _SPELT, min_size=1, max_size=5)


@pytest.fixture
async def life(database_url, tmp_path):
    """One node for all examples, and numbers for their objects."""
    async with first_life(database_url, tmp_path) as node:
        yield node, count()


@settings(
    max_examples=6,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(batch=st.lists(_PROPERTIES, min_size=8, max_size=12))
async def test_whatever_a_valid_object_holds_comes_back(life, database_url, batch):
    node, numbers = life
    raws = [
        body_of(next(numbers), *(f'"{name}":{text}' for name, text in properties.items())) for properties in batch
    ]
    await post(node, raws)
    await comes_back(node, raws)
    async with started_anew(database_url, node) as again:
        await comes_back(again, raws, singly=len(raws) < 50)


# --- and today even the bytes -----------------------------------------------------------------------------------


async def test_white_space_escapes_and_the_order_of_keys_come_back_as_well(database_url, tmp_path):
    raw = (
        b'{ "modified" : "2025-03-01T00:00:00.000Z",\r\n\t"x_s":"\\u00e9\\/\xc3\xa9", "type":"indicator",'
        b'"pattern_type":"stix","x_n" : [ 1.0e+2 , -0.0 ],"pattern":"[ipv4-addr:value = \'192.0.2.1\']",'
        b'"valid_from":"2025-03-01T00:00:00Z","id":"' + number_of(1).encode() + b'",'
        b'"created":"2025-03-01T00:00:00.000Z","\\u0073pec_version":"2.1"  }'
    )
    async with first_life(database_url, tmp_path) as node:
        await post(node, [body_of(0), raw, body_of(2)])
    async with started_anew(database_url, node) as again:
        for path in ("objects/", f"objects/{number_of(1)}/"):
            assert raw in (await again.get(path)).content
