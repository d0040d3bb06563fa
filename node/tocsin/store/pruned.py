"""Pruned: what a log no longer keeps, and since when what it keeps has stood there. Derived from the log alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, bindparam, exists, func, literal_column, or_, select

from tocsin.store.question import Question
from tocsin.store.releases import Form, Op, log_of
from tocsin.store.tables import collection, object_version, release
from tocsin.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a log no longer keeps of an object.

    `version_key`: the greatest whose last entry is a `prune`, or None; `as_copy`: its redacted copy was pruned;
    `at`: the clock when that happened last (µs); `wholly`: that is the last thing that happened to the object.
    """

    version_key: str | None
    as_copy: bool
    at: int
    wholly: bool


_PRUNE: ColumnElement[str] = literal_column(
    "'prune'"
)  # no parameter: the index of what was pruned is found by the word


async def collections_with_pruned(tx: Transaction) -> set[str]:
    """The collections that ever pruned anything; where none did, nobody has to ask on."""
    return {id_ for (id_,) in await _EVER.ask(tx)}


_EVER = Question(
    lambda lists: select(collection.c.id).where(
        exists().where(release.c.collection_id == collection.c.id, release.c.op == _PRUNE)
    )
)


async def pruned(
    tx: Transaction, collection_id: str, copy_ids: Mapping[str, str], ids: Iterable[str]
) -> dict[str, Pruned]:
    """What was pruned of each object and not put again; `copy_ids`: those of the copies that it stood as."""
    asked = tx.fresh.to_ask(log_of(collection_id), [*ids, *copy_ids.values()])
    known = {id_ for (id_,) in await _ANY.ask(tx, collection=collection_id, ids=asked)} if asked else set()
    if not known:
        return {}
    both = {id_: (id_, copy_ids.get(id_, id_)) for id_ in ids}
    both = {id_: pair for id_, pair in both.items() if not known.isdisjoint(pair)}
    stood_as = sorted({one for pair in both.values() for one in pair})
    last: dict[str, dict[str, _Last]] = {}
    for object_id, version_key, *entry in await _ENTRIES.ask(tx, collection=collection_id, ids=stood_as):
        last.setdefault(object_id, {})[version_key] = _Last(*entry)
    found = {id_: _of_one(last.get(id_, {}), last.get(c, {}) if c != id_ else {}) for id_, (_, c) in both.items()}
    return {id_: one for id_, one in found.items() if one is not None}


class _Last(NamedTuple):
    """The last entry about a version."""

    position: int
    op: Op
    released: int


def _of_one(whole: Mapping[str, _Last], as_copy: Mapping[str, _Last]) -> Pruned | None:
    entries = [*whole.values(), *as_copy.values()]
    ended = max(as_copy.values(), default=None)  # one copy stands at a time
    keys = [key for key, one in whole.items() if one.op == "prune"]
    gone = [one for one in entries if one.op == "prune"]
    if not gone:
        return None
    return Pruned(
        version_key=max(keys, default=None),
        as_copy=ended is not None and ended.op == "prune",
        at=max(one.released for one in gone),
        wholly=max(entries).op == "prune",
    )


_ANY = Question(
    lambda lists: (
        select(release.c.object_id)
        .where(
            release.c.collection_id == bindparam("collection"),
            release.c.op == _PRUNE,
            lists.among(release.c.object_id, "ids"),
        )
        .distinct()
    )
)
_ENTRIES = Question(
    lambda lists: (
        select(release.c.object_id, release.c.version_key, release.c.position, release.c.op, release.c.released)
        .where(
            release.c.collection_id == bindparam("collection"),
            release.c.version_seq.in_(select(object_version.c.seq).where(lists.among(object_version.c.id, "ids"))),
        )
        .order_by(release.c.position)
    )
)


@dataclass(frozen=True, slots=True)
class Stood:
    """The last version of what stands, and since when (µs): its first entry since it was pruned last, if ever."""

    position: int
    object_id: str
    type: str
    form: Form
    since: int


async def stood(tx: Transaction, collection_id: str, *, after: int, limit: int) -> list[Stood]:
    """What stands beyond a position of the log, in its order."""
    rows = await _STOOD.ask(tx, collection=collection_id, after=after, limit=limit)
    return [Stood(*row) for row in rows]


_R, _FIRST, _GONE = release, release.alias("first"), release.alias("gone")
_PRUNED_AT = (
    select(func.coalesce(func.max(_GONE.c.position), 0))
    .where(
        _GONE.c.version_seq == _R.c.version_seq, _GONE.c.collection_id == _R.c.collection_id, _GONE.c.op == _PRUNE
    )
    .correlate(_R)
    .scalar_subquery()
)
_SINCE = (
    select(func.min(_FIRST.c.released))
    .where(
        _FIRST.c.version_seq == _R.c.version_seq,
        _FIRST.c.collection_id == _R.c.collection_id,
        or_(_FIRST.c.op == "put", _FIRST.c.op == "revoke"),
        _FIRST.c.position > _PRUNED_AT,
    )
    .correlate(_R)
    .scalar_subquery()
)
_STOOD = Question(
    lambda lists: (
        select(_R.c.position, _R.c.object_id, _R.c.type, _R.c.form, _SINCE)
        .where(_R.c.collection_id == bindparam("collection"), _R.c.last, _R.c.position > bindparam("after"))
        .order_by(_R.c.position)
        .limit(bindparam("limit"))
    )
)
