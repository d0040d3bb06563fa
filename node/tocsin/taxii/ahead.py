"""Ahead: the next page of who reads page after page, read while he takes in the one before.

Whoever came with a `next` and is told of more most likely asks for it at once. What is read ahead is a page of a
collection, the same for all its readers, and of a known moment: it is given only to one who may read the
collection at that very moment (see `memory`). Few pages are kept, for a short time; who does not come costs one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from tocsin.errors import Unavailable
from tocsin.store.moment import Moment
from tocsin.store.pages import ContentPage

Found = tuple[ContentPage, Moment] | None

MOST = 4  # pages, of 8 MiB at most
SECONDS = 3.0  # that one is kept


@dataclass(frozen=True, slots=True)
class _Reading:
    """A page on its way, and when it is given up. Both end together: a timer that runs on would keep the page."""

    task: asyncio.Task[Found]
    timer: asyncio.TimerHandle


class Ahead:
    """What is being read, or was, by what it answers. Belongs to its event loop."""

    def __init__(self) -> None:
        self._readings: dict[Hashable, _Reading] = {}

    def begin(self, key: Hashable, read: Callable[[], Awaitable[Found]]) -> None:
        """Read something that may be asked for soon."""
        self._forget(key)
        if len(self._readings) >= MOST:
            self._forget(next(iter(self._readings)))
        loop = asyncio.get_running_loop()
        task = loop.create_task(_quietly(read))
        self._readings[key] = _Reading(task, loop.call_later(SECONDS, self._forget, key))

    async def take(self, key: Hashable) -> Found:
        """What was read for this key, once; None where nothing was."""
        reading = self._readings.pop(key, None)
        if reading is None:
            return None
        reading.timer.cancel()
        return await reading.task

    def close(self) -> None:
        """Forget everything."""
        for key in list(self._readings):
            self._forget(key)

    def _forget(self, key: Hashable) -> None:
        reading = self._readings.pop(key, None)
        if reading is not None:
            reading.timer.cancel()
            reading.task.cancel()


async def _quietly(read: Callable[[], Awaitable[Found]]) -> Found:
    """Nobody asked yet: when the database cannot answer, it will say so to whoever does."""
    try:
        return await read()
    except Unavailable:
        return None
