"""Databases for the tests: what uses `store` or a `database_url` runs on SQLite and on a real PostgreSQL.

`TOCSIN_TEST_POSTGRESQL` names a server to use (its user may create databases) in place of one of our own.
"""

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import make_url

from postgresql_server import NoPostgresql, start
from tocsin.store.tables import metadata
from tocsin.store.transaction import Store

ENGINES = ("sqlite", "postgresql")


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end in a thread, whatever event loop the test has."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def _execute(url: str, statement: str) -> None:
    parsed = make_url(url)
    connection = await asyncpg.connect(
        host=parsed.query.get("host") or parsed.host,
        port=parsed.port,
        user=parsed.username,
        password=parsed.password,
        database=parsed.database,
    )
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _of_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server, as the URL of its first database."""
    if given := os.environ.get("TOCSIN_TEST_POSTGRESQL"):
        yield given
        return
    try:
        server = start()
    except NoPostgresql as why:
        pytest.skip(f"no PostgreSQL: {why}")
    try:
        yield server.url()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "tocsin.db"
    _run(Store.create(f"sqlite:///{file}"))
    return file


class _Databases:
    """PostgreSQL databases at the newest schema: copied from a template, emptied after a test and used again."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._template = self._make("")
        self._made = [self._template]
        self._spare: list[str] = []
        _run(Store.create(self._template))

    def take(self) -> str:
        if not self._spare:
            self._made.append(self._make(f"TEMPLATE {make_url(self._template).database}"))
            return self._made[-1]
        return self._spare.pop()

    def give_back(self, url: str) -> None:
        _run(_execute(url, _EMPTY))
        self._spare.append(url)

    def drop_all(self) -> None:
        for url in self._made:
            _run(_execute(self._server, f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))

    def _make(self, options: str) -> str:
        name = f"test_{uuid.uuid4().hex}"
        _run(_execute(self._server, f"CREATE DATABASE {name} {options}"))
        return _of_database(self._server, name)


# Whoever is still connected is put out first, or the emptying would wait for his locks.
_EMPTY = "\n".join(
    [
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
        "  WHERE datname = current_database() AND pid <> pg_backend_pid();",
        *(f'DELETE FROM "{table.name}";' for table in reversed(metadata.sorted_tables)),
        "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S';",
    ]
)


@pytest.fixture(scope="session")
def _postgresql_databases(postgresql_url: str) -> Iterator[_Databases]:
    databases = _Databases(postgresql_url)
    try:
        yield databases
    finally:
        databases.drop_all()


@pytest.fixture(params=ENGINES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table; of SQLite there is not even a file."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = request.getfixturevalue("postgresql_url")
    name = f"test_{uuid.uuid4().hex}"
    _run(_execute(server, f"CREATE DATABASE {name}"))
    try:
        yield _of_database(server, name)
    finally:
        _run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Databases at the newest schema, for tests that need more than one: by engine, a new URL at each call."""
    used: list[str] = []

    def make(engine: str) -> str:
        if engine == "sqlite":
            file = tmp_path / f"{uuid.uuid4().hex}.db"
            shutil.copy(request.getfixturevalue("_sqlite_template"), file)
            return f"sqlite:///{file}"
        used.append(request.getfixturevalue("_postgresql_databases").take())
        return used[-1]

    yield make
    for url in used:
        request.getfixturevalue("_postgresql_databases").give_back(url)


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, make_database: Callable[[str], str]) -> str:
    """A database at the newest schema, empty, for this test alone."""
    return make_database(request.param)


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An open store, empty, for this test alone; what it commits need not survive a power cut."""
    opened = await Store.open(database_url, require_durable=False)
    try:
        yield opened
    finally:
        await opened.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that tests recorded (`record_property`), so that a proof says what it has shown."""
    reports = [report for state in ("passed", "failed") for report in terminalreporter.stats.get(state, ())]
    told = [report for report in reports if report.when == "call" and report.user_properties]
    if told:
        terminalreporter.section("figures")
    for report in told:
        terminalreporter.write_line(report.nodeid)
        for name, value in report.user_properties:
            terminalreporter.write_line(f"    {name}: {value}")
