"""A policy is checked before it is used: every fault with file, line and the nearest word, all of them at once."""

import pytest

from tocsin.documents import read_document
from tocsin.errors import BadFile
from tocsin.policy.attributes import FIELDS, SECTORS
from tocsin.policy.redact import GROUPS, KEEPS
from tocsin.policy.rules import Policy, Range, read_policy


def policy_of(text: str) -> Policy:
    return read_policy(read_document(text, "policies/p.yaml"), "p")


def rule(line: str) -> str:
    return f"rules:\n  - {line}\n"


def deny(rest: str) -> str:
    return rule(f"{{id: a, then: deny, reason: r, {rest}}}")


def redact(rest: str) -> str:
    return rule(f"{{id: a, then: redact, reason: r, {rest}}}")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "'rules' is missing"),
        ("rules: []\nruels: []\n", 2, "unknown key 'ruels'; did you mean 'rules'?"),
        ("rules: {}\n", 1, "list"),
        (rule("just words"), 2, "dictionary"),
        (rule("{then: deny, reason: r}"), 2, "'id' is missing"),
        (rule("{id: a, then: deny}"), 2, "'reason' is missing"),
        (redact("redact: [victim], pseudonyms: 90"), 2, "a duration such as"),
        (redact("redact: [victim], pseudonyms: 23h"), 2, "a period from 1d to 366d"),
        (redact("redact: [victim], pseudonyms: 367d"), 2, "a period from 1d to 366d"),
        (redact("redact: [reporter], pseudonyms: 90d"), 2, "redact: [victim]"),
        (deny("pseudonyms: 90d"), 2, "redact: [victim]"),
        (deny("match: {pap: ambr}"), 2, "did you mean 'amber'?"),
        (rule("{id: a, reason: r}"), 2, "'then' is missing"),
        (rule("{id: a, then: deny, reason: '  '}"), 2, "the reason is empty"),
        (rule("{id: a, then: dney, reason: r}"), 2, "unknown then 'dney'; did you mean 'deny'?"),
        (rule("{id: A b, then: deny, reason: r}"), 2, "lower-case letters"),
        (rule("{id: silence, then: deny, reason: r}"), 2, "built in"),
        (deny("resaon: x"), 2, "unknown key 'resaon'; did you mean 'reason'?"),
        (deny("match: {stag: effect}"), 2, "unknown key 'stag'; did you mean 'stage'?"),
        (deny("match: {stage: efect}"), 2, "did you mean 'effect'?"),
        (deny("match: {tlp: rde}"), 2, "unknown tlp 'rde'; did you mean 'red'?"),
        (deny("match: {tlp: purple}"), 2, "(clear green amber amber+strict red)"),
        (deny("match: {effects: [data-atack]}"), 2, "did you mean 'data-attack'?"),
        (deny("match: {means: [ransomwear]}"), 2, "did you mean 'ransomware'?"),
        (deny("match: {type: incidnet}"), 2, "did you mean 'incident'?"),
        (deny("match: {type: []}"), 2, "an empty list matches nothing"),
        (deny("match: {type: [1]}"), 2, "1 is not a word"),
        (deny("match: {countries: ee}"), 2, "two capital letters"),
        (deny("match: {readers_outside: Estonia}"), 2, "two capital letters"),
        (deny("match: {sectors: nis2:bankin}"), 2, "unknown sector 'nis2:bankin'; did you mean 'nis2:banking'?"),
        (deny("match: {sectors: banking}"), 2, "did you mean 'nis2:banking'?"),
        (deny("match: {sectors: [naics:52, naics:5]}"), 2, "unknown sector 'naics:5' (naics:52, or one of nis2:"),
        (deny("match: {sectors: naics:5221100}"), 2, "unknown sector"),
        (deny("match: {sectors: nis2:energy/}"), 2, "did you mean 'nis2:energy'?"),
        (deny("match: {readers_sectors: nis2:helth}"), 2, "readers_sectors: unknown sector 'nis2:helth'"),
        (deny("match: {reviewed: yes}"), 2, "true or false"),
        (deny("match: {severity: high}"), 2, "a number, or {at_least: N"),
        (deny("match: {severity: {}}"), 2, "a number, or {at_least: N"),
        (deny("match: {severity: {atleast: 1}}"), 2, "did you mean 'at_least'?"),
        (rule("{id: a, then: redact, reason: r}"), 2, "redact what? List groups"),
        (redact("redact: [victims]"), 2, "unknown group 'victims'; did you mean 'victim'?"),
        (redact("redact: [victim], keep: [labells]"), 2, "did you mean 'labels'?"),
        (redact("redact: [exact-times], keep: [exact-times]"), 2, "both kept and redacted"),
        (deny("redact: [victim]"), 2, "'redact' belongs to a rule with then: redact"),
        (rule("{id: a, then: allow, reason: r}"), 2, "say match: {origin: ours}"),
        (deny("when: 'object.tpl == 1'"), 2, "did you mean 'object.tlp'?"),
        (deny("when: object.tlp"), 2, "gives STRING, but bool is needed"),
        (deny("when: 'readers.all(r, r.contry == \"EE\")'"), 2, "no 'contry'; did you mean 'country'?"),
        (rule("{id: a, then: deny, reason: r}") + "  - {id: a, then: deny, reason: r}\n", 3, "already defined at"),
        ("rules: []\ntests:\n  - {object: x.json, expect: hole}\n", 3, "did you mean 'whole'?"),
        ("rules: []\ntests:\n  - {object: x.json, expect: deny, rule: silense}\n", 3, "no rule 'silense'"),
        (
            "rules: []\ntests:\n  - {objekt: x.json, expect: deny}\n",
            3,
            "unknown key 'objekt'; did you mean 'object'?",
        ),
    ],
)
def test_a_fault_is_named_with_its_line(text, line, said):
    with pytest.raises(BadFile) as refused:
        policy_of(text)
    assert f"policies/p.yaml:{line}: " in str(refused.value)
    assert said in str(refused.value)


