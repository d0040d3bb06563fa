"""Invented objects of every type of STIX 2.1, drawn from a seed, and faults to put into them."""

import copy
import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

WORDS = ["harbour", "lantern", "quarry", "tidal", "ember", "signal", "orchard", "granite"]
Draw = random.Random


def an_id(draw: Draw, kind: str) -> str:
    return f"{kind}--{uuid.UUID(int=draw.getrandbits(128), version=4)}"


def a_time(draw: Draw, year: int) -> str:
    day, hour, milli = draw.randint(1, 28), draw.randint(0, 23), draw.randint(0, 999)
    return f"{year}-{draw.randint(1, 12):02}-{day:02}T{hour:02}:{draw.randint(0, 59):02}:07.{milli:03}Z"


def a_text(draw: Draw) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(1, 6)))


def texts(draw: Draw) -> list[str]:
    return [a_text(draw) for _ in range(draw.randint(1, 3))]


def ids(draw: Draw, *kinds: str) -> list[str]:
    return [an_id(draw, draw.choice(kinds)) for _ in range(draw.randint(1, 3))]


def phases(draw: Draw) -> list[dict[str, str]]:
    return [{"kill_chain_name": "example-chain", "phase_name": draw.choice(WORDS)}]


def seen(draw: Draw) -> dict[str, Any]:
    return {"first_seen": a_time(draw, 2020), "last_seen": a_time(draw, 2021)}


SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

