"""Status: what became of the objects of a POST (TAXII 2.1 §4.3), for whoever posted them and nobody else."""

import re

from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import NotFound
from tocsin.store import postings
from tocsin.taxii import resources
from tocsin.taxii.endpoint import Exchange, answer, visiting

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def get_status(exchange: Exchange, request: Request) -> Response:
    """§4.3 Get status. Kept at least 24 hours; afterwards, and for others, it is not found."""
    id_ = request.path_params["status"]
    async with visiting(exchange, request) as visit:
        body = await postings.status(visit.tx, id_, visit.caller.party.id) if _ID.fullmatch(id_) else None
    if body is None:
        raise NotFound(f"no status {id_!r}")
    return await answer(request, resources.dump(body))
