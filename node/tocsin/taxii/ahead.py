"""Ahead: the next page of who reads page after page, read while he takes in the one before.

Whoever came with a `next` and is told of more most likely asks for it at once. What is read ahead is a page of a
collection, the same for all its readers, and of a known moment: it is given only to one who may read the
collection at that very moment (see `memory`). Few pages are kept, for a short time; who does not come costs one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from tocsin.errors import Unavailable
from tocsin.store.moment import Moment
from tocsin.store.pages import ContentPage

Found = tuple[ContentPage, Moment] | None

MOST = 4  # pages, of 8 MiB at most
SECONDS = 3.0  # that one is kept


class Ahead:
    """What is being read, or was, by what it answers. Belongs to its event loop."""

    def __init__(self) -> None:
        self._reading: dict[Hashable, asyncio.Task[Found]] = {}

    def begin(self, key: Hashable, read: Callable[[], Awaitable[Found]]) -> None:
        """Read something that may be asked for soon."""
        self._forget(key)
        if len(self._reading) >= MOST:
            self._forget(next(iter(self._reading)))
        task = self._reading[key] = asyncio.create_task(_quietly(read))
        asyncio.get_running_loop().call_later(SECONDS, self._forget, key, task)

    async def take(self, key: Hashable) -> Found:
        """What was read for this key, once; None where nothing was."""
        task = self._reading.pop(key, None)
        return None if task is None else await task

    def close(self) -> None:
        """Forget everything."""
        for key in list(self._reading):
            self._forget(key)

    def _forget(self, key: Hashable, only: "asyncio.Task[Found] | None" = None) -> None:
        task = self._reading.get(key)
        if task is not None and only in (None, task):
            del self._reading[key]
            task.cancel()


async def _quietly(read: Callable[[], Awaitable[Found]]) -> Found:
    """Nobody asked yet: when the database cannot answer, it will say so to whoever does."""
    try:
        return await read()
    except Unavailable:
        return None
