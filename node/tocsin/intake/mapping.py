"""Mapping: a YAML file that says what the values of one format mean, read with the line of every fault.

The language is small on purpose and described for its authors in `mappings/README.md`. Tables give a meaning to
each value of a field; rules (CEL over the record `i` and the `signs` that tables set) say what no table can.
Nothing is weighed here: `translate` does that. `mappings/mapping.schema.json` is the same language for editors,
made from the models below.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from tocsin.documents import Document, Path, Strict, nearest, parse, read_document
from tocsin.errors import BadFile, BadInput, NotFound, Problem
from tocsin.intake.formats import FORMATS, Format, Reading
from tocsin.policy.expression import Expression, Function, Kind, compile_expression, lookup
from tocsin.resources import data_dir
from tocsin.settings import Home
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
VARIABLES: MappingOf[str, Kind] = {"i": "any", "signs": "strings"}
ReadText = Callable[[str], str]
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

    @property
    def level(self) -> int:
        return WEIGHTS[self.weight]

    @property
    def percent(self) -> int:
        return CONFIDENCES["high"] if self.confidence is None else self.confidence

    def holds(self, signs: Iterable[str]) -> bool:
        found = set(signs)
        return found.issuperset(self.if_) and found.isdisjoint(self.unless)


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


class Rule(Clause):
    """What no table can say. Rules are read in order; each sees the signs of the tables and of those before it."""

    id: Annotated[str, Field(pattern=_SIGN)]
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


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping that was read and checked: what `translate` works with."""

    file: MappingFile
    key: str  # the name of its file: what a person calls the format in `tocsin import FORMAT`
    rows: tuple[MappingOf[str, Row], ...] = field(repr=False)  # per table, by value in lower case
    expressions: MappingOf[str, Expression] = field(repr=False)  # per rule that has a `when`
    lookups: MappingOf[str, MappingOf[str, Any]] = field(repr=False)  # by name; keys in lower case
    needed: MappingOf[str, str] = field(repr=False)  # columns that a table must have, with file:line

    @property
    def name(self) -> str:
        return self.file.mapping

    @property
    def label(self) -> str:
        """`name@version`: what an incident says it was classified with."""
        return f"{self.file.mapping}@{self.file.version}"

    @property
    def reader(self) -> Format:
        return FORMATS[self.file.format]

    @property
    def reading(self) -> Reading:
        return Reading(self.file.read.id, self.file.read.delimiter, self.needed)

    def knows(self, path: str, value: str) -> bool:
        """Whether some row gives a meaning to this value at this path."""
        return any(
            value.casefold() in rows
            for table, rows in zip(self.file.tables, self.rows, strict=True)
            if path in table.of
        )


def read_mapping(text: str, name: str, read_lookup: ReadText | None = None) -> Mapping:
    """A mapping from its text. `read_lookup(file)` gives the text of a lookup file; without it, the shipped ones.

    Raises BadFile with the line of each fault: misspelt and repeated keys, unknown effects, broken CEL, signs
    that nothing sets, a value given twice.
    """
    document = read_document(text, name)
    file = parse(MappingFile, document)
    problems = [*_check_format(file, document), *_check_signs(file, document)]
    rows = tuple(_by_value(file, index, document, problems) for index in range(len(file.tables)))
    lookups = _read_lookups(file, document, read_lookup or shipped_text, problems)
    expressions = _compile(file, document, lookups, problems)
    if problems:
        raise BadFile(problems)
    return Mapping(file, PurePath(name).stem, rows, expressions, lookups, _needed(file, document))


def load_mapping(format_: str, home: Home | None = None) -> Mapping:
    """The mapping of a format: `mappings/<format>.yaml` of the home where there is one, else the shipped one.

    Raises NotFound for a format without a mapping, BadFile for a faulty one.
    """
    file = f"{format_}.yaml"
    if home is not None and (home.mappings / file).is_file():
        return read_mapping(_own_text(home, file), f"mappings/{file}", partial(_own_text, home))
    if format_ not in shipped():
        there = ", ".join(shipped())
        raise NotFound(f"no mapping for {format_!r}{nearest(format_, shipped())} (there are: {there})")
    return _shipped_mapping(format_)


