"""Look: the list of incidents, one incident, who gets it and why, the names that rules use, the collections."""

import sys
from typing import Annotated, Any

import typer

from tocsin.cli.console import note, plural, results, say, say_json, show_table, tell
from tocsin.cli.filtering import Filters
from tocsin.cli.ids import find_id, short
from tocsin.cli.later import planned_as_value, planned_words
from tocsin.cli.listing import Seen, Surroundings, all_seen, look_around
from tocsin.cli.session import HomeOption, IdArgument, JsonOption, run, session
from tocsin.cli.sheet import explanation_as_value, find_newer, foretell, read_sheet, show_explanations
from tocsin.cli.wording import (
    STUCK,
    age,
    confidence,
    fitted,
    moment_text,
    occurred,
    severity,
    state,
    type_and_effects,
    where,
    zone,
)
from tocsin.documents import nearest
from tocsin.errors import BadInput
from tocsin.policy.attributes import FIELDS
from tocsin.policy.configuration import Configuration
from tocsin.policy.rules import READER_KEYS
from tocsin.sharing.explain import explain
from tocsin.store import objects, records, releases, schedule

_COLUMNS = ("!", "id", "occurred", "known", "state", "type·effects", "means", "sector·country")
_WIDE = ("source:record", "actor", "motive", "changed")
# how far a column may be cut; the others never
_NARROWEST = {"state": 9, "type·effects": 12, "means": 7, "sector·country": 10, "from": 6}
# the columns that go as a whole where there is too little room for all, and in which order
_DROPPABLE = ("means", "known", "sector·country", "occurred", "state", "from")

# under a list at a terminal; all there is to say of the columns is in `--help`
_LEGEND = (
    "R to classify, P to publish · D disruptive, E exploitive, M mixed, U undetermined · "
    "% sure: m mapped, a assessed, r reported · TLP* assumed"
)

_RELEASED = {"by-hand": "by hand", "automatic": "automatically"}


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    for name, command in (
        ("incidents", incidents),
        ("show", show),
        ("explain", explain_),
        ("fields", fields),
        ("collections", collections),
    ):
        app.command(name, rich_help_panel="Look")(command)


Many = list[str] | None


