"""Record: one entry of a tracker or list as it was read, or why it could not be read.

Nothing that is wrong with one record or one file stops the others: a reader yields what it can, in order.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

from tocsin.errors import BadInput, Problem

_FIRST_LOOK = 64 * 1024  # bytes


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
    """A format that records come in.

    `read` takes one file, in which it may seek, and the name to show for it; of many records it keeps one at once.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[BinaryIO, str, Reading], Read]
    parse: Callable[[bytes, Reading], Mapping[str, Any]]


def read_paths(format_: Format, paths: Iterable[Path], reading: Reading) -> Read:
    """Every record of these files and folders, in order; folders are walked, sorted, hidden names skipped."""
    for path in paths:
        if not path.is_dir():
            yield from _read_file(format_, path, reading)
            continue
        empty = True
        for entry in _files(path, format_.suffixes):
            empty = False
            if isinstance(entry, BadRecord):
                yield entry
            else:
                yield from _read_file(format_, entry, reading)
        if empty:
            yield BadRecord(str(path), f"holds no {' or '.join(format_.suffixes)} file")


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path | BadRecord]:
    """The files of a folder, folder by folder, so that no more than the names of one are held."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as why:
        yield BadRecord(str(folder), f"cannot be read: {why.strerror or why}")
        return
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            yield from _files(path, suffixes)
        elif path.suffix.lower() in suffixes and path.is_file():
            yield path


def _read_file(format_: Format, path: Path, reading: Reading) -> Read:
    try:
        with _seekable(path.open("rb")) as file:
            if not file.read(_FIRST_LOOK).strip():
                yield BadRecord(str(path), "the file is empty")
                return
            file.seek(0)
            yield from format_.read(file, str(path), reading)
    except OSError as why:
        yield BadRecord(str(path), f"cannot be read: {why.strerror or why}")


def _seekable(file: BinaryIO) -> BinaryIO:
    """The file, or a copy of what comes through a pipe."""
    if file.seekable():
        return file
    copy = TemporaryFile()  # noqa: SIM115  (the caller closes it)
    with file:
        copyfileobj(file, copy)
    copy.seek(0)
    return cast(BinaryIO, copy)


def said(why: BadInput) -> str:
    """The problems of a refusal on one line."""
    return "; ".join(str(Problem(problem.place, problem.text)) for problem in why.problems)
