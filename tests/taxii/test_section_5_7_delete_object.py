"""TAXII 2.1 §5.7 Delete an object: for who posted it, from this collection."""

from taxii_node import REGIONAL, SECOND, SETTINGS, indicator, served

OLD, MIDDLE, NEW = "2025-03-01T00:00:00.000Z", "2025-03-02T00:00:00.000Z", "2025-03-03T00:00:00.000Z"
ID = indicator(1)["id"]


async def delete(node, query="", *, by="walt", id_=ID):
    return await node.get(f"objects/{id_}/{query}", by=by, method="DELETE")


async def versions(node):
    return (await node.get(f"objects/{ID}/versions/")).json().get("versions")


async def test_after_delete_the_object_is_gone_in_every_version_and_place(node):
    await node.post({"objects": [indicator(1, OLD), indicator(1, NEW), indicator(2)]})
    answer = await delete(node)
    assert (answer.status_code, answer.content) == (200, b"")
    for path in (f"objects/{ID}/", f"objects/{ID}/versions/"):
        assert (await node.get(path)).status_code == 404
    for path in ("objects/", "manifest/", "objects/?match[version]=all"):
        assert [one["id"] for one in (await node.get(path)).json()["objects"]] == [indicator(2)["id"]]
    assert (await delete(node)).status_code == 404


async def test_versions_may_be_chosen_by_word_and_by_instant(node):
    await node.post({"objects": [indicator(1, OLD), indicator(1, MIDDLE), indicator(1, NEW)]})
    assert (await delete(node, "?match[version]=2025-03-02T00:00:00Z")).status_code == 200
    assert await versions(node) == [OLD, NEW]
    assert (await delete(node, "?match[version]=last")).status_code == 200
    # the older one becomes the last again, at a new position, so who reads on by date finds it
    assert await versions(node) == [OLD]
    assert (await node.get(f"objects/{ID}/")).json()["objects"] == [indicator(1, OLD)]
    assert (await delete(node, "?match[version]=first")).status_code == 200
    assert (await node.get(f"objects/{ID}/")).status_code == 404


async def test_a_filter_that_chooses_nothing_deletes_nothing(node):
    await node.post({"objects": [indicator(1)]})
    for query in ("?match[version]=2030-01-01T00:00:00Z", "?match[spec_version]=2.0"):
        assert (await delete(node, query)).status_code == 404
    assert (await delete(node, "?match[version]=nonsense")).status_code == 400
    assert await versions(node) == [OLD]


async def test_the_table_of_rights_is_404_403_403(node):
    await node.post({"objects": [indicator(1)]})
    assert (await delete(node, by="nora")).status_code == 404
    assert (await delete(node, by="rita")).status_code == 403  # may only read
    assert (await delete(node, by="pia")).status_code == 403  # may only add
    assert (await delete(node, by=None)).status_code == 401


async def test_another_writers_object_may_not_be_deleted(node):
    await node.post({"objects": [indicator(1)]}, by="pia")
    answer = await delete(node, by="walt")
    assert answer.status_code == 403
    assert "posted" in answer.json()["description"]
    await node.fill([indicator(2)])  # ours: nobody posted it
    assert (await delete(node, id_=indicator(2)["id"])).status_code == 403
    assert len((await node.get("objects/")).json()["objects"]) == 2


async def test_an_unknown_object_is_404(node):
    for id_ in (ID, "nonsense", "indicator--x", "%00"):
        assert (await delete(node, id_=id_)).status_code == 404


async def test_what_was_deleted_may_be_posted_again(node):
    await node.post({"objects": [indicator(1)]})
    await delete(node)
    assert (await node.post({"objects": [indicator(1)]})).json()["success_count"] == 1
    assert (await node.get(f"objects/{ID}/")).status_code == 200
    assert REGIONAL in node.collection_url()


async def test_what_is_deleted_leaves_every_place_where_it_could_be_seen(node):
    await node.post({"objects": [indicator(1, OLD), indicator(1, NEW)]})
    assert (await delete(node)).status_code == 200
    for path in (
        f"objects/?match[id]={ID}",
        f"objects/?match[id]={ID}&match[version]=all",
        "objects/?match[version]=first",
        f"objects/?match[version]={OLD}",
        f"manifest/?match[id]={ID}",
        "manifest/?match[version]=all",
    ):
        assert (await node.get(path)).content == b"{}", path


async def test_delete_takes_from_this_collection_alone(store, tmp_path):
    settings = SETTINGS.replace("title: Second, ", "title: Second, writers: [walt], clearance: green, ")
    async with served(store, tmp_path, settings=settings) as node:
        second = f"/exchange/collections/{SECOND}/objects/"
        for path in ("objects/", second):
            assert (await node.post({"objects": [indicator(1)]}, path=path)).json()["success_count"] == 1
        assert (await delete(node)).status_code == 200
        assert (await node.get(f"objects/{ID}/")).status_code == 404
        assert (await node.get(f"{second}{ID}/")).json()["objects"] == [indicator(1)]


async def test_a_date_or_a_page_does_not_choose_what_is_deleted(node):
    """§5.7 has `match[version]` and `match[spec_version]`; a date that is none is malformed all the same."""
    await node.post({"objects": [indicator(1, OLD), indicator(1, NEW)]})
    for query in ("?added_after=yesterday", "?limit=0", "?next=x"):
        assert (await delete(node, query)).status_code == 400, query
    assert await versions(node) == [OLD, NEW]
    assert (await delete(node, "?match[type]=malware&match[id]=x&limit=1")).status_code == 200
    assert await versions(node) is None
