"""Share: a person gives objects to one named recipient, through a direct collection that is filled by hand alone.

Whatever is here may be shared so, what others brought too, at any TLP: it is this person's word that its creator
permits it. What an object names goes along, since a collection names nothing that its reader cannot find in it.
"""

from collections.abc import Iterable, Sequence

from tocsin.errors import NotFound
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import OURS, Node
from tocsin.sharing.publish import lift, publish
from tocsin.sharing.release import Outcome, release
from tocsin.stix.objects import FREE_TYPES
from tocsin.store import audit, objects, publications, records, releases
from tocsin.store.objects import HeldVersion
from tocsin.store.publications import Publication
from tocsin.store.transaction import Transaction


def direct_collection(configuration: Configuration, name: str) -> str | None:
    """The key of the direct collection for an account or peer; None where there is none."""
    for key, collection in configuration.settings.collections.items():
        if collection.direct and collection.readers[0] == name:
            return key
    return None


async def share(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    object_ids: Sequence[str],
    name: str,
    *,
    by: str,
    now: int,
    follow: bool = False,
) -> list[Outcome]:
    """Let objects, with all that they name, into the direct collection for `name`.

    What others brought is shared as it stands now; with `follow`, newer versions go the same way. Raises NotFound
    for an object that is not here, or where there is no direct collection for `name`.
    """
    key = direct_collection(configuration, name)
    if key is None:
        raise NotFound(f"there is no direct collection for {name!r}")
    place = {row.key: row.id for row in await releases.lock_all(tx)}[key]
    ours = {one.incident_id for one in await records.belonging_to(tx, object_ids)}
    others = await _with_what_they_name(tx, [id_ for id_ in object_ids if id_ not in ours])
    outcomes = []
    if ours:
        outcomes += await publish(tx, configuration, node, sorted(ours), now=now, key=key, follow=follow)
    if others:
        await lift(tx, sorted(others), place)
        words = [
            Publication(id_, id_, place, "published", max(v.version_key for v in versions), follow, now)
            for id_, versions in sorted(others.items())
        ]
        await publications.set_publications(tx, words)
        outcomes += await release(tx, configuration, node, sorted(others), now=now, keys={key})
    details = {"with": name, "by": by, "follow": follow}
    await audit.append_all(tx, [audit.Event("shared", id_, details) for id_ in object_ids], now)
    return outcomes


async def _with_what_they_name(tx: Transaction, object_ids: Iterable[str]) -> dict[str, list[HeldVersion]]:
    """The versions of objects that others brought, and of whatever they name and others brought too.

    Raises NotFound for one of those asked for that nobody offers.
    """
    found: dict[str, list[HeldVersion]] = {}
    wave = list(object_ids)
    asked = frozenset(wave)
    while wave:
        offered = await objects.offered(tx, wave)
        names: set[str] = set()
        for id_ in wave:
            versions = [v for v in offered.get(id_, ()) if any(s.party_id != OURS for s in v.sources)]
            if versions:
                found[id_] = versions
                names |= versions[-1].names
            elif id_ in asked:
                raise NotFound(f"{id_} is not here")
        wave = sorted(n for n in names - found.keys() if n.partition("--")[0] not in FREE_TYPES)
    return found
