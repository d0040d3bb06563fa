"""TAXII 2.1 §5.6 Get an object: by its STIX id, from one collection."""

from reading import LATER, MIDDLE, NEW, OLD, SOFTWARE
from taxii_node import SECOND, domain, indicator

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
    for query in (f"match[version]={LATER}", "match[spec_version]=2.0", f"added_after={LATER}"):
        answer = await node.get(f"objects/{ID}/?{query}")
        assert (answer.status_code, answer.content) == (200, b"{}"), query


async def test_filters_that_this_endpoint_does_not_have_are_ignored(node):
    await node.fill([indicator(1)])
    answer = await node.get(f"objects/{ID}/?match[id]={domain(1)['id']}&match[type]=malware")
    assert len(answer.json()["objects"]) == 1


async def test_the_object_id_is_the_id_that_the_object_has_inside(node):
    await node.fill([indicator(1), SOFTWARE, domain(1)])
    for value in (indicator(1), SOFTWARE, domain(1)):
        escaped = value["id"].replace("-", "%2D")
        for path in (f"objects/{value['id']}/", f"objects/{value['id']}", f"objects/{escaped}/"):
            assert (await node.get(path)).json()["objects"] == [value], path


async def test_other_spellings_of_an_id_are_other_ids(node):
    await node.fill([indicator(1)])
    for spelling in (ID.upper(), f" {ID}", f"{ID}%20", ID.partition("--")[2], f"{ID}/{ID}", ID[:-1], f"{ID},{ID}"):
        assert (await node.get(f"objects/{spelling}/")).status_code == 404, spelling


async def test_the_versions_of_an_object_are_chosen_by_word_and_by_instant(node):
    await node.fill([indicator(1, OLD), indicator(2, NEW), indicator(1, MIDDLE), indicator(1, NEW)])
    for query, expected in (
        ("", [NEW]),
        ("match[version]=last", [NEW]),
        ("match[version]=first", [OLD]),
        ("match[version]=all", [OLD, MIDDLE, NEW]),
        ("match[version]=first,last", [OLD, NEW]),
        ("match[version]=2025-03-01T00:00:00.1Z", [MIDDLE]),
        (f"match[version]={MIDDLE},{OLD}", [OLD, MIDDLE]),
    ):
        found = (await node.get(f"objects/{ID}/?{query}")).json()["objects"]
        assert [one["modified"] for one in found] == expected, query


async def test_all_versions_of_an_object_come_in_pages(node):
    dates = [f"2025-03-0{day}T00:00:00.000Z" for day in range(1, 6)]
    await node.fill([indicator(1, date) for date in dates])
    first = (await node.get(f"objects/{ID}/?match[version]=all&limit=3")).json()
    rest = (await node.get(f"objects/{ID}/?match[version]=all&limit=3&next={first['next']}")).json()
    assert [one["modified"] for one in first["objects"] + rest["objects"]] == dates
