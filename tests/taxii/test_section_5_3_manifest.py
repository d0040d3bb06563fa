"""TAXII 2.1 §5.3 Get object manifests: what a collection holds, without the objects."""

from reading import LATER, MARKING, NEW, OLD, SOFTWARE, ids
from taxii_node import PRIVATE, SECOND, domain, indicator
from taxii_tables import faults


async def test_a_manifest_record_gives_the_version_as_the_object_writes_it(node):
    await node.fill([indicator(1, "2025-03-01T00:00:00.1Z"), MARKING, domain(1), SOFTWARE])
    records = (await node.get("manifest/")).json()["objects"]
    assert [record["version"] for record in records[:2]] == ["2025-03-01T00:00:00.1Z", "2025-01-01T00:00:00.5Z"]
    # an object with neither date has the date of its first receipt here
    assert all(record["version"].endswith("Z") and len(record["version"]) == 27 for record in records[2:])
    assert {record["media_type"] for record in records} == {"application/stix+json;version=2.1"}


async def test_an_empty_manifest_leaves_its_list_out(node):
    assert (await node.get("manifest/")).content == b"{}"
    await node.fill([indicator(1)])
    for query in (
        f"added_after={LATER}",
        "match[type]=malware",
        f"match[version]={LATER}",
        "match[spec_version]=2.0",
    ):
        assert (await node.get(f"manifest/?{query}")).content == b"{}", query


async def test_there_is_one_record_for_each_version_asked_for(node):
    await node.fill([indicator(1, OLD), domain(1), indicator(1, NEW)])
    for query, pairs in (
        ("", [domain(1)["id"], indicator(1)["id"]]),
        ("match[version]=all", [indicator(1)["id"], domain(1)["id"], indicator(1)["id"]]),
        ("match[version]=first", [indicator(1)["id"], domain(1)["id"]]),
    ):
        assert ids(await node.get(f"manifest/?{query}")) == pairs, query


async def test_filters_apply_to_the_object_that_a_record_stands_for(node):
    """Its type, its id, its version and its STIX version; never the record's own properties."""
    await node.fill([indicator(1), domain(1), SOFTWARE])
    for query, expected in (
        ("match[type]=software", [SOFTWARE["id"]]),
        ("match[type]=manifest-record", []),
        (f"match[id]={domain(1)['id']}", [domain(1)["id"]]),
        (f"match[version]={OLD}", [indicator(1)["id"]]),
        ("match[media_type]=nonsense", [indicator(1)["id"], domain(1)["id"], SOFTWARE["id"]]),
    ):
        assert ids(await node.get(f"manifest/?{query}")) == expected, query
        assert ids(await node.get(f"objects/?{query}")) == expected, query


async def test_a_record_has_a_media_type_that_the_collection_lists(node):
    await node.fill([indicator(1), MARKING, SOFTWARE])
    listed = (await node.get("")).json()["media_types"]
    records = (await node.get("manifest/")).json()
    assert faults("manifest", records) == []
    assert all(record["media_type"] in listed for record in records["objects"])


async def test_the_version_of_a_record_leads_to_the_object_that_it_stands_for(node):
    values = [indicator(1, OLD), indicator(1, NEW), MARKING, SOFTWARE, domain(1)]
    await node.fill(values)
    records = (await node.get("manifest/?match[version]=all")).json()["objects"]
    found = [(await node.get(f"objects/{r['id']}/?match[version]={r['version']}")).json() for r in records]
    assert [one["objects"] for one in found] == [[value] for value in values]


async def test_the_date_of_a_record_never_changes(node):
    await node.fill([indicator(1)])
    before = (await node.get("manifest/")).json()["objects"]
    await node.fill([indicator(2)])
    await node.post({"objects": [indicator(1)]})  # the same version again
    assert (await node.get("manifest/")).json()["objects"][:1] == before


async def test_the_manifest_of_another_collection_shows_nothing_here(node):
    await node.fill([indicator(1)], collection_id=SECOND)
    assert (await node.get("manifest/")).content == b"{}"
    assert (await node.get(f"/exchange/collections/{PRIVATE}/manifest/")).status_code == 404
    assert (await node.get("manifest/", by="pia")).status_code == 403
