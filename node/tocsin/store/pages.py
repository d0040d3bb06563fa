"""Pages: the log as its readers page through it: objects, manifests, and what changed.

Each is one indexed question, built once for each shape of filter; nothing is decided here. What most readers ask,
they ask a thousand objects at a time: `glance` puts that question to the driver itself, and takes no more columns
than an envelope needs.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Dialect,
    FromClause,
    Integer,
    Select,
    and_,
    any_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    union_all,
)

from tocsin.store.glance import Glance, with_state
from tocsin.store.log import Form, Op
from tocsin.store.moment import Moment
from tocsin.store.tables import object_version, release
from tocsin.store.transaction import Store, Transaction


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
class ContentPage:
    """What an envelope is made of: objects in the order of the log, their positions, and whether more follow."""

    positions: Sequence[int]
    raws: Sequence[bytes]
    more: bool

    @property
    def first(self) -> int | None:
        """The position of the first object; None where there is none."""
        return self.positions[0] if self.positions else None

    @property
    def last(self) -> int | None:
        """The position of the last object; None where there is none."""
        return self.positions[-1] if self.positions else None


@dataclass(frozen=True, slots=True)
class ReleasePage:
    """Rows in the order of the log, and whether more follow."""

    rows: Sequence[PageRow]
    more: bool

    @property
    def first(self) -> int | None:
        """The position of the first row; None where there is none."""
        return self.rows[0].position if self.rows else None

    @property
    def last(self) -> int | None:
        """The position of the last row; None where there is none."""
        return self.rows[-1].position if self.rows else None


class ChangeRow(NamedTuple):
    """One entry of the changes feed; `raw` only for what stands, and where contents were asked for."""

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


_ALWAYS = ((0, None),)  # the grant of a reader who was there from the beginning


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


async def content(tx: Transaction, collection_id: str, what: Filter, limit: int, *, max_bytes: int) -> ContentPage:
    """The same as `page`, of which only what an envelope needs."""
    found = await page(tx, collection_id, what, limit, max_bytes=max_bytes)
    return ContentPage([row.position for row in found.rows], [row.raw for row in found.rows], found.more)


async def glance(
    store: Store, collection_id: str, what: Filter, limit: int, *, max_bytes: int
) -> tuple[ContentPage, Moment] | None:
    """The same as `content`, by one question outside any transaction, and the moment of which it is.

    None for a filter that is too rare in its shape to be worth a statement that the database keeps ready.
    """
    shape, values = _ask_for(what)
    lists = tuple((name, len(value)) for name, value in values.items() if isinstance(value, list))
    if limit >= _BOUNDS[-1] or any(not 0 < length <= _MOST_VALUES for _, length in lists):
        return None
    bound = next(one for one in _BOUNDS if one > limit)
    share = max_bytes // (limit + 1)
    values |= {"collection": collection_id, "count": limit + 1, "bytes": max_bytes, "share": share}
    if store.dialect.name == "postgresql":
        found = await _asked(store, _written(store.dialect, shape, lists, bound, "small"), values, None)
        if (small := _paired(found.columns)) is not None:
            return ContentPage(small[0][:limit], small[1][:limit], len(small[0]) > limit), found.moment
    found = await _asked(store, _written(store.dialect, shape, lists, bound, "weighed"), values, max_bytes)
    if not found.columns:
        return ContentPage((), (), more=False), found.moment
    positions, raws = found.columns
    return ContentPage(positions[:limit], raws[:limit], found.cut or len(positions) > limit), found.moment


async def _asked(store: Store, written: "_Written", values: Mapping[str, Any], max_bytes: int | None) -> Glance:
    known = {**values, **written.constants}
    filled = [known[name] if place is None else known[name][place] for name, place in written.places]
    return await store.glance(written.text, filled, max_bytes)


def _paired(columns: Sequence[Sequence[Any]]) -> tuple[Sequence[int], Sequence[bytes]] | None:
    """Positions and contents, in the order of the log, from the answer to the question for small ones: entries
    with their positions, then versions with their contents. None where the content of an entry is missing."""
    if not columns:
        return (), ()
    seqs, positions, raws = columns
    count = len(positions) - positions.count(None)
    if seqs[:count] == seqs[count:] and None not in positions[:count]:
        # the usual case: versions were added to the log as they came
        return None if None in raws[count:] else (positions[:count], raws[count:])
    contents = {seq: raw for seq, raw in zip(seqs, raws, strict=True) if raw is not None}
    entries = sorted((at, seq) for seq, at in zip(seqs, positions, strict=True) if at is not None)
    if any(seq not in contents for _, seq in entries):
        return None
    return [at for at, _ in entries], [contents[seq] for _, seq in entries]


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
    granted: Collection[tuple[int, int | None]] = _ALWAYS,
    max_bytes: int | None = None,
    content: bool = True,
) -> ChangePage:
    """Every change beyond a position: what stands, with its content, and what was withdrawn or pruned, without.

    A put that no longer stands is left out: it was put again, or its withdrawal follows. `granted`: the first and
    last positions of every grant that the reader ever had (last None: it holds). A withdrawal is told exactly if
    what it names stood, with this content, during one of them: of anything else he was never shown the id.
    Without `content` entries are only named, and bounded by count alone.
    """
    shape, values = _ask_for_changes(granted)
    values |= {"collection": collection_id, "after": after}
    part: _Part = "content" if content else "names"
    rows, more = await _read(tx, shape, part, values, limit, max_bytes if content else None)
    return ChangePage([ChangeRow._make(row) for row in rows], more)


async def contents(
    tx: Transaction, collection_id: str, positions: Collection[int], *, max_bytes: int
) -> ChangePage:
    """Those of the entries at these positions that still stand, with their contents, in the order of the log.

    As many as fit into the bytes, but one if there is one; `more`: others stand that did not fit.
    """
    values = {"collection": collection_id, "positions": sorted(set(positions))}
    rows, more = await _read(tx, _Chosen(), "content", values, len(values["positions"]), max_bytes)
    return ChangePage([ChangeRow._make(row) for row in rows], more)


async def last_told(
    tx: Transaction, collection_id: str, *, granted: Collection[tuple[int, int | None]] = _ALWAYS
) -> int:
    """Where the log ends for a reader: the position of the last entry that `changes` tells him; 0 where it tells
    none. What he is not told does not move it."""
    shape, values = _ask_for_changes(granted)
    found = await tx.connection.execute(_ending(shape), {**values, "collection": collection_id})
    return found.scalar_one_or_none() or 0


async def was_told(
    tx: Transaction, collection_id: str, position: int, *, granted: Collection[tuple[int, int | None]] = _ALWAYS
) -> bool:
    """Whether `changes` tells a reader of an entry at this very position, or may have told him of one that was
    overtaken since."""
    shape, values = _ask_for_changes(granted)
    found = await tx.connection.execute(
        _telling(shape), {**values, "collection": collection_id, "position": position}
    )
    return found.first() is not None


class Standing(NamedTuple):
    """What a digest is made of: an entry that stands, and the hash of its content."""

    position: int
    object_id: str
    sha256: str


async def standing_after(tx: Transaction, collection_id: str, after: int, limit: int) -> list[Standing]:
    """The entries that stand beyond a position, in the order of the log, without contents."""
    values = {"collection": collection_id, "after": after, "count": limit}
    return [Standing._make(row) for row in await tx.connection.execute(_STANDING, values)]


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


@dataclass(frozen=True, slots=True)
class _Changes:
    """What the changes feed asks: for how many grants."""

    grants: int


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Asks for entries by their positions."""


