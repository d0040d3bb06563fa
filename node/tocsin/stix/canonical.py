"""Canonical: JSON read strictly, and the hash of what it says.

The hash of an object is SHA-256 over its RFC 8785 form, except that numbers keep their exact decimal value
(RFC 8785 would round to doubles, so two objects differing in the 18th digit would hash alike). Reading refuses
what two parsers could understand differently: repeated keys, NaN, integers beyond 53 bits, lone surrogates,
NUL, and nesting beyond the limit. Limits are those of `Limits`.

There are two ways to read. `_read_strictly` judges and explains. `_read_quickly` takes the ordinary text by the
compiled parser, some twenty times faster, and gives up wherever it cannot show that the strict way would have read
the same value: what it takes is never another value, and it refuses nothing.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
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
    quick = _read_quickly(raw, limits)
    return _read_strictly(raw, limits) if quick is None else quick[0]


def read_kept(raw: bytes) -> Any:
    """The value of a text that `read_json` has read before, without looking again for what it refuses."""
    if b"\\" in raw:
        return read_json(raw)
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return read_json(raw)  # what is no longer as it was read is refused in its words


def read_hashed(raw: bytes, limits: Limits = LIMITS) -> tuple[Any, str]:
    """The value of one JSON text as `read_json` gives it, and its `content_hash`. Raises BadInput alike."""
    value, form = _read_quickly(raw, limits) or (_read_strictly(raw, limits), None)
    return value, hashlib.sha256(form or canonical(value)).hexdigest()


def split_envelope(raw: bytes, limits: Limits = LIMITS) -> list[bytes]:
    """The bytes of each member of `objects`, exactly as sent, of an envelope or bundle (TAXII 2.1 §3.7).

    A missing `objects` is an empty list. Raises BadInput, or TooLarge above the number of objects.
    """
    around = 2  # the envelope and its list
    if raw.count(b",") > _MANY_COMMAS and _holds_longer_list(raw, limits.objects):
        raise TooLarge([Problem("objects", f"more than {limits.objects} objects at a time")])
    try:
        found = msgspec.json.decode(raw, type=_Envelope).objects
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        _check_depth(raw, limits.depth + around)
        raise BadInput([Problem("envelope", str(why))]) from why
    if len(found) > limits.objects:  # before a copy is made of each
        raise TooLarge([Problem("objects", f"{len(found)} objects; at most {limits.objects} at a time")])
    members = [bytes(member) for member in found]
    if not _is_shallow(raw, members, limits, around):
        _check_depth(raw, limits.depth + around)
    if _may_repeat(raw) and _given_twice(raw, "objects"):
        raise BadInput([Problem("objects", "this key is given twice")])
    return members


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
    ready = _ready(value, _exact)
    form = _SORTED.encode(ready)
    return form if _sorts_by_code_units(form) else _AS_GIVEN.encode(_by_code_units(ready))


def content_hash(value: Any) -> str:
    """SHA-256 of the canonical form, as 64 hex digits: the third part of an object version's name."""
    return hashlib.sha256(canonical(value)).hexdigest()


def dump_json(value: Any) -> bytes:
    """Compact JSON in UTF-8 of a value we made or read; Decimals keep their digits."""
    return _AS_GIVEN.encode(_ready(value, _digits))


# --- reading quickly -----------------------------------------------------------------------------------------


class _Odd(Exception):
    """Something that only the strict reader can judge."""


def _read_quickly(raw: bytes, limits: Limits) -> tuple[Any, bytes | None] | None:
    """The value of an ordinary text, and its canonical form where that came for nothing. None: read it strictly.

    The parser keeps to RFC 8259 and refuses what is no UTF-8, lone surrogates and control characters; but of a key
    given twice it keeps the last. That shows in the quotation marks. Every string that it kept has as many of them
    in the text as in the value written again: two around it, and one in each `\\"` (texts that spell the mark
    otherwise are not read here). So a string that it dropped leaves the text with at least two more.
    """
    if b"\\" in raw and (b"\\u0022" in raw or b"\\u0000" in raw):
        return None
    # no string has more bytes than its text, nor more than four for each character; keys are strings as well
    longest = len(raw) if len(raw) <= limits.string else limits.string // 4
    try:
        value = _DECODER.decode(raw)
        form = _SORTED.encode(value)
        if form.count(b'"') != raw.count(b'"'):
            return None
        holds_decimals = _look_at([value], limits.depth, longest)
        if len(raw) > limits.string and _longest_key(value) > longest:
            return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadInput, _Odd):
        return None
    return value, None if holds_decimals or not _sorts_by_code_units(form) else form


def _look_at(members: Iterable[Any], room: int, longest: int) -> bool:
    """Is there a Decimal among these? `room` is how many levels may stand within them. Raises _Odd."""
    decimals = False
    for member in members:
        kind = type(member)
        if kind is str:
            if len(member) > longest:
                raise _Odd
        elif kind is dict or kind is list:
            if not room:
                raise _Odd
            if member:  # there may be hundreds of thousands of empty ones
                decimals |= _look_at(member.values() if kind is dict else member, room - 1, longest)
        elif kind is int:
            if not -MAX_INTEGER <= member <= MAX_INTEGER:
                raise _Odd
        elif kind is Decimal:
            decimals = True
    return decimals


def _longest_key(node: Any) -> int:
    """In characters; of what is nested no deeper than `_look_at` allowed."""
    kind = type(node)
    if kind is not dict and kind is not list:
        return 0
    longest = max(map(len, node), default=0) if kind is dict else 0
    for member in node.values() if kind is dict else node:
        if member and (type(member) is dict or type(member) is list):
            longest = max(longest, _longest_key(member))
    return longest


