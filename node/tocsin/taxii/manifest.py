"""Manifest: what objects a collection holds, without them (TAXII 2.1 §5.3)."""

from starlette.requests import Request
from starlette.responses import Response

from tocsin.sharing.page import read_manifest
from tocsin.taxii import resources
from tocsin.taxii.endpoint import Exchange, answer, dated, sealed_next, visiting
from tocsin.taxii.query import MATCH_OBJECTS, Cursor, read_query


async def get_manifest(exchange: Exchange, request: Request) -> Response:
    """§5.3 Get object manifests: the entries of §5.4 for the same query; its `next` serves there as well."""
    async with visiting(exchange, request) as visit:
        collection = visit.rights.readable(request.path_params["collection"])
        cursor = Cursor(exchange.cursor_key, collection.id)
        query = read_query(request.scope["query_string"], cursor, MATCH_OBJECTS)
        page = await read_manifest(visit.tx, collection.id, query.what, query.limit)
    return await answer(request, resources.manifest(page, sealed_next(cursor, page)), dated(page))
