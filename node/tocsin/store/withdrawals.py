"""Withdrawals: what a person took back from readers. It stays out until a person publishes it by name."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, select

from tocsin.store import bulk
from tocsin.store.tables import withdrawal
from tocsin.store.transaction import Transaction, in_batches

EVERYWHERE = ""  # the collection id that stands for all of them, those that are made later too


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A person's word that readers should no longer hold an object. `by` is who said so, as the audit has it."""

    object_id: str
    collection_id: str
    reason: str
    by: str
    at: int  # µs


async def put(tx: Transaction, words: Iterable[Withdrawal]) -> None:
    """Note withdrawals; each takes the place of the one before it for the same object and collection."""
    rows = {(one.object_id, one.collection_id): one for one in words}
    values = [(one.object_id, one.collection_id, one.reason, one.by, one.at) for one in rows.values()]
    await bulk.insert(tx, withdrawal, _COLUMNS, values, conflict=_SAID_BEFORE)
    tx.fresh.wrote("withdrawal", (object_id for object_id, _ in rows))


_COLUMNS = ("object_id", "collection_id", "reason", "by", "at")
_SAID_BEFORE = bulk.Conflict(("object_id", "collection_id"), ("reason", "by", "at"))


async def lift(tx: Transaction, object_ids: Iterable[str], collection_id: str | None = None) -> set[str]:
    """They may be let in again: in every collection, or in one only; those that were taken back at all.

    What was taken back everywhere can only be lifted everywhere.
    """
    w = withdrawal.c
    lifted = set()
    for batch in in_batches(dict.fromkeys(object_ids)):
        gone = delete(withdrawal).where(w.object_id.in_(batch)).returning(w.object_id)
        if collection_id is not None:
            gone = gone.where(w.collection_id.in_((collection_id, EVERYWHERE)))
        lifted |= set((await tx.connection.execute(gone)).scalars())
    return lifted


async def withdrawals(tx: Transaction, object_ids: Iterable[str]) -> dict[str, dict[str, Withdrawal]]:
    """What was taken back of these objects, by object id and collection id."""
    found: dict[str, dict[str, Withdrawal]] = {}
    for batch in in_batches(tx.fresh.to_ask("withdrawal", list(object_ids))):
        for row in await tx.connection.execute(select(withdrawal).where(withdrawal.c.object_id.in_(batch))):
            one = Withdrawal(row.object_id, row.collection_id, row.reason, row.by, row.at)
            found.setdefault(one.object_id, {})[one.collection_id] = one
    return found
