"""Memory: what was answered, and who asked, for as long as nothing at all was committed.

An answer to GET rests on the request and on the database, and on nothing else that changes while a process runs.
So one that was worked out wholly between two equal moments (`store.moment`) is what would be worked out at every
later equal one, and may be given again without asking anybody. A token revoked, a party suspended, a configuration
applied or an object published, by whatever process, is another moment, and the very next request is read anew.
What holds of answers holds of who the caller is and what he may do (`Rights`), by which every answer begins.

What is asked is known here by a keyed hash alone, under a key that this process made for itself: neither a token
nor a query can be read from memory, and finding one in a dictionary takes a time that tells nothing of it.

Only small answers are kept, and few: polls with nothing new, 304, discovery, collections, one object. That an
answer came at once tells a reader that nothing was committed since it was last worked out, and no more than the
load of a machine tells him anyway.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Generic, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.errors import Unavailable
from tocsin.store.moment import Moment
from tocsin.store.transaction import Store
from tocsin.taxii.resources import API_ROOT, DISCOVERY
from tocsin.taxii.rights import Rights

MOMENT = "tocsin.moment"  # in the scope of a request: the moment at which it was taken up

_SMALL = 16 * 1024  # bytes of a body
_MOST_ANSWERS = 512  # so all of them together are below 10 MiB
_MOST_RIGHTS = 1024
_WHO = frozenset({b"authorization", b"x-api-key"})
_HOW = _WHO | {b"accept", b"accept-encoding", b"if-none-match"}
_WITH_BODY = frozenset({b"content-length", b"transfer-encoding", b"expect"})
_PATHS = (API_ROOT.rstrip("/"), DISCOVERY.rstrip("/"))

T = TypeVar("T")


class OfOneMoment(Generic[T]):
    """Values by key, all of one moment: another one empties it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._moment: Moment | None = None
        self._values: dict[bytes, T] = {}

    def get(self, moment: Moment, key: bytes) -> T | None:
        return self._values.get(key) if moment == self._moment else None

    def put(self, moment: Moment, key: bytes, value: T) -> None:
        if moment != self._moment or len(self._values) >= self._most:
            self._moment, self._values = moment, {}
        self._values[key] = value


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as ASGI tells it."""

    start: Message
    body: Message


@dataclass(frozen=True, slots=True)
class Memory:
    """What one process remembers. Belongs to its event loop."""

    answers: OfOneMoment[Kept] = field(default_factory=lambda: OfOneMoment(_MOST_ANSWERS), repr=False)
    rights: OfOneMoment[Rights] = field(default_factory=lambda: OfOneMoment(_MOST_RIGHTS), repr=False)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def caller(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """By what the rights of a caller are known: the credential that he brings."""
        return self._hash(part for header in headers if header[0] in _WHO for part in header)

    def question(self, scope: Scope) -> bytes | None:
        """By what an answer is known: everything in a request that it rests on. None for one that is not kept."""
        if scope["method"] not in ("GET", "HEAD") or not scope["path"].startswith(_PATHS):
            return None
        parts = [scope["method"].encode(), scope["raw_path"], scope["query_string"]]
        for name, value in scope["headers"]:
            if name in _HOW:
                parts += (name, value)
            elif name in _WITH_BODY and value != b"0":
                return None
        return self._hash(parts)

    def _hash(self, parts: Iterable[bytes]) -> bytes:
        # no part holds a line end, since no line of a head does
        return blake2b(b"\n".join(parts), key=self._key, digest_size=32).digest()


class Remembering:
    """The outermost part of the app: gives an answer again while it holds (ASGI middleware)."""

    def __init__(self, app: ASGIApp, store: Store, memory: Memory) -> None:
        self._app = app
        self._store = store
        self._memory = memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (question := self._memory.question(scope)) is None:
            await self._app(scope, receive, send)
            return
        moment = await self._moment()
        if moment is None:
            await self._app(scope, receive, send)
            return
        if (kept := self._memory.answers.get(moment, question)) is not None:
            await send(kept.start)
            await send(kept.body)
            return
        scope[MOMENT] = moment
        listener = _Listener(send)
        await self._app(scope, receive, listener.send)
        answer = listener.answer()
        if answer is not None and await self._moment() == moment:
            self._memory.answers.put(moment, question, answer)

    async def _moment(self) -> Moment | None:
        """None where the database cannot be asked: whoever reads it will say so."""
        try:
            return await self._store.moment()
        except Unavailable:
            return None


@dataclass(slots=True)
class _Listener:
    """Passes an answer on, and keeps it where it is small and good."""

    _send: Send
    _start: Message | None = None
    _body: Message | None = None
    _large: bool = False  # or not to be kept for what it says itself

    async def send(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "http.response.start":
            self._start = message
            self._large = (b"cache-control", b"no-store") in message["headers"]
        elif self._body is not None or message.get("more_body", False) or len(message["body"]) > _SMALL:
            self._large = True
        else:
            self._body = message

    def answer(self) -> Kept | None:
        if self._start is None or self._body is None or self._large or self._start["status"] not in (200, 304):
            return None
        return Kept(self._start, self._body)
