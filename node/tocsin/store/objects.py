"""Objects: every version of every object that this node holds, and on whose word.

A version is kept once, with its bytes as they came. A source is one (party, collection); its last word on a
version counts: while it is not `withdraw`, the source is live, and a version with a live source is held. Once no
source is left, `forget_unheld` destroys the bytes and keeps the fact.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Integer, Select, and_, cast, exists, func, literal_column, or_, select, update

from tocsin.stix.objects import ObjectVersion, from_micros, version_key
from tocsin.store import bulk
from tocsin.store.held import HeldVersion, Say, Source, Told, nearest_first
from tocsin.store.question import Lists, Question
from tocsin.store.tables import object_version, reference, release, source
from tocsin.store.transaction import Transaction, in_batches

__all__ = ["HeldVersion", "Say", "Source"]  # what callers need beside what is below


class Stored(NamedTuple):
    """Where a version is kept. `new`: its bytes were not here before."""

    seq: int
    new: bool
    version: str
    version_key: str


class Word(NamedTuple):
    """What one source says of one version. `party_id` and `collection_id` are '' for what this node made.

    `creator` is the version's; a withdrawal may leave it out.
    """

    seq: int
    party_id: str
    collection_id: str
    word: Say
    authentic: bool
    hops: int
    at: int
    creator: str | None = None


# --- storing -------------------------------------------------------------------------------------------------


async def add_version(tx: Transaction, version: ObjectVersion, *, received: int) -> Stored:
    """Keep one version; see `add_versions`."""
    return (await add_versions(tx, [version], received=received))[0]


async def begin_fresh(tx: Transaction, ids: Iterable[str]) -> None:
    """Tell apart the objects of which nothing was ever kept here: nothing more need be asked about them.

    The caller holds the locks of all logs (`releases.lock_all`) or is alone by the nature of SQLite.
    """
    asked = [id_ for id_ in dict.fromkeys(ids) if id_ not in tx.fresh]
    if asked:
        found = {id_ for (id_,) in await _KEPT.ask(tx, ids=asked)}
        tx.fresh.begin(id_ for id_ in asked if id_ not in found)


_KEPT = Question(
    lambda lists: select(object_version.c.id).where(lists.among(object_version.c.id, "ids")).distinct()
)


async def add_versions(tx: Transaction, versions: Sequence[ObjectVersion], *, received: int) -> list[Stored]:
    """Keep versions, each (id, version, hash) once. An object without dates has one version for each hash,
    dated `received` (microseconds) when it comes first. The answers stand in the order of `versions`.
    """
    kept: dict[tuple[str, str], Stored] = {}
    for batch in in_batches(version for version in versions if version.id not in tx.fresh):
        await _look_up(tx, batch, kept)
    for known in tx.fresh.kept(version.id for version in versions):
        kept[known.id, known.sha256] = Stored(known.seq, False, known.version, known.version_key)
    missing = {key: version for version in versions if (key := (version.id, version.sha256)) not in kept}
    if missing:
        await _insert(tx, [missing[key] for key in sorted(missing)], kept, received)
    if late := [version for key, version in missing.items() if key not in kept]:
        tx.fresh.forget(version.id for version in late)  # another transaction was quicker
        await _look_up(tx, late, kept)
    tx.wrote(sum(stored.new for stored in kept.values()))
    first = set()
    answers = []
    for version in versions:
        key = (version.id, version.sha256)
        stored = kept[key]
        answers.append(
            stored if key not in first else Stored(stored.seq, False, stored.version, stored.version_key)
        )
        first.add(key)
    return answers


async def _look_up(
    tx: Transaction, versions: Sequence[ObjectVersion], kept: dict[tuple[str, str], Stored]
) -> None:
    wanted = {(version.id, version.sha256): version for version in versions}
    t = object_version.c
    rows = await tx.connection.execute(
        select(t.seq, t.id, t.sha256, t.version, t.version_key, t.raw.is_(None).label("forgotten")).where(
            t.id.in_({id_ for id_, _ in wanted})
        )
    )
    for row in rows.all():
        key = (row.id, row.sha256)
        if key not in wanted or key in kept:
            continue
        if row.forgotten:
            await tx.connection.execute(update(object_version).where(t.seq == row.seq).values(raw=wanted[key].raw))
        kept[key] = Stored(row.seq, bool(row.forgotten), row.version, row.version_key)


_COLUMNS = (
    "id",
    "type",
    "version",
    "version_key",
    "sha256",
    "raw",
    "versioned",
    "spec_version",
    "received",
)


async def _insert(
    tx: Transaction,
    versions: Sequence[ObjectVersion],
    kept: dict[tuple[str, str], Stored],
    received: int,
) -> None:
    """Store versions that are not here, in one order for all, so that nobody waits in a circle."""
    rows = [_row(version, received) for version in versions]
    if tx.on_postgresql:
        numbers = await bulk.insert_returning(tx, object_version, _COLUMNS, rows, "seq", key=("id", "sha256"))
    else:
        # whoever writes to SQLite is alone: numbers follow one another
        ((last,),) = await _LAST_NUMBER.ask(tx)
        last = last or 0
        numbers = {(row[0], row[4]): last + place for place, row in enumerate(rows, start=1)}
        numbered = [(last + place, *row) for place, row in enumerate(rows, start=1)]
        await bulk.insert(tx, object_version, ("seq", *_COLUMNS), numbered)
    for version, row in zip(versions, rows, strict=True):
        key = (version.id, version.sha256)
        if key not in numbers:
            continue
        kept[key] = Stored(numbers[key], True, row[2], row[3])
        tx.fresh.keep(
            HeldVersion(
                seq=numbers[key],
                id=version.id,
                type=version.type,
                version=row[2],
                version_key=row[3],
                sha256=version.sha256,
                versioned=row[6],
                spec_version=row[7],
                received=received,
                raw=version.raw,
                _value=version.value,
                _told=Told(frozenset(version.named), version.creator, version.revoked),
            )
        )


_LAST_NUMBER = Question(lambda lists: select(func.max(object_version.c.seq)))


def _row(version: ObjectVersion, received: int) -> tuple[Any, ...]:
    literal = version.version if version.version is not None else from_micros(received)
    return (
        version.id,
        version.type,
        literal,
        version_key(literal),
        version.sha256,
        version.raw,
        version.version is not None,
        _spec_version(version),
        received,
    )


def _spec_version(version: ObjectVersion) -> str:
    """STIX 2.1 §3.1. Where `spec_version` is missing, an object with dates is one of 2.0, one without an SCO."""
    given = version.value.get("spec_version")
    if isinstance(given, str) and given:
        return given
    return "2.0" if version.version is not None else "2.1"


async def set_word(
    tx: Transaction,
    seq: int,
    party_id: str,
    collection_id: str,
    word: Say,
    *,
    authentic: bool,
    hops: int,
    at: int,
    creator: str | None = None,
) -> None:
    """Note one source's last word on one version; see `set_words`."""
    await set_words(tx, [Word(seq, party_id, collection_id, word, authentic, hops, at, creator)])


