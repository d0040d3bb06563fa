"""Pushing into collections of others: medallion, another node, and a server with habits of its own."""

import asyncio
import json
import multiprocessing
import os
import re
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import pytest_asyncio

import pushing_process
from neighbours import QUICK, Neighbour, listening, neighbour
from test_pull_from_a_foreign_server import medallion as medallion_server
from test_worker import until
from tocsin.errors import BadFile
from tocsin.peers import push as pushing
from tocsin.peers.push import PushReport, push_once
from tocsin.peers.status import peer_status
from tocsin.peers.worker import due, push_all, run
from tocsin.policy.configuration import read_configuration
from tocsin.sharing import notices
from tocsin.sharing import withdraw as taking_back
from tocsin.sharing.apply import in_force
from tocsin.store import parties, pauses, pushes, releases
from tocsin.store.pushes import PushKey
from zoo import COLLECTION, FOLDER, TAXII, Animal, an_offer, animal, http

HIDE_VICTIMS = """
rules:
  - {id: any, match: {origin: any}, then: allow, reason: whatever comes}
  - {id: hide, match: {origin: any, type: incident, stage: attempt}, then: redact, redact: [victim], reason: no}
"""


medallion = medallion_server  # a fixture is known here by the name that is defined here


@pytest_asyncio.fixture
async def alpha(request, tmp_path, make_database):
    engine = getattr(request, "param", "sqlite")
    async with neighbour("Alpha", tmp_path / "alpha", make_database(engine)) as node:
        yield node


on_each = pytest.mark.parametrize("alpha", ["sqlite", "postgresql"], indirect=True)


async def pushes_to(
    node: Neighbour, url: str, to: str = "Regional exchange", policy: str = "", **more: Any
) -> None:
    """The node has a collection `regional` that the peer `zoo` may read, and pushes it."""
    peer = {"url": url, "auth": "basic", "user": "beta", "push": [{"collection": "regional", "to": to}], **more}
    policies = {"regional": policy} if policy else {}
    await node.apply({"peers": {"zoo": peer}, "collections": {"regional": {"readers": ["zoo"]}}}, **policies)
    if not (node.home.keys / "peers" / "zoo").is_file():
        node.home.write_secret("peers/zoo", "w0rd")


async def push(node: Neighbour, to: str = "Regional exchange", terms=QUICK) -> PushReport:
    return await push_once(node.store, node.home, "zoo", "regional", to, terms=terms)


async def key_of(node: Neighbour, tx, to: str = "Regional exchange") -> PushKey:
    party = await parties.party_by_name(tx, "zoo")
    ids = {row.key: row.id for row in await releases.collections(tx)}
    return PushKey(party.id, ids["regional"], to)


async def kept_out(node: Neighbour, to: str = "Regional exchange") -> dict[str, tuple[str, str]]:
    async with node.store.reading() as tx:
        found = await pushes.exceptions(tx, await key_of(node, tx, to))
    return {row.object_id: (row.outcome, row.reason) for row in found}


async def take_back(node: Neighbour, *ids: str) -> None:
    async with node.store.writing() as tx:
        configuration = await in_force(tx)
        now = await tx.now()
        await taking_back.withdraw(tx, configuration, node.node, ids, reason="a mistake", by="test", now=now)


async def answers(node: Neighbour) -> dict[str, tuple[str, str]]:
    """How the peer stands with each object that was taken back: acknowledged or not, and why."""
    async with node.store.reading() as tx:
        told = await notices.account(tx, await in_force(tx))
    return {
        notice.object_id: (one.how, one.reason or one.why)
        for notice in told
        for one in notice.recipients
        if one.name == "zoo"
    }


# --- medallion -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def asking(url: str):
    root = url.replace("/taxii2/", f"/root/collections/{COLLECTION}/")
    async with httpx2.AsyncClient(auth=("beta", "w0rd"), headers={"Accept": TAXII}, base_url=root) as client:
        yield client


async def shown(url: str) -> list[tuple[str, str]]:
    """Id and version of everything that medallion has, from its manifest: it cannot list objects where an
    extension definition is among them, whose `version` it takes for a date."""
    found: list[tuple[str, str]] = []
    params = {"match[version]": "all", "limit": "20"}
    async with asking(url) as client:
        while True:
            page = (await client.get("manifest/", params=params)).json()
            found += [(one["id"], one["version"]) for one in page.get("objects", [])]
            if not page.get("more"):
                return sorted(found)
            params["next"] = page["next"]


