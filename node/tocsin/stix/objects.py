"""Objects: identifiers, timestamps, and one immutable object version with its bytes.

An object version is (id, version, SHA-256) with the bytes as received. `version` is `modified`, else `created`
(STIX 2.1 §3.2); an object with neither (an SCO) has none of its own and is dated by its first receipt here.
"""

import hashlib
import hmac
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from tocsin.errors import BadInput, Problem, TooLarge
from tocsin.stix.canonical import LIMITS, Limits, content_hash, dump_json, read_hashed

# the type is taken lazily: greedy, it would run to the end of the text and come back sign by sign
ID = re.compile(r"^[a-z][a-z0-9-]{1,248}?[a-z0-9]--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,30})?Z\Z", re.ASCII)

# STIX 2.1 §2.9: what names other objects ends in `_ref` or `_refs`; these stand in objects that enter with
# whatever names them, without a rule of their own.
FREE_TYPES = frozenset({"marking-definition", "extension-definition"})
# What says that something happened or was seen, in contrast to the things of which it speaks.
STATEMENTS = frozenset(
    {
        "grouping",
        "incident",
        "indicator",
        "language-content",
        "malware-analysis",
        "note",
        "observed-data",
        "opinion",
        "relationship",
        "report",
        "sighting",
    }
)


Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class References:
    """What an object says of others: where it names one, and where an id stands in another spelling."""

    named: tuple[tuple[Path, str], ...]
    misspelt: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of one object. `version` is the literal text of `modified` or `created`, or None for an SCO."""

    id: str
    type: str
    version: str | None
    sha256: str
    raw: bytes = field(repr=False)
    value: Mapping[str, Any] = field(repr=False)
    _references: References | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def revoked(self) -> bool:
        return self.value.get("revoked") is True

    @property
    def creator(self) -> str | None:
        return creator_of(self.value)

    @property
    def references(self) -> References:
        """As `find_references`; looked for once, since checking, storing and judging all ask."""
        if self._references is None:
            object.__setattr__(self, "_references", find_references(self.value))  # frozen to everybody else
        assert self._references is not None  # noqa: S101  (for the type checker)
        return self._references

    @property
    def named(self) -> set[str]:
        """As `named` of its value."""
        return {target for _, target in self.references.named} | extension_ids(self.value)


def creator_of(value: Mapping[str, Any]) -> str | None:
    """The identity that an object says created it."""
    ref = value.get("created_by_ref")
    return ref if isinstance(ref, str) else None


def read_object(raw: bytes, limits: Limits = LIMITS) -> ObjectVersion:
    """One object from its bytes, with the checks every object passes: JSON, limits, id, type, dates.

    Raises BadInput (TooLarge above the limit of bytes) with the path of the fault. The schemas are `validate`.
    """
    if len(raw) > limits.object:
        raise TooLarge([Problem("", f"{len(raw)} bytes; an object may have {limits.object}")])
    value, sha256 = read_hashed(raw, limits)
    if not isinstance(value, dict):
        raise BadInput([Problem("", "an object is expected")])
    return _version(value, raw, sha256)


def make_object(value: Mapping[str, Any]) -> ObjectVersion:
    """An object that we made ourselves, serialised once."""
    whole = dict(value)
    return _version(whole, dump_json(whole), content_hash(whole))


def _version(value: dict[str, Any], raw: bytes, sha256: str) -> ObjectVersion:
    problems = []
    kind, id_ = value.get("type"), value.get("id")
    if not isinstance(kind, str) or not kind:
        problems.append(Problem("type", "missing, or not a string"))
    if not isinstance(id_, str) or not ID.match(id_):
        problems.append(Problem("id", "not a STIX identifier (type--UUID)"))
    elif isinstance(kind, str) and not id_.startswith(f"{kind}--"):
        problems.append(Problem("id", f"does not start with the object's type {kind!r}"))
    problems += [
        Problem(name, "not a STIX timestamp (RFC 3339, UTC, `Z`)")
        for name in ("created", "modified")
        if name in value and (not isinstance(value[name], str) or not is_timestamp(value[name]))
    ]
    if problems:
        raise BadInput(problems)
    version = value.get("modified", value.get("created"))
    return ObjectVersion(str(id_), str(kind), version, sha256, raw, value)


def is_timestamp(text: str) -> bool:
    """A point in time as STIX writes it: RFC 3339, UTC, `Z`, at most 30 digits, a day that the calendar has."""
    return len(text) <= _LONGEST_TIMESTAMP and _is_timestamp(text)


_LONGEST_TIMESTAMP = len("2025-01-01T00:00:00.Z") + 30


@lru_cache(maxsize=1024)  # each object is asked twice for its dates, when it is read and when it is validated
def _is_timestamp(text: str) -> bool:
    if not TIMESTAMP.match(text):
        return False
    # RFC 3339 §5.6 allows a leap second, which datetime does not know; it has no hour 24, which datetime may know
    whole = text[:17] + "59" if text[17:19] == "60" else text[:19]
    try:
        datetime.fromisoformat(whole)
    except ValueError:
        return False
    return whole[11:13] != "24"


def version_key(text: str) -> str:
    """A timestamp as text that sorts like the instant it names, whatever its digits: no `Z`, no trailing zeros.

    `2025-01-01T00:00:00.100Z` and `…00.1Z` give the same key; compare byte by byte.
    """
    body = text.rstrip("Z")
    return body.rstrip("0").rstrip(".") if "." in body else body


def from_micros(micros: int) -> str:
    """Microseconds since 1970 as `YYYY-MM-DDTHH:MM:SS.ffffffZ` (TAXII 2.1 §2)."""
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC) + timedelta(microseconds=micros % 1_000_000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_micros(moment: datetime) -> int:
    """A moment with a zone as whole microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def stix_time(moment: datetime) -> str:
    """A moment as STIX writes it, in milliseconds: the grain of every version that we make."""
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


