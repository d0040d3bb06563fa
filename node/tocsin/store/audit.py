"""Audit: what happened here, to what, when. Ids and rules, never content."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select

from tocsin.stix.canonical import dump_json
from tocsin.store.question import Question
from tocsin.store.tables import audit
from tocsin.store.transaction import Transaction, in_batches


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One event. `subject` is the object, collection or party it is about; `at` is in microseconds."""

    seq: int
    at: int
    event: str
    subject: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """An event still to be noted."""

    event: str
    subject: str
    details: Mapping[str, Any]


async def append(tx: Transaction, event: str, subject: str, details: Mapping[str, Any], at: int) -> None:
    await _APPEND.ask(tx, at=at, event=event, subject=subject, details=dump_json(details).decode("utf-8"))


_COLUMNS = ("at", "event", "subject", "details")
_APPEND = Question(lambda lists: insert(audit).values({name: bindparam(name) for name in _COLUMNS}))


async def append_all(tx: Transaction, events: Iterable[Event], at: int) -> None:
    """Note events that happened at one moment, in their order."""
    rows = ({"at": at, "event": e.event, "subject": e.subject, "details": dict(e.details)} for e in events)
    for batch in in_batches(rows):
        await tx.connection.execute(audit.insert(), batch)


async def entries(
    tx: Transaction,
    subject: str | None = None,
    limit: int = 100,
    *,
    event: str | None = None,
    since: int | None = None,
) -> list[AuditEntry]:
    """The latest entries, latest first; of one subject, of one kind of event, from a moment (µs) on, if given."""
    wanted = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    if subject is not None:
        wanted = wanted.where(audit.c.subject == subject)
    if event is not None:
        wanted = wanted.where(audit.c.event == event)
    if since is not None:
        wanted = wanted.where(audit.c.at >= since)
    rows = await tx.connection.execute(wanted)
    return [AuditEntry(row.seq, row.at, row.event, row.subject, row.details) for row in rows]
