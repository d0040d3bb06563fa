"""Erase: content destroyed for good, shown first; and what that leaves for a person to do."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.console import ask, plural, say, say_json, tell, warn
from tocsin.cli.foresight import MOVES, show_outcomes
from tocsin.cli.ids import find_id
from tocsin.cli.session import HomeOption, JsonOption, Session, YesOption, database_settings, run, session, whoever
from tocsin.errors import BadInput, NotFound, Refused
from tocsin.settings import Home
from tocsin.sharing import erase as sharing
from tocsin.sharing.erase import ErasurePlan
from tocsin.sharing.release import Outcome
from tocsin.stix.objects import ID
from tocsin.store import erasures
from tocsin.store.transaction import Transaction

_STRETCH = 1024 * 1024  # bytes of a file searched at a time
_OWN = ("tocsin.db", "tocsin.db-wal", "tocsin.db-shm", "tocsin.yaml")
_SHOWN = 12  # ids of one kind


def add_to(app: typer.Typer) -> None:
    """Give the app this file's command."""
    app.command("erase", rich_help_panel="Out")(erase)


def erase(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]…", help="STIX id, its first hex digits, or SOURCE:RECORD."),
    ] = None,
    victim: Annotated[
        str | None,
        typer.Option(
            "--victim", metavar="TEXT|ID", help="All incidents of a victim: part of its name, or its id."
        ),
    ] = None,
    because: Annotated[
        str, typer.Option("--because", metavar="TEXT", help="Why. It is kept: name nobody in it.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be destroyed.")] = False,
    allow_again: Annotated[
        bool, typer.Option("--allow-again", help="Let what was erased come back, from whoever still has it.")
    ] = False,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Write the database anew, however large; alone: nothing but that.")
    ] = False,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Destroy content here for good, ask it back from whoever was offered it, and keep the fact.

    Shows what goes first. An erased id never comes back, in whatever version and from whomever, unless
    --allow-again says so by its whole id. Backups, and what readers hold, are out of this node's reach. Ends with
    3 when something is left for a person to do.
    """
    texts = ids or []
    if not texts and victim is None and not rewrite:
        raise BadInput("what? Give ids, or --victim")
    if allow_again and (victim is not None or rewrite or dry_run):
        raise BadInput("--allow-again takes ids, and nothing else")

    async def work() -> bool:
        async with session(home) as here:
            if allow_again:
                await _allow_again(here, texts)
                return False
            if not texts and victim is None:
                return await _forget(here, rewrite=True)
            return await _erase(
                here, texts, victim, because, dry_run=dry_run, rewrite=rewrite, yes=yes, as_json=as_json
            )

    if run(work()):
        raise typer.Exit(3)


async def _allow_again(here: Session, texts: Sequence[str]) -> None:
    for text in texts:
        if not ID.match(text):
            raise BadInput(f"{text!r}: what was erased is named by its whole id")
    async with here.store.writing() as tx:
        lifted = await sharing.allow_again(tx, texts, by=whoever(), now=await tx.now())
    say(f"May come back: {' '.join(lifted)}")


async def _erase(
    here: Session,
    texts: Sequence[str],
    victim: str | None,
    because: str,
    *,
    dry_run: bool,
    rewrite: bool,
    yes: bool,
    as_json: bool,
) -> bool:
    """Whether something is left for a person to do."""
    configuration = await here.configuration()
    by = whoever()
    planned, foreseen = await _foresee(here, texts, victim)
    files = list(_files_with(here.home, planned.ids))
    if not as_json:
        _show(planned, foreseen, files)
    if dry_run:
        if as_json:
            say_json(_as_value(planned, foreseen, files, []))
        return False
    if not because:
        raise BadInput("why? Say --because TEXT: it is kept, so name nobody in it")
    ask(f"Destroy {plural(len(planned.ids), 'object')} for good?", yes=yes)
    async with here.store.writing() as tx:
        now = await sharing.plan(tx, here.node, planned.named)
        if now != planned:
            raise Refused("what it would destroy has changed meanwhile: look at it again; nothing was changed")
        done = await sharing.erase(
            tx, configuration, here.node, planned, because=because, by=by, now=await tx.now()
        )
    left = await _bytes_left(here, rewrite=rewrite)
    if as_json:
        say_json(_as_value(planned, done, files, left))
    else:
        say(f"Erased: {plural(len(planned.ids), 'object')}. The fact is kept, by id and hash.")
        for sentence in left:
            tell(sentence)
    return bool(left or files)


async def _foresee(here: Session, texts: Sequence[str], victim: str | None) -> tuple[ErasurePlan, list[Outcome]]:
    """What would go, and what readers would notice; found out in a transaction that is undone."""
    configuration = await here.configuration()
    try:
        async with here.store.writing() as tx:
            wanted = await _wanted(tx, texts, victim)
            planned = await sharing.plan(tx, here.node, wanted)
            now = await tx.now()
            outcomes = await sharing.erase(tx, configuration, here.node, planned, because="", by="", now=now)
            raise _Undone(planned, outcomes)
    except _Undone as what:
        return what.planned, what.outcomes


class _Undone(Exception):
    def __init__(self, planned: ErasurePlan, outcomes: list[Outcome]) -> None:
        super().__init__()
        self.planned = planned
        self.outcomes = outcomes


async def _wanted(tx: Transaction, texts: Sequence[str], victim: str | None) -> list[str]:
    wanted = [await find_id(tx, text) for text in texts]
    if victim is None:
        return wanted
    if ID.match(victim):
        return [*wanted, *await sharing.of_identity(tx, victim)]
    found = await sharing.of_victim(tx, victim)
    if not found:
        raise NotFound("no identity, and no source record, has that text")
    for id_, why in found.items():
        warn(f"{id_}: {why}")
    return [*wanted, *found]


async def _forget(here: Session, *, rewrite: bool) -> bool:
    left = await _bytes_left(here, rewrite=rewrite)
    say("The database is written anew.")
    for sentence in left:
        tell(sentence)
    return bool(left)


async def _bytes_left(here: Session, *, rewrite: bool) -> list[str]:
    url = here.home.database_url(database_settings(here.home))
    return await erasures.forget_bytes(url, rewrite=rewrite)


def _files_with(home: Home, ids: Sequence[str]) -> Iterator[Path]:
    """The files of the home, but the node's own, that name any of the ids: exports, bundles, backups."""
    wanted = [id_.encode("ascii") for id_ in ids]
    longest = max(map(len, wanted), default=0)
    for file in sorted(home.path.rglob("*")):
        if (
            file.is_file()
            and file.name not in _OWN
            and home.keys not in file.parents
            and _holds(file, wanted, longest)
        ):
            yield file