# What each type must have, and what it may have.
Members = Callable[[Draw], dict[str, Any]]
DATED: Mapping[str, tuple[Members, Members]] = {
    "attack-pattern": (
        lambda d: {"name": a_text(d)},
        lambda d: {"description": a_text(d), "aliases": texts(d), "kill_chain_phases": phases(d)},
    ),
    "campaign": (
        lambda d: {"name": a_text(d)},
        lambda d: {"objective": a_text(d), "aliases": texts(d), **seen(d)},
    ),
    "course-of-action": (lambda d: {"name": a_text(d)}, lambda d: {"description": a_text(d)}),
    "grouping": (
        lambda d: {"context": "suspicious-activity", "object_refs": ids(d, "indicator", "malware")},
        lambda d: {"name": a_text(d), "description": a_text(d)},
    ),
    "identity": (
        lambda d: {"name": a_text(d)},
        lambda d: {"identity_class": "organization", "sectors": ["energy"], "roles": texts(d)},
    ),
    "incident": (lambda d: {"name": a_text(d)}, lambda d: {"description": a_text(d)}),
    "indicator": (
        lambda d: {
            "pattern": f"[ipv4-addr:value = '192.0.2.{d.randint(1, 254)}']",
            "pattern_type": "stix",
            "valid_from": a_time(d, 2020),
        },
        lambda d: {"name": a_text(d), "indicator_types": ["benign"], "valid_until": a_time(d, 2021)},
    ),
    "infrastructure": (
        lambda d: {"name": a_text(d)},
        lambda d: {"infrastructure_types": ["botnet"], "aliases": texts(d), **seen(d)},
    ),
    "intrusion-set": (
        lambda d: {"name": a_text(d)},
        lambda d: {"goals": texts(d), "resource_level": "team", "primary_motivation": "ideology", **seen(d)},
    ),
    "location": (
        lambda d: {"region": "northern-europe"},
        lambda d: {"latitude": 59.4370, "longitude": 24.7536, "precision": 10.5, "country": "EE"},
    ),
    "malware": (
        lambda d: {"is_family": False},
        lambda d: {
            "name": a_text(d),
            "malware_types": ["worm"],
            "sample_refs": ids(d, "file", "artifact"),
            **seen(d),
        },
    ),
    "malware-analysis": (
        lambda d: {"product": "example-scanner", "result": "benign"},
        lambda d: {"version": "1.0", "analysis_started": a_time(d, 2020), "analysis_ended": a_time(d, 2021)},
    ),
    "note": (
        lambda d: {"content": a_text(d), "object_refs": ids(d, "incident")},
        lambda d: {"abstract": a_text(d), "authors": texts(d)},
    ),
    "observed-data": (
        lambda d: {
            "first_observed": a_time(d, 2020),
            "last_observed": a_time(d, 2021),
            "number_observed": d.randint(1, 1000),
            "object_refs": ids(d, "ipv4-addr", "url"),
        },
        lambda d: {},
    ),
    "opinion": (
        lambda d: {"opinion": "agree", "object_refs": ids(d, "incident", "indicator")},
        lambda d: {"explanation": a_text(d), "authors": texts(d)},
    ),
    "report": (
        lambda d: {"name": a_text(d), "published": a_time(d, 2021), "object_refs": ids(d, "incident")},
        lambda d: {"report_types": ["campaign"], "description": a_text(d)},
    ),
    "threat-actor": (
        lambda d: {"name": a_text(d)},
        lambda d: {"threat_actor_types": ["hacker"], "goals": texts(d), "sophistication": "expert", **seen(d)},
    ),
    "tool": (
        lambda d: {"name": a_text(d)},
        lambda d: {"tool_types": ["exploitation"], "kill_chain_phases": phases(d)},
    ),
    "vulnerability": (lambda d: {"name": a_text(d)}, lambda d: {"description": a_text(d)}),
    "relationship": (
        lambda d: {
            "relationship_type": "related-to",
            "source_ref": an_id(d, "incident"),
            "target_ref": an_id(d, "identity"),
        },
        lambda d: {"description": a_text(d), "start_time": a_time(d, 2020), "stop_time": a_time(d, 2021)},
    ),
    "sighting": (
        lambda d: {"sighting_of_ref": an_id(d, "indicator")},
        lambda d: {
            "count": d.randint(0, 99),
            "where_sighted_refs": ids(d, "identity"),
            "summary": True,
            **seen(d),
        },
    ),
    "language-content": (
        lambda d: {"object_ref": an_id(d, "incident"), "contents": {"de": {"name": a_text(d)}}},
        lambda d: {"object_modified": a_time(d, 2021)},
    ),
    "extension-definition": (
        lambda d: {
            "created_by_ref": an_id(d, "identity"),
            "name": a_text(d),
            "schema": "https://schemas.example/one.json",
            "version": "1.0.0",
            "extension_types": ["property-extension"],
        },
        lambda d: {"description": a_text(d)},
    ),
}
OBSERVABLE: Mapping[str, tuple[Members, Members]] = {
    "artifact": (lambda d: {"payload_bin": "VG9jc2lu"}, lambda d: {"mime_type": "text/plain"}),
    "autonomous-system": (lambda d: {"number": d.randint(1, 65000)}, lambda d: {"name": a_text(d), "rir": "RIPE"}),
    "directory": (
        lambda d: {"path": "/srv/example"},
        lambda d: {"ctime": a_time(d, 2020), "mtime": a_time(d, 2021)},
    ),
    "domain-name": (lambda d: {"value": f"{d.choice(WORDS)}.example"}, lambda d: {}),
    "email-addr": (lambda d: {"value": "a.person@post.example"}, lambda d: {"display_name": a_text(d)}),
    "email-message": (
        lambda d: {"is_multipart": False},
        lambda d: {
            "subject": a_text(d),
            "body": a_text(d),
            "to_refs": ids(d, "email-addr"),
            "date": a_time(d, 2021),
        },
    ),
    "file": (
        lambda d: {"name": f"{d.choice(WORDS)}.bin"},
        lambda d: {"hashes": {"SHA-256": SHA256}, "size": d.randint(0, 10**6), "mtime": a_time(d, 2021)},
    ),
    "ipv4-addr": (lambda d: {"value": f"192.0.2.{d.randint(1, 254)}"}, lambda d: {}),
    "ipv6-addr": (lambda d: {"value": f"2001:db8::{d.randint(1, 9999):x}"}, lambda d: {}),
    "mac-addr": (lambda d: {"value": f"02:00:00:00:00:{d.randint(16, 99)}"}, lambda d: {}),
    "mutex": (lambda d: {"name": a_text(d)}, lambda d: {}),
    "network-traffic": (
        lambda d: {"src_ref": an_id(d, "ipv4-addr"), "protocols": ["ipv4", "tcp"]},
        lambda d: {
            "dst_port": d.randint(0, 65535),
            "src_byte_count": d.randint(0, 10**9),
            "start": a_time(d, 2020),
            "end": a_time(d, 2021),
            "is_active": False,
        },
    ),
    "process": (
        lambda d: {"pid": d.randint(1, 99999)},
        lambda d: {"command_line": a_text(d), "created_time": a_time(d, 2020), "child_refs": ids(d, "process")},
    ),
    "software": (lambda d: {"name": a_text(d)}, lambda d: {"vendor": a_text(d), "version": "7.1"}),
    "url": (lambda d: {"value": f"https://{d.choice(WORDS)}.example/a?b=c"}, lambda d: {}),
    "user-account": (
        lambda d: {"user_id": "1001"},
        lambda d: {"account_login": "operator", "is_disabled": False, "account_created": a_time(d, 2020)},
    ),
    "windows-registry-key": (
        lambda d: {"key": "hkey_local_machine\\software\\example"},
        lambda d: {"values": [{"name": "one", "data": "1", "data_type": "REG_SZ"}], "number_of_subkeys": 3},
    ),
    "x509-certificate": (
        lambda d: {"serial_number": "36:f7:d4:32"},
        lambda d: {"is_self_signed": True, "hashes": {"SHA-256": SHA256}, "validity_not_before": a_time(d, 2020)},
    ),
}
# STIX 2.1 §3.2: these have no versions, and what goes with versions is not theirs.
UNVERSIONED: Mapping[str, tuple[Members, Members]] = {
    "marking-definition": (
        lambda d: {
            "definition_type": "statement",
            "definition": {"statement": a_text(d)},
            "created": a_time(d, 2020),
        },
        lambda d: {"name": a_text(d)},
    ),
}
MEMBERS = {**DATED, **OBSERVABLE, **UNVERSIONED}
TYPES = tuple(MEMBERS)
# Types that must have one of several properties: without one, they are still whole.
ONE_OF_MANY = {"process", "windows-registry-key", "user-account", "x509-certificate", "file"}


