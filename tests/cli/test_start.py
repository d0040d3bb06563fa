"""init, check, apply: nothing is overwritten, every fault has its line, and nothing leaves unasked."""

import json
import shutil
import sqlite3
import stat
from contextlib import closing

import pytest

from cli_node import Node, new_node


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# --- init ----------------------------------------------------------------------------------------------------


def test_a_home_is_private_and_in_force_and_shares_nothing(node):
    assert _mode(node.home) == 0o700
    assert _mode(node.home / "keys/namespace") == 0o600
    assert len(bytes.fromhex((node.home / "keys/namespace").read_text())) == 32
    assert _mode(node.home / "tocsin.db") == 0o600
    assert "The files are what is in force" in node.ok("check")
    (shared,) = node.lines("collections", "--json")
    assert (shared["release"], shared["readers"], shared["standing"]) == ("by-hand", [], 0)


def test_two_homes_have_different_secrets(node, tmp_path):
    other = type(node)(tmp_path / "other")
    other.ok("init", "--name", "CERT Beta")
    assert (other.home / "keys/namespace").read_text() != (node.home / "keys/namespace").read_text()


def test_init_says_what_to_type_next(tmp_path, node):
    made = type(node)(tmp_path / "new")
    said = made.ok("init", "--name", "X")
    assert [line.split()[1] for line in said.splitlines() if line.startswith("  tocsin ")] == [
        "import",
        "import",
        "incidents",
        "explain",
    ]


def test_init_never_overwrites_a_home(node):
    before = {path: path.read_bytes() for path in node.home.rglob("*") if path.is_file()}
    assert "is a home already" in node.refused("init", "--name", "Another")
    assert {path: path.read_bytes() for path in node.home.rglob("*") if path.is_file()} == before


def test_init_does_not_mix_with_what_is_there(node, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    made = type(node)(tmp_path / "mine")
    assert "is not empty" in made.refused("init", "--name", "X")
    assert [path.name for path in made.home.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--name", "X", "--country", "ee"), "two capital letters"),
        (("--name", "X", "--country", "Estonia"), "two capital letters"),
        (("--name", "X", "--url", "node.example"), "url"),
        (("--name", ""), "name"),
    ],
)
def test_init_with_an_option_that_cannot_be_leaves_nothing_behind(node, tmp_path, words, said):
    made = type(node)(tmp_path / "new")
    assert said in made.refused("init", *words, code=2)
    assert not made.home.exists()


@pytest.mark.parametrize("name", ['CERT "Ä": # 1', "NO", "  - a", "{x}", "$name", "日本"])
def test_a_name_may_hold_whatever_it_likes(node, tmp_path, name):
    made = type(node)(tmp_path / "new")
    made.ok("init", "--name", name)
    (status,) = made.lines("status", "--json")
    assert status["node"] == name


# --- check ---------------------------------------------------------------------------------------------------


def test_check_finds_every_fault_with_its_line_and_the_nearest_word(node):
    node.edit("clearance: amber ", "clearence: amber ")
    node.edit("then: deny\n    reason: TLP:RED", "then: denny\n    reason: TLP:RED", "policies/shared.yaml")
    done = node("check")
    assert done.exit_code == 1
    lines = (node.home / "tocsin.yaml").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "clearence" in text)
    assert f"tocsin.yaml:{line}: unknown key 'clearence'; did you mean 'clearance'?" in done.stdout
    assert "policies/shared.yaml:" in done.stdout
    assert "did you mean 'deny'?" in done.stdout


