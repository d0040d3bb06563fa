"""Erasures: content destroyed, the fact kept, and the database made to forget the bytes.

An erased id stays known by its id and hashes alone, so that it neither comes back nor is looked for. What is
written over still lies in the files of a database until it is told to let go: see `forget_bytes`. Copies of these
files that were made before (backups, archives of PostgreSQL's log, snapshots of disks) are out of our reach.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from sqlalchemy import String, bindparam, cast, delete, make_url, or_, select, text, update

from tocsin.errors import Unavailable
from tocsin.store import bulk
from tocsin.store.question import Question
from tocsin.store.tables import (
    assessment,
    belonging,
    erasure,
    ledger,
    object_version,
    publication,
    record,
    reference,
    schedule,
    source,
    status,
)
from tocsin.store.transaction import Transaction, in_batches

EVERY_VERSION = ""  # the sha256 that stands for all of an id, those that come later too
SMALL = 256 * 1024 * 1024  # bytes of a database that is written anew without being asked to
REFUSAL = "erased here"
_WAIT = 10.0  # seconds for others to let go of SQLite's journal


@dataclass(frozen=True, slots=True)
class Erasure:
    """That something was erased here: `because` and `by` are a person's; `at` in microseconds."""

    object_id: str
    sha256: str
    because: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class Amount:
    """What is kept of objects, in numbers."""

    versions: int
    records: int
    assessments: int
    quarantined: int
    statuses: int

    @property
    def nothing(self) -> bool:
        return not (self.versions or self.records or self.assessments or self.quarantined or self.statuses)


async def note(tx: Transaction, object_ids: Sequence[str], because: str, by: str, at: int) -> None:
    """Keep the fact: every version that was held, by its hash, and that no other is to come."""
    hashes = []
    for batch in in_batches(object_ids):
        v = object_version.c
        rows = await tx.connection.execute(select(v.id, v.sha256).where(v.id.in_(batch)))
        hashes += [(row.id, row.sha256) for row in rows]
    known = sorted({*hashes, *((id_, EVERY_VERSION) for id_ in object_ids)})
    rows_ = [(id_, sha256, because, by, at) for id_, sha256 in known]
    await bulk.insert(tx, erasure, _COLUMNS, rows_, conflict=bulk.Conflict())


_COLUMNS = ("object_id", "sha256", "because", "by", "at")


async def allow_again(tx: Transaction, object_ids: Iterable[str]) -> set[str]:
    """They may come back, from whoever has them; what was erased of them stays erased. Those that were erased."""
    lifted: set[str] = set()
    for batch in in_batches(dict.fromkeys(object_ids)):
        gone = delete(erasure).where(erasure.c.object_id.in_(batch)).returning(erasure.c.object_id)
        lifted |= set((await tx.connection.execute(gone)).scalars())
    return lifted


async def erased(tx: Transaction, object_ids: Iterable[str]) -> set[str]:
    """Those of the ids that were erased here, and are not to come back.

    What was erased was held, so nothing is asked about objects that come into being in this transaction.
    """
    asked = [id_ for id_ in dict.fromkeys(object_ids) if id_ not in tx.fresh]
    return {id_ for (id_,) in await _ERASED.ask(tx, ids=asked)} if asked else set()


_ERASED = Question(
    lambda lists: select(erasure.c.object_id).where(
        lists.among(erasure.c.object_id, "ids"), erasure.c.sha256 == bindparam("sha256", EVERY_VERSION)
    )
)


async def erasures(tx: Transaction, object_id: str) -> list[Erasure]:
    """What is known of an erased object."""
    rows = await tx.connection.execute(
        select(erasure).where(erasure.c.object_id == object_id).order_by(erasure.c.sha256)
    )
    return [Erasure(row.object_id, row.sha256, row.because, row.by, row.at) for row in rows]


# --- what there is -------------------------------------------------------------------------------------------


async def amount(tx: Transaction, object_ids: Sequence[str]) -> Amount:
    """What would be destroyed."""
    versions = records = assessments = quarantined = 0
    for batch in in_batches(object_ids):
        v, r, a, q = object_version.c, record.c, assessment.c, ledger.c
        held = select(v.seq).where(v.id.in_(batch), v.raw.is_not(None))
        versions += len((await tx.connection.execute(held)).all())
        read = select(r.incident_id).where(r.incident_id.in_(batch))
        records += len((await tx.connection.execute(read)).all())
        assessed = select(a.seq).where(a.incident_id.in_(batch))
        assessments += len((await tx.connection.execute(assessed)).all())
        kept = select(q.seq).where(q.object_id.in_(batch), q.content.is_not(None))
        quarantined += len((await tx.connection.execute(kept)).all())
    return Amount(versions, records, assessments, quarantined, len(await _statuses_about(tx, object_ids)))


async def _statuses_about(tx: Transaction, object_ids: Sequence[str]) -> list[str]:
    """The answers to POSTs, kept for two days, that speak of any of the objects."""
    body = cast(status.c.body, String)
    found: set[str] = set()
    for batch in in_batches(object_ids, 50):
        wanted = select(status.c.id).where(or_(*(body.contains(id_, autoescape=True) for id_ in batch)))
        found |= set((await tx.connection.execute(wanted)).scalars())
    return sorted(found)


