"""Apply: a configuration comes into force, and what that would release, redact and withdraw is said first.

The file is the proposal; what is in force is in the database, and every judging transaction reads it there
(DESIGN 2.5). A change that takes much away needs the number said aloud (2.4).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tocsin.errors import Refused
from tocsin.policy.closure import State
from tocsin.policy.configuration import Configuration, read_configuration
from tocsin.sharing.judging import Verdict, judge
from tocsin.sharing.node import Node, keep_own_objects
from tocsin.sharing.release import Outcome, release
from tocsin.sharing.subjects import Court
from tocsin.store import audit, grants, objects, parties, releases
from tocsin.store import configuration as applied
from tocsin.store.transaction import Transaction

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
        """Whether a reader would see anything else than now."""
        readers_move = bool(self.readers_added or self.readers_removed) and self.standing > 0
        return bool(self.changes) or readers_move or (self.closed and self.standing > 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a proposed configuration would do, before it does it."""

    proposed: Configuration
    in_force: str | None  # sha256
    collections: tuple[CollectionPlan, ...]

    @property
    def is_in_force(self) -> bool:
        return self.proposed.sha256 == self.in_force

    @property
    def touches_released(self) -> bool:
        return any(collection.touches_released for collection in self.collections)

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


async def plan(tx: Transaction, proposed: Configuration, node: Node) -> Plan:
    """Judge everything under the proposed configuration and count what would move; changes nothing."""
    current = await applied.in_force_sha256(tx)
    before = await in_force(tx) if current else None
    rows = {row.key: row for row in await releases.collections(tx)}
    renamed = {c.was: key for key, c in proposed.settings.collections.items() if c.was}
    ids = await objects.all_ids(tx)
    plans = []
    for key, settings in proposed.settings.collections.items():
        row = rows.get(key) or rows.get(settings.was or "")
        court = Court(proposed, node, key, row.id if row else settings.id or "")
        verdicts = await judge(tx, court, ids)
        old = _readers(before, row.key) if row else ()
        plans.append(
            CollectionPlan(
                key=key,
                readers=tuple(reader.name for reader in court.readers),
                readers_added=tuple(sorted(set(settings.readers) - set(old))),
                readers_removed=tuple(sorted(set(old) - set(settings.readers))),
                standing=row.standing if row else 0,
                changes=tuple(change for verdict in verdicts if (change := _change(verdict))),
            )
        )
    for key, row in rows.items():
        if key not in proposed.settings.collections and key not in renamed and (old := _readers(before, key)):
            plans.append(CollectionPlan(key, (), (), old, row.standing, (), closed=True))
    return Plan(proposed, current, tuple(plans))


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
}


def _change(verdict: Verdict) -> Change | None:
    kind = _KINDS.get((verdict.stands, verdict.state))
    if kind is None and verdict.copy and verdict.link and verdict.copy.omitted != verdict.link.omitted:
        kind = "redact"  # it stands as a copy, and another copy would take its place
    if kind is None:
        return None
    return Change(verdict.id, verdict.subject.type, kind, tuple(reason.rule for reason in verdict.reasons))


async def apply(
    tx: Transaction, plan: Plan, node: Node, *, now: int, confirmed: int | None = None
) -> list[Outcome]:
    """Bring the planned configuration into force, and its consequences into the logs.

    `confirmed` is the number that a person said when the plan takes much away. Raises Refused when it is not
    the plan's, or when another configuration came into force since the plan was made.
    """
    if await applied.in_force_sha256(tx) != plan.in_force:
        raise Refused("another configuration came into force in the meantime: look at the plan again")
    if plan.taken_away and confirmed != plan.taken_away:
        raise Refused(
            f"this withdraws or redacts {plan.taken_away} objects that readers hold: "
            f"say so with --confirm {plan.taken_away}"
        )
    configuration = plan.proposed
    settings = configuration.settings
    await applied.apply(tx, dict(configuration.files), configuration.sha256, now)
    await audit.append(tx, "applied", configuration.sha256, {"before": plan.in_force}, now)
    await _keep_parties_and_collections(tx, configuration, now)
    await keep_own_objects(tx, node, settings.node, now)
    return await release(tx, configuration, node, await objects.all_ids(tx), now=now)


async def _keep_parties_and_collections(tx: Transaction, configuration: Configuration, now: int) -> None:
    settings = configuration.settings
    kinds: dict[str, Literal["account", "peer"]] = dict.fromkeys(settings.accounts, "account")
    kinds |= dict.fromkeys(settings.peers, "peer")
    listed = {**settings.accounts, **settings.peers}
    renamed = {name: party.was for name, party in listed.items() if party.was}
    people = await parties.ensure_parties(tx, kinds, renamed, now)
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
        await releases.set_stuck(tx, collection_id, None)  # judged anew below


def summary(plan: CollectionPlan) -> Mapping[tuple[Kind, str], int]:
    """How many objects of each type would move in which way."""
    return Counter((change.kind, change.type) for change in plan.changes)
