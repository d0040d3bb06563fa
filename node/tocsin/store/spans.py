"""Spans: from where to where in a log an entry stood."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import and_, func, select

from tocsin.store.tables import acknowledgement, copy, object_version, release
from tocsin.store.transaction import Transaction, in_batches


@dataclass(frozen=True, slots=True)
class Span:
    """An entry that put a version, and what ended it: the next entry on the same version in that log, or nothing.

    `released` and `ended` are the clock then, in microseconds.
    """

    collection_id: str
    position: int
    object_id: str
    version_key: str
    form: str
    rules: tuple[str, ...]
    configuration_sha256: str
    released: int
    ended_position: int | None
    ended: int | None


async def spans(tx: Transaction, object_ids: Iterable[str]) -> list[Span]:
    """Every entry that ever put these objects, by log and position."""
    r = release.c
    found: list[Span] = []
    for batch in in_batches(dict.fromkeys(object_ids)):
        numbers = select(object_version.c.seq).where(object_version.c.id.in_(batch))
        wanted = select(release).where(r.version_seq.in_(numbers)).order_by(r.collection_id, r.position.desc())
        following: dict[tuple[str, str, str], tuple[int, int]] = {}
        for row in await tx.connection.execute(wanted):
            key = (row.collection_id, row.object_id, row.version_key)
            end = following.get(key)
            following[key] = (row.position, row.released)
            if row.op in ("put", "revoke"):
                found.append(
                    Span(
                        row.collection_id,
                        row.position,
                        row.object_id,
                        row.version_key,
                        row.form,
                        tuple(row.rules),
                        row.configuration_sha256,
                        row.released,
                        end[0] if end else None,
                        end[1] if end else None,
                    )
                )
    return sorted(found, key=lambda one: (one.collection_id, one.position))


class Offer(NamedTuple):
    """A span of one log with what is known beside it: what it is a copy of, and what a party did when it ended."""

    span: Span
    copy_of: str | None
    omitted: tuple[str, ...]
    acknowledged: str | None


async def offers(tx: Transaction, collection_id: str, party_id: str, up_to: int) -> AsyncGenerator[Offer, None]:
    """Every span of one log that began no later than a position, in its order, by one reading of it.

    The log is sorted by the database, which takes a file where it is long; here are few of its rows at a time.
    Nothing else may be asked of the transaction before this has ended.
    """
    r, a = release.c, acknowledgement.c
    following = (func.lead(column) for column in (r.position, r.released))
    ended_position, ended = (
        one.over(partition_by=(r.object_id, r.version_key), order_by=r.position) for one in following
    )
    log = (
        select(
            r.position,
            r.op,
            r.object_id,
            r.version_key,
            r.form,
            r.rules,
            r.configuration_sha256,
            r.released,
            ended_position.label("ended_position"),
            ended.label("ended"),
        )
        .where(r.collection_id == collection_id)
        .subquery()
    )
    e = log.c
    answered = and_(a.party_id == party_id, a.collection_id == collection_id, a.position == e.ended_position)
    wanted = (
        select(log, copy.c.original_id, copy.c.omitted, a.outcome)
        .outerjoin(copy, and_(copy.c.copy_id == e.object_id, copy.c.collection_id == collection_id))
        .outerjoin(acknowledgement, answered)
        .where(e.op.in_(("put", "revoke")), e.position <= up_to)
        .order_by(e.position)
    )
    async with aclosing(tx.connection.stream(wanted)) as rows:
        async for row in rows:
            span = Span(
                collection_id,
                row.position,
                row.object_id,
                row.version_key,
                row.form,
                tuple(row.rules),
                row.configuration_sha256,
                row.released,
                row.ended_position,
                row.ended,
            )
            yield Offer(span, row.original_id, tuple(row.omitted or ()), row.outcome)
