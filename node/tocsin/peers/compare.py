"""Compare: what a peer's log says that stands, and what we hold on its word: in step, and if not, where?

Both are added up to the same kind of numbers (`store.digest`), which is exact because what rightly differs is
known from the ledger:

- what we refused or keep in quarantine, and what is ours and only came back: it stands there, and is not held here
on
  that word;
- what the peer no longer keeps: it does not stand there, and we keep it.

What is erased or taken away here for a reason of ours has to stand in the ledger as refused or quarantined:
otherwise it would be missed, and taken in again.
"""

import asyncio
from dataclasses import dataclass

from tocsin.intake.receive import COME_BACK, remote
from tocsin.peers.take import PRUNED, TOLD
from tocsin.store import objects, peers
from tocsin.store.digest import Digest, Sum
from tocsin.store.peers import LedgerNote
from tocsin.store.transaction import Transaction

_STRETCH = 2000  # of what is held, added up in one go

Pair = tuple[str, str]  # id and SHA-256


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What the ledger knows to differ rightly: what stands there and is not held here, and the other way round."""

    unheld: frozenset[Pair]
    kept: frozenset[Pair]


def differs_rightly(note: LedgerNote) -> bool:
    """Whether something that stands there need not be held here on that word."""
    return note.outcome in ("refused", "quarantined") or note.reason == COME_BACK


async def exceptions(tx: Transaction, party_id: str, collection_id: str) -> Exceptions:
    """By the last word of the ledger on each of them."""
    unheld: set[Pair] = set()
    kept: dict[Pair, int] = {}
    for note in await peers.not_plain(tx, party_id, collection_id, (*TOLD, COME_BACK)):
        pair = (note.object_id, note.sha256)
        unheld.discard(pair)
        kept.pop(pair, None)
        if note.reason == PRUNED:
            kept[pair] = note.seq
        elif differs_rightly(note):
            unheld.add(pair)
    for note in await peers.notes_of(tx, party_id, collection_id, {id_ for id_, _ in kept}):
        pair = (note.object_id, note.sha256)
        if pair in kept and note.seq > kept[pair]:
            del kept[pair]  # it stands there again
    return Exceptions(frozenset(unheld), frozenset(kept))


async def held_digest(tx: Transaction, party_id: str, collection_id: str) -> Digest:
    """What we expect to stand in a peer's collection, in numbers: what is held on its word, but for the
    exceptions.

    Walks through everything that is held, and lets others work.
    """
    known = await exceptions(tx, party_id, collection_id)
    total, after, left = Sum(), -1, set(known.unheld)
    while rows := await objects.on_word(tx, party_id, remote(collection_id), after=after, limit=_STRETCH):
        pairs = [(id_, sha256) for _, id_, sha256 in rows]
        left.difference_update(pairs)
        total.add(pair for pair in pairs if pair not in known.kept)
        after = rows[-1][0]
        await asyncio.sleep(0)
    total.add(left)
    return total.digest


def words(theirs: Digest, ours: Digest) -> str | None:
    """How the two differ, for a person; None: in step."""
    differing = theirs.differing(ours)
    if not differing and theirs.count == ours.count:
        return None
    shares = ", ".join(f"{number:02x}" for number in differing[:8]) + (" …" if len(differing) > 8 else "")
    return (
        f"{theirs.count:,} stand there and {ours.count:,} here, and they differ in {len(differing)} of 256 shares "
        f"({shares})"
    )
