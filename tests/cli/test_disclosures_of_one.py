"""The account of what was given to whom, as a person asks for it."""

import csv

import pytest

from tocsin.cli.disclosures import _cell


def test_a_published_incident_is_accounted_for_and_one_that_waits_was_offered_to_nobody(stocked):
    id_ = stocked.lines("incidents", "--json")[0]["id"]
    assert "Nobody was ever offered it" in stocked.ok("disclosures", id_)
    assert stocked("publish", id_, "--yes").exit_code in (0, 1)
    told = stocked.lines("disclosures", id_, "--json")
    for one in told:
        assert (one["reader"], one["collection"], one["until"]) == ("acme", "shared", None)
        assert one["copy_of"] == id_
        assert one["omitted"]
    assert told
    assert "acme" in stocked.ok("disclosures", id_)


def test_a_reader_has_his_account_too_as_lines_and_as_a_sheet(stocked):
    assert "It was never offered anything." in stocked.ok("disclosures", "--reader", "acme")
    ids = [one["id"] for one in stocked.lines("incidents", "--json")]
    assert stocked("publish", ids[0], "--yes").exit_code in (0, 1)
    told = stocked.lines("disclosures", "--reader", "acme", "--json")
    assert ids[0] in {one["copy_of"] or one["id"] for one in told}
    of_one = stocked.lines("disclosures", ids[0], "--json")
    assert [one for one in told if ids[0] in (one["id"], one["copy_of"])] == of_one
    for sheet, lines in ((("--reader", "acme"), told), ((ids[0],), of_one)):
        rows = list(csv.DictReader(stocked.ok("disclosures", *sheet, "--csv").splitlines()))
        assert [(row["id"], row["version"], row["since"], row["until"]) for row in rows] == [
            (one["id"], one["version"], one["since"], "") for one in lines
        ]
        assert [row["rules"] for row in rows] == ["; ".join(one["rules"]) for one in lines]
    assert "acme" in stocked.ok("disclosures", "--reader", "acme")
    assert len(stocked.lines("disclosures", "--reader", "acme", "--since", "1h", "--json")) == len(told)


def test_who_was_taken_out_of_the_file_is_accounted_for_all_the_same(stocked):
    id_ = stocked.lines("incidents", "--json")[0]["id"]
    assert stocked("publish", id_, "--yes").exit_code in (0, 1)
    stocked.edit("readers: [acme] ", "readers: [] ")
    stocked.edit("  acme: {kind: company, country: EE}", "  bravo: {kind: company, country: EE}")
    stocked.ok("apply", "--yes")
    told = stocked.lines("disclosures", "--reader", "acme", "--json")
    assert told
    assert all(one["until"] for one in told)
    assert stocked.lines("disclosures", "--reader", "bravo", "--json") == []


@pytest.mark.parametrize(
    "words",
    [(), ("6f0a1b2c", "--reader", "acme"), ("--reader", "acme", "--csv", "--json"), ("--reader", "acmee")],
    ids=["neither", "both", "two forms", "unknown"],
)
def test_a_question_that_is_none_is_refused(stocked, words):
    said = stocked.refused("disclosures", *words, code=2)
    if "acmee" in words:
        assert "did you mean 'acme'?" in said


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        (["=a", "b"], "'=a; b"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a=1", "a=1"),
        (None, ""),
        (True, "yes"),
    ],
)
def test_no_cell_is_a_formula_and_none_obeys(value, cell):
    assert _cell(value) == cell
