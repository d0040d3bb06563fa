"""Out: a person's word on what leaves: publish, hold, withdraw, revoke. What readers would notice is shown."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from tocsin.cli.console import ask, plural, say, say_json
from tocsin.cli.foresight import MOVES, carry_out, foresee, foreseen_and_asked, show_outcomes
from tocsin.cli.ids import find_id, find_incidents, short
from tocsin.cli.later import Later
from tocsin.cli.listing import look_around, seen_as
from tocsin.cli.look import check_collection
from tocsin.cli.person import person
from tocsin.cli.session import HomeOption, JsonOption, YesOption, run, session, whoever
from tocsin.errors import BadInput
from tocsin.policy.closure import State
from tocsin.policy.configuration import Configuration
from tocsin.sharing import publish as sharing
from tocsin.sharing import withdraw as taking_back
from tocsin.sharing.approvals import APPROVAL
from tocsin.sharing.release import Outcome
from tocsin.store import objects, publications, releases, withdrawals
from tocsin.store.transaction import Transaction

IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]…", help="STIX id, its first hex digits, or SOURCE:RECORD.")
]
InOption = Annotated[str | None, typer.Option("--in", metavar="COLLECTION", help="Only there; else everywhere.")]


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    commands = (("publish", publish), ("hold", hold), ("withdraw", withdraw), ("revoke", revoke))
    for name, command in commands:
        app.command(name, rich_help_panel="Out")(command)


def publish(
    ids: IdsArgument = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="All that wait.")] = False,
    inside: InOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Newer versions too, as they come.")] = False,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Not before: 2026-03-01T12:00Z, +3h or +2d.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Withdraw it then; where no zone is said, ours.")
    ] = None,
    then_tlp: Annotated[
        str | None, typer.Option("--then-tlp", metavar="TLP@TIME", help="Mark it with a lower TLP then.")
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Who approves; token: TOCSIN_TOKEN, else asked for.")
    ] = None,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who would get which incidents in what form, ask, and publish them. Policies still decide.

    Without --in, this counts for every collection, for those that are made later too. Ends with 3 when policies
    let some of the incidents into no collection, with 1 when they let in none.

    Where a collection wants several persons' approval, this is that of NAME, an account with role: publisher or
    operator; what is still missing is said, and ends with 3. A newer version needs new approvals, unless all of
    them said --follow.
    """
    if bool(ids) == waiting:
        raise BadInput("which incidents? Give ids, or --waiting")
    later = Later(from_, until, then_tlp)
    run(_publish(home, ids or [], inside, later, as_, follow=follow, yes=yes, as_json=as_json))


async def _publish(
    given: str | None,
    texts: Sequence[str],
    key: str | None,
    later: Later,
    name: str | None,
    *,
    follow: bool,
    yes: bool,
    as_json: bool,
) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        if key is not None:
            check_collection(configuration, key)
        async with here.store.reading() as tx:
            wanted = await _named(tx, texts) if texts else await publications.waiting(tx)
        if not wanted:
            say("Nothing waits to be published.")
            return

        by = await person(here, configuration, name)
        plans = await later.read(here, configuration, by)
        if plans.begins is not None:
            ask(f"Publish {plural(len(wanted), 'incident')} then, and hold until then?", yes=yes)
            async with here.store.writing() as tx:
                await plans.note(tx, configuration, here.node, wanted, now=await tx.now(), key=key, follow=follow)
            plans.show(wanted)
            return

        async def work(tx: Transaction) -> list[Outcome]:
            now = await tx.now()
            outcomes = await sharing.publish(
                tx, configuration, here.node, wanted, now=now, key=key, follow=follow, by_name=bool(texts), by=by
            )
            await plans.note(tx, configuration, here.node, wanted, now=now, key=key, follow=follow)
            return outcomes

        foreseen = await foresee(here, work)
        if not as_json:
            _show(foreseen, configuration, key)
        if any(outcome.what in MOVES for outcome in foreseen):
            ask(f"Publish {plural(len(wanted), 'incident')}?", yes=yes)
        done = await carry_out(here, work, foreseen)
    if as_json:
        for outcome in done:
            say_json(as_value(outcome))
    else:
        plans.show(wanted)
        moved = Counter(outcome.what for outcome in done if outcome.object_id.startswith("incident--"))
        say(f"Published: {moved['whole']} whole, {moved['redacted']} redacted, {moved['withheld']} withheld.")
    unapproved = [one for one in done if any(reason.rule == APPROVAL for reason in one.reasons)]
    if not as_json:
        _say_unapproved(unapproved)
    inside = {one.object_id for one in done if one.after is not State.OUT}
    left_out = [id_ for id_ in wanted if id_ not in inside]
    if unapproved:
        raise typer.Exit(3)
    if left_out:
        raise typer.Exit(1 if len(left_out) == len(wanted) else 3)


