"""Foresight: what a command would change for others, found out by doing it in a transaction that is undone.

So what is shown is what would happen, whatever rules and references bring about, and not another program's guess.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from tocsin.cli.console import ask, say, tell
from tocsin.cli.ids import short
from tocsin.cli.session import Session
from tocsin.cli.wording import omitted_words
from tocsin.errors import Refused
from tocsin.sharing.release import Outcome
from tocsin.store.transaction import Transaction

MOVES = ("whole", "redacted", "revoked", "withdrawn")  # what readers notice
_IDS_SHOWN = 8  # of incidents with the same fate

Work = Callable[[Transaction], Awaitable[list[Outcome]]]


class _Undone(Exception):
    """Ends a transaction that only looked at what would happen."""


async def foresee(here: Session, work: Work) -> list[Outcome]:
    """What the work would bring about. Nothing of it stays."""
    outcomes: list[Outcome] = []
    try:
        async with here.store.writing() as tx:
            outcomes = await work(tx)
            raise _Undone
    except _Undone:
        return outcomes


async def carry_out(here: Session, work: Work, foreseen: Sequence[Outcome]) -> list[Outcome]:
    """Do the work as a person saw it. Raises Refused, and does nothing, when it would do something else by now."""
    async with here.store.writing() as tx:
        done = await work(tx)
        if _essence(done) != _essence(foreseen):
            raise Refused("what it would do has changed meanwhile: look at it again; nothing was changed")
    return done


async def foreseen_and_asked(here: Session, work: Work, question: str, *, yes: bool, quiet: bool) -> list[Outcome]:
    """Show what readers would notice, ask if they would notice anything, and do it."""
    foreseen = await foresee(here, work)
    if any(outcome.what in MOVES for outcome in foreseen):
        if not quiet:
            show_outcomes([outcome for outcome in foreseen if outcome.what in MOVES])
        ask(question, yes=yes)
    return await carry_out(here, work, foreseen)


def _essence(outcomes: Sequence[Outcome]) -> set[tuple[str, str, str, tuple[str, ...]]]:
    return {
        (one.collection, one.object_id, one.what, tuple(reason.rule for reason in one.reasons)) for one in outcomes
    }


def show_outcomes(outcomes: Sequence[Outcome]) -> None:
    """What becomes of the incidents, those with the same fate together, and what else moves with them, by type.

    A victim's identity may be allowed where its incident is not, so that is never left out.
    """
    fates: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for one in outcomes:
        if one.object_id.startswith("incident--"):
            reasons = tuple(f"{reason.rule}: {reason.text}" for reason in one.reasons)
            omitted = tuple(omitted_words(one.omitted))
            fates.setdefault((one.what, reasons, omitted), []).append(short(one.object_id))
    for (what, reasons, omitted), ids in sorted(fates.items(), key=lambda fate: -len(fate[1])):
        more = f" and {len(ids) - _IDS_SHOWN} more (--json shows all)" if len(ids) > _IDS_SHOWN else ""
        say(f"  {len(ids):>5,} {what:<9} {' '.join(ids[:_IDS_SHOWN])}{more}")
        for reason in reasons:
            tell(reason, 8)
        if omitted:
            tell(f"the copy leaves out: {', '.join(omitted)}", 8)
    along = Counter(
        one.object_id.partition("--")[0]
        for one in outcomes
        if one.what in MOVES and not one.object_id.startswith("incident--")
    )
    if along:
        say(f"  with them: {', '.join(f'{count:,} {kind}' for kind, count in sorted(along.items()))}")
