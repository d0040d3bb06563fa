"""Progress: a count on standard error while something takes long; nothing at all when that is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tocsin.cli.console import notes


@contextmanager
def progress(what: str) -> Iterator[Callable[[int], None]]:
    """A function to be told how many are done."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f}"), TextColumn(what), TimeElapsedColumn())
    with Progress(*columns, console=notes(), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done: shown.update(task, completed=done)
