"""Redact: the copy of an object that stands in a collection instead of it, built up and not cut down.

`extensions/effects/redaction-groups.json` says for every STIX type what a copy may hold; whatever is not named
there is never looked at, so an edit of it changes no byte of the copy. A value is repeated only when it is what
its kind says: a word of a vocabulary, a number, a time told to the day (to the month when `exact-times` is
redacted), a reference as it stands in this collection. Text, references to elsewhere and labels need a `keep`.

An observable is a fact whole or not at all. Whose it is comes from `side`; an unknown side counts as the victim's,
and who hides the victim hides the victim's observables.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, Literal

from tocsin.errors import BadInput, TocsinError
from tocsin.policy.coded import FORMS, NEVER, VOCABULARIES
from tocsin.resources import data_dir
from tocsin.stix.canonical import content_hash, dump_json
from tocsin.stix.effects import EXTENSION_ID, INCIDENT_CORE_ID
from tocsin.stix.incident import generated_labels, generated_name, moment
from tocsin.stix.objects import ID, is_timestamp, version_key
from tocsin.stix.validate import problems

Side = Literal["victim", "reporter", "attacker"]
Rewrite = Callable[[str], str | None]

# never a copy's business: `redact` writes these itself, or leaves them
_MADE = frozenset(
    {
        "type",
        "spec_version",
        "id",
        "created_by_ref",
        "created",
        "modified",
        "revoked",
        "lang",
        "object_marking_refs",
        "granular_markings",
        "extensions",
    }
)
_UNKNOWN_PROPERTIES, _UNKNOWN_EXTENSIONS = "unknown-properties", "unknown-extensions"
_SHORT_NAMES = {EXTENSION_ID: "effects", INCIDENT_CORE_ID: "incident-core"}
# STIX 2.1: the first must be before the second; to the day they may fall together
_STRICTLY_BEFORE = (("valid_from", "valid_until"), ("start_time", "stop_time"))
_SECTOR = re.compile(r"^(naics:[1-9]\d{1,5}|nis2:[a-z-]+(/[a-z][a-z0-9-]{0,62})?)$", re.ASCII)


class CopyImpossible(TocsinError):
    """No copy of this object can be made; the text says why."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One property of the table. Coded: `kind` is how its value is checked. Free: `keep` must name it."""

    path: str
    kind: str
    groups: frozenset[str]
    keep: str = ""


