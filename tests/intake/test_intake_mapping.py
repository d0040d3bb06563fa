"""Mappings: every fault in a file is told with its line, and the nearest word."""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from tocsin.documents import read_document
from tocsin.errors import BadFile, NotFound
from tocsin.intake.formats import FORMATS, SourceRecord, read_paths
from tocsin.intake.mapping import load_mapping, read_mapping, schema, shipped, shipped_text
from tocsin.intake.translate import translate
from tocsin.settings import Home

GOOD = """\
mapping: mine
version: "1.0"
format: csv
description: ours
read: {id: Ticket}
lookups: {countries: {no: "NO", ee: EE}}
tables:
  - of: Kind
    ground: kind
    rows:
      - values: Crypto
        signs: crypto
        effect: data-attack
      - values: [NO, "null"]
        if: crypto
rules:
  - id: told
    when: "i.?Note.orValue('').contains('ransom')"
    review: look
values:
  countries: {of: Country, lookup: countries, unknown: "-"}
"""


def test_a_good_mapping_is_read_and_no_is_a_word() -> None:
    mapping = read_mapping(GOOD, "mine.yaml")
    assert mapping.label == "mine@1.0"
    assert mapping.knows("Kind", "no")
    record = SourceRecord("1", {"Ticket": "1", "Country": "NO", "Kind": "Crypto"}, b"", "t:2")
    assert translate(record, mapping).findings.countries == ("NO",)


