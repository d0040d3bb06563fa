"""Sheet: one object on one page: what happened, where that is from, who has it, and where it came from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from tocsin.cli.console import say, show_table, tell
from tocsin.cli.ids import short
from tocsin.cli.listing import Seen, look_around, seen_as
from tocsin.cli.session import Session
from tocsin.cli.wording import listed, moment_text, omitted_words, zone
from tocsin.errors import NotFound
from tocsin.intake.formats import FORMATS
from tocsin.intake.mapping import load_mapping
from tocsin.policy.attributes import Provenance
from tocsin.policy.configuration import Configuration
from tocsin.policy.decide import decide
from tocsin.policy.decision import Copy, Decision, Deny, Stuck, Whole
from tocsin.sharing.explain import Explanation, explain
from tocsin.sharing.node import OURS
from tocsin.stix.effects import categories
from tocsin.stix.incident import Moment, findings_sentence, read_effects
from tocsin.stix.markings import marked
from tocsin.store import audit, copies, objects, parties, publications, records, releases
from tocsin.store.audit import AuditEntry
from tocsin.store.objects import HeldVersion, Source
from tocsin.store.parties import Party
from tocsin.store.records import Assessment, Belonging, Record
from tocsin.store.transaction import Transaction

_LOGGED = {
    ("put", "whole"): "whole",
    ("put", "copy"): "redacted",
    ("revoke", "whole"): "revoked",
    ("revoke", "copy"): "revoked",
    ("withdraw", "whole"): "withdrawn",
    ("withdraw", "copy"): "withdrawn",
    ("prune", "whole"): "pruned",
    ("prune", "copy"): "pruned",
}
EVERYWHERE = ""  # the collection of a word on all collections
_ROLES_WITH_NAMES = ("victim", "reporter")
_SAID = {
    "whole": "whole",
    "redacted": "redacted",
    "withheld": "withheld",
    "waiting": "waits to be published",
    "held": "held back by a person",
    "gone": "gone",
    "stuck": "stuck",
}


@dataclass(frozen=True, slots=True)
class Newer:
    """Of an incident of ours in one collection: does a newer version wait, and does a person hold it back?"""

    waits: bool
    held: bool


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that is known here of one object. `seen` only of an incident that is held."""

    version: HeldVersion
    versions: tuple[HeldVersion, ...]
    seen: Seen | None
    explanations: tuple[Explanation, ...]
    foretold: Mapping[str, Decision]
    names: Mapping[str, tuple[str, ...]]  # role → names: they stay here
    fields: tuple[tuple[str, str], ...]  # the source record, path and value
    sources: tuple[Source, ...]
    people: Mapping[str, Party]
    newer: Mapping[str, Newer]
    assessments: tuple[Assessment, ...]
    happened: tuple[AuditEntry, ...]
    tz: tzinfo

    def as_value(self, *, history: bool) -> dict[str, Any]:
        """The sheet for scripts, the object itself with it; with `history` also what happened to it here."""
        record = self.seen.record if self.seen else None
        marking = marked(self.version.value)
        past: dict[str, Any] = {}
        if history:
            past["events"] = [
                {"at": one.at, "event": one.event, "details": dict(one.details)} for one in reversed(self.happened)
            ]
        return {
            "id": self.version.id,
            "version": self.version.version,
            "sha256": self.version.sha256,
            "sentence": self._sentence(),
            "tlp": None if marking.level is None else marking.level.word,
            "pap": marking.pap or None,
            "marking": marking.reason,
            "needs_review": self.seen.needs_review if self.seen else False,
            "names": {role: list(names) for role, names in self.names.items()},
            "assessments": [_assessment_as_value(one) for one in self.assessments],
            "record": None if record is None else _record_as_value(record, self.fields),
            "collections": [explanation_as_value(one, self.foretold, self.newer) for one in self.explanations],
            "sources": [self._source_as_value(source) for source in self.sources],
            "versions": [one.version for one in self.versions],
            **past,
            "object": self.version.value,
        }

    def _sentence(self) -> str:
        findings = read_effects(self.version.value)
        return (
            findings_sentence(findings)
            if findings
            else f"{self.version.type} {self.version.value.get('name', '')}"
        )

    def _source_as_value(self, source: Source) -> dict[str, Any]:
        return {
            "from": self._name(source),
            "authentic": source.authentic,
            "hops": source.hops,
            "first_heard": source.first_heard,
            "word": source.word,
        }

    def _name(self, source: Source) -> str:
        return "ours" if source.party_id == OURS else self.people[source.party_id].name

    def show(self, *, history: bool) -> None:
        """Print it, the most urgent first."""
        say(f"{self.version.id}  {_title(self.version)}", "bold")
        say(self._sentence())
        if self.seen is None:
            pap = marked(self.version.value).pap.upper()
            say(f"TLP: {_tlp(self.version)}{f'; PAP: {pap}' if pap else ''}")
        else:
            _show_findings(self.seen, self.names, self._assessed())
            if self.seen.record is not None:
                _show_record(self.seen.record, self.fields, self.tz)
        say()
        say("Who has it", "bold")
        show_explanations(self.explanations, self.foretold, self.newer)
        say()
        say("Where it came from", "bold")
        for source in self.sources:
            say(f"  {self._whence(source)}")
        if history:
            self._show_history()

    def _assessed(self) -> str:
        """Who classified it last, when, and why; and why others did before: their answers may stand."""
        latest = [one for one in reversed(self.assessments) if one is self.assessments[-1] or one.because]
        return "\n".join(
            f"{moment_text(one.made, self.tz)} by {one.by_role}, {one.because or 'who gave no reason'}"
            for one in latest
        )

    def _whence(self, source: Source) -> str:
        when = moment_text(source.first_heard, self.tz)
        if source.party_id == OURS:
            return f"made here, {when}"
        authentic = "from its creator's own node" if source.authentic else "on its word alone (asserted)"
        far = f", passed on {source.hops} times before" if source.hops else ""
        gone = "; withdrawn since" if source.word == "withdraw" else ""
        return f"{self._name(source)}, first heard {when}, {authentic}{far}{gone}"

    def _show_history(self) -> None:
        say()
        say("Versions", "bold")
        rows = [(one.version, one.sha256[:12], "" if one.raw else "content erased") for one in self.versions]
        show_table(("version", "sha256", ""), rows, indent=2)
        say()
        if self.assessments:
            say("How people classified it", "bold")
            said = [
                (moment_text(one.made, self.tz), one.by_role, one.because or "—", _answers(one))
                for one in self.assessments
            ]
            show_table(("when", "role", "because", "answers"), said, wrap=("because", "answers"), indent=2)
            say()
        say("What happened here", "bold")
        happened = [
            (moment_text(entry.at, self.tz), entry.event, _details(entry.details))
            for entry in reversed(self.happened)
        ]
        show_table(("when", "event", "details"), happened, wrap="details", indent=2)


