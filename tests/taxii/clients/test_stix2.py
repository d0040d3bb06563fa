"""stix2 3.0.2, unchanged: its data store, source and sink over a TAXII collection.

What it does is written in its own source, `stix2/datastore/taxii.py`: the sink posts a *bundle* (also to a 2.1
server), looks at no status, and needs `can_write`; the source reads by `as_pages` (5,000 a page), sends `id`,
`type`, `version` and `added_after` along, filters the rest by itself, and takes 404 on one object for None.

Its protocol allows: what `as_pages` allows, each object parsed. What the collection refuses, the sink's user never
learns; that is told in the last test.
"""

import pytest
import stix2
from busy_writer import beside
from stix2.datastore import CompositeDataSource, DataSourceError
from stix2.datastore.filters import Filter
from taxii2client.v21 import Collection

from taxii_node import PRIVATE, REGIONAL, ServedNode, domain, indicator

OLD, NEW = "2025-03-01T00:00:00.000Z", "2025-03-02T00:00:00.000Z"


def collection(node: ServedNode, by: str = "rita", id_: str = REGIONAL) -> Collection:
    return Collection(node.collection_url(id_), user=by, password=node.tokens[by])


def ids(numbers) -> list[str]:
    return [indicator(number)["id"] for number in numbers]


async def test_its_store_writes_and_reads(node):
    made = stix2.parse(indicator(1))
    newer = stix2.parse(indicator(1, NEW, name="newer"))

    def exchange():
        with collection(node, "walt") as found:
            store = stix2.TAXIICollectionStore(found)
            store.add(made)
            store.add([newer, stix2.parse(domain(1))])
            assert store.get(made.id) == newer
            assert store.get("indicator--00000000-0000-4000-8000-00000000dead") is None
            assert {one.modified for one in store.all_versions(made.id)} == {made.modified, newer.modified}
            return store.query([Filter("type", "=", "domain-name")])

    assert await beside(exchange) == [stix2.parse(domain(1))]


@pytest.mark.parametrize(
    "spelt",
    [
        stix2.parse,
        lambda value: value,
        lambda value: stix2.parse(value).serialize(),
        lambda value: stix2.Bundle(stix2.parse(value)),
        lambda value: {"type": "bundle", "id": "bundle--00000000-0000-4000-8000-00000000000b", "objects": [value]},
        lambda value: [value],
    ],
    ids=["object", "dict", "text", "bundle", "bundle as dict", "list"],
)
async def test_its_sink_posts_a_bundle_whatever_it_is_given(node, spelt):
    bodies = []

    def add():
        with collection(node, "walt") as found:
            hooks = found._conn.session.hooks["response"]
            hooks.append(lambda response, **_: bodies.append((response.request.method, response.request.body)))
            stix2.TAXIICollectionSink(found).add(spelt(indicator(1)))

    await beside(add)
    (body,) = [body for method, body in bodies if method == "POST"]
    assert b'"type": "bundle"' in body
    (stands,) = (await node.get("objects/")).json()["objects"]
    assert stix2.parse(stands) == stix2.parse(indicator(1))


async def test_its_source_reads_every_page_while_a_writer_adds(node, writer):
    await writer.burst(8)

    def read():
        with collection(node) as found:
            return [one.id for one in stix2.TAXIICollectionSource(found, items_per_page=3).query()]

    async with writer.adding(15):
        during = await beside(read)
    assert len(during) == len(set(during)) >= 8
    assert set(during) <= set(writer.added)
    assert set(ids(range(8))) <= set(during)
    assert sorted(await beside(read)) == sorted(writer.added)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([Filter("type", "=", "indicator")], [1, 2, 3]),
        ([Filter("type", "=", "indicator,malware")], [1, 2, 3]),
        ([Filter("type", "=", ["indicator", "domain-name"]), Filter("name", "=", "indicator 2")], [2]),
        ([Filter("id", "=", indicator(3)["id"])], [3]),
        ([Filter("id", "=", indicator(9)["id"])], []),
        ([Filter("type", "!=", "domain-name")], [1, 2, 3]),
        ([Filter("version", "=", "first"), Filter("type", "=", "indicator")], [1, 2, 3]),
        ([Filter("version", "=", NEW)], [2]),
        ([Filter("labels", "contains", "odd")], [1, 3]),
        ([Filter("modified", ">", OLD)], [2]),
        ([Filter("type", "=", "malware")], []),
    ],
)
async def test_its_queries_are_answered_partly_here_and_partly_there(node, filters, expected):
    labelled = [indicator(1, labels=["odd"]), indicator(2), indicator(2, NEW), indicator(3, labels=["odd"])]
    await node.fill([*labelled, domain(1)])

    def read():
        with collection(node) as found:
            return sorted(one["id"] for one in stix2.TAXIICollectionSource(found).query(filters))

    assert await beside(read) == ids(expected)


