"""Page: the reader's side of the door out. A page is one indexed read of the log, bounded in count and bytes.

Nothing is filtered here, and nothing may be: what a reader may see was decided when it entered the log,
for all its readers alike. That is why `more`, dates, counts and timing can tell of nothing hidden. What is
chosen here is only what the reader himself asked for.
"""

import asyncio
from collections.abc import Collection, Iterable

from tocsin.store import grants, pages, releases
from tocsin.store.digest import Digest, Sum
from tocsin.store.moment import Moment
from tocsin.store.objects import HeldVersion
from tocsin.store.pages import ChangePage, ContentPage, Filter, ReleasePage
from tocsin.store.transaction import Store, Transaction

MAX_PAGE_BYTES = 8 * 1024 * 1024  # of objects; one object is always given
_STRETCH = 2000  # entries of a digest that are added up in one go: some milliseconds


async def read_page(tx: Transaction, collection_id: str, what: Filter, limit: int) -> ContentPage:
    """Standing entries in the order of the log, as bytes."""
    return await pages.content(tx, collection_id, what, limit, max_bytes=MAX_PAGE_BYTES)


async def glance_at_page(
    store: Store, collection_id: str, what: Filter, limit: int
) -> tuple[ContentPage, Moment] | None:
    """The same without a transaction, and of which moment it is; None for what is asked too rarely for that."""
    return await pages.glance(store, collection_id, what, limit, max_bytes=MAX_PAGE_BYTES)


async def read_manifest(tx: Transaction, collection_id: str, what: Filter, limit: int) -> ReleasePage:
    """The same entries without their bytes, so bounded by count alone."""
    return await pages.manifest(tx, collection_id, what, limit)


async def read_changes(
    tx: Transaction, collection_id: str, party_id: str, after: int, limit: int, *, content: bool = True
) -> ChangePage:
    """The log as a node reads it: what stands, and what went of all that this reader was ever offered.

    Who was removed and let in again hears of what was withdrawn in between, if he may hold it from before:
    offered counts as received. Without `content` the entries are only named, and a page has no limit of bytes.
    """
    granted = await _granted(tx, collection_id, party_id)
    return await pages.changes(
        tx, collection_id, after, limit, granted=granted, max_bytes=MAX_PAGE_BYTES, content=content
    )


async def has_news(tx: Transaction, collection_id: str, party_id: str, after: int) -> bool:
    """Whether this reader is told of anything beyond a position."""
    return bool((await read_changes(tx, collection_id, party_id, after, 1, content=False)).rows)


async def read_contents(tx: Transaction, collection_id: str, positions: Collection[int]) -> ChangePage:
    """Those of the entries at these positions that still stand: the same for all readers, as what stands is."""
    return await pages.contents(tx, collection_id, positions, max_bytes=MAX_PAGE_BYTES)


async def last_told(tx: Transaction, collection_id: str, party_id: str) -> int:
    """Where the log ends for this reader: the position of the last entry that he is told; 0: of none."""
    return await pages.last_told(tx, collection_id, granted=await _granted(tx, collection_id, party_id))


async def was_told(tx: Transaction, collection_id: str, party_id: str, position: int) -> bool:
    """Whether this reader can have a position from this very log: he is told of the entry there, or was as long as
    it stood. Every log can be read from its start, at 0."""
    granted = await _granted(tx, collection_id, party_id)
    return position == 0 or await pages.was_told(tx, collection_id, position, granted=granted)


async def read_digest(tx: Transaction, collection_id: str) -> Digest:
    """What stands in the log, in numbers: the same for all readers. Walks through the log, and lets others
    work."""
    total, after = Sum(), 0
    while rows := await pages.standing_after(tx, collection_id, after, _STRETCH):
        total.add((row.object_id, row.sha256) for row in rows)
        after = rows[-1].position
        await asyncio.sleep(0)
    return total.digest


async def _granted(tx: Transaction, collection_id: str, party_id: str) -> list[tuple[int, int | None]]:
    given = await grants.grants(tx, party_id=party_id, collection_id=collection_id)
    return [(grant.first_position, grant.last_position) for grant in given if grant.role == "reader"]


async def stands(tx: Transaction, collection_id: str, object_id: str) -> bool:
    """Whether any version of an object stands in the log."""
    return object_id in await releases.standing(tx, collection_id, [object_id])


def chosen(asked: Collection[str], versions: Iterable[HeldVersion]) -> list[HeldVersion]:
    """Those of one object's versions that are asked for, oldest first: the words `first`, `last`, `all`, and exact
    version keys, as in a Filter (TAXII 2.1 §3.4.1)."""
    ordered = sorted(versions, key=lambda version: version.version_key)
    if "all" in asked or not ordered:
        return ordered
    keys = set(asked)
    if "first" in keys:
        keys.add(ordered[0].version_key)
    if "last" in keys:
        keys.add(ordered[-1].version_key)
    return [version for version in ordered if version.version_key in keys]
