"""TAXII 2.1 §3.8 Property names: exactly those of the tables, and the required ones always there."""

from reading import MARKING, SOFTWARE
from taxii_node import SETTINGS, domain, indicator, served
from taxii_tables import faults

ID = indicator(1)["id"]


async def test_no_resource_lacks_a_required_property_or_has_one_of_our_own(node):
    status = await node.post({"objects": [indicator(1), indicator(2), {}]})
    await node.fill([domain(1), MARKING, SOFTWARE])
    for path, kind in (
        ("/taxii2/", "discovery"),
        ("/exchange/", "api-root"),
        ("/exchange/collections/", "collections"),
        ("", "collection"),
        ("manifest/?limit=2", "manifest"),
        ("objects/?limit=2", "envelope"),
        (f"objects/{ID}/?limit=1&match[version]=all", "envelope"),
        (f"objects/{ID}/versions/", "versions"),
        (f"/exchange/status/{status.json()['id']}/", "status"),
        ("objects/?next=x", "error"),
    ):
        assert faults(kind, (await node.get(path, by="walt")).json()) == [], path


async def test_a_node_that_says_as_little_as_it_can_has_every_required_property(store, tmp_path):
    settings = SETTINGS.replace("    description: What the region shares\n", "").replace(", country: EE}", "}", 1)
    async with served(store, tmp_path, settings=settings) as node:
        for path, kind in (("/taxii2/", "discovery"), ("/exchange/", "api-root"), ("", "collection")):
            body = (await node.get(path)).json()
            assert faults(kind, body) == [], path
            assert None not in body.values()  # what is not known is left out


async def test_the_names_of_an_envelope_are_exact_when_it_is_posted(node):
    for name in ("Objects", "OBJECTS", "object", " objects", "items"):
        status = (await node.post({name: [indicator(1)]})).json()
        assert status["total_count"] == 0, name  # a custom property (§7.1), and no list of objects
    assert (await node.get("objects/")).content == b"{}"
