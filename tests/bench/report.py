"""Report: figures and goals as a table for a terminal or README, and as JSON. Pure but for `machine`."""

import datetime
import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.goals import MIB, Goal, goals
from tests.bench.measure import Figure

_HEAD = (
    "scenario", "case", "target", "rate", "min–max", "unit", "p50 ms", "p99 ms", "CPU s/1000", "db CPU",
    "anon MiB", "client", "lost",
)  # fmt: skip
_TEXTS = 3  # columns at the left that hold words


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when a run was made."""

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
    if found := goals(figures):
        parts += ["", *_table([("goal", "target", "against", "wanted", "found", ""), *map(_goal_row, found)])]
    return "\n".join([*parts, *([""] if notes else []), *notes])


def as_markdown(figures: Sequence[Figure], notes: Sequence[str], where: Machine) -> str:
    """The table for README: the node beside what it was compared with, then the goals."""
    lines = [f"Measured by `python -m tests.bench` in one run: {where}. Medians (min–max).", ""]
    lines += [
        "| work | target | rate | p50 / p99 ms | CPU s per 1,000 | peak anonymous |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for figure in figures:
        memory = f"{figure.anonymous / MIB:.0f} MiB" if figure.anonymous else "–"
        low, high = min(figure.rates), max(figure.rates)
        lines.append(
            f"| {f'{figure.scenario} {figure.case}'.strip()} | {figure.target} "
            f"| {number(figure.rate)} {figure.unit} ({number(low)}–{number(high)}) "
            f"| {_ms(figure.latency(0.5))} / {_ms(figure.latency(0.99))} "
            f"| {figure.server_cpu_per_thousand:.3f} | {memory} |"
        )
    if found := goals(figures):
        lines += ["", "| goal | target | wanted | found | reached |", "|---|---|--:|--:|---|"]
        lines += [
            f"| {_goal_name(goal)} | {goal.target} | {_wanted(goal)} | {_found(goal)} | {_said(goal)} |"
            for goal in found
        ]
    return "\n".join([*lines, *([""] if notes else []), *notes])


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
    return f"{number(goal.found)} {goal.unit}"


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


def write(path: Path, text: str) -> None:
    """Write a file of the report."""
    path.write_text(text + "\n", encoding="utf-8")