async def read_sheet(tx: Transaction, here: Session, configuration: Configuration, id_: str) -> Sheet:
    """Gather the sheet of an object. Raises NotFound when nothing of its content is left."""
    versions = await objects.versions(tx, id_)
    version = (await objects.newest(tx, [id_])).get(id_) or next(
        (one for one in reversed(versions) if one.raw), None
    )
    if version is None:
        raise NotFound(f"{id_} was here once; its content is no longer kept")
    around = await look_around(tx, configuration)
    is_live_incident = version.type == "incident" and bool(version.sources)
    seen = (await seen_as(tx, around, [version]))[0] if is_live_incident else None
    record = seen.record if seen else None
    heard = await objects.sources(tx, [version.seq])
    explanations = tuple(await explain(tx, configuration, here.node, id_))
    reviewed = bool(await records.assessed(tx, [id_]))
    return Sheet(
        version=version,
        versions=tuple(versions),
        seen=seen,
        explanations=explanations,
        foretold=foretell(configuration, version.value, explanations, reviewed=reviewed),
        names=await _names(tx, await records.belonging_to(tx, [id_])),
        fields=tuple(_fields(here, record)) if record else (),
        sources=tuple(heard.get(version.seq, ())),
        people={party.id: party for party in await parties.parties(tx)},
        newer=await find_newer(tx, configuration, id_, explanations),
        assessments=tuple(await records.assessments(tx, id_)),
        happened=await _happened(tx, id_),
        tz=zone(configuration.settings.node.timezone),
    )


