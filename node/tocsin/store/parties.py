"""Parties: the accounts and peers that this node deals with, by an id made at first sight.

Grants, cursors and duties hang on the id; the name is a label from `tocsin.yaml`. The node itself
is no party: where a party id stands for it, that is `''`.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import exists, select, update

from tocsin.errors import NotFound, Refused
from tocsin.store.names import moves
from tocsin.store.pauses import is_paused
from tocsin.store.question import Question
from tocsin.store.tables import object_version, party, source
from tocsin.store.transaction import Transaction, in_batches

PartyKind = Literal["account", "peer"]


@dataclass(frozen=True, slots=True)
class Party:
    """An account or a peer. `identity_id`: the STIX identity that a peer's node speaks for, once pinned."""

    id: str
    name: str
    kind: PartyKind
    identity_id: str | None
    first_seen: int
    suspended: bool
    paused: bool = False  # for now, by itself or with everybody (see `pauses`)


async def ensure_parties(
    tx: Transaction, names: Mapping[str, PartyKind], renamed: Mapping[str, str], now: int
) -> dict[str, str]:
    """Make those that are new, move names (`renamed`: new → old), and give the id of each name.

    Nobody is ever removed: duties towards a party outlive its place in the file. Raises Refused when a known
    account is called a peer, or the other way round.
    """
    await _rename(tx, renamed)
    made = [
        {"id": str(uuid.uuid4()), "name": name, "kind": kind, "first_seen": now, "suspended": False}
        for name, kind in sorted(names.items())
    ]
    for batch in in_batches(made):
        await tx.connection.execute(tx.insert(party).on_conflict_do_nothing(), batch)
    known = {found.name: found for found in await parties(tx)}
    for name, kind in names.items():
        if known[name].kind != kind:
            raise Refused(f"{name!r} is known here as {_a(known[name].kind)}: {_a(kind)} needs another name")
    return {name: known[name].id for name in names}


async def _rename(tx: Transaction, renamed: Mapping[str, str]) -> None:
    if not renamed:
        return
    known = {found.name: found.id for found in await parties(tx)}
    moving = {known[old]: new for old, new in moves(known, renamed).items()}
    # through a name that nobody can have, since names are unique at every step
    for id_ in moving:
        await tx.connection.execute(update(party).where(party.c.id == id_).values(name=f"~{id_}"))
    for id_, new in moving.items():
        await tx.connection.execute(update(party).where(party.c.id == id_).values(name=new))


def _a(kind: PartyKind) -> str:
    return "an account" if kind == "account" else "a peer"


async def parties(tx: Transaction) -> list[Party]:
    """Everybody this node has ever known, by name."""
    return [party_of(row) for row in await _ALL.ask(tx)]


PARTY = (*party.c, is_paused())  # the columns of `party_of`
_ALL = Question(lambda lists: select(*PARTY).order_by(party.c.name))


async def party_by_name(tx: Transaction, name: str) -> Party | None:
    row = (await tx.connection.execute(select(*PARTY).where(party.c.name == name))).one_or_none()
    return party_of(row) if row else None


async def party_by_id(tx: Transaction, party_id: str) -> Party | None:
    row = (await tx.connection.execute(select(*PARTY).where(party.c.id == party_id))).one_or_none()
    return party_of(row) if row else None


async def pin_identity(tx: Transaction, party_id: str, identity_id: str) -> None:
    """Note which STIX identity a peer's node speaks for; it may not change, and nobody else may have it.

    Raises NotFound for an unknown party; Refused when it speaks for another identity already, or when another
    party or this node speaks for this one.
    """
    # one pinning at a time: two peers may claim the same identity at once
    people = {
        row.id: row for row in await tx.connection.execute(select(party).order_by(party.c.id).with_for_update())
    }
    mine = people.get(party_id)
    if mine is None:
        raise NotFound(f"no party has the id {party_id}")
    if mine.identity_id == identity_id:
        return
    if mine.identity_id is not None:
        raise Refused(f"{mine.name} speaks for {mine.identity_id}, and now claims {identity_id}")
    if other := next((row.name for row in people.values() if row.identity_id == identity_id), None):
        raise Refused(f"{mine.name} claims to be {identity_id}, which is {other}'s")
    if await _is_ours(tx, identity_id):
        raise Refused(f"{mine.name} claims to be {identity_id}, which this node made")
    await tx.connection.execute(update(party).where(party.c.id == party_id).values(identity_id=identity_id))


async def _is_ours(tx: Transaction, identity_id: str) -> bool:
    made_here = (
        select(source.c.version_seq)
        .join(object_version, object_version.c.seq == source.c.version_seq)
        .where(object_version.c.id == identity_id, source.c.party_id == "")
    )
    return bool((await tx.connection.execute(select(exists(made_here)))).scalar_one())


async def set_suspended(tx: Transaction, party_id: str, suspended: bool) -> None:
    """Stop or resume the exchange with a party. Raises NotFound."""
    done = await tx.connection.execute(update(party).where(party.c.id == party_id).values(suspended=suspended))
    if done.rowcount == 0:
        raise NotFound(f"no party has the id {party_id}")


def party_of(row: Sequence[Any]) -> Party:
    """The party of a row of its columns."""
    id_, name, kind, identity_id, first_seen, suspended, paused = row
    return Party(id_, name, kind, identity_id, first_seen, bool(suspended), bool(paused))
