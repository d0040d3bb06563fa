"""Turns: targets are measured one after the other, again and again, so that a slow minute hits all alike."""

from collections.abc import Callable, Sequence

from tests.bench.bench import Bench, T
from tests.bench.measure import Figure, Sample
from tests.bench.targets.bare import BarePostgresql, BareSqlite
from tests.bench.targets.taxii import TaxiiTarget

Collection = TaxiiTarget | BareSqlite | BarePostgresql


def in_turns(
    bench: Bench,
    scenario: str,
    case: str,
    unit: str,
    targets: Sequence[T],
    measure: Callable[[T, int], Sample],
    *,
    warm: bool = False,
) -> list[Figure]:
    """`measure(target, repeat)` for every target in every repeat, or in the first of them as its `turns` say.

    `warm`: once more before, uncounted, but not for those.
    """
    samples: dict[str, list[Sample]] = {target.name: [] for target in targets}
    for repeat in range(-1 if warm else 0, bench.wanted.repeats):
        for target in targets:
            if target.turns is not None and not 0 <= repeat < target.turns:
                continue
            turn = f"{repeat + 1} of {bench.wanted.repeats}" if repeat >= 0 else "to warm up"
            bench.say(" ".join(word for word in (scenario, case, target.name, turn) if word))
            sample = measure(target, max(0, repeat))
            if repeat >= 0:
                samples[target.name].append(sample)
    return [Figure(scenario, case, name, unit, tuple(found)) for name, found in samples.items() if found]
