"""Reading: the records of files and folders, each with what its mapping makes of it. Stores nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.intake.formats import BadRecord, SourceRecord, read_paths
from tocsin.intake.mapping import Mapping as Rules
from tocsin.intake.places import Places
from tocsin.intake.translate import Translation, translate


@dataclass(frozen=True, slots=True)
class Translated:
    """One record: its bytes as they were read, its translation, and that as plain JSON."""

    raw: bytes
    translation: Translation
    value: Mapping[str, Any]


def translated(rules: Rules, paths: Sequence[Path]) -> Iterator[Translated | BadRecord]:
    """Every record of these files and folders, in their order, and what could not be read where it stands."""
    for item in records(rules, paths):
        if isinstance(item, BadRecord):
            yield item
        else:
            translation = translate(item, rules)
            yield Translated(item.raw, translation, translation.as_value())


def records(rules: Rules, paths: Sequence[Path]) -> Iterator[SourceRecord | BadRecord]:
    """The same before translation."""
    return _unrepeated(read_paths(rules.reader, paths, rules.reading))


def _unrepeated(items: Iterable[SourceRecord | BadRecord]) -> Iterator[SourceRecord | BadRecord]:
    """A source id that comes again in one import is refused, with both places: it would overwrite the first."""
    with Places() as places:
        for item in items:
            if isinstance(item, SourceRecord) and (first := places.first(item.source_id, item.place)):
                yield BadRecord(item.place, f"record {item.source_id!r} was already read from {first}")
            else:
                yield item
