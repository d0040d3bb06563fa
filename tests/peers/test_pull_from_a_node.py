"""Pulling from a real node: everything once, withdrawals too, and nothing twice."""

from dataclasses import replace

from neighbours import QUICK
from tocsin.peers.pull import Budget


async def test_everything_that_is_offered_arrives_and_a_second_pull_changes_nothing(pair_on_each):
    alpha, beta = pair_on_each
    await alpha.make_many(12)
    report = await beta.pull("alpha", terms=replace(QUICK, page=5))
    assert (report.state, report.error) == ("in step", "")
    offered = await alpha.shows()
    assert {(row.outcome, row.reason) for row in await beta.ledger("alpha")} == {
        ("stored", ""),
        ("duplicate", "it is ours, come back"),  # who defines the extension is known to both
    }
    assert await beta.holds() >= offered
    assert len(offered) >= 12
    assert report.tally.stored + report.tally.duplicate == len(offered)
    ledger = await beta.ledger("alpha")
    again = await beta.pull("alpha")
    assert (again.state, again.tally.seen, again.tally.stored) == ("in step", 1, 0)
    assert await beta.holds() >= offered
    assert await beta.ledger("alpha") == ledger


async def test_what_a_peer_brought_goes_on_to_our_readers_with_its_values(pair):
    alpha, beta = pair
    incident = alpha.incident("one", x_note={"exact": 1.5, "text": "é"})
    await alpha.make(incident)
    await beta.pull("alpha")
    assert await beta.newest(incident["id"]) == incident
    assert incident["id"] in {id_ for id_, _, _ in await beta.shows("onward")}


async def test_an_empty_collection_is_in_step(pair):
    _, beta = pair
    report = await beta.pull("alpha")
    assert report.state == "in step"
    assert (await beta.state("alpha")).attempts == 0


async def test_a_budget_stops_politely_and_the_next_cycle_goes_on(pair):
    alpha, beta = pair
    await alpha.make_many(20)
    terms = replace(QUICK, page=4, budget=Budget(objects=8))
    states = []
    while not states or states[-1] == "unfinished":
        states.append((await beta.pull("alpha", terms=terms)).state)
    assert len(states) >= 3
    assert states[-1] == "in step"
    assert await beta.holds() >= await alpha.shows()
