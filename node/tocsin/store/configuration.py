"""Configuration: the files that were applied. The last ones applied are in force; all are kept."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select, text

from tocsin.store import seals
from tocsin.store.question import Question
from tocsin.store.tables import configuration
from tocsin.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class AppliedConfiguration:
    """The text of each file, by its name in the home; the hash over them; when it came into force (µs)."""

    seq: int
    sha256: str
    files: Mapping[str, str]
    applied: int


async def in_force(tx: Transaction) -> AppliedConfiguration | None:
    """What judges now; None before anything was applied."""
    last = select(configuration).order_by(configuration.c.seq.desc()).limit(1)
    row = (await tx.connection.execute(last)).one_or_none()
    return AppliedConfiguration(row.seq, row.sha256, row.files, row.applied) if row else None


async def in_force_sha256(tx: Transaction) -> str | None:
    """The hash of what judges now, without its files: cheap enough for every request."""
    rows = await _SHA256_IN_FORCE.ask(tx)
    return rows[0][0] if rows else None


_SHA256_IN_FORCE = Question(
    lambda lists: select(configuration.c.sha256).order_by(configuration.c.seq.desc()).limit(1)
)


async def alone(tx: Transaction) -> None:
    """Nobody else brings files into force until the transaction ends. Whoever only reads does not wait.

    On SQLite a writing transaction is alone anyway.
    """
    if tx.on_postgresql:
        await tx.connection.execute(text("LOCK TABLE configuration IN SHARE ROW EXCLUSIVE MODE"))


async def apply(tx: Transaction, files: Mapping[str, str], sha256: str, now: int) -> int:
    """Bring files into force; the number of this application."""
    made = await tx.connection.execute(
        tx.insert(configuration)
        .values(sha256=sha256, files=dict(files), applied=now)
        .returning(configuration.c.seq)
    )
    number = int(made.scalar_one())
    await seals.seal_rest(tx, seals.CONFIGURATION, now)
    return number


async def history(tx: Transaction) -> list[AppliedConfiguration]:
    """Everything ever applied, oldest first."""
    rows = await tx.connection.execute(select(configuration).order_by(configuration.c.seq))
    return [AppliedConfiguration(row.seq, row.sha256, row.files, row.applied) for row in rows]
