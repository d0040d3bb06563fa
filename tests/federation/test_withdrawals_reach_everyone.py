"""G6: whoever was offered an object is told of its withdrawal until he answers; who cannot be told is listed."""

from contextlib import AsyncExitStack

import httpx2
import pytest
import pytest_asyncio

from neighbours import TAXII, a_peer, introduce, listening, neighbour
from tocsin.sharing import withdraw as taking_back
from tocsin.sharing.apply import in_force
from tocsin.sharing.notices import LATE_AFTER, account, late
from tocsin.store import acknowledgements, parties, releases


async def withdraw(node, id_, *, reason="sent by mistake"):
    async with node.store.writing() as tx:
        configuration = await in_force(tx)
        await taking_back.withdraw(
            tx, configuration, node.node, [id_], reason=reason, by="test", now=await tx.now()
        )


async def revoke(node, id_):
    async with node.store.writing() as tx:
        await taking_back.revoke(
            tx, await in_force(tx), node.node, [id_], reason="never happened", by="test", now=await tx.now()
        )


async def told(node, **options):
    """What a node's account says, by recipient: how he stands, and with what outcome, reason and open."""
    async with node.store.reading() as tx:
        notices = await account(tx, await in_force(tx), **options)
    return {
        (notice.op, one.name): (one.how, one.outcome, one.reason or one.why, one.open)
        for notice in reversed(notices)
        if notice.object_id.startswith("incident--")
        for one in notice.recipients
    }


async def owes(node, peer):
    async with node.store.reading() as tx:
        party = await parties.party_by_name(tx, peer)
        return await acknowledgements.untold_count(tx, party.id)


def offering(readers, more=()):
    return {
        "accounts": {name: {"kind": "company"} for name in more},
        "collections": {"regional": {"readers": readers}},
    }


@pytest_asyncio.fixture
async def line(tmp_path, make_database):
    """Alpha offers `regional` to beta and acme; beta passes it on to gamma as `onward`."""
    async with AsyncExitStack() as stack:
        alpha, beta, gamma = [
            await stack.enter_async_context(neighbour(name, tmp_path / name, make_database("sqlite")))
            for name in ("Alpha", "Beta", "Gamma")
        ]
        await alpha.apply({"peers": {"beta": a_peer(beta.url)}, **offering(["beta", "acme"], ["acme"])})
        await beta.apply(
            {
                "peers": {"alpha": a_peer(alpha.url, "regional"), "gamma": a_peer(gamma.url)},
                "collections": {"onward": {"readers": ["gamma"]}},
            }
        )
        await gamma.apply({"peers": {"beta": a_peer(beta.url, "onward")}, "collections": {"own": {}}})
        await introduce(beta, alpha, "alpha", "beta")
        await introduce(gamma, beta, "beta", "gamma")
        for node in (alpha, beta):
            await stack.enter_async_context(listening(node))
        yield alpha, beta, gamma


async def pulled(node, peer, wanted="regional"):
    report = await node.pull(peer, wanted)
    assert (report.state, report.error) == ("in step", "")


async def passed_on(alpha, beta, gamma):
    """An incident of alpha that all three hold."""
    value = alpha.incident("one")
    await alpha.make(value)
    await pulled(beta, "alpha")
    await pulled(gamma, "beta", "onward")
    assert await gamma.newest(value["id"]) is not None
    return value["id"]


async def test_a_withdrawal_goes_down_the_line_and_the_answers_come_back_up(line):
    alpha, beta, gamma = line
    id_ = await passed_on(alpha, beta, gamma)
    await withdraw(alpha, id_)
    assert await told(alpha) == {
        ("withdraw", "acme"): ("cannot be told", None, "reads TAXII alone", 0),
        ("withdraw", "beta"): ("waiting", None, "", 0),
    }
    await pulled(beta, "alpha")
    assert await beta.newest(id_) is None
    assert (await told(alpha))["withdraw", "beta"] == ("acknowledged", "purged", "", 1)
    due = (await beta.state("alpha")).due
    await pulled(gamma, "beta", "onward")
    assert (await beta.state("alpha")).due < due  # alpha is to hear of it at once
    assert await gamma.newest(id_) is None
    assert await told(beta) == {("withdraw", "gamma"): ("acknowledged", "purged", "", 0)}
    await pulled(beta, "alpha")
    assert (await told(alpha))["withdraw", "beta"] == ("acknowledged", "purged", "", 0)
    assert await owes(beta, "alpha") == await owes(gamma, "beta") == 0


async def test_a_revocation_is_answered_along_the_line(line):
    alpha, beta, gamma = line
    id_ = await passed_on(alpha, beta, gamma)
    await revoke(alpha, id_)
    await pulled(beta, "alpha")
    await pulled(gamma, "beta", "onward")
    await pulled(beta, "alpha")
    assert (await gamma.newest(id_))["revoked"] is True
    assert (await told(alpha))["revoke", "beta"] == ("acknowledged", "purged", "", 0)
    assert (await told(beta))["revoke", "gamma"] == ("acknowledged", "purged", "", 0)


