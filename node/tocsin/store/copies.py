"""Copies: which redacted copy stands for which original, in which collection. Private: never served."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select

from tocsin.store.question import Question, from_json
from tocsin.store.tables import collection, copy
from tocsin.store.transaction import Transaction


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
    asked = tx.fresh.to_ask("copy.original_id", list(original_ids))
    rows = await _OF_ORIGINALS.ask(tx, collection=collection_id, ids=asked) if asked else ()
    return {link.original_id: link for link in map(_link, rows)}


_OF_ORIGINALS = Question(
    lambda lists: select(copy).where(
        lists.among(copy.c.original_id, "ids"), copy.c.collection_id == bindparam("collection")
    )
)


async def all_copies_of(tx: Transaction, original_id: str) -> list[CopyLink]:
    """The copies that were ever made of an original, for whatever collection."""
    return [_link(row) for row in await _OF_ONE.ask(tx, id=original_id)]


_OF_ONE = Question(
    lambda lists: select(copy).where(
        copy.c.collection_id.in_(select(collection.c.id)),  # named one by one, because the key begins with them
        copy.c.original_id == bindparam("id"),
    )
)


async def originals_of(tx: Transaction, copy_ids: Iterable[str]) -> dict[str, CopyLink]:
    """What copies stand for, by the copy's id."""
    asked = tx.fresh.to_ask("copy.copy_id", list(copy_ids))
    rows = await _BY_COPIES.ask(tx, ids=asked) if asked else ()
    return {link.copy_id: link for link in map(_link, rows)}


_BY_COPIES = Question(lambda lists: select(copy).where(lists.among(copy.c.copy_id, "ids")))


def _link(row: Sequence[Any]) -> CopyLink:
    collection_id, original_id, copy_id, generation, body_sha256, omitted = row
    return CopyLink(collection_id, original_id, copy_id, generation, body_sha256, tuple(from_json(omitted)))
