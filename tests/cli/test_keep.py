"""The record is listed, and checked: what was changed behind the node's back is named, and so is a lost end."""

import json
import sqlite3


def _change(node, *statements: str) -> None:
    with sqlite3.connect(node.home / "tocsin.db") as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0
    connection.close()


def _publish_all(node) -> None:
    assert node("publish", "--waiting", "--yes").exit_code in (0, 3)  # one of the samples is withheld


def test_a_record_that_nobody_touched_agrees_and_says_how_much_of_it_there_is(stocked):
    _publish_all(stocked)
    told = stocked.ok("audit", "verify")
    assert "the record agrees" in told
    assert "rows/s" in told
    (said,) = stocked.lines("audit", "verify", "--json")
    assert said["agrees"]
    assert said["faults"] == []
    assert {"audit", "configuration", "grant"} < said["heads"].keys()


TOUCHED = [
    # each: what is done, and what is said of it
    ("UPDATE release SET rules = '[\"x\"]' WHERE position = (SELECT max(position) FROM release)", "release "),
    ("DELETE FROM release WHERE position = (SELECT min(position) FROM release)", "release "),
    ("UPDATE grant SET given = given + 1", "grant: row 1"),
    ("UPDATE configuration SET files = '{}'", "configuration: row 1"),
    ("UPDATE audit SET subject = 'other' WHERE seq = 1", "audit: row 1"),
    ("UPDATE object_version SET raw = CAST('{}' AS BLOB) WHERE type = 'incident'", "contents: incident--"),
    ("UPDATE collection SET last_position = last_position + 1", "its head says"),
]


def test_what_was_changed_is_named(stocked):
    _publish_all(stocked)
    stocked.ok("audit", "verify")
    whole = (stocked.home / "tocsin.db").read_bytes()
    for statement, said in TOUCHED:
        statement = statement.replace("UPDATE grant", 'UPDATE "grant"')
        _change(stocked, statement)
        done = stocked("audit", "verify")
        assert done.exit_code == 1, statement
        assert said in done.stderr, (statement, done.stderr)
        for file in stocked.home.glob("tocsin.db*"):
            file.unlink()
        (stocked.home / "tocsin.db").write_bytes(whole)
        (stocked.home / "tocsin.db").chmod(0o600)


def test_an_end_that_was_cut_off_shows_only_against_heads_that_were_kept(stocked, tmp_path):
    _publish_all(stocked)
    kept = tmp_path / "heads.json"
    kept.write_text(stocked.ok("audit", "verify", "--json"))
    assert "agrees" in stocked.ok("audit", "verify", "--heads", str(kept))
    last = json.loads(kept.read_text())["heads"]["audit"]["last"]
    _change(
        stocked,
        f"DELETE FROM audit WHERE seq > {last - 2}",
        "DELETE FROM seal WHERE log = 'audit'",
    )
    stocked.ok("audit", "verify")
    assert "no longer has the head" in stocked.refused("audit", "verify", "--heads", str(kept))
    kept.write_text("{}")
    assert "is not what audit verify --json prints" in stocked.refused("audit", "verify", "--heads", str(kept))


def test_events_are_listed_by_what_they_are_about(stocked):
    _publish_all(stocked)
    events = stocked.lines("audit", "list", "--json")
    assert {"imported", "published", "released"} <= {one["event"] for one in events}
    published = stocked.lines("audit", "list", "--event", "published", "--json")
    assert {one["event"] for one in published} == {"published"}
    about = published[0]["subject"]
    assert {one["subject"] for one in stocked.lines("audit", "list", about, "--json")} == {about}
    assert stocked.lines("audit", "list", "--since", "2999-01-01", "--json") == []
    assert "no date" in stocked.refused("audit", "list", "--since", "soon", code=2)
    assert "published" in stocked.ok("audit", "list")
