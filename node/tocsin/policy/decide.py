"""Decide: may this object stand in this collection, whole or as a copy? Pure.

Every rule is read. One denial denies; redactions add up: a copy leaves out what any rule redacts, and keeps only
what every redacting rule keeps. No rule that allows: silence denies. A rule in error makes the object stuck,
which keeps it out and recalls nothing, unless another rule denies for certain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tocsin.policy.attributes import (
    ANY_ORIGIN,
    OF_EFFECTS,
    OURS,
    PROPERTIES,
    Provenance,
    attributes,
    said_of_effects,
    within,
)
from tocsin.policy.decision import Copy, Decision, Deny, Reason, Stuck, Whole, shortest
from tocsin.policy.expression import Data, ExpressionFailed, prepare
from tocsin.policy.rules import Policy, Range, Reader, Rule, Wanted
from tocsin.settings import CollectionSettings
from tocsin.stix.markings import Tlp, marked, tlp_from_word
from tocsin.stix.objects import FREE_TYPES

SILENCE = Reason("silence", "no rule allows it")


def decide(
    policy: Policy,
    collection: CollectionSettings,
    value: Mapping[str, Any],
    provenance: Provenance,
    readers: Sequence[Reader],
) -> Decision:
    """What the policy says of this object in this collection, for all its readers together.

    Markings and extension definitions need no rule: they enter whole when their own TLP permits.
    """
    return _decide(policy, collection, value, provenance, readers, needs_allow=True)


def decide_creator(
    policy: Policy,
    collection: CollectionSettings,
    value: Mapping[str, Any],
    provenance: Provenance,
    readers: Sequence[Reader],
) -> Decision:
    """The same for a creator's identity that enters because an object names it: it needs no rule that allows."""
    return _decide(policy, collection, value, provenance, readers, needs_allow=False)


@dataclass(slots=True)
class Precedents:
    """The decisions of one policy in one collection: what is alike in all that its rules ask for is decided alike.

    A thousand objects of one writer often differ in nothing that a rule asks for. Where a rule looks into the
    object itself, or parts of the object are marked by themselves, each is decided anew.
    """

    policy: Policy
    collection: CollectionSettings
    readers: Sequence[Reader]
    _sees_all: bool = field(init=False)  # a rule looks into the objects themselves
    _properties: tuple[str, ...] = field(init=False)  # of the object, that rules ask for
    _effects: tuple[str, ...] = field(init=False)  # attributes of its effects extension, that rules ask for
    _decided: dict[tuple[Any, ...], Decision] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        rules = self.policy.rules
        asked = {name for rule in rules for name in (*rule.match, *rule.asks_for)}
        self._sees_all = any(rule.looks_inside for rule in rules)
        self._properties = tuple(PROPERTIES[name] for name in sorted(asked & PROPERTIES.keys()))
        self._effects = tuple(sorted(asked & OF_EFFECTS))

    def decide(self, value: Mapping[str, Any], provenance: Provenance) -> Decision:
        """The same as `decide`."""
        if self._sees_all or "granular_markings" in value or value["type"] in FREE_TYPES:
            return decide(self.policy, self.collection, value, provenance, self.readers)
        alike: tuple[Any, ...] = (
            provenance,
            value["type"],
            tuple(value.get("object_marking_refs", ())),
            *(_exactly(value.get(name)) for name in self._properties),
        )
        if self._effects:
            said = said_of_effects(value)
            alike += tuple(
                tuple(found) if isinstance(found := said[name], list) else _exactly(found)
                for name in self._effects
            )
        decision = self._decided.get(alike)
        if decision is None:
            decision = decide(self.policy, self.collection, value, provenance, self.readers)
            if len(self._decided) < _MOST_PRECEDENTS:
                self._decided[alike] = decision
        return decision


_MOST_PRECEDENTS = 10_000


