"""quarantine and peer distrust: shown first, asked, judged once; exit codes and JSON for scripts."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from scene import ALLOW_ANY, START, an_incident, identity_of
from tocsin.cli.distrust import read_since
from tocsin.errors import BadInput
from tocsin.intake.receive import read_offered, receive
from tocsin.settings import Home
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import Node
from tocsin.stix.objects import keyed_id, make_object
from tocsin.store import parties, peers
from tocsin.store.peers import LedgerRow
from tocsin.store.transaction import Store

GAMMA = identity_of("gamma")["id"]
NOW = 1_800_000_000_000_000
NOWHERE = "http://127.0.0.1:9/taxii2/"


@pytest.fixture
def alpha(node):
    node.edit("accounts: {}", "accounts:\n  acme: {kind: company, country: EE}")
    node.edit("readers: [] ", "readers: [acme, cert-beta] ")
    node.ok("peer", "add", "cert-beta", NOWHERE, "--pull", "regional", "--country", "LV", "--kind", "cert")
    (node.home / "policies/shared.yaml").write_text(ALLOW_ANY)
    node.ok("apply", "--yes")
    return node


def incident(number: int, **more):
    return an_incident(START, creator=GAMMA, id=keyed_id(b"gamma", "incident", str(number)), **more)


async def _offer(home, values) -> list[str]:
    store = await Store.open(f"sqlite:///{home / 'tocsin.db'}")
    try:
        async with store.writing() as tx:
            party = await parties.party_by_name(tx, "cert-beta")
            now, configuration = await tx.now(), await in_force(tx)
            raws = [make_object(value).raw for value in values]
            read = [read_offered(raw) for raw in raws]
            node = Node(Home(home).namespace())
            received = await receive(tx, configuration, node, read, party, "theirs", now=now)
            rows = [
                LedgerRow(party.id, "theirs", f"{now}-{n}", item.id, item.version, item.sha256, item.outcome,
                          item.reason, now, raw if item.outcome == "quarantined" else None)
                for n, (item, raw) in enumerate(zip(received, raws, strict=True))
            ]  # fmt: skip
            await peers.add_ledger(tx, rows)
            return [item.outcome for item in received]
    finally:
        await store.close()


def offer(node, *values) -> list[str]:
    return asyncio.run(_offer(node.home, values))


@pytest.fixture
def doubted(alpha):
    """Three contents of one version: one held, two in quarantine."""
    said = offer(alpha, incident(1), incident(1, means=["ddos"]), incident(1, means=["wiper"]))
    assert said == ["stored", "quarantined", "quarantined"]
    return alpha


def waiting(node) -> list[int]:
    return [line["number"] for line in node.lines("quarantine", "list", "--json")]


def test_nothing_in_quarantine_is_said(alpha):
    assert "Nothing is in quarantine." in alpha.ok("quarantine", "list")
    assert "Nothing is in quarantine." in alpha.ok("quarantine", "refuse", "--peer", "cert-beta", "--all")
    assert "no entry of the ledger has the number 7" in alpha.refused("quarantine", "show", "7")
    assert alpha.refused("quarantine", "show", "0", code=2)
    assert alpha.refused("quarantine", "show", str(2**64), code=2)


@pytest.mark.parametrize(
    "words", [(), ("--all",), ("--peer", "cert-beta"), ("1", "--all"), ("1", "--peer", "cert-beta", "--all")]
)
def test_what_is_meant_must_be_said(alpha, words):
    assert "Either numbers, or --peer NAME --all" in alpha.refused("quarantine", "release", *words, code=2)
    assert "did you mean 'cert-beta'?" in alpha.refused("quarantine", "list", "--peer", "cert-bta", code=2)


def test_an_entry_is_listed_and_shown_with_its_content_and_what_is_held(doubted):
    first, _ = doubted.lines("quarantine", "list", "--json")
    assert (first["peer"], first["id"], first["collection"]) == ("cert-beta", incident(1)["id"], "theirs")
    assert "cert-beta" in doubted.ok("quarantine", "list", "--peer", "cert-beta")
    (shown,) = doubted.lines("quarantine", "show", str(first["number"]), "--json")
    assert json.loads(shown["content"]) == incident(1, means=["ddos"])
    assert [(one["by"], one["authentic"]) for one in shown["held"]] == [("cert-beta", False)]
    said = doubted.ok("quarantine", "show", str(first["number"]))
    assert "the same source gave other content" in said
    assert '"means":["ddos"]' in said
    assert "in quarantine" in doubted("status").stdout


def test_entries_are_judged_after_a_yes_and_once(doubted):
    one, two = map(str, waiting(doubted))
    assert "say --yes" in doubted.refused("quarantine", "release", one, two)
    assert "Released: 1 entry." in doubted.ok("quarantine", "release", one, "--yes")
    assert "Refused: 1 entry." in doubted.ok("quarantine", "refuse", two, "--yes")
    assert waiting(doubted) == []
    # the same again is done; the contrary is refused; of both, some
    assert "stored: let in by" in doubted.ok("quarantine", "release", one)
    assert doubted("quarantine", "release", two).exit_code == 1
    assert doubted("quarantine", "refuse", two, one).exit_code == 3
    assert doubted("quarantine", "refuse", "999").exit_code == 1
    (shown,) = doubted.lines("quarantine", "show", two, "--json")
    assert (shown["outcome"], shown["content"]) == ("refused", None)


def test_all_of_a_peer_is_judged_at_once(doubted):
    done = doubted.lines("quarantine", "release", "--peer", "cert-beta", "--all", "--yes", "--json")
    assert [line["judgement"] for line in done] == ["released", "released"]


def stands(node) -> set[str]:
    """Incidents of others, as our people see them."""
    return {line["id"] for line in node.lines("incidents", "--json")}


def test_a_peer_is_distrusted_after_what_that_means_was_shown_and_it_is_undone(alpha):
    offer(alpha, identity_of("gamma"), incident(1), incident(2))
    before = stands(alpha)
    assert len(before) == 2
    asked = alpha("peer", "distrust", "cert-beta", "--since", "1h")
    assert asked.exit_code == 1
    assert "say --yes" in asked.stderr
    assert "came to us: 1 identity, 2 incident" in asked.stdout
    assert re.search(r"leaves our collections, or changes there: \d objects\n +2 withdrawn", asked.stdout), (
        asked.stdout
    )
    assert "it was shown since, in shared: " in asked.stdout
    assert (stands(alpha), waiting(alpha)) == (before, [])
    said = alpha.ok("peer", "distrust", "cert-beta", "--since", "1h", "--yes")
    assert "3 versions in quarantine; cert-beta is suspended." in said
    assert stands(alpha) == set()
    assert alpha.lines("peer", "list", "--json")[0]["stands"] == "suspended"
    alpha.ok("peer", "resume", "cert-beta", "--yes")
    alpha.ok("quarantine", "release", "--peer", "cert-beta", "--all", "--yes")
    assert (stands(alpha), waiting(alpha)) == (before, [])


def test_distrust_of_who_said_nothing_since_only_suspends(alpha):
    offer(alpha, incident(1))
    (done,) = alpha.lines("peer", "distrust", "cert-beta", "--since", "0m", "--yes", "--json")
    assert (done["quarantined"], done["moved"]) == ([], [])
    assert len(stands(alpha)) == 1


def test_accounts_are_not_distrusted(alpha):
    assert "'acme' is an account" in alpha.refused("peer", "distrust", "acme", "--since", "1h", code=2)


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("3h", 3 * 3600),
        ("2d ago", 2 * 86_400),
        (" 90 min ago ", 5400),
        ("1w", 7 * 86_400),
        ((datetime.fromtimestamp(NOW / 1e6, UTC) - timedelta(hours=5)).isoformat(), 5 * 3600),
        ((datetime.fromtimestamp(NOW / 1e6, UTC) - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%S"), 5 * 3600),
        ((datetime.fromtimestamp(NOW / 1e6, UTC) - timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ"), 5 * 3600),
    ],
)
def test_a_time_is_read_as_people_write_it(text, back):
    assert NOW - read_since(text, NOW, timezone(timedelta(hours=2))) == back * 1_000_000


@pytest.mark.parametrize("text", ["", "yesterday", "3", "h", "-3h", "3 h 5", "2025-13-01", "2099-01-01"])
def test_what_is_no_time_in_the_past_is_refused(text):
    with pytest.raises(BadInput):
        read_since(text, NOW, UTC)
