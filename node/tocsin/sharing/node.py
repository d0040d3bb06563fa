"""Node: who we are, and the objects that we bring along because everything we make names them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tocsin.settings import NodeSettings
from tocsin.stix.effects import EXTENSION_CREATOR, EXTENSION_DEFINITION
from tocsin.stix.markings import Tlp, marking_definitions
from tocsin.stix.objects import ObjectVersion, from_micros, keyed_id, make_object, named
from tocsin.store import objects
from tocsin.store.transaction import Transaction

OURS = ""  # the party id, and the collection id, of what this node made itself


@dataclass(frozen=True, slots=True)
class Node:
    """This node: the secret that its ids are made with, and its STIX identity, which follows from the secret."""

    secret: bytes

    @property
    def identity(self) -> str:
        return keyed_id(self.secret, "identity", "node")


async def keep_own_objects(tx: Transaction, node: Node, settings: NodeSettings, now: int) -> str:
    """Store the node's identity and the definitions that our incidents name. Returns the identity's id.

    A changed name in the settings makes one new version of the identity.
    """
    held = await objects.newest(tx, [node.identity])
    previous = held[node.identity].value if node.identity in held else None
    for value in (*_definitions(), _identity(node, settings, now, previous)):
        await keep(tx, make_object(value), now)
    return node.identity


async def keep(tx: Transaction, version: ObjectVersion, now: int) -> objects.Stored:
    """Store a version that we made, on our own word, and note what it names."""
    stored = await objects.add_version(tx, version, received=now)
    word: objects.Say = "revoke" if version.revoked else "put"
    await objects.set_word(tx, stored.seq, OURS, OURS, word, authentic=True, hops=0, at=now)
    await objects.note_references(tx, version.id, named(version.value))
    return stored


def _definitions() -> Iterator[dict[str, Any]]:
    yield from marking_definitions()
    yield dict(EXTENSION_CREATOR)
    yield dict(EXTENSION_DEFINITION)


def _identity(node: Node, settings: NodeSettings, now: int, previous: Any) -> dict[str, Any]:
    body = {
        "type": "identity",
        "spec_version": "2.1",
        "id": node.identity,
        "name": settings.name,
        "identity_class": "organization",
        "object_marking_refs": [Tlp.CLEAR.marking],  # the node says it to everybody who asks (its descriptor)
    }
    if previous is not None:
        if previous["name"] == settings.name:
            return dict(previous)
        return body | {"created": previous["created"], "modified": _now(now)}
    return body | {"created": _now(now), "modified": _now(now)}


def _now(now: int) -> str:
    return from_micros(now - now % 1000)[:-4] + "Z"