_Part = Literal["content", "listing", "names", "sizes", "total"]
_GONE: tuple[Op, ...] = ("withdraw", "prune")
_NO_END = 2**63 - 1  # the last position of a grant that holds
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


def _ask_for_changes(granted: Collection[tuple[int, int | None]]) -> tuple[_Changes, dict[str, Any]]:
    latest_first = sorted(((first, _NO_END if last is None else last) for first, last in granted), reverse=True)
    values: dict[str, Any] = {}
    for number, (first, last) in enumerate(latest_first):
        values |= {f"first_{number}": first, f"last_{number}": last}
    return _Changes(len(latest_first)), values


async def _read(
    tx: Transaction,
    shape: _Shape | _Changes | _Chosen,
    part: _Part,
    values: Mapping[str, Any],
    limit: int,
    max_bytes: int | None,
) -> tuple[Sequence[Any], bool]:
    """The rows of a page, and whether more follow."""
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
def _statement(shape: _Shape | _Changes | _Chosen, part: _Part) -> Select[Any]:
    """One question: what a page shows of its entries, or how many bytes they have, each or together."""
    match shape:
        case _Changes(grants):
            wanted = _changed(grants)
        case _Chosen():
            wanted = _at_positions()
        case _Shape():
            wanted = _entries(shape)
    e = wanted.subquery("entry").c
    match part:
        case "total":
            return select(func.sum(e.size))
        case "sizes":
            return select(e.size).order_by(e.position)
        case "content":
            raw: ColumnElement[Any] = case((e.current, object_version.c.raw), else_=null())
        case "listing":
            raw = literal(b"")
        case "names":
            raw = null()
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


