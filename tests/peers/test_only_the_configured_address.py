"""Only the configured address: whatever a peer names, or makes its own name mean, nobody else is asked.

What is counted: every attempt to connect that this process makes, as the interpreter itself reports it; every name
that is looked up; and whoever arrives at listeners on other addresses of this machine, and on other ports.
"""

import asyncio
import itertools
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from ipaddress import ip_address

import httpx2
import pytest

from neighbours import a_peer, neighbour
from spellings import SPELLINGS
from tocsin.errors import BadInput, PeerFailed
from tocsin.peers.foreign import ForeignFeed
from tocsin.taxii.client import (
    Bounds,
    Credential,
    PeerClient,
    RemoteCollection,
    fetch_api_roots,
    fetch_descriptor,
)
from tocsin.taxii.origin import KeptToOrigin, refusal
from zoo import COLLECTION, FOLDER, JSON, ZOO, a_node, an_offer, animal, http

SHORT = Bounds(deadline=5.0, silence=2.0, connect=1.0, attempts=1)
SECRET = Credential({"Authorization": "Bearer s3cret"})

_watching: list[list[tuple[str, object]]] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event in ("socket.connect", "socket.getaddrinfo"):
        for seen in _watching:
            seen.append((event, arguments[1] if event == "socket.connect" else arguments[0]))


sys.addaudithook(_note)  # can never be taken out again: it notes nothing unless somebody watches


@contextmanager
def watching():
    """Every attempt to connect, and every name that is looked up, while the block runs."""
    seen: list[tuple[str, object]] = []
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)


def asked_at(seen) -> set[object]:
    return {what[:2] for event, what in seen if event == "socket.connect"}


def looked_up(seen) -> set[object]:
    return {what for event, what in seen if event == "socket.getaddrinfo"}


@asynccontextmanager
async def surrounded():
    """An animal, the ports that references are spelt with, and who arrives at the listeners all around it."""
    arrived = []

    async def note(reader, writer):
        arrived.append(writer.get_extra_info("sockname"))
        writer.close()

    async with AsyncExitStack() as stack:
        zoo = await stack.enter_async_context(animal())
        around = [("127.0.0.2", zoo.port), ("127.0.0.3", zoo.port), ("127.0.0.1", 0), ("127.0.0.2", 0)]
        around += [("::1", zoo.port)] if _has_ipv6() else []
        ports = []
        for host, port in around:
            server = await stack.enter_async_context(await asyncio.start_server(note, host, port))
            ports.append(server.sockets[0].getsockname()[1])
        yield zoo, {"port": zoo.port, "other": ports[2]}, arrived


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_there_are_enough_spellings_to_mean_something():
    assert len(set(SPELLINGS)) == len(SPELLINGS) >= 120


@pytest.mark.parametrize("where", ["api_roots", "default", "descriptor", "redirect", "next"])
async def test_whatever_a_peer_names_nobody_but_the_peer_is_asked(where, record_property):
    async with surrounded() as (zoo, ports, arrived):
        statuses = itertools.cycle(range(300, 309))
        with watching() as seen:
            for reference in SPELLINGS:
                await _name(zoo, where, reference.format(**ports), next(statuses))
        assert asked_at(seen) == {("127.0.0.1", zoo.port)}
        assert looked_up(seen) == set()
        assert arrived == []
        assert zoo.connections >= len(SPELLINGS)
        record_property(f"spellings in {where}", len(SPELLINGS))


async def _name(zoo, where: str, reference: str, status: int) -> None:
    """Let the peer name a reference in one place, and follow it as far as our code would."""
    try:
        async with PeerClient("zoo", zoo.url, SECRET, SHORT) as client:
            match where:
                case "api_roots" | "default":
                    named = [reference] if where == "api_roots" else reference
                    zoo.answers["/taxii2/"] = http(200, {"title": "zoo", where: named})
                    for root in await fetch_api_roots(client):
                        await client.get(f"{root}collections/")
                case "descriptor":
                    zoo.answers |= a_node(ZOO, taxii=reference)
                    found = await fetch_descriptor(client)
                    if found is not None:  # with a NUL in it it is no JSON, and so no descriptor
                        await client.get(found.taxii)
                case "redirect":
                    zoo.answers["/taxii2/"] = http(
                        status, b"", Location=reference.replace("\n", "").replace("\r", "")
                    )
                    await client.get(zoo.url)
                case "next":
                    zoo.answers[f"{FOLDER}objects/"] = http(200, {"more": True, "next": reference, "objects": []})
                    collection = RemoteCollection(f"{zoo.origin}/root/", COLLECTION, "", "", can_read=True)
                    feed = ForeignFeed(client, collection)
                    try:
                        page = await feed.page(None)
                        await feed.page(page.cursor)
                    finally:
                        await feed.close()
    except PeerFailed:
        return  # what was asked meanwhile is what counts


