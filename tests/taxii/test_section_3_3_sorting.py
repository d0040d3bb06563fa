"""TAXII 2.1 §3.3 Sorting: objects, manifests and versions by when they were added, collections always alike."""

from reading import MARKING, MIDDLE, NEW, OLD, SOFTWARE, ids
from taxii_node import domain, indicator


async def test_objects_come_in_the_order_in_which_they_were_added(node):
    numbers = [5, 3, 9, 1]
    for number in numbers:
        await node.fill([indicator(number)])
    expected = [indicator(number)["id"] for number in numbers]
    assert ids(await node.get("objects/")) == ids(await node.get("manifest/")) == expected


async def test_the_dates_that_authors_wrote_have_no_part_in_the_order(node):
    dated = [indicator(1, NEW), indicator(2, OLD), indicator(3, "2099-01-01T00:00:00Z"), indicator(4, MIDDLE)]
    await node.fill([*dated, MARKING, SOFTWARE])
    expected = [one["id"] for one in (*dated, MARKING, SOFTWARE)]
    assert ids(await node.get("objects/")) == ids(await node.get("manifest/")) == expected


async def test_a_filter_changes_nothing_in_the_order(node):
    mixed = [indicator(2), domain(2), MARKING, indicator(1), SOFTWARE, domain(1)]
    await node.fill(mixed)
    for query, types in (
        ("match[type]=domain-name,indicator", {"indicator", "domain-name"}),
        ("match[type]=software,domain-name,marking-definition", {"software", "domain-name", "marking-definition"}),
        ("match[id]=" + ",".join(sorted(one["id"] for one in mixed)), {one["type"] for one in mixed}),
        ("match[version]=all&match[spec_version]=2.1", {one["type"] for one in mixed}),
    ):
        expected = [one["id"] for one in mixed if one["type"] in types]
        for path in ("objects/", "manifest/"):
            assert ids(await node.get(f"{path}?{query}")) == expected, (path, query)


async def test_manifest_records_ascend_by_date_added(node):
    for value in (indicator(2, NEW), indicator(1, OLD), indicator(2, OLD), domain(1)):
        await node.fill([value])
    dates = [one["date_added"] for one in (await node.get("manifest/?match[version]=all")).json()["objects"]]
    assert len(dates) == 4
    assert dates == sorted(set(dates))


async def test_versions_come_in_the_order_in_which_they_were_added(node):
    for modified in (MIDDLE, NEW, OLD):
        await node.fill([indicator(1, modified)])
    assert (await node.get(f"objects/{indicator(1)['id']}/versions/")).json()["versions"] == [MIDDLE, NEW, OLD]


async def test_a_page_of_several_posts_keeps_the_order_of_each_post(node):
    for numbers in ((3, 1), (2, 9)):
        await node.post({"objects": [indicator(number) for number in numbers]})
    assert ids(await node.get("objects/")) == [indicator(number)["id"] for number in (3, 1, 2, 9)]


async def test_collections_come_in_the_order_of_the_configuration_at_every_request(node):
    listed = [(await node.get("/exchange/collections/")).content for _ in range(3)]
    assert len(set(listed)) == 1
    configured = list(node.configuration.settings.collections)
    for name in ("rita", "walt"):
        offered = (await node.get("/exchange/collections/", by=name)).json()["collections"]
        keys = [one["alias"] for one in offered]
        assert keys == [key for key in configured if key in keys]
