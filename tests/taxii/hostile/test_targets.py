"""Targets (reliability row 21): no spelling of a path, method or host leads elsewhere, and nothing redirects."""

import pytest
from wire import head_of, one_answer

from taxii_node import PRIVATE, REGIONAL, TAXII, indicator

OBJECTS = f"/exchange/collections/{REGIONAL}/objects/"

PATHS = [
    "/exchange/../exchange/collections/",
    "/exchange/./collections/",
    "/exchange/collections/../../exchange/collections/",
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2f..%2fetc%2fpasswd",
    "/..%5c..%5cwindows%5cwin.ini",
    "/exchange%2fcollections/",
    "/exchange%2Fcollections%2F" + REGIONAL + "%2Fobjects%2F",
    "/exchange/collections/" + REGIONAL + "%2fobjects/",
    "/exchange/collections/" + REGIONAL + "/objects/..%2f..%2f" + PRIVATE + "%2fobjects/",
    "/exchange/collections/" + REGIONAL + "/../" + PRIVATE + "/objects/",
    "/exchange/collections/" + REGIONAL + ";/objects/",
    "/exchange/collections/" + REGIONAL + "/objects;v=1/",
    "/exchange/collections/" + REGIONAL + "/objects/%00",
    "/exchange/collections/" + REGIONAL + "%00/objects/",
    "/exchange/collections/%2500/",
    "/exchange/collections/%c0%ae%c0%ae/",
    "/exchange/collections/%FF%FE/",
    "/exchange/collections/%ED%A0%80/",
    "/exchange/collections/%u0041/",
    "/exchange/collections/%/",
    "/exchange/collections/%zz/",
    "/exchange/collections/%0d%0aSet-Cookie:%20a=b/",
    "/exchange/collections/" + "a" * 20_000 + "/",
    "/exchange/" + "collections/" * 2000,
    "/" * 20_000,
    "/exchange//collections/",
    "//exchange/collections/",
    "//elsewhere.example/exchange/",
    "/\\elsewhere.example/exchange/",
    "/EXCHANGE/collections/",
    "/exchange/Collections/",
    "/exchange/collections/" + REGIONAL.upper() + "/",
    "/exchange/collections/__class__/",
    "/exchange/collections/{collection}/",
    "/exchange/collections/*/",
    "/exchange/collections/' OR '1'='1/".replace(" ", "%20"),
    "/exchange/collections/${jndi:ldap:%2f%2felsewhere.example}/",
    "/static/",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/metrics",
    "/.git/config",
    "/.well-known/",
    "/exchange/collections/" + REGIONAL + "/objects/" + "x" * 10_000 + "/versions/",
]


async def test_a_path_that_is_none_of_ours_is_a_plain_404_and_never_a_redirect(node):
    await node.fill([indicator(1)], collection_id=PRIVATE)
    for path in PATHS:
        for method in ("GET", "POST", "DELETE"):
            answer = await one_answer(
                node, head_of(node, f"{method} {path} HTTP/1.1", "Content-Length: 0", by="rita")
            )
            # 403: rita may delete nothing here, whatever it is
            assert answer.status in (400, 403, 404, 405), (method, path)
            assert answer["content-type"] == TAXII
            assert not {"location", "set-cookie", "refresh"} & dict(answer.headers).keys()
            assert indicator(1)["id"].encode() not in answer.body


@pytest.mark.parametrize("line", ["GET * HTTP/1.1", "OPTIONS * HTTP/1.1", "GET ?x HTTP/1.1", "GET #x HTTP/1.1"])
async def test_a_target_that_is_no_path_is_refused_or_absent(node, line):
    answer = await one_answer(node, head_of(node, line))
    assert answer is None or 400 <= answer.status < 500


@pytest.mark.parametrize(
    "target",
    [
        f"http://elsewhere.example{OBJECTS}",
        f"http://127.0.0.1:1{OBJECTS}",
        f"https://user:word@elsewhere.example{OBJECTS}",
        f"http://[::1]{OBJECTS}",
        f"{OBJECTS}#fragment",
        f"{OBJECTS}?",
    ],
)
async def test_an_absolute_target_is_the_path_within_it_and_leads_nowhere_else(node, target):
    await node.fill([indicator(1)])
    plain = await one_answer(node, head_of(node, f"GET {OBJECTS} HTTP/1.1", by="rita"))
    answer = await one_answer(node, head_of(node, f"GET {target} HTTP/1.1", by="rita"))
    assert answer.status in (400, 404) or answer.dated() == plain.dated()


HOSTS = [
    "Host: elsewhere.example",
    "Host: elsewhere.example:99999",
    "Host: elsewhere.example/taxii2/?",
    "Host: elsewhere.example?x#",
    "Host: 127.0.0.1/../nowhere",
    "Host: x\r\nX-Forwarded-Host: elsewhere.example",
    "Host: x\r\nX-Forwarded-Proto: https",
    "Host: x\r\nX-Forwarded-For: 192.0.2.1, 127.0.0.1",
    "Host: x\r\nX-Forwarded-Prefix: /elsewhere",
    "Host: x\r\nX-Original-URL: /nowhere",
    "Host: x\r\nX-Rewrite-URL: /nowhere",
    "Host: x\r\nForwarded: host=elsewhere.example;proto=https",
    "Host: x\r\nX-HTTP-Method-Override: DELETE",
    "Host: x\r\nX-HTTP-Method: DELETE",
    "Host: x\r\nRange: bytes=0-0",
    "Host: x\r\nRange: bytes=" + ",".join(f"{n}-{n}" for n in range(1000)),
    "Host: x\r\nAccept-Language: xx",
    "Host: x\r\nOrigin: http://elsewhere.example",
    "Host: x\r\nCookie: a=b",
]


async def test_no_header_about_who_or_where_we_are_changes_an_answer(node):
    await node.fill([indicator(1)])
    for path in ("/taxii2/", "/exchange/", "/exchange/collections/", OBJECTS, "/nowhere", "/taxii2"):
        plain = await one_answer(node, head_of(node, f"GET {path} HTTP/1.1", by="rita"))
        for host in HOSTS:
            answer = await one_answer(node, head_of(node, f"GET {path} HTTP/1.1", by="rita", host=host))
            assert answer.status == 400 or answer.dated() == plain.dated(), (path, host)
            assert b"elsewhere" not in answer.body


METHODS = [
    "PUT",
    "PATCH",
    "TRACE",
    "OPTIONS",
    "PROPFIND",
    "MKCOL",
    "COPY",
    "LOCK",
    "SEARCH",
    "PURGE",
    "LINK",
    "REPORT",
]
NO_METHODS = ["get", "__class__", "GET\x00", "GÉT", "G" * 5000, "GET/", "HEADX", "CONNECT", "PRI", "()", "%47ET"]


async def test_a_method_that_is_not_defined_here_is_405(node):
    for method in METHODS:
        for path in ("/taxii2/", "/exchange/", OBJECTS, f"{OBJECTS}{indicator(1)['id']}/"):
            answer = await one_answer(node, head_of(node, f"{method} {path} HTTP/1.1"))
            assert answer.status == 405, (method, path)
            assert "GET" in answer["allow"]
            assert answer["content-type"] == TAXII
            assert b"X-API-Key" not in answer.body  # TRACE echoes nothing


async def test_what_is_no_method_at_all_is_refused(node):
    for method in NO_METHODS:
        answer = await one_answer(node, head_of(node, f"{method} {OBJECTS} HTTP/1.1"))
        assert answer is None or answer.status in (400, 405), method
