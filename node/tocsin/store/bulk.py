"""Bulk: many rows written at once, past what SQLAlchemy does for each single one.

SQLite takes the rows one by one with one prepared statement; PostgreSQL takes each column as one array, so that a
thousand rows are one statement and one round trip. Rows are tuples in the order of the columns.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Integer,
    LargeBinary,
    String,
    Table,
)

from tocsin.store.transaction import Transaction

_MOST = 5_000  # rows in one statement


@dataclass(frozen=True, slots=True)
class Conflict:
    """What to do where a row is there already: nothing, or `update` columns (where a condition holds)."""

    keys: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    where: str = ""

    def __str__(self) -> str:
        target = f" ({_listed(self.keys)})" if self.keys else ""
        if not self.update:
            return f"ON CONFLICT{target} DO NOTHING"
        said = ", ".join(f'"{name}" = excluded."{name}"' for name in self.update)
        return f"ON CONFLICT{target} DO UPDATE SET {said}" + (f" WHERE {self.where}" if self.where else "")


async def insert(
    tx: Transaction,
    table: Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    conflict: Conflict | None = None,
) -> None:
    """Write rows. Values of JSON columns are given as text (`as_json`)."""
    left = list(rows)
    statement = _statement(table, tuple(columns), conflict, tx.on_postgresql)
    for start in range(0, len(left), _MOST):
        await tx.connection.write(statement, left[start : start + _MOST])


def as_json(value: Any) -> str:
    """A small value of our own for a JSON column."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def insert_returning(
    tx: Transaction,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    returned: str,
    *,
    key: tuple[str, ...],
) -> dict[tuple[Any, ...], Any]:
    """Write rows into PostgreSQL where they are not there yet; what it gave those that are new, by their key."""
    statement = f"{_statement(table, tuple(columns), Conflict(), True)} RETURNING {_listed((returned, *key))}"
    found: dict[tuple[Any, ...], Any] = {}
    for start in range(0, len(rows), _MOST):
        columns_ = tuple(list(column) for column in zip(*rows[start : start + _MOST], strict=True))
        made = await tx.connection.exec_driver_sql(statement, columns_)
        found |= {tuple(row[1:]): row[0] for row in made}
    return found


@lru_cache(maxsize=64)
def _statement(table: Table, columns: tuple[str, ...], conflict: Conflict | None, on_postgresql: bool) -> str:
    into = f'INSERT INTO "{table.name}" ({_listed(columns)})'
    end = f" {conflict}" if conflict is not None else ""
    if not on_postgresql:
        return f"{into} VALUES ({', '.join('?' for _ in columns)}){end}"
    kinds = [_postgresql_type(table.c[name].type) for name in columns]
    arrays = ", ".join(
        f"${number}::{'text' if kind == 'json' else kind}[]" for number, kind in enumerate(kinds, start=1)
    )
    given = ", ".join(
        f"c{number}::json" if kind == "json" else f"c{number}" for number, kind in enumerate(kinds, start=1)
    )
    names = ", ".join(f"c{number}" for number, _ in enumerate(kinds, start=1))
    return f"{into} SELECT {given} FROM unnest({arrays}) AS given ({names}){end}"  # noqa: S608  (our own names)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _postgresql_type(kind: Any) -> str:
    match kind:
        case JSON():
            return "json"
        case Boolean():
            return "boolean"
        case LargeBinary():
            return "bytea"
        case BigInteger():
            return "bigint"
        case Integer():
            return "integer"
        case String():
            return "text"
        case _:
            raise TypeError(f"no array of {kind}")
