"""Endpoint: what every chapter of the standard shares: who asks, what they may use, and how an answer is sent.

A request is one transaction: the credential, the configuration in force and the log are read together, so an
answer never mixes two states. What is known of a caller is known of one moment (`memory`): a page may be read
without a transaction where it turns out to be of that very moment.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tocsin.auth import Caller
from tocsin.policy.configuration import Configuration
from tocsin.problems import TAXII_TYPE
from tocsin.sharing.digests import Digests
from tocsin.sharing.node import Node
from tocsin.stix.objects import from_micros
from tocsin.store.fetches import Fetches
from tocsin.store.moment import Moment
from tocsin.store.pages import ContentPage, ReleasePage
from tocsin.store.transaction import Store, Transaction
from tocsin.taxii.ahead import Ahead
from tocsin.taxii.body import Admission
from tocsin.taxii.coding import FROM as CODED_FROM
from tocsin.taxii.coding import Coding, coded, coding_for
from tocsin.taxii.memory import MOMENT, Memory
from tocsin.taxii.negotiation import check_accept
from tocsin.taxii.query import Cursor
from tocsin.taxii.resources import Envelope
from tocsin.taxii.rights import Rights, glance_at_rights, read_rights
from tocsin.taxii.waiting import Waiting

# A shared cache may keep nothing; the client's own must ask again each time, which the ETag makes cheap.
_CACHING = {"Cache-Control": "private, no-cache", "Vary": "Accept, Accept-Encoding, Authorization, X-API-Key"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the endpoints work with: the store, who we are, the key of `next`, and what this process remembers."""

    store: Store
    node: Node
    cursor_key: bytes = field(repr=False)
    admission: Admission
    memory: Memory = field(default_factory=Memory)
    ahead: Ahead = field(default_factory=Ahead)
    digests: Digests = field(default_factory=Digests)
    waiting: Waiting = field(default_factory=Waiting)
    fetches: Fetches = field(default_factory=Fetches)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request whose caller is known, inside its transaction."""

    tx: Transaction
    rights: Rights

    @property
    def caller(self) -> Caller:
        return self.rights.caller

    @property
    def configuration(self) -> Configuration:
        return self.rights.configuration


Handler = Callable[[Exchange, Request], Awaitable[Response]]


@asynccontextmanager
async def visiting(exchange: Exchange, request: Request, *, writing: bool = False) -> AsyncIterator[Visit]:
    """The transaction of a request, once its caller is known. Raises NotAuthenticated, NotAcceptable."""
    async with exchange.store.writing() if writing else exchange.store.reading() as tx:
        rights = await read_rights(tx, request.headers)
        check_accept(_listed(request, "accept"))
        yield Visit(tx, rights)


async def known_rights(exchange: Exchange, request: Request) -> tuple[Rights, Moment] | None:
    """The caller's rights without a transaction, and the moment of which they are; None where it takes one.

    Raises NotAuthenticated, NotAllowed, NotAcceptable.
    """
    moment = request.scope.get(MOMENT)
    if moment is None:
        return None
    credential = exchange.memory.caller(request.scope["headers"])
    rights = exchange.memory.rights.get(moment, credential)
    if rights is None:
        found = await glance_at_rights(exchange.store, request.headers)
        if found is None:
            return None
        rights, moment = found
        exchange.memory.rights.put(moment, credential, rights)
    check_accept(_listed(request, "accept"))
    return rights, moment


async def rights_now(exchange: Exchange, request: Request) -> Rights:
    """The caller's rights, outside any transaction. Raises NotAuthenticated, NotAllowed, NotAcceptable."""
    request.scope[MOMENT] = await exchange.store.moment()
    if (known := await known_rights(exchange, request)) is not None:
        return known[0]
    async with visiting(exchange, request) as visit:
        return visit.rights