async def set_words(tx: Transaction, words: Iterable[Word]) -> None:
    """Note the last word of each source on each version; it takes the place of what that source said before."""
    rows = {
        (word.seq, word.party_id, word.collection_id): (
            word.seq,
            word.party_id,
            word.collection_id,
            word.word,
            word.authentic,
            word.hops,
            word.at,
            word.at,
            word.creator,
        )
        for word in words
    }
    await bulk.insert(tx, source, _SOURCE, [rows[key] for key in sorted(rows)], conflict=_SAID_BEFORE)
    for row in rows.values():
        tx.fresh.say(row[0], Source(*row[1:-1]))


_SOURCE = (
    "version_seq",
    "party_id",
    "collection_id",
    "word",
    "authentic",
    "hops",
    "first_heard",
    "last_heard",
    "creator",
)
_SAID_BEFORE = bulk.Conflict(_SOURCE[:3], ("word", "authentic", "hops", "last_heard"))


async def forget_unheld(tx: Transaction, ids: Iterable[str]) -> int:
    """Destroy the bytes of versions that no source offers and no log shows any more; how many."""
    forgotten = 0
    t = object_version.c
    ids = list(ids)
    tx.fresh.forget(ids)
    shown = exists().where(release.c.version_seq == t.seq, release.c.current)
    for batch in in_batches(ids):
        done = await tx.connection.execute(
            update(object_version)
            .where(t.id.in_(batch), t.raw.is_not(None), ~_offered(t.seq), ~shown)
            .values(raw=None)
        )
        forgotten += done.rowcount
    return forgotten


