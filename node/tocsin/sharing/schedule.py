"""Schedule: embargo, expiry and timed downgrade: writes to the log that a person plans and the clock carries out.

What is to be let in later is held until then. What expires is withdrawn, as if that person did it then. A
downgrade is a new version of an incident of ours, and of what was made with it, with a lower TLP. What was missed
while the node was down is done at its next start, in its order. Nothing is done by a clock that may be wrong: an
embargo that ends too early cannot be mended.
"""

import asyncio
import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tocsin.errors import BadInput, NotFound, Refused, TocsinError, Unavailable
from tocsin.policy.configuration import Configuration
from tocsin.sharing.apply import in_force
from tocsin.sharing.approvals import Person, wanting
from tocsin.sharing.node import OURS, Node, keep
from tocsin.sharing.publish import hold, publish
from tocsin.sharing.release import Outcome, release
from tocsin.sharing.withdraw import withdraw
from tocsin.stix.markings import TLP1, TLP2, Tlp, marked, tlp_from_word
from tocsin.stix.objects import make_object, next_version
from tocsin.store import audit, objects, publications, records, releases, schedule
from tocsin.store.objects import Word
from tocsin.store.pauses import paused
from tocsin.store.schedule import Planned
from tocsin.store.transaction import Store, Transaction

log = logging.getLogger(__name__)

TOLERANCE = 60_000_000  # µs that a clock may be off
_RECENT = 24 * 3_600_000_000  # µs for which a peer's clock counts as evidence
_TICK = 2.0  # seconds between two looks at what is due
_SEVERAL = 2  # peers that must agree before their clocks are believed against ours
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TLP_IDS = frozenset({*TLP1.values(), *TLP2.values()})


async def publish_later(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    incident_ids: Sequence[str],
    *,
    due: int,
    by: str,
    now: int,
    key: str | None = None,
    follow: bool = False,
    person: Person | None = None,
) -> list[Outcome]:
    """Keep incidents here until `due` (µs), and let them in then as `publish` would; what happens at once.

    Where approvals are wanted, it is then the approval of `person`. Raises as `hold` does, and Refused for what
    readers have already, and where `key` wants approvals and it is not known whose this is.
    """
    place = await _place(tx, key)
    if key is not None and person is None and wanting(configuration, {key: place}):
        raise Refused(f"{key} wants the approval of several persons: say who you are (--as NAME)")
    outcomes = await hold(tx, configuration, node, incident_ids, now=now, key=key, until_then=person)
    here = None if key is None else {place}
    standing = await releases.standing_everywhere(tx, incident_ids)
    for id_ in incident_ids:
        if here & standing.get(id_, {}).keys() if here is not None else standing.get(id_):
            raise Refused(f"readers have {id_} already: an embargo comes too late (tocsin withdraw)")
    details: dict[str, Any] = {"follow": follow}
    if person is not None:
        details["person"] = person.party_id
    await _plan(tx, [Planned(id_, place, "publish", due, by, now, details) for id_ in incident_ids])
    return outcomes


async def withdraw_later(
    tx: Transaction, incident_ids: Sequence[str], *, due: int, by: str, now: int, key: str | None = None
) -> None:
    """Take objects back at `due` (µs), from everywhere or one collection."""
    place = await _place(tx, key)
    await _plan(tx, [Planned(id_, place, "withdraw", due, by, now) for id_ in incident_ids])


async def downgrade_later(
    tx: Transaction, incident_ids: Sequence[str], *, level: Tlp, due: int, by: str, now: int
) -> None:
    """Mark incidents of ours with a lower TLP at `due` (µs). Raises Refused for others', or if it is no lower."""
    held = await objects.newest(tx, incident_ids)
    ours = {one.incident_id for one in await records.belonging_to(tx, incident_ids)}
    for id_ in incident_ids:
        if id_ not in ours:
            raise Refused(f"{id_} was not made here: only its creator lowers its TLP")
        bears = marked(held[id_].value).level
        if bears is not None and bears <= level:
            raise Refused(f"{id_} is {bears.label}: {level.label} is no lower")
    details = {"tlp": level.word}
    await _plan(tx, [Planned(id_, OURS, "downgrade", due, by, now, details) for id_ in incident_ids])


async def _plan(tx: Transaction, rows: Sequence[Planned]) -> None:
    for one in rows:
        if one.due <= one.made:
            raise BadInput("that moment has passed already")
    await schedule.plan(tx, rows)
    events = [
        audit.Event("planned", one.incident_id, {"what": one.kind, "due": one.due, "by": one.by, **one.details})
        for one in rows
    ]
    await audit.append_all(tx, events, rows[0].made if rows else 0)


async def _place(tx: Transaction, key: str | None) -> str:
    if key is None:
        return OURS
    known = {row.key: row.id for row in await releases.collections(tx)}
    if key not in known:
        raise NotFound(f"no collection {key!r}")
    return known[key]


# --- the clock -----------------------------------------------------------------------------------------------


async def clock_trouble(tx: Transaction, host: int | None = None) -> str:
    """Why the clock is not to be trusted with what is planned, in words; '' where it is.

    `host` is this machine's clock (µs; None: as it is now). The database's clock decides when something is due; it
    must agree with the machine's, must not be behind what was written already, and several peers that answered
    within a day must not all say otherwise.
    """
    now = await tx.now()
    host = time.time_ns() // 1000 if host is None else host
    if abs(now - host) > TOLERANCE:
        return f"the clocks of the database and of this machine differ by {abs(now - host) // 1_000_000} s"
    if (ahead := await schedule.newest_position(tx) - now) > TOLERANCE:
        return f"the clock is {ahead // 1_000_000} s behind what was released already"
    skews = await schedule.clocks_of_peers(tx, now - _RECENT)
    if len(skews) >= _SEVERAL and abs(typical := statistics.median(skews.values())) > TOLERANCE:
        return f"the clocks of {len(skews)} peers are off from ours by about {abs(typical) // 1_000_000:.0f} s"
    return ""


