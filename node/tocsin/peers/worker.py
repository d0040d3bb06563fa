"""Worker: every collection of every peer when it is due, in the background of `serve`: read, or added to.

Each peer has a task of its own, so one that hangs, lies or crashes us holds up nobody else; the collections of one
peer have their turn one after the other, which keeps within the requests that it may expect of us. A lease keeps
replicas from doing the same collection at once; it only saves work, the cursor keeps it right.

While a node has nothing new for us, one request waits at it for news (`listen`), by one process only.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tocsin.errors import BadInput, NotFound, PeerFailed, Refused, Unavailable
from tocsin.peers.discover import Contact
from tocsin.peers.listen import WAIT, Logs, find_news, hear, in_step
from tocsin.peers.pull import LEASE_SECONDS, PullReport, Terms, pull_once
from tocsin.peers.push import PushReport, push_once
from tocsin.peers.retry import pause_after
from tocsin.policy.configuration import Configuration
from tocsin.settings import Home, PeerSettings
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import Node
from tocsin.store import jobs, parties, peers, pushes, releases
from tocsin.store.pushes import PushKey
from tocsin.store.transaction import Store, Transaction
from tocsin.taxii.client import Bounds, PeerClient, read_credential

log = logging.getLogger(__name__)

LONGEST_TICK = 5.0  # seconds: a peer that was added, resumed or left by another process is seen by then
SHORTEST_TICK = 0.2
READING_TICK = 0.5  # while something is read: whoever is paused or suspended is left by then
CONTACT_SECONDS = 600.0  # how long a discovery is believed
LISTEN_SECONDS = 120.0  # the lease of who listens to a peer; taken anew when half of it is over

_Task = tuple[str, str]  # peer, wanted


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be read, and when: microseconds of the database's clock. With `ours`, a collection of ours, what
    is to be pushed."""

    peer: str
    wanted: str
    at: int
    ours: str = ""

    @property
    def lease(self) -> str:
        return f"push {self.peer} {self.ours} {self.wanted}" if self.ours else f"pull {self.peer} {self.wanted}"


async def run(store: Store, home: Home, node: Node, stop: asyncio.Event, terms: Terms | None = None) -> None:
    """Read from all peers until `stop` is set. Ends no sooner, whatever the peers do."""
    worker = _Worker(store, home, node, terms or Terms())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            pause = await worker.tick()
            busy = {stopping, *worker.running.values(), *worker.listening.values()}
            await asyncio.wait(busy, timeout=pause, return_when="FIRST_COMPLETED")
    finally:
        stopping.cancel()
        await worker.close()


async def sync_all(
    store: Store, home: Home, node: Node, peer: str | None = None, terms: Terms | None = None
) -> list[PullReport]:
    """Read everything that is configured, or one peer's, now and to its end, however it stands with being due.

    Peers are read side by side. Raises NotFound for a peer that is not configured.
    """
    configured = await _configured(store, peer)
    wanted = [(name, [pull.collection for pull in settings.pull]) for name, settings in configured.items()]
    reports = await asyncio.gather(
        *(_sync_peer(store, home, node, name, collections, terms or Terms()) for name, collections in wanted)
    )
    return [report for of_peer in reports for report in of_peer]


async def push_all(
    store: Store, home: Home, peer: str | None = None, terms: Terms | None = None
) -> list[PushReport]:
    """Push everything that is configured, or to one peer, as `sync_all` reads it. Raises NotFound."""
    configured = await _configured(store, peer)
    reports = await asyncio.gather(
        *(_push_peer(store, home, name, settings, terms or Terms()) for name, settings in configured.items())
    )
    return [report for of_peer in reports for report in of_peer]


async def _configured(store: Store, peer: str | None) -> Mapping[str, PeerSettings]:
    async with store.reading() as tx:
        configured = (await in_force(tx)).settings.peers
    if peer is not None and peer not in configured:
        raise NotFound(f"no peer {peer!r} in the configuration in force")
    return configured if peer is None else {peer: configured[peer]}