@dataclass(frozen=True, slots=True)
class _Node:
    """The properties below one path; `many` when there is a list of objects, each needing `required`."""

    path: str
    children: Mapping[str, "_Leaf | _Node"]
    many: bool
    required: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a copy of one type may hold."""

    type: str
    observable: bool
    root: _Node
    required: tuple[str, ...]
    stand_ins: Mapping[str, str]
    withheld: Mapping[str, Any]
    extension_required: Mapping[str, tuple[str, ...]]
    known: frozenset[str]


@dataclass(slots=True)
class _Copying:
    """One copy in the making."""

    shape: _Shape
    groups: frozenset[str]
    keep: frozenset[str]
    rewrite: Rewrite
    original_uuid: str
    omitted: list[str] = field(default_factory=list)


def redacted(
    value: Mapping[str, Any],
    groups: frozenset[str],
    keep: frozenset[str],
    *,
    id: str,
    created: str,
    modified: str,
    creator: str,
    rewrite: Rewrite,
    side: Side | None = None,
    pseudonyms: Sequence[str] = (),
) -> tuple[dict[str, Any], list[str]]:
    """The copy of an object without what `groups` name, and what it leaves out, as words for the operator.

    `keep` names what may stay although it is text, and never brings back what a group redacts. `id`, `created`,
    `modified` and `creator` are the copy's own. `rewrite` gives the id by which a referenced object stands in this
    collection, None when it does not. `side` is whose the object is, where known. Markings stay as they are.
    `pseudonyms` stand for the victims of an incident; those of the original, another node's, never pass.

    Raises CopyImpossible where nothing of use, or nothing valid, would be left.
    """
    hidden = groups | {"victim-observables"} if "victim" in groups else groups
    shape = _shape(str(value["type"]))
    _check_copyable(value, shape, hidden, side)
    copying = _Copying(shape, hidden, keep - hidden, rewrite, str(value["id"]).partition("--")[2])
    body = _copy_node(copying, shape.root, value)
    copy: dict[str, Any] = {"type": value["type"], "spec_version": "2.1", "id": id}
    if not shape.observable:
        copy |= {"created_by_ref": creator, "created": created, "modified": modified}
        if value.get("revoked") is True:
            copy["revoked"] = True
    if markings := _list(value.get("object_marking_refs")):
        copy["object_marking_refs"] = list(markings)
    extensions = _extensions(copying, value, body.pop("extensions", {}))
    copy |= body
    if pseudonyms and EXTENSION_ID in extensions:
        extensions[EXTENSION_ID]["victim_pseudonyms"] = list(pseudonyms)
    if extensions:
        copy["extensions"] = extensions
    copy |= _unknown_properties(copying, value)
    _name(copying, value, copy)
    _order_times(copying, copy)
    _check_copy(value, copy, shape)
    copying.omitted += [f"{name} (unknown)" for name in sorted(set(value) - shape.known - set(copy))]
    return copy, copying.omitted


def without_dates_hash(copy: Mapping[str, Any]) -> str:
    """The hash of a copy without its dates: a new version is made only when this changes."""
    return content_hash({name: member for name, member in copy.items() if name not in ("created", "modified")})


# --- the table -----------------------------------------------------------------------------------------------


@cache
def _table() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(
        (data_dir("extensions") / "effects" / "redaction-groups.json").read_text(encoding="utf-8")
    )
    return found


def _keeps() -> Iterator[str]:
    for entry in (*_table()["common"].values(), *_table()["types"].values()):
        for free in entry["free"].values():
            yield free["keep"]


GROUPS: tuple[str, ...] = tuple(_table()["groups"])
KEEPS: tuple[str, ...] = (
    *dict.fromkeys([*_keeps(), "exact-times"]),
    _UNKNOWN_PROPERTIES,
    _UNKNOWN_EXTENSIONS,
)


@cache
def _shape(kind: str) -> _Shape:
    entry = _table()["types"].get(kind)
    if entry is None:
        raise CopyImpossible(f"no copy is made of type {kind!r}: what it may hold is not known")
    common = _table()["common"][entry["extends"]]
    coded, free = common["coded"] | entry["coded"], common["free"] | entry["free"]
    leaves = [
        *(_Leaf(path, given["kind"], frozenset(given["groups"])) for path, given in coded.items()),
        *(_Leaf(path, "free", frozenset(given["groups"]), given["keep"]) for path, given in free.items()),
    ]
    items = {path: frozenset(required) for path, required in entry.get("items", {}).items()}
    known = {path.partition(".")[0].removesuffix("[]") for path in (*coded, *free, *entry.get("made", ()))}
    return _Shape(
        type=kind,
        observable=entry["extends"] == "observable",
        root=_node("", leaves, items),
        required=tuple(entry["required"]),
        stand_ins=entry.get("stand_ins", {}),
        withheld=entry.get("withheld", {}),
        extension_required={
            extension: tuple(required) for extension, required in entry.get("extension_required", {}).items()
        },
        known=frozenset(known) | _MADE | NEVER.get(kind, frozenset()),
    )


def _node(path: str, leaves: list[_Leaf], items: Mapping[str, frozenset[str]]) -> _Node:
    """The leaves as a tree: `a.b[].c` stands under `a`, then `b[]`."""
    children: dict[str, _Leaf | _Node] = {}
    below: dict[str, list[_Leaf]] = {}
    start = len(path) + 1 if path else 0
    for leaf in leaves:
        step, _, rest = leaf.path[start:].partition(".")
        if rest:
            below.setdefault(step, []).append(leaf)
        else:
            children[step] = leaf
    for step, inner in below.items():
        here = f"{path}.{step}" if path else step
        children[step.removesuffix("[]")] = _node(here, inner, items)
    return _Node(path, children, path.endswith("[]"), items.get(path, frozenset()))


# --- may there be a copy at all? -----------------------------------------------------------------------------


def _check_copyable(value: Mapping[str, Any], shape: _Shape, hidden: frozenset[str], side: Side | None) -> None:
    if value.get("granular_markings"):
        raise CopyImpossible("it has granular markings, which are not understood")
    for marking in _list(value.get("object_marking_refs")):
        if not isinstance(marking, str) or not ID.match(marking):
            raise CopyImpossible("one of its markings is no identifier, and a marking is never left out")
    if found := _withholding(value, shape, side) & hidden:
        raise CopyImpossible(f"{' and '.join(sorted(found))} is redacted, and nothing else would be left of it")


def _withholding(value: Mapping[str, Any], shape: _Shape, side: Side | None) -> frozenset[str]:
    """The groups any of which leaves this object out as a whole."""
    found = set(shape.withheld.get("always", ()))
    for name, by in shape.withheld.get("by", {}).items():
        found.update(by.get(value.get(name), ()))
    sides = shape.withheld.get("side", {})
    found.update(sides.get(side, sides.get("unknown", ())))
    return frozenset(found)


def _check_copy(value: Mapping[str, Any], copy: Mapping[str, Any], shape: _Shape) -> None:
    for name in shape.required:
        if name not in copy:
            raise CopyImpossible(f"{name} would be missing, which {shape.type} cannot do without")
    wrong = problems(copy)
    if wrong and not problems(value):
        raise CopyImpossible(f"the copy would not be valid: {wrong[0]}")


# --- building ------------------------------------------------------------------------------------------------


def _copy_node(copying: _Copying, node: _Node, value: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, child in node.children.items():
        if name not in value:
            continue
        shown = _copy_child(copying, child, value[name])
        if shown is not None and shown not in ({}, []):
            found[name] = shown
        elif isinstance(child, _Leaf):
            copying.omitted.append(_words(child.path))
    return found


def _copy_child(copying: _Copying, child: _Leaf | _Node, value: Any) -> Any:
    match child:
        case _Leaf():
            return _copy_leaf(copying, child, value)
        case _Node(many=True):
            copies = [_copy_node(copying, child, item) for item in _list(value) if isinstance(item, Mapping)]
            return [copy for copy in copies if copy and child.required <= copy.keys()]
        case _:
            return _copy_node(copying, child, value) if isinstance(value, Mapping) else None


def _copy_leaf(copying: _Copying, leaf: _Leaf, value: Any) -> Any:
    """The value as the copy may show it; None when it may not."""
    if leaf.kind in ("time", "moment"):
        return _time(copying, leaf, value)
    if leaf.groups & copying.groups and leaf.kind != "sector":
        return None
    match leaf.kind:
        case "free":
            return _kept(copying, value) if leaf.keep in copying.keep else None
        case "ref" | "refs":
            return _reference(copying, leaf, value)
        case "number":
            return value if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case _ if isinstance(value, list):
            return [shown for item in value if (shown := _word(copying, leaf, item)) is not None]
        case _:
            return _word(copying, leaf, value)


def _word(copying: _Copying, leaf: _Leaf, value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    path = f"{copying.shape.type}.{leaf.path}"
    match leaf.kind:
        case "sector":
            return _sector(value, coarsely=bool(leaf.groups & copying.groups))
        case "code" if path in VOCABULARIES:
            return value if value in VOCABULARIES[path] else None
        case "code" if path in FORMS:
            return value if FORMS[path].match(value) else None
        case _:
            # any text could stand here: only a fact of an observable, or what a group can hide
            return value if leaf.groups or copying.shape.observable else None


def _sector(value: str, *, coarsely: bool) -> str | None:
    if not _SECTOR.match(value):
        return None
    if not coarsely:
        return value
    return value[: len("naics:") + 2] if value.startswith("naics:") else value.partition("/")[0]


def _time(copying: _Copying, leaf: _Leaf, value: Any) -> Any:
    """A time to the day; to the month when `exact-times` is redacted, as it is when it is kept."""
    grain: Literal["second", "day", "month"] = "day"
    if "exact-times" in copying.keep:
        grain = "second"
    elif "exact-times" in copying.groups:
        grain = "month"
    if leaf.kind == "moment":
        return _moment(value, grain)
    if not isinstance(value, str) or not is_timestamp(value):
        return None
    return {"second": value, "day": f"{value[:10]}T00:00:00Z", "month": f"{value[:7]}-01T00:00:00Z"}[grain]


def _moment(value: Any, grain: Literal["second", "day", "month"]) -> dict[str, str] | None:
    text = value.get("value") if isinstance(value, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        told = moment(text).coarsened(grain)
    except BadInput:
        return None  # not a time, so not coded
    return {"value": told.value, "fidelity": told.fidelity}


def _reference(copying: _Copying, leaf: _Leaf, value: Any) -> Any:
    if leaf.kind == "ref":
        return _there(copying, value)
    items = _list(value)
    found = [there for item in items if (there := _there(copying, item)) is not None]
    if 0 < len(found) < len(items):
        copying.omitted.append(f"{_words(leaf.path)}: {len(items) - len(found)} of {len(items)}")
    return found


def _there(copying: _Copying, target: Any) -> str | None:
    """The id by which an object stands here. What is no identifier is text, whatever its property is called."""
    return copying.rewrite(target) if isinstance(target, str) and ID.match(target) else None


def _kept(copying: _Copying, value: Any) -> Any:
    """What `keep` names, as it is, with references as they stand here; nothing that holds the original's id."""
    kept = _rewritten(copying, "", value)
    if kept is None or copying.original_uuid in dump_json(kept).decode():
        return None
    return kept


