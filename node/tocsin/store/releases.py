"""Releases: the collections, and for each the append-only log of what its readers may see (DESIGN 2.11, 2.15).

Whoever writes to logs holds the rows of their collections (`lock`, in order of id) from before it reads what
stands until it commits: so the order of commits is the order of positions. What stands beside a log is here too:
copies, postings, statuses, grants.
"""

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    JSON,
    BindParameter,
    ColumnElement,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
    update,
)

from tocsin.errors import NotFound, Refused
from tocsin.store.log import Current, Entry, Form, Head, Op, write
from tocsin.store.names import moves
from tocsin.store.tables import collection, copy, grant, object_version, posting, reference, release
from tocsin.store.tables import status as status_table
from tocsin.store.transaction import Transaction, in_batches

__all__ = ["Entry", "Form", "Head", "Op"]  # what callers of `append` and `lock` need beside what is below

Role = Literal["reader", "writer"]


@dataclass(frozen=True, slots=True)
class CollectionRow:
    """A collection: `key` is its label in `tocsin.yaml`; `stuck` says why new things are kept out, or is None."""

    id: str
    key: str
    made: int
    last_position: int
    standing: int
    stuck: str | None


# --- collections ---------------------------------------------------------------------------------------------


async def ensure_collections(
    tx: Transaction, keys: Mapping[str, str | None], renamed: Mapping[str, str], now: int
) -> dict[str, str]:
    """Make those that are new, move keys (`renamed`: new → old), and give the id of each key.

    An id is the one from the settings, else made once and kept. A collection is never removed: what its readers
    hold outlives its place in the file. Raises Refused when the settings give another id than the one it has.
    """
    by_id = {row.id: row.key for row in await collections(tx)}
    same = {key: by_id[id_] for key, id_ in keys.items() if id_ in by_id and by_id[id_] not in keys}
    await _rename(tx, {**renamed, **same})
    rows = [
        {"id": id_ or str(uuid.uuid4()), "key": key, "made": now, "last_position": 0, "standing": 0}
        for key, id_ in sorted(keys.items())
    ]
    for batch in in_batches(rows):
        await tx.connection.execute(tx.insert(collection).on_conflict_do_nothing(), batch)
    known = {row.key: row.id for row in await collections(tx)}
    for key, id_ in keys.items():
        if key not in known:
            raise Refused(f"collection {key!r}: the id {id_} is that of another collection here")
        if id_ is not None and known[key] != id_:
            raise Refused(f"collection {key!r} has the id {known[key]}; a collection's id never changes")
    return {key: known[key] for key in keys}


async def _rename(tx: Transaction, renamed: Mapping[str, str]) -> None:
    if not renamed:
        return
    known = {row.key: row.id for row in await collections(tx)}
    moving = {known[old]: new for old, new in moves(known, renamed).items()}
    # through a key that nobody can have, since keys are unique at every step
    for id_ in moving:
        await tx.connection.execute(update(collection).where(collection.c.id == id_).values(key=f"~{id_}"))
    for id_, new in moving.items():
        await tx.connection.execute(update(collection).where(collection.c.id == id_).values(key=new))


async def collections(tx: Transaction) -> list[CollectionRow]:
    """Every collection this node ever had, by key."""
    rows = await tx.connection.execute(select(collection).order_by(collection.c.key))
    return [CollectionRow(row.id, row.key, row.made, row.last_position, row.standing, row.stuck) for row in rows]


async def lock(tx: Transaction, collection_ids: Iterable[str]) -> dict[str, Head]:
    """Hold the heads of logs until the transaction ends; nobody else appends to them meanwhile.

    Take all that a transaction will need in one call: two that took theirs one by one could wait for each other.
    On SQLite a writing transaction is alone anyway. Raises NotFound for an unknown collection.
    """
    wanted = sorted(set(collection_ids))
    found: dict[str, Head] = {}
    for batch in in_batches(wanted):
        rows = await tx.connection.execute(
            select(collection.c.id, collection.c.last_position, collection.c.standing)
            .where(collection.c.id.in_(batch))
            .order_by(collection.c.id)
            .with_for_update()
        )
        found |= {row.id: Head(row.last_position, row.standing) for row in rows}
    if missing := set(wanted) - set(found):
        raise NotFound(f"no collection has the id {min(missing)}")
    return found


