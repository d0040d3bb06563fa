"""Observables: what a text such as an address, domain, URL or hash is, as a STIX cyber-observable.

Ids are deterministic (STIX 2.1 §2.9): version-5 UUIDs over the properties that make the object what it is, so the
same address has the same id at every node.
"""

import re
import uuid
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from tocsin.stix.canonical import canonical

# STIX 2.1 §2.9: the namespace of deterministic identifiers
_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
_DOMAIN = re.compile(r"^(?=.{4,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$")
_MAIL = re.compile(r"^[^@\s<>,;\"]{1,64}@([^@\s]+)$")
_URL = re.compile(r"^[a-z][a-z0-9+.-]{1,20}://[^\s<>\"]+$", re.IGNORECASE)
_HASHES = {32: "MD5", 40: "SHA-1", 64: "SHA-256", 128: "SHA-512"}
_HEX = re.compile(r"^[0-9a-fA-F]+$")
# people write `hxxp://` and `192.0.2[.]1` so that nobody clicks
_DEFANGED = (
    (re.compile(r"^hxxp", re.IGNORECASE), "http"),
    (re.compile(r"\[\.\]|\(\.\)|\[dot\]"), "."),
    (re.compile(r"\[:\]"), ":"),
)


def observable(text: str) -> dict[str, Any] | None:
    """The cyber-observable object that this text names, without markings; None when it names none."""
    plain = text.strip()
    for pattern, sign in _DEFANGED:
        plain = pattern.sub(sign, plain)
    for reading in (_address, _url, _mail, _hash, _domain):
        if found := reading(plain):
            kind, contributing = found
            id_ = uuid.uuid5(_NAMESPACE, canonical(contributing).decode())
            return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{id_}", **contributing}
    return None


def _address(text: str) -> tuple[str, dict[str, Any]] | None:
    readings: tuple[tuple[str, Callable[[str], Any]], ...] = (
        ("ipv4-addr", IPv4Network if "/" in text else IPv4Address),
        ("ipv6-addr", IPv6Network if "/" in text else IPv6Address),
    )
    for kind, reading in readings:
        try:
            return kind, {"value": str(reading(text))}
        except (AddressValueError, ValueError):
            continue
    return None


def _url(text: str) -> tuple[str, dict[str, Any]] | None:
    return ("url", {"value": text}) if _URL.match(text) else None


def _mail(text: str) -> tuple[str, dict[str, Any]] | None:
    match = _MAIL.match(text)
    return ("email-addr", {"value": text}) if match and _DOMAIN.match(match[1].lower()) else None


def _hash(text: str) -> tuple[str, dict[str, Any]] | None:
    if len(text) in _HASHES and _HEX.match(text):
        return "file", {"hashes": {_HASHES[len(text)]: text.lower()}}
    return None


def _domain(text: str) -> tuple[str, dict[str, Any]] | None:
    plain = text.lower().removesuffix(".")
    return ("domain-name", {"value": plain}) if _DOMAIN.match(plain) else None
