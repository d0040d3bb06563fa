"""How a peer stands, in words; and the test of one that stores nothing."""

import pytest

from neighbours import QUICK, a_peer
from tocsin.errors import NotFound
from tocsin.peers import status
from tocsin.sharing.apply import in_force
from tocsin.store import parties
from tocsin.store.peers import Pull
from zoo import FOLDER, ZOO, a_node, an_offer, animal, http

HOUR = 3600 * 1_000_000
NOW = 1_000 * HOUR


def a_pull(**more) -> Pull:
    standing = {"cursor": None, "attempts": 0, "due": 0, "last_success": None, "last_error": None} | more
    return Pull("party", "regional", "id", "tocsin", **standing)


@pytest.mark.parametrize(
    ("pull", "words"),
    [
        (a_pull(), "never contacted"),
        (a_pull(last_success=NOW), "in step"),
        (a_pull(last_success=NOW + HOUR), "in step"),  # a clock was set back
        (a_pull(last_success=NOW - 180 * 1_000_000), "in step"),
        (a_pull(last_success=NOW - 181 * 1_000_000), "late 3 min"),
        (a_pull(last_success=NOW - 4 * HOUR), "late 4 h"),
        (a_pull(last_success=NOW - 60 * HOUR), "late 2 d"),
        (a_pull(attempts=1, last_error="it is down"), "failing: it is down (tried 1 times)"),
        (
            a_pull(attempts=9, last_error="it is down", last_success=NOW - 5 * HOUR),
            "failing: it is down (tried 9 times; last answer 5 h ago)",
        ),
    ],
)
def test_how_a_collection_stands_in_words(pull, words):
    assert status.standing(pull, 60, NOW) == words


async def of(node, name):
    async with node.store.reading() as tx:
        return await status.peer_status(tx, await in_force(tx), name)


async def test_a_peer_is_never_contacted_then_in_step_then_failing_then_suspended(pair):
    alpha, beta = pair
    assert (await of(beta, "alpha")).words == "never contacted"
    await alpha.make_many(3)
    await beta.pull("alpha")
    found = await of(beta, "alpha")
    assert (found.words, found.in_step, found.identity) == ("in step", True, alpha.node.identity)
    assert (found.ledger["stored"], found.quarantined) == (len(await alpha.shows()) - 1, 0)
    assert found.last_success == found.collections[0].last_success
    beta.home.write_secret("peers/alpha", "revoked")
    await beta.pull("alpha")
    assert (await of(beta, "alpha")).words.startswith("failing: alpha does not accept our credential (401)")
    async with beta.store.writing() as tx:
        await parties.set_suspended(tx, (await parties.party_by_name(tx, "alpha")).id, suspended=True)
    assert (await of(beta, "alpha")).words == "suspended"


async def test_the_worst_collection_speaks_for_the_peer(pair):
    alpha, beta = pair
    peers = {"alpha": a_peer(alpha.url, "regional", "missing"), "silent": a_peer("http://192.0.2.1/")}
    await beta.apply({"peers": peers, "collections": {"onward": {}}})
    await beta.pull("alpha")
    assert (await of(beta, "alpha")).words == "never contacted"
    await beta.pull("alpha", "missing")
    found = await of(beta, "alpha")
    assert found.words.startswith("failing: alpha does not offer us 'missing'")
    assert [collection.in_step for collection in found.collections] == [True, False]
    assert (await of(beta, "silent")).words == "nothing pulled"
    with pytest.raises(NotFound):
        await of(beta, "nobody")


async def checks_of(node, name="alpha"):
    async with node.store.reading() as tx:
        settings = (await in_force(tx)).settings
    found = await status.test_peer(node.home, settings, name, QUICK.bounds)
    return [(check.name, check.passed, check.words) for check in found]


async def test_a_node_that_is_as_it_should_be_passes_every_step_and_nothing_is_stored(pair):
    alpha, beta = pair
    await alpha.make_many(2)
    checks = await checks_of(beta)
    assert [(name, passed) for name, passed, _ in checks] == [
        ("encrypted", None),
        ("credential", True),
        ("answers", True),
        ("speaks", True),
        ("collections", True),
        ("regional", True),
    ]
    assert alpha.node.identity in checks[3][2]
    assert await beta.state("alpha") is None
    assert await beta.holds("alpha") == set()


@pytest.mark.parametrize(
    ("answers", "step", "words"),
    [
        ({}, "answers", "has no /taxii2/"),
        ({"/taxii2/": http(401, {})}, "answers", "does not accept our credential"),
        ({"/taxii2/": http(200, b"<html>", "text/html")}, "answers", "answered text/html"),
        ({"/taxii2/": http(302, b"", Location="https://zoo.example/")}, "answers", "redirects are not followed"),
        (an_offer("another"), "regional", "does not offer us 'regional' (it offers: 'another')"),
        (an_offer(can_read=False), "regional", "lets us add to 'regional', but not read it"),
        (a_node(ZOO), "regional", f"has no {FOLDER}changes/"),
    ],
)
async def test_what_does_not_work_is_the_step_that_fails(pair, answers, step, words):
    _, beta = pair
    async with animal() as zoo:
        await beta.apply({"peers": {"alpha": a_peer(zoo.url, "regional")}, "collections": {"onward": {}}})
        zoo.answers |= answers
        checks = await checks_of(beta)
    name, passed, said = checks[-1]
    assert (name, passed) == (step, False)
    assert words in said


async def test_a_missing_credential_is_the_step_that_fails(pair):
    _, beta = pair
    await beta.apply({"peers": {"new": a_peer("https://192.0.2.1/", "x")}, "collections": {"onward": {}}})
    checks = await checks_of(beta, "new")
    assert [(name, passed) for name, passed, _ in checks] == [("encrypted", True), ("credential", False)]
    with pytest.raises(NotFound):
        await checks_of(beta, "nobody")
