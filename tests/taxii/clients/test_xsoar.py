"""Cortex XSOAR's TAXII 2 feed: the real taxii2-client, driven as its `TAXII2ApiModule` and `FeedTAXII2` do.

Its behaviour: peers.md 5.1; public source demisto/content, `Packs/ApiModules/Scripts/TAXII2ApiModule` and
`Packs/FeedTAXII/Integrations/FeedTAXII2`. Discovery URL → default API root → collection by *title*; user name
`_api_token_key` means `Token`, `_header:Name` a header of that name, anything else Basic. Pages of 100; a page
without objects ends the fetch; 2.0 is tried only after 406. The next `added_after` is not the server's date but
the newest `modified` among the objects that it parsed, and what it had in its last fetch it leaves out by id and
`modified`.

What that can promise, and why:

* Nothing is lost, because here `date_added` ≥ `modified` and positions rise: whatever was not read stands beyond
  everything that was read, so beyond the newest `modified` that was read. Both are looked at below.
* Objects are fetched again for as long as nothing newer is *modified*, however they were added. So with a greatest
  number of indicators per fetch it may see the first ones for ever: old incidents posted today. Without one
  (its default) it does not.
* An object whose `modified` lies in the future breaks the first sentence: everything until that moment is skipped.
  The node takes such an object, since nothing here reads versions as times; only the operator can tell.
* Observables, which have no `modified`, make its own comparison fail when it fetches them twice; it is to be given
  the types that it should ask for.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from busy_writer import beside
from requests.auth import HTTPBasicAuth
from requests.exceptions import HTTPError
from requests.sessions import merge_setting
from requests.structures import CaseInsensitiveDict
from taxii2client import v20, v21
from taxii2client.common import TokenAuth, _HTTPConnection

from taxii_node import ServedNode, domain, indicator
from tocsin.stix.objects import version_key

PARSED = frozenset({"indicator", "malware", "domain-name"})  # of what is posted here; `incident` has no parser


def _datetime(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def years_ago(number: int) -> str:
    return (datetime.now(UTC) - timedelta(days=365 * number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Xsoar:
    """One configured feed. `last_run` is all that it keeps between fetches."""

    discovery_url: str
    title: str
    user: str
    password: str
    objects_to_fetch: list[str] = field(default_factory=list)
    limit: int = -1  # indicators per fetch; no limit
    limit_per_request: int = 100
    last_run: dict = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    between: Callable[[], None] | None = None  # called after each page

    def fetch(self) -> list[dict]:
        """What one scheduled `fetch-indicators` brings in."""
        conn = self._connect("2.1")
        try:
            root = self._root(conn)
            collection = next(one for one in root.collections if one.title == self.title)
            # `parse_date_range("1 year")`
            added_after = self.last_run.get(collection.id) or years_ago(1)
            fetched, newest = self._read(collection, added_after)
        finally:
            conn.close()
        self.last_run[collection.id] = newest or added_after
        return self._not_had_before(fetched)

    def _connect(self, version: str) -> _HTTPConnection:
        auth = header = None
        if self.user == "_api_token_key":
            auth = TokenAuth(key=self.password)
        elif self.user.startswith("_header:"):
            header = self.user.split("_header:")[1]
        else:
            auth = HTTPBasicAuth(self.user, self.password)
        conn = _HTTPConnection(verify=True, proxies=None, version=version, auth=auth, cert=None)
        conn.session.hooks["response"].append(lambda response, **_: self.queries.append(response.url))
        if header:
            conn.session.headers = merge_setting(
                conn.session.headers, {header: self.password}, dict_class=CaseInsensitiveDict
            )
        return conn

    def _root(self, conn: _HTTPConnection):
        try:
            server = v21.Server(self.discovery_url, conn=conn)
            roots = server.api_roots
        except HTTPError as why:
            if why.response.status_code != 406 and "version=2.0" not in str(why):
                raise
            server = v20.Server(self.discovery_url, conn=self._connect("2.0"))
            roots = server.api_roots
        for root in roots:
            root._conn.close()
        chosen = server.default or roots[0]
        chosen._conn = conn
        return chosen

    def _read(self, collection, added_after: str) -> tuple[list[dict], str | None]:
        wanted = {}
        if self.objects_to_fetch:
            if "relationship" not in self.objects_to_fetch and len(self.objects_to_fetch) > 1:
                self.objects_to_fetch.append("relationship")
            wanted["type"] = self.objects_to_fetch
        page_size = min(self.limit_per_request, self.limit) if self.limit > -1 else self.limit_per_request
        found, newest = [], None
        for envelope in v21.as_pages(
            collection.get_objects, per_request=page_size, added_after=added_after, **wanted
        ):
            if not envelope.get("objects"):
                break
            for value in envelope["objects"]:
                if value["type"] not in PARSED:
                    continue
                found.append(value)
                modified = value.get("modified")
                if modified and (newest is None or _datetime(modified) > _datetime(newest)):
                    newest = modified
                if -1 < self.limit <= len(found):
                    return found, newest
            if self.between:
                self.between()
        return found, newest

    def _not_had_before(self, fetched: list[dict]) -> list[dict]:
        had = self.last_run.get("latest_indicators")
        if not had:
            fresh = fetched
        else:
            fresh = []
            for value in fetched:
                saved = next((one for one in had if value["id"] in one), None)
                # as there: the comparison is one of texts, and fails where there is no `modified`
                if saved is None or value.get("modified", "") > saved[value["id"]]:
                    fresh.append(value)
        self.last_run["latest_indicators"] = [{one["id"]: one.get("modified")} for one in fetched]
        return fresh


def feed(node: ServedNode, **more) -> Xsoar:
    given = {"user": "rita", "password": node.tokens["rita"], **more}
    return Xsoar(f"{node.url}/taxii2/", "Regional exchange", **given)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def fresh(number: int, **more) -> dict:
    """An indicator that was modified this moment, as most of a feed is."""
    moment = now()
    return indicator(number, moment, created=moment, **more)


def ids(values) -> list[str]:
    return [value["id"] for value in values]


# --- finding and being let in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["rita", "_api_token_key", "_header:X-API-Key"])
async def test_it_finds_its_collection_by_title_with_each_of_its_credentials(node, writer, user):
    await writer.post([indicator(1)])
    xsoar = feed(node, user=user)
    assert ids(await beside(xsoar.fetch)) == writer.added
    paths = [url.removeprefix(node.url).partition("?")[0] for url in xsoar.queries]
    assert paths == ["/taxii2/", "/exchange/collections/", paths[2]]
    assert paths[2].endswith("/objects/")


async def test_a_wrong_token_is_an_error_and_no_reason_to_try_2_0(node):
    xsoar = feed(node, password="wrong")
    with pytest.raises(HTTPError, match="401"):
        await beside(xsoar.fetch)
    assert len(xsoar.queries) == 1


async def test_what_asks_for_2_0_alone_is_told_406(node):
    def ask():
        with (
            v20.Server(f"{node.url}/taxii2/", user="rita", password=node.tokens["rita"]) as server,
            pytest.raises(HTTPError, match="406"),
        ):
            server.refresh()

    await beside(ask)


# --- nothing lost ---------------------------------------------------------------------------------------------


async def test_an_empty_collection_is_an_empty_fetch(node):
    xsoar = feed(node)
    assert await beside(xsoar.fetch) == []
    assert await beside(xsoar.fetch) == []


async def test_pages_hold_a_hundred_and_every_object_comes_once(node, writer):
    await writer.burst(230)
    xsoar = feed(node)
    assert ids(await beside(xsoar.fetch)) == writer.added
    assert [url.count("limit=100") for url in xsoar.queries if "/objects/" in url] == [1, 1, 1]
    assert await beside(xsoar.fetch) == []


async def test_fetch_after_fetch_everything_comes_once_while_a_writer_adds_between_and_during_pages(node, writer):
    number = 0

    async def add(count):
        nonlocal number
        values = [fresh(number + one) for one in range(count)]
        number += count
        await writer.post(values)

    loop, pages = asyncio.get_running_loop(), 0

    def between():
        nonlocal pages
        pages += 1
        if pages % 2:
            asyncio.run_coroutine_threadsafe(add(1), loop).result(30)

    xsoar = feed(node, limit_per_request=4, between=between)
    got = []
    await add(10)
    for _ in range(3):
        await add(3)
        got += ids(await beside(xsoar.fetch))
    for _ in range(3):
        fetching = asyncio.create_task(beside(xsoar.fetch))
        await add(2)
        got += ids(await fetching)
    xsoar.between = None
    got += ids(await beside(xsoar.fetch))
    assert sorted(got) == sorted(writer.added)
    assert await beside(xsoar.fetch) == []


async def test_types_are_asked_for_as_a_comma_list_with_relationships(node, writer):
    await writer.post([indicator(1), domain(1)])
    xsoar = feed(node, objects_to_fetch=["indicator", "malware"])
    assert ids(await beside(xsoar.fetch)) == [indicator(1)["id"]]
    (asked,) = [url for url in xsoar.queries if "/objects/" in url]
    assert "match%5Btype%5D=indicator%2Cmalware%2Crelationship" in asked


# --- the rule that makes it safe, and where it ends --------------------------------------------------------------


async def test_no_object_is_added_before_it_was_modified(node, writer):
    """The rule on which this client rests, for versions as they come, the youngest made this very moment."""
    dates = ["2025-03-01T00:00:00.000Z", "2025-03-01T00:00:00.000000001Z", years_ago(3), years_ago(1), now()]
    await writer.post([indicator(n, modified, created=years_ago(5)) for n, modified in enumerate(dates)])
    for number in range(20, 25):
        await writer.post([fresh(number)])
    records = (await node.get("manifest/?match[version]=all")).json()["objects"]
    assert len(records) == len(writer.added)
    assert all(version_key(record["date_added"]) >= version_key(record["version"]) for record in records)


async def test_old_objects_posted_today_are_read_again_but_none_is_lost(node, writer):
    old = [indicator(number, years_ago(4), created=years_ago(5)) for number in range(6)]
    await writer.post(old)
    xsoar = feed(node, limit_per_request=4)
    assert len(await beside(xsoar.fetch)) == 6
    asked = len(xsoar.queries)
    await writer.post([indicator(number, years_ago(3), created=years_ago(5)) for number in range(6, 9)])
    # all nine are read, of which three are new to it
    assert ids(await beside(xsoar.fetch)) == writer.added[6:]
    assert len([url for url in xsoar.queries[asked:] if "/objects/" in url]) == 3
    assert await beside(xsoar.fetch) == []


async def test_with_a_greatest_number_per_fetch_old_objects_hide_what_comes_after_them(node, writer):
    """Its cursor cannot pass a greatest number of objects with one `modified`; no server can help that."""
    await writer.post([indicator(number, years_ago(4), created=years_ago(5)) for number in range(6)])
    xsoar = feed(node, limit=4)
    first = ids(await beside(xsoar.fetch))
    for _ in range(3):
        assert await beside(xsoar.fetch) == []
    assert first == writer.added[:4]
    # objects that are modified as they come, which is what an exchange carries, are fetched to the end
    live = feed(node, limit=4)
    live.last_run = {"latest_indicators": [], **{key: now() for key in xsoar.last_run if key[0].isdigit()}}
    for number in range(10, 17):
        await writer.post([fresh(number)])
    got = []
    for _ in range(3):
        got += ids(await beside(live.fetch))
    assert got == writer.added[6:]


async def test_an_object_modified_in_the_future_hides_from_it_what_comes_until_then(node, writer):
    """The node takes it: nothing here reads a version as a time. Whoever pages by the server's dates is safe."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    await writer.post([indicator(1, tomorrow)])
    xsoar = feed(node)
    assert ids(await beside(xsoar.fetch)) == [indicator(1)["id"]]
    (record,) = (await node.get("manifest/")).json()["objects"]
    assert record["date_added"] < record["version"] == tomorrow
    await writer.post([fresh(2), fresh(3)])
    assert await beside(xsoar.fetch) == []
    # until somebody resets the feed ("taxii2-reset-fetch-indicators")
    assert len(await beside(feed(node).fetch)) == 3
    later = await node.get("objects/", params={"added_after": record["date_added"]})
    assert ids(later.json()["objects"]) == writer.added[1:]


async def test_observables_fetched_twice_are_its_own_error_unless_it_asks_for_types(node, writer):
    await writer.post([fresh(1), domain(1)])
    everything, indicators = feed(node), feed(node, objects_to_fetch=["indicator"])
    assert len(await beside(everything.fetch)) == 2
    with pytest.raises(TypeError):
        await beside(everything.fetch)
    assert ids(await beside(indicators.fetch)) == [indicator(1)["id"]]
    await writer.post([fresh(2)])
    assert ids(await beside(indicators.fetch)) == [indicator(2)["id"]]
