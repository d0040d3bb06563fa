"""Settings and policies together: what is wrong between them is found before they are in force."""

import json

import pytest

from tocsin.errors import BadFile, NotFound
from tocsin.policy.configuration import Reader, read_configuration, run_policy_tests
from tocsin.stix.markings import TLP2, Tlp

SETTINGS = """\
node: {name: CERT Alpha}
accounts:
  acme: {kind: company, country: EE, sectors: [naics:52], communities: []}
  mari: {role: publisher}
peers:
  cert-beta: {kind: cert, country: LV, url: "https://node.cert-beta.example/taxii2/"}
collections:
  regional: {title: Regional, readers: [cert-beta, acme, acme], writers: [acme], policy: regional}
  inbox: {title: Inbox, writers: [acme], clearance: red, policy: open}
"""
REGIONAL = """\
rules:
  - {id: ours, match: {type: incident}, then: allow, reason: shared in the region}
  - {id: no-red, match: {tlp: red, origin: any}, then: deny, reason: named recipients only}
  - {id: abroad, match: {readers_outside: EE}, then: redact, redact: [victim], reason: not named abroad}
"""
OPEN = "rules:\n  - {id: posts, match: {origin: acme}, then: allow, reason: a post}\n"
FILES = {"tocsin.yaml": SETTINGS, "policies/regional.yaml": REGIONAL, "policies/open.yaml": OPEN}


def test_a_configuration_knows_who_reads_and_who_writes():
    configuration = read_configuration(FILES)
    assert configuration.readers("regional") == (
        Reader("cert-beta", "cert", "LV"),
        Reader("acme", "company", "EE", ("naics:52",), ()),
    )
    assert configuration.policy_of("inbox").name == "open"
    assert configuration.can_read("acme", "regional")
    assert not configuration.can_read("acme", "inbox")
    assert configuration.can_write("acme", "inbox")
    assert not configuration.can_write("cert-beta", "regional")
    assert not configuration.can_read("acme", "no-such-collection")
    assert not configuration.can_write("nobody", "regional")


def test_a_person_is_a_reader_of_kind_person():
    settings = SETTINGS.replace("acme, acme]", "mari]")
    configuration = read_configuration(FILES | {"tocsin.yaml": settings, "policies/regional.yaml": OPEN})
    assert configuration.readers("regional")[1] == Reader("mari", "person")


def test_the_hash_names_names_and_texts_whatever_their_order():
    same = read_configuration(dict(reversed(FILES.items())))
    assert same.sha256 == read_configuration(FILES).sha256
    for changed in (
        FILES | {"tocsin.yaml": SETTINGS + "\n"},
        FILES | {"policies/unused.yaml": OPEN},
    ):
        assert read_configuration(changed).sha256 != same.sha256


@pytest.mark.parametrize(
    ("changes", "places_and_words"),
    [
        (
            {"tocsin.yaml": SETTINGS.replace("policy: regional", "policy: regoinal")},
            [("tocsin.yaml:8", "there is no policies/regoinal.yaml; did you mean 'regional'?")],
        ),
        (
            {"tocsin.yaml": SETTINGS.replace("country: LV, ", "")},
            [("tocsin.yaml:6", "where 'abroad' (policies/regional.yaml:4) asks for its country")],
        ),
        (
            {"tocsin.yaml": SETTINGS.replace("policy: open", "policy: regional")},
            [("tocsin.yaml:9", "'inbox' has no readers, but rule 'abroad' of policy 'regional' asks about them")],
        ),
        (
            {"tocsin.yaml": SETTINGS.replace("mari: {", "ours: {")},
            [("tocsin.yaml:4", "'ours' has a meaning of its own")],
        ),
        (
            {"policies/open.yaml": OPEN.replace("acme", "acmee")},
            [("policies/open.yaml:2", "origin: 'acmee' is neither an account nor a peer; did you mean 'acme'?")],
        ),
        (
            {"policies/open.yaml": OPEN.replace("origin: acme", "owner: nobody")},
            [("policies/open.yaml:2", "owner: 'nobody' is neither an account nor a peer")],
        ),
        (
            {
                "policies/open.yaml": OPEN + "tests:\n"
                "  - {object: x, readers: [acne], origin: beta, collection: inbx, expect: whole}\n"
            },
            [
                ("policies/open.yaml:4", "reader 'acne'"),
                ("policies/open.yaml:4", "origin 'beta'"),
                ("policies/open.yaml:4", "there is no collection 'inbx'; did you mean 'inbox'?"),
            ],
        ),
        (
            {"tocsin.yaml": SETTINGS.replace("title: Inbox", "titel: Inbox"), "policies/open.yaml": "rules: 7"},
            [
                ("tocsin.yaml:9", "titel"),
                ("tocsin.yaml:9", "'title' is missing"),
                ("policies/open.yaml:1", "list"),
            ],
        ),
    ],
)
def test_everything_that_is_wrong_is_told_at_once_with_its_place(changes, places_and_words):
    with pytest.raises(BadFile) as refused:
        read_configuration(FILES | changes)
    problems = list(refused.value.problems)
    for place, words in places_and_words:
        assert any(problem.place == place and words in problem.text for problem in problems), problems
    assert len(problems) == len(places_and_words)


