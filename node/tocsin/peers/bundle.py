"""Bundle: a slice of a log as a file, for a node that cannot be reached; and the file that it gives back.

A bundle is JSON Lines, UTF-8. The first line says of which log it is and from where; the lines between are pages
exactly as the changes feed answers them (`taxii.changes`), so they come in through the same door; the last line
has the SHA-256 of all before it. An answer has a JSON object for each log: how far it was read, and what was done
with what it took back, as `taxii.acknowledgements` says it. Neither is signed: whoever carries one vouches for it.

    {"tocsin": "bundle", "version": 1, "node": "identity--…", "for": "<whom>", "made": "<time>", "epoch": "…",
     "collection": {"id", "alias", "title"}, "after": "<position>", "position": "<position>"}
    {"more": true, "position": …, "epoch": …, "entries": […]}
    {"end": true, "sha256": "<64 hexadecimal digits>"}
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from tocsin.errors import BadFile, BadInput, NotFound, Problem, Refused
from tocsin.peers.discover import Contact
from tocsin.peers.feed import Page, checked
from tocsin.peers.pull import take_pages
from tocsin.peers.take import Tally
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import Node
from tocsin.sharing.notices import take_answers
from tocsin.sharing.page import read_changes
from tocsin.stix.objects import ID, from_micros, is_timestamp, version_key
from tocsin.store import acknowledgements, audit, parties, peers, releases
from tocsin.store.transaction import Store
from tocsin.taxii.acknowledgements import MOST, read_acknowledgements
from tocsin.taxii.changes import page_as_json
from tocsin.taxii.client import Answer, RemoteCollection
from tocsin.taxii.query import read_position
from tocsin.taxii.remote import read_changes as read_page

PAGE = 500  # entries of a line
MOST_OF_A_LINE = 32 * 1024 * 1024  # bytes: a page has 8 MiB of objects at most
_START = from_micros(0)

T = TypeVar("T")


class _Named(msgspec.Struct):
    id: str
    alias: str
    title: str


class _Head(msgspec.Struct):
    tocsin: str
    version: int
    node: str
    epoch: str
    collection: _Named
    after: str
    position: str


class _End(msgspec.Struct):
    end: bool
    sha256: str


class _AnswerFile(msgspec.Struct):
    tocsin: str
    version: int
    node: str
    collection: str
    position: str
    acknowledgements: list[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Written:
    """What a bundle holds: entries, and the position from which the next one goes on."""

    entries: int
    position: str


# --- out -----------------------------------------------------------------------------------------------------


async def write_bundle(
    store: Store, configuration: Configuration, node: Node, name: str, key: str, after: int, out: BinaryIO
) -> Written:
    """Write what the log of collection `key` tells reader `name` beyond a position (µs; 0 = from its start).

    It counts as offered like what he asks for himself. Raises NotFound where he does not read it.
    """
    if not configuration.can_read(name, key):
        raise NotFound(f"{name!r} is no reader of {key!r}")
    settings = configuration.settings.collections[key]
    digest = hashlib.sha256()

    def write(line: bytes) -> None:
        digest.update(line + b"\n")
        out.write(line + b"\n")

    async with store.reading() as tx:
        party = await parties.party_by_name(tx, name)
        row = next((row for row in await releases.collections(tx) if row.key == key), None)
        if party is None or row is None:
            raise NotFound(f"{name!r} or {key!r} is not in force yet (run: tocsin apply)")
        now = await tx.now()
        head: dict[str, Any] = {
            "tocsin": "bundle",
            "version": 1,
            "node": node.identity,
            "for": name,
            "made": from_micros(now),
            "epoch": row.epoch,
            "collection": {"id": row.id, "alias": key, "title": settings.title},
            "after": from_micros(after),
            "position": from_micros(max(row.last_position, after)),
        }
        write(msgspec.json.encode(head))
        entries, position, more = 0, after, True
        while more:
            page = await read_changes(tx, row.id, party.id, position, PAGE)
            write(page_as_json(page, position, row.epoch))
            entries += len(page.rows)
            position = page.rows[-1].position if page.rows else position
            more = page.more
    out.write(msgspec.json.encode({"end": True, "sha256": digest.hexdigest()}) + b"\n")
    async with store.writing() as tx:
        if not await acknowledgements.reads_changes(tx, party.id, row.id):
            await acknowledgements.note_reads_changes(tx, party.id, row.id, now)
        details = {"collection": key, "after": after, "position": position, "entries": entries}
        await audit.append(tx, "bundle written", name, details, now)
    return Written(entries, from_micros(position))


# --- in ------------------------------------------------------------------------------------------------------


async def read_bundle(store: Store, configuration: Configuration, node: Node, name: str, file: Path) -> Tally:
    """Take in a bundle of peer `name`: what goes beyond where we stand in reading that collection.

    Raises BadFile for a file that is no bundle, was cut off or changed on its way; Refused where it is of another
    node, of a collection that is not pulled from that peer, or begins after where we stand.
    """
    head = _checked_whole(file)
    peer = configuration.settings.peers.get(name)
    if peer is None:
        raise NotFound(f"no peer {name!r} in the configuration in force")
    names = (head.collection.id, head.collection.alias, head.collection.title)
    wanted = next((pull.collection for pull in peer.pull if pull.collection in names), None)
    if wanted is None:
        raise Refused(
            f"{head.collection.title!r} is not pulled from {name}: add it in tocsin.yaml "
            f"(pull: [{{collection: {head.collection.alias}}}])"
        )
    async with store.writing() as tx:
        party = await parties.party_by_name(tx, name)
        if party is None:
            raise NotFound(f"no peer {name!r} in the configuration in force (run: tocsin apply)")
        await peers.ensure_pulls(tx, [(party.id, wanted)])
        known = await peers.pull_state(tx, party.id, wanted)
        if known is None:
            raise NotFound(f"nothing called {wanted!r} is pulled from {name}")
        if known.epoch not in (None, head.epoch) or known.cursor is None:
            if version_key(head.after) > version_key(_START):
                raise Refused(
                    f"nothing of this log was read before: a bundle from its start is needed (not {head.after})"
                )
            await peers.move_cursor(tx, party.id, wanted, known.cursor, None, epoch=head.epoch)
        elif version_key(head.after) > version_key(known.cursor):
            raise Refused(
                f"it begins after {head.after}, and we have read up to {known.cursor}: "
                f"a bundle from there is needed (tocsin bundle out … --after {known.cursor})"
            )
        known = await peers.pull_state(tx, party.id, wanted) or known
    collection = RemoteCollection("", head.collection.id, head.collection.title, head.collection.alias, True)
    contact = Contact("tocsin", head.node, collection)
    with file.open("rb") as stream:
        feed = _FileFeed(name, file, stream)
        tally = await take_pages(store, node, party, name, wanted, feed, contact, known)
    async with store.writing() as tx:
        now = await tx.now()
        await peers.succeeded(tx, party.id, wanted, now, now + 1_000_000 * 60)
        await audit.append(tx, "bundle read", name, {"collection": wanted, "position": head.position}, now)
    return tally


class _FileFeed:
    """The pages of a bundle that was checked as a whole, without what lies before the cursor."""

    def __init__(self, name: str, file: Path, stream: BinaryIO) -> None:
        self._name = name
        self._lines = _lines(file, stream)
        next(self._lines)  # the head
        self._after = ""

    async def page(self, cursor: str | None) -> Page:
        line = next(self._lines)
        read = read_page(self._name, Answer("", {}, line), self._after)
        self._after = read.position
        new = read.changes
        if cursor is not None:
            new = tuple(
                one for one in read.changes if one.fault or version_key(one.position) > version_key(cursor)
            )
        behind = cursor is not None and version_key(read.position) < version_key(cursor)
        position = cursor if behind else read.position
        return Page(tuple(map(checked, new)), position, read.more, len(line), read.epoch)

    async def close(self) -> None:
        return None


def _checked_whole(file: Path) -> _Head:
    """The head of a bundle, all of which is there as it was written. Raises BadFile."""
    try:
        with file.open("rb") as stream:
            lines = _lines(file, stream)
            first = next(lines, b"")
            head = _decoded(file, 1, first, _Head)
            if head.tocsin != "bundle" or head.version != 1:
                raise BadFile([Problem(f"{file}:1", "is no bundle of a kind that is known here")])
            if not ID.match(head.node) or not (is_timestamp(head.after) and is_timestamp(head.position)):
                raise BadFile([Problem(f"{file}:1", "names no node, or no positions")])
            digest = hashlib.sha256(first + b"\n")
            previous, number = next(lines, b""), 2
            for line in lines:
                digest.update(previous + b"\n")
                previous, number = line, number + 1
            end = _decoded(file, number, previous, _End)
    except OSError as why:
        raise BadFile([Problem(str(file), f"cannot be read: {why.strerror}")]) from why
    if not end.end or end.sha256 != digest.hexdigest():
        raise BadFile([Problem(f"{file}:{number}", "the bundle was cut off, or changed on its way")])
    return head


def _lines(file: Path, stream: BinaryIO) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(MOST_OF_A_LINE + 1):
        number += 1
        if len(line) > MOST_OF_A_LINE:
            raise BadFile([Problem(f"{file}:{number}", f"a line of more than {MOST_OF_A_LINE} bytes")])
        yield line.removesuffix(b"\n")


def _decoded(file: Path, number: int, line: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        raise BadFile([Problem(f"{file}:{number}", f"is no part of a bundle: {why}")]) from why


# --- the answer ----------------------------------------------------------------------------------------------


async def write_answer(store: Store, node: Node, name: str, out: BinaryIO) -> int:
    """Write what we owe peer `name`, of all its collections that we read; how many answers it is.

    They stay owed: should the peer be reached by HTTP after all, it is told them again, which changes nothing.
    """
    async with store.reading() as tx:
        party = await parties.party_by_name(tx, name)
        if party is None:
            raise NotFound(f"no peer {name!r}")
        count = 0
        for known in await peers.pulls(tx, party.id):
            if known.collection_id is None or known.protocol != "tocsin":
                continue
            owed = await acknowledgements.untold(tx, party.id, known.collection_id, 1_000_000)
            count += len(owed)
            value = {
                "tocsin": "answer",
                "version": 1,
                "node": node.identity,
                "collection": known.collection_id,
                "position": known.cursor or _START,
                "acknowledgements": [
                    {
                        "position": one.position,
                        "id": one.object_id,
                        "outcome": one.outcome,
                        "reason": one.reason,
                        "open": one.open,
                    }
                    for one in owed
                ],
            }
            out.write(msgspec.json.encode(value) + b"\n")
    return count


async def read_answer(store: Store, configuration: Configuration, name: str, file: Path) -> tuple[int, int]:
    """Take the answers of reader `name`: how many were taken, and how many speak of nothing that he was told.

    Raises BadFile for a file that is no answer, Refused for that of another node.
    """
    taken = unknown = 0
    try:
        with file.open("rb") as stream:
            parts = [
                _decoded(file, number, line, _AnswerFile) for number, line in enumerate(_lines(file, stream), 1)
            ]
    except OSError as why:
        raise BadFile([Problem(str(file), f"cannot be read: {why.strerror}")]) from why
    for number, part in enumerate(parts, 1):
        if part.tocsin != "answer" or part.version != 1:
            raise BadFile([Problem(f"{file}:{number}", "is no answer of a kind that is known here")])
        async with store.writing() as tx:
            party = await parties.party_by_name(tx, name)
            if party is None:
                raise NotFound(f"no account or peer {name!r}")
            if party.identity_id is not None and party.identity_id != part.node:
                raise Refused(f"the answer is of {part.node}, and {name} is {party.identity_id}")
            if part.collection not in {row.id for row in await releases.collections(tx)}:
                raise Refused(f"the answer speaks of {part.collection}, which is no collection of ours")
            now = await tx.now()
            for some in _runs(part.acknowledgements, MOST):
                said = _said(file, number, some)
                done = await take_answers(tx, configuration, part.collection, party, said, now)
                taken, unknown = taken + len(done), unknown + len(said) - len(done)
            read_up_to = read_position(part.position, "position")
            details = {"collection": part.collection, "position": read_up_to, "answers": taken}
            await audit.append(tx, "bundle answered", name, details, now)
    return taken, unknown


def _runs(items: Sequence[msgspec.Raw], size: int) -> Iterator[Sequence[msgspec.Raw]]:
    """The items in runs of at most `size`."""
    return (items[at : at + size] for at in range(0, len(items), size))


def _said(file: Path, number: int, some: Sequence[msgspec.Raw]) -> list[Any]:
    body = b'{"acknowledgements":[%b]}' % b",".join(map(bytes, some))
    try:
        return [one for one, _ in read_acknowledgements(body)]
    except BadInput as why:
        raise BadFile([Problem(f"{file}:{number}", str(why))]) from why
