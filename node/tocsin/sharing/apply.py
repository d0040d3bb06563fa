"""Apply: a configuration comes into force, and what that would release, redact and withdraw is said first.

The file is the proposal; what is in force is in the database, and every judging transaction reads it there, so
that all processes judge alike. A change that takes much away needs the number said aloud.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tocsin.errors import Refused
from tocsin.policy.closure import State
from tocsin.policy.configuration import Configuration, read_configuration
from tocsin.sharing.node import Node, keep_own_objects
from tocsin.sharing.notices import still_held
from tocsin.sharing.preview import ReaderPlan, Shelf, Sight, by_reader, moved_in, sight_of
from tocsin.sharing.release import MOVED, Outcome, release
from tocsin.store import accounts, audit, copies, grants, objects, parties, releases
from tocsin.store import configuration as applied
from tocsin.store.transaction import Store, Transaction

Kind = Literal["release", "redact", "withdraw", "restore"]

GUARD_OBJECTS = 20  # a change that withdraws or redacts more than this,
GUARD_SHARE = 0.01  # or more than this share of a log, needs its number said


@dataclass(frozen=True, slots=True)
class Change:
    """One object that a configuration would move in one collection."""

    object_id: str
    type: str
    kind: Kind
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CollectionPlan:
    """What would become of one collection: its objects, and who starts or stops to read it."""

    key: str
    readers: tuple[str, ...]
    readers_added: tuple[str, ...]
    readers_removed: tuple[str, ...]
    standing: int
    changes: tuple[Change, ...]
    closed: bool = False  # no longer in the files: nobody reads it any more

    def count(self, kind: Kind) -> int:
        return sum(change.kind == kind for change in self.changes)

    @property
    def taken_away(self) -> int:
        return self.standing if self.closed else self.count("withdraw") + self.count("redact")

    @property
    def guarded(self) -> bool:
        return self.taken_away > GUARD_OBJECTS or self.taken_away > self.standing * GUARD_SHARE > 0

    @property
    def touches_released(self) -> bool:
        """Whether a reader would see anything else than now; a collection that he finds listed is something."""
        return bool(self.changes or self.readers_added or self.readers_removed)

    @property
    def essence(self) -> tuple[object, ...]:
        """All but how much stands: writers go on adding while a person reads a plan."""
        return (replace(self, standing=0), self.touches_released, self.closed and self.taken_away)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a proposed configuration would do, before it does it."""

    proposed: Configuration
    in_force: str | None  # sha256
    collections: tuple[CollectionPlan, ...]
    readers: tuple[ReaderPlan, ...] = ()  # those who would notice something
    beyond_reach: tuple[tuple[str, int], ...] = ()  # who can no longer be told of withdrawals, and of how many

    @property
    def is_in_force(self) -> bool:
        return self.proposed.sha256 == self.in_force

    @property
    def essence(self) -> tuple[object, ...]:
        """What two plans have in common that do the same to the same."""
        return (self.proposed.sha256, self.in_force, *(one.essence for one in self.collections))

    @property
    def touches_released(self) -> bool:
        return any(collection.touches_released for collection in self.collections)

    @property
    def needs_a_person(self) -> bool:
        """Whether it may not come into force by a mere start. Before the first of all there was nothing to see."""
        return (self.touches_released or bool(self.beyond_reach)) and self.in_force is not None

    @property
    def taken_away(self) -> int:
        """How many objects readers would lose or see redacted, where that needs the number said aloud; else 0."""
        return sum(collection.taken_away for collection in self.collections if collection.guarded)


_PARSED: dict[str, Configuration] = {}  # by hash: what a text means never changes


async def in_force(tx: Transaction) -> Configuration:
    """The configuration that judges. Raises Refused when none was ever applied."""
    sha256 = await applied.in_force_sha256(tx)
    if sha256 is None:
        raise Refused("no configuration is in force yet (run: tocsin apply)")
    if sha256 not in _PARSED:
        current = await applied.in_force(tx)
        assert current is not None  # noqa: S101  (the same transaction has just seen it; for the type checker)
        _PARSED[sha256] = read_configuration(current.files)
        for older in list(_PARSED)[:-4]:
            del _PARSED[older]
    return _PARSED[sha256]


def parsed(sha256: str) -> Configuration | None:
    """A configuration that was in force lately, by its hash; None for one that has to be read (`in_force`)."""
    return _PARSED.get(sha256)