async def head(tx: Transaction, collection_id: str) -> Head:
    """Where a log ends, without holding it. Raises NotFound."""
    c = collection.c
    row = (
        await tx.connection.execute(select(c.last_position, c.standing).where(c.id == collection_id))
    ).one_or_none()
    if row is None:
        raise NotFound(f"no collection has the id {collection_id}")
    return Head(row.last_position, row.standing)


async def set_stuck(tx: Transaction, collection_id: str, why: str | None) -> None:
    """Note why new things are kept out of a collection (DESIGN 2.4); None: no longer."""
    await tx.connection.execute(update(collection).where(collection.c.id == collection_id).values(stuck=why))


# --- appending -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Appended:
    """An entry as written. `again`: nobody asked for it; an older version became the last again."""

    position: int
    op: Op
    object_id: str
    version_key: str
    again: bool


async def append(
    tx: Transaction, collection_id: str, entries: Sequence[Entry], configuration_sha256: str, now: int
) -> list[Appended]:
    """Write entries to a log, in their order, with what follows from them (see `log`); what was written.

    Takes the collection's lock if the transaction does not hold it yet. Raises NotFound for an unknown
    collection, or a version whose content is not kept.
    """
    if not entries:
        return []
    before = (await lock(tx, [collection_id]))[collection_id]
    writing = write(
        before, await _current(tx, collection_id, {entry.object_id for entry in entries}), entries, now
    )
    r = release.c
    for batch in in_batches(writing.ended):
        ended = update(release).where(r.collection_id == collection_id, r.position.in_(batch))
        await tx.connection.execute(ended.values(current=False, last=False))
    for batch in in_batches(writing.demoted):
        demoted = update(release).where(r.collection_id == collection_id, r.position.in_(batch))
        await tx.connection.execute(demoted.values(last=False))
    sizes = await _sizes(tx, {line.version_seq for line in writing.lines if line.current})
    rows = [
        {
            "collection_id": collection_id,
            "position": line.position,
            "op": line.op,
            "object_id": line.object_id,
            "version_key": line.version_key,
            "version_seq": line.version_seq,
            "type": line.type,
            "form": line.form,
            "size": sizes[line.version_seq] if line.current else 0,  # nothing else is ever served
            "hops": line.hops,
            "rules": list(line.rules),
            "configuration_sha256": configuration_sha256,
            "released": now,
            "current": line.current,
            "last": line.last,
        }
        for line in writing.lines
    ]
    for batch_ in in_batches(rows):
        await tx.connection.execute(release.insert(), batch_)
    tx.wrote(len(rows))
    await tx.connection.execute(
        update(collection)
        .where(collection.c.id == collection_id)
        .values(last_position=writing.head.last_position, standing=writing.head.standing)
    )
    return [
        Appended(line.position, line.op, line.object_id, line.version_key, line.again) for line in writing.lines
    ]


async def _current(tx: Transaction, collection_id: str, object_ids: Iterable[str]) -> list[Current]:
    r = release.c
    found = []
    for batch in in_batches(sorted(object_ids)):
        rows = await tx.connection.execute(
            select(
                r.position,
                r.op,
                r.object_id,
                r.type,
                r.version_seq,
                r.version_key,
                r.form,
                r.hops,
                r.rules,
                r.last,
            ).where(r.collection_id == collection_id, r.object_id.in_(batch), r.current)
        )
        found += [
            Current(
                row.position,
                row.op,
                row.object_id,
                row.type,
                row.version_seq,
                row.version_key,
                row.form,
                row.hops,
                row.rules,
                row.last,
            )
            for row in rows
        ]
    return found


async def _sizes(tx: Transaction, seqs: Iterable[int]) -> dict[int, int]:
    v = object_version.c
    found: dict[int, int] = {}
    for batch in in_batches(sorted(seqs)):
        rows = await tx.connection.execute(select(v.seq, func.length(v.raw)).where(v.seq.in_(batch)))
        for seq, size in rows:
            if size is None:
                raise NotFound("the content of a version to be released is no longer kept")
            found[seq] = size
    if missing := set(seqs) - set(found):
        raise NotFound(f"no object version has the number {min(missing)}")
    return found


