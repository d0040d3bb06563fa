"""Decision: what a policy says of one object in one collection, with the rules that said it."""

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
    """May enter as a redacted copy without what `groups` name; `keep` is what every redacting rule keeps."""

    groups: frozenset[str]
    keep: frozenset[str]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Deny:
    """May not be here; what stands is withdrawn."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Stuck:
    """A rule could not be judged: nothing new enters, nothing that stands is withdrawn."""

    reasons: tuple[Reason, ...]


Decision = Whole | Copy | Deny | Stuck
