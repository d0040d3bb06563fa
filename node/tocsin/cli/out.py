"""Out: publish and hold: a person's word on incidents of ours. What readers would get is shown, and asked."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from tocsin.cli.console import ask, plural, say, say_json
from tocsin.cli.foresight import MOVES, carry_out, foresee, show_outcomes
from tocsin.cli.ids import find_incidents, short
from tocsin.cli.listing import look_around, seen_as
from tocsin.cli.look import check_collection
from tocsin.cli.session import HomeOption, JsonOption, YesOption, run, session
from tocsin.errors import BadInput
from tocsin.policy.closure import State
from tocsin.policy.configuration import Configuration
from tocsin.sharing import publish as sharing
from tocsin.sharing.release import Outcome
from tocsin.store import objects, publications
from tocsin.store.transaction import Transaction

IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]…", help="STIX id, its first hex digits, or SOURCE:RECORD.")
]
InOption = Annotated[str | None, typer.Option("--in", metavar="COLLECTION", help="Only there; else everywhere.")]


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    for name, command in (("publish", publish), ("hold", hold)):
        app.command(name, rich_help_panel="Out")(command)


def publish(
    ids: IdsArgument = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="All that wait.")] = False,
    inside: InOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Newer versions too, as they come.")] = False,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who would get which incidents in what form, ask, and publish them. Policies still decide.

    Without --in, this counts for every collection, for those that are made later too. Ends with 3 when policies
    let some of the incidents into no collection, with 1 when they let in none.
    """
    if bool(ids) == waiting:
        raise BadInput("which incidents? Give ids, or --waiting")
    run(_publish(home, ids or [], inside, follow=follow, yes=yes, as_json=as_json))


async def _publish(
    given: str | None, texts: Sequence[str], key: str | None, *, follow: bool, yes: bool, as_json: bool
) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        if key is not None:
            check_collection(configuration, key)
        async with here.store.reading() as tx:
            wanted = await find_incidents(tx, texts) if texts else await publications.waiting(tx)
        if not wanted:
            say("Nothing waits to be published.")
            return

        async def work(tx: Transaction) -> list[Outcome]:
            now = await tx.now()
            return await sharing.publish(tx, configuration, here.node, wanted, now=now, key=key, follow=follow)

        foreseen = await foresee(here, work)
        if not as_json:
            _show(foreseen, configuration, key)
        if any(outcome.what in MOVES for outcome in foreseen):
            ask(f"Publish {plural(len(wanted), 'incident')}?", yes=yes)
        done = await carry_out(here, work, foreseen)
    if as_json:
        for outcome in done:
            say_json(_as_value(outcome))
    else:
        moved = Counter(outcome.what for outcome in done if outcome.object_id.startswith("incident--"))
        say(f"Published: {moved['whole']} whole, {moved['redacted']} redacted, {moved['withheld']} withheld.")
    inside = {one.object_id for one in done if one.after is not State.OUT}
    if left_out := [id_ for id_ in wanted if id_ not in inside]:
        raise typer.Exit(1 if len(left_out) == len(wanted) else 3)


def _show(outcomes: Sequence[Outcome], configuration: Configuration, key: str | None) -> None:
    """By collection: which incidents would enter in what form, and which not, and why."""
    for name, settings in configuration.settings.collections.items():
        if key is not None and name != key:
            continue
        here = [one for one in outcomes if one.collection == name]
        readers = ", ".join(settings.readers) or "nobody yet"
        say(f"{name}, read by {readers}", "bold")
        show_outcomes(here)
        say()


def _as_value(outcome: Outcome) -> dict[str, object]:
    return {
        "collection": outcome.collection,
        "id": outcome.object_id,
        "what": outcome.what,
        "stands_as": outcome.stands_as,
        "reasons": [{"rule": reason.rule, "text": reason.text} for reason in outcome.reasons],
        "omitted": list(outcome.omitted),
    }


def hold(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID…", help="STIX id, its first hex digits, or SOURCE:RECORD.")
    ],
    inside: InOption = None,
    home: HomeOption = None,
) -> None:
    """Keep incidents here until a person publishes them. What readers have already stays with them."""
    run(_hold(home, ids, inside))


async def _hold(given: str | None, texts: Sequence[str], key: str | None) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        if key is not None:
            check_collection(configuration, key)
        async with here.store.writing() as tx:
            wanted = await find_incidents(tx, texts)
            await sharing.hold(tx, configuration, here.node, wanted, now=await tx.now(), key=key)
            newest = await objects.newest(tx, wanted)
            seen = await seen_as(tx, await look_around(tx, configuration), list(newest.values()))
    where = f"in {key}" if key else "everywhere"
    say(f"Held {where}: {' '.join(short(id_) for id_ in wanted)}")
    for one in seen:
        if one.stands:
            say(f"{short(one.id)} stays as readers have it, in {', '.join(one.stands)}; what is newer waits.")
