"""Decision: what a policy says of one object in one collection, with the rules that said it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: the id of a rule, or a built-in one (`clearance` `unmarked` `marking` `silence`), and a sentence."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Whole:
    """May enter as it is."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """May enter as a redacted copy without what `groups` name; `keep` is what every redacting rule keeps.

    `pseudonyms`: for how many seconds a pseudonym stands for the same victim; None: there are none.
    """

    groups: frozenset[str]
    keep: frozenset[str]
    reasons: tuple[Reason, ...]
    pseudonyms: int | None = None


def shortest(periods: Iterable[int | None]) -> int | None:
    """The period of pseudonyms that all who hide victims agree on: none where one of them asks for none."""
    asked = list(periods)
    return min((one for one in asked if one is not None), default=None) if None not in asked else None


@dataclass(frozen=True, slots=True)
class Deny:
    """May not be here; what stands is withdrawn."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Stuck:
    """A rule could not be judged: nothing new enters, nothing that stands is withdrawn."""

    reasons: tuple[Reason, ...]


Decision = Whole | Copy | Deny | Stuck
