"""Body: what goes in and out of this process at a time, within limits on size, number and time.

A body is taken in only when there is room for the whole of it; requests and bodies of one party wait for each
other, and only when the wait is too long, or too many wait, is one told to come back later: 429 where the party's
own requests are the reason, 503 where everybody's are. Whose a token is, is looked up when it first comes; then a
wait costs no connection to the database. A token that is nobody's counts for itself, so nothing that a stranger
does is counted for a party, and what is counted for one party never shows another that somebody is busy.

Each process counts for itself: of several replicas each takes on the whole allowance, so that a party whose
requests a proxy spreads over n of them has up to n times as much in work, and each needs room for its own bodies.

An answer is handed over in pieces and counts as work until it was taken. A connection whose request was answered
before its body had arrived is ended: nothing reads on for as long as somebody sends. It does read on for a while,
since a client that is still sending when its connection ends never sees the answer (413 above all).
"""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.auth import read_credential
from tocsin.errors import BadInput, NotAuthenticated, TocsinError, TooLarge, Unavailable
from tocsin.problems import Busy, TooManyRequests, problem
from tocsin.settings import LimitSettings
from tocsin.stix.canonical import Limits
from tocsin.store import accounts
from tocsin.store.transaction import Store

log = logging.getLogger(__name__)

_PIECE = 256 * 1024  # bytes of an answer handed over at a time
_MOST_TOKENS = 1024  # whose party is remembered


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one process takes on at a time. Everything may be lowered."""

    bodies: int = 64 * 1024 * 1024  # bytes of bodies that arrive or are worked on
    party_bodies: int = 16 * 1024 * 1024  # of these, for one account or peer
    party_requests: int = 16  # in work for one
    party_waiting: int = 64  # of one that wait for their turn
    wait_seconds: float = 20.0  # for a turn, or for room
    body_seconds: float = 60.0  # a whole body must have arrived by then
    piece_seconds: float = 60.0  # each piece of an answer must have been taken by then
    rest: int = 32 * 1024 * 1024  # bytes of a body that are passed over after its answer, so that this is seen
    rest_seconds: float = 10.0  # and for how long at most
    silent_seconds: float = 2.0  # or until nothing came for so long

    def under(self, limits: LimitSettings) -> "Allowance":
        """The same, as far as the operator lowered none of it."""
        return replace(
            self,
            party_requests=min(self.party_requests, limits.requests),
            body_seconds=min(self.body_seconds, limits.request),
            piece_seconds=min(self.piece_seconds, limits.request),
        )


ALLOWANCE = Allowance()


class Room:
    """So many units, given out in the order in which they are asked for."""

    def __init__(self, size: int, refusal: Callable[[], TocsinError], waiting: int | None = None) -> None:
        self._size = self._free = size
        self._refusal = refusal
        self._most_waiting = waiting
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def holding(self, amount: int, seconds: float) -> AsyncIterator[None]:
        """Raises the refusal of this room when too many wait, or it takes longer than `seconds`."""
        amount = min(amount, self._size)  # what is larger than the room has it alone
        await self._take(amount, seconds)
        try:
            yield
        finally:
            self._give_back(amount)

    async def _take(self, amount: int, seconds: float) -> None:
        if not self._waiting and amount <= self._free:
            self._free -= amount
            return
        if self._most_waiting is not None and len(self._waiting) >= self._most_waiting:
            raise self._refusal()
        entry = amount, asyncio.get_running_loop().create_future()
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(seconds):
                await entry[1]
        except (TimeoutError, asyncio.CancelledError) as why:
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._serve()  # who waits behind may need less
            else:  # given in the very moment of giving up
                self._give_back(amount)
            if isinstance(why, TimeoutError):
                raise self._refusal() from why
            raise

    def _give_back(self, amount: int) -> None:
        self._free += amount
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            amount, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= amount
                turn.set_result(None)


@dataclass(slots=True)
class _Desk:
    """The rooms of one party, for as long as it has requests here."""

    requests: Room
    bodies: Room
    present: int = 0


@dataclass(slots=True)
class Admission:
    """Who may go on, and who waits. One for a process; belongs to its event loop."""

    store: Store
    allowance: Allowance = ALLOWANCE
    _parties: dict[bytes, bytes] = field(default_factory=dict, repr=False)  # by the hash of a token
    _desks: dict[bytes, _Desk] = field(default_factory=dict)
    _bodies: Room = field(init=False)

    def __post_init__(self) -> None:
        self._bodies = Room(self.allowance.bodies, _everybody_is_busy)

    @asynccontextmanager
    async def turn(self, headers: Mapping[str, str]) -> AsyncIterator[None]:
        """The turn of a request; one without a credential needs none. Raises TooManyRequests."""
        async with self._desk(headers) as desk:
            if desk is None:
                yield
                return
            async with desk.requests.holding(1, self.allowance.wait_seconds):
                yield

    @asynccontextmanager
    async def body(self, request: Request, limits: Limits) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        """Room for the body of a request until it was worked on, and the function that reads it.

        Raises TooLarge for one that says it is above the limit, TooManyRequests, Busy.
        """
        size = _declared(request, limits)
        seconds = self.allowance.wait_seconds
        async with self._desk(request.headers) as desk:
            if desk is None:
                raise NotAuthenticated("a body without a credential")
            async with desk.bodies.holding(size, seconds), self._bodies.holding(size, seconds):

                async def read() -> bytes:
                    return await _read(request, limits, self.allowance.body_seconds)

                yield read

    @asynccontextmanager
    async def _desk(self, headers: Mapping[str, str]) -> AsyncIterator[_Desk | None]:
        try:
            token = read_credential(headers).token
        except NotAuthenticated:  # which is said where it is asked for
            yield None
            return
        key = await self._party(token)
        desk = self._desks.get(key)
        if desk is None:
            allowed = self.allowance
            desk = self._desks[key] = _Desk(
                Room(allowed.party_requests, _you_are_busy, allowed.party_waiting),
                Room(allowed.party_bodies, _you_are_busy),
            )
        desk.present += 1
        try:
            yield desk
        finally:
            desk.present -= 1
            if not desk.present:
                del self._desks[key]

    async def _party(self, token: str) -> bytes:
        """What is counted together: the requests of a party, whichever of its tokens they bring."""
        digest = _digest(token)
        known = self._parties.get(digest)
        if known is not None:
            return known
        try:
            found = await accounts.glance_at_holder(self.store, token)
        except Unavailable:  # which is said where the caller has to be known
            return digest
        if found is None:
            return digest
        if len(self._parties) >= _MOST_TOKENS:
            del self._parties[next(iter(self._parties))]
        party = self._parties[digest] = found[0].party.id.encode()
        return party

    def forget(self, headers: Mapping[str, str]) -> None:
        """Look up anew whose a token is, when it comes again: it was refused, and may have been revoked."""
        with suppress(NotAuthenticated):
            self._parties.pop(_digest(read_credential(headers).token), None)


class Admitting:
    """The part of the app that every request passes: its turn, and the bytes of its answer (ASGI middleware)."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        talk = _Talk(receive, send, _has_body(scope), _awaits_continue(scope), self._admission.allowance)
        if b"%2f" in scope["raw_path"].lower():
            # an encoded slash is none (RFC 3986 §2.2), but whoever stands before us might take it for one
            await problem(404)(scope, talk.receive, talk.send)
            return
        headers = Headers(scope=scope)
        try:
            async with self._admission.turn(headers):
                await self._app(scope, talk.receive, talk.send)
            if talk.refused:
                self._admission.forget(headers)
        except TooManyRequests as why:
            await problem(429, str(why))(scope, talk.receive, talk.send)
        except _NotTaken:
            # uvicorn ends the connection of an answer that was not completed
            log.info("a client took no more of its answer for %g seconds", self._admission.allowance.piece_seconds)


