"""The client: what a hostile server can cost us, and that a credential stays where it belongs."""

import asyncio
import gzip
import time
import tracemalloc

import pytest

from tocsin.errors import BadFile, BadInput, PeerFailed
from tocsin.settings import Home, PeerSettings
from tocsin.taxii.client import (
    Bounds,
    Credential,
    PeerAnswered,
    PeerClient,
    Unreadable,
    fetch_api_roots,
    fetch_collections,
    is_outline,
    read_credential,
)
from tocsin.taxii.origin import origin_of
from zoo import an_offer, animal, http

SHORT = Bounds(deadline=0.6, silence=0.4, connect=0.5, body=200_000, attempts=3, pause=0.1)
SECRET = Credential({"Authorization": "Bearer s3cret"})
ZEROS = gzip.compress(b"0" * 50_000_000, 9)


async def asking(zoo, bounds=SHORT, path="/taxii2/"):
    async with PeerClient("zoo", zoo.url, SECRET, bounds) as client:
        return await client.get(f"{zoo.origin}{path}")


async def endless(asked, writer):
    writer.write(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await writer.drain()


async def trickle_of_body(asked, writer):
    writer.write(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def trickle_of_head(asked, writer):
    writer.write(b"HTTP/1.1 200 X\r\n")
    while True:
        writer.write(b"X")
        await writer.drain()
        await asyncio.sleep(0.05)


async def silence(asked, writer):
    await asyncio.sleep(5)


async def slamming(asked, writer):
    writer.transport.abort()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x00\x01\x02 rubbish\r\n\r\n", "broke off"),
        (http(200, b"<html>Welcome</html>", "text/html; charset=utf-8"), "answered text/html"),
        (http(200, b"{}", length=100), "broke off"),
        (http(200, ZEROS, Content_Encoding="gzip"), "200000 bytes"),
        (http(200, ZEROS[:-200], Content_Encoding="gzip"), "200000 bytes"),
        (http(200, gzip.compress(b'{"title": 1}')[:-9], Content_Encoding="gzip"), "ends early"),
        (http(200, b"not gzip at all", Content_Encoding="gzip"), "broken"),
        (http(200, b"x", Content_Encoding="br"), "did not ask for"),
        (http(200, b"x" * 200_001), "200000 bytes"),
        (endless, "200000 bytes"),
        (trickle_of_body, "did not finish its answer in 0.6 s"),
        (trickle_of_head, "did not finish its answer in 0.6 s"),
        (silence, "fell silent"),
        (slamming, "broke off"),
        (http(401, {}), "does not accept our credential"),
        (http(403, {}), "does not let us read /taxii2/"),
        (http(404, {}), "has no /taxii2/"),
        (http(406, {}), "does not speak TAXII 2.1"),
        (http(500, {}), "answered 500"),
        (http(302, b"", Location="http://192.0.2.1/"), "redirects are not followed"),
    ],
)
async def test_whatever_a_server_does_ends_in_time_with_words_for_a_person(answer, words):
    async with animal() as zoo:
        zoo.answers["/taxii2/"] = answer
        began = time.monotonic()
        with pytest.raises(PeerFailed, match=words):
            await asking(zoo)
        assert time.monotonic() - began < 30  # far from what a hang would take, whatever else the machine does


async def test_a_bomb_is_left_at_the_ratio_before_it_fills_memory():
    async with animal() as zoo:
        zoo.answers["/taxii2/"] = http(200, ZEROS, Content_Encoding="gzip")
        tracemalloc.start()
        with pytest.raises(Unreadable, match="over 100 times its size"):
            await asking(zoo, Bounds(body=10**9))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20_000_000


