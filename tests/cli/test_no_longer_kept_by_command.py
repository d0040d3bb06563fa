"""`tocsin retention` says what a collection no longer keeps, and prunes it."""

import time


def test_what_is_too_old_is_foreseen_pruned_and_put_back_by_name(stocked):
    assert "everything is kept" in stocked.ok("retention")
    id_ = stocked.lines("incidents", "--json")[0]["id"]
    assert stocked("publish", id_, "--yes").exit_code in (0, 1)
    stocked.edit("    release: by-hand", "    retention: 365d\n    release: by-hand")
    stocked.ok("apply", "--yes")
    assert stocked.lines("retention", "--json") == [{"collection": "shared", "dry_run": False, "pruned": {}}]
    assert "shared: would prune nothing" in stocked.ok("retention", "--dry-run")
    stocked.edit("retention: 365d", "retention: 1s")
    stocked.ok("apply", "--yes")
    time.sleep(1.1)
    (foreseen,) = stocked.lines("retention", "--dry-run", "--json")
    assert foreseen["pruned"]["incident"] == 1
    assert stocked.lines("retention", "--json") == [foreseen | {"dry_run": False}]
    assert "no longer keeps it" in stocked.ok("explain", id_)
    assert stocked("publish", id_, "--yes").exit_code in (0, 1)
    assert "no longer keeps it" not in stocked.ok("explain", id_)


def test_a_retention_that_is_no_duration_is_named_with_its_line(stocked):
    stocked.edit("    release: by-hand", "    retention: a year\n    release: by-hand")
    done = stocked("check")
    assert (done.exit_code, "a duration such as" in done.output) == (1, True)