# --- what stands ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StandingVersion:
    """The current entry of one version."""

    position: int
    seq: int
    sha256: str
    op: Op
    form: Form
    hops: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How an object stands in a collection: every version by its key; `form` and `op` are the last one's."""

    object_id: str
    form: Form
    op: Op
    versions: Mapping[str, StandingVersion]
    last_key: str

    @property
    def last(self) -> StandingVersion:
        return self.versions[self.last_key]


async def standing(tx: Transaction, collection_id: str, object_ids: Iterable[str]) -> dict[str, Standing]:
    """How each object stands in one collection; absent = not at all."""
    found: dict[str, Standing] = {}
    for batch in in_batches(dict.fromkeys(object_ids)):
        here = and_(release.c.collection_id == collection_id, release.c.object_id.in_(batch))
        found |= {object_id: where for (object_id, _), where in (await _standing(tx, here)).items()}
    return found


async def standing_everywhere(tx: Transaction, object_ids: Iterable[str]) -> dict[str, dict[str, Standing]]:
    """How each object stands in each collection, by object id and collection id."""
    known = [row.id for row in await collections(tx)]
    found: dict[str, dict[str, Standing]] = {}
    for batch in in_batches(dict.fromkeys(object_ids)):
        # each collection is named, because the index begins with it
        here = and_(release.c.collection_id.in_(known), release.c.object_id.in_(batch))
        for (object_id, collection_id), where in (await _standing(tx, here)).items():
            found.setdefault(object_id, {})[collection_id] = where
    return found


async def _standing(tx: Transaction, where: ColumnElement[bool]) -> dict[tuple[str, str], Standing]:
    r, v = release.c, object_version.c
    rows = await tx.connection.execute(
        select(
            r.object_id,
            r.collection_id,
            r.version_key,
            r.position,
            r.version_seq,
            v.sha256,
            r.op,
            r.form,
            r.hops,
        )
        .join(object_version, v.seq == r.version_seq)
        .where(where, r.current)
    )
    versions: dict[tuple[str, str], dict[str, StandingVersion]] = {}
    for object_id, collection_id, key, *rest in rows:
        versions.setdefault((object_id, collection_id), {})[key] = StandingVersion(*rest)
    found = {}
    for place, entries in versions.items():
        last_key = max(entries)
        last = entries[last_key]
        found[place] = Standing(place[0], last.form, last.op, entries, last_key)
    return found


async def standing_ids(tx: Transaction, collection_id: str) -> list[str]:
    """Every object that stands in a collection, in order of id."""
    r = release.c
    wanted = select(r.object_id).where(r.collection_id == collection_id, r.last)
    return list((await tx.connection.execute(wanted.order_by(r.object_id))).scalars())


async def named_by_standing(
    tx: Transaction, collection_id: str, ids: Iterable[str], *, without: Collection[str] = ()
) -> set[str]:
    """Those of `ids` that something standing in the collection names, objects `without` not counted."""
    found: set[str] = set()
    r, naming = release.c, reference.c
    for batch in in_batches(dict.fromkeys(ids)):
        wanted = (
            select(naming.target_id)
            .where(
                naming.target_id.in_(batch),
                exists().where(r.collection_id == collection_id, r.object_id == naming.source_id, r.current),
            )
            .distinct()
        )
        if without:
            wanted = wanted.where(naming.source_id.not_in(_listed(tx, without)))
        found.update((await tx.connection.execute(wanted)).scalars())
    return found


async def creators_standing(
    tx: Transaction, collection_id: str, ids: Iterable[str], *, without: Collection[str] = ()
) -> set[str]:
    """Those of `ids` that created something standing in the collection, objects `without` not counted."""
    found: set[str] = set()
    r, v = release.c, object_version.c
    for batch in in_batches(dict.fromkeys(ids)):
        stands = exists().where(r.collection_id == collection_id, r.version_seq == v.seq, r.current)
        wanted = select(v.creator).where(v.creator.in_(batch), stands).distinct()
        if without:
            wanted = wanted.where(v.id.not_in(_listed(tx, without)))
        found.update((await tx.connection.execute(wanted)).scalars())
    return found


def _listed(tx: Transaction, values: Iterable[str]) -> Select[tuple[str]]:
    """Values as a table, however many: one parameter, where a list in the statement would be cut into batches."""
    text = literal(json.dumps(sorted(values)))
    listed = func.json_array_elements_text(cast(text, JSON)) if tx.on_postgresql else func.json_each(text)
    return select(listed.table_valued("value").c.value)


