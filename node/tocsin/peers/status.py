"""Status: how each peer stands, in words for a duty officer, and a test of one that stores nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.errors import BadInput, NotFound, PeerFailed
from tocsin.peers.discover import choose, look_around
from tocsin.peers.take import GONE, PRUNED, TOLD, UNTOLD, WITHDRAWN
from tocsin.policy.configuration import Configuration
from tocsin.settings import Home, PeerSettings, PullSettings, Settings
from tocsin.sharing import notices
from tocsin.store import parties, pauses, peers, pushes, releases
from tocsin.store.parties import Party
from tocsin.store.pauses import EVERYBODY, Pause
from tocsin.store.peers import LedgerOutcome, Pull
from tocsin.store.pushes import Push, Pushed, PushKey, PushOutcome
from tocsin.store.transaction import Transaction
from tocsin.taxii.client import Bounds, PeerClient, Unreadable, read_credential
from tocsin.taxii.remote import fetch_changes

LATE_AFTER = 3  # intervals without an answer


@dataclass(frozen=True, slots=True)
class PulledCollection:
    """How we stand with one collection. Times are microseconds; `collection_id` is None before first contact."""

    wanted: str
    collection_id: str | None
    protocol: str | None
    words: str
    in_step: bool
    cursor: str | None
    last_success: int | None
    last_error: str | None
    failures: int
    due: int | None
    every: int = 0  # seconds between two cycles
    lag: int | None = None  # microseconds since it last answered
    compared: int | None = None  # when what it offers and what we hold were last compared
    difference: str | None = None  # how we are not in step, as far as we know
    skew: int | None = None  # microseconds by which its clock was ahead of ours

    @property
    def failing_since(self) -> int | None:
        """When it last answered, where it fails since; None where it does not, or never answered."""
        return self.last_success if self.failures else None

    @property
    def unfinished(self) -> bool:
        """Whether the last cycle used up its budget: there is more, and it is due at once."""
        return not self.failures and self.last_success is not None and self.due == self.last_success


@dataclass(frozen=True, slots=True)
class PushedCollection:
    """How we stand with adding one collection of ours to one of theirs. Times are microseconds; `exceptions`: what
    they refused, and what they keep although we withdrew it, the latest first."""

    ours: str
    wanted: str
    remote_id: str | None
    words: str
    in_step: bool
    cursor: int
    last_success: int | None
    last_error: str | None
    failures: int
    due: int | None
    every: int  # seconds between two cycles
    counts: Mapping[PushOutcome, int]
    exceptions: Sequence[Pushed] = ()


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """How we stand with one peer: `words` is the worst of its collections; `paused` goes before them.

    `in step` · `late 4 h` · `not in step: …` · `failing: …` · `suspended` · `never contacted` · `nothing pulled`
    """

    name: str
    url: str
    words: str
    in_step: bool
    identity: str | None
    last_success: int | None
    ledger: Mapping[LedgerOutcome, int]
    collections: tuple[PulledCollection, ...]
    pushed: tuple[PushedCollection, ...] = ()
    paused: Pause | None = None  # by itself, or with everybody
    overdue: int = 0  # objects that we took back, of which it has not said within a day what it did with them
    withdrawn: int = 0  # of those that the ledger has as stored: it told us that it withdrew something,
    pruned: int = 0  # or that it no longer keeps it,
    gone: int = 0  # or it named something that went before it was fetched

    @property
    def stored(self) -> int:
        """Objects that it offered and we stored."""
        return self.ledger["stored"] - self.withdrawn - self.pruned - self.gone

    @property
    def quarantined(self) -> int:
        return self.ledger["quarantined"]


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a test. `passed` is None for a remark that is neither good nor bad."""

    name: str
    passed: bool | None
    words: str


# --- how they stand ------------------------------------------------------------------------------------------


async def peer_statuses(
    tx: Transaction, configuration: Configuration, *, late: notices.Late | None = None
) -> list[PeerStatus]:
    """Every configured peer, in the order of the file. `late`: where it was asked for already."""
    owing = (late or await notices.late(tx, configuration)).by_party
    return [await _status(tx, configuration, name, owing) for name in configuration.settings.peers]


