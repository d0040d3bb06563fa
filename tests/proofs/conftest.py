"""A scene on each database."""

import pytest

from scene import Scene


@pytest.fixture
def scene(store) -> Scene:
    return Scene(store)
