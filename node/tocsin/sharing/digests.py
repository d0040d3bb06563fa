"""Digests: what was added up of each log, for as long as the log does not move."""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from tocsin.store.digest import Digest


@dataclass(slots=True)
class Digests:
    """One for each log, of its last known state. `turn`: whoever adds one up has it, so one at a time is added up.

    Belongs to its event loop.
    """

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _known: dict[str, tuple[Hashable, Digest]] = field(default_factory=dict, repr=False)

    def get(self, collection_id: str, state: Hashable) -> Digest | None:
        """The digest of the log in this very state; None where it has to be added up."""
        known = self._known.get(collection_id)
        return known[1] if known is not None and known[0] == state else None

    def put(self, collection_id: str, state: Hashable, digest: Digest) -> None:
        self._known[collection_id] = state, digest
