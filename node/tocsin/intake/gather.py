"""Gather: what the tables, rules and values of a mapping find in one record, before anything is weighed."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from tocsin.errors import BadInput
from tocsin.intake.mapping import DATE_FORMS, CodesAt, CountAt, Mapping, MomentAt, Row, Rule, value_paths
from tocsin.intake.observables import observable
from tocsin.intake.weigh import Said
from tocsin.policy.expression import Data, ExpressionFailed, prepare
from tocsin.stix.effects import NIS2_SECTORS, Fidelity
from tocsin.stix.incident import Estimate, Moment, Period, Times, moment, moment_of
from tocsin.stix.markings import Tlp, tlp_from_word


@dataclass(frozen=True, slots=True)
class Applied:
    """One value of the translation, the rule that gave it, and the value of the source that the rule saw."""

    field: str
    rule: str
    path: str
    value: str


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A value of the source that the mapping does not know."""

    path: str
    value: str


@dataclass(frozen=True, slots=True)
class Observable:
    """An address, domain, URL, mail address or hash, and whose it is (`victim` or `attacker`)."""

    value: str
    side: str


_NIS2 = re.compile(rf"^nis2:({'|'.join(NIS2_SECTORS)})(/[a-z][a-z0-9-]{{0,62}})?$")
# a date by the part it begins with; `-` stands for the sign between the parts, and only the year must be there
_DATE_BY_FIRST_PART = {
    "D": r"(?:(?:(?P<day>\d{1,2})-)?(?P<month>\d{1,2})-)?(?P<year>\d{4})",
    "M": r"(?:(?P<month>\d{1,2})-(?:(?P<day>\d{1,2})-)?)?(?P<year>\d{4})",
    "Y": r"(?P<year>\d{4})(?:-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?)?",
}
_DATES = {
    form: re.compile(
        _DATE_BY_FIRST_PART[form[0]].replace("-", re.escape(form.strip("DMY")[0])) + r"(?:,?[ T](?P<clock>.+))?",
        re.ASCII,
    )
    for form in DATE_FORMS
}
_FIRST_YEAR = 1950  # an earlier year is a slip of the pen: there was nothing to attack


