"""Editing: one more entry in a section of `tocsin.yaml`; everything else, comments too, stays as it is."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq


def with_entry(text: str, section: str, name: str, entry: Mapping[str, Any]) -> str:
    """The text with `name` among the entries of `section`, below the others. Lists stand with an item a line, and
    each item on one line."""
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(text)
    made = CommentedMap({key: _laid_out(value) for key, value in entry.items()})
    known = tree.get(section)
    if not known:
        return _with_first(text, section, name, made, yaml)
    if (further := _after_the_others(text, section, name, made, yaml)) is not None:
        return further
    known[name] = made  # the others stand on one line
    stream = StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _after_the_others(text: str, section: str, name: str, made: CommentedMap, yaml: YAML) -> str | None:
    """Written as text below the last entry, because the comments that follow it belong to what comes next."""
    lines = text.splitlines(keepends=True)
    begin = next((n for n, line in enumerate(lines) if line.split("#")[0].rstrip() == f"{section}:"), None)
    if begin is None:
        return None
    last, indent = begin, ""
    for number, line in enumerate(lines[begin + 1 :], start=begin + 1):
        if line.strip() and not line.lstrip().startswith("#"):
            if not line[0].isspace():
                break
            last, indent = number, indent or line[: len(line) - len(line.lstrip())]
    stream = StringIO()
    yaml.dump({name: made}, stream)
    entry = "".join(indent + line for line in stream.getvalue().splitlines(keepends=True))
    ended = "" if lines[last].endswith("\n") else "\n"
    return "".join([*lines[: last + 1], ended, entry, *lines[last + 1 :]])


def _with_first(text: str, section: str, name: str, made: CommentedMap, yaml: YAML) -> str:
    """In place of `section: {}`, or at the end; as text, because an empty map has no place for a comment."""
    stream = StringIO()
    yaml.dump({section: {name: made}}, stream)
    lines = text.splitlines(keepends=True)
    for index, line in enumerate(lines):
        if line.split("#")[0].strip() in (f"{section}: {{}}", f"{section}:") and not line[0].isspace():
            return "".join([*lines[:index], stream.getvalue(), *lines[index + 1 :]])
    return text + ("" if text.endswith("\n") else "\n") + stream.getvalue()


def _laid_out(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return CommentedSeq([_in_line(one) if isinstance(one, Mapping) else one for one in value])
    return value


def _in_line(entry: Mapping[str, Any]) -> CommentedMap:
    found = CommentedMap(entry)
    found.fa.set_flow_style()
    return found
