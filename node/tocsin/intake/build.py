"""Build: the STIX objects that say what a translation found, with ids that only this node can foresee.

An incident `targets` its victims: the relationship stays the same whatever a later version says of the effect
(the OASIS incident suite has `targets` and `impacts`; the second would claim an effect where there may be none).
A reporter is `contact-for` the incident; an observable is tied to it by a `related-to`. Names stand in the
identities alone, which are made for each incident anew, so that nobody can count a victim's incidents by an id.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from tocsin.documents import read_document
from tocsin.intake.mapping import shipped_text
from tocsin.intake.observables import observable
from tocsin.intake.translate import Translation
from tocsin.stix.effects import EXTENSION_ID
from tocsin.stix.incident import Classified, Findings, build_incident
from tocsin.stix.objects import ObjectVersion, keyed_id, make_object, next_version, stix_time

_NEVER = "1970-01-01T00:00:00.000Z"  # stands for dates while two contents are compared


@dataclass(frozen=True, slots=True)
class Built:
    """One object and its role beside the incident: `incident` `victim` `reporter` `observable` `attacker`
    `relationship`. An `observable` is the victim's or nobody's known, an `attacker` object the attacker's."""

    version: ObjectVersion
    role: str


def incident_id(secret: bytes, owner: str, source: str, format_: str, source_id: str) -> str:
    """The id of the incident that a record of a source becomes: the same whenever it is imported here."""
    return keyed_id(secret, "incident", owner, source, format_, source_id)


def objects_of(
    translation: Translation,
    *,
    secret: bytes,
    owner: str,
    source: str,
    creator_id: str,
    marking_id: str | None,
    now: datetime,
    previous: Mapping[str, ObjectVersion],
    findings: Findings | None = None,
    assumed: tuple[str, ...] = (),
) -> list[Built]:
    """Everything that is made of one record, the incident first.

    `marking_id` is the TLP marking of all of them, None for none. `previous` holds, by id, the newest version of
    what was made before: an object whose content is the same is that very version, another gets a later
    `modified`. `findings` stand in for the translation's (a person's assessment); `assumed` names what a default
    of ours filled, such as `tlp`.
    """
    about = incident_id(secret, owner, source, translation.format, translation.source_id)
    markings = [marking_id] if marking_id else []
    made = _Maker(secret, creator_id, markings, now, stix_time(now), previous, about)
    return [
        Built(made.incident(findings or translation.findings, assumed), "incident"),
        *made.victims(translation),
        *made.reporter(translation),
        *made.observables(translation),
    ]


@dataclass(frozen=True, slots=True)
class _Maker:
    secret: bytes
    creator: str
    markings: list[str]
    now: datetime
    written: str  # the same as STIX writes it
    previous: Mapping[str, ObjectVersion]
    about: str

    def incident(self, findings: Findings, assumed: tuple[str, ...]) -> ObjectVersion:
        before = self.previous.get(self.about)
        given = findings.classified or Classified()
        at = given.at or _classified_at(before) or self.written
        classified = replace(given, assumed=tuple(dict.fromkeys((*given.assumed, *assumed))), at=at)
        value = self._incident(findings, classified)
        if before is not None and _without_dates(value) != _without_dates(before.value) and not given.at:
            value = self._incident(findings, replace(classified, at=self.written))
        return self._version(value)

    def victims(self, translation: Translation) -> Iterator[Built]:
        for name in translation.victims:
            victim = self._identity("victim", name, _stix_sectors(translation.findings.sectors))
            yield Built(victim, "victim")
            yield Built(self._relationship(self.about, "targets", victim.id), "relationship")

    def reporter(self, translation: Translation) -> Iterator[Built]:
        if translation.reporter is not None:
            reporter = self._identity("reporter", translation.reporter, ())
            yield Built(reporter, "reporter")
            yield Built(self._relationship(reporter.id, "contact-for", self.about), "relationship")

    def observables(self, translation: Translation) -> Iterator[Built]:
        seen: set[str] = set()
        for found in translation.observables:
            value = observable(found.value)
            if value is None or value["id"] in seen:
                continue
            seen.add(value["id"])
            if self.markings:
                value["object_marking_refs"] = self.markings
            version = make_object(value)
            before = self.previous.get(version.id)
            same = before is not None and before.sha256 == version.sha256
            yield Built(before if before is not None and same else version, _ROLES[found.side])
            yield Built(self._relationship(self.about, "related-to", version.id), "relationship")

    def _incident(self, findings: Findings, classified: Classified) -> dict[str, Any]:
        return build_incident(
            replace(findings, classified=classified),
            id=self.about,
            creator=self.creator,
            created=_NEVER,
            modified=_NEVER,
            markings=self.markings,
        )

    def _identity(self, role: str, name: str, sectors: tuple[str, ...]) -> ObjectVersion:
        id_ = keyed_id(self.secret, "identity", self.about, role, name)
        value = self._object("identity", id_) | {"name": name, "identity_class": "organization"}
        return self._version(value | ({"sectors": list(sectors)} if sectors else {}))

    def _relationship(self, source: str, kind: str, target: str) -> ObjectVersion:
        id_ = keyed_id(self.secret, "relationship", self.about, source, kind, target)
        value = self._object("relationship", id_)
        return self._version(value | {"relationship_type": kind, "source_ref": source, "target_ref": target})

    def _object(self, kind: str, id_: str) -> dict[str, Any]:
        value: dict[str, Any] = {
            "type": kind,
            "spec_version": "2.1",
            "id": id_,
            "created_by_ref": self.creator,
            "created": _NEVER,
            "modified": _NEVER,
        }
        return value | ({"object_marking_refs": self.markings} if self.markings else {})

    def _version(self, value: dict[str, Any]) -> ObjectVersion:
        """The previous version when it says the same, else a new one, dated after it."""
        before = self.previous.get(value["id"])
        if before is None:
            return make_object(value | {"created": self.written, "modified": self.written})
        if _without_dates(before.value) == _without_dates(value):
            return before
        modified = next_version(self.now, before.version)
        return make_object(value | {"created": before.value["created"], "modified": modified})


_ROLES = {"victim": "observable", "attacker": "attacker"}


def _without_dates(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: member for key, member in value.items() if key not in ("created", "modified")}


def _classified_at(before: ObjectVersion | None) -> str | None:
    if before is None:
        return None
    ours = before.value.get("extensions", {}).get(EXTENSION_ID, {})
    at = ours.get("classified", {}).get("at")
    return at if isinstance(at, str) else None


@lru_cache(10_000)
def _stix_sectors(sectors: tuple[str, ...]) -> tuple[str, ...]:
    """The words of STIX's industry-sector-ov for NAICS codes, by their longest known beginning."""
    table = _sector_words()
    found = []
    for sector in sectors:
        code = sector.removeprefix("naics:")
        known = next((code[:end] for end in range(len(code), 1, -1) if code[:end] in table), None)
        if sector.startswith("naics:") and known and table[known]:
            found.append(table[known])
    return tuple(dict.fromkeys(found))


@cache
def _sector_words() -> Mapping[str, Any]:
    name = "lookups/stix-sectors.yaml"
    return dict(read_document(shipped_text(name), f"mappings/{name}").value)
