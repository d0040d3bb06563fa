"""Take: what becomes of the entries of another's log, each of which ends in one state of the ledger.

The same for whatever way they came by. What was only told of (that something went) is noted as `stored`, with one
of the reasons of `TOLD`.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Literal

from tocsin.intake.receive import Read, Received, read_offered, receive, withdraw_word
from tocsin.peers.owed import owe
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import Node
from tocsin.stix.canonical import Limits
from tocsin.store.parties import Party
from tocsin.store.peers import LedgerOutcome, LedgerRow
from tocsin.store.transaction import Transaction
from tocsin.taxii.remote import Change

WITHDRAWN, PRUNED = "withdrawn there", "no longer kept there"
GONE = "gone there before it was fetched"
UNTOLD = "no longer told there"  # not among what stands, when the log was read again
TOLD = (WITHDRAWN, PRUNED, GONE, UNTOLD)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a pull brought so far."""

    pages: int = 0
    size: int = 0
    seen: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    refused: int = 0
    withdrawn: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def words(self) -> str:
        """`12 stored, 1 refused`: what is not none, and what was stored always."""
        others = ("duplicate", "withdrawn", "quarantined", "refused")
        return ", ".join(
            [f"{self.stored:,} stored", *(f"{n:,} {word}" for word in others if (n := getattr(self, word)))]
        )

    def with_rows(self, rows: Sequence[LedgerRow]) -> "Tally":
        """The tally with what the ledger now says; what was only told of is no object stored."""
        told = Counter("told" if row.reason in TOLD else row.outcome for row in rows)
        return replace(
            self,
            stored=self.stored + told["stored"],
            duplicate=self.duplicate + told["duplicate"],
            quarantined=self.quarantined + told["quarantined"],
            refused=self.refused + told["refused"],
            withdrawn=self.withdrawn + sum(row.reason in (WITHDRAWN, UNTOLD) for row in rows),
        )


def read_all(part: Sequence[Change], limits: Limits) -> list[Read | None]:
    """The objects that entries bring, read and checked; None where one brings none.

    It needs no database and may take long, if a peer wants it to: so it is done before the transaction begins, and
    beside the event loop.
    """
    return [None if one.raw is None or one.fault else read_offered(one.raw, one.hops, limits) for one in part]


async def taken_in(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    party: Party,
    collection_id: str,
    part: Sequence[Change],
    reads: Sequence[Read | None],
    now: int,
) -> list[LedgerRow]:
    """Carry out the entries in their order, and say for the ledger what became of each. The caller keeps that.

    `reads`: what `read_all` made of them.
    """
    rows: list[LedgerRow] = []
    read = iter(reads)
    for kind, run in groupby(part, _kind):
        changes = list(run)
        brought = [next(read) for _ in changes]
        match kind:
            case "offered":
                offers = [one for one in brought if one is not None]
                received = await receive(tx, configuration, node, offers, party, collection_id, now=now)
                ends = [_received(change, item) for change, item in zip(changes, received, strict=True)]
            case "withdrawn":
                names = [(change.id, change.sha256) for change in changes]
                await withdraw_word(tx, configuration, node, names, party, collection_id, now=now)
                ends = [noted(change, "stored", WITHDRAWN) for change in changes]
            case "pruned":
                ends = [
                    noted(change, "stored", PRUNED) for change in changes
                ]  # their affair: we keep what we have
            case "gone":
                ends = [noted(change, "stored", GONE) for change in changes]  # how, their log tells further on
            case "faulty":
                ends = [noted(change, "refused", change.fault) for change in changes]
        rows += [replace(end, party_id=party.id, collection_id=collection_id, at=now) for end in ends]
    await owe(tx, configuration, party, collection_id, part, rows, now)
    return rows


def _kind(change: Change) -> Literal["offered", "withdrawn", "pruned", "gone", "faulty"]:
    if change.fault:
        return "faulty"
    if change.gone:
        return "gone"
    match change.op:
        case "withdraw":
            return "withdrawn"
        case "prune":
            return "pruned"
        case _:
            return "offered"


def _received(change: Change, item: Received) -> LedgerRow:
    content = change.raw if item.outcome == "quarantined" else None
    named = replace(
        change,
        id=change.id or item.id,  # what a node names it by: what we refuse, it still counts under that
        version=item.version or change.version,
        sha256=change.sha256 or item.sha256,
    )
    return replace(noted(named, item.outcome, item.reason), content=content)


def noted(change: Change, outcome: LedgerOutcome, reason: str) -> LedgerRow:
    return LedgerRow(
        party_id="",
        collection_id="",
        position=_plain(change.position, 100),
        object_id=_plain(change.id, 300),
        version=_plain(change.version, 64),
        sha256=_plain(change.sha256, 64) or _digest(change),
        outcome=outcome,
        reason=_plain(reason, 2000),
        at=0,
    )


def _plain(text: str, longest: int) -> str:
    """Text of a peer as any database takes it: no NUL, no lone surrogate, not endless."""
    return text[:longest].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _digest(change: Change) -> str:
    """Of the bytes, where they could not be read as an object: it tells one unreadable thing from another."""
    return hashlib.sha256(change.raw).hexdigest() if change.raw is not None else ""
