"""Disclosures: the account of what was given to whom."""

from typing import Annotated

import typer

from tocsin.cli.console import say, say_json, show_table
from tocsin.cli.ids import find_id, short
from tocsin.cli.session import HomeOption, JsonOption, run, session
from tocsin.sharing.disclosures import Disclosure
from tocsin.sharing.disclosures import disclosures as told
from tocsin.stix.objects import from_micros


def add_to(app: typer.Typer) -> None:
    """Give the app this file's command."""
    app.command("disclosures", rich_help_panel="Out")(disclosures)


def disclosures(
    id_: Annotated[str, typer.Argument(metavar="ID", help="STIX id, its first hex digits, or SOURCE:RECORD.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """To whom an object was ever offered, former readers included: as what, from when to when, by which rule.

    Offered counts as received. "sent" is what was noted beside it: when a stretch of the log with it was answered
    ("?": to a question that left some of that stretch out).
    """

    async def work() -> list[Disclosure]:
        async with session(home) as here, here.store.reading() as tx:
            return await told(tx, await find_id(tx, id_))

    found = run(work())
    if as_json:
        for one in found:
            say_json(_as_value(one))
        return
    if not found:
        say("Nobody was ever offered it.")
        return
    rows = [
        (
            one.collection,
            one.reader,
            f"copy {short(one.object_id)}" if one.copy_of else one.form,
            one.version_key[:19],
            _when(one.since),
            "still" if one.until is None else _when(one.until),
            ", ".join(one.rules),
            one.configuration_sha256[:8],
            _sent(one),
            one.acknowledged or "",
        )
        for one in found
    ]
    columns = (
        "in",
        "reader",
        "as",
        "version",
        "offered from",
        "until",
        "rules",
        "applied",
        "sent",
        "acknowledged",
    )
    show_table(columns, rows, wide=True)
    if omitted := dict.fromkeys(word for one in found for word in one.omitted):
        say(f"Copies leave out: {', '.join(omitted)}")


def _when(at: int) -> str:
    return from_micros(at)[:19] + "Z"


def _sent(one: Disclosure) -> str:
    if one.fetched is None:
        return "–"
    began, ended = map(_when, one.fetched)
    return (began if began == ended else f"{began} to {ended}") + ("" if one.whole else "?")


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
