"""TAXII 2.1 §5.1 Get collections: which there are for this caller."""

from taxii_node import PRIVATE, REGIONAL, SECOND
from taxii_tables import faults


async def test_a_caller_sees_the_collections_that_he_may_use_and_no_other(node):
    def ids(answer):
        return [collection["id"] for collection in answer.json().get("collections", [])]

    assert ids(await node.get("/exchange/collections/", by="rita")) == [REGIONAL, SECOND]
    assert ids(await node.get("/exchange/collections/", by="walt")) == [REGIONAL, PRIVATE]
    assert ids(await node.get("/exchange/collections/", by="pia")) == [REGIONAL]


async def test_without_a_collection_the_list_is_left_out(node):
    assert (await node.get("/exchange/collections/", by="nora")).json() == {}


async def test_a_listed_collection_is_the_same_resource_as_the_single_one(node):
    listed = (await node.get("/exchange/collections/")).json()["collections"][0]
    assert listed == (await node.get("")).json()


async def test_the_list_has_what_its_table_says(node):
    for name in ("rita", "walt", "pia", "nora"):
        assert faults("collections", (await node.get("/exchange/collections/", by=name)).json()) == []


async def test_every_listed_collection_answers_under_its_id(node):
    for name in ("rita", "walt", "pia"):
        for one in (await node.get("/exchange/collections/", by=name)).json()["collections"]:
            there = await node.get(f"/exchange/collections/{one['id']}/", by=name)
            assert (there.status_code, there.json()) == (200, one)
