"""Release: verdicts carried out in the log. The one place that writes what readers see.

A transaction that judges holds the heads of its collections from before it reads what stands until it commits,
so commit order is log order. What enters or leaves may let others enter or make them leave:
judging goes on until nothing changes any more.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from tocsin.errors import Unavailable
from tocsin.policy.closure import State
from tocsin.policy.configuration import Configuration
from tocsin.policy.decision import Deny, Reason
from tocsin.policy.redact import without_dates_hash
from tocsin.sharing.judging import RedactedCopy, Verdict, judge, rank
from tocsin.sharing.newcomers import Newcomers, of_no_concern, tell_apart
from tocsin.sharing.node import OURS, Node
from tocsin.sharing.subjects import Court
from tocsin.stix.objects import make_object, next_version
from tocsin.store import audit, copies, objects, parties, publications, records, releases
from tocsin.store import configuration as applied
from tocsin.store import pruned as prunes
from tocsin.store.copies import CopyLink
from tocsin.store.objects import Word
from tocsin.store.releases import Entry, Standing
from tocsin.store.transaction import Transaction

What = Literal[
    "whole", "redacted", "revoked", "withdrawn", "pruned", "unchanged", "withheld", "waiting", "held", "stuck"
]

MOVED: frozenset[What] = frozenset({"whole", "redacted", "revoked", "withdrawn", "pruned"})


class Outcome(NamedTuple):
    """What became of one object in one collection: the word, the rule and the reason, what a copy leaves out.

    `before` and `after`: how it stood, and how it stands. `stands_as`: the id under which readers find it.
    """

    collection: str
    object_id: str
    what: What
    reasons: tuple[Reason, ...]
    stands_as: str | None = None
    omitted: tuple[str, ...] = ()
    before: State = State.OUT
    after: State = State.OUT


async def release(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    object_ids: Iterable[str],
    *,
    now: int,
    keys: Collection[str] | None = None,
    only_moved: bool = False,
) -> list[Outcome]:
    """Judge the objects for every collection (or those of `keys`) and write what changes into the logs.

    `now` is the clock in microseconds. The outcomes speak of the objects asked for, and of others only where
    something changed for them; with `only_moved` of those alone where something did.
    """
    courts = await sit(tx, configuration, node)
    return await release_before(tx, courts, object_ids, now=now, keys=keys, only_moved=only_moved)


async def sit(tx: Transaction, configuration: Configuration, node: Node) -> tuple[Court, ...]:
    """All courts of this node, with the heads of their logs held to the end of the transaction.

    Who brings objects asks for them before anything else. Raises Unavailable where another configuration came into
    force meanwhile: it was judged before this could be, and nothing may enter by the rules of the one before.
    """
    rows = {row.key: row.id for row in await releases.lock_all(tx)}
    if await applied.in_force_sha256(tx) != configuration.sha256:
        raise Unavailable("another configuration has just come into force")
    people = {party.id: party for party in await parties.parties(tx)}
    pruning = await prunes.collections_with_pruned(tx)
    return tuple(
        Court(configuration, node, key, rows[key], people, rows[key] in pruning)
        for key in configuration.settings.collections
        if key in rows
    )


async def release_before(
    tx: Transaction,
    courts: Sequence[Court],
    object_ids: Iterable[str],
    *,
    now: int,
    keys: Collection[str] | None = None,
    posted_into: str | None = None,
    only_moved: bool = False,
) -> list[Outcome]:
    """The same as `release`, by courts that sit already.

    `posted_into`: the key of the one collection that everything new was posted into, where nobody asks what other
    collections make of it. Then those that cannot let it in do not look at it.
    """
    asked = list(dict.fromkeys(object_ids))
    left = asked
    if posted_into is not None and any(court.key != posted_into and not court.hears_others for court in courts):
        plain = of_no_concern(tx, courts[0].people, asked)
        left = [id_ for id_ in asked if id_ not in plain]
    outcomes = []
    for court in courts:
        if keys is None or court.key in keys:
            all_of_it = court.key == posted_into or court.hears_others
            found = await _release_in(tx, court, asked if all_of_it else left, now)
            outcomes += [one for one in found if one.what in MOVED] if only_moved else found
    return outcomes


_EXPIRED = Reason("retention", "it was released longer ago than this collection keeps anything")


async def prune(tx: Transaction, court: Court, object_ids: Iterable[str], now: int) -> list[Outcome]:
    """Take out of one collection what it no longer keeps, and what cannot stand there without.

    That is no withdrawal: readers keep what they hold. What is ours and names them becomes a copy that does not;
    what is another's and names them goes with them. The court sits already (`sit`).
    """
    court = replace(court, has_pruned=True)
    asked = dict.fromkeys(object_ids)
    verdicts = [one for one in await judge(tx, court, asked) if one.id in asked and one.stands is not State.OUT]
    gone = [replace(one, state=State.OUT, decision=Deny((_EXPIRED,)), reasons=(_EXPIRED,)) for one in verdicts]
    return await _release_in(tx, court, [], now, gone)


async def _release_in(
    tx: Transaction, court: Court, asked: list[str], now: int, pruning: Sequence[Verdict] = ()
) -> list[Outcome]:
    """Judge and carry out, wave by wave; or, where `pruning`, carry that out, and then what follows from it."""
    found: dict[str, Outcome] = {}
    stuck: list[Reason] = []
    asked_for = frozenset(asked)
    wave = asked
    first = list(pruning)
    while wave or first:
        newcomers, rest = await tell_apart(tx, court, wave)
        verdicts = first or await judge(tx, court, rest, newcomers)
        first = []
        entries, outcomes = _let_in(court, newcomers)
        for verdict in verdicts:
            written, outcome = await _carry_out(tx, court, verdict, now)
            if pruning:
                written = [one._replace(op="prune") if one.op == "withdraw" else one for one in written]
                outcome = outcome._replace(what="pruned") if outcome.what == "withdrawn" else outcome
            entries += written
            outcomes.append(outcome)
            if verdict.stuck:
                stuck += verdict.reasons
        entries.sort(key=lambda entry: rank(entry.type))
        await releases.append(tx, court.collection_id, entries, court.configuration.sha256, now)
        await _note_what_was_let_in(tx, court, verdicts, now)
        await _let_go(tx, court, verdicts, entries, now)
        _add(found, outcomes, asked_for)
        wave = await _concerned(tx, verdicts, outcomes, newcomers)
    if stuck:
        await releases.set_stuck(tx, court.collection_id, f"{stuck[0].rule}: {stuck[0].text}")
    await _note(tx, court, found.values(), now)
    return list(found.values())


def _add(found: dict[str, Outcome], outcomes: list[Outcome], asked: Set[str]) -> None:
    """What became of each object in the end: how it stood at first, and the last that was done."""
    for outcome in outcomes:
        first = found.get(outcome.object_id)
        if outcome.what in MOVED:
            found[outcome.object_id] = outcome if first is None else outcome._replace(before=first.before)
        elif first is None and outcome.object_id in asked:
            found[outcome.object_id] = outcome


def _let_in(court: Court, newcomers: Newcomers) -> tuple[list[Entry], list[Outcome]]:
    """The entries of newcomers, and the word for each."""
    entries, outcomes = [], []
    rules: dict[tuple[Reason, ...], tuple[str, ...]] = {}
    for id_, (version, decision) in newcomers.entering.items():
        reasons = decision.reasons
        if reasons not in rules:
            rules[reasons] = tuple(dict.fromkeys(reason.rule for reason in reasons))
        entries.append(
            Entry("put", id_, version.type, version.seq, version.version_key, "whole", 0, rules[reasons])
        )
        outcomes.append(Outcome(court.key, id_, "whole", reasons, id_, (), State.OUT, State.WHOLE))
    outcomes += [
        Outcome(court.key, id_, "withheld", decision.reasons) for id_, decision in newcomers.denied.items()
    ]
    return entries, outcomes


async def _note_what_was_let_in(tx: Transaction, court: Court, verdicts: list[Verdict], now: int) -> None:
    """An automatic collection's own word, so that what stands goes on being judged should it change to by-hand."""
    if court.settings.release != "automatic":
        return
    let_in = [
        (incident, verdict.id, verdict.lineage.newest.version_key)
        for verdict in verdicts
        if verdict.state is not State.OUT and verdict.lineage is not None and verdict.lineage.ours
        for incident in verdict.lineage.anchors or {verdict.id}
        if not verdict.subject.constant
    ]
    await publications.note_released(tx, court.collection_id, let_in, now)


