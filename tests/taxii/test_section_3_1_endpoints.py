"""TAXII 2.1 §3.1 Endpoints: paths, methods, media types and caching, over real HTTP."""

import gzip

import pytest

from reading import LATER, READABLE
from taxii_node import REGIONAL, TAXII, indicator
from taxii_tables import faults

EVERYWHERE = ["/taxii2", "/exchange", "/exchange/collections", "", "objects", "manifest", "changes", "digest"]


async def test_a_path_answers_with_and_without_its_slash_and_never_redirects(node):
    await node.fill([indicator(1)])
    for path in EVERYWHERE:
        bare = await node.get(path or f"/exchange/collections/{REGIONAL}")
        slashed = await node.get(path + "/" if path else "")
        assert (bare.status_code, slashed.status_code) == (200, 200)
        assert bare.content == slashed.content


async def test_head_is_get_without_the_body(node):
    await node.fill([indicator(1), indicator(2)])
    for path in [*(f"{path}/" if path else "" for path in EVERYWHERE), "objects/?limit=1"]:
        whole = await node.get(path)
        head = await node.get(path, method="HEAD")
        assert head.status_code == 200
        assert head.content == b""
        different = {name for name in whole.headers if head.headers.get(name) != whole.headers[name]}
        assert different <= {"date"}


async def test_other_methods_are_405_and_say_which_are_allowed(node):
    one = f"objects/{indicator(1)['id']}"
    for path, methods in (
        ("/taxii2/", {"GET", "HEAD"}),
        ("objects/", {"GET", "HEAD", "POST"}),
        (f"{one}/", {"GET", "HEAD", "DELETE"}),
        (one, {"GET", "HEAD", "DELETE"}),
    ):
        for method in {"OPTIONS", "PUT", "PATCH", "POST", "DELETE", "REPORT"} - methods:
            answer = await node.get(path, method=method)
            assert answer.status_code == 405, (path, method)
            assert {allowed.strip() for allowed in answer.headers["Allow"].split(",")} == methods
            assert answer.headers["Content-Type"] == TAXII
            assert answer.json()["http_status"] == "405"


async def test_every_taxii_answer_has_exactly_the_type_that_clients_look_for(node):
    await node.fill([indicator(1)])
    for path in ("/taxii2/", "/exchange/", "objects/", "manifest/", "/exchange/nowhere/", "objects/?limit=0"):
        assert (await node.get(path)).headers["Content-Type"] == TAXII


async def test_a_client_of_taxii_2_0_alone_gets_the_406_that_makes_it_fall_back(node):
    headers = {"Accept": "application/vnd.oasis.taxii+json; version=2.0"}
    for path in ("/taxii2/", "objects/", "manifest/"):
        answer = await node.get(path, headers=headers)
        assert (answer.status_code, answer.json()["http_status"]) == (406, "406")


async def test_several_accept_lines_count_as_one(node):
    headers = [("Accept", "text/html"), ("Accept", "application/json")]
    answer = await node.http.get(f"{node.url}/taxii2/", headers=[*headers, ("X-API-Key", node.tokens["rita"])])
    assert answer.status_code == 200


async def test_a_content_type_on_get_is_ignored(node):
    answer = await node.get("objects/", headers={"Content-Type": "text/plain"})  # MISP, Elastic
    assert answer.status_code == 200


async def test_a_missing_user_agent_is_no_reason_to_refuse(node):
    assert (await node.get("objects/", headers={"User-Agent": ""})).status_code == 200


async def test_an_unchanged_answer_is_not_sent_twice(node):
    await node.fill([indicator(1)])
    first = await node.get("objects/")
    tag = first.headers["ETag"]
    for condition in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = await node.get("objects/", headers={"If-None-Match": condition})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        assert again.headers["X-TAXII-Date-Added-Last"] == first.headers["X-TAXII-Date-Added-Last"]
    await node.fill([indicator(2)])
    assert (await node.get("objects/", headers={"If-None-Match": tag})).status_code == 200


async def test_no_shared_cache_may_keep_an_answer(node):
    answer = await node.get("objects/")
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "Accept-Encoding"} <= set(answer.headers["Vary"].split(", "))
    assert (await node.get("nowhere/")).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("size", [100, 10_000])  # a few kilobytes, and enough to be compressed in a thread