async def shows(url: str, id_: str) -> list[dict[str, Any]]:
    """All versions that medallion has of one object."""
    async with asking(url) as client:
        answer = await client.get(f"objects/{id_}/", params={"match[version]": "all"})
        return answer.json().get("objects", [])


async def standing(node: Neighbour) -> list[tuple[str, str]]:
    rows = [row for row in await node.log() if row.raw is not None]
    values = [json.loads(row.raw) for row in rows]
    return sorted((value["id"], value.get("modified") or value["created"]) for value in values)


async def test_everything_that_the_reader_may_see_arrives_at_medallion_once(medallion, alpha):
    url = await medallion([], [])
    await pushes_to(alpha, url, policy=HIDE_VICTIMS)
    ids = await alpha.make_many(45)
    await alpha.make(alpha.incident("many 3", text="a second version"))
    hidden = alpha.incident("hidden", stage="attempt")
    red = alpha.incident("red", tlp="red")
    await alpha.make(hidden, red)
    report = await push(alpha)
    assert (report.state, report.error, report.refused) == ("in step", "", 0)
    there = await shown(url)
    assert there == await standing(alpha)
    assert len({id_ for id_, _ in there} & set(ids)) == 45
    assert not {hidden["id"], red["id"]} & {id_ for id_, _ in there}  # a copy stands for the first
    (copy,) = [json.loads(row.raw) for row in await alpha.log() if row.form == "copy"]
    assert await shows(url, copy["id"]) == [copy]
    again = await push(alpha)
    assert (again.state, again.added, again.refused) == ("in step", 0, 0)
    assert await shown(url) == there


async def test_what_is_withdrawn_is_deleted_there_and_counts_as_answered(medallion, alpha):
    url = await medallion([], [])
    await pushes_to(alpha, url)
    ids = await alpha.make_many(5)
    await alpha.make(alpha.incident("many 2", text="a second version"))
    await push(alpha)
    await take_back(alpha, ids[1], ids[2])
    report = await push(alpha)
    assert (report.state, report.deleted, report.untold) == ("in step", 3, 0)
    assert await shown(url) == await standing(alpha)
    assert not {ids[1], ids[2]} & {id_ for id_, _ in await shown(url)}
    told = await answers(alpha)
    assert {told[id_][0] for id_ in (ids[1], ids[2])} == {"acknowledged"}
    assert "deleted from" in told[ids[1]][1]


async def test_a_revocation_arrives_as_the_revoked_version(medallion, alpha):
    url = await medallion([], [])
    await pushes_to(alpha, url)
    (id_,) = await alpha.make_many(1)
    await push(alpha)
    async with alpha.store.writing() as tx:
        await taking_back.revoke(
            tx, await in_force(tx), alpha.node, [id_], reason="never so", by="t", now=await tx.now()
        )
    report = await push(alpha)
    assert (report.state, report.refused) == ("in step", 0)
    assert any(value.get("revoked") is True for value in await shows(url, id_))
    assert await shown(url) == await standing(alpha)


async def test_what_is_pushed_again_after_a_kill_is_there_once_and_not_reported(medallion, alpha, monkeypatch):
    url = await medallion([], [])
    await pushes_to(alpha, url)
    ids = await alpha.make_many(20)
    posted = pushing.add_objects

    async def killed(*given):
        await posted(*given)
        raise asyncio.CancelledError

    monkeypatch.setattr(pushing, "add_objects", killed)
    with pytest.raises(asyncio.CancelledError):
        await push(alpha)
    monkeypatch.undo()
    assert len(await shown(url)) >= 20
    await take_back(alpha, ids[7])  # before it is known that it is there
    report = await push(alpha)
    assert (report.state, report.refused, report.deleted) == ("in step", 0, 1)
    assert await shown(url) == await standing(alpha)
    assert await kept_out(alpha) == {}


# --- another node --------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def gamma(tmp_path, make_database):
    """A node that has the account `beta` as a writer of `shared`, and listens."""
    async with neighbour("Gamma", tmp_path / "gamma", make_database("sqlite")) as node:
        shared = {"title": "Shared", "readers": ["beta"], "writers": ["beta"]}
        await node.apply({"accounts": {"beta": {"kind": "company"}}, "collections": {"shared": shared}})
        async with listening(node):
            yield node


