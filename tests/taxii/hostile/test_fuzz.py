"""Fuzz (reliability N7): requests grown from valid ones by seeded mutation, against a process that must live on.

`TOCSIN_TEST_FUZZ=100000` makes more of them, `TOCSIN_TEST_SEED=n` others. A failure names the number of its
request: the same seed and number make the same request.
"""

import json
import os
import random

from living import living
from wire import adding, connected

from taxii_node import domain, indicator

MANY = int(os.environ.get("TOCSIN_TEST_FUZZ", "200"))
SEED = os.environ.get("TOCSIN_TEST_SEED", "20260301")
KEPT = [indicator(number) for number in range(5)]
STRANGE = [
    *(
        b"",
        b"null",
        b"true",
        b"0",
        b"-0",
        b"-",
        b"1e",
        b"1e9999",
        b"NaN",
        b"[]",
        b"{}",
        b'""',
        b'"',
        b"[",
        b"]",
        b"{",
    ),
    *(
        b"}",
        b",",
        b":",
        b'"\\u0000"',
        b'"\\ud800"',
        b'"\\x"',
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\x00",
        b"\n",
    ),
    *(b"9" * 400, b'"' + b"a" * 5000 + b'"', b"[" * 300, b'{"a":' * 300, b'"objects":[],', b'"type":"bundle",'),
    *(b'"id":"indicator--00000000-0000-4000-8000-000000000000",', b"\xef\xbb\xbf", b"//", b"'", b'{"$ref":"#"}'),
]
VALUES = [
    *(None, True, 0, -1, 2**53, 2**63, 1.5, "", "a", "\x00", "\ud800", "\u202e", [], {}, [[]], [None], {"": ""}),
    *("9999-12-31T23:59:60Z", "0000-00-00T00:00:00Z", "2025-02-30T00:00:00Z", "2025-03-01T00:00:00+01:00", "now"),
    *(
        "indicator--00000000-0000-4000-8000-000000000000",
        "x--y",
        "a" * 300_000,
        ["x"] * 2000,
        {"a": {"b": {"c": []}}},
    ),
    *(
        "marking-definition--00000000-0000-4000-8000-000000000000",
        "'; DROP TABLE objects; --",
        "%s%n",
        "../../etc",
    ),
]
KEYS = [
    *indicator(0),
    "created_by_ref",
    "object_marking_refs",
    "granular_markings",
    "revoked",
    "extensions",
    "labels",
]
KEYS += ["confidence", "lang", "external_references", "valid_until", "", "__proto__", "x_n", "position", "sha256"]


def broken_text(chance: random.Random) -> bytes:
    """A valid envelope of which some bytes were changed, cut out, doubled or put in."""
    members = [indicator(chance.randrange(100, 200)) for _ in range(chance.randint(0, 3))] + [domain(1)]
    text = bytearray(json.dumps({"objects": members, "x": 1}).encode())
    for _ in range(chance.choice((1, 1, 2, 3, 10))):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.choice((0, 1, 2, 10, 200)))
        match chance.randrange(5):
            case 0:
                text[at:to] = chance.choice(STRANGE)
            case 1:
                text[at:at] = chance.choice(STRANGE)
            case 2:
                text[at:at] = text[at:to]
            case 3:
                text[at:to] = chance.randbytes(to - at)
            case 4:
                del text[to:]
        text = text or bytearray(b" ")
    return bytes(text)


def broken_object(chance: random.Random, number: int) -> bytes:
    """An object of which some values were changed, put in or left out; well-formed JSON."""
    value = indicator(number) if chance.random() < 0.8 else domain(number)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        key = chance.choice(KEYS)
        if chance.random() < 0.2:
            value.pop(key, None)
        else:
            value[key] = chance.choice(VALUES)
    text = json.dumps(value)
    if chance.random() < 0.2:
        text = text[:-1] + f', "{chance.choice(KEYS)}": {json.dumps(chance.choice(VALUES))}}}'
    return text.encode()


def broken_head(chance: random.Random, head: bytes) -> bytes:
    """A head of which some bytes were changed."""
    text = bytearray(head)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(text))
        to = min(len(text), at + chance.choice((0, 1, 4)))
        text[at:to] = chance.choice(
            (b"", b"\r", b"\n", b"\0", b" ", b":", b"\t", b"%00", b"\xff", chance.randbytes(3))
        )
    return bytes(text)


async def test_no_body_harms_the_process_its_collection_or_the_objects_beside_it(tmp_path):
    async with living(tmp_path) as node:
        await node.post(json.dumps({"objects": KEPT}).encode())
        before = (await node.get(f"objects/?match[id]={','.join(one['id'] for one in KEPT)}")).content
        for number in range(MANY):
            answer = await node.post(broken_text(random.Random(f"{SEED} text {number}")))
            assert answer.status_code in (202, 400, 422), number
        for number in range(MANY):
            chance = random.Random(f"{SEED} object {number}")
            first, last = indicator(2 * number + 10_000), indicator(2 * number + 10_001)
            bad = broken_object(chance, number + 1000)
            body = b'{"objects":[%b,%b,%b]}' % (json.dumps(first).encode(), bad, json.dumps(last).encode())
            answer = await node.post(body)
            assert answer.status_code == 202, number
            said = answer.json()
            assert (said["total_count"], said["success_count"] + said["failure_count"]) == (3, 3), number
            assert {first["id"], last["id"]} <= {one["id"] for one in said["successes"]}, number
        after = (await node.get(f"objects/?match[id]={','.join(one['id'] for one in KEPT)}")).content
        assert json.loads(after)["objects"] == json.loads(before)["objects"] == KEPT
        following, pages = "", 0
        while following is not None:
            page = (await node.get(f"objects/?limit=1000&match[version]=all&next={following}")).json()
            assert all(one["type"] in ("indicator", "domain-name") for one in page["objects"])
            following, pages = page.get("next"), pages + 1
        assert pages >= 1


async def test_no_head_harms_the_process(tmp_path):
    async with living(tmp_path) as node:
        body = json.dumps({"objects": KEPT}).encode()
        head = adding(node, f"Content-Length: {len(body)}")
        for number in range(MANY):
            async with connected(node) as wire:
                await wire.send(broken_head(random.Random(f"{SEED} head {number}"), head), body)
                wire.finish()
                for answer in await wire.answers():
                    assert answer.status < 500, number
