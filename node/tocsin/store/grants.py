"""Grants: who is entitled to which log, from and up to which position."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import (
    select,
    update,
)

from tocsin.store import seals
from tocsin.store.releases import collections, lock
from tocsin.store.tables import grant
from tocsin.store.transaction import Transaction, in_batches

Role = Literal["reader", "writer"]


@dataclass(frozen=True, slots=True)
class Grant:
    """Who is entitled to which log. `first_position` and `last_position`: where the log ended when the grant was
    given and when it ended (None: it holds); `given` and `ended`: the clock then (µs), as evidence.
    """

    party_id: str
    collection_id: str
    role: Role
    first_position: int
    last_position: int | None
    given: int
    ended: int | None


async def set_grants(tx: Transaction, wanted: Collection[tuple[str, str, Role]], now: int) -> None:
    """End every grant that is not among `wanted` (party id, collection id, role), and give those that are new."""
    g = grant.c
    heads = await lock(tx, [row.id for row in await collections(tx)])
    holding = await grants(tx, holding=True)
    held = {(given.party_id, given.collection_id, given.role) for given in holding}
    ending, giving = sorted(held - set(wanted)), sorted(set(wanted) - held)
    before = await seals.last(tx, seals.GRANTS_ENDED) if ending else None
    ended = now if before is None else max(now, before.last + 1)  # what ends later is sealed later
    for party_id, collection_id, role in ending:
        await tx.connection.execute(
            update(grant)
            .where(
                g.party_id == party_id, g.collection_id == collection_id, g.role == role, g.last_position.is_(None)
            )
            .values(last_position=heads[collection_id].last_position, ended=ended)
        )
    rows = [
        {
            "party_id": party_id,
            "collection_id": collection_id,
            "role": role,
            "first_position": heads[collection_id].last_position,
            "given": now,
        }
        for party_id, collection_id, role in giving
    ]
    for batch in in_batches(rows):
        await tx.connection.execute(grant.insert(), batch)
    for log, written in ((seals.GRANTS, giving), (seals.GRANTS_ENDED, ending)):
        if written:
            await seals.seal_rest(tx, log, now)


async def grants(
    tx: Transaction,
    *,
    party_id: str | None = None,
    collection_id: str | None = None,
    holding: bool = False,
) -> list[Grant]:
    """Grants in the order in which they were given, ended ones too unless `holding`."""
    wanted = select(grant).order_by(grant.c.seq)
    if party_id is not None:
        wanted = wanted.where(grant.c.party_id == party_id)
    if collection_id is not None:
        wanted = wanted.where(grant.c.collection_id == collection_id)
    if holding:
        wanted = wanted.where(grant.c.last_position.is_(None))
    return [
        Grant(
            row.party_id,
            row.collection_id,
            row.role,
            row.first_position,
            row.last_position,
            row.given,
            row.ended,
        )
        for row in await tx.connection.execute(wanted)
    ]
