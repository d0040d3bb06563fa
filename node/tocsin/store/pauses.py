"""Pauses: whom nothing is given, and from whom nothing is taken, for now; and why.

A pause is a row, so all replicas see it with their next look at the database, and a restart does not lift it.
`Party.paused` is read together with the party, by every way in which a party is looked up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, exists, literal_column, or_, select
from sqlalchemy.sql.elements import Label

from tocsin.store.tables import party, pause
from tocsin.store.transaction import Transaction

EVERYBODY = ""  # in place of a party's id


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause. `party_id`: of a party, or EVERYBODY; `because` is for this node's people alone; `since` in
    microseconds."""

    party_id: str
    because: str
    by: str
    since: int


async def put(tx: Transaction, party_ids: Iterable[str], because: str, by: str, now: int) -> list[str]:
    """Pause these; those that were not paused before. A pause that holds keeps its reason and its beginning."""
    holding = await pauses(tx)
    new = [id_ for id_ in dict.fromkeys(party_ids) if id_ not in holding]
    rows = [{"party_id": id_, "because": because, "by": by, "since": now} for id_ in new]
    if rows:
        await tx.connection.execute(tx.insert(pause).on_conflict_do_nothing(), rows)
    return new


async def lift(tx: Transaction, party_ids: Iterable[str]) -> list[str]:
    """End the pauses of these; those that were paused."""
    holding = await pauses(tx)
    ended = [id_ for id_ in dict.fromkeys(party_ids) if id_ in holding]
    if ended:
        await tx.connection.execute(delete(pause).where(pause.c.party_id.in_(ended)))
    return ended


async def pauses(tx: Transaction) -> Mapping[str, Pause]:
    """Every pause that holds, by party id."""
    rows = await tx.connection.execute(select(pause).order_by(pause.c.since, pause.c.party_id))
    return {row.party_id: Pause(row.party_id, row.because, row.by, row.since) for row in rows}


async def paused(tx: Transaction) -> bool:
    """Whether everything is paused: then nothing that was planned is carried out either."""
    return bool((await tx.connection.execute(select(exists().where(pause.c.party_id == EVERYBODY)))).scalar_one())


def is_paused() -> Label[bool]:
    """In a question about parties: whether a pause holds for this one, its own or everybody's."""
    own_or_all = or_(pause.c.party_id == party.c.id, pause.c.party_id == literal_column("''"))
    return exists(pause.select().where(own_or_all).correlate(party)).label("paused")
