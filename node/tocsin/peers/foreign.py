"""Foreign: reading a TAXII 2.1 server that is no node of ours.

`taxii2client` speaks the protocol (paths, filters, versions); what it asks for is fetched by our own client, whose
bounds hold for foreign servers as well, and the objects are taken as bytes, because a parsed number may have lost
digits. The library waits while it asks, so it does so in a thread. Only the dates of the first and the last object
of a page are told, so an object's position in the ledger is the date of the last of its page.

Many servers date an object before they commit it, so each cycle reads the last five minutes again (what is held
already changes nothing). Within a cycle `next` leads on; it is kept when a cycle stops half way, and given up when
the server no longer knows it.
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
from taxii2client.exceptions import TAXIIServiceException
from taxii2client.v21 import Collection

from tocsin.errors import BadInput, PeerFailed
from tocsin.peers.feed import PAGE, Page
from tocsin.stix.objects import from_micros
from tocsin.taxii.client import Answer, PeerAnswered, PeerClient, RemoteCollection, Unreadable, is_outline
from tocsin.taxii.query import read_position
from tocsin.taxii.remote import Change

OVERLAP = 5 * 60 * 1_000_000  # microseconds that each cycle reads again

_FIRST, _LAST = "x-taxii-date-added-first", "x-taxii-date-added-last"
_NEXT = re.compile(rb'"next"\s*:\s*"([^"\\]{1,2000})"')


class Bookmark(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cursor of a foreign collection, as kept: the last date seen, and where a cycle stopped half way."""

    at: str = ""  # X-TAXII-Date-Added-Last, the highest so far
    since: str = ""  # the `added_after` that `next` belongs to
    next: str = ""

    @classmethod
    def read(cls, cursor: str | None) -> "Bookmark":
        return msgspec.json.decode(cursor, type=cls) if cursor else cls()

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


class _Envelope(msgspec.Struct):
    more: bool | None = None
    next: str | int | None = None
    objects: list[msgspec.Raw] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Read:
    """A page as the server gave it; `fault` when its only object cannot be read."""

    objects: tuple[bytes, ...]
    more: bool
    next: str
    last: str
    size: int
    fault: str = ""


class ForeignFeed:
    """A collection of a TAXII 2.1 server, in the order in which it was added to (§3.2)."""

    def __init__(self, client: PeerClient, collection: RemoteCollection, limit: int = PAGE) -> None:
        self._name = client.name
        self._full = self._limit = limit
        self._library = _Library(client, collection)
        self._at: Bookmark | None = None  # where the next page of this cycle starts
        self._before = ""

    async def page(self, cursor: str | None) -> Page:
        start = self._at or _opening(Bookmark.read(cursor))
        read, start = await self._read(start)
        bookmark = self._onward(start, read)
        if read.fault:
            self._limit = self._full
            fault = Change(read.last, raw=read.objects[0], fault=read.fault)
            changes: tuple[Change, ...] = (fault,)
        else:
            changes = tuple(Change(read.last, raw=raw) for raw in read.objects)
        more = read.more or (bool(read.fault) and bool(bookmark.since or bookmark.next))
        self._at = bookmark if more else None
        kept = bookmark if more else Bookmark(bookmark.at)
        return Page(changes, str(kept) if kept != Bookmark() else cursor, more, read.size)

    async def close(self) -> None:
        self._library.close()

    async def _read(self, start: Bookmark) -> tuple[_Read, Bookmark]:
        while True:
            try:
                return self._parsed(await self._library.objects(start, self._limit)), start
            except PeerAnswered as why:
                if not start.next or why.status not in (400, 404, 410, 422, 500):
                    raise
                start = _opening(Bookmark(start.at))  # the server no longer knows where we stopped
            except Unreadable as why:
                if not why.smaller:
                    raise
                if self._limit == 1:
                    return self._passed(why), start
                self._limit //= 2
                if start.next:
                    # some servers give what `next` leads to only once, so it may not be asked for again
                    start = _opening(Bookmark(start.at))

    def _parsed(self, answer: Answer) -> _Read:
        try:
            answer.body.decode("utf-8")  # what stands inside the objects is not looked at by the next line
            envelope = msgspec.json.decode(answer.body, type=_Envelope)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
            whole = answer if is_outline(answer.body) else None
            raise Unreadable(f"{self._name} answered a page that cannot be read: {why}", whole) from why
        objects = tuple(bytes(raw) for raw in envelope.objects)
        next_ = "" if envelope.next is None else str(envelope.next)
        return _Read(objects, envelope.more is True, next_, _date(answer, _LAST), len(answer.body))

    def _passed(self, why: Unreadable) -> _Read:
        """The one object that cannot be read, at its date. Raises `why` where no way leads past it."""
        answer = why.answer
        if answer is None:
            raise why
        date = _date(answer, _LAST) or _date(answer, _FIRST)
        outside = answer.body.partition(b'"objects"')[0] + answer.body.rpartition(b"]")[2]
        found = _NEXT.search(outside)
        if not date:
            raise why
        next_ = found[1].decode("utf-8", "replace") if found else ""
        return _Read((answer.body,), bool(next_), next_, date, len(answer.body), str(why))

    def _onward(self, start: Bookmark, read: _Read) -> Bookmark:
        """Where the page after this one starts. Raises PeerFailed for pages that lead nowhere."""
        at = max(start.at, read.last)  # both written with six digits, so texts compare like times
        if read.fault and not read.next:
            return Bookmark(at, since=read.last)
        if not read.more:
            return Bookmark(at)
        if read.next:
            self._check_new(read)
            return Bookmark(at, start.since, read.next)
        if read.last <= start.since:
            raise PeerFailed(f"{self._name} says that there is more, and not where")
        return Bookmark(at, since=read.last)

    def _check_new(self, read: _Read) -> None:
        seen = hashlib.sha256(b"\n".join((read.next.encode(), *read.objects))).hexdigest()
        if seen == self._before:
            raise PeerFailed(f"{self._name} gives the same page again and again")
        self._before = seen


