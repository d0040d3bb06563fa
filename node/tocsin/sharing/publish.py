"""Publish: a person's word on incidents of ours: they may enter the collections whose policy allows it, or wait.

A word covers an incident with all that was made of it (victims, observables, what ties them to it), up to what
is newest now; what comes later waits for another word, unless it is published with `follow` (DESIGN 2.2).
"""

from collections.abc import Iterable, Sequence

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

    Raises NotFound for an unknown collection, Refused for an incident that was not made here.
    """
    company, newest = await _made_here(tx, incident_ids)
    known = await _collections(tx, key)
    words = await publications.publications(tx, incident_ids)
    for id_ in incident_ids:
        covered = max(newest[one] for one in company[id_] if one in newest)
        places = [known[key]] if key is not None else [OURS, *_spoken_of(words, id_)]
        for place in places:
            await publications.set_publication(tx, id_, place, "published", covered, follow, now)
        await audit.append(tx, "published", id_, {"collection": key, "follow": follow}, now)
    return await release(tx, configuration, node, _all(company), now=now, keys=None if key is None else {key})


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

    What stands already stays, as it is now, and is judged as before; what is newer waits. Raises as `publish`.
    """
    company, newest = await _made_here(tx, incident_ids)
    known = await _collections(tx, key)
    words = await publications.publications(tx, incident_ids)
    for collection_key, place in known.items():
        standing = await _standing(tx, place, incident_ids)
        settings = configuration.settings.collections.get(collection_key)
        automatic = settings is not None and settings.release == "automatic"
        for id_ in incident_ids:
            covered = None
            if id_ in standing:
                everything = max(newest[one] for one in company[id_] if one in newest)
                word = words.get((id_, place)) or words.get((id_, OURS))
                covered = _covered(word, everything, automatic=automatic)
            await publications.set_publication(tx, id_, place, "held", covered, False, now)
    for id_ in incident_ids:
        if key is None:
            await publications.set_publication(tx, id_, OURS, "held", None, False, now)
        await audit.append(tx, "held", id_, {"collection": key}, now)
    return await release(tx, configuration, node, _all(company), now=now, keys=set(known))


def _covered(word: Publication | None, newest: str, *, automatic: bool) -> str | None:
    """Up to which version key the word so far, or the collection's own rule, let in."""
    if word is not None and word.state == "held":
        return word.version_key
    if automatic or word is None or word.follow or word.version_key is None:
        return newest
    return word.version_key


async def _made_here(tx: Transaction, incident_ids: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """What belongs to each incident, and the newest version key of each object.

    What others made is their release, and no person's word here is asked for it.
    """
    company: dict[str, list[str]] = {}
    for one in await records.belonging_to(tx, incident_ids):
        company.setdefault(one.incident_id, []).append(one.object_id)
    if missing := sorted(set(incident_ids) - set(company)):
        raise Refused(f"{missing[0]} was not made here: only our own incidents wait for a person's word")
    newest = await objects.newest(tx, _all(company))
    return company, {id_: version.version_key for id_, version in newest.items()}


async def _collections(tx: Transaction, key: str | None) -> dict[str, str]:
    known = {row.key: row.id for row in await releases.collections(tx)}
    if key is None:
        return known
    if key not in known:
        raise NotFound(f"no collection {key!r}")
    return {key: known[key]}


async def _standing(tx: Transaction, collection_id: str, incident_ids: Sequence[str]) -> set[str]:
    """Those of the incidents that stand in the collection, whole or as a copy."""
    links = await copies.copies_of(tx, collection_id, incident_ids)
    found = await releases.standing(tx, collection_id, [*incident_ids, *(link.copy_id for link in links.values())])
    return {id_ for id_ in incident_ids if id_ in found or (id_ in links and links[id_].copy_id in found)}


def _spoken_of(words: Iterable[tuple[str, str]], incident_id: str) -> list[str]:
    """The collections for which there is a word of its own, which the one for all takes the place of."""
    return [place for about, place in words if about == incident_id and place != OURS]


def _all(company: dict[str, list[str]]) -> list[str]:
    return list(dict.fromkeys(id_ for ids in company.values() for id_ in ids))
