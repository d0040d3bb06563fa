"""TAXII 2.1 §4.2 Get API root information."""

from taxii_tables import faults


async def test_the_api_root_speaks_2_1_and_says_how_much_it_takes(node):
    assert (await node.get("/exchange/")).json() == {
        "title": "CERT Alpha",
        "versions": ["application/taxii+json;version=2.1"],
        "max_content_length": 10 * 1024 * 1024,
    }


async def test_the_versions_include_2_1_as_a_media_type_with_its_parameter(node):
    body = (await node.get("/exchange/")).json()
    assert faults("api-root", body) == []
    assert "application/taxii+json;version=2.1" in body["versions"]


async def test_every_api_root_has_an_address_of_its_own(node):
    roots = (await node.get("/taxii2/")).json()["api_roots"]
    assert len(roots) == len(set(roots))
    answers = [await node.get(root) for root in roots]
    assert [answer.status_code for answer in answers] == [200] * len(roots)


async def test_what_is_no_api_root_is_404(node):
    for path in ("/exchange2/", "/nowhere/", "/Exchange/", "/exchange/api/"):
        assert (await node.get(path)).status_code == 404, path


async def test_max_content_length_is_the_same_for_everybody_and_positive(node):
    found = {
        (await node.get("/exchange/", by=name)).json()["max_content_length"] for name in ("rita", "walt", "nora")
    }
    assert len(found) == 1
    assert min(found) > 0
