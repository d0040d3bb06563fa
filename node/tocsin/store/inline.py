"""Inline: SQLite worked with in the event loop itself, without a thread for each statement.

Reading in WAL mode waits for nobody, and a page takes a few milliseconds; handing each statement to a thread and
back takes longer than the statement. So `transaction` uses the driver of the standard library as it stands, under
SQLAlchemy's asynchronous interface. Writers wait for the lock and for the disk, and write a thousand rows at once:
that much, and no more, is done in a thread, so that others are answered meanwhile.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

from sqlalchemy import URL, AsyncAdaptedQueuePool, Pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import ConnectArgsType
from sqlalchemy.util import await_only

READER = "sqlite+inline"
WRITER = "sqlite+inlinewriter"


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


class InlineWriter(InlineSqlite):
    """The same for writers: what may wait, and what takes long, is done in a thread."""

    driver = "inlinewriter"
    supports_statement_cache = True

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        arguments, options = super().create_connect_args(url)
        return arguments, {**options, "factory": Writer, "check_same_thread": False}


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


class _WriterCursor(_Cursor):
    connection: "Writer"

    def execute(self, statement: str, *parameters: Any) -> Self:
        if not statement.startswith("BEGIN"):
            return super().execute(statement, *parameters)
        self.connection.apart(partial(sqlite3.Cursor.execute, self, statement, *parameters))
        return self

    def executemany(self, statement: str, rows: Iterable[Any]) -> Self:
        super().executemany(statement, rows)
        await_only(_done())
        return self


class Writer(_Connection):
    """One thread for all that is done apart, so that nothing overtakes what was given up half-way."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    def apart(self, work: Callable[[], object]) -> None:
        await_only(self._apart(work))

    async def write_apart(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Many rows, while the event loop goes on; nothing else may be asked of the connection meanwhile."""
        await self._apart(lambda: sqlite3.Cursor(self).executemany(statement, rows))

    async def _apart(self, work: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def cursor(self, factory: Any = _WriterCursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        self.apart(super().commit)

    def rollback(self) -> None:
        self.apart(super().rollback)

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        super().close()


async def _done() -> None:
    """Done at once, without a turn of the event loop."""


registry.register("sqlite.inline", __name__, InlineSqlite.__name__)
registry.register("sqlite.inlinewriter", __name__, InlineWriter.__name__)
