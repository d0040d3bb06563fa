"""Traces: what of a world may be in what readers get, and what is.

Found is every canary in some bytes: as it is, in capitals, escaped for JSON or URLs, as hex, as base64 at any
offset. What may be there follows from the naive opinion, and for redacted copies from the redaction table and the
rule's groups alone.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import unquote_to_bytes

from graphs import Place, Told, World
from naive import DEFINITIONS, TABLE, Naive, Standing, names

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX = re.compile(rb"[0-9a-f]{32,}")
_TIME = re.compile(rb"20\d\d-\d\d-\d\dt\d\d:\d\d:\d\d\.\d{6}z")
_ESCAPE = re.compile(rb"\\u([0-9a-f]{4})")
_PACKED = re.compile(rb"[A-Za-z0-9+/_-]{22,}")
_UNKNOWN = ("found_by", "details")
_COMMON = {"labels": ("labels", "narrative"), "external_references": ("external_references", "references")}


# --- what is there -------------------------------------------------------------------------------------------


def found_in(data: bytes) -> set[str]:
    """Every canary-like thing in some bytes, in whatever spelling."""
    return set(_plain(data)) | set(_unpacked(data))


def _plain(data: bytes) -> Iterator[str]:
    low = data.lower()
    if b"%" in low:
        yield from _plain(unquote_to_bytes(low.replace(b"%25", b"%")).replace(b"%", b" "))
    if b"\\u" in low:
        low = _ESCAPE.sub(lambda found: chr(int(found[1], 16)).encode("utf-8", "replace"), low)
    yield from (found.replace(b"-", b"").decode() for found in _UUID.findall(low))
    yield from (found.decode() for found in _TIME.findall(low))
    for run in set(_HEX.findall(low)):
        yield from (run[at : at + 32].decode() for at in range(len(run) - 31))
        with_whole_bytes = run[: len(run) // 2 * 2]
        if len(run) >= 64:
            yield from _plain(binascii.unhexlify(with_whole_bytes))


def _unpacked(data: bytes) -> Iterator[str]:
    rest = _UUID.sub(b" ", data)
    for run in set(_PACKED.findall(rest)):
        if not _HEX.fullmatch(run.lower()):
            yield from _decoded(run)


@cache
def _decoded(run: bytes) -> frozenset[str]:
    found: set[str] = set()
    plain = run.replace(b"-", b"+").replace(b"_", b"/")
    for offset in range(4):
        part = plain[offset:]
        raw = base64.b64decode(part[: len(part) // 4 * 4])
        found |= set(_plain(raw))
        found |= {raw[at : at + 16].hex() for at in range(len(raw) - 15)}
    return frozenset(found)


# --- what may be there ---------------------------------------------------------------------------------------


@dataclass
class Permitted:
    """The canaries that may be in a collection. `look` after every step: the log keeps an id once shown."""

    world: World
    ids: dict[str, set[str]] = field(default_factory=dict)
    versions: dict[tuple[str, str], dict[str, Told]] = field(default_factory=dict)  # that stand whole
    named: set[tuple[str, str, str]] = field(default_factory=set)  # that ever did: the log tells of their leaving

    def look(self, naive: Naive) -> None:
        for key, state in naive.stands.items():
            shown = self.ids.setdefault(key, set())
            for id_, one in state.items():
                shown |= set(_ids_shown(id_, one))
                if one.form == "whole":
                    self.versions.setdefault((key, id_), {})[one.told.version] = one.told
                    self.named.add((key, id_, one.told.version))
            for gone in [place for place in self.versions if place[0] == key and not _is_whole(state, place[1])]:
                del self.versions[gone]

    def canaries(self, naive: Naive, key: str) -> set[str]:
        found = {canary for canary, place in self.world.canaries.items() if self._may_be_there(naive, key, place)}
        return found | {
            canary for one in naive.stands[key].values() if one.form == "whole" for canary in _quoted(one)
        }

    def older_names(self, key: str, id_: str) -> bool:
        """Whether a version that stands beside a newer one names a definition."""
        standing = (
            told for (where, _), versions in self.versions.items() if where == key for told in versions.values()
        )
        return any(id_ in names(told.value) for told in standing)

    def _may_be_there(self, naive: Naive, key: str, place: Place) -> bool:
        if place.path == "id":
            return place.object_id in self.ids[key]
        if place.path in ("created", "modified") and (key, place.object_id, place.version) in self.named:
            return True
        one = naive.stands[key].get(place.object_id)
        if one is None:
            return place.object_id.partition("--")[0] in DEFINITIONS and self.older_names(key, place.object_id)
        if one.form == "whole":
            return place.path == "created" or place.version in self.versions[key, place.object_id]
        if place.version != one.told.version or place.path in ("created", "modified"):
            return False
        return one.form == "closed" or shown(place.object_id.partition("--")[0], place.path, one.groups, one.keep)


def _quoted(one: Standing) -> set[str]:
    """What a translation that stands whole says again: closure, or a writer's own disclosure, lets it."""
    if one.told.value["type"] != "language-content":
        return set()
    return found_in(json.dumps(one.told.value["contents"]).encode())


def _is_whole(state: Mapping[str, Standing], id_: str) -> bool:
    return id_ in state and state[id_].form == "whole"


def _ids_shown(id_: str, one: Standing) -> Iterator[str]:
    if one.form == "whole":
        yield id_
        yield from names(one.told.value)
    else:
        yield from (name for name in names(one.told.value) if name.partition("--")[0] in DEFINITIONS)


def shown(kind: str, path: str, groups: frozenset[str], keep: frozenset[str]) -> bool:
    """Whether a redacted copy may hold a text, or a precise time, at a path."""
    hidden = groups | ({"victim-observables"} if "victim" in groups else set())
    keep = keep - hidden
    first = path.partition(".")[0].removesuffix("[]")
    if first in _COMMON:
        word, group = _COMMON[first]
        return word in keep and group not in hidden
    if first in _UNKNOWN:
        return "unknown-properties" in keep
    table = TABLE[kind]
    coded = table["coded"].get(path.removesuffix("[]"))
    if coded is not None:
        if coded["kind"] in ("time", "moment"):
            return "exact-times" in keep
        spelt = coded["kind"] == "text" or table["extends"] == "observable" or coded["groups"]
        return bool(spelt) and hidden.isdisjoint(coded["groups"])
    for free, given in table["free"].items():
        if path == free or path.startswith((f"{free}.", f"{free}[]")):
            return given["keep"] in keep and hidden.isdisjoint(given["groups"])
    return first == "extensions" and "unknown-extensions" in keep and not _is_of_stix(kind, path)


@cache
def _is_of_stix(kind: str, path: str) -> bool:
    """Whether an extension at a path is one that a copy shows field by field, or never."""
    name = path.split(".")[1] if "." in path else ""
    return any(f"extensions.{name}." in known for known in TABLE[kind]["coded"])
