"""taxii2-client 2.3.0, unchanged: the library inside XSOAR, MISP's push, OpenCTI's connector, Splunk's CTIS app.

What it does is written in its own source: `taxii2client/v21/__init__.py` (resource classes, `as_pages` with its
changing limit, the status loop of `add_objects`) and `common.py` (headers, what it demands of `Content-Type`).
It demands exact booleans in a collection, counts that add up in a status, and the collection's id in the URL.

Its protocol allows: each version that stood when `as_pages` began, once, in the order of the log, then whatever
was added until the last page was read.
"""

import json
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest
import requests.auth
from busy_writer import beside
from requests.exceptions import HTTPError
from taxii2client.common import TokenAuth
from taxii2client.exceptions import AccessError, ValidationError
from taxii2client.v21 import ApiRoot, Collection, Server, Status, as_pages

from taxii_node import PRIVATE, REGIONAL, ServedNode, domain, indicator
from tocsin.sharing import page as paging
from tocsin.taxii import query

OLD, NEW = "2025-03-01T00:00:00.000Z", "2025-03-02T00:00:00.000Z"
GET_ALL = pytest.mark.parametrize("kind", ["get_objects", "get_manifest"])


class HeaderAuth(requests.auth.AuthBase):
    """What users write themselves for want of it in the library (cti-taxii-client#125)."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def __call__(self, request):
        request.headers[self.name] = self.value
        return request


def collection(node: ServedNode, by: str = "rita", id_: str = REGIONAL) -> Collection:
    return Collection(node.collection_url(id_), user=by, password=node.tokens[by])


def asked(found: Collection) -> list[dict[str, list[str]]]:
    """The query of each request for a list that the client makes from now on."""
    queries: list[dict[str, list[str]]] = []

    def note(response, **_):
        if urlsplit(response.url).path.endswith(("/objects/", "/manifest/")):
            queries.append(parse_qs(urlsplit(response.url).query))

    found._conn.session.hooks["response"].append(note)
    return queries


def ids(numbers) -> list[str]:
    return [indicator(number)["id"] for number in numbers]


# --- resources ------------------------------------------------------------------------------------------------


async def test_it_finds_its_way_from_discovery_to_the_objects(node):
    await node.fill([indicator(1), domain(1)])

    def walk():
        with Server(f"{node.url}/taxii2", user="rita", password=node.tokens["rita"]) as server:
            root = server.default
            assert [one.url for one in server.api_roots] == [root.url] == [node.root]
            assert (server.title, root.title) == ("CERT Alpha", "CERT Alpha")
            assert root.versions == ["application/taxii+json;version=2.1"]
            assert root.max_content_length == 10 * 1024 * 1024
            assert [one.title for one in root.collections] == ["Regional exchange", "Second"]
            found = root.collections[0]
            assert (found.id, found.alias, found.description) == (REGIONAL, "regional", "What the region shares")
            assert (found.can_read, found.can_write) == (True, False)
            assert found.media_types == ["application/stix+json;version=2.1"]
            # nothing of our own in what the standard defines
            assert server.custom_properties == root.custom_properties == found.custom_properties == {}
            envelope = found.get_objects()
            for one in (*server.api_roots, *root.collections):
                one.close()
            return envelope

    assert (await beside(walk))["objects"] == [indicator(1), domain(1)]


@pytest.mark.parametrize(
    "auth",
    [
        TokenAuth,
        lambda token: requests.auth.HTTPBasicAuth("rita", token),
        lambda token: HeaderAuth("Authorization", f"Bearer {token}"),
        lambda token: HeaderAuth("X-API-Key", token),
    ],
    ids=["token", "basic", "bearer", "api key"],
)
async def test_every_object_of_credentials_that_requests_knows_works_at_every_resource(node, auth):
    await node.fill([indicator(1)])

    def ask():
        given = auth(node.tokens["rita"])
        with Server(f"{node.url}/taxii2/", auth=given) as server, server.default as root:
            (first, _) = root.collections
            return first.get_objects()["objects"]

    assert await beside(ask) == [indicator(1)]


async def test_an_alias_is_answered_with_the_id_which_this_client_does_not_take(node):
    """It asks that the id stand in the URL; so an alias is for others, and a client must be given the id."""
    alias_url = f"{node.root}collections/regional/"

    def ask():
        with Collection(alias_url, user="rita", password=node.tokens["rita"]) as found:
            with pytest.raises(ValidationError, match="does not match the url"):
                found.get_objects()
            return found._conn.get(alias_url)["id"]

    assert await beside(ask) == REGIONAL


async def test_it_learns_its_rights(node):
    def learn():
        with collection(node, "pia") as found, pytest.raises(AccessError):
            found.get_objects()
        with collection(node, "rita") as found, pytest.raises(AccessError):
            found.add_objects({"objects": []})
        with collection(node, "rita", PRIVATE) as found, pytest.raises(HTTPError, match="404"):
            found.get_objects()
        stranger = Collection(node.collection_url(), user="rita", password="wrong")
        with stranger, pytest.raises(HTTPError, match="401"):
            stranger.get_objects()

    await beside(learn)


# --- reading --------------------------------------------------------------------------------------------------


@GET_ALL
async def test_as_pages_comes_to_an_end_with_everything_once(node, kind):
    await node.fill([indicator(number) for number in range(7)])

    def read():
        with collection(node) as found:
            return [page["objects"] for page in as_pages(getattr(found, kind), per_request=3)]

    pages = await beside(read)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [one["id"] for page in pages for one in page] == ids(range(7))


@GET_ALL
async def test_as_pages_of_an_empty_collection_is_one_empty_page(node, kind):
    def read():
        with collection(node) as found:
            return list(as_pages(getattr(found, kind), per_request=3))

    assert await beside(read) == [{}]


@pytest.mark.parametrize("wanted", [0, 5000], ids=["no limit", "more than we give"])
async def test_as_pages_goes_on_with_the_number_that_it_was_given(node, monkeypatch, wanted):
    monkeypatch.setattr(query, "MAX_LIMIT", 4)
    monkeypatch.setattr(query, "DEFAULT_LIMIT", 4)
    await node.fill([indicator(number) for number in range(11)])

    def read():
        with collection(node) as found:
            queries = asked(found)
            pages = as_pages(found.get_objects, per_request=wanted)
            return [one["id"] for page in pages for one in page["objects"]], queries

    found, queries = await beside(read)
    assert found == ids(range(11))
    first = {} if not wanted else {"limit": [str(wanted)]}
    assert [{key: q[key] for key in q if key == "limit"} for q in queries] == [
        first,
        {"limit": ["4"]},
        {"limit": ["4"]},
    ]


async def test_as_pages_loses_nothing_where_pages_end_by_their_bytes(node, monkeypatch):
    """The limit then follows the first page, which was short because its objects were long."""
    monkeypatch.setattr(paging, "MAX_PAGE_BYTES", 2500)
    values = [indicator(number, description="x" * (700 if number % 5 < 2 else 5)) for number in range(14)]
    await node.fill(values)

    def read():
        with collection(node) as found:
            return [page["objects"] for page in as_pages(found.get_objects, per_request=10)]

    pages = await beside(read)
    assert [one for page in pages for one in page] == values
    assert len({len(page) for page in pages}) > 1


@GET_ALL
async def test_as_pages_reads_what_a_writer_adds_between_its_pages(node, writer, kind):
    await writer.burst(9)

    def read():
        found_ids = []
        with collection(node) as found:
            for number, page in enumerate(as_pages(getattr(found, kind), per_request=4)):
                found_ids += [one["id"] for one in page["objects"]]
                if number < 2:
                    writer.add_from_thread(2)
        return found_ids

    assert await beside(read) == writer.added == ids(range(13))


@GET_ALL
async def test_as_pages_reads_on_while_a_writer_adds(node, writer, kind):
    await writer.burst(10)

    def read(**what):
        with collection(node) as found:
            return [
                one["id"] for page in as_pages(getattr(found, kind), 3, **what) for one in page.get("objects", [])
            ]

    async with writer.adding():
        during = await beside(read)
    assert during == writer.added[: len(during)]
    assert len(during) >= 10
    assert await beside(read) == writer.added


async def test_a_new_version_of_what_was_read_comes_again_and_of_what_was_not_comes_once(node, writer):
    await writer.burst(6)
    newer = [indicator(0, NEW, name="newer"), indicator(5, NEW, name="newer")]

    with collection(node) as found:
        pages = as_pages(found.get_objects, per_request=3)
        first = (await beside(lambda: next(pages)))["objects"]
        await writer.post(newer)
        rest = [one for page in await beside(lambda: list(pages)) for one in page["objects"]]
    assert [one["id"] for one in first] == ids([0, 1, 2])
    assert rest == [indicator(3), indicator(4), *newer]


async def test_filters_go_through_with_the_pages(node):
    values = [indicator(1, OLD), indicator(1, NEW), domain(1), *(indicator(n) for n in range(2, 6))]
    await node.fill(values)

    def read():
        with collection(node) as found:
            assert found.get_objects(type="malware") == {}
            every = as_pages(found.get_objects, 2, type=["indicator", "malware"], version="all")
            assert [one for page in every for one in page["objects"]] == [v for v in values if v != domain(1)]
            assert found.get_objects(id=[domain(1)["id"]])["objects"] == [domain(1)]
            assert found.get_object(indicator(1)["id"], version=OLD)["objects"] == [indicator(1, OLD)]
            assert found.get_object(indicator(1)["id"], version=["first", NEW])["objects"] == values[:2]
            assert found.object_versions(indicator(1)["id"])["versions"] == [OLD, NEW]
            dates = [one["date_added"] for one in found.get_manifest()["objects"]]
            after = as_pages(found.get_objects, 2, added_after=dates[1])
            return [one for page in after for one in page["objects"]], dates

    found, dates = await beside(read)
    assert found == values[3:]
    assert all(earlier < later for earlier, later in pairwise(dates))


# --- writing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelt", [lambda v: v, json.dumps, lambda v: json.dumps(v).encode()], ids=["dict", "str", "bytes"]
)
@pytest.mark.parametrize("wait", [True, False])
async def test_add_objects_has_its_status_at_once_and_never_waits(node, monkeypatch, spelt, wait):
    naps = []
    monkeypatch.setattr("taxii2client.v21.time.sleep", naps.append)
    envelope = {"objects": [indicator(1), domain(1), indicator(1), indicator(2) | {"modified": "x"}]}

    def write():
        with collection(node, "walt") as found:
            status = found.add_objects(spelt(envelope), wait_for_completion=wait)
        assert status
        assert status.custom_properties == {}
        return (status.total_count, status.success_count, status.failure_count, status.pending_count), status

    counts, status = await beside(write)
    assert counts == (4, 3, 1, 0)
    assert [one["id"] for one in status.successes] == [indicator(1)["id"], domain(1)["id"], indicator(1)["id"]]
    assert status.failures[0]["id"] == indicator(2)["id"]
    assert "timestamp" in status.failures[0]["message"]
    assert naps == []


async def test_a_status_may_be_asked_for_again_by_whoever_posted_and_nobody_else(node):
    def write():
        with collection(node, "walt") as found:
            status = found.add_objects({"objects": [indicator(1), indicator(2) | {"created": 7}]})
        url = f"{node.root}status/{status.id}/"
        with Status(url, user="walt", password=node.tokens["walt"]) as again:
            again.wait_until_final()
            again.refresh()
            assert again._raw == status._raw
        with ApiRoot(node.root, user="walt", password=node.tokens["walt"]) as root:
            assert root.get_status(status.id)._raw == status._raw
        with pytest.raises(HTTPError, match="404"):
            Status(url, auth=OneShot(node.tokens["rita"]))

    await beside(write)


class OneShot(TokenAuth):
    """A constructor that fails leaves nothing to close, so its connection ends with its answer."""

    def __call__(self, request):
        request.headers["Connection"] = "close"
        return super().__call__(request)


async def test_a_client_that_asks_for_no_objects_to_be_added_gets_an_empty_status(node):
    def write():
        with collection(node, "walt") as found:
            return [found.add_objects(empty).total_count for empty in ({}, {"objects": []})]

    assert await beside(write) == [0, 0]


async def test_versions_are_deleted_one_by_one_or_together(node):
    async def post(*values):
        assert (await node.post({"objects": list(values)})).json()["failure_count"] == 0

    await post(indicator(1, OLD), indicator(1, NEW), domain(1))

    def delete():
        with collection(node, "walt") as found:
            found.delete_object(indicator(1)["id"], version=NEW)
            assert found.object_versions(indicator(1)["id"])["versions"] == [OLD]
            found.delete_object(indicator(1)["id"])
            for gone in (found.get_object, found.object_versions, found.delete_object):
                with pytest.raises(HTTPError, match="404"):
                    gone(indicator(1)["id"])
            return found.get_objects(version="all")["objects"]

    assert await beside(delete) == [domain(1)]