def test_a_policy_file_that_is_itself_at_fault_is_not_called_missing():
    with pytest.raises(BadFile) as refused:
        read_configuration(FILES | {"policies/regional.yaml": "rules: ["})
    assert "there is no" not in str(refused.value)


def test_without_settings_there_is_no_configuration():
    with pytest.raises(BadFile, match="is missing"):
        read_configuration({"policies/open.yaml": OPEN})


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("readers.all(r, r.country == 'EE')", "country"),
        ("readers.exists(r, 'banks' in r.communities)", "communities"),
    ],
)
def test_an_expression_that_asks_of_readers_needs_our_word_on_each(when, said):
    policy = f'rules:\n  - {{id: a, then: deny, reason: r, when: "{when}"}}\n'
    settings = SETTINGS.replace("country: LV, ", "")
    with pytest.raises(BadFile) as refused:
        read_configuration(FILES | {"tocsin.yaml": settings, "policies/regional.yaml": policy})
    assert f"asks for its {said}" in str(refused.value)


# --- the tests of policies ------------------------------------------------------------------------------------

INCIDENT = {
    "type": "incident",
    "spec_version": "2.1",
    "id": "incident--6b1f2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d",
    "created": "2026-01-02T03:04:05.000Z",
    "modified": "2026-01-02T03:04:05.000Z",
    "name": "An incident",
    "object_marking_refs": [TLP2[Tlp.GREEN]],
}
EXAMPLES = {
    "green.json": json.dumps(INCIDENT).encode(),
    "red.json": json.dumps(INCIDENT | {"object_marking_refs": [TLP2[Tlp.RED]]}).encode(),
    "broken.json": b"{",
    "bundle.json": b'{"type": "bundle", "id": "bundle--6b1f2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d", "objects": []}',
}


def read_example(name: str) -> bytes:
    if name not in EXAMPLES:
        raise NotFound(f"no file {name}")
    return EXAMPLES[name]


@pytest.mark.parametrize(
    ("test", "fault"),
    [
        ("{object: green.json, readers: [cert-beta], expect: redact, rule: abroad}", None),
        ("{object: green.json, readers: [acme], expect: whole, rule: ours}", None),
        ("{object: green.json, readers: [acme], origin: cert-beta, expect: deny, rule: silence}", None),
        ("{object: green.json, readers: [acme], origin: acme, posted_here: true, expect: whole}", None),
        ("{object: red.json, readers: [acme], expect: deny, rule: no-red}", None),
        ("{object: red.json, readers: [acme], expect: deny, rule: clearance, collection: regional}", None),
        ("{object: red.json, readers: [acme], collection: inbox, expect: deny, rule: clearance}", "not by rule"),
        (
            "{object: green.json, readers: [cert-beta], expect: whole}",
            "expected whole, but it is redact (ab",
        ),
        ("{object: green.json, readers: [acme], expect: whole, rule: no-red}", "not by rule 'no-red' (ours: "),
        ("{object: green.json, expect: whole}", "cannot be judged: abroad: in error: it asks about readers"),
        ("{object: nowhere.json, readers: [acme], expect: deny}", "nowhere.json: no file nowhere.json"),
        ("{object: broken.json, readers: [acme], expect: deny}", "broken.json: line 1"),
        ("{object: bundle.json, readers: [acme], expect: deny}", "is a bundle; a test judges one object"),
    ],
)
def test_the_tests_of_a_policy_are_judged_in_the_collections_that_it_governs(test, fault):
    configuration = read_configuration(
        FILES | {"policies/regional.yaml": f"{REGIONAL}tests:\n  - {test}\n"},
    )
    problems = run_policy_tests(configuration, read_example)
    if fault is None:
        assert problems == []
    else:
        (problem,) = problems
        assert problem.place == "policies/regional.yaml:6"
        assert fault in problem.text


def test_a_policy_that_governs_nothing_is_tested_under_the_usual_clearance():
    draft = f"{REGIONAL}tests:\n  - {{object: red.json, readers: [acme], expect: whole}}\n"
    (problem,) = run_policy_tests(read_configuration(FILES | {"policies/draft.yaml": draft}), read_example)
    assert "clearance" in problem.text
