"""TAXII 2.1 §5.1 Get collections, §5.2 Get a collection."""

import pytest

from taxii_node import PRIVATE, REGIONAL, SECOND


@pytest.fixture
def database_url(make_database):
    """One engine: nothing here depends on which."""
    return make_database("sqlite")


STIX = ["application/stix+json;version=2.1"]


async def test_a_caller_sees_the_collections_that_he_may_use_and_no_other(node):
    def ids(answer):
        return [collection["id"] for collection in answer.json().get("collections", [])]

    assert ids(await node.get("/exchange/collections/", by="rita")) == [REGIONAL, SECOND]
    assert ids(await node.get("/exchange/collections/", by="walt")) == [REGIONAL, PRIVATE]
    assert ids(await node.get("/exchange/collections/", by="pia")) == [REGIONAL]


async def test_without_a_collection_the_list_is_left_out(node):
    assert (await node.get("/exchange/collections/", by="nora")).json() == {}


async def test_a_collection_says_what_this_caller_may_do_in_booleans(node):
    for name, can_read, can_write in (("rita", True, False), ("walt", True, True), ("pia", False, True)):
        assert (await node.get("", by=name)).json() == {
            "id": REGIONAL,
            "title": "Regional exchange",
            "description": "What the region shares",
            "alias": "regional",
            "can_read": can_read,
            "can_write": can_write,
            "media_types": STIX,
        }


async def test_an_unset_description_is_left_out(node):
    assert "description" not in (await node.get(f"/exchange/collections/{SECOND}/")).json()


async def test_an_alias_works_wherever_an_id_does_and_is_answered_with_the_id(node):
    assert (await node.get("/exchange/collections/regional/")).json()["id"] == REGIONAL
    for rest in ("objects/", "manifest/", "changes/"):
        assert (await node.get(f"/exchange/collections/regional/{rest}")).status_code == 200


async def test_a_listed_collection_is_the_same_resource_as_the_single_one(node):
    listed = (await node.get("/exchange/collections/")).json()["collections"][0]
    assert listed == (await node.get("")).json()


async def test_who_may_only_add_is_forbidden_to_read(node):
    for rest in ("objects/", "manifest/", "changes/", "objects/indicator--00000000-0000-4000-8000-000000000001/"):
        answer = await node.get(rest, by="pia")
        assert answer.status_code == 403
        assert "not read" in answer.json()["description"]
