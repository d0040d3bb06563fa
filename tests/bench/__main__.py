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
from tests.bench.goals import is_node
from tests.bench.measure import Figure
from tests.bench.scenarios import growth, importing, ingest, memory, mixed, policy, polling, reading

# `objects` is one of the `sizes`, so that scenarios share their collections
QUICK = Wanted(
    objects=2_000, posts=1_000, records=1_000, sizes=(2_000, 8_000), repeats=2, seconds=4.0, poll_seconds=0.4
)

# By name: what it does, and the function.
SCENARIOS: dict[str, tuple[str, Callable[[Bench], list[Figure]]]] = {
    "ingest-1000": ("POST envelopes of 1,000, beside all others", lambda bench: ingest.ingest(bench, 1000)),
    "ingest-100": ("POST envelopes of 100", lambda bench: ingest.ingest(bench, 100)),
    "read": ("a full read by pages of 1,000", reading.read),
    "match-type": ("the same of one type", lambda bench: reading.read(bench, reading.KIND)),
    "page": ("the transport limit: one page from memory", reading.pages),
    "poll": ("nothing is new: 1, 8 and 64 clients", polling.poll),
    "object": ("one object by id: 1 and 8 clients", reading.one_object),
    "match-id": ("three objects by id: 1 and 8 clients", reading.match_id),
    "mixed": ("1 and 8 writers, alone and beside 8 pollers", mixed.mixed),
    "import": ("tocsin import veris, published too", importing.import_veris),
    "policy": ("20 rules, 10 collections: publish, plan and apply over --records", policy.policy),
    "growth": ("reads and polls at each of --sizes", growth.growth),
    "memory": ("the most that the node holds, at the largest of --sizes", memory.memory),
}


def main(words: Sequence[str]) -> int:
    """Run; 1 when the node lost an object, or a target did not do what it should."""
    options = _options(words)
    wanted = _wanted(options)
    figures: list[Figure] = []
    with Bench(wanted) as bench:
        done = [_scenario(bench, name, figures, options) for name in options.scenario or SCENARIOS]
        write = report.as_markdown if options.markdown else report.as_text
        print(write(figures, bench.notes, _machine(bench)))
    lost = any(figure.lost for figure in figures if is_node(figure.target))
    return 0 if all(done) and not lost else 1


def _scenario(bench: Bench, name: str, figures: list[Figure], options: argparse.Namespace) -> bool:
    """Run one, and write what is known so far; False when it broke off, which is noted."""
    try:
        figures += SCENARIOS[name][1](bench)
    except Broken as why:
        bench.note(f"{name} broke off: {why}")
        return False
    finally:
        if options.json:
            value = report.as_value(figures, bench.notes, _machine(bench))
            options.json.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    return True


def _machine(bench: Bench) -> report.Machine:
    return report.machine(bench.postgresql_version())


_AGAINST = (
    "what to compare with; all, unless given. PostgreSQL and medallion come with the extra dev; OpenTAXII is "
    "installed in an environment of its own when it is first asked for"
)


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="How fast the node is beside what else could do its work, and beside what the machine can do.",
        epilog="scenarios:\n" + "\n".join(f"  {name:<12} {text}" for name, (text, _) in SCENARIOS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help="below; all, unless named")
    parser.add_argument("--quick", action="store_true", help="small sizes: about two minutes in all")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="of the node; both, unless given")
    parser.add_argument("--against", nargs="*", choices=REFERENCES, help=_AGAINST)
    parser.add_argument("--objects", type=int, help="in a filled collection")
    parser.add_argument("--posts", type=int, help="objects written in one repeat")
    parser.add_argument("--records", type=int, help="imported in one repeat")
    parser.add_argument("--sizes", type=int, nargs="+", help="of collections, for growth")
    parser.add_argument("--repeats", type=int, help="of everything; medians are shown")
    parser.add_argument("--seconds", type=float, help="the longest that one repeat of one target may take")
    parser.add_argument("--poll-seconds", type=float, help="of one repeat of small requests")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--markdown", action="store_true", help="print the table for README")
    given = parser.parse_args(words)
    for name in given.scenario:
        if name not in SCENARIOS:
            parser.error(f"no scenario {name!r}: {', '.join(SCENARIOS)}")
    return given


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
