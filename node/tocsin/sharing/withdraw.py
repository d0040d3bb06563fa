"""Withdraw: what its writer takes back from one collection (TAXII 2.1 §5.7), and nobody else's."""

from collections.abc import Callable

from tocsin.errors import NotAllowed, NotFound
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import Node
from tocsin.sharing.release import release
from tocsin.store import audit, objects, postings, releases
from tocsin.store.objects import HeldVersion, Word
from tocsin.store.parties import Party
from tocsin.store.transaction import Transaction


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
