"""Objects: reading, adding and deleting them (TAXII 2.1 §5.4 to §5.8)."""

import asyncio
import re
import uuid
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import BadInput, NotAllowed, NotFound, TooLarge
from tocsin.intake.receive import Posted, Read, read_offered, receive_posts
from tocsin.problems import TAXII_TYPE, Unprocessable
from tocsin.sharing.page import chosen, glance_at_page, read_manifest, read_page, stands
from tocsin.sharing.withdraw import delete_posted
from tocsin.stix.canonical import Limits, split_envelope
from tocsin.stix.objects import ID, from_micros
from tocsin.store import postings
from tocsin.store.moment import Moment
from tocsin.store.objects import HeldVersion
from tocsin.store.pages import ContentPage, Filter, ReleasePage
from tocsin.store.transaction import Transaction
from tocsin.taxii import resources
from tocsin.taxii.endpoint import (
    Exchange,
    answer,
    answer_long,
    dated,
    known_rights,
    note_sent,
    rights_now,
    sealed_next,
    visiting,
)
from tocsin.taxii.negotiation import check_content_type
from tocsin.taxii.query import ALL, LAST, MATCH_OBJECT, MATCH_OBJECTS, MATCH_VERSIONS, Cursor, Query, read_query
from tocsin.taxii.rights import OfferedCollection, Rights

_STRETCH = 64 * 1024  # bytes of objects read at a stretch: some milliseconds
_MANY_VALUES = 5_000  # of one object, about: some milliseconds as well
_MANY_BRACKETS, _MANY_COMMAS = 40_000, 200_000  # of one body: a thousand ordinary objects have half of that
_APART = ThreadPoolExecutor(1, thread_name_prefix="reading")
_DATES = ("X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last")
_LAST_MOMENT = 253_402_300_799_999_999  # µs: the end of the year 9999, beyond which no date can be written
STATUS_KEPT = 48 * 3600 * 1_000_000  # µs; §4.3 asks for 24 hours

# A body nested deeper than this is no envelope. What lies between this and the limit of one object is that
# object's fault alone, so its neighbours still get in.
_BODY_DEPTH = 200
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_BETWEEN = re.compile(rb"[\s,]*")
# possessive: what it could go back to would be kept for every byte of a key
_KEY = re.compile(rb'[\s,]*("(?:[^"\\]|\\.)*+")\s*:\s*', re.DOTALL)
_MOST_KEYS = 1000  # of an envelope; others than `objects` are passed over


async def get_objects(exchange: Exchange, request: Request) -> Response:
    """§5.4 Get objects: an envelope joined from stored bytes, in the order of the log."""
    return await _envelope(exchange, request, MATCH_OBJECTS)


async def get_object(exchange: Exchange, request: Request) -> Response:
    """§5.6 Get an object. What does not stand in this log is 404; what a filter leaves out is `{}`."""
    return await _envelope(exchange, request, MATCH_OBJECT, request.path_params["object"])


async def get_versions(exchange: Exchange, request: Request) -> Response:
    """§5.8 Get object versions, in the order in which they were added."""
    async with visiting(exchange, request) as visit:
        asked = _ask(exchange, visit.rights, request, MATCH_VERSIONS, request.path_params["object"], versions=ALL)
        page = await read_manifest(visit.tx, asked.collection.id, asked.query.what, asked.query.limit)
        await _must_stand(visit.tx, asked, empty=not page.rows)
    _note(exchange, request, visit.rights, asked, page)
    return await answer(request, resources.versions(page, sealed_next(asked.cursor, page)), dated(page))


async def add_objects(exchange: Exchange, request: Request) -> Response:
    """§5.5 Add objects: 202 after the commit, with a status that is complete and counts each object once.

    The caller's rights are looked at twice: before a stranger may send ten megabytes, and in the transaction that
    stores them, because a token can be revoked while a body arrives.
    """
    named = request.path_params["collection"]
    rights = await rights_now(exchange, request)
    rights.writable(named)
    limits = rights.configuration.limits
    check_content_type(request.headers.get("content-type"), ",".join(request.headers.getlist("content-encoding")))
    async with exchange.admission.body(request, limits) as read:
        offered = await _read_offered(await _split(await read(), limits), limits)
        async with visiting(exchange, request, writing=True) as visit:
            collection, party = visit.rights.writable(named), visit.caller.party
            now = await visit.tx.now()
            received = await receive_posts(
                visit.tx, visit.configuration, exchange.node, collection.key, party, offered, now=now
            )
            status = _status(received, now)
            await postings.prune_statuses(visit.tx, now - STATUS_KEPT)
            told = resources.dump(status)
            await postings.put_status(visit.tx, status["id"], party.id, collection.id, told, now)
    return Response(told, 202, media_type=TAXII_TYPE)


