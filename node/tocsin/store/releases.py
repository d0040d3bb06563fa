"""Releases: the collections, and for each the append-only log of what its readers may see.

Whoever writes to logs holds the rows of their collections (`lock`, in order of id) from before it reads what
stands until it commits: so the order of commits is the order of positions. What stands beside a log is here too:
copies, postings, statuses, grants.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    exists,
    func,
    select,
    update,
)

from tocsin.errors import NotFound, Refused
from tocsin.store import bulk, seals
from tocsin.store.log import Current, Entry, Form, Head, Op, write
from tocsin.store.names import moves
from tocsin.store.question import Lists, Question
from tocsin.store.tables import collection, object_version, reference, release, source
from tocsin.store.transaction import Transaction, in_batches

__all__ = ["Entry", "Form", "Head", "Op"]  # what callers of `append` and `lock` need beside what is below


@dataclass(frozen=True, slots=True)
class CollectionRow:
    """A collection: `key` is its label in `tocsin.yaml`; `stuck` says why new things are kept out, or is None.
    `epoch`: positions of this log mean something within it."""

    id: str
    key: str
    made: int
    last_position: int
    standing: int
    stuck: str | None
    epoch: str


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
        {
            "id": id_ or str(uuid.uuid4()),
            "key": key,
            "made": now,
            "last_position": 0,
            "standing": 0,
            "epoch": str(uuid.uuid4()),
        }
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
    return [CollectionRow(*row) for row in await _COLLECTIONS.ask(tx)]


_COLLECTIONS = Question(lambda lists: select(collection).order_by(collection.c.key))


async def lock(tx: Transaction, collection_ids: Iterable[str]) -> dict[str, Head]:
    """Hold the heads of logs until the transaction ends; nobody else appends to them meanwhile.

    Take all that a transaction will need in one call: two that took theirs one by one could wait for each other.
    On SQLite a writing transaction is alone anyway. Raises NotFound for an unknown collection.
    """
    wanted = set(collection_ids)
    if not wanted <= tx.heads.keys():
        rows = await _HEADS_HELD.ask(tx, ids=sorted(wanted))
        tx.heads |= {id_: Head(last_position, standing) for id_, last_position, standing in rows}
    if missing := wanted - tx.heads.keys():
        raise NotFound(f"no collection has the id {min(missing)}")
    return {id_: tx.heads[id_] for id_ in wanted}


_HEADS_HELD = Question(
    lambda lists: (
        select(collection.c.id, collection.c.last_position, collection.c.standing)
        .where(lists.among(collection.c.id, "ids"))
        .order_by(collection.c.id)
        .with_for_update()
    )
)


async def lock_all(tx: Transaction) -> list[CollectionRow]:
    """Hold the heads of all logs: nobody else writes objects until the transaction ends. Gives every collection.

    Whoever brings objects takes these before anything else. Writers then wait for each other once, at the start,
    and never in a circle.
    """
    rows = await _COLLECTIONS_HELD.ask(tx)
    if not rows and tx.on_postgresql:  # a node that only imports or reads from peers has no row to hold
        await tx.connection.execute(select(func.pg_advisory_xact_lock(_NO_COLLECTION)))
        rows = await _COLLECTIONS_HELD.ask(tx)
    held = [CollectionRow(*row) for row in rows]
    tx.heads |= {row.id: Head(row.last_position, row.standing) for row in held}
    return held


_COLLECTIONS_HELD = Question(lambda lists: select(collection).order_by(collection.c.id).with_for_update())


_NO_COLLECTION = 0x746F6373696E01  # of PostgreSQL, in place of the rows


async def head(tx: Transaction, collection_id: str) -> Head:
    """Where a log ends, without holding it. Raises NotFound."""
    c = collection.c
    row = (
        await tx.connection.execute(select(c.last_position, c.standing).where(c.id == collection_id))
    ).one_or_none()
    if row is None:
        raise NotFound(f"no collection has the id {collection_id}")
    return Head(row.last_position, row.standing)


async def epoch(tx: Transaction, collection_id: str) -> str:
    """The epoch of a log. Raises NotFound."""
    row = (await tx.connection.execute(select(collection.c.epoch).where(collection.c.id == collection_id))).first()
    if row is None:
        raise NotFound(f"no collection has the id {collection_id}")
    return str(row.epoch)


async def begin_epoch(tx: Transaction, collection_id: str) -> str:
    """From now on positions of this log mean something else; the new epoch. Raises NotFound.

    For who brings a log back from a copy: readers know positions that it gave out after the copy was made, and
    might give out again. They are told, and read it again from its start.
    """
    began = str(uuid.uuid4())
    done = await tx.connection.execute(
        update(collection).where(collection.c.id == collection_id).values(epoch=began)
    )
    if done.rowcount == 0:
        raise NotFound(f"no collection has the id {collection_id}")
    return began


async def set_stuck(tx: Transaction, collection_id: str, why: str | None) -> None:
    """Note why new things are kept out of a collection; None: no longer."""
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
    contents = await _contents(tx, {line.version_seq for line in writing.lines if line.op in ("put", "revoke")})
    rules = {tuple(line.rules): bulk.as_json(list(line.rules)) for line in writing.lines}
    rows = [
        (
            collection_id,
            line.position,
            line.op,
            line.object_id,
            line.version_key,
            line.version_seq,
            line.type,
            line.form,
            contents[line.version_seq].size if line.current else 0,  # nothing else is ever served
            line.hops,
            rules[tuple(line.rules)],
            configuration_sha256,
            now,
            line.current,
            line.last,
        )
        for line in writing.lines
    ]
    await bulk.insert(tx, release, _COLUMNS, rows)
    tx.fresh.wrote(log_of(collection_id), {line.object_id for line in writing.lines})
    tx.wrote(len(rows))
    await _MOVE_HEAD.ask(tx, id=collection_id, position=writing.head.last_position, number=writing.head.standing)
    sealed = [
        (
            line.position,
            line.op,
            line.object_id,
            line.type,
            line.version_seq,
            line.version_key,
            contents[line.version_seq].sha256 if line.op in ("put", "revoke") else "",
            line.form,
            line.hops,
            rules[tuple(line.rules)],
            configuration_sha256,
            now,
        )
        for line in writing.lines
    ]
    await seals.seal_appended(tx, collection_id, sealed, now, is_first=before.last_position == 0)
    tx.heads[collection_id] = writing.head
    return [
        Appended(line.position, line.op, line.object_id, line.version_key, line.again) for line in writing.lines
    ]


_MOVE_HEAD = Question(
    lambda lists: (
        update(collection)
        .where(collection.c.id == bindparam("id"))
        .values(last_position=bindparam("position"), standing=bindparam("number"))
    )
)
_COLUMNS = (
    "collection_id",
    "position",
    "op",
    "object_id",
    "version_key",
    "version_seq",
    "type",
    "form",
    "size",
    "hops",
    "rules",
    "configuration_sha256",
    "released",
    "current",
    "last",
)


async def _current(tx: Transaction, collection_id: str, object_ids: Iterable[str]) -> list[Current]:
    r = release.c
    found = []
    for batch in in_batches(sorted(tx.fresh.to_ask(log_of(collection_id), list(object_ids)))):
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
            ).where(r.collection_id == collection_id, r.version_seq.in_(_versions_of(batch)), r.current)
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


class _Content(NamedTuple):
    size: int
    sha256: str


async def _contents(tx: Transaction, seqs: Set[int]) -> dict[int, _Content]:
    v = object_version.c
    found = {seq: _Content(*known) for seq in seqs if (known := tx.fresh.content(seq)) is not None}
    for batch in in_batches(sorted(seqs - found.keys())):
        rows = await tx.connection.execute(select(v.seq, func.length(v.raw), v.sha256).where(v.seq.in_(batch)))
        for seq, size, sha256 in rows:
            if size is None:
                raise NotFound("the content of a version to be released is no longer kept")
            found[seq] = _Content(size, sha256)
    if missing := seqs - found.keys():
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
    asked = tx.fresh.to_ask(log_of(collection_id), list(object_ids))
    rows = await _STANDING.ask(tx, collection=collection_id, ids=asked) if asked else ()
    return {object_id: where for (object_id, _), where in _stand(rows).items()}


def _standing_where(where: ColumnElement[bool]) -> Select[Any]:
    r, v = release.c, object_version.c
    return (
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


def _of_objects(lists: Lists) -> ColumnElement[bool]:
    return release.c.version_seq.in_(select(object_version.c.seq).where(lists.among(object_version.c.id, "ids")))


_STANDING = Question(
    lambda lists: _standing_where(and_(release.c.collection_id == bindparam("collection"), _of_objects(lists)))
)
_STANDING_ANYWHERE = Question(lambda lists: _standing_where(_of_objects(lists)))


async def standing_everywhere(tx: Transaction, object_ids: Iterable[str]) -> dict[str, dict[str, Standing]]:
    """How each object stands in each collection, by object id and collection id."""
    found: dict[str, dict[str, Standing]] = {}
    for (object_id, collection_id), where in _stand(
        await _STANDING_ANYWHERE.ask(tx, ids=list(dict.fromkeys(object_ids)))
    ).items():
        found.setdefault(object_id, {})[collection_id] = where
    return found


def log_of(collection_id: str) -> str:
    """The name of one log among what a transaction wrote to (`held.Fresh`)."""
    return f"release of {collection_id}"


def _versions_of(ids: list[str]) -> Select[tuple[int]]:
    """The numbers of all versions of objects, by which the log is searched."""
    return select(object_version.c.seq).where(object_version.c.id.in_(ids))


def _stand(rows: Iterable[Sequence[Any]]) -> dict[tuple[str, str], Standing]:
    versions: dict[tuple[str, str], dict[str, StandingVersion]] = {}
    for object_id, collection_id, key, *rest in rows:
        versions.setdefault((object_id, collection_id), {})[key] = StandingVersion(*rest)
    found = {}
    for place, entries in versions.items():
        last_key = max(entries)
        last = entries[last_key]
        found[place] = Standing(place[0], last.form, last.op, entries, last_key)
    return found


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry of a log as it was written: `at` is the clock then, in microseconds."""

    at: int
    collection: str
    op: Op
    object_id: str
    version_key: str
    form: Form
    rules: tuple[str, ...]