async def test_nobody_listening_is_said_so():
    async with animal() as zoo:
        pass
    with pytest.raises(PeerFailed, match="cannot be reached"):
        await asking(zoo)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed_and_its_target_never_contacted(status):
    async with animal() as zoo, animal() as elsewhere:
        zoo.answers["/taxii2/"] = http(status, b"", Location=elsewhere.url)
        with pytest.raises(PeerAnswered, match="redirects are not followed"):
            await asking(zoo)
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "named",
    [
        "http://127.0.0.1:{port}/root/",
        "//127.0.0.1:{port}/root/",
        "http://localhost:{own}/root/",
        "https://127.0.0.1:{own}/root/",
        "http://user:word@127.0.0.1:{own}/root/",
        "http://127.0.0.1:{own}@127.0.0.1:{port}/root/",
        "file:///etc/hostname",
        "http://[::ffff:7f00:1]:{own}/",
        "http://0x7f000001:{own}/",
        "http://127.1:{own}/",
        "gopher://127.0.0.1:{port}/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
    ],
)
async def test_an_api_root_elsewhere_is_refused_and_never_contacted(named):
    async with animal() as zoo, animal() as elsewhere:
        root = named.format(port=elsewhere.port, own=zoo.port)
        zoo.answers["/taxii2/"] = http(200, {"title": "zoo", "api_roots": [root]})
        async with PeerClient("zoo", zoo.url, SECRET, SHORT) as client:
            with pytest.raises(PeerFailed, match="not followed"):
                await fetch_api_roots(client)
        assert elsewhere.connections == 0
        assert zoo.paths() == ["/taxii2/"]


async def test_roots_on_the_peers_own_origin_are_followed_however_they_are_spelt():
    async with animal() as zoo:
        spelt = ["/root/", f"{zoo.origin}/root", "other", zoo.origin.replace("http", "HTTP") + "/third/"]
        zoo.answers["/taxii2/"] = http(200, {"title": "zoo", "default": "/root/", "api_roots": spelt})
        async with PeerClient("zoo", zoo.url, SECRET, SHORT) as client:
            roots = await fetch_api_roots(client)
        origin = zoo.origin
        assert roots[:2] == [f"{origin}/root/", f"{origin}/taxii2/other/"]
        assert [origin_of(root) for root in roots] == [client.origin] * 3


async def test_an_address_that_is_an_api_root_already_is_taken_for_one():
    async with animal() as zoo:
        zoo.answers |= an_offer()
        async with PeerClient("zoo", f"{zoo.origin}/root/", SECRET, SHORT) as client:
            assert await fetch_api_roots(client) == [f"{zoo.origin}/root/"]


async def test_null_rights_are_not_a_no_and_a_bad_id_is_an_error():
    async with animal() as zoo:
        zoo.answers |= an_offer(can_read=None, can_write=None)
        async with PeerClient("zoo", zoo.url, SECRET, SHORT) as client:
            (found,) = await fetch_collections(client, f"{zoo.origin}/root/")
            assert found.can_read
            zoo.answers |= an_offer(id_="../../secrets")
            with pytest.raises(Unreadable, match="an id that is none"):
                await fetch_collections(client, f"{zoo.origin}/root/")


async def test_a_server_that_is_busy_for_a_moment_is_asked_again_and_one_that_stays_busy_is_not():
    async with animal() as zoo:

        async def busy_once(asked, writer):
            writer.write(http(503, {}, Retry_After="0") if len(zoo.asked) < 2 else http(200, {"title": "x"}))

        zoo.answers["/taxii2/"] = busy_once
        assert (await asking(zoo)).body == b'{"title": "x"}'
        zoo.answers["/taxii2/"] = http(429, {}, Retry_After="3600")
        zoo.asked.clear()
        with pytest.raises(PeerAnswered) as failed:
            await asking(zoo)
        assert (failed.value.status, failed.value.retry_after, len(zoo.asked)) == (429, "3600", 1)


async def test_at_most_two_requests_are_under_way_at_a_time():
    under_way = most = 0
    async with animal() as zoo:

        async def slow(asked, writer):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.05)
            under_way -= 1
            writer.write(http(200, {}))

        zoo.answers["/taxii2/"] = slow
        async with PeerClient("zoo", zoo.url, SECRET, Bounds()) as client:
            await asyncio.gather(*(client.get(zoo.url) for _ in range(8)))
    assert most == 2