@dataclass(frozen=True)
class Drawn:
    """One object; `fault` names what was put into it ("" for nothing), `where` the property."""

    value: dict[str, Any]
    fault: str = ""
    where: str = ""


def an_object(draw: Draw, kind: str) -> dict[str, Any]:
    """A valid object of this type."""
    must, may = MEMBERS[kind]
    optional = may(draw)
    value = {"type": kind, "spec_version": "2.1", "id": an_id(draw, kind)}
    if kind in DATED:
        value |= {"created": a_time(draw, 2022), "modified": a_time(draw, 2023)}
        value |= _some(draw, {"created_by_ref": an_id(draw, "identity"), "labels": texts(draw), "lang": "en"})
        value |= _some(draw, {"confidence": draw.randint(0, 100), "revoked": draw.random() < 0.2})
        value |= _some(draw, {"external_references": [{"source_name": "example", "description": a_text(draw)}]})
    value |= must(draw) | (optional if draw.random() < 0.7 else {})
    if draw.random() < 0.3:
        value |= {"x_example_rank": draw.choice([7, "high", [1, 2], {"deep": {"er": False}}, 0.25])}
    if draw.random() < 0.3:
        value["object_marking_refs"] = ["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"]
    return value


def _some(draw: Draw, members: dict[str, Any]) -> dict[str, Any]:
    return {name: member for name, member in members.items() if draw.random() < 0.5}


# Faults. Each takes a valid object and spoils it in place; it gives the property, or None where it cannot.
Spoil = Callable[[Draw, dict[str, Any]], str | None]


def _without_what_it_must_have(draw: Draw, value: dict[str, Any]) -> str | None:
    kind = value["type"]
    if kind in ONE_OF_MANY:
        return None
    name = draw.choice(list(MEMBERS[kind][0](draw)))
    for gone in (name, *(("latitude", "longitude", "precision", "country") if kind == "location" else ())):
        value.pop(gone, None)
    return name


def _put(name: str, member: Any) -> Spoil:
    def spoil(draw: Draw, value: dict[str, Any]) -> str:
        value[name] = member
        return name

    return spoil