class _NotTaken(Exception):
    """The client does not read its answer."""


@dataclass(slots=True)
class _Talk:
    """One request and its answer, as bytes."""

    _receive: Receive
    _send: Send
    unread: bool  # there is a body, and it was not read to its end
    _withheld: bool  # the client does not send its body before it is told to
    _allowance: Allowance
    refused: bool = False  # the answer is that nobody knows the caller

    async def receive(self) -> Message:
        self._withheld = False
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.refused = message["status"] == 401
            if self.unread:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await self._send(message)
            return
        body = message.get("body", b"")
        for start in range(0, len(body) - _PIECE, _PIECE):
            await self._hand_over({**message, "body": bytes(body[start : start + _PIECE]), "more_body": True})
        rest = (len(body) - 1) // _PIECE * _PIECE if body else 0
        last = {**message, "body": body[rest:]} if rest else message
        if self.unread and not self._withheld and not message.get("more_body", False):
            await self._hand_over({**last, "more_body": True})
            await self._pass_over_the_rest()
            last = {"type": "http.response.body", "body": b""}
        await self._hand_over(last)

    async def _pass_over_the_rest(self) -> None:
        """Read what the client is still sending, and keep none of it."""
        size = 0
        try:
            async with asyncio.timeout(self._allowance.rest_seconds):
                while self.unread and size < self._allowance.rest:
                    async with asyncio.timeout(self._allowance.silent_seconds):
                        message = await self.receive()
                    if message["type"] != "http.request":
                        return
                    size += len(message.get("body", b""))
        except TimeoutError:
            log.info("a client had been answered before its body, and did not end it")

    async def _hand_over(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._allowance.piece_seconds):
                await self._send(message)  # waits while the client has not taken what came before
        except TimeoutError as why:
            raise _NotTaken from why


async def _read(request: Request, limits: Limits, seconds: float) -> bytes:
    """The body, of which never more than the limit is taken in, whatever `Content-Length` says.

    Raises TooLarge, or BadInput for a body that does not arrive in time.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body:
                    raise _too_large(limits)
                parts.append(part)
    except TimeoutError as why:
        raise BadInput(f"The body did not arrive within {seconds:g} seconds.") from why
    return b"".join(parts)


def _declared(request: Request, limits: Limits) -> int:
    """How many bytes the body will have at most. Raises TooLarge when it says of itself that it is too large."""
    text = request.headers.get("content-length")
    if text is None:
        return limits.body
    if not text.isdecimal() or len(text) > 18 or int(text) > limits.body:
        raise _too_large(limits)
    return int(text)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
        for name, value in scope["headers"]
    )


def _awaits_continue(scope: Scope) -> bool:
    return any(name == b"expect" for name, _ in scope["headers"])


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(f"A body may have {limits.body} bytes (max_content_length).")


def _you_are_busy() -> TooManyRequests:
    return TooManyRequests("This node works on as many requests of yours as it takes on at a time.")


def _everybody_is_busy() -> Busy:
    return Busy("no room for another body")
