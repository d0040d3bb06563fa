"""Ids: how a person names an object: its STIX id, the first hex digits of it, or `source:record`."""

import re
from collections.abc import Iterable, Sequence

from tocsin.errors import BadInput, NotFound
from tocsin.stix.objects import ID
from tocsin.store import objects, records
from tocsin.store.transaction import Transaction

DIGITS = 8  # of a short id
_FEWEST = 6
_HEX = re.compile(r"^[0-9a-fA-F-]+$")
_NAMED = 5  # candidates shown when a prefix fits several


def short(id_: str) -> str:
    """The eight digits by which people know an object."""
    return id_.partition("--")[2][:DIGITS]


async def find_id(tx: Transaction, text: str) -> str:
    """The STIX id that a person means.

    A prefix that fits one incident means that incident, whatever else begins so. Raises NotFound for what is not
    here, BadInput for what is no id or fits several, with their ids.
    """
    if ID.match(text):
        if not await objects.versions(tx, text):
            raise NotFound(f"{text} is not here")
        return text
    if ":" in text:
        return await _by_record(tx, text)
    if _HEX.match(text):
        if len(text.replace("-", "")) < _FEWEST:
            raise BadInput(f"{text!r}: give at least {_FEWEST} digits of the id")
        return _one(text, await objects.ids_by_prefix(tx, text))
    raise BadInput(f"{text!r} is no id: a STIX id, its first {_FEWEST} or more hex digits, or SOURCE:RECORD")


async def find_incidents(tx: Transaction, texts: Iterable[str]) -> list[str]:
    """The incidents that a person means, each once. Raises as `find_id`, and BadInput for another type."""
    found = dict.fromkeys([await find_id(tx, text) for text in texts])
    for id_ in found:
        if not id_.startswith("incident--"):
            raise BadInput(f"{id_} is no incident")
    return list(found)


async def _by_record(tx: Transaction, text: str) -> str:
    # both may hold a colon themselves: the first that is known counts
    pieces = text.split(":")
    for cut in range(1, len(pieces)):
        named = await records.named(tx, ":".join(pieces[:cut]), ":".join(pieces[cut:]))
        if named:
            return _one(text, [record.incident_id for record in named])
    raise NotFound(f"no record {text!r} was imported (SOURCE:RECORD, as in tocsin incidents --wide)")


def _one(text: str, ids: Sequence[str]) -> str:
    incidents = [id_ for id_ in ids if id_.startswith("incident--")]
    match incidents or ids:
        case []:
            raise NotFound(f"nothing here begins with {text}")
        case [found]:
            return found
        case several:
            more = " …" if len(several) > _NAMED else ""
            raise BadInput(f"{text!r} fits several: {' '.join(several[:_NAMED])}{more}")
