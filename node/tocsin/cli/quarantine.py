"""Quarantine: what peers claimed and may not, or is not believed: listed, shown, let in, refused."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer

from tocsin.cli.console import ask, plural, say, say_json, show_table, warn
from tocsin.cli.people import find_party
from tocsin.cli.session import HomeOption, JsonOption, Session, YesOption, run, session, whoever
from tocsin.cli.wording import moment_text, zone
from tocsin.errors import BadInput, NotFound
from tocsin.intake import quarantine as judging
from tocsin.intake.quarantine import AT_ONCE, Judged
from tocsin.policy.configuration import Configuration
from tocsin.store import objects, parties
from tocsin.store import quarantine as kept
from tocsin.store.peers import LedgerRow
from tocsin.store.transaction import Transaction

_LARGEST = 2**53
_SHOWN = 20  # of what would be judged
_DONE = ("released", "refused")

NumbersArgument = Annotated[
    list[int] | None, typer.Argument(metavar="[N…]", help="As listed.", min=1, max=_LARGEST)
]
PeerOption = Annotated[str | None, typer.Option("--peer", metavar="NAME", help="Of this peer alone.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of this peer's.")]

_Judge = Callable[[Transaction, Sequence[int], int], Awaitable[list[Judged]]]


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    group = typer.Typer(help="Quarantine: what peers offered and a person is to judge.", no_args_is_help=True)
    for name, command in (("list", list_), ("show", show), ("release", release), ("refuse", refuse)):
        group.command(name)(command)
    app.add_typer(group, name="quarantine", rich_help_panel="With whom")


# --- looking -------------------------------------------------------------------------------------------------


def list_(peer: PeerOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """What waits to be judged: from whom, since when, and why."""
    run(_list(home, peer, as_json=as_json))


async def _list(given: str | None, peer: str | None, *, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            rows = await kept.waiting(tx, await _peer_id(tx, here, configuration, peer) if peer else None)
            names = {party.id: party.name for party in await parties.parties(tx)}
    tz = zone(configuration.settings.node.timezone)
    if as_json:
        for row in rows:
            say_json(_row_as_value(row, names))
    elif rows:
        lines = [
            (str(row.seq), names[row.party_id], moment_text(row.at, tz), row.object_id, row.reason) for row in rows
        ]
        show_table(("n", "peer", "since", "object", "why"), lines, wrap=("object", "why"))
    else:
        say("Nothing is in quarantine.")


def _row_as_value(row: LedgerRow, names: dict[str, str]) -> dict[str, Any]:
    return {
        "number": row.seq,
        "peer": names[row.party_id],
        "collection": row.collection_id,
        "since": row.at,
        "id": row.object_id,
        "version": row.version,
        "sha256": row.sha256,
        "outcome": row.outcome,
        "reason": row.reason,
    }


def show(
    number: Annotated[int, typer.Argument(metavar="N", help="As listed.", min=1, max=_LARGEST)],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """One entry: its content as it came, why it waits, and what we hold under that id and on whose word."""
    run(_show(home, number, as_json=as_json))


async def _show(given: str | None, number: int, *, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            row = (await kept.entries(tx, [number])).get(number)
            if row is None:
                raise NotFound(f"no entry of the ledger has the number {number} (tocsin quarantine list)")
            names = {party.id: party.name for party in await parties.parties(tx)}
            held = (await objects.offered(tx, [row.object_id])).get(row.object_id, [])
    content = row.content.decode("utf-8", "replace") if row.content is not None else None
    words = [
        (one.version, one.sha256, names.get(said.party_id, "this node"), said.word, said.authentic)
        for one in held
        for said in one.sources
    ]
    if as_json:
        keys = ("version", "sha256", "by", "word", "authentic")
        held_as_values = [dict(zip(keys, word, strict=True)) for word in words]
        say_json({**_row_as_value(row, names), "content": content, "held": held_as_values})
        return
    tz = zone(configuration.settings.node.timezone)
    say(f"{row.object_id or 'unreadable'}: {row.outcome}", "bold")
    say(f"  from {names[row.party_id]}, at {moment_text(row.at, tz)}, version {row.version or 'none'}")
    say(f"  {row.reason}")
    say(f"  {row.sha256}")
    say()
    if words:
        say("We hold under this id:")
        show_table(
            ("version", "hash", "by", ""),
            [
                (version, sha256[:16], by, _standing(word, authentic))
                for version, sha256, by, word, authentic in words
            ],
            indent=2,
        )
    else:
        say("We hold nothing under this id.")
    say()
    say(content if content is not None else "Its content is no longer kept.")


def _standing(word: str, authentic: bool) -> str:
    return f"{'authentic' if authentic else 'asserted'}{', revoked' if word == 'revoke' else ''}"


# --- judging -------------------------------------------------------------------------------------------------


def release(
    numbers: NumbersArgument = None,
    peer: PeerOption = None,
    everything: AllOption = False,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let it in all the same, as the word of who brought it. What is ours nobody can change, released or not.

    Our own policies then say which of our readers see it.
    """

    async def work(here: Session, configuration: Configuration) -> _Judge:
        async def judge(tx: Transaction, some: Sequence[int], now: int) -> list[Judged]:
            return await judging.release(tx, configuration, here.node, some, by=whoever(), now=now)

        return judge

    run(_judge(home, work, numbers, peer, everything=everything, verb="Release", yes=yes, as_json=as_json))


