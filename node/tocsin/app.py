"""App: the node as one ASGI application, and how uvicorn is to serve it.

What stands here and not in a room: putting the rooms together, and health for whoever watches the process. Limits
on heads are kept in `transport`, on bodies in `taxii.body`. Answers of this app never redirect and never show a
stack trace.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tocsin.errors import BadInput, NotFound, Refused, Unavailable
from tocsin.policy.configuration import Configuration, read_configuration
from tocsin.problems import HANDLERS, as_asked
from tocsin.settings import Home, LimitSettings
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import Node
from tocsin.store import pauses, seals
from tocsin.store.transaction import Store
from tocsin.taxii.body import ALLOWANCE, Admission, Admitting, Allowance
from tocsin.taxii.endpoint import Exchange
from tocsin.taxii.memory import Remembering
from tocsin.taxii.query import cursor_key
from tocsin.taxii.routes import routes
from tocsin.transport import ENDING, PromptProtocol, hurried
from tocsin.web.api import api_routes, on_invalid

log = logging.getLogger(__name__)

NOTE_SECONDS = 0.8  # between two writings of what was sent, which is noted within a second
SEAL_TURNS = 75  # of these: the audit is sealed once a minute
KEEP_ALIVE_SECONDS = 75  # longer than the minute at which peers and clients poll

Worker = Callable[[], Awaitable[None]]


def make_app(
    store: Store,
    home: Home,
    *,
    worker: Worker | None = None,
    allowance: Allowance = ALLOWANCE,
) -> FastAPI:
    """The node over an open store (which stays the caller's to close).

    `worker` runs beside the requests, in the same event loop, until the app is shut down; when it fails, that is
    logged and `/readyz` says so. Raises NotFound or BadFile when the home's secret cannot be read.
    """
    secret = home.namespace()
    health = Health(store, home)
    admission = Admission(store, allowance)
    exchange = Exchange(store, Node(secret), cursor_key(secret), admission)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(exchange.ahead.close)
            await stack.enter_async_context(_noting(exchange))
            stack.callback(exchange.waiting.end)
            if worker is not None:
                stack.push_async_callback(_stop, health.watch(asyncio.ensure_future(worker())))
            yield {ENDING: exchange.waiting.end}

    return FastAPI(
        title="Tocsin",
        routes=[
            *routes(exchange),
            *api_routes(exchange),
            Route("/healthz", health.alive),
            Route("/readyz", health.ready),
        ],
        redirect_slashes=False,  # a redirect made from the Host header loses scheme and credentials behind a proxy
        openapi_url=None,
        exception_handlers={**HANDLERS, RequestValidationError: as_asked(on_invalid)},
        middleware=[Middleware(Remembering, store, exchange.memory), Middleware(Admitting, admission)],
        lifespan=lifespan,
    )


def serving(limits: LimitSettings | None = None, **more: Any) -> dict[str, Any]:
    """Keyword arguments for `uvicorn.Config` that keep the promised limits, or the lower ones of an operator.

    What uvicorn leaves open, `transport` closes; many connections that do nothing are for a reverse proxy to turn
    away (see `deploy/`).
    """
    return {
        "http": hurried(limits.header, limits.request) if limits else PromptProtocol,
        "ws": "none",
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": 30,
        "server_header": False,
        **more,
    }


class Health:
    """Whether this process lives, and whether it can do its work. Public, so it names nothing but states."""

    def __init__(self, store: Store, home: Home) -> None:
        self._store = store
        self._home = home
        self._worker: asyncio.Future[None] | None = None

    def watch(self, worker: "asyncio.Future[None]") -> "asyncio.Future[None]":
        self._worker = worker
        worker.add_done_callback(_note_end)
        return worker

    async def alive(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """200 when the database answers, a configuration is in force and the worker runs; else 503.

        `files` tells an operator that what stands in the home was not applied; that alone stops nothing. Nor does
        a pause of everything, which is said: requests must come here all the same, or strangers would not get
        their 401 and all others not their 503.
        """
        worker = "stopped" if self._worker is not None and self._worker.done() else "running"
        try:
            async with self._store.reading() as tx:
                configuration = await in_force(tx)
                paused = await pauses.paused(tx)
        except Unavailable:
            return self._answer(database="not answering", configuration="unknown", files="unknown", worker=worker)
        except Refused:
            return self._answer(database="answering", configuration="none", files="unknown", worker=worker)
        files = await asyncio.to_thread(self._compare, configuration)
        return self._answer(
            paused=paused, database="answering", configuration="in force", files=files, worker=worker
        )

    def _answer(self, *, paused: bool = False, **states: str) -> Response:
        ready = states["configuration"] == "in force" and states["worker"] == "running"
        status = "not ready" if not ready else "paused" if paused else "ready"
        return JSONResponse({"status": status, **states}, 200 if ready else 503)

    def _compare(self, configuration: Configuration) -> str:
        try:
            proposed = read_configuration(self._home.configuration_files())
        except (BadInput, NotFound):
            return "faulty: run tocsin check"
        return "as applied" if proposed.sha256 == configuration.sha256 else "changed: run tocsin apply"


@contextlib.asynccontextmanager
async def _noting(exchange: Exchange) -> AsyncIterator[None]:
    """Write down what was sent to whom, each second, and at the end. A kill loses the last second of it."""
    noting = asyncio.ensure_future(_note_on_and_on(exchange))
    try:
        yield
    finally:
        await _stop(noting)
        await _note_sent(exchange)


async def _note_on_and_on(exchange: Exchange) -> None:
    for turn in itertools.count(1):
        await asyncio.sleep(NOTE_SECONDS)
        await _note_sent(exchange)
        if turn % SEAL_TURNS == 0:
            await _seal_events(exchange)


async def _seal_events(exchange: Exchange) -> None:
    """Seal what the audit has had since the last time; whatever else is sealed is sealed as it is written."""
    try:
        async with exchange.store.reading() as tx:
            waiting = await seals.is_waiting(tx)
        if waiting:
            async with exchange.store.writing() as tx:
                await seals.seal_rest(tx, seals.AUDIT, await tx.now())
    except Unavailable as why:  # they are sealed the next time
        log.warning("events could not be sealed: %s", why)


async def _note_sent(exchange: Exchange) -> None:
    try:
        await exchange.fetches.flush(exchange.store)
    except Unavailable as why:  # it waits for the next second
        log.warning("what was sent could not be noted: %s", why)


async def _stop(worker: "asyncio.Future[None]") -> None:
    worker.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        if not worker.done():
            await worker


def _note_end(worker: "asyncio.Future[None]") -> None:
    if worker.cancelled():
        return
    log.error("the background worker ended", exc_info=worker.exception())