async def test_a_node_takes_what_is_pushed_and_gives_back_what_is_withdrawn(alpha, gamma):
    await pushes_to(alpha, gamma.url, "shared", auth="bearer")
    alpha.home.write_secret("peers/zoo", await gamma.admits("beta"))
    ids = await alpha.make_many(250)
    await alpha.make(alpha.incident("many 2", text="a second version"))
    report = await push(alpha, "shared")
    assert (report.state, report.error, report.refused) == ("in step", "", 0)

    async def incidents(node: Neighbour, key: str) -> set[tuple[str, str, str]]:
        return {row for row in await node.shows(key) if row[0].startswith("incident")}

    assert await incidents(gamma, "shared") == await incidents(alpha, "regional")
    assert {row[0] for row in await gamma.shows("shared")} >= {row[0] for row in await alpha.shows()}
    log = await gamma.log("shared")
    assert (await push(alpha, "shared")).added == 0
    await take_back(alpha, *ids[:3])
    report = await push(alpha, "shared")
    assert (report.state, report.deleted, report.untold) == ("in step", 4, 0)
    assert await incidents(gamma, "shared") == await incidents(alpha, "regional")
    assert len(await gamma.log("shared")) == len(log)  # four entries went, and four tell so
    assert {how for how, _ in (await answers(alpha)).values()} == {"acknowledged"}


# --- a server with habits of its own -------------------------------------------------------------------------


@dataclass
class Shelf:
    """A collection that can be written to: what it has, what it refuses, and what goes wrong on the way."""

    has: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    refuses: set[str] = field(default_factory=set)
    deletes: bool = True
    names_refusals: bool = True
    once: bool = False  # what it has already it refuses, as medallion does
    whole: bool = False  # one bad object makes it refuse all
    later: int = 0  # looks at a status until it is complete
    troubles: list[Callable[[bytes], bytes]] = field(
        default_factory=list
    )  # answered in place of taking what comes
    envelopes: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    room: int = 100_000
    pending: dict[str, Any] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        split = urlsplit(target)
        self.asked.append(f"{method} {split.path}")
        chosen = parse_qs(split.query).get("match[version]", ["all"])[0]
        answer = an_offer("Theirs", can_write=True) | {
            "/root/": http(200, {"title": "r", "versions": [TAXII], "max_content_length": self.room})
        }
        if method == "POST":
            assert headers["content-type"] == TAXII
            self.envelopes.append(len(json.loads(body)["objects"]))
            self.sizes.append(len(body))
            writer.write((self.troubles.pop(0) if self.troubles else self.take)(body))
        elif found := re.fullmatch(f"{FOLDER}objects/([^/]+)/", split.path):
            writer.write(self._one(method, found[1], chosen))
        elif split.path.startswith("/root/status/"):
            self.later -= 1
            writer.write(http(200, self.pending | {"status": "pending" if self.later > 0 else "complete"}))
        else:
            writer.write(answer.get(split.path, http(404, {})))

    def take(self, body: bytes) -> bytes:
        values = json.loads(body)["objects"]
        bad = [
            value
            for value in values
            if value["id"] in self.refuses or (self.once and (value["id"], _version(value)) in self.has)
        ]
        if bad and self.whole:
            return http(422, {"title": "No", "description": "one is not to our taste", "http_status": "422"})
        for value in values:
            if value not in bad:
                self.has[value["id"], _version(value)] = value
        failures = [{"id": value["id"], "version": _version(value), "message": "not our\nkind"} for value in bad]
        status = {
            "id": "5a1d1f6e-0000-4000-8000-000000000001",
            "status": "pending" if self.later else "complete",
            "total_count": len(values),
            "success_count": len(values) - len(bad),
            "failure_count": len(bad),
            "pending_count": 0,
        }
        self.pending = status | ({"failures": failures} if self.names_refusals else {})
        return http(202, self.pending)

    def _one(self, method: str, id_: str, chosen: str) -> bytes:
        found = [key for key in self.has if key[0] == id_ and chosen in ("all", key[1])]
        if method == "GET":
            return http(200, {"objects": [self.has[key] for key in found]}) if found else http(404, {})
        if not self.deletes:
            return http(405, {"title": "Not here", "http_status": "405"})
        for key in found:
            del self.has[key]
        return http(200, b"") if found else http(404, {})


def _version(value: dict[str, Any]) -> str:
    return value.get("modified") or value.get("created", "")


