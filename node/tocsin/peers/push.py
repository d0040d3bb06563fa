"""Push: one collection of ours added to one of a peer's, from where we stand to the end of our log.

What is pushed is what that peer would read here (`sharing.page`), in the order of the log. What is about to be
posted is noted before, in a transaction that holds the cursor where it is; what became of it is noted in the one
that moves it, by compare-and-set. A kill in between has the same objects posted again, of which servers make
nothing new, and what was withdrawn meanwhile is deleted all the same.

An object that the peer refuses holds up no other: it is kept, with their message, for the operator. What we
withdraw is deleted there; where that is not possible the peer counts as one who cannot be told.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from tocsin.errors import BadInput, NotFound, PeerFailed, Refused
from tocsin.peers.discover import choose, look_around
from tocsin.peers.pull import LEASE_SECONDS, State, Terms
from tocsin.peers.retry import due_after_success, pause_after, retry_after
from tocsin.policy.configuration import Configuration
from tocsin.settings import Home, PeerSettings, PushSettings
from tocsin.sharing.apply import in_force
from tocsin.sharing.page import read_changes
from tocsin.stix.objects import version_key
from tocsin.store import acknowledgements, jobs, parties, pushes, releases
from tocsin.store.acknowledgements import Acknowledgement
from tocsin.store.pages import ChangeRow
from tocsin.store.parties import Party
from tocsin.store.pushes import Push, Pushed, PushKey, PushOutcome
from tocsin.store.transaction import Store, Transaction
from tocsin.taxii.adding import Refusal, Verdict, add_objects, delete_object, envelope, fetch_room, holds, said
from tocsin.taxii.client import PeerAnswered, PeerClient, RemoteCollection, read_credential

log = logging.getLogger(__name__)

MOST_AT_A_TIME = 200  # objects of one envelope
MOST_LOOKED_FOR = 20  # refused versions of one envelope; each is a request, and what is done is noted after them
PATIENCE = 60.0  # seconds until a server must have dealt with an envelope
_OF_THE_BODY = frozenset({400, 413, 422})  # answers for which one of several objects may be to blame
_ANOTHER_TIME = frozenset({401, 408, 429, 500, 502, 503, 504})  # answers that say nothing of what was asked

_End = str | None  # why a version was refused; None: it is there


@dataclass(frozen=True, slots=True)
class PushReport:
    """How a push ended, as PullReport says; how many versions were added and refused, and of what we withdrew, how
    many are no longer there and how many stay there."""

    peer: str
    ours: str
    wanted: str
    state: State
    added: int = 0
    refused: int = 0
    deleted: int = 0
    untold: int = 0
    error: str = ""

    @property
    def did_something(self) -> bool:
        return bool(self.added or self.refused or self.deleted or self.untold)

    @property
    def words(self) -> str:
        """What became of it, in words."""
        parts = [f"{self.added:,} added"]
        more = ((self.refused, "refused"), (self.deleted, "deleted"), (self.untold, "withdrawn that stay there"))
        parts += [f"{count:,} {what}" for count, what in more if count]
        return ", ".join(parts)

    def after(self, before: "PushReport") -> "PushReport":
        """This one as the end of what another began."""
        return replace(
            self,
            added=before.added + self.added,
            refused=before.refused + self.refused,
            deleted=before.deleted + self.deleted,
            untold=before.untold + self.untold,
        )


class _Elsewhere(Exception):
    """The cursor is no longer where we left it: another process was there."""


class _NoLonger(Exception):
    """The operator suspended or paused the peer, or this is no longer pushed."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.state = state


async def push_once(
    store: Store,
    home: Home,
    peer_name: str,
    ours: str,
    wanted: str,
    *,
    terms: Terms | None = None,
    client: PeerClient | None = None,
) -> PushReport:
    """Add what a collection of ours has new for a peer to one of its own, within a cycle's budget.

    How it went is noted. What the peer does wrong is in the report and in `peer list`; raised are NotFound for
    what is not configured, and Unavailable.
    """
    terms = terms or Terms()
    async with store.reading() as tx:
        configuration = await in_force(tx)
        settings, push = _asked(configuration, peer_name, ours, wanted)
        party = await parties.party_by_name(tx, peer_name)
        collection_id = {row.key: row.id for row in await releases.collections(tx)}.get(ours)
    if party is None or collection_id is None:
        raise NotFound(f"no peer {peer_name!r} in the configuration in force (run: tocsin apply)")
    start = PushReport(peer_name, ours, wanted, "in step")
    if party.suspended or party.paused:
        return replace(start, state="suspended" if party.suspended else "paused")
    key = PushKey(party.id, collection_id, wanted)
    async with store.writing() as tx:
        await pushes.ensure_pushes(tx, [key])
        known = await pushes.push_state(tx, key)
    if known is None:
        raise NotFound(f"nothing is pushed into a collection {wanted!r} of {peer_name}")
    pushing = _Pushing(store, party, key, push, terms, start)
    try:
        async with AsyncExitStack() as stack:
            if client is None:
                credential = read_credential(home, peer_name, settings)
                bounds = terms.bounds.under(configuration.settings.limits)
                client = await stack.enter_async_context(PeerClient(peer_name, settings.url, credential, bounds))
            await pushing.run(client, known)
    except (PeerFailed, Refused, BadInput) as why:
        await pushing.note_failure(why, known)
        return replace(pushing.report, state="failed", error=str(why))
    except _Elsewhere:
        return replace(pushing.report, state="elsewhere")
    except _NoLonger as why:
        return replace(pushing.report, state=why.state)
    await pushing.note_success()
    return pushing.report


