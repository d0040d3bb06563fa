"""Pushes: where we stand in adding our collections to those of peers, and what became of each version there."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import Row, func, select, update

from tocsin.errors import NotFound, Refused
from tocsin.store.tables import push, pushed
from tocsin.store.transaction import Transaction, in_batches

PushOutcome = Literal["posting", "added", "refused", "deleted", "untold"]
OUTCOMES: tuple[PushOutcome, ...] = ("posting", "added", "refused", "deleted", "untold")


class PushKey(NamedTuple):
    """Which push: a peer, a collection of ours, and what `tocsin.yaml` calls theirs."""

    party_id: str
    collection_id: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Push:
    """The state of one push. `cursor`: the position in our log up to which it is done; times in microseconds;
    `remote_id` was found at first contact; `attempts` are failures in a row."""

    key: PushKey
    remote_id: str | None
    cursor: int
    attempts: int
    due: int
    last_success: int | None
    last_error: str | None


class Pushed(NamedTuple):
    """What became of one version at a peer.

    `posting`: it was about to be posted, and may be there; `refused`: the peer does not take it; `deleted`: we
    withdrew it, and it is no longer there; `untold`: we withdrew it, and the peer keeps it. `position`: the entry
    in our log that is meant; `named`: the object's own `modified` or `created`, '' if it has neither; `reason`:
    what the peer said; `at` in µs.
    """

    object_id: str
    version: str
    named: str
    position: int
    outcome: PushOutcome
    reason: str
    at: int


# --- where we stand ------------------------------------------------------------------------------------------


async def ensure_pushes(tx: Transaction, keys: Iterable[PushKey]) -> None:
    """Make a row, due at once, for each that has none."""
    for batch in in_batches([key._asdict() for key in sorted(set(keys))]):
        await tx.connection.execute(tx.insert(push).on_conflict_do_nothing(), batch)


async def pushes(tx: Transaction, party_id: str | None = None) -> list[Push]:
    """All pushes, or those to one peer, the longest due first."""
    wanted = select(push).order_by(push.c.due, push.c.party_id, push.c.collection_id, push.c.wanted)
    if party_id is not None:
        wanted = wanted.where(push.c.party_id == party_id)
    return [_push(row) for row in await tx.connection.execute(wanted)]


async def push_state(tx: Transaction, key: PushKey) -> Push | None:
    row = (await tx.connection.execute(select(push).where(_of(key)))).one_or_none()
    return _push(row) if row else None


async def pin_remote(tx: Transaction, key: PushKey, remote_id: str) -> None:
    """Note which collection a name stands for at a peer. Raises NotFound; Refused when it was another."""
    state = await push_state(tx, key)
    if state is None:
        raise _unknown(key)
    if state.remote_id not in (None, remote_id):
        raise Refused(f"{key.wanted!r} was the peer's collection {state.remote_id}, and now is {remote_id}")
    await _set(tx, key, remote_id=remote_id)


async def move_cursor(tx: Transaction, key: PushKey, old: int, new: int) -> bool:
    """Move the cursor in the transaction that notes what became of the objects up to it; False when another
    process was there first."""
    moved = await tx.connection.execute(update(push).where(_of(key), push.c.cursor == old).values(cursor=new))
    return moved.rowcount == 1


async def failed(tx: Transaction, key: PushKey, why: str, due: int) -> None:
    """One more failure in a row; try again at `due`. Raises NotFound."""
    await _set(tx, key, attempts=push.c.attempts + 1, last_error=why, due=due)


async def succeeded(tx: Transaction, key: PushKey, at: int, due: int) -> None:
    """The peer took what there was at `at`; look again at `due`. Raises NotFound."""
    await _set(tx, key, attempts=0, last_error=None, last_success=at, due=due)


def _of(key: PushKey) -> Any:
    c = push.c
    return (c.party_id == key.party_id) & (c.collection_id == key.collection_id) & (c.wanted == key.wanted)


async def _set(tx: Transaction, key: PushKey, **values: Any) -> None:
    done = await tx.connection.execute(update(push).where(_of(key)).values(**values))
    if done.rowcount == 0:
        raise _unknown(key)


def _unknown(key: PushKey) -> NotFound:
    return NotFound(f"nothing is pushed into a collection {key.wanted!r} of this peer")


def _push(row: Row[Any]) -> Push:
    key = PushKey(row.party_id, row.collection_id, row.wanted)
    return Push(key, row.remote_id, row.cursor, row.attempts, row.due, row.last_success, row.last_error)


# --- what became of it ---------------------------------------------------------------------------------------


async def note(tx: Transaction, key: PushKey, rows: Iterable[Pushed]) -> None:
    """Note what became of versions; each note takes the place of the one before it."""
    insert = tx.insert(pushed)
    latest = {(row.object_id, row.version): row for row in rows}
    again = insert.on_conflict_do_update(
        index_elements=[*PushKey._fields, "object_id", "version"],
        set_={name: insert.excluded[name] for name in ("named", "position", "outcome", "reason", "at")},
    )
    for batch in in_batches(latest.values()):
        await tx.connection.execute(again, [key._asdict() | row._asdict() for row in batch])


async def notes(tx: Transaction, key: PushKey, object_ids: Iterable[str]) -> dict[tuple[str, str], Pushed]:
    """What became of the versions of these objects, by id and version."""
    found = {}
    for batch in in_batches(sorted(set(object_ids))):
        wanted = _notes(key).where(pushed.c.object_id.in_(batch))
        for row in await tx.connection.execute(wanted):
            found[row.object_id, row.version] = Pushed._make(row)
    return found


async def exceptions(tx: Transaction, key: PushKey, limit: int = 1000) -> list[Pushed]:
    """What the peer refused, and what it keeps although we withdrew it; the latest first."""
    c = pushed.c
    wanted = _notes(key).where(c.outcome.in_(["refused", "untold"])).order_by(c.at.desc(), c.position.desc())
    return [Pushed._make(row) for row in await tx.connection.execute(wanted.limit(limit))]


async def counts(tx: Transaction, key: PushKey) -> dict[PushOutcome, int]:
    """How many versions ended in each outcome; each is there, at 0 if need be."""
    wanted = select(pushed.c.outcome, func.count().label("n")).where(_notes_of(key)).group_by(pushed.c.outcome)
    found: dict[PushOutcome, int] = dict.fromkeys(OUTCOMES, 0)
    return found | {row.outcome: row.n for row in await tx.connection.execute(wanted)}


def _notes(key: PushKey) -> Any:
    return select(*(pushed.c[name] for name in Pushed._fields)).where(_notes_of(key))


def _notes_of(key: PushKey) -> Any:
    c = pushed.c
    return (c.party_id == key.party_id) & (c.collection_id == key.collection_id) & (c.wanted == key.wanted)
