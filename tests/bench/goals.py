"""Goals: what the node is to reach, as ratios within one run, and whether it did. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.bench.measure import Figure

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Goal:
    """One value that is to be reached, at least (`>=`) or at most (`<=`) `wanted`, and what this run `found`.

    `work` and `against` say of what and against what; `against` is empty for a value that is no ratio.
    """

    work: str
    target: str
    against: str
    sign: Literal[">=", "<="]
    wanted: float
    found: float
    unit: str = "×"

    @property
    def reached(self) -> bool:
        return self.found >= self.wanted if self.sign == ">=" else self.found <= self.wanted


Index = Mapping[tuple[str, str, str], Figure]

# (scenario, case, engine of the node, reference, ratio wanted)
_RATIOS = (
    ("ingest-1000", "", "sqlite", "bare-sqlite", 0.3),
    ("ingest-1000", "", "postgresql", "bare-postgresql", 0.6),
    ("ingest-1000", "", "sqlite", "opentaxii-sqlite", 20),
    ("ingest-1000", "", "postgresql", "opentaxii-postgresql", 20),
    ("ingest-100", "", "sqlite", "bare-sqlite", 0.3),
    ("ingest-100", "", "postgresql", "bare-postgresql", 0.3),
    ("ingest-100", "", "sqlite", "medallion", 20),
    ("ingest-100", "", "postgresql", "medallion", 20),
    ("read", "", "sqlite", "bare-sqlite", 0.45),
    ("read", "", "postgresql", "bare-postgresql", 0.6),
    ("read", "", "sqlite", "opentaxii-sqlite", 25),
    ("read", "", "postgresql", "opentaxii-postgresql", 25),
    ("poll", "c=1", "sqlite", "fastapi", 0.5),
    ("poll", "c=1", "postgresql", "fastapi", 0.5),
    ("poll", "c=8", "sqlite", "fastapi", 0.5),
    ("poll", "c=8", "postgresql", "fastapi", 0.5),
    ("poll", "c=64", "sqlite", "fastapi", 0.5),
    ("poll", "c=64", "postgresql", "fastapi", 0.5),
)
_FLAT = {"read": 0.8, "poll c=8": 0.8, "object c=8": 0.8, "match-id c=8": 0.8, "match-type": 0.8}
POLL_P99 = 0.005  # seconds, at 8 clients
TENTHS = 1.2
WRITER_SHARE = 0.5
RECORDS = 1_500
PUBLISHED = 1_500  # incidents/s to all collections, of a core
JUDGED = 100_000  # objects
JUDGING_SECONDS, PLANNING_SECONDS = 60, 30  # of CPU, for so many
ANONYMOUS = 256 * MIB


def goals(figures: Sequence[Figure]) -> list[Goal]:
    """Every goal that these figures can answer."""
    index = {(figure.scenario, figure.case, figure.target): figure for figure in figures if figure.samples}
    return [
        *_ratios(index),
        *_latencies(index),
        *_of_read(index),
        *_growth(figures),
        *_mixed(index),
        *_rates(index),
        *_policy(index),
        *_memory(figures),
    ]


def _ratios(index: Index) -> Iterator[Goal]:
    for scenario, case, engine, reference, wanted in _RATIOS:
        ours, theirs = index.get((scenario, case, f"tocsin-{engine}")), index.get((scenario, case, reference))
        if ours and theirs and theirs.rate:
            work = f"{scenario} {case}".strip()
            yield Goal(work, ours.target, reference, ">=", wanted, ours.rate / theirs.rate)


def _latencies(index: Index) -> Iterator[Goal]:
    for (scenario, case, target), figure in index.items():
        if (scenario, case) == ("poll", "c=8") and is_node(target):
            yield Goal("poll c=8, p99", target, "", "<=", POLL_P99 * 1000, figure.latency(0.99) * 1000, "ms")


def _of_read(index: Index) -> Iterator[Goal]:
    for (scenario, case, target), figure in index.items():
        whole = index.get(("read", case, target))
        if scenario == "match-type" and whole and is_node(target):
            yield Goal("match-type", target, "read", ">=", 0.7, figure.rate / whole.rate)


def _growth(figures: Iterable[Figure]) -> Iterator[Goal]:
    """Cases of growth are named `WORK n=COUNT`."""
    grown: dict[tuple[str, str], dict[int, Figure]] = {}
    for figure in figures:
        if figure.scenario == "growth" and is_node(figure.target):
            work, _, count = figure.case.rpartition(" n=")
            grown.setdefault((work, figure.target), {})[int(count)] = figure
    for (work, target), by_count in grown.items():
        least, most = min(by_count), max(by_count)
        if work == "read" and (tenths := by_count[most].tenths) is not None:
            yield Goal(f"growth: last tenth of pages at {most:,}", target, "first tenth", "<=", TENTHS, tenths)
        if least < most:
            found = by_count[most].rate / by_count[least].rate
            yield Goal(f"growth: {work} at {most:,}", target, f"at {least:,}", ">=", _FLAT[work], found)


def _mixed(index: Index) -> Iterator[Goal]:
    for (scenario, case, target), figure in index.items():
        if scenario != "mixed" or not is_node(target):
            continue
        if case.endswith("pollers"):
            yield Goal(f"mixed {case}: lost", target, "", "<=", 0, figure.lost, "objects")
        alone = index.get((scenario, "1 writer alone", target))
        if case.startswith("1 writer, 8 pollers") and alone:
            yield Goal(f"mixed {case}", target, "alone", ">=", WRITER_SHARE, figure.rate / alone.rate)


def _rates(index: Index) -> Iterator[Goal]:
    for (scenario, _, target), figure in index.items():
        if scenario == "import" and is_node(target):
            yield Goal("import veris", target, "", ">=", RECORDS, figure.rate, "records/s")


def _policy(index: Index) -> Iterator[Goal]:
    """By CPU time, as others may use the machine; scaled to the number of objects that the goals speak of."""
    for (scenario, case, target), figure in index.items():
        if scenario != "policy" or not is_node(target) or not figure.cpu_per_thousand:
            continue
        if case == "publish":
            found = 1000 / figure.cpu_per_thousand
            yield Goal("policy: publish to 10 collections", target, "", ">=", PUBLISHED, found, "incidents/CPU s")
        elif case == "plan":
            yield from _judging("plan", target, PLANNING_SECONDS, figure.cpu_per_thousand)
        elif case == "apply" and (plan := index.get((scenario, "plan", target))):
            # the command shows its plan first
            spent = max(figure.cpu_per_thousand - plan.cpu_per_thousand, 0.0)
            yield from _judging("re-judge", target, JUDGING_SECONDS, spent)


def _judging(work: str, target: str, wanted: float, per_thousand: float) -> Iterator[Goal]:
    """`per_thousand` objects, each judged by ten collections: for so many in one collection, and in all ten."""
    in_all = per_thousand * JUDGED / 1000
    yield Goal(f"policy: {work} {JUDGED:,} in 1 collection", target, "", "<=", wanted, in_all / 10, "CPU s")
    yield Goal(f"policy: {work} {JUDGED:,} in 10 collections", target, "", "<=", wanted, in_all, "CPU s")


def _memory(figures: Iterable[Figure]) -> Iterator[Goal]:
    peaks: dict[tuple[str, str], int] = {}
    for figure in figures:
        # a plan has in memory what it would change: it grows with that
        if is_node(figure.target) and figure.anonymous and figure.scenario != "policy":
            work = f"{figure.scenario} {figure.case}".strip() if figure.scenario == "memory" else "all other work"
            key = (work, figure.target)
            peaks[key] = max(peaks.get(key, 0), figure.anonymous)
    for (work, target), peak in peaks.items():
        yield Goal(f"anonymous memory, {work}", target, "", "<=", ANONYMOUS / MIB, peak / MIB, "MiB")


def is_node(target: str) -> bool:
    """Whether a target is ours."""
    return target.startswith("tocsin-")
