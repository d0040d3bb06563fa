"""CSV: a table with a header, one incident a row (RFC 4180).

UTF-8, with or without a byte order mark. The delimiter is the mapping's, else the one of `,` `;` and tab that the
header uses most. The id of a record is what its id column holds; of several columns, what they hold joined by
`/`, with a backslash before each `/` and backslash in it, so that no two rows share an id by chance. The number
of a row is never an id, since it changes when a row is added above. Line numbers are those of the file, also below
cells with line breaks. A table without a column that the mapping needs is refused whole: to read the rest would
lose what the column holds, and nobody would hear of it.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, TextIO

from tocsin.documents import nearest
from tocsin.errors import BadInput
from tocsin.intake.formats.record import BadRecord, Format, Read, Reading, SourceRecord, said

_JSON = re.compile(r'\s*(?:\{\s*["}]|\[\s*[\[{"\]])')  # how an object, or an array of them, begins
_DELIMITERS = (",", ";", "\t")
_CHUNK = 256 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class _Row:
    """Cells, the line of the file that the row starts on, and its text as written."""

    cells: list[str]
    line: int
    text: str


def _read(file: BinaryIO, name: str, reading: Reading) -> Read:
    try:
        _check_text(file)
    except BadInput as why:
        yield BadRecord(name, said(why))
        return
    file.seek(0)
    lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from _read_lines(lines, name, reading)
    finally:
        lines.detach()  # who opened the file closes it


def _read_lines(lines: TextIO, name: str, reading: Reading) -> Read:
    rows = _rows(lines, reading.delimiter)
    try:
        header = next(rows, None)
        if header is None:
            raise BadInput("no header")
        columns = _columns(header.cells)
        _check_columns(columns, reading)
    except (BadInput, csv.Error) as why:
        yield BadRecord(f"{name}:1", said(why) if isinstance(why, BadInput) else f"not CSV: {why}")
        return
    line = header.line
    try:
        for row in rows:
            line = row.line
            yield _record(row, columns, header.text, name, reading.id)
    except csv.Error as why:
        # what follows a broken quotation mark cannot be told apart, so the rest of this file is not read
        yield BadRecord(f"{name}:{line}", f"not CSV after this line: {why}")


def _parse(raw: bytes, reading: Reading) -> Mapping[str, Any]:
    """The row that `raw` (a header and one row) holds, as it came in once. Raises BadInput."""
    # what the mapping needs today says nothing of a row that was taken in by an earlier one
    match list(_read(io.BytesIO(raw), "record", replace(reading, needed={}))):
        case [SourceRecord(value=value)]:
            return value
        case [BadRecord(reason=reason)]:
            raise BadInput(reason)
        case _:
            raise BadInput("a header and one row are expected")


def _check_text(file: BinaryIO) -> None:
    """Read the file once from end to end: a table in another encoding is refused whole, not from some row on."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, at, first = 1, 0, True
    for chunk in iter(partial(file.read, _CHUNK), b""):
        left = len(decoder.getstate()[0])  # bytes of a letter that the chunk before has cut
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError as why:
            line += why.object.count(b"\n", 0, why.start)
            byte = at - left + why.start
            raise BadInput(f"not UTF-8 (line {line}, byte {byte}); save the table as UTF-8") from why
        if "\0" in text:
            raise BadInput(f"not text: a NUL in line {line + text.count(chr(10), 0, text.index(chr(0)))}")
        if first and _JSON.match(text.removeprefix("\ufeff")):
            raise BadInput("it looks like JSON, not a table: is it VERIS?")
        line, at, first = line + text.count("\n"), at + len(chunk), False
    if cut := len(decoder.getstate()[0]):
        raise BadInput(f"not UTF-8 (line {line}, byte {at - cut}); save the table as UTF-8")


def _delimiter(header: str) -> str:
    plain = "".join(header.split('"')[::2])  # outside quotation marks
    return max(_DELIMITERS, key=plain.count)


def _rows(text: TextIO, delimiter: str | None) -> Iterator[_Row]:
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in chain(blank, text):
            taken.append(line)
            yield line

    blank: list[str] = []  # what stands before the header, and the header's first line
    for line in text:
        blank.append(line)
        if line.strip("\r\n"):
            break
    delimiter = delimiter or _delimiter(blank[-1] if blank else "")
    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    before = 0
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield _Row(cells, before + 1, "".join(taken))
        before = reader.line_num
        taken.clear()


def _columns(cells: list[str]) -> list[str]:
    columns = [cell.strip() for cell in cells]
    for number, column in enumerate(columns, 1):
        if not column:
            raise BadInput(f"column {number} of the header has no name")
        if column in columns[: number - 1]:
            raise BadInput(f"the column {column!r} is there twice")
    return columns


def _check_columns(columns: list[str], reading: Reading) -> None:
    """Raises BadInput that names every column that is not there, and the nearest one that is."""
    wanted = dict.fromkeys(reading.id, "which holds the id")
    wanted |= {column: f"which {place} reads" for column, place in reading.needed.items() if column not in wanted}
    missing = [
        f"no column {column!r}, {why}{nearest(column, columns)}"
        for column, why in wanted.items()
        if column not in columns
    ]
    if missing:
        raise BadInput(f"{'; '.join(missing)} (columns: {', '.join(columns[:12])})")


def _record(
    row: _Row, columns: list[str], header: str, name: str, id_columns: tuple[str, ...]
) -> SourceRecord | BadRecord:
    place = f"{name}:{row.line}"
    if len(row.cells) != len(columns):
        return BadRecord(place, f"{len(row.cells)} cells, but the header has {len(columns)} columns")
    value = dict(zip(columns, (cell.strip() for cell in row.cells), strict=True))
    parts = [value[column] for column in id_columns]
    if not all(parts):
        return BadRecord(place, f"no id: {id_columns[parts.index('')]!r} is empty")
    head = header if header.endswith(("\n", "\r")) else header + "\n"
    return SourceRecord(_joined(parts), value, (head + row.text).encode("utf-8"), place)


def _joined(parts: list[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    return "/".join(part.replace("\\", "\\\\").replace("/", "\\/") for part in parts)


CSV = Format("csv", (".csv", ".tsv", ".txt"), _read, _parse)
