"""TAXII 2.1 §8 Conformance: what a server must have to be called one, and what a proxy adds to ours."""

import asyncio
import base64
import re
from pathlib import Path

from reading import READABLE
from taxii_node import TAXII, indicator
from tocsin.stix.canonical import LIMITS

DEPLOY = Path(__file__).parents[2] / "deploy"


async def raw(node, lines):
    """What is answered to a head that no library would send."""
    host, _, port = node.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write("\r\n".join((*lines, "Connection: close", "", "")).encode())
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_discovery_lies_at_taxii2_of_the_root(node):
    for path in ("/taxii2/", "/taxii2"):
        answer = await node.get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, TAXII)


async def test_nobody_is_refused_for_saying_no_more_than_http_asks(node):
    """Neither `User-Agent` nor `Accept` nor any other header but `Host` and the credential."""
    credential = f"Authorization: Bearer {node.tokens['rita']}"
    for path in ("/taxii2/", "/exchange/collections/regional/objects/"):
        answer = await raw(node, [f"GET {path} HTTP/1.1", "Host: node.cert-alpha.example", credential])
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), path
        assert f"content-type: {TAXII}".encode() in answer.lower()


async def test_basic_is_enough_for_every_endpoint(node):
    await node.post({"objects": [indicator(1)]})
    one = f"objects/{indicator(1)['id']}/"
    pair = base64.b64encode(f"walt:{node.tokens['walt']}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}"}
    for path in (*READABLE, one, f"{one}versions/"):
        assert (await node.get(path, by=None, headers=headers)).status_code == 200, path
    assert (await node.post({"objects": [indicator(2)]}, by=None, headers=headers)).status_code == 202
    assert (await node.get(one, by=None, method="DELETE", headers=headers)).status_code == 200


async def test_the_client_behind_a_proxy_is_answered_as_if_there_were_none(node):
    """HTTP/1.0, another host, and what proxies add change nothing, since no answer is made from them."""
    plain = await node.get("/taxii2/")
    told = {"Host": "elsewhere.example", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example"}
    assert (await node.get("/taxii2/", headers=told)).content == plain.content
    key = f"X-API-Key: {node.tokens['rita']}"
    old = await raw(node, ["GET /taxii2/ HTTP/1.0", key])
    assert old.endswith(plain.content)


def test_the_proxies_that_we_ship_speak_tls_1_2_and_1_3_and_let_through_what_the_node_takes():
    nginx = (DEPLOY / "nginx.conf").read_text()
    assert re.search(r"ssl_protocols\s+TLSv1\.2 TLSv1\.3;", nginx)
    assert re.search(r"listen 443 ssl;", nginx)
    assert int(re.search(r"client_max_body_size\s+(\d+)m;", nginx)[1]) * 2**20 >= LIMITS.body
    caddy = (DEPLOY / "Caddyfile").read_text()  # HTTPS by itself, TLS 1.2 and 1.3 are its defaults
    assert int(re.search(r"max_size (\d+)MiB", caddy)[1]) * 2**20 >= LIMITS.body
    assert "protocols" not in caddy
    assert "http://" not in caddy.replace("http://127.0.0.1", "")
