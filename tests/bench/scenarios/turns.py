"""Turns: targets are measured one after the other, again and again, so that a slow minute hits all alike."""

from collections.abc import Callable, Sequence

from tests.bench.bench import Bench, T
from tests.bench.measure import Figure, Sample


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
    """`measure(target, repeat)` for every target in every repeat; a slow target once. `warm`: once more, before."""
    samples: dict[str, list[Sample]] = {target.name: [] for target in targets}
    for repeat in range(-1 if warm else 0, bench.wanted.repeats):
        for target in targets:
            if target.slow and repeat != 0:
                continue
            bench.say(
                f"{scenario} {case} {target.name} {repeat + 1 if repeat >= 0 else 'warm'}".replace("  ", " ")
            )
            sample = measure(target, max(0, repeat))
            if repeat >= 0:
                samples[target.name].append(sample)
    return [Figure(scenario, case, name, unit, tuple(found)) for name, found in samples.items()]
