"""Main: the commands together, and the one place where an error becomes words and an exit code.

0 done · 1 refused or failed · 2 wrong usage · 3 partly done, or something needs a person.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tocsin.cli.console import say, warn
from tocsin.errors import BadFile, BadInput, TocsinError

# Command → the file that has it, in the order of `--help`. Only the file of the command that was typed is
# imported: all of them together load every room and library, and take longer than most commands take to run.
COMMANDS: Mapping[str, str] = {
    "demo": "demo",
    "init": "start",
    "check": "start",
    "apply": "start",
    "serve": "serve",
    "status": "status",
    "import": "intake",
    "classify": "intake",
    "assess": "intake",
    "incidents": "look",
    "show": "look",
    "explain": "look",
    "fields": "look",
    "collections": "look",
    "publish": "out",
    "hold": "out",
    "withdraw": "out",
    "revoke": "out",
    "withdrawals": "withdrawals",
    "share": "share",
    "policy": "preview",
    "account": "people",
    "peer": "peers",
    "sync": "peers",
    "bundle": "bundle",
    "pause": "emergency",
    "resume": "emergency",
    "quarantine": "quarantine",
    "erase": "erase",
    "disclosures": "disclosures",
    "retention": "retention",
    "audit": "keep",
}


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


def make_app(files: Iterable[str] = tuple(dict.fromkeys(COMMANDS.values()))) -> typer.Typer:
    """The command line with the commands of these files; of all, if not given."""
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
    app.callback()(_callback)
    for file in files:
        import_module(f"tocsin.cli.{file}").add_to(app)
    return app


def _say_version(wanted: bool) -> None:
    if wanted:
        say(f"tocsin {version('tocsin')}")
        raise typer.Exit


def _callback(
    version_: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say the version, and end.")
    ] = False,
) -> None:
    """A node for sharing cyber incidents between parties who do not fully trust each other.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 partly done or a person is needed.
    """


def main() -> None:
    """Entry of the `tocsin` script."""
    try:
        _app_for(sys.argv[1:])(prog_name="tocsin")
    except BrokenPipeError:
        # whoever read us (`head`, a pager) has seen enough; nothing more may be written while Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _app_for(words: Sequence[str]) -> typer.Typer:
    """The app with the command that was typed; the whole of it for help, and for a word that is no command."""
    if words and words[0] in COMMANDS:
        return make_app([COMMANDS[words[0]]])
    return make_app()