async def test_no_proxy_of_the_environment_gets_to_see_a_request(monkeypatch):
    async with animal() as zoo, animal() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        zoo.answers["/taxii2/"] = http(200, {})
        await asking(zoo)
        assert proxy.connections == 0


@pytest.mark.parametrize(
    "url", ["ftp://cert.example/", "https://", "cert.example/taxii2", "https://a:b@cert.example/", "http://h:x/"]
)
def test_what_is_no_address_of_ours_has_no_origin(url):
    with pytest.raises(BadInput):
        origin_of(url)


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({"auth": "bearer"}, {"Authorization": "Bearer w0rd"}),
        ({"auth": "api-key"}, {"X-API-Key": "w0rd"}),
        ({"auth": "basic", "user": "us"}, {"Authorization": "Basic dXM6dzByZA=="}),
    ],
)
def test_a_credential_is_spelt_as_the_settings_say(tmp_path, settings, headers):
    home = Home(tmp_path)
    home.write_secret("peers/cert-beta", "w0rd")
    peer = PeerSettings(url="https://cert.example/", **settings)
    credential = read_credential(home, "cert-beta", peer)
    assert dict(credential.headers) == headers
    assert "w0rd" not in repr(credential)


def test_a_credential_that_is_missing_or_open_to_others_is_said_so(tmp_path):
    home, peer = Home(tmp_path), PeerSettings(url="https://cert.example/")
    with pytest.raises(PeerFailed, match="tocsin peer credential cert-beta"):
        read_credential(home, "cert-beta", peer)
    with pytest.raises(PeerFailed, match="no client certificate"):
        read_credential(home, "cert-beta", PeerSettings(url="https://cert.example/", auth="certificate"))
    home.write_secret("peers/cert-beta", "w0rd").chmod(0o644)
    with pytest.raises(BadFile, match="chmod 600"):
        read_credential(home, "cert-beta", peer)
    home.write_secret("peers/cert-beta", "two\nlines")
    with pytest.raises(BadFile, match="one line"):
        read_credential(home, "cert-beta", peer)
    home.write_secret("peers/cert-beta", "w0rd")
    (tmp_path / "keys/peers/cert-beta.ca").write_text("no certificate")
    with pytest.raises(BadFile, match="authority"):
        read_credential(home, "cert-beta", peer)


@pytest.mark.parametrize(
    "date", ["Sun, 01 Mar 99999999999 12:02:00 GMT", "Sun, 01 Mar 2026 12:02:00 +" + "9" * 400, "0"]
)
async def test_a_clock_that_no_calendar_has_is_no_clock(date):
    async with animal() as zoo:
        zoo.answers["/taxii2/"] = http(200, {}, Date=date)
        async with PeerClient("zoo", zoo.url, SECRET, SHORT) as client:
            await client.get(zoo.url)
            assert client.skew is None


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (b'{"a": [1, "]"]}', True),
        (b' {"a": "\\"}"} ', True),
        (b'{"a": [1, "]"}', False),
        (b'{"a": "x}', False),
        (b"[]", False),
        (b"<html></html>", False),
        (b'{"a":' + b"[" * 1_000_000 + b"}", False),
        (b'{"' + b'\\"' * 1_000_000 + b"}", False),
        (b'{"' + b"\\" * 1_000_001 + b'"}', False),
        (b"{" + b'"' * 1_000_001 + b"}", False),
    ],
)
def test_the_outline_of_an_answer_is_found_in_time_that_grows_with_its_length(body, whole):
    began = time.process_time()
    assert is_outline(body) is whole
    assert time.process_time() - began < 5  # where it grows with the square, hours


async def test_a_resource_that_is_larger_than_any_is_not_read():
    async with animal() as zoo:
        zoo.answers["/taxii2/"] = http(200, {"title": "x" * 1_100_000, "api_roots": ["/root/"]})
        async with PeerClient("zoo", zoo.url, SECRET, Bounds()) as client:
            with pytest.raises(Unreadable, match="more than 1048576 bytes"):
                await fetch_api_roots(client)
