"""publish and hold: shown first, asked, and only what a policy allows."""

import pytest


def _collections(node, record):
    return node.lines("show", record, "--json")[0]["collections"]


def test_without_a_terminal_publishing_needs_a_yes_and_changes_nothing(stocked):
    done = stocked("publish", "rt:CA-011")
    assert done.exit_code == 1
    assert "shared, read by acme" in done.stdout
    assert "1 redacted" in done.stdout
    assert "say --yes" in done.stderr
    assert _collections(stocked, "rt:CA-011")[0]["stands"] is None


def test_what_was_shown_is_what_happens(stocked):
    said = stocked.ok("publish", "rt:CA-011", "--yes")
    assert "Published: 0 whole, 1 redacted, 0 withheld." in said
    assert _collections(stocked, "rt:CA-011")[0]["stands"] == "redacted"


def test_policy_still_decides_over_what_a_person_publishes(stocked):
    stocked.import_samples("red", tlp="red")
    assert "0 whole, 0 redacted, 1 withheld" in stocked.ok("publish", "rt:CA-024", "--yes")
    assert _collections(stocked, "rt:CA-024")[0]["stands"] is None


def test_publishing_all_that_waits_leaves_nothing_waiting(stocked):
    stocked.ok("publish", "--waiting", "--yes")
    assert stocked.lines("incidents", "--waiting", "--json") == []
    assert "Nothing waits to be published." in stocked.ok("publish", "--waiting", "--yes")


def test_what_is_held_is_not_among_what_waits(stocked):
    stocked.ok("hold", "rt:CA-011")
    stocked.ok("publish", "--waiting", "--yes")
    assert [line["record"] for line in stocked.lines("incidents", "--held", "--json")] == ["rt:CA-011"]
    assert _collections(stocked, "rt:CA-011")[0]["stands"] is None


def test_a_hold_keeps_what_readers_have(stocked):
    stocked.ok("publish", "rt:CA-011", "--yes")
    assert "stays as readers have it, in shared" in stocked.ok("hold", "rt:CA-011")
    assert _collections(stocked, "rt:CA-011")[0]["stands"] == "redacted"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "Give ids, or --waiting"),
        (("rt:CA-011", "--waiting"), 2, "Give ids, or --waiting"),
        (("rt:CA-011", "--in", "shard"), 2, "did you mean 'shared'?"),
        (("rt:CA-999",), 1, "no record 'rt:CA-999'"),
    ],
)
def test_publishing_what_cannot_be_is_refused(stocked, words, code, said):
    assert said in stocked.refused("publish", *words, "--yes", code=code)


def test_only_incidents_are_published(stocked):
    (sheet,) = stocked.lines("show", "rt:CA-011", "--json")
    assert "is no incident" in stocked.refused("publish", sheet["object"]["created_by_ref"], "--yes", code=2)


def test_a_published_incident_follows_only_when_told_to(stocked):
    stocked.ok("publish", "rt:CA-018", "--yes")
    stocked.ok("assess", "rt:CA-018", "impaired=yes")
    assert [
        line["record"] for line in stocked.lines("incidents", "--waiting", "--type", "disruptive", "--json")
    ].count("rt:CA-018") == 1
