"""Keep: what vouches for what happened here: events listed, and every log checked against its seals."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.console import note, plural, say, say_json, show_table, warn
from tocsin.cli.ids import find_id
from tocsin.cli.session import HomeOption, JsonOption, Session, run, session
from tocsin.errors import BadFile, BadInput, NotFound, Problem
from tocsin.stix.canonical import dump_json
from tocsin.stix.objects import from_micros, to_micros
from tocsin.store import audit as events
from tocsin.store import seals
from tocsin.store.seals import Checked
from tocsin.store.transaction import Transaction


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    group = typer.Typer(no_args_is_help=True, help="What happened here, and whether its record is whole.")
    group.command("list")(list_events)
    group.command("verify")(verify)
    app.add_typer(group, name="audit", rich_help_panel="Keep")


def read_moment(text: str | None, name: str) -> int | None:
    """A day or a moment that a person typed (UTC), in microseconds. Raises BadInput."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as why:
        raise BadInput([Problem(name, f"{text!r} is no date: 2026-03-01, or 2026-03-01T12:00:00Z")]) from why
    return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def list_events(
    about: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="What it is about; a name counts too.")
    ] = None,
    event: Annotated[
        str | None, typer.Option("--event", help="Only these: published, withdrawn, erased …")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From this day or moment on.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The latest so many.")] = 100,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What happened here, the latest last: ids and rules, never content."""
    moment = read_moment(since, "--since")

    async def work() -> None:
        async with session(home) as here, here.store.reading() as tx:
            subject = None if about is None else await _subject(tx, about)
            found = await events.entries(tx, subject, limit, event=event, since=moment)
        found.reverse()
        if as_json:
            for one in found:
                say_json(
                    {"at": from_micros(one.at), "event": one.event, "subject": one.subject, "details": one.details}
                )
            return
        rows = [(from_micros(one.at)[:19] + "Z", one.event, one.subject, _said(one.details)) for one in found]
        show_table(("when (UTC)", "event", "about", "details"), rows, wrap=("about", "details"))

    run(work())


async def _subject(tx: Transaction, text: str) -> str:
    """What an event can be about: an object by its id, or the name of a party, collection or source."""
    try:
        return await find_id(tx, text)
    except (BadInput, NotFound):
        return text


def _said(details: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value if isinstance(value, str | int) else dump_json(value).decode()}"
        for name, value in details.items()
        if value is not None
    )


def verify(
    heads: Annotated[
        Path | None,
        typer.Option("--heads", metavar="FILE", help="What an earlier verify --json printed, kept elsewhere."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute every seal, every kept content's hash, and say where the first row is that does not agree.

    An end that was cut off together with its seals shows only against heads that were kept elsewhere: keep what
    this prints with --json, and give it again as --heads. Ends with 1 when anything does not agree. Events that
    were not sealed yet are sealed when all else agrees.
    """
    earlier = _read_heads(heads) if heads is not None else {}

    async def work() -> bool:
        async with session(home) as here:
            return await _verify(here, earlier, as_json=as_json)

    if not run(work()):
        raise typer.Exit(1)


async def _verify(here: Session, earlier: Mapping[str, tuple[int, str]], *, as_json: bool) -> bool:
    began = time.monotonic()
    done = 0

    def progress(rows: int) -> None:
        nonlocal done
        if (done + rows) // 100_000 > done // 100_000:
            note(f"{done + rows:,} rows")
        done += rows

    async with here.store.reading() as tx:
        checked = [await seals.check(tx, log, progress) for log in await seals.logs(tx)]
        checked.append(await seals.check_contents(tx, progress))
        faults = [f"{one.log}: {one.fault}" for one in checked if one.fault]
        faults += await seals.check_logs(tx)
        for log, (last, sha256) in earlier.items():
            if (found := await seals.at(tx, log, last)) is None or found.sha256 != sha256:
                faults.append(f"{log}: it no longer has the head that was kept (at {last}): cut off, or made anew")
    if not faults and any(one.unsealed for one in checked):
        async with here.store.writing() as tx:
            await seals.seal_rest(tx, seals.AUDIT, await tx.now())
    async with here.store.reading() as tx:
        now = [head for log in await seals.logs(tx) if (head := await seals.last(tx, log))]
    seconds = time.monotonic() - began
    rows = sum(one.rows for one in checked)
    if as_json:
        said = {head.log: {"last": head.last, "sha256": head.sha256, "at": from_micros(head.at)} for head in now}
        speed = round(rows / seconds) if seconds else rows
        say_json({"agrees": not faults, "faults": faults, "rows": rows, "rows_per_second": speed, "heads": said})
        return not faults
    _say_checked(checked)
    for head in now:
        say(f"head of {head.log}: {head.last} {head.sha256}")
    for fault in faults:
        warn(f"DOES NOT AGREE: {fault}")
    said_ = "does not agree" if faults else "agrees"
    say(
        f"{plural(rows, 'row')} in {seconds:.1f} s ({rows / max(seconds, 0.001):,.0f} rows/s): the record {said_}."
    )
    return not faults


def _say_checked(checked: list[Checked]) -> None:
    rows = [
        (one.log, f"{one.rows:,}", f"{one.seals:,}", f"{one.unsealed:,}", "NO" if one.fault else "yes")
        for one in checked
        if one.rows or one.seals or one.fault
    ]
    show_table(("log", "rows", "seals", "not sealed yet", "agrees"), rows, wide=True)


def _read_heads(file: Path) -> dict[str, tuple[int, str]]:
    """Raises BadFile."""
    try:
        heads = json.loads(file.read_text(encoding="utf-8"))["heads"]
        return {str(log): (int(head["last"]), str(head["sha256"])) for log, head in heads.items()}
    except OSError as why:
        raise BadFile([Problem(str(file), f"cannot be read: {why.strerror}")]) from why
    except (ValueError, KeyError, TypeError, AttributeError) as why:
        raise BadFile([Problem(str(file), "is not what audit verify --json prints")]) from why
