"""A node that ends and starts again under clients that read and add: they go on where they were.

Over SQLite the one process, over PostgreSQL one of two replicas at a time, told to end (SIGTERM) or killed
(SIGKILL).
"""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
import pytest

from replicas import TAXII, Deployment, RoundRobin, deployed, follow, indicator, pages, path_of, post, round_robin

SIZE = 6
SIGNALS = {signal.SIGTERM: 0, signal.SIGKILL: -signal.SIGKILL}


@pytest.fixture(params=["sqlite", "postgresql"])
def node(request, make_empty, tmp_path):
    with deployed(tmp_path, make_empty(request.param), 1 if request.param == "sqlite" else 2) as running:
        yield running


@asynccontextmanager
async def entrance(node: Deployment) -> AsyncIterator[tuple[str, RoundRobin | None]]:
    """Where clients knock: at the one process itself, or at a proxy in front of several."""
    if len(node.replicas) == 1:
        yield node.addresses[0], None
        return
    async with round_robin(node) as proxy:
        yield proxy.address, proxy


@dataclass
class Writer:
    """Adds envelopes until told to stop. `added` was acknowledged; of `unknown` nobody can tell.

    `more` is set with each acknowledgement.
    """

    first: int
    repeats: bool
    added: dict[str, dict] = field(default_factory=dict)
    statuses: list[dict] = field(default_factory=list)
    unknown: list[list[dict]] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, http: httpx2.AsyncClient, stop: asyncio.Event) -> None:
        for number in itertools.count(self.first, SIZE):
            if stop.is_set():
                return
            values = [indicator(number + one) for one in range(SIZE)]
            status = await (post(http, "a", values) if self.repeats else self._once(http, values))
            if status is None:
                self.unknown.append(values)
                await asyncio.sleep(0.1)
                continue
            assert status["success_count"] == SIZE
            self.statuses.append(status)
            self.added |= {value["id"]: value for value in values}
            self.more.set()
            await asyncio.sleep(0.02)

    async def _once(self, http: httpx2.AsyncClient, values: list[dict]) -> dict | None:
        try:
            answer = await http.post(path_of("a"), json={"objects": values}, headers={"Content-Type": TAXII})
        except httpx2.TransportError:
            return None
        assert answer.status_code in (202, 502), answer.text
        return answer.json() if answer.status_code == 202 else None


async def test_reading_and_adding_go_on_over_a_restart_and_nothing_acknowledged_is_lost(node):
    stop, done = asyncio.Event(), asyncio.Event()
    patient, curt = Writer(0, repeats=True), Writer(1_000_000, repeats=False)

    async def reads(asked) -> list[str]:
        async with node.client(address) as http:
            found = []
            async for answer in follow(http, "a", done, **asked):
                found += [one["id"] for one in answer.json()["objects"]]
            return found

    async def walk_on_after(held: str | None, seen: list[str]) -> list[str]:
        """The rest of a walk that began before, up to where it is now."""
        async with node.client(address) as http:
            asked = {"limit": 50, "match[version]": "all"} | ({"next": held} if held else {})
            async for answer in pages(http, "a", "objects/", asked):
                seen += [one["id"] for one in answer.json()["objects"]]
        return seen

    async with entrance(node) as (address, proxy), node.client(address, "writer-0") as http_0:
        async with node.client(address, "writer-1") as http_1, node.client(address) as http:
            await post(http_0, "a", [indicator(2_000_000 + number) for number in range(10)])
            writing = [
                asyncio.create_task(patient.write(http_0, stop)),
                asyncio.create_task(curt.write(http_1, stop)),
            ]
            ways = ({"limit": 5}, {"limit": 9, "walking": False}, {"what": "manifest/", "limit": 7})
            reading = [asyncio.create_task(reads(asked)) for asked in ways]
            held = []
            for number, (how, code) in enumerate(SIGNALS.items()):
                await asyncio.sleep(0.4)
                page = (await http.get(path_of("a"), params={"limit": 3, "match[version]": "all"})).json()
                held.append((page["next"], [one["id"] for one in page["objects"]]))
                replica = node.replicas[number % len(node.replicas)]
                assert await asyncio.to_thread(replica.restart, how) == code
                patient.more.clear()
                await patient.more.wait()
            await asyncio.sleep(0.4)
            stop.set()
            await asyncio.gather(*writing)
            done.set()
            views = await asyncio.gather(*reading)
            status = [(await http_0.get(f"/exchange/status/{one['id']}/")).json() for one in patient.statuses[:5]]
        assert status == patient.statuses[:5]
        everything = await walk_on_after(None, [])
        for cursor, seen in held:
            assert await walk_on_after(cursor, seen) == everything
        async with node.client(address) as http:
            stands = {}
            async for answer in pages(http, "a", "objects/", {"limit": 1000}):
                stands |= {one["id"]: one for one in answer.json()["objects"]}
    assert len(set(everything)) == len(everything) == len(stands)
    assert all(stands[id_] == value for id_, value in {**patient.added, **curt.added}.items())
    for envelope in curt.unknown:  # whole or absent
        assert len({value["id"] for value in envelope} & set(stands)) in (0, SIZE)
    known = {*patient.added, *curt.added, *(one["id"] for envelope in curt.unknown for one in envelope)}
    assert set(stands) - known == {indicator(2_000_000 + number)["id"] for number in range(10)}
    for view in views:
        assert view == everything
    if proxy is not None:
        assert proxy.failed[b"GET"] == 0  # whoever reads has not noticed
