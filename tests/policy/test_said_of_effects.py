"""What rules ask of the effects extension is read without the rest, once for all that say the same."""

from decimal import Decimal

import pytest

from tocsin.policy.attributes import said_of_effects
from tocsin.stix.effects import EXTENSION_ID, INCIDENT_CORE_ID


def incident(core: object = None, **said: object) -> dict[str, object]:
    extension = {"extension_type": "property-extension", "effect_type": "mixed", **said}
    return {"type": "incident", "extensions": {EXTENSION_ID: extension, INCIDENT_CORE_ID: core}}


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        # what looks alike as text, and is not
        (incident(victim_count=50), incident(victim_count="50"), "victim_count"),
        (incident(victim_count=Decimal("50.0")), incident(victim_count="50.0"), "victim_count"),
        (incident(trans_border=True), incident(trans_border="true"), "trans_border"),
        (incident(core={"determination": "confirmed"}), incident(core=["confirmed"]), "determination"),
        (incident(countries=["EE"]), incident(countries=["EE", "LV"]), "countries"),
        (incident(sectors=["naics:52"]), incident(sectors="naics:52"), "sectors"),
    ],
)
def test_incidents_that_say_different_things_are_told_apart_whichever_is_read_first(one, other, name):
    first, second = said_of_effects(one)[name], said_of_effects(other)[name]
    assert first != second
    assert said_of_effects(one)[name] == first


def test_what_no_rule_asks_for_changes_nothing():
    plain = said_of_effects(incident(countries=["EE"]))
    assert said_of_effects(incident(countries=["EE"], times={"detected": {"value": "?"}}, answers=3)) == plain


def test_another_type_and_an_extension_of_another_shape_say_nothing():
    nothing = said_of_effects({"type": "indicator"})
    assert nothing["effect_type"] == ""
    assert said_of_effects({"type": "incident", "extensions": {EXTENSION_ID: ["x"]}}) == nothing
    assert said_of_effects({"type": "incident", "extensions": "x"}) == nothing
    assert said_of_effects({**incident(), "type": "note"}) == nothing
