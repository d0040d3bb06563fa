"""Growth: the same work on collections of different sizes, in turns."""

from collections.abc import Callable

from tests.bench.bench import Bench
from tests.bench.measure import Figure, Sample
from tests.bench.scenarios import polling, reading
from tests.bench.targets.taxii import TaxiiTarget, check_complete

_READ_AT_MOST = 2_000_000  # objects read in all by one work on one size: a million twice


def growth(bench: Bench) -> list[Figure]:
    """Full read, `match[type]`, one object, `match[id]` and empty polls at each size, of the node alone."""
    sizes = sorted(bench.wanted.sizes)
    targets = [(count, bench.node(engine, count)) for engine in bench.wanted.engines for count in sizes]
    figures = []
    for work, (unit, measure) in _WORKS.items():
        samples: dict[tuple[int, str], list[Sample]] = {}
        for repeat in range(bench.wanted.repeats):
            for count, target in targets:
                if unit == "objects/s" and repeat * count >= _READ_AT_MOST:
                    continue
                bench.say(f"growth {work} n={count} {target.name} {repeat + 1} of {bench.wanted.repeats}")
                samples.setdefault((count, target.name), []).append(measure(bench, target, count))
        figures += [
            Figure("growth", f"{work} n={count}", name, unit, tuple(found))
            for (count, name), found in samples.items()
        ]
    return figures


def _read(bench: Bench, target: TaxiiTarget, count: int, kind: str | None = None) -> Sample:
    sample, found = target.read(3600, kind)
    ids = bench.corpus.ids(0, count)
    check_complete(target.name, found, (id_ for id_ in ids if kind is None or id_.startswith(f"{kind}--")))
    return sample


_WORKS: dict[str, tuple[str, Callable[[Bench, TaxiiTarget, int], Sample]]] = {
    "read": ("objects/s", _read),
    "match-type": ("objects/s", lambda bench, target, count: _read(bench, target, count, reading.KIND)),
    "object c=8": ("requests/s", lambda bench, target, count: reading.ask_for(bench, target, count, 1, 8)),
    "match-id c=8": (
        "requests/s",
        lambda bench, target, count: reading.ask_for(bench, target, count, reading.IDS, 8),
    ),
    "poll c=8": ("requests/s", lambda bench, target, count: polling.ask_for_news(bench, target, 8)),
}
