"""What a node publishes is read by the others within a second; who does not tell news is read when it is due."""

import asyncio
import time

import pytest

from neighbours import START, a_peer, an_incident, neighbour
from test_worker import until, working
from tocsin.peers import listen, worker
from tocsin.stix.objects import keyed_id
from tocsin.store.transaction import Store
from zoo import COLLECTION, FOLDER, JSON, ZOO, Liar, a_node, animal, http

BOUND = 5.0  # seconds; on a machine with nothing else to do it is a fifth of one


@pytest.fixture
def heard(monkeypatch):
    """The requests for news that were made, as (peer, logs); each is noted when it begins."""
    asked = []
    real = worker.hear

    async def noted(client, api_root, logs):
        asked.append((client.name, dict(logs.cursors)))
        return await real(client, api_root, logs)

    monkeypatch.setattr(worker, "hear", noted)
    return asked


def times(seen, number):
    async def look() -> bool:
        return len(seen) >= number

    return look


def has(node, id_):
    async def look() -> bool:
        return await node.newest(id_) is not None

    return look


async def test_what_is_published_arrives_at_once_though_its_turn_is_in_an_hour(pair, heard):
    alpha, beta = pair
    settings = {"peers": {"alpha": a_peer(alpha.url, "regional", every="1h")}, "collections": {"onward": {}}}
    await beta.apply(settings)
    async with working(beta):
        for number, name in enumerate(("first", "second", "third"), 1):
            await until(times(heard, number))
            await asyncio.sleep(0.3)
            began = time.monotonic()
            incident = alpha.incident(name)
            await alpha.make(incident)
            await until(has(beta, incident["id"]))
            assert time.monotonic() - began < BOUND
    assert (await beta.state("alpha")).due > 0


async def test_one_request_waits_for_all_collections_of_a_peer(pair, heard):
    alpha, beta = pair
    readers = {"readers": ["beta"]}
    await alpha.apply(
        {"peers": {"beta": a_peer(beta.url)}, "collections": {"regional": readers, "second": readers}}
    )
    settings = {
        "peers": {"alpha": a_peer(alpha.url, "regional", "second", every="1h")},
        "collections": {"onward": {}},
    }
    await beta.apply(settings)
    async with working(beta):
        await until(times(heard, 1))
        (_, logs) = heard[0]
        assert set(logs) == {
            (await beta.state("alpha", wanted)).collection_id for wanted in ("regional", "second")
        }
        await asyncio.sleep(0.5)
        assert len(heard) == 1


async def test_a_peer_that_tells_no_news_is_read_when_it_is_due(tmp_path, make_database, heard, monkeypatch):
    monkeypatch.setattr(worker, "LONGEST_TICK", 0.2)
    async with neighbour("Beta", tmp_path / "beta", make_database("sqlite")) as beta, animal() as zoo:
        await beta.apply(
            {"peers": {"zoo": a_peer(zoo.url, "regional", every="1s")}, "collections": {"onward": {}}}
        )
        beta.home.write_secret("peers/zoo", "w0rd")
        liar = Liar(zoo)
        async with working(beta):
            for number in range(2):
                value = an_incident(keyed_id(b"zoo", "incident", str(number)), ZOO, START)
                liar.says(value)
                await until(has(beta, value["id"]))
        assert heard == []
        assert not any("news" in asked.path for asked in zoo.asked)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"{}"),
        (500, b"{}"),
        (200, b"[]"),
        (200, b'{"news":[]}'),  # at once
        (200, b'{"news":["%b"]}' % COLLECTION.encode()),  # though there is nothing
    ],
)
async def test_a_peer_that_will_not_tell_news_is_not_asked_again_before_its_next_turn(
    tmp_path, make_database, monkeypatch, status, body
):
    monkeypatch.setattr(worker, "LONGEST_TICK", 0.2)
    async with neighbour("Beta", tmp_path / "beta", make_database("sqlite")) as beta, animal() as zoo:
        await beta.apply(
            {"peers": {"zoo": a_peer(zoo.url, "regional", every="2s")}, "collections": {"onward": {}}}
        )
        beta.home.write_secret("peers/zoo", "w0rd")
        liar = Liar(zoo)
        zoo.answers |= a_node(ZOO, log=["news"])
        plain = liar.answer

        async def with_epoch(asked, writer):
            class Answer:
                def write(self, raw):
                    _, _, page = raw.partition(b"\r\n\r\n")
                    writer.write(http(200, page.replace(b"{", b'{"epoch":"one",', 1), JSON))

            await plain(asked, Answer())

        zoo.answers[f"{FOLDER}changes/"] = with_epoch
        zoo.answers["/root/news/"] = http(status, body, JSON)
        async with working(beta):
            await until(times(zoo.asked, 16))
        news = zoo.paths().count("/root/news/")
        turns = zoo.paths().count(f"{FOLDER}changes/")
        assert 1 <= news <= turns


async def test_of_two_processes_one_listens(tmp_path, pair, heard, monkeypatch):
    monkeypatch.setattr(worker, "LONGEST_TICK", 0.2)
    alpha, beta = pair
    settings = {"peers": {"alpha": a_peer(alpha.url, "regional", every="1h")}, "collections": {"onward": {}}}
    await beta.apply(settings)
    other = await Store.open(f"sqlite:///{beta.store._reader.url.database}", require_durable=False)
    try:
        async with working(beta, stores=[beta.store, other]):
            await until(times(heard, 1))
            await asyncio.sleep(1)
            assert len(heard) == 1
            incident = alpha.incident("one")
            await alpha.make(incident)
            await until(has(beta, incident["id"]))
    finally:
        await other.close()


async def test_a_peer_that_has_ended_is_listened_to_again_after_its_next_turn(pair, heard, monkeypatch):
    """The request breaks off or is refused; nothing else happens until the peer is due."""
    monkeypatch.setattr(worker, "LONGEST_TICK", 0.2)
    alpha, beta = pair
    real, refused = listen.fetch_news, []

    async def refusing(client, api_root, after, wait):
        if len(refused) < 1:
            refused.append(api_root)
            return await real(client, f"{api_root}nothing/", after, wait)
        return await real(client, api_root, after, wait)

    monkeypatch.setattr(listen, "fetch_news", refusing)
    settings = {"peers": {"alpha": a_peer(alpha.url, "regional", every="2s")}, "collections": {"onward": {}}}
    await beta.apply(settings)
    async with working(beta):
        await until(times(heard, 1))
        await asyncio.sleep(0.6)
        assert len(heard) == 1
        await until(times(heard, 2))
        incident = alpha.incident("one")
        await alpha.make(incident)
        await until(has(beta, incident["id"]))