def test_check_tells_a_file_that_is_no_yaml_once(node):
    (node.home / "tocsin.yaml").write_text((node.home / "tocsin.yaml").read_text() + "more: [\n")
    done = node("check", "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert (done.exit_code, problem["text"]) == (1, "expected the node content, but found the end of the file")


def test_check_speaks_no_python(node):
    node.edit('country: "EE"', "country: Estonia")
    (node.home / "policies/other.yaml").write_text("rules:\n  - {id: a, then: allow}\nrules: []\n")
    said = node("check").stdout
    assert "policies/other.yaml:3: key 'rules' is there twice\n" in said
    assert ": node.country: two capital letters" in said
    assert "Value error" not in said


def test_check_runs_the_tests_of_policies(node):
    node.edit("expect: deny", "expect: whole", "policies/shared.yaml")
    done = node("check")
    assert done.exit_code == 1
    assert "examples/red.json in 'shared': expected whole, but it is deny" in done.stdout


def test_check_finds_secrets_that_others_can_read(node):
    (node.home / "keys/namespace").chmod(0o644)
    assert "others can read this secret" in node("check").stdout


def test_check_finds_credentials_of_peers_that_others_can_read(node):
    peers = node.home / "keys/peers"
    peers.mkdir(mode=0o700)
    for name, mode in (("cert-beta", 0o604), ("cert-gamma.key", 0o640), ("cert-gamma.crt", 0o644)):
        (peers / name).write_text("x\n")
        (peers / name).chmod(mode)
    done = node("check", "--json")
    report = json.loads(done.stdout)
    assert done.exit_code == 1
    assert [problem["place"].rpartition("/")[2] for problem in report["problems"]] == [
        "cert-beta",
        "cert-gamma.key",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: restore it from a backup"),
        (b"zz" * 32, "is not the secret that init made (64 hex digits): restore it from a backup"),
        (b"ab" * 31, "is not the secret that init made"),
        (b"ab" * 33, "is not the secret that init made"),
        (b"ab " * 32, "is not the secret that init made"),
        (b"\xff\xfe" * 16, "is not text: restore it from a backup"),
    ],
)
def test_a_secret_that_is_none_is_told_plainly_by_every_command(node, content, said):
    file = node.home / "keys/namespace"
    file.write_bytes(content)
    for command in ("incidents", "status", "apply", "serve"):
        assert f"tocsin: {file}: {said}" in node.refused(command)
    done = node("check")
    assert done.exit_code == 1
    assert f"{file}: {said}" in done.stdout


def test_a_secret_that_cannot_be_read_is_told_plainly(node):
    file = node.home / "keys/namespace"
    file.unlink()
    file.mkdir(mode=0o700)  # as unreadable as mode 000, whoever runs the tests
    assert f"{file}: cannot be read (is a directory)" in node.refused("incidents")
    assert "cannot be read" in node("check").stdout


def test_a_secret_that_is_gone_is_told_with_what_to_do(node):
    (node.home / "keys/namespace").unlink()
    assert "restore it from a backup" in node.refused("incidents")
    done = node("check")
    assert (done.exit_code, "restore it from a backup" in done.stdout) == (1, True)


def test_check_reads_the_mappings_of_the_home(node):
    (node.home / "mappings").mkdir()
    (node.home / "mappings/csv.yaml").write_text("mapping: csv\nversio: '1'\n")
    assert "mappings/csv.yaml:2: unknown key 'versio'; did you mean 'version'?" in node("check").stdout


def test_check_knows_time_zones(node):
    node.edit("timezone: UTC ", "timezone: Europe/Talinn ")
    assert "'Europe/Talinn'" in node("check").stdout


def test_check_says_what_is_not_in_force(node):
    node.edit("title: Incidents that we share", "title: Another title")
    assert "Not in force yet: tocsin.yaml" in node.ok("check")


def test_check_names_whom_an_empty_page_is_a_list_for(node):
    assert "empty page" not in node.ok("check")
    assert json.loads(node.ok("check", "--json"))["empty_page"] == {}
    node.edit("accounts: {}", "accounts:\n  acme: {kind: company, empty_page: list}\n  mari: {role: analyst}")
    assert "An empty page is a list, and not as TAXII 2.1 has it, for: acme." in node.ok("check")
    assert json.loads(node.ok("check", "--json"))["empty_page"] == {"acme": "list"}
    node.ok("apply")
    assert [one["empty_page"] for one in node.lines("account", "list", "--json")] == ["list", "omit"]


def test_check_knows_the_two_forms_of_an_empty_page(node):
    node.edit("accounts: {}", "accounts:\n  acme: {kind: company, empty_page: lsit}")
    assert "'omit'" in node("check").stdout
    node.edit("empty_page: lsit", "empty_pages: list")
    assert "did you mean 'empty_page'?" in node("check").stdout


