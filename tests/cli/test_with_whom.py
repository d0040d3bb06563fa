"""account, peer, sync: tokens shown once, secrets kept private, and a peer that is not there said plainly."""

import asyncio
import re
import stat

import pytest

from tocsin.peers.take import PRUNED, WITHDRAWN
from tocsin.store import parties, peers
from tocsin.store.peers import LedgerRow
from tocsin.store.transaction import Store


@pytest.fixture
def alpha(node):
    node.edit("accounts: {}", "accounts:\n  acme: {kind: company, country: EE}\n  mari: {role: publisher}")
    node.edit("readers: [] ", "readers: [acme] ")
    node.ok("apply", "--yes")
    return node


# --- accounts ------------------------------------------------------------------------------------------------


def test_a_token_stands_alone_on_standard_output(alpha):
    said = alpha.ok("account", "token", "acme")
    assert re.fullmatch(r"tcn_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\n", said)


def test_two_tokens_are_valid_at_a_time_and_revoking_ends_both(alpha):
    alpha.ok("account", "token", "acme")
    alpha.ok("account", "token", "acme")
    assert "tocsin account revoke acme" in alpha.refused("account", "token", "acme")
    said = alpha.refused("account", "revoke", "acme")
    assert "acme has 2 valid tokens and reads shared" in said
    assert len(alpha.lines("account", "list", "--json")[0]["tokens"]) == 2
    assert "2 tokens of acme revoked" in alpha.ok("account", "revoke", "acme", "--yes")
    assert alpha.lines("account", "list", "--json")[0]["tokens"] == []
    assert "no valid token" in alpha.ok("account", "revoke", "acme")


def test_a_second_token_is_said_to_stand_beside_the_first(alpha):
    assert alpha("account", "token", "acme").stderr == ""
    second = alpha("account", "token", "acme")
    assert re.fullmatch(r"tcn_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\n", second.stdout)
    said = " ".join(second.stderr.split())
    assert re.search(r"acme has 2 valid tokens: this one, and that made at \d{4}-\d\d-\d\d \d\d:\d\d UTC", said)
    assert "tocsin account revoke acme ends both" in said
    alpha.ok("account", "revoke", "acme", "--yes")
    assert alpha("account", "token", "acme").stderr == ""


@pytest.mark.parametrize("command", ["token", "revoke"])
def test_an_unknown_account_is_refused_with_the_nearest_name(alpha, command):
    assert "no account or peer 'amce'; did you mean 'acme'?" in alpha.refused("account", command, "amce", code=2)


def test_an_account_that_was_not_applied_is_told_so(alpha):
    alpha.edit("\n  mari: {role: publisher}", "\n  mari: {role: publisher}\n  juku: {role: analyst}")
    assert "not in force yet (run: tocsin apply)" in alpha.refused("account", "token", "juku")


def test_accounts_are_listed_with_what_they_may_do(alpha):
    acme, mari = alpha.lines("account", "list", "--json")
    assert (acme["name"], acme["kind"], acme["reads"], acme["writes"]) == ("acme", "company", ["shared"], [])
    assert (mari["kind"], mari["reads"]) == ("publisher", [])
    alpha.ok("account", "token", "acme")
    (token,) = alpha.lines("account", "list", "--json")[0]["tokens"]
    assert set(token) == {"id", "created"}  # when it was last used is noted nowhere
    assert "last used" not in alpha.ok("account", "list")


# --- peers ---------------------------------------------------------------------------------------------------

# nobody listens on the discard port of this machine
NOWHERE = "http://127.0.0.1:9/taxii2/"


@pytest.fixture
def with_peer(alpha):
    alpha.ok("peer", "add", "cert-beta", NOWHERE, "--pull", "regional", "--country", "LV", "--kind", "cert")
    return alpha


def test_a_peer_is_written_into_the_file_and_everything_else_stays(alpha):
    before = (alpha.home / "tocsin.yaml").read_text()
    said = alpha.ok("peer", "add", "cert-beta", NOWHERE, "--pull", "regional", "--country", "LV")
    after = (alpha.home / "tocsin.yaml").read_text()
    assert "+  cert-beta:" in said
    assert [line for line in before.splitlines() if line not in after.splitlines()] == ["peers: {}"]
    alpha.ok("peer", "add", "cert-gamma", "https://gamma.example/taxii2/", "--auth", "basic", "--user", "us")
    third = (alpha.home / "tocsin.yaml").read_text()
    added = third[third.index("  cert-gamma:\n") : third.index("#  cert-beta:\n")]
    assert third.replace(added, "") == after  # below the others, and above the comments on what comes next
    alpha.ok("check")
    alpha.ok("apply")
    assert [line["peer"] for line in alpha.lines("peer", "list", "--json")] == ["cert-beta", "cert-gamma"]


