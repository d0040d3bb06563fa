"""Feed: the pages of one collection of a peer, whatever protocol they come by.

A page that cannot be read is asked for again in halves; a single entry that cannot be read is told with its fault,
at its position, and passed. What cannot be told apart from a peer in trouble is a failure, and nothing is passed.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from tocsin.errors import BadInput, PeerFailed
from tocsin.stix.objects import read_object, version_key
from tocsin.taxii.client import (
    Change,
    ChangesPage,
    PeerClient,
    RemoteCollection,
    Unreadable,
    fetch_changes,
    read_head,
)

PAGE = 200  # entries asked for at a time: what one transaction takes in


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in the peer's order, and the cursor that is right once all of them are stored."""

    changes: tuple[Change, ...]
    cursor: str | None
    more: bool
    size: int  # bytes on the wire, decoded


class Feed(Protocol):
    """Pages one after the other; `cursor` is that of the page before, or where an earlier cycle ended."""

    async def page(self, cursor: str | None) -> Page: ...

    async def close(self) -> None: ...


class NodeFeed:
    """The log of another node: its cursor is a position of that log."""

    def __init__(self, client: PeerClient, collection: RemoteCollection, limit: int = PAGE) -> None:
        self._client = client
        self._collection = collection
        self._full = self._limit = limit

    async def page(self, cursor: str | None) -> Page:
        while True:
            try:
                page = await fetch_changes(self._client, self._collection, cursor or "", self._limit)
            except Unreadable as why:
                if self._limit == 1 or not why.smaller:
                    page = self._passed(why, cursor)
                    self._limit = self._full
                else:
                    self._limit //= 2
                    continue
            self._check_forward(cursor, page)
            return Page(tuple(map(checked, page.changes)), page.position, page.more, page.size)

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
            raise PeerFailed(
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
