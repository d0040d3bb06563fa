"""Records: what was read from a tracker, what the mapping made of it, and what belongs to which incident."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, Select, delete, func, select

from tocsin.stix.canonical import dump_json
from tocsin.store import bulk
from tocsin.store.question import Lists, Question
from tocsin.store.tables import assessment, belonging, record
from tocsin.store.transaction import Transaction, in_batches


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read, and its translation. `owner` is a party id, '' for the node itself.

    `place` is the `file:line` it was read from, `mapping` the mapping's `name@version`, `imported` microseconds.
    """

    incident_id: str
    owner: str
    source: str
    format: str
    source_id: str
    content: bytes = field(repr=False)
    place: str
    mapping: str
    translation: Mapping[str, Any] = field(repr=False)
    translation_sha256: str
    imported: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """A person's classification of an incident."""

    seq: int
    incident_id: str
    answers: Mapping[str, Any]
    by_role: str
    because: str | None
    made: int


@dataclass(frozen=True, slots=True)
class Belonging:
    """One object that was made together with an incident of ours, and its role there."""

    object_id: str
    incident_id: str
    role: str


# --- records -------------------------------------------------------------------------------------------------


async def find(tx: Transaction, owner: str, source: str, format_: str, source_id: str) -> Record | None:
    return (await find_all(tx, owner, source, format_, [source_id])).get(source_id)


async def find_all(
    tx: Transaction, owner: str, source: str, format_: str, source_ids: Iterable[str]
) -> dict[str, Record]:
    """The records of one source that are known, by the id they have there."""
    found = {}
    for batch in in_batches(dict.fromkeys(source_ids)):
        wanted = select(record).where(
            record.c.owner == owner,
            record.c.source == source,
            record.c.format == format_,
            record.c.source_id.in_(batch),
        )
        for row in await tx.connection.execute(wanted):
            found[row.source_id] = _record(row)
    return found


async def named(tx: Transaction, source: str, source_id: str) -> list[Record]:
    """What `source:record` names, whoever owns it and whatever its format."""
    wanted = select(record).where(record.c.source == source, record.c.source_id == source_id)
    rows = await tx.connection.execute(wanted.order_by(record.c.incident_id))
    return [_record(row) for row in rows]


async def of_incidents(tx: Transaction, incident_ids: Iterable[str]) -> dict[str, Record]:
    """The record behind each incident that has one."""
    found = {}
    for batch in in_batches(dict.fromkeys(incident_ids)):
        for row in await tx.connection.execute(select(record).where(record.c.incident_id.in_(batch))):
            found[row.incident_id] = _record(row)
    return found


async def put(tx: Transaction, *records: Record) -> None:
    """Keep records as last read; what was kept of them before is replaced."""
    rows = [
        (
            one.incident_id,
            one.owner,
            one.source,
            one.format,
            one.source_id,
            one.content,
            one.place,
            one.mapping,
            dump_json(one.translation).decode("utf-8"),
            one.translation_sha256,
            one.imported,
        )
        for one in sorted(records, key=lambda one: one.incident_id)
    ]
    await bulk.insert(tx, record, _COLUMNS, rows, conflict=_READ_BEFORE)


_COLUMNS = (
    "incident_id",
    "owner",
    "source",
    "format",
    "source_id",
    "content",
    "place",
    "mapping",
    "translation",
    "translation_sha256",
    "imported",
)
_READ_BEFORE = bulk.Conflict(
    ("incident_id",), ("content", "place", "mapping", "translation", "translation_sha256", "imported")
)


def _record(row: Row[Any]) -> Record:
    return Record(
        row.incident_id,
        row.owner,
        row.source,
        row.format,
        row.source_id,
        row.content,
        row.place,
        row.mapping,
        row.translation,
        row.translation_sha256,
        row.imported,
    )


# --- assessments ---------------------------------------------------------------------------------------------


