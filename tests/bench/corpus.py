"""Corpus: the objects that everything here writes and reads, made from a seed and a number, the same every time.

Blocks of twenty: 2 incidents with the effects extension, 8 indicators, 2 identities, 5 relationships between
them, 3 observables; 1.5 kB on average. An object can be made alone, so a million need not be kept in memory.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.stix.effects import EXTENSION_ID, INCIDENT_CORE_ID
from tocsin.stix.markings import Tlp

BLOCK = (
    "identity", "incident", "indicator", "indicator", "relationship",
    "indicator", "domain-name", "indicator", "relationship", "indicator",
    "identity", "incident", "indicator", "ipv4-addr", "relationship",
    "indicator", "relationship", "indicator", "file", "relationship",
)  # fmt: skip
CREATORS = 8  # identities that everything names as its creator
_SCOS = frozenset({"domain-name", "ipv4-addr", "file"})
_MARKINGS = (Tlp.GREEN, Tlp.GREEN, Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER)
_WORDS = re.findall(
    r"\w+",
    """
    after before during host network server mail gateway operator shift logged answered stopped began again second
    third traffic outbound inbound unusual credentials staff supplier update signed unsigned library archive backup
    restored lost delayed controller turbine pump ward clinic office branch region citizens payment register portal
    certificate resolver cable station notice report confirmed suspected unrelated
    """,
)
_drawn = random.Random(20250301)
_PHRASES = [" ".join(_drawn.choices(_WORDS, k=11)) for _ in range(1024)]
_COUNTRIES = ("EE", "LV", "LT", "FI", "SE", "PL")
# (effects, effect type, means): consistent, as the schema of the extension and its derivation ask for
_FOUND = (
    (("data-attack",), "disruptive", "ransomware"),
    (("external-denial-of-service",), "disruptive", "ddos"),
    (("exploitation-of-application-server",), "exploitive", "exploited-vulnerability"),
    (("exploitation-of-end-hosts",), "exploitive", "phishing"),
    (("data-attack", "exploitation-of-application-server"), "mixed", "ransomware"),
)


@dataclass(frozen=True, slots=True)
class Made:
    """One object: its bytes, and what a database wants to have in columns. An observable's `version` is ours."""

    id: str
    type: str
    version: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Corpus:
    """Objects by number. Another `seed` gives other ids and texts of the same kind."""

    seed: int = 1

    def id_of(self, number: int) -> str:
        """The id of an object, without making it."""
        return f"{BLOCK[number % len(BLOCK)]}--{self._uuid(number)}"

    def make(self, number: int) -> Made:
        """One object."""
        kind = BLOCK[number % len(BLOCK)]
        value: dict[str, Any] = {"type": kind, "spec_version": "2.1", "id": self.id_of(number)}
        version = _moment(number)
        if kind not in _SCOS:
            value |= {"created": version, "modified": version}
            if kind != "identity":
                value["created_by_ref"] = self._creator(number)
            value["object_marking_refs"] = [_MARKINGS[number // 3 % len(_MARKINGS)].marking]
        value |= getattr(self, f"_{kind.replace('-', '_')}")(number)
        return Made(str(value["id"]), kind, version, json.dumps(value, separators=(",", ":")).encode())

    def many(self, start: int, count: int) -> list[Made]:
        """Objects from a number on."""
        return [self.make(number) for number in range(start, start + count)]

    def ids(self, start: int, count: int) -> Iterator[str]:
        """Their ids alone."""
        return (self.id_of(number) for number in range(start, start + count))

    # --- kinds -----------------------------------------------------------------------------------------------

    def _identity(self, number: int) -> dict[str, Any]:
        return {
            "name": f"Invented organisation {number}",
            "description": self._text(number, 10),
            "identity_class": "organization",
            "sectors": ["health"],
            "contact_information": f"desk@org{number}.example",
        }

    def _incident(self, number: int) -> dict[str, Any]:
        effects, effect_type, means = _FOUND[number // len(BLOCK) % len(_FOUND)]
        country = _COUNTRIES[number // 7 % len(_COUNTRIES)]
        extension: dict[str, Any] = {
            "extension_type": "property-extension",
            "effect_type": effect_type,
            "effects": [{"effect": effect, "confidence": 80, "basis": "assessed"} for effect in effects],
            "stage": "effect",
            "means": [means],
            "root_cause": "malicious",
            "actor_type": "criminal",
            "motives": ["financial"],
            "times": {
                "occurred": {"start": {"value": "2025-03-11", "fidelity": "day"}},
                "detected": {"value": "2025-03-11T04:40Z", "fidelity": "minute"},
            },
            "claimed_by": "victim",
            "sectors": ["naics:622110", "nis2:health"],
            "countries": [country],
            "victim_count": 1,
        }
        core = {
            "extension_type": "property-extension",
            "determination": "confirmed",
            "investigation_status": "closed",
        }
        return {
            "name": f"Incident {number}, {country}",
            "description": self._text(number, 12),
            "confidence": 80,
            "labels": [
                f"effect-type:{effect_type}",
                *(f"effects:{effect}" for effect in effects),
                f"means:{means}",
            ],
            "extensions": {INCIDENT_CORE_ID: core, EXTENSION_ID: extension},
        }

    def _indicator(self, number: int) -> dict[str, Any]:
        return {
            "name": f"Indicator {number}",
            "description": self._text(number, 14),
            "indicator_types": ["malicious-activity"],
            "pattern": f"[domain-name:value = 'c{number}.bad.example' OR ipv4-addr:value = '{_address(number)}']",
            "pattern_type": "stix",
            "valid_from": _moment(number),
            "confidence": 60,
            "labels": ["generated", f"batch-{number // 1000}"],
            "external_references": [
                {
                    "source_name": "tracker",
                    "external_id": f"T-{number}",
                    "url": f"https://tracker.example/{number}",
                }
            ],
        }

    def _relationship(self, number: int) -> dict[str, Any]:
        base = number - number % len(BLOCK)
        ends = (base + 2, base + 1) if number % 2 else (base + 3, base)
        return {
            "relationship_type": "related-to",
            "description": self._text(number, 10),
            "source_ref": self.id_of(ends[0]),
            "target_ref": self.id_of(ends[1]),
            "start_time": _moment(number),
        }

    def _domain_name(self, number: int) -> dict[str, Any]:
        return {"value": f"{_WORDS[number % len(_WORDS)]}.host{number}.example"}

    def _ipv4_addr(self, number: int) -> dict[str, Any]:
        return {"value": _address(number)}

    def _file(self, number: int) -> dict[str, Any]:
        digest = hashlib.sha256(f"{self.seed}:{number}".encode()).hexdigest()
        return {"name": f"invoice-{number}.iso", "size": 10_000 + number, "hashes": {"SHA-256": digest}}

    # --- parts -----------------------------------------------------------------------------------------------

    def _uuid(self, number: int) -> str:
        digits = hashlib.blake2b(f"{self.seed}:{number}".encode(), digest_size=16).hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def _creator(self, number: int) -> str:
        return self.id_of(number // len(BLOCK) % CREATORS * len(BLOCK))

    def _text(self, number: int, phrases: int) -> str:
        digest = hashlib.blake2b(f"t{self.seed}:{number}".encode(), digest_size=2 * phrases).digest()
        chosen = (digest[i] << 8 | digest[i + 1] for i in range(0, len(digest), 2))
        return " ".join([_PHRASES[one % len(_PHRASES)] for one in chosen])


def _moment(number: int) -> str:
    return (
        f"2025-{number // 2_000_000 % 12 + 1:02d}-{number // 86_400 % 28 + 1:02d}T{_clock(number % 86_400)}.000Z"
    )


def _clock(second: int) -> str:
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def _address(number: int) -> str:
    return f"192.0.2.{number % 256}"


def envelope(objects: Sequence[Made]) -> bytes:
    """A TAXII envelope (TAXII 2.1 §3.7) of these objects."""
    return b'{"objects":[%b]}' % b",".join(made.raw for made in objects)