# --- reading the log -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show of a log. None = everything.

    `after`: positions beyond this one. `versions`: any of the words `last`, `first`, `all`, or exact version keys.
    """

    after: int | None = None
    ids: Collection[str] | None = None
    types: Collection[str] | None = None
    versions: Collection[str] = frozenset({"last"})
    spec_versions: Collection[str] | None = None


class PageRow(NamedTuple):
    """One entry of a page; `raw` is empty in a manifest. A tuple, because pages are made of a thousand."""

    position: int
    op: Op
    object_id: str
    type: str
    version: str
    version_key: str
    spec_version: str
    sha256: str
    form: Form
    hops: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class ReleasePage:
    """Rows in the order of the log, and whether more follow."""

    rows: Sequence[PageRow]
    more: bool


class ChangeRow(NamedTuple):
    """One entry of the changes feed; `raw` only for what stands."""

    position: int
    op: Op
    object_id: str
    type: str
    version: str
    version_key: str
    spec_version: str
    sha256: str
    form: Form
    hops: int
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Changes in the order of the log, and whether more follow."""

    rows: Sequence[ChangeRow]
    more: bool


async def page(
    tx: Transaction, collection_id: str, what: Filter, limit: int, *, max_bytes: int | None = None
) -> ReleasePage:
    """What stands and passes the filter, in the order of the log: one read by index, however deep.

    At most `limit` rows, and as many as fit into `max_bytes` of content; one row always comes. Who reads the last
    versions by position misses none. A version that becomes the first again, because an older one was withdrawn,
    keeps its position.
    """
    shape, values = _ask_for(what)
    rows, more = await _read(tx, shape, "content", {**values, "collection": collection_id}, limit, max_bytes)
    return ReleasePage([PageRow._make(row) for row in rows], more)


async def manifest(tx: Transaction, collection_id: str, what: Filter, limit: int) -> ReleasePage:
    """The same as `page`, without the content."""
    shape, values = _ask_for(what)
    rows, more = await _read(tx, shape, "listing", {**values, "collection": collection_id}, limit, None)
    return ReleasePage([PageRow._make(row) for row in rows], more)


async def changes(
    tx: Transaction,
    collection_id: str,
    after: int,
    limit: int,
    *,
    granted_at: int = 0,
    max_bytes: int | None = None,
) -> ChangePage:
    """Every change beyond a position: what stands, with its content, and what was withdrawn or pruned, without.

    A put that no longer stands is left out: it was put again, or its withdrawal follows. Withdrawals at or before
    `granted_at`, the position at which the reader's grant began, are left out: he was never shown what they name.
    """
    values = {"collection": collection_id, "after": after, "granted_at": granted_at}
    rows, more = await _read(tx, None, "content", values, limit, max_bytes)
    return ChangePage([ChangeRow._make(row) for row in rows], more)


