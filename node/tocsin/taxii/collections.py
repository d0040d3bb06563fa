"""Collections: what the caller may use (TAXII 2.1 §5.1, §5.2). One that he may not use is not listed."""

from starlette.requests import Request
from starlette.responses import Response

from tocsin.taxii import resources
from tocsin.taxii.endpoint import Exchange, answer, visiting
from tocsin.taxii.rights import OfferedCollection


async def get_collections(exchange: Exchange, request: Request) -> Response:
    """§5.1 Get collections, in the order of the configuration (§3.3: a consistent order)."""
    async with visiting(exchange, request) as visit:
        offered = visit.rights.offered
    return await answer(request, resources.collections([_resource(one) for one in offered]))


async def get_collection(exchange: Exchange, request: Request) -> Response:
    """§5.2 Get a collection, by id or alias; answered with its id."""
    async with visiting(exchange, request) as visit:
        offered = visit.rights.collection(request.path_params["collection"])
    return await answer(request, resources.dump(_resource(offered)))


def _resource(offered: OfferedCollection) -> dict[str, object]:
    return resources.collection(
        offered.id, offered.key, offered.settings, can_read=offered.can_read, can_write=offered.can_write
    )
