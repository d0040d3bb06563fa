"""Publications: a person's word on an incident of ours: published, or held. No word at all = waiting."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, delete, exists, func, or_, select

from tocsin.store.tables import belonging, object_version, publication, source
from tocsin.store.transaction import Transaction, in_batches

PublicationState = Literal["published", "held"]


@dataclass(frozen=True, slots=True)
class Publication:
    """A person's word. `collection_id` is '' for all collections; `version_key` is the newest version that it
    covers, None for any; with `follow`, newer ones are published as they come."""

    incident_id: str
    collection_id: str
    state: PublicationState
    version_key: str | None
    follow: bool
    decided: int


async def set_publication(
    tx: Transaction,
    incident_id: str,
    collection_id: str,
    state: PublicationState,
    version_key: str | None,
    follow: bool,
    now: int,
) -> None:
    """Note a person's word; it takes the place of the one before it for the same incident and collection."""
    values = {"state": state, "version_key": version_key, "follow": follow, "decided": now}
    await tx.connection.execute(
        tx.insert(publication)
        .values(incident_id=incident_id, collection_id=collection_id, **values)
        .on_conflict_do_update(index_elements=["incident_id", "collection_id"], set_=values)
    )


async def clear_publication(tx: Transaction, incident_id: str, collection_id: str) -> None:
    """Take the word back: the incident waits again."""
    mine = (publication.c.incident_id == incident_id) & (publication.c.collection_id == collection_id)
    await tx.connection.execute(delete(publication).where(mine))


async def publications(tx: Transaction, incident_ids: Iterable[str]) -> dict[tuple[str, str], Publication]:
    """Every word on the incidents, by (incident id, collection id)."""
    found = {}
    for batch in in_batches(dict.fromkeys(incident_ids)):
        for row in await tx.connection.execute(select(publication).where(publication.c.incident_id.in_(batch))):
            found[row.incident_id, row.collection_id] = _publication(row)
    return found


async def waiting(tx: Transaction) -> list[str]:
    """The incidents of ours whose newest version no word covers, in any collection, in order of id."""
    p, version = publication.c, object_version.c
    newest = (
        select(func.max(version.version_key))
        .where(
            version.id == belonging.c.incident_id,
            exists().where(source.c.version_seq == version.seq, source.c.word != "withdraw"),
        )
        .correlate(belonging)  # of the outermost query, also from inside `covered`
        .scalar_subquery()
    )
    covered = exists().where(
        p.incident_id == belonging.c.incident_id,
        or_(p.state == "held", p.follow, p.version_key.is_(None), p.version_key >= newest),
    )
    wanted = select(belonging.c.incident_id).where(
        belonging.c.object_id == belonging.c.incident_id, newest.is_not(None), ~covered
    )
    return list((await tx.connection.execute(wanted.order_by(belonging.c.incident_id))).scalars())


def _publication(row: Row[Any]) -> Publication:
    return Publication(row.incident_id, row.collection_id, row.state, row.version_key, row.follow, row.decided)
