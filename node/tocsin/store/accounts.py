"""Accounts: the tokens by which parties prove who they are. Only their hashes are kept.

A token is `tcn_<id>_<43 characters>`: 256 random bits, so one SHA-256 is a hash slow enough. The id finds the
row; the comparison takes the same time whatever was given.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Dialect, bindparam, func, literal_column, select, true, update

from tocsin.errors import NotFound, Refused
from tocsin.store.glance import with_state
from tocsin.store.moment import Moment
from tocsin.store.parties import PARTY, Party, party_of
from tocsin.store.pauses import is_paused
from tocsin.store.question import Question
from tocsin.store.tables import collection, configuration, party, token
from tocsin.store.transaction import Store, Transaction

MAX_VALID = 2  # an old and a new one, while the holder changes over

_TOKEN = re.compile(r"tcn_([0-9a-f]{16})_[A-Za-z0-9_-]{43}", re.ASCII)
_NO_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What may be told of a token: never the token. Times in microseconds."""

    id: str
    party_id: str
    created: int
    revoked: int | None


async def make_token(tx: Transaction, party_id: str, now: int) -> str:
    """A new token, which is shown once and can never be read again.

    Raises NotFound for an unknown party, Refused when it has two valid ones already.
    """
    # the row is locked, so that two makers do not both see one token
    owner = (
        await tx.connection.execute(select(party.c.name).where(party.c.id == party_id).with_for_update())
    ).one_or_none()
    if owner is None:
        raise NotFound(f"no party has the id {party_id}")
    valid = select(func.count()).where(token.c.party_id == party_id, token.c.revoked.is_(None))
    if (await tx.connection.execute(valid)).scalar_one() >= MAX_VALID:
        raise Refused(
            f"{owner.name} has {MAX_VALID} valid tokens; revoke them first (tocsin account revoke {owner.name})"
        )
    id_ = secrets.token_hex(8)
    made = f"tcn_{id_}_{secrets.token_urlsafe(32)}"
    row = {"id": id_, "party_id": party_id, "sha256": _digest(made), "created": now}
    await tx.connection.execute(token.insert(), row)
    return made


async def revoke_tokens(tx: Transaction, party_id: str, now: int) -> int:
    """Make every token of the party worthless; how many were valid."""
    valid = (token.c.party_id == party_id) & token.c.revoked.is_(None)
    return (await tx.connection.execute(update(token).where(valid).values(revoked=now))).rowcount


async def tokens(tx: Transaction) -> list[TokenInfo]:
    """Every token ever made, oldest first."""
    rows = await tx.connection.execute(select(token).order_by(token.c.created, token.c.id))
    return [TokenInfo(row.id, row.party_id, row.created, row.revoked) for row in rows]


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a valid token is, and what his rights are worked out from: the hash of the configuration in force, and
    the id of every collection by its key."""

    party: Party
    configuration_sha256: str
    collections: Mapping[str, str]


async def glance_at_holder(store: Store, text: str) -> tuple[Holder, Moment] | None:
    """Who holds a token, by one question outside any transaction, and the moment of which it is.

    None for a token that is not valid, or where no configuration is in force: a transaction has to say why.
    """
    match = _TOKEN.fullmatch(text)
    if match is None:
        return None
    question = _holder_question(store.dialect)
    found = await store.glance(question, [match[1]], None)
    if not found.columns:
        return None
    keys, ids, seen, revoked, *fields, sha256s, hashes = found.columns
    if revoked[0] is not None or not hmac.compare_digest(_digest(text), bytes(hashes[0])) or sha256s[0] is None:
        return None
    party_id, name, kind, identity_id, suspended, paused = (column[0] for column in fields)
    owner = Party(party_id, name, kind, identity_id, seen[0], bool(suspended), bool(paused))
    named = {key: id_ for key, id_ in zip(keys, ids, strict=True) if key}
    return Holder(owner, sha256s[0], named), found.moment


@lru_cache(maxsize=16)
def _holder_question(dialect: Dialect) -> str:
    t, p, c = token.c, party.c, collection.c
    newest = select(func.max(configuration.c.seq)).scalar_subquery()
    in_force = select(configuration.c.sha256).where(configuration.c.seq == newest).scalar_subquery()
    wanted = (
        select(
            func.coalesce(c.key, literal_column("''")).label("key"),  # the first column may not be null
            c.id.label("collection_id"),
            p.first_seen,
            t.revoked,
            p.id,
            p.name,
            p.kind,
            p.identity_id,
            p.suspended,
            is_paused(),
            in_force.label("configuration_sha256"),
            t.sha256,
        )
        .select_from(token.join(party, p.id == t.party_id).outerjoin(collection, true()))
        .where(t.id == bindparam("id"))
    )
    text = str(wanted.compile(dialect=dialect))
    return with_state(text, len(wanted.selected_columns)) if dialect.name == "postgresql" else text


async def verify_token(tx: Transaction, text: str) -> Party | None:
    """Whose token this is; None when it is unknown, revoked, or no token at all."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        return None
    rows = await _HOLDER.ask(tx, id=match[1])
    sha256, revoked, *fields = rows[0] if rows else (_NO_HASH, None)
    if not hmac.compare_digest(_digest(text), sha256) or revoked is not None or not fields:
        return None
    return party_of(fields)


_HOLDER = Question(
    lambda lists: (
        select(token.c.sha256, token.c.revoked, *PARTY)
        .join_from(token, party, party.c.id == token.c.party_id)
        .where(token.c.id == bindparam("id"))
    )
)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("ascii")).digest()
