"""Effects: what happened to the victim, in ten categories, and the procedure that finds them.

Categories, questions and the procedure: taxonomy A.2, A.3; the specification for strangers is
`extensions/effects/README.md`. Unknown never becomes "no": an answer that nobody gave leaves its question open
and says so in a flag. Pure; the texts of the categories are data (`extensions/effects/categories.json`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final, Literal, get_args

from tocsin.resources import data_dir

Answer = Literal["yes", "no", "unknown"]
Place = Literal["transit", "network", "server", "end-host", "sensor"]
EffectType = Literal["disruptive", "exploitive", "mixed", "undetermined", "no-effect", "not-cyber"]
Stage = Literal["threat", "exposure", "attempt", "near-miss", "foothold", "effect", "unknown"]
RootCause = Literal["malicious", "system-failure", "human-error", "natural", "third-party", "unknown"]
ActorType = Literal["criminal", "hacktivist", "nation-state", "hobbyist", "terrorist", "undetermined"]
ClaimedBy = Literal["victim", "third-party", "attacker", "press", "authority"]
Basis = Literal["reported", "mapped", "assessed"]
RequestType = Literal["information", "assistance", "mitigation", "consultation", "preservation"]
Fidelity = Literal["year", "month", "day", "hour", "minute", "second"]
Determination = Literal["suspected", "confirmed", "blocked", "failed-attempt", "false-positive"]
InvestigationStatus = Literal["new", "open", "closed"]

# The fixed order of effects, wherever several are written: the same findings give the same bytes.
DISRUPTIVE: Final = (
    "message-manipulation",
    "external-denial-of-service",
    "internal-denial-of-service",
    "data-attack",
    "physical-attack",
)
EXPLOITIVE: Final = (
    "exploitation-of-sensors",
    "exploitation-of-end-hosts",
    "exploitation-of-network-infrastructure",
    "exploitation-of-application-server",
    "exploitation-of-data-in-transit",
)
EFFECTS: Final = DISRUPTIVE + EXPLOITIVE

EFFECT_TYPES: Final[tuple[str, ...]] = get_args(EffectType)
STAGES: Final[tuple[str, ...]] = get_args(Stage)
MEANS: Final = (
    "ransomware",
    "wiper",
    "ddos",
    "defacement",
    "account-takeover",
    "phishing",
    "exploited-vulnerability",
    "supply-chain",
    "insider",
    "malware-other",
    "unknown",
)
ROOT_CAUSES: Final[tuple[str, ...]] = get_args(RootCause)
ACTOR_TYPES: Final[tuple[str, ...]] = get_args(ActorType)
MOTIVES: Final = (
    "financial",
    "protest",
    "political-espionage",
    "industrial-espionage",
    "sabotage",
    "personal-attack",
    "undetermined",
)
CLAIMED_BY: Final[tuple[str, ...]] = get_args(ClaimedBy)
BASES: Final[tuple[str, ...]] = get_args(Basis)
REQUESTS: Final[tuple[str, ...]] = get_args(RequestType)
FIDELITIES: Final[tuple[str, ...]] = get_args(Fidelity)
PLACES: Final[tuple[str, ...]] = get_args(Place)
# OASIS incident core (draft of 20 February 2024)
DETERMINATIONS: Final[tuple[str, ...]] = get_args(Determination)
INVESTIGATION_STATUSES: Final[tuple[str, ...]] = get_args(InvestigationStatus)
# NIS2 Annex I and II, in our spelling; a subsector follows after a slash, in the reporter's spelling.
NIS2_SECTORS: Final = (
    "energy",
    "transport",
    "banking",
    "financial-market-infrastructure",
    "health",
    "drinking-water",
    "waste-water",
    "digital-infrastructure",
    "ict-service-management",
    "public-administration",
    "space",
    "postal-and-courier",
    "waste-management",
    "chemicals",
    "food",
    "manufacturing",
    "digital-providers",
    "research",
)
# taxonomy E.2: elements of the public core of the Internet
PUBLIC_CORE: Final = (
    "routing.transit-network",
    "routing.ixp",
    "routing.authenticity",
    "naming.root",
    "naming.tld",
    "naming.resolver",
    "naming.dnssec",
    "naming.registry-services",
    "numbering.registry",
    "crypto.ca",
    "crypto.ct-log",
    "crypto.revocation",
    "crypto.time-and-id",
    "transmission.submarine",
    "transmission.landing",
    "transmission.terrestrial",
    "transmission.satellite",
    "transmission.wireless",
    "software.core",
    "datacenter.core",
    "governance.multistakeholder",
)

# Worst first (taxonomy A.3): disruptive before exploitive, then nearest to equipment, or to the crown data.
_BY_WEIGHT: Final = (
    "physical-attack",
    "data-attack",
    "internal-denial-of-service",
    "external-denial-of-service",
    "message-manipulation",
    "exploitation-of-application-server",
    "exploitation-of-network-infrastructure",
    "exploitation-of-end-hosts",
    "exploitation-of-sensors",
    "exploitation-of-data-in-transit",
)
# Q3 and Q4: the answer that gives each category
_BY_QUESTION: Final[Mapping[str, str]] = {
    "message_changed": "message-manipulation",
    "service_flooded": "external-denial-of-service",
    "service_stopped": "internal-denial-of-service",
    "data_changed": "data-attack",
    "process_changed": "physical-attack",
}
_BY_PLACE: Final[Mapping[Place, str]] = {
    "sensor": "exploitation-of-sensors",
    "end-host": "exploitation-of-end-hosts",
    "network": "exploitation-of-network-infrastructure",
    "server": "exploitation-of-application-server",
    "transit": "exploitation-of-data-in-transit",
}


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to the deciding questions of taxonomy A.3, in their order; what nobody answered is `unknown`."""

    cyber_action: Answer = "unknown"  # Q0 was there an unauthorised cyber action?
    effect_achieved: Answer = "unknown"  # Q1 was any effect achieved on the target?
    impaired: Answer = "unknown"  # Q2 was an operation, data, a message or a process impaired?
    accessed: Answer = "unknown"  # Q2 was information accessed or taken?
    process_changed: Answer = "unknown"  # Q3a did a physical process or equipment change?
    message_changed: Answer = "unknown"  # Q3b was the victim's outward message changed or abused?
    data_changed: Answer = "unknown"  # Q3c was data altered, destroyed or encrypted, so that it must be restored?
    service_flooded: Answer = "unknown"  # Q3d unreachable, and the attacker needed no foothold?
    service_stopped: Answer = "unknown"  # Q3e unusable by an act from inside, with its data whole?
    places: frozenset[Place] = frozenset()  # Q4 where was the data when it left control?

    def with_answers_of(self, other: "Answers") -> "Answers":
        """Both sets of answers together: `yes` outweighs `no`, and either outweighs `unknown`."""
        weight = ("unknown", "no", "yes")
        merged: dict[str, Any] = {
            name: max(getattr(self, name), getattr(other, name), key=weight.index) for name in QUESTIONS
        }
        return Answers(**merged, places=self.places | other.places)