class Gathered:
    """What the tables, rules and values of one mapping find in one record. Lives for one translation."""

    def __init__(self, record: MappingOf[str, Any], mapping: Mapping) -> None:
        self.record = record
        self.mapping = mapping
        self.data = prepare({"i": record})
        self.applied: list[Applied] = []
        self.unmapped: list[Unmapped] = []
        self.unknown_words: list[Unmapped] = []  # those that a table or a lookup should have known
        self.failures: list[str] = []  # why a person should look, beside what was weighed

    def everything(self) -> list[Said]:
        """Every clause that holds, once all signs are known."""
        found = list(self._rows())
        signs = {sign for _, row in found for sign in row.signs}
        held = []
        for rule in self.mapping.file.rules:
            if rule.holds(signs) and self._when(rule, signs):
                signs |= set(rule.signs)
                held.append(rule)
        said = [one for template, row in found for one in self._said(template, row, signs)]
        for rule in held:
            template = Said(rule, f"{self.mapping.name}:{rule.id}", "", "", "rule", "mapped")
            said += self._said(template, rule, signs)
        return said

    def _rows(self) -> Iterator[tuple[Said, Row]]:
        for table, rows in zip(self.mapping.file.tables, self.mapping.rows, strict=True):
            for path in table.of:
                for where, value in _found(self.record, path, self.mapping.file.split, names=table.keys):
                    row = rows.get(value.casefold())
                    if row is None:
                        self.unknown_words.append(Unmapped(where, value))
                        continue
                    rule = _rule_id(self.mapping.name, path, value)
                    basis: Any = table.basis
                    yield Said(row, rule, where, value, table.ground, basis), row

    def _said(self, template: Said, owner: Row | Rule, signs: set[str]) -> Iterator[Said]:
        if not owner.holds(signs):
            return
        yield template
        case = next((case for case in owner.cases if case.holds(signs)), None)
        if case is not None:
            yield replace(template, clause=case)

    def _when(self, rule: Rule, signs: set[str]) -> bool:
        expression = self.mapping.expressions.get(rule.id)
        if expression is None:
            return True
        try:
            return bool(expression.value(Data({**self.data.values, "signs": sorted(signs)})))
        except ExpressionFailed as why:
            self.failures.append(f"the rule {rule.id} could not be applied: {why}")
            return False

    def texts(self, field: str, paths: Sequence[str] | None) -> tuple[str, ...]:
        """The texts at these paths, each once; what means that nobody knows is left out."""
        found = []
        for path in paths or ():
            for where, text in _found(self.record, path, self.mapping.file.split):
                if text.casefold() not in ("unknown", "na", "n/a", "none", "not available"):
                    found.append(text)
                    self._note(field, where, text)
        return tuple(dict.fromkeys(found))

    def countries(self) -> tuple[str, ...]:
        at = self.mapping.file.values.countries
        if at is None:
            return ()
        return tuple(sorted({code for _, code in self._codes("countries", at) if code}))

    def sectors(self) -> tuple[str, ...]:
        """NAICS codes as given, and the NIS2 sectors that they lie in; the longest code first."""
        at = self.mapping.file.values.sectors
        if at is None:
            return ()
        table = self.mapping.lookups[at.lookup]
        words = self.mapping.lookups[at.words] if at.words else {}
        codes, sectors = [], []
        for where, value in self._given(at):
            meant = str(words.get(value.casefold(), value)).casefold()
            plain = meant.removeprefix("naics:").strip()
            if _NIS2.match(meant):
                sectors.append(meant)
            elif key := _longest_beginning(plain, table):
                codes.append(f"naics:{plain}")
                sectors += [f"nis2:{table[key]}"] if table[key] else []
            else:
                self.unknown_words.append(Unmapped(where, value))
                continue
            self._note("sectors", where, value)
        codes.sort(key=len, reverse=True)
        return tuple(dict.fromkeys([*codes, *sectors]))

    def _codes(self, field: str, at: CodesAt) -> Iterator[tuple[str, str]]:
        table = self.mapping.lookups[at.lookup]
        for where, value in self._given(at):
            code = table.get(value.casefold())
            if code is None:
                self.unknown_words.append(Unmapped(where, value))
                continue
            self._note(field, where, value)
            yield where, str(code)

    def _given(self, at: CodesAt) -> Iterator[tuple[str, str]]:
        unknown = {word.casefold() for word in at.unknown}
        for path in at.of:
            for where, value in _found(self.record, path, self.mapping.file.split):
                if value.casefold() not in unknown:
                    yield where, value

    def count(self, field: str, at: CountAt | None) -> int | None:
        """A whole number from 0, plus what the mapping adds; anything else is listed as not mapped."""
        if at is None:
            return None
        for where, text in _found(self.record, at.of, None):
            whole = text.removesuffix(".0")
            if whole.isascii() and whole.isdigit() and len(whole) <= 15:
                self._note(field, where, text)
                return int(whole) + at.add
            if text.casefold() not in ("unknown", "na"):
                self.unmapped.append(Unmapped(where, text))
        return None

    def estimate(self, field: str, at: CountAt | None) -> Estimate | None:
        best = self.count(field, at)
        return None if best is None else Estimate(best=best)

    def times(self) -> Times:
        values = self.mapping.file.values
        start = self._moment("occurred", values.occurred)
        end = self._moment("occurred-end", values.occurred_end)
        if start and end and end.latest() < start.earliest():
            self.unmapped.append(Unmapped("occurred-end", end.value))
            end = None
        return Times(
            occurred=Period(start, end) if start or end else None,
            detected=self._moment("detected", values.detected),
            known=self._moment("known", values.known),
            contained=self._moment("contained", values.contained),
            restored=self._moment("restored", values.restored),
        )

    def _moment(self, field: str, at: MomentAt | None) -> Moment | None:
        if at is None:
            return None
        where, text = self._parted(at) if at.date is None else self._first(at.date, at.unknown)
        if not text:
            return None
        found, known = _read_parts(text) if at.date is None else _read_date(text, at.form)
        if known != text:
            self.unmapped.append(Unmapped(where, text))
        if found is None:
            self.failures.append(f"{where} = {text!r} cannot be read as a date")
            return None
        self._note(field, where, known)
        return found

    def _first(self, path: str, unknown: Sequence[str]) -> tuple[str, str]:
        """The first text at a path, with its place; "" if there is none, or if it says that nobody knows."""
        where, text = next(_found(self.record, path, None), (path, ""))
        return where, "" if text.casefold() in {word.casefold() for word in unknown} else text

    def _parted(self, at: MomentAt) -> tuple[str, str]:
        """The parts of a time as one text that ends where knowledge ends. A part of 0 says that nobody knows."""
        text = ""
        for path, sign, width in ((at.year, "", 4), (at.month, "-", 2), (at.day, "-", 2)):
            where, part = self._first(path, at.unknown) if path else ("", "")
            part = part.removesuffix(".0")
            if not (part.isascii() and part.isdigit()):
                if part and not text:
                    return where, part
                if part:
                    self.unmapped.append(Unmapped(where, part))
                break
            if not int(part):
                break
            text += f"{sign}{part:0>{width}}"
        return at.year or "", text

    def description(self) -> str | None:
        at = self.mapping.file.values.description
        if at is None:
            return None
        found = [text for _, text in _found(self.record, at.of, None)]
        return found[0] if found else None

    def observables(self) -> tuple[Observable, ...]:
        found = []
        for at in self.mapping.file.values.indicators:
            for path in at.of:
                for where, text in _found(self.record, path, self.mapping.file.split):
                    if observable(text) is None:
                        self.unmapped.append(Unmapped(where, text))
                        continue
                    found.append(Observable(text, at.side))
                    self._note("observables", where, text)
        return tuple(dict.fromkeys(found))

    def tlp(self) -> Tlp | None:
        path = self.mapping.file.values.tlp
        for where, text in _found(self.record, path, None) if path else ():
            try:
                level = tlp_from_word(text)
            except BadInput:
                # a marking that is not understood is never loosened
                self.unmapped.append(Unmapped(where, text))
                self.failures.append(f"the TLP {text!r} is not understood; it counts as red")
                return Tlp.RED
            self._note("tlp", where, text)
            return level
        return None

    def note_unknown_members(self) -> None:
        """For a closed format: members of the record that the mapping neither reads nor leaves on purpose."""
        file = self.mapping.file
        if not file.closed:
            return
        known = (
            {path for table in file.tables for path in table.of}
            | set(file.local)
            | {path for _, path in value_paths(file.values)}
        )
        for name in self.record:
            if name not in known and name not in file.read.id:
                self.unmapped.append(Unmapped(name, ""))

    def _note(self, field: str, path: str, value: str) -> None:
        self.applied.append(Applied(field, f"{self.mapping.name}:{field}", path, value))


