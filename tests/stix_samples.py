"""A full object of every STIX 2.1 type, made from the schemas that OASIS publishes.

Every property that a schema names is there, nested ones and dictionaries too, and beside them properties and
extensions that nobody knows.
"""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_PACKAGE = find_spec("stix2validator")
assert _PACKAGE is not None
assert _PACKAGE.origin is not None
SCHEMAS = Path(_PACKAGE.origin).parent / "schemas-2.1" / "schemas"
UUID = "6b1f2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d"
OTHER = "1d2c3b4a-5f6e-4d7c-8b9a-0f1e2d3c4b5a"
UNKNOWN_EXTENSION = "extension-definition--7c8d9e0f-1a2b-4c3d-8e4f-5a6b7c8d9e0f"
TYPES = sorted(
    file.stem for folder in ("sdos", "sros", "observables") for file in (SCHEMAS / folder).glob("*.json")
)
OBSERVABLES = sorted(file.stem for file in (SCHEMAS / "observables").glob("*.json"))

_LATER = ("last_seen", "last_observed", "until", "stop_time", "ended", "end", "expires", "not_after", "modified")
# what a schema leaves to prose, or to a pattern
_VALUES: dict[str, Any] = {
    "spec_version": "2.1",
    "pattern": "[domain-name:value = 'c2.attacker.example']",
    "pattern_type": "stix",
    "is_family": False,
    "country": "EE",
    "region": "northern-europe",
    "latitude": 59.4,
    "longitude": 24.7,
    "precision": 10,
    "source_name": "tracker",
    "external_id": "T-1",
    "url": "https://tracker.example/1",
    "mime_type": "text/plain",
    "payload_bin": "dGV4dA==",
    "MD5": "d41d8cd98f00b204e9800998ecf8427e",
    "SHA-1": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "SHA-256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "SHA-512": "ab" * 64,
    "SHA3-256": "ab" * 32,
    "SHA3-512": "ab" * 64,
    "SSDEEP": "3:a:b",
    "TLSH": "a1" * 35,
    "cpe": "cpe:2.3:a:maker:thing:1.0:*:*:*:*:*:*:*",
    "languages": ["en"],
    "cbReserved2": 0,
    "exif_tags": {"Make": "text"},
    "options": {"SO_DEBUG": 1},
    "request_header": {"Host": ["text"]},
    "time_date_stamp": "2025-03-04T10:11:12Z",
    "relationship_type": "uses",
    "context": "unspecified",
    "result": "malicious",
    "identity_class": "organization",
    "kill_chain_name": "mitre-attack",
    "phase_name": "impact",
    "opinion": "agree",
    "protocols": ["ipv4", "tcp"],
    "is_active": False,
    "is_multipart": False,
    "magic_number_hex": "ffd8",
    "observed_data_refs": [f"observed-data--{OTHER}"],
    "where_sighted_refs": [f"identity--{OTHER}"],
    "installed_software_refs": [f"software--{OTHER}"],
    "operating_system_refs": [f"software--{OTHER}"],
    "operating_system_ref": f"software--{OTHER}",
    "host_vm_ref": f"software--{OTHER}",
    "object_marking_refs": ["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"],
}
_VALUES_BY_TYPE: dict[tuple[str, str], Any] = {
    ("ipv4-addr", "value"): "192.0.2.7",
    ("ipv6-addr", "value"): "2001:db8::7",
    ("mac-addr", "value"): "00:00:5e:00:53:07",
    ("email-addr", "value"): "someone@elsewhere.example",
    ("domain-name", "value"): "elsewhere.example",
    ("url", "value"): "https://elsewhere.example/",
    ("artifact", "encryption_algorithm"): None,
    ("artifact", "decryption_key"): None,
    ("artifact", "url"): None,
    ("artifact", "hashes"): None,
    ("observed-data", "objects"): None,
    ("email-message", "body"): "text",
    ("network-traffic", "end"): None,
}