UNANSWERED: Final = Answers()
QUESTIONS: Final = tuple(field.name for field in fields(Answers) if field.name != "places")


@dataclass(frozen=True, slots=True)
class Derivation:
    """What the answers amount to. The flags say which half of the type nobody could rule out."""

    effects: tuple[str, ...]
    effect_type: EffectType
    disruptive_unknown: bool
    exploitive_unknown: bool
    primary: str | None


def derive(answers: Answers) -> Derivation:
    """The effects and the type that follow from the answers (taxonomy A.3).

    The order of the questions decides: a "no" at Q0, Q1 or Q2 closes what stands below it. A "yes" below an
    open question answers that question too. A type may stand without a label: impaired, nobody knows how.
    """
    if answers.cyber_action == "no":
        return Derivation((), "not-cyber", False, False, None)
    if answers.effect_achieved == "no":
        return Derivation((), "no-effect", False, False, None)
    impairments = {effect for question, effect in _BY_QUESTION.items() if getattr(answers, question) == "yes"}
    losses = {_BY_PLACE[place] for place in answers.places}
    impaired = "yes" if answers.impaired == "unknown" and impairments else answers.impaired
    accessed = "yes" if answers.accessed == "unknown" and losses else answers.accessed
    found = in_order((impairments if impaired == "yes" else set()) | (losses if accessed == "yes" else set()))
    match impaired, accessed:
        case "yes", "yes":
            kind: EffectType = "mixed"
        case "yes", _:
            kind = "disruptive"
        case _, "yes":
            kind = "exploitive"
        case "no", "no" if answers.effect_achieved == "unknown":
            kind = "no-effect"
        case _:
            kind = "undetermined"
    return Derivation(found, kind, impaired == "unknown", accessed == "unknown", primary_of(found))


