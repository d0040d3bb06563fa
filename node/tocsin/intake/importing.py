"""Importing: records of a tracker become incidents of ours, in batches, each record whole or absent.

A record read again adds nothing; a changed one makes one version; absence from a later import deletes nothing.
What a person assessed stays, whatever the record or the mapping says later (DESIGN 2.14, 4).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from tocsin.errors import NotFound
from tocsin.intake.build import Built, incident_id, objects_of
from tocsin.intake.formats import BadRecord, SourceRecord, read_paths
from tocsin.intake.mapping import Mapping as Rules
from tocsin.intake.mapping import load_mapping
from tocsin.intake.translate import Translation, assessed_findings, classification, translate
from tocsin.policy.configuration import Configuration
from tocsin.settings import Home
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import OURS, Node, keep, keep_company
from tocsin.sharing.release import Outcome, release
from tocsin.stix.canonical import content_hash
from tocsin.stix.effects import Answers
from tocsin.stix.incident import Findings, answers_as_value, build_incident, read_answers, read_effects
from tocsin.stix.markings import Tlp, marked, tlp_from_word
from tocsin.stix.objects import ObjectVersion, make_object, next_version
from tocsin.stix.validate import problems
from tocsin.store import audit, objects, records
from tocsin.store.records import Assessment, Record
from tocsin.store.transaction import Store, Transaction

BATCH = 200  # records in one transaction: readers and other writers get their turn in between

What = Literal["new", "changed", "unchanged", "refused"]


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """What became of one record. `unmapped`: source values that no row of the mapping knows, at their path."""

    place: str
    source_id: str
    incident_id: str
    what: What
    reason: str = ""
    needs_review: bool = False
    unmapped: tuple[str, ...] = ()


@dataclass(slots=True)
class ImportReport:
    """One import: every record with its outcome, and what entered which collection because of it."""

    outcomes: list[RecordOutcome] = field(default_factory=list)
    released: list[Outcome] = field(default_factory=list)

    def count(self, what: What) -> int:
        return sum(outcome.what == what for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class Import:
    """What an import is told: the tracker's name, who owns what it brings, and the marking of what has none."""

    format: str
    source: str
    owner: str = OURS
    tlp: Tlp | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    record: SourceRecord
    translation: Translation
    incident_id: str