async def peer_status(tx: Transaction, configuration: Configuration, name: str) -> PeerStatus:
    """One configured peer. Raises NotFound."""
    return await _status(tx, configuration, name, (await notices.late(tx, configuration)).by_party)


async def _status(tx: Transaction, configuration: Configuration, name: str, late: Counter[str]) -> PeerStatus:
    settings = configuration.settings.peers.get(name)
    party = await parties.party_by_name(tx, name)
    if settings is None or party is None:
        raise NotFound(f"no peer {name!r} in the configuration in force")
    now = await tx.now()
    rows = {pull.wanted: pull for pull in await peers.pulls(tx, party.id)}
    collections = tuple(_collection(pull, rows.get(pull.collection), now) for pull in settings.pull)
    pushed = await _pushed(tx, settings, party, now)
    both: Sequence[PulledCollection | PushedCollection] = [*collections, *pushed]
    words = _words(party, both)
    holding = await pauses.pauses(tx)
    told = await peers.ledger_reasons(tx, party.id, TOLD)
    return PeerStatus(
        name=name,
        url=settings.url,
        words=words,
        in_step=words == "in step",
        identity=party.identity_id,
        last_success=max((c.last_success for c in both if c.last_success is not None), default=None),
        ledger=await peers.ledger_counts(tx, party.id),
        collections=collections,
        pushed=pushed,
        paused=holding.get(party.id) or holding.get(EVERYBODY),
        overdue=late[party.id],
        withdrawn=told[WITHDRAWN] + told[UNTOLD],
        pruned=told[PRUNED],
        gone=told[GONE],
    )


def _words(party: Party, collections: Sequence[PulledCollection | PushedCollection]) -> str:
    if party.suspended:
        return "suspended"
    if party.paused:
        return "paused"
    if not collections:
        return "nothing pulled"
    worst = max(collections, key=lambda collection: (collection.failures > 0, not collection.in_step))
    return worst.words


async def _pushed(tx: Transaction, settings: PeerSettings, party: Party, now: int) -> tuple[PushedCollection, ...]:
    if not settings.push:
        return ()
    ids = {row.key: row.id for row in await releases.collections(tx)}
    rows = {push.key: push for push in await pushes.pushes(tx, party.id)}
    found = []
    for push in settings.push:
        row = rows.get(PushKey(party.id, ids.get(push.collection, ""), push.to))
        counts = await pushes.counts(tx, row.key) if row else dict.fromkeys(pushes.OUTCOMES, 0)
        words = _push_standing(row, push.every, now)
        found.append(
            PushedCollection(
                ours=push.collection,
                wanted=push.to,
                remote_id=row.remote_id if row else None,
                words=words,
                in_step=words == "in step",
                cursor=row.cursor if row else 0,
                last_success=row.last_success if row else None,
                last_error=row.last_error if row else None,
                failures=row.attempts if row else 0,
                due=row.due if row else None,
                every=push.every,
                counts=counts,
                exceptions=await pushes.exceptions(tx, row.key) if row else (),
            )
        )
    return tuple(found)


def _push_standing(push: Push | None, every: int, now: int) -> str:
    if push is not None and push.attempts:
        return _failing(push.last_error, push.attempts, push.last_success, now)
    if push is None or push.last_success is None:
        return "never contacted"
    return _lateness(push.last_success, every, now)


def _collection(pull: PullSettings, row: Pull | None, now: int) -> PulledCollection:
    if row is None:
        return PulledCollection(
            pull.collection, None, None, "never contacted", False, None, None, None, 0, None, every=pull.every
        )
    words = standing(row, pull.every, now)
    return PulledCollection(
        wanted=pull.collection,
        collection_id=row.collection_id,
        protocol=row.protocol,
        words=words,
        in_step=words == "in step",
        cursor=row.cursor,
        last_success=row.last_success,
        last_error=row.last_error,
        failures=row.attempts,
        due=row.due,
        every=pull.every,
        lag=max(now - row.last_success, 0) if row.last_success is not None else None,
        compared=row.compared,
        difference=row.difference,
        skew=row.skew,
    )


