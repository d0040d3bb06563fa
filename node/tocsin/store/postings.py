"""Postings: what writers posted into a collection, and the statuses that tell them what became of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Select,
    and_,
    bindparam,
    delete,
    select,
    update,
)

from tocsin.errors import NotFound
from tocsin.store import bulk
from tocsin.store.question import Lists, Question
from tocsin.store.tables import posting
from tocsin.store.tables import status as status_table
from tocsin.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Posting:
    """Who posted an object into a collection, and when (µs)."""

    collection_id: str
    object_id: str
    party_id: str
    posted: int


async def put_postings(
    tx: Transaction, collection_id: str, object_ids: Iterable[str], party_id: str, now: int
) -> None:
    """Note that a party posted objects here. Who posted one first stays its poster, until he deletes it."""
    rows = [(collection_id, object_id, party_id, now, None) for object_id in sorted(set(object_ids))]
    await bulk.insert(tx, posting, _COLUMNS, rows, conflict=_POSTED_BEFORE)
    tx.fresh.wrote("posting", (row[1] for row in rows))


_COLUMNS = ("collection_id", "object_id", "party_id", "posted", "deleted")
_POSTED_BEFORE = bulk.Conflict(
    ("collection_id", "object_id"),
    ("party_id", "posted", "deleted"),
    "posting.deleted IS NOT NULL OR posting.party_id = excluded.party_id",
)


async def postings(tx: Transaction, collection_id: str, object_ids: Iterable[str]) -> dict[str, Posting]:
    """Who posted each object here and has not deleted it."""
    asked = tx.fresh.to_ask("posting", list(object_ids))
    rows = await _POSTED.ask(tx, collection=collection_id, ids=asked) if asked else ()
    return {row[1]: Posting(*row) for row in rows}


def _posted(lists: Lists) -> Select[Any]:
    p = posting.c
    return select(p.collection_id, p.object_id, p.party_id, p.posted).where(
        p.collection_id == bindparam("collection"), lists.among(p.object_id, "ids"), p.deleted.is_(None)
    )


_POSTED = Question(_posted)


async def delete_posting(tx: Transaction, collection_id: str, object_id: str, now: int) -> None:
    """The poster took the object back. Raises NotFound when nobody has it posted here."""
    p = posting.c
    here = and_(p.collection_id == collection_id, p.object_id == object_id, p.deleted.is_(None))
    done = await tx.connection.execute(update(posting).where(here).values(deleted=now))
    if done.rowcount == 0:
        raise NotFound(f"nobody has {object_id} posted here")


# --- statuses ------------------------------------------------------------------------------------------------


async def put_status(
    tx: Transaction, status_id: str, party_id: str, collection_id: str, body: bytes, now: int
) -> None:
    """Keep what became of a POST (TAXII 2.1 §4.3), as the JSON that its poster is given."""
    row = (status_id, party_id, collection_id, now, body.decode("utf-8"))
    await bulk.insert(tx, status_table, ("id", "party_id", "collection_id", "requested", "body"), [row])


async def status(tx: Transaction, status_id: str, party_id: str) -> Mapping[str, Any] | None:
    """The status of a POST, for whoever posted; None for everybody else."""
    wanted = select(status_table.c.body).where(status_table.c.id == status_id, status_table.c.party_id == party_id)
    body: Mapping[str, Any] | None = (await tx.connection.execute(wanted)).scalar_one_or_none()
    return body


async def prune_statuses(tx: Transaction, before: int) -> int:
    """Forget the statuses of POSTs before a moment (µs); how many."""
    return len(await _PRUNE.ask(tx, before=before))


_PRUNE = Question(
    lambda lists: (
        delete(status_table).where(status_table.c.requested < bindparam("before")).returning(status_table.c.id)
    )
)
