"""Markings: the Traffic Light Protocol as STIX writes it, the level that an object stands at, and its PAP.

TLP 2.0 ids are constants (FIRST; extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d), TLP 1 ids those
of STIX 2.1 §7.2.1.4, read as their TLP 2.0 equals. A marking that is not understood counts as RED: what we
cannot read we do not loosen.

The Permissible Actions Protocol (PAP) tells a reader what he may do with what he was given, not who may have it,
so it neither loosens nor tightens a TLP. Its extension
(extension-definition--f8d78575-edfd-406e-8e84-6162a8450f5b) permits no instances but its own five, whose ids are
constants as well. Only by these is it known: an object names its markings by id alone, and who could have one
understood by writing `pap` into its definition could have any ignored.
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

PAP_EXTENSION = "extension-definition--f8d78575-edfd-406e-8e84-6162a8450f5b"
PAP_WORDS = ("clear", "green", "amber", "red")  # from open to closed; `white` is the older word for clear
PAP: Mapping[str, str] = {
    "marking-definition--ad15a0cd-55b6-4588-a14c-a66105329b92": "clear",
    "marking-definition--a3bea94c-b469-41dc-9cfe-d6e7daba7730": "clear",
    "marking-definition--c43594d1-4b11-4c59-93ab-1c9b14d53ce9": "green",
    "marking-definition--60f8932b-e51e-4458-b265-a2e8be9a80ab": "amber",
    "marking-definition--740d36e5-7714-4c30-961a-3ae632ceee0e": "red",
}
_IEP_EXTENSION = "extension-definition--762e2e97-ee51-43e5-a9ea-165fbb862c4a"
_ACS_EXTENSION = "extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce"
_KINDS: Mapping[str, str] = {
    _IEP_EXTENSION: "an Information Exchange Policy (IEP)",
    _ACS_EXTENSION: "an Access Control Specification (ACS)",
    TLP_EXTENSION: "a TLP 2.0 marking under an id that is not FIRST's",
    PAP_EXTENSION: "a PAP marking under an id that is not its extension's",
}
_OLD_KINDS: Mapping[str, str] = {
    "tlp": "a TLP 1 marking under an id that is not STIX's",
    "statement": "a statement in words, for people",
}


@dataclass(frozen=True, slots=True)
class Marked:
    """The level of an object, or None when it bears no TLP.

    `reason` says why it is not simply that of its marking, "" where it is. `pap`: the most restrictive PAP it
    bears, "" for none. `strange`: its markings that are not understood.
    """

    level: Tlp | None
    reason: str = ""
    pap: str = ""
    strange: tuple[str, ...] = ()


def tlp_from_word(word: str) -> Tlp:
    """`amber+strict`, `TLP:GREEN`, `white` → the level. Raises BadInput with the words that exist."""
    plain = word.strip().lower().removeprefix("tlp:").strip().replace("_", "+").replace(" ", "+")
    for level in Tlp:
        if plain == level.word or (plain == "white" and level is Tlp.CLEAR):
            return level
    raise BadInput(f"unknown TLP {word!r}: clear, green, amber, amber+strict or red")


def marked(value: Mapping[str, Any]) -> Marked:
    """The TLP and PAP that an object bears. Several levels give the most restrictive one (and say so).

    Sees the ids of markings and not their definitions: what is no constant is not understood.
    """
    refs = value.get("object_marking_refs") or []
    if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in refs):
        return Marked(Tlp.RED, "object_marking_refs is not a list of ids")
    known = [_LEVELS[ref] for ref in refs if ref in _LEVELS]
    pap = max((PAP[ref] for ref in refs if ref in PAP), key=PAP_WORDS.index, default="")
    strange = tuple(ref for ref in refs if ref not in _LEVELS and ref not in PAP)
    if strange:
        return Marked(Tlp.RED, f"the marking {strange[0]} is not understood", pap, strange)
    if value.get("granular_markings"):
        return Marked(Tlp.RED, "parts of it are marked on their own: granular markings are not understood", pap)
    if not known:
        return Marked(None, pap=pap)
    if len(set(known)) == 1:
        return Marked(known[0], pap=pap)
    levels = " and ".join(level.label for level in sorted(set(known)))
    reason = f"it bears {levels}: of several TLP markings the most restrictive counts"
    return Marked(max(known), reason, pap)


def kind_of_marking(definition: Mapping[str, Any]) -> str:
    """What sort of marking a definition says it is, in words; "" where it says nothing that we know by name.

    For people alone: it changes nothing of what an object counts as.
    """
    extensions = definition.get("extensions")
    for extension in extensions if isinstance(extensions, Mapping) else ():
        if extension in _KINDS:
            return _KINDS[extension]
    kind = definition.get("definition_type")
    return _OLD_KINDS.get(kind, "") if isinstance(kind, str) else ""


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
