"""Main: the commands together, and the one place where an error becomes words and an exit code.

0 done · 1 refused or failed · 2 wrong usage · 3 partly done, or something needs a person.
"""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from tocsin.cli import demo, intake, look, out, peers, people, serve, start, status
from tocsin.cli.console import warn
from tocsin.errors import BadFile, BadInput, TocsinError


class _Commands(TyperGroup):
    """Commands whose errors end in a sentence on standard error, never in a stack trace."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TocsinError as why:
            warn(f"tocsin: {why}")
            raise typer.Exit(exit_code(why)) from why


def exit_code(error: TocsinError) -> int:
    """2 for what was typed wrong; 1 for all else, a faulty file of ours among it."""
    return 2 if isinstance(error, BadInput) and not isinstance(error, BadFile) else 1


app = typer.Typer(
    name="tocsin",
    cls=_Commands,
    help="A node for sharing cyber incidents between parties who do not fully trust each other.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for room in (demo, start, serve, status, intake, look, out, people, peers):
    room.add_to(app)


def main() -> None:
    """Entry of the `tocsin` script."""
    try:
        app(prog_name="tocsin")
    except BrokenPipeError:
        # whoever read us (`head`, a pager) has seen enough; nothing more may be written while Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
