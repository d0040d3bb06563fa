"""Discover: the first contact with a peer: what it is, and which of its collections is meant.

A node shows a descriptor; anything else is taken for a TAXII 2.1 server. A collection is looked for by id, then
alias, then title, and its id is pinned: what comes to bear the same name later is another collection, with another
audience, and is not followed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from tocsin.errors import PeerFailed
from tocsin.store.peers import Protocol, Pull
from tocsin.taxii.client import (
    Descriptor,
    PeerAnswered,
    PeerClient,
    RemoteCollection,
    fetch_api_roots,
    fetch_collections,
    fetch_descriptor,
)

MOST_ROOTS = 20  # that are looked into; each is a request
MOST_TOLD = 10  # of what a peer lists, in one sentence


@dataclass(frozen=True, slots=True)
class Contact:
    """What was found: how the peer speaks, for whom (a node's STIX identity), the collection to read, and what a
    node tells of its log beside the changes. `former`: the node no longer offers it to us, and still tells us what
    it takes back."""

    protocol: Protocol
    identity: str | None
    collection: RemoteCollection
    log: frozenset[str] = frozenset()
    former: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """Everything that a peer shows us: its descriptor if it is a node, its collections, roots that stay closed."""

    descriptor: Descriptor | None
    collections: tuple[RemoteCollection, ...]
    closed: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()


async def look_around(client: PeerClient) -> Offer:
    """Ask for the descriptor, the API roots and their collections. Raises PeerFailed when none is open to us."""
    descriptor = await fetch_descriptor(client)
    found: list[RemoteCollection] = []
    closed: list[str] = []
    last: PeerAnswered | None = None
    roots = await fetch_api_roots(client)
    if len(roots) > MOST_ROOTS:
        raise PeerFailed(
            f"{client.name} names {len(roots)} API roots: write the address of the one that is meant into "
            "tocsin.yaml"
        )
    for root in roots:
        try:
            found += await fetch_collections(client, root)
        except PeerAnswered as why:
            if why.status not in (401, 403, 404):
                raise
            closed.append(root)
            last = why
    if last is not None and len(closed) == len(roots):
        raise last
    return Offer(descriptor, tuple(found), tuple(closed), tuple(roots))


async def discover(client: PeerClient, wanted: str, known: Pull) -> Contact:
    """The collection that `wanted` means at this peer, and how to read it.

    Raises PeerFailed when it is not offered, when several are called so, or when it is no longer the one that
    `known` has pinned.
    """
    offer = await look_around(client)
    former = _former(wanted, known, offer)
    if former is not None and offer.descriptor is not None:
        return Contact("tocsin", offer.descriptor.identity, former, offer.descriptor.log, former=True)
    collection = choose(client.name, wanted, known.collection_id, offer.collections)
    protocol: Protocol = "tocsin" if offer.descriptor else "taxii"
    if known.protocol == "tocsin" and offer.descriptor is None:
        raise PeerFailed(f"{client.name} was a node, and no longer shows a descriptor")
    identity = offer.descriptor.identity if offer.descriptor else None
    log = offer.descriptor.log if offer.descriptor else frozenset[str]()
    return Contact(known.protocol or protocol, identity, collection, log)


def _former(wanted: str, known: Pull, offer: Offer) -> RemoteCollection | None:
    """The collection that was read before and is no longer offered, where the node goes on telling of it."""
    pinned = known.collection_id
    if pinned is None or known.cursor is None or known.protocol != "tocsin" or offer.descriptor is None:
        return None
    if "acknowledgements" not in offer.descriptor.log or not offer.roots or _named(wanted, offer.collections):
        return None
    if any(one.id == pinned for one in offer.collections):
        return None
    return RemoteCollection(offer.roots[0], pinned, wanted, "", can_read=False)


def choose(
    peer: str,
    wanted: str,
    pinned: str | None,
    collections: Sequence[RemoteCollection],
    *,
    to_add: bool = False,
) -> RemoteCollection:
    """Pure: which of the offered collections is meant, to read it or `to_add` to it. Raises PeerFailed with what a
    person can do."""
    named = _named(wanted, collections)
    if len(named) > 1:
        ids = ", ".join(collection.id for collection in islice(named, MOST_TOLD))
        raise PeerFailed(f"{peer} has {len(named)} collections called {wanted!r}: give the id ({ids})")
    if pinned is not None:
        if named and named[0].id != pinned:
            raise PeerFailed(
                f"{wanted!r} was {peer}'s collection {pinned}, and now is {named[0].id}: another collection is "
                "not followed under the same name (to read it, pull it by its id)"
            )
        named = [collection for collection in collections if collection.id == pinned]
    if not named:
        offered = ", ".join(
            repr(collection.title or collection.id)[:100] for collection in collections[:MOST_TOLD]
        )
        raise PeerFailed(f"{peer} does not offer us {wanted!r} (it offers: {offered or 'nothing'})")
    if to_add and not named[0].can_write:
        raise PeerFailed(f"{peer} does not let us add to {wanted!r}")
    if not to_add and not named[0].can_read:
        raise PeerFailed(f"{peer} lets us add to {wanted!r}, but not read it")
    return named[0]


def _named(wanted: str, collections: Sequence[RemoteCollection]) -> list[RemoteCollection]:
    for attribute in ("id", "alias", "title"):
        if found := [collection for collection in collections if getattr(collection, attribute) == wanted]:
            return found
    return []