async def test_added_after_goes_with_every_page(node):
    await node.fill([indicator(number) for number in range(9)])
    date = (await node.get("manifest/")).json()["objects"][3]["date_added"]

    def read():
        with collection(node) as found:
            source = stix2.TAXIICollectionSource(found, items_per_page=2)
            return sorted(one.id for one in source.query([Filter("added_after", "=", date)]))

    assert await beside(read) == ids(range(4, 9))


async def test_sources_go_together(node):
    await node.fill([indicator(1, OLD), indicator(1, NEW)])
    memory = stix2.MemorySource([stix2.parse(indicator(2))])

    def read():
        with collection(node) as found:
            both = CompositeDataSource()
            both.add_data_sources([stix2.TAXIICollectionSource(found), memory])
            one, other = both.get(indicator(1)["id"]), both.get(indicator(2)["id"])
            return one.modified, other.id, {v.modified for v in both.all_versions(indicator(1)["id"])}

    newest = stix2.parse(indicator(1, NEW)).modified
    assert await beside(read) == (newest, indicator(2)["id"], {newest, stix2.parse(indicator(1)).modified})


async def test_its_rights_are_looked_at_before_it_begins(node):
    def ask():
        with collection(node) as found, pytest.raises(DataSourceError, match="write access"):
            stix2.TAXIICollectionSink(found)
        with collection(node, "pia") as found, pytest.raises(DataSourceError, match="read access"):
            stix2.TAXIICollectionSource(found)
        with collection(node, "rita", PRIVATE) as found, pytest.raises(DataSourceError):
            stix2.TAXIICollectionSource(found)  # 404, as of a collection that is not there

    await beside(ask)


async def test_a_list_goes_one_by_one_so_a_marking_stands_before_what_it_marks(node):
    """Each is posted in a bundle of its own, and no status is looked at: what is refused is lost unsaid."""
    marking = stix2.TLP_GREEN
    other = stix2.MarkingDefinition(
        id="marking-definition--00000000-0000-4000-8000-000000000001",
        created=OLD,
        definition_type="statement",
        definition=stix2.StatementMarking("Example"),
    )
    marked = stix2.parse(indicator(1, object_marking_refs=[marking.id]))

    def exchange():
        with collection(node, "walt") as found:
            stix2.TAXIICollectionSink(found).add([marking, marked, other])
            return found.get_objects()["objects"]

    assert [one["id"] for one in await beside(exchange)] == [marking.id, marked.id, other.id]


async def test_custom_content_comes_back_parsed_as_it_went(node):
    made = stix2.parse(indicator(1, x_note={"deep": [1, 2.5]}), allow_custom=True)

    def exchange():
        with collection(node, "walt") as found:
            store = stix2.TAXIICollectionStore(found, allow_custom=True)
            store.add(made)
            return store.get(made.id)

    assert await beside(exchange) == made


async def test_what_is_refused_its_user_never_learns(node):
    """The status says so, and the sink looks at none; so an operator's policy must be told by other means."""
    malware = {
        "type": "malware",
        "spec_version": "2.1",
        "id": "malware--00000000-0000-4000-8000-000000000001",
        "created": OLD,
        "modified": OLD,
        "name": "not for here",
        "is_family": False,
    }

    def add():
        with collection(node, "walt") as found:
            stix2.TAXIICollectionSink(found).add([malware, indicator(1)])
            return found.get_objects()["objects"]

    assert [one["id"] for one in await beside(add)] == ids([1])
