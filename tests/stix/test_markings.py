"""The Traffic Light Protocol: what is not understood is red."""

import pytest

from tocsin.errors import BadInput
from tocsin.stix.markings import TLP1, TLP2, Marked, Tlp, marked, marking_definitions, tlp_from_word
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


def test_granular_markings_are_not_understood():
    assert marked({"granular_markings": [{"lang": "en", "selectors": ["name"]}]}).level is Tlp.RED


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
