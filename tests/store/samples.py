"""What the tests of this room put into a store."""

from tocsin.stix.objects import ObjectVersion, make_object
from tocsin.store import objects, releases
from tocsin.store.releases import Entry

NOW = 1_750_000_000_000_000  # µs


def uuid_of(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def incident_id(number: int) -> str:
    return f"incident--{uuid_of(number)}"


def incident(number: int, version: str = "2025-01-01T00:00:00.000Z", **more: object) -> ObjectVersion:
    return make_object(
        {
            "type": "incident",
            "spec_version": "2.1",
            "id": incident_id(number),
            "created": "2025-01-01T00:00:00.000Z",
            "modified": version,
            "name": f"incident {number}",
            **more,
        }
    )


def observable(number: int, value: str = "192.0.2.1") -> ObjectVersion:
    return make_object(
        {"type": "ipv4-addr", "spec_version": "2.1", "id": f"ipv4-addr--{uuid_of(number)}", "value": value}
    )


async def keep(
    tx, version: ObjectVersion, party: str = "", collection: str = "", *, authentic=True, hops=0, at=NOW
):
    """Store a version on somebody's word."""
    stored = await objects.add_version(tx, version, received=at)
    await objects.set_word(tx, stored.seq, party, collection, "put", authentic=authentic, hops=hops, at=at)
    return stored


def put(version: ObjectVersion, stored, op: str = "put", **more) -> Entry:
    fields = {"form": "whole", "hops": 0, "rules": ("ours",), **more}
    return Entry(op, version.id, version.type, stored.seq, stored.version_key, **fields)


def withdraw(version: ObjectVersion, version_key: str | None = None, op: str = "withdraw") -> Entry:
    return Entry(op, version.id, version.type, None, version_key, "whole", 0, ("denied",))


async def make_collection(tx, key: str = "regional") -> str:
    return (await releases.ensure_collections(tx, {key: None}, {}, NOW))[key]
