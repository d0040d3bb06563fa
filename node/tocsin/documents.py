"""Documents: YAML 1.2 files read with the place of every value, so that an error can name file and line.

A room of its own below `settings`, because configuration, policies and mappings are all read this way.
`NO` is a string, a repeated key is an error, and dates stay text. Pure: the text is given.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tocsin.errors import BadFile, Problem

Path = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

_REPEATED = re.compile(r'found duplicate key "(.*?)" with value')


class _TextDates(RoundTripConstructor):
    """YAML 1.2 has no timestamps: `2025-03-14` is a string."""


_TextDates.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


class Strict(BaseModel):
    """Base of everything written in YAML by a person: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its plain value, and the line of each key and item (counted from 1)."""

    name: str
    value: Any
    lines: Mapping[Path, int] = field(repr=False)

    def place(self, path: Iterable[str | int] = ()) -> str:
        """`file:line` of the value at `path`, or of the nearest enclosing one."""
        steps = tuple(path)
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return f"{self.name}:{self.lines.get(steps, 1)}"

    def problem(self, path: Iterable[str | int], text: str) -> Problem:
        return Problem(self.place(path), text)


def read_document(text: str, name: str) -> Document:
    """Parse YAML 1.2 (JSON is a part of it). Raises BadFile with the line of the first thing wrong."""
    yaml = YAML(typ="rt", pure=True)
    yaml.Constructor = _TextDates
    try:
        tree = yaml.load(text)
    except MarkedYAMLError as why:
        mark = why.problem_mark or why.context_mark
        line = mark.line + 1 if mark else 1
        raise BadFile([Problem(f"{name}:{line}", _in_words(why))]) from why
    except (YAMLError, ValueError, RecursionError) as why:
        raise BadFile([Problem(f"{name}:1", f"not YAML: {why}")]) from why
    lines: dict[Path, int] = {}
    return Document(name, _plain(tree, (), lines), lines)


def _in_words(why: MarkedYAMLError) -> str:
    """What the parser says, without the values that it would print as Python does."""
    said = " ".join((why.problem or why.context or "not YAML").split())
    if repeated := _REPEATED.match(said):
        return f"key {repeated[1]!r} is there twice"
    return said.replace("'<stream end>'", "the end of the file")


def parse(model: type[M], document: Document, value: Any = None, at: Path = ()) -> M:
    """The document (or its part `value` at `at`) as `model`. Raises BadFile naming line and nearest word."""
    given = document.value if value is None and not at else value
    try:
        return model.model_validate(given if given is not None else {})
    except ValidationError as why:
        raise BadFile(_problems(model, document, at, why)) from why


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no word is near."""
    match get_close_matches(word, list(words), n=1, cutoff=0.6):
        case [found]:
            return f"; did you mean {found!r}?"
        case _:
            return ""


def _problems(model: type[BaseModel], document: Document, at: Path, why: ValidationError) -> list[Problem]:
    found = []
    for error in why.errors():
        path = (*at, *error["loc"])
        if error["type"] == "extra_forbidden":
            word = str(path[-1])
            text = f"unknown key {word!r}{nearest(word, _keys_at(model, error['loc'][:-1]))}"
        elif error["type"] == "missing":
            text = f"{path[-1]!r} is missing"
        else:
            text = f"{'.'.join(map(str, path))}: {error['msg'].removeprefix('Value error, ')}"
        found.append(document.problem(path, text))
    return found


def _keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the model knows at `path`: for the nearest word of a misspelt one."""
    schema = model.model_json_schema(by_alias=True)
    node: Any = schema
    for step in path:
        node = _resolve(schema, node)
        node = node.get("properties", {}).get(step) or node.get("additionalProperties") or node.get("items")
        if not isinstance(node, dict):
            return []
    return list(_resolve(schema, node).get("properties", {}))


def _resolve(schema: Mapping[str, Any], node: Any) -> dict[str, Any]:
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    for option in node.get("anyOf", ()):
        resolved = _resolve(schema, option)
        if "properties" in resolved or "additionalProperties" in resolved or "items" in resolved:
            return resolved
    return dict(node)


def _plain(node: Any, path: Path, lines: dict[Path, int]) -> Any:
    match node:
        case CommentedMap():
            for key in node:
                lines[(*path, key)] = node.lc.key(key)[0] + 1
            return {key: _plain(value, (*path, key), lines) for key, value in node.items()}
        case CommentedSeq():
            for index in range(len(node)):
                lines[(*path, index)] = node.lc.item(index)[0] + 1
            return [_plain(value, (*path, index), lines) for index, value in enumerate(node)]
        case bool() | None:
            return node
        case int():
            return int(node)
        case float():
            return float(node)
        case str():
            return str(node)
        case _:
            return node
