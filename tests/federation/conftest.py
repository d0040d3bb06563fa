"""Three nodes: alpha makes, gamma passes on, beta reads."""

import pytest_asyncio

from neighbours import alpha_gamma_and_beta


@pytest_asyncio.fixture
async def chain(tmp_path, make_database):
    """Alpha, gamma and beta, as they read from each other. On SQLite."""
    async with alpha_gamma_and_beta(tmp_path, make_database) as nodes:
        yield nodes
