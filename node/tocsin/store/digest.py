"""Digest: what stands in a log as 256 numbers, so that two who should hold the same can tell whether, and where
not.

Each (id, SHA-256) counts in the share of its id, as a number that its hash gives; a share is their sum. So it does
not matter in which order they are added, and taking one away is subtracting it. The version is not counted beside
its hash: it is part of the content, but for an object without dates, whose version each node gives by itself.

The numbers protect against loss and mistakes, not against whoever chooses contents so that sums agree: to deceive
us about its own log a peer need not go to that trouble.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

SHARES = 256
_BYTES = 16  # of a number
_MODULUS = 1 << 8 * _BYTES


@dataclass(frozen=True, slots=True)
class Digest:
    """How many there are, and the number of each share."""

    count: int
    shares: tuple[int, ...]

    def differing(self, other: "Digest") -> list[int]:
        """The shares that are not the same."""
        return [number for number in range(SHARES) if self.shares[number] != other.shares[number]]


def share_of(object_id: str) -> int:
    """In which share an object counts: the first byte of the SHA-256 of its id."""
    return sha256(object_id.encode()).digest()[0]


def number_of(object_id: str, content_sha256: str) -> int:
    """By which number: the first 16 bytes of the SHA-256 of its id, a line feed, and the hash of its content in
    hexadecimal digits; the most significant first."""
    return int.from_bytes(sha256(f"{object_id}\n{content_sha256}".encode()).digest()[:_BYTES], "big")


@dataclass(slots=True)
class Sum:
    """A digest that is being added up."""

    count: int = 0
    shares: list[int] = field(default_factory=lambda: [0] * SHARES)

    def add(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Count (id, SHA-256)s in, none of them twice."""
        for object_id, content_sha256 in pairs:
            self.shares[share_of(object_id)] += number_of(object_id, content_sha256)
            self.count += 1

    @property
    def digest(self) -> Digest:
        return Digest(self.count, tuple(number % _MODULUS for number in self.shares))