def full_object(kind: str) -> dict[str, Any]:
    """An object of the type with every property that its schema names, and with unknown ones."""
    file = next(SCHEMAS.glob(f"*/{kind}.json"))
    found: dict[str, Any] = {}
    for name, (schema, home) in sorted(_properties(_load(file), file).items()):
        value = _VALUES_BY_TYPE.get((kind, name), _sample(schema, home, name))
        if value is not None:
            found[name] = value
    found |= {"type": kind, "spec_version": "2.1", "id": f"{kind}--{UUID}"}
    if kind not in OBSERVABLES:
        created = "2025-03-04T10:11:12.131Z"
        found |= {"created": created, "modified": created, "created_by_ref": f"identity--{UUID}"}
    found |= {"found_by": "text", "details": {"asset": ["text", {"owner": "text"}]}}
    found["extensions"] = {
        UNKNOWN_EXTENSION: {"extension_type": "property-extension", "asset": "text", "deep": [{"owner": "text"}]}
    } | {key: value for key, value in found.get("extensions", {}).items() if key.endswith("-ext")}
    found.pop("granular_markings", None)
    found.pop("revoked", None)
    return found


def strings(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every string in a value."""
    match value:
        case str():
            yield path
        case dict():
            for name, member in value.items():
                yield from strings(member, (*path, name))
        case list():
            for index, item in enumerate(value):
                yield from strings(item, (*path, index))


def dictionaries(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every dictionary in a value."""
    match value:
        case dict():
            yield path
            for name, member in value.items():
                yield from dictionaries(member, (*path, name))
        case list():
            for index, item in enumerate(value):
                yield from dictionaries(item, (*path, index))


def planted(value: Any, path: tuple[str | int, ...], text: Any) -> Any:
    """The value with this at one path."""
    if not path:
        return text
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        return [planted(item, rest, text) if index == step else item for index, item in enumerate(value)]
    return {name: planted(member, rest, text) if name == step else member for name, member in value.items()}


def _load(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _properties(schema: dict[str, Any], file: Path) -> dict[str, tuple[dict[str, Any], Path]]:
    """What the schema and all that it is made of name, each with the file it stands in."""
    schema, file = _resolved(schema, file)
    found: dict[str, tuple[dict[str, Any], Path]] = {}
    for part in (*schema.get("allOf", ()), *schema.get("oneOf", ())[:1], *schema.get("anyOf", ())[:1]):
        found |= _properties(part, file)
    for name, inner in schema.get("properties", {}).items():
        found.setdefault(name, (inner, file))
        if {"enum", "pattern", "type", "$ref"} & inner.keys():
            found[name] = (inner, file)
    return found


def _resolved(schema: dict[str, Any], file: Path) -> tuple[dict[str, Any], Path]:
    while "$ref" in schema:
        name, _, fragment = schema["$ref"].partition("#")
        file = (file.parent / name).resolve() if name else file
        schema = _load(file)
        for step in fragment.strip("/").split("/") if fragment else ():
            schema = schema[step]
    return schema, file


def _sample(schema: dict[str, Any], file: Path, name: str) -> Any:
    if name in _VALUES:
        return _VALUES[name]
    if name.endswith("_hex"):
        return "ffd8"
    schema, file = _resolved(schema, file)
    if file.stem == "timestamp" or any("timestamp" in str(part.get("$ref")) for part in schema.get("allOf", ())):
        return "2025-03-05T12:13:14.151Z" if name.endswith(_LATER) else "2025-03-04T10:11:12.131Z"
    if file.stem == "identifier" or name.endswith("_ref") or name == "ref":
        return f"file--{OTHER}"
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "array":
            item = f"file--{OTHER}" if name.endswith("_refs") else _sample(schema.get("items", {}), file, "item")
            return [item]
        case "boolean":
            return False
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "string":
            return "text"
    return _sample_object(schema, file)


def _sample_object(schema: dict[str, Any], file: Path) -> Any:
    found = {key: _sample(inner, home, key) for key, (inner, home) in _properties(schema, file).items()}
    for part in (schema, *(_resolved(p, file)[0] for p in schema.get("allOf", ()))):
        for pattern, inner in part.get("patternProperties", {}).items():
            key = pattern.strip("^$")
            if key.replace("-", "").isalnum():
                found[key] = _sample(inner, file, key)
    if not found and "allOf" in schema:
        return _sample(schema["allOf"][0], file, "")
    return found or {"key": "text"}
