"""import, classify, assess: nothing is stored that was not meant, and every refusal has its place."""

import json

import pytest

from cli_node import SAMPLES


def test_importing_twice_changes_nothing(node):
    node.import_samples()
    again = node.lines("import", "veris", str(SAMPLES / "amber"), "--source", "rt", "--tlp", "amber", "--json")
    assert {line["what"] for line in again} == {"unchanged"}
    assert len(node.lines("incidents", "--json")) == len(again)


def test_a_dry_run_stores_nothing_and_says_what_would_be(node):
    said = node.ok("import", "veris", str(SAMPLES / "amber"), "--dry-run")
    assert "Nothing was stored. It would be: 13 records: 13 new." in said
    assert node.lines("incidents", "--json") == []


def test_values_that_the_mapping_does_not_know_are_counted(node):
    assert "asset.assets[0].variety = 'N - HMI'  (1 record)" in node.ok("import", "veris", str(SAMPLES / "amber"))


def test_one_bad_record_spoils_no_other(node, tmp_path):
    good = (SAMPLES / "amber/CA-011.json").read_text()
    (tmp_path / "many.jsonl").write_text(
        json.dumps(json.loads(good)) + '\n{"incident_id": "x"}\nnot json\n', encoding="utf-8"
    )
    done = node("import", "veris", str(tmp_path / "many.jsonl"))
    assert done.exit_code == 3
    assert "many.jsonl:2: not a VERIS incident" in done.stdout
    assert "many.jsonl:3: " in done.stdout
    assert "3 records: 1 new, 2 refused." in done.stdout


def test_when_nothing_could_be_read_it_failed(node, tmp_path):
    (tmp_path / "bad.json").write_text("[")
    done = node("import", "veris", str(tmp_path / "bad.json"))
    assert (done.exit_code, "bad.json:1" in done.stdout) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("import", "vris", "."), "unknown format 'vris'; did you mean 'veris'?"),
        (("import", "xyz", "."), "unknown format 'xyz' (veris csv"),
        (("import", "veris", "nowhere.json"), "nowhere.json: there is no such file or folder"),
        (("import", "veris", ".", "--tlp", "yellow"), "unknown TLP 'yellow'"),
        (("import", "veris", ".", "--source", "a:b"), "--source 'a:b': a name without ':'"),
        (("classify", "cvs", "."), "did you mean 'csv'?"),
    ],
)
def test_what_is_typed_wrong_is_said_before_anything_is_read(node, words, said):
    assert said in node.refused(*words, code=2)


def test_a_record_without_marking_bears_the_one_given_and_else_none(node):
    node.ok("import", "veris", str(SAMPLES / "unmarked"), "--source", "plain")
    node.ok("import", "veris", str(SAMPLES / "red"), "--source", "marked", "--tlp", "red")
    assert {line["tlp"] for line in node.lines("incidents", "--source", "plain", "--json")} == {""}
    assert {line["tlp"] for line in node.lines("incidents", "--source", "marked", "--json")} == {"red"}
    listed = node.ok("incidents", "--source", "plain")
    assert "—" in listed


def test_a_default_marking_is_shown_as_assumed(node):
    node.edit("  # default_tlp: amber+strict ", "  default_tlp: amber+strict ")
    node.ok("apply")
    node.ok("import", "veris", str(SAMPLES / "unmarked"))
    assert "AMBER+STRICT*" in node.ok("incidents", "--wide")


# --- classify ------------------------------------------------------------------------------------------------


def test_classify_prints_json_lines_and_needs_no_home(typed):
    done = typed("classify", "veris", str(SAMPLES / "amber"))
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["source_id"] for line in lines][:2] == ["CA-009", "CA-011"]
    assert set(lines[1]) == {
        "source_id",
        "incident_id",
        "effect_type",
        "stage",
        "categories",
        "means",
        "actor_type",
        "motives",
        "sector",
        "sectors",
        "countries",
        "confidence",
        "needs_review",
        "review_reason",
        "rules",
    }
    assert (lines[1]["effect_type"], lines[1]["sector"]) == ("mixed", "62")