def incidents(
    kind: Annotated[Many, typer.Option("--type", metavar="TYPE", help="disruptive, exploitive, mixed …")] = None,
    effect: Annotated[Many, typer.Option("--effect", metavar="EFFECT", help="One of the ten categories.")] = None,
    means: Annotated[Many, typer.Option("--means", metavar="MEANS", help="ransomware, ddos, phishing …")] = None,
    stage: Annotated[Many, typer.Option("--stage", metavar="STAGE", help="effect, foothold, attempt …")] = None,
    sector: Annotated[
        Many, typer.Option("--sector", metavar="SECTOR", help="health, nis2:energy, naics:52 …")
    ] = None,
    country: Annotated[Many, typer.Option("--country", metavar="CC", help="Victims' country, such as EE.")] = None,
    determination: Annotated[Many, typer.Option("--determination", metavar="WORD", help="confirmed …")] = None,
    actor_type: Annotated[
        Many, typer.Option("--actor-type", metavar="WORD", help="criminal, nation-state …")
    ] = None,
    motive: Annotated[Many, typer.Option("--motive", metavar="WORD", help="financial, sabotage …")] = None,
    tlp: Annotated[Many, typer.Option("--tlp", metavar="TLP", help="clear … red, or none.")] = None,
    confidence_: Annotated[
        str | None, typer.Option("--confidence", metavar="'<50'", help="Of its effects.")
    ] = None,
    severity_: Annotated[str | None, typer.Option("--severity", metavar="'>=3'", help="Disruption index.")] = None,
    origin: Annotated[
        str | None, typer.Option("--origin", metavar="NAME", help="ours, a peer or account, any.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="S", help="The tracker it was imported from.")
    ] = None,
    review: Annotated[bool, typer.Option("--review", help="Those that a person must classify.")] = False,
    waiting: Annotated[bool, typer.Option("--waiting", help="Those that wait to be published.")] = False,
    held: Annotated[bool, typer.Option("--held", help="Those that a person holds back.")] = False,
    inside: Annotated[
        str | None, typer.Option("--in", metavar="COLLECTION", help="Those that stand in it.")
    ] = None,
    outside: Annotated[
        str | None, typer.Option("--not-in", metavar="COLLECTION", help="Those that do not stand in it.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The latest N.")] = 50,
    wide: Annotated[bool, typer.Option("--wide", help="More columns, nothing cut.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List incidents, the latest received first. Options hold together; a repeated one means any of its values.

    !: R a person must classify it, P it waits to be published. known: since when. conf: m mapped, a assessed, r
    reported. TLP*: assumed. out: in how many collections it stands, and for how many readers.
    """
    filters = Filters(
        words={
            "type": kind or (),
            "effect": effect or (),
            "means": means or (),
            "stage": stage or (),
            "sector": sector or (),
            "country": country or (),
            "determination": determination or (),
            "actor-type": actor_type or (),
            "motive": motive or (),
        },
        tlp=tlp or (),
        origin=origin,
        source=source,
        review=review,
        waiting=waiting,
        held=held,
        inside=inside,
        outside=outside,
        confidence=confidence_,
        severity=severity_,
    )
    run(_incidents(home, filters, limit=limit, wide=wide, as_json=as_json))


async def _incidents(given: str | None, filters: Filters, *, limit: int, wide: bool, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        holds = filters.test(configuration)
        found: list[Seen] = []
        async with here.store.reading() as tx:
            around = await look_around(tx, configuration)
            async for seen in all_seen(tx, around):
                if holds(seen):
                    found.append(seen)
                if len(found) > limit:
                    break
    more = len(found) > limit
    found = found[:limit]
    if as_json:
        for seen in found:
            say_json(_as_value(seen))
        return
    _show_list(found, around, wide=wide)
    say()
    say(f"{plural(len(found), 'incident')}{'; there are more (--limit)' if more else ''}.")
    if found and sys.stdout.isatty():
        note(_LEGEND)


def _show_list(found: list[Seen], around: Surroundings, *, wide: bool) -> None:
    scored = any(severity(seen.findings) != "?" for seen in found)
    header = [
        *_COLUMNS,
        *(["sev"] if scored or wide else []),
        "conf",
        "TLP",
        "from",
        "out",
        *(_WIDE if wide else ()),
    ]
    rows = [_line(seen, around, scored=scored or wide, wide=wide) for seen in found]
    if not wide and rows:
        header, *rows = fitted([header, *rows], _NARROWEST, _DROPPABLE, results().width)
    show_table(header, rows, wide=wide, gap=2 if wide else 1)


def _line(seen: Seen, around: Surroundings, *, scored: bool, wide: bool) -> list[str]:
    findings = seen.findings
    line = [
        seen.flags,
        short(seen.id),
        occurred(findings),
        age(around.now - seen.since),
        state(findings),
        type_and_effects(findings),
        "+".join(means for means in findings.means if means != "unknown") or "?",
        where(findings),
        *([severity(findings)] if scored else []),
        confidence(findings),
        _tlp(seen),
        seen.origin,
        _out(seen, around),
    ]
    if not wide:
        return line
    tz = zone(around.configuration.settings.node.timezone)
    record = f"{seen.record.source}:{seen.record.source_id}" if seen.record else ""
    return [
        *line,
        record,
        findings.actor_type or "",
        "+".join(findings.motives),
        moment_text(seen.version.received, tz),
    ]


def _tlp(seen: Seen) -> str:
    """`AMBER`, `AMBER*` when it was assumed, `—` without a marking."""
    classified = seen.findings.classified
    assumed = "*" if classified and "tlp" in classified.assumed else ""
    return seen.attributes["tlp"].upper() + assumed or "—"


def _out(seen: Seen, around: Surroundings) -> str:
    """Collections and readers: `2 coll/5`, `2 coll/5 +1 redacted`, `1 redacted/5`; else `held` or `—`."""
    if not seen.stands:
        return "held" if seen.held else "—"
    settings = around.configuration.settings.collections
    readers = len({name for key in seen.stands for name in settings[key].readers})
    redacted = sum(form == "redacted" for form in seen.stands.values())
    whole = len(seen.stands) - redacted
    if not whole:
        return f"{redacted} redacted/{readers}"
    return f"{whole} coll/{readers} +{redacted} redacted" if redacted else f"{whole} coll/{readers}"


def _as_value(seen: Seen) -> dict[str, Any]:
    return {
        "id": seen.id,
        "version": seen.version.version,
        "sha256": seen.version.sha256,
        "name": seen.version.value.get("name"),
        "from": seen.origin,
        "record": f"{seen.record.source}:{seen.record.source_id}" if seen.record else None,
        "needs_review": seen.needs_review,
        "waiting": seen.waiting,
        "held": seen.held,
        "collections": dict(seen.stands),
        **{name: value for name, value in seen.attributes.items() if name not in ("type", "posted_here")},
    }


def show(
    id_: IdArgument,
    history: Annotated[
        bool, typer.Option("--history", help="Its versions, and what happened to it here.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """One incident: what happened, where that is from, what was not understood, and who has it."""
    run(_show(home, id_, history=history, as_json=as_json))


async def _show(given: str | None, text: str, *, history: bool, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            sheet = await read_sheet(tx, here, configuration, await find_id(tx, text))
    if as_json:
        say_json(sheet.as_value(history=history))
    else:
        sheet.show(history=history)


def explain_(
    id_: IdArgument,
    collection: Annotated[str | None, typer.Option("--collection", metavar="C", help="Only this one.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say for each collection whether it gets the object, in what form, by which rule, and who would read it."""
    run(_explain(home, id_, collection, as_json=as_json))


async def _explain(given: str | None, text: str, key: str | None, *, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        if key is not None:
            check_collection(configuration, key)
        async with here.store.reading() as tx:
            id_ = await find_id(tx, text)
            found = await explain(tx, configuration, here.node, id_, key=key)
            version = (await objects.newest(tx, [id_])).get(id_)
            reviewed = bool(await records.assessed(tx, [id_]))
            newer = await find_newer(tx, configuration, id_, found)
            planned = await schedule.to_come(tx, [id_])
            keys = {row.id: row.key for row in await releases.collections(tx)}
    foretold = foretell(configuration, version.value, found, reviewed=reviewed) if version else {}
    if as_json:
        say_json(
            {
                "id": id_,
                "collections": [explanation_as_value(one, foretold, newer) for one in found],
                "planned": [planned_as_value(one, keys) for one in planned],
            }
        )
    else:
        say(id_, "bold")
        show_explanations(found, foretold, newer)
        for one in planned:
            say(f"  {planned_words(one, keys, zone(configuration.settings.node.timezone))}")


def check_collection(configuration: Configuration, key: str) -> None:
    """Raises BadInput for a collection that is not in force, with the nearest name."""
    known = configuration.settings.collections
    if key not in known:
        words = nearest(key, known) or f" ({', '.join(known)})"
        raise BadInput(f"no collection {key!r} is in force{words}")


def fields(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """The names that rules match on and incidents are filtered by, with their values and meaning."""
    del home  # the same in every home; taken because every command takes it
    readers = {key: f"some reader's {attribute} is one of these" for key, attribute in READER_KEYS.items()}
    readers["readers_outside"] = "some reader's country is none of these"
    if as_json:
        for found in FIELDS:
            values = None if found.values is None else list(found.values)
            say_json({"name": found.name, "kind": found.kind, "values": values, "meaning": found.meaning})
        for name, meaning in readers.items():
            say_json({"name": name, "kind": "words", "values": None, "meaning": meaning})
        return
    rows = [(found.name, found.kind, found.meaning) for found in FIELDS]
    rows += [(name, "words", f"{meaning} (rules only)") for name, meaning in readers.items()]
    show_table(("name", "kind", "meaning"), rows, wrap="meaning")
    say()
    for found in FIELDS:
        if found.values is not None and found.name != "type":
            say(f"{found.name}: {' '.join(found.values)}")


def collections(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """The collections in force: who reads and writes them, how they are released, and what stands there."""
    run(_collections(home, as_json=as_json))


async def _collections(given: str | None, *, as_json: bool) -> None:
    async with session(given) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            rows = {row.key: row for row in await releases.collections(tx)}
    found = [
        {
            "collection": key,
            "id": rows[key].id,
            "title": settings.title,
            "readers": list(settings.readers),
            "writers": list(settings.writers),
            "clearance": settings.clearance,
            "release": settings.release,
            "policy": settings.policy,
            "standing": rows[key].standing,
            "stuck": rows[key].stuck,
        }
        for key, settings in configuration.settings.collections.items()
    ]
    if as_json:
        for one in found:
            say_json(one)
        return
    for key, settings in configuration.settings.collections.items():
        row = rows[key]
        say(f"{key}: {settings.title}", "bold")
        tell(f"{plural(row.standing, 'object')}, at most TLP:{settings.clearance.upper()}", 2)
        tell(f"released {_RELEASED[settings.release]}, by policies/{settings.policy}.yaml", 2)
        tell(f"read by {' '.join(settings.readers) or 'nobody'}", 2)
        if settings.writers:
            tell(f"written by {' '.join(settings.writers)}", 2)
        say(f"  id {row.id}")
        if row.stuck:
            tell(f"STUCK: {STUCK}. {row.stuck}", 2)
