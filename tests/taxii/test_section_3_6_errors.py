"""TAXII 2.1 §3.6 Errors: one shape for everything that goes wrong, and no more in it than may be told."""

import json
import uuid

import pytest
from starlette.exceptions import HTTPException
from starlette.routing import Route

from taxii_node import PRIVATE, REGIONAL, TAXII, indicator, listening
from taxii_tables import faults
from tocsin.app import make_app
from tocsin.errors import (
    BadFile,
    BadInput,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    PeerFailed,
    Refused,
    TooLarge,
    Unavailable,
)
from tocsin.problems import NotAcceptable, UnknownMedia, Unprocessable, problem, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput("x"), 400),
        (NotAuthenticated("x"), 401),
        (NotAllowed("x"), 403),
        (NotFound("x"), 404),
        (NotAcceptable("x"), 406),
        (TooLarge("x"), 413),
        (UnknownMedia("x"), 415),
        (Unprocessable("x"), 422),
        (Refused("x"), 422),
        (BadFile("x"), 503),
        (Unavailable("x"), 503),
        (PeerFailed("x"), 500),  # never meets a client; if it did, it would be our fault
    ],
)
def test_every_error_has_one_status(error, status):
    assert status_of(error) == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 413, 415, 422, 429, 500, 503])
def test_an_error_message_has_a_title_and_its_status_as_a_string(status):
    answer = problem(status, "why")
    assert answer.media_type == TAXII
    body = json.loads(answer.body)
    assert body["title"]
    assert body["http_status"] == str(status)


def test_who_should_come_back_later_is_told_when():
    assert problem(503).headers["Retry-After"]
    assert problem(429).headers["Retry-After"]
    assert problem(429, headers={"Retry-After": "60"}).headers["Retry-After"] == "60"


async def test_absent_and_not_for_you_are_the_same_bytes(node):
    await node.fill([indicator(1)], collection_id=PRIVATE)
    hidden = indicator(1)["id"]
    answers = [
        await node.get(f"/exchange/collections/{PRIVATE}/"),
        await node.get("/exchange/collections/private/objects/"),
        await node.get(f"/exchange/collections/{PRIVATE}/objects/{hidden}/"),
        await node.get(f"/exchange/collections/{PRIVATE}/objects/{hidden}/", method="DELETE"),
        await node.get(f"/exchange/collections/{PRIVATE}/changes/"),
        await node.get("/exchange/collections/3f0c4d5e-7a11-4c1e-9b0d-00000000dead/"),
        await node.get(f"objects/{hidden}/"),
        await node.get(f"objects/{hidden}/versions/"),
        await node.get(f"/exchange/status/{uuid.uuid4()}/"),
        await node.get("/exchange/nowhere/"),
        await node.post({"objects": []}, by="nora"),
        await node.get("/exchange/collections/regional/", by="nora"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    # `Connection` tells whether the request had a body, which the client knows
    headers = [{k: v for k, v in answer.headers.items() if k not in ("date", "connection")} for answer in answers]
    assert all(found == headers[0] for found in headers)


async def test_what_nobody_foresaw_is_500_with_an_id_that_our_log_explains(store, tmp_path, node, caplog):
    async def broken(request):
        raise ZeroDivisionError("secret detail")

    async def late(request):
        raise Unavailable("the database at db.internal.example does not answer")

    async def busy(request):
        raise HTTPException(429, headers={"Retry-After": "7"})

    app = make_app(node.store, node.home)
    app.router.routes += [Route("/broken", broken), Route("/late", late), Route("/busy", busy)]
    async with listening(app) as url:
        crashed = await node.http.get(f"{url}/broken")
        unavailable = await node.http.get(f"{url}/late")
        limited = await node.http.get(f"{url}/busy")
    for answer, status in ((crashed, 500), (unavailable, 503)):
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == TAXII
        assert answer.json()["error_id"] in caplog.text
        assert "secret" not in answer.text
        assert "internal" not in answer.text
    assert "ZeroDivisionError: secret detail" in caplog.text
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    assert limited.json()["title"] == "Too many requests"


async def test_a_malformed_parameter_is_400_and_named(node):
    for path in ("objects/?limit=0", "manifest/?added_after=x", "objects/?next=x", "objects/?match[version]=x"):
        answer = await node.get(path)
        assert answer.status_code == 400
        assert path.partition("?")[2].partition("=")[0] in answer.json()["description"]


async def test_the_collection_is_looked_at_before_its_parameters(node):
    assert (await node.get(f"/exchange/collections/{PRIVATE}/objects/?limit=0")).status_code == 404
    assert (await node.get(f"/exchange/collections/{REGIONAL}/objects/?limit=0")).status_code == 400


async def failures(node):
    """An answer of each status that a client can cause."""
    await node.post({"objects": [indicator(1)]})
    one = f"objects/{indicator(1)['id']}/"
    return {
        400: await node.get("objects/?limit=0"),
        401: await node.get("objects/", by=None),
        403: await node.get("objects/", by="pia"),
        404: await node.get("objects/nothing/"),
        405: await node.get(one, method="PUT"),
        406: await node.get("objects/", headers={"Accept": "text/html"}),
        413: await node.post(b" " * 10_500_000),
        415: await node.post({}, headers={"Content-Type": "text/plain"}),
        422: await node.post([]),
    }


async def test_each_failure_is_an_error_message_with_a_title_and_its_own_status(node):
    for status, answer in (await failures(node)).items():
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == TAXII
        body = answer.json()
        assert faults("error", body) == []
        assert body["title"].strip()
        assert body["http_status"] == str(answer.status_code)
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_failure_never_shows_a_page_for_people_or_how_the_node_is_built(node):
    for status, answer in (await failures(node)).items():
        said = answer.text.lower() + str(answer.headers).lower()
        for word in ("<html", "traceback", "starlette", "uvicorn", "sqlite", "postgresql", ".py"):
            assert word not in said, status


async def test_a_failed_head_says_its_status_and_has_no_body(node):
    for path, status in (("objects/nothing/", 404), ("objects/?limit=0", 400), ("/exchange/nowhere/", 404)):
        answer = await node.get(path, method="HEAD")
        assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (status, b"", TAXII)
