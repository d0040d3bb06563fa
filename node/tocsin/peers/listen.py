"""Listen: a request to a node that waits there until one of its logs goes on, so that we read it within a second.

One for all its collections, and only while all of them are in step: whatever else there is to do with a peer, its
turn comes when it is due. A peer that does not offer this, or no longer answers, is read as often as `every` says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.peers.discover import look_around
from tocsin.policy.configuration import Configuration
from tocsin.store import parties, peers
from tocsin.store.peers import Pull
from tocsin.store.transaction import Transaction
from tocsin.taxii.client import PeerClient
from tocsin.taxii.remote import fetch_news

WAIT = 25  # seconds that the peer is asked to wait; below what we take for silence (`Bounds.silence`)


@dataclass(frozen=True, slots=True)
class Logs:
    """The logs of one node, all of which we have read up to their ends: our cursors by the ids of its collections.

    `last_success`: the latest of their pulls, in microseconds.
    """

    party_id: str
    cursors: Mapping[str, str]
    last_success: int


async def in_step(tx: Transaction, configuration: Configuration) -> dict[str, Logs]:
    """The peers, by name, all of whose collections are logs of nodes, and in step; nobody suspended or paused."""
    people = {party.name: party for party in await parties.parties(tx)}
    rows = {(pull.party_id, pull.wanted): pull for pull in await peers.pulls(tx)}
    now = await tx.now()
    found = {}
    for name, settings in configuration.settings.peers.items():
        party = people.get(name)
        if party is None or party.suspended or party.paused or not settings.pull:
            continue
        pulls = [rows.get((party.id, pull.collection)) for pull in settings.pull]
        logs = {pull.collection_id: pull.cursor for pull in pulls if pull is not None and _is_in_step(pull, now)}
        if len(logs) == len(pulls):
            known = {id_: cursor for id_, cursor in logs.items() if id_ is not None and cursor is not None}
            found[name] = Logs(party.id, known, max(pull.last_success or 0 for pull in pulls if pull is not None))
    return found


def _is_in_step(pull: Pull, now: int) -> bool:
    return (
        pull.collection_id is not None
        and pull.cursor is not None
        and bool(pull.epoch)
        and pull.attempts == 0
        and pull.last_success is not None
        and pull.due > now
    )


async def find_news(client: PeerClient, logs: Logs) -> str | None:
    """The API root where a node tells news of these logs; None where it does not, or they are under several.

    Raises PeerFailed.
    """
    offer = await look_around(client)
    if offer.descriptor is None or "news" not in offer.descriptor.log:
        return None
    roots = {one.api_root for one in offer.collections if one.id in logs.cursors}
    return roots.pop() if len(roots) == 1 else None


async def hear(client: PeerClient, api_root: str, logs: Logs) -> list[str]:
    """Wait at the peer: the ids of those logs that went on; none when the time was up. Raises PeerFailed."""
    return await fetch_news(client, api_root, logs.cursors, WAIT)
