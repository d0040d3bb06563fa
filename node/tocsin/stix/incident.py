"""Incident: what is known of one incident, and the STIX object that says so.

`Findings` is the value; `build_incident` writes it with OASIS incident core and our effects extension, and
`read_effects` reads it back from any object that carries the extension. Unknown is absent, never invented.
The name is generated and never bears a victim's name. Pure; time is given.
"""

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, get_args

from tocsin.errors import BadInput
from tocsin.stix import effects as words
from tocsin.stix.effects import (
    EXTENSION_ID,
    INCIDENT_CORE_ID,
    UNANSWERED,
    ActorType,
    Answers,
    Basis,
    ClaimedBy,
    Determination,
    EffectType,
    Fidelity,
    InvestigationStatus,
    RequestType,
    RootCause,
    Stage,
)

Number = int | float | Decimal

# Fills what incident core requires and nobody said; recorded as assumed.
_ASSUMED_DETERMINATION: Final[Determination] = "suspected"
_ASSUMED_STATUS: Final[InvestigationStatus] = "open"

# What an incident without a label is called, by its type
_UNLABELLED: Final[Mapping[str, str]] = {
    "disruptive": "Disruptive incident",
    "exploitive": "Exploitive incident",
    "mixed": "Mixed incident",
    "no-effect": "Incident without effect",
    "not-cyber": "Incident that is not cyber",
}

