"""Discovery: what this server is, and its one API root (TAXII 2.1 §4.1, §4.2)."""

from starlette.requests import Request
from starlette.responses import Response

from tocsin.taxii import resources
from tocsin.taxii.endpoint import Exchange, answer, visiting


async def get_discovery(exchange: Exchange, request: Request) -> Response:
    """§4.1 Server discovery. Known callers only: strangers learn no more than the descriptor tells."""
    async with visiting(exchange, request) as visit:
        node = visit.configuration.settings.node
    return await answer(request, resources.discovery(node))


async def get_api_root(exchange: Exchange, request: Request) -> Response:
    """§4.2 API root information."""
    async with visiting(exchange, request) as visit:
        settings = visit.configuration.settings
    return await answer(request, resources.api_root(settings.node, settings.limits.body))
