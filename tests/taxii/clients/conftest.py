"""Who adds while the clients read."""

import pytest
from busy_writer import BusyWriter


@pytest.fixture
async def writer(node):
    return BusyWriter(node)
