"""Changes: a collection's log for nodes, withdrawals included. Our own resource; TAXII 2.1 has no such thing.

`GET /exchange/collections/{id}/changes/?after=<position>&limit=<n>` answers `application/json`:

    {"more": bool, "position": "<of the last entry told>", "entries": [
        {"op": "put" | "revoke" | "withdraw" | "prune", "position", "id", "version", "sha256", "hops", "form",
         "object": {…}}]}                            `object` stands with `put` and `revoke`

`after` is exclusive: a `position` from here, or any timestamp; `next` of TAXII is taken as well. Rights are those
of reading. An entry that was replaced later is not told, since what replaced it is; a withdrawal is told only to
who may have held the object, that is, if it stood during a grant of his, one that ended since too.
"""

from starlette.requests import Request
from starlette.responses import Response

from tocsin.sharing.page import read_changes
from tocsin.stix.objects import from_micros
from tocsin.store.pages import ChangePage, ChangeRow
from tocsin.taxii.endpoint import Exchange, answer, visiting
from tocsin.taxii.query import DEFAULT_LIMIT, Cursor, read_limit, read_parameters, read_position
from tocsin.taxii.resources import dump


async def get_changes(exchange: Exchange, request: Request) -> Response:
    """What happened in this log after a position, oldest first."""
    parameters = read_parameters(request.scope["query_string"])
    async with visiting(exchange, request) as visit:
        collection = visit.rights.readable(request.path_params["collection"])
        after = _after(parameters.get("after", ""), Cursor(exchange.cursor_key, collection.id))
        limit = read_limit(parameters["limit"]) if "limit" in parameters else DEFAULT_LIMIT
        changes = await read_changes(visit.tx, collection.id, visit.caller.party.id, after, limit)
    return await answer(request, _body(changes, after), media_type="application/json")


def _after(text: str, cursor: Cursor) -> int:
    if not text:
        return 0
    return read_position(text, "after") if ":" in text else cursor.unseal(text)


def _body(changes: ChangePage, after: int) -> bytes:
    position = changes.rows[-1].position if changes.rows else after
    return b'{"more":%b,"position":%b,"entries":[%b]}' % (
        b"true" if changes.more else b"false",
        dump(from_micros(position)),
        b",".join(_entry(entry) for entry in changes.rows),
    )


def _entry(entry: ChangeRow) -> bytes:
    told = dump(
        {
            "op": entry.op,
            "position": from_micros(entry.position),
            "id": entry.object_id,
            "version": entry.version,
            "sha256": entry.sha256,
            "hops": entry.hops,
            "form": entry.form,
        }
    )
    return told if entry.raw is None else b'%b,"object":%b}' % (told[:-1], entry.raw)