# How many characters of `YYYY-MM-DDTHH:MM:SS` each fidelity keeps.
_LENGTHS: Final[Mapping[Fidelity, int]] = {
    "year": 4,
    "month": 7,
    "day": 10,
    "hour": 13,
    "minute": 16,
    "second": 19,
}
_FIDELITIES: Final[tuple[Fidelity, ...]] = get_args(Fidelity)
_MOMENT = re.compile(
    r"^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.\d{1,30})?)?)?Z)?)?)?\Z", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as precisely as it is known, in UTC: `2013`, `2013-04`, `2013-04-05`, `2013-04-05T10Z`, … .

    The text is cut where knowledge ends; a year is a year, never 1 January. Made by `moment`.
    """

    value: str
    fidelity: Fidelity

    def earliest(self) -> datetime:
        """The first instant that it may mean."""
        known = self.value.rstrip("Z")
        filled = known + "0001-01-01T00:00:00"[len(known) :]
        return datetime.fromisoformat(filled + "+00:00")

    def latest(self) -> datetime:
        """The last second that it may mean."""
        start = self.earliest()
        match self.fidelity:
            case "year":
                return start.replace(month=12, day=31, hour=23, minute=59, second=59)
            case "month":
                last = monthrange(start.year, start.month)[1]
                return start.replace(day=last, hour=23, minute=59, second=59)
            case "day":
                return start.replace(hour=23, minute=59, second=59)
            case "hour":
                return start.replace(minute=59, second=59)
            case "minute":
                return start.replace(second=59)
            case "second":
                return start

    def coarsened(self, fidelity: Fidelity) -> "Moment":
        """The same time told no more precisely than `fidelity`."""
        if _LENGTHS[fidelity] >= _LENGTHS[self.fidelity]:
            return self
        return Moment(_cut(self.value, fidelity), fidelity)


def moment(text: str) -> Moment:
    """Read a time whose precision is that of its text; fractions of a second are cut.

    Raises BadInput for another shape, or for a day that no calendar has.
    """
    match = _MOMENT.match(text)
    if not match:
        raise BadInput(
            f"{text[:40]!r} is not a time: YYYY, YYYY-MM, YYYY-MM-DD, or with THHZ, THH:MMZ, THH:MM:SSZ"
        )
    given = sum(part is not None for part in match.groups())
    fidelity = _FIDELITIES[given - 1]
    found = Moment(_cut(text, fidelity), fidelity)
    try:
        found.earliest()
    except ValueError as why:
        raise BadInput(f"{text[:40]!r} is not a time: {why}") from why
    return found


def moment_of(instant: datetime, fidelity: Fidelity = "second") -> Moment:
    """An instant with a zone, told as precisely as `fidelity`."""
    return Moment(_cut(instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"), fidelity), fidelity)


def _cut(text: str, fidelity: Fidelity) -> str:
    cut = text[: _LENGTHS[fidelity]]
    return f"{cut}Z" if "T" in cut else cut


@dataclass(frozen=True, slots=True)
class Period:
    """When it happened; either end may be unknown."""

    start: Moment | None = None
    end: Moment | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """When it occurred, was detected, became known to others, was contained, and when service was restored."""

    occurred: Period | None = None
    detected: Moment | None = None
    known: Moment | None = None
    contained: Moment | None = None
    restored: Moment | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """One category found: `confidence` 0 to 100, on what basis, and the id of the rule that found it."""

    effect: str
    confidence: int
    basis: Basis
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantity with the bounds it is known by."""

    lo: Number | None = None
    best: Number | None = None
    hi: Number | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """The value on one named scale (NCISS, PPD-41 …)."""

    name: str
    value: Number
    description: str = ""


@dataclass(frozen=True, slots=True)
class Severity:
    """The cyber disruption index (0 to 100) and its hours of weighted full outage, with inputs (taxonomy B.2).

    `method` is `topology`, `ordinal` or `reported`; `inputs` is as the schema has it: picks or nodes.
    """

    disruption_index: Estimate | None = None
    outage_hours: Estimate | None = None
    peak: Number | None = None
    method: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicCore:
    """One element of the public core of the Internet that was touched (taxonomy E.2)."""

    element: str
    scheme: str | None = None
    identifier: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What the reporter asks of those who read this: until when (a STIX timestamp), and whom to answer."""

    type: RequestType
    answer_by: str | None = None
    contact_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Classified:
    """Who classified: a role and an organisation, never a person; `at` is a STIX timestamp.

    `assumed` names the fields that a default filled.
    """

    basis: Basis | None = None
    role: str | None = None
    organisation: str | None = None
    at: str | None = None
    mapping: str | None = None
    mapping_version: str | None = None
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of one incident, in the words of `effects`. None and empty mean unknown."""

    effects: tuple[Effect, ...] = ()
    effect_type: EffectType = "undetermined"
    disruptive_unknown: bool = False
    exploitive_unknown: bool = False
    stage: Stage | None = None
    means: tuple[str, ...] = ()
    root_cause: RootCause | None = None
    actor_type: ActorType | None = None
    motives: tuple[str, ...] = ()
    times: Times = Times()
    claimed_by: ClaimedBy | None = None
    sectors: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    victim_count: int | None = None
    persons_affected: Estimate | None = None
    cluster: str | None = None
    severity: Severity | None = None
    public_core: tuple[PublicCore, ...] = ()
    trans_border: bool | None = None
    significant: bool | None = None
    request: Request | None = None
    determination: Determination | None = None
    investigation_status: InvestigationStatus | None = None
    answers: Answers = UNANSWERED
    classified: Classified | None = None
    description: str | None = None

    @property
    def confidence(self) -> int | None:
        """The lowest confidence of the effects: a chain is as sure as its weakest link."""
        return min((effect.confidence for effect in self.effects), default=None)


def build_incident(
    findings: Findings,
    *,
    id: str,
    creator: str,
    created: str,
    modified: str,
    markings: Sequence[str],
    external_refs: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The STIX incident that says what the findings say. `markings` are ids of marking definitions."""
    settled = _with_assumptions(findings)
    ours = effects_extension(settled)
    return _present(
        {
            "type": "incident",
            "spec_version": "2.1",
            "id": id,
            "created_by_ref": creator,
            "created": created,
            "modified": modified,
            "name": generated_name(id, ours),
            "description": findings.description,
            "labels": generated_labels(ours),
            "confidence": findings.confidence,
            "external_references": [dict(reference) for reference in external_refs],
            "object_marking_refs": list(markings),
            "extensions": {INCIDENT_CORE_ID: incident_core(settled), EXTENSION_ID: ours},
        }
    )


def incident_core(findings: Findings) -> dict[str, Any]:
    """OASIS incident core, with the scores that tools without our extension can read."""
    severity = findings.severity or Severity()
    scores = list(severity.scores)
    if severity.disruption_index and severity.disruption_index.best is not None:
        scores.insert(0, Score("CDI", severity.disruption_index.best, "cyber disruption index, 0 to 100"))
    return _present(
        {
            "extension_type": "property-extension",
            "determination": findings.determination or _ASSUMED_DETERMINATION,
            "investigation_status": findings.investigation_status or _ASSUMED_STATUS,
            "scores": [_score(score) for score in scores],
        }
    )


def effects_extension(findings: Findings) -> dict[str, Any]:
    """The value of our extension, in the order of the specification; unknown fields are left out."""
    in_order = sorted(findings.effects, key=lambda effect: words.EFFECTS.index(effect.effect))
    return _present(
        {
            "extension_type": "property-extension",
            "effect_type": findings.effect_type,
            "effects": [
                _present({"effect": e.effect, "confidence": e.confidence, "basis": e.basis, "rule": e.rule})
                for e in in_order
            ],
            "disruptive_unknown": findings.disruptive_unknown or None,
            "exploitive_unknown": findings.exploitive_unknown or None,
            "stage": findings.stage,
            "means": _sorted_by(findings.means, words.MEANS),
            "root_cause": findings.root_cause,
            "actor_type": findings.actor_type,
            "motives": _sorted_by(findings.motives, words.MOTIVES),
            "times": _times(findings.times),
            "claimed_by": findings.claimed_by,
            "sectors": list(dict.fromkeys(findings.sectors)),
            "countries": sorted(set(findings.countries)),
            "victim_count": findings.victim_count,
            "persons_affected": _estimate(findings.persons_affected),
            "cluster": findings.cluster,
            "severity": _severity(findings.severity),
            "public_core": [
                _present({"element": core.element, "scheme": core.scheme, "identifier": core.identifier})
                for core in findings.public_core
            ],
            "trans_border": findings.trans_border,
            "significant": findings.significant,
            "request": _request(findings.request),
            "answers": answers_as_value(findings.answers),
            "classified": _classified(findings.classified),
        }
    )


def answers_as_value(answers: Answers) -> dict[str, Any]:
    """The answers that somebody gave; `unknown` is absent."""
    if answers == UNANSWERED:
        return {}
    given: dict[str, Any] = {name: getattr(answers, name) for name in words.QUESTIONS}
    given = {name: answer for name, answer in given.items() if answer != "unknown"}
    if answers.places:
        given["places"] = _sorted_by(answers.places, words.PLACES)
    return given


def generated_name(id: str, extension: Mapping[str, Any]) -> str:
    """Coded values and eight digits of the object's own id, because platforms merge incidents by name."""
    named = {category.key: category.name["en"] for category in words.categories()}
    found = [named[entry["effect"]] for entry in extension.get("effects", ()) if entry.get("effect") in named]
    if found:
        what = _listed([found[0], *(name[0].lower() + name[1:] for name in found[1:])])
    else:
        what = _UNLABELLED.get(extension.get("effect_type", ""), "Undetermined incident")
    return ", ".join([what, *_where(extension)]) + f" ({id.partition('--')[2][:8]})"


def generated_labels(extension: Mapping[str, Any]) -> list[str]:
    """Effect type, effects and means as `labels`, for tools that do not know the extension."""
    return [
        f"effect-type:{extension['effect_type']}",
        *(f"effects:{entry['effect']}" for entry in extension.get("effects", ())),
        *(f"means:{means}" for means in extension.get("means", ())),
    ]


def findings_sentence(findings: Findings) -> str:
    """One sentence for people: what happened, by what means, where, when and how sure we are."""
    extension = effects_extension(findings)
    named = {category.key: category.name["en"].lower() for category in words.categories()}
    found = [f"{named[e['effect']]} ({e['confidence']} % sure)" for e in extension.get("effects", ())]
    kind = words.type_names()[findings.effect_type]["en"]
    parts = [f"{kind}: {_listed(found)}" if found else kind]
    if findings.disruptive_unknown and findings.effect_type == "exploitive":
        parts.append("disruption not ruled out")
    if findings.exploitive_unknown and findings.effect_type == "disruptive":
        parts.append("loss of information not ruled out")
    known_means = [means for means in extension.get("means", ()) if means != "unknown"]
    if known_means:
        parts.append(f"by {_listed(known_means)}")
    if where := _where(extension):
        parts.append("in " + ", ".join(where))
    if when := _period(findings.times.occurred or Period()):
        parts.append(f"occurred {when}")
    if findings.determination:
        parts.append(findings.determination.replace("-", " "))
    return "; ".join(parts) + "."


def _period(period: Period) -> str:
    match period:
        case Period(None, Moment(end)):
            return f"until {end}"
        case Period(Moment(start), Moment(end)) if start != end:
            return f"{start} to {end}"
        case Period(Moment(start), _):
            return start
    return ""


def read_effects(value: Mapping[str, Any]) -> Findings | None:
    """What an incident says through our extension, or None when it does not carry it.

    Tolerant, for listing and policy: what is not in a vocabulary or of another shape counts as unknown.
    `validate` is what refuses.
    """
    extensions = _mapping(value.get("extensions"))
    ours = extensions.get(EXTENSION_ID)
    if value.get("type") != "incident" or not isinstance(ours, Mapping):
        return None
    core = _mapping(extensions.get(INCIDENT_CORE_ID))
    return Findings(
        effects=_read_effect_list(ours.get("effects")),
        effect_type=_word(ours.get("effect_type"), words.EFFECT_TYPES) or "undetermined",
        disruptive_unknown=ours.get("disruptive_unknown") is True,
        exploitive_unknown=ours.get("exploitive_unknown") is True,
        stage=_word(ours.get("stage"), words.STAGES),
        means=_words(ours.get("means"), words.MEANS),
        root_cause=_word(ours.get("root_cause"), words.ROOT_CAUSES),
        actor_type=_word(ours.get("actor_type"), words.ACTOR_TYPES),
        motives=_words(ours.get("motives"), words.MOTIVES),
        times=_read_times(_mapping(ours.get("times"))),
        claimed_by=_word(ours.get("claimed_by"), words.CLAIMED_BY),
        sectors=_texts(ours.get("sectors")),
        countries=_texts(ours.get("countries")),
        victim_count=_integer(ours.get("victim_count")),
        persons_affected=_read_estimate(ours.get("persons_affected")),
        cluster=_text(ours.get("cluster")),
        severity=_read_severity(ours.get("severity")),
        public_core=_read_public_core(ours.get("public_core")),
        trans_border=_flag(ours.get("trans_border")),
        significant=_flag(ours.get("significant")),
        request=_read_request(ours.get("request")),
        determination=_word(core.get("determination"), words.DETERMINATIONS),
        investigation_status=_word(core.get("investigation_status"), words.INVESTIGATION_STATUSES),
        answers=read_answers(ours.get("answers")),
        classified=_read_classified(ours.get("classified")),
        description=_text(value.get("description")),
    )


def read_answers(value: object) -> Answers:
    """The answers as `answers_as_value` writes them; what is missing or strange is unknown."""
    given = _mapping(value)
    if not given:
        return UNANSWERED
    named: dict[str, Any] = {name: _word(given.get(name), ("yes", "no")) or "unknown" for name in words.QUESTIONS}
    places: Any = frozenset(_words(given.get("places"), words.PLACES))
    return Answers(**named, places=places)


def _with_assumptions(findings: Findings) -> Findings:
    """Fill what incident core requires, and say that it was assumed."""
    assumed = [name for name in ("determination", "investigation_status") if getattr(findings, name) is None]
    if not assumed:
        return findings
    classified = findings.classified or Classified()
    return replace(
        findings,
        determination=findings.determination or _ASSUMED_DETERMINATION,
        investigation_status=findings.investigation_status or _ASSUMED_STATUS,
        classified=replace(classified, assumed=tuple(dict.fromkeys([*classified.assumed, *assumed]))),
    )


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Only what is known: no None, no empty list, text or object (STIX 2.1 §2.10 forbids empty lists)."""
    return {
        key: value
        for key, value in fields.items()
        if value or (value is not None and not isinstance(value, (str, list, dict)))
    }


def _sorted_by(given: Iterable[str], order: Sequence[str]) -> list[str]:
    return sorted(set(given), key=order.index)


def _times(times: Times) -> dict[str, Any]:
    occurred = times.occurred or Period()
    return _present(
        {
            "occurred": _present({"start": _moment(occurred.start), "end": _moment(occurred.end)}),
            **{name: _moment(getattr(times, name)) for name in ("detected", "known", "contained", "restored")},
        }
    )


def _moment(when: Moment | None) -> dict[str, str] | None:
    return None if when is None else {"value": when.value, "fidelity": when.fidelity}


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return _present({"lo": estimate.lo, "best": estimate.best, "hi": estimate.hi})


def _score(score: Score) -> dict[str, Any]:
    return _present({"name": score.name, "value": score.value, "description": score.description})


def _severity(severity: Severity | None) -> dict[str, Any] | None:
    if severity is None:
        return None
    return _present(
        {
            "method": severity.method,
            "disruption_index": _estimate(severity.disruption_index),
            "outage_hours": _estimate(severity.outage_hours),
            "peak": severity.peak,
            "inputs": dict(severity.inputs),
            "scores": [_score(score) for score in severity.scores],
        }
    )


def _request(request: Request | None) -> dict[str, Any] | None:
    if request is None:
        return None
    return _present({"type": request.type, "answer_by": request.answer_by, "contact_ref": request.contact_ref})


def _classified(classified: Classified | None) -> dict[str, Any] | None:
    if classified is None:
        return None
    return _present(
        {
            "basis": classified.basis,
            "role": classified.role,
            "organisation": classified.organisation,
            "at": classified.at,
            "mapping": classified.mapping,
            "mapping_version": classified.mapping_version,
            "assumed": list(dict.fromkeys(classified.assumed)),
        }
    )


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _where(extension: Mapping[str, Any]) -> list[str]:
    sectors = [text for text in extension.get("sectors", ()) if isinstance(text, str)]
    named = next((text for text in sectors if text.startswith("nis2:")), sectors[0] if sectors else "")
    countries = list(extension.get("countries", ()))
    many = f"{len(countries)} countries" if len(countries) > 3 else " ".join(countries)
    sector = named.removeprefix("nis2:").replace("naics:", "NAICS ").replace("-", " ").replace("/", " ")
    return [text for text in (sector, many) if text]


def _mapping(value: object) -> Mapping[str, Any]:
    if value is None or isinstance(value, dict):  # nearly always: asking for the abstract class is slow
        return value or {}
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in _items(value) if isinstance(text, str))


def _word(value: object, vocabulary: Sequence[str]) -> Any:
    """A word of the vocabulary, or None. Any, because which Literal it is follows from the vocabulary."""
    return value if isinstance(value, str) and value in vocabulary else None


def _words(value: object, vocabulary: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in _texts(value) if word in vocabulary)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _integer(value: object) -> int | None:
    """A whole number, however it was spelt: `90.0` is read as a Decimal and is 90."""
    number = _number(value)
    return int(number) if number is not None and number == int(number) else None


def _number(value: object) -> Number | None:
    return value if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else None


def _read_effect_list(value: object) -> tuple[Effect, ...]:
    return tuple(
        Effect(
            entry["effect"],
            _integer(entry.get("confidence")) or 0,
            _word(entry.get("basis"), words.BASES) or "reported",
            _text(entry.get("rule")) or "",
        )
        for entry in map(_mapping, _items(value))
        if _word(entry.get("effect"), words.EFFECTS)
    )


def _read_moment(value: object) -> Moment | None:
    text = _mapping(value).get("value") if value is not None else None
    if not isinstance(text, str):
        return None
    try:
        return moment(text)
    except BadInput:
        return None  # tolerant: a time that cannot be read is unknown


def _read_times(value: Mapping[str, Any]) -> Times:
    occurred = _mapping(value.get("occurred"))
    period = Period(_read_moment(occurred.get("start")), _read_moment(occurred.get("end")))
    single = {name: _read_moment(value.get(name)) for name in ("detected", "known", "contained", "restored")}
    return Times(occurred=None if period == Period() else period, **single)


def _read_estimate(value: object) -> Estimate | None:
    given = _mapping(value)
    if not given:
        return None
    found = Estimate(_number(given.get("lo")), _number(given.get("best")), _number(given.get("hi")))
    return None if found == Estimate() else found


def _read_severity(value: object) -> Severity | None:
    if not isinstance(value, Mapping):
        return None
    scores = (
        Score(entry["name"], entry["value"], _text(entry.get("description")) or "")
        for entry in map(_mapping, _items(value.get("scores")))
        if _text(entry.get("name")) and _number(entry.get("value")) is not None
    )
    return Severity(
        disruption_index=_read_estimate(value.get("disruption_index")),
        outage_hours=_read_estimate(value.get("outage_hours")),
        peak=_number(value.get("peak")),
        method=_text(value.get("method")),
        inputs=_mapping(value.get("inputs")),
        scores=tuple(scores),
    )


def _read_public_core(value: object) -> tuple[PublicCore, ...]:
    return tuple(
        PublicCore(entry["element"], _text(entry.get("scheme")), _text(entry.get("identifier")))
        for entry in map(_mapping, _items(value))
        if _word(entry.get("element"), words.PUBLIC_CORE)
    )


def _read_request(value: object) -> Request | None:
    given = _mapping(value)
    kind = _word(given.get("type"), words.REQUESTS)
    return Request(kind, _text(given.get("answer_by")), _text(given.get("contact_ref"))) if kind else None


def _read_classified(value: object) -> Classified | None:
    if not isinstance(value, Mapping):
        return None
    return Classified(
        basis=_word(value.get("basis"), words.BASES),
        role=_text(value.get("role")),
        organisation=_text(value.get("organisation")),
        at=_text(value.get("at")),
        mapping=_text(value.get("mapping")),
        mapping_version=_text(value.get("mapping_version")),
        assumed=_texts(value.get("assumed")),
    )
