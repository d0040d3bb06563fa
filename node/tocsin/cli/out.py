"""Out: publish and hold: a person's word on incidents of ours. What readers would get is shown, and asked."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from tocsin.cli.console import ask, plural, say, say_json
from tocsin.cli.foresight import MOVES, carry_out, foresee, show_outcomes
from tocsin.cli.ids import find_incidents, short
from tocsin.cli.look import check_collection
from tocsin.cli.session import HomeOption, JsonOption, Session, YesOption, run, session
from tocsin.errors import BadInput, Refused
from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import OURS
from tocsin.sharing.publish import Outcome, release
from tocsin.store import audit, objects, publications, records, releases
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
    """Show who would get which incidents in what form, ask, and publish them. Policies still decide."""
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
            await _check_ours(tx, wanted)
        if not wanted:
            say("Nothing waits to be published.")
            return

        async def work(tx: Transaction) -> list[Outcome]:
            return await _set_published(tx, here, configuration, wanted, key, follow=follow)

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


async def _check_ours(tx: Transaction, ids: Sequence[str]) -> None:
    """What others made is their release: our policies pass it on, and no person publishes it here."""
    own = await records.belonging_to(tx, ids)
    missing = set(ids) - {one.incident_id for one in own}
    if missing:
        raise Refused(f"{min(missing)} was not made here: only our own incidents wait for a person")


async def _set_published(
    tx: Transaction,
    here: Session,
    configuration: Configuration,
    ids: Sequence[str],
    key: str | None,
    *,
    follow: bool,
) -> list[Outcome]:
    now = await tx.now()
    collection_id = await _collection_id(tx, key)
    newest = await objects.newest(tx, ids)
    for id_ in ids:
        await publications.set_publication(
            tx, id_, collection_id, "published", newest[id_].version_key, follow, now
        )
        await audit.append(tx, "published", id_, {"collection": key, "version": newest[id_].version}, now)
    belonging = [one.object_id for one in await records.belonging_to(tx, ids)]
    return await release(tx, configuration, here.node, belonging, now=now, keys=None if key is None else {key})


async def _collection_id(tx: Transaction, key: str | None) -> str:
    """The collection that a word is for; '' for all of them."""
    if key is None:
        return OURS
    return next(row.id for row in await releases.collections(tx) if row.key == key)


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
            now = await tx.now()
            wanted = await find_incidents(tx, texts)
            await _check_ours(tx, wanted)
            collection_id = await _collection_id(tx, key)
            for id_ in wanted:
                await _set_held(tx, id_, collection_id, now)
                await audit.append(tx, "held", id_, {"collection": key}, now)
            standing = await releases.standing_everywhere(tx, wanted)
    where = f"in {key}" if key else "everywhere"
    say(f"Held {where}: {' '.join(short(id_) for id_ in wanted)}")
    if standing:
        say(f"Readers have it already, and keep it: {' '.join(short(id_) for id_ in standing)}")


async def _set_held(tx: Transaction, id_: str, collection_id: str, now: int) -> None:
    """A word for all collections takes the place of those for single ones: held is held."""
    await publications.set_publication(tx, id_, collection_id, "held", None, False, now)
    if collection_id == OURS:
        for _, other in await publications.publications(tx, [id_]):
            if other != OURS:
                await publications.set_publication(tx, id_, other, "held", None, False, now)
