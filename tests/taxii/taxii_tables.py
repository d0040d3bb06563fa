"""The property tables of TAXII 2.1 (§3.6.1 to §5.8.1) and its data types (§2), to hold answers against."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_STIX_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")  # a version is the object's own literal
_LARGEST = 2**53 - 1

DATA_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: type(value) is int and abs(value) <= _LARGEST,
    "identifier": lambda value: isinstance(value, str) and bool(_UUID4.fullmatch(value)),
    "timestamp": lambda value: isinstance(value, str) and bool(_TIMESTAMP.fullmatch(value)),
    "version": lambda value: isinstance(value, str) and bool(_STIX_TIMESTAMP.fullmatch(value)),
    "object": lambda value: isinstance(value, dict) and {"id", "type"} <= value.keys(),
    "dictionary": lambda value: isinstance(value, dict),
}
# A property's name is followed by `*` where it is required; `list:` is a list of the type after it. `next` of
# manifest and versions is what §3.5 needs and their tables forget (cti-taxii2#110).
TABLES: Mapping[str, str] = {
    "discovery": "title*=string description=string contact=string default=string api_roots=list:string",
    "api-root": "title*=string description=string versions*=list:string max_content_length*=integer",
    "status": "id*=identifier status*=string request_timestamp=timestamp total_count*=integer"
    " success_count*=integer successes=list:status-detail failure_count*=integer failures=list:status-detail"
    " pending_count*=integer pendings=list:status-detail",
    "status-detail": "id*=string version*=string message=string",
    "collections": "collections=list:collection",
    "collection": "id*=identifier title*=string description=string alias=string can_read*=boolean"
    " can_write*=boolean media_types=list:string",
    "manifest": "more=boolean next=string objects=list:manifest-record",
    "manifest-record": "id*=string date_added*=timestamp version*=version media_type=string",
    "envelope": "more=boolean next=string objects=list:object",
    "versions": "more=boolean next=string versions=list:version",
    "error": "title*=string description=string error_id=string error_code=string http_status=string"
    " external_details=string details=dictionary",
}


def faults(kind: str, value: Any, place: str = "") -> list[str]:
    """What in `value` is not as the table of `kind` has it; nothing where it conforms."""
    if kind.startswith("list:"):
        if not isinstance(value, list) or not value:
            return [f"{place}: not a list with an element"]
        members = enumerate(value)
        return [fault for at, one in members for fault in faults(kind[5:], one, f"{place}[{at}]")]
    if kind in DATA_TYPES:
        return [] if DATA_TYPES[kind](value) else [f"{place}: {value!r:.60} is no {kind}"]
    if not isinstance(value, dict):
        return [f"{place or kind}: not an object"]
    table = dict(column.split("=") for column in TABLES[kind].split())
    known = {name.rstrip("*"): type_ for name, type_ in table.items()}
    found = [f"{place or kind}: no property {name!r} in the table" for name in value.keys() - known.keys()]
    required = {name[:-1] for name in table if name.endswith("*")}
    found += [f"{place or kind}: {name!r} is required" for name in required - value.keys()]
    for name in value.keys() & known.keys():
        found += faults(known[name], value[name], f"{place}.{name}")
    return found


def i_json(raw: bytes) -> Any:
    """The value of a text in I-JSON (RFC 7493): UTF-8, no key twice, finite numbers, no lone surrogate.

    Raises ValueError for any other text.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key is given twice")
        return dict(pairs)

    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    value = json.loads(raw.decode("utf-8"), object_pairs_hook=once, parse_constant=no_constant)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair has no UTF-8
    return value
