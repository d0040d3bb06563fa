"""Nodes that lie: what they claim for others, hashes that do not fit, logs that go back, identities of others."""

import json

import pytest
import pytest_asyncio

from neighbours import START, a_peer, an_incident, neighbour
from tocsin.stix.markings import tlp_from_word
from tocsin.stix.objects import keyed_id
from tocsin.store import parties
from zoo import FOLDER, JSON, ZOO, Liar, a_node, animal, at, http
from zoo_behaviours import zoo as bad_peer

OTHER = "identity--22222222-0000-4000-8000-000000000002"
NESTED = b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}"


def incident(name: str = "one", creator: str = ZOO, **more):
    return an_incident(keyed_id(b"zoo", "incident", name), creator, START, **more)


@pytest_asyncio.fixture
async def beta(tmp_path, make_database):
    async with neighbour("Beta", tmp_path / "beta", make_database("sqlite")) as node:
        yield node


@pytest_asyncio.fixture
async def liar(beta):
    async with animal() as zoo:
        await beta.apply(
            {
                "accounts": {"acme": {"kind": "company"}},
                "peers": {"zoo": a_peer(zoo.url, "regional"), "gamma": a_peer("http://192.0.2.1/", "x")},
                "collections": {"onward": {"readers": ["acme"]}},
            }
        )
        beta.home.write_secret("peers/zoo", "w0rd")
        yield Liar(zoo)


WHO = {
    "type": "identity",
    "spec_version": "2.1",
    "id": ZOO,
    "created": "2026-01-01T00:00:00.000Z",
    "modified": "2026-01-01T00:00:00.000Z",
    "name": "zoo",
    "identity_class": "organization",
    "object_marking_refs": [tlp_from_word("green").marking],
}


async def ends(node) -> list[tuple[str, str]]:
    return [(row.outcome, row.reason) for row in await node.ledger("zoo")]


async def test_an_id_of_ours_is_quarantined_with_its_content_and_ours_stays(beta, liar):
    ours = beta.incident("ours")
    await beta.make(ours)
    squatter = ours | {"modified": "2027-01-01T00:00:00.000Z", "name": "squatter"}
    liar.says(squatter)
    liar.says(incident())
    report = await beta.pull("zoo")
    assert (report.tally.quarantined, report.tally.stored) == (1, 1)
    assert await beta.newest(ours["id"]) == ours
    (row, _) = await beta.ledger("zoo")
    assert row.outcome == "quarantined"
    assert json.loads(row.content)["name"] == "squatter"


async def test_who_speaks_in_our_name_is_quarantined(beta, liar):
    liar.says(incident(creator=beta.node.identity))
    assert (await beta.pull("zoo")).tally.quarantined == 1
    assert await beta.holds("zoo") == set()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"sha256": "short"}, "a SHA-256 that is none"),
        ({"id": "incident--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a"}, "the entry names"),
        ({"id": "nonsense"}, "an id that is none"),
        ({"id": "nul\x00"}, "an id that is none"),
        ({"hops": -1}, "hops"),
        ({"hops": "many"}, "cannot be read"),
        ({"op": "delete"}, "cannot be read"),
        ({"op": "revoke"}, "not revoked"),
        ({"position": "yesterday"}, "without a position"),
    ],
)
async def test_an_entry_that_contradicts_itself_is_refused_and_its_neighbours_get_in(beta, liar, entry, reason):
    liar.says(incident("before"))
    liar.says(incident("bad"), **entry)
    liar.says(incident("after"))
    report = await beta.pull("zoo")
    assert (report.state, report.tally.stored, report.tally.refused) == ("in step", 2, 1)
    (refused,) = [text for outcome, text in await ends(beta) if outcome == "refused"]
    assert reason in refused
    assert len(await beta.holds("zoo")) == 2


