"""What the tests of this room share: a PostgreSQL that writes durably, since `tocsin serve` refuses any other."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from postgresql_server import NoPostgresql, PostgresqlServer, start

MakeEmpty = Callable[[str], str]


@pytest.fixture(scope="session")
def _durable() -> Iterator[PostgresqlServer]:
    try:
        server = start(())
    except NoPostgresql as why:
        pytest.skip(f"no PostgreSQL: {why}")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def make_empty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MakeEmpty:
    """Databases without a table, by engine: the URL of a new one at each call."""

    def make(engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{_folder(tmp_path_factory) / 'node.db'}"
        server = request.getfixturevalue("_durable")
        name = f"test_{uuid.uuid4().hex}"
        with ThreadPoolExecutor(1) as thread:  # whatever event loop the test has
            thread.submit(asyncio.run, _create(server, name)).result()
        return server.url(name)

    return make


def _folder(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("database")


async def _create(server: PostgresqlServer, name: str) -> None:
    connection = await asyncpg.connect(host=str(server.folder), user="postgres", database="postgres")
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
