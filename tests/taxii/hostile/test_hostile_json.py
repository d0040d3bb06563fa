"""JSON as an attack: each limit from both sides, over HTTP."""

import asyncio
import gzip
import json
import time
import zlib

import pytest
from wire import HANG, adding, connected, one_answer

from taxii_node import indicator

MIB = 1024 * 1024
CHUNKED = "Transfer-Encoding: chunked"


def member(more: bytes = b"", number: int = 9) -> bytes:
    """An indicator with further members of the text, as it stands."""
    return json.dumps(indicator(number)).encode()[:-1] + (b"," + more if more else b"") + b"}"


def envelope(*members: bytes) -> bytes:
    return b'{"objects":[%b]}' % b",".join(members)


async def fate(node, one: bytes) -> str:
    """What becomes of one object between two good ones, which must both get in."""
    answer = await asyncio.wait_for(node.post(envelope(member(number=1), one, member(number=2))), HANG)
    assert answer.status_code == 202
    body = answer.json()
    assert body["total_count"] == 3
    taken = [detail["id"] for detail in body["successes"]]
    assert {indicator(1)["id"], indicator(2)["id"]} <= set(taken)
    if body["failure_count"]:
        assert body["failures"][0]["message"]
        return "refused"
    return "taken"


def nested(levels: int) -> bytes:
    """A member that brings the whole object to so many levels."""
    return b'"x_n":' + b"[" * (levels - 1) + b"]" * (levels - 1)


OBJECTS = [
    ("a key given twice", b'"name":"a","name":"a"', "refused"),
    ("a key given twice in two spellings", b'"x_a":1,"x_\\u0061":2', "refused"),
    ("a key given twice deep inside", b'"x_n":[{"y":{"a":1,"b":2,"a":3}}]', "refused"),
    ("an id given twice", b'"id":"indicator--00000000-0000-4000-8000-000000000008"', "refused"),
    ("NaN", b'"x_n":NaN', "whole"),
    ("Infinity", b'"x_n":Infinity', "whole"),
    ("minus Infinity", b'"x_n":[-Infinity]', "whole"),
    ("a number beyond a double", b'"x_n":1e400', "refused"),
    ("a negative number beyond a double", b'"x_n":-1e400', "refused"),
    ("an exponent beyond counting", b'"x_n":1e99999999999999999999', "refused"),
    ("a number at the edge of a double", b'"x_n":1e308', "taken"),
    ("the largest integer", b'"x_n":9007199254740991', "taken"),
    ("one more", b'"x_n":9007199254740992', "refused"),
    ("the smallest integer", b'"x_n":-9007199254740991', "taken"),
    ("one less", b'"x_n":-9007199254740992', "refused"),
    ("an integer of 64 bits", b'"x_n":18446744073709551616', "refused"),
    ("an integer of 5,000 digits", b'"x_n":' + b"9" * 5000, "refused"),
    ("an integer of 900,000 digits", b'"x_n":' + b"9" * 900_000, "refused"),
    ("a fraction of 900,000 digits", b'"x_n":0.' + b"3" * 900_000, "taken"),
    ("a leading zero", b'"x_n":01', "whole"),
    ("hexadecimal", b'"x_n":0x1', "whole"),
    ("a comment", b'"x_n":1/*x*/', "whole"),
    ("single quotes", b"'x':1", "whole"),
    ("32 levels", nested(32), "taken"),
    ("33 levels", nested(33), "refused"),
    ("200 levels", nested(150), "refused"),
    ("100,000 levels", nested(100_000), "whole"),
    ("NUL in a value", b'"x_n":"a\\u0000b"', "refused"),
    ("NUL in a key", b'"x\\u0000":1', "refused"),
    ("a raw control character", b'"x_n":"a\x01b"', "whole"),
    ("the upper half of a pair", b'"x_n":"\\ud83d"', "refused"),
    ("the lower half of a pair", b'"x_n":"\\ude00"', "refused"),
    ("a pair the wrong way round", b'"x_n":"\\ude00\\ud83d"', "refused"),
    ("half a pair in a key", b'"\\ud83d":1', "refused"),
    ("a pair", b'"x_n":"\\ud83d\\ude00"', "taken"),
    ("signs that turn text around", '"x_n":"\u202eabc\u202c\ufeff\u2028"'.encode(), "taken"),
    ("a non-character", '"x_n":"\uffff\U0010ffff"'.encode(), "taken"),
    ("a string of 256 KiB", b'"x_n":"' + b"a" * 256 * 1024 + b'"', "taken"),
    ("a string of 256 KiB and a byte", b'"x_n":"' + b"a" * (256 * 1024 + 1) + b'"', "refused"),
    ("a string of 256 KiB in signs of three bytes", b'"x_n":"' + "€".encode() * 87_381 + b'"', "taken"),
    ("the same and one more", b'"x_n":"' + "€".encode() * 87_382 + b'"', "refused"),
    ("a long key", b'"' + b"k" * 300_000 + b'":1', "refused"),
    ("a prototype", b'"constructor":{"prototype":{"x":1}}', "taken"),
    ("50,000 members", b",".join(b'"x_%d":1' % n for n in range(50_000)), "taken"),
    ("100,000 empty lists", b'"x_n":[' + b",".join([b"[]"] * 100_000) + b"]", "taken"),
    ("450,000 numbers", b'"x_n":[' + b",".join([b"1"] * 450_000) + b"]", "taken"),
]


