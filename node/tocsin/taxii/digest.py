"""Digest: what stands in a collection as 256 numbers, for who should hold the same (see `changes`).

Adding up a long log takes seconds, so what was added up is remembered for as long as the log does not move, and
one log is added up at a time. What stands is the same for all readers; only up to where a reader was told is his
own.
"""

from starlette.requests import Request
from starlette.responses import Response

from tocsin.sharing.page import last_told, read_digest
from tocsin.stix.objects import from_micros
from tocsin.store import releases
from tocsin.store.digest import Digest
from tocsin.taxii.changes import JSON_TYPE
from tocsin.taxii.endpoint import Exchange, Visit, answer, visiting
from tocsin.taxii.resources import dump


async def get_digest(exchange: Exchange, request: Request) -> Response:
    """What stands in this log, and up to where this reader is told of it."""
    named = request.path_params["collection"]
    async with visiting(exchange, request) as visit:
        digest = await _remembered(exchange, visit, named)
        body = None if digest is None else await _body(visit, named, digest)
    if body is None:
        async with exchange.digests.turn, visiting(exchange, request) as visit:
            digest = await _remembered(exchange, visit, named) or await _added_up(exchange, visit, named)
            body = await _body(visit, named, digest)
    return await answer(request, body, media_type=JSON_TYPE)


async def _remembered(exchange: Exchange, visit: Visit, named: str) -> Digest | None:
    collection = visit.rights.readable(named)
    return exchange.digests.get(collection.id, await _state(visit, collection.id))


async def _added_up(exchange: Exchange, visit: Visit, named: str) -> Digest:
    collection = visit.rights.readable(named)
    digest = await read_digest(visit.tx, collection.id)
    exchange.digests.put(collection.id, await _state(visit, collection.id), digest)
    return digest


async def _state(visit: Visit, collection_id: str) -> tuple[str, int]:
    """What is another one with every entry: of a log that is in this state the digest is always the same."""
    head = await releases.head(visit.tx, collection_id)
    return await releases.epoch(visit.tx, collection_id), head.last_position


async def _body(visit: Visit, named: str, digest: Digest) -> bytes:
    id_ = visit.rights.readable(named).id
    position = await last_told(visit.tx, id_, visit.caller.party.id)
    return dump(
        {
            "position": from_micros(position),
            "epoch": await releases.epoch(visit.tx, id_),
            "count": digest.count,
            "shares": [f"{number:032x}" for number in digest.shares],
        }
    )