# --- the questions behind a page ------------------------------------------------------------------------------
# A statement is built once for each shape of question: building one takes longer than SQLite takes to answer it.


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a filter asks about, without the values. `types`: how many there are; None: not asked about."""

    after: bool
    ids: bool
    types: int | None
    versions: frozenset[str]  # of last, first, all, keys
    spec_versions: bool

    @property
    def type_by_type(self) -> bool:
        """Whether each type is read by its own index, so that a rare one costs no walk over all the others."""
        return self.types is not None and 1 < self.types <= _MOST_TYPES and not self.ids


_Part = Literal["content", "listing", "sizes", "total"]
_MOST_TYPES = 16  # with more, the walk misses few
_WORDS = frozenset({"last", "first", "all"})


def _ask_for(what: Filter) -> tuple[_Shape, dict[str, Any]]:
    """The shape of a filter, and the values that fill it."""
    words = _WORDS & set(what.versions)
    keys = sorted(set(what.versions) - words)
    types = None if what.types is None else sorted(what.types)
    shape = _Shape(
        after=what.after is not None,
        ids=what.ids is not None,
        types=None if types is None else len(types),
        versions=frozenset({"all"} if "all" in words else {*words, "keys"} if keys or not words else words),
        spec_versions=what.spec_versions is not None,
    )
    values: dict[str, Any] = {
        "after": what.after,
        "ids": None if what.ids is None else sorted(what.ids),
        "keys": keys if "keys" in shape.versions else None,
        "spec_versions": None if what.spec_versions is None else sorted(what.spec_versions),
    }
    if shape.type_by_type:
        values |= {f"type_{number}": kind for number, kind in enumerate(types or ())}
    else:
        values["types"] = types
    return shape, {name: value for name, value in values.items() if value is not None}


async def _read(
    tx: Transaction,
    shape: _Shape | None,
    part: _Part,
    values: Mapping[str, Any],
    limit: int,
    max_bytes: int | None,
) -> tuple[Sequence[Any], bool]:
    """The rows of a page, and whether more follow. No shape: the changes feed."""
    count = limit + 1  # one more tells whether more follow
    if max_bytes is not None:
        # adding up is cheap, so it comes first; nearly always everything fits
        total = await tx.connection.execute(_statement(shape, "total"), {**values, "count": count})
        size = total.scalar_one()
        if size is None:
            return [], False
        if size > max_bytes:
            found = await tx.connection.execute(_statement(shape, "sizes"), {**values, "count": count})
            sizes = list(found.scalars())
            count = min(limit, max(1, sum(so_far <= max_bytes for so_far in accumulate(sizes))))
            rows = await tx.connection.execute(_statement(shape, part), {**values, "count": count})
            return _in_order(rows), len(sizes) > count
    rows = await tx.connection.execute(_statement(shape, part), {**values, "count": count})
    together = _in_order(rows)
    return together[:limit], len(together) > limit


def _in_order(rows: Iterable[Any]) -> list[Any]:
    """By position, as the entries came: SQLite would carry the content through a sort."""
    return sorted(rows, key=itemgetter(0))


@lru_cache(maxsize=512)
def _statement(shape: _Shape | None, part: _Part) -> Select[Any]:
    """One question: what a page shows of its entries, or how many bytes they have, each or together."""
    e = (_changed() if shape is None else _entries(shape)).subquery("entry").c
    match part:
        case "total":
            return select(func.sum(e.size))
        case "sizes":
            return select(e.size).order_by(e.position)
        case "content":
            raw: ColumnElement[Any] = case((e.current, object_version.c.raw), else_=null())
        case "listing":
            raw = literal(b"")
    v = object_version.c
    return select(
        e.position,
        e.op,
        e.object_id,
        e.type,
        v.version,
        e.version_key,
        v.spec_version,
        v.sha256,
        e.form,
        e.hops,
        raw.label("raw"),
    ).join(object_version, v.seq == e.version_seq)


_COLUMNS = (
    release.c.position,
    release.c.op,
    release.c.object_id,
    release.c.type,
    release.c.version_seq,
    release.c.version_key,
    release.c.form,
    release.c.hops,
    release.c.size,
    release.c.current,
)
_COUNT: BindParameter[int] = bindparam("count", type_=Integer)


def _changed() -> Select[Any]:
    """Everything after a position that stands, or that went since the reader was let in."""
    r = release.c
    gone = and_(r.op.in_(["withdraw", "prune"]), r.position > bindparam("granted_at"))
    return (
        select(*_COLUMNS)
        .where(r.collection_id == bindparam("collection"), r.position > bindparam("after"), or_(r.current, gone))
        .order_by(r.position)
        .limit(_COUNT)
    )


def _entries(shape: _Shape) -> Select[Any]:
    """The first entries that pass the filter, by an index that has them in order."""
    r = release.c
    wanted = select(*_COLUMNS).where(r.collection_id == bindparam("collection"), _of_versions(shape.versions))
    # few objects are found by id and then sorted; the sum keeps SQLite from walking the log for the order's sake
    position: ColumnElement[int] = r.position + 0 if shape.ids else r.position
    if shape.after:
        wanted = wanted.where(position > bindparam("after"))
    if shape.ids:
        wanted = wanted.where(r.object_id.in_(bindparam("ids", expanding=True)), r.current)
    if shape.spec_versions:
        wanted = wanted.join(object_version, object_version.c.seq == r.version_seq).where(
            object_version.c.spec_version.in_(bindparam("spec_versions", expanding=True))
        )
    if shape.type_by_type:
        each = [
            select(wanted.where(r.type == bindparam(f"type_{n}")).order_by(position).limit(_COUNT).subquery())
            for n in range(shape.types or 0)
        ]
        together = union_all(*each).subquery()
        return select(together).order_by(together.c.position).limit(_COUNT)
    if shape.types is not None:
        wanted = wanted.where(r.type.in_(bindparam("types", expanding=True)))
    return wanted.order_by(position).limit(_COUNT)


def _of_versions(versions: frozenset[str]) -> ColumnElement[bool]:
    r, older = release.c, release.alias("older")
    if "all" in versions:
        return r.current
    if versions == {"last"}:
        return r.last
    chosen: list[ColumnElement[bool]] = []
    if "keys" in versions:
        chosen.append(r.version_key.in_(bindparam("keys", expanding=True)))
    if "last" in versions:
        chosen.append(r.last)
    if "first" in versions:
        chosen.append(
            ~exists().where(
                older.c.collection_id == r.collection_id,
                older.c.object_id == r.object_id,
                older.c.current,
                older.c.version_key < r.version_key,
            )
        )
    return and_(r.current, or_(*chosen))


# --- copies --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CopyLink:
    """Which redacted copy stands for which original in a collection. Private: never served.

    `body_sha256` is of what readers see of it, without dates; `omitted` is what it leaves out, in words.
    """

    collection_id: str
    original_id: str
    copy_id: str
    generation: int
    body_sha256: str
    omitted: tuple[str, ...]


async def put_copy(tx: Transaction, link: CopyLink) -> None:
    """Keep the link from an original to its copy, or what has changed of it."""
    values = {
        "copy_id": link.copy_id,
        "generation": link.generation,
        "body_sha256": link.body_sha256,
        "omitted": list(link.omitted),
    }
    await tx.connection.execute(
        tx.insert(copy)
        .values(collection_id=link.collection_id, original_id=link.original_id, **values)
        .on_conflict_do_update(index_elements=["collection_id", "original_id"], set_=values)
    )


async def copies_of(tx: Transaction, collection_id: str, original_ids: Iterable[str]) -> dict[str, CopyLink]:
    """The copies that were ever made of originals for one collection, by the original's id."""
    return {link.original_id: link for link in await _links(tx, collection_id, copy.c.original_id, original_ids)}


