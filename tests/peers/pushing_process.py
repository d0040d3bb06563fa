"""A process that pushes, to be killed. Started by the fork server, which has imported this before."""

import asyncio
from pathlib import Path

from neighbours import QUICK
from tocsin.peers.worker import push_all
from tocsin.settings import Home
from tocsin.store.transaction import Store


def push(home_path: str, database_url: str) -> None:
    asyncio.run(_push(Home(Path(home_path)), database_url))


async def _push(home: Home, database_url: str) -> None:
    # a killed process loses nothing that a power cut would; the test database promises less for the latter
    store = await Store.open(database_url, require_durable=False)
    await push_all(store, home, terms=QUICK)
    await store.close()