def _exactly(value: Any) -> Any:
    """50 and 50.0 are equal here, but not alike to an expression."""
    return (type(value), value) if isinstance(value, int | float | Decimal) else value


def counts_as(collection: CollectionSettings, value: Mapping[str, Any], provenance: Provenance) -> Tlp:
    """The level that an object stands at in this collection.

    Without a TLP it is the collection's `unmarked`, looser than amber+strict only for our own objects and what
    this collection's writers posted into it. A marking that is not understood counts as RED.
    """
    level = marked(value).level
    if level is not None:
        return level
    assumed = _level(collection.unmarked)
    if provenance.origin == OURS or provenance.posted_here:
        return assumed
    return max(assumed, Tlp.AMBER_STRICT)


def _decide(
    policy: Policy,
    collection: CollectionSettings,
    value: Mapping[str, Any],
    provenance: Provenance,
    readers: Sequence[Reader],
    *,
    needs_allow: bool,
) -> Decision:
    if value["type"] in FREE_TYPES:
        return _decide_free(collection, value)
    level = counts_as(collection, value, provenance)
    above = _above_clearance(collection, value, level)
    case = _Case(attributes(value, provenance) | {"tlp": level.word}, value, tuple(readers))
    applied: list[Rule] = []
    in_error: list[tuple[Rule, Reason]] = []
    for rule in policy.rules:
        if rule.then == "allow" and not _covers(rule, provenance):
            continue
        try:
            if case.meets(rule):
                applied.append(rule)
        except _RuleFailed as why:
            in_error.append((rule, Reason(rule.id, f"in error: {why}")))
    return _verdict(above, applied, in_error, needs_allow=needs_allow)


def _verdict(
    above: Sequence[Reason], applied: Sequence[Rule], in_error: Sequence[tuple[Rule, Reason]], *, needs_allow: bool
) -> Decision:
    denials = (*above, *(rule.said for rule in applied if rule.then == "deny"))
    if denials:
        return Deny(denials)
    allows = tuple(rule.said for rule in applied if rule.then == "allow")
    could_allow = bool(allows) or any(rule.then == "allow" for rule, _ in in_error)
    if needs_allow and not could_allow:
        return Deny((SILENCE,))
    if in_error:
        return Stuck(tuple(reason for _, reason in in_error))
    redacting = [rule for rule in applied if rule.then == "redact"]
    if redacting:
        groups = frozenset().union(*(rule.redact for rule in redacting))
        keep = frozenset.intersection(*(rule.keep for rule in redacting)) - groups
        pseudonyms = shortest(rule.pseudonyms for rule in redacting if "victim" in rule.redact)
        return Copy(groups, keep, tuple(rule.said for rule in redacting), pseudonyms)
    return Whole(allows)


def _decide_free(collection: CollectionSettings, value: Mapping[str, Any]) -> Decision:
    level = marked(value).level
    above = () if level is None else _above_clearance(collection, value, level)
    return Deny(above) if above else Whole(())


def _above_clearance(collection: CollectionSettings, value: Mapping[str, Any], level: Tlp) -> tuple[Reason, ...]:
    clearance = _level(collection.clearance)
    if level <= clearance:
        return ()
    marking = marked(value)
    limit = f"this collection holds at most {clearance.label}"
    if marking.level is None:
        return (Reason("unmarked", f"it bears no TLP and counts as {level.label}; {limit}"),)
    if marking.reason and level is Tlp.RED:
        return (Reason("marking", f"{marking.reason}, so it counts as {level.label}; {limit}"),)
    said = marking.reason or f"it is {level.label}"
    return (Reason("clearance", f"{said}; {limit}"),)


_level = lru_cache(maxsize=64)(tlp_from_word)


def _covers(rule: Rule, provenance: Provenance) -> bool:
    """Without an `origin`, an allow rule speaks of our own objects and this collection's posts."""
    return "origin" in rule.match or provenance.origin == OURS or provenance.posted_here


class _RuleFailed(Exception):
    """Why a rule could not be judged."""