@pytest_asyncio.fixture
async def shelf():
    shelf = Shelf()
    async with animal() as zoo:
        zoo.raw = shelf.serve
        yield zoo, shelf


async def on_shelf(alpha: Neighbour, zoo: Animal, count: int = 30) -> list[str]:
    await pushes_to(alpha, zoo.url, "Theirs")
    return await alpha.make_many(count)


REFUSING = [
    ({"names_refusals": True}, "not our kind"),
    ({"names_refusals": False}, "without a reason"),
    ({"whole": True}, "one is not to our taste"),
]


@pytest.mark.parametrize(("habit", "message"), REFUSING, ids=["named", "counted", "all for one"])
async def test_an_object_that_is_refused_is_listed_with_their_words_and_holds_up_no_other(
    alpha, shelf, habit, message
):
    zoo, server = shelf
    for name, value in habit.items():
        setattr(server, name, value)
    ids = await on_shelf(alpha, zoo)
    server.refuses = {ids[4], ids[20]}
    report = await push(alpha, "Theirs")
    assert (report.state, report.refused) == ("in step", 2)
    assert sorted(server.has) == [one for one in await standing(alpha) if one[0] not in server.refuses]
    listed = await kept_out(alpha, "Theirs")
    assert listed.keys() == server.refuses
    assert all(outcome == "refused" and message in reason for outcome, reason in listed.values())
    assert len(server.envelopes) < 40
    await take_back(alpha, ids[4])
    assert (await push(alpha, "Theirs")).state == "in step"
    assert (await kept_out(alpha, "Theirs")).keys() == {ids[20]}  # what never came there is not to be deleted
    assert not any(line.startswith("DELETE") for line in server.asked)
    assert (await answers(alpha))[ids[4]][0] == "acknowledged"


async def test_envelopes_keep_to_what_they_take_in_bytes_and_in_number(alpha, shelf):
    zoo, server = shelf
    server.room = 3000
    await on_shelf(alpha, zoo, 12)
    large = alpha.incident("large", description="x" * 4000)
    await alpha.make(large)
    report = await push(alpha, "Theirs")
    assert (report.state, report.refused) == ("in step", 1)
    assert max(server.sizes) <= 3000
    assert "3000" in (await kept_out(alpha, "Theirs"))[large["id"]][1]
    assert {id_ for id_, _ in server.has} == {id_ for id_, _ in await standing(alpha)} - {large["id"]}
    server.room = 1_000_000
    server.envelopes.clear()
    await alpha.make_many(450, "more")
    await push(alpha, "Theirs")
    assert max(server.envelopes) == 200
    assert {id_ for id_, _ in server.has} == {id_ for id_, _ in await standing(alpha)} - {large["id"]}


@on_each
async def test_what_cannot_be_deleted_there_is_listed_and_counts_as_cannot_be_told(alpha, shelf):
    zoo, server = shelf
    server.deletes = False
    ids = await on_shelf(alpha, zoo, 3)
    await push(alpha, "Theirs")
    await take_back(alpha, ids[0])
    report = await push(alpha, "Theirs")
    assert (report.state, report.untold) == ("in step", 1)
    outcome, reason = (await kept_out(alpha, "Theirs"))[ids[0]]
    assert (outcome, "Not here" in reason) == ("untold", True)
    assert (await answers(alpha))[ids[0]] == ("cannot be told", "we add it to a collection there")


async def test_what_somebody_else_put_there_is_not_deleted(alpha, shelf):
    zoo, server = shelf
    ids = await on_shelf(alpha, zoo, 2)
    await take_back(alpha, ids[0])  # before it was ever pushed
    server.has[ids[0], "2026-03-01T12:00:01.000Z"] = {"id": ids[0]}
    assert (await push(alpha, "Theirs")).state == "in step"
    assert (ids[0], "2026-03-01T12:00:01.000Z") in server.has
    assert not any(line.startswith("DELETE") for line in server.asked)


@on_each
async def test_what_is_already_gone_there_counts_as_deleted(alpha, shelf):
    zoo, server = shelf
    ids = await on_shelf(alpha, zoo, 2)
    await push(alpha, "Theirs")
    server.has = {key: value for key, value in server.has.items() if key[0] != ids[0]}
    await take_back(alpha, ids[0])
    assert (await push(alpha, "Theirs")).deleted == 1


