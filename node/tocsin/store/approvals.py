"""Approvals: the words of several persons where a collection wants more than one."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, select

from tocsin.store import bulk
from tocsin.store.tables import approval
from tocsin.store.transaction import Transaction, in_batches


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's word that an incident, with its company, may enter one collection.

    `by` is the person's party id. `version_key` says of what exactly: it covers nothing else, but for `follow`,
    which covers what comes later too.
    """

    incident_id: str
    collection_id: str
    by: str
    version_key: str
    follow: bool
    at: int  # µs


async def put(tx: Transaction, words: Iterable[Approval]) -> None:
    """Note approvals; each takes the place of that person's one before for the same incident and collection."""
    rows = {(one.incident_id, one.collection_id, one.by): one for one in words}
    values = [
        (one.incident_id, one.collection_id, one.by, one.version_key, one.follow, one.at) for one in rows.values()
    ]
    await bulk.insert(tx, approval, _COLUMNS, values, conflict=_SAID_BEFORE)


_COLUMNS = ("incident_id", "collection_id", "by", "version_key", "follow", "at")
_SAID_BEFORE = bulk.Conflict(("incident_id", "collection_id", "by"), ("version_key", "follow", "at"))


async def clear(tx: Transaction, incident_ids: Iterable[str], collection_id: str | None = None) -> None:
    """What was approved so far counts no longer: in one collection, or in all."""
    a = approval.c
    for batch in in_batches(dict.fromkeys(incident_ids)):
        gone = delete(approval).where(a.incident_id.in_(batch))
        if collection_id is not None:
            gone = gone.where(a.collection_id == collection_id)
        await tx.connection.execute(gone)


async def approvals(tx: Transaction, incident_ids: Iterable[str]) -> list[Approval]:
    """Every approval of these incidents, the oldest first."""
    found: list[Approval] = []
    for batch in in_batches(dict.fromkeys(incident_ids)):
        rows = await tx.connection.execute(select(approval).where(approval.c.incident_id.in_(batch)))
        found += [
            Approval(row.incident_id, row.collection_id, row.by, row.version_key, row.follow, row.at)
            for row in rows
        ]
    return sorted(found, key=lambda one: (one.at, one.by))


async def approved(tx: Transaction, collection_id: str) -> list[str]:
    """The incidents that somebody approved for a collection, in order of id."""
    a = approval.c
    wanted = select(a.incident_id).where(a.collection_id == collection_id).distinct().order_by(a.incident_id)
    return list((await tx.connection.execute(wanted)).scalars())
