"""The Traffic Light Protocol: what is not understood is red."""

import pytest

from tocsin.errors import BadInput
from tocsin.stix.markings import (
    PAP,
    TLP1,
    TLP2,
    Marked,
    Tlp,
    kind_of_marking,
    marked,
    marking_definitions,
    tlp_from_word,
)
from tocsin.stix.validate import problems

STRANGE = "marking-definition--00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("refs", "level", "said"),
    [
        (None, None, ""),
        ([], None, ""),
        ([TLP2[Tlp.CLEAR]], Tlp.CLEAR, ""),
        ([TLP1[Tlp.CLEAR]], Tlp.CLEAR, ""),
        ([TLP1[Tlp.AMBER]], Tlp.AMBER, ""),  # not strict: TLP 1 had no such thing
        ([TLP2[Tlp.AMBER_STRICT]], Tlp.AMBER_STRICT, ""),
        ([TLP1[Tlp.GREEN], TLP2[Tlp.GREEN]], Tlp.GREEN, ""),
        ([TLP2[Tlp.CLEAR], TLP2[Tlp.RED]], Tlp.RED, "most restrictive"),
        ([TLP1[Tlp.AMBER], TLP2[Tlp.AMBER_STRICT]], Tlp.AMBER_STRICT, "most restrictive"),
        ([STRANGE], Tlp.RED, "not understood"),
        ([TLP2[Tlp.CLEAR], STRANGE], Tlp.RED, "not understood"),
        ([TLP2[Tlp.CLEAR].upper()], Tlp.RED, "not understood"),
        (TLP2[Tlp.CLEAR], Tlp.RED, "not a list"),
        (7, Tlp.RED, "not a list"),
        ([{}], Tlp.RED, "not a list"),
    ],
)
def test_the_level_of_an_object(refs, level, said):
    found = marked({} if refs is None else {"object_marking_refs": refs})
    assert found.level is level
    assert said in found.reason
    assert bool(said) == bool(found.reason)


@pytest.mark.parametrize(
    "granular",
    [
        [{"lang": "en", "selectors": ["name"]}],
        [{"marking_ref": TLP2[Tlp.CLEAR], "selectors": ["name"]}],
        {"marking_ref": TLP2[Tlp.CLEAR]},
        "name",
    ],
)
def test_granular_markings_are_not_understood(granular):
    found = marked({"object_marking_refs": [TLP2[Tlp.CLEAR]], "granular_markings": granular})
    assert found.level is Tlp.RED
    assert "granular" in found.reason


def test_of_two_levels_the_reason_names_both():
    both = marked({"object_marking_refs": [TLP2[Tlp.AMBER], TLP1[Tlp.GREEN]]})
    assert (both.level, both.reason.partition(":")[0]) == (Tlp.AMBER, "it bears TLP")
    assert "TLP:GREEN and TLP:AMBER" in both.reason


PAP_OF = {word: id_ for id_, word in PAP.items()}


@pytest.mark.parametrize("levels", [[], [TLP2[Tlp.CLEAR]], [TLP1[Tlp.AMBER]], [TLP2[Tlp.RED]], [STRANGE]])
@pytest.mark.parametrize("pap", PAP)
def test_a_pap_marking_changes_no_level(levels, pap):
    without = marked({"object_marking_refs": levels})
    beside = marked({"object_marking_refs": [pap, *levels]})
    assert (beside.level, beside.reason, beside.strange) == (without.level, without.reason, without.strange)
    assert (without.pap, beside.pap) == ("", PAP[pap])


def test_of_several_pap_markings_the_most_restrictive_is_shown():
    assert marked({"object_marking_refs": [PAP_OF["green"], PAP_OF["red"], PAP_OF["amber"]]}).pap == "red"


def test_a_marking_of_its_own_is_no_pap_whatever_it_says_of_itself():
    extension = "extension-definition--f8d78575-edfd-406e-8e84-6162a8450f5b"
    definition = {"id": STRANGE, "extensions": {extension: {"pap": "clear"}}}
    found = marked({"object_marking_refs": [TLP2[Tlp.CLEAR], definition["id"]]})
    assert (found.level, found.pap) == (Tlp.RED, "")
    assert "not its extension's" in kind_of_marking(definition)


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"extensions": {"extension-definition--762e2e97-ee51-43e5-a9ea-165fbb862c4a": {}}}, "(IEP)"),
        ({"extensions": {"extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce": {}}}, "(ACS)"),
        ({"extensions": {"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": {}}}, "not FIRST's"),
        ({"definition_type": "tlp", "definition": {"tlp": "white"}}, "not STIX's"),
        ({"definition_type": "statement", "definition": {"statement": "ours"}}, "in words"),
        ({"definition_type": ["tlp"]}, ""),
        ({"extensions": ["tlp"]}, ""),
        ({"extensions": {STRANGE: {}}, "definition_type": "x-own"}, ""),
        ({}, ""),
    ],
)
def test_what_sort_of_marking_a_definition_says_it_is(definition, said):
    found = kind_of_marking(definition)
    assert said in found
    assert bool(said) == bool(found)


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("clear", Tlp.CLEAR),
        ("WHITE", Tlp.CLEAR),
        ("TLP:GREEN", Tlp.GREEN),
        (" tlp: amber ", Tlp.AMBER),
        ("TLP:AMBER+STRICT", Tlp.AMBER_STRICT),
        ("amber strict", Tlp.AMBER_STRICT),
        ("amber_strict", Tlp.AMBER_STRICT),
        ("red", Tlp.RED),
    ],
)
def test_a_level_is_read_from_the_words_people_write(word, level):
    assert tlp_from_word(word) is level


@pytest.mark.parametrize("word", ["", "tlp:", "yellow", "ambers", "chaud"])
def test_another_word_is_refused_with_those_that_exist(word):
    with pytest.raises(BadInput, match=r"clear, green, amber, amber\+strict or red"):
        tlp_from_word(word)


def test_levels_are_ordered_from_open_to_closed():
    assert Tlp.CLEAR < Tlp.GREEN < Tlp.AMBER < Tlp.AMBER_STRICT < Tlp.RED


def test_the_definitions_we_offer_are_valid_and_name_every_level():
    definitions = list(marking_definitions())
    assert {definition["id"] for definition in definitions} == set(TLP2.values())
    assert [problems(definition) for definition in definitions] == [[]] * 5
    assert marked({"object_marking_refs": [Tlp.AMBER.marking]}) == Marked(Tlp.AMBER)
