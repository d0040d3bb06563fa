"""Retention: what a collection was told to keep for so long and no longer is pruned from it. No withdrawal.

It is counted from when the last version of an object first stood there, by the clock. What another object that
stays cannot do without stays beside it: identities, observables and other things while anything names them, what
was made with an incident while that stands, a relationship while it ties an incident or another statement. Of the
rest the oldest goes first, and what names it goes with it or, where it is ours, becomes a copy that does not.

A version that was pruned does not enter that collection again; `judging` finds that in the log. A newer one may, a
thing does together with what names it anew, and a person lets anything in again by publishing it by name.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from tocsin.errors import Refused, Unavailable
from tocsin.policy.configuration import Configuration
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import Node
from tocsin.sharing.release import Outcome, prune, sit
from tocsin.sharing.schedule import clock_trouble
from tocsin.stix.objects import FREE_TYPES, STATEMENTS
from tocsin.store import copies, objects, pruned, records, releases
from tocsin.store.pauses import paused
from tocsin.store.pruned import Stood
from tocsin.store.transaction import Store, Transaction

log = logging.getLogger(__name__)

BATCH = 500  # of what stands, looked at in one transaction
_TICK = 3600.0  # seconds between two looks
_WALKS = 10  # what goes last may have named what is looked at first
_SECOND = 1_000_000  # µs

Pruned = Mapping[str, Counter[str]]  # how many objects, by collection and type


async def prune_expired(store: Store, node: Node, *, batch: int = BATCH) -> Pruned:
    """Prune from every collection in force what it keeps no longer; what went, but for copies made anew.

    Each batch has a transaction of its own, so nobody waits long. Raises Refused when the clock is not to be
    trusted, or everything is paused; Unavailable.
    """
    async with store.reading() as tx:
        configuration = await in_force(tx)
        keys = _keys(configuration)
        if not keys:
            return {}
        if trouble := await clock_trouble(tx):
            raise Refused(f"nothing is pruned: {trouble}")
        if await paused(tx):
            raise Refused("nothing is pruned while everything is paused")
        known = {row.key: row.id for row in await releases.collections(tx)}
    found: dict[str, Counter[str]] = {}
    for key in keys:
        if key in known:
            found[key] = Counter()
            for _ in range(_WALKS):
                gone = await _walk(store, node, key, known[key], batch)
                if not gone:
                    break
                found[key] += gone
    return found


async def foresee(store: Store, node: Node) -> Pruned:
    """What `prune_expired` would do now, found out by doing it in one transaction that is undone."""
    found: dict[str, Counter[str]] = {}
    try:
        async with store.writing() as tx:
            configuration = await in_force(tx)
            courts = await sit(tx, configuration, node)
            now = await tx.now()
            for court in courts:
                if court.settings.retention is None:
                    continue
                found[court.key] = Counter()
                for _ in range(_WALKS):
                    gone: Counter[str] = Counter()
                    after: int | None = 0
                    while after is not None:
                        outcomes, after = await _step(tx, configuration, node, court.key, after, now, BATCH)
                        gone += _count(outcomes)
                    if not gone:
                        break
                    found[court.key] += gone
            raise _Undone
    except _Undone:
        return found


class _Undone(Exception):
    """Ends a transaction that only looked at what would happen."""


async def run(store: Store, node: Node) -> None:
    """Prune once an hour, for as long as the node serves. Several replicas may: each thing goes once."""
    while True:
        try:
            for key, gone in (await prune_expired(store, node)).items():
                if gone:
                    log.info("no longer kept in %s: %d objects", key, gone.total())
        except (Refused, Unavailable) as why:
            log.warning("retention: %s", why)
        await asyncio.sleep(_TICK)


def _keys(configuration: Configuration) -> list[str]:
    return [key for key, one in configuration.settings.collections.items() if one.retention is not None]


async def _walk(store: Store, node: Node, key: str, collection_id: str, batch: int) -> Counter[str]:
    """Through all that stands in a collection, once, the oldest first."""
    gone: Counter[str] = Counter()
    after: int | None = 0
    while after is not None:
        async with store.reading() as tx:
            retention = (await in_force(tx)).settings.collections[key].retention
            rows = await pruned.stood(tx, collection_id, after=after, limit=batch)
            now = await tx.now()
            if retention is None or not await _expired(tx, node, collection_id, rows, now - retention * _SECOND):
                after = rows[-1].position if len(rows) == batch else None
                continue
        async with store.writing() as tx:
            await releases.lock_all(tx)
            outcomes, after = await _step(tx, await in_force(tx), node, key, after, await tx.now(), batch)
            gone += _count(outcomes)
    return gone


async def _step(
    tx: Transaction, configuration: Configuration, node: Node, key: str, after: int, now: int, batch: int
) -> tuple[list[Outcome], int | None]:
    """Prune among the next of what stands beyond a position; what happened, and beyond which to go on, if any."""
    court = next((one for one in await sit(tx, configuration, node) if one.key == key), None)
    if court is None or court.settings.retention is None:
        return [], None
    rows = await pruned.stood(tx, court.collection_id, after=after, limit=batch)
    before = now - court.settings.retention * _SECOND
    expired = await _expired(tx, node, court.collection_id, rows, before)
    outcomes = await prune(tx, court, expired, now) if expired else []
    return outcomes, rows[-1].position if len(rows) == batch else None


def _count(outcomes: Sequence[Outcome]) -> Counter[str]:
    return Counter(one.object_id.partition("--")[0] for one in outcomes if one.what == "pruned")


# --- what may go ---------------------------------------------------------------------------------------------


async def _expired(
    tx: Transaction, node: Node, collection_id: str, rows: Sequence[Stood], before: int
) -> list[str]:
    """The originals' ids of what first stood before a moment (µs) and is not kept for the sake of what stays."""
    old = [row for row in rows if row.since < before and row.type not in FREE_TYPES]
    if not old:
        return []
    links = await copies.originals_of(tx, [row.object_id for row in old])
    originals = {
        row.object_id: links[row.object_id].original_id if row.object_id in links else row.object_id for row in old
    }
    company = await _with_what_stands(tx, collection_id, set(originals.values()))
    found = []
    for row in old:
        original = originals[row.object_id]
        if original in node.creators or original in company:
            continue
        if not await _needed(tx, collection_id, row):
            found.append(original)
    return found


