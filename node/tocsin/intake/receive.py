"""Receive: what a peer offers or a writer posts, object by object, each ending in exactly one recorded state.

stored       taken in, or a further source for what is held
duplicate    the same (id, version, hash), already held on this source's word
quarantined  readable, but it claims what it may not: kept apart for a person
refused      unreadable, invalid, or another writer's

One bad object never spoils its neighbours, and nobody but its creator's own node changes an object:
a word binds its source only, and what is authentic wins over what is asserted, whatever came first.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NamedTuple

from tocsin.errors import BadInput
from tocsin.policy.configuration import Configuration
from tocsin.policy.decide import SILENCE
from tocsin.sharing.node import OURS, Node
from tocsin.sharing.release import Outcome, release_before, sit
from tocsin.stix.canonical import LIMITS, Limits, peek
from tocsin.stix.objects import ObjectVersion, from_micros, read_object, version_key
from tocsin.stix.validate import problems
from tocsin.store import acknowledgements, audit, copies, erasures, objects, parties, postings, releases
from tocsin.store.objects import HeldVersion, Source, Word
from tocsin.store.parties import Party
from tocsin.store.transaction import Transaction

State = Literal["stored", "duplicate", "quarantined", "refused"]

# How far ahead of our clock a peer may date an object. Two clocks that are each a day off, in opposite directions,
# disagree by two days, and still nothing is to be lost; what is dated later would outrank for longer than that
# whatever its creator says afterwards.
AHEAD = timedelta(days=3)


class Read(NamedTuple):
    """One offered object as read and checked: the version, or why it is refused, or both.

    `hops`: how many nodes it passed before (0: it is from its creator's own).
    """

    version: ObjectVersion | None
    refusal: "Received | None"
    hops: int


class Received(NamedTuple):
    """What became of one offered object. `id` and `version` are empty when they could not be read."""

    outcome: State
    id: str
    version: str
    sha256: str
    reason: str = ""


class Posted(NamedTuple):
    """What a writer is told of one object (TAXII 2.1 §4.3.1)."""

    outcome: Literal["success", "failure"]
    id: str
    version: str
    message: str = ""


def read_offered(raw: bytes, hops: int = 0, limits: Limits = LIMITS) -> Read:
    """Read and check one object; that needs no database, so it is done before the transaction begins."""
    try:
        version = read_object(raw, limits)
    except BadInput as why:
        return Read(None, Received("refused", *peek(raw), "", str(why)), hops)
    if faults := problems(version):
        return Read(version, _received("refused", version, "; ".join(map(str, faults[:5]))), hops)
    return Read(version, None, hops)


async def receive(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    offered: Sequence[Read],
    party: Party,
    collection_id: str,
    *,
    now: int,
    allowed: Collection[tuple[str, str]] = frozenset(),
) -> list[Received]:
    """Take in what `party` offers through its collection; the answer is in the order of what was offered.

    `allowed`: (id, sha256)s that a person lets in although they claim what may be false; that is then asserted by
    their bringer, whoever he is. What is ours stays ours: nobody can allow that.

    Our own policies then decide what of it goes on to our readers. The caller commits.
    """
    courts = await sit(tx, configuration, node)
    waiting = await _waiting_for(tx, offered)
    received = await _take(tx, node, offered, party, remote(collection_id), now, allowed=frozenset(allowed))
    arrived = dict.fromkeys(item.id for item in received if item.outcome == "stored")
    if arrived:
        await release_before(tx, courts, [*arrived, *waiting], now=now)
        await audit.append(tx, "received", party.name, {"collection": collection_id, "stored": len(arrived)}, now)
    return received


async def _waiting_for(tx: Transaction, offered: Sequence[Read]) -> list[str]:
    """What names identities that arrive: they may enter as its creators, so it is judged with them."""
    arriving = {item.version.id for item in offered if item.version is not None}
    identities = [id_ for id_ in arriving if id_.startswith("identity--")]
    return sorted(await objects.referring(tx, identities) - arriving)


async def receive_posts(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    key: str,
    party: Party,
    offered: Sequence[Read],
    *,
    now: int,
) -> list[Posted]:
    """Take in what a writer posts into collection `key`: the writer's release, which only policy judges.

    What the writer is told depends on nothing outside that collection's log. So of an id that was erased here he
    hears so only where it once stood in this very collection, whole, or as a copy of what he himself posted. Any
    other writer is answered in the words of a policy that says nothing of it: that it is unwelcome he may know, as
    of any rule of the node's people, but not that it was ever held, nor whose it was. A success without effect
    would hide even that, until he reads the collection; but what is answered 202 is kept (G1).

    The caller commits.
    """
    courts = await sit(tx, configuration, node)
    waiting = await _waiting_for(tx, offered)
    collection_id = next(court.collection_id for court in courts if court.key == key)
    received = await _take(tx, node, offered, party, collection_id, now, posted=True)
    taken = list(dict.fromkeys(item.id for item in received if item.outcome != "refused" and not item.reason))
    posted_before = await postings.postings(tx, collection_id, taken)
    await postings.put_postings(tx, collection_id, taken, party.id, now)
    own = [court for court in courts if court.key == key]
    outcomes = await release_before(tx, own, [*taken, *waiting], now=now, posted_into=key)
    here = {outcome.object_id: outcome for outcome in outcomes}
    denied = {id_ for id_ in taken if (found := here.get(id_)) and found.what != "stuck" and not found.stands_as}
    stuck = {id_ for id_ in taken if (found := here.get(id_)) and found.what == "stuck"}
    fresh = {(item.id, item.sha256) for item in received if item.outcome == "stored"}
    await _drop_posts(tx, party, collection_id, denied, lambda version: True, now)
    await _drop_posts(tx, party, collection_id, stuck, lambda version: (version.id, version.sha256) in fresh, now)
    for id_ in sorted(denied | (stuck - set(posted_before))):
        await postings.delete_posting(tx, collection_id, id_, now)
    # only now the others: what the collection does not take was never said to them
    others = [court for court in courts if court.key != key]
    await release_before(tx, others, [*taken, *waiting], now=now, posted_into=key)
    told = [_told(item, here.get(item.id)) for item in received]
    return [_undated(posted, item, now) for posted, item in zip(told, offered, strict=True)]


def _undated(posted: Posted, item: Read, now: int) -> Posted:
    """What has no version of its own is dated by its first receipt here, which is nobody's business before it
    stands: it tells that somebody else brought it."""
    if posted.outcome == "success" or item.version is None or item.version.version is not None:
        return posted
    return posted._replace(version=from_micros(now))


def _told(item: Received, outcome: Outcome | None) -> Posted:
    if item.outcome in ("refused", "quarantined"):
        return Posted("failure", item.id, item.version, item.reason)
    match outcome:
        case Outcome(what="stuck"):
            # what exactly fails is for the operator: it could tell of readers, or of other objects
            return Posted("failure", item.id, item.version, "The policy of this collection cannot judge this now.")
        case Outcome(stands_as=None, reasons=reasons, what=what):
            # a definition needs no rule, and so has no reason, but stands only beside what names it
            why = "; ".join(f"{reason.rule}: {reason.text}" for reason in reasons) or _NAMED_BY_NOTHING
            more = " (what stood of it is withdrawn)" if what == "withdrawn" else ""
            return Posted("failure", item.id, item.version, why + more)
        case Outcome(stands_as=str(copy)) if copy != item.id:
            return Posted("success", item.id, item.version, f"redacted: it stands here as {copy}")
        case _:
            return Posted("success", item.id, item.version)


async def _drop_posts(
    tx: Transaction,
    party: Party,
    collection_id: str,
    ids: set[str],
    chosen: Callable[[HeldVersion], bool],
    now: int,
) -> None:
    """What the collection does not take is not kept either: its writer is told that it failed.

    Of what is denied that is all that this writer posted of it, since it is judged by its newest version; of what
    could not be judged only what has just come.
    """
    words = [
        Word(version.seq, party.id, collection_id, "withdraw", authentic=False, hops=0, at=now)
        for versions in (await objects.offered(tx, sorted(ids))).values()
        for version in versions
        if chosen(version) and _offers(version, party, collection_id)
    ]
    await objects.set_words(tx, words)
    await objects.forget_unheld(tx, ids)


def remote(collection_id: str) -> str:
    """How a peer's collection is written down as a source: never to be taken for one of ours, whatever its id."""
    return f"remote:{collection_id}"


def _offers(version: HeldVersion, party: Party, collection_id: str) -> bool:
    return any(one.party_id == party.id and one.collection_id == collection_id for one in version.sources)


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
    courts = await sit(tx, configuration, node)
    wanted = set(object_versions)
    ids = sorted({id_ for id_, _ in wanted})
    words = [
        Word(version.seq, party.id, remote(collection_id), "withdraw", authentic=False, hops=0, at=now)
        for versions in (await objects.offered(tx, ids)).values()
        for version in versions
        if (version.id, version.sha256) in wanted and _offers(version, party, remote(collection_id))
    ]
    await objects.set_words(tx, words)
    await release_before(tx, courts, ids, now=now)
    await objects.forget_unheld(tx, ids)


# --- taking in -----------------------------------------------------------------------------------------------

COME_BACK = "it is ours, come back"  # the reason of a duplicate that is not held on the word of who brought it
_NAMED_BY_NOTHING = "no object of this collection names it: post it together with one that does"
# Definitions are constants that many bring along; observables (no version of their own) have no creator at all.
_SHARED_TYPES = frozenset({"marking-definition", "extension-definition"})


async def _take(
    tx: Transaction,
    node: Node,
    offered: Sequence[Read],
    party: Party,
    collection_id: str,
    now: int,
    *,
    posted: bool = False,
    allowed: frozenset[tuple[str, str]] = frozenset(),
) -> list[Received]:
    """Store what may come in of what was read; every item has its answer, in order."""
    answers: list[Received | None] = [item.refusal for item in offered]
    ids = [item.version.id for item in offered if item.version is not None]
    await objects.begin_fresh(tx, ids)
    door = _Door(
        node=node,
        party=party,
        collection_id=collection_id,
        held=await objects.offered(tx, ids),
        standing=await _posted_by(tx, collection_id, ids) if posted else {},
        copies=frozenset(await copies.originals_of(tx, ids)),
        themselves=await _speaking_for_themselves(tx, party, ids),
        latest=version_key(from_micros(now + AHEAD // timedelta(microseconds=1))),
        posted=posted,
        allowed=allowed,
    )
    erased = await erasures.erased(tx, ids)
    known = await _known_here(tx, party, collection_id, erased) if posted else erased
    entering: list[int] = []
    versions: list[ObjectVersion] = []
    let_in: dict[str, list[ObjectVersion]] = {}
    for index, item in enumerate(offered):
        if item.version is None or item.refusal is not None:
            continue
        if item.version.id in known:
            answers[index] = _received("refused", item.version, erasures.REFUSAL)
            continue
        earlier = let_in.setdefault(item.version.id, [])
        answers[index] = door.claims_too_much(item.version, item.hops, earlier)
        if answers[index] is None:
            earlier.append(item.version)
            if item.version.id in erased:
                answers[index] = _received("refused", item.version, f"{SILENCE.rule}: {SILENCE.text}")
                continue
            entering.append(index)
            versions.append(item.version)
    stored = await objects.add_versions(tx, versions, received=now)
    said = await objects.sources(tx, [one.seq for one in stored if not one.new])
    words: dict[int, Word] = {}
    for index, version, one in zip(entering, versions, stored, strict=True):
        word = door.word(version, one.seq, offered[index].hops, now, let_in[version.id])
        again = any(_same_word(word, source) for source in said.get(one.seq, ()))
        again = again or one.seq in words  # twice in one offer
        remark = "" if again else door.remark(version, word)
        answers[index] = _received("duplicate" if again else "stored", version, remark, one.version)
        words[one.seq] = word
    await objects.set_words(tx, [*door.outspoken(versions, now), *words.values()])
    names = [(one.seq, version.named) for version, one in zip(versions, stored, strict=True) if one.new]
    await objects.note_references(tx, names)
    return [answer for answer in answers if answer is not None]


async def _known_here(tx: Transaction, party: Party, collection_id: str, erased: Collection[str]) -> set[str]:
    """Those of the erased ids that a writer of this collection may know from its log."""
    if not erased:
        return set()
    links = await copies.copies_of(tx, collection_id, erased)
    logged = await acknowledgements.shown(tx, collection_id, [*erased, *(link.copy_id for link in links.values())])
    posted = await postings.postings(tx, collection_id, erased)
    return {
        id_
        for id_ in erased
        if id_ in logged
        or (id_ in links and links[id_].copy_id in logged and id_ in posted and posted[id_].party_id == party.id)
    }


async def _posted_by(tx: Transaction, collection_id: str, ids: Sequence[str]) -> dict[str, str]:
    """By whom each of the objects that stand here was posted: nothing else of this collection is told."""
    posted = await postings.postings(tx, collection_id, ids)
    links = await copies.copies_of(tx, collection_id, ids)
    stands = await releases.standing(tx, collection_id, [*ids, *(link.copy_id for link in links.values())])
    return {
        id_: posting.party_id
        for id_, posting in posted.items()
        if id_ in stands or (id_ in links and links[id_].copy_id in stands)
    }


async def _speaking_for_themselves(tx: Transaction, party: Party, ids: Sequence[str]) -> frozenset[str]:
    """Those of the ids that are the identities of other peers' own nodes."""
    if not any(id_.startswith("identity--") for id_ in ids):
        return frozenset()
    everybody = await parties.parties(tx)
    return frozenset(one.identity_id for one in everybody if one.identity_id and one.id != party.id)


@dataclass(frozen=True, slots=True)
class _Door:
    """What is known at the door about who brings something, and what is held of it already."""

    node: Node
    party: Party
    collection_id: str
    held: Mapping[str, Sequence[HeldVersion]]
    standing: Mapping[str, str]  # who posted what stands in the collection that is posted into
    copies: frozenset[str]  # those of the ids that are redacted copies of ours
    themselves: frozenset[str]  # identities that other peers' own nodes speak for
    latest: str  # the key of the latest date that is believed
    posted: bool
    allowed: frozenset[tuple[str, str]]  # what a person lets in although it claims what may be false

    def claims_too_much(
        self, version: ObjectVersion, hops: int, let_in: Sequence[ObjectVersion]
    ) -> Received | None:
        """The answer to an object that speaks for somebody its bringer is not; None when it does not.

        `let_in`: what came through the door before it in the same offer, of the same object.
        """
        held = self.held.get(version.id, ())
        same = any(one.sha256 == version.sha256 for one in held)
        if self._is_ours(version, held) and version.version is not None and version.type not in _SHARED_TYPES:
            if same:
                return _received("duplicate", version, COME_BACK)
            return _received("quarantined", version, "this id is ours, and only this node makes versions of it")
        if version.creator == self.node.identity or version.id == self.node.identity:
            return _received("quarantined", version, "it speaks in the name of this node, which did not make it")
        claim = self._doubtful(version, hops, let_in)
        if claim and (version.id, version.sha256) not in self.allowed:
            return _received("quarantined", version, claim)
        poster = self.standing.get(version.id)
        if poster is not None and poster != self.party.id and not same:
            reason = "another writer posted this object: add a note, an opinion or a sighting"
            return _received("refused", version, reason)
        return None

    def _doubtful(self, version: ObjectVersion, hops: int, let_in: Sequence[ObjectVersion]) -> str:
        """What about it may be false, and is for a person to judge; '' where nothing is."""
        held = self.held.get(version.id, ())
        same = any(one.sha256 == version.sha256 for one in held)
        if not self.posted and not same and self._dated_ahead(version):
            return f"it is dated more than {AHEAD.days} days ahead of this node's clock"
        if any(one.sha256 != version.sha256 and self._brought(one, version) for one in held) or any(
            one.sha256 != version.sha256 and _is_same_version(one, version) for one in let_in
        ):
            return "the same source gave other content for this very version: a change is a new version"
        # STIX 2.1 §3.2: versions are its creator's affair. (A writer learns nothing of what others brought.)
        if not self.posted and self._changes_creator(version, hops, held):
            return "an object's creator never changes, and this is another one"
        return ""

    def _is_ours(self, version: ObjectVersion, held: Sequence[HeldVersion]) -> bool:
        return version.id in self.copies or any(
            source.party_id == OURS and source.collection_id == OURS for one in held for source in one.sources
        )

    def _brought(self, held: HeldVersion, version: ObjectVersion) -> bool:
        """Whether the same bringer, through the same collection, gave this content for the version of another."""
        return (
            version.version is not None
            and held.version_key == version_key(version.version)
            and _offers(held, self.party, self.collection_id)
        )

    def _dated_ahead(self, version: ObjectVersion) -> bool:
        dates = (version.value.get("created"), version.value.get("modified"))
        return any(isinstance(date, str) and version_key(date) > self.latest for date in dates)

    def _changes_creator(self, version: ObjectVersion, hops: int, held: Sequence[HeldVersion]) -> bool:
        """Whether it says of what is held that somebody else created it. Who was merely said to have done so keeps
        its creator's own node out as little as what a peer said of another peer itself."""
        if self._is_itself(version, hops):
            return False
        if version.id in self.themselves and version.creator == self.party.identity_id is not None:
            return True
        others = [one for one in held if one.versioned and one.creator != version.creator]
        return any(one.authentic for one in others) or bool(others and not self._authentic(version, hops))

    def _is_itself(self, version: ObjectVersion, hops: int) -> bool:
        """Whether a peer's node tells of that peer."""
        return not self.posted and hops == 0 and version.id == self.party.identity_id

    def _authentic(self, version: ObjectVersion, hops: int) -> bool:
        """Whether its creator's own node says it; of a peer, nobody else's does."""
        pinned = self.party.identity_id
        if pinned is None or hops or version.id in self.themselves:
            return False
        return pinned in (version.creator, version.id)

    def outspoken(self, versions: Iterable[ObjectVersion], now: int) -> list[Word]:
        """What others said of this peer as if it were theirs, now that it tells of itself: mere assertions."""
        return [
            Word(one.seq, said.party_id, said.collection_id, said.word, authentic=False, hops=said.hops, at=now)
            for version in versions
            if self._is_itself(version, 0)
            for one in self.held.get(version.id, ())
            for said in one.sources
            if said.authentic and said.party_id != self.party.id
        ]

    def remark(self, version: ObjectVersion, word: Word) -> str:
        """What an operator should know of something that is taken in all the same: its creator said two things."""
        if not word.authentic or version.version is None or version.revoked:
            return ""
        key = version_key(version.version)
        held = self.held.get(version.id, ())
        if any(one.authentic and one.version_key == key and one.sha256 != version.sha256 for one in held):
            return "its creator's node gave other content for this very version elsewhere; the lower hash counts"
        return ""

    def word(self, version: ObjectVersion, seq: int, hops: int, now: int, let_in: Sequence[ObjectVersion]) -> Word:
        """What the bringer says: authentic from the creator's own node, asserted from anybody else, and where a
        person had to let it in."""
        return Word(
            seq,
            self.party.id,
            self.collection_id,
            "revoke" if version.revoked else "put",
            authentic=self._authentic(version, hops)
            and not ((version.id, version.sha256) in self.allowed and self._doubtful(version, hops, let_in)),
            hops=hops,
            at=now,
            creator=version.creator,
        )


def _is_same_version(one: ObjectVersion, other: ObjectVersion) -> bool:
    return (
        one.version is not None
        and other.version is not None
        and version_key(one.version) == version_key(other.version)
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