def test_the_file_is_replaced_whole_with_its_mode_and_behind_its_link(alpha, monkeypatch):
    file, kept = alpha.home / "tocsin.yaml", alpha.home / "kept.yaml"
    file.rename(kept)
    kept.chmod(0o640)
    file.symlink_to(kept)
    before = kept.read_text()
    reading = kept.open()  # whoever is in the middle of reading
    alpha.ok("peer", "add", "cert-beta", NOWHERE)
    assert "cert-beta" in kept.read_text()
    assert reading.read() == before
    reading.close()
    assert file.is_symlink()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    written = kept.read_text()
    monkeypatch.setattr("os.fsync", full)
    assert alpha("peer", "add", "cert-gamma", NOWHERE).exit_code == 1
    assert kept.read_text() == written
    assert [path.name for path in alpha.home.iterdir() if "yaml." in path.name] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("acme", NOWHERE), 1, "is the name of an account"),
        (("cert-beta", NOWHERE), 1, "there is a peer 'cert-beta' already"),
        (("Cert Gamma", NOWHERE), 2, "lower-case letters"),
        (("cert-gamma", "gamma.example"), 2, "url"),
        (("cert-gamma", NOWHERE, "--country", "Latvia"), 2, "two capital letters"),
        (("cert-gamma", NOWHERE, "--auth", "beerer"), 2, "auth"),
    ],
)
def test_a_peer_that_cannot_be_leaves_the_file_alone(with_peer, words, code, said):
    before = (with_peer.home / "tocsin.yaml").read_bytes()
    assert said in with_peer.refused("peer", "add", *words, code=code)
    assert (with_peer.home / "tocsin.yaml").read_bytes() == before


def test_a_credential_is_read_from_standard_input_and_kept_private(with_peer):
    done = with_peer("peer", "credential", "cert-beta", typed="s3cret-token\n")
    assert done.exit_code == 0
    assert "s3cret" not in done.output
    file = with_peer.home / "keys/peers/cert-beta"
    assert file.read_text() == "s3cret-token\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "The files are what is in force" in with_peer.ok("apply") or with_peer.ok("check")


def test_an_empty_or_strange_credential_is_refused(with_peer):
    for typed in ("", "\n", "päss\n"):
        assert "printable ASCII" in with_peer.refused("peer", "credential", "cert-beta", code=2, typed=typed)
    assert "did you mean 'cert-beta'?" in with_peer.refused("peer", "credential", "cert-bta", code=2, typed="x\n")
    with_peer.ok("apply")
    for command in ("test", "show", "suspend", "resume"):
        assert "did you mean 'cert-beta'?" in with_peer.refused("peer", command, "cert-bta", code=2)


def test_a_peer_that_is_not_there_is_said_plainly(with_peer):
    with_peer("peer", "credential", "cert-beta", typed="x\n")
    done = with_peer("peer", "test", "cert-beta")
    assert done.exit_code == 1
    assert "FAILED" in done.stdout
    with_peer.ok("apply")
    done = with_peer("sync")
    assert done.exit_code == 1
    assert "cert-beta/regional: failed:" in done.stdout
    status = with_peer("status")
    assert status.exit_code == 3
    assert "cert-beta: failing:" in status.stdout
    assert "failing" in with_peer.ok("peer", "list")
    assert "reads of ours: nothing" in with_peer.ok("peer", "show", "cert-beta")


async def _offer(home, outcome, count, reason="reason {}"):
    """Note in the ledger what became of further offers of cert-beta."""
    store = await Store.open(f"sqlite:///{home / 'tocsin.db'}")
    try:
        async with store.writing() as tx:
            party = await parties.party_by_name(tx, "cert-beta")
            after = sum((await peers.ledger_counts(tx, party.id)).values())
            rows = [
                LedgerRow(party.id, "c", f"{n}", f"tool--{n}", "v", f"{n:x}", outcome, reason.format(n), n)
                for n in range(after, after + count)
            ]
            await peers.add_ledger(tx, rows)
    finally:
        await store.close()


def test_what_is_in_quarantine_is_shown_however_much_came_after_it(with_peer):
    with_peer.ok("apply")
    for outcome, count in (("quarantined", 2), ("stored", 1200), ("refused", 30)):
        asyncio.run(_offer(with_peer.home, outcome, count))
    (shown,) = with_peer.lines("peer", "show", "cert-beta", "--json")
    assert [(row["outcome"], row["reason"]) for row in shown["problems"][:3]] == [
        ("quarantined", "reason 1"),
        ("quarantined", "reason 0"),
        ("refused", "reason 1231"),
    ]
    said = with_peer.ok("peer", "show", "cert-beta")
    assert "reason 0" in said
    assert "… and 12 more" in said


