"""Transport: a bare ASGI callable and a bare FastAPI route that answer the same bytes: the limit of HTTP.

`python transport_app.py asgi|fastapi|fastapi-h11 PAGE_FILE PORT` serves `/page` (the file) and `/poll` (an empty
envelope). It is started with uvicorn, uvloop and httptools in an environment of their own, and is therefore a
script that needs nothing of the node; `fastapi-h11` runs on asyncio and h11, with what the node has installed.
"""

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response

EMPTY = b"{}"
_TYPE = "application/taxii+json;version=2.1"


def app_of(kind: str, page: bytes):  # type: ignore[no-untyped-def]  # an ASGI application: frameworks differ
    """The application of a kind."""
    if kind == "fastapi":
        app = FastAPI()

        @app.get("/page")
        async def whole() -> Response:
            return Response(page, media_type=_TYPE)

        @app.get("/poll")
        async def nothing() -> Response:
            return Response(EMPTY, media_type=_TYPE)

        return app

    async def raw(scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # as the ASGI specification has it
        body = page if scope["path"] == "/page" else EMPTY
        headers = [(b"content-type", _TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return raw


def main() -> None:
    """Serve until ended."""
    kind, page, port = sys.argv[1:4]
    kind, _, plain = kind.partition("-")
    stack = {"loop": "asyncio", "http": "h11"} if plain else {}
    config = uvicorn.Config(
        app_of(kind, Path(page).read_bytes()),
        port=int(port),
        log_config=None,
        access_log=False,
        lifespan="off",
        **stack,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
