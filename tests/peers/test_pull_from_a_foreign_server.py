"""Pulling from TAXII 2.1 servers that are no nodes: medallion itself, and servers with other habits."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from neighbours import QUICK, a_peer, neighbour
from tocsin.peers.pull import Budget
from tocsin.store import objects as stored
from zoo import COLLECTION, FOLDER, TAXII, Animal, an_offer, animal, http

MEDALLION = Path(sys.executable).with_name("medallion")
PULLED = replace(QUICK, page=7)
NESTED = b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}"


def indicator(number: int, version: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": f"2026-01-01T00:00:{version:02d}.000Z",
        "pattern": "[ipv4-addr:value = '192.0.2.1']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        **more,
    }


def added(second: int) -> str:
    return f"2026-02-01T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.123456Z"


@pytest_asyncio.fixture
async def reader(tmp_path, make_database):
    async with neighbour("Beta", tmp_path / "beta", make_database("sqlite")) as node:
        yield node


async def reads(node, url: str, wanted: str = "regional", **more: Any) -> None:
    await node.apply({"peers": {"zoo": a_peer(url, wanted, **more)}})
    node.home.write_secret("peers/zoo", "w0rd")


# --- medallion -----------------------------------------------------------------------------------------------


def medallion_data(objects: list[dict[str, Any]], dates: list[str]) -> dict[str, Any]:
    version = "application/stix+json;version=2.1"
    manifest = [
        {"id": value["id"], "date_added": date, "version": value["modified"], "media_type": version}
        for value, date in zip(objects, dates, strict=True)
    ]
    collection = {
        "id": COLLECTION,
        "title": "Regional exchange",
        "can_read": True,
        "can_write": True,
        "media_types": [version],
        "objects": objects,
        "manifest": manifest,
    }
    root = {"title": "root", "versions": [TAXII], "max_content_length": 10_000_000}
    return {
        "/discovery": {"title": "medallion", "default": "/root/", "api_roots": ["/root/"]},
        "root": {"information": root, "status": [], "collections": [collection]},
    }


@pytest_asyncio.fixture
async def medallion(tmp_path):
    """Starts medallion with the objects given; gives its discovery address."""
    running: list[subprocess.Popen] = []

    async def start(objects: list[dict[str, Any]], dates: list[str]) -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        data = tmp_path / "data.json"
        data.write_text(json.dumps(medallion_data(objects, dates)))
        backend = {"module": "medallion.backends.memory_backend", "module_class": "MemoryBackend"}
        settings = {
            "backend": {**backend, "filename": str(data)},
            "users": {"beta": "w0rd"},
            "taxii": {"max_page_size": 20},
        }
        file = tmp_path / "medallion.json"
        file.write_text(json.dumps(settings))
        command = [MEDALLION, "--host", "127.0.0.1", "--port", str(port), str(file)]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        quiet["env"] = {**os.environ, "PYTHONWARNINGS": "ignore"}
        running.append(subprocess.Popen(command, **quiet))  # noqa: ASYNC220  (killed at the end, never waited for)
        url = f"http://127.0.0.1:{port}/taxii2/"
        async with httpx2.AsyncClient() as http_client:
            for _ in range(200):
                try:
                    await http_client.get(url)
                    return url
                except httpx2.ConnectError:
                    await asyncio.sleep(0.1)
        raise AssertionError("medallion does not come up")

    yield start
    for process in running:
        process.kill()
        process.wait()


async def test_medallion_is_read_whole_and_again_changes_nothing(medallion, reader):
    objects = [indicator(n) for n in range(45)] + [indicator(3, version=1)]
    url = await medallion(objects, [added(n // 10) for n in range(45)] + [added(99)])
    await reads(reader, url, "Regional exchange", auth="basic", user="beta")
    report = await reader.pull("zoo", "Regional exchange", PULLED)
    assert (report.state, report.error) == ("in step", "")
    assert report.tally.stored == 46
    assert {(id_, version) for id_, version, _ in await reader.holds("zoo")} == {
        (value["id"], value["modified"]) for value in objects
    }
    ledger = await reader.ledger("zoo")
    assert len(ledger) == 46
    again = await reader.pull("zoo", "Regional exchange", PULLED)
    assert (again.state, again.tally.stored) == ("in step", 0)
    assert await reader.ledger("zoo") == ledger


async def test_one_object_of_medallion_that_is_no_json_is_refused_at_its_date_and_passed(medallion, reader):
    objects = [indicator(n) for n in range(30)]
    objects[17]["x_score"] = float("nan")  # Python writes it as NaN, which is not JSON
    url = await medallion(objects, [added(n) for n in range(30)])
    await reads(reader, url, "Regional exchange", auth="basic", user="beta")
    report = await reader.pull("zoo", "Regional exchange", replace(QUICK, page=16))
    assert (report.state, report.error) == ("in step", "")
    held = {id_ for id_, _, _ in await reader.holds("zoo")}
    assert held == {value["id"] for value in objects} - {objects[17]["id"]}
    refused = [row for row in await reader.ledger("zoo") if row.outcome == "refused"]
    assert [row.position for row in refused] == [added(17)]


async def test_a_wrong_password_is_said_so(medallion, reader):
    url = await medallion([indicator(1)], [added(1)])
    await reads(reader, url, "Regional exchange", auth="basic", user="nobody")
    report = await reader.pull("zoo", "Regional exchange")
    assert (report.state, report.error) == ("failed", "zoo does not accept our credential (401)")
    assert (await reader.state("zoo", "Regional exchange")).attempts == 1


# --- other habits --------------------------------------------------------------------------------------------


class Shelf:
    """A TAXII server over (date, object) pairs, whose habits a test can change."""

    def __init__(self, zoo: Animal, items: list[tuple[str, Any]]) -> None:
        self.items = items
        self.next_lives = True  # whether `next` is known at the request after
        self.says_next = True
        self.says_dates = True
        self.ignores_limit = False
        self.queries: list[dict[str, list[str]]] = []
        zoo.answers |= an_offer()
        zoo.answers[f"{FOLDER}objects/"] = self.answer

    async def answer(self, asked, writer) -> None:
        query = {name: values[0] for name, values in asked.query.items()}
        self.queries.append(query)
        if "next" in query and not self.next_lives:
            writer.write(http(400, {"title": "unknown next"}))
            return
        after = query.get("added_after", "")
        start = int(query.get("next", 0)) or sum(date <= after for date, _ in self.items)
        stop = len(self.items) if self.ignores_limit else start + int(query["limit"])
        page = self.items[start:stop]
        more = stop < len(self.items)
        raw = [one if isinstance(one, bytes) else json.dumps(one).encode() for _, one in page]
        head = b'{"more": %b, ' % (b"true" if more else b"false")
        if more and self.says_next:
            head += b'"next": "%d", ' % stop
        dates = {}
        if page and self.says_dates:
            dates = {"X_TAXII_Date_Added_First": page[0][0], "X_TAXII_Date_Added_Last": page[-1][0]}
        writer.write(http(200, head + b'"objects": [' + b", ".join(raw) + b"]}", **dates))


@pytest_asyncio.fixture
async def shelf(reader):
    async with animal() as zoo:
        await reads(reader, zoo.url)
        yield Shelf(zoo, [(added(n * 60), indicator(n)) for n in range(40)])


def ids_of(items) -> set[str]:
    return {value["id"] for _, value in items if isinstance(value, dict)}


async def held(reader) -> set[str]:
    return {id_ for id_, _, _ in await reader.holds("zoo")}


@pytest.mark.parametrize(
    ("habit", "value"),
    [("says_next", False), ("says_dates", False), ("ignores_limit", True), ("next_lives", True)],
)
async def test_servers_of_every_habit_are_read_to_the_end(shelf, reader, habit, value):
    setattr(shelf, habit, value)
    report = await reader.pull("zoo", terms=PULLED)
    assert (report.state, report.error) == ("in step", "")
    assert await held(reader) == ids_of(shelf.items)
    assert (await reader.pull("zoo", terms=PULLED)).tally.stored == 0
    assert len(await reader.ledger("zoo")) == 40


async def test_digits_and_unknown_properties_arrive_as_they_were_written(shelf, reader):
    odd = (
        b'{"x_exact": 0.1000000000000000055511151231257827, "x_big": 1e2, ' + json.dumps(indicator(7)).encode()[1:]
    )
    shelf.items = [(added(1), odd)]
    await reader.pull("zoo")
    async with reader.store.reading() as tx:
        found = await stored.newest(tx, [indicator(7)["id"]])
    assert found[indicator(7)["id"]].raw == odd


async def test_each_cycle_reads_the_last_five_minutes_again_and_finds_what_was_committed_late(shelf, reader):
    await reader.pull("zoo", terms=PULLED)
    late = indicator(99)
    shelf.items.insert(37, (added(36 * 60 + 30), late))  # dated before what we have seen, committed after
    report = await reader.pull("zoo", terms=PULLED)
    assert report.tally.stored == 1
    assert late["id"] in await held(reader)
    assert {row.outcome for row in await reader.ledger("zoo")} == {"stored"}


async def test_a_cycle_that_stops_half_way_goes_on_from_its_page_or_its_date(shelf, reader):
    small = replace(PULLED, budget=Budget(objects=10))
    assert (await reader.pull("zoo", terms=small)).state == "unfinished"
    assert (await reader.pull("zoo", terms=small)).state == "unfinished"
    assert shelf.queries[2]["next"] == "14"
    shelf.next_lives = False  # restarted, or expired
    shelf.says_next = False
    assert (await reader.pull("zoo", terms=PULLED)).state == "in step"
    assert await held(reader) == ids_of(shelf.items)


async def test_equal_dates_over_several_pages_lose_nothing(shelf, reader):
    shelf.items = [(added(1), indicator(n)) for n in range(30)]
    await reader.pull("zoo", terms=replace(PULLED, budget=Budget(objects=10)))
    assert (await reader.pull("zoo", terms=PULLED)).state == "in step"
    assert await held(reader) == ids_of(shelf.items)


@pytest.mark.parametrize(
    "bad",
    [
        b'{"x": NaN}',
        b'{"x": "\xff\xfe"}',
        b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"x": "\x01"}',
        b"{x: 1}",
    ],
    ids=["NaN", "not UTF-8", "nested", "control character", "no JSON"],
)
async def test_an_unreadable_object_is_refused_at_its_date_and_its_neighbours_get_in(shelf, reader, bad):
    shelf.items[20] = (shelf.items[20][0], bad)
    report = await reader.pull("zoo", terms=replace(QUICK, page=16))
    assert (report.state, report.error) == ("in step", "")
    assert await held(reader) == ids_of(shelf.items)
    refused = [row.position for row in await reader.ledger("zoo") if row.outcome == "refused"]
    assert refused == [added(20 * 60)]
    await reader.pull("zoo", terms=PULLED)
    assert len(await reader.ledger("zoo")) == 40


async def test_a_page_that_is_cut_off_is_the_servers_trouble_and_nothing_is_passed(shelf, reader):
    whole = shelf.answer

    async def cut(asked, writer):
        writer.write(
            http(200, b'{"more": false, "objects": [{"type": "indic', X_TAXII_Date_Added_Last=added(9999))
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "answer", cut)
        async with animal() as zoo:
            zoo.answers |= an_offer() | {f"{FOLDER}objects/": cut}
            await reads(reader, zoo.url)
            report = await reader.pull("zoo")
            assert "cannot be read" in report.error
            assert (await reader.state("zoo")).cursor is None
            zoo.answers[f"{FOLDER}objects/"] = whole
            assert (await reader.pull("zoo")).state == "in step"
    assert await held(reader) == ids_of(shelf.items)


async def test_the_same_page_again_and_again_is_noticed(reader):
    async def stuck(asked, writer):
        body = {"more": True, "next": "x", "objects": [indicator(1)]}
        writer.write(http(200, body, X_TAXII_Date_Added_Last=added(1)))

    async with animal() as zoo:
        zoo.answers |= an_offer() | {f"{FOLDER}objects/": stuck}
        await reads(reader, zoo.url)
        report = await reader.pull("zoo")
    assert (report.state, report.error) == ("failed", "zoo gives the same page again and again")


async def test_more_without_a_way_on_is_an_error_and_not_a_loop(reader):
    async def lost(asked, writer):
        writer.write(http(200, {"more": True, "objects": []}))

    async with animal() as zoo:
        zoo.answers |= an_offer() | {f"{FOLDER}objects/": lost}
        await reads(reader, zoo.url)
        report = await reader.pull("zoo")
        assert len(zoo.asked) < 12
    assert report.error == "zoo says that there is more, and not where"


async def test_another_collection_under_the_same_title_is_not_followed(reader):
    async with animal() as zoo:
        zoo.answers |= an_offer() | {f"{FOLDER}objects/": http(200, {})}
        await reads(reader, zoo.url)
        assert (await reader.pull("zoo")).state == "in step"
        other = COLLECTION.replace("1", "2")
        zoo.answers |= an_offer(id_=other)
        report = await reader.pull("zoo")
        assert "another collection is not followed under the same name" in report.error
        assert not any(other in path for path in zoo.paths())
        assert (await reader.state("zoo")).collection_id == COLLECTION