def test_check_as_json_has_a_place_for_each_problem(node):
    node.edit("clearance: amber ", "clearance: ambre ")
    done = node("check", "--json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["ok"]) == (1, False)
    assert [problem["place"].split(":")[0] for problem in report["problems"]] == ["tocsin.yaml"]


# --- apply ---------------------------------------------------------------------------------------------------


def test_what_no_reader_would_notice_is_applied_without_asking(node):
    node.edit("title: Incidents that we share", "title: Another title")
    assert "In force" in node.ok("apply")
    assert "The files are what is in force" in node.ok("apply")


def test_who_starts_and_stops_to_read_is_said_and_nothing_is_said_twice(node):
    nothing = "No reader"
    node.edit("title: Incidents that we share", "title: Another title")
    assert node.ok("apply").count(nothing) == 1
    node.edit("accounts: {}", "accounts:\n  acme: {kind: company, country: EE}")
    node.edit("readers: [] ", "readers: [acme] ")
    said = node.ok("apply", "--yes")
    assert nothing not in said
    assert "In force. acme now reads shared.\n" in said
    node.edit("readers: [acme] ", "readers: [] ")
    said = node.ok("apply", "--yes")
    assert nothing not in said
    assert "In force. acme no longer reads shared.\n" in said


@pytest.mark.parametrize("away", [False, True])
def test_who_reads_an_empty_collection_is_shown_first_and_needs_a_yes(node, away):
    node.edit("accounts: {}", "accounts:\n  acme: {kind: company, country: EE}")
    before, after = ([], ["acme"])
    if away:
        node.edit("readers: [] ", "readers: [acme] ")
        node.ok("apply", "--yes")
        before, after = after, before
    node.edit(f"readers: [{''.join(before)}] ", f"readers: [{''.join(after)}] ")
    done = node("apply")
    assert done.exit_code == 1
    assert f"acme {'stops reading' if away else 'starts to read'} it" in done.stdout
    assert "say --yes" in done.stderr
    assert node.lines("collections", "--json")[0]["readers"] == before
    node.ok("apply", "--yes")
    assert node.lines("collections", "--json")[0]["readers"] == after


def test_a_reader_more_is_shown_first_and_needs_a_yes(stocked):
    stocked("publish", "--waiting", "--yes")
    stocked.edit(
        "acme: {kind: company, country: EE}", "acme: {kind: company, country: EE}\n  zeta: {kind: company}"
    )
    stocked.edit("readers: [acme]", "readers: [acme, zeta]")
    done = stocked("apply")
    assert done.exit_code == 1
    assert "zeta starts to read it" in done.stdout
    assert "say --yes" in done.stderr
    assert stocked.lines("collections", "--json")[0]["readers"] == ["acme"]
    assert "zeta starts to read it" in stocked.ok("apply", "--yes")
    assert stocked.lines("collections", "--json")[0]["readers"] == ["acme", "zeta"]


def test_taking_much_away_needs_its_number(stocked):
    stocked("publish", "--waiting", "--yes")
    stocked.edit("match: {tlp: red, origin: any}", "match: {type: incident, origin: any}", "policies/shared.yaml")
    stocked.edit(
        "  - {object: examples/ransomware.json, expect: redact, rule: victims-unnamed}\n",
        "",
        "policies/shared.yaml",
    )
    (plan,) = [json.loads(line) for line in stocked("apply", "--json", "--yes").stdout.splitlines()]
    number = plan["confirm"]
    assert number >= 13
    said = stocked.refused("apply", "--yes")
    assert f"--confirm {number}" in said
    stocked.refused("apply", "--yes", "--confirm", str(number - 1))
    assert stocked.lines("collections", "--json")[0]["standing"] > 0
    out = stocked.ok("apply", "--yes", "--confirm", str(number))
    assert "withdraw" in out
    assert "acme: loses" in out
    assert all(seen["collections"] == {} for seen in stocked.lines("incidents", "--json"))


def test_a_policy_whose_tests_fail_does_not_come_into_force(node):
    node.edit("expect: deny", "expect: whole", "policies/shared.yaml")
    assert "expected whole" in node.refused("apply", "--yes")
    assert "Not in force yet: policies/shared.yaml" in node("check").stdout


# --- status --------------------------------------------------------------------------------------------------


def test_a_new_node_needs_nobody(node):
    assert "Nobody is needed" in node.ok("status")


def test_status_says_what_waits_for_a_person(stocked):
    done = stocked("status")
    assert done.exit_code == 3
    assert "13 to publish" in done.stdout
    assert "to review" in done.stdout


def test_status_works_with_a_slip_in_the_files(stocked):
    stocked.edit("clearance: amber ", "clearence: amber ")
    done = stocked("status")
    assert done.exit_code == 3
    assert "The files cannot be used (1 problem: tocsin check)" in done.stdout
    assert "13 incidents" in stocked.ok("incidents")


# --- a home elsewhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["stopped copy", "backup of the database beside work that goes on"])
def test_a_moved_home_is_the_same_node(stocked, tmp_path, way):
    moved = Node(tmp_path / "moved")
    if way == "stopped copy":
        shutil.copytree(stocked.home, moved.home)
    else:
        shutil.copytree(stocked.home, moved.home, ignore=shutil.ignore_patterns("tocsin.db*"))
        with closing(sqlite3.connect(stocked.home / "tocsin.db")) as live:
            live.execute("BEGIN")  # somebody reads, and has not ended
            live.execute("SELECT count(*) FROM party").fetchone()
            with (
                closing(sqlite3.connect(stocked.home / "tocsin.db")) as one,
                closing(sqlite3.connect(moved.home / "tocsin.db")) as other,
            ):
                one.backup(other)
        (moved.home / "tocsin.db").chmod(0o600)
    assert moved.lines("incidents", "--json") == stocked.lines("incidents", "--json")
    moved.import_samples("green", tlp="green")
    stocked.import_samples("green", tlp="green")
    ids = [{line["id"] for line in node.lines("incidents", "--json")} for node in (moved, stocked)]
    assert ids[0] == ids[1]


def test_a_home_beside_another_makes_other_ids_of_the_same_records(stocked, tmp_path):
    other = new_node(tmp_path / "other")
    other.import_samples()
    ids = [{line["id"] for line in node.lines("incidents", "--json")} for node in (other, stocked)]
    assert len(ids[0]) == len(ids[1])
    assert not ids[0] & ids[1]


def test_a_draft_of_a_policy_is_previewed_and_nothing_is_stored(stocked, tmp_path):
    stocked.ok("publish", "rt:CA-011", "--yes")
    draft = tmp_path / "shared.yaml"
    draft.write_text("rules: []\ntests: []\n")
    said = stocked.ok("policy", "preview", str(draft))
    assert "acme: loses" in said
    assert stocked.lines("policy", "preview", str(draft), "--json")[0]["readers"][0]["reader"] == "acme"
    assert "what is in force" in stocked.ok("apply")
    draft.write_text("rules: [{id: x, then: alow, reason: y}]\n")
    wrong = stocked("policy", "preview", str(draft))
    assert (wrong.exit_code, "policies/shared.yaml:1" in wrong.stderr) == (1, True)
    missing = stocked("policy", "preview", str(tmp_path / "none.yaml"))
    assert (missing.exit_code, "cannot be read" in missing.stderr) == (1, True)


def test_what_a_reader_finds_is_previewed_as_it_stands_and_by_the_files(stocked):
    stocked.ok("publish", "rt:CA-011", "--yes")
    rows = stocked.lines("peer", "preview", "acme", "--json")
    assert [row["form"] for row in rows if row["id"].startswith("incident--")] == ["redacted"]
    assert "acme finds" in stocked.ok("peer", "preview", "acme")
    assert "redacted copy of" in stocked.ok("peer", "preview", "acme", "--files")
    wrong = stocked("peer", "preview", "acne")
    assert (wrong.exit_code, "acme" in wrong.stderr) == (2, True)
