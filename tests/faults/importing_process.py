"""A process that imports in small batches and says what it has been acknowledged, until somebody kills it.

Forked from a server that has read the modules and the mapping already, so that a kill costs no second of start.
"""

import asyncio
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from tocsin.intake import ahead, importing
from tocsin.intake.importing import Import, import_records
from tocsin.intake.mapping import load_mapping
from tocsin.settings import Home
from tocsin.sharing.node import Node
from tocsin.stix.markings import Tlp
from tocsin.store.transaction import Store

importing.BATCH = 10  # more commits to be killed between
load_mapping("veris")
forks = get_context("forkserver")


def start(url: str, folder: Path, secret: bytes, *, read_ahead: bool = False) -> tuple[BaseProcess, Connection]:
    """Begin an import; the connection gives `ready`, then the number acknowledged, at last the report's counts.

    With `read_ahead` a second process reads for it.
    """
    forks.set_forkserver_preload([__name__])
    mine, theirs = forks.Pipe()
    process = forks.Process(target=_run, args=(url, folder, secret, theirs, read_ahead), daemon=True)
    process.start()
    theirs.close()
    return process, mine


def _run(url: str, folder: Path, secret: bytes, told: Connection, read_ahead: bool) -> None:
    ahead.WORTH_IT = 0 if read_ahead else ahead.WORTH_IT
    asyncio.run(_import(url, folder, secret, told))


async def _import(url: str, folder: Path, secret: bytes, told: Connection) -> None:
    store = await Store.open(url, require_durable=False)
    told.send("ready")
    order = Import("veris", "rt", tlp=Tlp.GREEN)
    report = await import_records(store, Home(folder), Node(secret), order, [folder], progress=told.send)
    told.send({what: report.count(what) for what in ("new", "unchanged", "refused")})
    await store.close()