def _asked(
    configuration: Configuration, peer_name: str, ours: str, wanted: str
) -> tuple[PeerSettings, PushSettings]:
    settings = configuration.settings.peers.get(peer_name)
    if settings is None:
        raise NotFound(f"no peer {peer_name!r} in the configuration in force")
    push = _pushed(settings, ours, wanted)
    if push is None:
        raise NotFound(f"{ours!r} is not pushed into {wanted!r} of {peer_name}")
    return settings, push


def _pushed(settings: PeerSettings, ours: str, wanted: str) -> PushSettings | None:
    return next((one for one in settings.push if (one.collection, one.to) == (ours, wanted)), None)


@dataclass(frozen=True, slots=True)
class _Target:
    client: PeerClient
    collection: RemoteCollection
    room: int  # bytes of one request


@dataclass(slots=True)
class _Pushing:
    """One push while it runs."""

    store: Store
    party: Party
    key: PushKey
    settings: PushSettings
    terms: Terms
    report: PushReport
    size: int = field(default=0)  # bytes that were posted
    seen: int = field(default=0)  # entries that were dealt with

    async def run(self, client: PeerClient, known: Push) -> None:
        """Find their collection; then entry by entry until there is no more, or the budget is used up."""
        offer = await look_around(client)
        collection = choose(client.name, self.key.wanted, known.remote_id, offer.collections, to_add=True)
        async with self.store.writing() as tx:
            await pushes.pin_remote(tx, self.key, collection.id)
        target = _Target(client, collection, await fetch_room(client, collection))
        cursor, budget = known.cursor, self.terms.budget
        while True:
            async with self.store.reading() as tx:
                page = await read_changes(tx, self.key.collection_id, self.party.id, cursor, MOST_AT_A_TIME)
            for stretch in _stretches(page.rows):
                if stretch[0].op in ("put", "revoke"):
                    cursor = await self._add(target, stretch, cursor)
                else:
                    cursor = await self._take_back(target, stretch[0], cursor)
                self.seen += len(stretch)
                if self.seen >= budget.objects or self.size >= budget.bytes or client.waited >= budget.seconds:
                    self.report = replace(self.report, state="unfinished")
                    return
            if not page.more:
                return

    @asynccontextmanager
    async def _storing(self, cursor: int, to: int) -> AsyncIterator[tuple[Transaction, int]]:
        """A transaction that moves the cursor, or holds it, as long as this is still to be pushed."""
        async with self.store.writing() as tx:
            now = await tx.now()
            configuration = await in_force(tx)
            if not await pushes.move_cursor(tx, self.key, cursor, to):
                raise _Elsewhere
            party = await parties.party_by_id(tx, self.party.id)
            peer = configuration.settings.peers.get(self.report.peer)
            if party is None or party.suspended or peer is None:
                raise _NoLonger("suspended")
            if _pushed(peer, self.report.ours, self.report.wanted) is None:
                raise _NoLonger("suspended")
            if party.paused:
                raise _NoLonger("paused")
            yield tx, now
            if self.terms.lease is not None:
                await jobs.lease(tx, *self.terms.lease, now, LEASE_SECONDS)

    # --- adding ---

    async def _add(self, target: _Target, rows: Sequence[ChangeRow], cursor: int) -> int:
        """Post versions, in envelopes that fit; where one of several is to blame, in halves."""
        waiting = deque(_envelopes(rows, target.room))
        while waiting:
            part = waiting.popleft()
            named = [_named(row) for row in part]
            async with self._storing(cursor, cursor) as (tx, now):
                await pushes.note(tx, self.key, _noted(part, named, "posting", now))
            ends = await self._ends(target, part, named)
            if ends is None:
                half = len(part) // 2
                waiting.extendleft([part[half:], part[:half]])
                continue
            async with self._storing(cursor, part[-1].position) as (tx, now):
                rows_ = [
                    _ended(note, end) for note, end in zip(_noted(part, named, "added", now), ends, strict=True)
                ]
                await pushes.note(tx, self.key, rows_)
                for row, end in zip(part, ends, strict=True):
                    if row.op == "revoke" and end is None:
                        await self._answer_for_them(tx, row, now, came=True)
            cursor = part[-1].position
            refused = sum(end is not None for end in ends)
            report = self.report
            self.report = replace(
                report, added=report.added + len(ends) - refused, refused=report.refused + refused
            )
        return cursor

    async def _ends(self, target: _Target, part: Sequence[ChangeRow], named: Sequence[str]) -> list[_End] | None:
        """What became of each; None where it can only be found by posting fewer."""
        raws = [row.raw or b"" for row in part]
        size = len(envelope(raws))
        if size > target.room:  # there is one alone in it
            return [f"it has {size} bytes, and {target.client.name} takes {target.room} at a time"]
        self.size += size
        try:
            verdict = await add_objects(target.client, target.collection, raws, PATIENCE)
        except PeerAnswered as why:
            if why.status not in _OF_THE_BODY:
                raise
            return None if len(part) > 1 else [await self._end(target, part[0], named[0], said(why))]
        ends = _matched(part, named, verdict)
        if ends is None:
            return None if len(part) > 1 else [await self._end(target, part[0], named[0], "without a reason")]
        if target.collection.can_read and sum(end is not None for end in ends) > MOST_LOOKED_FOR:
            return None
        return [
            end if end is None else await self._end(target, row, name, end)
            for row, name, end in zip(part, named, ends, strict=True)
        ]

    async def _end(self, target: _Target, row: ChangeRow, named: str, message: str) -> _End:
        """What became of a version that was refused: some servers refuse what they have already."""
        if not target.collection.can_read:
            return message
        try:
            there = await holds(target.client, target.collection, row.object_id, named)
        except PeerAnswered as why:
            if why.status in _ANOTHER_TIME:
                raise
            return message
        if there is None:
            return message
        # without a version the id stands for the content; and what is not shown is believed
        same = there in ("", row.sha256) or not named
        return None if same else f"{message} (another content of this version is there)"

    # --- taking back ---

    async def _take_back(self, target: _Target, row: ChangeRow, cursor: int) -> int:
        """Delete there what was withdrawn, if it ever came there."""
        async with self._storing(cursor, cursor) as (tx, _):
            notes = await pushes.notes(tx, self.key, [row.object_id])
        note = notes.get((row.object_id, row.version))
        why_not = ""
        if row.op == "withdraw" and note is not None and note.outcome in ("posting", "added", "untold"):
            why_not = await self._delete(target, note)
            outcome: PushOutcome = "untold" if why_not else "deleted"
            note = note._replace(outcome=outcome, reason=why_not, position=row.position)
            report = self.report
            self.report = replace(
                report, deleted=report.deleted + (not why_not), untold=report.untold + bool(why_not)
            )
        async with self._storing(cursor, row.position) as (tx, now):
            if row.op == "withdraw" and note is not None:
                ended = "deleted" if note.outcome == "refused" else note.outcome
                await pushes.note(tx, self.key, [note._replace(outcome=ended, at=now)])
            if row.op == "withdraw" and not why_not:
                await self._answer_for_them(tx, row, now, came=note is not None)
        return row.position

    async def _delete(self, target: _Target, note: Pushed) -> str:
        """'' once it is not there; else why it stays."""
        try:
            await delete_object(target.client, target.collection, note.object_id, note.named)
        except PeerAnswered as why:
            if why.status in _ANOTHER_TIME:
                raise
            if why.status == 404 and await self._is_gone(target, note):
                return ""
            return said(why)
        return ""

    async def _is_gone(self, target: _Target, note: Pushed) -> bool:
        """Whether a 404 means the object, and not that nothing can be deleted."""
        if not target.collection.can_read:
            return False
        try:
            return await holds(target.client, target.collection, note.object_id, note.named) is None
        except PeerAnswered as why:
            if why.status in _ANOTHER_TIME:
                raise
            return False

    async def _answer_for_them(self, tx: Transaction, row: ChangeRow, now: int, *, came: bool) -> None:
        """Count a withdrawal as answered, where we saw ourselves that it is carried out.

        Not for who reads this log besides: what he fetched is his to answer for; nor while it is in another of
        their collections.
        """
        party_id, collection_id = self.party.id, self.key.collection_id
        if party_id in await acknowledgements.fetched(tx, collection_id):
            return
        if await acknowledgements.reads_changes(tx, party_id, collection_id):
            return
        for push in await pushes.pushes(tx, party_id):
            if push.key.collection_id == collection_id and push.key != self.key:
                there = (await pushes.notes(tx, push.key, [row.object_id])).get((row.object_id, row.version))
                if there is not None and there.outcome in ("posting", "added", "untold"):
                    return
        place = f"{self.key.wanted!r} of {self.report.peer}"
        if row.op == "revoke":
            text = f"its revoked version was added to {place}"
        else:
            text = f"deleted from {place}, where we had added it" if came else f"it never came into {place}"
        answer = Acknowledgement(
            party_id, collection_id, row.position, row.object_id, "purged", text, open=0, at=now
        )
        await acknowledgements.put(tx, [answer])

    # --- how it went ---

    async def note_failure(self, why: PeerFailed | Refused | BadInput, known: Push) -> None:
        """What went wrong, for a duty officer, and when to try again."""
        report = self.report
        log.warning("push failed: peer=%s collection=%s to=%s: %s", report.peer, report.ours, report.wanted, why)
        async with self.store.writing() as tx:
            now = await tx.now()
            header = why.retry_after if isinstance(why, PeerAnswered) else None
            asked = retry_after(header, datetime.fromtimestamp(now / 1_000_000, UTC))
            pause = pause_after(known.attempts + 1, self.terms.chance(), asked)
            await pushes.failed(tx, self.key, str(why), now + round(pause * 1_000_000))

    async def note_success(self) -> None:
        async with self.store.writing() as tx:
            now = await tx.now()
            in_step = self.report.state == "in step"
            pause = due_after_success(self.settings.every, self.terms.chance()) if in_step else 0.0
            await pushes.succeeded(tx, self.key, now, now + round(pause * 1_000_000))


