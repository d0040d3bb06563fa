"""What a policy says of an object: silence denies, one denial denies, redactions add up, an error keeps out."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.documents import read_document
from tocsin.policy.attributes import Provenance
from tocsin.policy.decide import Precedents, decide, decide_creator
from tocsin.policy.decision import Copy, Decision, Deny, Stuck, Whole
from tocsin.policy.rules import Policy, Reader, read_policy
from tocsin.settings import CollectionSettings
from tocsin.stix.effects import EXTENSION_ID, INCIDENT_CORE_ID
from tocsin.stix.markings import TLP1, TLP2, Tlp

ESTONIA = Reader("acme", "company", "EE", ("naics:5221",), ("banks",))
LATVIA = Reader("cert-beta", "cert", "LV", (), ())
UNKNOWN = Reader("stranger", "peer")
OURS = Provenance()
PEER = Provenance(origin="cert-beta", authentic=True, hops=1)
POSTED = Provenance(origin="acme", owner="acme", posted_here=True)
ALLOW_ALL = {"id": "all", "match": {"origin": "any"}, "then": "allow"}


def policy_of(*rules: Mapping[str, Any]) -> Policy:
    text = json.dumps({"rules": [{"reason": "because", **rule} for rule in rules]})
    return read_policy(read_document(text, "policies/p.yaml"), "p")


def collection_of(**given: Any) -> CollectionSettings:
    return CollectionSettings(title="Regional", policy="p", **given)


def incident(tlp: Tlp | None = Tlp.GREEN, **effects: Any) -> dict[str, Any]:
    value: dict[str, Any] = {
        "type": "incident",
        "spec_version": "2.1",
        "id": "incident--6b1f2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d",
        "name": "An incident",
        "extensions": {
            EXTENSION_ID: {"extension_type": "property-extension", "effect_type": "undetermined"} | effects,
            INCIDENT_CORE_ID: {"determination": "confirmed", "investigation_status": "open"},
        },
    }
    if tlp is not None:
        value["object_marking_refs"] = [TLP2[tlp]]
    return value


def judged(
    rules: Iterable[Mapping[str, Any]],
    value: Mapping[str, Any] | None = None,
    provenance: Provenance = OURS,
    readers: tuple[Reader, ...] = (ESTONIA,),
    **collection: Any,
) -> Decision:
    return decide(policy_of(*rules), collection_of(**collection), value or incident(), provenance, readers)


def rules_of(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.reasons]


# --- silence, denial, redaction -------------------------------------------------------------------------------


def test_no_rule_at_all_means_not_shared():
    assert rules_of(judged([])) == ["silence"]


@pytest.mark.parametrize(
    ("match", "provenance", "expected"),
    [
        ({"type": "incident"}, OURS, Whole),
        ({"type": "incident"}, POSTED, Whole),
        ({"type": "incident"}, PEER, Deny),
        ({"type": "incident"}, Provenance(origin="acme", owner="acme"), Deny),  # posted, but elsewhere
        ({"origin": "any"}, PEER, Whole),
        ({"origin": "cert-beta"}, PEER, Whole),
        ({"origin": ["acme", "cert-beta"]}, PEER, Whole),
        ({"origin": "acme"}, PEER, Deny),
        ({"origin": "ours"}, POSTED, Deny),
        ({"origin": "cert-beta", "authentic": True}, Provenance(origin="cert-beta", authentic=False), Deny),
    ],
)
def test_an_allow_speaks_of_our_own_and_of_posts_here_unless_it_names_an_origin(match, provenance, expected):
    assert isinstance(judged([{"id": "a", "match": match, "then": "allow"}], provenance=provenance), expected)


@pytest.mark.parametrize("provenance", [OURS, POSTED, PEER])
def test_deny_and_redact_cover_everything(provenance):
    deny = {"id": "no", "match": {"type": "incident"}, "then": "deny"}
    redact = {"id": "less", "then": "redact", "redact": ["victim"]}
    assert rules_of(judged([ALLOW_ALL, deny], provenance=provenance)) == ["no"]
    assert rules_of(judged([ALLOW_ALL, redact], provenance=provenance)) == ["less"]


def test_redactions_add_up_and_only_what_every_rule_keeps_is_kept():
    decision = judged(
        [
            ALLOW_ALL,
            {"id": "a", "then": "redact", "redact": ["victim"], "keep": ["labels", "description", "exact-times"]},
            {"id": "b", "then": "redact", "redact": ["exact-times"], "keep": ["labels", "exact-times"][:1]},
        ]
    )
    assert decision == Copy(frozenset({"victim", "exact-times"}), frozenset({"labels"}), decision.reasons)
    assert rules_of(decision) == ["a", "b"]


def test_one_denial_denies_and_all_of_them_are_told():
    decision = judged(
        [ALLOW_ALL, {"id": "a", "then": "deny"}, {"id": "b", "then": "deny"}], incident(Tlp.RED), clearance="amber"
    )
    assert isinstance(decision, Deny)
    assert rules_of(decision) == ["clearance", "a", "b"]


# --- markings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unmarked", "clearance", "provenance", "expected"),
    [
        ("amber+strict", "amber", OURS, ["unmarked"]),
        ("amber+strict", "amber+strict", OURS, ["all"]),
        ("green", "green", OURS, ["all"]),
        ("green", "green", POSTED, ["all"]),
        ("green", "green", PEER, ["unmarked"]),  # looser than amber+strict only for our own and posts here
        ("green", "amber+strict", PEER, ["all"]),
        ("red", "amber+strict", OURS, ["unmarked"]),
        ("red", "red", PEER, ["all"]),
    ],
)
def test_what_an_object_without_tlp_counts_as(unmarked, clearance, provenance, expected):
    decision = judged([ALLOW_ALL], incident(None), provenance, unmarked=unmarked, clearance=clearance)
    assert rules_of(decision) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            incident() | {"object_marking_refs": ["marking-definition--00000000-0000-4000-8000-000000000000"]},
            "marking",
        ),
        (incident() | {"granular_markings": [{"marking_ref": TLP2[Tlp.CLEAR], "selectors": ["name"]}]}, "marking"),
        (incident() | {"object_marking_refs": [TLP2[Tlp.CLEAR], TLP2[Tlp.RED]]}, "marking"),
        (incident() | {"object_marking_refs": [TLP1[Tlp.RED]]}, "clearance"),
    ],
)
def test_a_marking_that_is_not_understood_counts_as_red(value, expected):
    assert judged([ALLOW_ALL], value, clearance="amber+strict").reasons[0].rule == expected
    assert isinstance(judged([ALLOW_ALL], value, clearance="amber+strict"), Deny)
    assert isinstance(judged([ALLOW_ALL], value, clearance="red"), Whole)


def test_a_rule_sees_the_level_that_an_unmarked_object_counts_as():
    rules = [ALLOW_ALL, {"id": "strict", "match": {"tlp": "amber+strict", "marked": False}, "then": "deny"}]
    assert rules_of(judged(rules, incident(None), clearance="red")) == ["strict"]


@pytest.mark.parametrize("kind", ["marking-definition", "extension-definition"])
def test_markings_and_extension_definitions_need_no_rule_but_keep_to_their_own_tlp(kind):
    value = {"type": kind, "id": f"{kind}--6b1f2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d"}
    deny = {"id": "no", "then": "deny"}
    assert isinstance(judged([deny], value, PEER), Whole)
    assert isinstance(judged([deny], value | {"object_marking_refs": [TLP2[Tlp.RED]]}, PEER), Deny)


def test_a_creator_needs_no_rule_that_allows_but_is_denied_and_redacted_as_usual():
    value = {"type": "identity", "id": "identity--6b1f2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d"}
    value |= {"object_marking_refs": [TLP2[Tlp.GREEN]]}  # type: ignore[dict-item]  # a list beside strings

    def ask(*rules: Mapping[str, Any], clearance: str = "amber") -> Decision:
        return decide_creator(policy_of(*rules), collection_of(clearance=clearance), value, PEER, (ESTONIA,))

    assert isinstance(ask(), Whole)
    assert isinstance(ask({"id": "no", "match": {"type": "identity"}, "then": "deny"}), Deny)
    assert isinstance(ask({"id": "less", "then": "redact", "redact": ["victim"]}), Copy)
    assert isinstance(ask(clearance="clear"), Deny)


# --- match ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "effects", "holds"),
    [
        ({"stage": "effect"}, {"stage": "effect"}, True),
        ({"stage": ["effect", "foothold"]}, {"stage": "foothold"}, True),
        ({"stage": "effect"}, {}, False),
        ({"stage": "effect", "type": "indicator"}, {"stage": "effect"}, False),  # all keys hold
        ({"means": "ransomware"}, {"means": ["phishing", "ransomware"]}, True),
        ({"means": "ransomware"}, {"means": "ransomware"}, False),  # not a list, so not understood
        ({"effects": "data-attack"}, {"effects": [{"effect": "data-attack"}]}, True),
        ({"sectors": "naics:52"}, {"sectors": ["naics:522110"]}, True),
        ({"sectors": "naics:522"}, {"sectors": ["naics:52"]}, False),
        ({"sectors": "nis2:energy"}, {"sectors": ["nis2:energy/oil"]}, True),
        ({"sectors": "nis2:energy"}, {"sectors": ["nis2:energy-trade"]}, False),
        ({"countries": "NO"}, {"countries": ["EE", "NO"]}, True),
        ({"trans_border": True}, {"trans_border": True}, True),
        ({"trans_border": False}, {"trans_border": False}, True),
        ({"trans_border": False}, {}, False),  # nobody said so
        ({"public_core": True}, {"public_core": [{"element": "naming.tld"}]}, True),
        ({"public_core": True}, {}, False),
        ({"public_core": "naming.tld"}, {"public_core": [{"element": "naming.root"}]}, False),
        ({"severity": {"at_least": 40}}, {"severity": {"disruption_index": {"best": 40}}}, True),
        ({"severity": {"at_least": 40}}, {"severity": {"disruption_index": {"best": 39.5}}}, False),
        ({"severity": {"at_most": 100}}, {}, False),
        ({"determination": "confirmed"}, {}, True),
        ({"reviewed": True}, {}, False),
        ({"hops": 0, "revoked": False}, {}, True),
    ],
)
def test_all_keys_of_a_match_hold_and_a_list_means_any_of(match, effects, holds):
    decision = judged([{"id": "a", "match": match, "then": "allow"}], incident(**effects))
    assert isinstance(decision, Whole if holds else Deny)


@pytest.mark.parametrize(
    ("match", "readers", "holds"),
    [
        ({"readers_outside": "EE"}, (ESTONIA,), False),
        ({"readers_outside": "EE"}, (ESTONIA, LATVIA), True),
        ({"readers_outside": ["EE", "LV"]}, (ESTONIA, LATVIA), False),
        ({"readers_in": ["LV", "LT"]}, (ESTONIA, LATVIA), True),
        ({"readers_in": "LT"}, (ESTONIA, LATVIA), False),
        ({"readers_kind": "cert"}, (ESTONIA, LATVIA), True),
        ({"readers_kind": "cert"}, (ESTONIA,), False),
        ({"readers_sectors": "naics:52"}, (ESTONIA,), True),
        ({"readers_sectors": "naics:62"}, (ESTONIA, LATVIA), False),
        ({"readers_communities": ["banks", "isps"]}, (ESTONIA,), True),
    ],
)
def test_a_match_on_readers_holds_when_some_reader_is_such(match, readers, holds):
    decision = judged([ALLOW_ALL, {"id": "no", "match": match, "then": "deny"}], readers=readers)
    assert isinstance(decision, Deny if holds else Whole)


# --- errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "readers", "said"),
    [
        ({"match": {"readers_outside": "EE"}}, (UNKNOWN,), "does not say the country of reader 'stranger'"),
        ({"match": {"readers_in": "EE"}}, (ESTONIA, UNKNOWN), "does not say the country"),
        ({"match": {"readers_outside": "EE"}}, (), "the collection has none"),
        ({"when": "readers.all(r, r.country == 'EE')"}, (), "the collection has none"),
        ({"when": "readers.all(r, r.country == 'EE')"}, (UNKNOWN,), "Key not found"),
        ({"when": "object.severity > 3"}, (ESTONIA,), "No matching overloads"),
        ({"when": "stix.nothing == ''"}, (ESTONIA,), "Key not found"),
        ({"when": "stix.name"}, (ESTONIA,), "gives str"),
    ],
)
@pytest.mark.parametrize("then", ["allow", "deny", "redact"])
def test_a_rule_in_error_keeps_out_and_recalls_nothing(rule, readers, said, then):
    broken = rule | {"id": "broken", "then": then} | ({"redact": ["victim"]} if then == "redact" else {})
    decision = judged([ALLOW_ALL, broken], readers=readers)
    assert isinstance(decision, Stuck)
    assert rules_of(decision) == ["broken"]
    assert said in decision.reasons[0].text


def test_a_certain_denial_denies_although_another_rule_is_in_error():
    broken = {"id": "broken", "when": "object.severity > 3", "then": "allow"}
    assert rules_of(judged([ALLOW_ALL, broken, {"id": "no", "then": "deny"}])) == ["no"]
    assert rules_of(judged([ALLOW_ALL, broken], incident(Tlp.RED))) == ["clearance"]


def test_what_no_rule_could_allow_is_denied_whatever_a_broken_rule_would_have_said():
    broken = {"id": "broken", "when": "object.severity > 3", "then": "deny"}
    assert rules_of(judged([broken])) == ["silence"]
    assert isinstance(judged([broken | {"then": "allow"}]), Stuck)
    assert rules_of(judged([broken | {"then": "allow"}], provenance=PEER)) == ["silence"]  # it does not cover it


def test_an_expression_may_look_at_the_object_itself():
    rule = {"id": "no", "when": "'secret' in stix.?labels.orValue([])", "then": "deny"}
    assert isinstance(judged([ALLOW_ALL, rule], incident() | {"labels": ["secret"]}), Deny)
    assert isinstance(judged([ALLOW_ALL, rule]), Whole)


# --- what holds for every policy ------------------------------------------------------------------------------

_WORDS = st.sampled_from(["victim", "reporter", "exact-times", "answers"])
_KEPT = st.sampled_from(["labels", "description", "name"])
_MATCHES = st.sampled_from(
    [
        {},
        {"type": "incident"},
        {"type": "indicator"},
        {"tlp": ["green", "amber"]},
        {"origin": "any"},
        {"origin": "cert-beta"},
        {"readers_outside": "EE"},
        {"stage": "effect"},
        {"reviewed": True},
    ]
)
_WHENS = st.sampled_from([None, "true", "false", "object.severity > 3", "readers.exists(r, r.country == 'LV')"])


@st.composite
def a_rule(draw: st.DrawFn, then: str | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "match": draw(_MATCHES),
        "then": then or draw(st.sampled_from(["allow", "deny", "redact"])),
    }
    when = draw(_WHENS)
    if when is not None:
        rule["when"] = when
    if rule["then"] == "redact":
        rule["redact"] = draw(st.lists(_WORDS, min_size=1, max_size=3, unique=True))
        rule["keep"] = draw(st.lists(_KEPT, max_size=3, unique=True))
    if rule["then"] == "allow" and not rule["match"] and when is None:
        rule["match"] = {"origin": "ours"}
    return rule


@st.composite
def a_case(draw: st.DrawFn) -> dict[str, Any]:
    level = draw(st.sampled_from([None, *Tlp]))
    return {
        "value": incident(level, stage=draw(st.sampled_from(["effect", "attempt"]))),
        "provenance": draw(st.sampled_from([OURS, PEER, POSTED])),
        "readers": draw(st.sampled_from([(ESTONIA,), (ESTONIA, LATVIA), (UNKNOWN,), ()])),
        "clearance": draw(st.sampled_from([t.word for t in Tlp])),
        "unmarked": draw(st.sampled_from([t.word for t in Tlp])),
    }


RULES = st.lists(a_rule(), max_size=5)
BROKEN = {"when": "object.severity > 3", "match": {"type": "incident"}}


def numbered(rules: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": f"rule-{index}", **rule} for index, rule in enumerate(rules)]


def openness(decision: Decision) -> int:
    """How much a decision releases; an error releases nothing."""
    match decision:
        case Whole():
            return 2
        case Copy():
            return 1
        case _:
            return 0


def shows_no_more(narrow: Decision, wide: Decision) -> bool:
    match narrow, wide:
        case Copy(groups, keep), Copy(wider_groups, wider_keep):
            return groups >= wider_groups and keep <= wider_keep
        case _:
            return openness(narrow) <= openness(wide)


@settings(max_examples=60, deadline=None)
@given(RULES, a_rule(then="deny"), a_case())
def test_one_more_denial_never_releases_more(rules, deny, case):
    assert shows_no_more(judged(numbered([*rules, deny]), **case), judged(numbered(rules), **case))


@settings(max_examples=60, deadline=None)
@given(RULES, a_rule(then="redact"), a_case())
def test_one_more_redaction_never_shows_more(rules, redact, case):
    assert shows_no_more(judged(numbered([*rules, redact]), **case), judged(numbered(rules), **case))


@settings(max_examples=60, deadline=None)
@given(RULES.flatmap(lambda rules: st.tuples(st.just(rules), st.permutations(rules))), a_case())
def test_the_order_of_rules_does_not_matter(orders, case):
    def without_reasons(rules: list[dict[str, Any]]) -> tuple[Any, ...]:
        decision = judged(numbered(rules), **case)
        return type(decision), getattr(decision, "groups", None), getattr(decision, "keep", None)

    assert without_reasons(orders[0]) == without_reasons(list(orders[1]))


@settings(max_examples=60, deadline=None)
@given(RULES, st.sampled_from(["allow", "deny"]), a_case())
def test_a_rule_in_error_never_turns_a_denial_into_a_release(rules, then, case):
    before = judged(numbered(rules), **case)
    after = judged(numbered([*rules, BROKEN | {"then": then}]), **case)
    assert openness(after) <= openness(before)
    # and nothing that stood is recalled by it
    if not isinstance(before, Deny):
        assert not isinstance(after, Deny)


@settings(max_examples=60, deadline=None)
@given(RULES, a_case())
def test_nothing_above_the_clearance_ever_passes(rules, case):
    marks = case["value"].get("object_marking_refs")
    level = next((t for t in Tlp if marks == [TLP2[t]]), None)
    clearance = next(t for t in Tlp if t.word == case["clearance"])
    if level is None:
        level = next(t for t in Tlp if t.word == case["unmarked"])
        if case["provenance"] is PEER:
            level = max(level, Tlp.AMBER_STRICT)
    decision = judged(numbered(rules), **case)
    assert level <= clearance or isinstance(decision, Deny)


# --- what expressions speak of, however they are written ------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    [
        "// the victim's name stays\nhas(stix.x_secret) && object.type == 'incident'",
        "has(stix.x_secret) // isn't it?",
        "object.type == r'incident' && has(stix.x_secret)",
        'object.type == """incident""" && has(stix.x_secret)',
    ],
)
def test_an_expression_that_looks_inside_does_so_whatever_its_comments_and_texts_hold(when):
    policy = policy_of(ALLOW_ALL, {"id": "inside", "when": when, "then": "deny"})
    secret = incident() | {"x_secret": "name"}
    assert isinstance(decide(policy, collection_of(), secret, OURS, []), Deny)
    precedents = Precedents(policy, collection_of(), ())
    assert isinstance(precedents.decide(incident(), OURS), Whole)
    assert isinstance(precedents.decide(secret, OURS), Deny)


@pytest.mark.parametrize("comment", ["// the reader's own\n", '// "\n'])
def test_a_comment_hides_no_reader(comment):
    rule = {"id": "r", "when": f"{comment}readers.exists(r, r.country == 'LV')", "then": "deny"}
    (read,) = policy_of(rule).rules
    assert read.depends_on_readers
    assert read.reader_attributes == {"country"}


@pytest.mark.parametrize("first", [50, Decimal("50.0")])
def test_what_is_equal_but_not_the_same_number_is_decided_for_itself(first):
    rule = {"id": "odd", "when": "object.confidence % 2 == 1", "then": "deny"}
    policy = policy_of(ALLOW_ALL, rule)
    precedents = Precedents(policy, collection_of(), ())
    for confidence in (first, 50, Decimal("50.0")):
        value = incident() | {"confidence": confidence}
        alone = decide(policy, collection_of(), value, OURS, [])
        assert precedents.decide(value, OURS) == alone, confidence
    assert isinstance(decide(policy, collection_of(), incident() | {"confidence": 50}, OURS, []), Whole)
    assert isinstance(
        decide(policy, collection_of(), incident() | {"confidence": Decimal("50.0")}, OURS, []), Stuck
    )
