"""Preview: what a reader sees, or would see, over all his collections together: exactly, before anything is done.

An object that leaves one collection and stands in another of his is not lost to him. Where he has held a redacted
copy and now gets the original, or finds both in different collections, he can tell that they are the same: such
pairs are named.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from tocsin.policy.closure import State
from tocsin.policy.configuration import Configuration
from tocsin.sharing.release import MOVED, Outcome
from tocsin.store import copies, releases
from tocsin.store.releases import Logged
from tocsin.store.transaction import Transaction

Gain = Literal["receives", "receives redacted", "sees redacted", "sees whole", "loses", "receives anew"]

_GAINS: Mapping[tuple[State, State], Gain] = {
    (State.OUT, State.WHOLE): "receives",
    (State.OUT, State.COPY): "receives redacted",
    (State.WHOLE, State.COPY): "sees redacted",
    (State.COPY, State.WHOLE): "sees whole",
    (State.COPY, State.OUT): "loses",
    (State.WHOLE, State.OUT): "loses",
    (State.WHOLE, State.WHOLE): "receives anew",  # another version, or a revocation
    (State.COPY, State.COPY): "receives anew",  # another copy takes its place
}


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of one object for one reader; `object_id` is the original's, which he may not know."""

    object_id: str
    what: Gain


@dataclass(frozen=True, slots=True)
class ReaderPlan:
    """What changes for one reader. `links`: ids, of an original and copies, that he can now tell are the same."""

    name: str
    starts: tuple[str, ...]
    stops: tuple[str, ...]
    moves: tuple[Move, ...]
    links: tuple[tuple[str, ...], ...]

    def count(self, what: Gain) -> int:
        return sum(move.what == what for move in self.moves)


@dataclass(frozen=True, slots=True)
class Shelf:
    """One collection before and after: who reads it, and how objects move in it."""

    id: str
    key: str
    readers_before: frozenset[str]
    readers_after: frozenset[str]
    moved: Mapping[str, tuple[State, State]]

    @property
    def in_motion(self) -> bool:
        return bool(self.moved) or self.readers_before != self.readers_after


def moved_in(key: str, outcomes: Iterable[Outcome]) -> dict[str, tuple[State, State]]:
    """How objects move in one collection."""
    return {
        one.object_id: (one.before, one.after) for one in outcomes if one.collection == key and one.what in MOVED
    }


async def by_reader(tx: Transaction, shelves: Sequence[Shelf]) -> tuple[ReaderPlan, ...]:
    """What changes for each reader, in order of name, once everything has been carried out in this transaction."""
    names = sorted(set().union(*(one.readers_before | one.readers_after for one in shelves if one.in_motion)))
    reading = {name: [one for one in shelves if name in one.readers_before | one.readers_after] for name in names}
    changing = {name: await _changing(tx, reading[name], name) for name in names}
    asked: dict[str, set[str]] = {}
    for name in names:
        for shelf in reading[name]:
            asked.setdefault(shelf.id, set()).update(changing[name])
    shown = {one.id: await _shown(tx, one, asked[one.id]) for one in shelves if one.id in asked}
    plans = [_plan(name, reading[name], changing[name], shown) for name in names]
    return tuple(one for one in plans if one.moves or one.starts or one.stops)


async def _changing(tx: Transaction, shelves: Sequence[Shelf], name: str) -> set[str]:
    """Of what a reader may notice something: all that moves, and all that stands where he comes or goes."""
    found: set[str] = set()
    for shelf in shelves:
        reads, will_read = name in shelf.readers_before, name in shelf.readers_after
        found |= shelf.moved.keys()
        if reads != will_read:
            standing = await releases.standing_ids(tx, shelf.id)
            originals = await copies.originals_of(tx, standing)
            found |= {originals[id_].original_id if id_ in originals else id_ for id_ in standing}
    return found


@dataclass(frozen=True, slots=True)
class _Shown:
    """How an object stands in a collection in the end, and the id of the copy that was ever made of it there."""

    state: State
    copy_id: str | None


async def _shown(tx: Transaction, shelf: Shelf, ids: Set[str]) -> Mapping[str, _Shown]:
    """By original id; absent = it does not stand there, nor did it ever as a copy.

    How those stand that moved there is known, and only the ids of their copies are asked for.
    """
    links = {id_: link.copy_id for id_, link in (await copies.copies_of(tx, shelf.id, ids)).items()}
    left = ids - shelf.moved.keys()
    standing: set[str] = set()
    if left:
        asked = {*left, *(links[id_] for id_ in left if id_ in links)}
        standing = asked & set(await releases.standing_ids(tx, shelf.id))
    found = {}
    for id_ in ids:
        copy_id = links.get(id_)
        if id_ in shelf.moved:
            found[id_] = _Shown(shelf.moved[id_][1], copy_id)
        elif id_ in standing:
            found[id_] = _Shown(State.WHOLE, copy_id)
        elif copy_id is not None:
            found[id_] = _Shown(State.COPY if copy_id in standing else State.OUT, copy_id)
    return found


_NOTHING = _Shown(State.OUT, None)


def _plan(
    name: str, shelves: Sequence[Shelf], ids: Set[str], shown: Mapping[str, Mapping[str, _Shown]]
) -> ReaderPlan:
    moves = []
    links = []
    for id_ in sorted(ids):
        before, after = State.OUT, State.OUT
        knew: set[str] = set()
        knows: set[str] = set()
        renewed = False
        for shelf in shelves:
            here = shown[shelf.id].get(id_, _NOTHING)
            was, is_ = shelf.moved.get(id_, (here.state, here.state))
            if name in shelf.readers_before:
                before = max(before, was)
                knew |= _ids(id_, was, here.copy_id)
            if name in shelf.readers_after:
                after = max(after, is_)
                knows |= _ids(id_, is_, here.copy_id)
            renewed |= id_ in shelf.moved and name in shelf.readers_before & shelf.readers_after
        if before is not after or knew != knows or (renewed and before is not State.OUT):
            moves.append(Move(id_, _GAINS[before, after]))
        if len(knew | knows) > 1 and len(knew) < len(knew | knows):
            links.append(tuple(sorted(knew | knows)))
    return ReaderPlan(
        name=name,
        starts=tuple(one.key for one in shelves if name in one.readers_after - one.readers_before),
        stops=tuple(one.key for one in shelves if name in one.readers_before - one.readers_after),
        moves=tuple(moves),
        links=tuple(links),
    )


def _ids(id_: str, state: State, copy_id: str | None) -> set[str]:
    """Under which id a reader finds an object that stands so."""
    match state:
        case State.WHOLE:
            return {id_}
        case State.COPY if copy_id is not None:
            return {copy_id}
        case _:
            return set()


# --- one reader ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sight:
    """One version that a reader finds in one collection; `original_id` is that of what a copy stands for."""

    entry: Logged
    original_id: str | None


async def sight_of(tx: Transaction, configuration: Configuration, name: str) -> list[Sight]:
    """All that a reader finds, in the order of the configuration and of each log."""
    ids = {row.key: row.id for row in await releases.collections(tx)}
    found = []
    for key in configuration.settings.collections:
        if key in ids and configuration.can_read(name, key):
            entries = await releases.standing_entries(tx, ids[key])
            originals = await copies.originals_of(tx, [one.object_id for one in entries if one.form == "copy"])
            found += [
                Sight(one, originals[one.object_id].original_id if one.object_id in originals else None)
                for one in entries
            ]
    return found