async def test_each_limit_of_an_object_holds_on_both_sides_and_is_that_objects_affair(node):
    for number, (name, more, expected) in enumerate(OBJECTS, start=10):
        one = member(more, number)
        if expected != "whole":
            assert await fate(node, one) == expected, name
            continue
        # no JSON at all, so the whole body is refused
        answer = await asyncio.wait_for(node.post(envelope(member(number=1000), one)), HANG)
        assert answer.status_code == 400, name
    found = {one["id"] for one in (await node.get("manifest/?limit=1000")).json()["objects"]}
    taken = [number for number, row in enumerate(OBJECTS, start=10) if row[2] == "taken"]
    assert found == {indicator(number)["id"] for number in (1, 2, *taken)}


async def test_an_object_may_have_a_mebibyte_and_not_a_byte_more(node):
    for over, expected in ((0, "taken"), (1, "refused")):
        one = member(b'"x_n":[' + b",".join([b'"%b"' % (b"a" * 200_000)] * 5) + b"]")
        one = one[:-1] + b" " * (MIB + over - len(one)) + b"}"
        assert len(one) == MIB + over
        assert await fate(node, one) == expected


async def test_a_thousand_objects_are_taken_and_one_more_is_422(node):
    thousand = [member(number=number) for number in range(1000)]
    answer = await node.post(envelope(*thousand))
    assert (answer.status_code, answer.json()["success_count"]) == (202, 1000)
    answer = await node.post(envelope(*thousand, member(number=1000)))
    assert answer.status_code == 422
    assert (await node.get(f"objects/{indicator(1000)['id']}/")).status_code == 404


async def test_an_envelope_of_exactly_ten_mebibytes_is_taken_and_one_byte_more_is_413(node):
    good = envelope(member(number=1))
    for framing in ("length", "chunks"):
        for size, status in ((10 * MIB, 202), (10 * MIB + 1, 413)):
            body = good + b" " * (size - len(good))
            if framing == "length":
                answer = await node.post(body)
                assert answer.status_code == status
            else:
                chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
                answer = await one_answer(node, adding(node, CHUNKED), chunk)
                assert answer.status == status
    assert (await node.get("/exchange/")).json()["max_content_length"] == 10 * MIB


