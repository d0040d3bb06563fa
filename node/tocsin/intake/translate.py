"""Translate: one record and a mapping give what is known of the incident, and the rule behind each value.

Pure: nothing is read, stored or asked. What the mapping does not know is listed at its path, never guessed.
Unknown stays unknown; a year stays a year. Free text of the source stays here unless the mapping marks it as
meant for sharing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tocsin.intake.formats import SourceRecord
from tocsin.intake.gather import Gathered, Observable
from tocsin.intake.mapping import Mapping
from tocsin.intake.statement import Applied, Said, Unmapped
from tocsin.intake.weigh import Weighed, weigh
from tocsin.stix.effects import MEANS, MOTIVES, Answers, derive
from tocsin.stix.incident import Classified, Effect, Findings, effects_extension, incident_core
from tocsin.stix.markings import Tlp
from tocsin.stix.objects import stix_time

# From the one that says most to the one that says least: where a record names several.
_ACTORS = ("nation-state", "criminal", "terrorist", "hacktivist", "hobbyist", "undetermined")
_CAUSES = ("malicious", "third-party", "system-failure", "natural", "human-error", "unknown")
_CLAIMANTS = ("victim", "authority", "third-party", "press", "attacker")
_DETERMINATIONS = ("false-positive", "failed-attempt", "blocked", "suspected", "confirmed")


@dataclass(frozen=True, slots=True)
class Translation:
    """What a mapping made of one record. Evidence and source paths in `rules` and `unmapped` stay local."""

    format: str
    mapping: str
    source_id: str
    place: str
    findings: Findings
    confidence: int
    needs_review: bool
    review_reasons: tuple[str, ...]
    rules: tuple[Applied, ...]
    unmapped: tuple[Unmapped, ...]
    victims: tuple[str, ...] = ()
    reporter: str | None = None
    observables: tuple[Observable, ...] = ()
    tlp: Tlp | None = None

    @property
    def review_reason(self) -> str | None:
        return "; ".join(self.review_reasons) or None

    def as_value(self) -> dict[str, Any]:
        """All of it as plain JSON: what is kept beside the record, and compared when it is imported again."""
        return {
            "mapping": self.mapping,
            "classification": classification(self),
            "effects": effects_extension(self.findings),
            "incident_core": incident_core(self.findings),
            "description": self.findings.description,
            "victims": list(self.victims),
            "reporter": self.reporter,
            "observables": [{"value": found.value, "side": found.side} for found in self.observables],
            "tlp": None if self.tlp is None else self.tlp.word,
            "review_reasons": list(self.review_reasons),
            "rules": [applied._asdict() for applied in self.rules],
            "unmapped": [entry._asdict() for entry in self.unmapped],
        }


def translate(record: SourceRecord, mapping: Mapping) -> Translation:
    """What the mapping makes of this record. Never raises for what a record holds: that ends in `unmapped`."""
    gathered = Gathered(record.value, mapping)
    everything = gathered.everything()
    weighed = weigh(everything)
    findings = _findings(weighed, everything, gathered)
    victims = gathered.texts("victim", mapping.file.values.victim)
    reporters = gathered.texts("reporter", mapping.file.values.reporter)
    observables = gathered.observables()
    tlp = gathered.tlp()
    gathered.note_unknown_members()
    reasons = (*weighed.reasons, *gathered.failures, *_unknown_values(gathered.unknown_words))
    applied = [*_applied(weighed, everything), *gathered.applied]
    return Translation(
        format=mapping.key,
        mapping=mapping.label,
        source_id=record.source_id,
        place=record.place,
        findings=findings,
        confidence=weighed.confidence,
        needs_review=bool(reasons),
        review_reasons=tuple(dict.fromkeys(reasons)),
        rules=tuple(dict.fromkeys(applied)),
        unmapped=tuple(dict.fromkeys([*gathered.unknown_words, *gathered.unmapped])),
        victims=victims,
        reporter=reporters[0] if reporters else None,
        observables=observables,
        tlp=tlp,
    )


def classification(translation: Translation, incident_id: str | None = None) -> dict[str, Any]:
    """What `tocsin classify` prints of one record."""
    findings = translation.findings
    naics = [sector.removeprefix("naics:") for sector in findings.sectors if sector.startswith("naics:")]
    return {
        "source_id": translation.source_id,
        "incident_id": incident_id,
        "effect_type": findings.effect_type,
        "stage": findings.stage,
        "categories": [effect.effect for effect in findings.effects],
        "means": list(findings.means),
        "actor_type": findings.actor_type,
        "motives": list(findings.motives),
        "sector": naics[0][:2] if naics else None,
        "sectors": list(findings.sectors),
        "countries": list(findings.countries),
        "confidence": translation.confidence,
        "needs_review": translation.needs_review,
        "review_reason": translation.review_reason,
        "rules": sorted({applied.rule for applied in translation.rules}),
    }


def assessed_findings(
    findings: Findings, answers: Answers, role: str, organisation: str, time: datetime
) -> Findings:
    """The findings with a person's answers in place of the mapping's: effects, type and stage follow from them.

    Everything else stays. An assessment is certain of what it says, so its effects have confidence 100.
    """
    derivation = derive(answers)
    if derivation.effect_type in ("disruptive", "exploitive", "mixed"):
        stage: Any = "effect"
    elif derivation.effect_type == "no-effect":
        stage = findings.stage if findings.stage not in (None, "effect") else "unknown"
    else:
        stage = "unknown" if findings.stage == "effect" else findings.stage
    classified = replace(
        findings.classified or Classified(),
        basis="assessed",
        role=role,
        organisation=organisation,
        at=stix_time(time),
    )
    return replace(
        findings,
        effects=tuple(Effect(effect, 100, "assessed") for effect in derivation.effects),
        effect_type=derivation.effect_type,
        disruptive_unknown=derivation.disruptive_unknown,
        exploitive_unknown=derivation.exploitive_unknown,
        stage=stage,
        answers=answers,
        classified=classified,
    )


def _findings(weighed: Weighed, everything: Sequence[Said], gathered: Gathered) -> Findings:
    statements = [said.statement for said in everything]
    means = {means for one in statements for means in one.means}
    motives = {motive for one in statements for motive in one.motives}
    stage: Any = weighed.stage
    file = gathered.mapping.file
    return Findings(
        effects=weighed.effects,
        effect_type=weighed.derivation.effect_type,
        disruptive_unknown=weighed.derivation.disruptive_unknown,
        exploitive_unknown=weighed.derivation.exploitive_unknown,
        stage=stage,
        means=_means(means, weighed),
        root_cause=_first(_CAUSES, {one.root_cause for one in statements}),
        actor_type=_first(_ACTORS, {one.actor_type for one in statements}),
        motives=_known_first(motives, MOTIVES, "undetermined"),
        times=gathered.times(),
        claimed_by=_first(_CLAIMANTS, {one.claimed_by for one in statements}),
        sectors=gathered.sectors(),
        countries=gathered.countries(),
        victim_count=gathered.count("victim-count", file.values.victim_count),
        persons_affected=gathered.estimate("persons-affected", file.values.persons_affected),
        determination=_first(_DETERMINATIONS, {one.determination for one in statements}),
        answers=weighed.answers,
        classified=Classified(
            basis="reported" if any(effect.basis == "reported" for effect in weighed.effects) else "mapped",
            mapping=file.mapping,
            mapping_version=file.version,
        ),
        description=gathered.description(),
    )


def _means(found: set[str], weighed: Weighed) -> tuple[str, ...]:
    """Means of what happened; of what was no cyber action there are none."""
    if weighed.derivation.effect_type == "not-cyber":
        return ()
    return _known_first(found, MEANS, "unknown") or ("unknown",)


def _first(order: Sequence[str], found: set[str | None]) -> Any:
    return next((word for word in order if word in found), None)


def _known_first(found: set[str], order: Sequence[str], nobody_knows: str) -> tuple[str, ...]:
    """In the order of the vocabulary; "undetermined" beside something known says nothing."""
    known = found - {nobody_knows}
    return tuple(word for word in order if word in (known or found))


def _applied(weighed: Weighed, everything: Sequence[Said]) -> Iterator[Applied]:
    for said in weighed.used:
        yield from said.weighed
    for said in everything:
        yield from said.noted


def _unknown_values(unmapped: Sequence[Unmapped]) -> list[str]:
    return [f"the mapping does not know {entry.path} = {entry.value!r}" for entry in unmapped]