class _Undone(Exception):
    """Ends a transaction that only looked at what would happen."""


async def plan(store: Store, proposed: Configuration, node: Node) -> Plan:
    """What the proposed configuration would do, found out by doing it in a transaction that is undone.

    So the plan is what would happen, with renames, new versions of our own identity, and all that references and
    company bring about. Whoever writes waits as long as that takes, as with `apply`: in other processes up to the
    time-out for a lock (`store.transaction`), then Unavailable, which is asked again. Readers are not held up.
    """
    found: Plan | None = None
    try:
        async with store.writing() as tx:
            found = await _carry_out(tx, proposed, node, await tx.now())
            raise _Undone
    except _Undone:
        pass
    assert found is not None  # noqa: S101  (set before the block ends; for the type checker)
    return found


async def preview(store: Store, proposed: Configuration, node: Node, name: str) -> list[Sight]:
    """All that a reader would find under the proposed configuration, found out as a plan is."""
    found: list[Sight] | None = None
    try:
        async with store.writing() as tx:
            if await applied.in_force_sha256(tx) != proposed.sha256:
                await _carry_out(tx, proposed, node, await tx.now())
            found = await sight_of(tx, proposed, name)
            raise _Undone
    except _Undone:
        pass
    assert found is not None  # noqa: S101  (set before the block ends; for the type checker)
    return found


async def apply(store: Store, foreseen: Plan, node: Node, *, confirmed: int | None = None) -> Plan:
    """Bring a configuration into force as it was foreseen, with its consequences in the logs; what it did.

    `confirmed` is the number that a person said when the plan takes much away. Raises Refused, and changes
    nothing, when that is not the plan's number, or when it would do something else by now.
    """
    async with store.writing() as tx:
        done = await _carry_out(tx, foreseen.proposed, node, await tx.now())
        if done.essence != foreseen.essence:
            raise Refused(
                "what it would do has changed in the meantime: look at the plan again; nothing was changed"
            )
        if done.taken_away and confirmed != done.taken_away:
            raise Refused(
                f"this withdraws or redacts {done.taken_away} objects that readers hold: "
                f"say so with --confirm {done.taken_away}"
            )
    return done


async def apply_unnoticed(store: Store, proposed: Configuration, node: Node) -> Plan:
    """Bring a configuration into force if no reader would see anything else than now; what it did, or would do.

    One transaction finds out and does it, so that several processes may start at once, and beside writers. Nothing
    is done where the plan needs a person, or the configuration is in force already.
    """
    done: Plan | None = None
    try:
        async with store.writing() as tx:
            await applied.alone(tx)
            if await applied.in_force_sha256(tx) == proposed.sha256:
                return Plan(proposed, proposed.sha256, ())
            done = await _carry_out(tx, proposed, node, await tx.now())
            if done.needs_a_person:
                raise _Undone
    except _Undone:
        pass
    assert done is not None  # noqa: S101  (set before the block ends; for the type checker)
    return done


async def _carry_out(tx: Transaction, proposed: Configuration, node: Node, now: int) -> Plan:
    await applied.alone(tx)
    await releases.lock_all(tx)
    current = await applied.in_force_sha256(tx)
    before = await in_force(tx) if current else None
    was = {row.id: row for row in await releases.collections(tx)}
    beyond_reach = await _beyond_reach(tx, before, proposed)
    await applied.apply(tx, dict(proposed.files), proposed.sha256, now)
    await audit.append(tx, "applied", proposed.sha256, {"before": current}, now)
    ids = await _keep_parties_and_collections(tx, proposed, now)
    await keep_own_objects(tx, node, proposed.settings.node, now)
    everything = await _everything(tx, ids.values())
    outcomes = await release(tx, proposed, node, everything, now=now, only_moved=True)
    shelves = []
    plans = []
    for key, collection in proposed.settings.collections.items():
        row = was.get(ids[key])
        old = _readers(before, row.key) if row else ()
        shelves.append(
            Shelf(ids[key], key, frozenset(old), frozenset(collection.readers), moved_in(key, outcomes))
        )
        plans.append(
            CollectionPlan(
                key=key,
                readers=tuple(dict.fromkeys(collection.readers)),
                readers_added=tuple(sorted(set(collection.readers) - set(old))),
                readers_removed=tuple(sorted(set(old) - set(collection.readers))),
                standing=row.standing if row else 0,
                changes=_changes(key, outcomes),
            )
        )
    closed = {row.key: row for row in was.values() if row.id not in ids.values()}
    plans += [
        CollectionPlan(key, (), (), old, row.standing, (), closed=True)
        for key, row in closed.items()
        if (old := _readers(before, key))
    ]
    shelves += [
        Shelf(row.id, key, frozenset(old), frozenset(), {})
        for key, row in closed.items()
        if (old := _readers(before, key))
    ]
    return Plan(proposed, current, tuple(plans), await by_reader(tx, shelves), beyond_reach)


