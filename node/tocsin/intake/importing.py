"""Importing: records of a tracker become incidents of ours, in batches, each record whole or absent.

A record read again adds nothing; a changed one makes one version; absence from a later import deletes nothing.
What a person assessed stays, whatever the record or the mapping says later.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from tocsin.errors import NotFound, Refused
from tocsin.intake.ahead import Batch, batches_ahead, is_worth_it
from tocsin.intake.build import Built, incident_id, objects_of
from tocsin.intake.formats import BadRecord
from tocsin.intake.mapping import load_mapping
from tocsin.intake.reading import Translated, translated
from tocsin.intake.reading import records as read_records
from tocsin.intake.translate import Translation, assessed_findings, classification, translate
from tocsin.policy.configuration import Configuration
from tocsin.settings import Home
from tocsin.sharing.apply import in_force
from tocsin.sharing.node import OURS, Node, keep, keep_company
from tocsin.sharing.release import MOVED, Outcome, release
from tocsin.stix.canonical import content_hash
from tocsin.stix.effects import Answers
from tocsin.stix.incident import Findings, answers_as_value, build_incident, read_answers, read_effects
from tocsin.stix.markings import Tlp, marked, tlp_from_word
from tocsin.stix.objects import ObjectVersion, make_object, next_version
from tocsin.stix.validate import problems
from tocsin.store import audit, erasures, objects, records, releases
from tocsin.store.records import Assessment, Record
from tocsin.store.transaction import Store, Transaction

BATCH = 200  # records in one transaction: readers and other writers get their turn in between
MOST_UNKNOWN = 10_000  # unknown values that a report counts one by one

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
    """One import in numbers, so that it may be of any size; who wants each record's outcome listens to the import.

    `to_review`: records that a person should look at, and none has. `unknown`: source values that the mapping does
    not know, by the number of records, the first `MOST_UNKNOWN` of them; `more_unknown`: records with others.
    `released`: incidents that moved, by collection and what became of them there.
    """

    counts: Counter[What] = field(default_factory=Counter)
    to_review: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    more_unknown: int = 0
    released: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def records(self) -> int:
        return self.counts.total()

    def count(self, what: What) -> int:
        return self.counts[what]

    def add(self, outcome: RecordOutcome) -> None:
        self.counts[outcome.what] += 1
        self.to_review += outcome.needs_review
        for value in dict.fromkeys(outcome.unmapped):
            if value in self.unknown or len(self.unknown) < MOST_UNKNOWN:
                self.unknown[value] += 1
            else:
                self.more_unknown += 1

    def add_released(self, outcomes: Iterable[Outcome]) -> None:
        self.released.update(
            (one.collection, one.what)
            for one in outcomes
            if one.what in MOVED and one.object_id.startswith("incident--")
        )


@dataclass(frozen=True, slots=True)
class Import:
    """What an import is told: the tracker's name, who owns what it brings, and the marking of what has none."""

    format: str
    source: str
    owner: str = OURS
    tlp: Tlp | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    raw: bytes
    translation: Translation
    value: Mapping[str, Any]  # the translation as plain JSON
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
    heard: Callable[[RecordOutcome], None] = lambda outcome: None,
) -> ImportReport:
    """Import every record of these files and folders. `progress` is told how many records are done, `heard` what
    became of each, in their order, once it is stored.

    With `dry_run` nothing is stored, and the report says what would be. Raises BadFile for a mapping that does
    not load; what is wrong with single records or files is in the report.
    """
    report = ImportReport()
    ahead = is_worth_it(paths) and not dry_run
    async with aclosing((batches_ahead if ahead else _batches)(home, order.format, paths, BATCH)) as batches:
        async for taken in batches:
            batch = [item if isinstance(item, BadRecord) else _read(node, order, item) for item in taken]
            outcomes, released = await _import_batch(store, node, order, batch, dry_run=dry_run)
            report.add_released(released)
            for outcome in outcomes:
                report.add(outcome)
                heard(outcome)
            progress(report.records)
    return report


async def _batches(home: Home, format_: str, paths: Sequence[Path], size: int) -> AsyncGenerator[Batch, None]:
    """The same as `batches_ahead`, read by this process."""
    items = translated(load_mapping(format_, home), paths)
    while batch := list(islice(items, size)):
        yield batch


def classify_records(
    home: Home | None, format_: str, paths: Sequence[Path], *, source: str | None = None
) -> Iterator[dict[str, Any] | BadRecord]:
    """The classification of every record, as `tocsin classify` prints it; stores nothing.

    The incident ids are those of this home's own imports under `source`, or else the one named like the format;
    without a home they are made under a secret of zeros.
    """
    rules = load_mapping(format_, home)
    node = Node(home.namespace() if home else bytes(32))
    for item in read_records(rules, paths):
        if isinstance(item, BadRecord):
            yield item
        else:
            id_ = incident_id(node.secret, OURS, source or format_, format_, item.source_id)
            yield classification(translate(item, rules), id_)


async def assess(
    tx: Transaction, node: Node, incident: str, answers: Answers, *, role: str, because: str | None, now: int
) -> list[Outcome]:
    """A person's classification of an incident of ours, as answers to the deciding questions.

    It makes a version, and no later import overwrites it. Raises NotFound for an incident that was not made
    here: somebody else's is classified by its creator.
    """
    await releases.lock_all(tx)
    held = (await objects.newest(tx, [incident])).get(incident)
    findings = read_effects(held.value) if held else None
    if held is None or findings is None or not await records.belonging_to(tx, [incident]):
        raise NotFound(f"{incident} was not made here: only its creator's node classifies it")
    if held.revoked:
        raise Refused(f"{incident} is revoked, which is final")
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


