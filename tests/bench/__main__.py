"""`python -m tests.bench`: run scenarios by name and report."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench import report
from tests.bench.bench import ENGINES, REFERENCES, Bench, Wanted
from tests.bench.client import Broken
from tests.bench.measure import Figure
from tests.bench.scenarios import growth, importing, ingest, memory, mixed, polling, reading

QUICK = Wanted(
    objects=2_000, posts=1_000, records=300, sizes=(1_000, 4_000), repeats=2, seconds=4.0, poll_seconds=0.5
)

SCENARIOS: dict[str, Callable[[Bench], list[Figure]]] = {
    "ingest-1000": lambda bench: ingest.ingest(bench, 1000),
    "ingest-100": lambda bench: ingest.ingest(bench, 100),
    "read": reading.read,
    "page": reading.pages,
    "poll": polling.poll,
    "object": reading.one_object,
    "match-id": reading.match_id,
    "match-type": lambda bench: reading.read(bench, reading.KIND),
    "mixed": mixed.mixed,
    "import": importing.import_veris,
    "growth": growth.growth,
    "memory": memory.memory,
}


def main(words: Sequence[str]) -> int:
    """Run; 1 when an object was lost, or a target could not go on."""
    options = _options(words)
    try:
        figures = _run(options, _wanted(options))
    except Broken as why:
        print(why, file=sys.stderr)
        return 1
    return 1 if any(figure.lost for figure in figures) else 0


def _run(options: argparse.Namespace, wanted: Wanted) -> list[Figure]:
    figures: list[Figure] = []
    with Bench(wanted) as bench:
        for name in options.scenario or SCENARIOS:
            figures += SCENARIOS[name](bench)
        where = report.machine(bench.postgresql_version() if "postgresql" in wanted.engines else "")
    write = report.as_markdown if options.markdown else report.as_text
    print(write(figures, bench.notes, where))
    if options.json:
        report.write(options.json, json.dumps(report.as_value(figures, bench.notes, where), indent=1))
    return figures


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="all, unless named")
    parser.add_argument("--quick", action="store_true", help="small sizes: about two minutes in all")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="of the node; both, unless given")
    parser.add_argument("--against", nargs="*", choices=REFERENCES, help="what to compare with; all, unless given")
    parser.add_argument("--objects", type=int, help="in a filled collection")
    parser.add_argument("--posts", type=int, help="objects written in one repeat")
    parser.add_argument("--records", type=int, help="imported in one repeat")
    parser.add_argument("--sizes", type=int, nargs="+", help="of collections, for growth")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--seconds", type=float, help="the longest that one repeat of one target may take")
    parser.add_argument("--poll-seconds", type=float, help="of one repeat of small requests")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--markdown", action="store_true", help="print the table for README")
    return parser.parse_args(words)


def _wanted(options: argparse.Namespace) -> Wanted:
    given = {
        "engines": tuple(options.engine) if options.engine else None,
        "against": tuple(options.against) if options.against is not None else None,
        "sizes": tuple(options.sizes) if options.sizes else None,
        **{
            name: getattr(options, name)
            for name in ("objects", "posts", "records", "repeats", "seconds", "poll_seconds")
        },
    }
    return replace(
        QUICK if options.quick else Wanted(), **{name: value for name, value in given.items() if value is not None}
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