_LEAVING = ("withdraw", "prune")


async def _let_go(tx: Transaction, court: Court, verdicts: list[Verdict], entries: list[Entry], now: int) -> None:
    """What follows from leaving: a copy, or a bare revocation, was kept for this log alone; and what a person
    holds waits for that person again, though it was let in when it was held."""
    seqs = {entry.version_seq for entry in entries if entry.op in _LEAVING and entry.version_seq is not None}
    ours = [
        (seq, source)
        for seq, sources in (await objects.sources(tx, seqs)).items()
        for source in sources
        if source.party_id == OURS and source.collection_id == court.collection_id and source.live
    ]
    words = [Word(seq, OURS, court.collection_id, "withdraw", authentic=False, hops=0, at=now) for seq, _ in ours]
    await objects.set_words(tx, words)
    kept = {seq for seq, _ in ours}
    await objects.forget_unheld(tx, {entry.object_id for entry in entries if entry.version_seq in kept})
    left = [one.id for one in verdicts if one.state is State.OUT and one.stands is not State.OUT]
    await publications.uncover_held(tx, court.collection_id, left)


async def _concerned(
    tx: Transaction, verdicts: list[Verdict], outcomes: list[Outcome], newcomers: Newcomers
) -> list[str]:
    """Whom it concerns that these entered, left or changed: who names them, what was made with them, and whom they
    named when they stood. What everything names concerns nobody by entering."""
    changed = {outcome.object_id for outcome in outcomes if outcome.what in MOVED}
    moved = set(newcomers.entering)
    for verdict in verdicts:
        entered = verdict.stands is State.OUT
        if verdict.state is not verdict.stands and not (entered and verdict.subject.constant):
            moved |= {verdict.id} if verdict.link is None else {verdict.id, verdict.link.copy_id}
    company = {one.object_id for one in await records.belonging_to(tx, changed)} - {one.id for one in verdicts}
    gone = {one.id for one in verdicts if one.stands is not State.OUT and one.id in changed}
    left = await objects.names_of(tx, gone) - {one.id for one in verdicts if one.state is one.stands}
    return sorted((await objects.referring(tx, moved) | company | left) - moved)