def resource(exchange: Exchange, path: str, handlers: Mapping[str, Handler]) -> list[Route]:
    """The routes of one resource: with and without the trailing slash, never a redirect; HEAD goes with GET;
    other methods are 405 with `Allow` (Starlette)."""

    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](exchange, request)

    spellings = dict.fromkeys((path, path.rstrip("/")))
    return [Route(spelling, endpoint, methods=list(handlers)) for spelling in spellings]


def note_sent(
    exchange: Exchange,
    request: Request,
    party_id: str,
    collection_id: str,
    positions: Sequence[int],
    *,
    after: int | None,
    whole: bool,
) -> None:
    """Note, as evidence, the entries that a caller is sent, who asked for what follows `after`."""
    if positions and request.method == "GET":
        first, last = positions[0], positions[-1]
        exchange.fetches.note(party_id, collection_id, after=after, first=first, last=last, whole=whole)


async def answer(
    request: Request, body: bytes, headers: Mapping[str, str] | None = None, media_type: str = TAXII_TYPE
) -> Response:
    """A 200 that a client need not fetch twice: `ETag` and 304, coded as accepted (§1.6.8; RFC 9110 §13.1.2).

    The tag is weak: it names what is said, in whatever coding.
    """
    more = _tagged(body, headers)
    if _matches(request.headers.get("if-none-match"), more["ETag"]):
        return Response(None, 304, more)
    if (coding := _coding(request, len(body))) is not None:
        return await _coded(body, coding, more, media_type)
    return Response(body, 200, more, media_type=media_type)


async def answer_long(
    request: Request,
    body: Envelope,
    essence: bytes,
    headers: Mapping[str, str],
    then: Callable[[], None] | None = None,
) -> Response:
    """The same for what takes long to join and to hash. `essence`: two bodies that say the same have the same.

    `then` is done when the client has been given the whole body, if he is.
    """
    more = _tagged(essence, headers)
    if _matches(request.headers.get("if-none-match"), more["ETag"]):
        return Response(None, 304, more)
    if (coding := _coding(request, len(body))) is not None:
        return await _coded(b"".join(body), coding, more, TAXII_TYPE)
    return _InPieces(body, more, then)


class _InPieces(Response):
    """An envelope that is joined as it is sent. It has a length, so a client can tell whether all of it came."""

    media_type = TAXII_TYPE

    def __init__(self, envelope: Envelope, headers: Mapping[str, str], then: Callable[[], None] | None) -> None:
        super().__init__(None, 200, {**headers, "Content-Length": str(len(envelope))})
        self._envelope = envelope
        self._then = then

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        pieces = iter(self._envelope)
        piece = next(pieces)
        for following in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = following
        await send({"type": "http.response.body", "body": piece, "more_body": False})
        if self._then is not None:
            self._then()


def _tagged(essence: bytes, headers: Mapping[str, str] | None) -> dict[str, str]:
    return {**_CACHING, "ETag": f'W/"{hashlib.sha256(essence).hexdigest()[:32]}"', **(headers or {})}


def _coding(request: Request, size: int) -> Coding | None:
    return coding_for(_listed(request, "accept-encoding")) if size >= CODED_FROM else None


async def _coded(body: bytes, coding: Coding, headers: Mapping[str, str], media_type: str) -> Response:
    return Response(await coded(body, coding), 200, {**headers, "Content-Encoding": coding}, media_type=media_type)


def _listed(request: Request, name: str) -> str:
    """A header that may stand several times (RFC 9110 §5.3)."""
    return ",".join(request.headers.getlist(name))


def dated(page: ReleasePage | ContentPage) -> dict[str, str]:
    """§3.2: when the first and last object of this answer were added; absent where there is none."""
    if page.first is None or page.last is None:
        return {}
    return {
        "X-TAXII-Date-Added-First": from_micros(page.first),
        "X-TAXII-Date-Added-Last": from_micros(page.last),
    }


def sealed_next(cursor: Cursor, page: ReleasePage | ContentPage) -> str | None:
    """`next`, exactly when there is more (§3.5)."""
    return cursor.seal(page.last) if page.more and page.last is not None else None


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags
