"""Publish: a person's word on incidents of ours: they may enter the collections whose policy allows it, or wait.

A word on an incident covers everything that was made of it so far (victims, observables, what ties them to it),
each object up to its newest version; what comes later waits for another word, unless it is published with
`follow` (DESIGN 2.2).
"""

from collections.abc import Sequence

from tocsin.errors import NotFound, Refused
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import OURS, Node
from tocsin.sharing.release import Outcome, release
from tocsin.store import audit, copies, objects, publications, records, releases
from tocsin.store.publications import Publication
from tocsin.store.transaction import Transaction


async def publish(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    incident_ids: Sequence[str],
    *,
    now: int,
    key: str | None = None,
    follow: bool = False,
) -> list[Outcome]:
    """Let incidents enter every collection that allows it, later ones too, or only collection `key`.

    What a person holds in one collection only stays held there, unless that collection is named. Raises NotFound
    for an unknown collection, Refused for an incident that was not made here.
    """
    company = await _made_here(tx, incident_ids)
    known = await _collections(tx, key)
    words = await publications.publications(tx, list(company))
    said = []
    for id_, version_key in company.items():
        places = [known[key]] if key is not None else _places(words, id_)
        said += [Publication(id_, place, "published", version_key, follow, now) for place in places]
    await publications.set_publications(tx, said)
    await _note(tx, "published", incident_ids, {"collection": key, "follow": follow}, now)
    return await release(tx, configuration, node, list(company), now=now, keys=None if key is None else {key})


async def hold(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    incident_ids: Sequence[str],
    *,
    now: int,
    key: str | None = None,
) -> list[Outcome]:
    """Keep incidents out of every collection, later ones too, or out of `key`, until a person publishes them.

    What was let in already stays, as it is now, and is judged as before; what is newer waits. Raises as `publish`.
    """
    company = await _made_here(tx, incident_ids)
    known = await _collections(tx, key)
    words = await publications.publications(tx, list(company))
    said = []
    for place in known.values():
        standing = await _standing(tx, place, list(company))
        for id_, version_key in company.items():
            covered = _covered(words, id_, place, version_key) if id_ in standing else None
            said.append(Publication(id_, place, "held", covered, False, now))
    if key is None:
        said += [Publication(id_, OURS, "held", None, False, now) for id_ in company]
    await publications.set_publications(tx, said)
    await _note(tx, "held", incident_ids, {"collection": key}, now)
    return await release(tx, configuration, node, list(company), now=now, keys=set(known))


def _covered(words: dict[tuple[str, str], Publication], id_: str, place: str, newest: str) -> str | None:
    """Up to which version key the words so far let it in."""
    here, everywhere = words.get((id_, place)), words.get((id_, OURS))
    if here is not None and here.state == "held":
        return here.version_key
    if any(word is not None and word.follow for word in (here, everywhere)):
        return newest
    keys = [word.version_key for word in (here, everywhere) if word is not None and word.version_key]
    return max(keys, default=newest)  # let in by following its incident: then up to what is newest


def _places(words: dict[tuple[str, str], Publication], id_: str) -> list[str]:
    """Where a word for all collections counts: wherever nobody holds the object in one collection only."""
    everywhere = words.get((id_, OURS))
    all_held = everywhere is not None and everywhere.state == "held"
    own = [place for about, place in words if about == id_ and place != OURS]
    return [OURS, *(place for place in own if all_held or words[id_, place].state == "published")]


async def _made_here(tx: Transaction, incident_ids: Sequence[str]) -> dict[str, str]:
    """Everything that belongs to the incidents, with the newest version key of each.

    What others made is their release, and no person's word here is asked for it.
    """
    belongings = await records.belonging_to(tx, incident_ids)
    if missing := sorted(set(incident_ids) - {one.incident_id for one in belongings}):
        raise Refused(f"{missing[0]} was not made here: only our own incidents wait for a person's word")
    offered = await objects.offered(tx, sorted({one.object_id for one in belongings}))
    ours = {
        id_: [
            v.version_key
            for v in versions
            if any(s.party_id == OURS and s.collection_id == OURS for s in v.sources)
        ]
        for id_, versions in offered.items()
    }
    return {id_: max(keys) for id_, keys in ours.items() if keys}


async def _collections(tx: Transaction, key: str | None) -> dict[str, str]:
    known = {row.key: row.id for row in await releases.collections(tx)}
    if key is None:
        return known
    if key not in known:
        raise NotFound(f"no collection {key!r}")
    return {key: known[key]}


async def _standing(tx: Transaction, collection_id: str, ids: Sequence[str]) -> set[str]:
    """Those of the objects that stand in the collection, whole or as a copy."""
    links = await copies.copies_of(tx, collection_id, ids)
    found = await releases.standing(tx, collection_id, [*ids, *(link.copy_id for link in links.values())])
    return {id_ for id_ in ids if id_ in found or (id_ in links and links[id_].copy_id in found)}


async def _note(tx: Transaction, event: str, ids: Sequence[str], details: dict[str, object], now: int) -> None:
    await audit.append_all(tx, [audit.Event(event, id_, details) for id_ in ids], now)
