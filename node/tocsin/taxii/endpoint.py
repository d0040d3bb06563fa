"""Endpoint: what every chapter of the standard shares: who asks, what they may use, and how an answer is sent.

A request is one transaction: the credential, the configuration in force and the log are read together, so an
answer never mixes two states. Rights follow from the configuration alone.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tocsin.auth import Caller, authenticate
from tocsin.errors import NotAllowed, NotFound, Refused, Unavailable
from tocsin.policy.configuration import Configuration
from tocsin.problems import TAXII_TYPE
from tocsin.settings import CollectionSettings, EmptyPage
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import Node
from tocsin.stix.canonical import LIMITS, Limits
from tocsin.stix.objects import from_micros
from tocsin.store import releases
from tocsin.store.pages import ReleasePage
from tocsin.store.transaction import Store, Transaction
from tocsin.taxii.body import Admission
from tocsin.taxii.negotiation import GZIP_FROM, accepts_gzip, check_accept, compressed
from tocsin.taxii.query import Cursor

_IN_THREAD_FROM = 64 * 1024  # bytes; compressing more than this would hold up other requests
# A shared cache may keep nothing; the client's own must ask again each time, which the ETag makes cheap.
_CACHING = {"Cache-Control": "private, no-cache", "Vary": "Accept, Accept-Encoding, Authorization, X-API-Key"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the endpoints work with: the store, who we are, the key of `next`, the limits on what is sent to us."""

    store: Store
    node: Node
    cursor_key: bytes = field(repr=False)
    limits: Limits = LIMITS
    admission: Admission = field(default_factory=Admission)


@dataclass(frozen=True, slots=True)
class OfferedCollection:
    """A collection that this caller may read, or add to, or both."""

    id: str
    key: str
    settings: CollectionSettings
    can_read: bool
    can_write: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """One request whose caller is known, inside its transaction."""

    tx: Transaction
    configuration: Configuration
    caller: Caller

    @property
    def empty_page(self) -> EmptyPage:
        """What the operator chose for this caller where a page of objects is empty."""
        party = self.configuration.settings.party(self.caller.name)
        return party.empty_page if party else "omit"

    async def collections(self) -> list[OfferedCollection]:
        """What the caller may use, in the order of the configuration; the rest is not for him to know."""
        ids = {row.key: row.id for row in await releases.collections(self.tx)}
        name, rights = self.caller.name, self.configuration
        return [
            OfferedCollection(ids[key], key, settings, rights.can_read(name, key), rights.can_write(name, key))
            for key, settings in rights.settings.collections.items()
            if key in ids and (rights.can_read(name, key) or rights.can_write(name, key))
        ]

    async def collection(self, named: str) -> OfferedCollection:
        """By id or alias. Raises NotFound for one that is absent or not for this caller."""
        for offered in await self.collections():
            if named in (offered.id, offered.key):
                return offered
        raise NotFound(f"no collection {named!r} for {self.caller.name}")

    async def readable(self, named: str) -> OfferedCollection:
        """Raises NotFound, or NotAllowed for a collection that the caller may only add to."""
        offered = await self.collection(named)
        if not offered.can_read:
            raise NotAllowed("You may add objects to this collection, but not read it.")
        return offered

    async def writable(self, named: str) -> OfferedCollection:
        """Raises NotFound, or NotAllowed for a collection that the caller may only read."""
        offered = await self.collection(named)
        if not offered.can_write:
            raise NotAllowed("You may read this collection, but not add to it.")
        return offered


Handler = Callable[[Exchange, Request], Awaitable[Response]]


async def configured(tx: Transaction) -> Configuration:
    """The configuration in force. Raises Unavailable where none was applied yet."""
    try:
        return await in_force(tx)
    except Refused as why:
        raise Unavailable("This node has no configuration in force yet.") from why


@asynccontextmanager
async def visiting(exchange: Exchange, request: Request, *, writing: bool = False) -> AsyncIterator[Visit]:
    """The transaction of a request, once its caller is known. Raises NotAuthenticated, NotAcceptable."""
    async with exchange.store.writing() if writing else exchange.store.reading() as tx:
        configuration = await configured(tx)
        caller = await authenticate(tx, configuration, request.headers)
        check_accept(",".join(request.headers.getlist("accept")))
        yield Visit(tx, configuration, caller)


def resource(exchange: Exchange, path: str, handlers: Mapping[str, Handler]) -> list[Route]:
    """The routes of one resource: with and without the trailing slash, never a redirect; HEAD goes with GET;
    other methods are 405 with `Allow` (Starlette)."""

    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](exchange, request)

    spellings = dict.fromkeys((path, path.rstrip("/")))
    return [Route(spelling, endpoint, methods=list(handlers)) for spelling in spellings]


async def answer(
    request: Request, body: bytes, headers: Mapping[str, str] | None = None, media_type: str = TAXII_TYPE
) -> Response:
    """A 200 that a client need not fetch twice: `ETag` and 304, gzip where accepted (§1.6.8; RFC 9110 §13.1.2).

    The tag is weak: it names what is said, in whatever coding.
    """
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    more = {**_CACHING, "ETag": etag, **(headers or {})}
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(None, 304, more)
    if len(body) >= GZIP_FROM and accepts_gzip(request.headers.get("accept-encoding")):
        more["Content-Encoding"] = "gzip"
        if len(body) >= _IN_THREAD_FROM:
            body = await asyncio.to_thread(compressed, body)
        else:
            body = compressed(body)
    return Response(body, 200, more, media_type=media_type)


def dated(page: ReleasePage) -> dict[str, str]:
    """§3.2: when the first and last object of this answer were added; absent where there is none."""
    if not page.rows:
        return {}
    return {
        "X-TAXII-Date-Added-First": from_micros(page.rows[0].position),
        "X-TAXII-Date-Added-Last": from_micros(page.rows[-1].position),
    }


def sealed_next(cursor: Cursor, page: ReleasePage) -> str | None:
    """`next`, exactly when there is more (§3.5)."""
    return cursor.seal(page.rows[-1].position) if page.more else None


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags
