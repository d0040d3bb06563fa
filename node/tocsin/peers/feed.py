"""Feed: the pages of one collection of a peer, whatever protocol they come by.

A page that cannot be read is asked for again in halves; a single entry that cannot be read is told with its fault,
at its position, and passed. What cannot be told apart from a peer in trouble is a failure, and nothing is passed.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tocsin.errors import BadInput, PeerFailed
from tocsin.stix.objects import read_object, version_key
from tocsin.taxii.client import PeerClient, RemoteCollection, Unreadable
from tocsin.taxii.remote import (
    MOST_POSITIONS,
    Change,
    ChangesPage,
    OtherLog,
    fetch_changes,
    fetch_contents,
    read_head,
)

PAGE = 200  # entries asked for at a time: what one transaction takes in

Named = tuple[str, str]  # an object's id, and the SHA-256 of its content
Held = Callable[[Collection[Named]], Awaitable[Mapping[Named, bytes]]]


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in the peer's order, and the cursor that is right once all of them are stored.

    `epoch`: of the log, within which the cursor means something; '' where the peer does not say.
    """

    changes: tuple[Change, ...]
    cursor: str | None
    more: bool
    size: int  # bytes on the wire, decoded
    epoch: str = ""


class Feed(Protocol):
    """Pages one after the other; `cursor` is that of the page before, or where an earlier cycle ended."""

    async def page(self, cursor: str | None) -> Page: ...

    async def close(self) -> None: ...


async def nothing_held(names: Collection[Named]) -> Mapping[Named, bytes]:
    """Of a reader who holds nothing yet."""
    return {}


class NodeFeed:
    """The log of another node: its cursor is a position of that log.

    A node that can is asked for names alone, and then for the contents of what is not held here, on whoever's
    word. That we do not ask for something tells it that we hold it; it named both the object and its hash, so it
    learns nothing of what it did not hold itself.
    """

    def __init__(
        self,
        client: PeerClient,
        collection: RemoteCollection,
        limit: int = PAGE,
        *,
        epoch: str = "",
        names: bool = False,
        held: Held = nothing_held,
    ) -> None:
        self._client = client
        self._collection = collection
        self._full = self._limit = limit
        self._epoch = epoch
        self._names = names
        self._held = held

    async def page(self, cursor: str | None) -> Page:
        """Raises OtherLog where the log does not continue what was read of it."""
        page = await self.names(cursor)
        changes, size = await self.with_contents(page.changes)
        return replace(page, changes=tuple(map(checked, changes)), size=page.size + size)

    async def names(self, cursor: str | None) -> Page:
        """The same, as the peer tells it: without contents where it can."""
        while True:
            try:
                page = await fetch_changes(
                    self._client,
                    self._collection,
                    cursor or "",
                    self._limit,
                    epoch=self._epoch,
                    names=self._names,
                )
            except Unreadable as why:
                if self._limit == 1 or not why.smaller:
                    page = self._passed(why, cursor)
                    self._limit = self._full
                else:
                    self._limit //= 2
                    continue
            self._check_forward(cursor, page)
            if self._epoch and page.epoch not in ("", self._epoch):
                raise OtherLog(f"{self._client.name}'s log is another one than we read")
            self._epoch = page.epoch or self._epoch
            return Page(page.changes, page.position, page.more, page.size, self._epoch)

    async def with_contents(self, changes: Sequence[Change]) -> tuple[list[Change], int]:
        """The entries, with the content of what stands; and how many bytes were fetched for that."""
        named = [one for one in changes if one.stands and one.raw is None and not one.fault]
        held = await self._held({(one.id, one.sha256) for one in named}) if named else {}
        missing = {one.position: one for one in named if (one.id, one.sha256) not in held}
        contents, size = await self._contents(list(missing)) if missing else ({}, 0)
        found = []
        for one in changes:
            if one.position in missing and one.raw is None:
                got = contents.get(one.position)
                found.append(
                    replace(one, gone=True) if got is None else replace(one, raw=got.raw, fault=got.fault)
                )
            else:
                found.append(replace(one, raw=held.get((one.id, one.sha256), one.raw)))
        return found, size

    async def _contents(self, positions: list[str]) -> tuple[dict[str, Change], int]:
        """What is answered for each position, an unreadable one with its fault. What is left out has gone."""
        answered: dict[str, Change] = {}
        size, most, ahead = 0, MOST_POSITIONS, positions
        while ahead:
            asked = ahead[:most]
            try:
                page = await fetch_contents(self._client, self._collection, asked, epoch=self._epoch)
            except Unreadable as why:
                if not why.smaller:
                    raise
                if len(asked) > 1:
                    most = len(asked) // 2
                    continue
                raw = why.answer.body if why.answer else None
                answered[asked[0]] = Change(asked[0], raw=raw, fault=str(why))
                ahead, most = ahead[1:], MOST_POSITIONS
                continue
            size += page.size
            new = {one.position: one for one in page.changes if one.position in asked}
            answered |= new
            if page.more and not new:
                raise PeerFailed(f"{self._client.name} says that there is more, and gives nothing of it")
            rest = [position for position in asked if position not in new] if page.more else []
            ahead = rest + ahead[len(asked) :]
        return answered, size

    async def close(self) -> None:
        return None

    def _passed(self, why: Unreadable, cursor: str | None) -> ChangesPage:
        """A page of one entry that cannot be read, told at its position. Raises `why` where that is not known."""
        head = read_head(why.answer.body) if why.answer else None
        if why.answer is None or head is None:
            raise why
        position, more = head
        fault = Change(position, raw=why.answer.body, fault=str(why))
        return ChangesPage((fault,), position, more, len(why.answer.body))

    def _check_forward(self, cursor: str | None, page: ChangesPage) -> None:
        before, after = version_key(cursor or ""), version_key(page.position)
        if after < before:
            raise OtherLog(
                f"{self._client.name}'s log went back to {page.position}, and we have read up to {cursor}"
            )
        if after == before and (page.more or page.changes):
            raise PeerFailed(f"{self._client.name} tells of the same position again and again: {page.position}")


def checked(change: Change) -> Change:
    """The entry with a fault where it and its object do not say the same: what is named is what must be there."""
    if change.fault or change.raw is None or change.op not in ("put", "revoke"):
        return change
    try:
        version = read_object(change.raw)
    except BadInput:
        return change  # the door says why it refuses it
    if version.id != change.id:
        return replace(change, fault=f"the entry names {change.id[:100]}, and its object is {version.id}")
    if version.sha256 != change.sha256:
        return replace(change, fault="the object is not the one whose SHA-256 the entry names")
    if change.op == "revoke" and not version.revoked:
        return replace(change, fault="a revocation whose object is not revoked")
    return change
