"""Transport: a bare ASGI callable and a bare FastAPI route that answer the same bytes: the limit of HTTP.

`python transport_app.py asgi|fastapi PAGE_FILE PORT` serves `/page` (the file) and `/poll` (an empty envelope) by
uvicorn, uvloop and httptools, as the node does.
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
    config = uvicorn.Config(
        app_of(kind, Path(page).read_bytes()),
        port=int(port),
        log_config=None,
        access_log=False,
        lifespan="off",
        loop="uvloop",
        http="httptools",
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
