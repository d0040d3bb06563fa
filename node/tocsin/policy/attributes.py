"""Attributes: the names by which rules, filters, the API and `tocsin fields` speak of an object.

Every object has every attribute, so that an expression never fails for a missing one: what an object does not
say is "", an empty list, or null for numbers and for flags that may be unknown. Unknown is not "no": a match on
`public_core: false` needs somebody who said so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import msgspec

from tocsin.policy.expression import Kind as CelKind
from tocsin.stix import effects
from tocsin.stix.incident import Findings, read_effects
from tocsin.stix.markings import PAP_WORDS, Tlp, marked

# the words of NIS2 are closed; what follows a slash is the reporter's own subsector
SECTORS = tuple(f"nis2:{sector}" for sector in effects.NIS2_SECTORS)
_SECTOR = re.compile(rf"naics:[1-9][0-9]{{1,5}}|({'|'.join(SECTORS)})(/[a-z][a-z0-9-]{{0,62}})?")

Kind = Literal["word", "words", "flag", "number"]

ANY_ORIGIN = "any"
OURS = "ours"

STIX_TYPES = (
    "attack-pattern",
    "campaign",
    "course-of-action",
    "grouping",
    "identity",
    "incident",
    "indicator",
    "infrastructure",
    "intrusion-set",
    "location",
    "malware",
    "malware-analysis",
    "note",
    "observed-data",
    "opinion",
    "report",
    "threat-actor",
    "tool",
    "vulnerability",
    "relationship",
    "sighting",
    "artifact",
    "autonomous-system",
    "directory",
    "domain-name",
    "email-addr",
    "email-message",
    "file",
    "ipv4-addr",
    "ipv6-addr",
    "mac-addr",
    "mutex",
    "network-traffic",
    "process",
    "software",
    "url",
    "user-account",
    "windows-registry-key",
    "x509-certificate",
    "language-content",
    "marking-definition",
    "extension-definition",
)


@dataclass(frozen=True, slots=True)
class Provenance:
    """By whose word we hold an object, as rules see it.

    `origin`: `ours`, or the name of the peer or account that brought it. `posted_here`: a writer of the collection
    being judged posted it there. `owner`: the account that owns it, "" for the node itself. `authentic`: it came
    from its creator's own node. `hops`: nodes between its creator and us. `reviewed`: a person assessed it.
    """

    origin: str = OURS
    posted_here: bool = False
    owner: str = ""
    authentic: bool = True
    hops: int = 0
    reviewed: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One name: what kind of value it has, the values that exist (None: any), and its meaning in a sentence.

    `nullable`: the value is null where nobody said.
    """

    name: str
    kind: Kind
    meaning: str
    values: tuple[str, ...] | None = None
    nullable: bool = False

    @property
    def cel(self) -> CelKind:
        """The type that the checker of expressions gives it."""
        if self.nullable:
            return "any"
        kinds: Mapping[Kind, CelKind] = {"word": "string", "words": "strings", "flag": "bool", "number": "int"}
        return kinds[self.kind]


FIELDS: tuple[Field, ...] = (
    Field("type", "word", "STIX type of the object", STIX_TYPES),
    Field("origin", "word", "ours, or the peer or account that brought it; in a rule also: any"),
    Field("owner", "word", "the account that owns it; empty for the node itself"),
    Field("posted_here", "flag", "a writer of this collection posted it into it"),
    Field("authentic", "flag", "it came from its creator's own node"),
    Field("hops", "number", "nodes that passed it on before us"),
    Field("creator", "word", "id of the identity that created it"),
    Field("revoked", "flag", "its creator revoked it"),
    Field(
        "tlp", "word", "TLP level; in a collection, what an unmarked object counts as", tuple(t.word for t in Tlp)
    ),
    Field("marked", "flag", "it bears a TLP marking of its own"),
    Field("pap", "word", "PAP: what a reader may do with it; empty without one, white reads as clear", PAP_WORDS),
    Field("confidence", "number", "STIX confidence, 0 to 100", nullable=True),
    Field("effect_type", "word", "type that its effects amount to", effects.EFFECT_TYPES),
    Field("effects", "words", "categories found in the incident", effects.EFFECTS),
    Field("means", "words", "by what means", effects.MEANS),
    Field("stage", "word", "how far it came", effects.STAGES),
    Field("root_cause", "word", "root cause (NIS)", effects.ROOT_CAUSES),
    Field("actor_type", "word", "kind of attacker, as claimed", effects.ACTOR_TYPES),
    Field("motives", "words", "why, as claimed", effects.MOTIVES),
    Field("claimed_by", "word", "who says so", effects.CLAIMED_BY),
    Field("sectors", "words", "victims' sectors, such as naics:52 or nis2:energy, with all that lies within"),
    Field("countries", "words", "victims' countries, ISO 3166-1, such as EE"),
    Field("cluster", "word", "id of the leading incident of its cluster"),
    Field("severity", "number", "best value of the cyber disruption index, 0 to 100", nullable=True),
    Field("victim_count", "number", "number of victims", nullable=True),
    Field("determination", "word", "OASIS incident core: is it one?", effects.DETERMINATIONS),
    Field(
        "investigation_status",
        "word",
        "OASIS incident core: state of the work",
        effects.INVESTIGATION_STATUSES,
    ),
    Field("basis", "word", "how it was classified", effects.BASES),
    Field("reviewed", "flag", "a person assessed it"),
    Field("public_core", "words", "elements of the Internet's public core that it touches", effects.PUBLIC_CORE),
    Field("trans_border", "flag", "it crosses borders", nullable=True),
    Field("significant", "flag", "significant in the sense of NIS2, by a person's decision", nullable=True),
    Field("request", "word", "what it asks of its readers", effects.REQUESTS),
)
FIELD_BY_NAME: Mapping[str, Field] = {field.name: field for field in FIELDS}


