"""TAXII 2.1 §4.1 Server discovery: what this server is, and where its API root lies."""

import pytest

from taxii_node import SETTINGS, served
from taxii_tables import faults
from tocsin.documents import read_document
from tocsin.errors import BadFile
from tocsin.settings import read_settings


async def test_discovery_names_the_one_api_root_by_path_where_no_public_address_is_set(node):
    body = (await node.get("/taxii2/")).json()
    assert body == {"title": "CERT Alpha", "default": "/exchange/", "api_roots": ["/exchange/"]}


@pytest.mark.parametrize("url", ["https://node.cert-alpha.example", "https://node.cert-alpha.example/"])
async def test_discovery_uses_the_public_address_and_never_the_host_header(store, tmp_path, url):
    settings = SETTINGS.replace("country: EE}", f"country: EE, url: {url}}}", 1)
    async with served(store, tmp_path, settings=settings) as node:
        body = (await node.get("/taxii2/", headers={"Host": "elsewhere.example"})).json()
    assert body["api_roots"] == ["https://node.cert-alpha.example/exchange/"]
    assert body["default"] in body["api_roots"]


async def test_an_api_root_is_one_slash_and_a_path_that_ends_in_one_without_a_query(node):
    (root,) = (await node.get("/taxii2/")).json()["api_roots"]
    assert root.startswith("/")
    assert not root.startswith("//")  # which would name another server
    assert root.endswith("/")
    assert not set(root) & set("?#")
    assert (await node.get(root)).status_code == 200


@pytest.mark.parametrize("url", ["https://a.example?x=1", "https://a.example#b", "ftp://a.example", "a"])
def test_a_public_address_with_a_query_or_of_another_scheme_is_refused(url):
    settings = SETTINGS.replace("country: EE}", f'country: EE, url: "{url}"}}', 1)
    with pytest.raises(BadFile, match="url"):
        read_settings(read_document(settings, "tocsin.yaml"))


async def test_the_default_is_one_of_the_api_roots(store, tmp_path):
    settings = SETTINGS.replace("country: EE}", "country: EE, url: https://a.example/below}", 1)
    async with served(store, tmp_path, settings=settings) as node:
        body = (await node.get("/taxii2/")).json()
    assert faults("discovery", body) == []
    assert body["default"] == "https://a.example/below/exchange/"
    assert body["default"] in body["api_roots"]


async def test_discovery_is_for_known_callers(node):
    assert (await node.get("/taxii2/", by=None)).status_code == 401
    assert (
        await node.get("/taxii2/", by="nora")
    ).status_code == 200  # known, though no collection is offered to her


async def test_discovery_is_found_at_one_place_and_is_no_prefix_of_an_api_root(node):
    for path in ("/taxii/", "/taxii2/exchange/", "/exchange/taxii2/", "/TAXII2/", "/taxii2//", "/"):
        assert (await node.get(path)).status_code == 404, path
