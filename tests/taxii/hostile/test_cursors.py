"""Cursors (reliability rows 35, 37; N11): what we did not seal for this collection is 400, never page one."""

import base64
import random
import string
from urllib.parse import quote

import pytest
from wire import head_of, one_answer

from taxii_node import SECOND, indicator
from tocsin.errors import BadInput
from tocsin.taxii.query import Cursor, cursor_key

SEED = 20260301
MANY = 10_000
OURS = Cursor(cursor_key(b"n" * 32), "3f0c4d5e-0000-4000-8000-000000000001")
FOREIGN = (
    Cursor(cursor_key(b"n" * 32), "3f0c4d5e-0000-4000-8000-000000000002"),  # another collection
    Cursor(cursor_key(b"o" * 32), "3f0c4d5e-0000-4000-8000-000000000001"),  # another node
    Cursor(b"\0" * 32, "3f0c4d5e-0000-4000-8000-000000000001"),  # no key at all
    Cursor(cursor_key(b"n" * 32), ""),
)
ALPHABET = string.ascii_letters + string.digits + "-_"


def tampered(chance: random.Random, good: list[str], foreign: list[str]) -> str:
    """A cursor that was changed, cut, joined from two, or is another's."""
    text, other = chance.sample(good, 2)
    at = chance.randrange(len(text))
    match chance.randrange(11):
        case 0:
            return text[:at] + chance.choice(ALPHABET.replace(text[at], "")) + text[at + 1 :]
        case 1:
            return text[:at]
        case 2:
            return text + chance.choice(ALPHABET) * chance.randint(1, 8)
        case 3:
            return text[:11] + other[11:]  # the position of one, the seal of another
        case 4:
            return text[: at + 1] + chance.choice(ALPHABET) + text[at + 1 :]
        case 5:
            return chance.choice(foreign)
        case 6:
            return text.swapcase()
        case 7:
            return "".join(chance.choices(ALPHABET, k=len(text)))
        case 8:
            return text + other
        case 9:
            data = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            return base64.urlsafe_b64encode(data).decode().rstrip("=")
        case _:
            return text[::-1]


def test_ten_thousand_changed_swapped_and_foreign_cursors_are_all_refused():
    chance = random.Random(SEED)
    positions = [chance.randrange(-(2**62), 2**62) for _ in range(200)]
    good = [OURS.seal(position) for position in positions]
    foreign = [cursor.seal(position) for cursor in FOREIGN for position in positions]
    seen = set(good)
    for _ in range(MANY):
        text = tampered(chance, good, foreign)
        if text in seen:
            continue
        with pytest.raises(BadInput) as refusal:
            OURS.unseal(text)
        assert refusal.value.problems[0].place == "next"
    assert [OURS.unseal(text) for text in good] == positions


def test_a_cursor_has_one_spelling_alone():
    text = OURS.seal(12345)
    for other in (
        f"{text}=",
        f"{text}==",
        f" {text}",
        f"{text}\n",
        text.replace("-", "+").replace("_", "/") + "+",
    ):
        with pytest.raises(BadInput):
            OURS.unseal(other)


async def test_some_hundred_of_them_over_http_are_400_and_never_page_one(node):
    chance = random.Random(SEED)
    await node.fill([indicator(number) for number in range(12)])
    await node.fill([indicator(number) for number in range(12)], collection_id=SECOND)
    good = [(await node.get(f"objects/?limit={limit}")).json()["next"] for limit in (1, 2, 3, 4, 5)]
    foreign = [(await node.get(f"/exchange/collections/{SECOND}/objects/?limit=5")).json()["next"]]
    foreign += [cursor.seal(1_741_944_413_000_000) for cursor in FOREIGN]
    for number in range(300):
        text = tampered(chance, good, foreign)
        if text in good or not text:
            continue
        path = ("objects/", "manifest/", f"objects/{indicator(1)['id']}/versions/")[number % 3]
        answer = await node.get(f"{path}?limit=5&next={quote(text)}")
        assert answer.status_code == 400, text
        assert b"objects" not in answer.content
    for text in foreign:
        answer = await node.get(f"changes/?after={quote(text)}")
        assert answer.status_code == 400, text
    assert (await node.get(f"objects/?next={good[0]}")).json()["objects"][0]["id"] == indicator(1)["id"]


@pytest.mark.parametrize(
    "text", ["%00", "%", "%zz", "\xe9", "%ff", "A" * 30_000, "..%2f", "0", "-1", "null", "[]"]
)
async def test_what_is_no_cursor_at_all_is_400(node, text):
    await node.fill([indicator(1)])
    path = node.collection_url().removeprefix(node.url)
    answer = await one_answer(node, head_of(node, f"GET {path}objects/?next={text} HTTP/1.1", by="rita"))
    assert answer.status == 400
    assert indicator(1)["id"].encode() not in answer.body
