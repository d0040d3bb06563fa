"""Changes: a collection's log for nodes, withdrawals included. Our own resources; TAXII 2.1 has no such thing.

This is the whole of what nodes say to each other beyond TAXII. All of it is `GET`, answered `application/json`,
with the rights of reading; a collection that is unknown, or not for this reader, is the same 404 (one that he may
only add to is 403, and 404 in `news`). Positions are timestamps of six digits, `2025-03-14T09:26:53.589793Z`, and
strictly increase; they are no times. Properties that are not named here are to be ignored.

`/.well-known/tocsin.json` (public) says `"changes": true`, and in the list `log` which of the others are there:
`names` (`content=no` and `changes/content/`), `digest`, `news`, `acknowledgements` (their own chapter).

What happened in a log, oldest first:
`/exchange/collections/{id}/changes/?after=<position>&epoch=<epoch>&content=no&limit=<n>`

    {"more": bool, "position": "<of the last entry told>", "epoch": "<of this log>", "entries": [
        {"op": "put" | "revoke" | "withdraw" | "prune", "position", "id", "version", "sha256", "hops", "form",
         "object": {…}}]}

    `after` is exclusive: a `position` from here, or any timestamp; `next` of TAXII is taken as well; without it,
    from the start. `object` stands with `put` and `revoke`, but not with `content=no`. `sha256` is that of the
    object's RFC 8785 form, except that numbers keep their exact decimal value. `version` is `modified`, else
    `created`; of an object with neither it is a local date, and never compared. `hops`: how many nodes it passed
    before. `form`: `whole` or `copy` (redacted).

    An entry that was replaced later is not told, since what replaced it is; a withdrawal is told only to who may
    have held the object, that is, if it stood during a grant of his, one that ended since too. `prune`: it is no
    longer kept here; what readers hold is their affair.

    Who no longer may read the collection, but still stands in `tocsin.yaml`, is told here, and nowhere else, of
    each `withdraw` and `revoke` of what he was offered, until he has acknowledged it (see `acknowledgements`),
    without `object`.

    A page has 1000 entries at most (500 without `limit`) and 8 MiB of objects. Where there is none, `position` is
    `after`.

What still stands at chosen positions, 200 at most:
`/exchange/collections/{id}/changes/content/?at=<position>,<position>…&epoch=<epoch>`

    {"more": bool, "epoch", "entries": [… as above, with `object` …]}

    In the order of the log, as far as 8 MiB go, but one at least; `more`: others of these stand, and are to be
    asked for again. What is not answered though `more` is false has gone; how, the log tells at a later position.

What stands, in numbers:
`/exchange/collections/{id}/digest/`

    {"position": "<of the last entry told to this reader>", "epoch", "count": <of what stands>,
     "shares": ["<32 hexadecimal digits>", … 256 of them]}

    Each (id, sha256) that stands counts in the share whose number is the first byte of the SHA-256 of its id, as
    the first 16 bytes, most significant first, of the SHA-256 of `<id>\\n<sha256>` (a line feed between them); a
    share is their sum modulo 2^128. It is to be compared by a reader who has read up to that very position.

Of which logs there is more, for 100 logs at most:
`/exchange/news/?after=<collection id>:<position>&after=…&wait=<seconds>`

    {"news": ["<collection id>", …]}

    Answered as soon as one of the logs tells this reader of an entry after the position, or with an empty list
    after `wait` seconds (25 if not given, 30 at most). Four such requests of one reader at a time; more are 429.

An *epoch* is what positions mean something within: it is another after a log was brought back from a copy. Who
asks with an `epoch` is answered 410 where it is another one, or where the position that he comes from is none of
this log, which then was brought back without saying so. Beside the properties of an error message there stand
`epoch`, and in `after` the position from which on everything that stands can be read. He then reads again from
there, and no longer holds on this log's word what it does not tell. Nothing is ever skipped: what is no longer
kept stays in the log as `prune`.
"""

import logging
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import BadInput, Problem, Unavailable
from tocsin.sharing.notices import has_heard, read_notices
from tocsin.sharing.page import read_changes, read_contents, was_told
from tocsin.stix.objects import from_micros
from tocsin.store import acknowledgements, releases
from tocsin.store.pages import ChangePage, ChangeRow
from tocsin.taxii.endpoint import Exchange, Visit, answer, note_sent, visiting
from tocsin.taxii.query import DEFAULT_LIMIT, Cursor, read_limit, read_parameters, read_position
from tocsin.taxii.resources import dump
from tocsin.taxii.rights import Heard, hearing

log = logging.getLogger(__name__)

JSON_TYPE = "application/json"
MOST_POSITIONS = 200  # of one question for contents: as many as any proxy takes in an address

_CHANGES = frozenset({"after", "limit", "epoch", "content"})
_CONTENT = frozenset({"at", "epoch"})
_START = from_micros(0)