async def _happened(tx: Transaction, id_: str) -> tuple[AuditEntry, ...]:
    """What was done to an object here, and what the logs say of it and of its copies, latest first."""
    links = await copies.all_copies_of(tx, id_)
    logged = await releases.history(tx, [id_, *(link.copy_id for link in links)])
    found = [
        AuditEntry(
            0, one.at, _LOGGED[one.op, one.form], id_, {"collection": one.collection, "rules": list(one.rules)}
        )
        for one in logged
    ]
    both = [*reversed(found), *await audit.entries(tx, id_)]  # of one moment, the log follows from the word
    return tuple(sorted(both, key=lambda entry: entry.at, reverse=True))


async def _names(tx: Transaction, belongings: Sequence[Belonging]) -> dict[str, tuple[str, ...]]:
    """Who was hit, and who told us: names that a policy may keep here."""
    roles = {one.object_id: one.role for one in belongings if one.role in _ROLES_WITH_NAMES}
    found: dict[str, tuple[str, ...]] = {}
    for id_, version in (await objects.newest(tx, roles)).items():
        name = version.value.get("name")
        if isinstance(name, str):
            found[roles[id_]] = (*found.get(roles[id_], ()), name)
    return found


def _fields(here: Session, record: Record) -> Iterator[tuple[str, str]]:
    """The record as it was read, flattened to paths."""
    reading = load_mapping(record.format, here.home).reading
    yield from _flat(FORMATS[record.format].parse(record.content, reading), "")


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping():
            for key, member in value.items():
                yield from _flat(member, f"{path}.{key}" if path else str(key))
        case list() if any(isinstance(item, dict | list) for item in value):
            for index, item in enumerate(value):
                yield from _flat(item, f"{path}[{index}]")
        case list():
            yield path, ", ".join(map(str, value))
        case None | "":
            pass
        case _:
            yield path, str(value)


def _title(version: HeldVersion) -> str:
    name = version.value.get("name")
    revoked = "  REVOKED by its creator" if version.revoked else ""
    return (name if isinstance(name, str) else version.type) + revoked


def _show_findings(seen: Seen, names: Mapping[str, tuple[str, ...]], assessed: str) -> None:
    findings = seen.findings
    if findings.effects:
        say()
        named = {category.key: category.name["en"] for category in categories()}
        rows = [(f"{named[e.effect]}", f"{e.confidence} %", e.basis, e.rule) for e in findings.effects]
        show_table(("effect", "confidence", "basis", "rule"), rows, wrap="rule", indent=2)
    say()
    times = findings.times
    period = times.occurred
    facts = [
        ("stage", findings.stage or ""),
        ("means", listed(findings.means, "")),
        ("actor", listed(_known(findings.actor_type, *findings.motives), "")),
        ("root cause", findings.root_cause or ""),
        ("sector", listed(findings.sectors, "")),
        ("countries", listed(findings.countries, "")),
        ("occurred", " to ".join(_moments(period.start, period.end)) if period else ""),
        ("detected", listed(_moments(times.detected), "")),
        ("contained", listed(_moments(times.contained), "")),
        ("state", listed([w for w in (findings.determination, findings.investigation_status) if w], "")),
        ("victims", "" if findings.victim_count is None else f"{findings.victim_count:,}"),
        ("TLP", _tlp(seen.version)),
        ("PAP", marked(seen.version.value).pap.upper()),
        ("assumed", listed(findings.classified.assumed, "") if findings.classified else ""),
        ("assessed (local)", assessed),
        *((f"{role} (local)", listed(found)) for role, found in sorted(names.items(), reverse=True)),
        ("waits for", _waits_for(seen)),
    ]
    show_table(("", " "), [(name, value) for name, value in facts if value], wrap=" ", indent=2)


