"""Distrust: what came from a peer since a moment is not believed any more, all at once.

It goes to quarantine with its content, so nothing is lost. The peer's word on it is taken back here, and in the
same transaction what we passed on of it leaves our logs, unless another source offers it too. The peer is
suspended. Undone by resuming the peer and releasing what is in quarantine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.intake.receive import remote
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import Node
from tocsin.sharing.release import Outcome, release_before, sit
from tocsin.store import audit, dealings, objects, parties, quarantine
from tocsin.store.dealings import Fetched, Shown
from tocsin.store.objects import Word
from tocsin.store.parties import Party
from tocsin.store.quarantine import Doubted
from tocsin.store.transaction import Transaction

_REMOTE = remote("")


@dataclass(frozen=True, slots=True)
class Distrusted:
    """What that brought about, and what the peer was shown meanwhile.

    `quarantined`: the ids of what went to quarantine, one for each version; `taken_back`: those of what the peer
    offered before and took back since, which cannot be undone here; `outcomes`: what moved in our logs.
    """

    quarantined: tuple[str, ...]
    taken_back: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    shown: Sequence[Shown]
    fetched: Sequence[Fetched]


async def distrust(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    party: Party,
    since: int,
    *,
    reason: str,
    by: str,
    now: int,
) -> Distrusted:
    """Put what `party`, a peer, was first heard to offer at `since` (µs) or later into quarantine, and suspend it.

    `reason` is what the ledger says of each. The caller commits.
    """
    # who is storing a page of it has done so by then, or will find it suspended
    await dealings.hold_pulls(tx, party.id)
    courts = await sit(tx, configuration, node)
    heard = await dealings.heard_since(tx, party.id, since)
    taken_back = await dealings.taken_back_since(tx, party.id, since)
    doubted = [
        Doubted(one.seq, one.collection_id.removeprefix(_REMOTE), one.object_id, one.version, one.sha256)
        for one in heard
    ]
    await quarantine.put_back(tx, party.id, doubted, reason, now)
    words = [
        Word(one.seq, party.id, one.collection_id, "withdraw", authentic=False, hops=one.hops, at=now)
        for one in heard
    ]
    await objects.set_words(tx, words)
    await parties.set_suspended(tx, party.id, suspended=True)
    ids = list(dict.fromkeys(one.object_id for one in heard))
    outcomes = await release_before(tx, courts, ids, now=now)
    await objects.forget_unheld(tx, ids)
    details = {"since": since, "reason": reason, "quarantined": len(heard), "by": by}
    await audit.append(tx, "distrusted", party.name, details, now)
    return Distrusted(
        quarantined=tuple(one.object_id for one in heard),
        taken_back=tuple(taken_back),
        outcomes=tuple(outcomes),
        shown=await dealings.shown_since(tx, party.id, since),
        fetched=await dealings.fetched_since(tx, party.id, since),
    )