async def test_the_last_door_lets_out_nothing_though_nobody_looked_before():
    """What `resolve` refuses is refused once more where the request leaves, as the library reads the address."""
    sent = []

    def answering(request):
        sent.append((request.url.host, request.url.port))
        return httpx2.Response(200)

    ports = {"port": 8390, "other": 8391}
    door = KeptToOrigin("http://127.0.0.1:8390/taxii2/", httpx2.MockTransport(answering), 1.0)
    async with httpx2.AsyncClient(transport=door, follow_redirects=False, trust_env=False) as client:
        refused = 0
        for reference in SPELLINGS:
            try:
                await client.get(reference.format(**ports))
            except (PeerFailed, httpx2.InvalidURL, httpx2.UnsupportedProtocol, ValueError):
                refused += 1
    assert set(sent) <= {("127.0.0.1", 8390)}
    assert refused > 120


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("0.1.2.3", False),
        ("169.254.169.254", False),
        ("169.254.1.1", False),
        ("192.0.0.192", False),
        ("168.63.129.16", False),
        ("100.100.100.200", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("2002:a9fe:a9fe::1", False),
        ("2001:0:5ef5:79fb::5601:5601", False),
        ("fe80::1", False),
        ("fe80::1%2", False),
        ("fec0::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("192.0.2.1", True),
        ("8.8.8.8", True),
        ("10.1.2.3", True),
        ("172.16.0.9", True),
        ("192.168.1.1", True),
        ("100.64.0.1", True),
        ("fd12:3456::1", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("::ffff:8.8.8.8", True),
    ],
)
def test_where_a_name_may_lead_and_where_not(address, allowed):
    assert (refusal(ip_address(address), "node.cert-beta.example") is None) is allowed


def answering_with(monkeypatch, *answers):
    """A name server that gives one list of addresses after the other, and the last for ever; what it was asked."""
    asked = []

    def getaddrinfo(host, port, *rest, **more):
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


async def test_a_name_that_comes_to_mean_another_machine_leads_there_in_no_pull_under_way(monkeypatch):
    async with surrounded() as (zoo, _, arrived):
        asked = answering_with(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        zoo.answers |= an_offer()
        url = f"http://peer.localhost:{zoo.port}/taxii2/"
        with watching() as seen:
            async with PeerClient("zoo", url, SECRET, SHORT) as client:
                for _ in range(3):
                    await client.get(url)  # each by a connection of its own: the animal closes
        assert zoo.connections == 3
        assert asked_at(seen) == {("127.0.0.1", zoo.port)}
        assert asked == ["peer.localhost"]
        assert arrived == []
        assert {request.headers["host"] for request in zoo.asked} == {f"peer.localhost:{zoo.port}"}


@pytest.mark.parametrize("host", ["peer.example", "127.1", "2130706433", "0x7f000001", "localhost.example"])
async def test_a_name_that_leads_to_this_machine_is_refused_unless_the_operator_wrote_the_address(
    monkeypatch, host
):
    async with surrounded() as (zoo, _, arrived):
        answering_with(monkeypatch, ["127.0.0.1"])
        zoo.answers |= an_offer()
        url = f"http://{host}:{zoo.port}/taxii2/"
        with watching() as seen:
            async with PeerClient("zoo", url, SECRET, SHORT) as client:
                with pytest.raises(PeerFailed, match="this very machine"):
                    await client.get(url)
        assert (asked_at(seen), arrived, zoo.connections) == (set(), [], 0)


async def test_of_several_addresses_the_refused_are_left_out_and_the_silent_are_passed(monkeypatch):
    async with surrounded() as (zoo, _, arrived):
        answering_with(monkeypatch, ["169.254.169.254", "127.0.0.9", "127.0.0.1"])
        zoo.answers |= an_offer()
        url = f"http://peer.localhost:{zoo.port}/taxii2/"
        with watching() as seen:
            async with PeerClient("zoo", url, SECRET, SHORT) as client:
                for _ in range(2):
                    await client.get(url)
        told = [what[:2] for event, what in seen if event == "socket.connect"]
        assert told == [("127.0.0.9", zoo.port), ("127.0.0.1", zoo.port), ("127.0.0.1", zoo.port)]
        assert arrived == []


@pytest.mark.parametrize(
    "fault", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")]
)
async def test_a_name_that_means_nothing_is_a_failure_in_words(monkeypatch, fault):
    def failing(*rest, **more):
        raise fault

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    async with PeerClient("zoo", "https://peer.example/", SECRET, SHORT) as client:
        with pytest.raises(PeerFailed, match=r"zoo cannot be reached: .*(not known|too long)"):
            await client.get(client.url)


async def test_a_name_server_that_never_answers_is_left_in_time(monkeypatch):
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def silent(*rest, **more):
        asyncio.run_coroutine_threadsafe(over.wait(), loop).result()
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    async with PeerClient("zoo", "https://peer.example/", SECRET, Bounds(connect=0.2, attempts=1)) as client:
        with pytest.raises(PeerFailed, match=r"no answer to what peer\.example means"):
            await client.get(client.url)
    over.set()


@pytest.mark.parametrize("url", ["http://\u0378/", "http://[::1]x/", "http://h\x7f/"])
def test_an_address_that_the_library_cannot_read_is_bad_input(url):
    with pytest.raises(BadInput):
        PeerClient("zoo", url, SECRET)


async def test_a_whole_pull_asks_the_configured_address_and_nobody_else(tmp_path, make_database):
    """From discovery to the last page, with a peer that names others wherever something can be named."""
    async with surrounded() as (zoo, ports, arrived), neighbour("Beta", tmp_path, make_database("sqlite")) as beta:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        elsewhere = [reference.format(**ports) for reference in SPELLINGS[::10]]
        with watching() as seen:
            for reference in elsewhere:
                zoo.answers = an_offer(api_root=reference, url=reference, alias=reference)
                page = {"more": True, "next": reference, "objects": [{"url": reference}]}
                zoo.answers[f"{FOLDER}objects/"] = http(
                    200, page, JSON, Link=f"<{reference.strip()[:5]}>; rel=next"
                )
                await beta.pull("zoo")
        assert asked_at(seen) == {("127.0.0.1", zoo.port)}
        assert arrived == []
        assert zoo.connections > 3 * len(elsewhere)
