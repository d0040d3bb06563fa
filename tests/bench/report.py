"""Report: figures and goals as a table for a terminal or README, and as JSON. Pure but for `machine`."""

import datetime
import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.goals import MIB, Goal, goals, is_node
from tests.bench.measure import Figure

_HEAD = (
    "scenario", "case", "target", "rate", "min–max", "unit", "p50 ms", "p99 ms", "CPU s/1000", "db CPU",
    "anon MiB", "client", "lost",
)  # fmt: skip
_TEXTS = 3  # columns at the left that hold words


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when a run was made. `memory` in bytes; `postgresql` is empty where none was used."""

    cores: int
    memory: int
    python: str
    sqlite: str
    postgresql: str
    date: str

    def __str__(self) -> str:
        parts = [f"{self.cores} cores", f"{self.memory / 1024**3:.0f} GiB", f"Python {self.python}"]
        parts += [f"SQLite {self.sqlite}"] + ([f"PostgreSQL {self.postgresql}"] if self.postgresql else [])
        return f"{', '.join(parts)}; {self.date}"


def machine(postgresql: str) -> Machine:
    """The facts of this machine, today."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    cores = len(os.sched_getaffinity(0))
    return Machine(cores, memory, platform.python_version(), sqlite3.sqlite_version, postgresql, today)


def as_text(figures: Sequence[Figure], notes: Sequence[str], where: Machine) -> str:
    """Everything, for a terminal."""
    parts = [str(where), "", *_table([_HEAD, *map(_row, figures)])]
    if compared := list(_compared(figures)):
        parts += ["", *_table([("ratio", "", "target", "against", "by time", "by CPU"), *compared])]
    if found := goals(figures):
        parts += ["", *_table([("goal", "target", "against", "wanted", "found", ""), *map(_goal_row, found)])]
    return "\n".join([*parts, *([""] if notes else []), *notes])


def as_markdown(figures: Sequence[Figure], notes: Sequence[str], where: Machine) -> str:
    """The table for README: the node, on both databases, beside what it was compared with; then the goals."""
    lines = [f"`python -m tests.bench`, one run: {where}. Rates are medians of the repeats, with p99.", ""]
    lines += [
        f"| work | {' | '.join(_ENGINES.values())} | {' | '.join(title for title, _ in _REFERENCES)} |",
        f"|---|{'--:|' * (len(_ENGINES) + len(_REFERENCES))}",
    ]
    index = {(figure.scenario, figure.case, figure.target): figure for figure in figures}
    for scenario, case in dict.fromkeys((figure.scenario, figure.case) for figure in figures):
        ours = [index.get((scenario, case, f"tocsin-{engine}")) for engine in _ENGINES]
        if not any(ours):
            continue
        cells = [_rate_and_p99(figure) for figure in ours]
        for _, names in _REFERENCES:
            theirs = [index.get((scenario, case, names.format(engine=engine))) for engine in _ENGINES]
            cells.append(_ratios(ours, theirs))
        lines.append(f"| {f'{scenario} {case}'.strip()} | {' | '.join(cells)} |")
    if found := goals(figures):
        lines += ["", "| goal | target | wanted | found | reached |", "|---|---|--:|--:|---|"]
        lines += [
            f"| {_goal_name(goal)} | {goal.target} | {_wanted(goal)} | {_found(goal)} | {_said(goal)} |"
            for goal in found
        ]
    return "\n".join([*lines, *([""] if notes else []), *notes])


_ENGINES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_REFERENCES = (
    ("× bare database", "bare-{engine}"),
    ("× bare FastAPI route", "fastapi"),
    ("× OpenTAXII", "opentaxii-{engine}"),
    ("× medallion", "medallion"),
)


