"""The app around the exchange: descriptor, health, worker, and the time a client has to say what it wants."""

import asyncio
import socket

import httpx2
import pytest

from taxii_node import REGIONAL, SETTINGS, TAXII, indicator, listening, served
from tocsin import transport
from tocsin.app import make_app
from tocsin.errors import NotFound, Unavailable
from tocsin.settings import Home
from tocsin.sharing.node import Node as Us
from tocsin.store.fetches import fetches


async def test_the_descriptor_is_public_and_names_the_node_and_its_identity(node):
    answer = await node.get("/.well-known/tocsin.json", by=None)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    identity = body.pop("identity")
    log = ["names", "digest", "news", "acknowledgements"]
    assert body == {"tocsin": 1, "name": "CERT Alpha", "taxii": "/taxii2/", "changes": True, "log": log}
    assert identity["id"] == Us(node.home.namespace()).identity
    assert (identity["type"], identity["name"]) == ("identity", "CERT Alpha")


async def test_the_descriptor_uses_the_public_address(store, tmp_path):
    settings = SETTINGS.replace("country: EE}", "country: EE, url: https://node.cert-alpha.example}", 1)
    async with served(store, tmp_path, settings=settings) as node:
        body = (await node.get("/.well-known/tocsin.json", by=None)).json()
    assert body["taxii"] == "https://node.cert-alpha.example/taxii2/"


async def test_a_living_and_ready_node_says_so_to_anybody(node):
    assert (await node.get("/healthz", by=None)).json() == {"status": "alive"}
    answer = await node.get("/readyz", by=None)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "database": "answering",
        "configuration": "in force",
        "files": "as applied",
        "worker": "running",
    }


async def test_readiness_tells_when_the_files_are_not_what_was_applied(node):
    node.home.settings_file.write_text(SETTINGS.replace("CERT Alpha", "CERT Beta"))
    changed = await node.get("/readyz", by=None)
    assert (changed.status_code, changed.json()["files"]) == (200, "changed: run tocsin apply")
    assert (await node.get("/taxii2/")).json()["title"] == "CERT Alpha"  # what was applied is in force
    node.home.settings_file.write_text("node: [")
    faulty = await node.get("/readyz", by=None)
    assert (faulty.status_code, faulty.json()["files"]) == (200, "faulty: run tocsin check")


async def test_a_node_without_a_configuration_is_alive_and_not_ready(store, tmp_path):
    home = Home(tmp_path)
    home.write_secret("namespace", "5b" * 32)
    async with listening(make_app(store, home)) as url, httpx2.AsyncClient() as http:
        assert (await http.get(f"{url}/healthz")).status_code == 200
        ready = await http.get(f"{url}/readyz")
        assert (ready.status_code, ready.json()["configuration"]) == (503, "none")
        for path in ("/taxii2/", "/.well-known/tocsin.json"):
            answer = await http.get(url + path)
            assert (answer.status_code, answer.headers["Content-Type"]) == (503, TAXII)


async def test_a_database_that_does_not_answer_is_503_with_a_time_to_come_back(node, monkeypatch):
    def gone(*_):
        raise Unavailable("the database at db.internal.example cannot be reached")

    for name in ("reading", "moment", "glance"):
        monkeypatch.setattr(node.store, name, gone, raising=True)
    answer = await node.get("objects/")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "internal" not in answer.text
    ready = await node.get("/readyz", by=None)
    assert (ready.status_code, ready.json()["database"]) == (503, "not answering")


async def test_a_worker_runs_beside_the_requests_and_is_ended_with_the_app(store, tmp_path):
    happened = []

    async def worker():
        happened.append("began")
        try:
            await asyncio.Event().wait()
        finally:
            happened.append("ended")

    async with served(store, tmp_path, worker=worker) as node:
        assert (await node.get("/readyz", by=None)).status_code == 200
        assert happened == ["began"]
    assert happened == ["began", "ended"]


async def test_a_worker_that_fails_is_logged_and_makes_the_node_unready(store, tmp_path, caplog):
    async def worker():
        raise ZeroDivisionError("the worker's own")

    async with served(store, tmp_path, worker=worker) as node:
        ready = await node.get("/readyz", by=None)
        assert (ready.status_code, ready.json()["worker"]) == (503, "stopped")
        assert (await node.get("objects/")).status_code == 200  # readers are still served
    assert "the worker's own" in caplog.text


def test_a_home_without_its_secret_cannot_serve(tmp_path):
    with pytest.raises(NotFound):
        make_app(None, Home(tmp_path))


async def test_a_head_that_does_not_arrive_in_time_ends_the_connection(node, monkeypatch):
    monkeypatch.setattr(transport.PromptProtocol, "head_seconds", 0.1)
    host, _, port = node.url.removeprefix("http://").partition(":")
    for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /h"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(begun)
        rest = await asyncio.wait_for(reader.read(), 5)  # to the end of the connection
        assert rest == b"" or (begun.count(b"GET") == 2 and rest.startswith(b"HTTP/1.1 200 OK"))
        writer.close()
        await writer.wait_closed()


async def test_a_kept_connection_may_be_silent_for_longer_than_a_head_may_take(node, monkeypatch):
    monkeypatch.setattr(transport.PromptProtocol, "head_seconds", 0.05)
    assert (await node.get("/healthz")).status_code == 200
    await asyncio.sleep(0.15)
    assert (await node.get("/healthz")).status_code == 200


async def test_a_head_above_its_limit_is_refused(node):
    host, _, port = node.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 200_000)
    try:
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 400 ")
    except ConnectionResetError:
        pass  # the node hung up before the rest of the head had been sent: refused as well
    writer.close()


async def test_an_answer_on_a_kept_connection_does_not_wait_for_the_client_to_acknowledge_its_head(
    node, monkeypatch
):
    made = []
    begin = transport.PromptProtocol.connection_made

    def spy(protocol, connection):
        begin(protocol, connection)
        made.append(connection.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(transport.PromptProtocol, "connection_made", spy)
    await node.get("/healthz", headers={"Connection": "close"})
    assert made
    assert all(made)


async def test_what_a_reader_was_sent_is_noted_within_a_second(node):
    await node.fill([indicator(1), indicator(2)])
    await node.get(f"/exchange/collections/{REGIONAL}/objects/")
    rows = []
    async with asyncio.timeout(5):
        while not rows:
            await asyncio.sleep(0.2)
            async with node.store.reading() as tx:
                rows = await fetches(tx, collection_id=REGIONAL)
    assert [row.whole for row in rows] == [True]
