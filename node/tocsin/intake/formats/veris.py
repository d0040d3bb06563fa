"""VERIS: incidents as the VERIS community database keeps them, one JSON object each.

Read from a file of one record, a JSON array, or JSON Lines. The id of a record is the file's stem when the file
holds one record, else its `plus.master_id`, else its `incident_id`: in the community database the stem is the
master id, and `incident_id` differs and repeats. JSON is read strictly (no repeated keys); the shape leniently:
versions differ in values and in what they leave out, which is the mapping's affair.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

import msgspec

from tocsin.errors import BadInput
from tocsin.intake.formats.record import BadRecord, Format, Read, Reading, SourceRecord, said
from tocsin.stix.canonical import Limits, read_json

LIMITS = Limits(body=64 * 1024 * 1024, object=16 * 1024 * 1024, depth=64, string=4 * 1024 * 1024)
_PARTS = ("action", "actor", "asset", "attribute")
_BOM = b"\xef\xbb\xbf"


def _read(raw: bytes, name: str, reading: Reading) -> Read:
    raw = raw.removeprefix(_BOM)
    text = raw.lstrip()
    if _is_other_text(text):
        yield BadRecord(f"{name}:1", f"the file is not JSON{_table_hint(text)}")
    elif text[:1] == b"[":
        yield from _array(raw, name)
    elif name.lower().endswith((".jsonl", ".ndjson")) or _is_lines(text):
        yield from _many(_lines(raw), name)
    else:
        yield _record(raw, f"{name}:1", PurePath(name).stem)


def _parse(raw: bytes, reading: Reading) -> Mapping[str, Any]:
    value = read_json(raw, LIMITS)
    _check(value)
    return dict(value)


def _is_other_text(text: bytes) -> bool:
    """Text of which no line begins as JSON does: not a record with a fault, but another kind of file."""
    if text.startswith((b"{", b"[")):
        return False
    try:
        lines = text.decode().splitlines()
    except UnicodeDecodeError:
        return False  # the reader of JSON says where
    return not any(line.lstrip().startswith(("{", "[")) for line in lines) and not _is_json(text)


def _table_hint(text: bytes) -> str:
    first = text.partition(b"\n")[0]
    return "; it looks like a table: is it CSV?" if any(sign in first for sign in (b",", b";", b"\t")) else ""


def _is_lines(text: bytes) -> bool:
    """More than one line, and the first alone is a whole JSON object."""
    first, _, rest = text.partition(b"\n")
    return bool(rest.strip()) and _is_json(first)


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _array(raw: bytes, name: str) -> Read:
    try:
        members = msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        yield BadRecord(f"{name}:1", f"not a JSON array of records: {why}")
        return
    if not members:
        yield BadRecord(f"{name}:1", "the array is empty")
    yield from _many(_members(raw, members), name)


def _members(raw: bytes, members: list[msgspec.Raw]) -> Iterator[tuple[int, bytes]]:
    line, position = 1, 0
    for member in members:
        content = bytes(member).strip()
        start = raw.find(content, position)
        line += raw.count(b"\n", position, start)
        yield line, content
        line += content.count(b"\n")
        position = start + len(content)


def _lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(raw.split(b"\n"), 1):
        if content := line.strip():
            yield number, content


def _many(records: Iterator[tuple[int, bytes]], name: str) -> Read:
    for line, content in records:
        yield _record(content, f"{name}:{line}", None)


def _record(raw: bytes, place: str, stem: str | None) -> SourceRecord | BadRecord:
    try:
        value = read_json(raw, LIMITS)
        _check(value)
        return SourceRecord(stem or _own_id(value), value, raw, place)
    except BadInput as why:
        return BadRecord(place, said(why))


def _check(value: Any) -> None:
    if not isinstance(value, dict):
        raise BadInput("not a VERIS incident: an object is expected")
    if not any(isinstance(value.get(part), dict) for part in _PARTS):
        kind = value.get("type")
        hint = f" (it looks like STIX: type {kind!r})" if isinstance(kind, str) else ""
        hint = " (it looks like a JSON Schema)" if "$schema" in value or "properties" in value else hint
        hint = " (it looks like a MISP event)" if "Event" in value or "response" in value else hint
        raise BadInput(f"not a VERIS incident: it has none of action, actor, asset, attribute{hint}")
    wrong = [part for part in (*_PARTS, "victim", "timeline", "plus") if not isinstance(value.get(part, {}), dict)]
    if wrong:
        raise BadInput(f"{wrong[0]}: an object is expected")
    if listed := next((name for name, found in _single(value) if _lists_values(found)), None):
        raise BadInput(
            f"not a VERIS incident: {listed} lists the values it may have, where an incident has one; "
            "this looks like VERIS's own list of values, labels or fields"
        )


def _single(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields that hold one value in every incident, by the schema of VERIS 1.3: no list and no object."""
    for name in ("security_incident", "confidence", "targeted"):
        yield name, value.get(name)
    confidentiality = value.get("attribute", {}).get("confidentiality")
    if isinstance(confidentiality, dict):
        yield "attribute.confidentiality.data_disclosure", confidentiality.get("data_disclosure")
    for name, span in value.get("timeline", {}).items():
        if isinstance(span, dict):
            yield f"timeline.{name}.unit", span.get("unit")


def _lists_values(found: Any) -> bool:
    """A list of one value is only an odd way to write it; an object maps each value to its label."""
    return isinstance(found, list | dict) and len(found) > 1


def _own_id(value: Mapping[str, Any]) -> str:
    for found in (value.get("plus", {}).get("master_id"), value.get("incident_id")):
        if isinstance(found, str) and found.strip():
            return found.strip()
    raise BadInput("the record has no id: neither plus.master_id nor incident_id")


VERIS = Format("veris", (".json", ".jsonl", ".ndjson"), _read, _parse)
