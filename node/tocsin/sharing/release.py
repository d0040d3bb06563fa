"""Release: verdicts carried out in the log. The one place that writes what readers see.

A transaction that judges holds the heads of its collections from before it reads what stands until it commits,
so commit order is log order (DESIGN 2.11). What enters or leaves may let others enter or make them leave:
judging goes on until nothing changes any more.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from tocsin.policy.closure import State
from tocsin.policy.configuration import Configuration
from tocsin.policy.decision import Reason
from tocsin.policy.redact import without_dates_hash
from tocsin.sharing.judging import RedactedCopy, Verdict, judge
from tocsin.sharing.node import OURS, Node
from tocsin.sharing.subjects import Court
from tocsin.stix.objects import make_object, named, next_version
from tocsin.store import audit, copies, objects, releases
from tocsin.store.copies import CopyLink
from tocsin.store.releases import Entry
from tocsin.store.transaction import Transaction

What = Literal["whole", "redacted", "revoked", "withdrawn", "unchanged", "withheld", "waiting", "held", "stuck"]

_MOVED: frozenset[What] = frozenset({"whole", "redacted", "revoked", "withdrawn"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object in one collection: the word, the rule and the reason, what a copy leaves out."""

    collection: str
    object_id: str
    what: What
    reasons: tuple[Reason, ...]
    stands_as: str | None = None  # the id under which readers find it
    omitted: tuple[str, ...] = ()


async def release(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    object_ids: Iterable[str],
    *,
    now: int,
    keys: Collection[str] | None = None,
) -> list[Outcome]:
    """Judge the objects for every collection (or those of `keys`) and write what changes into the logs.

    `now` is the clock in microseconds. The outcomes speak of the objects asked for, and of others only where
    something changed for them.
    """
    asked = list(dict.fromkeys(object_ids))
    rows = {row.key: row.id for row in await releases.collections(tx)}
    courts = [
        Court(configuration, node, key, rows[key])
        for key in configuration.settings.collections
        if key in rows and (keys is None or key in keys)
    ]
    await releases.lock(tx, sorted(court.collection_id for court in courts))
    outcomes = []
    for court in courts:
        outcomes += await _release_in(tx, court, asked, now)
    return outcomes


async def _release_in(tx: Transaction, court: Court, asked: list[str], now: int) -> list[Outcome]:
    found: dict[str, Outcome] = {}
    stuck: list[Reason] = []
    wave: list[str] = asked
    while wave:
        verdicts = await judge(tx, court, wave)
        entries: list[Entry] = []
        for verdict in verdicts:
            written, outcome = await _carry_out(tx, court, verdict, now)
            entries += written
            if outcome.what == "stuck":
                stuck += verdict.reasons
            if outcome.what in _MOVED or (verdict.id in asked and verdict.id not in found):
                found[verdict.id] = outcome
        await releases.append(tx, court.collection_id, entries, court.configuration.sha256, now)
        wave = await _concerned(tx, verdicts)
    if stuck:
        await releases.set_stuck(tx, court.collection_id, f"{stuck[0].rule}: {stuck[0].text}")
    await audit.append_all(tx, [_event(outcome) for outcome in found.values() if outcome.what in _MOVED], now)
    return list(found.values())


async def _concerned(tx: Transaction, verdicts: list[Verdict]) -> list[str]:
    """Whom it concerns that these entered or left: who names them, and of what left, whom it named."""
    moved: set[str] = set()
    left: set[str] = set()
    for verdict in verdicts:
        if verdict.state is not verdict.stands:
            moved |= {verdict.id} if verdict.link is None else {verdict.id, verdict.link.copy_id}
            if verdict.stands is not State.OUT and verdict.newest is not None:
                left |= named(verdict.newest.value)
    return sorted((await objects.referring(tx, moved) | left) - moved)


def _event(outcome: Outcome) -> audit.Event:
    details = {"collection": outcome.collection, "rules": [reason.rule for reason in outcome.reasons]}
    return audit.Event(outcome.what, outcome.object_id, details)


