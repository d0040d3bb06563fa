"""Receive: what a peer offers or a writer posts, object by object, each ending in exactly one recorded state.

stored       taken in, or a further source for what is held
duplicate    the same (id, version, hash), already held on this source's word
quarantined  readable, but it claims what it may not: kept apart for a person
refused      unreadable, invalid, or another writer's

One bad object never spoils its neighbours, and nobody but its creator's own node changes an object (DESIGN 2.7):
a word binds its source only, and what is authentic wins over what is asserted, whatever came first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tocsin.errors import BadInput
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import OURS, Node
from tocsin.sharing.release import Outcome, release
from tocsin.stix.canonical import peek
from tocsin.stix.objects import ObjectVersion, named, read_object, version_key
from tocsin.stix.validate import problems
from tocsin.store import audit, objects, postings, releases
from tocsin.store.objects import HeldVersion, Source, Word
from tocsin.store.parties import Party
from tocsin.store.postings import Posting
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
    received = await _take(tx, node, offered, party, collection_id, now)
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
    offered = [Offered(raw) for raw in raws]
    received = await _take(tx, node, offered, party, collection_id, now, posted=True)
    taken = [item for item in received if item.outcome in ("stored", "duplicate") and item.reason != _COME_BACK]
    await postings.put_postings(tx, collection_id, {item.id for item in taken}, party.id, now)
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


# --- taking in -----------------------------------------------------------------------------------------------

_COME_BACK = "it is ours, come back"
# Definitions are constants that many bring along; observables (no version of their own) have no creator at all.
_SHARED_TYPES = frozenset({"marking-definition", "extension-definition"})


async def _take(
    tx: Transaction,
    node: Node,
    offered: Sequence[Offered],
    party: Party,
    collection_id: str,
    now: int,
    *,
    posted: bool = False,
) -> list[Received]:
    """Read, check and store what is offered; every item has its answer, in order."""
    answers: list[Received | None] = []
    versions: list[ObjectVersion | None] = []
    for item in offered:
        version, refusal = _read(item)
        versions.append(version)
        answers.append(refusal)
    ids = [version.id for version in versions if version is not None]
    door = _Door(
        node=node,
        party=party,
        collection_id=collection_id,
        held=await objects.held(tx, ids),
        postings=await postings.postings(tx, collection_id, ids) if posted else {},
    )
    entering: list[tuple[int, ObjectVersion]] = []
    for index, version in enumerate(versions):
        if version is None or answers[index] is not None:
            continue
        answers[index] = door.claims_too_much(version)
        if answers[index] is None:
            entering.append((index, version))
    stored = await objects.add_versions(tx, [version for _, version in entering], received=now)
    said = await objects.sources(tx, [one.seq for one in stored])
    words: list[Word] = []
    for (index, version), one in zip(entering, stored, strict=True):
        word = door.word(version, one.seq, offered[index].hops, now)
        known = any(_same_word(word, source) for source in said.get(one.seq, ()))
        known = known or any(word.seq == earlier.seq for earlier in words)  # twice in one offer
        answers[index] = _received("duplicate" if known else "stored", version, "", one.version)
        words.append(word)
    await objects.set_words(tx, words)
    newest = await objects.newest(tx, {version.id for _, version in entering})
    await objects.note_all_references(tx, {id_: named(held.value) for id_, held in newest.items()})
    return [answer for answer in answers if answer is not None]


def _read(item: Offered) -> tuple[ObjectVersion | None, Received | None]:
    """The object, or why it is refused."""
    try:
        version = read_object(item.raw)
    except BadInput as why:
        return None, Received("refused", *peek(item.raw), "", str(why))
    if faults := problems(version):
        return version, _received("refused", version, "; ".join(map(str, faults[:5])))
    return version, None


@dataclass(frozen=True, slots=True)
class _Door:
    """What is known at the door about who brings something, and what is held of it already."""

    node: Node
    party: Party
    collection_id: str
    held: Mapping[str, Sequence[HeldVersion]]
    postings: Mapping[str, Posting]

    def claims_too_much(self, version: ObjectVersion) -> Received | None:
        """The answer to an object that speaks for somebody its bringer is not; None when it does not."""
        held = self.held.get(version.id, ())
        same = any(one.sha256 == version.sha256 for one in held)
        ours = any(source.party_id == OURS for one in held for source in one.sources)
        if ours and version.version is not None and version.type not in _SHARED_TYPES:
            if same:
                return _received("duplicate", version, _COME_BACK)
            return _received("quarantined", version, "this id is ours, and only this node makes versions of it")
        if version.creator == self.node.identity or version.id == self.node.identity:
            return _received("quarantined", version, "it speaks in the name of this node, which did not make it")
        if any(one.sha256 != version.sha256 and self._brought(one, version) for one in held):
            reason = "the same source gave other content for this very version: a change is a new version"
            return _received("quarantined", version, reason)
        posting = self.postings.get(version.id)
        if posting is not None and posting.party_id != self.party.id and not same:
            reason = "another writer posted this object: add a note, an opinion or a sighting"
            return _received("refused", version, reason)
        return None

    def _brought(self, held: HeldVersion, version: ObjectVersion) -> bool:
        """Whether the same bringer, through the same collection, gave this content for the version of another."""
        return (
            version.version is not None
            and held.version_key == version_key(version.version)
            and any(s.party_id == self.party.id and s.collection_id == self.collection_id for s in held.sources)
        )

    def word(self, version: ObjectVersion, seq: int, hops: int, now: int) -> Word:
        """What the bringer says: authentic from the creator's own node, asserted from anybody else."""
        pinned = self.party.identity_id
        return Word(
            seq,
            self.party.id,
            self.collection_id,
            "revoke" if version.revoked else "put",
            authentic=pinned is not None and version.creator == pinned and hops == 0,
            hops=hops,
            at=now,
        )


def _same_word(word: Word, source: Source) -> bool:
    return (source.party_id, source.collection_id, source.word, source.authentic, source.hops) == (
        word.party_id,
        word.collection_id,
        word.word,
        word.authentic,
        word.hops,
    )


def _received(outcome: State, version: ObjectVersion, reason: str, dated: str | None = None) -> Received:
    return Received(outcome, version.id, version.version or dated or "", version.sha256, reason)