def test_sectors_of_naics_and_nis2_with_their_subsectors_are_known():
    for sector in ("naics:52", "naics:522110", "nis2:energy/oil-and-gas", *SECTORS):
        policy = policy_of(deny(f"match: {{sectors: '{sector}', readers_sectors: ['{sector}']}}"))
        assert policy.rules[0].match == {"sectors": (sector,), "readers_sectors": (sector,)}


def test_all_faults_of_all_rules_are_told_at_once():
    with pytest.raises(BadFile) as refused:
        policy_of(
            """\
rules:
  - {id: a, match: {tlp: rde}, then: deny}
  - id: b
    match: {stage: efect, reviewed: 1}
    when: "object.tpl == 'x'"
    then: alow
    reason: r
tests:
  - {object: x, expect: no}
"""
        )
    places = [problem.place for problem in refused.value.problems]
    assert places == [f"policies/p.yaml:{line}" for line in (2, 6, 4, 4, 5, 9)]


def test_a_match_key_is_read_as_what_it_means():
    (read,) = policy_of(
        """\
rules:
  - id: a
    match:
      type: [incident, x-own-type]
      countries: NO
      severity: {at_least: 40}
      victim_count: 3
      reviewed: true
      public_core: true
      readers_outside: [EE, LV]
    when: "size(object.countries) > 3"
    then: redact
    redact: [victim]
    keep: [labels]
    reason: because
"""
    ).rules
    assert read.match == {
        "type": ("incident", "x-own-type"),
        "countries": ("NO",),
        "severity": Range(40, None),
        "victim_count": Range(3, 3),
        "reviewed": True,
        "public_core": True,
        "readers_outside": ("EE", "LV"),
    }
    assert (read.redact, read.keep) == ({"victim"}, {"labels"})
    assert read.places["severity"] == "policies/p.yaml:6"
    assert read.reader_attributes == {"country"}


@pytest.mark.parametrize(
    ("when", "asked", "depends"),
    [
        ("true", set(), False),
        ("'readers' == object.tlp", set(), False),
        ("size(readers) > 0", set(), True),
        ("readers.all(r, r.country == 'EE')", {"country"}, True),
        ("readers.exists(r, 'naics:52' in r.sectors && r.kind == 'cert')", {"sectors", "kind"}, True),
        ("readers[0]['country'] == 'EE'", {"country"}, True),
        ("readers.all(r, r.name != 'x') && 'EE' in object.countries", set(), True),
        ("readers.all(r, r.name != 'x') && 'naics:52' in object.sectors", set(), True),
        ("readers.exists(r, r.?country.orValue('') == 'EE')", {"country"}, True),
    ],
)
def test_what_an_expression_asks_of_readers_is_known_when_it_is_read(when, asked, depends):
    (read,) = policy_of(f'rules:\n  - {{id: a, then: deny, reason: r, when: "{when}"}}\n').rules
    assert (set(read.reader_attributes), read.depends_on_readers) == (asked, depends)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_each_name_of_an_attribute_may_be_used_in_match_and_in_an_expression(field):
    word = "naics:52" if field.name == "sectors" else (field.values or ("EE",))[0]
    value = {
        "word": word,
        "words": f"['{word}']",
        "flag": "true",
        "number": 1,
    }[field.kind]
    read = policy_of(deny(f"match: {{{field.name}: {value}}}, when: 'object.{field.name} == object.{field.name}'"))
    assert list(read.rules[0].match) == [field.name]


def test_every_group_and_every_keep_may_be_named():
    keep = sorted(set(KEEPS) - set(GROUPS))
    policy_of(
        rule(f"{{id: a, then: redact, redact: [{', '.join(GROUPS)}], keep: [{', '.join(keep)}], reason: r}}")
    )