async def originals_of(tx: Transaction, copy_ids: Iterable[str]) -> dict[str, CopyLink]:
    """What copies stand for, by the copy's id."""
    return {link.copy_id: link for link in await _links(tx, None, copy.c.copy_id, copy_ids)}


async def _links(
    tx: Transaction, collection_id: str | None, column: ColumnElement[str], ids: Iterable[str]
) -> list[CopyLink]:
    found: list[CopyLink] = []
    for batch in in_batches(dict.fromkeys(ids)):
        wanted = select(copy).where(column.in_(batch))
        if collection_id is not None:
            wanted = wanted.where(copy.c.collection_id == collection_id)
        found += [_link(row) for row in await tx.connection.execute(wanted)]
    return found


def _link(row: Row[Any]) -> CopyLink:
    return CopyLink(
        row.collection_id,
        row.original_id,
        row.copy_id,
        row.generation,
        row.body_sha256,
        tuple(row.omitted),
    )


# --- postings ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Posting:
    """Who posted an object into a collection, and when (µs)."""

    collection_id: str
    object_id: str
    party_id: str
    posted: int


async def put_posting(tx: Transaction, collection_id: str, object_id: str, party_id: str, now: int) -> None:
    """Note that a party posted an object here; see `put_postings`."""
    await put_postings(tx, collection_id, [object_id], party_id, now)


async def put_postings(
    tx: Transaction, collection_id: str, object_ids: Iterable[str], party_id: str, now: int
) -> None:
    """Note that a party posted objects here. Who posted one first stays its poster, until he deletes it."""
    insert = tx.insert(posting)
    free = or_(posting.c.deleted.is_not(None), posting.c.party_id == party_id)
    noted = insert.on_conflict_do_update(
        index_elements=["collection_id", "object_id"],
        set_={"party_id": insert.excluded.party_id, "posted": insert.excluded.posted, "deleted": None},
        where=free,
    )
    rows = [
        {"collection_id": collection_id, "object_id": object_id, "party_id": party_id, "posted": now}
        for object_id in sorted(set(object_ids))
    ]
    for batch in in_batches(rows):
        await tx.connection.execute(noted, batch)


