"""Mapping: a YAML file that says what the values of one format mean, read with the line of every fault.

The language (`language`) is small on purpose. Tables give a meaning to each value of a field; rules (words in a
text, and CEL over the record `i` and the `signs` that tables set) say what no table can. Nothing is weighed here:
`translate` does that.
"""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import PurePath
from typing import Any

from tocsin.documents import Document, Path, nearest, parse, read_document
from tocsin.errors import BadFile, BadInput, NotFound, Problem
from tocsin.intake.formats import FORMATS, Format, Reading
from tocsin.intake.language import Clause, MappingFile, Row, Rule, every_path
from tocsin.intake.plan import Plan
from tocsin.policy.expression import Expression, Function, Kind, compile_expression, lookup
from tocsin.resources import data_dir
from tocsin.settings import Home

VARIABLES: MappingOf[str, Kind] = {"i": "any", "signs": "strings"}
ReadText = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping that was read and checked: what `translate` works with."""

    file: MappingFile
    key: str  # the name of its file: what a person calls the format in `tocsin import FORMAT`
    rows: tuple[MappingOf[str, Row], ...] = field(repr=False)  # per table, by value in lower case
    plan: Plan = field(repr=False)
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
    return Mapping(
        file, PurePath(name).stem, rows, Plan(file, rows, expressions), lookups, _needed(file, document)
    )


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
        known = {path for _, path in every_path(file)}
        for column in file.read.optional:
            if column not in known:
                text = f"optional: nothing reads the column {column!r}{nearest(column, known)}"
                yield document.problem(("read", "optional"), text)


def _needed(file: MappingFile, document: Document) -> MappingOf[str, str]:
    """The columns that a table must have, each with the place that reads it first."""
    optional = file.read.optional
    if file.format != "csv" or optional is True:
        return {}
    found: dict[str, str] = {}
    for at, path in every_path(file):
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
