"""What a reader can ask depends on nothing but his permitted view: two pasts that he may not tell apart give him,
under the same clock and the same chance, the same bytes from every surface.

`TOCSIN_TEST_PAIRS=20000` compares more pairs, `TOCSIN_TEST_SEED` others. A failure says how to see it again.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import httpx2
import pytest

import crawl
from crawl import Answer
from extent import SEED, extent
from graphs import Step, Told, World, make_world
from life import TAXII, Beginning, Life, beginning, chance, living
from naive import DEFINITIONS, Naive
from tocsin.stix.objects import keyed_id, make_object
from variations import Timeline, readable, timeline, variation, view

Posts = Mapping[str, Sequence[Mapping[str, object]]]
PAIRS = extent("PAIRS", ordinary=24, full=20_000)
ALONE = os.environ.get("TOCSIN_TEST_WORLD")
VARIATIONS = 6  # of one past
PARTS = 2 if PAIRS < 1000 else 64


@pytest.mark.parametrize("part", range(PARTS))
async def test_who_may_not_tell_two_pasts_apart_gets_the_same_bytes(part):
    compared: Counter[str] = Counter()
    numbers = [int(ALONE)] if ALONE else range(part, max(PARTS, PAIRS // VARIATIONS), PARTS)
    for number in numbers:
        pairs, difference = await difference_of_pasts(number)
        assert not difference, difference
        compared["pairs"] += pairs
    if not ALONE:
        assert compared["pairs"] >= len(numbers) * VARIATIONS // 2, "too few variations were found to say anything"


async def difference_of_pasts(number: int) -> tuple[int, str]:
    """How many pasts were compared with a first one, and where a reader can tell one from it, in words."""
    seed = f"{SEED}/pasts/{number}"
    dice = random.Random(seed)
    world, donor = make_world(seed, [0], most=14), make_world(seed, [1], most=14)
    readers = sorted({name for one in world.settings["collections"].values() for name in one["readers"]})
    name = "writer" if "writer" in readers and dice.random() < 0.5 else dice.choice(readers)
    happened = timeline(world)
    ids = sorted({one.id for other in (world, donor) for one in other.told()})
    sought = [*dice.sample(ids, min(5, len(ids))), crawl.UNKNOWN]
    others = [other for _ in range(4 * VARIATIONS) if (other := variation(world, donor, happened, name, dice))]
    others = others[:VARIATIONS]
    changed = {one.id for past in others for moment in past if moment not in happened for one in moment[1].told}
    hidden = dice.sample(sorted(changed), min(5, len(changed)))
    posts = taken_alike(world, donor, [happened, *others], name, sorted({*sought[:-1], *hidden}))
    with chance(seed) as anew:
        async with beginning(world) as start:
            expected = await transcript(start, happened, name, sought, posts, anew)
            for count, other in enumerate(others):
                found = await transcript(start, other, name, sought, posts, anew)
                if found != expected:
                    return count, _difference(world, name, count, expected, found, happened, other)
    return len(others), ""


async def transcript(
    start: Beginning, happened: Timeline, name: str, sought: list[str], posts: Posts, anew
) -> list[Answer]:
    """All that a reader gets after this past, and after he has posted something himself."""
    world = start.world
    async with living(world, start) as life:
        elapsed = 0
        for at, step in happened:
            await life.step(step, at - elapsed)
            elapsed = at
        life.clock["at"] += (100_000 - elapsed) * 1_000_000
        anew()
        async with life.asking() as client:
            answers = await _asked(life, client, name, sought)
            for key, objects in posts.items():
                answers += await _post(life, client, name, key, objects)
                answers += await _asked(life, client, name, sought)
    return answers


async def _asked(life: Life, client: httpx2.AsyncClient, name: str, sought: list[str]) -> list[Answer]:
    headers, collections = life.headers(name), life.world.settings["collections"]
    answers = await crawl.around(
        client, headers, [one["id"] for one in collections.values() if name not in one["readers"]]
    )
    for key in readable(life.world, name):
        id_ = collections[key]["id"]
        answers += await crawl.read(client, id_, headers, limit=5)
        answers += await crawl.look_for(client, id_, headers, sought[-2:])
        for more in (
            "objects/?match[type]=incident,relationship,identity",
            "objects/?added_after=2026-03-01T12:03:10.000000Z",
            "manifest/?match[version]=first",
            "objects/?match[spec_version]=2.0",
            "objects/?limit=0",
            "objects/?next=nothing",
        ):
            answers.append(await crawl.ask(client, f"/exchange/collections/{id_}/{more}", headers))
    return answers


async def _post(
    life: Life, client: httpx2.AsyncClient, name: str, key: str, objects: Sequence[Mapping[str, object]]
) -> list[Answer]:
    headers = life.headers(name) | {"Content-Type": TAXII}
    collection = life.world.settings["collections"][key]["id"]
    # spelt as others spell it: one content is served in the bytes in which it first came, whoever brought it
    body = b'{"objects": [' + b", ".join(make_object(value).raw for value in objects) + b"]}"
    answer = await crawl.ask(client, f"/exchange/collections/{collection}/objects/", headers, "POST", body)
    status = json.loads(answer.body).get("id", "nothing")
    return [answer, await crawl.ask(client, f"/exchange/status/{status}/", headers)]


def taken_alike(world: World, donor: World, pasts: Sequence[Timeline], name: str, sought: Sequence[str]) -> Posts:
    """What a writer posts, by collection: something new, and what may be known of already, seen or unseen.

    Where policy refuses that, always. Where it lets it in, only what leaves the same view behind after each of the
    pasts: a post may bring in what waited for it, and that is then there to be seen.

    Not what has no version of its own, dated by its first receipt here, whoever brought it; nor definitions,
    which others' words may let in beside what is posted.
    """
    pasts = list(pasts)
    posts: dict[str, list[Mapping[str, object]]] = {}
    for key, settings in world.settings["collections"].items():
        if name not in settings["writers"]:
            continue
        keys = [*readable(world, name), key]
        posts[key] = [_note(sought)]
        for value in _known(world, donor, name, sought):
            refused = Naive(world).decide(key, Told(value, name), key) is None and value["type"] != "identity"
            more = [_posting(past, name, key, [*posts[key], value]) for past in pasts]
            if refused or all(view(world, one, keys) == view(world, more[0], keys) for one in more[1:]):
                posts[key].append(value)
        pasts = [_posting(past, name, key, posts[key]) for past in pasts]
    return posts


def _known(world: World, donor: World, name: str, sought: Sequence[str]) -> list[Mapping[str, object]]:
    found: dict[str, Mapping[str, object]] = {}
    for one in [*world.told(), *donor.told()]:
        left_out = "modified" not in one.value or one.value["type"] in DEFINITIONS
        if one.id in sought and one.by not in ("ours", name) and not left_out:
            found.setdefault(one.id, one.value)
    return list(found.values())


def _posting(past: Timeline, name: str, key: str, values: Sequence[Mapping[str, object]]) -> Timeline:
    step = Step("post", name, tuple(Told(value, name) for value in values), key)
    return [*past, (100_000, step)]


def _note(about: Sequence[str]) -> dict[str, object]:
    return {
        "type": "note",
        "spec_version": "2.1",
        "id": keyed_id(b"posted", "note", *about),
        "created": "2026-03-02T00:00:00.000Z",
        "modified": "2026-03-02T00:00:00.000Z",
        "content": "did you see this?",
        "object_refs": list(about),
    }


def _difference(
    world: World,
    name: str,
    count: int,
    expected: list[Answer],
    found: list[Answer],
    past: Timeline,
    other: Timeline,
) -> str:
    lines = [f"{name} tells past {count} from the first, of {world.seed}"]
    for one, two in zip(expected, found, strict=False):
        if one != two:
            lines += [f"{one.asked} / {two.asked}", one.bytes.decode()[:3000], "--", two.bytes.decode()[:3000]]
            break
    lines += ["what happened only then:", *(_said(at, step) for at, step in past if (at, step) not in other)]
    lines += ["what happened only now:", *(_said(at, step) for at, step in other if (at, step) not in past)]
    number = world.seed.rpartition("/")[2]
    again = f"TOCSIN_TEST_SEED={SEED} TOCSIN_TEST_WORLD={number} pytest tests/proofs/test_noninterference.py"
    return "\n".join([*lines, f"again: {again}"])


def _said(at: int, step) -> str:
    told = ", ".join(f"{one.id} ({one.role})" if one.role else one.id for one in step.told)
    return f"  {at} {step.what} {step.by} {step.where} {told} {' '.join(step.ids)}"
