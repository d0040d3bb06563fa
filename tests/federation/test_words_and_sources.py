"""Who may say what about an object, whichever way and in whichever order it comes."""

import itertools
import json

import pytest

from neighbours import a_peer, alpha_and_beta
from tocsin.peers.take import WITHDRAWN
from tocsin.stix.objects import make_object
from tocsin.store import objects
from zoo import Liar, animal

NOTHING = "rules: [{id: none, match: {origin: any, stage: exposure}, then: allow, reason: nothing}]"


async def test_what_the_creator_withdraws_vanishes_at_the_reader_and_may_come_back(chain):
    alpha, _, beta = chain
    incident = alpha.incident("one")
    await alpha.make(incident)
    await beta.pull("alpha")
    assert await beta.newest(incident["id"]) == incident
    await alpha.make(alpha.incident("one", stage="near-miss"))  # so its log withdraws it
    await beta.pull("alpha")
    assert (incident["id"], WITHDRAWN) in {(row.object_id, row.reason) for row in await beta.ledger("alpha")}
    assert await beta.newest(incident["id"]) is None
    assert incident["id"] not in {id_ for id_, _, _ in await beta.shows("onward")}
    again = alpha.incident("one")
    await alpha.make(again)
    await beta.pull("alpha")
    assert await beta.newest(incident["id"]) == again
    assert incident["id"] in {id_ for id_, _, _ in await beta.shows("onward")}


async def test_a_relayed_object_goes_on_with_one_more_hop_and_is_withdrawn_along_the_same_way(chain):
    alpha, gamma, beta = chain
    incident = alpha.incident("one")
    await alpha.make(incident)
    await gamma.pull("alpha")
    report = await beta.pull("gamma", "passed-on")
    assert (report.state, report.error) == ("in step", "")
    assert await beta.newest(incident["id"]) == incident
    async with beta.store.reading() as tx:
        (held,) = (await objects.offered(tx, [incident["id"]]))[incident["id"]]
    assert [(source.hops, source.authentic) for source in held.sources] == [(1, False)]
    await alpha.make(alpha.incident("one", stage="near-miss"))  # so its log withdraws it
    await gamma.pull("alpha")
    assert (await beta.pull("gamma", "passed-on")).tally.withdrawn >= 1
    assert await beta.newest(incident["id"]) is None


async def test_an_object_that_two_sources_offer_stays_until_both_have_withdrawn_it(chain):
    alpha, gamma, beta = chain
    incident = alpha.incident("one")
    await alpha.make(incident)
    await gamma.pull("alpha")
    await beta.pull("gamma", "passed-on")
    await beta.pull("alpha")
    await gamma.apply(
        {
            "peers": {"beta": a_peer(beta.url), "alpha": a_peer(alpha.url)},
            "collections": {"passed-on": {"readers": ["beta"]}},
        },
        confirmed=len(await gamma.shows("passed-on")),
        **{"passed-on": NOTHING},
    )
    assert (await beta.pull("gamma", "passed-on")).tally.withdrawn >= 1
    assert await beta.newest(incident["id"]) == incident
    await alpha.make(alpha.incident("one", stage="near-miss"))  # so its log withdraws it
    await beta.pull("alpha")
    assert await beta.newest(incident["id"]) is None


async def test_nothing_comes_back_to_whom_it_came_from_and_nothing_circulates(chain):
    alpha, gamma, beta = chain
    await alpha.make_many(5)
    for _ in range(3):
        await gamma.pull("alpha")
        await beta.pull("gamma", "passed-on")
        await gamma.pull("beta", "back")
    logs = [len(await gamma.log("passed-on")), len(await beta.log("back")), len(await beta.log("onward"))]
    ledgers = [len(await gamma.ledger("beta")), len(await beta.ledger("gamma"))]
    await gamma.pull("alpha")
    await beta.pull("gamma", "passed-on")
    await gamma.pull("beta", "back")
    assert [len(await gamma.log("passed-on")), len(await beta.log("back")), len(await beta.log("onward"))] == logs
    assert [len(await gamma.ledger("beta")), len(await beta.ledger("gamma"))] == ledgers
    assert not any(row.object_id.startswith("incident--") for row in await gamma.ledger("beta"))


@pytest.mark.parametrize("order", list(itertools.permutations(["creator", "forger"])))
async def test_the_creators_content_stands_whichever_came_first(tmp_path, make_database, order):
    """Another node offers the same id and version with other content: asserted yields to authentic."""
    async with alpha_and_beta(tmp_path, make_database) as (alpha, beta):
        incident = alpha.incident("one")
        await alpha.make(incident)
        forged = {**incident, "name": "forged"}
        assert make_object(forged).version == make_object(incident).version
        async with animal() as zoo:
            Liar(zoo).says(forged)
            peers = {"alpha": a_peer(alpha.url, "regional"), "zoo": a_peer(zoo.url, "regional")}
            readers = {"accounts": {"acme": {"kind": "company"}}, "collections": {"onward": {"readers": ["acme"]}}}
            await beta.apply({"peers": peers, **readers})
            beta.home.write_secret("peers/zoo", "w0rd")
            for who in order:
                await beta.pull("alpha" if who == "creator" else "zoo")
        assert await beta.newest(incident["id"]) == incident
        shown = [
            row for row in await beta.log("onward") if row.object_id == incident["id"] and row.raw is not None
        ]
        assert [json.loads(row.raw)["name"] for row in shown] == [incident["name"]]
        assert [row.outcome for row in await beta.ledger("zoo")] == ["stored"]