def _read(node: Node, order: Import, found: Translated) -> _Read:
    id_ = incident_id(node.secret, order.owner, order.source, order.format, found.translation.source_id)
    return _Read(found.raw, found.translation, found.value, id_)


# --- storing -------------------------------------------------------------------------------------------------


async def _import_batch(
    store: Store, node: Node, order: Import, batch: Sequence[_Read | BadRecord], *, dry_run: bool
) -> tuple[list[RecordOutcome], list[Outcome]]:
    """What becomes of each record, in their order, and what moves in the collections because of it."""
    reads = [item for item in batch if isinstance(item, _Read)]
    if not reads:
        return [_outcome(item, {}) for item in batch], []
    async with store.reading() if dry_run else store.writing() as tx:
        configuration = await in_force(tx)
        if not dry_run:
            await releases.lock_all(tx)  # so that nobody assesses meanwhile what is made anew
        judged, made = await _judge(tx, configuration, node, order, reads)
        released = [] if dry_run or not made else await _keep(tx, configuration, node, order, made)
    return [_outcome(item, judged) for item in batch], released


@dataclass(frozen=True, slots=True)
class _Judged:
    """What becomes of a record, and why; `assessed`: a person has said what it amounts to."""

    what: What
    reason: str = ""
    assessed: bool = False


@dataclass(frozen=True, slots=True)
class _Made:
    read: _Read
    built: Sequence[Built]
    digest: str


async def _judge(
    tx: Transaction, configuration: Configuration, node: Node, order: Import, reads: Sequence[_Read]
) -> tuple[dict[str, _Judged], list[_Made]]:
    """What each record comes to beside what is here already, by incident id, and what is made of those to keep."""
    now = _moment(await tx.now())
    ids = [read.incident_id for read in reads]
    await objects.begin_fresh(tx, ids)
    held = [id_ for id_ in ids if id_ not in tx.fresh]
    erased = await erasures.erased(tx, held)
    known = await records.of_incidents(tx, held)
    assessed = await records.newest_assessments(tx, held)
    previous = await _made_before(tx, held)
    judged: dict[str, _Judged] = {}
    made: list[_Made] = []
    for read in reads:
        if read.incident_id in erased:
            judged[read.incident_id] = _Judged("refused", erasures.REFUSAL)
            continue
        marking = _marking(order, read, configuration, previous)
        digest = _digest(read.value, marking)
        record = known.get(read.incident_id)
        assessment = assessed.get(read.incident_id)
        if (before := previous.get(read.incident_id)) is not None and before.revoked:
            judged[read.incident_id] = _Judged("unchanged", "it was revoked here, which is final")
            continue
        if record is not None and record.translation_sha256 == digest:
            judged[read.incident_id] = _Judged("unchanged", assessed=assessment is not None)
            continue
        findings = read.translation.findings
        if assessment is not None:
            findings = _assessed(findings, assessment, configuration)
        built = objects_of(
            read.translation,
            secret=node.secret,
            owner=order.owner,
            source=order.source,
            creator_id=node.identity,
            marking_id=marking.level.marking if marking.level is not None else None,
            now=now,
            previous=previous,
            findings=findings,
            assumed=("tlp",) if marking.assumed else (),
        )
        if faults := [fault for one in built for fault in problems(one.version)]:
            judged[read.incident_id] = _Judged("refused", "; ".join(map(str, faults[:5])), assessment is not None)
            continue
        made.append(_Made(read, built, digest))
        judged[read.incident_id] = _Judged("new" if record is None else "changed", assessed=assessment is not None)
    return judged, made


async def _keep(
    tx: Transaction, configuration: Configuration, node: Node, order: Import, made: Sequence[_Made]
) -> list[Outcome]:
    """Store what was made, with its records, and let the collections judge it."""
    now = await tx.now()
    company = {one.read.incident_id: [(built.version, built.role) for built in one.built] for one in made}
    await objects.begin_fresh(tx, [version.id for versions in company.values() for version, _ in versions])
    touched, left = await keep_company(tx, company, now)
    await records.put(tx, *(_record(order, one.read, one.digest, now) for one in made))
    await audit.append(tx, "imported", order.source, {"format": order.format, "records": len(made)}, now)
    outcomes = await release(tx, configuration, node, [*touched, *left], now=now)
    await objects.forget_unheld(tx, left)
    return outcomes


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
        source_id=read.translation.source_id,
        content=read.raw,
        place=read.translation.place,
        mapping=read.translation.mapping,
        translation=read.value,
        translation_sha256=digest,
        imported=now,
    )


def _digest(said: Mapping[str, Any], marking: _Marking) -> str:
    """A hash of what an incident is made of. A new version of the mapping alone changes nothing."""
    content = {name: said[name] for name in ("incident_core", "description", "victims", "reporter", "observables")}
    effects = {name: value for name, value in said["effects"].items() if name != "classified"}
    level = marking.level.word if marking.level is not None else None
    return content_hash(content | {"effects": effects, "tlp": level})


def _outcome(item: _Read | BadRecord, judged: Mapping[str, _Judged]) -> RecordOutcome:
    if isinstance(item, BadRecord):
        return RecordOutcome(item.place, "", "", "refused", item.reason)
    translation, became = item.translation, judged[item.incident_id]
    return RecordOutcome(
        place=translation.place,
        source_id=translation.source_id,
        incident_id=item.incident_id,
        what=became.what,
        reason=became.reason,
        # the record may be as unclear as before, but a person has said what it amounts to
        needs_review=translation.needs_review and not became.assessed,
        unmapped=tuple(f"{entry.path} = {entry.value!r}" for entry in translation.unmapped),
    )


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