def answers_implied_by(effect: str) -> Answers:
    """The answers that must have been "yes" for this category to be found. Raises KeyError for another word."""
    for question, category in _BY_QUESTION.items():
        if category == effect:
            implied: dict[str, Any] = {"impaired": "yes", question: "yes"}
            return Answers(cyber_action="yes", effect_achieved="yes", **implied)
    place = next((place for place, category in _BY_PLACE.items() if category == effect), None)
    if place is None:
        raise KeyError(effect)
    return Answers(cyber_action="yes", effect_achieved="yes", accessed="yes", places=frozenset({place}))


def answers_of(effects: Iterable[str]) -> Answers:
    """The answers implied by several categories together; everything else stays unknown."""
    answers = UNANSWERED
    for effect in effects:
        answers = answers.with_answers_of(answers_implied_by(effect))
    return answers


def in_order(effects: Iterable[str]) -> tuple[str, ...]:
    """Each category once, in the fixed order."""
    return tuple(sorted(set(effects), key=EFFECTS.index))


def primary_of(effects: Iterable[str]) -> str | None:
    """The one label that statistics count when they may count only one (taxonomy A.3)."""
    return min(effects, key=_BY_WEIGHT.index, default=None)


def contradictions(effects: Iterable[str], effect_type: str, answers: Answers) -> list[str]:
    """Sentences saying where labels, type and answers cannot all be true; an empty list when they can."""
    labels = set(effects)
    disruptive, exploitive = bool(labels & set(DISRUPTIVE)), bool(labels & set(EXPLOITIVE))
    found = []
    if disruptive and effect_type not in ("disruptive", "mixed"):
        found.append(f"effect_type is {effect_type!r}, yet a disruptive effect is given")
    if exploitive and effect_type not in ("exploitive", "mixed"):
        found.append(f"effect_type is {effect_type!r}, yet an exploitive effect is given")
    for effect in in_order(labels):
        implied = answers_implied_by(effect)
        found += [
            f"{effect} needs a yes to {question}, and the answer is no"
            for question in QUESTIONS
            if getattr(implied, question) == "yes" and getattr(answers, question) == "no"
        ]
    derived = derive(answers.with_answers_of(answers_of(labels)))
    if answers != UNANSWERED and derived.effect_type != effect_type:
        found.append(f"effect_type is {effect_type!r}, yet the answers give {derived.effect_type!r}")
    return found


@dataclass(frozen=True, slots=True)
class Category:
    """One category with its texts by language (`{"en": …}`)."""

    key: str
    kind: Literal["disruptive", "exploitive"]
    name: Mapping[str, str]
    definition: Mapping[str, str]
    question: Mapping[str, str]
    examples: Mapping[str, tuple[str, ...]]


@cache
def categories() -> tuple[Category, ...]:
    """The ten categories in their fixed order, with texts."""
    return tuple(
        Category(
            key=entry["key"],
            kind=entry["kind"],
            name=entry["name"],
            definition=entry["definition"],
            question=entry["question"],
            examples={language: tuple(texts) for language, texts in entry["examples"].items()},
        )
        for entry in _data("categories.json")["categories"]
    )


@cache
def type_names() -> Mapping[str, Mapping[str, str]]:
    """The name of each effect type by language."""
    return {entry["key"]: entry["name"] for entry in _data("categories.json")["types"]}


def _data(name: str) -> Any:
    return json.loads((data_dir("extensions") / "effects" / name).read_text(encoding="utf-8"))


EXTENSION_ID: Final = "extension-definition--979b915e-9bb9-46fb-bca8-5f5a86a32949"
EXTENSION_DEFINITION: Final[Mapping[str, Any]] = _data("extension-definition.json")
EXTENSION_CREATOR: Final[Mapping[str, Any]] = _data("identity.json")
# OASIS incident core, a property extension on `incident` (G.1)
INCIDENT_CORE_ID: Final = "extension-definition--ef765651-680c-498d-9894-99799f2fa126"