def _tlp(version: HeldVersion) -> str:
    """`AMBER`, `none`; where it is not simply what one marking says, why."""
    found = marked(version.value)
    level = "none" if found.level is None else found.level.word.upper()
    return f"{level} ({found.reason})" if found.reason else level


def _known(*words: str | None) -> list[str]:
    """Each word once; "undetermined" only where there is nothing better."""
    found = list(dict.fromkeys(word for word in words if word))
    return [word for word in found if word != "undetermined"] or found


def _moments(*moments: Moment | None) -> list[str]:
    return list(dict.fromkeys(moment.value for moment in moments if moment is not None))


def _waits_for(seen: Seen) -> str:
    waits = []
    if seen.needs_review:
        reasons = seen.record.translation.get("review_reasons") if seen.record else None
        waits.append(f"a person to classify it ({listed(reasons or ())})")
    if seen.waiting:
        waits.append("a person to publish it")
    return listed(waits, "")


def _show_record(record: Record, fields: Sequence[tuple[str, str]], tz: tzinfo) -> None:
    say()
    say(f"Source record {record.source}:{record.source_id}", "bold")
    when = moment_text(record.imported, tz)
    say(f"  {record.format}, read from {record.place} on {when}, mapping {record.mapping}")
    used: dict[str, list[str]] = {}
    for applied in record.translation.get("rules", ()):
        used.setdefault(str(applied.get("path", "")), []).append(str(applied.get("field", "")))
    rows = [(path, value, listed(dict.fromkeys(_used_at(used, path)), "")) for path, value in fields]
    show_table(("field", "value", "→"), rows, wrap="value", indent=2)
    for unmapped in record.translation.get("unmapped", ()):
        say(f"  not understood: {unmapped.get('path')} = {unmapped.get('value')}")


def _used_at(used: Mapping[str, Sequence[str]], path: str) -> list[str]:
    """What the mapping made of a field: it may name the field, or one value in its list."""
    return [name for at, names in used.items() if at == path or at.startswith(f"{path}[") for name in names]


def _details(details: Mapping[str, Any]) -> str:
    return "; ".join(_told(name, value) for name, value in details.items() if value not in (None, "", [], False))


def _told(name: str, value: Any) -> str:
    if value is True:
        return name
    return f"{name} {' '.join(map(str, value)) if isinstance(value, list | tuple) else value}"


def _answers(one: Assessment) -> str:
    """What a person said, `unknown` left out."""
    said = {name: answer for name, answer in one.answers.items() if answer not in ("unknown", None, [])}
    return " ".join(
        f"{name}={','.join(answer) if isinstance(answer, list) else answer}" for name, answer in said.items()
    )


def _assessment_as_value(one: Assessment) -> dict[str, Any]:
    return {"at": one.made, "role": one.by_role, "because": one.because, "answers": dict(one.answers)}


def _record_as_value(record: Record, fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "source": record.source,
        "source_id": record.source_id,
        "format": record.format,
        "place": record.place,
        "mapping": record.mapping,
        "imported": record.imported,
        "fields": dict(fields),
        "translation": dict(record.translation),
    }


# --- who gets it ---------------------------------------------------------------------------------------------


def foretell(
    configuration: Configuration, value: Mapping[str, Any], found: Sequence[Explanation], *, reviewed: bool
) -> dict[str, Decision]:
    """What policy would say of an incident of ours that still waits for a person, in each collection."""
    provenance = Provenance(reviewed=reviewed)
    return {
        one.collection: decide(
            configuration.policy_of(one.collection),
            configuration.settings.collections[one.collection],
            value,
            provenance,
            configuration.readers(one.collection),
        )
        for one in found
        if one.would in ("waiting", "held")
    }


