"""Peers: the other nodes and servers that we read: added, tested, watched, suspended; and read now, by hand."""

import logging
import sys
from collections.abc import Sequence
from datetime import tzinfo
from difflib import unified_diff
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from tocsin.cli.clear import in_the_clear
from tocsin.cli.console import ask, plural, say, say_json, show_table, warn
from tocsin.cli.distrust import distrust
from tocsin.cli.editing import with_entry
from tocsin.cli.people import NameArgument, find_party
from tocsin.cli.preview import peer_preview
from tocsin.cli.session import HomeOption, JsonOption, Session, YesOption, home_of, proposed, run, session
from tocsin.cli.wording import moment_text, pause_as_value, pause_words, zone
from tocsin.documents import nearest
from tocsin.errors import BadFile, BadInput, Problem, Refused
from tocsin.peers.pull import PullReport, Terms
from tocsin.peers.push import PushReport
from tocsin.peers.status import (
    Check,
    PeerStatus,
    PulledCollection,
    peer_status,
    peer_statuses,
    spoken,
    test_peer,
)
from tocsin.peers.worker import push_all, sync_all
from tocsin.policy.configuration import Configuration, read_configuration
from tocsin.settings import NAME, Settings
from tocsin.store import audit, parties, peers
from tocsin.store.pushes import PushOutcome

_PROBLEMS_SHOWN = 20  # of the ledger
_LATEST = 1000  # rows of the ledger in which refusals are looked for
_SKEW_TOLD = 2_000_000  # microseconds of a clock that are worth a word


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    group = typer.Typer(help="Peers: the nodes and TAXII servers that we read.", no_args_is_help=True)
    for name, command in (
        ("add", add),
        ("credential", credential),
        ("test", try_),
        ("list", list_),
        ("show", show),
        ("preview", peer_preview),
        ("suspend", suspend),
        ("resume", resume),
        ("distrust", distrust),
    ):
        group.command(name)(command)
    app.add_typer(group, name="peer", rich_help_panel="With whom")
    app.command("sync", rich_help_panel="With whom")(sync)


# --- add, credential, test -----------------------------------------------------------------------------------