async def _carry_out(tx: Transaction, court: Court, verdict: Verdict, now: int) -> tuple[list[Entry], Outcome]:
    """The log entries that bring what stands to what should stand, and the word for it."""
    entries: list[Entry] = []
    what: What
    match verdict.state, verdict.keeps:
        case _, True:
            what = "stuck" if verdict.subject.newest is not None else _pending(verdict)
        case State.OUT, _:
            entries = _withdrawal(verdict)
            what = "withdrawn" if entries else "withheld"
        case State.WHOLE, _:
            entries = [*_withdrawal(verdict, of=State.COPY), *_whole(verdict), *_no_longer_held(verdict)]
            what = "unchanged" if not entries else "revoked" if entries[-1].op == "revoke" else "whole"
        case _:
            entries = [*_withdrawal(verdict, of=State.WHOLE), *await _copy(tx, court, verdict, now)]
            what = "redacted" if entries else "unchanged"
    stands_as = verdict.copy.id if verdict.copy else verdict.id if verdict.state is State.WHOLE else None
    omitted = verdict.copy.omitted if verdict.copy else ()
    return entries, Outcome(court.key, verdict.id, what, verdict.reasons, stands_as, omitted)


def _pending(verdict: Verdict) -> What:
    return "held" if verdict.subject.pending == "held" else "waiting"


def _withdrawal(verdict: Verdict, of: State | None = None) -> list[Entry]:
    """Withdraw all versions of what stands (only when it stands as `of`, if given)."""
    standing = verdict.standing
    if standing is None or verdict.stands is State.OUT or (of is not None and verdict.stands is not of):
        return []
    return [_leaving(verdict, key) for key in sorted(standing.versions)]


def _no_longer_held(verdict: Verdict) -> list[Entry]:
    """Versions that stand whole though no source offers them any more."""
    if verdict.standing is None or verdict.stands is not State.WHOLE:
        return []
    return [
        _leaving(verdict, key) for key in sorted(verdict.standing.versions) if key not in verdict.subject.held_keys
    ]


def _leaving(verdict: Verdict, version_key: str) -> Entry:
    assert verdict.standing is not None  # noqa: S101  (callers look first; for the type checker)
    stands = verdict.standing.versions[version_key]
    return Entry(
        op="withdraw",
        object_id=verdict.standing.object_id,
        type=verdict.subject.type,
        version_seq=stands.seq,
        version_key=version_key,
        form="copy" if verdict.stands is State.COPY else "whole",
        hops=verdict.subject.hops,
        rules=_rules(verdict),
    )


def _whole(verdict: Verdict) -> list[Entry]:
    standing = verdict.standing.versions if verdict.standing and verdict.stands is State.WHOLE else {}
    return [
        Entry(
            op="revoke" if version.revoked else "put",
            object_id=version.id,
            type=version.type,
            version_seq=version.seq,
            version_key=version.version_key,
            form="whole",
            hops=verdict.subject.hops,
            rules=_rules(verdict),
        )
        for version in verdict.subject.versions
        if version.version_key not in standing or standing[version.version_key].seq != version.seq
    ]


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
    stored = await objects.add_version(tx, version, received=now)
    await objects.set_word(tx, stored.seq, OURS, court.collection_id, "put", authentic=True, hops=0, at=now)
    await objects.note_references(tx, copy.id, named(version.value))
    # what an older copy shows was decided under other rules, or of another version: one copy stands at a time
    older = _withdrawal(verdict, of=State.COPY)
    made = CopyLink(court.collection_id, verdict.id, copy.id, copy.generation, digest, copy.omitted)
    await copies.put_copy(tx, made)
    return [
        *older,
        Entry(
            op="revoke" if version.revoked else "put",
            object_id=copy.id,
            type=version.type,
            version_seq=stored.seq,
            version_key=stored.version_key,
            form="copy",
            hops=0,  # a copy is ours, whatever it is a copy of
            rules=_rules(verdict),
        ),
    ]


async def _dated(tx: Transaction, copy: RedactedCopy, now: int) -> dict[str, object]:
    """The copy with dates of its own: created once, modified now; an observable has neither."""
    value = dict(copy.value)
    if "modified" not in value and "created" not in value:
        return value
    held = (await objects.newest(tx, [copy.id])).get(copy.id)
    previous = held.value if held else None
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now)
    modified = next_version(moment, previous["modified"] if previous else None)
    return value | {"created": previous["created"] if previous else modified, "modified": modified}


def _rules(verdict: Verdict) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reason.rule for reason in verdict.reasons))
