"""Language: what an author may write in a mapping file, as models that check it.

Described for authors in `mappings/README.md`; `mappings/mapping.schema.json` is the same language for editors,
made from these models. `mapping` reads a file, `plan` makes it ready for records.
"""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from tocsin.documents import Path, Strict, nearest
from tocsin.stix.effects import (
    ACTOR_TYPES,
    BASES,
    CLAIMED_BY,
    DETERMINATIONS,
    EFFECTS,
    MEANS,
    MOTIVES,
    PLACES,
    QUESTIONS,
    ROOT_CAUSES,
    STAGES,
    Place,
)

CONFIDENCES: MappingOf[str, int] = {"high": 90, "medium": 60, "low": 30}
WEIGHTS: MappingOf[str, int] = {"decides": 3, "supports": 2, "hints": 1}
# How dates may be written; with years of four digits, since nobody knows the century of two.
DATE_FORMS = (
    "YYYY-MM-DD",
    "YYYY/MM/DD",
    "YYYY.MM.DD",
    "DD.MM.YYYY",
    "DD/MM/YYYY",
    "DD-MM-YYYY",
    "MM/DD/YYYY",
    "MM-DD-YYYY",
)
_SIGN = r"^[a-z][a-z0-9-]*$"


def _one_of(kind: str, words: Sequence[str]) -> Callable[[str], str]:
    """A check that a text is one of `words`; another is refused with the nearest one."""

    def check(text: str) -> str:
        if text not in words:
            raise ValueError(f"unknown {kind} {text!r}{nearest(text, words)}")
        return text

    return check


def _enum(words: Sequence[str]) -> dict[str, Any]:
    return {"enum": list(words)}


def _listed(given: object) -> object:
    """One value may stand without brackets."""
    if isinstance(given, list):
        return tuple(given)
    return (given,) if isinstance(given, str) else given


def _percent(given: object) -> object:
    if isinstance(given, str):
        if given not in CONFIDENCES:
            raise ValueError(f"unknown confidence {given!r}{nearest(given, CONFIDENCES)}")
        return CONFIDENCES[given]
    return given


EffectWord = Annotated[str, AfterValidator(_one_of("effect", EFFECTS)), Field(json_schema_extra=_enum(EFFECTS))]
Question = Annotated[
    str, AfterValidator(_one_of("question", QUESTIONS)), Field(json_schema_extra=_enum(QUESTIONS))
]
PlaceWord = Annotated[Place, BeforeValidator(_one_of("place", PLACES)), Field(json_schema_extra=_enum(PLACES))]
StageWord = Annotated[str, AfterValidator(_one_of("stage", STAGES)), Field(json_schema_extra=_enum(STAGES))]
DeterminationWord = Annotated[
    str, AfterValidator(_one_of("determination", DETERMINATIONS)), Field(json_schema_extra=_enum(DETERMINATIONS))
]
MeansWord = Annotated[str, AfterValidator(_one_of("means", MEANS)), Field(json_schema_extra=_enum(MEANS))]
ActorWord = Annotated[
    str, AfterValidator(_one_of("actor type", ACTOR_TYPES)), Field(json_schema_extra=_enum(ACTOR_TYPES))
]
MotiveWord = Annotated[str, AfterValidator(_one_of("motive", MOTIVES)), Field(json_schema_extra=_enum(MOTIVES))]
CauseWord = Annotated[
    str, AfterValidator(_one_of("root cause", ROOT_CAUSES)), Field(json_schema_extra=_enum(ROOT_CAUSES))
]
ClaimantWord = Annotated[
    str, AfterValidator(_one_of("claimant", CLAIMED_BY)), Field(json_schema_extra=_enum(CLAIMED_BY))
]
FormWord = Annotated[
    str, AfterValidator(_one_of("form of dates", DATE_FORMS)), Field(json_schema_extra=_enum(DATE_FORMS))
]
BasisWord = Annotated[str, AfterValidator(_one_of("basis", BASES)), Field(json_schema_extra=_enum(BASES))]


