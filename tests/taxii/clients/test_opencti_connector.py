"""OpenCTI's connector `external-import/taxii2`: the real taxii2-client, driven as its `client_taxii.py` does.

Its behaviour: peers.md 5.1 and connectors#1123, #1298, #1683, #7604; public source OpenCTI-Platform/connectors,
`external-import/taxii2/src/connector`. Discovery → API root by the last segment of its path → collection by
*title*, written together as `exchange.Regional exchange`, or `exchange.*` for all. One set of filters serves every
request and is kept between runs: `added_after` is thrown away once there is a `next`, and the last `next` goes
along ever after, also into the next run, together with a new `added_after`. That is the time *by its own clock, in
whole seconds* at which the run before began.

What that can promise: everything that was committed before a run begins is read by that run or was read by an
earlier one, some of it twice, while its clock is behind ours by more than a write may take (what is being
committed has its date already). It rests on the clock of a client, so no server can promise more; the loss is
shown below.

With `.*` its one set of filters sends a `next` of one collection to another, which is an error here, as it must
be: it would be a position in something else.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from busy_writer import beside
from requests.auth import AuthBase, HTTPBasicAuth
from requests.exceptions import HTTPError
from taxii2client.common import TokenAuth
from taxii2client.v21 import Server

from taxii_node import REGIONAL, SECOND, ServedNode, indicator
from tocsin.stix.objects import make_object
from tocsin.store import objects, releases
from tocsin.store.releases import Entry


class ApiKeyAuth(AuthBase):
    """Its `custom header`."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def __call__(self, request):
        request.headers[self.name] = self.value
        return request


@dataclass
class Connector:
    """One configured connector; what is kept between runs is `filters` (in memory) and `last_run` (stored)."""

    discovery_url: str
    collection: str  # root.title
    auth: AuthBase
    limit: int | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    filters: dict = field(default_factory=dict)
    last_run: int | None = None
    requests: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        """The ids that one run sends on."""
        began = int(self.clock().timestamp())
        if self.limit:
            self.filters["limit"] = self.limit
        if self.last_run is None:
            self.filters["added_after"] = self.clock().replace(tzinfo=None) - timedelta(hours=24)
        else:
            moment = datetime.fromtimestamp(self.last_run, tz=UTC)
            self.filters["added_after"] = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        found = self._collect()
        self.last_run = began
        return [one["id"] for one in found]

    def _collect(self) -> list[dict]:
        path, title = self.collection.split(".")
        with Server(self.discovery_url, auth=self.auth) as server:
            for root in server.api_roots:
                if root.url.split("/")[-2] != path:
                    continue
                with root:
                    note = root._conn.session.hooks["response"]
                    note.append(lambda response, **_: self.requests.append(response.url))
                    found = []
                    for collection in root.collections:
                        if title in ("*", collection.title):
                            found += self._poll(collection)
                    return found
        raise LookupError(f"API root {path} does not exist")

    def _poll(self, collection) -> list[dict]:
        found: list[dict] = []
        response = collection.get_objects(**self.filters)
        if not response.get("objects"):
            return found
        if response["objects"][0].get("spec_version") != "2.1":
            raise AssertionError("it would take this server for a TAXII 2.0 one")
        for _ in range(100):  # it has no such bound, and would go on for ever on `more` without `next`
            found += response["objects"]
            if response.get("more") is not True:
                return found
            if "next" in response:
                self.filters.pop("added_after", None)
                self.filters["next"] = response["next"]
                response = collection.get_objects(**self.filters)
        raise AssertionError("it would never come to an end")


def connector(node: ServedNode, **more) -> Connector:
    given = {"collection": "exchange.Regional exchange", "auth": TokenAuth(node.tokens["rita"]), **more}
    return Connector(f"{node.url}/taxii2/", **given)