def _rule_id(mapping: str, path: str, value: str) -> str:
    """The id of a row: mapping, path, value, in the signs that the effects extension allows in a rule's id."""
    plain = re.sub(r"[^A-Za-z0-9._:/+]+", "-", f"{path}/{value}").strip("-")
    if path.isascii() and value.isascii():
        return f"{mapping}:{plain}"[:100]
    digest = hashlib.sha256(f"{path}/{value.casefold()}".encode()).hexdigest()[:8]
    return f"{mapping}:{plain[:60]}-{digest}"


def _read_date(text: str, form: str) -> tuple[Moment | None, str]:
    """A written time, and its text if it could be read. It is never cut: nobody can tell which part is wrong."""
    try:
        found = _moment_from(_turned(text, form))
    except BadInput:
        return None, ""
    return (found, text) if found.earliest().year >= _FIRST_YEAR else (None, "")


def _read_parts(text: str) -> tuple[Moment | None, str]:
    """A time made of parts, and as much of it as could be read: of an impossible day the month is left."""
    known = text
    while known:
        found, read = _read_date(known, "YYYY-MM-DD")
        if found is not None:
            return found, read
        known = known.rpartition("-")[0]
    return None, ""


def _turned(text: str, form: str) -> str:
    """A date in a form of the mapping, written as `YYYY-MM-DD`; another text stays as it is."""
    found = _DATES[form].fullmatch(text)
    if found is None:
        return text
    day = "-".join(f"{found[part]:0>2}" for part in ("year", "month", "day") if found[part])
    return f"{day} {found['clock']}" if found["clock"] else day


def _moment_from(text: str) -> Moment:
    """A time as texts write it: `2024`, `2024-03`, `2024-03-05`, or with a clock time (and its zone; UTC else)."""
    day, sign, clock = text.replace(" ", "T", 1).partition("T")
    if not sign:
        return moment(day)
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}")
    except ValueError as why:
        raise BadInput(f"{text[:40]!r} is not a time") from why
    if instant.tzinfo is None:
        instant = datetime.fromisoformat(f"{day}T{clock}Z")
    plain = clock.partition("+")[0].partition("-")[0].rstrip("Zz")
    known: tuple[Fidelity, ...] = ("hour", "minute", "second")
    return moment_of(instant, known[min(plain.count(":"), 2)])


def _longest_beginning(code: str, table: MappingOf[str, Any]) -> str | None:
    """The longest key of the table that this NAICS code (2 to 6 digits) begins with."""
    if not (code.isascii() and code.isdigit() and 2 <= len(code) <= 6):
        return None
    return next((code[:end] for end in range(len(code), 1, -1) if code[:end] in table), None)


def _found(record: Any, path: str, split: str | None, *, names: bool = False) -> Iterator[tuple[str, str]]:
    """Every text at a path, with its exact place; lists are entered at any step, numbers become text.

    A member whose whole name is the path comes first: columns of a table may have dots in their names.
    """
    if isinstance(record, MappingOf) and path in record and not names:
        leaves: Iterator[tuple[str, Any]] = iter([(path, record[path])])
    else:
        leaves = _descend(record, path.split("."), "")
    for where, leaf in leaves:
        if names:
            if isinstance(leaf, MappingOf):
                yield from ((f"{where}.{name}", str(name)) for name in leaf)
            continue
        for place, text in _texts(leaf, where):
            parts = text.split(split) if split else [text]
            yield from ((place, part.strip()) for part in parts if part.strip())


def _descend(node: Any, steps: Sequence[str], where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _descend(item, steps, f"{where}[{index}]")
    elif not steps:
        yield where, node
    elif isinstance(node, MappingOf) and steps[0] in node:
        yield from _descend(node[steps[0]], steps[1:], f"{where}.{steps[0]}" if where else steps[0])


def _texts(leaf: Any, where: str) -> Iterator[tuple[str, str]]:
    match leaf:
        case str():
            yield where, leaf
        case bool():
            yield where, "true" if leaf else "false"
        case int() | float() | Decimal():
            yield where, str(leaf)
        case list():
            for index, item in enumerate(leaf):
                yield from _texts(item, f"{where}[{index}]")
        case _:
            return
