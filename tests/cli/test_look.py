"""incidents, show, explain, fields, collections: what an officer sees at three in the morning."""

import json
import os
import pty
import subprocess
import sys
from itertools import pairwise

import pytest

from cli_node import SAMPLES, new_node, stock
from tocsin.cli.wording import clipped


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Amber, green and red incidents, of which two are published and one is held. For looking only."""
    node = stock(new_node(tmp_path_factory.mktemp("mixed") / "home"))
    node.import_samples("green", tlp="green")
    node.import_samples("red", tlp="red")
    node.ok("hold", "rt:CA-017")
    node.ok("publish", "rt:CA-011", "rt:CA-012", "--yes")
    return node


@pytest.fixture(scope="module")
def stocked(mixed):
    return mixed


def test_the_list_fits_into_a_hundred_columns(mixed):
    said = mixed.ok("incidents")
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 100
    header = ["!", "id", "occurred", "known", "state", "type·effects", "means", "sector·country", "conf"]
    header += ["TLP", "from", "out"]
    for shown, whole in zip(said.splitlines()[0].split(), header, strict=True):
        assert whole.startswith(shown.rstrip("…"))
    line = next(line for line in said.splitlines() if " M " in line)
    assert "conf/open" in line
    assert "health EE" in line
    assert line.rstrip().endswith("1 redacted/1")


@pytest.mark.parametrize(
    ("words", "records"),
    [
        (("--type", "mixed"), {"CA-011"}),
        (("--type", "not-cyber"), {"CA-009"}),
        (("--effect", "physical-attack"), {"CA-013", "CA-014"}),
        (
            ("--effect", "physical-attack", "--effect", "internal-denial-of-service"),
            {"CA-013", "CA-014", "CA-015"},
        ),
        (("--effect", "physical-attack", "--country", "lv"), {"CA-014"}),
        (("--means", "ransomware"), {"CA-011"}),
        (("--stage", "foothold"), {"CA-007"}),
        (("--stage", "foothold,near-miss"), {"CA-007", "CA-008"}),
        (("--sector", "health"), {"CA-011"}),
        (("--sector", "nis2:energy"), {"CA-013", "CA-020"}),
        (("--sector", "naics:5221"), {"CA-012"}),
        (("--sector", "5221"), {"CA-012"}),
        (("--country", "FI"), {"CA-021"}),
        (("--determination", "false-positive"), set()),
        (("--actor-type", "hacktivist"), set()),
        (("--tlp", "red"), {"CA-024", "CA-025"}),
        (("--tlp", "none"), set()),
        (("--confidence", "<=55", "--tlp", "amber"), {"CA-015"}),
        (("--severity", ">=1"), set()),
        (("--held",), {"CA-017"}),
        (("--in", "shared"), {"CA-011", "CA-012"}),
        (("--not-in", "shared", "--sector", "health"), set()),
        (("--waiting", "--type", "mixed"), set()),
        (("--review", "--tlp", "red"), {"CA-024"}),
        (("--origin", "acme"), set()),
        (("--source", "elsewhere"), set()),
        (("--origin", "ours", "--source", "rt", "--type", "mixed"), {"CA-011"}),
    ],
)
def test_filters_hold_together(mixed, words, records):
    found = mixed.lines("incidents", *words, "--json")
    assert {line["record"].removeprefix("rt:") for line in found} == records


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--type", "mixd"), "unknown type 'mixd'; did you mean 'mixed'?"),
        (("--effect", "data-atack"), "did you mean 'data-attack'?"),
        (("--stage", "footholds"), "did you mean 'foothold'?"),
        (("--tlp", "purple"), "unknown TLP 'purple'"),
        (("--in", "sharde"), "unknown collection 'sharde'; did you mean 'shared'?"),
        (("--origin", "acmee"), "unknown origin 'acmee'; did you mean 'acme'?"),
        (("--confidence", "high"), "a comparison such as '>=50'"),
        (("--confidence", ">=101"), "it is between 0 and 100"),
        (("--severity", "=500"), "it is between 0 and 100"),
        (("--sector", "helth"), "unknown sector 'helth'; did you mean 'health'?"),
        (("--sector", "nis2:enrgy/oil"), "did you mean 'energy'?"),
        (("--sector", "naics:x"), "unknown sector 'naics:x'"),
        (("--country", "Estonia"), "two letters (ISO 3166-1)"),
    ],
)
def test_a_word_that_nothing_can_have_is_refused_with_the_nearest(stocked, words, said):
    assert said in stocked.refused("incidents", *words, code=2)


def test_limit_says_that_there_are_more(mixed):
    assert len(mixed.lines("incidents", "--limit", "3", "--json")) == 3
    assert "3 incidents; there are more (--limit)" in mixed.ok("incidents", "--limit", "3")


# --- ids -----------------------------------------------------------------------------------------------------


def test_an_incident_is_named_by_id_by_its_first_digits_or_by_its_record(stocked):
    (seen,) = stocked.lines("incidents", "--type", "mixed", "--json")
    digits = seen["id"].partition("--")[2]
    for name in (seen["id"], digits[:6], digits[:6].upper(), digits[:8], digits[:13], digits, "rt:CA-011"):
        assert stocked.lines("show", name, "--json")[0]["id"] == seen["id"]


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("abcde", 2, "at least 6 digits"),
        ("hello!", 2, "is no id"),
        ("ffffffff", 1, "nothing here begins with ffffffff"),
        ("rt:nothing", 1, "no record 'rt:nothing' was imported"),
        ("incident--00000000-0000-4000-8000-000000000000", 1, "is not here"),
    ],
)
def test_a_name_of_nothing_is_refused(stocked, name, code, said):
    assert said in stocked.refused("show", name, code=code)


def test_the_same_record_of_two_trackers_is_told_apart(node):
    for source in ("rt", "other"):
        node.ok("import", "veris", str(SAMPLES / "amber/CA-011.json"), "--source", source)
    ids = {node.lines("show", f"{source}:CA-011", "--json")[0]["id"] for source in ("rt", "other")}
    assert len(ids) == 2


# --- show, explain -------------------------------------------------------------------------------------------


def test_show_has_what_happened_the_record_and_who_has_it(mixed):
    said = mixed.ok("show", "rt:CA-014")
    for part in (
        "Disruptive: data attack (90 % sure) and physical attack (60 % sure)",
        "Quuxland Water Works",
        "not understood: asset.assets[0].variety = N - HMI",
        "shared: waits to be published; readers: acme",
        "once published: redacted, without attribution, reporter, victim (victims-unnamed:",
        "made here, ",
    ):
        assert part in said


def test_show_says_as_what_a_copy_stands_and_what_it_leaves_out(mixed):
    (sheet,) = mixed.lines("show", "rt:CA-011", "--json")
    (shared,) = sheet["collections"]
    assert (shared["stands"], shared["readers"]) == ("redacted", ["acme"])
    assert shared["stands_as"] != sheet["id"]
    assert "effects actor_type" in shared["omitted"]
    said = mixed.ok("show", "rt:CA-011")
    assert f"shared: redacted, as {shared['stands_as'].partition('--')[2][:8]}; readers: acme" in said
    assert "the copy leaves out: " in said


def test_history_has_versions_and_events(node):
    node.import_samples()
    node.ok("publish", "rt:CA-011", "--yes")
    node.ok("assess", "rt:CA-011", "accessed=no", "--because", "the log of the proxy", "--yes")
    said = node.ok("show", "rt:CA-011", "--history")
    for event in ("published", "redacted", "assessed", "the log of the proxy", "accessed=no"):
        assert event in said
    assert "False" not in said
    (sheet,) = node.lines("show", "rt:CA-011", "--history", "--json")
    assert {"published", "redacted", "assessed"} <= {event["event"] for event in sheet["events"]}
    assert [one["because"] for one in sheet["assessments"]] == ["the log of the proxy"]
    assert len(sheet["versions"]) == 2


def test_explain_says_the_rule_as_a_sentence(mixed):
    said = mixed.ok("explain", "rt:CA-011")
    assert "victims-unnamed: who was hit, who told us and whom we suspect stays here" in said
    assert "shared: held back by a person" in mixed.ok("explain", "rt:CA-017", "--collection", "shared")
    assert (
        "once published: withheld (clearance: it is TLP:RED; this collection holds at most TLP:AMBER"
        in mixed.ok("explain", "rt:CA-024")
    )
    assert "did you mean 'shared'?" in mixed.refused("explain", "rt:CA-011", "--collection", "shard", code=2)


def test_a_stuck_collection_says_what_is_kept_out_and_until_when(node):
    stocked = stock(node)
    policy = stocked.home / "policies/shared.yaml"
    rules = policy.read_text().partition("tests:")[0]
    broken = "  - {id: broken, when: \"object.sectors[99] == 'x'\", then: deny, reason: fails on few sectors}\n"
    policy.write_text(rules + broken)
    stocked.ok("apply", "--yes")
    stocked("publish", "--waiting", "--yes")
    status = stocked("status")
    assert status.exit_code == 3
    for said in (status.stdout, stocked.ok("collections")):
        said = " ".join(said.split())
        assert "the objects on which a rule fails are kept out, and judged again at the next apply" in said
        assert "broken: " in said


def test_fields_are_those_that_rules_match_on(node):
    said = node.ok("fields")
    for name in ("effect_type", "stage", "countries", "readers_outside"):
        assert f"\n{name} " in said
    names = [line["name"] for line in node.lines("fields", "--json")]
    assert len(names) == len(set(names))


def test_what_others_wrote_reaches_no_terminal_as_a_command(node, tmp_path):
    record = json.loads((SAMPLES / "amber/CA-011.json").read_text())
    record["victim"]["victim_id"] = "Clinic \x1b]0;owned\x07 [bold]x[/bold] \u202eevil"
    (tmp_path / "CA-666.json").write_text(json.dumps(record))
    node.ok("import", "veris", str(tmp_path / "CA-666.json"), "--source", "rt")
    said = node.ok("show", "rt:CA-666")
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "[bold]x[/bold]" in said


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (30, "health/hospital EE,LV"),
        (14, "health/… EE,LV"),
        (10, "hea… EE,LV"),
        (6, "healt…"),
    ],
)
def test_where_it_happened_is_cut_in_the_sector_and_not_in_the_country(length, shown):
    assert clipped("health/hospital EE,LV", length) == shown


# --- lists in little room ------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_list_never_cuts_what_matters_and_ends_without_blanks(mixed, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    said = mixed.ok("incidents").splitlines()
    assert max(map(len, said)) <= width
    assert all(line == line.rstrip() for line in said)
    header, *lines = said[: said.index("")]
    assert {"!", "id", "conf", "TLP", "out"} <= set(header.split())
    seen = {line["id"].partition("--")[2][:8]: line for line in mixed.lines("incidents", "--json")}
    assert len(lines) == len(seen)
    for line in lines:
        one = seen[next(digits for digits in seen if digits in line)]
        assert f" {one['tlp'].upper()} " in line
        assert line.endswith("1 redacted/1" if one["collections"] else "held" if one["held"] else "—")


def test_a_narrow_list_drops_means_first_and_a_wide_terminal_is_used(mixed, monkeypatch):
    headers = {}
    for width in (80, 100, 140):
        monkeypatch.setenv("COLUMNS", str(width))
        headers[width] = mixed.ok("incidents").splitlines()[0]
    assert "means" not in headers[80]
    assert "type·effects" in headers[80]
    assert "means" in headers[100]
    assert len(headers[140]) > len(headers[100])


@pytest.mark.parametrize("width", [50, 80])
def test_collections_name_every_reader_in_however_little_room(node, monkeypatch, width):
    names = [f"reader-number-{number}" for number in range(12)]
    node.edit("accounts: {}", "accounts:\n" + "\n".join(f"  {name}: {{kind: company}}" for name in names))
    node.edit("readers: [] ", f"readers: [{', '.join(names)}] ")
    node.ok("apply", "--yes")
    monkeypatch.setenv("COLUMNS", str(width))
    said = node.ok("collections")
    assert set(names) <= set(said.split())
    assert max(map(len, said.splitlines())) <= width
    assert node.lines("collections", "--json")[0]["id"] in said


@pytest.mark.parametrize(
    "words", [("show", "rt:CA-014"), ("fields",), ("account", "list"), ("explain", "rt:CA-011")]
)
def test_no_line_is_blanks(mixed, words):
    said = mixed.ok(*words).splitlines()
    assert [line for line in said if line != line.rstrip()] == []
    assert "" not in (said[0], said[-1])
    assert not any(one == other == "" for one, other in pairwise(said))


def test_show_has_why_people_classified_it_so_and_readers_never_get_it(node):
    stock(node)
    node.ok("assess", "rt:CA-018", "impaired=yes", "--because", "the log of the proxy", "--yes")
    node.ok("assess", "rt:CA-018", "data-changed=yes", "--role", "operator", "--yes")
    said = " ".join(node.ok("show", "rt:CA-018").split())
    assert "by operator, who gave no reason" in said
    assert said.index("by operator") < said.index("by analyst, the log of the proxy")
    (value,) = node.lines("show", "rt:CA-018", "--json")
    assert [one["because"] for one in value["assessments"]] == ["the log of the proxy", None]
    assert "proxy" not in json.dumps(value["object"])
    node("publish", "rt:CA-018", "--yes")
    (shown,) = node.lines("show", "rt:CA-018", "--json")
    copy = shown["collections"][0]["stands_as"]
    assert "proxy" not in json.dumps(node.lines("show", copy, "--json")[0]["object"])


def test_show_has_no_word_on_people_where_none_classified_it(mixed):
    assert "assessed (local)" not in mixed.ok("show", "rt:CA-018")


def test_the_marks_of_a_list_are_explained_at_a_terminal_alone(stocked):
    legend = "P to publish"
    at_terminal = _at_a_terminal(stocked.home, "incidents")
    assert at_terminal.count(legend) == 1
    assert legend not in _at_a_terminal(stocked.home, "incidents", "--json")
    piped = stocked("incidents")
    assert legend not in piped.stdout + piped.stderr


def _at_a_terminal(home, *words):
    """What a command says on a terminal of 200 columns that is its standard output and error."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", *words, "--home", str(home)],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "COLUMNS": "200"},
    )
    os.close(slave)
    said = b""
    while True:
        try:
            said += os.read(master, 65_536)
        except OSError:  # how a terminal tells that nobody writes to it any more
            break
    os.close(master)
    assert process.wait(timeout=60) == 0
    return said.decode()