_BOUNDS = (16, 128, 1024)  # of the rows that PostgreSQL plans for; a page has fewer
_MOST_VALUES = 16  # of a list; each length is a statement


@dataclass(frozen=True, slots=True)
class _Written:
    """A question as a driver takes it. `places`: which value stands where, by its name, and of a list which one;
    `constants`: those that are always the same."""

    text: str
    places: Sequence[tuple[str, int | None]]
    constants: Mapping[str, Any]


@lru_cache(maxsize=512)
def _written(
    dialect: Dialect,
    shape: _Shape,
    lists: tuple[tuple[str, int], ...],
    bound: int,
    how: Literal["small", "weighed"],
) -> _Written:
    """The question of `glance`, written once for each shape.

    SQLite goes through the log row by row, and is asked no more when it is enough. PostgreSQL sends all rows at
    once; so it is asked first for *small* contents, of which so many as a page may have fit in any case, and shows
    none where one is larger. Only if there was one, it adds up what the rows before one weigh, which takes half as
    long again. Small ones it looks up all at a time, by a list of keys, in four fifths of the time of a join, and
    leaves to `_paired` which is whose. It plans once for all pages, and therefore is told a bound that is no
    parameter.
    """
    wanted = _contents(shape, bound, how) if dialect.name == "postgresql" else _contents_row_by_row(shape)
    compiled = wanted.compile(dialect=dialect)
    lengths = dict(lists)
    constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
    sample = {name: [""] * lengths[name] if name in lengths else 0 for name in compiled.binds}
    written = compiled.construct_expanded_state(sample)
    places = {
        one: (name, place) for name, many in written.parameter_expansion.items() for place, one in enumerate(many)
    }
    names = [places.get(name, (name, None)) for name in written.positiontup or ()]
    columns = 3 if how == "small" else 2
    text = with_state(written.statement, columns) if dialect.name == "postgresql" else written.statement
    return _Written(text, names, constants)


def _contents(shape: _Shape, bound: int, how: Literal["small", "weighed"]) -> Select[Any] | CompoundSelect[Any]:
    """For PostgreSQL. Weighed, of the contents that no longer fit only the first comes; and the first two in any
    case, since one has to come and it is to be known whether more follow."""
    v = object_version.c
    e = _entries(shape, literal_column(str(bound))).subquery("entry").c
    if how == "small":
        f = select(e.position, e.version_seq, e.size).order_by(e.position).limit(_COUNT).cte("first").c
        small = select(f.version_seq).where(f.size <= bindparam("share", type_=BigInteger)).scalar_subquery()
        contents = select(v.seq, null(), v.raw).where(v.seq == any_(func.array(small)))
        return union_all(select(f.version_seq, f.position, null()), contents)
    before = (func.sum(e.size).over(order_by=e.position) - e.size).label("before")
    number = func.row_number().over(order_by=e.position).label("number")
    w = select(e.position, e.version_seq, before, number).order_by(e.position).limit(_COUNT).subquery("weighed").c
    wanted = select(w.position, v.raw).join(object_version, v.seq == w.version_seq)
    return wanted.where(or_(w.before <= bindparam("bytes", type_=BigInteger), w.number <= literal_column("2")))


def _contents_row_by_row(shape: _Shape) -> Select[Any]:
    """For SQLite. What has to be sorted is sorted before its content is looked up."""
    v, r = object_version.c, release.c
    if shape.ids or shape.spec_versions or shape.type_by_type:
        e = _entries(shape).subquery("entry").c
        return select(e.position, v.raw).join(object_version, v.seq == e.version_seq)
    wanted = _entries(shape).with_only_columns(r.position, v.raw)
    return wanted.join(object_version, v.seq == r.version_seq)


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


def _changed(grants: int) -> Select[Any]:
    """Everything after a position that stands, or that went and was shown to the reader before it went."""
    r = release.c
    return (
        select(*_COLUMNS)
        .where(r.collection_id == bindparam("collection"), r.position > bindparam("after"), _is_told(grants))
        .order_by(r.position)
        .limit(_COUNT)
    )


def _is_told(grants: int) -> ColumnElement[bool]:
    """Whether the changes feed tells a reader of an entry."""
    r = release.c
    return or_(r.current, and_(r.op.in_(_GONE), _was_shown(grants)))


@lru_cache(maxsize=64)
def _ending(shape: _Changes) -> Select[Any]:
    """The last position that is told."""
    r = release.c
    wanted = select(r.position).where(r.collection_id == bindparam("collection"), _is_told(shape.grants))
    return wanted.order_by(r.position.desc()).limit(1)