def standing(pull: Pull, every: int, now: int) -> str:
    """How one collection stands, in words. Pure; `every` in seconds, `now` in microseconds."""
    if pull.attempts:
        return _failing(pull.last_error, pull.attempts, pull.last_success, now)
    if pull.last_success is None:
        return "never contacted"
    if pull.difference is not None:
        return f"not in step: {pull.difference}"
    return _lateness(pull.last_success, every, now)


def _failing(error: str | None, attempts: int, last_success: int | None, now: int) -> str:
    since = f"; last answer {spoken(now - last_success)} ago" if last_success else ""
    return f"failing: {error} (tried {attempts} times{since})"


def _lateness(last_success: int, every: int, now: int) -> str:
    silent = now - last_success
    return f"late {spoken(silent)}" if silent > LATE_AFTER * every * 1_000_000 else "in step"


def spoken(micros: int) -> str:
    """A stretch of time in its largest whole unit: `40 s`, `5 min`, `4 h`, `3 d`."""
    seconds = max(micros, 0) // 1_000_000
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= length):
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


# --- a test --------------------------------------------------------------------------------------------------


async def test_peer(  # it tests a peer, and is none of pytest's
    home: Home,
    settings: Settings,
    name: str,
    bounds: Bounds | None = None,  # noqa: PT028  (see above)
) -> list[Check]:
    """Contact a peer as a pull would, and say step by step what works. Stores nothing; ends at the first step that
    leaves nothing to try. Raises NotFound for a peer that is not in the settings.
    """
    peer = settings.peers.get(name)
    if peer is None:
        raise NotFound(f"no peer {name!r} in tocsin.yaml")
    checks = [_encrypted(peer)]
    try:
        credential = read_credential(home, name, peer)
        checks.append(Check("credential", True, f"{peer.auth}, from the home's key files"))
        bounds = (bounds or Bounds()).under(settings.limits)
        async with PeerClient(name, peer.url, credential, bounds) as client:
            await _contact(client, peer, checks)
    except (PeerFailed, BadInput) as why:
        checks.append(Check(_NEXT.get(checks[-1].name, "collections"), False, str(why)))
    return checks


# what was being tried when nothing came of it, by the last step that was done
_NEXT = {"encrypted": "credential", "credential": "answers"}


async def _contact(client: PeerClient, peer: PeerSettings, checks: list[Check]) -> None:
    offer = await look_around(client)
    checks.append(Check("answers", True, f"{client.origin} answers and accepts our credential"))
    if offer.descriptor is not None:
        checks.append(Check("speaks", True, f"a node, for {offer.descriptor.identity}"))
    else:
        checks.append(Check("speaks", True, "TAXII 2.1, and is no node: withdrawals are not told"))
    offered = ", ".join(repr(collection.title or collection.id) for collection in offer.collections)
    checks.append(Check("collections", bool(offer.collections), f"offers us: {offered or 'nothing'}"))
    checks += [Check("api root", None, f"{root} is closed to us") for root in offer.closed]
    for push in peer.push:
        try:
            target = choose(client.name, push.to, None, offer.collections, to_add=True)
            checks.append(Check(f"{push.collection} → {push.to}", True, f"found: {target.id}"))
        except PeerFailed as why:
            checks.append(Check(f"{push.collection} → {push.to}", False, str(why)))
    for pull in peer.pull:
        try:
            collection = choose(client.name, pull.collection, None, offer.collections)
            if offer.descriptor is not None:
                await fetch_changes(client, collection, "", 1)
            checks.append(Check(pull.collection, True, f"found: {collection.id}"))
        except Unreadable as why:
            checks.append(Check(pull.collection, None, f"found, and its first entry cannot be read: {why}"))
        except PeerFailed as why:
            checks.append(Check(pull.collection, False, str(why)))


def _encrypted(peer: PeerSettings) -> Check:
    if peer.url.startswith("https:"):
        return Check("encrypted", True, "https, and the certificate is checked")
    return Check("encrypted", None, "http: everything, the credential too, can be read on the way")