async def _beyond_reach(
    tx: Transaction, before: Configuration | None, proposed: Configuration
) -> tuple[tuple[str, int], ...]:
    """Who is taken out of the file though he may still hold what he was offered, and how many objects."""
    if before is None:
        return ()
    listed = {**proposed.settings.accounts, **proposed.settings.peers}
    stay = {*listed, *(party.was for party in listed.values() if party.was)}
    leaving = [party for party in await parties.parties(tx) if party.name not in stay]
    known = [party for party in leaving if before.settings.party(party.name) is not None]
    held = [(party.name, await still_held(tx, before, party.id)) for party in known]
    return tuple((name, count) for name, count in held if count)


async def _everything(tx: Transaction, collection_ids: Iterable[str]) -> list[str]:
    """All that is held, and all that stands though nobody offers it any more."""
    found = dict.fromkeys(await objects.all_ids(tx))
    for collection_id in collection_ids:
        found |= dict.fromkeys(await releases.standing_ids(tx, collection_id))
    originals = await copies.originals_of(tx, list(found))
    return list(found | {link.original_id: None for link in originals.values()})


def _readers(configuration: Configuration | None, key: str) -> tuple[str, ...]:
    collection = configuration.settings.collections.get(key) if configuration else None
    return collection.readers if collection else ()


_KINDS: Mapping[tuple[State, State], Kind] = {
    (State.OUT, State.WHOLE): "release",
    (State.OUT, State.COPY): "release",
    (State.WHOLE, State.OUT): "withdraw",
    (State.COPY, State.OUT): "withdraw",
    (State.WHOLE, State.COPY): "redact",
    (State.COPY, State.WHOLE): "restore",
    (State.COPY, State.COPY): "redact",  # another copy takes its place
    (State.WHOLE, State.WHOLE): "release",  # another version
}


def _changes(key: str, outcomes: Iterable[Outcome]) -> tuple[Change, ...]:
    """What readers of one collection would notice, in order of id."""
    return tuple(
        Change(
            object_id=one.object_id,
            type=one.object_id.partition("--")[0],
            kind=_KINDS[one.before, one.after],
            rules=tuple(reason.rule for reason in one.reasons),
        )
        for one in sorted(outcomes, key=lambda one: one.object_id)
        if one.collection == key and one.what in MOVED
    )


async def _keep_parties_and_collections(tx: Transaction, configuration: Configuration, now: int) -> dict[str, str]:
    """Parties, collections and grants as the configuration has them; the id of each collection by its key."""
    settings = configuration.settings
    kinds: dict[str, Literal["account", "peer"]] = dict.fromkeys(settings.accounts, "account")
    kinds |= dict.fromkeys(settings.peers, "peer")
    listed = {**settings.accounts, **settings.peers}
    renamed = {name: party.was for name, party in listed.items() if party.was}
    people = await parties.ensure_parties(tx, kinds, renamed, now)
    for party in await parties.parties(tx):
        if party.name not in kinds:
            await accounts.revoke_tokens(tx, party.id, now)  # a name that comes back later gets a new token
    collections = await releases.ensure_collections(
        tx,
        {key: collection.id for key, collection in settings.collections.items()},
        {key: collection.was for key, collection in settings.collections.items() if collection.was},
        now,
    )
    wanted: set[tuple[str, str, grants.Role]] = set()
    for key, collection in settings.collections.items():
        wanted |= {(people[name], collections[key], "reader") for name in collection.readers}
        wanted |= {(people[name], collections[key], "writer") for name in collection.writers}
    await grants.set_grants(tx, wanted, now)
    for collection_id in collections.values():
        await releases.set_stuck(tx, collection_id, None)  # everything is judged anew
    return collections


def summary(plan: CollectionPlan) -> Mapping[tuple[Kind, str], int]:
    """How many objects of each type would move in which way."""
    return Counter((change.kind, change.type) for change in plan.changes)