def next_version(now: datetime, previous: str | None) -> str:
    """`modified` of a version we make: max(now, previous + 1 ms), so a clock set back never hides a correction."""
    text = stix_time(now)
    if previous is None or version_key(text) > version_key(previous):
        return text
    whole, _, fraction = previous.rstrip("Z").partition(".")
    millis = int((fraction + "000")[:3])
    if whole.endswith(":60"):  # a leap second, which datetime does not know
        whole, millis = whole.removesuffix("60") + "59", millis + 1000
    before = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return stix_time(before + timedelta(milliseconds=millis + 1))


def keyed_id(secret: bytes, kind: str, *parts: str) -> str:
    """A STIX id that only the holder of `secret` can foresee: HMAC-SHA-256 of the parts, in version-4 shape."""
    message = b"".join(len(data).to_bytes(4, "big") + data for data in (part.encode() for part in (kind, *parts)))
    digest = hmac.new(secret, message, hashlib.sha256).digest()
    return f"{kind}--{uuid.UUID(bytes=digest[:16], version=4)}"


def find_references(value: Mapping[str, Any]) -> References:
    """Both in one walk; `references` says what counts as naming.

    Misspelt is what names an object as soon as it is written in lower case without spaces, so that it would slip
    past whoever follows references.
    """
    named: list[tuple[Path, str]] = []
    misspelt: list[tuple[Path, str]] = []
    _walk(value, (), named, misspelt)
    return References(tuple(named), tuple(misspelt))


def references(value: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Every (path, id) by which an object names another, at any depth, extensions included.

    What counts is the name of the property (STIX 2.1 §3.1): `*_ref` holds an id, `*_refs` a list of them.
    Marking references inside `granular_markings` count as well, and `cluster` of the effects extension.
    """
    return iter(find_references(value).named)


def _walk(
    node: Mapping[str, Any], path: Path, named: list[tuple[Path, str]], misspelt: list[tuple[Path, str]]
) -> None:
    for key, member in node.items():
        if isinstance(member, str):
            if "_ref" in key and key.endswith(_ENDINGS):
                if not ID.match(member):
                    _note_misspelt((*path, key), member, misspelt)
                elif key.endswith("_ref"):
                    named.append(((*path, key), member))
            elif path and key == "cluster" and path[0] == "extensions" and ID.match(member):
                named.append(((*path, key), member))
        elif isinstance(member, dict):
            _walk(member, (*path, key), named, misspelt)
        elif isinstance(member, list):
            _walk_list(member, (*path, key), key.endswith(_ENDINGS), named, misspelt)


def _walk_list(
    items: list[Any], path: Path, refs: bool, named: list[tuple[Path, str]], misspelt: list[tuple[Path, str]]
) -> None:
    for index, item in enumerate(items):
        if isinstance(item, str):
            if not refs:
                continue
            if not ID.match(item):
                _note_misspelt(path, item, misspelt)
            elif str(path[-1]).endswith("_refs"):
                named.append(((*path, index), item))
        elif not item:
            continue  # there may be hundreds of thousands of empty lists
        elif isinstance(item, dict):
            _walk(item, (*path, index), named, misspelt)
        elif isinstance(item, list):
            _walk_list(item, (*path, index), False, named, misspelt)


def _note_misspelt(path: Path, text: str, misspelt: list[tuple[Path, str]]) -> None:
    if ID.match(text.lower().strip()):
        misspelt.append((path, text))


_ENDINGS = ("_ref", "_refs")


def extension_ids(value: Mapping[str, Any]) -> set[str]:
    """The extension definitions that an object names as keys of `extensions`."""
    extensions = value.get("extensions")
    if not isinstance(extensions, dict):
        return set()
    return {key for key in extensions if key.startswith("extension-definition--")}


def named(value: Mapping[str, Any]) -> set[str]:
    """Every object that one names: its references, markings, and the definitions of its extensions."""
    return {target for _, target in references(value)} | extension_ids(value)
