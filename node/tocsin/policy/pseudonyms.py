"""Pseudonyms: what stands for a victim that a copy does not name, so that readers can tell the same one again.

The readers of one collection can tell within one period that two incidents hit the same victim, and nothing else:
a pseudonym is made with a key that follows from this node's secret, the collection and the period, and who has no
key can neither find the victim by trying names nor tell one collection, period or node by another. The victim is
pseudonymised, not anonymous: what is the same shows, and how often it comes, the rest of the copies may tell who
it is, and whoever holds the node's secret can tell at once, of what is years old too (EDPB Guidelines 01/2025).
"""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime

_DIGITS = 32  # 128 bits
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def victim_pseudonyms(
    secret: bytes, collection_id: str, period: int, created: str, victims: Iterable[str]
) -> tuple[str, ...]:
    """One for each victim identity's id, in an order that says nothing.

    `period` is in seconds; `created`, the incident's own timestamp, says which one counts.
    """
    number = int((datetime.fromisoformat(created) - _EPOCH).total_seconds()) // period
    parts = ("victim pseudonyms", collection_id, str(period), str(number))
    key = hmac.digest(secret, "\n".join(parts).encode(), hashlib.sha256)
    made = {hmac.digest(key, victim.encode(), hashlib.sha256).hex()[:_DIGITS] for victim in victims}
    return tuple(sorted(made))
