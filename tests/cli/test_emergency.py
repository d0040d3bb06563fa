"""pause and resume: who, why, until when; asked before, and said wherever an officer looks."""

import asyncio

import pytest

from tocsin.store import audit
from tocsin.store.transaction import Store

NOWHERE = "http://127.0.0.1:9/taxii2/"


@pytest.fixture
def alpha(node):
    node.edit("accounts: {}", "accounts:\n  acme: {kind: company, country: EE}\n  mari: {role: publisher}")
    node.edit("readers: [] ", "readers: [acme] ")
    node.ok("peer", "add", "cert-beta", NOWHERE, "--pull", "regional", "--country", "LV", "--kind", "cert")
    node.ok("apply", "--yes")
    return node


def paused(node) -> dict[str, str | None]:
    """The reason of each pause, by account or peer."""
    listed = node.lines("account", "list", "--json")
    return {one["name"]: one["paused"]["because"] for one in listed if one["paused"]}


async def _audited(home) -> list[tuple[str, str]]:
    store = await Store.open(f"sqlite:///{home / 'tocsin.db'}")
    try:
        async with store.reading() as tx:
            return [(one.event, one.subject) for one in await audit.entries(tx, limit=20)][::-1]
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("pause", "--because", "x"), 2, "Either names, or --all"),
        (("pause", "acme", "--all", "--because", "x"), 2, "Either names, or --all"),
        (("pause", "acme"), 2, "--because"),
        (("pause", "acme", "--because", " "), 2, "why, in a few words"),
        (("pause", "amce", "--because", "x"), 2, "did you mean 'acme'?"),
        (("pause", "acme", "nobody", "--because", "x", "--yes"), 2, "no account or peer 'nobody'"),
        (("pause", "acme", "--because", "x"), 1, "say --yes"),
        (("resume",), 2, "Either names, or --all"),
        (("resume", "amce"), 2, "did you mean 'acme'?"),
    ],
)
def test_what_cannot_be_meant_pauses_nobody(alpha, words, code, said):
    assert said in alpha.refused(*words, code=code)
    assert paused(alpha) == {}


def test_a_pause_is_kept_with_its_reason_and_shown_until_it_is_lifted(alpha):
    done = alpha("pause", "acme", "cert-beta", "--because", "seen on a forum", "--yes")
    assert done.exit_code == 0
    assert "acme (reads shared) gets 503." in done.stderr
    assert "cert-beta (reads nothing) gets 503, and is no longer read." in done.stderr
    assert "acme is paused: seen on a forum (tocsin resume acme)" in done.stdout
    assert paused(alpha) == {"acme": "seen on a forum", "cert-beta": "seen on a forum"}
    listed = alpha.ok("account", "list")
    assert "company paused" in listed
    assert ": seen on a forum" in listed
    # again: neither asked nor changed
    assert "already: seen on a forum" in alpha.ok("pause", "acme", "--because", "another reason")
    assert "say --yes" in alpha.refused("resume", "acme")
    assert "acme is resumed." in alpha.ok("resume", "acme", "--yes")
    assert "acme is not paused." in alpha.ok("resume", "acme")
    assert paused(alpha) == {"cert-beta": "seen on a forum"}
    events = asyncio.run(_audited(alpha.home))
    assert [one for one in events if one[0] in ("paused", "resumed")] == [
        ("paused", "acme"),
        ("paused", "cert-beta"),
        ("resumed", "acme"),
    ]


def test_everything_is_paused_and_resumed_apart_from_who_is_paused_by_name(alpha):
    alpha.ok("pause", "acme", "--because", "a", "--yes")
    assert "nothing is read from any peer" in alpha("pause", "--all", "--because", "b", "--yes").stderr
    assert "everything is paused" in alpha.ok("account", "list")
    said = alpha.ok("resume", "acme", "--yes")
    assert "Everything is still paused: tocsin resume --all" in said
    alpha.ok("pause", "acme", "--because", "a", "--yes")
    assert "cert-beta/regional: paused" in alpha("sync").stdout
    assert "Still paused by name: acme" in alpha.ok("resume", "--all", "--yes")
    assert paused(alpha) == {"acme": "a"}


def test_a_suspended_peer_is_told_apart_from_a_paused_one(alpha):
    alpha.ok("peer", "suspend", "cert-beta", "--yes")
    said = alpha.ok("resume", "cert-beta")
    assert "cert-beta is not paused." in said
    assert "tocsin peer resume cert-beta" in said


def test_the_state_after_each_command_is_json_for_scripts(alpha):
    (one,) = alpha.lines("pause", "acme", "--because", "a", "--yes", "--json")
    assert (one["name"], one["paused"]["because"]) == ("acme", "a")
    assert alpha.lines("resume", "acme", "--yes", "--json") == [{"name": "acme", "paused": None}]
    (everything,) = alpha.lines("pause", "--all", "--because", "b", "--yes", "--json")
    assert (everything["name"], everything["paused"]["because"]) == ("*", "b")


def test_status_and_peer_show_say_who_is_paused_and_why(alpha):
    alpha.ok("pause", "acme", "cert-beta", "--because", "seen on a forum", "--yes")
    said = alpha("status").stdout
    assert "acme: paused since" in said
    assert "cert-beta: paused since" in said
    assert "seen on a forum" in said
    (status,) = alpha.lines("status", "--json")
    assert {one["name"]: one["because"] for one in status["paused"]} == {
        "acme": "seen on a forum",
        "cert-beta": "seen on a forum",
    }
    assert "paused since" in alpha.ok("peer", "show", "cert-beta")
    (peer,) = alpha.lines("peer", "show", "cert-beta", "--json")
    assert (peer["stands"], peer["paused"]["because"]) == ("paused", "seen on a forum")
    assert (peer["quarantined"], peer["overdue"]) == (0, 0)
    (collection,) = peer["collections"]
    assert (collection["lag"], collection["unfinished"], collection["failing_since"]) == (None, False, None)
    alpha.ok("pause", "--all", "--because", "fire", "--yes")
    assert "Everything is paused since" in alpha("status").stdout
