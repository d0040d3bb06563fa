"""Pull: one collection of one peer, from where we stand to its end.

A page is one transaction: its cursor moves by compare-and-set together with everything the page brought and with
the ledger of it. A kill at any moment leaves the cursor at what is stored; a process that finds the
cursor moved by another takes its own page back. The configuration in force is read anew in each transaction, so a
peer that is suspended or taken out is left in the middle of a pull.
"""

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from tocsin.errors import BadInput, NotFound, PeerFailed, Refused
from tocsin.intake.receive import remote, withdraw_word
from tocsin.peers.compare import differs_rightly, exceptions, held_digest, words
from tocsin.peers.discover import Contact, discover
from tocsin.peers.feed import PAGE, Feed, NodeFeed, Page, checked
from tocsin.peers.foreign import ForeignFeed
from tocsin.peers.owed import as_withdrawals, tell
from tocsin.peers.retry import due_after_success, pause_after, retry_after
from tocsin.peers.take import UNTOLD, Tally, noted, read_all, taken_in
from tocsin.policy.configuration import Configuration
from tocsin.settings import Home, PeerSettings, PullSettings
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import Node
from tocsin.stix.objects import from_micros, version_key
from tocsin.store import audit, jobs, objects, parties, peers
from tocsin.store.objects import Say
from tocsin.store.parties import Party
from tocsin.store.peers import LedgerNote, Pull
from tocsin.store.transaction import Store, Transaction
from tocsin.taxii.client import Bounds, PeerAnswered, PeerClient, read_credential
from tocsin.taxii.remote import Change, OtherLog, fetch_changes, fetch_digest

log = logging.getLogger(__name__)

LEASE_SECONDS = 300.0  # longer than one request may take; extended with each page
AGAIN_PAGE = 1000  # names asked for at a time where a log is read again
MOST_NAMES = 10_000_000  # that are taken for a log
MOST_EMPTY_PAGES = 10  # in a row, of a peer that says each time that there is more
_MOST_CATCHING_UP = 5  # times that a log is read on before it is compared
_START = from_micros(0)

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

    def is_used_up(self, tally: Tally, waited: float) -> bool:
        """Whether a cycle that brought and waited so much is to end."""
        return tally.seen >= self.objects or tally.size >= self.bytes or waited >= self.seconds


@dataclass(frozen=True, slots=True)
class Comparison:
    """What stands in a peer's log up to our cursor, against what is held on its word: how they differ, in words;
    None: in step."""

    cursor: str | None
    difference: str | None


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
    comparison: Comparison | None = None  # where what is offered and what is held were compared


@dataclass(frozen=True, slots=True)
class Terms:
    """What a pull needs besides its task: what it may cost, and who holds its lease."""

    budget: Budget = field(default_factory=Budget)
    bounds: Bounds = field(default_factory=Bounds)
    page: int = PAGE
    lease: tuple[str, str] | None = None  # name and holder
    compare_after: float = 86_400.0  # seconds after which what is offered and what is held are compared again
    chance: Callable[[], float] = random.random


_InForce = tuple[Transaction, Configuration, Party, int]  # in one transaction, and when that is


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
        now = await tx.now()
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
            if contact.former:
                await pull.read_notices(client, contact, known)
                await tell(store, client, contact, party.id)
                raise PeerFailed(f"{peer_name} no longer offers us {wanted!r}: it only tells what it takes back")
            compare = known.compared is None or now - known.compared >= terms.compare_after * 1_000_000
            state = await pull.read(client, contact, known, compare=compare)
            await tell(store, client, contact, party.id)
            skew = client.skew
    except (PeerFailed, Refused, BadInput) as why:
        await pull.note_failure(why, known)
        return PullReport(peer_name, wanted, "failed", pull.tally, str(why))
    except _Elsewhere:
        return PullReport(peer_name, wanted, "elsewhere", pull.tally)
    except _NoLonger as why:
        return PullReport(peer_name, wanted, why.state, pull.tally)
    await pull.note_success(state, every, skew)
    return PullReport(peer_name, wanted, state, pull.tally, contact=contact, comparison=pull.comparison)


