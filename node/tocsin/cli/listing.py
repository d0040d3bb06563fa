"""Listing: incidents as this node sees them, gathered for lists: what, whose, who has it, what it waits for.

Read page by page, so that a filter over many incidents holds few of them at a time.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.policy.attributes import Provenance, attributes
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import OURS
from tocsin.stix.incident import Findings, read_effects
from tocsin.store import copies, objects, parties, publications, records, releases
from tocsin.store.objects import HeldVersion, Source
from tocsin.store.parties import Party
from tocsin.store.records import Record
from tocsin.store.transaction import Transaction

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all incidents have in common, read once for a list."""

    configuration: Configuration
    people: Mapping[str, Party]
    collections: Mapping[str, str]  # id → key, of those in the configuration
    waiting: frozenset[str]
    now: int

    @property
    def by_hand(self) -> bool:
        return any(found.release == "by-hand" for found in self.configuration.settings.collections.values())


@dataclass(frozen=True, slots=True)
class Seen:
    """One incident, and all that a line about it says. `stands`: collection key → the form it has there."""

    version: HeldVersion
    findings: Findings
    attributes: Mapping[str, Any]
    ours: bool
    origin: str
    since: int
    record: Record | None
    needs_review: bool
    waiting: bool
    held: bool
    stands: Mapping[str, str]

    @property
    def id(self) -> str:
        return self.version.id

    @property
    def flags(self) -> str:
        """R review, P to publish."""
        return ("R" if self.needs_review else "") + ("P" if self.waiting else "")


async def look_around(tx: Transaction, configuration: Configuration) -> Surroundings:
    rows = {row.id: row.key for row in await releases.collections(tx)}
    return Surroundings(
        configuration=configuration,
        people={party.id: party for party in await parties.parties(tx)},
        collections={id_: key for id_, key in rows.items() if key in configuration.settings.collections},
        waiting=frozenset(await publications.waiting(tx)),
        now=await tx.now(),
    )


async def all_seen(tx: Transaction, around: Surroundings) -> AsyncIterator[Seen]:
    """Every incident, the latest received first; our own redacted copies are not incidents of their own."""
    before: int | None = None
    while True:
        page, before = await objects.incidents(tx, before=before, limit=_PAGE)
        for seen in await seen_as(tx, around, [version for version in page if not _is_copy(version)]):
            yield seen
        if before is None:
            return


async def seen_as(tx: Transaction, around: Surroundings, versions: Sequence[HeldVersion]) -> list[Seen]:
    """These incidents with what surrounds each."""
    ids = [version.id for version in versions]
    stands = await _stands(tx, around, ids)
    words = await publications.publications(tx, ids)
    kept = await records.of_incidents(tx, ids)
    assessed = await records.assessed(tx, ids)
    creators = await objects.newest(tx, {version.creator for version in versions if version.creator})
    found = []
    for version in versions:
        source = version.sources[0]  # the nearest
        ours = any(one.party_id == OURS for one in version.sources)
        record = kept.get(version.id)
        reviewed = version.id in assessed
        found.append(
            Seen(
                version=version,
                findings=read_effects(version.value) or Findings(),
                attributes=attributes(version.value, _provenance(around, source, ours=ours, reviewed=reviewed)),
                ours=ours,
                origin=_from(around, version, source, creators, ours=ours),
                since=min(one.first_heard for one in version.sources),
                record=record,
                needs_review=not reviewed and _asks_for_review(record),
                waiting=around.by_hand and version.id in around.waiting,
                held=any(
                    word.state == "held"
                    for (incident, about, _), word in words.items()
                    if incident == about == version.id
                ),
                stands=stands.get(version.id, {}),
            )
        )
    return found


async def _stands(tx: Transaction, around: Surroundings, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Where each incident stands, and whether whole or as a redacted copy."""
    found: dict[str, dict[str, str]] = {}
    for id_, places in (await releases.standing_everywhere(tx, ids)).items():
        for collection_id in places:
            if collection_id in around.collections:
                found.setdefault(id_, {})[around.collections[collection_id]] = "whole"
    for collection_id, key in around.collections.items():
        links = await copies.copies_of(tx, collection_id, ids)
        standing = await releases.standing(tx, collection_id, [link.copy_id for link in links.values()])
        for id_, link in links.items():
            if link.copy_id in standing:
                found.setdefault(id_, {})[key] = "redacted"
    return found


def _asks_for_review(record: Record | None) -> bool:
    return record is not None and bool(record.translation.get("review_reasons"))


def _is_copy(version: HeldVersion) -> bool:
    return all(source.party_id == OURS and source.collection_id != OURS for source in version.sources)


def _provenance(around: Surroundings, source: Source, *, ours: bool, reviewed: bool) -> Provenance:
    if ours:
        return Provenance(reviewed=reviewed)
    party = around.people[source.party_id]
    return Provenance(
        origin=party.name,
        owner=party.name if party.kind == "account" else "",
        authentic=source.authentic,
        hops=source.hops,
        reviewed=reviewed,
    )


def _from(
    around: Surroundings,
    version: HeldVersion,
    source: Source,
    creators: Mapping[str, HeldVersion],
    *,
    ours: bool,
) -> str:
    """`ours`, `cert-beta`, `CERT Gamma via cert-beta`."""
    if ours:
        return "ours"
    party = around.people[source.party_id]
    if source.authentic or version.creator is None or version.creator == party.identity_id:
        return party.name
    creator = creators.get(version.creator)
    name = creator.value.get("name") if creator else None
    return f"{name if isinstance(name, str) else version.creator[:18]} via {party.name}"