def refuse(
    numbers: NumbersArgument = None,
    peer: PeerOption = None,
    everything: AllOption = False,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """End it: it is not taken in, and its content is destroyed."""

    async def work(here: Session, configuration: Configuration) -> _Judge:
        async def judge(tx: Transaction, some: Sequence[int], now: int) -> list[Judged]:
            return await judging.refuse(tx, some, by=whoever(), now=now)

        return judge

    run(_judge(home, work, numbers, peer, everything=everything, verb="Refuse", yes=yes, as_json=as_json))


async def _judge(
    given: str | None,
    work: Callable[[Session, Configuration], Awaitable[_Judge]],
    numbers: Sequence[int] | None,
    peer: str | None,
    *,
    everything: bool,
    verb: str,
    yes: bool,
    as_json: bool,
) -> None:
    if bool(numbers) == (peer is not None) or everything != (peer is not None):
        raise BadInput("which? Either numbers, or --peer NAME --all")
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            party_id = await _peer_id(tx, here, configuration, peer) if peer else None
            waiting = {row.seq: row for row in await kept.waiting(tx, party_id) if row.seq is not None}
            names = {party.id: party.name for party in await parties.parties(tx)}
        meant = list(dict.fromkeys(numbers or waiting))
        if asked := [waiting[number] for number in meant if number in waiting]:
            for row in asked[:_SHOWN]:
                warn(f"  {row.seq}  {names[row.party_id]}  {row.object_id}: {row.reason}")
            if len(asked) > _SHOWN:
                warn(f"  … and {len(asked) - _SHOWN:,} more")
            ask(f"{verb} {plural(len(asked), 'entry', 'entries')}?", yes=yes)
        judge = await work(here, configuration)
        judged: list[Judged] = []
        for at in range(0, len(meant), AT_ONCE):
            async with here.store.writing() as tx:
                judged += await judge(tx, meant[at : at + AT_ONCE], await tx.now())
    _tell(judged, verb, as_json=as_json)


def _tell(judged: Sequence[Judged], verb: str, *, as_json: bool) -> None:
    """What became of each; exit code 1 where nothing was done that was asked for, 3 where not all of it was."""
    done = [one for one in judged if one.judgement in _DONE or _is_done_already(one, verb)]
    if as_json:
        for one in judged:
            say_json({"number": one.number, "judgement": one.judgement, "id": one.object_id, "reason": one.reason})
    else:
        for one in judged:
            if one.judgement not in _DONE:
                say(f"{one.number} {one.judgement}: {one.reason}")
        fresh = sum(one.judgement in _DONE for one in judged)
        say(f"{verb}d: {plural(fresh, 'entry', 'entries')}." if judged else "Nothing is in quarantine.")
    if len(done) < len(judged):
        raise typer.Exit(3 if done else 1)


def _is_done_already(one: Judged, verb: str) -> bool:
    """Whether somebody said the same of it before."""
    ended_as = ("refused",) if verb == "Refuse" else ("stored", "duplicate")
    return one.judgement == "ended before" and one.reason.partition(":")[0] in ended_as


async def _peer_id(tx: Transaction, here: Session, configuration: Configuration, name: str) -> str:
    return (await find_party(tx, here, configuration, name)).id
