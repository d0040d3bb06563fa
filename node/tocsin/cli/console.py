"""Console: how words reach people: results on standard output; progress, questions, errors on standard error.

Much of what is shown was written by others (a peer's names, a tracker's text), so nothing is read as markup, and
control characters are shown, never sent to the terminal. NO_COLOR is honoured; colour never carries a meaning
alone.
"""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from textwrap import wrap as wrap_text
from typing import Any, Literal

import typer
from rich.console import Console
from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from tocsin.errors import Refused
from tocsin.stix.canonical import dump_json

WIDTH = 100  # columns, where no terminal says otherwise
_NO_WIDTH = 10_000  # columns: nothing is cut

# C0 and C1 controls, and the signs that turn the direction of writing: none of them may reach a terminal.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text with every control character written out, as `\\x1b`."""
    return _CONTROLS.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def results() -> Console:
    """Standard output, made anew each time: a test, or a pipe, may have put another stream there."""
    return _console(sys.stdout.isatty(), stderr=False)


def notes() -> Console:
    """Standard error."""
    return _console(sys.stderr.isatty(), stderr=True)


def _console(is_terminal: bool, *, stderr: bool) -> Console:
    width = None if is_terminal or "COLUMNS" in os.environ else WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def say(text: str = "", style: str = "") -> None:
    """One line of result. It is never wrapped: whoever pipes it wants the line."""
    results().print(Text(clean(text), style), soft_wrap=True)


def tell(text: str, indent: int = 0) -> None:
    """A sentence, broken between words where it is wider than the terminal; what follows is indented further."""
    console = results()
    lead = " " * indent
    for line in wrap_text(
        clean(text),
        console.width,
        initial_indent=lead,
        subsequent_indent=f"{lead}    ",
        break_long_words=False,
        break_on_hyphens=False,
    ):
        console.print(Text(line), soft_wrap=True)


def note(text: str) -> None:
    """A word on how it goes; nothing when standard error is no terminal."""
    if sys.stderr.isatty():
        notes().print(Text(clean(text), "dim"), soft_wrap=True)


def warn(text: str) -> None:
    """What a person must know, beside the result."""
    notes().print(Text(clean(text)), soft_wrap=True)


def say_json(value: Any) -> None:
    """One line of JSON, as `--json` promises: UTF-8, whatever the locale says."""
    raw = dump_json(value) + b"\n"
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(raw.decode("utf-8"))
    else:
        sys.stdout.flush()
        binary.write(raw)
        binary.flush()


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    wrap: str | tuple[str, ...] = "",
    wide: bool = False,
    indent: int = 0,
    gap: int = 2,
) -> None:
    """A table without lines. Only columns named in `wrap` are broken into lines; with `wide` nothing is cut.

    `indent` and `gap` are columns: before the table, and between its columns.
    """
    broken = (wrap,) if isinstance(wrap, str) else wrap
    headed = any(column.strip() for column in columns)
    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, gap, 0, 0), show_header=headed)
    for column in columns:
        overflow: Literal["fold", "ellipsis"] = "fold" if column in broken else "ellipsis"
        table.add_column(Text(column, "bold"), no_wrap=column not in broken, overflow=overflow)
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    console = results()
    if wide:
        console.width = _NO_WIDTH
    for line in console.render_lines(Padding(table, (0, 0, 0, indent)) if indent else table, pad=False):
        console.print(Segments([*_without_blanks(line), Segment.line()]), end="", soft_wrap=True)


def _without_blanks(line: list[Segment]) -> list[Segment]:
    """A line without the blanks that fill it up to its width: whoever pipes or copies it does not want them."""
    while line and not line[-1].text.strip():
        line = line[:-1]
    return [*line[:-1], Segment(line[-1].text.rstrip(), line[-1].style)] if line else []


def ask(question: str, *, yes: bool) -> None:
    """Ask before something that others would see. Raises Refused without a terminal, and for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{question} There is no terminal to ask on: say --yes")
    if not typer.confirm(question, err=True):
        raise Refused("nothing was changed")


def ask_number(question: str, number: int, confirmed: int | None) -> int:
    """Ask for the number itself, where much would be taken away. Returns it; raises Refused for another."""
    if confirmed is None and sys.stdin.isatty():
        confirmed = typer.prompt(f"{question} Type {number} to go on", type=int, err=True)
    if confirmed != number:
        raise Refused(f"{question} Say so with --confirm {number}; nothing was changed")
    return number


def plural(count: int, one: str, many: str = "") -> str:
    """`1 incident`, `3 incidents`, `2,310 incidents`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
