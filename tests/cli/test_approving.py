"""Publishing into a collection that wants several persons: who said so, what is missing, and exit 3 until then."""

import pytest

ENTRY = "role: publisher}\n  olev: {role: operator}\n  jaan: {role: analyst}"


@pytest.fixture
def manned(stocked):
    """The stocked home, where `shared` wants two persons, and the tokens of those there are."""
    stocked.edit("accounts:\n", f"accounts:\n  mari: {{{ENTRY}\n")
    stocked.edit("    release: by-hand ", "    approvals: 2\n    release: by-hand ")
    stocked.ok("apply", "--yes")
    return stocked


@pytest.fixture
def acting(manned, monkeypatch):
    """Publish as somebody, with that account's token."""
    tokens = {name: manned.ok("account", "token", name).strip() for name in ("mari", "olev", "jaan")}

    def publish(name, *words, token=None):
        monkeypatch.setenv("TOCSIN_TOKEN", token or tokens[name])
        return manned("publish", *words, "--as", name)

    publish.tokens = tokens
    return publish


def collection(node, record):
    return node.lines("show", record, "--json")[0]["collections"][0]


def test_two_persons_let_it_in_and_until_then_it_is_said_who_is_missing(manned, acting):
    first = acting("mari", "rt:CA-011", "--yes")
    assert first.exit_code == 3
    words = "approved by mari; 1 more person must approve it (2 in all)"
    assert words in " ".join(first.stdout.split())
    found = collection(manned, "rt:CA-011")
    assert (found["stands"], found["approvals"]["by"], found["approvals"]["missing"]) == (None, ["mari"], 1)
    assert words in " ".join(manned.ok("explain", "rt:CA-011").split())
    status = manned("status")
    assert (status.exit_code, "1 to approve" in " ".join(status.stdout.split())) == (3, True)
    assert manned.lines("status", "--json")[0]["approving"] == 1

    assert acting("mari", "rt:CA-011", "--yes").exit_code == 3
    second = acting("olev", "rt:CA-011", "--yes")
    assert (second.exit_code, collection(manned, "rt:CA-011")["stands"]) == (0, "redacted")
    assert manned.lines("status", "--json")[0]["approving"] == 0


def test_what_the_last_person_would_let_in_is_shown_and_asked(manned, acting):
    acting("mari", "rt:CA-011", "--yes")
    last = acting("olev", "rt:CA-011")
    assert (last.exit_code, "say --yes" in last.stderr) == (1, True)
    assert collection(manned, "rt:CA-011")["approvals"]["by"] == ["mari"]


def test_who_logs_in_to_the_machine_is_nobody_in_particular(manned):
    assert "say who you are (--as NAME)" in manned.refused("publish", "rt:CA-011", "--in", "shared", "--yes")
    done = manned("publish", "rt:CA-011", "--yes")
    assert (done.exit_code, "nobody has approved it yet; 2 persons" in " ".join(done.stdout.split())) == (3, True)
    assert collection(manned, "rt:CA-011")["stands"] is None


@pytest.mark.parametrize(
    ("name", "whose", "said"),
    [
        ("mari", "olev", "no valid token of mari"),
        ("jaan", "jaan", "no account with role: publisher or operator"),
        ("olga", "mari", "no account with role: publisher or operator"),
        ("acme", "mari", "no account with role: publisher or operator"),
    ],
)
def test_nobody_speaks_for_another(manned, acting, name, whose, said):
    done = acting(name, "rt:CA-011", "--yes", token=acting.tokens[whose])
    assert (done.exit_code, said in done.stderr) == (1, True)
    assert collection(manned, "rt:CA-011")["approvals"]["by"] == []
    assert acting.tokens[whose] not in done.output


def test_without_a_token_or_a_terminal_to_ask_on_it_is_refused(manned, monkeypatch):
    monkeypatch.delenv("TOCSIN_TOKEN", raising=False)
    assert "set TOCSIN_TOKEN" in manned.refused("publish", "rt:CA-011", "--as", "mari", "--yes")


def test_one_person_takes_it_back(manned, acting):
    for name in ("mari", "olev"):
        acting(name, "rt:CA-011", "--yes")
    manned.ok("withdraw", "rt:CA-011", "--reason", "wrong", "--yes")
    assert collection(manned, "rt:CA-011")["stands"] is None
    assert acting("mari", "rt:CA-011", "--yes").exit_code == 3
    assert collection(manned, "rt:CA-011")["stands"] is None
