"""People: the accounts and peers that ask us, and the tokens by which they are known."""

from typing import Annotated

import typer

from tocsin.cli.console import ask, plural, say, say_json, show_table, warn
from tocsin.cli.session import HomeOption, JsonOption, Session, YesOption, proposed, run, session
from tocsin.cli.wording import moment_text, pause_as_value, pause_words, zone
from tocsin.documents import nearest
from tocsin.errors import BadFile, BadInput, NotFound
from tocsin.policy.configuration import Configuration
from tocsin.settings import AccountSettings, PartySettings
from tocsin.store import accounts, audit, parties, pauses
from tocsin.store.accounts import TokenInfo
from tocsin.store.parties import Party
from tocsin.store.transaction import Transaction

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="As in tocsin.yaml.")]


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    group = typer.Typer(help="Accounts: who may ask us, and with which token.", no_args_is_help=True)
    for name, command in (("list", list_), ("token", token), ("revoke", revoke)):
        group.command(name)(command)
    app.add_typer(group, name="account", rich_help_panel="With whom")


def list_(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Accounts and peers, what each may read and add to, and how many tokens it has."""
    run(_list(home, as_json=as_json))


async def _list(given: str | None, *, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            known = {party.name: party for party in await parties.parties(tx)}
            tokens = await accounts.tokens(tx)
            holding = await pauses.pauses(tx)
    settings = configuration.settings
    rows = []
    for name, party in {**settings.accounts, **settings.peers}.items():
        valid = [one for one in tokens if one.party_id == known[name].id and one.revoked is None]
        reads = [key for key in settings.collections if configuration.can_read(name, key)]
        writes = [key for key in settings.collections if configuration.can_write(name, key)]
        if as_json:
            say_json(
                {
                    "name": name,
                    "kind": _kind(party),
                    "country": party.country,
                    "reads": reads,
                    "writes": writes,
                    "tokens": [_token_as_value(one) for one in valid],
                    "suspended": known[name].suspended,
                    "paused": pause_as_value(holding.get(known[name].id)),
                    "empty_page": party.empty_page,
                }
            )
        marked = " suspended" if known[name].suspended else ""
        marked += " paused" if known[name].id in holding else ""
        rows.append(
            (name, _kind(party) + marked, party.country or "?", " ".join(reads) or "—", " ".join(writes) or "—",
             str(len(valid)))
        )  # fmt: skip
    if not as_json:
        show_table(("name", "kind", "country", "reads", "adds to", "tokens"), rows, wrap=("reads", "adds to"))
        names = {party.id: name for name, party in known.items()}
        for id_, found in holding.items():
            who = f"{names[id_]}: " if id_ in names else ""
            say(f"{who}{pause_words(found, zone(settings.node.timezone))}")


def _kind(party: PartySettings) -> str:
    if isinstance(party, AccountSettings):
        return party.kind or party.role or ""
    return "peer"


def _token_as_value(one: TokenInfo) -> dict[str, object]:
    return {"id": one.id, "created": one.created}


def token(name: NameArgument, home: HomeOption = None) -> None:
    """Print a new token, alone and once: bearer token, and Basic password of user NAME. Two may be valid."""
    say(run(_token(home, name)))


async def _token(given: str | None, name: str) -> str:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.writing() as tx:
            party = await find_party(tx, here, configuration, name)
            now = await tx.now()
            made = await accounts.make_token(tx, party.id, now)
            await audit.append(tx, "token made", name, {}, now)
            valid = [one for one in await accounts.tokens(tx) if one.party_id == party.id and one.revoked is None]
    tz = zone(configuration.settings.node.timezone)
    if older := [moment_text(one.created, tz) for one in valid if one.id != made.split("_")[1]]:
        warn(
            f"{name} has {len(valid)} valid tokens: this one, and that made at {', '.join(older)}, which stays "
            f"valid while {name} changes over. One alone cannot be ended: tocsin account revoke {name} ends both, "
            "and a new one is made after it."
        )
    return made


def revoke(name: NameArgument, yes: YesOption = False, home: HomeOption = None) -> None:
    """Make every token of NAME worthless, from the next request on."""
    run(_revoke(home, name, yes=yes))


async def _revoke(given: str | None, name: str, *, yes: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            party = await find_party(tx, here, configuration, name)
            valid = [one for one in await accounts.tokens(tx) if one.party_id == party.id and one.revoked is None]
        if not valid:
            say(f"{name} has no valid token.")
            return
        reads = [key for key in configuration.settings.collections if configuration.can_read(name, key)]
        warn(f"{name} has {plural(len(valid), 'valid token')} and reads {' '.join(reads) or 'nothing'}.")
        ask("Revoke them?", yes=yes)
        async with here.store.writing() as tx:
            now = await tx.now()
            revoked = await accounts.revoke_tokens(tx, party.id, now)
            await audit.append(tx, "tokens revoked", name, {"tokens": revoked}, now)
    say(f"{plural(revoked, 'token')} of {name} revoked. A new one: tocsin account token {name}")


async def find_party(tx: Transaction, here: Session, configuration: Configuration, name: str) -> Party:
    """The account or peer of this name that is in force.

    Raises BadInput with the nearest name, NotFound for one that waits in the file.
    """
    party = await parties.party_by_name(tx, name)
    if party is not None and configuration.settings.party(name) is not None:
        return party
    if _is_proposed(here, name):
        raise NotFound(f"{name!r} is in tocsin.yaml, but not in force yet (run: tocsin apply)")
    known = [*configuration.settings.accounts, *configuration.settings.peers]
    there = nearest(name, known) or (
        f" (there are: {', '.join(known)})" if known else " (tocsin.yaml names nobody)"
    )
    raise BadInput(f"no account or peer {name!r}{there}")


def _is_proposed(here: Session, name: str) -> bool:
    try:
        return proposed(here.home).settings.party(name) is not None
    except BadFile:
        return False  # `tocsin check` says what is wrong; here it is only a hint
