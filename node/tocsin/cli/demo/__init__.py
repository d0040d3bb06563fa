"""The demo: two nodes on this machine, a real exchange, and the proof that it went as the policies say.

CERT Alpha imports invented incidents and publishes them under two policies; CERT Beta, a node in another country,
and acme, a subscriber with plain HTTP, read what they may. Everything is done by the commands that a user would
type, in processes and temporary homes of their own.
"""

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from tocsin.cli.console import say
from tocsin.cli.demo.acme import Acme
from tocsin.cli.demo.exchange import Exchange
from tocsin.cli.demo.outcome import Found, judge_exchange, show_exchange


def add_to(app: typer.Typer) -> None:
    """Give the app this file's command."""
    app.command("demo", rich_help_panel="Start")(demo)


def demo(
    once: Annotated[bool, typer.Option("--once", help="End when it is shown; 0 only if it held.")] = False,
) -> None:
    """Two nodes on this machine, a real exchange, shown; then both serve until ^C. Nothing of yours is touched."""
    found: Found | None = None
    with ExitStack() as stack:
        stack.enter_context(_ended_by_term())
        folder = stack.enter_context(_temporary_folder())
        exchange = Exchange(folder)
        stack.callback(exchange.close)
        try:
            exchange.carry_out()
            acme = Acme(exchange.alpha.address, exchange.acme_token)
            acme.read_everything()
            say(
                f"acme read {len(acme.objects)} objects of 'open' by TAXII, and no other collection exists for it."
            )
            found = judge_exchange(exchange, acme)
            show_exchange(found)
            if not once:
                _invite(exchange, found.collections)
                _wait(exchange)
        except KeyboardInterrupt:
            say("Ending.")
    if found is None:
        raise typer.Exit(130)  # ended before anything was proved
    if not found.held:
        raise typer.Exit(1)


def _invite(exchange: Exchange, collections: Mapping[str, str]) -> None:
    """What to try while both serve."""
    alpha, beta = exchange.alpha.address, exchange.beta.address
    open_id, regional_id = collections["open"], collections["regional"]
    accept = "-H 'Accept: application/taxii+json;version=2.1'"
    say()
    say(f"Both serve: CERT Alpha {alpha}, CERT Beta {beta}. To look on your own:")
    say()
    say(f"  tocsin incidents --home {exchange.alpha.home}")
    say(f"  tocsin status --home {exchange.beta.home}")
    say()
    say(f"Tokens: acme {exchange.acme_token}")
    say(f"        cert-beta {exchange.beta_token}")
    say()
    say("# what acme is offered: one collection")
    say(f"curl -s {accept} -u acme:{exchange.acme_token} {alpha}/exchange/collections/")
    say("# the incidents in it, whole")
    say(
        f"curl -s {accept} -u acme:{exchange.acme_token} "
        f"'{alpha}/exchange/collections/{open_id}/objects/?match%5Btype%5D=incident'"
    )
    say("# what CERT Beta gets of the others: copies without the victim (with acme's token the same is 404)")
    say(
        f"curl -s {accept} -H 'Authorization: Bearer {exchange.beta_token}' "
        f"{alpha}/exchange/collections/{regional_id}/objects/"
    )
    say()
    say("^C ends both nodes and removes their homes.")


def _wait(exchange: Exchange) -> None:
    while exchange.serve_on(seconds=1.0):
        sys.stdout.flush()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tocsin-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _ended_by_term() -> Iterator[None]:
    """Being told to end is the same as ^C: processes and homes are cleared away."""

    def heard(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