async def _split(raw: bytes, limits: Limits) -> list[bytes]:
    if raw.count(b"[") + raw.count(b"{") < _MANY_BRACKETS and raw.count(b",") < _MANY_COMMAS:
        return split_body(raw, limits)
    return await asyncio.get_running_loop().run_in_executor(_APART, split_body, raw, limits)


async def _read_offered(raws: Sequence[bytes], limits: Limits) -> list[Read]:
    """Read and check what was posted; now and then others get their turn.

    A megabyte may hold half a million values, and takes half a second then: such an object is read in a thread,
    one at a time in this process, so that it holds up nobody but others like it. A number of values that no object
    may exceed would have to be lower than what a shape on a map, or a row of measurements, can have.
    """
    offered: list[Read] = []
    stretch = 0
    for raw in raws:
        if raw.count(b",") + raw.count(b"[") + raw.count(b"{") < _MANY_VALUES:
            offered.append(read_offered(raw, limits=limits))
        else:
            work = partial(read_offered, raw, limits=limits)
            offered.append(await asyncio.get_running_loop().run_in_executor(_APART, work))
        stretch += len(raw)
        if stretch >= _STRETCH:
            stretch = 0
            await asyncio.sleep(0)
    return offered


async def delete_object(exchange: Exchange, request: Request) -> Response:
    """§5.7 Delete an object: all its versions unless `match[version]` chooses, from this collection.

    The section's own table of rights: neither reading nor writing is 404, only one of them 403. What is withdrawn
    is then 404 here; the nodes that read this log are told.
    """
    object_id = request.path_params["object"]
    async with visiting(exchange, request, writing=True) as visit:
        collection = visit.rights.writable(request.path_params["collection"])
        if not collection.can_read:
            raise NotAllowed("You may add objects to this collection, but not read it, and so not delete.")
        query = read_query(
            request.scope["query_string"], Cursor(exchange.cursor_key, collection.id), MATCH_OBJECT, versions=ALL
        )
        if not ID.match(object_id):
            raise NotFound(f"no {object_id!r} in {collection.key}")
        await delete_posted(
            visit.tx,
            visit.configuration,
            exchange.node,
            collection.key,
            object_id,
            visit.caller.party,
            partial(_meant, query.what),
            now=await visit.tx.now(),
        )
    return Response(b"", 200, media_type=TAXII_TYPE)


def split_body(raw: bytes, limits: Limits) -> list[bytes]:
    """The bytes of each object of an envelope or bundle (§3.7; `stix2` and MISP post bundles).

    A fault of the body as a whole raises BadInput (400), or Unprocessable (422) when it is JSON but no envelope or
    holds too many objects. A fault inside one object is left for whoever reads that object.
    """
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as why:
        raise BadInput(f"The body is not UTF-8 (byte {why.start}).") from why
    # Half a surrogate pair is one object's fault, but to the parser the end of everything: it splits a copy of the
    # same length without any, and what it found is cut from the bytes that came.
    plain = _SURROGATE.sub(rb"\\u0020", raw) if _SURROGATE.search(raw) else raw
    try:
        members = split_envelope(plain, replace(limits, depth=_BODY_DEPTH))
    except TooLarge as why:  # §4.2.1: a body below max_content_length is never 413
        raise Unprocessable(why.problems) from why
    except BadInput as why:
        if isinstance(why.__cause__, msgspec.ValidationError):
            raise Unprocessable(why.problems) from why
        raise
    places = _places(plain)
    return members if plain is raw else list(_cut(raw, plain, places.get("objects", 0), members))


def _cut(raw: bytes, plain: bytes, position: int, members: list[bytes]) -> Iterator[bytes]:
    """From `raw`, what stands where the members stand in `plain`: in the list that begins at `position`."""
    position += 1
    for member in members:
        start = _BETWEEN.match(plain, position).end()  # type: ignore[union-attr]  # it matches nothing, too
        position = start + len(member)
        yield raw[start:position]


def _places(raw: bytes) -> dict[str, int]:
    """Where the value of each key of an envelope begins.

    Raises BadInput for a key given twice: of two lists of objects one would be lost without a word.
    """
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    places: dict[str, int] = {}
    position = raw.index(b"{") + 1
    while found := _KEY.match(raw, position):
        key = msgspec.json.decode(found[1], type=str)
        value = bytes(members[key])
        if key in places or not raw.startswith(value, found.end()):
            raise BadInput(f"envelope: the key {key[:60]!r} is given twice")
        places[key] = found.end()
        if len(places) > _MOST_KEYS:
            raise Unprocessable(f"envelope: more than {_MOST_KEYS} keys")
        position = found.end() + len(value)
    return places


