"""Inline: SQLite read in the event loop itself, without a thread.

Reading in WAL mode waits for nobody, and a page takes a few milliseconds; handing each statement to a thread and
back takes longer than the statement. So the readers of `transaction` use the driver of the standard library as it
stands, under SQLAlchemy's asynchronous interface. Writers, who may wait for the lock and for the disk, use a
thread (aiosqlite).
"""

import sqlite3
from typing import Any, Self

from sqlalchemy import URL, AsyncAdaptedQueuePool, Pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import ConnectArgsType
from sqlalchemy.util import await_only

DRIVER = "sqlite+inline"


class InlineSqlite(SQLiteDialect_pysqlite):
    """The standard library's driver, said to be asynchronous; it never waits."""

    driver = "inline"
    is_async = True
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        return AsyncAdaptedQueuePool

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        arguments, options = super().create_connect_args(url)
        return arguments, {**options, "factory": _Connection}


class _Cursor(sqlite3.Cursor):
    """A cursor with what SQLAlchemy asks of asynchronous ones."""

    def execute(self, *arguments: Any) -> Self:
        super().execute(*arguments)
        await_only(_done())  # SQLAlchemy insists that something was awaited
        return self

    async def _async_soft_close(self) -> None:
        """Nothing to fetch beforehand: rows are read where they are asked for."""


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


async def _done() -> None:
    """Done at once, without a turn of the event loop."""


registry.register("sqlite.inline", __name__, InlineSqlite.__name__)