@on_each
async def test_a_503_in_the_middle_loses_nothing_and_is_waited_out(alpha, shelf):
    zoo, server = shelf
    server.room = 4000
    await on_shelf(alpha, zoo)
    taken = server.take
    server.troubles = [taken, taken, lambda body: http(503, {}, retry_after="400")]
    report = await push(alpha, "Theirs")
    assert (report.state, report.added, len(server.has)) == ("failed", sum(server.envelopes[:2]), report.added)
    assert report.added > 0
    async with alpha.store.reading() as tx:
        state = await pushes.push_state(tx, await key_of(alpha, tx, "Theirs"))
        assert state.attempts == 1
        assert state.due >= await tx.now() + 390_000_000
    server.troubles = []
    assert (await push(alpha, "Theirs")).state == "in step"
    assert sorted(server.has) == await standing(alpha)


@pytest.fixture(scope="module")
def processes():
    """Processes that start at once: forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pushing_process"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # 3.11's fork server is not told by itself
        yield context


@pytest.mark.parametrize("once", [False, True], ids=["takes it again", "refuses it again"])
async def test_kills_lose_nothing_and_double_nothing(tmp_path, make_database, shelf, processes, once):
    zoo, server = shelf
    server.once, server.room = once, 6000
    url = make_database("sqlite")
    async with neighbour("Alpha", tmp_path / "alpha", url) as alpha:
        ids = await on_shelf(alpha, zoo, 60)
        kills = 0
        while True:
            process = processes.Process(target=pushing_process.push, args=(str(alpha.home.path), url))

            def dies_at(when: str, process=process):
                def answer(body: bytes) -> bytes:
                    found = server.take(body) if when == "stored" else b""
                    process.kill()
                    return found

                return answer

            server.troubles = [server.take, dies_at("stored" if kills % 2 else "arrived")]
            process.start()
            await asyncio.to_thread(process.join)
            if process.exitcode == 0:
                break
            kills += 1
            if kills == 3:
                await take_back(alpha, *ids[:5])
        server.troubles = []
        report = await push(alpha, "Theirs")
        assert (report.state, report.added, report.refused) == ("in step", 0, 0)
        assert kills >= 4
        assert sorted(server.has) == await standing(alpha)
        assert await kept_out(alpha, "Theirs") == {}


async def test_a_status_is_asked_for_until_it_is_complete(alpha, shelf):
    zoo, server = shelf
    server.later = 3
    await on_shelf(alpha, zoo, 3)
    assert (await push(alpha, "Theirs")).state == "in step"
    assert sum(line.startswith("GET /root/status/") for line in server.asked) == 3


async def test_a_status_that_is_never_complete_is_a_failure_and_loses_nothing(alpha, shelf, monkeypatch):
    zoo, server = shelf
    monkeypatch.setattr(pushing, "PATIENCE", 0.2)
    server.later = 1000
    await on_shelf(alpha, zoo, 3)
    report = await push(alpha, "Theirs")
    assert (report.state, "has not dealt with" in report.error) == ("failed", True)
    server.later = 0
    assert (await push(alpha, "Theirs")).state == "in step"
    assert sorted(server.has) == await standing(alpha)


@pytest.mark.parametrize("held", ["paused", "suspended"])
async def test_who_is_held_gets_nothing_not_even_the_rest(alpha, shelf, held, monkeypatch):
    zoo, server = shelf
    server.room = 4000
    await on_shelf(alpha, zoo)
    posted = pushing.add_objects

    async def then_held(*given):
        found = await posted(*given)
        async with alpha.store.writing() as tx:
            party = await parties.party_by_name(tx, "zoo")
            if held == "suspended":
                await parties.set_suspended(tx, party.id, True)
            else:
                await pauses.put(tx, [party.id], "a test", "test", await tx.now())
        return found

    monkeypatch.setattr(pushing, "add_objects", then_held)
    assert (await push(alpha, "Theirs")).state == held
    assert len(server.envelopes) == 1
    assert (await push(alpha, "Theirs")).state == held
    assert len(server.envelopes) == 1


async def test_a_collection_that_may_not_be_written_to_is_said_so(alpha):
    async with animal() as zoo:
        zoo.answers = an_offer("Theirs", can_write=False)
        await pushes_to(alpha, zoo.url, "Theirs")
        assert "does not let us add" in (await push(alpha, "Theirs")).error


async def test_another_collection_under_the_same_name_is_not_followed(alpha, shelf):
    zoo, _ = shelf
    await on_shelf(alpha, zoo, 2)
    await push(alpha, "Theirs")
    other = COLLECTION.replace("aaaa", "bbbb", 1)
    zoo.raw, zoo.answers = None, an_offer("Theirs", other, can_write=True)
    report = await push(alpha, "Theirs")
    assert (report.state, "another collection" in report.error) == ("failed", True)


# --- by itself, and how it stands ----------------------------------------------------------------------------


async def test_the_worker_pushes_what_is_due_and_the_status_says_how_it_stands(alpha, shelf):
    zoo, server = shelf
    ids = await on_shelf(alpha, zoo, 3)
    server.refuses = {ids[1]}
    await alpha.apply(
        {
            "peers": {
                "zoo": {"url": zoo.url, "push": [{"collection": "regional", "to": "Theirs", "every": "1s"}]}
            },
            "collections": {"regional": {"readers": ["zoo"]}},
        }
    )
    stop = asyncio.Event()
    running = asyncio.create_task(run(alpha.store, alpha.home, alpha.node, stop, QUICK))
    try:
        await until(lambda: all_but_one(alpha, server))
        (late,) = await alpha.make_many(1, "late")
        await until(lambda: all_but_one(alpha, server))
        await until(lambda: stands(alpha, "in step"))
    finally:
        stop.set()
        await running
    assert late in {id_ for id_, _ in server.has}
    (pushed,) = (await how_it_stands(alpha)).pushed
    assert (pushed.ours, pushed.wanted, pushed.remote_id) == ("regional", "Theirs", COLLECTION)
    assert (pushed.counts["added"], pushed.counts["refused"]) == (len(server.has), 1)
    assert [(row.object_id, row.reason) for row in pushed.exceptions] == [(ids[1], "not our kind")]


async def all_but_one(node: Neighbour, server: Shelf) -> bool:
    return len(server.has) == len(await standing(node)) - 1


async def stands(node: Neighbour, words: str) -> bool:
    return (await how_it_stands(node)).words == words


async def how_it_stands(node: Neighbour):
    async with node.store.reading() as tx:
        return await peer_status(tx, await in_force(tx), "zoo")


async def test_a_push_that_fails_is_said_so_and_due_later_not_now(alpha, shelf):
    zoo, server = shelf
    await on_shelf(alpha, zoo, 3)
    assert (await how_it_stands(alpha)).words == "never contacted"
    server.troubles = [lambda body: http(401, {})] * 2
    (report,) = await push_all(alpha.store, alpha.home, terms=QUICK)
    assert report.state == "failed"
    status = await how_it_stands(alpha)
    assert status.words.startswith("failing: zoo does not accept our credential")
    async with alpha.store.reading() as tx:
        (turn,) = await due(tx, await in_force(tx))
        assert (turn.ours, turn.at > await tx.now()) == ("regional", True)
    await push_all(alpha.store, alpha.home, terms=QUICK)
    async with alpha.store.reading() as tx:
        (again,) = await due(tx, await in_force(tx))
    assert again.at > turn.at


# --- tocsin.yaml ---------------------------------------------------------------------------------------------

WRONG = [
    ([{"collection": "regonal", "to": "x"}], "no collection 'regonal'; did you mean 'regional'?"),
    ([{"collection": "closed", "to": "x"}], "'zoo' is no reader of 'closed'"),
    ([{"collection": "regional", "to": "x"}, {"collection": "second", "to": "x"}], "only one log can take back"),
    ([{"collection": "regional", "to": "x"}] * 2, "is pushed into 'x' already"),
]


@pytest.mark.parametrize(("written", "said"), WRONG)
def test_a_push_that_cannot_be_is_told_with_its_line(written, said):
    reading = {"readers": ["zoo"], "policy": "any"}
    collections = {key: {"title": key, **reading} for key in ("regional", "second")}
    collections["closed"] = {"title": "closed", "policy": "any"}
    settings = {
        "node": {"name": "n"},
        "peers": {"zoo": {"url": "https://zoo.example/", "push": written}},
        "collections": collections,
    }
    text = json.dumps(settings, indent=1)
    policy = "rules: [{id: any, match: {origin: any}, then: allow, reason: whatever comes}]"
    with pytest.raises(BadFile) as caught:
        read_configuration({"tocsin.yaml": text, "policies/any.yaml": policy})
    (problem,) = caught.value.problems
    assert said in problem.text
    assert '"push"' in "".join(text.splitlines()[: int(problem.place.rpartition(":")[2])])
