"""Eight writers and eight pollers at once: whatever way a client goes on from what it has, it misses nothing.

On SQLite with one process and with two, on PostgreSQL with two replicas. Each writer adds some 150 objects;
in the full form 1,500; `TOCSIN_TEST_WRITERS` asks for a number.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2
import pytest

from extent import dice_for, extent
from replicas import WRITERS, deployed, follow, indicator, path_of, patiently, post, round_robin

OBJECTS = extent("writers", 150, 1500)
COMMON = 900_000_000  # numbers from here on are those that every writer claims

Seen = tuple[str, str, str]  # id, version, name: of two contents under one version, which


def _seen(value: dict[str, Any]) -> Seen:
    return value["id"], value["modified"], value["name"]


@dataclass
class Writer:
    """Adds new objects, further versions of its own, what it added before, and objects that others add as well."""

    number: int
    added: dict[Seen, dict[str, Any]] = field(default_factory=dict)
    refused: set[Seen] = field(default_factory=set)
    _versions: dict[int, int] = field(default_factory=dict)

    def envelopes(self) -> Iterator[list[dict[str, Any]]]:
        dice = dice_for(f"writer {self.number}")
        left = OBJECTS
        while left > 0:
            values = {_seen(value): value for value in (self._value(dice) for _ in range(dice.randint(10, 50)))}
            left -= len(values)
            yield list(values.values())

    def _value(self, dice: random.Random) -> dict[str, Any]:
        what = dice.choices(("new", "version", "older", "again", "common"), (60, 15, 5, 5, 15))[0]
        if what == "common":
            return self._named(COMMON + dice.randrange(max(10, OBJECTS // 10)), 0)
        if what == "new" or not self._versions:
            number = self.number * 10_000_000 + len(self._versions)
            self._versions[number] = 10 * dice.randrange(2)
        else:
            number = dice.choice(list(self._versions))
            self._versions[number] += 10 * (what == "version")
        # an older version, between two that stand: it is added, and never becomes the last
        behind = dice.randrange(1, 10) if what == "older" and self._versions[number] else 0
        return self._named(number, self._versions[number] - behind)

    def _named(self, number: int, version: int) -> dict[str, Any]:
        kind = "malware" if number % 5 == 0 else "indicator"
        value = indicator(number, version, name=f"{number} of writer {self.number}, {version}")
        if kind == "indicator":
            return value
        kept = {name: value[name] for name in ("spec_version", "created", "modified", "name")}
        return {"type": kind, "id": value["id"].replace("indicator", kind), "is_family": False, **kept}

    async def write(self, http: httpx2.AsyncClient) -> None:
        for values in self.envelopes():
            status = await post(http, "a", values)
            succeeded = {(one["id"], one["version"]) for one in status.get("successes", [])}
            failed = {(one["id"], one["version"]) for one in status.get("failures", [])}
            assert not succeeded & failed
            for value in values:
                if (value["id"], value["modified"]) in succeeded:
                    self.added[_seen(value)] = value
                else:
                    assert (value["id"], value["modified"]) in failed
                    self.refused.add(_seen(value))


@dataclass
class Poller:
    """What one client has, by id: the last version that it saw. `came`: everything, as it came."""

    has: dict[str, dict[str, Any]] = field(default_factory=dict)
    came: list[Seen] = field(default_factory=list)

    def take(self, values: list[dict[str, Any]]) -> None:
        for value in values:
            self.came.append(_seen(value))
            if value["id"] not in self.has or self.has[value["id"]]["modified"] < value["modified"]:
                self.has[value["id"]] = value


Way = Callable[[httpx2.AsyncClient, asyncio.Event, Poller], Awaitable[None]]


async def _following(http: httpx2.AsyncClient, done: asyncio.Event, poller: Poller, **asked: Any) -> None:
    async for answer in follow(http, "a", done, **asked):
        poller.take(answer.json()["objects"])


async def _by_next_for_ever(http: httpx2.AsyncClient, done: asyncio.Event, poller: Poller) -> None:
    """Keeps the last `next` that it was given, also where a walk ended, and takes what comes after it again."""
    query: dict[str, str | int] = {"limit": 20}
    while True:
        finished = done.is_set()
        answer = await patiently(lambda: http.get(path_of("a"), params=query))
        page = answer.json()
        known = len(set(poller.came))
        poller.take(page.get("objects", []))
        if page.get("more"):
            query["next"] = page["next"]
        elif finished and len(set(poller.came)) == known:
            return
        else:
            await asyncio.sleep(0.05)


async def _manifest_then_each(http: httpx2.AsyncClient, done: asyncio.Event, poller: Poller) -> None:
    """Reads what there is from the manifest, and each version of it by id."""
    last = ""
    async for answer in follow(http, "a", done, "manifest/", limit=30, **{"match[version]": "all"}):
        for record in answer.json()["objects"]:
            assert record["date_added"] > last
            last = record["date_added"]
            path = path_of("a", f"objects/{record['id']}/")
            asked = partial(http.get, path, params={"match[version]": record["version"]})
            (value,) = (await patiently(asked)).json()["objects"]
            poller.take([value])


async def _whole_unless_unchanged(http: httpx2.AsyncClient, done: asyncio.Event, poller: Poller) -> None:
    """Asks what came after a date as long as it is told 304, and goes on from there."""
    query: dict[str, str | int] = {"limit": 1000}
    headers: dict[str, str] = {}
    while True:
        finished = done.is_set()
        answer = await patiently(partial(http.get, path_of("a"), params=query, headers=headers))
        values = [] if answer.status_code == 304 else answer.json().get("objects", [])
        poller.take(values)
        if values:
            query["added_after"] = answer.headers["X-TAXII-Date-Added-Last"]
            headers = {}
        elif finished:
            return
        else:
            headers = {"If-None-Match": answer.headers["ETag"]}
            await asyncio.sleep(0.05)


async def _type_by_type(http: httpx2.AsyncClient, done: asyncio.Event, poller: Poller) -> None:
    kinds = ("indicator", "malware")
    await asyncio.gather(*(_following(http, done, poller, limit=15, **{"match[type]": kind}) for kind in kinds))


def _milliseconds(date: str) -> str:
    return f"{date[:23]}Z"


LAST: dict[str, Way] = {
    "next within a walk, then the date": partial(_following, limit=25),
    "the date alone": partial(_following, limit=10, walking=False),
    "the date cut to milliseconds": partial(_following, limit=40, shown=_milliseconds),
    "next for ever": _by_next_for_ever,
    "304 until something comes": _whole_unless_unchanged,
    "type by type": _type_by_type,
}
ALL: dict[str, Way] = {
    "all versions": partial(_following, limit=35, **{"match[version]": "all"}),
    "manifest, then each by id": _manifest_then_each,
}
REPEATS = {"the date cut to milliseconds", "next for ever"}  # these see some objects again, by their own doing


@pytest.mark.parametrize(("engine", "processes"), [("sqlite", 1), ("sqlite", 2), ("postgresql", 2)])
async def test_every_poller_ends_with_exactly_what_stands(make_empty, tmp_path, engine, processes):
    done = asyncio.Event()
    writers = [Writer(number) for number in range(len(WRITERS))]
    pollers = {name: Poller() for name in (*LAST, *ALL)}

    with deployed(tmp_path, make_empty(engine), processes) as node:
        async with round_robin(node) as proxy:

            async def write(writer: Writer) -> None:
                async with node.client(proxy.address, WRITERS[writer.number]) as http:
                    await writer.write(http)

            async def poll(name: str, way: Way) -> None:
                async with node.client(proxy.address) as http:
                    await way(http, done, pollers[name])

            polling = [asyncio.create_task(poll(name, way)) for name, way in {**LAST, **ALL}.items()]
            await asyncio.gather(*map(write, writers))
            done.set()
            await asyncio.gather(*polling)
            assert len(proxy.served) == processes
            assert not proxy.failed

    added = {seen: value for writer in writers for seen, value in writer.added.items()}
    _check_that_each_common_object_has_one_writer(writers)
    last: dict[str, dict[str, Any]] = {}
    for (id_, version, _), value in added.items():
        if id_ not in last or last[id_]["modified"] < version:
            last[id_] = value
    assert len(last) > OBJECTS
    for name, poller in pollers.items():
        assert poller.has == last, name
        assert set(poller.came) <= set(added), name
        if name in ALL:
            assert set(poller.came) == set(added), name
        if name not in REPEATS:
            assert len(set(poller.came)) == len(poller.came), name


def _check_that_each_common_object_has_one_writer(writers: list[Writer]) -> None:
    claimed = {id_ for writer in writers for id_, _, _ in (*writer.added, *writer.refused) if _is_common(id_)}
    assert claimed
    for id_ in claimed:
        holders = [writer.number for writer in writers if any(seen[0] == id_ for seen in writer.added)]
        assert len(holders) == 1, id_
        assert all(seen[0] != id_ for seen in writers[holders[0]].refused)
    for writer in writers:
        assert all(_is_common(id_) for id_, _, _ in writer.refused)


def _is_common(id_: str) -> bool:
    return int(id_[-12:]) >= COMMON