@lru_cache(maxsize=64)
def _telling(shape: _Changes) -> Select[Any]:
    """The entry at a position, if it is told, or was as long as it stood."""
    r, later = release.c, release.alias("later")
    overtaken: ColumnElement[bool] = false()
    if shape.grants:
        granted_until = _granted_until(shape.grants, later, _same_version(later, r), release)
        overtaken = and_(r.op.not_in(_GONE), r.position <= granted_until)
    return select(r.position).where(
        r.collection_id == bindparam("collection"),
        r.position == bindparam("position", type_=BigInteger),
        or_(_is_told(shape.grants), overtaken),
    )


def _at_positions() -> Select[Any]:
    """What stands at chosen positions."""
    r = release.c
    return (
        select(*_COLUMNS)
        .where(
            r.collection_id == bindparam("collection"),
            r.position.in_(bindparam("positions", expanding=True, type_=BigInteger)),
            r.current,
        )
        .order_by(r.position)
        .limit(_COUNT)
    )


_STANDING = (
    select(release.c.position, release.c.object_id, object_version.c.sha256)
    .join(object_version, object_version.c.seq == release.c.version_seq)
    .where(
        release.c.collection_id == bindparam("collection"),
        release.c.position > bindparam("after"),
        release.c.current,
    )
    .order_by(release.c.position)
    .limit(_COUNT)
)


def _was_shown(grants: int) -> ColumnElement[bool]:
    """Whether what a withdrawal names stood during one of the reader's grants, and was not withdrawn before.

    It may have been put several times: again, since it became the last version again, or after another content of
    the same version. Each put stood until the next entry of that version.
    """
    if not grants:
        return false()
    r, shown, later = release.c, release.alias("shown"), release.alias("later")
    same_version = _same_version(later, shown.c)
    withdrawn_before = (
        exists()
        .where(same_version, later.c.position < r.position, later.c.op.in_(_GONE))
        .correlate(release, shown)
    )
    return exists().where(
        shown.c.collection_id == r.collection_id,
        shown.c.object_id == r.object_id,
        shown.c.version_seq == r.version_seq,
        shown.c.op.not_in(_GONE),
        shown.c.position < r.position,
        shown.c.position <= _granted_until(grants, later, same_version, release, shown),
        ~withdrawn_before,
    )


def _same_version(later: Any, entry: Any) -> ColumnElement[bool]:
    """Whether an entry comes after another of the same version, with whatever content."""
    r, v = release.c, object_version.c
    contents_ = select(v.seq).where(v.id == r.object_id, v.version_key == r.version_key).correlate(release)
    return and_(
        later.c.version_seq.in_(contents_),
        later.c.collection_id == r.collection_id,
        later.c.position > entry.position,
    )


def _granted_until(
    grants: int, later: Any, same_version: ColumnElement[bool], *correlated: FromClause
) -> ColumnElement[int]:
    """The last position of the grants during which an entry stood that no longer does; 0 where there is none.

    It stood until the next one of its version, which is the least of `later`. Grants follow one another, so of
    those that began before that one the latest reaches furthest.
    """
    stood_until = select(func.min(later.c.position)).where(same_version).correlate(*correlated).scalar_subquery()
    return case(
        *(
            (
                stood_until > bindparam(f"first_{number}", type_=BigInteger),
                bindparam(f"last_{number}", type_=BigInteger),
            )
            for number in range(grants)
        ),
        else_=literal(0, type_=BigInteger),
    )


def _entries(shape: _Shape, count: ColumnElement[int] = _COUNT) -> Select[Any]:
    """The first entries that pass the filter, by an index that has them in order."""
    r = release.c
    wanted = select(*_COLUMNS).where(r.collection_id == bindparam("collection"), _of_versions(shape.versions))
    # few objects are found by id and then sorted; the sum keeps SQLite from walking the log for the order's sake
    position: ColumnElement[int] = r.position + 0 if shape.ids else r.position
    if shape.after:
        wanted = wanted.where(position > bindparam("after"))
    if shape.ids:
        named = select(object_version.c.seq).where(object_version.c.id.in_(bindparam("ids", expanding=True)))
        wanted = wanted.where(r.version_seq.in_(named), r.current)
    if shape.spec_versions:
        wanted = wanted.join(object_version, object_version.c.seq == r.version_seq).where(
            object_version.c.spec_version.in_(bindparam("spec_versions", expanding=True))
        )
    if shape.type_by_type:
        each = [
            select(wanted.where(r.type == bindparam(f"type_{n}")).order_by(position).limit(count).subquery())
            for n in range(shape.types or 0)
        ]
        together = union_all(*each).subquery()
        return select(together).order_by(together.c.position).limit(count)
    if shape.types is not None:
        wanted = wanted.where(r.type.in_(bindparam("types", expanding=True)))
    return wanted.order_by(position).limit(count)


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
