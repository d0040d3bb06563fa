"""Pull: one collection of one peer, from where we stand to its end.

A page is one transaction: its cursor moves by compare-and-set together with everything the page brought and with
the ledger of it. A kill at any moment leaves the cursor at what is stored; a process that finds the
cursor moved by another takes its own page back. The configuration in force is read anew in each transaction, so a
peer that is suspended or taken out is left in the middle of a pull.
"""

import hashlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Literal

from tocsin.errors import BadInput, NotFound, PeerFailed, Refused
from tocsin.intake.receive import Received, read_offered, receive, withdraw_word
from tocsin.peers.discover import Contact, discover
from tocsin.peers.feed import PAGE, Feed, NodeFeed, Page
from tocsin.peers.foreign import ForeignFeed
from tocsin.peers.retry import due_after_success, pause_after, retry_after
from tocsin.policy.configuration import Configuration
from tocsin.settings import Home, PeerSettings, PullSettings
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import Node
from tocsin.store import jobs, parties, peers
from tocsin.store.parties import Party
from tocsin.store.peers import LedgerOutcome, LedgerRow, Pull
from tocsin.store.transaction import Store, Transaction
from tocsin.taxii.client import Bounds, Change, PeerAnswered, PeerClient, read_credential

log = logging.getLogger(__name__)

LEASE_SECONDS = 300.0  # longer than one request may take; extended with each page
MOST_EMPTY_PAGES = 10  # in a row, of a peer that says each time that there is more
WITHDRAWN, PRUNED = "withdrawn there", "no longer kept there"  # in the ledger

