"""Session: one command at work in one home, its database open and its secret read; and every command's options."""

import asyncio
import gc
import os
import pwd
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from tocsin.documents import read_document
from tocsin.errors import BadFile
from tocsin.policy.configuration import Configuration, read_configuration
from tocsin.settings import Home, NodeSettings, find_home
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import Node
from tocsin.store.transaction import Store

T = TypeVar("T")

HomeOption = Annotated[
    str | None,
    typer.Option("--home", metavar="DIR", help="Home of the node; else TOCSIN_HOME, else the current folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask. Needed where there is no terminal.")]
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="STIX id, its first 6 or more hex digits, or SOURCE:RECORD.")
]


@dataclass(frozen=True, slots=True)
class Session:
    """An open home. Belongs to one command."""

    home: Home
    store: Store
    node: Node

    async def configuration(self) -> Configuration:
        """What is in force. Raises Refused when nothing was ever applied."""
        async with self.store.reading() as tx:
            return await in_force(tx)


def home_of(given: str | None) -> Home:
    """The home that a command works in. Raises BadInput when none is named, NotFound when there is none there."""
    home = find_home(given, os.environ)
    home.configuration_files()
    return home


@asynccontextmanager
async def session(given: str | None) -> AsyncIterator[Session]:
    """Open the home of a command; closed again whatever happens."""
    home = home_of(given)
    node = Node(home.namespace())
    store = await Store.open(home.database_url(database_settings(home)))
    try:
        yield Session(home, store, node)
    finally:
        await store.close()


def database_settings(home: Home) -> NodeSettings:
    """Where the database is, from `tocsin.yaml`, and nothing else of it.

    A slip elsewhere in the files must not keep an officer from looking at incidents: what judges is in force in
    the database. Raises BadFile when the file cannot be read at all.
    """
    document = read_document(home.configuration_files()["tocsin.yaml"], str(home.settings_file))
    node = document.value.get("node") if isinstance(document.value, dict) else None
    database = node.get("database", "sqlite") if isinstance(node, dict) else "sqlite"
    if not isinstance(database, str):
        raise BadFile([document.problem(("node", "database"), "sqlite, or postgresql://user@host/db")])
    return NodeSettings(name="-", database=database)


def proposed(home: Home) -> Configuration:
    """The configuration that the files of the home propose. Raises BadFile with every fault."""
    return read_configuration(home.configuration_files())


def whoever() -> str:
    """Who gives a word at this machine, for the audit: the account that logged in, behind `sudo` too."""
    if behind := os.environ.get("SUDO_USER"):
        return behind
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number that has no name
        return f"uid {os.getuid()}"


def collect_rarely() -> None:
    """For commands that work on many objects: an envelope is a hundred thousand of Python's and not one circle.

    Looking for circles among them at the usual pace takes as long as storing them, and looking through what stays
    for ever holds up every request for many milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def run(work: Coroutine[Any, Any, T], *, loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Run a command to its end, in an event loop of another make where one is given."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)
