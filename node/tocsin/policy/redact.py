"""Redact: the copy of an object that stands in a collection instead of it, built up and not cut down."""

from tocsin.errors import TocsinError

GROUPS: tuple[str, ...] = (
    "victim",
    "reporter",
    "narrative",
    "references",
    "attribution",
    "victim-observables",
    "attacker-observables",
    "exact-times",
    "severity-inputs",
    "answers",
)
KEEPS: tuple[str, ...] = (
    "narrative",
    "names",
    "references",
    "labels",
    "exact-times",
    "unknown-properties",
    "unknown-extensions",
)


class CopyImpossible(TocsinError):
    """No copy of this object can be made; the text says why."""
