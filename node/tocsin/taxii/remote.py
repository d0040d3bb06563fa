"""Remote: the log of another node, as we ask for it (see `changes` for what is said).

What comes back is read so far that each entry is known by its position, or has a fault that says why not; whether
it is true is for `peers` and `intake.receive` to judge.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import msgspec

from tocsin.errors import PeerFailed
from tocsin.stix.objects import ID, is_timestamp
from tocsin.store.digest import SHARES, Digest
from tocsin.taxii.client import (
    JSON_TYPE,
    Answer,
    PeerAnswered,
    PeerClient,
    RemoteCollection,
    Unreadable,
    is_outline,
)

MOST_POSITIONS = 200  # of one question for contents

_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_PLAIN = re.compile(r"[A-Za-z0-9._~-]{1,100}")  # an epoch as it can be kept and be sent back
_SHARE = re.compile(r"^[0-9a-f]{32}$")

Op = Literal["put", "revoke", "withdraw", "prune"]
T = TypeVar("T", bound=msgspec.Struct)


class OtherLog(PeerFailed):
    """The peer's log is not the one that we read, or does not know the position up to which we read it (410)."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of a node's log. `fault` says why it cannot be used; then only `position` is certain.

    `raw` is None where it was only named; `gone`: it was named, and went before its content was asked for.
    """

    position: str
    op: Op = "put"
    id: str = ""
    version: str = ""
    sha256: str = ""
    hops: int = 0
    raw: bytes | None = field(default=None, repr=False)
    fault: str = ""
    gone: bool = False

    @property
    def stands(self) -> bool:
        """Whether it says that something stands: not that it went."""
        return self.op in ("put", "revoke")


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """`position` is that of the last entry told; `size` in bytes; `epoch` is '' where the peer does not say."""

    changes: tuple[Change, ...]
    position: str
    more: bool
    size: int
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class RemoteDigest:
    """What stands in a log up to a position, in numbers."""

    position: str
    epoch: str
    digest: Digest


class _Entry(msgspec.Struct):
    op: Op
    position: str
    id: str
    version: str = ""
    sha256: str = ""
    hops: int = 0
    object: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class _Head(msgspec.Struct):
    more: bool
    position: str


class _Changes(msgspec.Struct):
    more: bool
    position: str
    entries: list[msgspec.Raw]
    epoch: str = ""


class _Contents(msgspec.Struct):
    more: bool
    entries: list[msgspec.Raw]


class _Digest(msgspec.Struct):
    position: str
    epoch: str
    count: int
    shares: list[str]


class _News(msgspec.Struct):
    news: list[str]


async def fetch_changes(
    client: PeerClient,
    collection: RemoteCollection,
    after: str,
    limit: int,
    *,
    epoch: str = "",
    names: bool = False,
) -> ChangesPage:
    """A page of a node's log after a position ('' = from its beginning), oldest first; with `names` without
    contents.

    Raises OtherLog where it is asked for with the epoch that it was read in, and does not continue what was read;
    Unreadable, with the answer where the page is JSON in outline and something within it cannot be read.
    """
    params = {"limit": str(limit), **({"after": after} if after else {}), **({"epoch": epoch} if epoch else {})}
    answer = await _get(client, f"{collection.url}changes/", params | ({"content": "no"} if names else {}))
    return read_changes(client.name, answer, after, names=names)


def read_changes(peer: str, answer: Answer, after: str, *, names: bool = False) -> ChangesPage:
    """A page of changes out of an answer, or a file. Raises Unreadable as `fetch_changes` does."""
    page = _decoded(peer, answer, _Changes)
    if not is_timestamp(page.position):
        raise Unreadable(f"{peer} answered a page whose position is none: {page.position[:60]!r}")
    changes = tuple(_change(raw, f"{after}#{index}", names) for index, raw in enumerate(page.entries))
    epoch = page.epoch if _PLAIN.fullmatch(page.epoch) else ""
    return ChangesPage(changes, page.position, page.more, len(answer.body), epoch)


def read_head(body: bytes) -> tuple[str, bool] | None:
    """Position and `more` of a page whose entries cannot be read; None where those cannot be read either."""
    head, found, _ = body.partition(b',"entries":')
    try:
        read = msgspec.json.decode(head + b"}", type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return (read.position, read.more) if found and is_timestamp(read.position) else None


async def fetch_contents(
    client: PeerClient, collection: RemoteCollection, positions: Sequence[str], *, epoch: str = ""
) -> ChangesPage:
    """Those of some entries that still stand, with their contents; `more`: of others that stand too, ask again.

    Raises OtherLog, Unreadable as `fetch_changes` does.
    """
    # positions are written out as they are: their colons and the commas would make the address half as long again
    url = f"{collection.url}changes/content/?at={','.join(positions)}{f'&epoch={epoch}' if epoch else ''}"
    answer = await _get(client, url, None)
    page = _decoded(client.name, answer, _Contents)
    changes = tuple(_change(raw, "", False) for raw in page.entries)
    return ChangesPage(changes, "", page.more, len(answer.body))


async def fetch_digest(client: PeerClient, collection: RemoteCollection) -> RemoteDigest:
    """What stands in a node's log, in numbers. Raises Unreadable."""
    answer = await _get(client, f"{collection.url}digest/", None)
    said = _decoded(client.name, answer, _Digest)
    if not is_timestamp(said.position) or len(said.shares) != SHARES or not all(map(_SHARE.match, said.shares)):
        raise Unreadable(f"{client.name} answered a digest that is none")
    return RemoteDigest(said.position, said.epoch, Digest(said.count, tuple(int(one, 16) for one in said.shares)))


async def fetch_news(client: PeerClient, api_root: str, after: Mapping[str, str], wait: int) -> list[str]:
    """Which of a node's logs have more for us than what we read, by id and position; waits for that at the peer.

    `wait` in seconds. Raises Unreadable.
    """
    logs = "&".join(f"after={id_}:{position}" for id_, position in after.items())
    answer = await _get(client, f"{api_root}news/?{logs}&wait={wait}", None)
    return [id_ for id_ in _decoded(client.name, answer, _News).news if id_ in after]


async def _get(client: PeerClient, url: str, params: Mapping[str, str] | None) -> Answer:
    try:
        return await client.get(url, params, accept=JSON_TYPE)
    except PeerAnswered as why:
        if why.status == 410:
            raise OtherLog(f"{client.name}'s log does not continue what we read of it (410)") from why
        raise


def _decoded(peer: str, answer: Answer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        whole = answer if is_outline(answer.body) else None
        raise Unreadable(f"{peer} answered a page that cannot be read: {why}", whole) from why


def _change(raw: msgspec.Raw, unknown: str, names: bool) -> Change:
    try:
        entry = msgspec.json.decode(raw, type=_Entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        return Change(unknown, raw=bytes(raw), fault=f"an entry that cannot be read: {why}")
    if not is_timestamp(entry.position):
        return Change(unknown, raw=bytes(raw), fault="an entry without a position")
    fault = ""
    raw_object = bytes(entry.object) or None
    if entry.op in ("put", "revoke") and raw_object is None and not names:
        fault = f"{entry.op} without the object"
    elif not ID.match(entry.id):
        fault = f"an id that is none: {entry.id[:100]!r}"
    elif entry.op != "prune" and not _SHA256.match(entry.sha256):
        fault = f"a SHA-256 that is none: {entry.sha256[:100]!r}"
    elif not 0 <= entry.hops <= 100:
        fault = f"a number of hops that cannot be: {entry.hops}"
    return Change(entry.position, entry.op, entry.id, entry.version, entry.sha256, entry.hops, raw_object, fault)
