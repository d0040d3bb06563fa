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
    done = stocked("publish", "rt:CA-024", "--yes")
    assert (done.exit_code, "0 whole, 0 redacted, 1 withheld" in done.stdout) == (1, True)
    assert _collections(stocked, "rt:CA-024")[0]["stands"] is None


def test_publishing_several_of_which_a_policy_withholds_some_is_partly_done(stocked):
    stocked.import_samples("red", tlp="red")
    done = stocked("publish", "rt:CA-011", "rt:CA-024", "--yes")
    assert (done.exit_code, "0 whole, 1 redacted, 1 withheld" in done.stdout) == (3, True)
    assert stocked("publish", "rt:CA-011", "--yes", "--json").exit_code == 0


def test_what_a_copy_leaves_out_is_in_words_and_within_the_width(stocked):
    said = stocked("publish", "rt:CA-011").stdout
    assert max(map(len, said.splitlines())) <= 100
    assert "labels (the copy has its own), actor type, motives, the rule behind each effect" in " ".join(
        said.split()
    )


def test_a_newer_version_that_waits_and_a_hold_are_told(stocked):
    stocked.ok("publish", "rt:CA-018", "--yes")
    assert not _collections(stocked, "rt:CA-018")[0]["newer_waits"]
    stocked.ok("assess", "rt:CA-018", "impaired=yes")
    (shared,) = _collections(stocked, "rt:CA-018")
    assert (shared["stands"], shared["newer_waits"], shared["held"]) == ("redacted", True, False)
    for command in ("show", "explain"):
        assert "readers have an older version; the newer one waits" in stocked.ok(command, "rt:CA-018")
    stocked.ok("hold", "rt:CA-018")
    for command in ("show", "explain"):
        assert "held by a person: nothing newer goes out" in stocked.ok(command, "rt:CA-018")
    stocked.ok("publish", "rt:CA-018", "--follow", "--yes")
    (shared,) = _collections(stocked, "rt:CA-018")
    assert (shared["newer_waits"], shared["held"]) == (False, False)
    stocked.ok("assess", "rt:CA-018", "impaired=no", "--yes")
    assert not _collections(stocked, "rt:CA-018")[0]["newer_waits"]


def test_publishing_all_that_waits_leaves_nothing_waiting(stocked):
    assert stocked("publish", "--waiting", "--yes").exit_code == 3  # a policy withholds one
    assert stocked.lines("incidents", "--waiting", "--json") == []
    assert "Nothing waits to be published." in stocked.ok("publish", "--waiting", "--yes")


def test_what_is_held_is_not_among_what_waits(stocked):
    stocked.ok("hold", "rt:CA-011")
    stocked("publish", "--waiting", "--yes")
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


def test_what_is_withdrawn_leaves_is_explained_and_comes_back_by_name_alone(stocked):
    stocked.ok("publish", "rt:CA-011", "--yes")
    asked = stocked("withdraw", "rt:CA-011", "--reason", "names a bystander")
    assert (asked.exit_code, "say --yes" in asked.stderr, "1 withdrawn" in asked.stdout) == (1, True, True)
    assert _collections(stocked, "rt:CA-011")[0]["stands"] == "redacted"
    said = stocked.ok("withdraw", "rt:CA-011", "--reason", "names a bystander", "--yes")
    assert "Withdrawn: " in said
    assert _collections(stocked, "rt:CA-011")[0]["stands"] is None
    assert "names a bystander" in stocked.ok("explain", "rt:CA-011")
    assert stocked("publish", "--waiting", "--yes").exit_code == 3  # one of the others is denied
    assert _collections(stocked, "rt:CA-011")[0]["stands"] is None
    stocked.ok("publish", "rt:CA-011", "--yes")
    (shared,) = _collections(stocked, "rt:CA-011")
    assert (shared["stands"], shared["withdrawn"]) == ("redacted", None)


def test_a_revocation_is_asked_for_is_final_and_outlives_an_import(stocked):
    stocked.ok("publish", "rt:CA-011", "--yes")
    asked = stocked("revoke", "rt:CA-011", "--reason", "was a drill")
    assert (asked.exit_code, "say --yes" in asked.stderr) == (1, True)
    stocked.ok("revoke", "rt:CA-011", "--reason", "was a drill", "--yes")
    assert "REVOKED" in stocked.ok("show", "rt:CA-011")
    again = stocked("revoke", "rt:CA-011", "--reason", "was a drill", "--yes")
    assert (again.exit_code, "final" in again.stderr) == (1, True)
    done = stocked("assess", "rt:CA-011", "impaired=yes")
    assert (done.exit_code, "final" in done.stderr) == (1, True)


def test_sharing_with_one_reader_makes_his_collection_once_and_asks(stocked):
    asked = stocked("share", "rt:CA-011", "--with", "acme")
    assert (asked.exit_code, "say --yes" in asked.stderr) == (1, True)
    assert "direct" not in (stocked.home / "tocsin.yaml").read_text()
    assert "Shared with acme: 1 of 1 object, in direct-acme." in stocked.ok(
        "share", "rt:CA-011", "--with", "acme", "--yes"
    )
    assert "direct: true" in (stocked.home / "tocsin.yaml").read_text()
    stands = {one["collection"]: one["stands"] for one in _collections(stocked, "rt:CA-011")}
    assert stands == {"shared": None, "direct-acme": "whole"}
    stocked.ok("share", "rt:CA-018", "--with", "acme", "--yes")
    assert "In force" not in stocked.ok("apply")
    wrong = stocked("share", "rt:CA-018", "--with", "acmee", "--yes")
    assert (wrong.exit_code, "acme" in wrong.stderr) == (2, True)


def test_an_embargo_holds_until_its_time_and_is_explained(stocked):
    asked = stocked("publish", "rt:CA-011", "--from", "+2d")
    assert (asked.exit_code, "say --yes" in asked.stderr) == (1, True)
    assert "Held until" in stocked.ok("publish", "rt:CA-011", "--from", "+2d", "--until", "+9d", "--yes")
    said = stocked.ok("explain", "rt:CA-011")
    assert "to be published at" in said
    assert "to be withdrawn at" in said
    assert _collections(stocked, "rt:CA-011")[0]["stands"] is None
    (explained,) = stocked.lines("explain", "rt:CA-011", "--json")
    assert [one["what"] for one in explained["planned"]] == ["publish", "withdraw"]
    stocked.ok("hold", "rt:CA-011")
    assert "to be" not in stocked.ok("explain", "rt:CA-011")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--from", "tomorrow"), "is no time"),
        (("--from", "2020-01-01T00:00Z"), "passed already"),
        (("--from", "+2d", "--until", "+1d"), "end before it begins"),
        (("--then-tlp", "green"), "a level and a time"),
        (("--then-tlp", "violet@+1d"), "unknown TLP"),
    ],
)
def test_a_moment_that_cannot_be_meant_is_wrong_usage(stocked, options, words):
    done = stocked("publish", "rt:CA-011", *options, "--yes")
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr
