"""Start: make a home, check its files, and bring them into force."""

import os
import secrets
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from json import dumps
from pathlib import Path
from string import Template
from typing import Annotated, Any
from zoneinfo import available_timezones

import typer

from tocsin.cli.clear import in_the_clear
from tocsin.cli.console import ask, ask_number, plural, say, say_json, warn
from tocsin.cli.planning import moved, plan_as_value, show_plan
from tocsin.cli.session import (
    HomeOption,
    JsonOption,
    YesOption,
    database_settings,
    home_of,
    proposed,
    run,
    session,
)
from tocsin.documents import nearest
from tocsin.errors import BadFile, BadInput, NotFound, Problem, Refused, TocsinError
from tocsin.intake.mapping import load_mapping
from tocsin.policy.configuration import Configuration, read_configuration, run_policy_tests
from tocsin.settings import NAMESPACE_BYTES, EmptyPage, Home, find_home
from tocsin.sharing.apply import GUARD_OBJECTS, GUARD_SHARE, apply, plan
from tocsin.sharing.node import Node
from tocsin.stix.canonical import dump_json
from tocsin.stix.effects import answers_of, derive
from tocsin.stix.incident import Effect, Findings, build_incident
from tocsin.stix.markings import Tlp
from tocsin.store import configuration as applied
from tocsin.store.transaction import Store

_TEMPLATES = files("tocsin.cli") / "templates"


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    for name, command in (("init", init), ("check", check), ("apply", apply_)):
        app.command(name, rich_help_panel="Start")(command)


# --- init ----------------------------------------------------------------------------------------------------


