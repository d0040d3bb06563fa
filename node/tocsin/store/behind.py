"""Behind: what a transaction writes while its caller goes on.

A thousand rows take the database some milliseconds, in which the event loop can think about the next ones. Such
writes follow one another, and whatever else is asked of the transaction waits for them first, so nobody can tell
the difference; an error ends all that follows, and comes out where the transaction is next used, at its end at the
latest.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeVarTuple, overload

from sqlalchemy import CursorResult, Dialect, Executable, Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.selectable import TypedReturnsRows

from tocsin.store.inline import Writer

_Ts = TypeVarTuple("_Ts")

_FEW = 100  # rows; less is done sooner than left behind


class Line:
    """The connection of one transaction: one thing after the other."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._behind: asyncio.Task[None] | None = None
        self._driver: Any = None

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    @property
    def sync_connection(self) -> Any:
        return self._connection.sync_connection

    @overload
    async def execute(self, statement: TypedReturnsRows[*_Ts], parameters: Any = None) -> CursorResult[*_Ts]: ...

    @overload
    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]: ...

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]:
        await self.settle()
        return await self._connection.execute(statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]:
        await self.settle()
        return await self._connection.exec_driver_sql(statement, parameters)

    async def stream(self, question: Select[Any]) -> AsyncGenerator[Row[Any], None]:
        """The rows of an answer as they are asked for, few in memory at a time. Read to its end, or closed, before
        anything else is asked."""
        await self.settle()
        if self.dialect.name == "postgresql":
            async with self._connection.stream(question) as rows:
                async for row in rows:
                    yield row
            return
        for row in await self._connection.execute(question):  # SQLite's cursor waits for nobody
            yield row

    async def ask(self, question: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Put one statement to the driver, past SQLAlchemy; all rows of the answer, as the driver gives them."""
        await self.settle()
        driver = await self._of_its_driver()
        if isinstance(driver, sqlite3.Connection):
            return sqlite3.Cursor(driver).execute(question, values).fetchall()
        if not driver.is_in_transaction():  # SQLAlchemy begins when it is first asked something itself
            return (await self._connection.exec_driver_sql(question, tuple(values))).all()
        return await driver.fetch(question, *values)  # type: ignore[no-any-return]  # asyncpg's

    async def _of_its_driver(self) -> Any:
        if self._driver is None:
            self._driver = (await self._connection.get_raw_connection()).driver_connection
        return self._driver

    async def run_sync(self, work: Callable[..., Any]) -> Any:
        await self.settle()
        return await self._connection.run_sync(work)

    async def write(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows; PostgreSQL's statement takes each column as an array."""
        if not rows:
            return
        driver = await self._of_its_driver()
        if isinstance(driver, Writer):
            if len(rows) < _FEW:
                await self.exec_driver_sql(statement, list(rows))
                return
            self._after(lambda: driver.write_apart(statement, rows))
        else:
            if not driver.is_in_transaction():
                await self.exec_driver_sql("SELECT 1")
            columns = [list(column) for column in zip(*rows, strict=True)]
            self._after(lambda: driver.execute(statement, *columns))

    async def settle(self) -> None:
        """Wait for what is written behind. Raises what the driver raised."""
        if self._behind is not None:
            await asyncio.shield(self._behind)
            self._behind = None

    async def give_up(self) -> None:
        """Wait for what is written behind, whatever becomes of it: it is undone anyway.

        However often the caller is cancelled meanwhile: what is still to be written must not follow the undoing.
        """
        behind, self._behind = self._behind, None
        cancelled: asyncio.CancelledError | None = None
        while behind is not None and not behind.done():
            try:
                await asyncio.wait([behind])
            except asyncio.CancelledError as why:
                cancelled = why
        if behind is not None and not behind.cancelled():
            behind.exception()  # looked at, so that nobody is told of it
        if cancelled is not None:
            raise cancelled

    def _after(self, work: Callable[[], Awaitable[Any]]) -> None:
        before = self._behind

        async def in_turn() -> None:
            if before is not None:
                await before
            await work()

        self._behind = asyncio.ensure_future(in_turn())
