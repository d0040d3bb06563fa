"""Intake: records of trackers come in, are classified without being kept, and are classified by a person."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.console import plural, say, say_json, show_table, warn
from tocsin.cli.foresight import MOVES, foreseen_and_asked
from tocsin.cli.ids import find_incidents, short
from tocsin.cli.progress import progress
from tocsin.cli.session import HomeOption, IdArgument, JsonOption, YesOption, collect_rarely, home_of, run, session
from tocsin.documents import nearest
from tocsin.errors import BadInput, NotFound
from tocsin.intake.formats import FORMATS, BadRecord
from tocsin.intake.importing import (
    Import,
    ImportReport,
    RecordOutcome,
    assess,
    classify_records,
    import_records,
)
from tocsin.settings import Home
from tocsin.sharing.release import Outcome
from tocsin.stix.effects import PLACES, QUESTIONS, Answers, categories
from tocsin.stix.incident import Findings, findings_sentence, read_effects
from tocsin.stix.markings import Tlp, tlp_from_word
from tocsin.store import objects
from tocsin.store.transaction import Transaction

FormatArgument = Annotated[str, typer.Argument(metavar="FORMAT", help="veris or csv.")]
PathsArgument = Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files, or folders that hold them.")]

_LINES = 20  # of refused records and unknown values on the screen; --json has them all


def add_to(app: typer.Typer) -> None:
    """Give the app this file's commands."""
    for name, command in (("import", import_), ("classify", classify), ("assess", assess_)):
        app.command(name, rich_help_panel="In")(command)


# --- import --------------------------------------------------------------------------------------------------


