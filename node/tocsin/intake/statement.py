"""Statement: what one clause of a mapping says, made ready to be weighed; and one that holds of a record.

A mapping is applied to millions of records, so what weighing asks of a clause is answered once, when it is read.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import NamedTuple

from tocsin.intake.language import CONFIDENCES, WEIGHTS, Clause, Row, Rule
from tocsin.stix.effects import DISRUPTIVE, EXPLOITIVE, Basis, answers_implied_by

# the category that stands for each place
_BY_PLACE = {place: effect for effect in EXPLOITIVE for place in answers_implied_by(effect).places}
# what a clause may say beside effects, by the names that the effects extension uses
_BESIDE = ("means", "actor_type", "motives", "root_cause", "claimed_by", "determination")


class Applied(NamedTuple):
    """One value of the translation, the rule that gave it, and the value of the source that the rule saw.

    A tuple, because it is made and compared by the dozen for each record.
    """

    field: str
    rule: str
    path: str
    value: str


class Unmapped(NamedTuple):
    """A value of the source that the mapping does not know."""

    path: str
    value: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One clause. `labels`: the exploitive categories that it names or its place stands for.

    `disrupts`, `takes`: it counts for that side. `evidence`: it says something of effects, so it counts only at
    the level that decides; other clauses always count. `open`: it says that the effect is an open question.
    """

    level: int
    percent: int
    cyber_action: str | None
    effect_achieved: str | None
    accessed: str | None
    not_cyber: bool
    effect: str | None
    labels: frozenset[str]
    at_most: int | None
    stage: str | None
    determination: str | None
    means: tuple[str, ...]
    actor_type: str | None
    motives: tuple[str, ...]
    root_cause: str | None
    claimed_by: str | None
    review: str | None
    disrupts: bool
    takes: bool
    evidence: bool
    open: bool
    weighed_fields: tuple[str, ...]
    other_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A statement that holds, with the rule it stands in, the value that it speaks of, and what follows from it.

    `weighed`: the values that it gives when it counts as evidence; `noted`: those that it gives always.
    """

    statement: Statement
    rule: str
    path: str
    value: str
    ground: str
    basis: Basis
    weighed: tuple[Applied, ...]
    noted: tuple[Applied, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A clause and the signs it needs: all of `if_`, none of `unless`."""

    statement: Statement
    if_: frozenset[str]
    unless: frozenset[str]

    def holds(self, signs: Set[str]) -> bool:
        return self.if_ <= signs and self.unless.isdisjoint(signs)


@dataclass(frozen=True, slots=True)
class Owner:
    """A row or a rule: its own clause, the signs it sets, and its cases. `always`: what it says needs no sign."""

    own: Case
    signs: frozenset[str]
    cases: tuple[Case, ...]
    always: bool


def owner_of(given: Row | Rule) -> Owner:
    own, cases = _case(given), tuple(_case(case) for case in given.cases)
    return Owner(own, frozenset(given.signs), cases, always=not (own.if_ or own.unless or cases))


def said_of(statement: Statement, rule: str, path: str, value: str, ground: str, basis: Basis) -> Said:
    """This statement, of this value at this path."""
    weighed = tuple(Applied(field, rule, path, value) for field in statement.weighed_fields)
    noted = tuple(Applied(field, rule, path, value) for field in statement.other_fields)
    return Said(statement, rule, path, value, ground, basis, weighed, noted)


def _case(clause: Clause) -> Case:
    return Case(_statement(clause), frozenset(clause.if_), frozenset(clause.unless))


def _statement(clause: Clause) -> Statement:
    answers = clause.answers
    effect_achieved, accessed = answers.get("effect_achieved"), answers.get("accessed")
    about_effects = {answers[name] for name in ("effect_achieved", "impaired", "accessed") if name in answers}
    return Statement(
        level=WEIGHTS[clause.weight],
        percent=CONFIDENCES["high"] if clause.confidence is None else clause.confidence,
        cyber_action=answers.get("cyber_action"),
        effect_achieved=effect_achieved,
        accessed=accessed,
        not_cyber=bool(clause.not_cyber),
        effect=clause.effect,
        labels=frozenset(_labels(clause)),
        at_most=clause.at_most,
        stage=clause.stage,
        determination=clause.determination,
        means=clause.means,
        actor_type=clause.actor_type,
        motives=clause.motives,
        root_cause=clause.root_cause,
        claimed_by=clause.claimed_by,
        review=clause.review,
        disrupts=clause.effect in DISRUPTIVE or answers.get("impaired") == "yes",
        takes=clause.effect in EXPLOITIVE or accessed == "yes",
        evidence=bool(clause.effect or clause.place or clause.not_cyber or about_effects - {"unknown"}),
        open="unknown" in (effect_achieved, accessed),
        weighed_fields=tuple(_weighed_fields(clause)),
        other_fields=tuple(name for name in _BESIDE if getattr(clause, name)),
    )


def _labels(clause: Clause) -> Iterator[str]:
    if clause.effect in EXPLOITIVE:
        yield clause.effect
    if clause.place:
        yield _BY_PLACE[clause.place]


def _weighed_fields(clause: Clause) -> Iterator[str]:
    if clause.effect or clause.place or clause.answers or clause.not_cyber:
        yield "effects"
    if clause.at_most is not None:
        yield "confidence"
    if clause.stage:
        yield "stage"