async def find_newer(
    tx: Transaction, configuration: Configuration, id_: str, found: Sequence[Explanation]
) -> dict[str, Newer]:
    """By collection, what readers do not see yet of what they have; nothing of what is not ours."""
    made_here = [
        version.version_key
        for version in (await objects.offered(tx, [id_])).get(id_, ())
        if any(source.party_id == OURS and source.collection_id == OURS for source in version.sources)
    ]
    words = await publications.publications(tx, [id_])
    ids = {row.key: row.id for row in await releases.collections(tx)}
    newer = {}
    for one in found:
        here, everywhere = words.get((id_, id_, ids[one.collection])), words.get((id_, id_, EVERYWHERE))
        if configuration.settings.collections[one.collection].approvals > 1:
            everywhere = None
        said = [word for word in (here, everywhere) if word is not None]
        if not said or not made_here:
            continue
        # a word on one collection is later than that on all, or came with it
        held = said[0].state == "held"
        by_hand = configuration.settings.collections[one.collection].release == "by-hand"
        covered = max((word.version_key or "" for word in said), default="")
        follows = not held and any(word.follow for word in said)
        behind = one.stands is not None and max(made_here) > covered and not follows
        newer[one.collection] = Newer(waits=behind and (held or by_hand), held=held)
    return newer


def show_explanations(
    found: Sequence[Explanation], foretold: Mapping[str, Decision], newer: Mapping[str, Newer]
) -> None:
    """For each collection: the form, the readers, the reasons as sentences, and what a copy leaves out."""
    if not found:
        say("  There is no collection: nobody else has it.")
    for one in found:
        say(f"  {one.collection}: {_form(one)}; readers: {listed(one.readers, 'nobody')}")
        for reason in one.reasons:
            tell(f"{reason.rule}: {reason.text}", 6)
        if one.approvals is not None:
            tell(f"wants {one.approvals.wanted} persons: {one.approvals.words}", 6)
        if one.withdrawn is not None:
            tell(f"taken back by {one.withdrawn.by} (local): {one.withdrawn.reason}", 6)
        if one.omitted:
            tell(f"the copy leaves out: {listed(omitted_words(one.omitted))}", 6)
        if one.stands is not None and (late := newer.get(one.collection)):
            if late.waits:
                tell("readers have an older version; the newer one waits for tocsin publish", 6)
            if late.held:
                tell("held by a person: nothing newer goes out before tocsin publish", 6)
        if decision := foretold.get(one.collection):
            reasons = "; ".join(f"{reason.rule}: {reason.text}" for reason in decision.reasons)
            tell(f"once published: {_decided(decision)} ({reasons})", 6)


def _decided(decision: Decision) -> str:
    match decision:
        case Whole():
            return "whole"
        case Copy(groups=groups):
            return f"redacted, without {', '.join(sorted(groups))}"
        case Deny():
            return "withheld"
        case Stuck():
            return "stuck"


def _form(one: Explanation) -> str:
    would = _SAID.get(one.would, one.would)
    if one.stands is None:
        return would if one.would in ("withheld", "waiting", "held", "stuck", "gone") else f"would enter {would}"
    there = "whole" if one.stands == "whole" else f"redacted, as {short(one.stands_as or '')}"
    if one.would == one.stands:
        return there
    return f"{there} (judged now: {would})"


def explanation_as_value(
    one: Explanation, foretold: Mapping[str, Decision], newer: Mapping[str, Newer]
) -> dict[str, Any]:
    decision = foretold.get(one.collection)
    late = newer.get(one.collection, Newer(waits=False, held=False))
    return {
        "collection": one.collection,
        "would": one.would,
        "stands": one.stands,
        "stands_as": one.stands_as,
        "readers": list(one.readers),
        "withdrawn": {"by": one.withdrawn.by, "at": one.withdrawn.at, "reason": one.withdrawn.reason}
        if one.withdrawn
        else None,
        "approvals": {
            "wanted": one.approvals.wanted,
            "by": list(one.approvals.by),
            "missing": one.approvals.missing,
            "follow": one.approvals.follow,
        }
        if one.approvals
        else None,
        "reasons": [{"rule": reason.rule, "text": reason.text} for reason in one.reasons],
        "omitted": list(one.omitted),
        "newer_waits": late.waits,
        "held": late.held,
        "once_published": None if decision is None else _decided(decision),
    }
