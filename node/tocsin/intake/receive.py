"""Receive: what a peer offers or a writer posts, object by object, each ending in exactly one recorded state.

stored       taken in, or a further source for what is held
duplicate    the same (id, version, hash), already held on this source's word
quarantined  readable, but it claims what it may not: kept apart for a person
refused      unreadable, invalid, or another writer's

One bad object never spoils its neighbours, and nobody but its creator's own node changes an object (DESIGN 2.7):
a word binds its source only, and what is authentic wins over what is asserted, whatever came first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tocsin.errors import BadInput
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import OURS, Node
from tocsin.sharing.publish import Outcome, release
from tocsin.stix.canonical import peek
from tocsin.stix.objects import ObjectVersion, named, read_object
from tocsin.stix.validate import problems
from tocsin.store import audit, objects, releases
from tocsin.store.objects import HeldVersion
from tocsin.store.parties import Party
from tocsin.store.transaction import Transaction

State = Literal["stored", "duplicate", "quarantined", "refused"]


@dataclass(frozen=True, slots=True)
class Offered:
    """One object as it arrived: its bytes, and how many nodes it passed before (0: from its creator's own)."""

    raw: bytes
    hops: int = 0


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one offered object. `id` and `version` are empty when they could not be read."""

    outcome: State
    id: str
    version: str
    sha256: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Posted:
    """What a writer is told of one object (TAXII 2.1 §4.3.1)."""

    outcome: Literal["success", "failure"]
    id: str
    version: str
    message: str = ""


async def receive(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    offered: Sequence[Offered],
    party: Party,
    collection_id: str,
    *,
    now: int,
) -> list[Received]:
    """Take in what `party` offers through its collection; the answer is in the order of what was offered.

    Our own policies then decide what of it goes on to our readers. The caller commits.
    """
    received = [await _take(tx, node, item, party, collection_id, now) for item in offered]
    arrived = [item.id for item in received if item.outcome == "stored"]
    if arrived:
        await release(tx, configuration, node, arrived, now=now)
        await audit.append(tx, "received", party.name, {"collection": collection_id, "stored": len(arrived)}, now)
    return received


async def receive_posts(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    key: str,
    party: Party,
    raws: Sequence[bytes],
    *,
    now: int,
) -> list[Posted]:
    """Take in what a writer posts into collection `key`: the writer's release, which only policy judges.

    What the writer is told depends on nothing outside that collection's log. The caller commits.
    """
    collection_id = {row.key: row.id for row in await releases.collections(tx)}[key]
    received: list[Received] = []
    for raw in raws:
        item = await _take(tx, node, Offered(raw), party, collection_id, now, posted=True)
        received.append(item)
        if item.outcome in ("stored", "duplicate") and item.reason != _COME_BACK:
            await releases.put_posting(tx, collection_id, item.id, party.id, now)
    arrived = list(dict.fromkeys(item.id for item in received if item.outcome in ("stored", "duplicate")))
    outcomes = await release(tx, configuration, node, arrived, now=now)
    here = {outcome.object_id: outcome for outcome in outcomes if outcome.collection == key}
    return [_told(item, here.get(item.id)) for item in received]


def _told(item: Received, outcome: Outcome | None) -> Posted:
    if item.outcome in ("refused", "quarantined"):
        return Posted("failure", item.id, item.version, item.reason)
    match outcome:
        case Outcome(what="withheld" | "withdrawn" | "stuck", reasons=reasons):
            return Posted("failure", item.id, item.version, "; ".join(f"{r.rule}: {r.text}" for r in reasons))
        case Outcome(stands_as=str(copy)) if copy != item.id:
            return Posted("success", item.id, item.version, f"redacted: it stands here as {copy}")
        case _:
            return Posted("success", item.id, item.version)


async def withdraw_word(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    object_versions: Iterable[tuple[str, str]],
    party: Party,
    collection_id: str,
    *,
    now: int,
) -> None:
    """`party` takes back (id, sha256)s that it offered through its collection: its own word, nobody else's."""
    wanted = set(object_versions)
    ids = sorted({id_ for id_, _ in wanted})
    for id_, versions in (await objects.held(tx, ids)).items():
        for version in versions:
            theirs = any(s.party_id == party.id and s.collection_id == collection_id for s in version.sources)
            if theirs and (id_, version.sha256) in wanted:
                await objects.set_word(
                    tx, version.seq, party.id, collection_id, "withdraw", authentic=False, hops=0, at=now
                )
    await release(tx, configuration, node, ids, now=now)
    await objects.forget_unheld(tx, ids)


async def _take(
    tx: Transaction, node: Node, item: Offered, party: Party, collection_id: str, now: int, *, posted: bool = False
) -> Received:
    try:
        version = read_object(item.raw)
    except BadInput as why:
        return Received("refused", *peek(item.raw), "", str(why))
    faults = problems(version)
    if faults:
        return _received("refused", version, "; ".join(map(str, faults[:5])))
    held = (await objects.held(tx, [version.id])).get(version.id, [])
    if claim := await _claims_too_much(tx, node, version, held, party, collection_id, posted=posted):
        return claim
    authentic = party.identity_id is not None and version.creator == party.identity_id and item.hops == 0
    stored = await objects.add_version(tx, version, received=now)
    known = next((one for one in held if one.seq == stored.seq), None)
    word = next((s for s in known.sources if _is_of(s, party, collection_id)), None) if known else None
    await objects.set_word(
        tx,
        stored.seq,
        party.id,
        collection_id,
        "revoke" if version.revoked else "put",
        authentic=authentic,
        hops=item.hops,
        at=now,
    )
    if word is not None and word.authentic == authentic and word.hops == item.hops:
        return _received("duplicate", version, "", stored.version)
    newest = (await objects.newest(tx, [version.id]))[version.id]
    await objects.note_references(tx, version.id, named(newest.value))
    return _received("stored", version, "", stored.version)


def _is_of(source: objects.Source, party: Party, collection_id: str) -> bool:
    return source.party_id == party.id and source.collection_id == collection_id


async def _claims_too_much(
    tx: Transaction,
    node: Node,
    version: ObjectVersion,
    held: Sequence[HeldVersion],
    party: Party,
    collection_id: str,
    *,
    posted: bool,
) -> Received | None:
    """Whether the object speaks for somebody that `party` is not; None when it does not."""
    same = next((one for one in held if one.sha256 == version.sha256), None)
    ours = any(source.party_id == OURS for one in held for source in one.sources)
    if ours and version.version is not None and version.type not in _SHARED_TYPES:
        if same is not None:
            return _received("duplicate", version, _COME_BACK)
        return _received("quarantined", version, "this id is ours, and only this node makes versions of it")
    if version.creator == node.identity or version.id == node.identity:
        return _received("quarantined", version, "it speaks in the name of this node, which did not make it")
    if posted:
        posting = (await releases.postings(tx, collection_id, [version.id])).get(version.id)
        if posting is not None and posting.party_id != party.id and same is None:
            return _received(
                "refused", version, "another writer posted this object: add a note, an opinion or a sighting"
            )
    return None


_COME_BACK = "it is ours, come back"
# Definitions are constants that many bring along; observables (no version of their own) have no creator at all.
_SHARED_TYPES = frozenset({"marking-definition", "extension-definition"})


def _received(outcome: State, version: ObjectVersion, reason: str, dated: str | None = None) -> Received:
    return Received(outcome, version.id, version.version or dated or "", version.sha256, reason)
