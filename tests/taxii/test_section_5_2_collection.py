"""TAXII 2.1 §5.2 Get a collection: its names, what may be done with it, and what it holds."""

import pytest

from reading import MARKING, SOFTWARE
from taxii_node import PRIVATE, REGIONAL, SECOND, SETTINGS, indicator
from tocsin.documents import read_document
from tocsin.errors import BadFile
from tocsin.settings import read_settings

STIX = ["application/stix+json;version=2.1"]


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


async def test_under_its_alias_a_collection_takes_gives_and_loses_objects_too(node):
    alias = "/exchange/collections/regional/objects/"
    assert (await node.post({"objects": [indicator(1)]}, path=alias)).status_code == 202
    one = f"{alias}{indicator(1)['id']}/"
    assert (await node.get(one)).content == (await node.get(f"objects/{indicator(1)['id']}/")).content
    assert (await node.get(f"{one}versions/")).status_code == 200
    assert (await node.get(one, by="walt", method="DELETE")).status_code == 200
    assert (await node.get(one)).status_code == 404


async def test_an_alias_and_a_title_name_one_collection_alone(node):
    listed = (await node.get("/exchange/collections/")).json()["collections"]
    for name in ("id", "alias", "title"):
        assert len({one[name] for one in listed}) == len(listed) > 1, name


def refusal(settings):
    with pytest.raises(BadFile) as why:
        read_settings(read_document(settings, "tocsin.yaml"))
    return str(why.value)


def test_names_that_would_mean_two_collections_are_refused_with_their_line():
    assert "'second'" in refusal(SETTINGS.replace("private: {", "second: {"))
    assert "is already that of collection" in refusal(SETTINGS.replace("title: Private", "title: Second"))
    assert "is already that of collection 'second'" in refusal(SETTINGS.replace(PRIVATE, SECOND))
    shadowing = refusal(SETTINGS.replace("  second: {", f"  {PRIVATE}: {{"))
    assert "is the id of collection 'private'" in shadowing
    assert "tocsin.yaml:" in shadowing


async def test_other_spellings_of_a_name_are_other_names(node):
    for spelling in (
        REGIONAL.upper(),
        "Regional",
        "Regional%20exchange",
        f"{REGIONAL}%20",
        "regional,second",
        "*",
    ):
        assert (await node.get(f"/exchange/collections/{spelling}/")).status_code == 404, spelling


async def test_the_media_types_are_those_of_all_that_is_stored(node):
    posted = (await node.post({"objects": [indicator(1), {"type": "indicator", "id": indicator(2)["id"]}]})).json()
    assert (posted["success_count"], posted["failure_count"]) == (1, 1)  # STIX 2.0 is not taken in
    await node.fill([MARKING, SOFTWARE])
    found = {record["media_type"] for record in (await node.get("manifest/")).json()["objects"]}
    assert found == set((await node.get("")).json()["media_types"]) == set(STIX)


READS = ["objects/", "manifest/", f"objects/{indicator(1)['id']}/", f"objects/{indicator(1)['id']}/versions/"]


async def test_what_a_collection_says_of_its_rights_is_what_happens(node):
    await node.fill([indicator(1)])
    for name in ("rita", "walt", "pia", "nora"):
        answer = await node.get("", by=name)
        known = answer.status_code == 200
        rights = answer.json() if known else {}
        for path in READS:
            expected = 200 if rights.get("can_read") else 403 if known else 404
            assert (await node.get(path, by=name)).status_code == expected, (name, path)
        expected = 202 if rights.get("can_write") else 403 if known else 404
        assert (await node.post({"objects": [indicator(2)]}, by=name)).status_code == expected, name


async def test_who_may_only_add_is_forbidden_to_read(node):
    for rest in ("objects/", "manifest/", "changes/", "objects/indicator--00000000-0000-4000-8000-000000000001/"):
        answer = await node.get(rest, by="pia")
        assert answer.status_code == 403
        assert "not read" in answer.json()["description"]
