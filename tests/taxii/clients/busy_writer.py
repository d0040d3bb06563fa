"""A writer that goes on adding while a client reads, and remembers what it was told is there.

Clients that block (`taxii2client`, `stix2`) run in a thread of their own, while node and writer go on in the
event loop of the test.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from taxii_node import ServedNode, indicator


async def beside(work: Callable[[], Any]) -> Any:
    """What a blocking client finds, while the node goes on."""
    return await asyncio.to_thread(work)


class BusyWriter:
    """Adds numbered indicators by POST, each in a request of its own unless they come as a burst.

    `added`: the ids that were acknowledged, in that order.
    """

    def __init__(self, node: ServedNode) -> None:
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._number = 0
        self.added: list[str] = []

    async def add(self, count: int = 1) -> None:
        for _ in range(count):
            await self.burst(1)

    async def burst(self, count: int) -> None:
        """Many at once: they stand 20 µs apart in the log."""
        values = [indicator(self._number + number) for number in range(count)]
        self._number += count
        await self.post(values)

    async def post(self, values: Sequence[dict]) -> None:
        answer = await self._node.post({"objects": list(values)})
        assert (answer.status_code, answer.json()["failure_count"]) == (202, 0), answer.text
        self.added += [value["id"] for value in values]

    def add_from_thread(self, count: int = 1) -> None:
        """The same for a client that blocks: between two of its requests."""
        asyncio.run_coroutine_threadsafe(self.add(count), self._loop).result(30)

    @asynccontextmanager
    async def adding(self, count: int = 8) -> AsyncIterator[None]:
        """Goes on adding by itself, during whatever requests the client makes in this block."""
        self._task = asyncio.create_task(self.add(count))
        try:
            yield
        finally:
            await self._task

    async def watched(self, poll: Callable[[], Awaitable[list[Any]]], count: int = 8) -> list[Any]:
        """What a client's polls bring, one after the other, while this adds, and one more after that."""
        found = []
        async with self.adding(count):
            while self._task and not self._task.done():
                found += await poll()
                await asyncio.sleep(0.01)
        return found + await poll()