async def take_pages(
    store: Store, node: Node, party: Party, peer_name: str, wanted: str, feed: Feed, contact: Contact, known: Pull
) -> Tally:
    """Take in what a feed has beyond our cursor, page by page, with the same checks as what is asked for by HTTP.

    Raises Refused where the peer is suspended or paused, not pulled, or read by another process just now; what was
    taken in before that stays.
    """
    pulling = _Pulling(store, node, party, peer_name, wanted, Terms())
    try:
        await pulling.pin(contact)
        cursor, more = known.cursor, True
        while more:
            page = await feed.page(cursor)
            await pulling._take(page, contact, cursor)
            cursor, more = page.cursor, page.more
    except _Elsewhere as why:
        raise Refused(f"another process reads {wanted!r} of {peer_name} just now: try again") from why
    except _NoLonger as why:
        raise Refused(f"{peer_name} is suspended or paused, or no longer pulled") from why
    return pulling.tally


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
    comparison: Comparison | None = None

    async def pin(self, contact: Contact) -> None:
        """Note for whom the peer speaks and which collection is meant. Raises Refused when either was another."""
        async with self.store.writing() as tx:
            if contact.identity is not None:
                await parties.pin_identity(tx, self.party.id, contact.identity)
            await peers.pin_collection(tx, self.party.id, self.wanted, contact.collection.id, contact.protocol)

    async def read(self, client: PeerClient, contact: Contact, known: Pull, *, compare: bool) -> State:
        """Pages until there is no more, or the budget is used up; then, if it is time for that, compare."""
        if contact.protocol != "tocsin":
            foreign = ForeignFeed(client, contact.collection, self.terms.page)
            try:
                return (await self.read_on(foreign, client, contact, known.cursor))[0]
            finally:
                await foreign.close()
        log_ = _Log(self, client, contact)
        try:
            state, cursor = await self.read_on(log_.feed(known.epoch), client, contact, known.cursor)
        except OtherLog as why:
            if "names" not in contact.log:
                raise
            await self._note_gap(why, known)
            state, cursor = await log_.read_again(known.cursor)
            await self._note_difference(None if state == "in step" else _gap_words(why))
            compare = True
        if state == "in step" and compare and "digest" in contact.log:
            state = await self._compare(log_, cursor)
        return state

    async def read_notices(self, client: PeerClient, contact: Contact, known: Pull) -> None:
        """What a log that is no longer offered to us takes back; it is told until we have answered it."""
        cursor, position, more = known.cursor, "", True
        while more:
            try:
                page = await fetch_changes(client, contact.collection, position, AGAIN_PAGE, names=True)
            except PeerAnswered as why:
                if why.status == 404:
                    raise PeerFailed(f"{self.peer} does not offer us {self.wanted!r}") from why
                raise
            more = page.more and version_key(page.position) > version_key(position)
            position = page.position
            async with self.store.reading() as tx:
                part = await as_withdrawals(tx, self.party, contact.collection.id, page.changes, cursor)
            if part:
                await self.take_part(part, contact, cursor, position, known.epoch or "")
                cursor = position
            self.count(page.size, len(page.changes))

    async def read_on(
        self, feed: Feed, client: PeerClient, contact: Contact, cursor: str | None
    ) -> tuple[State, str | None]:
        """Pages from a cursor on, and the cursor at their end."""
        empty = 0
        while True:
            page = await feed.page(cursor)
            await self._take(page, contact, cursor)
            cursor = page.cursor
            if not page.more:
                return "in step", cursor
            empty = 0 if page.changes else empty + 1
            if empty == MOST_EMPTY_PAGES:
                raise PeerFailed(f"{self.peer} says again and again that there is more, and gives nothing")
            if self.terms.budget.is_used_up(self.tally, client.waited):
                return "unfinished", cursor

    async def _take(self, page: Page, contact: Contact, cursor: str | None) -> None:
        """Store a page. One that is larger than we asked for is stored in parts, and the last moves the cursor."""
        changes = page.changes
        if changes or page.cursor != cursor:
            parts = [changes[at : at + PAGE] for at in range(0, len(changes), PAGE)] or [()]
            for index, part in enumerate(parts):
                to = page.cursor if index == len(parts) - 1 else cursor
                await self.take_part(part, contact, cursor, to, page.epoch)
        self.count(page.size, len(changes))

    def count(self, size: int, seen: int) -> None:
        """One more page: its bytes and entries."""
        self.tally = replace(
            self.tally,
            pages=self.tally.pages + 1,
            size=self.tally.size + size,
            seen=self.tally.seen + max(seen, 1),
        )

    @asynccontextmanager
    async def storing(self, cursor: str | None, to: str | None, epoch: str = "") -> AsyncIterator[_InForce]:
        """A transaction that moves the cursor, or holds it where it is, with what is in force in it."""
        async with self.store.writing() as tx:
            now = await tx.now()
            configuration = await in_force(tx)
            if not await peers.move_cursor(tx, self.party.id, self.wanted, cursor, to, epoch=epoch):
                raise _Elsewhere
            # with the cursor held: who is distrusted by another process holds it until his suspension is committed
            party = await parties.party_by_id(tx, self.party.id)
            settings = configuration.settings.peers.get(self.peer)
            if party is None or party.suspended or settings is None or _pulled(settings, self.wanted) is None:
                raise _NoLonger("suspended")
            if party.paused:
                raise _NoLonger("paused")
            yield tx, configuration, party, now
            if self.terms.lease is not None:
                await jobs.lease(tx, *self.terms.lease, now, LEASE_SECONDS)

    async def take_part(
        self,
        part: Sequence[Change],
        contact: Contact,
        cursor: str | None,
        to: str | None,
        epoch: str = "",
        *,
        again: bool = False,
    ) -> None:
        """Store some entries, with the ledger of them. `again`: it says anew what became of them."""
        protocol, collection_id = contact.protocol, contact.collection.id
        async with self.store.reading() as tx:
            limits = (await in_force(tx)).limits
        reads = await asyncio.to_thread(read_all, part, limits)
        async with self.storing(cursor, to, epoch) as (tx, configuration, party, now):
            rows = await taken_in(tx, configuration, self.node, party, collection_id, part, reads, now)
            if protocol == "taxii":
                # a foreign server's last minutes are read with every cycle: what the ledger names stays as it is
                named = await peers.ledgered(tx, party.id, collection_id, {row.object_id for row in rows})
                rows = [row for row in rows if (row.object_id, row.version, row.sha256) not in named]
            await (peers.note_again if again else peers.add_ledger)(tx, rows)
        self.tally = self.tally.with_rows(rows)

    async def _compare(self, log_: "_Log", cursor: str | None) -> State:
        """Say whether we are in step; if not, read it all again, once, and say it then."""
        while True:
            try:
                state, found = await log_.compare(cursor)
            except OtherLog as why:
                state, found = "in step", Comparison(cursor, str(why))
            if state != "in step" or found is None:
                return state
            if found.difference is None or log_.was_read_again:
                break
            log.warning("not in step: peer=%s collection=%s: %s", self.peer, self.wanted, found.difference)
            await self._note_difference(found.difference)
            state, cursor = await log_.read_again(found.cursor)
            if state != "in step":
                return state
        self.comparison = found
        async with self.store.writing() as tx:
            await peers.compared(tx, self.party.id, self.wanted, await tx.now(), found.difference)
        return state

    async def _note_gap(self, why: OtherLog, known: Pull) -> None:
        """What was read and what can be read do not fit together: say so, once, until it is mended."""
        text = _gap_words(why)
        log.warning("gap: peer=%s collection=%s: %s", self.peer, self.wanted, text)
        if known.difference != text:
            async with self.store.writing() as tx:
                await peers.differs(tx, self.party.id, self.wanted, text)
                details = {"collection": self.wanted, "read_up_to": known.cursor, "why": str(why)}
                await audit.append(tx, "gap", self.peer, details, await tx.now())

    async def _note_difference(self, text: str | None) -> None:
        async with self.store.writing() as tx:
            await peers.differs(tx, self.party.id, self.wanted, text)

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

    async def note_success(self, state: State, every: int, skew: int | None) -> None:
        async with self.store.writing() as tx:
            now = await tx.now()
            pause = due_after_success(every, self.terms.chance()) if state == "in step" else 0.0
            due = now + round(pause * 1_000_000)
            await peers.succeeded(tx, self.party.id, self.wanted, now, due, skew=skew)