# --- looking -------------------------------------------------------------------------------------------------


def _offered(seq: Any) -> Any:
    """Whether a version has a live source."""
    return exists().where(source.c.version_seq == seq, source.c.word != "withdraw")


_AUTHENTIC = (
    select(func.max(cast(source.c.authentic, Integer)))
    .where(source.c.version_seq == object_version.c.seq, source.c.word != "withdraw")
    .scalar_subquery()
)


async def newest(tx: Transaction, ids: Iterable[str]) -> dict[str, HeldVersion]:
    """The newest version in force of each object that is held.

    Where its creator's own node speaks, nobody else's versions count: the greatest of the authentic
    versions, else the greatest of all; of two contents of one version the lower hash.
    """
    t = object_version.c
    found: dict[str, HeldVersion] = {}
    for batch in in_batches(dict.fromkeys(ids)):
        ranked = (
            select(
                t.seq,
                func.row_number()
                .over(partition_by=t.id, order_by=(_AUTHENTIC.desc(), t.version_key.desc(), t.sha256))
                .label("rank"),
            )
            .where(t.id.in_(batch), _offered(t.seq))
            .subquery()
        )
        wanted = select(*_HELD).join(ranked, ranked.c.seq == t.seq).where(ranked.c.rank == 1)
        found |= {version.id: version for version in await _versions(tx, wanted)}
    return found


async def offered(tx: Transaction, ids: Iterable[str]) -> dict[str, list[HeldVersion]]:
    """Every version of each object that some source offers, with all contents, oldest first."""
    wanted = list(dict.fromkeys(ids))
    found = {id_: held for id_ in wanted if id_ in tx.fresh and (held := tx.fresh.offered(id_))}
    if asked := [id_ for id_ in wanted if id_ not in tx.fresh]:
        rows = await _OFFERED.ask(tx, ids=asked)
        heard = await sources(tx, [row[0] for row in rows])
        for row in rows:
            version = _held(row, heard.get(row[0], ()), tx.told)
            found.setdefault(version.id, []).append(version)
    return found


def _all_offered(lists: Lists) -> Select[Any]:
    t = object_version.c
    wanted = select(*_HELD).where(lists.among(t.id, "ids"), _offered(t.seq))
    return wanted.order_by(t.id, t.version_key, t.sha256)


async def versions(tx: Transaction, id_: str) -> list[HeldVersion]:
    """Everything ever held under an id, oldest version first, forgotten and withdrawn ones too."""
    t = object_version.c
    return await _versions(tx, select(*_HELD).where(t.id == id_).order_by(t.version_key, t.sha256))


async def dates(tx: Transaction, id_: str) -> list[str]:
    """The versions ever stored under an id, oldest first, whether or not anybody still offers them."""
    t = object_version.c
    return list(
        (await tx.connection.execute(select(t.version).where(t.id == id_).order_by(t.version_key))).scalars()
    )


async def sources(tx: Transaction, seqs: Iterable[int]) -> dict[int, list[Source]]:
    """The last word of every source on each version, withdrawn ones too, nearest first."""
    found: dict[int, list[Source]] = defaultdict(list)
    asked = list(dict.fromkeys(seqs))
    for seq in asked:
        if said := tx.fresh.sources(seq):
            found[seq] = said
    if unknown := [seq for seq in asked if not tx.fresh.knows(seq)]:
        for seq, party_id, collection_id, word, authentic, *rest in await _SAID.ask(tx, seqs=unknown):
            found[seq].append(Source(party_id, collection_id, word, bool(authentic), *rest))
    return {seq: sorted(said, key=nearest_first) for seq, said in found.items()}


