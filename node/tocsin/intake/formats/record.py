"""Record: one entry of a tracker or list as it was read, or why it could not be read.

Nothing that is wrong with one record or one file stops the others: a reader yields what it can, in order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tocsin.errors import BadInput, Problem

MAX_FILE = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A record with the id it has in its source, its plain value, its bytes as read, and `file:line`.

    `raw` can be parsed again by its format alone (`Format.parse`): a row of a table carries its header.
    """

    source_id: str
    value: Mapping[str, Any] = field(repr=False)
    raw: bytes = field(repr=False)
    place: str


@dataclass(frozen=True, slots=True)
class BadRecord:
    """What could not be read, where, and why: a record, or a whole file."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mapping says about reading its format.

    `id`: id columns. `delimiter`: None if the header tells. `needed`: columns that a table must have, each with
    the `file:line` of the mapping that reads it.
    """

    id: tuple[str, ...] = ()
    delimiter: str | None = None
    needed: Mapping[str, str] = field(default_factory=dict)


Read = Iterator[SourceRecord | BadRecord]


@dataclass(frozen=True, slots=True)
class Format:
    """A format that records come in. `read` takes the bytes of one file and the name to show for it."""

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[bytes, str, Reading], Read]
    parse: Callable[[bytes, Reading], Mapping[str, Any]]


def read_paths(format_: Format, paths: Iterable[Path], reading: Reading) -> Read:
    """Every record of these files and folders, in order; folders are walked, sorted, hidden names skipped."""
    for path in paths:
        if not path.is_dir():
            yield from _read_file(format_, path, reading)
            continue
        files = list(_files(path, format_.suffixes))
        if not files:
            yield BadRecord(str(path), f"holds no {' or '.join(format_.suffixes)} file")
        for file in files:
            yield from _read_file(format_, file, reading)


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if not hidden and file.suffix.lower() in suffixes and file.is_file():
            yield file


def _read_file(format_: Format, path: Path, reading: Reading) -> Read:
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            yield BadRecord(str(path), f"{size} bytes; a file may have {MAX_FILE}")
            return
        raw = path.read_bytes()
    except OSError as why:
        yield BadRecord(str(path), f"cannot be read: {why.strerror or why}")
        return
    if not raw.strip():
        yield BadRecord(str(path), "the file is empty")
        return
    yield from format_.read(raw, str(path), reading)


def said(why: BadInput) -> str:
    """The problems of a refusal on one line."""
    return "; ".join(str(Problem(problem.place, problem.text)) for problem in why.problems)
