"""From answers to effects: the golden scenarios, and that unknown never becomes no."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.stix.effects import (
    DISRUPTIVE,
    EFFECT_TYPES,
    EFFECTS,
    EXPLOITIVE,
    PLACES,
    QUESTIONS,
    UNANSWERED,
    Answers,
    answers_implied_by,
    answers_of,
    categories,
    contradictions,
    derive,
    in_order,
    primary_of,
    type_names,
)

YES_D = {"cyber_action": "yes", "effect_achieved": "yes", "impaired": "yes"}
YES_E = {"cyber_action": "yes", "effect_achieved": "yes", "accessed": "yes"}


def _at(*places: str) -> dict[str, object]:
    return {**YES_E, "places": frozenset(places)}


# taxonomy A.4b, row by row: narrative, answers, effects, type, (disruptive_unknown, exploitive_unknown)
GOLDEN = [
    ("1 port scan, no entry", {"cyber_action": "yes", "effect_achieved": "no"}, (), "no-effect", (False, False)),
    (
        "2 flood makes a tax portal unreachable",
        {**YES_D, "accessed": "no", "service_flooded": "yes"},
        ("external-denial-of-service",),
        "disruptive",
        (False, False),
    ),
    (
        "3 false evacuation order from a ministry's account",
        {**YES_D, "accessed": "no", "message_changed": "yes"},
        ("message-manipulation",),
        "disruptive",
        (False, False),
    ),
    (
        "4 core switches reset, servers intact",
        {**YES_D, "accessed": "no", "service_stopped": "yes", "data_changed": "no"},
        ("internal-denial-of-service",),
        "disruptive",
        (False, False),
    ),
    (
        "5 wiper erases workstations",
        {**YES_D, "accessed": "no", "data_changed": "yes"},
        ("data-attack",),
        "disruptive",
        (False, False),
    ),
    (
        "6 ransomware, no theft known",
        {**YES_D, "data_changed": "yes"},
        ("data-attack",),
        "disruptive",
        (False, True),
    ),
    (
        "7 the same, and 80 GB published",
        {**YES_D, "data_changed": "yes", **_at("server")},
        ("data-attack", "exploitation-of-application-server"),
        "mixed",
        (False, False),
    ),
    (
        "8 chlorine dosing set-point changed",
        {**YES_D, "accessed": "no", "process_changed": "yes", "data_changed": "yes"},
        ("data-attack", "physical-attack"),
        "disruptive",
        (False, False),
    ),
    (
        "9 till malware",
        {**_at("sensor"), "impaired": "no"},
        ("exploitation-of-sensors",),
        "exploitive",
        (False, False),
    ),
    (
        "10 script in a web shop",
        {**_at("end-host"), "impaired": "no"},
        ("exploitation-of-end-hosts",),
        "exploitive",
        (False, False),
    ),
    (
        "11 spyware on a minister's telephone",
        {**_at("end-host"), "impaired": "no"},
        ("exploitation-of-end-hosts",),
        "exploitive",
        (False, False),
    ),
    (
        "12 voter roll dumped by SQL injection",
        {**_at("server"), "impaired": "no"},
        ("exploitation-of-application-server",),
        "exploitive",
        (False, False),
    ),
    (
        "13 router implant mirrors traffic",
        {**_at("network", "transit"), "impaired": "no"},
        ("exploitation-of-network-infrastructure", "exploitation-of-data-in-transit"),
        "exploitive",
        (False, False),
    ),
    (
        "14 DNS records changed, mail read",
        _at("transit"),
        ("exploitation-of-data-in-transit",),
        "exploitive",
        (True, False),
    ),
    (
        "15 domain admin, then evicted",
        {"cyber_action": "yes", "effect_achieved": "no"},
        (),
        "no-effect",
        (False, False),
    ),
    (
        "16 excavator cuts a fibre",
        {"cyber_action": "no", "effect_achieved": "yes", "impaired": "yes"},
        (),
        "not-cyber",
        (False, False),
    ),
    (
        "17 crypto-miner slows a cluster",
        {**YES_D, "accessed": "no", "service_stopped": "yes"},
        ("internal-denial-of-service",),
        "disruptive",
        (False, False),
    ),
    ("18 stolen laptop", {"cyber_action": "no", "accessed": "unknown"}, (), "not-cyber", (False, False)),
    ("19 a cyber attack, no detail", {"cyber_action": "yes"}, (), "undetermined", (True, True)),
]


@pytest.mark.parametrize(
    ("answers", "effects", "kind", "flags"), [row[1:] for row in GOLDEN], ids=[row[0] for row in GOLDEN]
)
def test_golden_scenarios(answers, effects, kind, flags):
    found = derive(Answers(**answers))
    assert (found.effects, found.effect_type) == (effects, kind)
    assert (found.disruptive_unknown, found.exploitive_unknown) == flags


def test_every_golden_scenario_of_the_reference_is_here():
    assert [int(row[0].split()[0]) for row in GOLDEN] == list(range(1, 20))


@pytest.mark.parametrize(
    ("answers", "effects", "kind", "flags"),
    [
        ({**YES_D}, (), "disruptive", (False, True)),  # impaired, nobody knows how
        ({**YES_E}, (), "exploitive", (True, False)),  # taken, nobody knows where
        ({**YES_D, **YES_E}, (), "mixed", (False, False)),
        (
            {"data_changed": "yes"},
            ("data-attack",),
            "disruptive",
            (False, True),
        ),  # answers the coarser question too
        ({"places": frozenset({"server"})}, ("exploitation-of-application-server",), "exploitive", (True, False)),
        ({"impaired": "no", "data_changed": "yes"}, (), "undetermined", (False, True)),  # not asked after a no
        ({"accessed": "no", "places": frozenset({"server"})}, (), "undetermined", (True, False)),
        ({"impaired": "no", "accessed": "no"}, (), "no-effect", (False, False)),
        ({"effect_achieved": "yes", "impaired": "no", "accessed": "no"}, (), "undetermined", (False, False)),
        ({"effect_achieved": "no", "impaired": "yes", "data_changed": "yes"}, (), "no-effect", (False, False)),
        ({}, (), "undetermined", (True, True)),
    ],
)
def test_odd_sets_of_answers(answers, effects, kind, flags):
    found = derive(Answers(**answers))
    assert (found.effects, found.effect_type) == (effects, kind)
    assert (found.disruptive_unknown, found.exploitive_unknown) == flags


ANSWERS = st.builds(
    Answers,
    places=st.frozensets(st.sampled_from(PLACES)),
    **{question: st.sampled_from(("yes", "no", "unknown")) for question in QUESTIONS},
)


@given(ANSWERS, st.sampled_from(QUESTIONS))
def test_an_unknown_is_never_taken_for_a_no(answers, question):
    """What is said with an open question stays true, or stays open, whichever way it is answered."""
    values = {name: getattr(answers, name) for name in QUESTIONS} | {"places": answers.places}
    unknown = derive(Answers(**{**values, question: "unknown"}))
    if unknown.disruptive_unknown and question == "impaired":
        assert derive(Answers(**{**values, question: "yes"})).effect_type in ("disruptive", "mixed")
    if unknown.exploitive_unknown and question == "accessed":
        assert derive(Answers(**{**values, question: "yes"})).effect_type in ("exploitive", "mixed")
    no = derive(Answers(**{**values, question: "no"}))
    assert set(no.effects) <= set(unknown.effects)


@given(ANSWERS)
def test_type_and_labels_agree_whatever_is_answered(answers):
    found = derive(answers)
    disruptive, exploitive = set(found.effects) & set(DISRUPTIVE), set(found.effects) & set(EXPLOITIVE)
    assert found.effect_type in EFFECT_TYPES
    assert not disruptive or found.effect_type in ("disruptive", "mixed")
    assert not exploitive or found.effect_type in ("exploitive", "mixed")
    assert list(found.effects) == sorted(found.effects, key=EFFECTS.index)
    assert found.primary in (found.effects or (None,))


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_answers_a_category_implies_give_that_category_back(effect):
    assert derive(answers_implied_by(effect)).effects == (effect,)


def test_the_answers_of_any_categories_give_them_back():
    for number in (2, 3, 10):
        for chosen in combinations(EFFECTS, number):
            assert derive(answers_of(chosen)).effects == in_order(chosen)


@pytest.mark.parametrize("word", ["", "no-effect", "disruptive", "ransomware"])
def test_another_word_implies_nothing(word):
    with pytest.raises(KeyError):
        answers_implied_by(word)


@pytest.mark.parametrize(
    ("effects", "primary"),
    [
        ((), None),
        (("message-manipulation", "physical-attack", "data-attack"), "physical-attack"),
        (("external-denial-of-service", "internal-denial-of-service"), "internal-denial-of-service"),
        (("exploitation-of-application-server", "message-manipulation"), "message-manipulation"),
        (("exploitation-of-data-in-transit", "exploitation-of-end-hosts"), "exploitation-of-end-hosts"),
        (
            ("exploitation-of-network-infrastructure", "exploitation-of-application-server"),
            "exploitation-of-application-server",
        ),
    ],
)
def test_the_primary_label_is_the_worst(effects, primary):
    assert primary_of(effects) == primary


def test_yes_outweighs_no_and_no_outweighs_unknown():
    merged = Answers(impaired="yes", accessed="no").with_answers_of(
        Answers(impaired="no", places=frozenset({"server"}))
    )
    assert merged == Answers(impaired="yes", accessed="no", places=frozenset({"server"}))


@pytest.mark.parametrize(
    ("effects", "kind", "answers", "said"),
    [
        (("data-attack",), "disruptive", UNANSWERED, None),
        (("data-attack",), "mixed", UNANSWERED, None),  # the place of the loss may be unknown
        (("data-attack",), "exploitive", UNANSWERED, "a disruptive effect is given"),
        (("exploitation-of-sensors",), "disruptive", UNANSWERED, "an exploitive effect is given"),
        (("data-attack",), "not-cyber", UNANSWERED, "a disruptive effect is given"),
        (("data-attack",), "disruptive", Answers(data_changed="no"), "needs a yes to data_changed"),
        (("data-attack",), "disruptive", Answers(accessed="yes"), "the answers give 'mixed'"),
        ((), "no-effect", Answers(impaired="yes"), "the answers give 'disruptive'"),
        ((), "disruptive", Answers(impaired="yes"), None),
    ],
)
def test_labels_type_and_answers_must_agree(effects, kind, answers, said):
    found = contradictions(effects, kind, answers)
    assert not found if said is None else any(said in text for text in found)


def test_every_category_has_its_texts_in_every_language():
    assert tuple(category.key for category in categories()) == EFFECTS
    assert tuple(type_names()) == EFFECT_TYPES
    for category in categories():
        assert category.kind == ("disruptive" if category.key in DISRUPTIVE else "exploitive")
        for texts in (category.name, category.definition, category.question, category.examples):
            assert set(texts) == {"en", "fr"}
            assert all(texts.values())
        assert all(question.rstrip().endswith("?") for question in category.question.values())