async def history(tx: Transaction, object_ids: Iterable[str]) -> list[Logged]:
    """Everything that was ever written about objects, in all logs, oldest first."""
    r = release.c
    found = []
    for batch in in_batches(dict.fromkeys(object_ids)):
        rows = await tx.connection.execute(
            select(r.released, r.position, collection.c.key, r.op, r.object_id, r.version_key, r.form, r.rules)
            .join(collection, collection.c.id == r.collection_id)
            .where(r.version_seq.in_(_versions_of(batch)))
        )
        found += [
            (
                row.position,
                Logged(row.released, row.key, row.op, row.object_id, row.version_key, row.form, tuple(row.rules)),
            )
            for row in rows
        ]
    return [entry for _, entry in sorted(found, key=lambda one: one[0])]


async def standing_ids(tx: Transaction, collection_id: str) -> list[str]:
    """Every object that stands in a collection, in order of id."""
    r = release.c
    wanted = select(r.object_id).where(r.collection_id == collection_id, r.last)
    return list((await tx.connection.execute(wanted.order_by(r.object_id))).scalars())


async def standing_entries(tx: Transaction, collection_id: str) -> list[Logged]:
    """Everything that stands in a collection, every version, in the order of its log."""
    r = release.c
    rows = await tx.connection.execute(
        select(r.released, collection.c.key, r.op, r.object_id, r.version_key, r.form, r.rules)
        .join(collection, collection.c.id == r.collection_id)
        .where(r.collection_id == collection_id, r.current)
        .order_by(r.position)
    )
    return [
        Logged(row.released, row.key, row.op, row.object_id, row.version_key, row.form, tuple(row.rules))
        for row in rows
    ]


