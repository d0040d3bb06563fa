"""Waiting: who waits for a log to go on, so that what is published here is read elsewhere within a second.

Who waits holds no transaction and no connection to the database: one look at its moment, a few times a second,
does for all who wait, and the heads of the logs are read only when something was committed. Woken is whose logs
moved; whether they tell *him* of anything is then looked up with his rights as they are by then. An entry that he
is not told of leaves his request waiting, as if there were none.

A waiting request counts among those that its reader has in work. All are let go when the node is about to end, and
one whose client went away ends by itself.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tocsin.errors import Unavailable
from tocsin.problems import Busy, TooManyRequests
from tocsin.store import releases
from tocsin.store.moment import Moment
from tocsin.store.transaction import Store

LOOK_SECONDS = 0.1  # between two looks at the database's moment
MOST_OF_ONE = 4  # requests of one reader that wait
MOST = 2000  # requests that wait in this process

_Heads = Mapping[str, tuple[str, int]]  # epoch and last position of each log


@dataclass(slots=True, eq=False)
class Waiter:
    """One waiting request: whatever may concern its logs sets `woken`."""

    collection_ids: frozenset[str]
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Waiting:
    """All who wait in this process. Belongs to its event loop."""

    def __init__(self) -> None:
        self._waiters: set[Waiter] = set()
        self._of_one: Counter[str] = Counter()
        self._watch: asyncio.Task[None] | None = None
        self.ended = False

    def end(self) -> None:
        """Let everybody go, and let nobody wait any more."""
        self.ended = True
        for waiter in self._waiters:
            waiter.woken.set()

    @asynccontextmanager
    async def waiter(self, store: Store, party_id: str, collection_ids: frozenset[str]) -> AsyncIterator[Waiter]:
        """Be woken from here on. Raises TooManyRequests, Busy."""
        if self._of_one[party_id] >= MOST_OF_ONE:
            raise TooManyRequests(f"{MOST_OF_ONE} of your requests wait for news already.")
        if len(self._waiters) >= MOST:
            raise Busy("too many wait for news")
        waiter = Waiter(collection_ids)
        self._waiters.add(waiter)
        self._of_one[party_id] += 1
        if self._watch is None:
            self._watch = asyncio.create_task(self._look_on(store), name="news")
        try:
            yield waiter
        finally:
            self._waiters.remove(waiter)
            self._of_one[party_id] -= 1
            if not self._of_one[party_id]:
                del self._of_one[party_id]
            if not self._waiters:
                watch, self._watch = self._watch, None
                watch.cancel()

    async def _look_on(self, store: Store) -> None:
        """While anybody waits: wake those whose logs moved."""
        moment: Moment | None = None
        heads: _Heads = {}
        while True:
            # while the database cannot be asked nothing is published either: who waits goes on waiting
            with suppress(Unavailable):
                now = await store.moment()
                if now != moment:
                    heads = self._wake(heads, await _heads(store))
                    moment = now
            await asyncio.sleep(LOOK_SECONDS)

    def _wake(self, before: _Heads, after: _Heads) -> _Heads:
        moved = {id_ for id_, head in after.items() if before.get(id_) != head}
        for waiter in self._waiters:
            if not moved.isdisjoint(waiter.collection_ids):
                waiter.woken.set()
        return after


async def _heads(store: Store) -> _Heads:
    async with store.reading() as tx:
        return {row.id: (row.epoch, row.last_position) for row in await releases.collections(tx)}