async def import_records(
    store: Store,
    home: Home,
    node: Node,
    order: Import,
    paths: Sequence[Path],
    *,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> ImportReport:
    """Import every record of these files and folders. `progress` is told how many records are done.

    With `dry_run` nothing is stored, and the report says what would be. Raises BadFile for a mapping that does
    not load; what is wrong with single records or files is in the report.
    """
    rules = load_mapping(order.format, home)
    report = ImportReport()
    batch: list[_Read] = []
    for item in _unrepeated(read_paths(rules.reader, paths, rules.reading)):
        match item:
            case BadRecord(place=place, reason=reason):
                report.outcomes.append(RecordOutcome(place, "", "", "refused", reason))
            case SourceRecord():
                batch.append(_read(node, order, rules, item))
        if len(batch) >= BATCH:
            await _import_batch(store, node, order, batch, report, dry_run=dry_run)
            batch = []
            progress(len(report.outcomes))
    if batch:
        await _import_batch(store, node, order, batch, report, dry_run=dry_run)
    progress(len(report.outcomes))
    return report


def classify_records(
    home: Home | None, format_: str, paths: Sequence[Path], *, source: str | None = None
) -> Iterator[dict[str, Any] | BadRecord]:
    """The classification of every record, as `tocsin classify` prints it (DESIGN 6); stores nothing.

    The incident ids are those of this home's own imports under `source`, or else the one named like the format;
    without a home they are made under a secret of zeros.
    """
    rules = load_mapping(format_, home)
    node = Node(home.namespace() if home else bytes(32))
    for item in _unrepeated(read_paths(rules.reader, paths, rules.reading)):
        match item:
            case BadRecord():
                yield item
            case SourceRecord():
                read = _read(node, Import(format_, source or format_), rules, item)
                yield classification(read.translation, read.incident_id)


async def assess(
    tx: Transaction, node: Node, incident: str, answers: Answers, *, role: str, because: str | None, now: int
) -> list[Outcome]:
    """A person's classification of an incident of ours, as answers to the deciding questions.

    It makes a version, and no later import overwrites it. Raises NotFound for an incident that was not made
    here: somebody else's is classified by its creator.
    """
    held = (await objects.newest(tx, [incident])).get(incident)
    findings = read_effects(held.value) if held else None
    if held is None or findings is None or not await records.belonging_to(tx, [incident]):
        raise NotFound(f"{incident} was not made here: only its creator's node classifies it")
    configuration = await in_force(tx)
    assessment = Assessment(0, incident, answers_as_value(answers), role, because, now)
    await records.add_assessment(tx, incident, assessment.answers, role, because, now)
    await audit.append(tx, "assessed", incident, {"role": role}, now)
    value = build_incident(
        _assessed(findings, assessment, configuration),
        id=incident,
        creator=node.identity,
        created=str(held.value["created"]),
        modified=next_version(_moment(now), held.version),
        markings=list(held.value.get("object_marking_refs", ())),
    )
    await keep(tx, [make_object(value)], now)
    return await release(tx, configuration, node, [incident], now=now)


def _unrepeated(items: Iterable[SourceRecord | BadRecord]) -> Iterator[SourceRecord | BadRecord]:
    """A source id that comes again in one import is refused, with both places: it would overwrite the first."""
    places: dict[str, str] = {}
    for item in items:
        if isinstance(item, SourceRecord):
            if item.source_id in places:
                first = places[item.source_id]
                yield BadRecord(item.place, f"record {item.source_id!r} was already read from {first}")
                continue
            places[item.source_id] = item.place
        yield item


def _read(node: Node, order: Import, rules: Rules, record: SourceRecord) -> _Read:
    id_ = incident_id(node.secret, order.owner, order.source, order.format, record.source_id)
    return _Read(record, translate(record, rules), id_)


# --- storing -------------------------------------------------------------------------------------------------


async def _import_batch(
    store: Store, node: Node, order: Import, batch: Sequence[_Read], report: ImportReport, *, dry_run: bool
) -> None:
    async with store.reading() if dry_run else store.writing() as tx:
        now = await tx.now()
        configuration = await in_force(tx)
        ids = [read.incident_id for read in batch]
        known = await records.of_incidents(tx, ids)
        assessed = await records.newest_assessments(tx, ids)
        previous = await _made_before(tx, ids)
        made: list[tuple[_Read, list[Built], str]] = []
        for read in batch:
            marking = _marking(order, read, configuration, previous)
            digest = _digest(read.translation, marking)
            record = known.get(read.incident_id)
            if record is not None and record.translation_sha256 == digest:
                report.outcomes.append(_outcome(read, "unchanged"))
                continue
            findings = read.translation.findings
            if assessment := assessed.get(read.incident_id):
                findings = _assessed(findings, assessment, configuration)
            built = objects_of(
                read.translation,
                secret=node.secret,
                owner=order.owner,
                source=order.source,
                creator_id=node.identity,
                marking_id=marking.level.marking if marking.level is not None else None,
                now=_moment(now),
                previous=previous,
                findings=findings,
                assumed=("tlp",) if marking.assumed else (),
            )
            if faults := [fault for one in built for fault in problems(one.version)]:
                report.outcomes.append(_outcome(read, "refused", "; ".join(map(str, faults[:5]))))
                continue
            made.append((read, built, digest))
            report.outcomes.append(_outcome(read, "new" if record is None else "changed"))
        if made and not dry_run:
            company = {read.incident_id: [(one.version, one.role) for one in built] for read, built, _ in made}
            touched, left = await keep_company(tx, company, now)
            await records.put(tx, *(_record(order, read, digest, now) for read, _, digest in made))
            await audit.append(tx, "imported", order.source, {"format": order.format, "records": len(made)}, now)
            report.released += await release(tx, configuration, node, [*touched, *left], now=now)
            await objects.forget_unheld(tx, left)


async def _made_before(tx: Transaction, incidents: Sequence[str]) -> Mapping[str, ObjectVersion]:
    """The newest version, as an ObjectVersion, of everything that was made of these records before."""
    company = await records.belonging_to(tx, incidents)
    ids = {*incidents, *(one.object_id for one in company)}
    return {id_: held.object for id_, held in (await objects.newest(tx, sorted(ids))).items()}


@dataclass(frozen=True, slots=True)
class _Marking:
    level: Tlp | None
    assumed: bool = False


def _marking(
    order: Import, read: _Read, configuration: Configuration, previous: Mapping[str, ObjectVersion]
) -> _Marking:
    """What the record says, else who imports it, else what it bore before (silence loosens nothing), else the
    node's default, recorded as assumed."""
    said = read.translation.tlp if read.translation.tlp is not None else order.tlp
    if said is not None:
        return _Marking(said)
    if before := previous.get(read.incident_id):
        findings = read_effects(before.value)
        classified = findings.classified if findings else None
        return _Marking(marked(before.value).level, bool(classified and "tlp" in classified.assumed))
    default = configuration.settings.node.default_tlp
    return _Marking(None) if default is None else _Marking(tlp_from_word(default), assumed=True)


def _assessed(findings: Findings, assessment: Assessment, configuration: Configuration) -> Findings:
    answers = read_answers(assessment.answers)
    organisation = configuration.settings.node.name
    return assessed_findings(findings, answers, assessment.by_role, organisation, _moment(assessment.made))


def _record(order: Import, read: _Read, digest: str, now: int) -> Record:
    return Record(
        incident_id=read.incident_id,
        owner=order.owner,
        source=order.source,
        format=order.format,
        source_id=read.record.source_id,
        content=read.record.raw,
        place=read.record.place,
        mapping=read.translation.mapping,
        translation=read.translation.as_value(),
        translation_sha256=digest,
        imported=now,
    )


def _digest(translation: Translation, marking: _Marking) -> str:
    """A hash of what an incident is made of. A new version of the mapping alone changes nothing."""
    said = translation.as_value()
    content = {name: said[name] for name in ("incident_core", "description", "victims", "reporter", "observables")}
    effects = {name: value for name, value in said["effects"].items() if name != "classified"}
    level = marking.level.word if marking.level is not None else None
    return content_hash(content | {"effects": effects, "tlp": level})


def _outcome(read: _Read, what: What, reason: str = "") -> RecordOutcome:
    translation = read.translation
    return RecordOutcome(
        place=read.record.place,
        source_id=read.record.source_id,
        incident_id=read.incident_id,
        what=what,
        reason=reason,
        needs_review=translation.needs_review,
        unmapped=tuple(f"{entry.path} = {entry.value!r}" for entry in translation.unmapped),
    )


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
