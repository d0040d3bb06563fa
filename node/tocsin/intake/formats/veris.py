"""VERIS: incidents as the VERIS community database keeps them, one JSON object each.

Read from a file of one record, a JSON array, or JSON Lines. The id of a record is the file's stem when the file
holds one record, else its `plus.master_id`, else its `incident_id`: in the community database the stem is the
master id, and `incident_id` differs and repeats. JSON is read strictly (no repeated keys); the shape leniently:
versions differ in values and in what they leave out, which is the mapping's affair.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import PurePath
from typing import Any, BinaryIO

import msgspec

from tocsin.errors import BadInput
from tocsin.intake.formats.array import ArrayMembers
from tocsin.intake.formats.record import BadRecord, Format, Read, Reading, SourceRecord, said
from tocsin.stix.canonical import Limits, read_json

LIMITS = Limits(body=64 * 1024 * 1024, object=16 * 1024 * 1024, depth=64, string=4 * 1024 * 1024)
_PARTS = ("action", "actor", "asset", "attribute")
_BOM = b"\xef\xbb\xbf"
_FIRST_LOOK = 64 * 1024  # bytes
_TOO_LONG = f"a record of more than {LIMITS.object} bytes"


def _read(file: BinaryIO, name: str, reading: Reading) -> Read:
    start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
    file.seek(start)
    first_look = file.read(_FIRST_LOOK)
    text = first_look.lstrip()
    file.seek(start)
    if _is_other_text(text):
        yield BadRecord(f"{name}:1", f"the file is not JSON{_table_hint(text)}")
    elif text[:1] == b"[":
        yield from _array(file, name)
    elif name.lower().endswith((".jsonl", ".ndjson")) or _is_lines(file):
        file.seek(start)
        yield from _lines(file, name)
    else:
        file.seek(start)
        raw = file.read(LIMITS.object + 1)
        if len(raw) > LIMITS.object:
            yield BadRecord(f"{name}:1", _TOO_LONG)
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
    if len(text) > _FIRST_LOOK // 2:
        text = text[: text.rfind(b"\n") + 1] or text  # a letter may have been cut in two
    try:
        lines = text.decode().splitlines()
    except UnicodeDecodeError:
        return False  # the reader of JSON says where
    return not any(line.lstrip().startswith(("{", "[")) for line in lines) and not _is_json(text)


def _table_hint(text: bytes) -> str:
    first = text.partition(b"\n")[0]
    return "; it looks like a table: is it CSV?" if any(sign in first for sign in (b",", b";", b"\t")) else ""


def _is_lines(file: BinaryIO) -> bool:
    """More than one line, and the first alone is a whole JSON object."""
    first = b"\n"
    while first and not first.strip():
        first = file.readline(LIMITS.object + 1)
    return _is_json(first) and any(line.strip() for line in iter(partial(file.readline, _FIRST_LOOK), b""))


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _lines(file: BinaryIO, name: str) -> Read:
    for number in count(1):
        line = file.readline(LIMITS.object + 1)
        if not line:
            return
        if len(line) > LIMITS.object:
            yield BadRecord(f"{name}:{number}", _TOO_LONG)
            while line and not line.endswith(b"\n"):
                line = file.readline(_FIRST_LOOK)
        elif content := line.strip():
            yield _record(content, f"{name}:{number}", None)


def _array(file: BinaryIO, name: str) -> Read:
    """The members of an array, one at a time; where it is broken, those before are read."""
    members = ArrayMembers(file, LIMITS.object)
    try:
        for line, content in members:
            yield _record(content, f"{name}:{line}", None)
    except BadInput as why:
        yield BadRecord(f"{name}:{members.line}", f"not a JSON array of records: {said(why)}")
        return
    if not members.found:
        yield BadRecord(f"{name}:1", "the array is empty")


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