def _rewritten(copying: _Copying, name: str, value: Any) -> Any:
    match value:
        case str() if name.endswith("_ref"):
            return _there(copying, value)
        case list() if name.endswith("_refs"):
            return [there for item in value if (there := _there(copying, item)) is not None] or None
        case dict():
            inner = {key: _rewritten(copying, key, member) for key, member in value.items()}
            return {key: member for key, member in inner.items() if member is not None or value[key] is None}
        case list():
            return [_rewritten(copying, "", item) for item in value]
        case _:
            return value


# --- the whole -----------------------------------------------------------------------------------------------


def _extensions(copying: _Copying, value: Mapping[str, Any], built: Mapping[str, Any]) -> dict[str, Any]:
    """The extensions that a copy shows: ours field by field, others whole and only where `keep` names them."""
    original = value.get("extensions")
    if not isinstance(original, Mapping):
        return {}
    required = copying.shape.extension_required
    found: dict[str, Any] = {}
    for extension in sorted(original):
        if extension in required:
            shown = built.get(extension, {})
            if set(required[extension]) <= shown.keys():
                found[extension] = {"extension_type": "property-extension", **shown}
                continue
        elif _UNKNOWN_EXTENSIONS in copying.keep:
            kept = _kept(copying, original[extension])
            if kept is not None:
                found[extension] = kept
                continue
        copying.omitted.append(f"extension {_SHORT_NAMES.get(extension, extension)}")
    return found