async def add_assessment(
    tx: Transaction, incident_id: str, answers: Mapping[str, Any], by_role: str, because: str | None, now: int
) -> None:
    """Note a person's classification; those before it stay, and no longer count."""
    row = {
        "incident_id": incident_id,
        "answers": dict(answers),
        "by_role": by_role,
        "because": because,
        "made": now,
    }
    await tx.connection.execute(assessment.insert(), row)
    tx.fresh.wrote("assessment", [incident_id])


async def newest_assessments(tx: Transaction, incident_ids: Iterable[str]) -> dict[str, Assessment]:
    """The classification that counts, of each incident that a person assessed."""
    found = {}
    for batch in in_batches(dict.fromkeys(incident_ids)):
        last = (
            select(func.max(assessment.c.seq))
            .where(assessment.c.incident_id.in_(batch))
            .group_by(assessment.c.incident_id)
        )
        for row in await tx.connection.execute(select(assessment).where(assessment.c.seq.in_(last))):
            found[row.incident_id] = _assessment(row)
    return found


async def assessments(tx: Transaction, incident_id: str) -> list[Assessment]:
    """Every classification of one incident, oldest first."""
    wanted = select(assessment).where(assessment.c.incident_id == incident_id).order_by(assessment.c.seq)
    return [_assessment(row) for row in await tx.connection.execute(wanted)]


async def assessed(tx: Transaction, incident_ids: Iterable[str]) -> set[str]:
    """Those of the incidents that a person assessed."""
    found: set[str] = set()
    for batch in in_batches(tx.fresh.to_ask("assessment", list(incident_ids))):
        ids = select(assessment.c.incident_id).where(assessment.c.incident_id.in_(batch)).distinct()
        found.update((await tx.connection.execute(ids)).scalars())
    return found


def _assessment(row: Row[Any]) -> Assessment:
    return Assessment(row.seq, row.incident_id, row.answers, row.by_role, row.because, row.made)


# --- belongings ----------------------------------------------------------------------------------------------


async def put_belongings(tx: Transaction, made: Mapping[str, Iterable[tuple[str, str]]]) -> None:
    """Note, by incident, the (object id, role) made with it, itself included, in place of those before."""
    for batch in in_batches(tx.fresh.to_ask("belonging.incident_id", list(made))):
        await tx.connection.execute(delete(belonging).where(belonging.c.incident_id.in_(batch)))
    rows = sorted(
        (object_id, incident_id, role)
        for incident_id, objects in made.items()
        for object_id, role in dict(objects).items()
    )
    await bulk.insert(tx, belonging, ("object_id", "incident_id", "role"), rows)
    tx.fresh.wrote("belonging.object_id", (object_id for object_id, _, _ in rows))
    tx.fresh.wrote("belonging.incident_id", made)


async def belonging_to(tx: Transaction, incident_ids: Iterable[str]) -> list[Belonging]:
    """Everything that belongs to the incidents."""
    asked = tx.fresh.to_ask("belonging.incident_id", list(incident_ids))
    return [Belonging(*row) for row in await _COMPANY.ask(tx, ids=asked)] if asked else []


def _company(lists: Lists) -> Select[Any]:
    b = belonging.c
    wanted = select(b.object_id, b.incident_id, b.role).where(lists.among(b.incident_id, "ids"))
    return wanted.order_by(b.incident_id, b.object_id)


_COMPANY = Question(_company)


async def belongings_of(tx: Transaction, object_ids: Iterable[str]) -> dict[str, list[Belonging]]:
    """The incidents that each object belongs to, and its role there, for those that belong to any."""
    asked = tx.fresh.to_ask("belonging.object_id", list(object_ids))
    found: dict[str, list[Belonging]] = defaultdict(list)
    for row in await _BELONGING.ask(tx, ids=asked) if asked else ():
        found[row[0]].append(Belonging(*row))
    return dict(found)


def _belonging(lists: Lists) -> Select[Any]:
    b = belonging.c
    wanted = select(b.object_id, b.incident_id, b.role).where(lists.among(b.object_id, "ids"))
    return wanted.order_by(b.object_id, b.incident_id)


_BELONGING = Question(_belonging)