def _opening(bookmark: Bookmark) -> Bookmark:
    """Where a cycle starts: half way if the last one stopped there, else a little before the last date."""
    if bookmark.next or bookmark.since or not bookmark.at:
        return bookmark
    since = max(read_position(bookmark.at, "cursor") - OVERLAP, 0)
    return Bookmark(bookmark.at, since=from_micros(since))


def _date(answer: Answer, header: str) -> str:
    """A date header with six digits, whatever its spelling; '' where it is missing or no timestamp."""
    try:
        return from_micros(read_position(answer.headers.get(header, ""), header))
    except BadInput:
        return ""


class _Library:
    """`taxii2client` over our own client, in a thread of its own."""

    def __init__(self, client: PeerClient, collection: RemoteCollection) -> None:
        self._name = client.name
        self._connection = _Connection(client, asyncio.get_running_loop())
        info = {
            "id": collection.id,
            "title": collection.title or collection.id,
            "can_read": True,
            "can_write": False,
        }
        self._collection = Collection(collection.url, conn=self._connection, collection_info=info)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="taxii2client")

    async def objects(self, start: Bookmark, limit: int) -> Answer:
        """§5.4 Get objects, every version of each."""
        query: dict[str, Any] = {"limit": limit, "version": "all"}
        query |= {"added_after": start.since} if start.since else {}
        query |= {"next": start.next} if start.next else {}
        loop = asyncio.get_running_loop()
        try:
            answer: Answer = await loop.run_in_executor(
                self._thread, lambda: self._collection.get_objects(**query)
            )
        except TAXIIServiceException as why:
            raise PeerFailed(f"{self._name}: {why}") from why
        finally:
            self._connection.stop()
        return answer

    def close(self) -> None:
        self._connection.stop()
        self._thread.shutdown(wait=False)


class _Connection:
    """What `taxii2client` takes for its connection: it asks here, and the event loop fetches."""

    def __init__(self, client: PeerClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop
        self._running: Future[Answer] | None = None

    def get(
        self, url: str, headers: Mapping[str, str] | None = None, params: Mapping[str, Any] | None = None
    ) -> Answer:
        """The answer as it came, not parsed; called in the library's thread."""
        query = {name: _text(value) for name, value in (params or {}).items()}
        accept = (headers or {}).get("Accept", "")
        self._running = asyncio.run_coroutine_threadsafe(self._client.get(url, query, accept=accept), self._loop)
        return self._running.result()

    def stop(self) -> None:
        """End a request that nobody waits for any more, and with it the thread that waits."""
        if self._running is not None:
            self._running.cancel()

    def close(self) -> None:
        self.stop()


def _text(value: Any) -> str:
    """A query parameter: the library gives some of them as a tuple of one."""
    return str(value[0]) if isinstance(value, tuple | list) else str(value)