def _say_unapproved(unapproved: Sequence[Outcome]) -> None:
    """By collection and by what is missing: what waits for a further person."""
    waiting: dict[tuple[str, str], list[str]] = {}
    for one in unapproved:
        words = next(reason.text for reason in one.reasons if reason.rule == APPROVAL)
        waiting.setdefault((one.collection, words), []).append(short(one.object_id))
    for (collection, words), ids in waiting.items():
        say(f"Waits in {collection}: {words}: {' '.join(ids)}")


async def _named(tx: Transaction, texts: Sequence[str]) -> list[str]:
    """The incidents that a person means, or whatever else was taken back or pruned once and may come back."""
    found = list(dict.fromkeys([await find_id(tx, text) for text in texts]))
    taken_back = await withdrawals.withdrawals(tx, found)
    pruned = await sharing.no_longer_kept(tx, found, [row.id for row in await releases.collections(tx)])
    for id_ in found:
        if not id_.startswith("incident--") and id_ not in taken_back and id_ not in pruned:
            raise BadInput(f"{id_} is no incident")
    return found


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


def as_value(outcome: Outcome) -> dict[str, object]:
    """What became of one object in one collection, as `--json` tells it."""
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


IdsToNameArgument = Annotated[
    list[str], typer.Argument(metavar="ID…", help="STIX id, its first hex digits, or SOURCE:RECORD.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why: for this node's people, never sent on.")
]


def withdraw(
    ids: IdsToNameArgument,
    reason: ReasonOption,
    inside: InOption = None,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take objects back from readers, from everywhere or one collection. They stay out until published by name.

    Nodes are told until they acknowledge; a reader who only polls TAXII finds them gone, and cannot be told. What
    was made with an incident leaves with it.
    """

    async def work() -> None:
        async with session(home) as here:
            configuration = await here.configuration()
            if inside is not None:
                check_collection(configuration, inside)
            async with here.store.reading() as tx:
                wanted = list(dict.fromkeys([await find_id(tx, text) for text in ids]))

            async def take_back(tx: Transaction) -> list[Outcome]:
                return await taking_back.withdraw(
                    tx,
                    configuration,
                    here.node,
                    wanted,
                    reason=reason,
                    by=whoever(),
                    now=await tx.now(),
                    key=inside,
                )

            question = f"Withdraw {plural(len(wanted), 'object')}?"
            done = await foreseen_and_asked(here, take_back, question, yes=yes, quiet=as_json)
        _say_gone(done, "withdrawn", as_json=as_json)

    run(work())


def revoke(
    ids: IdsToNameArgument,
    reason: ReasonOption,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of objects made here that they were never valid. It is final, and enters every log that holds them."""

    async def work() -> None:
        async with session(home) as here:
            configuration = await here.configuration()
            async with here.store.reading() as tx:
                wanted = list(dict.fromkeys([await find_id(tx, text) for text in ids]))

            async def end(tx: Transaction) -> list[Outcome]:
                return await taking_back.revoke(
                    tx, configuration, here.node, wanted, reason=reason, by=whoever(), now=await tx.now()
                )

            foreseen = await foresee(here, end)
            if not as_json:
                show_outcomes([one for one in foreseen if one.what in MOVES])
            ask(f"Revoke {plural(len(wanted), 'object')} for ever?", yes=yes)  # even where nobody reads them yet
            done = await carry_out(here, end, foreseen)
        _say_gone(done, "revoked", as_json=as_json)

    run(work())


def _say_gone(done: Sequence[Outcome], word: str, *, as_json: bool) -> None:
    if as_json:
        for outcome in done:
            say_json(as_value(outcome))
        return
    moved = [one for one in done if one.what in MOVES]
    places = list(dict.fromkeys(one.collection for one in moved))
    objects_ = len({one.object_id for one in moved})
    say(
        f"{word.capitalize()}: {plural(objects_, 'object')} in {', '.join(places)}."
        if moved
        else f"No reader had any of it; it is {word}."
    )