def attributes(value: Mapping[str, Any], provenance: Provenance) -> dict[str, Any]:
    """The attributes of an object. `tlp` is its own marking, "" without one, `red` when not understood."""
    marking = marked(value)
    level = marking.level
    return {
        **said_of_effects(value),
        "type": value["type"],
        "origin": provenance.origin,
        "owner": provenance.owner,
        "posted_here": provenance.posted_here,
        "authentic": provenance.authentic,
        "hops": provenance.hops,
        "creator": _text(value.get("created_by_ref")),
        "revoked": value.get("revoked") is True,
        "tlp": "" if level is None else level.word,
        "marked": level is not None,
        "pap": marking.pap,
        "confidence": _number(value.get("confidence")),
        "reviewed": provenance.reviewed,
    }


# the attributes that are properties of the object as they stand there
PROPERTIES: Mapping[str, str] = {"creator": "created_by_ref", "revoked": "revoked", "confidence": "confidence"}


def said_of_effects(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes that an object's effects extension gives it."""
    extensions = value.get("extensions")
    if value["type"] != "incident" or not isinstance(extensions, Mapping):
        return _NOTHING_SAID
    ours, core = extensions.get(effects.EXTENSION_ID), extensions.get(effects.INCIDENT_CORE_ID)
    if not isinstance(ours, Mapping):
        return _NOTHING_SAID
    asked: dict[str, Any] = {name: ours[name] for name in _READ if name in ours}
    reduced = {"type": "incident", "extensions": {effects.EXTENSION_ID: asked, effects.INCIDENT_CORE_ID: core}}
    form = _FORM.encode(reduced)
    said = _SAID.get(form)
    if said is None:
        found = read_effects(reduced)
        said = _NOTHING_SAID if found is None else _said(found)
        if len(form) <= _LONGEST_KEPT:
            if len(_SAID) >= _MOST_KEPT:
                _SAID.clear()
            _SAID[form] = said
    return said


# Many incidents say the same, and each is asked once by every collection: what a form says never changes.
_SAID: dict[bytes, Mapping[str, Any]] = {}
_MOST_KEPT, _LONGEST_KEPT = 4_000, 4_000  # forms, bytes
_FORM = msgspec.json.Encoder(decimal_format="number")  # so that no number looks like a text

# what `_said` speaks of: reading the rest, times above all, would take half of the time that judging takes
_READ = (
    "effect_type",
    "effects",
    "means",
    "stage",
    "root_cause",
    "actor_type",
    "motives",
    "claimed_by",
    "sectors",
    "countries",
    "cluster",
    "severity",
    "victim_count",
    "classified",
    "public_core",
    "trans_border",
    "significant",
    "request",
)


def _said(found: Findings) -> dict[str, Any]:
    """What the effects extension says."""
    return {
        "effect_type": found.effect_type,
        "effects": [effect.effect for effect in found.effects],
        "means": list(found.means),
        "stage": found.stage or "",
        "root_cause": found.root_cause or "",
        "actor_type": found.actor_type or "",
        "motives": list(found.motives),
        "claimed_by": found.claimed_by or "",
        "sectors": list(found.sectors),
        "countries": list(found.countries),
        "cluster": found.cluster or "",
        "severity": _severity(found),
        "victim_count": found.victim_count,
        "determination": found.determination or "",
        "investigation_status": found.investigation_status or "",
        "basis": (found.classified.basis if found.classified else None) or "",
        "public_core": [core.element for core in found.public_core],
        "trans_border": found.trans_border,
        "significant": found.significant,
        "request": found.request.type if found.request else "",
    }


def is_sector(text: str) -> bool:
    """Whether a text is a sector as the effects extension writes it: `naics:52`, `nis2:energy/oil`."""
    return _SECTOR.fullmatch(text) is not None


def within(sector: str, outer: str) -> bool:
    """Whether a sector lies in another: `naics:522110` in `naics:52`, `nis2:energy/oil` in `nis2:energy`."""
    if sector == outer:
        return True
    return sector.startswith(outer if outer.startswith("naics:") else f"{outer}/")


def _severity(found: Findings) -> Any:
    index = found.severity.disruption_index if found.severity else None
    return None if index is None else index.best


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> Any:
    return value if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


# an object without the extension has no type, not an undetermined one
_NOTHING_SAID: Mapping[str, Any] = _said(Findings()) | {"effect_type": ""}
OF_EFFECTS = frozenset(_NOTHING_SAID)
