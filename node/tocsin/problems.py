"""Problems: the one table from errors to HTTP, as TAXII error messages (TAXII 2.1 §3.6.1).

Whatever goes wrong, the body is `title`, `description`, `http_status` (a string) and, where our log holds more
than we tell, an `error_id`. "Absent" and "not for you" are the same bytes: the text of a NotFound stays here.
An error that nobody foresaw is logged with its traceback and answered 500 with nothing but the id to look for.
"""

import logging
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tocsin.errors import (
    BadFile,
    BadInput,
    NoRoom,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Paused,
    Refused,
    TocsinError,
    TooLarge,
    Unavailable,
)

log = logging.getLogger(__name__)

Handler = Callable[[Request, Exception], Coroutine[Any, Any, Response]]

API = "/api/"  # below it plain JSON is spoken
TAXII_TYPE = "application/taxii+json;version=2.1"
# RFC 7617 and RFC 6750: the two schemes that clients know by name; `Token` and `X-API-Key` are taken as well.
CHALLENGE = 'Basic realm="tocsin", charset="UTF-8", Bearer realm="tocsin"'
RETRY_SECONDS = "5"
PAUSED_SECONDS = "60"  # a pause is a person's: it ends no sooner


class NotAcceptable(TocsinError):
    """The client asks for no form that we can answer in (406)."""


class UnknownMedia(TocsinError):
    """The body is of a type, or coded in a way, that this endpoint does not take (415)."""


class TooManyRequests(TocsinError):
    """The client has more in work here than one client may have at a time (429)."""


class Busy(Unavailable):
    """This process has as much in work as it takes on at a time (503); no fault of anybody."""


class Unprocessable(BadInput):
    """The body is JSON, but not something this endpoint takes (422, TAXII 2.1 §5.5)."""


# The narrowest type wins. BadFile is a file of ours, so the fault is not the client's.
STATUS: Mapping[type[TocsinError], int] = {
    BadInput: 400,
    NotAuthenticated: 401,
    NotAllowed: 403,
    NotFound: 404,
    NotAcceptable: 406,
    TooLarge: 413,
    UnknownMedia: 415,
    Unprocessable: 422,
    Refused: 422,
    TooManyRequests: 429,
    BadFile: 503,
    Unavailable: 503,
}
TITLES: Mapping[int, str] = {
    400: "The request is malformed",
    401: "Authentication is required",
    403: "Not allowed",
    404: "Not found",
    405: "This method is not defined here",
    406: "No acceptable form",
    413: "The body is too large",
    415: "The body is of another type",
    422: "The body cannot be processed",
    429: "Too many requests",
    500: "Something went wrong in this node",
    503: "Not available now",
}
# What is said instead of the error's own text, which may tell more than the client may know.
FIXED: Mapping[int, str] = {
    401: "No credential was given, or it is unknown or revoked.",
    404: "There is no such resource, or it is not for you.",
    500: "The error is in the log of this node under its error_id.",
    503: "The node cannot do this now; asking again later may succeed.",
}
NO_ROOM = "The node has no room left to store this. What it holds can be read; asking again later may succeed."


def problem(
    status: int,
    description: str = "",
    *,
    fixed: str = "",
    error_id: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One TAXII error message. `fixed`, or the fixed text of a status, goes before `description`."""
    body: dict[str, str] = {"title": TITLES.get(status, "The request failed")}
    if text := fixed or FIXED.get(status, description):
        body["description"] = text
    if error_id:
        body["error_id"] = error_id
    body["http_status"] = str(status)
    more = {"Cache-Control": "no-store", **(headers or {})}
    if status == 401:
        more["WWW-Authenticate"] = CHALLENGE
    if status in (429, 503):
        more.setdefault("Retry-After", RETRY_SECONDS)
    return Response(msgspec.json.encode(body), status, more, media_type=TAXII_TYPE)


def status_of(error: TocsinError) -> int:
    """The status of an error: that of the narrowest type in the table; 500 for one that never meets a client."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


async def _on_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, TocsinError):
        raise error
    status = status_of(error)
    if isinstance(error, Paused):
        # no reason, and nothing to look up: the operator knows
        return problem(status, headers={"Retry-After": PAUSED_SECONDS})
    if isinstance(error, Busy):
        log.warning("%s %r was put off: %s", request.method, request.url.path, error)
    elif status >= 500:
        return _logged(request, status, error)
    return problem(status, str(error))


async def _on_http(request: Request, error: Exception) -> Response:
    """Starlette's own: 404 of an unknown URL, 405 with `Allow`."""
    if not isinstance(error, HTTPException):
        raise error
    return problem(error.status_code, error.detail, headers=error.headers)


async def _on_crash(request: Request, error: Exception) -> Response:
    """Whether the body was read is not known here, and what is left of it must not be taken for a request."""
    return _logged(request, 500, error, headers={"Connection": "close"})


async def _on_disconnect(request: Request, error: Exception) -> Response:
    """The client went away in the middle of its body: nobody reads this answer."""
    return problem(400, "The body ended early.")


def _logged(request: Request, status: int, error: Exception, headers: Mapping[str, str] | None = None) -> Response:
    """What is the node's own trouble is told to its operator, not to the client.

    In a line where it was foreseen: a disk that is full must not be filled with where in the code that was found.
    """
    error_id = str(uuid.uuid4())
    foreseen = isinstance(error, TocsinError) and status != 500
    log.error(
        "%s %r failed, error_id %s%s",
        request.method,
        request.url.path,
        error_id,
        f": {error}" if foreseen else "",
        exc_info=None if foreseen else error,
    )
    fixed = NO_ROOM if isinstance(error, NoRoom) else ""
    return problem(status, fixed=fixed, error_id=error_id, headers=headers)


def as_asked(handler: Handler) -> Handler:
    """The same message in plain JSON, where it is not TAXII that was spoken."""

    async def answering(request: Request, error: Exception) -> Response:
        answer = await handler(request, error)
        if request.url.path.startswith(API):
            answer.headers["Content-Type"] = "application/json"
        return answer

    return answering


HANDLERS: dict[Any, Handler] = {
    kind: as_asked(handler)
    for kind, handler in (
        (TocsinError, _on_error),
        (HTTPException, _on_http),
        (ClientDisconnect, _on_disconnect),
        (Exception, _on_crash),
    )
}
