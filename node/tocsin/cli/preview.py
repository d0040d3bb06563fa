"""Preview: what a policy, or a reader's place in the files, would mean, before anybody notices anything."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.console import plural, say, say_json, show_table
from tocsin.cli.ids import short
from tocsin.cli.people import NameArgument
from tocsin.cli.planning import plan_as_value, show_plan
from tocsin.cli.session import HomeOption, JsonOption, proposed, run, session
from tocsin.documents import nearest
from tocsin.errors import BadFile, BadInput, Problem
from tocsin.policy.configuration import SETTINGS_FILE, read_configuration
from tocsin.sharing.apply import plan, preview
from tocsin.sharing.preview import Sight


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    group = typer.Typer(help="Policies: what one would mean.", no_args_is_help=True)
    group.callback()(_policies)
    group.command("preview")(policy_preview)
    app.add_typer(group, name="policy", rich_help_panel="Out")


def _policies() -> None:
    """Policies: what one would mean."""


def policy_preview(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A draft: NAME.yaml of a policy, or tocsin.yaml.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what `apply` would do if FILE took the place of the one of its name in the home. Stores nothing."""

    async def work() -> None:
        async with session(home) as here:
            files = here.home.configuration_files()
            name = SETTINGS_FILE if file.name == SETTINGS_FILE else f"policies/{file.name}"
            if file.suffix != ".yaml":
                raise BadInput(f"{file}: a policy is a file NAME.yaml")
            wanted = read_configuration({**files, name: _text(file)})
            shown = await plan(here.store, wanted, here.node)
        if as_json:
            say_json(plan_as_value(shown))
        else:
            show_plan(shown)

    run(work())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as why:
        raise BadFile([Problem(str(file), "is not UTF-8")]) from why
    except OSError as why:
        raise BadFile([Problem(str(file), f"cannot be read: {why.strerror}")]) from why


def peer_preview(
    name: NameArgument,
    files: Annotated[bool, typer.Option("--files", help="By the files, as if they were applied.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """All that an account or peer finds here: each object, in which form, by which rule. Stores nothing."""

    async def work() -> None:
        async with session(home) as here:
            configuration = proposed(here.home) if files else await here.configuration()
            settings = configuration.settings
            if settings.party(name) is None:
                known = [*settings.accounts, *settings.peers]
                raise BadInput(f"{name!r} is neither an account nor a peer{nearest(name, known)}")
            found = await preview(here.store, configuration, here.node, name)
        if as_json:
            for one in found:
                say_json(_as_value(one))
        else:
            _show(name, found)

    run(work())


def _show(name: str, found: list[Sight]) -> None:
    """Incidents one by one; what comes along with them counted by type; and how much it is in all."""
    for key in dict.fromkeys(one.entry.collection for one in found):
        here = [one for one in found if one.entry.collection == key]
        others = Counter(one.entry.object_id.partition("--")[0] for one in here)
        incidents = [one for one in here if one.entry.object_id.startswith("incident--")]
        say(f"{key}: {plural(len(here), 'object')}", "bold")
        rows = [(f"  {short(one.entry.object_id)}", _form(one), " ".join(one.entry.rules)) for one in incidents]
        if rows:
            show_table(("  incident", "form", "by rule"), rows)
        along = ", ".join(f"{n:,} {kind}" for kind, n in sorted(others.items()) if kind != "incident")
        if along:
            say(f"  with them: {along}")
        say()
    ids = {one.original_id or one.entry.object_id for one in found}
    say(f"{name} finds {plural(len(ids), 'object')} in all.")


def _form(one: Sight) -> str:
    if one.entry.op == "revoke":
        return "revoked"
    return f"redacted copy of {short(one.original_id)}" if one.original_id else "whole"


def _as_value(one: Sight) -> dict[str, object]:
    entry = one.entry
    return {
        "collection": entry.collection,
        "id": entry.object_id,
        "version": entry.version_key,
        "form": "redacted" if entry.form == "copy" else "whole",
        "revoked": entry.op == "revoke",
        "original": one.original_id,
        "rules": list(entry.rules),
        "released": entry.at,
    }