def _rate_and_p99(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    p99 = figure.latency(0.99)
    return f"{number(figure.rate)} {figure.unit}" + (f" ({_ms(p99)} ms)" if p99 else "")


def _ratios(ours: Sequence[Figure | None], theirs: Sequence[Figure | None]) -> str:
    """What we reach of theirs, for each engine; empty where there is nothing to compare with."""
    if not any(theirs):
        return ""
    return " / ".join(
        number(one.rate / other.rate) if one and other and other.rate else "–"
        for one, other in zip(ours, theirs, strict=True)
    )


def as_value(figures: Sequence[Figure], notes: Sequence[str], where: Machine) -> dict[str, Any]:
    """The same as a JSON value, every repeat by itself."""
    return {
        "machine": {name: getattr(where, name) for name in where.__slots__},
        "figures": [_figure_as_value(figure) for figure in figures],
        "goals": [
            {
                "work": goal.work,
                "target": goal.target,
                "against": goal.against,
                "sign": goal.sign,
                "wanted": goal.wanted,
                "found": goal.found,
                "unit": goal.unit,
                "reached": goal.reached,
            }
            for goal in goals(figures)
        ],
        "notes": list(notes),
    }


def _compared(figures: Sequence[Figure]) -> Iterator[tuple[str, ...]]:
    """The node's rate by that of whatever did the same on the same engine, or on none; and the CPU that that took
    by what the node takes, which is steadier on a machine that others use."""
    for ours in figures:
        if not is_node(ours.target):
            continue
        others = [engine for engine in _ENGINES if not ours.target.endswith(f"-{engine}")]
        for theirs in figures:
            same = (theirs.scenario, theirs.case) == (ours.scenario, ours.case) and theirs is not ours
            if same and theirs.rate and not any(theirs.target.endswith(f"-{engine}") for engine in others):
                by_cpu = theirs.cpu_per_thousand / ours.cpu_per_thousand if ours.cpu_per_thousand else 0.0
                rate, cpu = f"{number(ours.rate / theirs.rate)} ×", f"{number(by_cpu)} ×" if by_cpu else ""
                yield (ours.scenario, ours.case, ours.target, theirs.target, rate, cpu)


def _figure_as_value(figure: Figure) -> dict[str, Any]:
    return {
        "scenario": figure.scenario,
        "case": figure.case,
        "target": figure.target,
        "unit": figure.unit,
        "rate": figure.rate,
        "rates": figure.rates,
        "p50": figure.latency(0.5),
        "p99": figure.latency(0.99),
        "tenths": figure.tenths,
        "server_cpu_per_thousand": figure.server_cpu_per_thousand,
        "database_cpu_per_thousand": figure.database_cpu_per_thousand,
        "anonymous": figure.anonymous,
        "client_share": figure.client_share,
        "count": sum(sample.count for sample in figure.samples),
        "lost": figure.lost,
        "note": figure.note,
    }


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.scenario,
        figure.case,
        figure.target,
        number(figure.rate),
        f"{number(min(figure.rates))}–{number(max(figure.rates))}",
        figure.unit,
        _ms(figure.latency(0.5)),
        _ms(figure.latency(0.99)),
        f"{figure.server_cpu_per_thousand:.3f}",
        f"{figure.database_cpu_per_thousand:.3f}",
        f"{figure.anonymous / MIB:.0f}" if figure.anonymous else "",
        f"{figure.client_share:.2f}" if figure.client_share else "",
        str(figure.lost),
    )


def _goal_row(goal: Goal) -> tuple[str, ...]:
    return (goal.work, goal.target, goal.against, _wanted(goal), _found(goal), _said(goal))


def _goal_name(goal: Goal) -> str:
    return f"{goal.work}, against {goal.against}" if goal.against else goal.work


def _wanted(goal: Goal) -> str:
    return f"{goal.sign} {goal.wanted:g} {goal.unit}"


def _found(goal: Goal) -> str:
    found = f"{goal.found:.0f}" if goal.unit == "objects" else number(goal.found)
    return f"{found} {goal.unit}"


def _said(goal: Goal) -> str:
    return "reached" if goal.reached else "not reached"


def number(value: float) -> str:
    """A number with three digits that matter, or all before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _ms(seconds: float) -> str:
    return number(seconds * 1000) if seconds else "–"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place < _TEXTS else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
