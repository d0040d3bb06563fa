"""Body: taking in what a client sends, within the limits on its size and its time."""

import asyncio

from starlette.requests import Request

from tocsin.errors import BadInput, TooLarge
from tocsin.stix.canonical import Limits

BODY_SECONDS = 60.0  # a whole body must have arrived by then


async def read_body(request: Request, limits: Limits) -> bytes:
    """The body, of which never more than the limit is taken in, whatever `Content-Length` says.

    Raises TooLarge, or BadInput for a body that does not arrive in time.
    """
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or len(declared) > 18 or int(declared) > limits.body:
        raise _too_large(limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > limits.body:
                    raise _too_large(limits)
                parts.append(part)
    except TimeoutError as why:
        raise BadInput(f"The body did not arrive within {BODY_SECONDS:g} seconds.") from why
    return b"".join(parts)


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(f"A body may have {limits.body} bytes (max_content_length).")
