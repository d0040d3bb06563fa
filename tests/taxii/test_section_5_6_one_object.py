"""TAXII 2.1 §5.6 Get an object, §5.8 Get object versions."""

from taxii_node import SECOND, domain, indicator

OLD, NEW = "2025-03-01T00:00:00.000Z", "2025-03-02T00:00:00.000Z"
ID = indicator(1)["id"]


async def test_an_object_is_served_in_its_last_version(node):
    await node.fill([indicator(1, OLD), indicator(1, NEW), indicator(2)])
    answer = await node.get(f"objects/{ID}/")
    assert answer.json() == {"more": False, "objects": [indicator(1, NEW)]}
    assert answer.headers["X-TAXII-Date-Added-First"] == answer.headers["X-TAXII-Date-Added-Last"]


async def test_an_unknown_object_is_404_and_one_of_another_collection_too(node):
    await node.fill([indicator(1)], collection_id=SECOND)
    for path in (f"objects/{ID}/", f"objects/{ID}/versions/", f"objects/{domain(9)['id']}/"):
        assert (await node.get(path)).status_code == 404


async def test_an_object_that_the_filter_leaves_out_is_an_empty_envelope(node):
    await node.fill([indicator(1)])
    later = "2030-01-01T00:00:00Z"
    for query in (f"match[version]={later}", "match[spec_version]=2.0", f"added_after={later}"):
        answer = await node.get(f"objects/{ID}/?{query}")
        assert (answer.status_code, answer.content) == (200, b"{}"), query


async def test_filters_that_this_endpoint_does_not_have_are_ignored(node):
    await node.fill([indicator(1)])
    answer = await node.get(f"objects/{ID}/?match[id]={domain(1)['id']}&match[type]=malware")
    assert len(answer.json()["objects"]) == 1


async def test_all_versions_of_an_object_come_in_pages(node):
    dates = [f"2025-03-0{day}T00:00:00.000Z" for day in range(1, 6)]
    await node.fill([indicator(1, date) for date in dates])
    first = (await node.get(f"objects/{ID}/?match[version]=all&limit=3")).json()
    rest = (await node.get(f"objects/{ID}/?match[version]=all&limit=3&next={first['next']}")).json()
    assert [one["modified"] for one in first["objects"] + rest["objects"]] == dates


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
