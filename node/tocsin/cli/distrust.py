"""Distrust: what came from a peer since a moment, put into quarantine and taken out of our logs; shown first."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any

import typer

from tocsin.cli.console import ask, plural, say, say_json, tell
from tocsin.cli.foresight import MOVES, carry_out, foresee, show_outcomes
from tocsin.cli.people import NameArgument, find_party
from tocsin.cli.session import HomeOption, JsonOption, YesOption, run, session, whoever
from tocsin.cli.wording import moment_text, zone
from tocsin.errors import BadInput
from tocsin.intake import distrust as distrusting
from tocsin.intake.distrust import Distrusted
from tocsin.sharing.release import Outcome
from tocsin.store import releases
from tocsin.store.dealings import Fetched, Shown
from tocsin.store.transaction import Transaction

_AGO = re.compile(r"\s*(\d{1,6})\s*(m|min|h|d|w)(?:\s+ago)?\s*", re.ASCII)
_MICROS = {"m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
_IDS_SHOWN = 12

SinceOption = Annotated[
    str, typer.Option("--since", metavar="TIME", help="2025-03-14T09:00, with or without a zone; or 3h, 2d ago.")
]


def distrust(
    name: NameArgument,
    since: SinceOption,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Believe nothing that came from a peer since TIME: it goes to quarantine, and the peer is suspended.

    What we passed on of it leaves our collections, unless another source offers it. What the peer was shown
    meanwhile is listed. To undo it: peer resume NAME, then quarantine release --peer NAME --all.
    """
    run(_distrust(home, name, since, yes=yes, as_json=as_json))


def read_since(text: str, now: int, tz: tzinfo) -> int:
    """A moment in the past as microseconds: ISO 8601 (in `tz` where it names no zone), or how long ago.

    Raises BadInput.
    """
    if ago := _AGO.fullmatch(text):
        return now - int(ago[1]) * _MICROS[ago[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as why:
        raise BadInput("--since: a time such as 2025-03-14T09:00, or 3h, or 2d ago") from why
    moment = moment if moment.tzinfo else moment.replace(tzinfo=tz)
    since = round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    if since > now:
        raise BadInput(f"--since: {text} is still to come")
    return max(since, 0)


async def _distrust(given: str | None, name: str, text: str, *, yes: bool, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        tz = zone(configuration.settings.node.timezone)
        async with here.store.reading() as tx:
            party = await find_party(tx, here, configuration, name)
            if party.kind != "peer":
                raise BadInput(f"{name!r} is an account: tocsin pause {name}, and tocsin withdraw what it posted")
            since = read_since(text, await tx.now(), tz)
            keys = {row.id: row.key for row in await releases.collections(tx)}
        found: list[Distrusted] = []

        async def work(tx: Transaction) -> list[Outcome]:
            reason = f"what {name} said since {moment_text(since, tz)} is not believed"
            found.append(
                await distrusting.distrust(
                    tx, configuration, here.node, party, since, reason=reason, by=whoever(), now=await tx.now()
                )
            )
            return list(found[-1].outcomes)

        foreseen = await foresee(here, work)
        if not as_json:
            _show(found[-1], foreseen, f"{name}, since {moment_text(since, tz)}", keys, tz)
        ask(f"Put that into quarantine, and suspend {name}?", yes=yes)
        await carry_out(here, work, foreseen)
    done = found[-1]
    if as_json:
        say_json({"peer": name, "since": since, **_as_value(done, keys)})
        return
    say(f"{plural(len(done.quarantined), 'version')} in quarantine; {name} is suspended.")
    say(f"To undo it: tocsin peer resume {name}, then tocsin quarantine release --peer {name} --all")


def _show(found: Distrusted, outcomes: Sequence[Outcome], what: str, keys: dict[str, str], tz: tzinfo) -> None:
    say(what, "bold")
    kinds = Counter(id_.partition("--")[0] for id_ in found.quarantined)
    came = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    say(f"  came to us: {came or 'nothing'}")
    moved = [outcome for outcome in outcomes if outcome.what in MOVES]
    say(f"  leaves our collections, or changes there: {plural(len(moved), 'object') if moved else 'nothing'}")
    show_outcomes(moved)
    if found.taken_back:
        tell(f"it took back, which stays so: {_some(found.taken_back)}", 2)
    for id_, entries in _by_collection(found.shown).items():
        ids = list(dict.fromkeys(entry.object_id for entry in entries))
        tell(f"it was shown since, in {keys[id_]}: {plural(len(ids), 'object')}: {_some(ids)}", 2)
    if not found.shown:
        say("  it was shown nothing of ours since")
    for one in found.fetched:
        parts = "" if one.whole else " (in part)"
        say(f"  it fetched from {keys[one.collection_id]}, up to {moment_text(one.ended, tz)}{parts}")


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _IDS_SHOWN:,} more (--json shows all)" if len(ids) > _IDS_SHOWN else ""
    return " ".join(ids[:_IDS_SHOWN]) + more


def _by_collection(shown: Sequence[Shown]) -> dict[str, list[Shown]]:
    found: dict[str, list[Shown]] = {}
    for entry in shown:
        found.setdefault(entry.collection_id, []).append(entry)
    return found


def _as_value(found: Distrusted, keys: dict[str, str]) -> dict[str, Any]:
    return {
        "quarantined": list(found.quarantined),
        "taken_back": list(found.taken_back),
        "moved": [
            {"collection": one.collection, "id": one.object_id, "what": one.what}
            for one in found.outcomes
            if one.what in MOVES
        ],
        "shown": [
            {"collection": keys[id_], "ids": list(dict.fromkeys(entry.object_id for entry in entries))}
            for id_, entries in _by_collection(found.shown).items()
        ],
        "fetched": [_fetched_as_value(one, keys) for one in found.fetched],
    }


def _fetched_as_value(one: Fetched, keys: dict[str, str]) -> dict[str, Any]:
    return {
        "collection": keys[one.collection_id],
        "from": one.first_position,
        "to": one.last_position,
        "whole": one.whole,
        "began": one.began,
        "ended": one.ended,
    }