def shipped() -> tuple[str, ...]:
    """The formats that come with a mapping."""
    names = (entry.name for entry in data_dir("mappings").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def shipped_text(file: str) -> str:
    """The text of a file in `mappings/`. Raises NotFound."""
    try:
        return data_dir("mappings").joinpath(*file.split("/")).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as why:
        raise NotFound(f"no file mappings/{file}") from why


def schema() -> dict[str, Any]:
    """The language as JSON Schema, for editors: the content of `mappings/mapping.schema.json`."""
    made = MappingFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


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


@cache
def _shipped_mapping(format_: str) -> Mapping:
    return read_mapping(shipped_text(f"{format_}.yaml"), f"mappings/{format_}.yaml")


def _own_text(home: Home, file: str) -> str:
    own = home.mappings / file
    if not own.is_file():
        return shipped_text(file)
    try:
        return own.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as why:
        raise BadFile([Problem(f"mappings/{file}", f"cannot be read: {why}")]) from why


def _check_format(file: MappingFile, document: Document) -> Iterator[Problem]:
    if file.format not in FORMATS:
        text = f"unknown format {file.format!r}{nearest(file.format, FORMATS)}"
        yield document.problem(("format",), text)
    if file.format == "csv" and not file.read.id:
        text = "read.id: name the columns that hold the id of a record (the number of a row is none)"
        yield document.problem(("read", "id"), text)
    if file.split is not None and not file.split.strip():
        yield document.problem(("split",), "split: a sign that is not a space")
    if not isinstance(file.read.optional, bool):
        known = {path for _, path in _paths(file)}
        for column in file.read.optional:
            if column not in known:
                text = f"optional: nothing reads the column {column!r}{nearest(column, known)}"
                yield document.problem(("read", "optional"), text)


def _paths(file: MappingFile) -> Iterator[tuple[Path, str]]:
    """Every path that tables and values read, with its place in the file."""
    for number, table in enumerate(file.tables):
        yield from _each(("tables", number, "of"), table.of)
    yield from value_paths(file.values)


def _each(at: Path, paths: Sequence[str]) -> Iterator[tuple[Path, str]]:
    return (((*at, number), path) for number, path in enumerate(paths))


def _needed(file: MappingFile, document: Document) -> MappingOf[str, str]:
    """The columns that a table must have, each with the place that reads it first."""
    optional = file.read.optional
    if file.format != "csv" or optional is True:
        return {}
    found: dict[str, str] = {}
    for at, path in _paths(file):
        if not optional or path not in optional:
            found.setdefault(path, document.place(at))
    return found


def _clauses(file: MappingFile) -> Iterator[tuple[Path, Clause]]:
    """Every clause with its place in the file."""
    for number, table in enumerate(file.tables):
        for index, row in enumerate(table.rows):
            yield from _with_cases(("tables", number, "rows", index), row)
    for number, rule in enumerate(file.rules):
        yield from _with_cases(("rules", number), rule)


def _with_cases(path: Path, owner: Row | Rule) -> Iterator[tuple[Path, Clause]]:
    yield path, owner
    for index, case in enumerate(owner.cases):
        yield (*path, "cases", index), case


def _check_signs(file: MappingFile, document: Document) -> Iterator[Problem]:
    known = {sign for _, clause in _clauses(file) if isinstance(clause, Row | Rule) for sign in clause.signs}
    for path, clause in _clauses(file):
        for key, signs in (("if", clause.if_), ("unless", clause.unless)):
            for sign in signs:
                if sign not in known:
                    text = f"{key}: nothing sets the sign {sign!r}{nearest(sign, known)}"
                    yield document.problem((*path, key), text)


def _by_value(file: MappingFile, number: int, document: Document, problems: list[Problem]) -> MappingOf[str, Row]:
    found: dict[str, Row] = {}
    for index, row in enumerate(file.tables[number].rows):
        for position, value in enumerate(row.values):
            if value.casefold() in found:
                path = ("tables", number, "rows", index, "values", position)
                problems.append(document.problem(path, f"the value {value!r} has a row already"))
            found[value.casefold()] = row
    return found


def _read_lookups(
    file: MappingFile, document: Document, read_lookup: ReadText, problems: list[Problem]
) -> MappingOf[str, MappingOf[str, Any]]:
    found: dict[str, MappingOf[str, Any]] = {}
    for name, given in file.lookups.items():
        if isinstance(given, dict):
            found[name] = _by_key(given, document, ("lookups", name), problems)
            continue
        try:
            own = read_document(read_lookup(f"lookups/{given}"), f"mappings/lookups/{given}")
        except NotFound as why:
            problems.append(document.problem(("lookups", name), str(why)))
            continue
        except BadInput as why:
            problems.extend(why.problems)
            continue
        if not isinstance(own.value, dict):
            problems.append(document.problem(("lookups", name), f"{given}: keys and values are expected"))
            continue
        found[name] = _by_key(own.value, own, (), problems)
    for key in ("sectors", "countries"):
        wanted = getattr(file.values, key)
        names = {} if wanted is None else {"lookup": wanted.lookup, "words": wanted.words}
        for place, name in names.items():
            if name is not None and name not in file.lookups:
                text = f"no lookup {name!r}{nearest(name, file.lookups)}"
                problems.append(document.problem(("values", key, place), text))
    return found


def _by_key(
    content: MappingOf[Any, Any], document: Document, at: Path, problems: list[Problem]
) -> MappingOf[str, Any]:
    """A lookup by its keys in lower case, since values match without regard to it."""
    found: dict[str, Any] = {}
    first: dict[str, Any] = {}
    for key, value in content.items():
        folded = str(key).casefold()
        if folded in first:
            place = document.place((*at, first[folded]))
            text = f"the key {str(key)!r} is there already, at {place} (upper and lower case are one)"
            problems.append(document.problem((*at, key), text))
            continue
        first[folded] = key
        found[folded] = value
    return found


def _lookup(lookups: MappingOf[str, MappingOf[str, Any]]) -> Function:
    """`lookup(table, key)` for rules: the key matches without regard to case, as everywhere in a mapping."""
    exact = lookup(lookups)
    return replace(exact, call=lambda table, key: exact.call(table, key.casefold()))


def _compile(
    file: MappingFile, document: Document, lookups: MappingOf[str, MappingOf[str, Any]], problems: list[Problem]
) -> MappingOf[str, Expression]:
    found: dict[str, Expression] = {}
    seen: set[str] = set()
    functions = (_lookup(lookups),)
    for number, rule in enumerate(file.rules):
        if rule.id in seen:
            problems.append(document.problem(("rules", number, "id"), f"the rule {rule.id!r} is there twice"))
        seen.add(rule.id)
        if rule.when is None:
            continue
        place = document.place(("rules", number, "when"))
        try:
            found[rule.id] = compile_expression(
                rule.when, VARIABLES, place=place, functions=functions, returns="bool"
            )
        except BadFile as why:
            problems.extend(why.problems)
    return found
