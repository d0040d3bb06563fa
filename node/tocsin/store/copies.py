"""Copies: which redacted copy stands for which original, in which collection. Private: never served."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    Row,
    select,
)

from tocsin.store.tables import collection, copy
from tocsin.store.transaction import Transaction, in_batches


@dataclass(frozen=True, slots=True)
class CopyLink:
    """Which redacted copy stands for which original in a collection. Private: never served.

    `body_sha256` is of what readers see of it, without dates; `omitted` is what it leaves out, in words.
    """

    collection_id: str
    original_id: str
    copy_id: str
    generation: int
    body_sha256: str
    omitted: tuple[str, ...]


async def put_copy(tx: Transaction, link: CopyLink) -> None:
    """Keep the link from an original to its copy, or what has changed of it."""
    values = {
        "copy_id": link.copy_id,
        "generation": link.generation,
        "body_sha256": link.body_sha256,
        "omitted": list(link.omitted),
    }
    await tx.connection.execute(
        tx.insert(copy)
        .values(collection_id=link.collection_id, original_id=link.original_id, **values)
        .on_conflict_do_update(index_elements=["collection_id", "original_id"], set_=values)
    )
    tx.fresh.wrote("copy.original_id", [link.original_id])
    tx.fresh.wrote("copy.copy_id", [link.copy_id])


async def copies_of(tx: Transaction, collection_id: str, original_ids: Iterable[str]) -> dict[str, CopyLink]:
    """The copies that were ever made of originals for one collection, by the original's id."""
    return {link.original_id: link for link in await _links(tx, collection_id, copy.c.original_id, original_ids)}


async def all_copies_of(tx: Transaction, original_id: str) -> list[CopyLink]:
    """The copies that were ever made of an original, for whatever collection."""
    known = select(collection.c.id)  # named one by one, because the key begins with them
    wanted = select(copy).where(copy.c.collection_id.in_(known), copy.c.original_id == original_id)
    return [_link(row) for row in await tx.connection.execute(wanted)]


async def originals_of(tx: Transaction, copy_ids: Iterable[str]) -> dict[str, CopyLink]:
    """What copies stand for, by the copy's id."""
    return {link.copy_id: link for link in await _links(tx, None, copy.c.copy_id, copy_ids)}


async def _links(
    tx: Transaction, collection_id: str | None, column: Column[str], ids: Iterable[str]
) -> list[CopyLink]:
    found: list[CopyLink] = []
    for batch in in_batches(tx.fresh.to_ask(f"copy.{column.key}", list(ids))):
        wanted = select(copy).where(column.in_(batch))
        if collection_id is not None:
            wanted = wanted.where(copy.c.collection_id == collection_id)
        found += [_link(row) for row in await tx.connection.execute(wanted)]
    return found


def _link(row: Row[Any]) -> CopyLink:
    return CopyLink(
        row.collection_id,
        row.original_id,
        row.copy_id,
        row.generation,
        row.body_sha256,
        tuple(row.omitted),
    )
