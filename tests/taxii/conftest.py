"""The node that the tests of this room talk to."""

import pytest

from taxii_node import served


@pytest.fixture
async def node(store, tmp_path):
    """The node under test, listening."""
    async with served(store, tmp_path) as running:
        yield running
