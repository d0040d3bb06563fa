"""TAXII 2.1 §5.8 Get object versions: which versions of an object a collection holds."""

from reading import MARKING, NEW, OLD, SOFTWARE
from taxii_node import PRIVATE, domain, indicator

ID = indicator(1)["id"]


async def test_versions_are_listed_as_the_objects_write_them_with_dates(node):
    positions = await node.fill([indicator(1, OLD), indicator(2), indicator(1, NEW)])
    answer = await node.get(f"objects/{ID}/versions/")
    assert answer.json() == {"more": False, "versions": [OLD, NEW]}
    manifest = (await node.get("manifest/?match[version]=all")).json()["objects"]
    assert answer.headers["X-TAXII-Date-Added-First"] == manifest[0]["date_added"]
    assert answer.headers["X-TAXII-Date-Added-Last"] == manifest[-1]["date_added"]
    assert len(positions) == 3


async def test_versions_come_in_pages_with_next(node):
    dates = [f"2025-03-0{day}T00:00:00.000Z" for day in range(1, 6)]
    await node.fill([indicator(1, date) for date in dates])
    seen, query = [], "limit=2"
    while query:
        body = (await node.get(f"objects/{ID}/versions/?{query}")).json()
        seen += body["versions"]
        assert ("next" in body) is body["more"]
        query = f"limit=2&next={body['next']}" if body["more"] else ""
    assert seen == dates


async def test_versions_that_a_filter_leaves_out_leave_the_list_out(node):
    await node.fill([indicator(1)])
    for query in ("match[spec_version]=2.0", "added_after=2030-01-01T00:00:00Z"):
        assert (await node.get(f"objects/{ID}/versions/?{query}")).content == b"{}"
    # this endpoint has no match[version]: it is ignored, malformed or not
    assert (await node.get(f"objects/{ID}/versions/?match[version]=x")).json()["versions"] == [OLD]


async def test_an_observable_has_one_version_dated_by_its_receipt(node):
    await node.fill([domain(1)])
    versions = (await node.get(f"objects/{domain(1)['id']}/versions/")).json()["versions"]
    record = (await node.get("manifest/")).json()["objects"][0]
    assert versions == [record["version"]]
    by_version = await node.get(f"objects/{domain(1)['id']}/?match[version]={versions[0]}")
    assert by_version.json()["objects"] == [domain(1)]


async def test_an_object_without_modified_has_its_created_as_version(node):
    await node.fill([MARKING])
    answer = await node.get(f"objects/{MARKING['id']}/versions/")
    assert answer.json() == {"more": False, "versions": [MARKING["created"]]}


async def test_an_object_with_neither_has_the_same_version_wherever_it_is_named(node):
    posted = (await node.post({"objects": [domain(1)]})).json()["successes"][0]["version"]
    await node.fill([SOFTWARE])
    for id_ in (domain(1)["id"], SOFTWARE["id"]):
        (version,) = (await node.get(f"objects/{id_}/versions/")).json()["versions"]
        records = (await node.get(f"manifest/?match[id]={id_}")).json()["objects"]
        assert [record["version"] for record in records] == [version]
        assert (await node.get(f"objects/{id_}/?match[version]={version}")).status_code == 200
    assert (await node.get(f"objects/{domain(1)['id']}/versions/")).json()["versions"] == [posted]


async def test_the_versions_after_a_date_are_those_added_since(node):
    await node.fill([indicator(1, OLD)])
    date = (await node.get(f"objects/{ID}/versions/")).headers["X-TAXII-Date-Added-Last"]
    await node.fill([indicator(1, NEW)])
    assert (await node.get(f"objects/{ID}/versions/?added_after={date}")).json()["versions"] == [NEW]


async def test_the_versions_of_what_is_absent_or_hidden_are_404_or_403(node):
    await node.fill([indicator(1)], collection_id=PRIVATE)
    assert (await node.get(f"objects/{ID}/versions/")).status_code == 404
    assert (await node.get(f"/exchange/collections/{PRIVATE}/objects/{ID}/versions/")).status_code == 404
    assert (await node.get(f"objects/{ID}/versions/", by="pia")).status_code == 403
