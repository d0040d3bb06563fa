"""Validate: is this a STIX 2.1 object, and does it use our extension as the specification says?

The schemas are those OASIS publishes, which the `stix2-validator` distribution carries as data; it is never
imported here (it would pull in an HTTP client and parsers). Each is compiled once. Unknown properties,
extensions and types pass, as STIX 2.1 §7.3 asks; they must survive. Pure.

Every object passes here on its way in, so the way of a valid one is kept short: a schema is asked for yes or no
before it is asked for reasons, and our own rules look only at what is there.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import jsonschema_rs

from tocsin.errors import BadInput, Problem
from tocsin.resources import data_dir
from tocsin.stix import effects as words
from tocsin.stix.effects import EXTENSION_ID
from tocsin.stix.incident import Moment, moment, read_answers
from tocsin.stix.objects import ObjectVersion, References, find_references, is_timestamp, version_key

MAX_PATTERN_BYTES: Final = 64 * 1024
MAX_PATTERN_NESTING: Final = 64
MAX_PROBLEMS: Final = 50
_MAX_TEXT: Final = 300

# STIX 2.1: (earlier, later, whether they may be equal), by the name of the property
_ORDERED: Final = (
    ("created", "modified", True),
    ("first_seen", "last_seen", True),
    ("first_observed", "last_observed", True),
    ("valid_from", "valid_until", False),
    ("start_time", "stop_time", False),
    ("analysis_started", "analysis_ended", True),
)
_ORDERED_IN_TRAFFIC: Final = (*_ORDERED, ("start", "end", True))
_TIMES: Final = (*dict.fromkeys(name for pair in _ORDERED for name in pair[:2]), "published", "submitted")


class _Schema(Protocol):
    def is_valid(self, instance: Any) -> bool: ...
    def iter_errors(self, instance: Any) -> Iterator[jsonschema_rs.ValidationError]: ...


def problems(version: ObjectVersion | Mapping[str, Any]) -> list[Problem]:
    """Everything wrong with an object, each with its path; an empty list when it is valid.

    At most `MAX_PROBLEMS`, so that a hostile object costs no more than it says.
    """
    if isinstance(version, ObjectVersion):
        return _problems(version.value, lambda: version.references)
    return _problems(version, lambda: find_references(version))


def _problems(value: Mapping[str, Any], references: Callable[[], References]) -> list[Problem]:
    kind = value.get("type")
    if not isinstance(kind, str):
        return [Problem("type", "missing, or not a string")]
    if kind == "bundle":
        return [Problem("type", "a bundle is an envelope for objects, not an object")]
    if refusal := _another_stix(kind, value):
        return [refusal]
    found = dict.fromkeys(islice(_every_problem(kind, value, references), MAX_PROBLEMS))
    return list(found)


def _another_stix(kind: str, value: Mapping[str, Any]) -> Problem | None:
    """STIX 2.0 objects have no `spec_version`; in 2.1 only cyber-observable objects may leave it out (§3.2)."""
    said = value.get("spec_version")
    if said is None:
        if kind in _types("observables") or not ({"created", "modified"} & value.keys() or kind in _dated_types()):
            return None
        return Problem("spec_version", "missing, so this is a STIX 2.0 object; only STIX 2.1 is taken here")
    if said != "2.1":
        return Problem("spec_version", f"{_shown(said)}; only STIX 2.1 is taken here")
    return None


def _every_problem(kind: str, value: Mapping[str, Any], references: Callable[[], References]) -> Iterator[Problem]:
    instance = value if isinstance(value, dict) else dict(value)
    yield from _schema_problems(_schema_of(kind, value), instance, ())
    yield from _time_problems(kind, value)
    for path, text in references().misspelt:
        yield Problem(_path(path), f"{_shown(text)}: identifiers are written in lower case, without spaces")
    if kind == "indicator":
        yield from _pattern_problems(value.get("pattern"))
    extensions = value.get("extensions")
    if isinstance(extensions, Mapping) and EXTENSION_ID in extensions:
        place = ("extensions", EXTENSION_ID)
        if kind != "incident":
            yield Problem(_path(place), "the effects extension belongs on an incident")
            return
        ours = extensions[EXTENSION_ID]
        wrong = list(_schema_problems(_effects_schema(), ours, place))
        yield from wrong or _effects_problems(ours, _path(place))


def _schema_problems(schema: _Schema, instance: Any, place: Sequence[str | int]) -> Iterator[Problem]:
    if schema.is_valid(instance):
        return
    for error in schema.iter_errors(instance):
        path = (*place, *error.instance_path)
        yield Problem(_path(path), _said(error, path))


def _said(error: jsonschema_rs.ValidationError, path: tuple[str | int, ...]) -> str:
    """The library's sentence, or a better one where that would only repeat the object."""
    match error.kind.name:
        case "not" if path == () and "anyOf" in error.kind.value:
            return "uses a name that STIX 2.1 reserves: severity, action, username or phone_numbers"
        case "not" if path == () and "required" in error.kind.value:
            return f"{', '.join(error.kind.value['required'])}: not together with what else this object says"
        case "anyOf" if error.instance is None or error.instance == []:
            return "null and empty lists are not allowed; leave the property out"
        case "anyOf" | "oneOf":
            return "fits none of the forms that the schema allows here"
        case _:
            return _short(error.message)