def import_(
    format_: FormatArgument,
    paths: PathsArgument,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="S", help="The tracker or list that they come from; else FORMAT."),
    ] = None,
    tlp: Annotated[
        str | None, typer.Option("--tlp", metavar="T", help="Marking of those that bear none: clear … red.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Store nothing; say what would be.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make incidents of records. Importing again changes only what changed; what a person assessed stays.

    Ends with 3 when some records were refused, 1 when all were. Records to review are no failure: 0.
    """
    _check(format_, paths, source)
    level = None if tlp is None else tlp_from_word(tlp)
    refused: list[str] = []  # the first of them
    heard = _say_outcome if as_json else partial(_note_refused, refused)
    report = run(_import(home, format_, paths, source or format_, level, dry_run=dry_run, heard=heard))
    if not as_json:
        _show(report, refused, dry_run=dry_run)
    if report.count("refused"):
        raise typer.Exit(1 if report.count("refused") == report.records else 3)


def _check(format_: str, paths: list[Path], source: str | None) -> None:
    """What was typed wrong is said before anything is read."""
    if format_ not in FORMATS:
        words = nearest(format_, FORMATS) or f" ({' '.join(FORMATS)})"
        raise BadInput(f"unknown format {format_!r}{words}")
    if source is not None and (":" in source or not source.strip()):
        raise BadInput(f"--source {source!r}: a name without ':' (ids are SOURCE:RECORD)")
    for path in paths:
        if not path.exists():
            raise BadInput(f"{path}: there is no such file or folder")


async def _import(
    given: str | None,
    format_: str,
    paths: list[Path],
    source: str,
    tlp: Tlp | None,
    *,
    dry_run: bool,
    heard: Callable[[RecordOutcome], None],
) -> ImportReport:
    async with session(given) as here:
        collect_rarely()
        order = Import(format_, source, tlp=tlp)
        with progress("records read") as told:
            return await import_records(
                here.store, here.home, here.node, order, paths, dry_run=dry_run, progress=told, heard=heard
            )


def _say_outcome(outcome: RecordOutcome) -> None:
    say_json(
        {
            "place": outcome.place,
            "source_id": outcome.source_id,
            "incident_id": outcome.incident_id,
            "what": outcome.what,
            "reason": outcome.reason,
            "needs_review": outcome.needs_review,
            "unmapped": list(outcome.unmapped),
        }
    )


def _note_refused(noted: list[str], outcome: RecordOutcome) -> None:
    if outcome.what == "refused" and len(noted) < _LINES:
        noted.append(f"{outcome.place}: {outcome.reason}")


def _show(report: ImportReport, refused: list[str], *, dry_run: bool) -> None:
    for line in _some(refused, report.count("refused")):
        say(line)
    if report.unknown:
        least = "at least " if report.more_unknown else ""
        say(f"The mapping does not know {least}{plural(len(report.unknown), 'value')} of the source:")
        found = report.unknown.most_common(_LINES)
        for line in _some(
            [f"  {value}  ({plural(count, 'record')})" for value, count in found], len(report.unknown)
        ):
            say(line)
    said = [
        f"{report.count(what):,} {what}"
        for what in ("new", "changed", "unchanged", "refused")
        if report.count(what)
    ]
    would = "Nothing was stored. It would be: " if dry_run else ""
    say(f"{would}{plural(report.records, 'record')}: {', '.join(said) or 'none'}.")
    if review := report.to_review:
        say(f"{plural(review, 'record')} for a person to look at (tocsin incidents --review, then tocsin assess).")
    # what became visible to others because of this, by the collections' own rules
    for (collection, what), count in sorted(report.released.items()):
        say(f"{plural(count, 'incident')} {what} in {collection}.")


def _some(lines: list[str], count: int) -> list[str]:
    """The first lines of so many."""
    more = [f"… and {count - _LINES:,} more (--json shows all)"] if count > _LINES else []
    return [*lines[:_LINES], *more]


# --- classify ------------------------------------------------------------------------------------------------


def classify(
    format_: FormatArgument,
    paths: PathsArgument,
    source: Annotated[
        str | None, typer.Option("--source", metavar="S", help="As for import, so that ids are the same.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Print what each record amounts to, as JSON Lines. Stores nothing; a home adds its own mappings and ids."""
    _check(format_, paths, source)
    good = bad = 0
    for found in classify_records(_home_if_any(home), format_, paths, source=source):
        if isinstance(found, BadRecord):
            warn(f"{found.place}: {found.reason}")
            bad += 1
        else:
            say_json(found)
            good += 1
    if bad:
        raise typer.Exit(3 if good else 1)


def _home_if_any(given: str | None) -> Home | None:
    try:
        return home_of(given)
    except BadInput:
        if given is not None:
            raise
        return None


# --- assess --------------------------------------------------------------------------------------------------


def assess_(
    id_: IdArgument,
    answers: Annotated[
        list[str] | None, typer.Argument(metavar="[QUESTION=ANSWER]…", help="yes, no or unknown; places=server,…")
    ] = None,
    because: Annotated[
        str | None, typer.Option("--because", metavar="TEXT", help="Kept here, never shared.")
    ] = None,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Yours; never your name.")] = "analyst",
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Classify an incident of ours by the deciding questions; without answers, show the questions and where they
    stand. What you leave out stays as it is, and no mapping overwrites what you say."""
    run(_assess(home, id_, answers or [], role, because, yes=yes, as_json=as_json))


async def _assess(
    given: str | None,
    text: str,
    said: list[str],
    role: str,
    because: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    async with session(given) as here:
        async with here.store.reading() as tx:
            (id_,) = await find_incidents(tx, [text])
            version = (await objects.newest(tx, [id_])).get(id_)
        if version is None:
            raise NotFound(f"{id_} is no longer held")
        before = read_effects(version.value) or Findings()
        if not said:
            _show_questions(before)
            return
        answers = _merged(before.answers, said)

        async def work(tx: Transaction) -> list[Outcome]:
            return await assess(tx, here.node, id_, answers, role=role, because=because, now=await tx.now())

        outcomes = await foreseen_and_asked(here, work, "Classify it so?", yes=yes, quiet=as_json)
        async with here.store.reading() as tx:
            after = (await objects.newest(tx, [id_]))[id_]
    findings = read_effects(after.value) or Findings()
    if as_json:
        released = [one.collection for one in outcomes if one.object_id == id_ and one.what in MOVES]
        say_json(
            {
                "id": id_,
                "version": after.version,
                "effect_type": findings.effect_type,
                "categories": [effect.effect for effect in findings.effects],
                "released": released,
            }
        )
    else:
        say(f"{short(id_)}: {findings_sentence(findings)}")


def _merged(before: Answers, said: list[str]) -> Answers:
    """The answers that stand after what a person said. Raises BadInput for an unknown question or answer."""
    given: dict[str, Any] = {}
    for text in said:
        name, sign, answer = text.partition("=")
        question = name.strip().replace("-", "_")
        if not sign:
            raise BadInput(f"{text!r}: QUESTION=ANSWER, such as data_changed=yes")
        if question == "places":
            given["places"] = frozenset(_known("place", word, PLACES) for word in answer.split(",") if word)
        else:
            given[_known("question", question, QUESTIONS)] = _known(
                "answer", answer.strip(), ("yes", "no", "unknown")
            )
    return replace(before, **given)


def _known(kind: str, word: str, words: Sequence[str]) -> str:
    if word not in words:
        raise BadInput(f"unknown {kind} {word!r}{nearest(word, words) or ' (' + ' '.join(words) + ')'}")
    return word


def _show_questions(findings: Findings) -> None:
    """The deciding questions, in their order, with the answers that stand."""
    asked = {
        "cyber_action": "Was there an unauthorised cyber action?",
        "effect_achieved": "Was any effect achieved on the target?",
        "impaired": "Was an operation, data, a message or a process impaired?",
        "accessed": "Was information accessed or taken?",
    }
    by_key = {category.key: category.question["en"] for category in categories()}
    for effect, question in _QUESTION_OF.items():
        asked[question] = by_key[effect]
    rows = [(name, getattr(findings.answers, name), asked[name]) for name in QUESTIONS]
    rows.append(("places", " ".join(sorted(findings.answers.places)) or "unknown", _PLACES_QUESTION))
    show_table(("question", "answer", ""), rows, wrap="")
    say()
    say(f"Now: {findings_sentence(findings)}")
    say(
        "Answer with, for example: tocsin assess ID impaired=yes data_changed=yes --because 'restored from backup'"
    )


# the categories whose question is answered by yes or no (taxonomy A.3, Q3)
_QUESTION_OF = {
    "physical-attack": "process_changed",
    "message-manipulation": "message_changed",
    "data-attack": "data_changed",
    "external-denial-of-service": "service_flooded",
    "internal-denial-of-service": "service_stopped",
}
_PLACES_QUESTION = f"Where was the data when it left control? ({' '.join(PLACES)})"
