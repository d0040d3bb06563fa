"""Acknowledgements: what a reader did with what was taken back, told by itself. Our own resource, for nodes.

`POST /exchange/collections/{id}/acknowledgements/`, `application/json`, with the credential of reading. A former
reader may use it too, as long as he stands in `tocsin.yaml`, beside `changes`, and nothing else of the collection.

    {"acknowledgements": [
        {"position": "<of a withdraw or revoke>", "id": "<that it names>",
         "outcome": "purged" | "retained" | "refused", "reason": "…", "open": <n>}, …]}

    `purged`: the reader holds it no more, on nobody's word, and offers it to nobody. `retained`, `refused`: it
    does, and `reason` says why; refused is what was not carried out. `open`: of the readers that it had passed it
    on to, how many have not acknowledged it there; 0 if left out. Properties that are not named here are ignored.

    1000 at most, in 1 MiB; a reason has 1000 characters at most. A later one takes the place of an earlier one;
    the same again changes nothing. Of two about one entry the last counts.

200: `{"acknowledged": ["<position>", …], "unknown": ["<position>", …]}`: *unknown* is what speaks of no entry that
this reader was told of, whether it is there or not. 400 for what cannot be read, and nothing of it is taken.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import BadInput, Problem
from tocsin.problems import UnknownMedia
from tocsin.sharing.notices import Said, take_answers
from tocsin.stix.canonical import read_json
from tocsin.stix.objects import ID
from tocsin.taxii.changes import JSON_TYPE
from tocsin.taxii.endpoint import Exchange, visiting
from tocsin.taxii.query import read_position
from tocsin.taxii.resources import dump
from tocsin.taxii.rights import hearing

MOST = 1000  # of one request
MOST_BYTES = 1024 * 1024
MOST_REASON = 1000  # characters


class _One(msgspec.Struct):
    position: str
    id: str
    outcome: Literal["purged", "retained", "refused"]
    reason: Annotated[str, msgspec.Meta(max_length=MOST_REASON)] = ""
    open: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class _Body(msgspec.Struct):
    acknowledgements: Annotated[list[_One], msgspec.Meta(min_length=1, max_length=MOST)]


async def acknowledge(exchange: Exchange, request: Request) -> Response:
    """Note what this reader did with what this log took back."""
    named = request.path_params["collection"]
    async with visiting(exchange, request) as visit:  # before a stranger may send anything
        await hearing(visit.tx, visit.rights, named)
        limits = visit.configuration.limits
    _check_type(request)
    limits = replace(limits, body=min(limits.body, MOST_BYTES))
    async with exchange.admission.body(request, limits) as read:
        said = read_acknowledgements(await read())
        async with visiting(exchange, request, writing=True) as visit:
            heard = await hearing(visit.tx, visit.rights, named)
            now, party = await visit.tx.now(), visit.caller.party
            meant = [one for one, _ in said]
            taken = await take_answers(visit.tx, visit.configuration, heard.id, party, meant, now)
    known = {one.position for one in taken}
    told: dict[str, list[str]] = {"acknowledged": [], "unknown": []}
    for one, position in said:
        told["acknowledged" if one.position in known else "unknown"].append(position)
    return Response(dump(told), 200, {"Cache-Control": "no-store"}, media_type=JSON_TYPE)


def read_acknowledgements(raw: bytes) -> Sequence[tuple[Said, str]]:
    """What a body says, each with its position as it was written; the last about each entry. Raises BadInput."""
    read_json(raw)  # duplicate keys, NUL, half a surrogate pair: said with their place
    try:
        body = msgspec.json.decode(raw, type=_Body)
    except msgspec.ValidationError as why:
        raise BadInput(f"The body is JSON, and no list of acknowledgements: {why}") from why
    said: dict[int, tuple[Said, str]] = {}
    for number, one in enumerate(body.acknowledgements):
        place = f"acknowledgements[{number}]"
        if not ID.match(one.id):
            raise BadInput([Problem(f"{place}.id", f"{one.id[:100]!r} is no STIX id")])
        if one.outcome != "purged" and not one.reason.strip():
            raise BadInput([Problem(f"{place}.reason", f"{one.outcome} needs a reason")])
        position = read_position(one.position, f"{place}.position")
        said[position] = (Said(position, one.id, one.outcome, one.reason.strip(), one.open), one.position)
    return list(said.values())


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON_TYPE:
        raise UnknownMedia(f"A body here must be {JSON_TYPE}.")
    if request.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise UnknownMedia("Content-Encoding is not taken: send the body as it is.")