@pytest.mark.parametrize("kind", ["basic", "token", "api key"])
async def test_it_finds_its_collection_by_title_with_each_of_its_credentials(node, writer, kind):
    await writer.burst(3)
    token = node.tokens["rita"]
    auth = {
        "basic": HTTPBasicAuth("rita", token),
        "token": TokenAuth(token),
        "api key": ApiKeyAuth("X-API-Key", token),
    }
    one = connector(node, auth=auth[kind])
    assert await beside(one.run) == writer.added


async def test_it_pages_by_next_alone_and_every_object_comes_once(node, writer):
    await writer.burst(11)
    one = connector(node, limit=4)
    assert await beside(one.run) == writer.added
    pages = [url for url in one.requests if "/objects/" in url]
    assert ["added_after=" in url for url in pages] == [True, False, False]
    assert ["next=" in url for url in pages] == [False, True, True]


async def test_run_after_run_nothing_is_lost_while_a_writer_adds(node, writer):
    await writer.burst(6)
    one = connector(node, limit=4, clock=lambda: datetime.now(UTC) - timedelta(seconds=30))
    got = await beside(one.run) + await writer.watched(lambda: beside(one.run))
    assert set(got) == set(writer.added)


async def test_its_old_next_and_new_added_after_both_hold(node, writer):
    """Without a page to follow, the `next` of a former run stays in its filters."""
    await writer.burst(9)
    now = datetime.now(UTC)
    one = connector(node, limit=4, clock=lambda: now)
    assert await beside(one.run) == writer.added
    one.clock = lambda: now + timedelta(hours=1)
    one.last_run = int((now + timedelta(minutes=1)).timestamp())
    assert await beside(one.run) == []
    one.last_run = int((now - timedelta(hours=1)).timestamp())
    # the date alone would give all nine; the `next` of the last page gives what followed it
    assert await beside(one.run) == writer.added[8:]
    (asked,) = [url for url in one.requests[-1:] if "/objects/" in url]
    assert "next=" in asked
    assert "added_after=" in asked


async def test_what_is_being_committed_while_a_run_begins_may_be_lost_to_it_and_to_nobody_else(node, writer):
    """Its next date is by its own clock, and may lie between an object's date and the moment it can be seen."""
    one = connector(node)
    await writer.burst(1)
    async with node.store.writing() as tx:
        now = await tx.now()
        await put(tx, node, indicator(700), now)
        await asyncio.sleep(1.01 - now % 1_000_000 / 1_000_000)  # into the next whole second
        assert await beside(one.run) == writer.added
    assert await beside(one.run) == []  # although it stands by now
    dated = (await node.get("manifest/")).json()["objects"][0]["date_added"]
    after = await node.get("objects/", params={"added_after": dated})  # whoever goes by the dates that he read
    assert [value["id"] for value in after.json()["objects"]] == [indicator(700)["id"]]


async def put(tx, node: ServedNode, value: dict, now: int) -> None:
    """Into the log, in a transaction that is still open."""
    version = make_object(value)
    stored = await objects.add_version(tx, version, received=now)
    await objects.set_word(tx, stored.seq, "", "", "put", authentic=True, hops=0, at=now)
    entry = Entry("put", version.id, version.type, stored.seq, stored.version_key, "whole", 0)
    await releases.append(tx, REGIONAL, [entry], node.configuration.sha256, now)


async def test_all_collections_of_a_root_are_read_as_long_as_each_fits_into_one_page(node, writer):
    await writer.burst(3)
    await node.fill([indicator(500)], collection_id=SECOND)
    one = connector(node, collection="exchange.*")
    assert await beside(one.run) == [*writer.added, indicator(500)["id"]]


async def test_with_more_than_a_page_it_takes_the_next_of_one_collection_to_another_which_is_refused(node, writer):
    """connectors#1683; a position in one log is none in another, and page one would be a lie."""
    await writer.burst(5)
    await node.fill([indicator(500)], collection_id=SECOND)
    one = connector(node, collection="exchange.*", limit=4)
    with pytest.raises(HTTPError, match="400"):
        await beside(one.run)
