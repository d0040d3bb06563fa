"""TAXII 2.1 §2 Data types: what stands in every answer, by the table of its resource."""

import pytest

from taxii_node import Clock, domain, indicator, served
from taxii_tables import DATA_TYPES, faults
from tocsin.store.transaction import Store

ID = indicator(1)["id"]
LATER = "2030-01-01T00:00:00Z"
GETS = [
    ("/taxii2/", "discovery"),
    ("/exchange/", "api-root"),
    ("/exchange/collections/", "collections"),
    ("", "collection"),
    ("manifest/", "manifest"),
    ("manifest/?limit=1", "manifest"),
    ("objects/", "envelope"),
    ("objects/?limit=1", "envelope"),
    (f"objects/{ID}/", "envelope"),
    (f"objects/{ID}/versions/", "versions"),
    (f"objects/{ID}/versions/?limit=1", "versions"),
    ("objects/?limit=0", "error"),
    ("/exchange/nowhere/", "error"),
]
OLD, NEW = "2025-03-01T00:00:00Z", "2025-03-01T00:00:00.123456789Z"


async def test_every_property_has_its_data_type(node):
    await node.fill([indicator(1, OLD), domain(1), indicator(1, NEW)])
    for path, kind in GETS:
        assert faults(kind, (await node.get(path)).json()) == [], path
    for body in ({}, {"objects": [indicator(2), domain(2)]}, {"objects": [{}, 7, indicator(3)]}):
        assert faults("status", (await node.post(body)).json()) == []


async def test_booleans_are_literals_and_never_null_or_numbers(node):
    for name in ("rita", "walt", "pia"):
        for one in (await node.get("/exchange/collections/", by=name)).json()["collections"]:
            assert {type(one["can_read"]), type(one["can_write"])} == {bool}
    await node.fill([indicator(1), indicator(2)])
    for path in ("objects/", "objects/?limit=1", "manifest/", f"objects/{ID}/versions/"):
        assert type((await node.get(path)).json()["more"]) is bool, path


async def test_identifiers_are_uuids_of_version_4(node):
    status = (await node.post({})).json()["id"]
    listed = [one["id"] for one in (await node.get("/exchange/collections/")).json()["collections"]]
    for one in (status, *listed):
        assert DATA_TYPES["identifier"](one), one


async def test_integers_stay_within_53_bits(node):
    assert DATA_TYPES["integer"]((await node.get("/exchange/")).json()["max_content_length"])
    counts = [value for name, value in (await node.post({})).json().items() if name.endswith("_count")]
    assert counts == [0, 0, 0, 0]
    assert {type(one) for one in counts} == {int}


@pytest.mark.parametrize("name", ["rita", "nora"])
async def test_a_list_without_an_element_is_left_out(node, name):
    await node.fill([indicator(1)])
    empty = ["/exchange/collections/"] if name == "nora" else []
    if name == "rita":
        narrow = ("added_after=" + LATER, "match[spec_version]=2.0")
        empty += [f"{path}?{query}" for path in ("objects/", "manifest/", f"objects/{ID}/") for query in narrow]
        empty += [f"objects/{ID}/versions/?{query}" for query in narrow]
    for path in empty:
        assert (await node.get(path, by=name)).json() == {}, path


async def test_the_lists_of_a_status_without_an_element_are_left_out(node):
    lists = {"successes", "failures", "pendings"}
    for objects, there in (([], set()), ([indicator(1)], {"successes"}), ([{}], {"failures"})):
        assert lists & (await node.post({"objects": objects})).json().keys() == there


async def test_timestamps_are_utc_with_six_digits_even_of_a_whole_second(database_url, tmp_path):
    whole_seconds = Clock()
    store = await Store.open(database_url, require_durable=False, clock=whole_seconds)
    try:
        async with served(store, tmp_path) as node:
            await node.fill([indicator(1), indicator(2)])
            found = [record["date_added"] for record in (await node.get("manifest/")).json()["objects"]]
            answer = await node.get("objects/")
            found += [answer.headers["X-TAXII-Date-Added-First"], answer.headers["X-TAXII-Date-Added-Last"]]
            found.append((await node.post({})).json()["request_timestamp"])
    finally:
        await store.close()
    assert found[0].endswith(".000000Z")
    assert all(DATA_TYPES["timestamp"](one) for one in found), found


async def test_a_version_is_given_back_with_the_digits_that_its_author_wrote(node):
    await node.fill([indicator(1, OLD), indicator(1, NEW)])
    assert (await node.get(f"objects/{ID}/versions/")).json()["versions"] == [OLD, NEW]
    assert [one["version"] for one in (await node.get("manifest/")).json()["objects"]] == [NEW]
