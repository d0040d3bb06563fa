"""The rules for writing JSON, for timestamps and for references, written down plainly and slowly.

What the node uses is made to be fast; the tests compare it with these.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

ID = re.compile(r"^[a-z][a-z0-9-]{1,248}[a-z0-9]--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_WIDE = Context(prec=2_000_000, Emax=MAX_EMAX, Emin=MIN_EMIN)


def canonical(value: Any) -> bytes:
    return "".join(_canonical(value)).encode("utf-8")


def dump_json(value: Any) -> bytes:
    return "".join(_dump(value)).encode("utf-8")


def _canonical(value: Any) -> Iterator[str]:
    match value:
        case dict():
            yield "{"
            # RFC 8785 §3.2.3: by UTF-16 code units
            for index, key in enumerate(sorted(value, key=lambda k: k.encode("utf-16-be"))):
                yield ("," if index else "") + json.dumps(key, ensure_ascii=False) + ":"
                yield from _canonical(value[key])
            yield "}"
        case list() | tuple():
            yield "["
            for index, member in enumerate(value):
                yield "," if index else ""
                yield from _canonical(member)
            yield "]"
        case bool() | str() | None:
            yield json.dumps(value, ensure_ascii=False)
        case int():
            yield str(value)
        case _:
            yield _exact(Decimal(repr(value)) if isinstance(value, float) else value)


def _dump(value: Any) -> Iterator[str]:
    match value:
        case dict():
            yield "{"
            for index, (key, member) in enumerate(value.items()):
                yield ("," if index else "") + json.dumps(key, ensure_ascii=False) + ":"
                yield from _dump(member)
            yield "}"
        case list() | tuple():
            yield "["
            for index, member in enumerate(value):
                yield "," if index else ""
                yield from _dump(member)
            yield "]"
        case bool() | str() | None:
            yield json.dumps(value, ensure_ascii=False)
        case int():
            yield str(value)
        case _:
            text = str(Decimal(repr(value)) if isinstance(value, float) else value)
            yield f"{text}.0" if text.lstrip("-").isdigit() and abs(value) > 2**53 - 1 else text


def _exact(number: Decimal) -> str:
    if not number:
        return "0"
    normal = number.normalize(_WIDE)
    return f"{normal:f}" if -7 < normal.adjusted() < 21 else f"{normal:e}"


def is_timestamp(text: str) -> bool:
    """RFC 3339 in UTC with `Z`, at most thirty digits of a second, a leap second allowed."""
    date, _, rest = text.partition("T")
    clock, point, fraction = rest.removesuffix("Z").partition(".")
    parts = [*date.split("-"), *clock.split(":")]
    digits = "".join(parts) + fraction
    if not rest.endswith("Z") or [len(part) for part in parts] != [4, 2, 2, 2, 2, 2]:
        return False
    if date.count("-") != 2 or not (digits.isascii() and digits.isdecimal()) or bool(point) != bool(fraction):
        return False
    year, month, day, hour, minute, second = map(int, parts)
    try:
        datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return False
    return second <= 60 and len(fraction) <= 30


def references(value: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every (path, id) by which an object names another, at any depth, extensions included.

    What counts is the name of the property (STIX 2.1 §3.1): `*_ref` holds an id, `*_refs` a list of them.
    Marking references inside `granular_markings` count as well, and `cluster` of the effects extension.
    """
    yield from _references(value, ())


def _references(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    match node:
        case dict():
            for key, member in node.items():
                yield from _references_under(key, member, (*path, key))
        case list():
            for index, item in enumerate(node):
                yield from _references(item, (*path, index))


def _references_under(
    key: str, member: Any, here: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    match member:
        case str():
            ours = key == "cluster" and here[0] == "extensions"
            if (key.endswith("_ref") or ours) and ID.match(member):
                yield here, member
        case list() if key.endswith("_refs"):
            for index, item in enumerate(member):
                if not isinstance(item, str):
                    yield from _references(item, (*here, index))
                elif ID.match(item):
                    yield (*here, index), item
        case _:
            yield from _references(member, here)


def misspelt(node: Any, place: str) -> Iterator[tuple[str, str]]:
    match node:
        case dict():
            for key, member in node.items():
                here = f"{place}.{key}" if place else key
                if key.endswith(("_ref", "_refs")):
                    for text in member if isinstance(member, list) else [member]:
                        if isinstance(text, str) and not ID.match(text) and ID.match(text.lower().strip()):
                            yield here, text
                yield from misspelt(member, here)
        case list():
            for index, item in enumerate(node):
                yield from misspelt(item, f"{place}[{index}]")
