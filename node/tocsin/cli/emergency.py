"""Emergency: stop the exchange with somebody, or with everybody, at once; and take it up again."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from tocsin.cli.console import ask, say, say_json, warn
from tocsin.cli.people import find_party
from tocsin.cli.session import HomeOption, JsonOption, Session, YesOption, run, session, whoever
from tocsin.cli.wording import pause_as_value, pause_words, zone
from tocsin.errors import BadInput
from tocsin.policy.configuration import Configuration
from tocsin.store import audit, parties, pauses
from tocsin.store.parties import Party
from tocsin.store.pauses import EVERYBODY, Pause
from tocsin.store.transaction import Transaction

NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME…]", help="Accounts and peers, as in tocsin.yaml.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Everybody.")]
BecauseOption = Annotated[
    str, typer.Option("--because", metavar="TEXT", help="Why: for this node's people, never sent on.")
]


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    for name, command in (("pause", pause), ("resume", resume)):
        app.command(name, rich_help_panel="With whom")(command)


def pause(
    because: BecauseOption,
    names: NamesArgument = None,
    everybody: AllOption = False,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop the exchange with accounts and peers, or with everybody, from the next request on, until `resume`.

    They get 503 and are asked to come back later; nothing is read from them. With --all nothing planned is carried
    out either. It holds on every replica and over restarts. What they hold stays with them.
    """
    _check_named(names, everybody=everybody)
    if not because.strip():
        raise BadInput("--because: why, in a few words")
    run(_pause(home, names or (), because.strip(), everybody=everybody, yes=yes, as_json=as_json))


def resume(
    names: NamesArgument = None,
    everybody: AllOption = False,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the exchange up again, where it stopped. --all ends the pause of everybody, and no other."""
    _check_named(names, everybody=everybody)
    run(_resume(home, names or (), everybody=everybody, yes=yes, as_json=as_json))


def _check_named(names: Sequence[str] | None, *, everybody: bool) -> None:
    if everybody == bool(names):
        raise BadInput("whom? Either names, or --all")


async def _pause(
    given: str | None, names: Sequence[str], because: str, *, everybody: bool, yes: bool, as_json: bool
) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            meant = await _meant(tx, here, configuration, names, everybody=everybody)
            holding = await pauses.pauses(tx)
        if fresh := [id_ for id_ in meant if id_ not in holding]:
            for id_ in fresh:
                warn(_loss(configuration, meant[id_]))
            ask("Pause?", yes=yes)
            async with here.store.writing() as tx:
                now, by = await tx.now(), whoever()
                for id_ in await pauses.put(tx, fresh, because, by, now):
                    await audit.append(tx, "paused", _subject(meant[id_]), {"because": because, "by": by}, now)
        async with here.store.reading() as tx:
            holding = await pauses.pauses(tx)
    for id_, party in meant.items():
        found = holding.get(id_)
        if as_json:
            say_json({"name": _subject(party), "paused": pause_as_value(found)})
        elif found is not None:
            again = "" if id_ in fresh else " already"
            say(f"{_who(party)} is paused{again}: {found.because} ({_back(party)})")


async def _resume(given: str | None, names: Sequence[str], *, everybody: bool, yes: bool, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            meant = await _meant(tx, here, configuration, names, everybody=everybody)
            holding = await pauses.pauses(tx)
        tz = zone(configuration.settings.node.timezone)
        if ending := [id_ for id_ in meant if id_ in holding]:
            for id_ in ending:
                warn(f"{_who(meant[id_])}: {pause_words(holding[id_], tz)}")
            ask("Resume?", yes=yes)
            async with here.store.writing() as tx:
                now, by = await tx.now(), whoever()
                for id_ in await pauses.lift(tx, ending):
                    await audit.append(tx, "resumed", _subject(meant[id_]), {"by": by}, now)
        async with here.store.reading() as tx:
            left = await pauses.pauses(tx)
            people = {party.id: party for party in await parties.parties(tx)}
    for id_, party in meant.items():
        if as_json:
            say_json({"name": _subject(party), "paused": pause_as_value(left.get(id_))})
        else:
            say(f"{_who(party)} is {'resumed' if id_ in ending else 'not paused'}.")
    if not as_json:
        _tell_what_holds(left, people, meant)


def _tell_what_holds(left: Mapping[str, Pause], people: dict[str, Party], meant: dict[str, Party | None]) -> None:
    """What keeps the exchange stopped all the same."""
    if EVERYBODY in left and EVERYBODY not in meant:
        say("Everything is still paused: tocsin resume --all")
    if EVERYBODY in meant and (alone := [people[id_].name for id_ in left if id_ in people]):
        say(f"Still paused by name: {', '.join(alone)}")
    for party in meant.values():
        if party is not None and party.suspended:
            say(f"{party.name} is suspended, which is another thing: tocsin peer resume {party.name}")


async def _meant(
    tx: Transaction, here: Session, configuration: Configuration, names: Sequence[str], *, everybody: bool
) -> dict[str, Party | None]:
    """Who is meant, by id; everybody is None. Raises BadInput for an unknown name."""
    if everybody:
        return {EVERYBODY: None}
    found = [await find_party(tx, here, configuration, name) for name in names]
    return {party.id: party for party in found}


def _subject(party: Party | None) -> str:
    """What the audit calls it; no party has the name `*`."""
    return party.name if party else "*"


def _who(party: Party | None) -> str:
    return party.name if party else "everything"


def _back(party: Party | None) -> str:
    return f"tocsin resume {party.name if party else '--all'}"


def _loss(configuration: Configuration, party: Party | None) -> str:
    """What a pause takes from whom."""
    if party is None:
        names = [*configuration.settings.accounts, *configuration.settings.peers]
        return f"Everybody gets 503 ({', '.join(names) or 'nobody is known'}), and nothing is read from any peer."
    keys = configuration.settings.collections
    reads = [key for key in keys if configuration.can_read(party.name, key)]
    writes = [key for key in keys if configuration.can_write(party.name, key)]
    parts = [f"reads {', '.join(reads)}"] if reads else []
    parts += [f"adds to {', '.join(writes)}"] if writes else []
    also = ", and is no longer read" if party.kind == "peer" else ""
    return f"{party.name} ({'; '.join(parts) or 'reads nothing'}) gets 503{also}."
