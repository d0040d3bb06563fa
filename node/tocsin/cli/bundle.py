"""Bundle: the exchange with a node that cannot be reached: a file out, a file in, and a file with the answer."""

from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.console import plural, say, say_json, warn
from tocsin.cli.look import check_collection
from tocsin.cli.people import NameArgument
from tocsin.cli.session import HomeOption, JsonOption, run, session
from tocsin.errors import BadInput, Refused
from tocsin.peers import bundle
from tocsin.stix.objects import is_timestamp
from tocsin.taxii.query import read_position

FileArgument = Annotated[Path, typer.Argument(metavar="FILE")]


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    group = typer.Typer(help="Bundles: an exchange by files, with whom no network leads to.", no_args_is_help=True)
    for name, command in (("out", out), ("in", in_), ("answer", answer)):
        group.command(name)(command)
    app.add_typer(group, name="bundle", rich_help_panel="With whom")


def out(
    name: NameArgument,
    file: FileArgument,
    collection: Annotated[str, typer.Option("--collection", metavar="C", help="Of ours, that NAME reads.")],
    after: Annotated[
        str | None, typer.Option("--after", metavar="POSITION", help="Go on from there; else from the start.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what NAME may read of a collection into FILE, which must not exist. It counts as offered to NAME."""
    if after is not None and not is_timestamp(after):
        raise BadInput(f"--after: {after!r} is no position, as the bundle before it said")

    async def work() -> bundle.Written:
        async with session(home) as here:
            configuration = await here.configuration()
            check_collection(configuration, collection)
            begin = 0 if after is None else read_position(after, "--after")
            try:
                with file.open("xb") as stream:
                    file.chmod(0o600)
                    return await bundle.write_bundle(
                        here.store, configuration, here.node, name, collection, begin, stream
                    )
            except OSError as why:
                raise Refused(f"{file}: cannot be written: {why.strerror}") from why

    written = run(work())
    if as_json:
        say_json({"file": str(file), "entries": written.entries, "position": written.position})
        return
    say(f"{file}: {plural(written.entries, 'entry', 'entries')} for {name}.")
    say(f"The next one goes on with --after {written.position}")
    warn("Who has the file can read it: it is neither encrypted nor signed.")


def in_(
    name: NameArgument,
    file: FileArgument,
    answering: Annotated[
        Path | None, typer.Option("--answer", metavar="FILE", help="Write what NAME is to be told of it.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in a bundle of NAME, with the same checks as what is read from it by the network."""

    async def work() -> None:
        async with session(home) as here:
            configuration = await here.configuration()
            tally = await bundle.read_bundle(here.store, configuration, here.node, name, file)
            owed = None
            if answering is not None:
                try:
                    with answering.open("xb") as stream:
                        answering.chmod(0o600)
                        owed = await bundle.write_answer(here.store, here.node, name, stream)
                except OSError as why:
                    raise Refused(f"{answering}: cannot be written: {why.strerror}") from why
        if as_json:
            say_json(
                {
                    "stored": tally.stored,
                    "duplicate": tally.duplicate,
                    "quarantined": tally.quarantined,
                    "refused": tally.refused,
                    "withdrawn": tally.withdrawn,
                    "answers": owed,
                }
            )
        else:
            say(f"{name}: {tally.words}.")
            if owed is not None:
                say(f"{answering}: {plural(owed, 'answer')} for {name} (there: tocsin bundle answer)")
        if tally.quarantined or tally.refused:
            raise typer.Exit(3)

    run(work())


def answer(name: NameArgument, file: FileArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Take NAME's answer to bundles of ours: what it did with what we took back."""

    async def work() -> tuple[int, int]:
        async with session(home) as here:
            return await bundle.read_answer(here.store, await here.configuration(), name, file)

    taken, unknown = run(work())
    if as_json:
        say_json({"taken": taken, "unknown": unknown})
    else:
        more = f"; {unknown:,} of nothing that it was told" if unknown else ""
        say(f"{name}: {plural(taken, 'answer')} taken{more}.")
