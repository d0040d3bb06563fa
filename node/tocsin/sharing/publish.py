"""Publish: a person's word on incidents of ours: they may enter the collections whose policy allows it, or wait.

A word on an incident covers everything that was made of it so far (victims, observables, what ties them to it),
each object up to its newest version; what comes later waits for another word, unless it is published with
`follow`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tocsin.errors import NotFound, Refused
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import OURS, Node
from tocsin.sharing.release import Outcome, release
from tocsin.store import audit, copies, objects, publications, records, releases, schedule, withdrawals
from tocsin.store.objects import HeldVersion
from tocsin.store.publications import Publication, PublicationState
from tocsin.store.records import Belonging
from tocsin.store.transaction import Transaction
from tocsin.store.withdrawals import EVERYWHERE


async def publish(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    incident_ids: Sequence[str],
    *,
    now: int,
    key: str | None = None,
    follow: bool = False,
    by_name: bool = True,
) -> list[Outcome]:
    """Let incidents enter every collection that allows it, later ones too, or only collection `key`.

    What a person holds in one collection only stays held there, unless that collection is named. What was taken
    back comes back by this word alone, what others made too, and only `by_name`. Raises NotFound for an unknown
    collection, Refused for an incident that was not made here.
    """
    known = await _collections(tx, key)
    lifted = await lift(tx, incident_ids, None if key is None else known[key]) if by_name else set()
    company = await _made_here(tx, incident_ids, others=lifted)
    words = await publications.publications(tx, [one.object_id for one in company])
    said = []
    for one, version_key in company.items():
        everywhere = words.get((one.incident_id, one.object_id, OURS))
        following = follow or (everywhere is not None and everywhere.follow)
        places = [known[key]] if key is not None else _places(words, one)
        said += [_word(one, place, "published", version_key, now, follow=following) for place in places]
    await publications.set_publications(tx, said)
    await _note(tx, "published", incident_ids, {"collection": key, "follow": follow}, now)
    ids = list(dict.fromkeys([*(one.object_id for one in company), *sorted(lifted)]))
    return await release(tx, configuration, node, ids, now=now, keys=None if key is None else {key})


async def lift(tx: Transaction, object_ids: Sequence[str], place: str | None) -> set[str]:
    """What was taken back may be let in again, in one place or everywhere; what of it was taken back at all.

    What was taken back everywhere, and may come back to one place, stays out of each of the others.
    """
    if place is not None:
        everywhere = [
            found
            for places in (await withdrawals.withdrawals(tx, object_ids)).values()
            if (found := places.get(EVERYWHERE)) is not None
        ]
        others = [row.id for row in await releases.collections(tx) if row.id != place]
        await withdrawals.put(tx, [replace(one, collection_id=other) for one in everywhere for other in others])
    return await withdrawals.lift(tx, object_ids, place)


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
    known = await _collections(tx, key)
    company = await _made_here(tx, incident_ids)
    ids = list(dict.fromkeys(one.object_id for one in company))
    words = await publications.publications(tx, ids)
    said = []
    for place in known.values():
        standing = await _standing(tx, place, ids)
        for one, version_key in company.items():
            covered = _covered(words, one, place, version_key) if one.object_id in standing else None
            said.append(_word(one, place, "held", covered, now))
    if key is None:
        said += [_word(one, OURS, "held", None, now) for one in company]
    await publications.set_publications(tx, said)
    place_alone = None if key is None else known[key]
    await schedule.cancel(tx, incident_ids, now, "a person held it", place_alone)
    await _note(tx, "held", incident_ids, {"collection": key}, now)
    return await release(tx, configuration, node, ids, now=now, keys=set(known))


Words = Mapping[tuple[str, str, str], Publication]


def _word(
    one: Belonging, place: str, state: PublicationState, version_key: str | None, now: int, *, follow: bool = False
) -> Publication:
    return Publication(one.incident_id, one.object_id, place, state, version_key, follow, now)


def _covered(words: Words, one: Belonging, place: str, newest: str) -> str | None:
    """Up to which version key the words so far let it in."""
    here = words.get((one.incident_id, one.object_id, place))
    everywhere = words.get((one.incident_id, one.object_id, OURS))
    if here is not None and here.state == "held":
        return here.version_key
    if any(word is not None and word.follow for word in (here, everywhere)):
        return newest
    keys = [word.version_key for word in (here, everywhere) if word is not None and word.version_key]
    return max(keys, default=newest)  # let in by following its incident: then up to what is newest


def _places(words: Words, one: Belonging) -> list[str]:
    """Where a word for all collections counts: wherever nobody holds the object in one collection only."""
    everywhere = words.get((one.incident_id, one.object_id, OURS))
    all_held = everywhere is not None and everywhere.state == "held"
    return [
        OURS,
        *(
            place
            for (incident_id, object_id, place), word in words.items()
            if (incident_id, object_id) == (one.incident_id, one.object_id)
            and place != OURS
            and (all_held or word.state == "published")
        ),
    ]


async def _made_here(
    tx: Transaction, incident_ids: Sequence[str], others: Collection[str] = ()
) -> dict[Belonging, str]:
    """Everything that belongs to the incidents, with the newest version key of each object.

    What others made is their release, and no person's word here is asked for it, but for those of `others`.
    """
    belongings = await records.belonging_to(tx, incident_ids)
    if missing := sorted(set(incident_ids) - {one.incident_id for one in belongings} - set(others)):
        raise Refused(f"{missing[0]} was not made here: only our own incidents wait for a person's word")
    offered = await objects.offered(tx, sorted({one.object_id for one in belongings}))
    newest = {
        id_: max(keys)
        for id_, versions in offered.items()
        if (keys := [version.version_key for version in versions if _is_ours(version)])
    }
    return {one: newest[one.object_id] for one in belongings if one.object_id in newest}


def _is_ours(version: HeldVersion) -> bool:
    return any(source.party_id == OURS and source.collection_id == OURS for source in version.sources)


async def _collections(tx: Transaction, key: str | None) -> dict[str, str]:
    """The collections that a word is for; all are held from before their logs are looked at until it counts."""
    known = {row.key: row.id for row in await releases.lock_all(tx)}
    if key is not None and key not in known:
        raise NotFound(f"no collection {key!r}")
    return known if key is None else {key: known[key]}


async def _standing(tx: Transaction, collection_id: str, ids: Sequence[str]) -> set[str]:
    """Those of the objects that stand in the collection, whole or as a copy."""
    links = await copies.copies_of(tx, collection_id, ids)
    found = await releases.standing(tx, collection_id, [*ids, *(link.copy_id for link in links.values())])
    return {id_ for id_ in ids if id_ in found or (id_ in links and links[id_].copy_id in found)}


async def _note(tx: Transaction, event: str, ids: Sequence[str], details: dict[str, object], now: int) -> None:
    await audit.append_all(tx, [audit.Event(event, id_, details) for id_ in ids], now)
