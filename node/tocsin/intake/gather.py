"""Gather: what the tables, rules and values of a mapping find in one record, before anything is weighed."""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tocsin.errors import BadInput
from tocsin.intake.dates import read_date, read_parts
from tocsin.intake.language import CodesAt, CountAt, MomentAt
from tocsin.intake.mapping import Mapping
from tocsin.intake.observables import observable
from tocsin.intake.plan import Hit, PlannedRule
from tocsin.intake.statement import Applied, Said, Unmapped
from tocsin.policy.expression import ExpressionFailed
from tocsin.stix.effects import NIS2_SECTORS
from tocsin.stix.incident import Estimate, Moment, Period, Times
from tocsin.stix.markings import Tlp, tlp_from_word


@dataclass(frozen=True, slots=True)
class Observable:
    """An address, domain, URL, mail address or hash, and whose it is (`victim` or `attacker`)."""

    value: str
    side: str


_NIS2 = re.compile(rf"^nis2:({'|'.join(NIS2_SECTORS)})(/[a-z][a-z0-9-]{{0,62}})?$")
_NOBODY_KNOWS = frozenset({"unknown", "na", "n/a", "none", "not available"})


class Gathered:
    """What the tables, rules and values of one mapping find in one record. Lives for one translation."""

    def __init__(self, record: MappingOf[str, Any], mapping: Mapping) -> None:
        self.record = record
        self.mapping = mapping
        self.found = mapping.plan.walk(record)
        self.applied: list[Applied] = []
        self.unmapped: list[Unmapped] = []
        self.unknown_words: list[Unmapped] = []  # those that a table or a lookup should have known
        self.failures: list[str] = []  # why a person should look, beside what was weighed

    def everything(self) -> list[Said]:
        """Every statement that holds, once all signs are known."""
        hits = self._hits()
        signs: set[str] = set()
        for hit in hits:
            signs |= hit.owner.signs
        for rule in self.mapping.plan.rules:
            if rule.if_ <= signs and rule.unless.isdisjoint(signs) and self._holds(rule, signs):
                signs |= rule.hit.owner.signs
                hits.append(rule.hit)
        said: list[Said] = []
        for hit in hits:
            if hit.always:
                said.append(hit.own)
            else:
                said.extend(hit.said(signs))
        return said

    def _hits(self) -> list[Hit]:
        found, sources = self.found, self.mapping.plan.sources
        hits = []
        for use in sorted(found):
            if use >= len(sources):
                break
            source = sources[use]
            for at in found[use]:
                hit = source.hit(at)
                if hit is None:
                    self.unknown_words.append(Unmapped(*at))
                else:
                    hits.append(hit)
        return hits

    def _holds(self, rule: PlannedRule, signs: set[str]) -> bool:
        if rule.told is not None and not rule.told.holds(self.found):
            return False
        if rule.condition is None:
            return True
        try:
            return rule.condition.holds(self.record, signs)
        except ExpressionFailed as why:
            self.failures.append(f"the rule {rule.id} could not be applied: {why}")
            return False

    def _at(self, path: str) -> Sequence[tuple[str, str]]:
        """The texts at a path, each after its exact place."""
        return self.found.get(self.mapping.plan.use(path), ())

    def _parts_at(self, path: str) -> Sequence[tuple[str, str]]:
        """The texts at a path, parted by the sign that the mapping says stands between several."""
        return self.found.get(self.mapping.plan.use(path, parted=True), ())

    def texts(self, field: str, paths: Sequence[str] | None) -> tuple[str, ...]:
        """The texts at these paths, each once; what means that nobody knows is left out."""
        found = []
        for path in paths or ():
            for where, text in self._parts_at(path):
                if text.casefold() not in _NOBODY_KNOWS:
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
            if meant.startswith("nis2:") and _NIS2.match(meant):
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
        unknown = _folded(at.unknown)
        for path in at.of:
            for where, value in self._parts_at(path):
                if value.casefold() not in unknown:
                    yield where, value

    def count(self, field: str, at: CountAt | None) -> int | None:
        """A whole number from 0, plus what the mapping adds; anything else is listed as not mapped."""
        if at is None:
            return None
        for where, text in self._at(at.of):
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
        found, known = read_parts(text) if at.date is None else read_date(text, at.form)
        if known != text:
            self.unmapped.append(Unmapped(where, text))
        if found is None:
            self.failures.append(f"{where} = {text!r} cannot be read as a date")
            return None
        self._note(field, where, known)
        return found

    def _first(self, path: str, unknown: Sequence[str]) -> tuple[str, str]:
        """The first text at a path, with its place; "" if there is none, or if it says that nobody knows."""
        found = self._at(path)
        if not found:
            return path, ""
        where, text = found[0]
        return where, "" if text.casefold() in _folded(tuple(unknown)) else text

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
        found = [text for _, text in self._at(at.of)]
        return found[0] if found else None

    def observables(self) -> tuple[Observable, ...]:
        found = []
        for at in self.mapping.file.values.indicators:
            for path in at.of:
                for where, text in self._parts_at(path):
                    if observable(text) is None:
                        self.unmapped.append(Unmapped(where, text))
                        continue
                    found.append(Observable(text, at.side))
                    self._note("observables", where, text)
        return tuple(dict.fromkeys(found))

    def tlp(self) -> Tlp | None:
        path = self.mapping.file.values.tlp
        for where, text in self._at(path) if path else ():
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
        known = self.mapping.plan.known_members
        self.unmapped += [Unmapped(name, "") for name in self.record if name not in known]

    def _note(self, field: str, path: str, value: str) -> None:
        self.applied.append(Applied(field, f"{self.mapping.name}:{field}", path, value))


@lru_cache(1000)
def _folded(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.casefold() for word in words)


def _longest_beginning(code: str, table: MappingOf[str, Any]) -> str | None:
    """The longest key of the table that this NAICS code (2 to 6 digits) begins with."""
    if not (code.isascii() and code.isdigit() and 2 <= len(code) <= 6):
        return None
    return next((code[:end] for end in range(len(code), 1, -1) if code[:end] in table), None)