def _time_problems(kind: str, value: Mapping[str, Any]) -> Iterator[Problem]:
    given = [name for name in _TIMES if name in value and isinstance(value[name], str)]
    for name in given:
        if not is_timestamp(value[name]):
            yield Problem(name, f"{_shown(value[name])} is not a STIX timestamp (RFC 3339, UTC, `Z`)")
    for earlier, later, equal in _ORDERED_IN_TRAFFIC if kind == "network-traffic" else _ORDERED:
        if earlier in value and later in value:
            yield from _order_problems(value, earlier, later, equal)


def _order_problems(value: Mapping[str, Any], earlier: str, later: str, equal: bool) -> Iterator[Problem]:
    first, second = value[earlier], value[later]
    if equal and first == second:
        return
    if isinstance(first, str) and isinstance(second, str) and is_timestamp(first) and is_timestamp(second):
        before, after = version_key(first), version_key(second)
        if after < before or (after == before and not equal):
            yield Problem(later, f"{second} is not {'at or ' if equal else ''}after {earlier} ({first})")


def _pattern_problems(pattern: object) -> Iterator[Problem]:
    if not isinstance(pattern, str):
        return  # the schema has said so
    size = len(pattern.encode())
    if size > MAX_PATTERN_BYTES:
        yield Problem("pattern", f"{size} bytes; a pattern may have {MAX_PATTERN_BYTES}")
        return
    if sum(map(pattern.count, "([{")) <= MAX_PATTERN_NESTING:
        return  # not enough brackets to nest deeper
    depth = _nesting(pattern)
    if depth > MAX_PATTERN_NESTING:
        yield Problem("pattern", f"nested {depth} deep; at most {MAX_PATTERN_NESTING} levels")


def _nesting(pattern: str) -> int:
    """The deepest nesting of brackets outside string literals (STIX 2.1 §9.2: in `'`, escaped by a backslash)."""
    level = deepest = 0
    quoted = escaped = False
    for sign in pattern:
        if quoted:
            quoted = escaped or sign != "'"
            escaped = sign == "\\" and not escaped
        elif sign == "'":
            quoted = True
        elif sign in "([{":
            level += 1
            deepest = max(deepest, level)
        elif sign in ")]}":
            level -= 1
    return deepest


def _effects_problems(ours: Mapping[str, Any], place: str) -> Iterator[Problem]:
    """What a schema cannot say: that labels, type, answers and flags agree, and bounds and times are in order.

    The schema has passed, so each part has its shape and each word is of its vocabulary.
    """
    effects = [entry["effect"] for entry in ours.get("effects", ())]
    seen: set[str] = set()
    for index, effect in enumerate(effects):
        if effect in seen:
            yield Problem(f"{place}.effects[{index}].effect", f"{effect} is given twice")
        seen.add(effect)
    effect_type = ours["effect_type"]
    for text in _contradictions(frozenset(seen), effect_type, _frozen(ours.get("answers", {}))):
        yield Problem(f"{place}.effect_type", text)
    for flag, settled in (
        ("disruptive_unknown", ("disruptive", "mixed")),
        ("exploitive_unknown", ("exploitive", "mixed")),
    ):
        if ours.get(flag) and effect_type in (*settled, "no-effect", "not-cyber"):
            yield Problem(f"{place}.{flag}", f"true, yet effect_type is {effect_type!r}")
    for name, member in ours.items():
        if name in _BOUNDED:
            yield from _bounds_problems(member, f"{place}.{name}")
    if times := ours.get("times"):
        yield from _period_problems(times.get("occurred", {}), f"{place}.times.occurred")
        yield from _moment_problems(times, f"{place}.times")


_BOUNDED: Final = frozenset({"persons_affected", "severity"})  # where the schema has quantities with bounds


def _frozen(answers: Mapping[str, Any]) -> tuple[tuple[str, str | tuple[str, ...]], ...]:
    return tuple((name, tuple(said) if isinstance(said, list) else said) for name, said in answers.items())


