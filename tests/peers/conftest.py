"""Two or three nodes that know each other."""

import pytest_asyncio

from neighbours import alpha_and_beta, alpha_gamma_and_beta


@pytest_asyncio.fixture
async def pair(tmp_path, make_database):
    """Alpha listens and offers `regional`; beta reads it. On SQLite."""
    async with alpha_and_beta(tmp_path, make_database) as both:
        yield both


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def pair_on_each(request, tmp_path, make_database):
    """The same, on each database."""
    async with alpha_and_beta(tmp_path, make_database, request.param) as both:
        yield both


@pytest_asyncio.fixture
async def chain(tmp_path, make_database):
    """Alpha makes, gamma passes on, beta reads from both. On SQLite."""
    async with alpha_gamma_and_beta(tmp_path, make_database) as nodes:
        yield nodes
