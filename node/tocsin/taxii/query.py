"""Query: the parameters of a request, parsed by hand (TAXII 2.1 §3.4, §3.5).

Lenient where the standard is silent and clients differ (unknown parameters, percent-encoded brackets, a `+` that
arrived as a space, an empty `next`), strict where it says 400: a date that is none, a limit that is not a positive
integer, a parameter or match field given twice, a `next` that is not ours.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl

from tocsin.errors import BadInput, Problem
from tocsin.stix.objects import to_micros, version_key
from tocsin.store.pages import Filter

DEFAULT_LIMIT = 500
MAX_LIMIT = 1000
MAX_VALUES = 1000  # of one match field: as many as a page can hold
MAX_PARAMETERS = 100

MATCH_OBJECTS = frozenset({"id", "type", "version", "spec_version"})  # §5.3, §5.4
MATCH_OBJECT = frozenset({"version", "spec_version"})  # §5.6, §5.7
MATCH_VERSIONS = frozenset({"spec_version"})  # §5.8

_PAGING = frozenset({"added_after", "limit", "next"})
_MATCH = re.compile(r"match\[([a-z_]+)\]")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
LAST = frozenset({"last"})  # what `match[version]` is where it is not given
ALL = frozenset({"all"})
_WORDS = frozenset({"last", "first", "all"})
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(?:\.(\d{1,30}))?(?:[Zz]|([+ -])(\d\d):(\d\d))", re.ASCII
)
_POSITION_BYTES = 8
_MAC_BYTES = 16
_SEALED = re.compile(r"[A-Za-z0-9_-]{32}")  # 24 bytes, in the one spelling that `seal` gives them


@dataclass(frozen=True, slots=True)
class Query:
    """What a request asks of a log: which of its entries, how many at a time, and whether it follows a `next`."""

    what: Filter
    limit: int
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """The pages of one collection: a position made opaque and unforgeable, with nothing kept on the server.

    The same for every replica and after every restart, because it rests on the node's own secret alone.
    """

    key: bytes = field(repr=False)
    collection_id: str

    def seal(self, position: int) -> str:
        """`next` for what comes after `position`."""
        data = position.to_bytes(_POSITION_BYTES, "big", signed=True)
        return base64.urlsafe_b64encode(data + self._mac(data)).decode("ascii")

    def unseal(self, text: str) -> int:
        """The position. Raises BadInput for whatever `seal` did not make for this collection."""
        if not _SEALED.fullmatch(text):
            raise _bad("next", "not a value that this collection gave out")
        sealed = base64.urlsafe_b64decode(text)
        data = sealed[:_POSITION_BYTES]
        if not hmac.compare_digest(self._mac(data), sealed[_POSITION_BYTES:]):
            raise _bad("next", "not a value that this collection gave out")
        return int.from_bytes(data, "big", signed=True)

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self.key, self.collection_id.encode() + data, hashlib.sha256)[:_MAC_BYTES]


def cursor_key(namespace: bytes) -> bytes:
    """The key of every `next`, derived from the node's secret and of no use for anything else."""
    return hmac.digest(namespace, b"tocsin taxii next", hashlib.sha256)


def read_query(
    query_string: bytes, cursor: Cursor, fields: frozenset[str], versions: frozenset[str] = LAST
) -> Query:
    """The query of a request, with the match fields that its endpoint supports; others are ignored (§3.4).

    `versions` is what is meant where `match[version]` is not given. Raises BadInput naming the parameter.
    """
    single, match = _parameters(query_string, _PAGING, fields)
    bounds = []
    if "added_after" in single:
        bounds.append(read_position(single["added_after"], "added_after"))
    if single.get("next"):
        bounds.append(cursor.unseal(single["next"]))
    lists = {name: _values(name, text) for name, text in match.items()}
    what = Filter(
        # both hold: what came after the page before, and after the date; so neither can lead back to page one
        after=max(bounds, default=None),
        ids=lists.get("id"),
        types=lists.get("type"),
        spec_versions=lists.get("spec_version"),
        versions=_versions(lists["version"]) if "version" in lists else versions,
    )
    limit = read_limit(single["limit"]) if "limit" in single else DEFAULT_LIMIT
    return Query(what, limit, follows=bool(single.get("next")))