def test_classify_tells_bad_records_on_standard_error(typed, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    done = typed("classify", "veris", "x.json", str(SAMPLES / "red"))
    assert done.returncode == 3
    assert "x.json:1: not a VERIS incident" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_classify_gives_the_ids_of_an_import_from_the_same_source(node):
    node.import_samples()
    imported = {line["id"] for line in node.lines("incidents", "--json")}
    files = ("veris", str(SAMPLES / "amber"))
    assert {line["incident_id"] for line in node.lines("classify", *files, "--source", "rt")} == imported
    assert {line["incident_id"] for line in node.lines("classify", *files)}.isdisjoint(imported)


# --- assess --------------------------------------------------------------------------------------------------


def test_a_person_answers_the_deciding_questions_and_no_import_overwrites_it(node):
    node.import_samples()
    (before,) = node.lines("show", "rt:CA-018", "--json")
    assert before["needs_review"]
    said = node.ok("assess", "rt:CA-018", "impaired=yes", "service-flooded=yes", "--because", "the log")
    assert "Disruptive: external denial of service (100 % sure)" in said
    record = json.loads((SAMPLES / "amber/CA-018.json").read_text())
    changed = node.home / "CA-018.json"
    changed.write_text(json.dumps({**record, "summary": "New words.", "timeline": {"incident": {"year": 2024}}}))
    node.ok("import", "veris", str(changed), "--source", "rt", "--tlp", "amber")
    (after,) = node.lines("incidents", "--json", "--effect", "external-denial-of-service")
    assert (after["record"], after["basis"], after["needs_review"]) == ("rt:CA-018", "assessed", False)


def test_what_a_person_assessed_is_not_for_review_at_the_next_import(node):
    node.import_samples()
    again = ("import", "veris", str(SAMPLES / "amber"), "--source", "rt", "--tlp", "amber")
    assert "2 records for a person to look at" in node.ok(*again)
    node.ok("assess", "rt:CA-018", "impaired=yes", "--yes")
    assert "1 record for a person to look at" in node.ok(*again)
    needed = {line["source_id"] for line in node.lines(*again, "--json") if line["needs_review"]}
    assert len(needed) == 1
    assert "CA-018" not in needed


def test_assess_without_answers_shows_the_questions(node):
    node.import_samples()
    said = node.ok("assess", "rt:CA-018")
    assert "Must data be restored, decrypted or verified again to recover?" in said
    assert "Now: Undetermined" in said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("impared=yes", "unknown question 'impared'; did you mean 'impaired'?"),
        ("impaired=maybe", "unknown answer 'maybe' (yes no unknown)"),
        ("impaired", "QUESTION=ANSWER"),
        ("places=server,moon", "unknown place 'moon'"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(node, answer, said):
    node.import_samples()
    assert said in node.refused("assess", "rt:CA-018", answer, code=2)


def test_assessing_what_readers_follow_is_shown_and_asked(stocked):
    stocked.ok("publish", "rt:CA-018", "--follow", "--yes")
    done = stocked("assess", "rt:CA-018", "impaired=yes")
    assert done.exit_code == 1
    assert "redacted" in done.stdout
    assert "say --yes" in done.stderr
    (unchanged,) = stocked.lines("show", "rt:CA-018", "--json")
    assert unchanged["object"]["labels"][0] == "effect-type:undetermined"
    stocked.ok("assess", "rt:CA-018", "impaired=yes", "--yes")


def test_what_a_collection_releases_by_itself_is_said(stocked):
    stocked.edit("release: by-hand ", "release: automatic ")
    stocked.ok("apply", "--yes")
    assert stocked.lines("incidents", "--waiting", "--json") == []
    said = stocked.ok("import", "veris", str(SAMPLES / "green"), "--source", "rt", "--tlp", "green")
    assert "7 incidents redacted in shared." in said
