"""Publish: a person's word on incidents of ours: they may enter the collections whose policy allows it, or wait.

A word on an incident covers everything that was made of it so far (victims, observables, what ties them to it),
each object up to its newest version; what comes later waits for another word, unless it is published with
`follow`.

This is the one way by which what we made is let in by a person, so here it is counted where a collection wants
several (`approvals`): only once all have said it of the same version does it become a word on that collection.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from tocsin.errors import NotFound, Refused
from tocsin.policy.configuration import Configuration
from tocsin.sharing.approvals import Person, Tally, approve, tallies, wanting
from tocsin.sharing.node import OURS, Node
from tocsin.sharing.release import Outcome, release
from tocsin.store import approvals, audit, copies, objects, publications, records, releases, schedule, withdrawals
from tocsin.store import pruned as prunes
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
    by: Person | None = None,
) -> list[Outcome]:
    """Let incidents enter every collection that allows it, later ones too, or only collection `key`.

    What a person holds in one collection only stays held there, unless that collection is named. What was taken
    back, or pruned, comes back by this word alone, what others made too, and only `by_name`.

    Into a collection that wants approvals this is the approval of `by`, and lets in what has all of them; of the
    rest the outcome says, by a reason of the rule `approvals`, what is still missing. Raises NotFound for an
    unknown collection, Refused for an incident that was not made here, and where `key` wants approvals and it is
    not known whose this is.
    """
    known = await _collections(tx, key)
    wanted = wanting(configuration, known)
    if key is not None and wanted and by is None:
        raise Refused(f"{key} wants the approval of {wanted[known[key]]} persons: say who you are (--as NAME)")
    if by is not None:
        await approve(tx, wanted, incident_ids, by, follow=follow, now=now)
    said = await tallies(tx, configuration, wanted, incident_ids)
    short = {place: {id_ for id_ in incident_ids if said[place, id_].missing} for place in wanted}
    place = None if key is None else known[key]
    taken_back = await _taken_back(tx, incident_ids, place) if by_name else set()
    if by_name:
        await _lift_approved(tx, incident_ids, place, short)
    pruned = await no_longer_kept(tx, incident_ids, known.values()) if by_name else {}
    company = await _made_here(tx, incident_ids, others=taken_back | pruned.keys())
    words = await publications.publications(tx, [one.object_id for one in company])
    new_words = []
    for one, version_key in company.items():
        everywhere = words.get((one.incident_id, one.object_id, OURS))
        following = follow or (everywhere is not None and everywhere.follow)
        places = [known[key]] if key is not None else _places(words, one)
        new_words += [
            _word(one, here, "published", version_key, now, follow=following)
            for here in places
            if here not in wanted
        ]
        new_words += [
            _word(one, here, "published", version_key, now, follow=said[here, one.incident_id].follow)
            for here in wanted
            if one.incident_id not in short[here] and (key is not None or not _held_alone(words, one, here))
        ]
    new_words += [
        _word(Belonging(id_, id_, "pruned"), here, "published", version_key, now)
        for id_, (version_key, places) in pruned.items()
        for here in places
        if id_ not in short.get(here, ())
    ]
    await publications.set_publications(tx, new_words)
    details: dict[str, object] = {"collection": key, "follow": follow, "by": by.name if by is not None else None}
    await _note(tx, "published", incident_ids, details, now)
    ids = list(dict.fromkeys([*(one.object_id for one in company), *sorted(taken_back | pruned.keys())]))
    outcomes = await release(tx, configuration, node, ids, now=now, keys=None if key is None else {key})
    return [_with_what_is_missing(outcome, known, said) for outcome in outcomes]


def _with_what_is_missing(
    outcome: Outcome, known: Mapping[str, str], said: Mapping[tuple[str, str], Tally]
) -> Outcome:
    """An outcome that says who has approved, and what is missing; instead of that it waits, which says less."""
    tally = said.get((known.get(outcome.collection, ""), outcome.object_id))
    if tally is None or not tally.missing:
        return outcome
    reasons = [reason for reason in outcome.reasons if reason.rule != "by-hand"]
    return outcome._replace(reasons=(*reasons, tally.reason))


async def _taken_back(tx: Transaction, ids: Sequence[str], place: str | None) -> set[str]:
    """Those that were taken back where they are to be let in again."""
    found = await withdrawals.withdrawals(tx, ids)
    return {id_ for id_, places in found.items() if place is None or {place, EVERYWHERE} & places.keys()}


async def no_longer_kept(
    tx: Transaction, ids: Sequence[str], places: Iterable[str]
) -> dict[str, tuple[str, list[str]]]:
    """What others made that was pruned in some of these collections: up to which version, and in which."""
    found: dict[str, tuple[str, list[str]]] = {}
    pruning = await prunes.collections_with_pruned(tx)
    ours = await records.belongings_of(tx, ids) if pruning else {}
    for place in sorted(pruning.intersection(places)):
        links = await copies.copies_of(tx, place, ids)
        gone = await prunes.pruned(tx, place, {id_: link.copy_id for id_, link in links.items()}, ids)
        held = await objects.newest(tx, gone)
        for id_, one in gone.items():
            if one.wholly and id_ in held and not ours.get(id_):
                found.setdefault(id_, (held[id_].version_key, []))[1].append(place)
    return found


async def _lift_approved(
    tx: Transaction, ids: Sequence[str], place: str | None, short: Mapping[str, Collection[str]]
) -> None:
    """Let in again what was taken back, but not where approvals are missing: there it stays out."""
    if place is not None:
        await lift(tx, [id_ for id_ in ids if id_ not in short.get(place, ())], place)
        return
    back = await withdrawals.withdrawals(tx, ids)
    kept = [
        replace(word, collection_id=here)
        for here, missing in short.items()
        for id_ in missing
        if (word := back.get(id_, {}).get(here) or back.get(id_, {}).get(EVERYWHERE)) is not None
    ]
    await lift(tx, ids, None)
    await withdrawals.put(tx, kept)


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
    until_then: Person | None = None,
) -> list[Outcome]:
    """Keep incidents out of every collection, later ones too, or out of `key`, until a person publishes them.

    What was let in already stays, as it is now, and is judged as before; what is newer waits. What was approved or
    planned before counts no longer, unless it is only held because `until_then` publishes it later: then what
    other persons said stays. Raises as `publish`.
    """
    known = await _collections(tx, key)
    company = await _made_here(tx, incident_ids)
    ids = list(dict.fromkeys(one.object_id for one in company))
    words = await publications.publications(tx, ids)
    said = []
    approved = wanting(configuration, known)
    for place in known.values():
        standing = await _standing(tx, place, ids)
        for one, version_key in company.items():
            covered = None
            if one.object_id in standing:
                covered = _covered(words, one, place, version_key, alone=place in approved)
            said.append(_word(one, place, "held", covered, now))
    if key is None:
        said += [_word(one, OURS, "held", None, now) for one in company]
    await publications.set_publications(tx, said)
    place_alone = None if key is None else known[key]
    if until_then is None:
        await schedule.cancel(tx, incident_ids, now, "a person held it", place_alone)
        await approvals.clear(tx, incident_ids, place_alone)
    else:
        await _cancel_own(tx, incident_ids, now, until_then, place_alone)
    await _note(tx, "held", incident_ids, {"collection": key}, now)
    return await release(tx, configuration, node, ids, now=now, keys=set(known))


async def _cancel_own(tx: Transaction, ids: Sequence[str], now: int, person: Person, place: str | None) -> None:
    """Give up what this person planned before, or what nobody planned who counts as one."""
    for one in await schedule.to_come(tx, ids):
        is_others = one.kind == "publish" and one.details.get("person") not in (None, person.party_id)
        if (place is None or one.collection_id == place) and not is_others and one.seq is not None:
            await schedule.claim(tx, one.seq, now)
            await schedule.settle(tx, one.seq, "planned anew")


Words = Mapping[tuple[str, str, str], Publication]


def _word(
    one: Belonging, place: str, state: PublicationState, version_key: str | None, now: int, *, follow: bool = False
) -> Publication:
    return Publication(one.incident_id, one.object_id, place, state, version_key, follow, now)


def _covered(words: Words, one: Belonging, place: str, newest: str, *, alone: bool) -> str | None:
    """Up to which version key the words so far let it in; `alone`: only those on this place count there."""
    here = words.get((one.incident_id, one.object_id, place))
    everywhere = None if alone else words.get((one.incident_id, one.object_id, OURS))
    if here is not None and here.state == "held":
        return here.version_key
    if any(word is not None and word.follow for word in (here, everywhere)):
        return newest
    keys = [word.version_key for word in (here, everywhere) if word is not None and word.version_key]
    return max(keys, default=newest)  # let in by following its incident: then up to what is newest


def _held_alone(words: Words, one: Belonging, place: str) -> bool:
    """Whether a person holds it in this place, and not everywhere."""
    here = words.get((one.incident_id, one.object_id, place))
    everywhere = words.get((one.incident_id, one.object_id, OURS))
    return here is not None and here.state == "held" and (everywhere is None or everywhere.state != "held")


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