@dataclass(slots=True)
class _Case:
    """One object before the rules: its attributes, and who would read it."""

    attributes: Mapping[str, Any]
    value: Mapping[str, Any]
    readers: tuple[Reader, ...]
    _data: dict[tuple[frozenset[str], bool], Data] = field(default_factory=dict)  # by what is asked for

    def meets(self, rule: Rule) -> bool:
        """Whether a rule applies. Raises _RuleFailed when that cannot be told."""
        if rule.depends_on_readers and not self.readers:
            raise _RuleFailed("it asks about readers, and the collection has none")
        return all(self._holds(key, wanted) for key, wanted in rule.match.items()) and self._when(rule)

    def _holds(self, key: str, wanted: Wanted) -> bool:
        match wanted:
            case bool():
                given = self.attributes[key]
                return bool(given) is wanted if isinstance(given, list) else given is wanted
            case Range(at_least, at_most):
                number = self.attributes[key]
                return (
                    number is not None
                    and (at_least is None or number >= at_least)
                    and (at_most is None or number <= at_most)
                )
            case _ if key.startswith("readers_"):
                return self._some_reader(key, wanted)
            case _:
                given = self.attributes[key]
                if key == "origin" and ANY_ORIGIN in wanted:
                    return True
                if key == "sectors":
                    return any(within(sector, outer) for sector in given for outer in wanted)
                return given in wanted if isinstance(given, str) else not set(given).isdisjoint(wanted)

    def _some_reader(self, key: str, wanted: tuple[str, ...]) -> bool:
        """Whether some reader is one of these, or for `readers_outside` is none of these.

        Each reader is asked, so that one of whom we do not know it is never passed over.
        """
        answers = [self._is_one(reader, key, wanted) for reader in self.readers]
        return any(answers)

    def _is_one(self, reader: Reader, key: str, wanted: tuple[str, ...]) -> bool:
        match key:
            case "readers_in":
                return _known(reader, "country") in wanted
            case "readers_outside":
                return _known(reader, "country") not in wanted
            case "readers_kind":
                return reader.kind in wanted
            case "readers_sectors":
                return any(within(sector, outer) for sector in _known(reader, "sectors") for outer in wanted)
            case _:
                return not set(_known(reader, "communities")).isdisjoint(wanted)

    def _when(self, rule: Rule) -> bool:
        if rule.when is None:
            return True
        asked = (rule.asks_for, rule.looks_inside)
        if asked not in self._data:
            said = {name: self.attributes[name] for name in rule.asks_for}
            self._data[asked] = _data(said, self.value if rule.looks_inside else {}, self.readers)
        try:
            answer = rule.when.value(self._data[asked])
        except ExpressionFailed as why:
            raise _RuleFailed(str(why)) from why
        if not isinstance(answer, bool):
            raise _RuleFailed(f"`when` gives {type(answer).__name__}, not true or false")
        return answer


def _known(reader: Reader, name: str) -> Any:
    found = getattr(reader, name)
    if found is None:
        raise _RuleFailed(f"the configuration does not say the {name} of reader {reader.name!r}")
    return found


def _data(attributes: Mapping[str, Any], value: Mapping[str, Any], readers: Sequence[Reader]) -> Data:
    named = {f"object.{name}": found for name, found in attributes.items()}
    return prepare(named | {"stix": value}).beside(_readers(tuple(readers)))


@lru_cache(maxsize=64)
def _readers(readers: tuple[Reader, ...]) -> Data:
    return prepare({"readers": [_reader_map(reader) for reader in readers]})


def _reader_map(reader: Reader) -> dict[str, Any]:
    """A reader as expressions see him: what is not known is missing, so that asking for it is an error."""
    given = {
        "name": reader.name,
        "kind": reader.kind,
        "country": reader.country,
        "sectors": reader.sectors,
        "communities": reader.communities,
    }
    return {name: found for name, found in given.items() if found is not None}