def test_rows_have_ids_that_travel_whatever_signs_their_values_have() -> None:
    text = GOOD.replace("values: Crypto", "values: [Crypto, Größe, Gräße, 攻撃]")
    mapping = read_mapping(text, "tickets.yaml")
    rules = set()
    for kind in ("Crypto", "Größe", "Gräße", "攻撃"):
        found = translate(SourceRecord("1", {"Ticket": "1", "Kind": kind}, b"", "t:2"), mapping)
        assert found.format == "tickets"
        rules |= {effect.rule for effect in found.findings.effects}
    assert "mine:Kind/Crypto" in rules
    assert len(rules) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,99}", rule) for rule in rules)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (
            "effect: data-attack",
            "effect: data-atack",
            13,
            "unknown effect 'data-atack'; did you mean 'data-attack'?",
        ),
        ("effect: data-attack", "efect: data-attack", 13, "unknown key 'efect'; did you mean 'effect'?"),
        ("effect: data-attack", "confidence: hihg", 13, "did you mean 'high'?"),
        ("effect: data-attack", "confidence: 101", 13, "less than or equal to 100"),
        ("effect: data-attack", "answers: {accesed: 'yes'}", 13, "did you mean 'accessed'?"),
        ("effect: data-attack", "place: servers", 13, "did you mean 'server'?"),
        ("effect: data-attack", "means: ransomwear", 13, "did you mean 'ransomware'?"),
        ("effect: data-attack", "signs: again", 13, "signs"),
        ("if: crypto", "if: cripto", 15, "nothing sets the sign 'cripto'; did you mean 'crypto'?"),
        ('[NO, "null"]', "[NO, crypto]", 14, "the value 'crypto' has a row already"),
        ("orValue('')", "orValue(''", 18, "CEL"),
        ("i.?Note", "j.?Note", 18, "undeclared reference to 'j'"),
        ("contains('ransom')", "size()", 18, "bool is needed"),
        ("format: csv", "format: cvs", 3, "unknown format 'cvs'; did you mean 'csv'?"),
        ("read: {id: Ticket}", "closed: true", 1, "read.id"),
        ("lookup: countries,", "lookup: contries,", 21, "no lookup 'contries'; did you mean 'countries'?"),
        ('{no: "NO", ee: EE}', "{ee: EE, Ee: EE}", 6, "the key 'Ee' is there already, at mine.yaml:6"),
        (
            "{id: Ticket}",
            "{id: Ticket, optional: Cuontry}",
            5,
            "reads the column 'Cuontry'; did you mean 'Country'?",
        ),
        (
            "values:\n",
            "values:\n  detected: {date: Found, form: DD.MM.YY}\n",
            21,
            "unknown form of dates 'DD.MM.YY'; did you mean 'DD.MM.YYYY'?",
        ),
        ('{no: "NO", ee: EE}', "nowhere.yaml", 6, "no file mappings/lookups/nowhere.yaml"),
        ("ground: kind", "ground: ''", 9, "at least 1 character"),
        ("id: told", "id: Told!", 17, "pattern"),
        ('version: "1.0"', "version: 1.0", 2, "string"),
        ("description: ours", "mapping: twice", 4, "mapping"),
    ],
)
def test_a_fault_is_told_with_its_line(old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    with pytest.raises(BadFile) as caught:
        read_mapping(GOOD.replace(old, new, 1), "mine.yaml")
    told = [str(problem) for problem in caught.value.problems]
    assert any(said in text for text in told), told
    assert any(text.startswith(f"mine.yaml:{line}:") for text in told), told


def test_all_faults_are_told_at_once() -> None:
    text = GOOD.replace("if: crypto", "if: cripto").replace("i.?Note", "j.?Note")
    with pytest.raises(BadFile) as caught:
        read_mapping(text, "mine.yaml")
    assert {problem.place for problem in caught.value.problems} == {"mine.yaml:15", "mine.yaml:18"}


VALUES = """\
values:
  detected: {date: Found}
  countries: {of: [Country, Land], lookup: countries}
  victim: [Who]
  tlp: TLP
  persons-affected: {of: Persons}
  indicators:
    - {of: Bad, side: attacker}
"""


@pytest.mark.parametrize(
    ("read", "needed"),
    [
        (
            "{id: Ticket}",
            {"Kind": 8, "Found": 21, "Country": 22, "Land": 22, "Who": 23, "TLP": 24, "Persons": 25, "Bad": 27},
        ),
        ("{id: Ticket, optional: true}", {}),
        ("{id: Ticket, optional: [Land, Who, TLP, Persons, Bad]}", {"Kind": 8, "Found": 21, "Country": 22}),
    ],
)
def test_a_table_needs_the_columns_that_its_mapping_reads_unless_they_are_optional(
    read: str, needed: dict[str, int]
) -> None:
    text = GOOD.partition("values:\n  countries")[0].replace("{id: Ticket}", read) + VALUES
    found = read_mapping(text, "mine.yaml").reading.needed
    assert found == {column: f"mine.yaml:{line}" for column, line in needed.items()}


def test_only_a_table_has_columns_and_those_of_the_shipped_one_are_optional() -> None:
    assert load_mapping("csv").reading.needed == load_mapping("veris").reading.needed == {}


def test_the_example_for_newcomers_is_read_as_it_says(tmp_path: Path) -> None:
    table, text = re.findall(r"```(?:csv|yaml)\n(.*?)```", shipped_text("README.md"), re.DOTALL)
    mapping = read_mapping(text, "mappings/csv.yaml")
    (tmp_path / "t.csv").write_text(table)
    records = list(read_paths(FORMATS["csv"], [tmp_path / "t.csv"], mapping.reading))
    found = [translate(record, mapping) for record in records if isinstance(record, SourceRecord)]
    assert [one.source_id for one in found] == ["T-1", "T-2"]
    assert [[effect.effect for effect in one.findings.effects] for one in found] == [["data-attack"], []]
    assert [one.findings.means for one in found] == [("ransomware", "phishing"), ()]
    assert [one.findings.times.detected and one.findings.times.detected.value for one in found] == [
        "2025-03-14",
        "2025-03",
    ]
    assert [one.findings.countries for one in found] == [("EE",), ()]
    assert [one.unmapped for one in found] == [(), ()]


def test_free_text_is_shared_only_where_the_mapping_says_that_it_is_meant_to() -> None:
    with pytest.raises(BadFile, match="meant-for-sharing"):
        read_mapping(
            GOOD.replace("values:\n  countries", "values:\n  description: {of: Note}\n  countries"), "m.yaml"
        )


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_mapping_loads_and_is_valid_by_the_schema(name: str) -> None:
    assert load_mapping(name).name == name
    value = read_document(shipped_text(f"{name}.yaml"), name).value
    faults = jsonschema_rs.validator_for(json.loads(shipped_text("mapping.schema.json"))).iter_errors(value)
    assert [fault.message for fault in faults] == []


def test_the_shipped_schema_is_that_of_the_loader() -> None:
    assert json.loads(shipped_text("mapping.schema.json")) == schema()


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    validator = jsonschema_rs.validator_for(schema())
    for old, new in (
        ("effect: data-attack", "effect: other"),
        ("ground: kind", "grund: kind"),
        ("if: crypto", "if: 7"),
    ):
        assert not validator.is_valid(read_document(GOOD.replace(old, new, 1), "m").value)
    assert validator.is_valid(read_document(GOOD, "m").value)


def test_a_mapping_in_the_home_goes_before_the_shipped_one_and_may_use_its_lookups(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert load_mapping("csv", home).name == "csv"
    (tmp_path / "mappings").mkdir()
    own = GOOD.replace('{no: "NO", ee: EE}', "countries.yaml")
    (tmp_path / "mappings" / "csv.yaml").write_text(own)
    assert load_mapping("csv", home).name == "mine"
    (tmp_path / "mappings" / "lookups").mkdir()
    (tmp_path / "mappings" / "lookups" / "countries.yaml").write_text("zz: EE\n")
    record = SourceRecord("1", {"Ticket": "1", "Country": "zz"}, b"", "t:2")
    assert translate(record, load_mapping("csv", home)).findings.countries == ("EE",)


def test_keys_of_a_lookup_match_without_regard_to_case_in_values_and_in_rules() -> None:
    text = GOOD.replace('{no: "NO", ee: EE}', "{Estland: EE}").replace(
        "i.?Note.orValue('').contains('ransom')", "lookup('countries', i.?Country.orValue('')) == 'EE'"
    )
    for written in ("Estland", "ESTLAND", "estland"):
        found = translate(
            SourceRecord("1", {"Ticket": "1", "Country": written}, b"", "t:2"), read_mapping(text, "m")
        )
        assert found.findings.countries == ("EE",)
        assert "look" in found.review_reasons


def test_keys_of_a_lookup_file_that_are_one_but_for_case_are_refused_with_both_lines() -> None:
    with pytest.raises(BadFile) as caught:
        read_mapping(
            GOOD.replace('{no: "NO", ee: EE}', "own.yaml"), "m.yaml", lambda _: "Ost: EE\nWest: LV\nost: LT\n"
        )
    assert str(caught.value.problems[0]) == (
        "mappings/lookups/own.yaml:3: the key 'ost' is there already, at mappings/lookups/own.yaml:1"
        " (upper and lower case are one)"
    )


def test_a_format_without_a_mapping_is_refused_with_those_that_exist() -> None:
    with pytest.raises(NotFound, match="did you mean 'veris'"):
        load_mapping("veriss")
