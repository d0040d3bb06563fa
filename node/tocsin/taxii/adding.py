"""Adding: objects put into a collection of a foreign server, and taken out of it (TAXII 2.1 §4.3, §5.5, §5.7).

What servers do differently is borne here: some refuse a version that they have already, some give no details of
what they refuse, some answer for one bad object with an error for all.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.errors import BadInput, PeerFailed
from tocsin.stix.canonical import read_hashed, read_json, split_envelope
from tocsin.taxii.client import PeerAnswered, PeerClient, RemoteCollection, Unreadable, read_resource

LEAST_ROOM = 1024 * 1024  # bytes, where an API root does not say how much it takes
MOST_TOLD = 500  # characters of what a server says of one object
_FIRST_LOOK, _LONGEST_LOOK = 0.1, 5.0  # seconds between two looks at a status


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that a server did not take. `version` as it named it, '' where it did not."""

    id: str
    version: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an envelope, once all of it is done: how many were taken, and refused, and which."""

    added: int
    failed: int
    refusals: tuple[Refusal, ...]


async def fetch_room(client: PeerClient, collection: RemoteCollection) -> int:
    """How many bytes the API root takes in one request (§4.2.1)."""
    root = read_resource(client.name, await client.get(collection.api_root))
    room = root.get("max_content_length")
    return room if isinstance(room, int) and not isinstance(room, bool) and room > 0 else LEAST_ROOM


def envelope(raws: Sequence[bytes]) -> bytes:
    """Objects as they are posted."""
    return b'{"objects":[%b]}' % b",".join(raws)


async def add_objects(
    client: PeerClient, collection: RemoteCollection, raws: Sequence[bytes], patience: float
) -> Verdict:
    """Post objects, and wait until the server has dealt with all of them, `patience` seconds at most.

    Raises as `PeerClient.get` does, and PeerFailed for a server that is not done by then.
    """
    answer = await client.add(f"{collection.url}objects/", envelope(raws))
    status = read_resource(client.name, answer)
    waited, pause = 0.0, _FIRST_LOOK
    while not _is_complete(client.name, status):
        if waited >= patience:
            raise PeerFailed(f"{client.name} has not dealt with {len(raws)} objects after {patience:g} s")
        await asyncio.sleep(pause)
        waited, pause = waited + pause, min(2 * pause, _LONGEST_LOOK)
        address = client.resolve(collection.api_root, f"status/{status.get('id')}/")
        status = read_resource(client.name, await client.get(address))
    return _verdict(client.name, status)


def _is_complete(peer: str, status: dict[str, Any]) -> bool:
    match status.get("status"):
        case "complete":
            return True
        case "pending":
            return False
        case other:
            raise Unreadable(f"{peer} answers with a status that is neither complete nor pending: {other!r:.80}")


def _verdict(peer: str, status: dict[str, Any]) -> Verdict:
    added, failed = (_count(peer, status, f"{word}_count") for word in ("success", "failure"))
    listed = status.get("failures", [])
    refusals = [
        Refusal(id_, _text(one.get("version")), as_line(_text(one.get("message"))))
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict) and (id_ := _text(one.get("id")))
    ]
    return Verdict(added, failed, tuple(refusals))


def _count(peer: str, status: dict[str, Any], name: str) -> int:
    value = status.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Unreadable(f"{peer} answers with a status whose {name} is no count: {value!r:.80}")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


async def holds(client: PeerClient, collection: RemoteCollection, object_id: str, named: str) -> str | None:
    """The hash of one version of an object as the server shows it; '' where what it shows has no hash; None where
    it shows none. `named`: the version, '' for an object that has none of its own."""
    try:
        answer = await client.get(_address(collection, object_id), _chosen(named))
    except PeerAnswered as why:
        if why.status == 404:
            return None
        if why.status != 500:
            raise
        return await _listed(client, collection, object_id, named)
    try:
        found = split_envelope(answer.body)
        return read_hashed(found[0])[1] if found else None
    except BadInput:
        return ""


async def _listed(client: PeerClient, collection: RemoteCollection, object_id: str, named: str) -> str | None:
    """'' where the manifest has a version: medallion cannot show an extension definition, whose `version` it takes
    for a date."""
    chosen = {"match[id]": object_id, **_chosen(named)}
    manifest = read_resource(client.name, await client.get(f"{collection.url}manifest/", chosen))
    found = manifest.get("objects", [])
    listed = [one.get("id") for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return "" if object_id in listed else None


async def delete_object(client: PeerClient, collection: RemoteCollection, object_id: str, named: str) -> None:
    """Have one version of an object deleted, or the whole of one that has no versions. Raises PeerAnswered and
    PeerFailed as `PeerClient.get` does."""
    await client.delete(_address(collection, object_id), _chosen(named))


def _address(collection: RemoteCollection, object_id: str) -> str:
    return f"{collection.url}objects/{object_id}/"


def _chosen(named: str) -> dict[str, str]:
    """Servers differ in what they take where no version is chosen (§5.7 says all of them, some the last)."""
    return {"match[version]": named or "all"}


def said(why: PeerAnswered) -> str:
    """What a server said with an error, in one line: its error message (§3.6.1) after ours."""
    try:
        value = read_json(why.said) if why.said else None
    except BadInput:
        value = None
    if not isinstance(value, dict):
        return str(why)
    told = [as_line(_text(value.get(name))) for name in ("title", "description")]
    return ": ".join([str(why), *filter(None, told)])[:MOST_TOLD]


def as_line(text: str) -> str:
    """Another's text, as far as it can stand in one line of ours."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:MOST_TOLD]).split())