def _put_where_dated(name: str, member: Any) -> Spoil:
    """A property common to domain objects and relationships; on an observable it would be its own (§3.2)."""

    def spoil(draw: Draw, value: dict[str, Any]) -> str | None:
        return _put(name, member)(draw, value) if value["type"] in DATED else None

    return spoil


def _put_but_in_markings(name: str, member: Any) -> Spoil:
    """The schema of marking definitions leaves open what the other schemas say of any property."""

    def spoil(draw: Draw, value: dict[str, Any]) -> str | None:
        return None if value["type"] in UNVERSIONED else _put(name, member)(draw, value)

    return spoil


def _of_another_kind(draw: Draw, value: dict[str, Any]) -> str:
    free = {"type", "id", "spec_version", "x_example_rank"}
    name = draw.choice([name for name in value if name not in free])
    value[name] = {"odd": {}} if not isinstance(value[name], dict) else 7
    return name


def _dated_badly(text: str) -> Spoil:
    def spoil(draw: Draw, value: dict[str, Any]) -> str | None:
        names = [
            name for name in ("created", "modified", "valid_from", "published", "first_observed") if name in value
        ]
        if not names:
            return None
        name = draw.choice(names)
        value[name] = text
        return name

    return spoil


def _the_wrong_way_round(draw: Draw, value: dict[str, Any]) -> str | None:
    pairs = "created modified first_seen last_seen first_observed last_observed valid_from valid_until start_time"
    names = [*pairs.split(), "stop_time", "analysis_started", "analysis_ended", "start", "end"]
    there = [pair for pair in zip(names[::2], names[1::2], strict=True) if pair[0] in value and pair[1] in value]
    if not there:
        return None
    first, last = draw.choice(there)
    value[first], value[last] = value[last], value[first]
    return last


FAULTS: Mapping[str, Spoil] = {
    "required": _without_what_it_must_have,
    "another kind": _of_another_kind,
    "null": _put_but_in_markings("x_example_gone", None),
    "empty list": _put_but_in_markings("x_example_none", []),
    "id without UUID": lambda d, v: v.update(id=f"{v['type']}--1") or "id",
    "id of another type": lambda d, v: v.update(id=an_id(d, "tool" if v["type"] != "tool" else "malware")) or "id",
    "id in capitals": lambda d, v: v.update(id=v["id"][:-36] + v["id"][-36:].upper()) or "id",
    "no zone": _dated_badly("2022-05-06T07:08:09.123"),
    "with an offset": _dated_badly("2022-05-06T07:08:09.123+02:00"),
    "30 February": _dated_badly("2022-02-30T07:08:09.123Z"),
    "hour 25": _dated_badly("2022-05-06T25:08:09.123Z"),
    "order": _the_wrong_way_round,
    "capitals": _put_but_in_markings("X_Example", "a"),
    "one letter": _put_but_in_markings("xy", "a"),
    "confidence": _put_where_dated("confidence", 101),
    "labels": _put_where_dated("labels", []),
    "creator": _put_where_dated("created_by_ref", "nobody"),
    "marking": _put("object_marking_refs", ["incident--1"]),
    "empty extensions": _put("extensions", {}),
    "extension without content": _put(
        "extensions", {"extension-definition--" + "1a2b3c4d-1111-4222-8333-444455556666": {}}
    ),
    "extension without a definition": _put("extensions", {"odd": {"a": 1}}),
    "reserved": _put_but_in_markings("severity", "high"),
    "version 2.0": _put("spec_version", "2.0"),
    "no type": lambda d, v: v.pop("type") and "type",
    "no id": lambda d, v: v.pop("id") and "id",
    "external reference": _put_where_dated("external_references", [{"description": "of nothing"}]),
    "granular marking": _put("granular_markings", [{"selectors": ["id"]}]),
}


def drawn(number: int) -> Drawn:
    """Object `number` of an endless list: types in turn, every other one with a fault."""
    draw = random.Random(number)
    value = an_object(draw, TYPES[number % len(TYPES)])
    if number // len(TYPES) % 2 == 0:
        return Drawn(value)
    while True:
        fault = draw.choice(list(FAULTS))
        spoilt = copy.deepcopy(value)
        where = FAULTS[fault](draw, spoilt)
        if where is not None:
            return Drawn(spoilt, fault, where)