State = Literal["in step", "unfinished", "suspended", "paused", "elsewhere", "failed"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What one cycle takes from one collection, in objects (a page counts as one at least), bytes and seconds.

    The seconds are those that we wait for answers. After them the cycle ends with the page under way, for which
    there is time (`Bounds.altogether`), and the peer's next collection has its turn.
    """

    objects: int = 20_000
    bytes: int = 256 * 1024 * 1024
    seconds: float = 150.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What a pull brought so far."""

    pages: int = 0
    size: int = 0
    seen: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    refused: int = 0
    withdrawn: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def words(self) -> str:
        """`12 stored, 1 refused`: what is not none, and what was stored always."""
        others = ("duplicate", "withdrawn", "quarantined", "refused")
        return ", ".join(
            [f"{self.stored:,} stored", *(f"{n:,} {word}" for word in others if (n := getattr(self, word)))]
        )

    def exhausts(self, budget: Budget) -> bool:
        return self.seen >= budget.objects or self.size >= budget.bytes


@dataclass(frozen=True, slots=True)
class PullReport:
    """How a pull ended. `unfinished`: the budget is used up and the rest comes with the next cycle;
    `elsewhere`: another process reads this collection just now; `failed`: see `error`."""

    peer: str
    wanted: str
    state: State
    tally: Tally = field(default_factory=Tally)
    error: str = ""
    contact: Contact | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a pull needs besides its task: what it may cost, and who holds its lease."""

    budget: Budget = field(default_factory=Budget)
    bounds: Bounds = field(default_factory=Bounds)
    page: int = PAGE
    lease: tuple[str, str] | None = None  # name and holder
    chance: Callable[[], float] = random.random


class _Elsewhere(Exception):
    """The cursor is no longer where we left it: another process stored this page."""


class _NoLonger(Exception):
    """The operator suspended or paused the peer, or no longer pulls this collection."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.state = state


async def pull_once(
    store: Store,
    home: Home,
    node: Node,
    peer_name: str,
    wanted: str,
    *,
    terms: Terms | None = None,
    client: PeerClient | None = None,
    contact: Contact | None = None,
) -> PullReport:
    """Read what a peer's collection has new for us, within one cycle's budget, and note how it went.

    `contact` is that of an earlier report, where its discovery need not be repeated. What the peer does wrong is
    in the report and in `peer list`; raised are NotFound for what is not configured, and Unavailable.
    """
    terms = terms or Terms()
    async with store.reading() as tx:
        configuration = await in_force(tx)
        settings, every = _asked(configuration, peer_name, wanted)
        party = await parties.party_by_name(tx, peer_name)
    if party is None:
        raise NotFound(f"no peer {peer_name!r} in the configuration in force (run: tocsin apply)")
    if party.suspended or party.paused:
        return PullReport(peer_name, wanted, "suspended" if party.suspended else "paused")
    async with store.writing() as tx:
        await peers.ensure_pulls(tx, [(party.id, wanted)])
        known = await peers.pull_state(tx, party.id, wanted)
    if known is None:
        raise NotFound(f"nothing called {wanted!r} is pulled from {peer_name}")
    pull = _Pulling(store, node, party, peer_name, wanted, terms)
    try:
        async with AsyncExitStack() as stack:
            if client is None:
                credential = read_credential(home, peer_name, settings)
                bounds = terms.bounds.under(configuration.settings.limits)
                client = await stack.enter_async_context(PeerClient(peer_name, settings.url, credential, bounds))
            if contact is None:
                contact = await discover(client, wanted, known)
                await pull.pin(contact)
            state = await pull.read(client, contact, known.cursor)
    except (PeerFailed, Refused, BadInput) as why:
        await pull.note_failure(why, known)
        return PullReport(peer_name, wanted, "failed", pull.tally, str(why))
    except _Elsewhere:
        return PullReport(peer_name, wanted, "elsewhere", pull.tally)
    except _NoLonger as why:
        return PullReport(peer_name, wanted, why.state, pull.tally)
    await pull.note_success(state, every)
    return PullReport(peer_name, wanted, state, pull.tally, contact=contact)


def _asked(configuration: Configuration, peer_name: str, wanted: str) -> tuple[PeerSettings, int]:
    settings = configuration.settings.peers.get(peer_name)
    if settings is None:
        raise NotFound(f"no peer {peer_name!r} in the configuration in force")
    pulled = _pulled(settings, wanted)
    if pulled is None:
        raise NotFound(f"nothing called {wanted!r} is pulled from {peer_name}")
    return settings, pulled.every


def _pulled(settings: PeerSettings, wanted: str) -> PullSettings | None:
    return next((pull for pull in settings.pull if pull.collection == wanted), None)


@dataclass(slots=True)
class _Pulling:
    """One pull while it runs."""

    store: Store
    node: Node
    party: Party
    peer: str
    wanted: str
    terms: Terms
    tally: Tally = field(default_factory=Tally)

    async def pin(self, contact: Contact) -> None:
        """Note for whom the peer speaks and which collection is meant. Raises Refused when either was another."""
        async with self.store.writing() as tx:
            if contact.identity is not None:
                await parties.pin_identity(tx, self.party.id, contact.identity)
            await peers.pin_collection(tx, self.party.id, self.wanted, contact.collection.id, contact.protocol)

    async def read(self, client: PeerClient, contact: Contact, cursor: str | None) -> State:
        """Pages until there is no more, or the budget is used up."""
        feed: Feed
        if contact.protocol == "tocsin":
            feed = NodeFeed(client, contact.collection, self.terms.page)
        else:
            feed = ForeignFeed(client, contact.collection, self.terms.page)
        empty = 0
        try:
            while True:
                page = await feed.page(cursor)
                await self._take(page, contact, cursor)
                cursor = page.cursor
                if not page.more:
                    return "in step"
                empty = 0 if page.changes else empty + 1
                if empty == MOST_EMPTY_PAGES:
                    raise PeerFailed(f"{self.peer} says again and again that there is more, and gives nothing")
                if self.tally.exhausts(self.terms.budget) or client.waited >= self.terms.budget.seconds:
                    return "unfinished"
        finally:
            await feed.close()

    async def _take(self, page: Page, contact: Contact, cursor: str | None) -> None:
        """Store a page. One that is larger than we asked for is stored in parts, and the last moves the cursor."""
        changes = page.changes
        if changes or page.cursor != cursor:
            parts = [changes[at : at + PAGE] for at in range(0, len(changes), PAGE)] or [()]
            for index, part in enumerate(parts):
                to = page.cursor if index == len(parts) - 1 else cursor
                await self._take_part(part, contact, cursor, to)
        self.tally = replace(
            self.tally,
            pages=self.tally.pages + 1,
            size=self.tally.size + page.size,
            seen=self.tally.seen + max(len(changes), 1),
        )

    async def _take_part(
        self, part: Sequence[Change], contact: Contact, cursor: str | None, to: str | None
    ) -> None:
        protocol, collection_id = contact.protocol, contact.collection.id
        async with self.store.writing() as tx:
            now = await tx.now()
            configuration = await in_force(tx)
            if not await peers.move_cursor(tx, self.party.id, self.wanted, cursor, to):
                raise _Elsewhere
            # with the cursor held: who is distrusted by another process holds it until his suspension is committed
            party = await parties.party_by_id(tx, self.party.id)
            settings = configuration.settings.peers.get(self.peer)
            if party is None or party.suspended or settings is None or _pulled(settings, self.wanted) is None:
                raise _NoLonger("suspended")
            if party.paused:
                raise _NoLonger("paused")
            rows = await _taken_in(tx, configuration, self.node, party, collection_id, part, now)
            if protocol == "taxii":
                # a foreign server's last minutes are read with every cycle: what the ledger names stays as it is
                named = await peers.ledgered(tx, party.id, collection_id, {row.object_id for row in rows})
                rows = [row for row in rows if (row.object_id, row.version, row.sha256) not in named]
            await peers.add_ledger(tx, rows)
            if self.terms.lease is not None:
                await jobs.lease(tx, *self.terms.lease, now, LEASE_SECONDS)
        self.tally = _counted(self.tally, rows)

    async def note_failure(self, why: PeerFailed | Refused | BadInput, known: Pull) -> None:
        """What went wrong, for a duty officer, and when to try again."""
        log.warning("pull failed: peer=%s collection=%s: %s", self.peer, self.wanted, why)
        async with self.store.writing() as tx:
            now = await tx.now()
            header = why.retry_after if isinstance(why, PeerAnswered) else None
            asked = retry_after(header, datetime.fromtimestamp(now / 1_000_000, UTC))
            pause = pause_after(known.attempts + 1, self.terms.chance(), asked)
            due = now + round(pause * 1_000_000)
            await peers.failed(tx, self.party.id, self.wanted, str(why), due)

    async def note_success(self, state: State, every: int) -> None:
        async with self.store.writing() as tx:
            now = await tx.now()
            pause = due_after_success(every, self.terms.chance()) if state == "in step" else 0.0
            await peers.succeeded(tx, self.party.id, self.wanted, now, now + round(pause * 1_000_000))


async def _taken_in(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    party: Party,
    collection_id: str,
    part: Sequence[Change],
    now: int,
) -> list[LedgerRow]:
    """Carry out the entries in their order, and say for the ledger what became of each."""
    rows: list[LedgerRow] = []
    for kind, run in groupby(part, _kind):
        changes = list(run)
        match kind:
            case "offered":
                limits = configuration.limits
                offers = [read_offered(one.raw, one.hops, limits) for one in changes if one.raw is not None]
                received = await receive(tx, configuration, node, offers, party, collection_id, now=now)
                ends = [_received(change, item) for change, item in zip(changes, received, strict=True)]
            case "withdrawn":
                names = [(change.id, change.sha256) for change in changes]
                await withdraw_word(tx, configuration, node, names, party, collection_id, now=now)
                ends = [_end(change, "stored", WITHDRAWN) for change in changes]
            case "pruned":
                ends = [_end(change, "stored", PRUNED) for change in changes]  # their affair: we keep what we have
            case "faulty":
                ends = [_end(change, "refused", change.fault) for change in changes]
        rows += [replace(end, party_id=party.id, collection_id=collection_id, at=now) for end in ends]
    return rows


def _kind(change: Change) -> Literal["offered", "withdrawn", "pruned", "faulty"]:
    if change.fault:
        return "faulty"
    match change.op:
        case "withdraw":
            return "withdrawn"
        case "prune":
            return "pruned"
        case _:
            return "offered"


def _received(change: Change, item: Received) -> LedgerRow:
    content = change.raw if item.outcome == "quarantined" else None
    named = replace(change, id=item.id or change.id, version=item.version or change.version)
    return replace(_end(named, item.outcome, item.reason), sha256=item.sha256 or _digest(change), content=content)


def _end(change: Change, outcome: LedgerOutcome, reason: str) -> LedgerRow:
    return LedgerRow(
        party_id="",
        collection_id="",
        position=_plain(change.position, 100),
        object_id=_plain(change.id, 300),
        version=_plain(change.version, 64),
        sha256=_plain(change.sha256, 64) or _digest(change),
        outcome=outcome,
        reason=_plain(reason, 2000),
        at=0,
    )


def _plain(text: str, longest: int) -> str:
    """Text of a peer as any database takes it: no NUL, no lone surrogate, not endless."""
    return text[:longest].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _digest(change: Change) -> str:
    """Of the bytes, where they could not be read as an object: it tells one unreadable thing from another."""
    return hashlib.sha256(change.raw).hexdigest() if change.raw is not None else ""


def _counted(tally: Tally, rows: Sequence[LedgerRow]) -> Tally:
    """The tally with these rows; what was withdrawn or pruned is no object stored."""
    told = Counter("told" if row.reason in (WITHDRAWN, PRUNED) else row.outcome for row in rows)
    return replace(
        tally,
        stored=tally.stored + told["stored"],
        duplicate=tally.duplicate + told["duplicate"],
        quarantined=tally.quarantined + told["quarantined"],
        refused=tally.refused + told["refused"],
        withdrawn=tally.withdrawn + sum(row.reason == WITHDRAWN for row in rows),
    )