DEEP = 100_000
WHOLE = [
    ("lists", lambda: b"[" * DEEP),
    ("closed lists", lambda: b"[" * DEEP + b"]" * DEEP),
    ("objects", lambda: b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    ("both", lambda: b'[{"a":' * DEEP + b"1" + b"}]" * DEEP),
    ("within the list of objects", lambda: b'{"objects":[' + b"[" * DEEP + b"]" * DEEP + b"]}"),
    ("beside the list of objects", lambda: b'{"objects":[],"x":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}"),
    ("ten mebibytes of brackets", lambda: b"[" * (10 * MIB)),
    ("ten mebibytes of quotes", lambda: b'{"objects":[' + b'"",' * (3 * MIB) + b'""]}'),
    ("ten mebibytes of unclosed quotes", lambda: b'{"objects":["' + b'\\"' * (4 * MIB)),
    ("ten mebibytes of backslashes", lambda: b'{"objects":["' + b"\\" * (9 * MIB)),
    ("one key of nine mebibytes", lambda: b'{"' + b"k" * (9 * MIB) + b'":1,"objects":[]}'),
    ("a million keys", lambda: b'{"objects":[],' + b",".join(b'"%06x":0' % n for n in range(800_000)) + b"}"),
    ("the same key over and over", lambda: b"{" + b",".join([b'"objects":[]'] * 500_000) + b"}"),
    ("surrogates over and over", lambda: b'{"objects":["' + b"\\ud800" * (MIB) + b'"]}'),
    ("spaces", lambda: b'{"objects":[' + b" " * (9 * MIB) + b"]}"),
    ("a number of nine million digits", lambda: b'{"objects":[],"x":' + b"9" * (9 * MIB) + b"}"),
    ("a million objects", lambda: b'{"objects":[' + b"{}," * (3 * MIB) + b"{}]}"),
    ("escaped letters", lambda: b'{"\\u006fbject' + b"\\u0073" * MIB + b'":[]}'),
    ("commas", lambda: b'{"objects":[' + b"," * (9 * MIB) + b"]}"),
    ("broken at the very end", lambda: envelope(*[member(number=n) for n in range(999)])[:-2]),
]


@pytest.mark.parametrize(("_", "make"), WHOLE, ids=[name for name, _ in WHOLE])
async def test_a_body_made_to_cost_is_answered_without_a_hang_and_holds_nobody_up(node, _, make):
    body = make()
    posting = asyncio.ensure_future(node.post(body, timeout=HANG))
    other = await asyncio.wait_for(node.get("/taxii2/"), HANG)
    assert other.status_code == 200
    answer = await asyncio.wait_for(posting, HANG)
    assert answer.status_code in (202, 400, 422)
    if answer.status_code == 202:
        assert answer.json()["success_count"] == 0
    assert (await node.get("objects/")).content == b"{}"


CODED = [
    ("gzip", lambda: gzip.compress(b" " * (20 * MIB))),
    ("x-gzip", lambda: gzip.compress(b"{}")),
    ("deflate", lambda: zlib.compress(b" " * (20 * MIB))),
    ("br", lambda: bytes.fromhex("8b0180") + bytes(64)),
    ("zstd", lambda: bytes.fromhex("28b52ffd") + bytes(64)),
    ("gzip, gzip", lambda: gzip.compress(gzip.compress(b" " * (20 * MIB)))),
    ("identity, gzip", lambda: gzip.compress(b"{}")),
    ("GZIP", lambda: gzip.compress(b"{}")),
]


@pytest.mark.parametrize(("coding", "make"), CODED, ids=[coding for coding, _ in CODED])
async def test_a_coded_body_is_415_whatever_it_would_become(node, coding, make):
    answer = await node.post(make(), headers={"Content-Encoding": coding})
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["description"]


async def test_a_coding_said_in_two_lines_is_refused_as_well(node):
    head = adding(node, "Content-Encoding: identity", "Content-Encoding: gzip", "Content-Length: 2")
    answer = await one_answer(node, head, b"{}")
    assert answer.status == 415


async def test_a_body_said_to_be_coded_is_refused_before_any_of_it(node):
    async with connected(node) as wire:
        await wire.send(adding(node, "Content-Encoding: gzip", f"Content-Length: {MIB}"))
        assert (await wire.answer()).status == 415


@pytest.mark.parametrize("value", [b"[1]", b'{"a":[]}'])
async def test_objects_of_very_many_values_are_taken_and_hold_nobody_up(node, value):
    """The event loop does not stand still for all of the time that they take, however busy the machine is."""
    many = b'"x_n":[%b]' % b",".join([value] * (MIB // 3 // len(value)))
    body = envelope(*(member(many, number) for number in range(3)))
    posting = asyncio.ensure_future(node.post(body, timeout=HANG))
    began, longest = time.perf_counter(), 0.0
    while not posting.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before)
    took = time.perf_counter() - began
    assert (await posting).json()["success_count"] == 3
    assert longest < took * 0.9, (longest, took)