async def _push_peer(
    store: Store, home: Home, peer: str, settings: PeerSettings, terms: Terms
) -> list[PushReport]:
    reports = []
    for push in settings.push:
        report = await push_once(store, home, peer, push.collection, push.to, terms=terms)
        while report.state == "unfinished":
            more = await push_once(store, home, peer, push.collection, push.to, terms=terms)
            report = more.after(report)
        reports.append(report)
    return reports


async def _sync_peer(
    store: Store, home: Home, node: Node, peer: str, collections: Iterable[str], terms: Terms
) -> list[PullReport]:
    reports = []
    for wanted in collections:
        report = await pull_once(store, home, node, peer, wanted, terms=terms)
        while report.state == "unfinished":
            more = await pull_once(store, home, node, peer, wanted, terms=terms, contact=report.contact)
            report = replace(more, tally=report.tally + more.tally)
        reports.append(report)
    return reports


class _Worker:
    def __init__(self, store: Store, home: Home, node: Node, terms: Terms) -> None:
        self._store = store
        self._home = home
        self._node = node
        self._terms = terms
        self._holder = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._contacts: dict[_Task, tuple[float, Contact]] = {}
        self.running: dict[str, asyncio.Task[None]] = {}
        self.listening: dict[str, asyncio.Task[None]] = {}
        self._roots: dict[str, tuple[float, str | None]] = {}  # where a peer tells news, and when that was found
        self._deaf: dict[str, int] = {}  # who did not answer, and when it last had
        self._told: dict[str, Mapping[str, str]] = {}  # how far a peer's logs were read when it last told news
        self._reading: set[str] = set()  # leases that may not have been given back: we may be ended at any await
        self._leases: dict[str, float] = {}  # whom this process listens to, and since when it has said so

    async def tick(self) -> float:
        """Look after what has ended, start what is due; the seconds until there is something to do again."""
        await self._look_after_ended()
        try:
            async with self._store.reading() as tx:
                now = await tx.now()
                configuration = await in_force(tx)
                waiting = await due(tx, configuration)
                logs = await in_step(tx, configuration)
                left = {party.name for party in await parties.parties(tx) if party.suspended or party.paused}
        except (Unavailable, Refused) as why:
            log.warning("no pull now: %s", why)
            return LONGEST_TICK
        for peer in left:
            for task in (self.running.get(peer), self.listening.get(peer)):
                if task is not None and not task.cancelling():  # once: it gives its lease back
                    task.cancel()
        ready: dict[str, list[Due]] = {}
        for one in waiting:
            if one.at <= now and one.peer not in self.running:
                ready.setdefault(one.peer, []).append(one)
        for peer, turns in ready.items():
            self.running[peer] = asyncio.create_task(self._take_turns(turns), name=f"pull {peer}")
        for peer in logs.keys() - self.running.keys() - self.listening.keys():
            if self._deaf.get(peer, -1) < logs[peer].last_success and not self._tells_none(peer):
                bounds = self._terms.bounds.under(configuration.settings.limits)
                listen = self._listen(peer, configuration.settings.peers[peer], logs[peer], bounds)
                self.listening[peer] = asyncio.create_task(listen, name=f"listen to {peer}")
        ahead = [(one.at - now) / 1_000_000 for one in waiting if one.at > now]
        longest = READING_TICK if self.running else LONGEST_TICK
        return min(max(min(ahead, default=longest), SHORTEST_TICK), longest)

    async def close(self) -> None:
        """End what runs: a page that is not committed is read again another time."""
        tasks = [*self.running.values(), *self.listening.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        held = [*self._reading, *(f"listen {peer}" for peer in self._leases)]
        if held:
            try:
                async with self._store.writing() as tx:
                    for name in held:
                        await jobs.release_lease(tx, name, self._holder)
            except Unavailable as why:
                log.info("leases are left to run out: %s", why)

    async def _take_turns(self, turns: Iterable[Due]) -> None:
        elsewhere = False
        for turn in turns:
            lease = (turn.lease, self._holder)
            self._reading.add(turn.lease)
            async with self._store.writing() as tx:
                now = await tx.now()
                if not await _is_due(tx, turn, now):
                    continue  # another process was quicker
                mine = await jobs.lease(tx, *lease, now, LEASE_SECONDS)
            if not mine:
                elsewhere = True
                continue
            try:
                await (self._push if turn.ours else self._pull)(turn, lease)
            finally:
                async with self._store.writing() as tx:
                    await jobs.release_lease(tx, *lease)
                self._reading.discard(turn.lease)
        if elsewhere:
            await asyncio.sleep(LONGEST_TICK)  # before looking whether the other process is done

    async def _push(self, turn: Due, lease: tuple[str, str]) -> None:
        terms = replace(self._terms, lease=lease)
        report = await push_once(self._store, self._home, turn.peer, turn.ours, turn.wanted, terms=terms)
        if report.did_something or report.error:
            log.info("pushed: peer=%s collection=%s %s: %s", turn.peer, turn.ours, report.state, report.words)

    async def _pull(self, turn: Due, lease: tuple[str, str]) -> None:
        peer, wanted = turn.peer, turn.wanted
        clock = asyncio.get_running_loop().time()
        found, contact = self._contacts.pop((peer, wanted), (0.0, None))
        if clock - found > CONTACT_SECONDS:
            contact = None
        terms = replace(self._terms, lease=lease)
        report = await pull_once(self._store, self._home, self._node, peer, wanted, terms=terms, contact=contact)
        if report.contact is not None:
            self._contacts[peer, wanted] = (found if contact else clock, report.contact)
        if report.tally.seen > report.tally.pages or report.error:
            log.info("pulled: peer=%s collection=%s %s: %s", peer, wanted, report.state, report.tally.words)

    def _tells_none(self, peer: str) -> bool:
        """Whether we know, since not so long ago, that a peer tells no news."""
        found, root = self._roots.get(peer, (0.0, ""))
        return root is None and asyncio.get_running_loop().time() - found <= CONTACT_SECONDS

    async def _listen(self, peer: str, settings: PeerSettings, logs: Logs, bounds: Bounds) -> None:
        """Wait at a peer for news, once, and have what went on there read."""
        self._deaf[peer] = logs.last_success  # until it is seen that this works
        if not await self._may_listen(peer):
            return
        began = asyncio.get_running_loop().time()
        try:
            credential = read_credential(self._home, peer, settings)
            async with PeerClient(peer, settings.url, credential, bounds) as client:
                root = await self._root(client, peer, logs)
                news = await hear(client, root, logs) if root is not None else []
        except (PeerFailed, BadInput) as why:
            log.info("no news of %s until it answers again: %s", peer, why)
            self._roots.pop(peer, None)
            return
        waited = asyncio.get_running_loop().time() - began
        if (not news and waited < WAIT / 2) or (news and self._told.get(peer) == logs.cursors):
            return  # it does not wait, or tells of what is not there: enough until its next turn
        del self._deaf[peer]
        if news:
            self._told[peer] = logs.cursors
            async with self._store.writing() as tx:
                cursors = {id_: logs.cursors[id_] for id_ in news}
                await peers.hasten(tx, logs.party_id, cursors, await tx.now())

    async def _root(self, client: PeerClient, peer: str, logs: Logs) -> str | None:
        clock = asyncio.get_running_loop().time()
        found, root = self._roots.get(peer, (-CONTACT_SECONDS, None))
        if clock - found > CONTACT_SECONDS:
            root = await find_news(client, logs)
            self._roots[peer] = clock, root
        return root

    async def _may_listen(self, peer: str) -> bool:
        """Whether no other process listens to this peer: it may expect two requests of us at a time, not more."""
        clock = asyncio.get_running_loop().time()
        if clock - self._leases.get(peer, -LISTEN_SECONDS) < LISTEN_SECONDS / 2:
            return True
        async with self._store.writing() as tx:
            mine = await jobs.lease(tx, f"listen {peer}", self._holder, await tx.now(), LISTEN_SECONDS)
        if mine:
            self._leases[peer] = clock
        else:
            self._leases.pop(peer, None)
        return mine

    async def _look_after_ended(self) -> None:
        """Note what nobody foresaw (a fault of ours) with that peer, so that it is seen and tried later."""
        for peer, task in list(self.listening.items()):
            if task.done():
                del self.listening[peer]
                if not task.cancelled() and (error := task.exception()) is not None:
                    level = logging.WARNING if isinstance(error, Unavailable) else logging.ERROR
                    log.log(level, "listening to %s stopped", peer, exc_info=error)
        for peer, task in list(self.running.items()):
            if not task.done():
                continue
            del self.running[peer]
            if task.cancelled() or (error := task.exception()) is None:
                continue
            if isinstance(error, Unavailable | NotFound | Refused):
                log.warning("reading from %s stopped: %s", peer, error)
                continue
            log.error("reading from %s failed for a reason of ours", peer, exc_info=error)
            await self._put_off(peer)

    async def _put_off(self, peer: str) -> None:
        words = "a fault of this node, which its log describes; the peer may be in order"
        try:
            async with self._store.writing() as tx:
                party = await parties.party_by_name(tx, peer)
                now = await tx.now()
                for pull in await peers.pulls(tx, party.id if party else ""):
                    if pull.due <= now:
                        pause = pause_after(pull.attempts + 1, self._terms.chance())
                        await peers.failed(tx, pull.party_id, pull.wanted, words, now + round(pause * 1_000_000))
                for push in await pushes.pushes(tx, party.id if party else ""):
                    if push.due <= now:
                        pause = pause_after(push.attempts + 1, self._terms.chance())
                        await pushes.failed(tx, push.key, words, now + round(pause * 1_000_000))
        except Unavailable as why:
            log.warning("cannot note a failure now: %s", why)


async def _is_due(tx: Transaction, turn: Due, now: int) -> bool:
    party = await parties.party_by_name(tx, turn.peer)
    if party is None:
        return True
    if turn.ours:
        ids = {row.key: row.id for row in await releases.collections(tx)}
        push = await pushes.push_state(tx, PushKey(party.id, ids.get(turn.ours, ""), turn.wanted))
        return push is None or push.due <= now
    pull = await peers.pull_state(tx, party.id, turn.wanted)
    return pull is None or pull.due <= now


async def due(tx: Transaction, configuration: Configuration) -> list[Due]:
    """When each configured collection is to be read or pushed, the longest due first; of nobody suspended or
    paused."""
    people = {party.name: party for party in await parties.parties(tx)}
    asked = {
        name: people[name].id
        for name in configuration.settings.peers
        if name in people and not (people[name].suspended or people[name].paused)
    }
    times = {(pull.party_id, pull.wanted): pull.due for pull in await peers.pulls(tx)}
    waiting = [
        Due(name, pull.collection, times.get((party_id, pull.collection), 0))
        for name, party_id in asked.items()
        for pull in configuration.settings.peers[name].pull
    ]
    waiting += await _due_pushes(tx, configuration, asked)
    return sorted(waiting, key=lambda task: task.at)


async def _due_pushes(tx: Transaction, configuration: Configuration, asked: Mapping[str, str]) -> list[Due]:
    wanted = [(name, push) for name in asked for push in configuration.settings.peers[name].push]
    if not wanted:
        return []
    ids = {row.key: row.id for row in await releases.collections(tx)}
    times = {push.key: push.due for push in await pushes.pushes(tx)}
    return [
        Due(name, push.to, times.get(PushKey(asked[name], ids[push.collection], push.to), 0), push.collection)
        for name, push in wanted
        if push.collection in ids
    ]
