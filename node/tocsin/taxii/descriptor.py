"""Descriptor: what a node says of itself to anybody, at `/.well-known/tocsin.json` (RFC 8615). Not TAXII."""

from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import Unavailable
from tocsin.store import objects
from tocsin.taxii.endpoint import Exchange, answer
from tocsin.taxii.resources import DISCOVERY, absolute, dump
from tocsin.taxii.rights import configured

_LOG = ("names", "digest", "news", "acknowledgements")  # what `changes` describes beside the feed itself


async def get_descriptor(exchange: Exchange, request: Request) -> Response:
    """Name, STIX identity, where TAXII is spoken, and what of `changes` is there. Public."""
    async with exchange.store.reading() as tx:
        node = (await configured(tx)).settings.node
        held = (await objects.newest(tx, [exchange.node.identity])).get(exchange.node.identity)
    if held is None or held.raw is None:
        raise Unavailable("This node has no identity yet.")
    head = dump({"tocsin": 1, "name": node.name, "taxii": absolute(node, DISCOVERY), "changes": True, "log": _LOG})
    return await answer(request, b'%b,"identity":%b}' % (head[:-1], held.raw), media_type="application/json")