def _unknown_properties(copying: _Copying, value: Mapping[str, Any]) -> dict[str, Any]:
    if _UNKNOWN_PROPERTIES not in copying.keep:
        return {}
    kept = {name: _kept_as(copying, name, value[name]) for name in sorted(set(value) - copying.shape.known)}
    return {name: member for name, member in kept.items() if member is not None}


def _kept_as(copying: _Copying, name: str, value: Any) -> Any:
    """An unknown property under its name, which may make it a reference."""
    kept = _kept(copying, {name: value})
    return kept.get(name) if kept else None


def _name(copying: _Copying, value: Mapping[str, Any], copy: dict[str, Any]) -> None:
    """A name of the copy's own, with digits of its own id: platforms merge by name."""
    digits = str(copy["id"]).partition("--")[2][:8]
    name = copy.get("name")
    if isinstance(name, str) and not copying.shape.observable:
        copy["name"] = name.replace(copying.original_uuid[:8], digits)
    elif copying.shape.type == "incident":
        extension = copy.get("extensions", {}).get(EXTENSION_ID, {})
        copy["name"] = generated_name(str(copy["id"]), extension)
    for missing, text in copying.shape.stand_ins.items():
        if missing not in copy:
            copy[missing] = f"{text} ({digits})"
    extension = copy.get("extensions", {}).get(EXTENSION_ID)
    if copying.shape.type == "incident" and extension and "labels" not in copy:
        copy["labels"] = generated_labels(extension)


def _order_times(copying: _Copying, copy: dict[str, Any]) -> None:
    for first, second in _STRICTLY_BEFORE:
        if first in copy and second in copy and version_key(copy[first]) >= version_key(copy[second]):
            del copy[second]
            copying.omitted.append(second)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _words(path: str) -> str:
    """A path for people: `effects actor_type`, `description`."""
    for extension, short in _SHORT_NAMES.items():
        path = path.replace(f"extensions.{extension}.", f"{short} ")
    return path.replace("[]", "")
