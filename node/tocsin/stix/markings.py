"""Markings: the Traffic Light Protocol as STIX writes it, and the level that an object stands at.

TLP 2.0 ids are constants (FIRST; extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d), TLP 1 ids those
of STIX 2.1 §7.2.1.4, read as their TLP 2.0 equals. A marking that is not understood counts as RED: what we
cannot read we do not loosen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tocsin.errors import BadInput


class Tlp(IntEnum):
    """Levels from open to closed; the greater one is the more restrictive."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4

    @property
    def word(self) -> str:
        return "amber+strict" if self is Tlp.AMBER_STRICT else self.name.lower()

    @property
    def label(self) -> str:
        return f"TLP:{self.word.upper()}"

    @property
    def marking(self) -> str:
        """The id of the TLP 2.0 marking definition."""
        return TLP2[self]


TLP_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
TLP2: Mapping[Tlp, str] = {
    Tlp.CLEAR: "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    Tlp.GREEN: "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    Tlp.AMBER: "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    Tlp.AMBER_STRICT: "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    Tlp.RED: "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
}
TLP1: Mapping[Tlp, str] = {
    Tlp.CLEAR: "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9",
    Tlp.GREEN: "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
    Tlp.AMBER: "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82",
    Tlp.RED: "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
}
_LEVELS = {marking: level for table in (TLP2, TLP1) for level, marking in table.items()}


@dataclass(frozen=True, slots=True)
class Marked:
    """The level of an object, or None when it bears no marking; `reason` names a marking not understood."""

    level: Tlp | None
    reason: str = ""


def tlp_from_word(word: str) -> Tlp:
    """`amber+strict`, `TLP:GREEN`, `white` → the level. Raises BadInput with the words that exist."""
    plain = word.strip().lower().removeprefix("tlp:").strip().replace("_", "+").replace(" ", "+")
    for level in Tlp:
        if plain == level.word or (plain == "white" and level is Tlp.CLEAR):
            return level
    raise BadInput(f"unknown TLP {word!r}: clear, green, amber, amber+strict or red")


def marked(value: Mapping[str, Any]) -> Marked:
    """The TLP that an object bears. Several levels give the most restrictive one (and say so)."""
    refs = value.get("object_marking_refs") or []
    if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in refs):
        return Marked(Tlp.RED, "object_marking_refs is not a list of ids")
    known = [_LEVELS[ref] for ref in refs if ref in _LEVELS]
    strange = [ref for ref in refs if ref not in _LEVELS]
    if strange:
        return Marked(Tlp.RED, f"the marking {strange[0]} is not understood")
    if value.get("granular_markings"):
        return Marked(Tlp.RED, "granular markings are not understood")
    if not known:
        return Marked(None)
    reason = "" if len(set(known)) == 1 else "several TLP markings: the most restrictive counts"
    return Marked(max(known), reason)


def marking_definitions() -> Iterable[dict[str, Any]]:
    """The five TLP 2.0 marking definitions, as FIRST published them."""
    for level, marking in TLP2.items():
        yield {
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": marking,
            "created": "2022-10-01T00:00:00.000Z",
            "name": level.label,
            "extensions": {
                TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": level.word},
            },
        }