async def _with_what_stands(tx: Transaction, collection_id: str, ids: set[str]) -> set[str]:
    """Those that were made with an incident that stands, in whatever form: they go when that does."""
    belongings = await records.belongings_of(tx, sorted(ids))
    incidents = {one.incident_id for found in belongings.values() for one in found}
    links = await copies.copies_of(tx, collection_id, sorted(incidents))
    forms = [*incidents, *(link.copy_id for link in links.values())]
    standing = await releases.standing(tx, collection_id, sorted(forms))
    stands = {id_ for id_ in incidents if id_ in standing or (id_ in links and links[id_].copy_id in standing)}
    return {
        id_
        for id_, found in belongings.items()
        if any(one.incident_id in stands and one.incident_id != id_ for one in found)
    }


async def _needed(tx: Transaction, collection_id: str, row: Stood) -> bool:
    """Whether what stays speaks of this thing; or whether it is a tie, and what it ties stays."""
    if row.type == "relationship":
        ends = {id_ for id_ in await objects.names_of(tx, [row.object_id]) if id_.partition("--")[0] in STATEMENTS}
        return bool(await releases.standing(tx, collection_id, sorted(ends)))
    if row.type in STATEMENTS:
        return False
    if await releases.named_by_standing(tx, collection_id, [row.object_id], without=[row.object_id]):
        return True
    return row.type == "identity" and bool(
        await releases.creators_standing(tx, collection_id, [row.object_id], without=[row.object_id])
    )