@pytest.mark.parametrize(
    "bad",
    [
        b'{"x": NaN}',
        b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"{x: 1}",
        b'{"type": "incident"}',
        b"null",
        b"7",
    ],
    ids=["NaN", "nested", "no JSON", "no id", "null", "a number"],
)
async def test_an_object_that_cannot_be_read_is_refused_at_its_position(beta, liar, bad):
    for number in range(20):
        liar.says(incident(str(number)))
    liar.says(bad, id="incident--7d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a", sha256="0" * 64)
    liar.says(incident("last"))
    report = await beta.pull("zoo")
    assert (report.state, report.tally.stored, report.tally.refused) == ("in step", 21, 1)
    assert [row.position for row in await beta.ledger("zoo") if row.outcome == "refused"] == [at(21)]
    assert (await beta.pull("zoo")).tally.refused == 0


async def test_text_that_no_database_takes_ends_in_the_ledger_all_the_same(tmp_path, make_database):
    odd = {"id": "a\x00b", "version": "\x00", "sha256": "\x00", "op": "withdraw"}
    async with neighbour("Beta", tmp_path / "beta", make_database("postgresql")) as beta, animal() as zoo:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        liar = Liar(zoo)
        liar.says(incident("odd"), **odd)
        liar.says(incident("named oddly"), version="\x00" * 1000)
        nul = b'{"type": "incident", "id": "incident--\\u0000", "modified": "\\u0000"}'
        liar.says(nul, id=incident("odd")["id"], sha256="0" * 64)
        liar.says(incident("good"))
        report = await beta.pull("zoo")
        assert (report.state, report.tally.stored, report.tally.refused) == ("in step", 2, 2)
        assert len(await beta.ledger("zoo")) == 4


async def test_every_entry_ends_in_one_state_and_none_is_lost(beta, liar):
    ours = beta.incident("ours")
    await beta.make(ours)
    liar.says(incident("good"))
    liar.says(incident("good"))
    liar.says(ours | {"name": "squatter", "modified": "2027-01-01T00:00:00.000Z"})
    liar.says(incident("bad"), sha256="0" * 64)
    liar.says(incident("good"), op="withdraw")
    liar.says(incident("never seen"), op="withdraw")
    liar.says(incident("good"), op="prune")
    await beta.pull("zoo")
    assert [row.position for row in await beta.ledger("zoo")] == [at(n) for n in range(1, 8)]
    assert [outcome for outcome, _ in await ends(beta)] == [
        "stored",
        "duplicate",
        "quarantined",
        "refused",
        "stored",
        "stored",
        "stored",
    ]


async def test_a_withdrawal_binds_only_who_says_it(beta, liar):
    ours = beta.incident("ours")
    await beta.make(ours)
    await beta.make(beta.incident("second"))
    before = await beta.shows("onward")
    liar.says(ours, op="withdraw")
    liar.says({**ours, "revoked": True, "modified": "2027-01-01T00:00:00.000Z"}, op="revoke")
    await beta.pull("zoo")
    assert await beta.shows("onward") == before
    assert await beta.newest(ours["id"]) == ours


async def test_withdrawn_and_put_again_is_held_and_shown_again(beta, liar):
    value = incident()
    liar.says(WHO)  # who made it, or it would wait for that
    liar.says(value)
    await beta.pull("zoo")
    shown = {id_ for id_, _, _ in await beta.shows("onward")}
    assert value["id"] in shown
    liar.says(value, op="withdraw")
    report = await beta.pull("zoo")
    assert report.tally.withdrawn == 1
    assert await beta.newest(value["id"]) is None
    assert value["id"] not in {id_ for id_, _, _ in await beta.shows("onward")}
    liar.says(value)
    await beta.pull("zoo")
    assert await beta.newest(value["id"]) == value
    assert {id_ for id_, _, _ in await beta.shows("onward")} == shown


async def test_order_within_a_page_counts(beta, liar):
    value = incident()
    for op in ("put", "withdraw", "put", "withdraw", "put"):
        liar.says(value, op=op)
    await beta.pull("zoo")
    assert await beta.newest(value["id"]) == value
    liar.says(value, op="withdraw")
    await beta.pull("zoo")
    assert await beta.newest(value["id"]) is None


