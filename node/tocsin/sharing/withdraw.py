"""Withdraw: what is taken back: by a person here, by its writer from one collection, and for good by its creator.

A person's withdrawal binds this node alone: readers should no longer hold the object, and it stays out, whatever
rules say, until a person publishes it by name. What was made with an incident leaves with it. A revocation is
another thing: a version of an object of our own that says it was never valid; it is final.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from tocsin.errors import NotAllowed, NotFound, Refused
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import Node, keep
from tocsin.sharing.notices import leave_closed_logs
from tocsin.sharing.release import Outcome, release
from tocsin.stix.objects import FREE_TYPES, make_object, next_version
from tocsin.store import (
    approvals,
    audit,
    objects,
    postings,
    publications,
    records,
    releases,
    schedule,
    withdrawals,
)
from tocsin.store.objects import HeldVersion, Word
from tocsin.store.parties import Party
from tocsin.store.transaction import Transaction
from tocsin.store.withdrawals import EVERYWHERE, Withdrawal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def withdraw(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    object_ids: Sequence[str],
    *,
    reason: str,
    by: str,
    now: int,
    key: str | None = None,
) -> list[Outcome]:
    """Take objects back from every collection, later ones too, or from collection `key`; whoever brought them.

    `reason` is for this node's people, `by` is who says so. Raises NotFound for an unknown collection or object,
    Refused for what everything names.
    """
    known = {row.key: row.id for row in await releases.lock_all(tx)}
    if key is not None and key not in known:
        raise NotFound(f"no collection {key!r}")
    held = await objects.newest(tx, object_ids)
    for id_ in object_ids:
        if id_ not in held:
            raise NotFound(f"{id_} is not here")
        if id_.partition("--")[0] in FREE_TYPES or id_ in node.creators:
            raise Refused(f"{id_} stands for what names it: withdraw that")
    place = EVERYWHERE if key is None else known[key]
    await withdrawals.put(tx, [Withdrawal(id_, place, reason, by, now) for id_ in object_ids])
    await schedule.cancel(tx, object_ids, now, "it was withdrawn", None if key is None else place)
    await approvals.clear(tx, object_ids, None if key is None else place)
    details = {"collection": key, "reason": reason, "by": by}
    await audit.append_all(tx, [audit.Event("withdrawn", id_, details) for id_ in object_ids], now)
    if key is None:
        await leave_closed_logs(tx, configuration, object_ids, now)
    return await release(tx, configuration, node, object_ids, now=now, keys=None if key is None else {key})


async def revoke(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    object_ids: Sequence[str],
    *,
    reason: str,
    by: str,
    now: int,
) -> list[Outcome]:
    """Say of objects of ours that they were never valid (STIX 2.1 §3.6): their last version, wherever one stands.

    Raises NotFound for an unknown object, Refused for one that is not ours, or is revoked already.
    """
    await releases.lock_all(tx)
    held = await objects.newest(tx, object_ids)
    company = {one.object_id for one in await records.belonging_to(tx, object_ids)}
    made = []
    for id_ in object_ids:
        if id_ not in held:
            raise NotFound(f"{id_} is not here")
        version = held[id_]
        if id_ not in company or version.creator != node.identity:
            raise Refused(
                f"{id_} was not made here: only its creator revokes it (to take it back: tocsin withdraw)"
            )
        if version.revoked:
            raise Refused(f"{id_} is revoked already, and that is final")
        modified = next_version(_EPOCH + timedelta(microseconds=now), version.version)
        made.append(make_object({**version.value, "revoked": True, "modified": modified}))
    kept = await keep(tx, made, now)
    # where it was let in, its end is let in too: a word on a version that was never to be followed is overtaken
    newest = {version.id: one.version_key for version, one in zip(made, kept, strict=True)}
    await publications.let_in_up_to(tx, newest, now)
    await schedule.cancel(tx, object_ids, now, "it was revoked")
    details = {"reason": reason, "by": by}
    await audit.append_all(tx, [audit.Event("revoked", id_, details) for id_ in object_ids], now)
    await leave_closed_logs(tx, configuration, object_ids, now)
    return await release(tx, configuration, node, object_ids, now=now)


async def delete_posted(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    key: str,
    object_id: str,
    party: Party,
    chosen: Callable[[list[HeldVersion]], list[HeldVersion]] | None = None,
    *,
    now: int,
) -> None:
    """Withdraw from collection `key` the versions of an object that `party` posted; all, unless `chosen` picks.

    The writer's word alone is taken back: what another source offers stays with that source. An object that
    stands as a redacted copy is deleted under the id it was posted with. Raises NotFound when nothing of it is
    here to delete, NotAllowed when it stands here and somebody else brought it.
    """
    collection_id = {row.key: row.id for row in await releases.lock_all(tx)}[key]
    posting = (await postings.postings(tx, collection_id, [object_id])).get(object_id)
    if posting is None or posting.party_id != party.id:
        if object_id in await releases.standing(tx, collection_id, [object_id]):
            raise NotAllowed("Only who posted an object may delete it.")
        raise NotFound(f"no {object_id} in {key}")
    theirs = [
        version
        for version in (await objects.offered(tx, [object_id])).get(object_id, [])
        if any(s.party_id == party.id and s.collection_id == collection_id for s in version.sources)
    ]
    leaving = chosen(theirs) if chosen else theirs
    if not leaving:
        raise NotFound(f"no such version of {object_id} in {key}")
    words = [
        Word(version.seq, party.id, collection_id, "withdraw", authentic=False, hops=0, at=now)
        for version in leaving
    ]
    await objects.set_words(tx, words)
    if len(leaving) == len(theirs):
        await postings.delete_posting(tx, collection_id, object_id, now)
    await audit.append(tx, "deleted", object_id, {"collection": key, "by": party.name}, now)
    await release(tx, configuration, node, [object_id], now=now)
    still = (await releases.standing(tx, collection_id, [object_id])).get(object_id)
    if still is not None and any(version.version_key in still.versions for version in leaving):
        # TAXII 2.1 §5.7: after a 200 it is gone; that is not this writer's to promise
        raise NotAllowed("Somebody else offers this object here too, so it cannot be deleted.")
    await objects.forget_unheld(tx, [object_id])
