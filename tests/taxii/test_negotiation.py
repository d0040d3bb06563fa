"""TAXII 2.1 §1.6.8 and §3.1: media types in every spelling that clients use."""

import pytest

from taxii_node import TAXII, indicator
from tocsin.problems import NotAcceptable, UnknownMedia
from tocsin.taxii.negotiation import check_accept, check_content_type

ACCEPTED = [
    None,
    "",
    "*/*",
    "application/*",
    "application/json",
    "application/json, text/plain, */*",  # OpenCTI before 2023
    "application/taxii+json",
    "application/taxii+json;version=2.1",
    "application/taxii+json; version=2.1",
    "application/taxii+json ; version = 2.1",
    'application/taxii+json;version="2.1"',
    "APPLICATION/TAXII+JSON;VERSION=2.1",
    "application/taxii+json;version=2.1;q=0.1, text/html",
    "application/taxii+json;version=2.0, application/taxii+json;version=2.1",
    "application/vnd.oasis.taxii+json; version=2.0, application/taxii+json",
    'text/x;a="quoted, comma; semicolon", application/taxii+json',
    "application/taxii+json;version=2.1;q=high",  # a weight that is none
    "application/taxii+json;version=2.0;q=0, */*",
]
REFUSED = [
    "application/taxii+json;version=2.0",
    "application/vnd.oasis.taxii+json; version=2.0",  # what makes XSOAR fall back to 2.0
    "application/taxii+json;version=3.0",
    "application/stix+json;version=2.1",
    "text/html",
    "application/json;q=0",
    "*/*;q=0",
    "application/taxii+json;version=2.1;q=0, */*",  # the most specific range decides
    "application/taxii+json;q=0, application/*",
    ";;;,,,",
    '"',
]


@pytest.mark.parametrize("header", ACCEPTED)
def test_a_client_that_can_take_the_answer_gets_it(header):
    check_accept(header)


@pytest.mark.parametrize("header", REFUSED)
def test_only_what_asks_for_another_type_or_version_is_refused(header):
    with pytest.raises(NotAcceptable, match=r"version=2\.1"):
        check_accept(header)


CALLED_TAXII = [
    "application/taxii+json;version=2.1",
    "application/taxii+json",
    'Application/TAXII+json; Version="2.1"',
    "application/taxii+json;version=2.1; charset=UTF-8",
]
CALLED_OTHERWISE = [
    None,
    "",
    "application/json",
    "text/plain",
    "application/stix+json;version=2.1",
    "application/taxii+json;version=2.0",
    "application/vnd.oasis.taxii+json;version=2.0",
    "application/taxii+json;charset=utf-16",
]


@pytest.mark.parametrize("header", CALLED_TAXII)
def test_a_body_may_be_called_taxii_json_in_any_spelling(header):
    check_content_type(header, None)
    check_content_type(header, "identity")


@pytest.mark.parametrize("header", CALLED_OTHERWISE)
def test_a_body_of_another_type_is_refused(header):
    with pytest.raises(UnknownMedia):
        check_content_type(header, None)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "aes128gcm"])
def test_a_coded_body_is_refused_since_its_size_would_be_unknown(coding):
    with pytest.raises(UnknownMedia, match="Content-Encoding"):
        check_content_type("application/taxii+json;version=2.1", coding)


async def test_whoever_can_take_the_answer_gets_it_and_whoever_cannot_406(node):
    for header in ACCEPTED:
        answer = await node.get("objects/", headers={} if header is None else {"Accept": header})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, TAXII), header
    for header in REFUSED:
        answer = await node.get("objects/", headers={"Accept": header})
        assert (answer.status_code, answer.headers["Content-Type"]) == (406, TAXII), header
        assert "version=2.1" in answer.json()["description"]


async def test_every_endpoint_negotiates_alike(node):
    await node.post({"objects": [indicator(1)]})
    one = f"objects/{indicator(1)['id']}/"
    root = ("/taxii2/", "/exchange/", "/exchange/collections/")
    for path in (*root, "", "manifest/", "objects/", one, f"{one}versions/"):
        for header, status in (("application/taxii+json", 200), ("application/taxii+json;version=2.0", 406)):
            assert (await node.get(path, headers={"Accept": header})).status_code == status, path


async def test_a_post_is_negotiated_on_both_sides_before_anything_is_stored(node):
    wrong = {"Accept": "application/taxii+json;version=2.0"}
    assert (await node.post({"objects": [indicator(1)]}, headers=wrong)).status_code == 406
    assert (
        await node.post({"objects": [indicator(1)]}, headers={"Content-Type": "text/plain"})
    ).status_code == 415
    assert (await node.get("objects/")).content == b"{}"
    assert (await node.post({"objects": [indicator(1)]}, headers={"Accept": "text/html"})).status_code == 406
    deleted = await node.get(f"objects/{indicator(1)['id']}/", by="walt", method="DELETE", headers=wrong)
    assert deleted.status_code == 406


async def test_a_body_is_taken_under_every_spelling_of_its_type(node):
    for number, header in enumerate(CALLED_TAXII):
        answer = await node.post({"objects": [indicator(number)]}, headers={"Content-Type": header})
        assert (answer.status_code, answer.json()["success_count"]) == (202, 1), header
    for header in CALLED_OTHERWISE:
        answer = await node.post({"objects": []}, headers={"Content-Type": header or ""})
        assert (answer.status_code, answer.json()["http_status"]) == (415, "415"), header


async def test_without_accept_the_highest_version_is_answered(node):
    for path in ("/taxii2/", "objects/"):
        request = node.http.build_request(
            "GET", node.url + path if path[0] == "/" else node.collection_url() + path
        )
        del request.headers["Accept"]
        request.headers["X-API-Key"] = node.tokens["rita"]
        assert (await node.http.send(request)).headers["Content-Type"] == TAXII
