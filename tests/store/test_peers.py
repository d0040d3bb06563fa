"""Where we stand with each peer, what became of what it offered, and what the node notes of itself."""

import pytest

from samples import NOW
from tocsin.errors import NotFound, Refused
from tocsin.store import audit, configuration, peers
from tocsin.store.audit import Event
from tocsin.store.parties import ensure_parties
from tocsin.store.peers import LedgerRow


async def _beta(tx) -> str:
    return (await ensure_parties(tx, {"beta": "peer"}, {}, NOW))["beta"]


async def test_a_pull_is_made_once_and_due_at_once(store):
    async with store.writing() as tx:
        beta = await _beta(tx)
        await peers.ensure_pulls(tx, [(beta, "regional"), (beta, "regional")])
        await peers.succeeded(tx, beta, "regional", NOW, NOW + 60)
        await peers.ensure_pulls(tx, [(beta, "regional"), (beta, "other")])
        assert [(p.wanted, p.due, p.cursor, p.protocol) for p in await peers.pulls(tx)] == [
            ("other", 0, None, None),
            ("regional", NOW + 60, None, None),
        ]
        assert await peers.pulls(tx, "nobody") == []
        assert await peers.pull_state(tx, beta, "absent") is None


async def test_the_collection_of_a_peer_is_pinned(store):
    async with store.writing() as tx:
        beta = await _beta(tx)
        await peers.ensure_pulls(tx, [(beta, "regional")])
        for protocol in ("taxii", "tocsin"):  # a peer may learn to speak better
            await peers.pin_collection(tx, beta, "regional", "c1", protocol)
            state = await peers.pull_state(tx, beta, "regional")
            assert (state.collection_id, state.protocol) == ("c1", protocol)
        with pytest.raises(Refused, match="was the peer's collection c1, and now is c2"):
            await peers.pin_collection(tx, beta, "regional", "c2", "tocsin")
        with pytest.raises(NotFound):
            await peers.pin_collection(tx, beta, "absent", "c1", "tocsin")


async def test_a_cursor_moves_only_from_where_it_stands(store):
    async with store.writing() as tx:
        beta = await _beta(tx)
        await peers.ensure_pulls(tx, [(beta, "c")])
        for old, new, moved in ((None, "1", True), (None, "2", False), ("1", "2", True), ("1", "3", False)):
            assert await peers.move_cursor(tx, beta, "c", old, new) is moved
        assert (await peers.pull_state(tx, beta, "c")).cursor == "2"
        assert await peers.move_cursor(tx, beta, "c", "2", None)  # from the beginning again
        assert not await peers.move_cursor(tx, beta, "absent", None, "1")


async def test_failures_are_counted_until_a_success(store):
    async with store.writing() as tx:
        beta = await _beta(tx)
        await peers.ensure_pulls(tx, [(beta, "c")])
        for n in (1, 2):
            await peers.failed(tx, beta, "c", f"reason {n}", NOW + n)
        state = await peers.pull_state(tx, beta, "c")
        assert (state.attempts, state.last_error, state.due, state.last_success) == (2, "reason 2", NOW + 2, None)
        await peers.succeeded(tx, beta, "c", NOW + 3, NOW + 63)
        state = await peers.pull_state(tx, beta, "c")
        assert (state.attempts, state.last_error, state.due, state.last_success) == (0, None, NOW + 63, NOW + 3)
        for work in (peers.failed(tx, beta, "absent", "x", 1), peers.succeeded(tx, beta, "absent", 1, 1)):
            with pytest.raises(NotFound):
                await work


# --- ledger --------------------------------------------------------------------------------------------------


def offer(party: str, position: str, outcome: str = "stored", object_id: str = "o", **more) -> LedgerRow:
    return LedgerRow(party, "c", position, object_id, "v", "h", outcome, "because", NOW, **more)


async def test_an_offer_is_noted_once_however_often_it_comes(store):
    async with store.writing() as tx:
        beta = await _beta(tx)
        rows = [
            offer(beta, "1"),
            offer(beta, "2", "duplicate"),
            offer(beta, "3", "quarantined", content=b"x"),
            offer(beta, "4", "refused", object_id=""),
        ]
        assert await peers.add_ledger(tx, rows) == 4
        assert await peers.add_ledger(tx, [*rows, offer(beta, "5")]) == 1
        assert await peers.add_ledger(tx, []) == 0
        assert await peers.ledger_counts(tx, beta) == {"stored": 2, "duplicate": 1, "quarantined": 1, "refused": 1}
        assert await peers.ledger_counts(tx, beta, "other") == dict.fromkeys(
            ("stored", "duplicate", "quarantined", "refused"), 0
        )
        latest = await peers.ledger_rows(tx, beta, limit=2)
        assert [row.position for row in latest] == ["5", "4"]
        assert [row.position for row in await peers.ledger_rows(tx, beta, before=latest[-1].seq)] == [
            "3",
            "2",
            "1",
        ]


async def test_a_person_settles_what_is_quarantined_once(store):
    async with store.writing() as tx:
        beta = await _beta(tx)
        await peers.add_ledger(tx, [offer(beta, "1", "quarantined", content=b"bytes")])
        (row,) = await peers.quarantined(tx, beta)
        assert (row.content, await peers.quarantined(tx, "nobody")) == (b"bytes", [])
        await peers.settle(tx, row.seq, "refused", "not ours to know")
        assert await peers.quarantined(tx) == []
        (settled,) = await peers.ledger_rows(tx, beta)
        assert (settled.outcome, settled.reason, settled.content) == ("refused", "not ours to know", None)
        with pytest.raises(NotFound):
            await peers.settle(tx, row.seq, "stored", "too late")


# --- the node itself -----------------------------------------------------------------------------------------


async def test_the_configuration_in_force_is_the_one_applied_last(store):
    async with store.writing() as tx:
        assert await configuration.in_force(tx) is None
        assert await configuration.in_force_sha256(tx) is None
        for sha256 in ("a", "b", "a"):  # going back is an application of its own
            await configuration.apply(tx, {"tocsin.yaml": f"text {sha256}"}, sha256, NOW)
        assert (await configuration.in_force(tx)).files == {"tocsin.yaml": "text a"}
        assert await configuration.in_force_sha256(tx) == "a"
        assert [one.sha256 for one in await configuration.history(tx)] == ["a", "b", "a"]


async def test_the_audit_tells_the_latest_first(store):
    async with store.writing() as tx:
        await audit.append(tx, "applied", "c1", {"n": 1}, NOW)
        await audit.append_all(tx, [Event("released", "o1", {}), Event("released", "o2", {})], NOW + 1)
        assert [(e.event, e.subject, e.at) for e in await audit.entries(tx)] == [
            ("released", "o2", NOW + 1),
            ("released", "o1", NOW + 1),
            ("applied", "c1", NOW),
        ]
        assert [e.details for e in await audit.entries(tx, "c1")] == [{"n": 1}]
        assert len(await audit.entries(tx, limit=1)) == 1