async def named_by_standing(
    tx: Transaction, collection_id: str, ids: Iterable[str], *, without: Collection[str] = ()
) -> set[str]:
    """Those of `ids` that something standing in the collection names, objects `without` not counted."""
    # one by one: half a log may name the same marking, and the first that does is enough
    return {
        id_
        for id_ in dict.fromkeys(ids)
        if await _NAMING.ask(tx, target=id_, collection=collection_id, without=without)
    }


def _naming(lists: Lists) -> Select[Any]:
    r, naming = release.c, reference.c
    stands = exists().where(
        r.version_seq == naming.version_seq, r.collection_id == bindparam("collection"), r.current
    )
    others = naming.version_seq.not_in(_numbers(lists))
    return select(naming.version_seq).where(naming.target_id == bindparam("target"), stands, others).limit(1)


_NAMING = Question(_naming)


async def creators_standing(
    tx: Transaction, collection_id: str, ids: Iterable[str], *, without: Collection[str] = ()
) -> dict[str, set[str]]:
    """Those of `ids` that created something standing in the collection, each with the ids of the parties on whose
    word that is held; objects `without` not counted."""
    found: dict[str, set[str]] = {}
    for id_, party in (await _first_parties(tx, ids)).items():
        # a step through the index for each party, and the first of its objects that stands is enough
        while party is not None:
            if await _CREATED.ask(tx, creator=id_, party=party, collection=collection_id, without=without):
                found.setdefault(id_, set()).add(party)
            ((party,),) = await _NEXT_PARTY.ask(tx, creator=id_, party=party)
    return found


def _created(lists: Lists) -> Select[Any]:
    r, s = release.c, source.c
    return (
        select(s.version_seq)
        .join(release, and_(r.version_seq == s.version_seq, r.collection_id == bindparam("collection")))
        .where(
            s.creator == bindparam("creator"),
            s.party_id == bindparam("party"),
            s.word != "withdraw",
            r.current,
            s.version_seq.not_in(_numbers(lists)),
        )
        .limit(1)
    )


_CREATED = Question(_created)
_NEXT_PARTY = Question(
    lambda lists: select(func.min(source.c.party_id)).where(
        source.c.creator == bindparam("creator"), source.c.party_id > bindparam("party")
    )
)


async def _first_parties(tx: Transaction, creators: Iterable[str]) -> dict[str, str | None]:
    """Of those who created anything that is held here, the first party on whose word."""
    wanted = sorted(set(creators))
    rows = await _FIRST_PARTIES.ask(tx, ids=wanted) if wanted else ()
    return {creator: first for creator, first in rows if first is not None}


def _first_party(lists: Lists) -> Select[Any]:
    asked = lists.rows("ids")
    party = select(func.min(source.c.party_id)).where(source.c.creator == asked.c.value).scalar_subquery()
    return select(asked.c.value, party)


_FIRST_PARTIES = Question(_first_party)


def _numbers(lists: Lists) -> Select[tuple[int]]:
    """The numbers of all versions of objects."""
    return select(object_version.c.seq).where(lists.among(object_version.c.id, "without"))