def _said(lists: Lists) -> Select[Any]:
    s = source.c
    fields = (s.version_seq, s.party_id, s.collection_id, s.word, s.authentic, s.hops, s.first_heard, s.last_heard)
    return select(*fields).where(lists.among(s.version_seq, "seqs", BigInteger()))


_SAID = Question(_said)


async def _versions(tx: Transaction, wanted: Select[Any]) -> list[HeldVersion]:
    rows = (await tx.connection.execute(wanted)).all()
    heard = await sources(tx, [row.seq for row in rows])
    return [_held(row, heard.get(row.seq, ()), tx.told) for row in rows]


_HELD = tuple(
    object_version.c[name]
    for name in (
        "seq",
        "id",
        "type",
        "version",
        "version_key",
        "sha256",
        "versioned",
        "spec_version",
        "received",
        "raw",
    )
)
_OFFERED = Question(_all_offered)


def _held(row: Sequence[Any], heard: Iterable[Source], told_before: dict[str, Told]) -> HeldVersion:
    seq, id_, type_, version, version_key_, sha256, versioned, spec_version, received, raw = row
    return HeldVersion(
        seq=seq,
        id=id_,
        type=type_,
        version=version,
        version_key=version_key_,
        sha256=sha256,
        versioned=bool(versioned),
        spec_version=spec_version,
        received=received,
        raw=raw or b"",
        sources=tuple(source for source in heard if source.live),
        _told_before=told_before,
    )


async def contents(tx: Transaction, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """The bytes of those of these (id, SHA-256)s that are kept here, on whoever's word."""
    wanted = set(names)
    found: dict[tuple[str, str], bytes] = {}
    t = object_version.c
    for batch in in_batches(sorted({id_ for id_, _ in wanted})):
        asked = select(t.id, t.sha256, t.raw).where(t.id.in_(batch), t.raw.is_not(None))
        asked = asked.where(t.sha256.in_(sorted({sha256 for id_, sha256 in wanted if id_ in batch})))
        for row in await tx.connection.execute(asked):
            found[row.id, row.sha256] = row.raw
    return {name: raw for name, raw in found.items() if name in wanted}


async def said_by(
    tx: Transaction, party_id: str, collection_id: str, ids: Iterable[str]
) -> dict[tuple[str, str], tuple[Say, int]]:
    """The last word of one source, and its hops, on each (id, SHA-256) of these objects that it ever spoke of."""
    s, t = source.c, object_version.c
    found: dict[tuple[str, str], tuple[Say, int]] = {}
    for batch in in_batches(sorted(set(ids))):
        asked = (
            select(t.id, t.sha256, s.word, s.hops)
            .join(source, s.version_seq == t.seq)
            .where(t.id.in_(batch), s.party_id == party_id, s.collection_id == collection_id)
        )
        found |= {(row.id, row.sha256): (row.word, row.hops) for row in await tx.connection.execute(asked)}
    return found


async def on_word(
    tx: Transaction, party_id: str, collection_id: str, *, after: int, limit: int
) -> list[tuple[int, str, str]]:
    """(number, id, SHA-256) of what is held on the word of one source, in order of number, beyond one of them."""
    s, t = source.c, object_version.c
    wanted = (
        select(s.version_seq, t.id, t.sha256)
        .join(object_version, t.seq == s.version_seq)
        .where(s.version_seq > after, s.party_id == party_id, s.collection_id == collection_id)
        .where(s.word != "withdraw")
        .order_by(s.version_seq)
        .limit(limit)
    )
    return [(row.version_seq, row.id, row.sha256) for row in await tx.connection.execute(wanted)]


async def all_ids(tx: Transaction, types: Collection[str] | None = None) -> list[str]:
    """The id of every object that is held, in order; of some types only, if given."""
    id_ = object_version.c.id
    wanted = select(id_).where(_offered(object_version.c.seq)).distinct()
    if types is not None:
        # an id begins with its object's type
        wanted = wanted.where(or_(*(_of_type(kind) for kind in sorted(types))))
    return list((await tx.connection.execute(wanted.order_by(id_))).scalars())


def _of_type(kind: str) -> Any:
    id_ = object_version.c.id
    return and_(id_ >= f"{kind}--", id_ < f"{kind}-.")  # `.` follows `-`


async def ids_by_prefix(tx: Transaction, hex_prefix: str, *, limit: int = 10) -> list[str]:
    """Ids of objects ever held whose UUID begins with these hex digits (dashes may be left out)."""
    digits = hex_prefix.replace("-", "").lower()
    begin = "-".join(
        part for part in (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]) if part
    )
    id_ = object_version.c.id
    ranges = [
        # `g` follows every digit, and every digit follows `-`
        and_(id_ >= f"{kind}--{begin}", id_ < f"{kind}--{begin}g")
        for kind in await _types(tx)
    ]
    if not ranges:
        return []
    found = await tx.connection.execute(select(id_).where(or_(*ranges)).distinct().order_by(id_).limit(limit))
    return list(found.scalars())


