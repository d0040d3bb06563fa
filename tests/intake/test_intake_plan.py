"""Plans: one walk over a record finds what a search for each path finds, and rules see what they ask for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import BadFile
from tocsin.intake.formats import SourceRecord
from tocsin.intake.mapping import Mapping, read_mapping
from tocsin.intake.translate import Translation, translate

HEAD = 'mapping: mine\nversion: "1"\nformat: veris\ndescription: ours\n'


def mapping(rest: str, format_: str = "veris") -> Mapping:
    return read_mapping(HEAD.replace("veris", format_) + rest, "mine.yaml")


def told(text: Any, any_: str, none: Any = "[]") -> bool:
    """Whether a rule with these words speaks of a record with this text."""
    rule = f"rules: [{{id: heard, told: {{of: summary, any: {any_}, none: {none}}}, review: x}}]\n"
    found = translate(SourceRecord("1", {"action": {}, "summary": text}, b"", "f:1"), mapping(rule))
    return "x" in found.review_reasons


@pytest.mark.parametrize(
    ("text", "any_", "none", "heard"),
    [
        ("", "ddos", [], False),
        (None, "ddos", [], False),
        ({"ddos": "ddos"}, "ddos", [], False),
        (["no", ["a DDoS attack"]], "ddos", [], True),
        (522, "'52'", [], True),
        ("A THIRD-PARTY supplier", "third party", [], True),
        ("the third\nparty", "third party", [], True),
        ("ransomware", "ransom ware", [], True),
        ("Ransom - ware", "ransom ware", [], True),
        ("a ransom for hardware", "ransom ware", [], False),
        ("incident #2", "incident 2", [], True),
        ("incident of 2", "incident 2", [], False),
        ("a.b", "'a+b'", [], False),
        ("GROẞE STRASSE", "große straße", [], True),
        ("data were stolen", "[stole, leak]", "[no evidence]", True),
        ("stolen? there is no evidence", "[stole, leak]", "[no evidence]", False),
    ],
)
def test_words_are_heard_in_texts_as_the_readme_says(text: Any, any_: str, none: Any, heard: bool) -> None:
    assert told(text, any_, none) is heard


def test_a_word_that_may_not_stand_is_looked_for_in_all_the_texts() -> None:
    rule = "rules: [{id: heard, told: {of: [summary, notes], any: stole, none: no evidence}, review: x}]\n"
    record = {"action": {}, "summary": "they stole it", "notes": "No evidence of that"}
    assert "x" not in translate(SourceRecord("1", record, b"", "f:1"), mapping(rule)).review_reasons


def test_a_long_text_of_almost_words_takes_no_time() -> None:
    assert told("third " * 200_000, "[third party, third third party]") is False


def test_words_and_signs_and_cel_must_all_hold() -> None:
    rules = (
        "tables: [{of: kind, ground: kind, rows: [{values: a, signs: seen}]}]\n"
        "rules: [{id: all, if: seen, told: {of: note, any: ddos}, when: \"i.n == 'x'\", review: x}]\n"
    )
    record = {"action": {}, "kind": "a", "note": "ddos", "n": "x"}
    everything = mapping(rules)

    def reviews(**other: str) -> tuple[str, ...]:
        return translate(SourceRecord("1", record | other, b"", "f:1"), everything).review_reasons

    assert "x" in reviews()
    assert "x" not in reviews(kind="b")
    assert "x" not in reviews(note="dos")
    assert "x" not in reviews(n="y")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{id: a, told: {of: summary}}", "'any' is missing"),
        ("{id: a, told: {of: summary, any: []}}", "any"),
        ("{id: a, told: {of: summary, any: '--'}}", "any"),
        ("{id: a, told: {off: summary, any: x}}", "did you mean 'of'"),
    ],
)
def test_faulty_words_are_told_with_their_line(rule: str, said: str) -> None:
    with pytest.raises(BadFile, match=said) as caught:
        mapping(f"rules:\n  - {rule}\n")
    assert "mine.yaml:6" in str(caught.value)


def test_a_column_that_words_are_looked_for_in_must_be_there() -> None:
    rest = "read: {id: T}\nrules:\n  - id: a\n    told: {of: [Note, Notes], any: x}\n    review: x\n"
    assert mapping(rest, "csv").needed == {"Note": "mine.yaml:8", "Notes": "mine.yaml:8"}


# --- what CEL is given ---------------------------------------------------------------------------------------

# each tells apart two records that a memory, or a record cut too short, would take for the same
EXPRESSIONS = [
    ("has(i.victim)", [{}, {"victim": None}, {"victim": {}}]),
    ("i.?victim.?a.hasValue()", [{"victim": {"a": None}}, {"victim": {}}, {}, {"victim": None}, {"victim": "a"}]),
    ("type(i.n) == int", [{"n": 1}, {"n": True}, {"n": 1.0}, {"n": "1"}]),
    ("i.n == 1.0", [{"n": 1}, {"n": 2}, {"n": True}, {"n": "1"}, {}]),
    ("size(i) > 1", [{"a": 1}, {"a": 1, "b": 2}]),
    ("i['a b'] == 'x'", [{"a b": "x"}, {"a b": "y"}, {}]),
    ("i.victim['name'] == 'x'", [{"victim": {"name": "x"}}, {"victim": {"name": "y"}}, {"victim": {}}]),
    ("[1].exists(i, i == 1)", [{}, {"a": 1}]),
    ("i.all(k, k == 'a')", [{"a": 1}, {"b": 1}]),
    ("'i.b' == i.a", [{"a": "i.b"}, {"a": "b"}, {"b": "i.b"}]),
    (r"r'\d' == i.a || i.b == 'y'", [{"a": r"\d", "b": "n"}, {"a": "x", "b": "y"}, {"a": "x"}]),
    ("i.a.i.b == 'x'", [{"a": {"i": {"b": "x"}}}, {"a": {"i": {"b": "y"}}}, {"b": "x"}]),
    ("'mal' in signs && i.a == 'x'", [{"a": "x"}, {"a": "x", "kind": "m"}, {"a": "y", "kind": "m"}]),
    ("i.a == i.a.trim()", [{"a": "x"}, {"a": "x "}]),
    ("i.list.exists(e, e == 2)", [{"list": [1, 2]}, {"list": [1]}, {"list": 2}]),
    ("lookup('t', i.a) == 'one'", [{"a": "x"}, {"a": "X"}, {"a": "y"}]),
    ("i.a.b == 'x' || i.a.c == 'y'", [{"a": {"b": "x"}}, {"a": {"b": "", "c": "y"}}, {"a": {"c": "y"}}, {"a": 1}]),
    ("i.a == 'x' || i.a.c == 'y'", [{"a": "x"}, {"a": {"c": "y"}}, {"a": {"c": "x"}}]),
]


@pytest.mark.parametrize(("expression", "records"), EXPRESSIONS, ids=[text for text, _ in EXPRESSIONS])
def test_a_rule_gets_from_cel_what_it_would_of_the_whole_record(
    expression: str, records: list[dict[str, Any]]
) -> None:
    rest = (
        "lookups: {t: {x: one}}\n"
        "tables: [{of: kind, ground: kind, rows: [{values: m, signs: mal}]}]\n"
        f"rules:\n  - {{id: asked, when: {yaml_text(expression)}, review: x}}\n"
        # the same, but of everything: this one is neither remembered nor cut
        f"  - {{id: whole, when: {yaml_text(f'size(i) >= 0 && ({expression})')}, review: y}}\n"
    )
    asked = mapping(rest)
    for record in [*records, *reversed(records)]:  # twice, so that what was remembered is used
        found = translate(SourceRecord("1", {"action": {}} | record, b"", "f:1"), asked)
        assert answer(found, "asked", "x") == answer(found, "whole", "y"), record


def yaml_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def answer(found: Translation, rule: str, review: str) -> bool | str:
    failed = [why for why in found.review_reasons if why.startswith(f"the rule {rule} ")]
    return failed[0].partition(": ")[2] if failed else review in found.review_reasons


# --- one walk and a search for each path ---------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "a.b", "a.b.c", "b.c", ""])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["x", " y ", "z;x;;", "", "a.b"]))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
PATHS = ["a", "b", "a.b", "a.b.c", "b.c"]


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_one_walk_finds_what_a_search_for_each_path_finds(record: dict[str, Any]) -> None:
    unmapped = translate(SourceRecord("1", record, b"", "f:1"), EVERYWHERE).unmapped
    expected = [one for path in PATHS for one in searched(record, path)]
    expected += [one for path in ("a", "a.b") for one in named(record, path)]
    assert [(one.path, one.value) for one in unmapped] == list(dict.fromkeys(expected))


EVERYWHERE = mapping(
    'split: ";"\n'
    "tables:\n"
    f"  - {{of: [{', '.join(PATHS)}], ground: g, rows: [{{values: nothing has this}}]}}\n"
    "  - {of: [a, a.b], keys: true, ground: g, rows: [{values: nothing has this}]}\n"
)


def searched(record: dict[str, Any], path: str) -> list[tuple[str, str]]:
    """The texts at a path, looked for alone, as mappings/README.md says."""
    leaves = [(path, record[path])] if path in record else stepped(record, path.split("."), "")
    return [
        (where, part.strip())
        for at, leaf in leaves
        for where, text in texts(leaf, at)
        for part in text.split(";")
        if part.strip()
    ]


def named(record: dict[str, Any], path: str) -> list[tuple[str, str]]:
    leaves = stepped(record, path.split("."), "")
    return [(f"{where}.{name}", name) for where, leaf in leaves if isinstance(leaf, dict) for name in leaf]


def stepped(node: Any, steps: list[str], where: str) -> list[tuple[str, Any]]:
    if isinstance(node, list):
        return [one for n, item in enumerate(node) for one in stepped(item, steps, f"{where}[{n}]")]
    if not steps:
        return [(where, node)]
    if isinstance(node, dict) and steps[0] in node:
        return stepped(node[steps[0]], steps[1:], f"{where}.{steps[0]}" if where else steps[0])
    return []


def texts(leaf: Any, where: str) -> list[tuple[str, str]]:
    if isinstance(leaf, list):
        return [one for n, item in enumerate(leaf) for one in texts(item, f"{where}[{n}]")]
    if isinstance(leaf, bool):
        return [(where, str(leaf).lower())]
    return [(where, str(leaf))] if isinstance(leaf, str | int) else []
