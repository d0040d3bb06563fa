"""Real clients, unchanged: taxii2-client and stix2 (XSOAR, MISP and OpenCTI's connector have one inside)."""

import asyncio

import pytest
import stix2
from requests.exceptions import HTTPError
from stix2.datastore import DataSourceError
from stix2.datastore.filters import Filter
from taxii2client.common import TokenAuth
from taxii2client.exceptions import AccessError
from taxii2client.v21 import ApiRoot, Collection, Server, Status, as_pages

from taxii_node import PRIVATE, REGIONAL, ServedNode, domain, indicator
from tocsin.taxii import query

OLD, NEW = "2025-03-01T00:00:00.000Z", "2025-03-02T00:00:00.000Z"


async def beside(work):
    """A blocking client runs in a thread, while the node goes on in this event loop."""
    return await asyncio.to_thread(work)


def collection(node: ServedNode, by: str = "rita", id_: str = REGIONAL) -> Collection:
    return Collection(node.collection_url(id_), user=by, password=node.tokens[by])


async def test_a_client_finds_its_way_from_discovery_to_the_objects(node):
    await node.fill([indicator(1), domain(1)])

    def walk():
        with Server(f"{node.url}/taxii2/", user="rita", password=node.tokens["rita"]) as server:
            root = server.default
            assert [one.url for one in server.api_roots] == [root.url] == [node.root]
            assert root.max_content_length == 10 * 1024 * 1024
            assert [one.title for one in root.collections] == ["Regional exchange", "Second"]
            found = root.collections[0]
            assert (found.can_read, found.can_write) == (True, False)
            envelope = found.get_objects()
            for one in (*server.api_roots, *root.collections):
                one.close()
            return envelope

    assert (await beside(walk))["objects"] == [indicator(1), domain(1)]


async def test_a_token_header_is_as_good_as_basic(node):
    def ask():
        with ApiRoot(node.root, auth=TokenAuth(node.tokens["rita"])) as root:
            return root.title

    assert await beside(ask) == "CERT Alpha"


@pytest.mark.parametrize("kind", ["get_objects", "get_manifest"])
async def test_as_pages_comes_to_an_end_with_everything(node, kind):
    await node.fill([indicator(number) for number in range(7)])

    def read():
        with collection(node) as found:
            return [page["objects"] for page in as_pages(getattr(found, kind), per_request=3)]

    pages = await beside(read)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [one["id"] for page in pages for one in page] == [indicator(n)["id"] for n in range(7)]


async def test_as_pages_adapts_to_a_smaller_page_than_it_asked_for(node, monkeypatch):
    monkeypatch.setattr(query, "MAX_LIMIT", 4)
    await node.fill([indicator(number) for number in range(11)])

    def read():
        with collection(node) as found:
            return [one["id"] for page in as_pages(found.get_objects, per_request=5000) for one in page["objects"]]

    assert await beside(read) == [indicator(n)["id"] for n in range(11)]


async def test_filters_go_through_the_client(node):
    await node.fill([indicator(1, OLD), indicator(1, NEW), domain(1)])

    def read():
        with collection(node) as found:
            assert found.get_objects(type="malware") == {}
            assert len(found.get_objects(type=["indicator", "malware"], version="all")["objects"]) == 2
            assert found.get_object(indicator(1)["id"], version=OLD)["objects"] == [indicator(1, OLD)]
            assert found.object_versions(indicator(1)["id"])["versions"] == [OLD, NEW]
            after = found.get_manifest()["objects"][0]["date_added"]
            return found.get_objects(added_after=after)["objects"]

    assert await beside(read) == [domain(1)]


async def test_objects_are_added_and_their_status_awaited(node):
    def write():
        with collection(node, "walt") as found:
            envelope = {"objects": [indicator(1), domain(1), indicator(2) | {"modified": "x"}]}
            status = found.add_objects(envelope, wait_for_completion=True)
            assert (status.success_count, status.failure_count, status.pending_count) == (2, 1, 0)
            again = Status(f"{node.root}status/{status.id}/", user="walt", password=node.tokens["walt"])
            with again:
                again.wait_until_final()
                assert again.failures[0]["message"]
            found.delete_object(indicator(1)["id"])
            return found.get_objects()

    assert [one["id"] for one in (await beside(write))["objects"]] == [domain(1)["id"]]


async def test_a_client_learns_its_rights(node):
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


async def test_stix2_writes_and_reads_through_its_collection_store(node):
    made = stix2.parse(indicator(1))
    newer = stix2.parse(indicator(1, NEW, name="newer"))

    def exchange():
        with collection(node, "walt") as found:
            store = stix2.TAXIICollectionStore(found)
            store.add(made)  # posted as a bundle
            store.add([newer, stix2.parse(domain(1))])
            assert store.get(made.id).name == "newer"
            assert store.get("indicator--00000000-0000-4000-8000-00000000dead") is None
            assert {one.modified for one in store.all_versions(made.id)} == {made.modified, newer.modified}
            return [one.id for one in store.query([Filter("type", "=", "domain-name")])]

    assert await beside(exchange) == [domain(1)["id"]]


async def test_stix2_reads_all_pages_of_a_source_and_refuses_a_sink_that_it_may_not_use(node):
    await node.fill([indicator(number) for number in range(5)])

    def read():
        with collection(node) as found:
            source = stix2.TAXIICollectionSource(found, items_per_page=2)
            with pytest.raises(DataSourceError):
                stix2.TAXIICollectionSink(found)
            return [one["id"] for one in source.query()]

    assert sorted(await beside(read)) == [indicator(n)["id"] for n in range(5)]