async def _note(tx: Transaction, court: Court, outcomes: Iterable[Outcome], now: int) -> None:
    """One event for all that moved: what became of each object, and by which rule, stands in the log itself."""
    counts = Counter(outcome.what for outcome in outcomes if outcome.what in MOVED)
    if counts:
        await audit.append(tx, "released", court.key, dict(sorted(counts.items())), now)


async def _carry_out(tx: Transaction, court: Court, verdict: Verdict, now: int) -> tuple[list[Entry], Outcome]:
    """The log entries that bring what stands to what should stand, and the word for it."""
    entries: list[Entry] = []
    what: What
    if verdict.stuck:
        what = "stuck"
    elif verdict.state is State.OUT:
        entries = _withdrawal(verdict)
        what = "withdrawn" if entries else _why_out(verdict)
    elif verdict.state is State.WHOLE:
        entries = [*_withdrawal(verdict, of=State.COPY), *await _whole(tx, court, verdict, now)]
        what = "unchanged" if not entries else "revoked" if entries[-1].op == "revoke" else "whole"
    else:
        entries = [*_withdrawal(verdict, of=State.WHOLE), *await _copy(tx, court, verdict, now)]
        what = "redacted" if entries else "unchanged"
    stands_as = verdict.copy.id if verdict.copy else verdict.id if verdict.state is State.WHOLE else None
    return entries, Outcome(
        collection=court.key,
        object_id=verdict.id,
        what=what,
        reasons=verdict.reasons,
        stands_as=stands_as,
        omitted=verdict.copy.omitted if verdict.copy else (),
        before=verdict.stands,
        after=verdict.state,
    )


def _why_out(verdict: Verdict) -> What:
    if verdict.lineage is not None or not verdict.subject.pending:
        return "withheld"
    return "held" if verdict.subject.pending == "held" else "waiting"


def _withdrawal(verdict: Verdict, of: State | None = None) -> list[Entry]:
    """Withdraw all versions of what stands (only when it stands as `of`, if given)."""
    standing = verdict.standing
    if standing is None or verdict.stands is State.OUT or (of is not None and verdict.stands is not of):
        return []
    return [_leaving(verdict, standing, key) for key in sorted(standing.versions)]


def _leaving(verdict: Verdict, standing: Standing, version_key: str) -> Entry:
    return Entry(
        op="withdraw",
        object_id=standing.object_id,
        type=verdict.subject.type,
        version_seq=standing.versions[version_key].seq,
        version_key=version_key,
        form="copy" if verdict.stands is State.COPY else "whole",
        hops=verdict.hops,
        rules=_rules(verdict),
    )


