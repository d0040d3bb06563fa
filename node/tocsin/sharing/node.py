"""Node: who we are, and the objects that we bring along because everything we make names them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.settings import NodeSettings
from tocsin.stix.effects import EXTENSION_CREATOR, EXTENSION_DEFINITION
from tocsin.stix.markings import Tlp, marking_definitions
from tocsin.stix.objects import ObjectVersion, from_micros, keyed_id, make_object
from tocsin.store import objects, records, releases
from tocsin.store.objects import Word
from tocsin.store.transaction import Transaction

OURS = ""  # the party id, and the collection id, of what this node made itself


@dataclass(frozen=True, slots=True)
class Node:
    """This node: the secret that its ids are made with, and its STIX identity, which follows from the secret."""

    secret: bytes = field(repr=False)
    identity: str = field(init=False)
    creators: frozenset[str] = field(
        init=False
    )  # that speak for what it makes and the definitions it brings along

    def __post_init__(self) -> None:
        identity = keyed_id(self.secret, "identity", "node")
        object.__setattr__(self, "identity", identity)
        object.__setattr__(self, "creators", frozenset({identity, str(EXTENSION_CREATOR["id"])}))


async def keep_own_objects(tx: Transaction, node: Node, settings: NodeSettings, now: int) -> str:
    """Store the node's identity and the definitions that our incidents name. Returns the identity's id.

    A changed name in the settings makes one new version of the identity.
    """
    held = await objects.newest(tx, [node.identity])
    previous = held[node.identity].value if node.identity in held else None
    own = (*_definitions(), _identity(node, settings, now, previous))
    await keep(tx, [make_object(value) for value in own], now)
    return node.identity


async def keep(tx: Transaction, versions: Sequence[ObjectVersion], now: int) -> list[objects.Stored]:
    """Store versions that we made, on our own word, and note what they name."""
    stored = await objects.add_versions(tx, versions, received=now)
    await objects.set_words(
        tx,
        [
            Word(
                one.seq,
                OURS,
                OURS,
                "revoke" if version.revoked else "put",
                authentic=True,
                hops=0,
                at=now,
                creator=version.creator,
            )
            for version, one in zip(versions, stored, strict=True)
        ],
    )
    names = [(one.seq, version.named) for version, one in zip(versions, stored, strict=True) if one.new]
    await objects.note_references(tx, names)
    return stored


async def keep_company(
    tx: Transaction, made: Mapping[str, Sequence[tuple[ObjectVersion, str]]], now: int
) -> tuple[list[str], list[str]]:
    """Store everything that was made of each incident, the incident included, with its role (by incident id).

    What was made of one before, and of none any more, we no longer say: our word on it is taken back. Returns the
    ids of what was made, and of what no longer belongs to where it did; both are to be judged.
    """
    await releases.lock_all(tx)
    await objects.begin_fresh(tx, (version.id for company in made.values() for version, _ in company))
    before = await records.belonging_to(tx, made)
    versions = [version for company in made.values() for version, _ in company]
    await keep(tx, versions, now)
    roles = {incident: [(version.id, role) for version, role in company] for incident, company in made.items()}
    await records.put_belongings(tx, roles)
    touched = list(dict.fromkeys(version.id for version in versions))
    left = sorted({one.object_id for one in before} - set(touched))
    await _take_back(tx, sorted(set(left) - set(await records.belongings_of(tx, left))), now)
    return touched, left


async def _take_back(tx: Transaction, ids: Sequence[str], now: int) -> None:
    offered = await objects.offered(tx, ids)
    await objects.set_words(
        tx,
        [
            Word(version.seq, OURS, OURS, "withdraw", authentic=True, hops=0, at=now)
            for versions in offered.values()
            for version in versions
            if any(source.party_id == OURS and source.collection_id == OURS for source in version.sources)
        ],
    )


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
