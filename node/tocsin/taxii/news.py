"""News: of which logs there is more for a reader, told as soon as there is (see `changes`, and `waiting`)."""

import asyncio
import re
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import BadInput, NotFound, Problem
from tocsin.sharing.page import has_news
from tocsin.taxii.changes import JSON_TYPE
from tocsin.taxii.endpoint import Exchange, rights_now, visiting
from tocsin.taxii.query import read_parameters, read_position, read_repeated
from tocsin.taxii.resources import dump
from tocsin.taxii.rights import Rights
from tocsin.taxii.waiting import Waiter

DEFAULT_WAIT, LONGEST_WAIT = 25, 30  # seconds; shorter than proxies wait for the first byte of an answer
MOST_LOGS = 100  # of one request


async def get_news(exchange: Exchange, request: Request) -> Response:
    """Which of these logs tell this reader of more (see `changes`), as soon as one does."""
    query = request.scope["query_string"]
    asked = _asked(read_repeated(query, "after"))
    wait = _wait(read_parameters(query, frozenset({"wait"})).get("wait", ""))
    rights = await rights_now(exchange, request)
    ids = frozenset(_readable(rights, named) for named in asked)
    async with exchange.waiting.waiter(exchange.store, rights.caller.party.id, ids) as waiter:
        news = await _news(exchange, request, waiter, asked, wait)
    # `no-store`: the same question may have another answer though nothing was committed, since it waits
    return Response(dump({"news": news}), 200, {"Cache-Control": "no-store"}, media_type=JSON_TYPE)


async def _news(
    exchange: Exchange, request: Request, waiter: Waiter, asked: Mapping[str, int], wait: int
) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    end = loop.time() + wait
    gone = asyncio.create_task(_gone(request))
    try:
        while True:
            waiter.woken.clear()
            async with visiting(exchange, request) as visit:
                logs = {_readable(visit.rights, named): after for named, after in asked.items()}
                party_id = visit.caller.party.id
                news = [id_ for id_, after in logs.items() if await has_news(visit.tx, id_, party_id, after)]
            left = end - loop.time()
            if news or left <= 0 or exchange.waiting.ended:
                return news
            woken = asyncio.create_task(waiter.woken.wait())
            try:
                done, _ = await asyncio.wait({woken, gone}, timeout=left, return_when="FIRST_COMPLETED")
            finally:
                woken.cancel()
            if woken not in done:
                return []  # nothing came, or nobody is there to hear of it
    finally:
        gone.cancel()


async def _gone(request: Request) -> None:
    """Ends when the client has."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _asked(texts: Sequence[str]) -> dict[str, int]:
    """The position from which each log was read, by what it was called."""
    if not 0 < len(texts) <= MOST_LOGS:
        raise BadInput([Problem("after", f"to be given 1 to {MOST_LOGS} times")])
    asked: dict[str, int] = {}
    for text in texts:
        named, colon, position = text.partition(":")
        if not colon or named in asked:
            raise BadInput([Problem("after", "<collection id>:<position>, each collection once")])
        asked[named] = read_position(position, "after") if position else 0
    return asked


def _wait(text: str) -> int:
    if not text:
        return DEFAULT_WAIT
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise BadInput([Problem("wait", "whole seconds")])
    return min(int(text), LONGEST_WAIT)


def _readable(rights: Rights, named: str) -> str:
    """The id of a collection. Raises NotFound, for one that may only be added to as well: here it is not there."""
    collection = rights.collection(named)
    if not collection.can_read:
        raise NotFound(f"{named!r} is not for {rights.caller.name} to read")
    return collection.id
