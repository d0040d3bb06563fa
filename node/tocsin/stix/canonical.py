"""Canonical: JSON read strictly, and the hash of what it says.

The hash of an object is SHA-256 over its RFC 8785 form, except that numbers keep their exact decimal value
(RFC 8785 would round to doubles, so two objects differing in the 18th digit would hash alike). Reading refuses
what two parsers could understand differently: repeated keys, NaN, integers beyond 53 bits, lone surrogates,
NUL, and nesting beyond the limit. Limits are those of `Limits`.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec

from tocsin.errors import BadInput, Problem, TooLarge

MAX_INTEGER = 2**53 - 1
# wide enough that normalising never rounds what fits into an object
_WIDE = Context(prec=2_000_000, Emax=MAX_EMAX, Emin=MIN_EMIN)
_UNSAFE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one body, one object and one string may measure: bytes, and levels of nesting."""

    body: int = 10 * 1024 * 1024
    objects: int = 1000
    object: int = 1024 * 1024
    depth: int = 32
    string: int = 256 * 1024


LIMITS = Limits()


class _Envelope(msgspec.Struct):
    objects: list[msgspec.Raw] = msgspec.field(default_factory=list)


def read_json(raw: bytes, limits: Limits = LIMITS) -> Any:
    """Parse one JSON text. Non-integers become Decimal, so no digit is lost.

    Raises BadInput with the place of the fault: a character offset, or a path such as `a.b[3]`.
    """
    _check_depth(raw, limits.depth)
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object_without_repeats,
            parse_float=_finite_decimal,
            parse_int=_safe_integer,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError as why:
        raise BadInput([Problem(f"byte {why.start}", "not UTF-8")]) from why
    except json.JSONDecodeError as why:
        raise BadInput([Problem(f"line {why.lineno}, column {why.colno}", why.msg)]) from why
    problems = list(_unsafe_strings(value, "", limits.string))
    if problems:
        raise BadInput(problems)
    return value


def split_envelope(raw: bytes, limits: Limits = LIMITS) -> list[bytes]:
    """The bytes of each member of `objects`, exactly as sent, of an envelope or bundle (TAXII 2.1 §3.7).

    A missing `objects` is an empty list. Raises BadInput, or TooLarge above the number of objects.
    """
    _check_depth(raw, limits.depth + 2)  # the envelope and its list stand around each object
    try:
        members = msgspec.json.decode(raw, type=_Envelope).objects
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        raise BadInput([Problem("envelope", str(why))]) from why
    if _may_repeat(raw) and _times_given(raw, "objects") > 1:
        raise BadInput([Problem("objects", "this key is given twice")])
    if len(members) > limits.objects:
        raise TooLarge([Problem("objects", f"{len(members)} objects; at most {limits.objects} at a time")])
    return [bytes(member) for member in members]


class _Names(msgspec.Struct):
    id: str = ""
    modified: str = ""
    created: str = ""


def peek(raw: bytes) -> tuple[str, str]:
    """The id and version that an object refused by `read_json` seems to bear, to name it in an answer; else ''."""
    try:
        names = msgspec.json.decode(raw, type=_Names)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    return names.id[:300], (names.modified or names.created)[:64]


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of a value from `read_json`, with numbers in exact decimal."""
    return "".join(_canonical(value)).encode("utf-8")


def content_hash(value: Any) -> str:
    """SHA-256 of the canonical form, as 64 hex digits: the third part of an object version's name."""
    return hashlib.sha256(canonical(value)).hexdigest()


def dump_json(value: Any) -> bytes:
    """Compact JSON in UTF-8 of a value we made or read; Decimals keep their digits."""
    return "".join(_dump(value)).encode("utf-8")


def _check_depth(raw: bytes, depth: int) -> None:
    """Count nesting before parsing, so that no parser is asked to recurse deeply."""
    level = deepest = 0
    for token in _STRUCTURE.findall(raw):
        if token in b"[{":
            level += 1
            if level > deepest:
                deepest = level
        elif token in b"]}":
            level -= 1
    if deepest > depth:
        raise BadInput([Problem("", f"nested {deepest} deep; at most {depth} levels")])


def _may_repeat(raw: bytes) -> bool:
    """A quick look first: is `objects` there twice, or might an escaped letter hide it?"""
    return raw.count(b'"objects"') > 1 or _ESCAPED_LETTER.search(raw) is not None


def _times_given(raw: bytes, key: str) -> int:
    """How often the outermost object of a well-formed text gives this key, in whatever spelling."""
    level = times = 0
    for match in _STRUCTURE.finditer(raw):
        token = match[0]
        if token in b"[{":
            level += 1
        elif token in b"]}":
            level -= 1
        elif level == 1 and _is_key(raw, match.end()) and json.loads(token) == key:
            times += 1
    return times


def _is_key(raw: bytes, end: int) -> bool:
    return _COLON.match(raw, end) is not None


_ESCAPED_LETTER = re.compile(rb"\\u00[67]")
_COLON = re.compile(rb"[ \t\r\n]*:")
# A string may end with the text: retrying from each quote inside an unclosed one would take quadratic time.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadInput([Problem(key, "this key is given twice")])
            seen.add(key)
    return found


def _finite_decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation as why:  # an exponent that even Decimal cannot hold
        raise BadInput([Problem("", f"number out of range: {text[:40]}")]) from why
    if not -400 < number.adjusted() < 309:
        raise BadInput([Problem("", f"number out of range: {text[:40]}")])
    return number


def _safe_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise BadInput([Problem("", f"integer beyond 53 bits: {text[:40]}")])
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise BadInput([Problem("", f"{text} is not a JSON number")])


def _unsafe_strings(value: Any, path: str, longest: int) -> Iterator[Problem]:
    match value:
        case str():
            if _UNSAFE.search(value):
                yield Problem(path, "holds a NUL or a lone surrogate")
            elif len(value) > longest // 4 and len(value.encode()) > longest:
                yield Problem(path, f"a string above {longest} bytes")
        case dict():
            for key, member in value.items():
                if _UNSAFE.search(key):
                    yield Problem(path, "a key holds a NUL or a lone surrogate")
                yield from _unsafe_strings(member, f"{path}.{key}" if path else key, longest)
        case list():
            for index, member in enumerate(value):
                yield from _unsafe_strings(member, f"{path}[{index}]", longest)


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
                if index:
                    yield ","
                yield from _canonical(member)
            yield "]"
        case _:
            yield _scalar(value, _exact)


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
                if index:
                    yield ","
                yield from _dump(member)
            yield "]"
        case _:
            yield _scalar(value, _as_given)


def _scalar(value: Any, decimal: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _scalar(Decimal(repr(value)), decimal)
        case Decimal():
            if not value.is_finite():
                raise ValueError(f"{value} is not a JSON number")
            return str(decimal(value))
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            raise TypeError(f"{type(value).__name__} is not JSON")


def _as_given(number: Decimal) -> str:
    """With every digit; what its author did not write as an integer is not written as one beyond 53 bits."""
    text = str(number)
    return f"{text}.0" if text.lstrip("-").isdigit() and abs(number) > MAX_INTEGER else text


def _exact(number: Decimal) -> str:
    """One spelling for each decimal value: `1.0`, `1` and `10e-1` are the same number."""
    if not number:
        return "0"
    normal = number.normalize(_WIDE)
    # the bounds of ECMAScript, as RFC 8785 §3.2.2.3 asks
    return f"{normal:f}" if -7 < normal.adjusted() < 21 else f"{normal:e}"