def read_parameters(query_string: bytes, names: frozenset[str]) -> Mapping[str, str]:
    """The parameters of these names, each given once at most; others are ignored. Raises BadInput."""
    return _parameters(query_string, names, frozenset())[0]


def read_repeated(query_string: bytes, name: str) -> list[str]:
    """Every value of a parameter that may be given several times. Raises BadInput."""
    return [text for found, text in _pairs(query_string) if found == name]


def read_limit(text: str) -> int:
    """A positive integer, clamped to what we give at most (§3.4: a server may give fewer)."""
    if not re.fullmatch(r"[0-9]{1,100}", text) or not text.strip("0"):
        raise _bad("limit", "not a positive integer")
    return min(int(text), MAX_LIMIT)


def read_position(text: str, name: str) -> int:
    """A timestamp of any digits as microseconds; what is finer is cut off, which is exact for `>`."""
    minute, second, fraction = _instant(text, name)
    return to_micros(minute) + second * 1_000_000 + int((fraction + "000000")[:6])


def _parameters(
    query_string: bytes, names: frozenset[str], fields: frozenset[str]
) -> tuple[dict[str, str], dict[str, str]]:
    single: dict[str, str] = {}
    match: dict[str, str] = {}
    for name, text in _pairs(query_string):
        if name in names:
            into, key = single, name
        elif (found := _MATCH.fullmatch(name)) and found[1] in fields:
            into, key = match, found[1]
        else:
            continue
        if key in into:
            raise _bad(name, "given twice")
        into[key] = text
    return single, match


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError as why:  # UnicodeDecodeError is one as well
        raise _bad("query", "not percent-encoded UTF-8, or too many parameters") from why


def _values(name: str, text: str) -> frozenset[str]:
    values = frozenset(value for part in text.split(",") if (value := part.strip(" ")))
    if not values:
        raise _bad(f"match[{name}]", "an empty list")
    if len(values) > MAX_VALUES:
        raise _bad(f"match[{name}]", f"{len(values)} values; at most {MAX_VALUES}")
    if _CONTROL.search(text):
        raise _bad(f"match[{name}]", "a control character")
    return values


def _versions(values: Iterable[str]) -> frozenset[str]:
    return frozenset(value if value in _WORDS else _key(value) for value in values)


def _key(text: str) -> str:
    """A version named by its instant, however it was spelt, as the log's `version_key`."""
    minute, second, fraction = _instant(text, "match[version]")
    whole = minute.replace(tzinfo=None).isoformat()[:17]
    return version_key(f"{whole}{second:02d}.{fraction or '0'}Z")


def _instant(text: str, name: str) -> tuple[datetime, int, str]:
    """An RFC 3339 time: its minute in UTC, its second (60 for a leap second), the digits of its fraction."""
    found = _INSTANT.fullmatch(text.strip())
    if not found:
        raise _bad(name, f"{text[:60]!r} is not a timestamp such as 2025-03-14T09:26:53.589793Z")
    day, minute, second, fraction, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{minute}:00").replace(tzinfo=UTC)
        if hours is not None:
            # `+` means a space in a query, so the sign of an offset may arrive as one
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            moment = moment.replace(tzinfo=timezone(-offset if sign == "-" else offset)).astimezone(UTC)
    except (ValueError, OverflowError) as why:
        raise _bad(name, f"{text[:60]!r} names no moment") from why
    if int(second) > 60:
        raise _bad(name, f"{text[:60]!r} names no moment")
    return moment, int(second), fraction or ""


def _bad(name: str, text: str) -> BadInput:
    return BadInput([Problem(name, text)])