async def test_a_large_answer_is_compressed_for_who_accepts_it(node, size):
    await node.fill([indicator(number, description="x" * size) for number in range(8)])
    plain = await node.get("objects/", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    async with node.http.stream(
        "GET",
        f"{node.collection_url()}objects/",
        headers={"X-API-Key": node.tokens["rita"], "Accept-Encoding": "gzip"},
    ) as packed:
        raw = b"".join([part async for part in packed.aiter_raw()])
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(raw) < len(plain.content)
    assert gzip.decompress(raw) == plain.content
    assert packed.headers["ETag"] == plain.headers["ETag"]


async def test_a_small_answer_is_not_compressed(node):
    assert "Content-Encoding" not in (await node.get("objects/", headers={"Accept-Encoding": "gzip"})).headers


NOWHERE = [
    "/",
    "/exchange/nowhere/",
    "/exchange/collections/%00/",
    "/exchange/collections/%FF%FE/objects/",
    "/exchange/collections/'%22;--/objects/",
    "/exchange/collections/" + "x" * 8000 + "/",
    "/exchange//collections/",
    "objects/%00/",
    "objects/" + "x" * 8000 + "/",
    "objects/indicator--not-a-uuid/versions/",
    "objects/indicator--00000000-0000-4000-8000-000000000001%0A/",
    "/exchange/status/%00/",
    "/exchange/status/" + "9" * 4000 + "/",
    "/openapi.json",
    "/docs",
]


async def test_whatever_is_not_there_is_a_plain_404(node):
    for path in NOWHERE:
        answer = await node.get(path)
        assert (answer.status_code, answer.json()["http_status"]) == (404, "404"), path


async def test_every_success_has_the_resource_of_its_endpoint(node):
    await node.post({"objects": [indicator(1)]})
    one = f"objects/{indicator(1)['id']}/"
    status = (await node.post({})).json()["id"]
    for path, kind in (
        ("/taxii2/", "discovery"),
        ("/exchange/", "api-root"),
        (f"/exchange/status/{status}/", "status"),
        ("/exchange/collections/", "collections"),
        ("", "collection"),
        ("manifest/", "manifest"),
        ("objects/", "envelope"),
        (one, "envelope"),
        (f"{one}versions/", "versions"),
    ):
        answer = await node.get(path, by="walt")
        assert (answer.status_code, faults(kind, answer.json())) == (200, []), path
    posted = await node.post({"objects": [indicator(2)]})
    assert (posted.status_code, faults("status", posted.json())) == (202, [])
    deleted = await node.get(one, by="walt", method="DELETE")
    assert (deleted.status_code, deleted.content) == (200, b"")  # §5.7 has no payload


async def test_every_failure_has_the_error_message_that_its_endpoint_lists(node):
    for path in (*READABLE, "/exchange/status/x/"):
        for headers, status in (({}, 401), ({"X-API-Key": "x"}, 401)):
            answer = await node.get(path, by=None, headers=headers)
            assert (answer.status_code, faults("error", answer.json())) == (status, []), path
        answer = await node.get(path, method="PATCH")
        assert (answer.status_code, faults("error", answer.json())) == (405, []), path
        answer = await node.get(path, headers={"Accept": "text/html"})
        assert (answer.status_code, faults("error", answer.json())) == (406, []), path


async def test_media_type_and_version_stand_on_every_kind_of_answer(node):
    one = f"objects/{indicator(1)['id']}/"
    answers = [
        await node.post({"objects": [indicator(1)]}),
        await node.get("objects/"),
        await node.get("objects/", method="HEAD"),
        await node.get(f"objects/?added_after={LATER}"),
        await node.get(one, by="pia"),
        await node.get(one, by=None),
        await node.get(one, by="walt", method="DELETE"),
        await node.get(one),
        await node.post(b"{"),
        await node.post(b"7"),
        await node.post({}, headers={"Content-Type": "text/plain"}),
        await node.get("objects/", method="OPTIONS"),
    ]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [202, 200, 200, 200, 403, 401, 200, 404, 400, 422, 415, 405]
    assert {answer.headers["Content-Type"] for answer in answers} == {TAXII}


async def test_a_path_of_an_object_takes_its_methods_without_its_slash_too(node):
    bare = f"{node.collection_url()}objects"
    headers = {"X-API-Key": node.tokens["walt"], "Content-Type": TAXII}
    posted = await node.http.post(bare, headers=headers, json={"objects": [indicator(1)]})
    assert posted.status_code == 202
    assert (await node.get(f"/exchange/status/{posted.json()['id']}", by="walt")).status_code == 200
    one = f"objects/{indicator(1)['id']}"
    for path in (one, f"{one}/versions"):
        assert (await node.get(path)).status_code == 200, path
    assert (await node.get(one, by="walt", method="DELETE")).status_code == 200
    assert (await node.get(one)).status_code == 404
