"""Filtering: the options of `tocsin incidents`, by the names that rules, the API and `tocsin fields` use too."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.cli.listing import Seen
from tocsin.documents import nearest
from tocsin.errors import BadInput
from tocsin.policy.attributes import ANY_ORIGIN, FIELD_BY_NAME, within
from tocsin.policy.configuration import Configuration
from tocsin.stix.effects import NIS2_SECTORS
from tocsin.stix.markings import tlp_from_word

# option → the name of the attribute that it asks for
WORD_OPTIONS: Mapping[str, str] = {
    "type": "effect_type",  # every incident has the same STIX type
    "effect": "effects",
    "means": "means",
    "stage": "stage",
    "sector": "sectors",
    "country": "countries",
    "determination": "determination",
    "actor-type": "actor_type",
    "motive": "motives",
}
_NAICS = re.compile(r"^(naics:)?[1-9]\d{1,5}$", re.ASCII)
_SUBSECTOR = re.compile(r"^[a-z][a-z0-9-]{0,62}$", re.ASCII)
_COUNTRY = re.compile(r"^[A-Z]{2}$", re.ASCII)
_MOST = 100  # of a confidence, and of the cyber disruption index
_COMPARISON = re.compile(r"^(>=|<=|<|>|=)?\s*(\d+(?:\.\d+)?)$")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">=": lambda given, wanted: given >= wanted,
    "<=": lambda given, wanted: given <= wanted,
    ">": lambda given, wanted: given > wanted,
    "<": lambda given, wanted: given < wanted,
    "=": lambda given, wanted: given == wanted,
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What was asked for; all of it must hold, and of several values of one option any.

    `words` are by option of WORD_OPTIONS. Numbers are comparisons, such as `>=3`.
    """

    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tlp: Sequence[str] = ()
    origin: str | None = None
    source: str | None = None
    review: bool = False
    waiting: bool = False
    held: bool = False
    inside: str | None = None
    outside: str | None = None
    confidence: str | None = None
    severity: str | None = None

    def test(self, configuration: Configuration) -> Callable[[Seen], bool]:
        """The filter as one question. Raises BadInput for a word that nothing can have, with the nearest one."""
        tests = [
            *(_word_test(option, wanted) for option, wanted in self.words.items() if wanted),
            *self._tlp(),
            *self._whence(configuration),
            *self._whereto(configuration),
            *(_number_test(name, wanted) for name, wanted in self._numbers() if wanted),
            *(_flag_test(name) for name in ("needs_review", "waiting", "held") if self._flags()[name]),
        ]
        return lambda seen: all(test(seen) for test in tests)

    def _flags(self) -> dict[str, bool]:
        return {"needs_review": self.review, "waiting": self.waiting, "held": self.held}

    def _numbers(self) -> tuple[tuple[str, str | None], ...]:
        return ("confidence", self.confidence), ("severity", self.severity)

    def _tlp(self) -> list[Callable[[Seen], bool]]:
        if not self.tlp:
            return []
        wanted = {"" if word == "none" else tlp_from_word(word).word for word in self.tlp}
        return [lambda seen: seen.attributes["tlp"] in wanted]

    def _whence(self, configuration: Configuration) -> list[Callable[[Seen], bool]]:
        tests: list[Callable[[Seen], bool]] = []
        origin, source = self.origin, self.source
        if origin is not None and origin != ANY_ORIGIN:
            known = ["ours", *configuration.settings.accounts, *configuration.settings.peers]
            _check_word("origin", origin, known)
            tests.append(lambda seen: seen.attributes["origin"] == origin)
        if source is not None:
            tests.append(lambda seen: seen.record is not None and seen.record.source == source)
        return tests

    def _whereto(self, configuration: Configuration) -> list[Callable[[Seen], bool]]:
        tests: list[Callable[[Seen], bool]] = []
        inside, outside = self.inside, self.outside
        for key in (inside, outside):
            if key is not None:
                _check_word("collection", key, configuration.settings.collections)
        if inside is not None:
            tests.append(lambda seen: inside in seen.stands)
        if outside is not None:
            tests.append(lambda seen: outside not in seen.stands)
        return tests


def _word_test(option: str, wanted: Sequence[str]) -> Callable[[Seen], bool]:
    name = FIELD_BY_NAME[WORD_OPTIONS[option]]
    words = [word for given in wanted for word in given.split(",")]
    if name.name == "countries":
        words = [word.upper() for word in words]
    for word in words:
        if name.name == "sectors":
            _check_sector(word)
        elif name.name == "countries":
            _check_country(word)
        elif name.values is not None:
            _check_word(option, word, name.values)

    def test(seen: Seen) -> bool:
        given: Any = seen.attributes[name.name]
        if name.name == "sectors":
            return any(_in_sector(sector, outer) for sector in given for outer in words)
        return given in words if isinstance(given, str) else not set(given).isdisjoint(words)

    return test


def _in_sector(sector: str, outer: str) -> bool:
    """A sector may be asked for without its scheme: `health`, `52`."""
    return any(within(sector, named) for named in (outer, f"nis2:{outer}", f"naics:{outer}"))


def _check_sector(word: str) -> None:
    if _NAICS.match(word):
        return
    outer, _, inner = word.removeprefix("nis2:").partition("/")
    if outer not in NIS2_SECTORS or (inner and not _SUBSECTOR.match(inner)):
        near = nearest(outer, NIS2_SECTORS) or f" ({' '.join(NIS2_SECTORS)}; or naics:52)"
        raise BadInput(f"unknown sector {word!r}{near}")


def _check_country(word: str) -> None:
    if not _COUNTRY.match(word):
        raise BadInput(f"unknown country {word!r}: two letters (ISO 3166-1), such as EE")


def _check_within(name: str, wanted: float) -> None:
    if not 0 <= wanted <= _MOST:
        raise BadInput(f"--{name} {wanted:g}: it is between 0 and {_MOST}")


def _number_test(name: str, comparison: str) -> Callable[[Seen], bool]:
    match = _COMPARISON.match(comparison.strip())
    if not match:
        raise BadInput(f"--{name} {comparison!r}: a number, or a comparison such as '>=50'")
    compare, wanted = _COMPARE[match[1] or "="], float(match[2])
    _check_within(name, wanted)

    def test(seen: Seen) -> bool:
        given = seen.attributes[name]
        return given is not None and compare(float(given), wanted)

    return test


def _flag_test(name: str) -> Callable[[Seen], bool]:
    return lambda seen: bool(getattr(seen, name))


def _check_word(kind: str, word: str, known: Any) -> None:
    if word not in known:
        words = nearest(word, known) or (f" ({' '.join(known)})" if known else "")
        raise BadInput(f"unknown {kind} {word!r}{words}")
