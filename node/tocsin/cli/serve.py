"""Serve: the node as a process: it answers readers, reads from peers, and follows what is in force."""

import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.console import say, warn
from tocsin.cli.planning import moved
from tocsin.cli.session import (
    HomeOption,
    Session,
    collect_rarely,
    database_settings,
    home_of,
    proposed,
    run,
    session,
)
from tocsin.errors import BadFile, Refused
from tocsin.policy.configuration import Configuration
from tocsin.settings import LimitSettings
from tocsin.sharing.apply import apply_unnoticed
from tocsin.store import configuration as applied
from tocsin.store.transaction import Store

if TYPE_CHECKING:
    import uvicorn

DEFAULT_PORT = 8390
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def add_to(app: typer.Typer) -> None:
    """Give the app this file's command."""
    app.command("serve", rich_help_panel="Start")(serve)


def serve(
    host: Annotated[str, typer.Option("--host", metavar="H", help="Address to listen on.")] = _LOOPBACK[0],
    port: Annotated[
        int, typer.Option("--port", metavar="P", min=0, max=65535, help="0: any free one.")
    ] = DEFAULT_PORT,
    home: HomeOption = None,
) -> None:
    """Answer readers and read from peers, until ^C. TLS is the affair of a proxy in front (see deploy/)."""
    import uvloop  # as late as the web server itself

    run(_serve(home, host, port), loop=uvloop.new_event_loop)


async def _serve(given: str | None, host: str, port: int) -> None:
    home = home_of(given)
    await Store.create(home.database_url(database_settings(home)))
    async with session(given) as here:
        await _follow_files(here)
        configuration = await here.configuration()
        listening = _listen(host, port)
        address = f"http://{host if ':' not in host else f'[{host}]'}:{listening.getsockname()[1]}"
        if host not in _LOOPBACK:
            warn(f"Without TLS, tokens travel in the clear: put a proxy before {host} (see deploy/).")
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        for chatty in ("httpx2", "httpcore2"):  # every request to a peer, a line
            logging.getLogger(chatty).setLevel(logging.WARNING)
        with _ending_quietly():
            limits = configuration.settings.limits
            await _server(here, limits, lambda: _say_where(configuration, address)).serve(sockets=[listening])
    say("Stopped.")


def _say_where(configuration: Configuration, address: str) -> None:
    say(f"{configuration.settings.node.name} listens on {address} (discovery: {address}/taxii2/). ^C ends it.")


def _server(here: Session, limits: LimitSettings, started: Callable[[], None]) -> "uvicorn.Server":
    # The web server and its framework take longer to import than most commands take to run: only this one pays.
    import asyncio

    import uvicorn

    from tocsin.app import make_app, serving
    from tocsin.peers import worker
    from tocsin.sharing import retention, schedule
    from tocsin.taxii.body import ALLOWANCE

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                collect_rarely()
                started()

    async def work() -> None:  # ended by being cancelled
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.run(here.store, here.home, here.node, asyncio.Event()))
            tasks.create_task(schedule.run(here.store, here.node))
            tasks.create_task(retention.run(here.store, here.node))

    app = make_app(here.store, here.home, worker=work, allowance=ALLOWANCE.under(limits))
    return Server(uvicorn.Config(app, **serving(limits, log_config=None, log_level="warning", access_log=False)))


async def _follow_files(here: Session) -> None:
    """What no reader would notice takes effect at start; anything else waits for `apply`, which asks."""
    try:
        wanted = proposed(here.home)
    except BadFile as why:
        warn(f"The files cannot be used, and what is in force stays so:\n{why}")
        return
    async with here.store.reading() as tx:
        if await applied.in_force_sha256(tx) == wanted.sha256:
            return  # without a plan, which judges everything that is held
    done = await apply_unnoticed(here.store, wanted, here.node)
    if done.needs_a_person:
        warn("The files differ from what is in force, and would change what readers see: see tocsin apply.")
    elif not done.is_in_force:  # else another process, started together with this one, was first
        say(f"The files are in force now. {moved(done)}".rstrip())


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as why:
        raise Refused(f"cannot listen on {host}, port {port}: {why.strerror or why}") from why
    return listening


@contextmanager
def _ending_quietly() -> Iterator[None]:
    """A signal that ends the server ends it well: uvicorn raises it once more when all is done."""

    def heard(number: int, frame: object) -> None: ...

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