def _meant(what: Filter, versions: list[HeldVersion]) -> list[HeldVersion]:
    if what.spec_versions is not None:
        versions = [version for version in versions if version.spec_version in what.spec_versions]
    return chosen(what.versions, versions)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks of which collection; and of one object alone, where it names one."""

    collection: OfferedCollection
    cursor: Cursor
    query: Query
    object_id: str | None

    @property
    def key(self) -> Hashable:
        """The same for two that are answered by the same page."""
        what = self.query.what
        lists = (what.ids, what.types, what.versions, what.spec_versions)
        sets = tuple(None if values is None else frozenset(values) for values in lists)
        return self.collection.id, what.after, self.query.limit, sets


def _ask(
    exchange: Exchange,
    rights: Rights,
    request: Request,
    fields: frozenset[str],
    object_id: str | None = None,
    versions: frozenset[str] = LAST,
) -> _Asked:
    """Raises NotFound, NotAllowed, BadInput."""
    collection = rights.readable(request.path_params["collection"])
    cursor = Cursor(exchange.cursor_key, collection.id)
    query = read_query(request.scope["query_string"], cursor, fields, versions=versions)
    if object_id is not None:
        if not ID.match(object_id):
            raise NotFound(f"{object_id!r} is not an identifier")
        query = replace(query, what=replace(query.what, ids=frozenset({object_id})))
    return _Asked(collection, cursor, query, object_id)


async def _envelope(
    exchange: Exchange, request: Request, fields: frozenset[str], object_id: str | None = None
) -> Response:
    """What is known of the caller saves a transaction, where the page turns out to be of the same moment."""
    if (known := await known_rights(exchange, request)) is not None:
        rights, moment = known
        asked = _ask(exchange, rights, request, fields, object_id)
        found = await exchange.ahead.take(asked.key)
        if found is None or found[1] != moment:
            found = await _glance(exchange, asked)
        if found is not None and found[1] == moment and (found[0].raws or object_id is None):
            then = _reading_ahead(exchange, asked, found[0])
            return await _answer_page(exchange, request, rights, asked, found[0], then)
    async with visiting(exchange, request) as visit:
        asked = _ask(exchange, visit.rights, request, fields, object_id)
        page = await read_page(visit.tx, asked.collection.id, asked.query.what, asked.query.limit)
        await _must_stand(visit.tx, asked, empty=not page.raws)
    return await _answer_page(exchange, request, visit.rights, asked, page)


async def _must_stand(tx: Transaction, asked: _Asked, *, empty: bool) -> None:
    """Raises NotFound where the one object that is asked for does not stand here, and is not only filtered out."""
    if empty and asked.object_id is not None and not await stands(tx, asked.collection.id, asked.object_id):
        raise NotFound(f"no {asked.object_id} in {asked.collection.key}")


async def _glance(exchange: Exchange, asked: _Asked) -> tuple[ContentPage, Moment] | None:
    return await glance_at_page(exchange.store, asked.collection.id, asked.query.what, asked.query.limit)


def _reading_ahead(exchange: Exchange, asked: _Asked, page: ContentPage) -> Callable[[], None] | None:
    """What to begin once a page was taken, for who is reading on already and is told of more."""
    if not (asked.query.follows and page.more):
        return None
    what = replace(asked.query.what, after=page.last)
    following = replace(asked, query=replace(asked.query, what=what))
    return lambda: exchange.ahead.begin(following.key, partial(_glance, exchange, following))


async def _answer_page(
    exchange: Exchange,
    request: Request,
    rights: Rights,
    asked: _Asked,
    page: ContentPage,
    then: Callable[[], None] | None = None,
) -> Response:
    body = resources.envelope(page, sealed_next(asked.cursor, page), rights.empty_page)
    dates = dated(page)
    if not dates and rights.empty_page == "list" and (after := asked.query.what.after) is not None:
        # who wants a list (Elastic) begins anew after an answer without dates; so it hears its own again
        dates = dict.fromkeys(_DATES, from_micros(min(max(after, 0), _LAST_MOMENT)))
    # an empty page has one of two forms, by the reader's `empty_page`, and a tag for each
    response = await answer_long(request, body, resources.essence(page, body), dates, then)
    if response.status_code == 200:  # who is told 304 has it, and was noted when it was sent
        _note(exchange, request, rights, asked, page)
    return response


def _note(
    exchange: Exchange, request: Request, rights: Rights, asked: _Asked, page: ContentPage | ReleasePage
) -> None:
    if page.first is None or page.last is None:
        return
    what, party = asked.query.what, rights.caller.party
    whole = what.ids is what.types is what.spec_versions is None and what.versions == LAST
    ends = (page.first, page.last)
    note_sent(exchange, request, party.id, asked.collection.id, ends, after=what.after, whole=whole)


def _status(received: list[Posted], now: int) -> dict[str, Any]:
    successes: list[dict[str, str]] = []
    failures: list[dict[str, str]] = []
    for one in received:
        detail = resources.status_detail(one.id, one.version or from_micros(now), one.message)
        (successes if one.outcome == "success" else failures).append(detail)
    return resources.status(str(uuid.uuid4()), now, successes, failures)