def _holds(file: Path, wanted: Sequence[bytes], longest: int) -> bool:
    try:
        with file.open("rb") as stream:
            before = b""
            while piece := stream.read(_STRETCH):
                if any(one in before + piece for one in wanted):
                    return True
                before = piece[-longest:]
    except OSError as why:
        warn(f"{file} cannot be looked through: {why.strerror}")
    return False


def _show(planned: ErasurePlan, foreseen: Sequence[Outcome], files: Sequence[Path]) -> None:
    for ids, said in (
        (planned.named, "named"),
        (planned.made_with, "made with it alone"),
        (planned.copies, "its redacted copies"),
    ):
        _show_ids(ids, f"to be destroyed, {said}")
    amount = planned.amount
    say(
        f"That is {plural(amount.versions, 'version')}, {plural(amount.records, 'source record')} with what was "
        f"made of it, {plural(amount.assessments, 'assessment')}, {amount.quarantined} kept for a person to judge "
        f"and {plural(amount.statuses, 'answer')} to posts."
    )
    _show_ids(planned.stay, "stays, because other incidents have it too")
    _show_ids(planned.naming, "stays, and names it")
    moved = [one for one in foreseen if one.what in MOVES]
    if moved:
        say("Taken back from readers first (see tocsin disclosures for who holds it):", "bold")
        show_outcomes(moved)
    for file in files:
        say(f"You must see to this file, which names it: {file}")


def _show_ids(ids: Sequence[str], said: str) -> None:
    if not ids:
        return
    kinds = Counter(id_.partition("--")[0] for id_ in ids)
    say(f"{', '.join(plural(count, kind) for kind, count in sorted(kinds.items()))} {said}:", "bold")
    for id_ in ids[:_SHOWN]:
        say(f"  {id_}")
    if len(ids) > _SHOWN:
        say(f"  and {len(ids) - _SHOWN} more (--json shows all)")


def _as_value(
    planned: ErasurePlan, outcomes: Sequence[Outcome], files: Sequence[Path], left: Sequence[str]
) -> dict[str, object]:
    return {
        "named": list(planned.named),
        "made_with": list(planned.made_with),
        "copies": list(planned.copies),
        "stay": list(planned.stay),
        "naming": list(planned.naming),
        "taken_back": [
            {"collection": one.collection, "id": one.object_id} for one in outcomes if one.what in MOVES
        ],
        "files": [str(file) for file in files],
        "left": list(left),
    }