@lru_cache(maxsize=4096)  # a function of few words, and most incidents say what others said
def _contradictions(
    effects: frozenset[str], effect_type: str, answers: tuple[tuple[str, str | tuple[str, ...]], ...]
) -> tuple[str, ...]:
    given = {name: list(said) if isinstance(said, tuple) else said for name, said in answers}
    return tuple(words.contradictions(effects, effect_type, read_answers(given)))


def _period_problems(occurred: Mapping[str, Any], place: str) -> Iterator[Problem]:
    if "start" not in occurred or "end" not in occurred:
        return
    first, last = occurred["start"]["value"], occurred["end"]["value"]
    known = min(len(first.rstrip("Z")), len(last.rstrip("Z")))
    if first[:known] <= last[:known]:
        return  # as far as both are known, the text sorts like the time
    try:
        start, end = moment(first), moment(last)
    except BadInput:
        return  # a day that no calendar has: said by `_moment_problems`
    if _ends_first(start, end):
        yield Problem(place, f"ends ({end.value}) before it starts ({start.value})")


def _ends_first(start: Moment, end: Moment) -> bool:
    return end.latest() < start.earliest()


def _bounds_problems(node: Any, place: str) -> Iterator[Problem]:
    match node:
        case dict():
            bounds = [node[name] for name in ("lo", "best", "hi") if name in node]
            if len(bounds) == len(node) and bounds != sorted(bounds):
                yield Problem(place, "lo, best and hi are not in ascending order")
            for key, member in node.items():
                yield from _bounds_problems(member, f"{place}.{key}")
        case list():
            for index, item in enumerate(node):
                yield from _bounds_problems(item, f"{place}[{index}]")


def _moment_problems(times: Mapping[str, Any], place: str) -> Iterator[Problem]:
    """The pattern lets 31 April pass; the calendar does not."""
    for name, entry in times.items():
        here = f"{place}.{name}"
        if name == "occurred":
            yield from _moment_problems(entry, here)
            continue
        if entry["value"][8:10] < "29" and not entry["value"].startswith("0000"):
            continue  # every month has this day
        try:
            Moment(entry["value"], entry["fidelity"]).earliest()
        except ValueError as why:
            yield Problem(f"{here}.value", f"{entry['value']!r} is not a time: {why}")


def _path(steps: Iterable[str | int]) -> str:
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _shown(value: object) -> str:
    return _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT // 2]} … {text[-_MAX_TEXT // 2 :]}"


# Schemas: found beside the validator's code, never through it.


@cache
def _schemas_dir() -> Path:
    spec = find_spec("stix2validator")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "the distribution stix2-validator, which carries the STIX 2.1 schemas, is not installed"
        )
    return Path(spec.submodule_search_locations[0]) / "schemas-2.1" / "schemas"


@cache
def _types(folder: str) -> frozenset[str]:
    return frozenset(file.stem for file in (_schemas_dir() / folder).glob("*.json"))


@cache
def _dated_types() -> frozenset[str]:
    """Types that always bear `created`: domain objects, relationships, and the meta objects."""
    return _types("sdos") | _types("sros") | _META


_META: Final = frozenset({"marking-definition", "extension-definition", "language-content"})


@cache
def _schema_names() -> Mapping[str, str]:
    """The schema of each known type."""
    own = {kind: f"{folder}/{kind}.json" for folder in ("observables", "sros", "sdos") for kind in _types(folder)}
    return own | {kind: f"common/{kind}.json" for kind in _META}


def _schema_of(kind: str, value: Mapping[str, Any]) -> _Schema:
    """The schema of a known type; of an unknown one, the properties common to all objects of its sort."""
    if name := _schema_names().get(kind):
        return _compiled(name)
    dated = "created" in value or "modified" in value
    return _compiled("common/core.json" if dated else "common/cyber-observable-core.json")


@cache
def _compiled(name: str) -> _Schema:
    return jsonschema_rs.validator_for(
        _read(name),
        retriever=_retrieve,
        validate_formats=False,
        pattern_options=jsonschema_rs.RegexOptions(),  # linear time, whatever the input
    )


def _retrieve(uri: str) -> Any:
    """Every `$ref` ends in `schemas/<folder>/<file>`, on some host or other; the file lies beside us."""
    return _read(uri.rpartition("/schemas/")[2])


def _read(name: str) -> Any:
    return json.loads((_schemas_dir() / name).read_text(encoding="utf-8"))


@cache
def _effects_schema() -> _Schema:
    schema = json.loads((data_dir("extensions") / "effects" / "schema.json").read_text(encoding="utf-8"))
    return jsonschema_rs.validator_for(schema, offline=True, pattern_options=jsonschema_rs.RegexOptions())
