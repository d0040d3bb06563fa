"""A process that pulls, to be killed. Started by the fork server, which has imported this before."""

import asyncio
from dataclasses import replace
from pathlib import Path

from neighbours import QUICK
from tocsin.peers.worker import sync_all
from tocsin.settings import Home
from tocsin.sharing.node import Node
from tocsin.store.transaction import Store


def pull(home_path: str, database_url: str, page: int) -> None:
    asyncio.run(_pull(Home(Path(home_path)), database_url, page))


async def _pull(home: Home, database_url: str, page: int) -> None:
    # a killed process loses nothing that a power cut would; the test database promises less for the latter
    store = await Store.open(database_url, require_durable=False)
    await sync_all(store, home, Node(home.namespace()), terms=replace(QUICK, page=page))
    await store.close()
