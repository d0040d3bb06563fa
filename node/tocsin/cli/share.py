"""Share: what is here, with one named recipient. Where he has no direct collection yet, one is made."""

from collections.abc import Sequence
from typing import Annotated

import typer

from tocsin.cli.console import ask, plural, say, say_json, warn
from tocsin.cli.editing import with_entry
from tocsin.cli.foresight import MOVES, carry_out, foresee, show_outcomes
from tocsin.cli.ids import find_id
from tocsin.cli.out import IdsToNameArgument, as_value
from tocsin.cli.session import HomeOption, JsonOption, Session, YesOption, run, session, whoever
from tocsin.documents import nearest
from tocsin.errors import BadInput, Refused
from tocsin.policy.closure import State
from tocsin.policy.configuration import Configuration, read_configuration
from tocsin.sharing import share as sharing
from tocsin.sharing.apply import apply, in_force, plan
from tocsin.sharing.node import OURS
from tocsin.sharing.release import Outcome
from tocsin.stix.markings import Tlp, marked
from tocsin.store import objects
from tocsin.store.transaction import Transaction


def add_to(app: typer.Typer) -> None:
    """Give the app this file's command."""
    app.command("share", rich_help_panel="Out")(share)


def share(
    ids: IdsToNameArgument,
    name: Annotated[str, typer.Option("--with", metavar="NAME", help="The account or peer to share it with.")],
    follow: Annotated[bool, typer.Option("--follow", help="Newer versions too, as they come.")] = False,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Share objects with one account or peer by name, at any TLP, through a collection for that reader alone.

    The first time, the collection is written into tocsin.yaml and brought into force. The recipient reads it like
    any other; a node needs it among what it pulls. What an object names goes along.
    """
    run(_share(home, ids, name, follow=follow, yes=yes, as_json=as_json))


async def _share(
    given: str | None, texts: Sequence[str], name: str, *, follow: bool, yes: bool, as_json: bool
) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        if configuration.settings.party(name) is None:
            known = [*configuration.settings.accounts, *configuration.settings.peers]
            raise BadInput(f"{name!r} is neither an account nor a peer in force{nearest(name, known)}")
        async with here.store.reading() as tx:
            wanted = list(dict.fromkeys([await find_id(tx, text) for text in texts]))
            held = await objects.offered(tx, wanted)
        for id_ in wanted:
            newest = held[id_][-1] if held.get(id_) else None
            if newest and marked(newest.value).level is Tlp.RED and newest.sources[0].party_id != OURS:
                warn(f"{id_} is TLP:RED: its source must have permitted that {name} gets it")
        key = sharing.direct_collection(configuration, name)
        if key is None:
            key, configuration = await _with_collection(here, configuration, name, yes=yes)

        async def work(tx: Transaction) -> list[Outcome]:
            return await sharing.share(
                tx, configuration, here.node, wanted, name, by=whoever(), now=await tx.now(), follow=follow
            )

        foreseen = await foresee(here, work)
        if not as_json:
            say(f"{key}, read by {name} alone", "bold")
            show_outcomes(foreseen)
        if any(outcome.what in MOVES for outcome in foreseen):
            ask(f"Share {plural(len(wanted), 'object')} with {name}?", yes=yes)
        done = await carry_out(here, work, foreseen)
    inside = {one.object_id for one in done if one.after is not State.OUT}
    if as_json:
        for outcome in done:
            say_json(as_value(outcome))
    else:
        say(f"Shared with {name}: {len(inside & set(wanted))} of {plural(len(wanted), 'object')}, in {key}.")
    if left_out := [id_ for id_ in wanted if id_ not in inside]:
        raise typer.Exit(1 if len(left_out) == len(wanted) else 3)


async def _with_collection(
    here: Session, configuration: Configuration, name: str, *, yes: bool
) -> tuple[str, Configuration]:
    """Write a direct collection for `name` into tocsin.yaml, and bring that, and nothing else, into force."""
    files = here.home.configuration_files()
    if read_configuration(files).sha256 != configuration.sha256:
        raise Refused(f"{name} has no direct collection yet, and the files hold other changes: tocsin apply first")
    key = f"direct-{name}"[:63]
    if key in configuration.settings.collections:
        raise Refused(f"the name {key!r} is taken: write a collection with direct: true for {name} yourself")
    entry = {"title": f"For {name}", "direct": True, "readers": [name]}
    after = with_entry(files["tocsin.yaml"], "collections", key, entry)
    wanted = read_configuration({**files, "tocsin.yaml": after})
    foreseen = await plan(here.store, wanted, here.node)
    if any(one.changes or one.closed for one in foreseen.collections):
        raise Refused("bringing a new collection into force would move other things too: tocsin apply first")
    ask(f"Write a collection {key!r} for {name} alone into tocsin.yaml, and bring it into force?", yes=yes)
    here.home.write_settings(after)
    await apply(here.store, foreseen, here.node)
    async with here.store.reading() as tx:
        return key, await in_force(tx)
