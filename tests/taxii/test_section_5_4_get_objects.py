"""TAXII 2.1 §5.4 Get objects: what stands in a collection, as it came."""

import json

from reading import MARKING, NEW, OLD, SOFTWARE
from taxii_node import SECOND, indicator

EXTENSION = {  # has a `version` too
    "type": "extension-definition",
    "spec_version": "2.1",
    "id": "extension-definition--00000000-0000-4000-8000-000000000001",
    "created_by_ref": "identity--00000000-0000-4000-8000-000000000001",
    "created": OLD,
    "modified": OLD,
    "name": "Example",
    "schema": "https://schema.example/",
    "version": "1.2.1",
    "extension_types": ["property-extension"],
}


async def test_an_empty_collection_is_an_empty_envelope_and_an_empty_manifest_without_dates(node):
    for path in ("objects/", "manifest/"):
        answer = await node.get(path)
        assert answer.content == b"{}"
        assert not [name for name in answer.headers if name.startswith("x-taxii")]


async def test_an_object_is_served_with_the_bytes_that_came(node):
    odd = indicator(1, x_number=12345678901234567890.0, x_text="ü € 𝄞 \\u0000?", x_list=[[], {}, None])
    await node.fill([odd, SOFTWARE, MARKING])
    answer = await node.get("objects/")
    assert json.dumps(odd, ensure_ascii=False, separators=(",", ":")).encode()[:40] in answer.content
    assert answer.json()["objects"] == [odd, SOFTWARE, MARKING]


async def test_a_property_called_version_is_not_the_version_of_its_object(node):
    await node.fill([SOFTWARE, EXTENSION])
    assert (await node.get("objects/")).json()["objects"] == [SOFTWARE, EXTENSION]
    records = (await node.get("manifest/")).json()["objects"]
    assert {SOFTWARE["version"], EXTENSION["version"]}.isdisjoint(record["version"] for record in records)
    assert records[1]["version"] == OLD
    assert (await node.get("objects/?match[version]=7.2")).status_code == 400  # no timestamp, so no version


async def test_an_older_version_that_arrives_late_is_not_the_last(node):
    await node.fill([indicator(1, NEW)])
    await node.fill([indicator(1, OLD)])
    found = (await node.get("objects/")).json()["objects"]
    assert [one["modified"] for one in found] == [NEW]


async def test_a_revoked_version_is_served_like_any_other(node):
    await node.fill([indicator(1)])
    await node.fill([indicator(1, NEW, revoked=True)], op="revoke")
    found = (await node.get("objects/")).json()["objects"]
    assert [(one["modified"], one.get("revoked")) for one in found] == [(NEW, True)]


async def test_objects_of_another_collection_do_not_show(node):
    await node.fill([indicator(1)], collection_id=SECOND)
    assert (await node.get("objects/")).content == b"{}"
    assert (await node.get(f"objects/?match[id]={indicator(1)['id']}")).content == b"{}"
