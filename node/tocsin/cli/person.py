"""Person: who gives a word that must be a certain person's, shown by that account's token."""

import os
import sys

import typer

from tocsin.cli.session import Session
from tocsin.errors import Refused
from tocsin.policy.configuration import Configuration
from tocsin.sharing.approvals import Person, prove


async def person(here: Session, configuration: Configuration, name: str | None) -> Person | None:
    """The person that `--as` names, None where it names nobody; the token is TOCSIN_TOKEN, else asked for, unseen.

    Raises NotAllowed for a token that is not that person's, Refused where there is nobody to ask for it.
    """
    if name is None:
        return None
    given = os.environ.get("TOCSIN_TOKEN")
    if not given:
        if not sys.stdin.isatty():
            raise Refused(f"the token of {name}: there is no terminal to ask for it on; set TOCSIN_TOKEN")
        given = str(typer.prompt(f"Token of {name}", hide_input=True, err=True))
    async with here.store.reading() as tx:
        return await prove(tx, configuration, name, given)