async def test_who_was_away_is_told_when_he_comes_back_and_is_late_until_then(line):
    alpha, beta, gamma = line
    id_ = await passed_on(alpha, beta, gamma)
    await withdraw(alpha, id_)
    async with alpha.store.reading() as tx:
        configuration = await in_force(tx)
        assert (await late(tx, configuration)).objects == 0
        (notice,) = await account(tx, configuration, object_ids=[id_], late_after=-1)
        assert [one.name for one in notice.recipients if one.late] == ["beta"]
        assert notice.because == "sent by mistake"
    assert LATE_AFTER == 24 * 3600 * 1_000_000
    await alpha.make_many(3)
    await pulled(beta, "alpha")
    assert (await told(alpha, late_after=-1))["withdraw", "beta"][0] == "acknowledged"


@pytest.mark.parametrize("end", ["withdraw", "revoke"])
async def test_a_former_reader_is_told_answers_and_sees_nothing_else(line, end):
    alpha, beta, gamma = line
    id_ = await passed_on(alpha, beta, gamma)
    await alpha.apply({"peers": {"beta": a_peer(beta.url)}, **offering(["acme"], ["acme"])})
    later = alpha.incident("later")
    await alpha.make(later)
    await (withdraw if end == "withdraw" else revoke)(alpha, id_)
    await withdraw(alpha, later["id"])
    report = await beta.pull("alpha")
    assert report.state == "failed"
    assert "no longer offers us 'regional'" in report.error
    assert await beta.newest(id_) is None
    assert (await told(alpha))[end, "beta"][:2] == ("acknowledged", "purged")
    headers = {"Authorization": f"Bearer {beta.home.read_secret('peers/alpha')}", "Accept": TAXII}
    base = f"{alpha.url.removesuffix('taxii2/')}exchange/collections/regional/"
    async with httpx2.AsyncClient(headers=headers) as http:
        for path in ("", "objects/", "manifest/", f"objects/{id_}/", "digest/"):
            assert (await http.get(base + path)).status_code == 404
        assert (await http.get(f"{base}changes/", headers={"Accept": "application/json"})).json()["entries"] == []


async def test_what_another_offers_is_retained_until_he_withdraws_it_too(line, tmp_path, make_database):
    alpha, beta, gamma = line
    async with neighbour("Delta", tmp_path / "delta", make_database("sqlite")) as delta:
        settings = {"peers": {"beta": a_peer(beta.url), "delta": a_peer(delta.url)}}
        await alpha.apply({**settings, **offering(["beta", "delta"])})
        await delta.apply(
            {
                "peers": {"alpha": a_peer(alpha.url, "regional"), "beta": a_peer(beta.url)},
                "collections": {"passed-on": {"readers": ["beta"]}},
            }
        )
        await introduce(delta, alpha, "alpha", "delta")
        await beta.apply(
            {
                "peers": {
                    "alpha": a_peer(alpha.url, "regional"),
                    "delta": a_peer(delta.url, "passed-on"),
                    "gamma": a_peer(gamma.url),
                },
                "collections": {"onward": {"readers": ["gamma"]}},
            }
        )
        await introduce(beta, delta, "delta", "beta")
        async with listening(delta):
            value = alpha.incident("one")
            await alpha.make(value)
            await pulled(beta, "alpha")
            await pulled(delta, "alpha")
            await pulled(beta, "delta", "passed-on")
            await withdraw(alpha, value["id"])
            await pulled(beta, "alpha")
            assert (await told(alpha))["withdraw", "beta"] == (
                "acknowledged", "retained", "held on the word of delta", 0,
            )  # fmt: skip
            await pulled(delta, "alpha")
            await pulled(beta, "delta", "passed-on")
            assert await beta.newest(value["id"]) is None
            await pulled(beta, "alpha")
            assert (await told(alpha))["withdraw", "beta"][:3] == ("acknowledged", "purged", "")


@pytest.mark.parametrize("end", ["withdraw", "revoke"])
async def test_readers_of_a_collection_that_was_closed_are_told_as_well(line, end):
    alpha, beta, gamma = line
    id_ = await passed_on(alpha, beta, gamma)
    async with alpha.store.reading() as tx:
        (row,) = await releases.collections(tx)
    await alpha.apply({"peers": {"beta": a_peer(beta.url)}}, confirmed=row.standing)
    await (withdraw if end == "withdraw" else revoke)(alpha, id_)
    report = await beta.pull("alpha")
    assert "it only tells what it takes back" in report.error
    assert await beta.newest(id_) is None
    assert (await told(alpha))["withdraw", "beta"][:2] == ("acknowledged", "purged")


async def test_who_is_taken_out_of_the_file_is_listed_as_beyond_reach(line):
    alpha, beta, gamma = line
    id_ = await passed_on(alpha, beta, gamma)
    await alpha.apply({**offering(["acme"], ["acme"])})
    await withdraw(alpha, id_)
    assert (await told(alpha))["withdraw", "beta"] == ("cannot be told", None, "no longer in tocsin.yaml", 0)