def init(
    name: Annotated[str, typer.Option("--name", help="What others call this node, such as 'CERT Alpha'.")],
    country: Annotated[str | None, typer.Option("--country", metavar="CC", help="ISO 3166-1, such as EE.")] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Public base address, such as https://node.example.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Make a home: settings, a first policy with its tests, keys, and the database. It shares nothing."""
    texts = _first_files(name, country, url)
    configuration = _readable(texts)
    folder = _new_folder(home)
    made = Home(folder)
    for file, text in texts.items():
        path = folder / file
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    made.write_secret("namespace", secrets.token_hex(NAMESPACE_BYTES))
    run(_bring_first_into_force(made, configuration))
    _say_what_next(folder, name)


def _first_files(name: str, country: str | None, url: str | None) -> dict[str, str]:
    """The files of a new home, by their names in it."""
    values = {
        "name": dumps(name, ensure_ascii=False),  # a JSON string is YAML, whatever the name holds
        "country": f"  country: {dumps(country)}" if country else "  # country: EE                 # ISO 3166-1",
        "url": f"  url: {dumps(url)}"
        if url
        else "  # url: https://node.example   # public base of absolute links",
    }
    settings = Template((_TEMPLATES / "tocsin.yaml").read_text(encoding="utf-8")).substitute(values)
    return {
        "tocsin.yaml": settings,
        "policies/shared.yaml": (_TEMPLATES / "shared.yaml").read_text(encoding="utf-8"),
        "examples/ransomware.json": _example(Tlp.AMBER),
        "examples/red.json": _example(Tlp.RED),
    }


def _example(tlp: Tlp) -> str:
    """An invented incident for the tests of policies: ransomware in a hospital."""
    found = ("data-attack", "exploitation-of-application-server")
    findings = Findings(
        effects=tuple(Effect(effect, 85, "assessed") for effect in found),
        effect_type=derive(answers_of(found)).effect_type,
        stage="effect",
        means=("ransomware",),
        actor_type="criminal",
        motives=("financial",),
        sectors=("nis2:health",),
        countries=("EE",),
        determination="confirmed",
        investigation_status="open",
    )
    value = build_incident(
        findings,
        id="incident--00000000-0000-4000-8000-000000000001",
        creator="identity--00000000-0000-4000-8000-000000000002",
        created="2025-03-14T03:00:00.000Z",
        modified="2025-03-14T03:00:00.000Z",
        markings=[tlp.marking],
    )
    return dump_json(value).decode("utf-8") + "\n"


def _readable(texts: Mapping[str, str]) -> Configuration:
    """What the new files say. Raises BadInput for an option that they cannot hold."""
    try:
        return read_configuration({file: text for file, text in texts.items() if file.endswith(".yaml")})
    except BadFile as why:
        raise BadInput([Problem("", problem.text) for problem in why.problems]) from why


def _new_folder(given: str | None) -> Path:
    """The folder to make a home in, mode 0700. Raises Refused where something is already."""
    try:
        folder = find_home(given, os.environ).path
    except BadInput:
        folder = Path.cwd()
    if (folder / "tocsin.yaml").exists():
        raise Refused(f"{folder} is a home already; nothing was changed")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise Refused(f"{folder} is not empty: give --home DIR, a new or empty folder")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as why:
        raise Refused(f"{folder}: cannot be made a home: {why.strerror}") from why
    return folder


async def _bring_first_into_force(home: Home, configuration: Configuration) -> None:
    url = home.database_url(configuration.settings.node)
    await Store.create(url)
    store = await Store.open(url)
    try:
        node = Node(home.namespace())
        await apply(store, await plan(store, configuration, node), node)
    finally:
        await store.close()


def _say_what_next(folder: Path, name: str) -> None:
    say(f"{name} has a home in {folder}. Nothing is shared until you say so. Next:")
    say()
    if folder != Path.cwd():
        say(f"  export TOCSIN_HOME={shlex.quote(str(folder))}")
    say("  tocsin import veris PATH… --source NAME --dry-run   # what would become of your records")
    say("  tocsin import veris PATH… --source NAME             # keep them; nobody else sees them")
    say("  tocsin incidents                                    # the list")
    say("  tocsin explain ID                                   # who would get it, and why")
    say()
    say(f"Back up {folder / 'keys'} with the database: the ids of your incidents are made with it.")


# --- check ---------------------------------------------------------------------------------------------------


def check(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Find what is wrong in the files, run the policies' tests, and say what is not yet in force."""
    report = run(_check(home_of(home)))
    if as_json:
        say_json(report.as_value())
    else:
        report.show()
    for warning in report.warnings:
        warn(warning)
    if report.problems:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Report:
    """What `check` found. `changed`: files that differ from what is in force, None when that cannot be told.

    `empty_page`: who is not answered as TAXII 2.1 has it where a page is empty, and how instead. `warnings`: what
    is allowed and should not be.
    """

    files: tuple[str, ...]
    tests: int
    problems: tuple[Problem, ...]
    changed: tuple[str, ...] | None
    empty_page: Mapping[str, EmptyPage]
    warnings: tuple[str, ...]

    def as_value(self) -> dict[str, Any]:
        return {
            "ok": not self.problems,
            "files": list(self.files),
            "tests": self.tests,
            "problems": [{"place": problem.place, "text": problem.text} for problem in self.problems],
            "changed": None if self.changed is None else list(self.changed),
            "empty_page": dict(self.empty_page),
            "warnings": list(self.warnings),
        }

    def show(self) -> None:
        for problem in self.problems:
            say(str(problem))
        if self.problems:
            say(f"{plural(len(self.problems), 'problem')} in {plural(len(self.files), 'file')}.")
        else:
            say(f"{plural(len(self.files), 'file')} read, {plural(self.tests, 'policy test')} passed.")
        if self.empty_page:
            say(f"An empty page is a list, and not as TAXII 2.1 has it, for: {', '.join(self.empty_page)}.")
        if self.changed:
            say(f"Not in force yet: {', '.join(self.changed)} (tocsin apply shows what that would do).")
        elif self.changed is not None:
            say("The files are what is in force.")


async def _check(home: Home) -> _Report:
    files_ = home.configuration_files()
    problems: list[Problem] = []
    tests = 0
    empty_page: dict[str, EmptyPage] = {}
    warnings: list[str] = []
    try:
        configuration = proposed(home)
        parties = {**configuration.settings.accounts, **configuration.settings.peers}
        empty_page = {name: one.empty_page for name, one in parties.items() if one.empty_page != "omit"}
        warnings = [one.words for one in in_the_clear(configuration.settings)]
        tests = sum(len(policy.tests) for policy in configuration.policies.values())
        problems += run_policy_tests(configuration, _reader(home))
        problems += _unknown_zone(configuration.settings.node.timezone)
    except BadFile as why:
        problems += why.problems
    mappings = sorted(file.stem for file in home.mappings.glob("*.yaml"))
    for name in mappings:
        try:
            load_mapping(name, home)
        except BadFile as why:
            problems += why.problems
    problems += _bad_keys(home)
    changed: tuple[str, ...] | None = None
    try:
        changed = await _changed(home, files_)
    except BadFile:
        changed = None  # a tocsin.yaml without which no database is found: told above
    except TocsinError as why:
        problems.append(Problem("database", str(why)))
    names = (*files_, *(f"mappings/{name}.yaml" for name in mappings))
    return _Report(names, tests, tuple(problems), changed, empty_page, tuple(warnings))


def _reader(home: Home) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        try:
            return (home.path / name).read_bytes()
        except OSError as why:
            raise NotFound(f"cannot be read: {why.strerror}") from why

    return read


def _unknown_zone(name: str) -> Iterator[Problem]:
    if name not in available_timezones():
        near = nearest(name, available_timezones())
        yield Problem("tocsin.yaml", f"timezone: this machine does not know {name!r}{near}")


def _bad_keys(home: Home) -> Iterator[Problem]:
    """Secrets that are missing, unusable, or that somebody else on this machine could read."""
    try:
        home.namespace()
    except BadFile as why:
        yield from why.problems
    except NotFound as why:
        yield Problem("", str(why))
    for name in _key_names(home.keys):
        try:
            home.read_secret(name)
        except BadFile as why:
            yield from why.problems


def _key_names(keys: Path) -> list[str]:
    """Every key file but that of our ids; those of peers are in a folder of their own. Certificates are public."""
    found = (file.relative_to(keys) for file in sorted(keys.rglob("*")) if file.is_file())
    return [str(name) for name in found if str(name) != "namespace" and name.suffix not in (".crt", ".ca")]


async def _changed(home: Home, files_: Mapping[str, str]) -> tuple[str, ...]:
    """The names of files that differ from what is in force. Brings an older database up to date on the way."""
    url = home.database_url(database_settings(home))
    await Store.create(url)
    store = await Store.open(url)
    try:
        async with store.reading() as tx:
            current = await applied.in_force(tx)
    finally:
        await store.close()
    return changed_files(current.files if current else {}, files_)


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """The names of files that are new, gone, or say something else."""
    return tuple(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))


# --- apply ---------------------------------------------------------------------------------------------------


def apply_(
    yes: YesOption = False,
    confirm: Annotated[
        int | None,
        typer.Option(
            "--confirm",
            metavar="N",
            help=f"How many objects, of every type, readers lose or see redacted. Asked for where a collection "
            f"loses more than {GUARD_OBJECTS} of them, or more than {GUARD_SHARE:.0%} of what stands there.",
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the files would release, redact and withdraw, ask, and bring them into force."""
    run(_apply(home, yes=yes, confirm=confirm, as_json=as_json))


async def _apply(given: str | None, *, yes: bool, confirm: int | None, as_json: bool) -> None:
    home = home_of(given)
    configuration = proposed(home)
    if failed := run_policy_tests(configuration, _reader(home)):
        raise BadFile(failed)
    await Store.create(home.database_url(configuration.settings.node))
    async with session(given) as here:
        shown = await plan(here.store, configuration, here.node)
        if as_json:
            say_json(plan_as_value(shown))
        else:
            show_plan(shown)
        if shown.is_in_force:
            return
        if shown.taken_away:
            lost = plural(shown.taken_away, "object")
            ask_number(f"Readers lose, or see redacted, {lost}.", shown.taken_away, confirm)
        if shown.touches_released:
            ask("Bring this into force?", yes=yes or (confirm is not None and sys.stdin.isatty()))
        done = await apply(here.store, shown, here.node, confirmed=shown.taken_away or None)
    if not as_json:
        say(f"In force. {moved(done)}".rstrip())