async def _types(tx: Transaction) -> list[str]:
    """The types of all objects: a step through the index of ids for each, not a walk over every row."""
    id_ = object_version.c.id
    found: list[str] = []
    while True:
        following = select(func.min(id_)).where(id_ >= (f"{found[-1]}-." if found else ""))
        step = (await tx.connection.execute(following)).scalar_one()
        if step is None:
            return found
        found.append(step.partition("--")[0])


async def incidents(
    tx: Transaction, *, before: int | None = None, limit: int = 100
) -> tuple[list[HeldVersion], int | None]:
    """The version in force of each incident (`newest`), those with the latest received greatest version first; and
    where to go on: the next page's `before`, None when there is no more.
    """
    t, later = object_version.c, object_version.alias("later")
    # one row for each incident, whichever of its versions is in force: only what is greatest has no other above it
    above = or_(
        later.c.version_key > t.version_key, and_(later.c.version_key == t.version_key, later.c.seq > t.seq)
    )
    wanted = (
        select(t.seq, t.id)
        .where(
            literal_column("object_version.type = 'incident'"),  # word for word, for the sake of its index
            _offered(t.seq),
            ~exists().where(later.c.id == t.id, above, _offered(later.c.seq)),
        )
        .order_by(t.seq.desc())
        .limit(limit + 1)  # one more tells whether there is more
    )
    if before is not None:
        wanted = wanted.where(t.seq < before)
    rows = (await tx.connection.execute(wanted)).all()
    best = await newest(tx, [row.id for row in rows[:limit]])
    return [best[row.id] for row in rows[:limit]], rows[limit - 1].seq if len(rows) > limit else None


# --- references ----------------------------------------------------------------------------------------------


async def note_references(tx: Transaction, versions: Iterable[tuple[int, Iterable[str]]]) -> None:
    """Note what versions name: (seq, ids named)s."""
    rows = {(seq, target) for seq, targets in versions for target in targets}
    await bulk.insert(tx, reference, ("version_seq", "target_id"), sorted(rows), conflict=_NOTED_BEFORE)


_NOTED_BEFORE = bulk.Conflict()


async def referring(tx: Transaction, targets: Iterable[str]) -> set[str]:
    """The objects that name one of the targets."""
    asked = list(dict.fromkeys(targets))
    return {id_ for (id_,) in await _REFERRING.ask(tx, targets=asked)} if asked else set()


_REFERRING = Question(
    lambda lists: (
        select(object_version.c.id)
        .join(reference, reference.c.version_seq == object_version.c.seq)
        .where(lists.among(reference.c.target_id, "targets"))
        .distinct()
    )
)


async def names_of(tx: Transaction, ids: Iterable[str]) -> set[str]:
    """What the objects name, in any version."""
    found: set[str] = set()
    for batch in in_batches(dict.fromkeys(ids)):
        names = (
            select(reference.c.target_id)
            .join(object_version, object_version.c.seq == reference.c.version_seq)
            .where(object_version.c.id.in_(batch))
            .distinct()
        )
        found.update((await tx.connection.execute(names)).scalars())
    return found
