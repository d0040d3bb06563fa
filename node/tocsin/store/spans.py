"""Spans: from where to where in a log an entry stood."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from tocsin.store.tables import object_version, release
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
