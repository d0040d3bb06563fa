"""TAXII 2.1 §4.1 Server discovery, §4.2 API root, §4.3 Get status."""

import uuid

import pytest

from taxii_node import REGIONAL, SETTINGS, indicator, served
from tocsin.store import postings


@pytest.fixture
def database_url(make_database):
    """One engine: nothing here depends on which."""
    return make_database("sqlite")


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


async def test_the_api_root_speaks_2_1_and_says_how_much_it_takes(node):
    assert (await node.get("/exchange/")).json() == {
        "title": "CERT Alpha",
        "versions": ["application/taxii+json;version=2.1"],
        "max_content_length": 10 * 1024 * 1024,
    }


async def test_a_status_can_be_read_again_by_its_poster_as_it_was_answered(node):
    posted = await node.post({"objects": [indicator(1)]})
    assert posted.status_code == 202
    again = await node.get(f"/exchange/status/{posted.json()['id']}/", by="walt")
    assert again.status_code == 200
    assert again.json() == posted.json()


async def test_a_status_is_nobody_elses_business(node):
    posted = await node.post({"objects": [indicator(1)]})
    theirs = await node.get(f"/exchange/status/{posted.json()['id']}/", by="pia")
    none = await node.get(f"/exchange/status/{uuid.uuid4()}/", by="pia")
    assert (theirs.status_code, theirs.content) == (404, none.content)


async def test_a_status_is_kept_for_more_than_a_day_and_not_for_ever(node):
    hour = 3600 * 1_000_000
    kept, forgotten = str(uuid.uuid4()), str(uuid.uuid4())
    async with node.store.writing() as tx:
        now = await tx.now()
        for id_, age in ((kept, 25), (forgotten, 49)):
            await postings.put_status(tx, id_, node.parties["walt"], REGIONAL, {"id": id_}, now - age * hour)
    await node.post({"objects": []})
    assert (await node.get(f"/exchange/status/{kept}/", by="walt")).status_code == 200
    assert (await node.get(f"/exchange/status/{forgotten}/", by="walt")).status_code == 404


async def test_what_is_no_status_id_is_404(node):
    for id_ in ("x", "regional", "00000000-0000-0000-0000-000000000000", "%00"):
        assert (await node.get(f"/exchange/status/{id_}/", by="walt")).status_code == 404, id_
