"""History: what writers were told, against what the database holds afterwards.

Each envelope ends in one of three ways: acknowledged (202), refused for now (503 with Retry-After), or without an
answer. What was acknowledged must stand, once and as it was posted; of the rest nobody can tell, but an envelope
is there whole or not at all, and nothing is there that nobody posted.
"""

import asyncio
import itertools
import json
import random
import signal
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx2

from replicas import TAXII, WRITERS, Deployment, indicator, pages, path_of

Value = dict[str, Any]
Key = tuple[str, str]  # id, version
_ASKED_AT_ONCE = 500
_REFUSED = (503, 507)


def key_of(value: Value) -> Key:
    return value["id"], value["modified"]


@dataclass
class History:
    """What all writers together were told. `answers` counts by status; 0: the connection broke off."""

    acknowledged: dict[Key, Value] = field(default_factory=dict)
    unknown: list[list[Value]] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    more: asyncio.Event = field(default_factory=asyncio.Event)  # set with each good answer
    too_late: bool = False  # from here on an acknowledgement counts for nothing: see `test_power_cuts`
    reasons: Counter[str] = field(default_factory=Counter)  # that those who were refused for now were given
    odd: list[str] = field(default_factory=list)  # answers that no client should ever be given
    _fresh: dict[Key, Value] = field(default_factory=dict)

    def acknowledge(self, values: Sequence[Value]) -> None:
        for value in values:
            self.acknowledged[key_of(value)] = self._fresh[key_of(value)] = value

    async def goes_on(self) -> None:
        """Wait for the next good answer."""
        self.more.clear()
        await asyncio.wait_for(self.more.wait(), 60)

    def take_fresh(self) -> dict[Key, Value]:
        """What was acknowledged since this was last asked."""
        fresh, self._fresh = self._fresh, {}
        return fresh

    def note(self, answer: httpx2.Response | None) -> None:
        self.answers[answer.status_code if answer is not None else 0] += 1
        if answer is None or answer.status_code in (200, 202, 304):
            if answer is not None:
                self.more.set()
            return
        reason = _reason(answer) if answer.status_code in _REFUSED and "retry-after" in answer.headers else ""
        if reason:
            self.reasons[reason] += 1
        else:
            self.odd.append(f"{answer.status_code} {dict(answer.headers)} {answer.text[:300]}")

    def everything(self) -> dict[Key, Value]:
        """What was posted, whatever became of it."""
        return {key_of(value): value for values in self.unknown for value in values} | self.acknowledged


def _reason(answer: httpx2.Response) -> str:
    return str(answer.json().get("description", ""))


