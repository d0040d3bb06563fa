"""Question: a statement written once for each kind of database, and put to the driver itself.

What comes in goes through some twenty small statements. Putting one of them together anew, and through all of
SQLAlchemy, takes ten times as long as its answer. A `Question` is put together when it is first asked; its answers
are plain rows, with what the driver makes of each value: SQLite's knows neither truth values nor JSON.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from sqlalchemy import (
    ARRAY,
    ClauseElement,
    ColumnElement,
    Dialect,
    FromClause,
    String,
    any_,
    bindparam,
    column,
    func,
    select,
)
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from tocsin.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Lists:
    """How a list of values is written, however long: one parameter, and so one statement for all."""

    on_postgresql: bool

    def among(
        self, what: ColumnElement[Any], name: str, kind: TypeEngine[Any] | None = None
    ) -> ColumnElement[bool]:
        """Whether `what` is one of the values of the parameter `name`, which are texts, or of another `kind`."""
        if self.on_postgresql:
            return what == any_(bindparam(name, type_=ARRAY(kind or String())))
        return what.in_(select(self.rows(name).c.value))

    def rows(self, name: str) -> FromClause:
        """The texts of the parameter `name` as a table with the column `value`."""
        if self.on_postgresql:
            listed = func.unnest(bindparam(name, type_=ARRAY(String())))
            return listed.table_valued(column("value", String)).render_derived()
        return func.json_each(bindparam(name, type_=String())).table_valued(column("value", String))


@dataclass(frozen=True, slots=True)
class _Written:
    text: str
    names: Sequence[str]
    constants: Mapping[str, Any]


class Question:
    """One statement. `write` puts it together; what differs from one asking to the next are its parameters."""

    def __init__(self, write: Callable[[Lists], ClauseElement]) -> None:
        self._write = write
        self._written: dict[str, _Written] = {}

    async def ask(self, tx: Transaction, **values: Any) -> Sequence[Sequence[Any]]:
        """All rows. A collection is the value of a parameter that is a list. Raises what the driver raises."""
        dialect = tx.connection.dialect
        written = self._written.get(dialect.name)
        if written is None:
            written = self._written[dialect.name] = self._write_for(dialect)
        given = {**written.constants, **values}
        listed = list if tx.on_postgresql else _as_json
        parameters = [given[name] for name in written.names]
        return await tx.connection.ask(
            written.text, [value if isinstance(value, _SINGLE) else listed(value) for value in parameters]
        )

    def _write_for(self, dialect: Dialect) -> _Written:
        compiled = self._write(Lists(dialect.name == "postgresql")).compile(dialect=dialect)
        if not isinstance(compiled, SQLCompiler):
            raise TypeError("no statement that is asked")
        constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        return _Written(str(compiled), compiled.positiontup or (), constants)


_SINGLE = (str, bytes, int, NoneType)


def from_json(value: Any) -> Any:
    """The value of a JSON column: PostgreSQL's driver has read it, SQLite's gives its text."""
    return json.loads(value) if isinstance(value, str) else value


def _as_json(values: Collection[Any]) -> str:
    return json.dumps(list(values))
