"""Owed: the answers that a node has a right to where it took something back: what we did with it, and how many of
our own readers have not answered us yet.

An answer is owed in the transaction that carries the withdrawal or revocation out, and told after a pull of that
collection; again, when it is another by then. Foreign TAXII servers are owed nothing.
"""

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from tocsin.errors import PeerFailed
from tocsin.intake.receive import remote
from tocsin.peers.discover import Contact
from tocsin.policy.configuration import Configuration
from tocsin.sharing.apply import in_force
from tocsin.sharing.notices import STILL_STANDS, answered, leave_closed_logs, recount
from tocsin.stix.objects import FREE_TYPES, ID, is_timestamp, version_key
from tocsin.store import acknowledgements, objects
from tocsin.store.acknowledgements import Done, Owed
from tocsin.store.parties import Party
from tocsin.store.peers import LedgerRow
from tocsin.store.transaction import Store, Transaction
from tocsin.taxii.client import PeerClient, Unreadable
from tocsin.taxii.remote import Change

_AT_ONCE = 200  # answers in one request
_MOST_REASON = 1000  # characters
_MOST_LOOKED_AT = 500  # answers that may have changed by themselves


async def owe(
    tx: Transaction,
    configuration: Configuration,
    party: Party,
    collection_id: str,
    part: Sequence[Change],
    rows: Sequence[LedgerRow],
    now: int,
) -> None:
    """Owe an answer for each entry that took something back; `rows`: what became of each entry here."""
    done: list[Owed] = []
    refused: list[Owed] = []
    for change, row in zip(part, rows, strict=True):
        if change.op not in ("withdraw", "revoke") or change.gone or change.id.partition("--")[0] in FREE_TYPES:
            continue
        if not is_timestamp(change.position) or not ID.match(change.id):
            continue  # what cannot be named cannot be answered; the ledger has it
        one = Owed(party.id, collection_id, change.position, change.id, row.sha256, "purged", "", 0, now)
        if row.outcome in ("refused", "quarantined"):
            refused.append(_with(one, "refused", row.reason))
        else:
            done.append(one)
    if done or refused:
        ids = {one.object_id for one in done}
        gone = ids - set(await objects.newest(tx, ids))
        await leave_closed_logs(tx, configuration, gone, now)
        carried_out = await answered(tx, configuration, done, first=True)
        await acknowledgements.owe(tx, [_with(one, one.outcome, one.reason) for one in carried_out] + refused)
        # who was told that we kept it on this peer's word is to hear that this word is gone as well
        await recount(tx, configuration, ids)


def _with(one: Owed, outcome: Done, reason: str) -> Owed:
    return replace(one, outcome=outcome, reason=reason[:_MOST_REASON])


# --- a former reader -----------------------------------------------------------------------------------------


async def as_withdrawals(
    tx: Transaction, party: Party, collection_id: str, part: Sequence[Change], cursor: str | None
) -> list[Change]:
    """What a former reader is told, as withdrawals of what is held on that log's word.

    It is told again and again until it is answered; what lies behind the cursor was carried out, and only its
    answer is missing, or on its way. Of a revocation the content is no longer for us: whatever this log offered of
    the object goes.
    """
    known = [change for change in part if is_timestamp(change.position)]
    ahead = [change for change in known if version_key(change.position) > version_key(cursor or "")]
    revoked = [change.id for change in ahead if change.op == "revoke"]
    held = await objects.offered(tx, revoked)
    found = []
    for change in ahead:
        if change.op == "withdraw" or change.fault:
            found.append(change)
        elif change.op == "revoke":
            theirs = [
                version.sha256
                for version in held.get(change.id, ())
                if any(
                    (one.party_id, one.collection_id) == (party.id, remote(collection_id))
                    for one in version.sources
                )
            ]
            found += [replace(change, op="withdraw", sha256=sha256) for sha256 in theirs or [change.sha256]]
    return found


# --- telling -------------------------------------------------------------------------------------------------


class _Taken(msgspec.Struct):
    acknowledged: list[str]
    unknown: list[str]


async def tell(store: Store, client: PeerClient, contact: Contact, party_id: str) -> int:
    """Tell a node what we owe it about one of its collections; how many answers it took.

    What it does not know (any more) is not told again. Raises PeerFailed.
    """
    if "acknowledgements" not in contact.log:
        return 0
    await _look_again(store, party_id)
    count = 0
    while True:
        async with store.reading() as tx:
            owed = await acknowledgements.untold(tx, party_id, contact.collection.id, _AT_ONCE)
        if not owed:
            return count
        answer = await client.post(f"{contact.collection.url}acknowledgements/", _body(owed))
        try:
            taken = msgspec.json.decode(answer.body, type=_Taken)
        except (msgspec.DecodeError, UnicodeDecodeError) as why:
            raise Unreadable(f"{client.name} answered our acknowledgements unreadably: {why}") from why
        named = {*taken.acknowledged, *taken.unknown}
        told = [one for one in owed if one.position in named]
        if not told:
            raise PeerFailed(f"{client.name} took none of our acknowledgements")
        async with store.writing() as tx:
            await acknowledgements.was_told(tx, told, await tx.now())
        count += len(told)


async def _look_again(store: Store, party_id: str) -> None:
    """Note what of our answers has changed by itself: a reader left, a collection can be judged again."""
    async with store.reading() as tx:
        open_ = await acknowledgements.unsettled(tx, party_id, STILL_STANDS, _MOST_LOOKED_AT)
        changed = open_ and await answered(tx, await in_force(tx), open_) != open_
    if changed:
        async with store.writing() as tx:
            open_ = await acknowledgements.unsettled(tx, party_id, STILL_STANDS, _MOST_LOOKED_AT)
            await acknowledgements.owe(tx, await answered(tx, await in_force(tx), open_))


def _body(owed: Sequence[Owed]) -> bytes:
    return msgspec.json.encode(
        {
            "acknowledgements": [
                {
                    "position": one.position,
                    "id": one.object_id,
                    "outcome": one.outcome,
                    "reason": one.reason,
                    "open": one.open,
                }
                for one in owed
            ]
        }
    )