@dataclass
class Writer:
    """Adds new objects and further versions of its own, a few at a time, until told to stop.

    What it could not add it sometimes sends again as it was, as careful clients do, and sometimes gives up.
    """

    number: int
    history: History
    dice: random.Random
    pause: float = 0.005
    _versions: dict[int, int] = field(default_factory=dict)

    async def write(self, http: httpx2.AsyncClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._add(http, self._envelope(), stop)
            await asyncio.sleep(self.pause)

    def _envelope(self) -> list[Value]:
        values = {}
        for _ in range(self.dice.randint(1, 20)):
            if self._versions and self.dice.random() < 0.25:
                number = self.dice.choice(list(self._versions)[-50:])
                self._versions[number] += 1
            else:
                number = self.number * 100_000_000 + len(self._versions)
                self._versions[number] = 0
            value = indicator(number, self._versions[number])
            values[key_of(value)] = value
        return list(values.values())

    async def _add(self, http: httpx2.AsyncClient, values: list[Value], stop: asyncio.Event) -> None:
        again = self.dice.random() < 0.5
        while True:
            answer = await send(http, values)
            self.history.note(answer)
            if answer is not None and answer.status_code == 202:
                status = answer.json()
                assert (status["success_count"], status["total_count"]) == (len(values), len(values)), status
                if self.history.too_late:
                    self.history.unknown.append(values)
                else:
                    self.history.acknowledge(values)
                return
            await asyncio.sleep(0.05)
            if not again or stop.is_set():
                self.history.unknown.append(values)
                return


async def send(http: httpx2.AsyncClient, values: Sequence[Value], key: str = "a") -> httpx2.Response | None:
    """Post once. None: there was no answer."""
    try:
        return await http.post(path_of(key), json={"objects": values}, headers={"Content-Type": TAXII})
    except httpx2.TransportError:
        return None


@asynccontextmanager
async def writing(
    node: Deployment, history: History, dice: random.Random, count: int = 4, first: int = 0
) -> AsyncIterator[None]:
    """Writers that write while the block runs, and have ended when it has. `first`: numbers nobody else uses."""
    stop = asyncio.Event()

    async def write(number: int) -> None:
        writer = Writer(first + number, history, random.Random(dice.random()))
        async with node.client(node.addresses[0], WRITERS[number]) as http:
            await writer.write(http, stop)

    tasks = [asyncio.create_task(write(number)) for number in range(count)]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


# --- what the database holds -----------------------------------------------------------------------------------


async def ask(url: str, question: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows straight from the database, past all code of the node. A list as value: PostgreSQL's array, or JSON."""
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
        try:
            given = [json.dumps(value) if isinstance(value, list) else value for value in values]
            return connection.execute(question, given).fetchall()
        finally:
            connection.close()
    asked = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await asked.fetch(question, *values)]
    finally:
        await asked.close()


async def check_recent(url: str, history: History) -> None:
    """What was acknowledged since the last check stands, as it was posted, and nothing stands twice."""
    await check_that_it_stands(url, history.take_fresh())
    await check_nothing_doubled(url)
    assert not history.odd, history.odd[:3]


async def check_that_it_stands(url: str, values: dict[Key, Value]) -> None:
    keys = list(values)
    among = "SELECT value FROM json_each(?)" if url.startswith("sqlite") else "SELECT unnest($1::text[])"
    question = (
        "SELECT v.id, v.version, v.raw FROM object_version v JOIN release r ON r.version_seq = v.seq "
        f"WHERE r.op = 'put' AND r.current AND v.id IN ({among})"
    )
    for at in range(0, len(keys), _ASKED_AT_ONCE):
        part = keys[at : at + _ASKED_AT_ONCE]
        found = {(id_, version): raw for id_, version, raw in await ask(url, question, [id_ for id_, _ in part])}
        lost = [key for key in part if key not in found]
        assert not lost, f"{len(lost)} of {len(part)} acknowledged are lost, such as {lost[0]}"
        assert all(json.loads(found[key]) == values[key] for key in part)


async def check_nothing_doubled(url: str) -> None:
    for question in (
        "SELECT id, version, count(*) FROM object_version GROUP BY id, version HAVING count(*) > 1 LIMIT 3",
        "SELECT collection_id, object_id, version_key, count(*) FROM release WHERE op = 'put' "
        "GROUP BY collection_id, object_id, version_key HAVING count(*) > 1 LIMIT 3",
    ):
        assert await ask(url, question) == []


async def check_integrity(url: str) -> None:
    """SQLite's own opinion of the file; PostgreSQL's is given by reading every row of every table."""
    if url.startswith("sqlite"):
        assert await ask(url, "PRAGMA integrity_check") == [("ok",)]
        return
    for (table,) in await ask(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        await ask(url, f'SELECT count(t::text) FROM "{table}" t')


async def check_all(node: Deployment, history: History) -> None:
    """The whole history against the database and against what a reader is shown."""
    await check_that_it_stands(node.database, history.acknowledged)
    await check_recent(node.database, history)
    await check_integrity(node.database)
    shown = await everything_shown(node)
    assert len({key_of(value) for value in shown}) == len(shown)
    posted = history.everything()
    assert all(posted[key_of(value)] == value for value in shown)
    stands = {key_of(value) for value in shown}
    assert stands >= set(history.acknowledged)
    for values in history.unknown:
        there = [key_of(value) in stands for value in values]
        assert all(there) or not any(there), "an envelope is there by halves"


async def reading(node: Deployment, history: History, stop: asyncio.Event) -> None:
    """A reader that asks for a page whatever else goes on, each time another one; `history` notes the answers."""
    async with node.client(node.addresses[0]) as http:
        for limit in itertools.cycle(range(1, 100)):
            if stop.is_set():
                return
            try:
                history.note(await http.get(path_of("a"), params={"limit": limit}))
            except httpx2.TransportError:
                history.note(None)
            await asyncio.sleep(0.02)


async def everything_shown(node: Deployment, by: str = "rita") -> list[Value]:
    shown: list[Value] = []
    async with node.client(node.addresses[0], by) as http:
        async for answer in pages(http, "a", "objects/", {"limit": 1000, "match[version]": "all"}):
            shown += answer.json().get("objects", [])
    return shown


# --- a node that comes back --------------------------------------------------------------------------------------


async def until_ready(node: Deployment, since: float, patience: float = 30.0) -> float:
    """Wait for `/readyz`; the seconds since `since` (time.monotonic())."""
    async with httpx2.AsyncClient(timeout=5) as http:
        while True:
            try:
                if (await http.get(f"{node.addresses[0]}/readyz")).status_code == 200:
                    return time.monotonic() - since
            except httpx2.TransportError:
                pass  # it is still starting
            assert time.monotonic() - since < patience, f"it is not ready again:\n{node.said()[-3000:]}"
            await asyncio.sleep(0.02)


async def start_again(node: Deployment, ended_by: signal.Signals | None = None) -> float:
    """Start the one replica again, after ending it by a signal if one is given; the seconds until it is ready."""
    if ended_by is not None:
        await asyncio.to_thread(node.replicas[0].end, ended_by)
    since = time.monotonic()
    node.replicas[0].start()
    await asyncio.to_thread(node.replicas[0].wait_until_it_listens)
    return await until_ready(node, since)


def spread(seconds: Sequence[float]) -> str:
    """Times in words."""
    return f"{statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s"