# --- reading strictly ----------------------------------------------------------------------------------------


def _read_strictly(raw: bytes, limits: Limits) -> Any:
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


def _is_shallow(raw: bytes, members: Iterable[bytes], limits: Limits, around: int) -> bool:
    """Is an envelope for certain nested no deeper than its members may be? What has few brackets cannot be."""
    left = _brackets(raw)
    for member in members:
        brackets = _brackets(member)
        left -= brackets
        if brackets > limits.depth and not _read_quickly(member, limits) and _depth(member) > limits.depth:
            return False
    return left <= limits.depth + around


def _brackets(raw: bytes) -> int:
    return raw.count(b"[") + raw.count(b"{")


def _check_depth(raw: bytes, depth: int) -> None:
    """Count nesting before parsing, so that no parser is asked to recurse deeply."""
    deepest = _depth(raw)
    if deepest > depth:
        said = f"more than {_COUNTED}" if deepest > _COUNTED else str(deepest)
        raise BadInput([Problem("", f"nested {said} deep; at most {depth} levels")])


def _depth(raw: bytes) -> int:
    """The deepest level; what is deeper than `_COUNTED` is not counted on, since it may be millions."""
    level = deepest = 0
    for match in _RUNS.finditer(raw):  # one at a time: there may be as many as bytes
        sign = raw[match.start()]
        if sign in b"[{":
            level += match.end() - match.start()
            if level > deepest:
                deepest = level
                if deepest > _COUNTED:
                    break
        elif sign in b"]}":
            level -= match.end() - match.start()
    return deepest


def _holds_longer_list(raw: bytes, most: int) -> bool:
    """Is there a list directly within the envelope with more members?

    Asked before each of them becomes an object of Python: in ten megabytes there can be five million.
    """
    level = commas = 0
    for match in _SIGNS.finditer(raw):
        sign = raw[match.start()]
        if sign in b"[{":
            level += 1
        elif sign in b"]}":
            level -= 1
            if level == 1:
                commas = 0
        elif sign in b"," and level == 2:
            commas += 1
            if commas >= most:
                return True
    return False


def _may_repeat(raw: bytes) -> bool:
    """A quick look first: is `objects` there twice, or might an escaped letter hide it?"""
    escaped = b"\\" in raw and (b"\\u006" in raw or b"\\u007" in raw)
    return escaped or raw.count(b'"objects"') > 1


def _given_twice(raw: bytes, key: str) -> bool:
    """Does the outermost object of a well-formed text give this key twice, in whatever spelling?"""
    level, given = 0, False
    for match in _STRUCTURE.finditer(raw):
        token = match[0]
        if token in b"[{":
            level += 1
        elif token in b"]}":
            level -= 1
        elif level == 1 and _is_key(raw, match.end()) and json.loads(token) == key:
            if given:
                return True
            given = True
    return False


def _is_key(raw: bytes, end: int) -> bool:
    return _COLON.match(raw, end) is not None


_COUNTED = 1000  # levels of nesting
_MANY_COMMAS = 500_000  # in one body; a thousand real objects have a tenth of that
_COLON = re.compile(rb"[ \t\r\n]*:")
# A string may end with the text: retrying from each quote inside an unclosed one would take quadratic time.
_RUNS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]+|[\]}]+', re.DOTALL)
_SIGNS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)
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
                elif len(key) > longest // 4 and len(key.encode()) > longest:
                    yield Problem(path, f"a key above {longest} bytes")
                    continue
                yield from _unsafe_strings(member, f"{path}.{key}" if path else key, longest)
        case list():
            for index, member in enumerate(value):
                yield from _unsafe_strings(member, f"{path}[{index}]", longest)


# --- writing -------------------------------------------------------------------------------------------------

_PLAIN = frozenset({str, int, bool, type(None)})


def _ready(node: Any, spell: Callable[[Decimal], str]) -> Any:
    """The value as the encoder takes it: numbers spelt by us, and nothing in it that is no JSON."""
    match node:
        case dict():
            return {
                (key if type(key) is str else _key(key)): (
                    member if type(member) in _PLAIN else _ready(member, spell)
                )
                for key, member in node.items()
            }
        case list() | tuple():
            return [member if type(member) in _PLAIN else _ready(member, spell) for member in node]
        case None | bool():
            return node
        case str():
            return str.__str__(node)  # without its class, such as that of an enumeration
        case int():
            return int(node)
        case float():
            return _ready(Decimal(repr(node)), spell)
        case Decimal():
            if not node.is_finite():
                raise ValueError(f"{node} is not a JSON number")
            return msgspec.Raw(spell(node).encode())
        case _:
            raise TypeError(f"{type(node).__name__} is not JSON")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{type(key).__name__} is no key in JSON")
    return str.__str__(key)


def _sorts_by_code_units(form: bytes) -> bool:
    """The encoder sorts by characters, RFC 8785 §3.2.3 by UTF-16 code units: that differs only beyond U+FFFF."""
    return form.isascii() or len(form.translate(None, _BEYOND_FFFF)) == len(form)


def _by_code_units(node: Any) -> Any:
    match node:
        case dict():
            return {key: _by_code_units(node[key]) for key in sorted(node, key=lambda k: k.encode("utf-16-be"))}
        case list():
            return [_by_code_units(member) for member in node]
        case _:
            return node


def _digits(number: Decimal) -> str:
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


_BEYOND_FFFF = b"\xf0\xf1\xf2\xf3\xf4"  # what begins such a character in UTF-8
_DECODER = msgspec.json.Decoder(float_hook=_finite_decimal)
_AS_GIVEN = msgspec.json.Encoder()
_SORTED = msgspec.json.Encoder(order="sorted", decimal_format="number")