# --- pure ----------------------------------------------------------------------------------------------------


def _stretches(rows: Sequence[ChangeRow]) -> Iterator[list[ChangeRow]]:
    """The entries in their order: what is added together, and each that takes something away by itself."""
    together: list[ChangeRow] = []
    for row in rows:
        if row.op in ("put", "revoke"):
            together.append(row)
            continue
        if together:
            yield together
            together = []
        yield [row]
    if together:
        yield together


def _envelopes(rows: Sequence[ChangeRow], room: int) -> Iterator[list[ChangeRow]]:
    """The entries in their order, so many at a time as fit; one that does not fit stands alone."""
    part: list[ChangeRow] = []
    around = size = len(envelope([]))
    for row in rows:
        more = len(row.raw or b"") + 1
        if part and (len(part) == MOST_AT_A_TIME or size + more > room):
            yield part
            part, size = [], around
        part.append(row)
        size += more
    if part:
        yield part


class _Dates(msgspec.Struct):
    modified: str = ""
    created: str = ""


def _named(row: ChangeRow) -> str:
    """The version that an object itself bears, '' if it bears none: our log has a date for each."""
    dates = msgspec.json.decode(row.raw or b"{}", type=_Dates)
    return dates.modified or dates.created


def _noted(rows: Sequence[ChangeRow], named: Sequence[str], outcome: PushOutcome, now: int) -> list[Pushed]:
    return [
        Pushed(row.object_id, row.version, name, row.position, outcome, "", now)
        for row, name in zip(rows, named, strict=True)
    ]


def _ended(note: Pushed, end: _End) -> Pushed:
    return note if end is None else note._replace(outcome="refused", reason=end)


def _matched(rows: Sequence[ChangeRow], named: Sequence[str], verdict: Verdict) -> list[_End] | None:
    """What a server's verdict says of each; None where it does not say of which."""
    versions = {(row.object_id, version_key(name)) for row, name in zip(rows, named, strict=True)}
    exact: dict[tuple[str, str], Refusal] = {}
    loose: dict[str, Refusal] = {}
    for one in verdict.refusals:
        at = (one.id, version_key(one.version))
        if at in versions:
            exact[at] = one
        else:
            loose[one.id] = one
    ends: list[_End] = []
    for row, name in zip(rows, named, strict=True):
        refusal = exact.get((row.object_id, version_key(name))) or loose.get(row.object_id)
        ends.append(None if refusal is None else refusal.message or "without a reason")
    refused = sum(end is not None for end in ends)
    return ends if refused >= verdict.failed and verdict.added + refused >= len(rows) else None