async def records_with(tx: Transaction, words: bytes) -> list[str]:
    """The incidents whose source record holds these very bytes. Reads every record."""
    r = record.c
    place = "position(:words IN content)" if tx.on_postgresql else "instr(content, :words)"
    wanted = select(r.incident_id).where(text(f"{place} > 0").bindparams(words=words)).order_by(r.incident_id)
    return list((await tx.connection.execute(wanted)).scalars())


async def objects_with(tx: Transaction, kind: str, words: bytes) -> list[str]:
    """The objects of a type any kept version of which holds these very bytes. Reads all of that type."""
    v = object_version.c
    place = "position(:words IN raw)" if tx.on_postgresql else "instr(raw, :words)"
    wanted = select(v.id).where(v.type == kind, text(f"{place} > 0").bindparams(words=words)).distinct()
    return list((await tx.connection.execute(wanted.order_by(v.id))).scalars())


# --- destroying ----------------------------------------------------------------------------------------------


async def destroy(tx: Transaction, object_ids: Sequence[str]) -> None:
    """Destroy everything that is kept of objects but their ids, hashes and dates, and what the log says of them.

    Nothing of them may stand in a log any more. No source offers them from here on.
    """
    if not tx.on_postgresql:
        await tx.connection.exec_driver_sql("PRAGMA secure_delete = ON")  # what is let go is written over
    tx.fresh.forget(object_ids)
    for status_id in await _statuses_about(tx, object_ids):
        await tx.connection.execute(delete(status).where(status.c.id == status_id))
    for batch in in_batches(object_ids):
        numbers = select(object_version.c.seq).where(object_version.c.id.in_(batch))
        await tx.connection.execute(
            update(source).where(source.c.version_seq.in_(numbers)).values(word="withdraw")
        )
        await tx.connection.execute(delete(reference).where(reference.c.version_seq.in_(numbers)))
        await tx.connection.execute(update(object_version).where(object_version.c.id.in_(batch)).values(raw=None))
        await tx.connection.execute(delete(record).where(record.c.incident_id.in_(batch)))
        await tx.connection.execute(delete(assessment).where(assessment.c.incident_id.in_(batch)))
        await tx.connection.execute(delete(schedule).where(schedule.c.incident_id.in_(batch)))
        await tx.connection.execute(delete(publication).where(publication.c.object_id.in_(batch)))
        await tx.connection.execute(
            delete(belonging).where(or_(belonging.c.object_id.in_(batch), belonging.c.incident_id.in_(batch)))
        )
        # a reason may quote what was wrong with the content
        await tx.connection.execute(
            update(ledger).where(ledger.c.object_id.in_(batch)).values(content=None, reason=REFUSAL)
        )


# --- the files -----------------------------------------------------------------------------------------------


async def forget_bytes(url: str, *, rewrite: bool) -> list[str]:
    """Make the database let go of what was destroyed; what is left for the operator to do, as sentences.

    SQLite: the journal is emptied, and the file written anew, if `rewrite` or small (older pages may lie in it
    unused). PostgreSQL: tables are written anew (VACUUM FULL), under the same condition; it stops who uses them
    meanwhile. Raises Unavailable.
    """
    if url.startswith("sqlite:///"):
        return await asyncio.to_thread(_forget_in_file, Path(url.removeprefix("sqlite:///")), rewrite)
    return await _forget_in_postgresql(url, rewrite=rewrite)


def _forget_in_file(file: Path, rewrite: bool) -> list[str]:
    left = []
    try:
        connection = sqlite3.connect(file, timeout=_WAIT, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            if rewrite or file.stat().st_size <= SMALL:
                connection.execute("VACUUM")
            else:
                left.append(
                    "The file is large and was not written anew: what was replaced earlier may still lie in pages "
                    "that it does not use. When there is time: tocsin erase --rewrite"
                )
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.OperationalError as why:
        raise Unavailable(
            f"the content is destroyed, but its bytes may still lie in the database's files ({why}): "
            "run tocsin erase --rewrite"
        ) from why
    if busy:
        left.append(
            "Somebody reads the database just now, so its journal (tocsin.db-wal) could not be emptied: "
            "run tocsin erase --rewrite again"
        )
    return left


_WRITTEN_ANEW = (
    "object_version",
    "record",
    "assessment",
    "ledger",
    "status",
    "schedule",
)
_ARCHIVES = (
    "PostgreSQL's log (WAL) and its archives, base backups and standbys hold what was there before: let them age "
    "out, or make new ones and destroy the old."
)


async def _forget_in_postgresql(url: str, *, rewrite: bool) -> list[str]:
    parsed = make_url(url).set(drivername="postgresql+asyncpg")
    _, where = parsed.get_dialect()().create_connect_args(parsed)
    left = [_ARCHIVES]
    try:
        connection = await asyncpg.connect(**where)
        try:
            size = await connection.fetchval("SELECT pg_database_size(current_database())")
            full = rewrite or size <= SMALL
            for table in _WRITTEN_ANEW:  # statistics keep samples of what stood there
                await connection.execute(f'VACUUM ({"FULL, " if full else ""}ANALYZE) "{table}"')
            await connection.execute("CHECKPOINT" if await _may_checkpoint(connection) else "SELECT 1")
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError) as why:
        raise Unavailable(
            f"the content is destroyed, but its bytes may still lie in the database's files ({why}): "
            "run tocsin erase --rewrite"
        ) from why
    if not full:
        left.append("The tables are large and were not written anew. When there is time: tocsin erase --rewrite")
    return left


async def _may_checkpoint(connection: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))
