"""Weigh: from what rows and rules say of an incident to its effects, in a fixed order.

The order is the procedure's (taxonomy A.3, reference formats 5): no cyber action ends it; then what was
disrupted; then what was read or taken, and where it was; both only on two grounds of their own. What `decides`
outweighs what `supports`, that what `hints`; of equals on both sides, the disruptive side stands. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from tocsin.intake.statement import Said
from tocsin.stix.effects import (
    DISRUPTIVE,
    EXPLOITIVE,
    Answer,
    Answers,
    Basis,
    Derivation,
    answers_implied_by,
    derive,
    in_order,
)
from tocsin.stix.incident import Effect

LOW = 50  # below this confidence a person should look
_STAGES_WITHOUT_EFFECT = ("near-miss", "foothold", "attempt", "exposure", "threat")


@dataclass(frozen=True, slots=True)
class Weighed:
    """What came out: effects with confidence, the answers behind them, and why a person should look."""

    effects: tuple[Effect, ...]
    derivation: Derivation
    answers: Answers
    stage: str
    confidence: int
    reasons: tuple[str, ...]
    used: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class _Side:
    """The evidence for one half of the type at the level that counts for it."""

    level: int
    said: tuple[Said, ...]

    @property
    def strongest(self) -> int:
        return max((said.statement.percent for said in self.said), default=0)

    @property
    def grounds(self) -> frozenset[str]:
        return frozenset(said.ground for said in self.said)


_NOTHING = _Side(0, ())


def weigh(everything: Sequence[Said]) -> Weighed:
    """The effects that these clauses amount to. Deterministic; the order of clauses does not matter."""
    action, about_action = _cyber_action(everything)
    ceiling = min(
        (said.statement.at_most for said in everything if said.statement.at_most is not None), default=100
    )
    if action == "no":
        return _without_effect(Answers(cyber_action="no"), about_action, everything, ceiling, ())
    nothing = _strongest(said for said in everything if said.statement.effect_achieved == "no")
    if nothing.level == 3:
        answers = Answers(cyber_action=action, effect_achieved="no")
        return _without_effect(answers, nothing.said, everything, ceiling, _denied(nothing, everything))
    disruptive = _strongest(said for said in everything if said.statement.disrupts)
    exploitive = _strongest(said for said in everything if said.statement.takes)
    refused = tuple(said for said in everything if said.statement.accessed == "no")
    if refused and exploitive.level < 3:
        exploitive = _NOTHING
    disruptive, exploitive, reasons = _which(disruptive, exploitive)
    if refused and exploitive.said:
        reasons = (*reasons, "the record says both that information was disclosed and that it was not")
    if nothing.level > max(disruptive.level, exploitive.level):
        open_questions = tuple(said for said in everything if said.statement.open)
        if not open_questions:
            answers = Answers(cyber_action=action, effect_achieved="no", accessed="no" if refused else "unknown")
            return _without_effect(answers, nothing.said, everything, ceiling, reasons)
        disruptive = exploitive = _NOTHING
    return _with_effect(action, disruptive, exploitive, everything, ceiling, reasons, bool(refused))


def _denied(nothing: _Side, everything: Sequence[Said]) -> tuple[str, ...]:
    """Why a person should look: one and the same ground says that there was an effect, and that there was none."""
    told = (said for said in everything if said.statement.effect and said.statement.level == 3)
    if any(said.ground in nothing.grounds for said in told):
        return ("the record says both that there was an effect and that there was none",)
    return ()


def _cyber_action(everything: Sequence[Said]) -> tuple[Answer, tuple[Said, ...]]:
    """Q0. What is `not-cyber` outweighs; then yes, an open question, no; silence is an open question."""
    denied = tuple(said for said in everything if said.statement.not_cyber)
    if denied:
        return "no", denied
    given: dict[str, list[Said]] = {"yes": [], "unknown": [], "no": []}
    for said in everything:
        if answer := said.statement.cyber_action:
            given[answer].append(said)
        elif said.statement.effect is not None and said.basis == "reported":
            given["yes"].append(said)
    if given["yes"]:
        return "yes", tuple(given["yes"])
    if given["unknown"] or not given["no"]:
        return "unknown", tuple(given["unknown"])
    return "no", tuple(given["no"])


def _strongest(given: Iterable[Said]) -> _Side:
    said = tuple(given)
    level = max((one.statement.level for one in said), default=0)
    return _Side(level, tuple(one for one in said if one.statement.level == level))


def _which(disruptive: _Side, exploitive: _Side) -> tuple[_Side, _Side, tuple[str, ...]]:
    """Which sides stand. Both, only where both are decided and each has a ground of its own."""
    if disruptive.level == exploitive.level == 3:
        if len(disruptive.grounds | exploitive.grounds) > 1 or _reported(disruptive, exploitive):
            return disruptive, exploitive, ()
        text = "disruption and disclosure rest on one ground; only one is counted"
        if disruptive.strongest >= exploitive.strongest:
            return disruptive, _NOTHING, (text,)
        return _NOTHING, exploitive, (text,)
    if exploitive.level > disruptive.level:
        weaker = disruptive.level == 2
        text = "a disruption is told too, on a weaker ground: " + ", ".join(_labels(disruptive))
        return _NOTHING, exploitive, (text,) if weaker else ()
    return disruptive, _NOTHING, ()


def _reported(*sides: _Side) -> bool:
    """Labels that the source itself gave need no second ground."""
    return all(any(said.basis == "reported" for said in side.said) for side in sides)


def _labels(side: _Side) -> list[str]:
    return list(in_order(said.statement.effect for said in side.said if said.statement.effect))


def _without_effect(
    answers: Answers,
    grounds: tuple[Said, ...],
    everything: Sequence[Said],
    ceiling: int,
    reasons: tuple[str, ...],
) -> Weighed:
    derivation = derive(answers)
    confidence = min(ceiling, max((said.statement.percent for said in grounds), default=0))
    used = (*grounds, *_bystanders(everything))
    told = {said.statement.stage for said in everything if said.statement.stage}
    if derivation.effect_type == "not-cyber":
        stage = next((stage for stage in ("near-miss", "exposure") if stage in told), "unknown")
    else:
        stage = next((stage for stage in _STAGES_WITHOUT_EFFECT if stage in told), "unknown")
    low = (f"low confidence ({confidence})",) if confidence < LOW else ()
    return Weighed((), derivation, answers, stage, confidence, _unique(*reasons, *low, *_reviews(used)), used)


def _with_effect(
    action: Answer,
    disruptive: _Side,
    exploitive: _Side,
    everything: Sequence[Said],
    ceiling: int,
    reasons: tuple[str, ...],
    refused: bool,
) -> Weighed:
    places = _places(exploitive, everything)
    effects = [
        *_disruptive_effects(disruptive, ceiling),
        *_exploitive_effects(exploitive, places, ceiling),
    ]
    labels = tuple(effect.effect for effect in effects)
    answers, derivation = _answered(action, labels, bool(disruptive.said), bool(exploitive.said), refused)
    used = (*disruptive.said, *exploitive.said, *places.said, *_bystanders(everything))
    confidence = min(
        (effect.confidence for effect in effects), default=_unlabelled(disruptive, exploitive, ceiling)
    )
    found = [*reasons]
    found += [
        f"low confidence ({effect.confidence}) in {effect.effect}" for effect in effects if effect.confidence < LOW
    ]
    if derivation.effect_type == "undetermined":
        found.append("the record does not say what the effect was")
    elif exploitive.said and not any(effect.effect in EXPLOITIVE for effect in effects):
        found.append("the record does not say where the information was")
    elif disruptive.said and not any(effect.effect in DISRUPTIVE for effect in effects):
        found.append("the record does not say what was disrupted")
    if action == "unknown" and derivation.effect_type != "undetermined":
        found.append("the record does not say whether it was a cyber action")
    stage = _stage_of(derivation, everything)
    reviews = _reviews(used)
    return Weighed(tuple(effects), derivation, answers, stage, confidence, _unique(*found, *reviews), used)


@cache
def _answered(
    action: Answer, labels: tuple[str, ...], disrupted: bool, taken: bool, refused: bool
) -> tuple[Answers, Derivation]:
    """The answers that labels and sides amount to, and what follows from them."""
    answers = Answers(cyber_action=action)
    for label in labels:
        answers = answers.with_answers_of(answers_implied_by(label))
    if disrupted:
        answers = answers.with_answers_of(Answers(effect_achieved="yes", impaired="yes"))
    if taken:
        answers = answers.with_answers_of(Answers(effect_achieved="yes", accessed="yes"))
    elif refused:
        answers = answers.with_answers_of(Answers(accessed="no"))
    return answers, derive(answers)


def _unlabelled(disruptive: _Side, exploitive: _Side, ceiling: int) -> int:
    """The confidence of a type without a label: that of the evidence for it."""
    sides = [side.strongest for side in (disruptive, exploitive) if side.said]
    return min([*sides, ceiling]) if sides else 0


def _stage_of(derivation: Derivation, everything: Sequence[Said]) -> str:
    if any(said.statement.determination == "suspected" for said in everything):
        return "unknown"  # an effect that nobody confirmed is not published as one that happened
    if derivation.effect_type != "undetermined":
        return "effect"
    return "foothold" if any(said.statement.stage == "foothold" for said in everything) else "unknown"


def _disruptive_effects(side: _Side, ceiling: int) -> list[Effect]:
    found = []
    for label in _labels(side):
        if label not in DISRUPTIVE:
            continue
        behind = [said for said in side.said if said.statement.effect == label]
        found.append(_effect(label, behind, max(said.statement.percent for said in behind), ceiling))
    return found


def _places(exploitive: _Side, everything: Sequence[Said]) -> _Side:
    """Where the information was: the strongest that any clause says of it."""
    if not exploitive.said:
        return _NOTHING
    return _strongest(said for said in everything if said.statement.labels)


def _exploitive_effects(exploitive: _Side, places: _Side, ceiling: int) -> list[Effect]:
    """A label is as sure as the taking and as the place; a clause that names both at once stands by itself."""
    by_label: dict[str, list[Said]] = {}
    for said in places.said:
        for label in said.statement.labels:
            by_label.setdefault(label, []).append(said)
    found = []
    for label in in_order(by_label):
        behind = by_label[label]
        place = max(said.statement.percent for said in behind)
        itself = max(
            (said.statement.percent for said in exploitive.said if said.statement.effect == label), default=0
        )
        taken = [said for said in exploitive.said if said.statement.accessed is not None]
        sure = max((said.statement.percent for said in taken), default=itself or exploitive.strongest)
        found.append(_effect(label, [*behind, *exploitive.said], max(itself, min(place, sure)), ceiling))
    return found


def _effect(label: str, behind: Sequence[Said], confidence: int, ceiling: int) -> Effect:
    basis: Basis = "reported" if any(said.basis == "reported" for said in behind) else "mapped"
    return Effect(label, min(confidence, ceiling), basis, behind[0].rule)


def _bystanders(everything: Sequence[Said]) -> tuple[Said, ...]:
    """Clauses that say nothing of effects: they always count (a ceiling, a review, an actor …)."""
    return tuple(said for said in everything if not said.statement.evidence)


def _reviews(used: Sequence[Said]) -> list[str]:
    return [said.statement.review for said in used if said.statement.review]


def _unique(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