async def _whole(tx: Transaction, court: Court, verdict: Verdict, now: int) -> list[Entry]:
    """The versions that enter, and those that stand though the source that is heard does not vouch for them."""
    standing = verdict.standing if verdict.stands is State.WHOLE else None
    stands = {version.seq: key for key, version in standing.versions.items()} if standing else {}
    if verdict.revocation is not None:
        return await _bare_revocation(tx, court, verdict, now)
    heard = verdict.lineage.versions if verdict.lineage is not None else ()
    vouched = {version.seq for version in (*verdict.entering, *heard)}
    leaving = [
        _leaving(verdict, standing, key)
        for seq, key in sorted(stands.items(), key=lambda one: one[1])
        if standing is not None and seq not in vouched and not _older_of_ours(verdict, key)
    ]
    return leaving + [
        _entry(verdict, version.id, version.seq, version.version_key, revoked=version.revoked)
        for version in verdict.entering
        if version.seq not in stands or _hops_moved(verdict, stands[version.seq])
    ]


def _hops_moved(verdict: Verdict, version_key: str) -> bool:
    """Whether what stands came by a way of another length than it was put with: who passes it on has to know.

    Without that, nodes in a circle would hold what its creator took back on each other's word, for ever: each word
    is one hop further than the one before, and above `max_hops` there is none.
    """
    return verdict.standing is not None and verdict.standing.versions[version_key].hops != verdict.hops


def _older_of_ours(verdict: Verdict, version_key: str) -> bool:
    """Of our own, what stood before the newest version stays beside it: the same hand wrote both."""
    if verdict.lineage is None or not verdict.lineage.ours:
        return False
    newest = verdict.lineage.newest
    return newest.versioned and version_key < newest.version_key


async def _bare_revocation(tx: Transaction, court: Court, verdict: Verdict, now: int) -> list[Entry]:
    """A revocation whose content policy does not allow: id, type and dates, kept for this log alone."""
    version = make_object(verdict.revocation or {})
    (stored,) = await objects.add_versions(tx, [version], received=now)
    word = Word(
        stored.seq, OURS, court.collection_id, "revoke", authentic=False, hops=0, at=now, creator=version.creator
    )
    await objects.set_words(tx, [word])
    await objects.note_references(tx, [(stored.seq, version.named)])
    if verdict.standing is not None and any(one.seq == stored.seq for one in verdict.standing.versions.values()):
        return []
    return [*_withdrawal(verdict), _entry(verdict, version.id, stored.seq, stored.version_key, revoked=True)]


async def _copy(tx: Transaction, court: Court, verdict: Verdict, now: int) -> list[Entry]:
    """A new version of the copy, if its visible bytes changed or it does not stand."""
    copy = verdict.copy
    if copy is None:
        return []
    digest = without_dates_hash(copy.value)
    link = verdict.link
    if link is not None and link.body_sha256 == digest and verdict.stands is State.COPY:
        return []
    version = make_object(await _dated(tx, copy, now))
    (stored,) = await objects.add_versions(tx, [version], received=now)
    word = Word(
        stored.seq, OURS, court.collection_id, "put", authentic=True, hops=0, at=now, creator=version.creator
    )
    await objects.set_words(tx, [word])
    await objects.note_references(tx, [(stored.seq, version.named)])
    # what an older copy shows was decided under other rules, or of another version: one copy stands at a time
    older = _withdrawal(verdict, of=State.COPY)
    await copies.put_copy(
        tx, CopyLink(court.collection_id, verdict.id, copy.id, copy.generation, digest, copy.omitted)
    )
    entry = _entry(verdict, copy.id, stored.seq, stored.version_key, revoked=version.revoked)
    return [*older, entry._replace(form="copy", hops=0)]  # a copy is ours, whatever it is a copy of


def _entry(verdict: Verdict, object_id: str, seq: int, version_key: str, *, revoked: bool) -> Entry:
    return Entry(
        op="revoke" if revoked else "put",
        object_id=object_id,
        type=verdict.subject.type,
        version_seq=seq,
        version_key=version_key,
        form="whole",
        hops=verdict.hops,
        rules=_rules(verdict),
    )


async def _dated(tx: Transaction, copy: RedactedCopy, now: int) -> dict[str, object]:
    """The copy with dates of its own: created once, modified now; an observable has neither."""
    value = dict(copy.value)
    if "modified" not in value and "created" not in value:
        return value
    before = await objects.dates(tx, copy.id)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now)
    modified = next_version(moment, before[-1] if before else None)
    return value | {"created": before[0] if before else modified, "modified": modified}


def _rules(verdict: Verdict) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reason.rule for reason in verdict.reasons))