def _some(item: MappingOf[str, Any]) -> WithJsonSchema:
    """In the schema: one such value, or a list of them."""
    return WithJsonSchema({"anyOf": [dict(item), {"type": "array", "items": dict(item)}]})


_TEXT = {"type": "string", "minLength": 1}
Signs = Annotated[
    tuple[Annotated[str, Field(pattern=_SIGN)], ...],
    BeforeValidator(_listed),
    _some({"type": "string", "pattern": _SIGN}),
]
Paths = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed), Field(min_length=1), _some(_TEXT)
]
Words = Annotated[tuple[str, ...], BeforeValidator(_listed), _some(_TEXT)]
Phrases = Annotated[
    tuple[Annotated[str, Field(pattern=r"\w")], ...],
    BeforeValidator(_listed),
    _some({"type": "string", "pattern": r"\w"}),
]
MeansWords = Annotated[tuple[MeansWord, ...], BeforeValidator(_listed), _some(_enum(MEANS))]
MotiveWords = Annotated[tuple[MotiveWord, ...], BeforeValidator(_listed), _some(_enum(MOTIVES))]
Confidence = Annotated[
    int,
    BeforeValidator(_percent),
    Field(ge=0, le=100),
    WithJsonSchema({"anyOf": [_enum(tuple(CONFIDENCES)), {"type": "integer", "minimum": 0, "maximum": 100}]}),
]
AnswerWords = Annotated[
    MappingOf[Question, Literal["yes", "no", "unknown"]],
    Field(json_schema_extra={"propertyNames": {"enum": list(QUESTIONS)}}),
]


class Clause(Strict):
    """What is said of an incident, when its conditions on signs hold (all of `if`, none of `unless`)."""

    if_: Signs = Field(default=(), alias="if")
    unless: Signs = ()
    answers: AnswerWords = Field(default_factory=dict)
    not_cyber: Literal[True] | None = Field(default=None, alias="not-cyber")
    effect: EffectWord | None = None
    place: PlaceWord | None = None
    weight: Literal["decides", "supports", "hints"] = "decides"
    confidence: Confidence | None = None
    at_most: Confidence | None = Field(default=None, alias="at-most")
    stage: StageWord | None = None
    determination: DeterminationWord | None = None
    means: MeansWords = ()
    actor_type: ActorWord | None = Field(default=None, alias="actor-type")
    motives: MotiveWords = ()
    root_cause: CauseWord | None = Field(default=None, alias="root-cause")
    claimed_by: ClaimantWord | None = Field(default=None, alias="claimed-by")
    review: str | None = None
    because: str | None = None


class Row(Clause):
    """The meaning of some values. Its own words count, and of `cases` the first that holds."""

    values: Annotated[Words, Field(min_length=1)]
    signs: Signs = ()
    cases: Annotated[tuple[Clause, ...], Field(strict=False)] = ()


class Table(Strict):
    """Rows for the values found at some paths; with `keys`, for the names of the members there."""

    of: Paths
    keys: bool = False
    ground: Annotated[str, Field(min_length=1)]
    basis: BasisWord = "mapped"
    rows: Annotated[tuple[Row, ...], Field(strict=False, min_length=1)]


class Told(Strict):
    """Words that some text at these paths must hold, in whatever case, and words that none may hold.

    A blank in a word stands for up to three signs that are no letters or digits, or for none: `third party` finds
    `third-party`, `ransom ware` also `ransomware`.
    """

    of: Paths
    any: Annotated[Phrases, Field(min_length=1)]
    none: Phrases = ()


class Rule(Clause):
    """What no table can say. Rules are read in order; each sees the signs of the tables and of those before it."""

    id: Annotated[str, Field(pattern=_SIGN)]
    told: Told | None = None
    when: str | None = None
    signs: Signs = ()
    cases: Annotated[tuple[Clause, ...], Field(strict=False)] = ()