@pytest.mark.parametrize("identity", ["ours", "another's", "changed"])
async def test_an_identity_that_is_not_the_peers_own_is_refused(beta, identity):
    async with animal() as zoo:
        await beta.apply(
            {"peers": {"zoo": a_peer(zoo.url, "regional"), "gamma": a_peer("http://192.0.2.1/", "x")}}
        )
        beta.home.write_secret("peers/zoo", "w0rd")
        async with beta.store.writing() as tx:
            for name, pinned in (("gamma", OTHER), *([("zoo", ZOO)] if identity == "changed" else [])):
                await parties.pin_identity(tx, (await parties.party_by_name(tx, name)).id, pinned)
        claimed = {"ours": beta.node.identity, "another's": OTHER, "changed": ZOO.replace("1111", "3333")}[
            identity
        ]
        liar = Liar(zoo)
        zoo.answers |= a_node(claimed)
        liar.says(incident())
        report = await beta.pull("zoo")
        assert report.state == "failed"
        assert claimed in report.error
        assert await beta.holds("zoo") == set()


async def test_a_log_that_goes_back_is_an_error_and_the_cursor_stays(beta, liar):
    liar.says(incident("one"))
    liar.says(incident("two"))
    await beta.pull("zoo")
    cursor = (await beta.state("zoo")).cursor
    liar.entries.clear()
    report = await beta.pull("zoo")
    assert "went back" in report.error
    assert (await beta.state("zoo")).cursor == cursor


@pytest.mark.parametrize(
    "body",
    [
        {"more": True, "position": at(0), "entries": []},
        {"more": False, "position": "soon", "entries": []},
        {"more": False, "entries": []},
        {"objects": []},
        b"[]",
        b'{"more":false,"position":"2026-02-02T02:40:00.000009Z","entries":[{"op":"put"',
    ],
)
async def test_a_page_that_says_nothing_usable_is_a_failure_and_moves_nothing(beta, body):
    async with animal() as zoo:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        zoo.answers |= a_node(ZOO)
        zoo.answers[f"{FOLDER}changes/"] = http(200, body, JSON)
        report = await beta.pull("zoo")
        assert report.state == "failed"
        assert len(zoo.asked) < 15
        assert (await beta.state("zoo")).attempts == 1


async def test_a_descriptor_that_points_elsewhere_is_refused_and_nobody_is_contacted(beta):
    async with animal() as zoo, animal() as elsewhere:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        zoo.answers |= a_node(ZOO, taxii=elsewhere.url)
        report = await beta.pull("zoo")
        assert "not followed" in report.error
        assert elsewhere.connections == 0


async def test_a_suspended_peer_is_not_asked(beta, liar):
    async with beta.store.writing() as tx:
        await parties.set_suspended(tx, (await parties.party_by_name(tx, "zoo")).id, suspended=True)
    assert (await beta.pull("zoo")).state == "suspended"
    assert (await beta.state("zoo")) is None


async def test_what_is_no_longer_pulled_is_left_in_the_middle_of_a_pull(beta):
    async with animal() as zoo:
        liar = Liar(zoo)
        liar.says(incident())
        whole = liar.answer

        async def taken_out(asked, writer):
            await beta.apply({"peers": {"zoo": a_peer(zoo.url, "other")}})
            await whole(asked, writer)

        zoo.answers[f"{FOLDER}changes/"] = taken_out
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        assert (await beta.pull("zoo")).state == "suspended"
    assert await beta.holds("zoo") == set()


@pytest.mark.parametrize("name", ["names what a terminal would obey", "is nobody"])
async def test_what_a_peer_calls_itself_ends_in_words_that_can_be_kept_and_shown(tmp_path, make_database, name):
    async with neighbour("Beta", tmp_path / "beta", make_database("postgresql")) as beta, bad_peer(name) as peer:
        await beta.apply({"peers": {"zoo": a_peer(peer.url, "regional")}})
        beta.home.write_secret("peers/zoo", "w0rd")
        report = await beta.pull("zoo")
        assert (report.state, (await beta.state("zoo")).last_error) == ("failed", report.error)
        assert report.error.isprintable()
        assert len(report.error) <= 1100
