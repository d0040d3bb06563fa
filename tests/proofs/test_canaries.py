"""No byte of what policy withholds, and all of what it permits: against the naive opinion, on random worlds.

`TOCSIN_TEST_GRAPHS=100000` takes more graphs in process, `TOCSIN_TEST_GRAPHS_HTTP=2000` over HTTP,
`TOCSIN_TEST_SEED` others. A failure says how to see it again: `TOCSIN_TEST_SEED=… TOCSIN_TEST_WORLD=17 pytest …`.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
import pytest

import crawl
from comparing import Opinion, compare, standing
from extent import SEED, extent
from graphs import World, make_world
from life import Life, living
from tocsin.stix.validate import problems
from traces import found_in

IN_PROCESS = extent("GRAPHS", ordinary=80, full=100_000)
OVER_HTTP = extent("GRAPHS_HTTP", ordinary=8, full=2_000)
GRAPHS = 8  # of one world
PARTS = 2 if IN_PROCESS < 1000 else 64
ALONE = os.environ.get("TOCSIN_TEST_WORLD")


def worlds(kind: str, graphs: int, part: int = 0, parts: int = 1) -> Iterator[World]:
    numbers = [int(ALONE)] if ALONE else range(part, max(1, graphs // GRAPHS), parts)
    for number in numbers:
        yield make_world(f"{SEED}/{kind}/{number}", range(GRAPHS))


def said(world: World, fault: str) -> str:
    number = world.seed.rpartition("/")[2]
    return (
        f"{fault}\nagain: TOCSIN_TEST_SEED={SEED} TOCSIN_TEST_WORLD={number} pytest tests/proofs/test_canaries.py"
    )


async def leaks(life: Life, opinion: Opinion, client: httpx2.AsyncClient) -> AsyncIterator[str]:
    """What readers find of a world and should not, in words."""
    world = life.world
    for key, settings in world.settings["collections"].items():
        headers = life.headers(settings["readers"][0])
        answers = await crawl.read(client, settings["id"], headers)
        for answer in answers:
            if answer.status != 200:
                yield f"{answer.asked}: {answer.status}"
        permitted = opinion.permitted.canaries(opinion.naive, key)
        found = found_in(b"\n".join(answer.bytes for answer in answers)) & world.canaries.keys()
        for canary in sorted(found - permitted):
            place = world.canaries[canary]
            how = opinion.naive.stands[key].get(place.object_id)
            yield f"{key} shows {place.path} of {place.object_id} ({how.form if how else 'withheld'}): {canary}"
        for canary in sorted(_owed(opinion, key) - found):
            place = world.canaries[canary]
            yield f"{key} lacks {place.path} of {place.object_id}: {canary}"
        copies = {copy: id_ for id_, copy in (await life.originals(key)).items()}
        objects = [one for answer in answers if "/objects/?" in answer.asked for one in _objects(answer.body)]
        for fault in (*_invalid(objects), *_loosened(objects, copies, opinion, key)):
            yield f"{key}: {fault}"


def _owed(opinion: Opinion, key: str) -> set[str]:
    """The canaries of what stands whole: all of its newest version is there."""
    whole = {(one.told.id, one.told.version) for one in opinion.naive.stands[key].values() if one.form == "whole"}
    return {
        canary
        for canary, place in opinion.permitted.world.canaries.items()
        if (place.object_id, place.version) in whole and (place.object_id.partition("--")[0]) not in _LEFT_OPEN
    }


_LEFT_OPEN = ("marking-definition", "extension-definition")


def _objects(body: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(body).get("objects", [])
    return found


def _invalid(objects: Iterable[dict[str, Any]]) -> Iterator[str]:
    for value in objects:
        if wrong := problems(value):
            yield f"{value['id']} is not valid: {wrong[0]}"


def _loosened(
    objects: Iterable[dict[str, Any]], copies: Mapping[str, str], opinion: Opinion, key: str
) -> Iterator[str]:
    """A copy is marked as its original is."""
    for value in objects:
        original = opinion.naive.stands[key].get(copies.get(value["id"], ""))
        if original is not None and value.get("object_marking_refs") != original.told.value.get(
            "object_marking_refs"
        ):
            yield f"{value['id']}, a copy of {original.told.id}, is marked otherwise"


async def live(life: Life) -> Opinion:
    for step in life.world.steps:
        await life.step(step)
    return compare(life.world, life.world.steps, await standing(life))


async def faults_of(world: World, forms: Counter[str] | None = None) -> list[str]:
    """One life of a world, and everything in it that is otherwise than it should be, in words."""
    async with living(world) as life:
        opinion = await live(life)
        if opinion.differences:
            return list(opinion.differences)
        for state in opinion.naive.stands.values() if forms is not None else ():
            forms.update(one.form for one in state.values())
        async with life.asking() as client:
            return [fault async for fault in leaks(life, opinion, client)]


@pytest.mark.parametrize("part", range(PARTS))
async def test_readers_find_what_is_permitted_and_no_byte_more(part):
    forms: Counter[str] = Counter()
    for world in worlds("canaries", IN_PROCESS, part, PARTS):
        faults = await faults_of(world, forms)
        assert not faults, said(world, "\n".join(faults))
    if not ALONE and IN_PROCESS // GRAPHS >= 8 * PARTS:  # else it may be that nothing was shown
        assert min(forms["whole"], forms["copy"], forms["closed"]) > 0, forms


@contextmanager
def _serving(life: Life, log) -> Iterator[str]:
    """A real `tocsin serve` over the home of a life; its address."""
    words = [sys.executable, "-m", "tocsin.cli", "serve", "--port", "0", "--home", str(life.home.path)]
    env = {name: value for name, value in os.environ.items() if name != "TOCSIN_HOME"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    try:
        for line in process.stdout:
            log.append(line)
            if found := re.search(r"listens on (http://\S+) ", line):
                yield found[1]
                break
        else:
            pytest.fail("".join(log))
    finally:
        process.terminate()
        log.append(process.communicate(timeout=60)[0])


@asynccontextmanager
async def _over_http(life: Life, log: list[str]) -> AsyncIterator[httpx2.AsyncClient]:
    with _serving(life, log) as address:
        async with httpx2.AsyncClient(base_url=address, trust_env=False, timeout=60) as client:
            yield client


async def test_over_http_neither_pages_nor_errors_nor_what_the_process_says_tell_more():
    for world in worlds("http", OVER_HTTP):
        async with living(world) as life:
            opinion = await live(life)
            log: list[str] = []
            async with _over_http(life, log) as client:
                faults = [fault async for fault in leaks(life, opinion, client)]
                faults += [fault async for fault in _tells_of_hidden(life, opinion, client)]
            spoken = found_in("".join(log).encode()) & world.canaries.keys()
            faults += [f"the process says {world.canaries[canary]}" for canary in sorted(spoken)]
            assert not faults, said(world, "\n".join(faults))


async def _tells_of_hidden(life: Life, opinion: Opinion, client: httpx2.AsyncClient) -> AsyncIterator[str]:
    """A hidden id and one that never was are answered alike; so are a hidden collection and none."""
    told = sorted({one.id for one in life.world.told()})
    for key, settings in life.world.settings["collections"].items():
        headers = life.headers(settings["readers"][0])
        hidden = [id_ for id_ in told if id_ not in opinion.permitted.ids[key]][:5]
        for id_ in hidden:
            never = f"{id_.partition('--')[0]}--6f0a1b2c-0000-4000-8000-00000000dead"
            asked = [
                [
                    one.bytes.replace(name.encode(), b"*")
                    for one in await crawl.look_for(client, settings["id"], headers, [name])
                ]
                for name in (id_, never)
            ]
            if asked[0] != asked[1]:
                yield f"{key} answers for {id_} otherwise than for what never was"
        others = [
            name
            for name in ("acme", "press", "writer", "rival")
            if name not in settings["readers"] + settings["writers"]
        ]
        for name in others[:1]:
            refused = [one.bytes for one in await crawl.around(client, life.headers(name), [settings["id"]])]
            nothing = "3f0c4d5e-7a11-4c1e-9b0d-0000000000ff"
            absent = [one.bytes for one in await crawl.around(client, life.headers(name), [nothing])]
            if refused != absent:
                yield f"{name}, who may not read {key}, is told that it is there"