async def postings(tx: Transaction, collection_id: str, object_ids: Iterable[str]) -> dict[str, Posting]:
    """Who posted each object here and has not deleted it."""
    p = posting.c
    found = {}
    for batch in in_batches(dict.fromkeys(object_ids)):
        wanted = select(posting).where(
            p.collection_id == collection_id, p.object_id.in_(batch), p.deleted.is_(None)
        )
        for row in await tx.connection.execute(wanted):
            found[row.object_id] = Posting(row.collection_id, row.object_id, row.party_id, row.posted)
    return found


async def delete_posting(tx: Transaction, collection_id: str, object_id: str, now: int) -> None:
    """The poster took the object back. Raises NotFound when nobody has it posted here."""
    p = posting.c
    here = and_(p.collection_id == collection_id, p.object_id == object_id, p.deleted.is_(None))
    done = await tx.connection.execute(update(posting).where(here).values(deleted=now))
    if done.rowcount == 0:
        raise NotFound(f"nobody has {object_id} posted here")


# --- statuses ------------------------------------------------------------------------------------------------


async def put_status(
    tx: Transaction, status_id: str, party_id: str, collection_id: str, body: Mapping[str, Any], now: int
) -> None:
    """Keep what became of a POST (TAXII 2.1 §4.3)."""
    row = {
        "id": status_id,
        "party_id": party_id,
        "collection_id": collection_id,
        "requested": now,
        "body": dict(body),
    }
    await tx.connection.execute(status_table.insert(), row)


async def status(tx: Transaction, status_id: str, party_id: str) -> Mapping[str, Any] | None:
    """The status of a POST, for whoever posted; None for everybody else."""
    wanted = select(status_table.c.body).where(status_table.c.id == status_id, status_table.c.party_id == party_id)
    body: Mapping[str, Any] | None = (await tx.connection.execute(wanted)).scalar_one_or_none()
    return body


async def prune_statuses(tx: Transaction, before: int) -> int:
    """Forget the statuses of POSTs before a moment (µs); how many."""
    return (await tx.connection.execute(delete(status_table).where(status_table.c.requested < before))).rowcount


# --- grants --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grant:
    """Who is entitled to which log. `first_position` and `last_position`: where the log ended when the grant was
    given and when it ended (None: it holds); `given` and `ended`: the clock then (µs), as evidence.
    """

    party_id: str
    collection_id: str
    role: Role
    first_position: int
    last_position: int | None
    given: int
    ended: int | None


async def set_grants(tx: Transaction, wanted: Collection[tuple[str, str, Role]], now: int) -> None:
    """End every grant that is not among `wanted` (party id, collection id, role), and give those that are new."""
    g = grant.c
    heads = await lock(tx, [row.id for row in await collections(tx)])
    holding = await grants(tx, holding=True)
    held = {(given.party_id, given.collection_id, given.role) for given in holding}
    for party_id, collection_id, role in sorted(held - set(wanted)):
        await tx.connection.execute(
            update(grant)
            .where(
                g.party_id == party_id, g.collection_id == collection_id, g.role == role, g.last_position.is_(None)
            )
            .values(last_position=heads[collection_id].last_position, ended=now)
        )
    rows = [
        {
            "party_id": party_id,
            "collection_id": collection_id,
            "role": role,
            "first_position": heads[collection_id].last_position,
            "given": now,
        }
        for party_id, collection_id, role in sorted(set(wanted) - held)
    ]
    for batch in in_batches(rows):
        await tx.connection.execute(grant.insert(), batch)


async def grants(
    tx: Transaction,
    *,
    party_id: str | None = None,
    collection_id: str | None = None,
    holding: bool = False,
) -> list[Grant]:
    """Grants in the order in which they were given, ended ones too unless `holding`."""
    wanted = select(grant).order_by(grant.c.seq)
    if party_id is not None:
        wanted = wanted.where(grant.c.party_id == party_id)
    if collection_id is not None:
        wanted = wanted.where(grant.c.collection_id == collection_id)
    if holding:
        wanted = wanted.where(grant.c.last_position.is_(None))
    return [
        Grant(
            row.party_id,
            row.collection_id,
            row.role,
            row.first_position,
            row.last_position,
            row.given,
            row.ended,
        )
        for row in await tx.connection.execute(wanted)
    ]
