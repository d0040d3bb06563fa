"""Withdrawals: who has answered what was taken back, who is late, who cannot be told, and what to write to him.

Nodes are told until they acknowledge. Everybody else was offered the object too, and only a person can reach him.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo
from typing import Annotated, Any

import typer

from tocsin.cli.console import plural, say, say_json, show_table, tell
from tocsin.cli.ids import find_id, short
from tocsin.cli.session import HomeOption, JsonOption, run, session
from tocsin.cli.wording import age, moment_text, zone
from tocsin.policy.configuration import Configuration
from tocsin.sharing.notices import LATE_AFTER, Notice, Recipient, account
from tocsin.store import copies

_HOUR = 3600 * 1_000_000  # µs
_DAY_HOURS = LATE_AFTER // _HOUR


def add_to(app: typer.Typer) -> None:
    """Give the app this file's command."""
    app.command("withdrawals", rich_help_panel="Out")(withdrawals)


def withdrawals(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="Only these; else all that are open.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that all have answered too.")] = False,
    late_after: Annotated[
        int, typer.Option("--late-after", metavar="HOURS", min=0, help="Hours that a node has to answer.")
    ] = _DAY_HOURS,
    messages: Annotated[
        bool, typer.Option("--messages", help="What to write to each who is late or cannot be told.")
    ] = False,
    with_reason: Annotated[
        bool, typer.Option("--with-reason", help="Put the reason that was given into the messages.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who has answered what was withdrawn or revoked, who is late, and who cannot be told.

    Ends with 3 when a node is late.
    """
    found, configuration, now = run(_found(home, ids or [], late_after * _HOUR))
    shown = [notice for notice in found if everything or ids or _is_open(notice)]
    tz = zone(configuration.settings.node.timezone)
    if as_json:
        for notice in shown:
            say_json(_as_value(notice, configuration, tz, with_reason=with_reason))
    else:
        _show(shown, now, tz, late_after)
        if messages:
            _show_messages(shown, configuration, tz, with_reason=with_reason)
    if any(notice.late for notice in shown):
        raise typer.Exit(3)


async def _found(
    given: str | None, texts: Sequence[str], late_after: int
) -> tuple[list[Notice], Configuration, int]:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            ids = {await find_id(tx, text) for text in texts}
            for id_ in list(ids):  # readers may have a redacted copy, under another id
                ids |= {link.copy_id for link in await copies.all_copies_of(tx, id_)}
            found = await account(tx, configuration, object_ids=ids or None, late_after=late_after)
            return found, configuration, await tx.now()


def _is_open(notice: Notice) -> bool:
    return any(one.how != "acknowledged" or one.open or one.outcome != "purged" for one in notice.recipients)


def _show(shown: Sequence[Notice], now: int, tz: tzinfo, hours: int) -> None:
    if not shown:
        say("Everybody who was offered what was taken back has said that it is gone there.")
        return
    for notice in shown:
        kind = notice.object_id.partition("--")[0]
        word = "withdrawn" if notice.op == "withdraw" else "revoked"
        said = f": {notice.because}" if notice.because else ""
        when = moment_text(notice.since, tz)
        copy = f" (copy of {short(notice.original_id)})" if notice.original_id != notice.object_id else ""
        say(f"{kind} {short(notice.object_id)}{copy} {word} from {notice.collection}, {when}{said}", "bold")
        rows = [(one.name, _stands(one, now - notice.since), one.contact or "") for one in notice.recipients]
        show_table(("", "", ""), rows, wrap=("",), indent=2)
    counts = Counter("late" if one.late else one.how for notice in shown for one in notice.recipients)
    say()
    say(", ".join(f"{count:,} {how}" for how, count in sorted(counts.items())) + f" (late after {hours} h).")
    if counts["late"] or counts["cannot be told"]:
        say("What to write to them: tocsin withdrawals --messages")


def _stands(one: Recipient, since: int) -> str:
    """How a recipient stands, in words."""
    former = " (former reader)" if one.former else ""
    match one.how:
        case "acknowledged":
            why = f": {one.reason}" if one.reason else ""
            more = f", {plural(one.open, 'reader')} of its own open" if one.open else ""
            return f"{one.outcome}{why}{more}{former}"
        case "cannot be told":
            return f"cannot be told: {one.why}{former}"
        case "waiting":
            what = "fetched it and did not answer" if one.fetched else "never fetched it"
            return f"{'LATE' if one.late else 'waiting'} {age(since)}: {what}{former}"


def _show_messages(
    shown: Sequence[Notice], configuration: Configuration, tz: tzinfo, *, with_reason: bool
) -> None:
    """To each one message, about all that concerns him."""
    to: dict[str, tuple[Recipient, list[Notice]]] = {}
    for notice in shown:
        for one in notice.recipients:
            if _needs_a_person(one):
                to.setdefault(one.party_id, (one, []))[1].append(notice)
    for one, notices in to.values():
        say()
        say(f"To {one.name}, {one.contact or 'whose contact is not in tocsin.yaml'}:", "bold")
        for line in message(notices, configuration, tz, with_reason=with_reason).splitlines():
            tell(line, 2) if line else say()


def _needs_a_person(one: Recipient) -> bool:
    return one.late or one.how == "cannot be told"


def message(
    notices: Sequence[Notice], configuration: Configuration, tz: tzinfo, *, with_reason: bool = False
) -> str:
    """What to write to one whom a person has to tell: ids and versions as he knows them, never the content."""
    name = configuration.settings.node.name
    lines = [f"{name} has taken back what it had shared with you:", ""]
    for notice in notices:
        collection = configuration.settings.collections.get(notice.collection)
        title = collection.title if collection else notice.collection
        word = "withdrawn" if notice.op == "withdraw" else "revoked (it was never valid)"
        versions = ", ".join(dict.fromkeys(taking.version for taking in notice.takings))
        lines.append(
            f"- {notice.object_id} ({versions}), {word} from {title!r} on {moment_text(notice.since, tz)}"
        )
        if with_reason and notice.because:
            lines.append(f"  Reason: {notice.because}")
    lines += [
        "",
        "Please delete it with everything made from it, ask the same of whoever had it from you, and tell us when "
        "it is done, or why it is kept.",
    ]
    return "\n".join(lines)


def _as_value(notice: Notice, configuration: Configuration, tz: tzinfo, *, with_reason: bool) -> dict[str, Any]:
    return {
        "collection": notice.collection,
        "id": notice.object_id,
        "original": notice.original_id,
        "op": notice.op,
        "versions": list(dict.fromkeys(taking.version for taking in notice.takings)),
        "since": notice.since,
        "reason": notice.because,
        "late": notice.late,
        "recipients": [
            {
                "name": one.name,
                "contact": one.contact,
                "former": one.former,
                "how": one.how,
                "why": one.why,
                "fetched": one.fetched,
                "late": one.late,
                "outcome": one.outcome,
                "reason": one.reason,
                "open": one.open,
                "answered": one.answered,
                "message": message([notice], configuration, tz, with_reason=with_reason)
                if _needs_a_person(one)
                else None,
            }
            for one in notice.recipients
        ],
    }
