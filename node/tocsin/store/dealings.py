"""Dealings: what passed between this node and one party since a moment: what it told us, and what it was shown.

What it was shown follows from the log and the grants; what it really fetched is noted beside them, as evidence.
Questions for an emergency: they walk over tables that have no index for them.
"""

from typing import Literal, NamedTuple

from sqlalchemy import and_, or_, select

from tocsin.store.grants import grants
from tocsin.store.tables import fetch, object_version, pull, release, source
from tocsin.store.transaction import Transaction


class Heard(NamedTuple):
    """A version that the party offers, and how it was heard of. `collection_id`: as a source has it."""

    seq: int
    object_id: str
    version: str
    sha256: str
    collection_id: str
    hops: int


class Shown(NamedTuple):
    """An entry of a log of ours that the party was entitled to."""

    collection_id: str
    position: int
    op: Literal["put", "revoke"]
    object_id: str


class Fetched(NamedTuple):
    """A stretch of a log that the party was sent, and when (µs). Not `whole`: a filter left entries out."""

    collection_id: str
    first_position: int
    last_position: int
    whole: bool
    began: int
    ended: int


async def hold_pulls(tx: Transaction, party_id: str) -> None:
    """Pages of this party's that are being stored are stored by then, and no other is before the transaction ends,
    since each moves its cursor first."""
    await tx.connection.execute(select(pull.c.wanted).where(pull.c.party_id == party_id).with_for_update())


async def heard_since(tx: Transaction, party_id: str, since: int) -> list[Heard]:
    """What the party offers now and was first heard to offer at `since` (µs) or later, in the order of storing."""
    t, s = object_version.c, source.c
    rows = await tx.connection.execute(
        select(t.seq, t.id, t.version, t.sha256, s.collection_id, s.hops)
        .join(source, s.version_seq == t.seq)
        .where(s.party_id == party_id, s.word != "withdraw", s.first_heard >= since)
        .order_by(t.seq)
    )
    return [Heard(*row) for row in rows]


async def taken_back_since(tx: Transaction, party_id: str, since: int) -> list[str]:
    """The ids of what the party offered before `since` and took back since then."""
    t, s = object_version.c, source.c
    taken_back = and_(s.word == "withdraw", s.first_heard < since, s.last_heard >= since)
    rows = await tx.connection.execute(
        select(t.id).join(source, s.version_seq == t.seq).where(s.party_id == party_id, taken_back).distinct()
    )
    return sorted(rows.scalars())


async def shown_since(tx: Transaction, party_id: str, since: int) -> list[Shown]:
    """The entries that the party was entitled to since a moment (µs): what was released while it was a reader,
    and if it became one since, what stood then and stands still."""
    r = release.c
    found: dict[tuple[str, int], Shown] = {}
    for grant in await grants(tx, party_id=party_id):
        if grant.role != "reader" or (grant.ended is not None and grant.ended < since):
            continue
        new = and_(r.position > grant.first_position, r.released >= since)
        offered = or_(new, and_(r.position <= grant.first_position, r.current)) if grant.given >= since else new
        wanted = select(r.collection_id, r.position, r.op, r.object_id).where(
            r.collection_id == grant.collection_id, r.op.in_(["put", "revoke"]), offered
        )
        if grant.last_position is not None:
            wanted = wanted.where(r.position <= grant.last_position)
        for row in await tx.connection.execute(wanted):
            found[row.collection_id, row.position] = Shown(*row)
    return [found[key] for key in sorted(found)]


async def fetched_since(tx: Transaction, party_id: str, since: int) -> list[Fetched]:
    """What the party was sent at `since` (µs) or later, in the order in which it asked."""
    f = fetch.c
    rows = await tx.connection.execute(
        select(f.collection_id, f.first_position, f.last_position, f.whole, f.began, f.ended)
        .where(f.party_id == party_id, f.ended >= since)
        .order_by(f.began, f.seq)
    )
    return [Fetched(*row[:3], bool(row.whole), row.began, row.ended) for row in rows]