def add(
    name: NameArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help="Of its TAXII discovery: https://…/taxii2/")],
    pull: Annotated[
        list[str] | None, typer.Option("--pull", metavar="C", help="A collection to read: id, alias or title.")
    ] = None,
    country: Annotated[str | None, typer.Option("--country", metavar="CC", help="Our word for it.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="cert, company …")] = None,
    auth: Annotated[str, typer.Option("--auth", help="basic, bearer, api-key or certificate.")] = "bearer",
    user: Annotated[str | None, typer.Option("--user", metavar="U", help="For basic: our name there.")] = None,
    home: HomeOption = None,
) -> None:
    """Write a peer into tocsin.yaml. It counts from `tocsin apply` on, or the next start of `tocsin serve`."""
    folder = home_of(home)
    before = folder.configuration_files()
    if not NAME.match(name):
        raise BadInput(f"{name!r}: lower-case letters, digits, '.', '_' and '-', starting with a letter or digit")
    entry: dict[str, Any] = {"kind": kind, "country": country, "url": url, "auth": auth, "user": user}
    entry = {key: value for key, value in entry.items() if value is not None}
    if pull:
        entry["pull"] = [{"collection": collection, "every": "60s"} for collection in pull]
    after = _with_peer(before["tocsin.yaml"], name, entry)
    try:
        wanted = read_configuration({**before, "tocsin.yaml": after}).settings
    except BadFile as why:
        raise BadInput([Problem(problem.place, problem.text) for problem in why.problems]) from why
    changed = unified_diff(before["tocsin.yaml"].splitlines(), after.splitlines(), lineterm="", n=1)
    for line in list(changed)[2:]:
        say(line)
    folder.write_settings(after)
    for warning in in_the_clear(wanted):
        if warning.name == name:
            warn(warning.words)
    say()
    say(f"Next: tocsin peer credential {name}, tocsin peer test {name}, tocsin apply")
    say(f"What it may read of ours: its name among the readers of a collection, and tocsin account token {name}")


def _with_peer(text: str, name: str, entry: dict[str, Any]) -> str:
    """`tocsin.yaml` with one more peer. Raises Refused for a name that is taken."""
    tree = YAML(typ="rt", pure=True).load(text)
    if name in (tree.get("peers") or {}):
        raise Refused(f"there is a peer {name!r} already; nothing was changed")
    if name in (tree.get("accounts") or {}):
        raise Refused(f"{name!r} is the name of an account; nothing was changed")
    return with_entry(text, "peers", name, entry)


def credential(name: NameArgument, home: HomeOption = None) -> None:
    """Keep the secret by which NAME knows us: asked for, or read from standard input. Never an argument."""
    folder = home_of(home)
    settings = proposed(folder).settings
    peer = settings.peers.get(name)
    if peer is None:
        raise BadInput(f"no peer {name!r} in tocsin.yaml{_nearest_peer(settings, name)}")
    if peer.auth == "certificate":
        place = folder.keys / "peers"
        raise Refused(f"{name} takes a certificate: put {name}.crt and {name}.key into {place} (chmod 600)")
    if sys.stdin.isatty():
        secret = typer.prompt(f"Secret for {name} ({peer.auth})", hide_input=True, err=True)
    else:
        secret = sys.stdin.readline()
    secret = secret.strip()
    if not secret or not secret.isascii() or not secret.isprintable():
        raise BadInput("a credential is printable ASCII on one line; nothing was kept")
    warn(f"Kept in {folder.write_secret(f'peers/{name}', secret)} (mode 600).")


def _nearest_peer(settings: Settings, name: str) -> str:
    known = ", ".join(settings.peers) or "none"
    return nearest(name, settings.peers) or f" (there are: {known})"


def try_(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Contact a peer as a pull would, and say step by step what works. Stores nothing."""
    folder = home_of(home)
    settings = proposed(folder).settings
    if name not in settings.peers:
        raise BadInput(f"no peer {name!r} in tocsin.yaml{_nearest_peer(settings, name)}")
    checks = run(test_peer(folder, settings, name))
    if as_json:
        for check in checks:
            say_json({"check": check.name, "passed": check.passed, "words": check.words})
    else:
        show_table(("", "", ""), [(_mark(check), check.name, check.words) for check in checks])
    if any(check.passed is False for check in checks):
        raise typer.Exit(1)


def _mark(check: Check) -> str:
    return {True: "ok", False: "FAILED", None: "note"}[check.passed]


# --- list, show ----------------------------------------------------------------------------------------------


def list_(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Every peer, and how we stand with it."""
    run(_list(home, as_json=as_json))


async def _list(given: str | None, *, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            found = await peer_statuses(tx, configuration)
    if as_json:
        for status in found:
            say_json(_as_value(status))
    elif found:
        show_peers(found, configuration)
    else:
        say("No peer is in force (tocsin peer add NAME URL, then tocsin apply).")


def show_peers(found: Sequence[PeerStatus], configuration: Configuration) -> None:
    """A line for each peer."""
    tz = zone(configuration.settings.node.timezone)
    rows = [
        (
            status.name,
            status.words,
            moment_text(status.last_success, tz) if status.last_success else "never",
            f"{status.stored:,}",
            f"{status.quarantined:,}",
            f"{status.ledger['refused']:,}",
            f"{status.overdue:,}",
        )
        for status in found
    ]
    columns = ("peer", "stands", "last answer", "stored", "quarantine", "refused", "overdue")
    show_table(columns, rows, wrap="stands")


def _as_value(status: PeerStatus) -> dict[str, Any]:
    return {
        "peer": status.name,
        "url": status.url,
        "stands": status.words,
        "in_step": status.in_step,
        "identity": status.identity,
        "last_success": status.last_success,
        "paused": pause_as_value(status.paused),
        "quarantined": status.quarantined,
        "overdue": status.overdue,
        "ledger": _offered(status),
        "collections": [
            {
                "collection": one.wanted,
                "id": one.collection_id,
                "protocol": one.protocol,
                "stands": one.words,
                "cursor": one.cursor,
                "last_success": one.last_success,
                "last_error": one.last_error,
                "failures": one.failures,
                "failing_since": one.failing_since,
                "every": one.every,
                "lag": one.lag,
                "unfinished": one.unfinished,
                "skew": one.skew,
                "compared": one.compared,
                "difference": one.difference,
            }
            for one in status.collections
        ],
        "pushes": [
            {
                "collection": one.ours,
                "to": one.wanted,
                "id": one.remote_id,
                "stands": one.words,
                "last_success": one.last_success,
                "last_error": one.last_error,
                "failures": one.failures,
                "every": one.every,
                **one.counts,
            }
            for one in status.pushed
        ],
    }


def _offered(status: PeerStatus) -> dict[str, int]:
    """What became of what a peer told us: a withdrawal is noted as it came, and is no object stored."""
    counts: dict[str, int] = {str(outcome): count for outcome, count in status.ledger.items()}
    return counts | {"stored": status.stored, "withdrawn": status.withdrawn, "pruned": status.pruned}


def show(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """One peer: how its collections stand, what it reads of ours, what is in quarantine or was refused lately."""
    run(_show(home, name, as_json=as_json))


async def _show(given: str | None, name: str, *, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            party = await find_party(tx, here, configuration, name)
            _check_is_peer(configuration, name)
            status = await peer_status(tx, configuration, name)
            waiting = await peers.quarantined(tx, party.id)
            latest = await peers.ledger_rows(tx, party.id, limit=_LATEST)
    reads = [key for key in configuration.settings.collections if configuration.can_read(name, key)]
    # what waits for a person comes first, however long it has waited
    bad = [*reversed(waiting), *(row for row in latest if row.outcome == "refused")]
    stays = [(push, row) for push in status.pushed for row in push.exceptions]
    if as_json:
        problems = [
            {
                "at": row.at,
                "outcome": row.outcome,
                "id": row.object_id,
                "position": row.position,
                "reason": row.reason,
            }
            for row in bad
        ]
        kept_out = [
            {
                "at": row.at,
                "collection": push.ours,
                "to": push.wanted,
                "outcome": row.outcome,
                "id": row.object_id,
                "version": row.version,
                "reason": row.reason,
            }
            for push, row in stays
        ]
        say_json({**_as_value(status), "reads": reads, "problems": problems, "not_pushed": kept_out})
        return
    tz = zone(configuration.settings.node.timezone)
    say(f"{name}: {status.words}", "bold")
    if status.paused is not None:
        say(f"  {pause_words(status.paused, tz)}")
    say(f"  {status.url}")
    say(f"  speaks for {status.identity or 'no identity that we know'}")
    say(f"  reads of ours: {', '.join(reads) or 'nothing'}")
    say(f"  offered us: {', '.join(f'{count:,} {what}' for what, count in _offered(status).items())}")
    for one in status.collections:
        read_up_to = f"; read up to {one.cursor}" if one.cursor else ""
        say(f"  {one.wanted} ({one.protocol or 'not contacted'}): {one.words}{read_up_to}")
        for line in _health(one, tz):
            say(f"      {line}")
    for push in status.pushed:
        counts = ", ".join(f"{push.counts[what]:,} {word}" for what, word in _PUSHED.items() if push.counts[what])
        say(f"  {push.ours} pushed into {push.wanted}: {push.words}{f'; {counts}' if counts else ''}")
    if status.overdue:
        say(f"  owes an answer to {plural(status.overdue, 'withdrawal')} (tocsin withdrawals)")
    if bad:
        say()
        lines = [
            (moment_text(row.at, tz), row.outcome, row.object_id or "unreadable", row.reason)
            for row in bad[:_PROBLEMS_SHOWN]
        ]
        show_table(("when", "", "object", "reason"), lines, wrap="reason")
        if len(bad) > _PROBLEMS_SHOWN:
            say(f"… and {len(bad) - _PROBLEMS_SHOWN:,} more: tocsin peer show {name} --json")
    if stays:
        say()
        told = [
            (moment_text(row.at, tz), _PUSHED[row.outcome], row.object_id, row.reason)
            for _, row in stays[:_PROBLEMS_SHOWN]
        ]
        show_table(("when", "pushed", "object", "what they say"), told, wrap="what they say")
        if len(stays) > _PROBLEMS_SHOWN:
            say(f"… and {len(stays) - _PROBLEMS_SHOWN:,} more: tocsin peer show {name} --json")


_PUSHED: dict[PushOutcome, str] = {
    "added": "there",
    "refused": "refused by them",
    "deleted": "withdrawn and deleted",
    "untold": "withdrawn and still there",
    "posting": "on the way",
}


def _health(one: PulledCollection, tz: tzinfo) -> list[str]:
    """What an officer would want to know of how we read one collection; nothing of what is as it should be."""
    lines = []
    if one.lag is not None:
        lines.append(f"answered {spoken(one.lag)} ago, read every {spoken(one.every * 1_000_000)}")
    if one.failures:
        since = f"since {moment_text(one.failing_since, tz)}" if one.failing_since else "from the first time on"
        lines.append(f"fails {since}, {plural(one.failures, 'time')} in a row")
    if one.unfinished:
        lines.append("its budget for one cycle is used up; the rest follows")
    if one.skew is not None and abs(one.skew) >= _SKEW_TOLD:
        lines.append(f"its clock is {'ahead' if one.skew > 0 else 'behind'} by {spoken(abs(one.skew))}")
    if one.compared is not None:
        lines.append(f"compared at {moment_text(one.compared, tz)}: {one.difference or 'in step'}")
    return lines


# --- suspend, resume -----------------------------------------------------------------------------------------


def suspend(name: NameArgument, yes: YesOption = False, home: HomeOption = None) -> None:
    """Stop the exchange with a peer at once, both ways: it is refused, and not read. `resume` lifts it."""
    run(_set_suspended(home, name, suspended=True, yes=yes))


def resume(name: NameArgument, yes: YesOption = False, home: HomeOption = None) -> None:
    """Take the exchange with a suspended peer up again, where it stopped."""
    run(_set_suspended(home, name, suspended=False, yes=yes))


async def _set_suspended(given: str | None, name: str, *, suspended: bool, yes: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            party = await find_party(tx, here, configuration, name)
        if party.suspended == suspended:
            say(f"{name} is suspended already." if suspended else f"{name} is not suspended.")
            return
        reads = [key for key in configuration.settings.collections if configuration.can_read(name, key)]
        verb = "loses" if suspended else "gets back"
        warn(f"{name} {verb} its access to {', '.join(reads) or 'nothing'}; what it holds stays with it.")
        ask("Suspend it?" if suspended else "Resume?", yes=yes)
        async with here.store.writing() as tx:
            await parties.set_suspended(tx, party.id, suspended)
            await audit.append(tx, "suspended" if suspended else "resumed", name, {}, await tx.now())
    say(f"{name} is suspended." if suspended else f"{name} is resumed.")


# --- sync ----------------------------------------------------------------------------------------------------


def sync(
    peer: Annotated[str | None, typer.Argument(metavar="[PEER]", help="Only this one.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Always so; taken because scripts say it.")] = True,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare what nodes offer with what is held here, and mend it.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read from peers now, to the end of what they offer, and push, whatever the time of their next turn."""
    del once  # what it always does: `serve` is what goes on reading
    # a failure is said with its report: the log's word on it is for who watches `serve`
    for name in ("pull", "push"):
        logging.getLogger(f"tocsin.peers.{name}").addHandler(logging.NullHandler())
    reports, pushed = run(_sync(home, peer, compare=compare))
    for report in reports:
        if as_json:
            say_json(_report_as_value(report))
        else:
            say(f"{report.peer}/{report.wanted}: {_report_in_words(report)}")
    for push in pushed:
        if as_json:
            say_json(_push_as_value(push))
        else:
            outcome = f"failed: {push.error}" if push.state == "failed" else f"{push.state}; {push.words}"
            say(f"{push.ours} to {push.peer}/{push.wanted}: {outcome}")
    if not reports and not pushed and not as_json:
        say("Nothing is pulled from any peer. Nothing is pushed to any.")
    states = [*(report.state for report in reports), *(push.state for push in pushed)]
    failed = [state for state in states if state != "in step"]
    if failed:
        raise typer.Exit(1 if len(failed) == len(states) else 3)
    differing = any(report.comparison is not None and report.comparison.difference for report in reports)
    kept_out = any(push.refused or push.untold for push in pushed)
    if differing or kept_out or any(report.tally.quarantined for report in reports):
        raise typer.Exit(3)


async def _sync(
    given: str | None, peer: str | None, *, compare: bool
) -> tuple[list[PullReport], list[PushReport]]:
    terms = Terms(compare_after=0) if compare else Terms()
    async with session(given) as here:
        if peer is not None:
            await _check_peer(here, peer)
        reports = await sync_all(here.store, here.home, here.node, peer, terms)
        return reports, await push_all(here.store, here.home, peer, terms)


async def _check_peer(here: Session, name: str) -> None:
    configuration = await here.configuration()
    async with here.store.reading() as tx:
        await find_party(tx, here, configuration, name)
    _check_is_peer(configuration, name)


def _check_is_peer(configuration: Configuration, name: str) -> None:
    if name not in configuration.settings.peers:
        raise BadInput(f"{name!r} is an account: it reads from us{_nearest_peer(configuration.settings, name)}")


def _report_in_words(report: PullReport) -> str:
    tally = report.tally
    if report.state == "failed":
        return f"failed: {report.error}"
    parts = [
        f"{plural(tally.stored, 'object')} stored",
        *(
            f"{getattr(tally, word):,} {word}"
            for word in ("duplicate", "withdrawn", "quarantined", "refused")
            if getattr(tally, word)
        ),
    ]
    if report.comparison is not None:
        parts.append(f"compared: {report.comparison.difference or 'the same is held here'}")
    return f"{report.state}; {', '.join(parts)}"


def _push_as_value(push: PushReport) -> dict[str, Any]:
    words = ("added", "refused", "deleted", "untold")
    return {
        "peer": push.peer,
        "collection": push.ours,
        "to": push.wanted,
        "state": push.state,
        "error": push.error,
        **{word: getattr(push, word) for word in words},
    }


def _report_as_value(report: PullReport) -> dict[str, Any]:
    tally = report.tally
    words = ("seen", "stored", "duplicate", "quarantined", "refused", "withdrawn")
    return {
        "peer": report.peer,
        "collection": report.wanted,
        "state": report.state,
        "error": report.error,
        **{word: getattr(tally, word) for word in words},
        "compared": report.comparison is not None,
        "difference": report.comparison.difference if report.comparison is not None else None,
    }