def test_what_a_peer_withdrew_is_no_object_stored(with_peer):
    with_peer.ok("apply")
    asyncio.run(_offer(with_peer.home, "stored", 7))
    asyncio.run(_offer(with_peer.home, "stored", 2, WITHDRAWN))
    asyncio.run(_offer(with_peer.home, "stored", 1, PRUNED))
    (shown,) = with_peer.lines("peer", "show", "cert-beta", "--json")
    assert (shown["ledger"]["stored"], shown["ledger"]["withdrawn"], shown["ledger"]["pruned"]) == (7, 2, 1)
    assert "7 stored, 0 duplicate, 0 quarantined, 0 refused, 2 withdrawn" in with_peer.ok(
        "peer", "show", "cert-beta"
    )


def test_a_peer_is_suspended_and_resumed_only_with_a_yes(with_peer):
    with_peer.ok("apply")
    assert "say --yes" in with_peer.refused("peer", "suspend", "cert-beta")
    assert "is suspended" in with_peer.ok("peer", "suspend", "cert-beta", "--yes")
    assert "suspended already" in with_peer.ok("peer", "suspend", "cert-beta", "--yes")
    assert with_peer.lines("peer", "list", "--json")[0]["stands"] == "suspended"
    assert "is resumed" in with_peer.ok("peer", "resume", "cert-beta", "--yes")


def test_sync_with_nobody_and_with_a_stranger(alpha):
    assert "Nothing is pulled from any peer." in alpha.ok("sync")
    assert "no account or peer 'gamma'" in alpha.refused("sync", "gamma", code=2)
    assert "'acme' is an account: it reads from us" in alpha.refused("sync", "acme", code=2)


def test_a_failed_pull_is_told_once(with_peer, typed):
    with_peer.ok("apply")
    with_peer.ok("peer", "credential", "cert-beta", typed="secret\n")
    done = typed("sync", "--home", str(with_peer.home))
    assert done.returncode == 1
    assert done.stdout.count("cert-beta/regional: failed: cert-beta cannot be reached") == 1
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("url", "auth", "said"),
    [
        ("http://node.cert-gamma.example/taxii2/", "bearer", "the secret by which it knows us (bearer)"),
        ("http://192.0.2.7:8390/taxii2/", "api-key", "the secret by which it knows us (api-key)"),
        ("http://[2001:db8::7]/taxii2/", "basic", "the secret by which it knows us (basic)"),
        ("http://localhost.cert-gamma.example/taxii2/", "bearer", "the secret by which it knows us (bearer)"),
        ("http://node.cert-gamma.example/taxii2/", "certificate", "our certificate is not asked for"),
        ("https://node.cert-gamma.example/taxii2/", "bearer", None),
        ("http://127.0.0.1:8390/taxii2/", "bearer", None),
        ("http://127.1.2.3/taxii2/", "bearer", None),
        ("http://[::1]:8390/taxii2/", "bearer", None),
        ("http://localhost:8390/taxii2/", "bearer", None),
    ],
)
def test_a_peer_that_is_read_without_tls_is_warned_of(alpha, url, auth, said):
    user = ("--user", "alpha") if auth == "basic" else ()
    added = alpha("peer", "add", "cert-gamma", url, "--auth", auth, *user)
    checked = alpha("check")
    assert (added.exit_code, checked.exit_code) == (0, 0)
    for done in (added, checked):
        assert ("WARNING: cert-gamma is read by http" in done.stderr) == (said is not None)
        assert (said or "") in done.stderr
    (report,) = alpha.lines("check", "--json")
    assert len(report["warnings"]) == (said is not None)


def test_adding_a_peer_warns_of_that_peer_alone(alpha):
    alpha.ok("peer", "add", "cert-gamma", "http://node.cert-gamma.example/taxii2/")
    assert alpha("peer", "add", "cert-delta", "https://node.cert-delta.example/taxii2/").stderr == ""


def test_a_bundle_for_a_reader_is_private_says_how_to_go_on_and_overwrites_nothing(stocked, tmp_path):
    stocked.ok("publish", "rt:CA-011", "--yes")
    file = tmp_path / "for-acme"
    said = stocked.ok("bundle", "out", "acme", str(file), "--collection", "shared")
    assert "The next one goes on with --after 20" in said
    assert file.stat().st_mode & 0o777 == 0o600
    again = stocked("bundle", "out", "acme", str(file), "--collection", "shared")
    assert (again.exit_code, "cannot be written" in again.stderr) == (1, True)
    later = ("bundle", "out", "acme", str(tmp_path / "later"), "--collection", "shared", "--after")
    assert "0 entries" in stocked.ok(*later, said.split("--after ")[1].strip())
    assert stocked(*later[:-1], "--after", "yesterday").exit_code == 2
    strange = stocked("bundle", "in", "acme", str(file))
    assert (strange.exit_code, "no peer 'acme'" in strange.stderr) == (1, True)
    broken = tmp_path / "broken"
    broken.write_text("{}\n")
    done = stocked("bundle", "answer", "acme", str(broken))
    assert (done.exit_code, "broken:1" in done.stderr) == (1, True)
