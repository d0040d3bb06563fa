"""The node under attack: afterwards it must still answer, and have no fault of its own in its log."""

import logging
from contextlib import asynccontextmanager

import pytest

from taxii_node import served


@pytest.fixture
def database_url(make_database):
    """One engine: nothing here depends on which."""
    return make_database("sqlite")


@pytest.fixture
def no_fault(caplog):
    """Nothing was logged as an error: no 500, no stack trace, whatever was answered."""
    yield
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.fixture
async def serve(store, tmp_path, no_fault):
    """Serve a node with limits of the test's own; it must answer afterwards as before."""

    @asynccontextmanager
    async def serve(**options):
        async with served(store, tmp_path, **options) as running:
            yield running
            assert (await running.get("objects/")).status_code == 200
            assert (await running.get("/readyz", by=None)).status_code == 200

    return serve


@pytest.fixture
async def node(serve):
    async with serve() as running:
        yield running
