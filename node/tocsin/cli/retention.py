"""Retention: what the collections no longer keep, by hand instead of by the hour."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import typer

from tocsin.cli.console import plural, say, say_json
from tocsin.cli.session import HomeOption, JsonOption, run, session
from tocsin.sharing.retention import foresee, prune_expired


def add_to(app: typer.Typer) -> None:
    """Give the app this file's command."""
    app.command("retention", rich_help_panel="Keep")(retention)


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be pruned.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prune what was released longer ago than the `retention` of its collection; serve does so every hour.

    Nothing is withdrawn: readers keep what they hold. A pruned version stays out until it is published by name.
    """
    found = run(_prune(home, dry_run=dry_run))
    if as_json:
        for key, counts in found.items():
            say_json({"collection": key, "dry_run": dry_run, "pruned": dict(sorted(counts.items()))})
        return
    if not found:
        say("No collection in force has a retention: everything is kept.")
    for key, counts in found.items():
        kinds = ", ".join(plural(count, kind) for kind, count in sorted(counts.items()))
        say(f"{key}: {'would prune' if dry_run else 'pruned'} {kinds or 'nothing'}")


async def _prune(home: str | None, *, dry_run: bool) -> Mapping[str, Counter[str]]:
    async with session(home) as here:
        await here.configuration()
        return await (foresee if dry_run else prune_expired)(here.store, here.node)
