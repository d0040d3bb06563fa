"""Disclosures: the account of what was given to whom."""

import csv
import io
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Annotated

import typer

from tocsin.cli.console import clean, say, say_json, show_table
from tocsin.cli.distrust import read_since
from tocsin.cli.ids import find_id, short
from tocsin.cli.session import HomeOption, JsonOption, Session, run, session
from tocsin.cli.wording import zone
from tocsin.documents import nearest
from tocsin.errors import BadInput
from tocsin.sharing.disclosures import Disclosure, offered_to
from tocsin.sharing.disclosures import disclosures as told
from tocsin.stix.objects import from_micros
from tocsin.store import parties
from tocsin.store.parties import Party
from tocsin.store.transaction import Transaction

_SHOWN_TOGETHER = 200  # rows of one table, which is as wide as its widest
_COLUMNS = ("in", "reader", "as", "version", "offered from", "until", "rules", "applied", "sent", "acknowledged")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def add_to(app: typer.Typer) -> None:
    """Give the app this file's command."""
    app.command("disclosures", rich_help_panel="Out")(disclosures)


def disclosures(
    id_: Annotated[
        str | None, typer.Argument(metavar="ID", help="STIX id, its first hex digits, or SOURCE:RECORD.")
    ] = None,
    reader: Annotated[
        str | None, typer.Option("--reader", metavar="NAME", help="All that this account or peer was offered.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="What was offered then or later: 2025-03-14T09:00, or 3h, 2d."
        ),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on standard output, for spreadsheets.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """To whom an object, or what to a reader, was ever offered: as what, from when to when, by which rule.

    Former readers are told of too, and those who are no longer in tocsin.yaml. Offered counts as received. "sent"
    is what was noted beside it: when a stretch of the log with it was answered ("?": to a question that left some
    of that stretch out). --since keeps what still stood for them at that time.
    """
    if (id_ is None) == (reader is None):
        raise BadInput("one of both: an ID, or --reader NAME")
    if as_csv and as_json:
        raise BadInput("one of both: --csv, or --json")
    run(_tell(home, id_, reader, since, as_csv=as_csv, as_json=as_json))


async def _tell(
    given: str | None, id_: str | None, reader: str | None, since: str | None, *, as_csv: bool, as_json: bool
) -> None:
    async with session(given) as here:
        moment = await _moment(here, since)
        async with here.store.reading() as tx:
            found = _all(tx, id_, reader, moment)
            async with aclosing(found):
                if as_json:
                    async for one in found:
                        say_json(_as_value(one))
                elif as_csv:
                    await _show_csv(found)
                else:
                    await _show(found, "Nobody was ever offered it." if id_ else "It was never offered anything.")


async def _moment(here: Session, since: str | None) -> int:
    if since is None:
        return 0
    tz = zone((await here.configuration()).settings.node.timezone)
    async with here.store.reading() as tx:
        return read_since(since, await tx.now(), tz)


async def _all(
    tx: Transaction, id_: str | None, reader: str | None, since: int
) -> AsyncGenerator[Disclosure, None]:
    if id_ is not None:
        for one in await told(tx, await find_id(tx, id_)):
            if one.until is None or one.until >= since:
                yield one
    elif reader is not None:
        async with aclosing(offered_to(tx, await _known(tx, reader), since=since)) as found:
            async for one in found:
                yield one


async def _known(tx: Transaction, name: str) -> Party:
    """Whoever this node ever knew by this name, in tocsin.yaml or not. Raises BadInput."""
    if (party := await parties.party_by_name(tx, name)) is not None:
        return party
    known = [one.name for one in await parties.parties(tx)]
    raise BadInput(f"this node never knew an account or peer {name!r}{nearest(name, known)}")


# --- shown ---------------------------------------------------------------------------------------------------


async def _show(found: AsyncGenerator[Disclosure, None], nothing: str) -> None:
    """Tables one after the other: of a long account only so much is in memory."""
    rows: list[Sequence[str]] = []
    omitted: dict[str, None] = {}
    shown = False
    async for one in found:
        shown = True
        rows.append(_row(one))
        omitted |= dict.fromkeys(one.omitted)
        if len(rows) == _SHOWN_TOGETHER:
            show_table(_COLUMNS, rows, wide=True)
            rows = []
    if rows:
        show_table(_COLUMNS, rows, wide=True)
    if omitted:
        say(f"Copies leave out: {', '.join(omitted)}")
    if not shown:
        say(nothing)


def _row(one: Disclosure) -> tuple[str, ...]:
    return (
        one.collection,
        one.reader,
        f"copy {short(one.object_id)}" if one.copy_of else f"{one.form} {short(one.object_id)}",
        one.version_key[:19],
        _when(one.since),
        "still" if one.until is None else _when(one.until),
        ", ".join(one.rules),
        one.configuration_sha256[:8],
        _sent(one),
        one.acknowledged or "",
    )


def _when(at: int) -> str:
    return from_micros(at)[:19] + "Z"


def _sent(one: Disclosure) -> str:
    if one.fetched is None:
        return "–"
    began, ended = map(_when, one.fetched)
    return (began if began == ended else f"{began} to {ended}") + ("" if one.whole else "?")


# --- told ----------------------------------------------------------------------------------------------------

_CSV = (
    "collection",
    "reader",
    "id",
    "copy_of",
    "omitted",
    "form",
    "version",
    "since",
    "until",
    "rules",
    "configuration",
    "sent_from",
    "sent_until",
    "sent_whole",
    "acknowledged",
)


async def _show_csv(found: AsyncGenerator[Disclosure, None]) -> None:
    """RFC 4180 but for the ends of lines; several words in one cell are parted by `; `."""
    typer.echo(_line(_CSV), nl=False)
    async for one in found:
        value = _as_value(one)
        value["sent_from"], value["sent_until"] = map(from_micros, one.fetched) if one.fetched else (None, None)
        typer.echo(_line([_cell(value[name]) for name in _CSV]), nl=False)


def _cell(value: object) -> str:
    """What a spreadsheet shows as it stands: others chose some of these words."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            text = "; ".join(map(str, value))
        case _:
            text = str(value)
    return f"'{clean(text)}" if text.startswith(_FORMULA) else clean(text)


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _as_value(one: Disclosure) -> dict[str, object]:
    return {
        "collection": one.collection,
        "reader": one.reader,
        "id": one.object_id,
        "copy_of": one.copy_of,
        "omitted": list(one.omitted),
        "form": one.form,
        "version": one.version_key,
        "since": from_micros(one.since),
        "until": None if one.until is None else from_micros(one.until),
        "rules": list(one.rules),
        "configuration": one.configuration_sha256,
        "sent": None if one.fetched is None else [from_micros(at) for at in one.fetched],
        "sent_whole": one.whole,
        "acknowledged": one.acknowledged,
    }