def _gap_words(why: OtherLog) -> str:
    return f"{why}: it is read again from its start"


# --- a node's log, more than once ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Log:
    """The log of a node while one pull runs: read again from its start, and compared with what is held."""

    pull: _Pulling
    client: PeerClient
    contact: Contact
    was_read_again: bool = False

    def feed(self, epoch: str | None, limit: int | None = None) -> NodeFeed:
        """The log from a position that was read in this epoch (None: that is not known)."""
        return NodeFeed(
            self.client,
            self.contact.collection,
            limit or self.pull.terms.page,
            epoch=epoch or "",
            names="names" in self.contact.log,
            held=self._held,
        )

    async def _held(self, names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], bytes]:
        async with self.pull.store.reading() as tx:
            return await objects.contents(tx, names)

    async def read_again(self, cursor: str | None) -> tuple[State, str | None]:
        """Read the log from its start, by names: take in what is missing here, and take back the peer's word on
        what it no longer tells. The cursor moves at the end alone: what breaks this off lets it begin anew.
        """
        self.was_read_again = True
        feed = self.feed(None, AGAIN_PAGE)
        async with self.pull.store.reading() as tx:
            kept_out = (await exceptions(tx, self.pull.party.id, self.contact.collection.id)).unheld
        standing: set[bytes] = set()
        position: str | None = None
        while True:
            page = await feed.names(position)
            for at in range(0, len(page.changes), PAGE):
                await self._mend(feed, page.changes[at : at + PAGE], cursor, kept_out)
            for change in page.changes:
                (standing.add if change.stands else standing.discard)(_key(change.id, change.sha256))
            position = page.cursor
            if not page.more:
                break
            self._check_patience(len(standing), empty=not page.changes)
            if self.pull.terms.budget.is_used_up(self.pull.tally, 0.0):
                return "unfinished", cursor  # what was taken in stays so, and names are cheap
        await self._take_back(standing, cursor, position or "")
        async with self.pull.storing(cursor, position, page.epoch):
            pass
        return "in step", position

    def _check_patience(self, names: int, *, empty: bool) -> None:
        """Names alone are not what a cycle's budget is for; but there is an end to them (and `Bounds.altogether`).

        Raises PeerFailed."""
        if empty or names > MOST_NAMES:
            raise PeerFailed(f"{self.client.name}'s log could not be read again to its end")

    async def _mend(
        self, feed: NodeFeed, part: Sequence[Change], cursor: str | None, kept_out: Set[tuple[str, str]]
    ) -> None:
        """Take in those entries of which we do not know everything already, but for what was refused or waits in
        quarantine: that is not judged anew because a log is read again."""
        party_id, collection_id = self.pull.party.id, self.contact.collection.id
        async with self.pull.store.reading() as tx:
            notes = await peers.noted_at(tx, party_id, collection_id, [one.position for one in part])
            said = await objects.said_by(tx, party_id, remote(collection_id), {one.id for one in part})
        lacking = [
            one
            for one in part
            if not (one.stands and (one.id, one.sha256) in kept_out)
            and not _is_known(one, notes.get((one.position, one.id, one.sha256)), said.get((one.id, one.sha256)))
        ]
        if lacking:
            changes, size = await feed.with_contents(lacking)
            self.pull.count(size, len(changes))
            await self.pull.take_part(list(map(checked, changes)), self.contact, cursor, cursor, again=True)

    async def _take_back(self, standing: Set[bytes], cursor: str | None, position: str) -> None:
        """What is held on this log's word, and was not told when it was read from its start to its end."""
        party_id, collection_id = self.pull.party.id, self.contact.collection.id
        async with self.pull.store.reading() as tx:
            known = await exceptions(tx, party_id, collection_id)
            untold = sorted(pair for pair in known.unheld if _key(*pair) not in standing)
            after = -1
            while rows := await objects.on_word(
                tx, party_id, remote(collection_id), after=after, limit=AGAIN_PAGE
            ):
                after = rows[-1][0]
                pairs = [(id_, sha256) for _, id_, sha256 in rows]
                untold += [one for one in pairs if _key(*one) not in standing and one not in known.kept]
        for at in range(0, len(untold), PAGE):
            pairs = untold[at : at + PAGE]
            async with self.pull.storing(cursor, cursor) as (tx, configuration, party, now):
                await withdraw_word(tx, configuration, self.pull.node, pairs, party, collection_id, now=now)
                ends = [noted(Change(position, id=id_, sha256=sha256), "stored", UNTOLD) for id_, sha256 in pairs]
                gone = [replace(end, party_id=party.id, collection_id=collection_id, at=now) for end in ends]
                await peers.note_again(tx, gone)
            self.pull.tally = self.pull.tally.with_rows(gone)

    async def compare(self, cursor: str | None) -> tuple[State, Comparison | None]:
        """What stands there and what is held here, at one position; None where that could not be had."""
        async with self.pull.store.reading() as tx:
            epoch = await self._epoch_at(tx, cursor)
        for _ in range(_MOST_CATCHING_UP):
            theirs = await fetch_digest(self.client, self.contact.collection)
            there, here = version_key(theirs.position), version_key(cursor or _START)
            if theirs.epoch != epoch or there < here:
                raise OtherLog(f"{self.client.name}'s log does not continue what we read of it")
            if there == here:
                break
            state, cursor = await self.pull.read_on(self.feed(epoch), self.client, self.contact, cursor)
            if state != "in step":
                return state, None
        else:
            return "in step", None  # it goes on faster than it is compared: another time
        async with self.pull.store.reading() as tx:
            await self._epoch_at(tx, cursor)
            ours = await held_digest(tx, self.pull.party.id, self.contact.collection.id)
        return "in step", Comparison(cursor, words(theirs.digest, ours))

    async def _epoch_at(self, tx: Transaction, cursor: str | None) -> str:
        """The epoch in which we read, as long as nobody else moves the cursor. Raises _Elsewhere."""
        state = await peers.pull_state(tx, self.pull.party.id, self.pull.wanted)
        if state is None or state.cursor != cursor:
            raise _Elsewhere
        return state.epoch or ""


def _key(object_id: str, sha256: str) -> bytes:
    """Sixteen bytes for a pair: a million of them have to be kept."""
    return hashlib.blake2b(f"{object_id}\n{sha256}".encode(), digest_size=16).digest()


def _is_known(change: Change, note: LedgerNote | None, said: tuple[Say, int] | None) -> bool:
    """Whether the ledger has this entry, and what it says is as we have it."""
    if note is None:
        return False
    if change.fault or not change.stands or differs_rightly(note):
        return True
    return said is not None and said[0] != "withdraw" and said[1] == change.hops