# --- carrying out --------------------------------------------------------------------------------------------


async def carry_out_due(store: Store, node: Node) -> int:
    """Do what is due, each thing in a transaction of its own; how many were done or given up.

    Nothing is done while the clock is not to be trusted, or everything is paused. Raises Unavailable.
    """
    async with store.reading() as tx:
        rows = await schedule.due(tx, await tx.now())
        if not rows:
            return 0
        if trouble := await clock_trouble(tx):
            log.warning("nothing planned is carried out: %s", trouble)
            return 0
        if await paused(tx):
            return 0
    done = 0
    for one in rows:
        try:
            async with store.writing() as tx:
                done += await _carry_out(tx, node, one)
        except Unavailable:
            raise
        except TocsinError as why:
            async with store.writing() as tx:
                done += await _give_up(tx, one, str(why))
    return done


async def run(store: Store, node: Node) -> None:
    """Carry out what is due, for as long as the node serves. Several replicas may: each thing is done once."""
    while True:
        try:
            await carry_out_due(store, node)
        except Unavailable as why:
            log.warning("nothing planned can be carried out now: %s", why)
        await asyncio.sleep(_TICK)


async def _carry_out(tx: Transaction, node: Node, planned: Planned) -> bool:
    await releases.lock_all(tx)
    now = await tx.now()
    if planned.seq is None or not await schedule.claim(tx, planned.seq, now):
        return False
    configuration = await in_force(tx)
    key = None
    if planned.collection_id != OURS:
        key = next((row.key for row in await releases.collections(tx) if row.id == planned.collection_id), None)
        if key not in configuration.settings.collections:
            raise Refused("the collection is no longer in force")
    ids = [planned.incident_id]
    match planned.kind:
        case "publish":
            follow = bool(planned.details.get("follow"))
            person = None
            if (party_id := planned.details.get("person")) is not None:
                person = Person(str(party_id), planned.by)
            outcomes = await publish(tx, configuration, node, ids, now=now, key=key, follow=follow, by=person)
        case "withdraw":
            outcomes = await withdraw(
                tx, configuration, node, ids, reason="expired", by=planned.by, now=now, key=key
            )
        case "downgrade":
            level = tlp_from_word(str(planned.details["tlp"]))
            outcomes = await downgrade(tx, configuration, node, ids, level=level, by=planned.by, now=now)
    places = [f"{one.collection}: {one.what}" for one in outcomes if one.object_id == planned.incident_id]
    await schedule.settle(tx, planned.seq, "; ".join(places) or "done")
    return True


async def _give_up(tx: Transaction, planned: Planned, why: str) -> bool:
    log.warning("what was planned could not be done: %s of %s: %s", planned.kind, planned.incident_id, why)
    now = await tx.now()
    if planned.seq is None or not await schedule.claim(tx, planned.seq, now):
        return False
    await schedule.settle(tx, planned.seq, f"given up: {why}")
    details = {"what": planned.kind, "why": why}
    await audit.append(tx, "plan given up", planned.incident_id, details, now)
    return True


async def downgrade(
    tx: Transaction,
    configuration: Configuration,
    node: Node,
    incident_ids: Sequence[str],
    *,
    level: Tlp,
    by: str,
    now: int,
) -> list[Outcome]:
    """Mark incidents of ours, and what was made with them and with no other, with a lower TLP.

    It makes new versions, which go where the ones before them stand; of an observable, which has none, another
    content takes the place of the one before. Raises Refused for an incident that is revoked.
    """
    await releases.lock_all(tx)
    company = {one.object_id for one in await records.belonging_to(tx, incident_ids)}
    belongings = await records.belongings_of(tx, sorted(company))
    alone = [id_ for id_ in company if {one.incident_id for one in belongings[id_]} <= set(incident_ids)]
    held = await objects.newest(tx, sorted(alone))
    lowered = []
    replaced = []
    for id_, version in held.items():
        if version.revoked and id_ in incident_ids:
            raise Refused(f"{id_} is revoked, which is final")
        bears = marked(version.value).level
        if version.revoked or bears is None or bears <= level:
            continue
        value = {**version.value, "object_marking_refs": _with_level(version.value, level)}
        if version.versioned:
            value["modified"] = next_version(_EPOCH + timedelta(microseconds=now), version.version)
        else:
            replaced.append(Word(version.seq, OURS, OURS, "withdraw", authentic=True, hops=0, at=now))
        lowered.append(make_object(value))
    kept = await keep(tx, lowered, now)
    await objects.set_words(tx, replaced)
    newest = {version.id: one.version_key for version, one in zip(lowered, kept, strict=True)}
    places = {row.key: row.id for row in await releases.collections(tx)}
    # where approvals are wanted, what is marked lower is a new version to approve
    await publications.let_in_up_to(tx, newest, now, but_in=wanting(configuration, places))
    details = {"tlp": level.word, "by": by}
    await audit.append_all(tx, [audit.Event("downgraded", id_, details) for id_ in incident_ids], now)
    return await release(tx, configuration, node, [*incident_ids, *sorted(newest)], now=now)


def _with_level(value: Mapping[str, Any], level: Tlp) -> list[str]:
    others = [ref for ref in value.get("object_marking_refs", ()) if ref not in _TLP_IDS]
    return [level.marking, *others]
