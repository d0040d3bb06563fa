"""The rules for writing JSON, for timestamps and for references, written down plainly and slowly.

What the node uses is made to be fast; the tests compare it with these.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

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