class MomentAt(Strict):
    """Where a time is: as one text (`date`), or in parts. What is missing or unknown makes it coarser.

    `form`: how dates are written there, beside `YYYY-MM-DD`, which is always understood. `unknown`: words that say
    that nobody knows. A clock time without a zone counts as UTC.
    """

    date: str | None = None
    form: FormWord = "YYYY-MM-DD"
    year: str | None = None
    month: str | None = None
    day: str | None = None
    unknown: Words = ()


class CodesAt(Strict):
    """Where codes are, the lookup that knows them, words that stand for codes, and what says that nobody knows."""

    of: Paths
    lookup: str
    words: str | None = None
    unknown: Words = ()


class CountAt(Strict):
    """Where a number is, and what to add to it (the record's own victim beside those counted)."""

    of: str
    add: int = 0


class SharedText(Strict):
    """A text that the source wrote to be shared."""

    of: str
    meant_for_sharing: Literal[True] = Field(alias="meant-for-sharing")


class IndicatorsAt(Strict):
    """Where addresses, domains, URLs or hashes are, and whose they are."""

    of: Paths
    side: Literal["victim", "attacker"]


class Values(Strict):
    """Where the plain values of an incident are found."""

    occurred: MomentAt | None = None
    occurred_end: MomentAt | None = Field(default=None, alias="occurred-end")
    detected: MomentAt | None = None
    known: MomentAt | None = None
    contained: MomentAt | None = None
    restored: MomentAt | None = None
    sectors: CodesAt | None = None
    countries: CodesAt | None = None
    victim: Paths | None = None
    reporter: Paths | None = None
    victim_count: CountAt | None = Field(default=None, alias="victim-count")
    persons_affected: CountAt | None = Field(default=None, alias="persons-affected")
    description: SharedText | None = None
    tlp: str | None = None
    indicators: Annotated[tuple[IndicatorsAt, ...], Field(strict=False)] = ()


class ReadAt(Strict):
    """How the format is read: for a table, the columns that hold the id, and the delimiter if it is fixed.

    `optional`: columns that a table may lack, or `true` for all; a table without another column that the mapping
    reads is refused.
    """

    id: Words = ()
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    optional: bool | Words = ()


class MappingFile(Strict):
    """The whole of a mapping file."""

    mapping: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    version: Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")]
    format: str
    description: str
    read: ReadAt = ReadAt()
    split: str | None = None
    lookups: MappingOf[str, str | dict[str, Any]] = Field(default_factory=dict)
    tables: Annotated[tuple[Table, ...], Field(strict=False)] = ()
    rules: Annotated[tuple[Rule, ...], Field(strict=False)] = ()
    values: Values = Values()
    local: Words = ()
    closed: bool = False


def _each(at: Path, paths: Sequence[str]) -> Iterator[tuple[Path, str]]:
    return (((*at, number), path) for number, path in enumerate(paths))


def every_path(file: MappingFile) -> Iterator[tuple[Path, str]]:
    """Every path that tables, values and words in texts read, with its place in the file."""
    for number, table in enumerate(file.tables):
        yield from _each(("tables", number, "of"), table.of)
    for number, rule in enumerate(file.rules):
        if rule.told is not None:
            yield from _each(("rules", number, "told", "of"), rule.told.of)
    yield from value_paths(file.values)


def value_paths(values: Values) -> Iterator[tuple[Path, str]]:
    """Every path that the `values` of a mapping read, with its place in the file."""
    for name, info in Values.model_fields.items():
        at: Path = ("values", info.alias or name)
        match getattr(values, name):
            case None:
                continue
            case MomentAt() as moment:
                parts = (
                    ("date", moment.date),
                    ("year", moment.year),
                    ("month", moment.month),
                    ("day", moment.day),
                )
                yield from (((*at, part), path) for part, path in parts if path)
            case tuple() as several:
                for number, one in enumerate(several):
                    if isinstance(one, IndicatorsAt):
                        yield from _each((*at, number, "of"), one.of)
                    else:
                        yield (*at, number), one
            case str() as path:
                yield at, path
            case CodesAt() | CountAt() | SharedText() as one:
                yield from _each((*at, "of"), (one.of,) if isinstance(one.of, str) else one.of)