async def get_changes(exchange: Exchange, request: Request) -> Response:
    """What happened in this log after a position, oldest first."""
    parameters = read_parameters(request.scope["query_string"], _CHANGES)
    async with visiting(exchange, request) as visit:
        collection = await hearing(visit.tx, visit.rights, request.path_params["collection"])
        after = _after(parameters.get("after", ""), Cursor(exchange.cursor_key, collection.id))
        limit = read_limit(parameters["limit"]) if "limit" in parameters else DEFAULT_LIMIT
        content = _wants_content(parameters.get("content", "yes"))
        epoch = await releases.epoch(visit.tx, collection.id)
        if "epoch" in parameters and not await _continues(visit, collection, parameters["epoch"], epoch, after):
            return _gap(epoch)
        party_id = visit.caller.party.id
        if collection.former:
            changes = await read_notices(visit.tx, collection.id, party_id, after, limit)
        else:
            changes = await read_changes(visit.tx, collection.id, party_id, after, limit, content=content)
        known = await acknowledgements.reads_changes(visit.tx, party_id, collection.id)
    if not known:
        await _note_reader(exchange, party_id, collection.id)
    told = [entry.position for entry in changes.rows]
    note_sent(exchange, request, party_id, collection.id, told, after=after, whole=not collection.former)
    return await answer(request, page_as_json(changes, after, epoch), media_type=JSON_TYPE)


async def get_content(exchange: Exchange, request: Request) -> Response:
    """What stands at chosen positions of this log."""
    parameters = read_parameters(request.scope["query_string"], _CONTENT)
    positions = _positions(parameters.get("at", ""))
    async with visiting(exchange, request) as visit:
        collection = visit.rights.readable(request.path_params["collection"])
        epoch = await releases.epoch(visit.tx, collection.id)
        if parameters.get("epoch", epoch) != epoch:
            return _gap(epoch)
        found = await read_contents(visit.tx, collection.id, positions)
    sent = [entry.position for entry in found.rows]
    note_sent(exchange, request, visit.caller.party.id, collection.id, sent, after=None, whole=False)
    return await answer(request, _with_entries({"more": found.more, "epoch": epoch}, found), media_type=JSON_TYPE)


def _after(text: str, cursor: Cursor) -> int:
    if not text:
        return 0
    return read_position(text, "after") if ":" in text else cursor.unseal(text)


def _wants_content(text: str) -> bool:
    if text not in ("yes", "no"):
        raise BadInput([Problem("content", "yes or no")])
    return text == "yes"


def _positions(text: str) -> Sequence[int]:
    named = [part for part in text.split(",") if part]
    if not 0 < len(named) <= MOST_POSITIONS:
        raise BadInput([Problem("at", f"1 to {MOST_POSITIONS} positions, parted by commas")])
    return [read_position(part, "at") for part in named]


async def _continues(visit: Visit, collection: Heard, asked: str, epoch: str, after: int) -> bool:
    """Whether who comes from a position had it from this log, as it is now."""
    told = has_heard if collection.former else was_told
    return asked == epoch and await told(visit.tx, collection.id, visit.caller.party.id, after)


async def _note_reader(exchange: Exchange, party_id: str, collection_id: str) -> None:
    """Note that this reader can be told of withdrawals. Where nothing can be written now, he still has his
    answer: it is noted with another."""
    try:
        async with exchange.store.writing() as tx:
            if not await acknowledgements.reads_changes(tx, party_id, collection_id):
                await acknowledgements.note_reads_changes(tx, party_id, collection_id, await tx.now())
    except Unavailable as why:
        log.warning("cannot note that a reader reads changes: %s", why)


def _gap(epoch: str) -> Response:
    """Between what this reader read and what can be read here nothing is known: 410, and where to begin."""
    body = {
        "title": "Not the log that you read",
        "description": "This log does not continue what you read up to there: read it again from its start.",
        "http_status": "410",
        "epoch": epoch,
        "after": _START,
    }
    return Response(msgspec.json.encode(body), 410, {"Cache-Control": "no-store"}, media_type=JSON_TYPE)


def page_as_json(changes: ChangePage, after: int, epoch: str) -> bytes:
    """A page as it is answered, and as it stands in a bundle."""
    position = changes.rows[-1].position if changes.rows else after
    return _with_entries({"more": changes.more, "position": from_micros(position), "epoch": epoch}, changes)


def _with_entries(head: dict[str, object], page: ChangePage) -> bytes:
    return b'%b,"entries":[%b]}' % (dump(head)[:-1], b",".join(_entry(entry) for entry in page.rows))


def _entry(entry: ChangeRow) -> bytes:
    told = dump(
        {
            "op": entry.op,
            "position": from_micros(entry.position),
            "id": entry.object_id,
            "version": entry.version,
            "sha256": entry.sha256,
            "hops": entry.hops,
            "form": entry.form,
        }
    )
    return told if entry.raw is None else b'%b,"object":%b}' % (told[:-1], entry.raw)
