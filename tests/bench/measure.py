"""Measure: one sample, and the figure that several make. Pure but for `sampled`, which holds the clocks."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tests.bench.processes import cpu_seconds, watching


@dataclass(frozen=True, slots=True)
class Sample:
    """One repeat of one piece of work: `count` objects or requests in `seconds`.

    `server_cpu` (of a bare database: of who uses it) and `database_cpu` in seconds; `client_share`: of one core,
    used by the client itself; `anonymous`: peak of the server's memory that no file backs, in bytes.
    """

    count: int
    seconds: float
    latencies: Sequence[float] = field(default=(), repr=False)
    server_cpu: float = 0.0
    database_cpu: float = 0.0
    client_share: float = 0.0
    anonymous: int = 0
    lost: int = 0

    @property
    def rate(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0


def sampled(server: int | None, database: int | None, work: Callable[[], Sample]) -> Sample:
    """Do the work, and add to its sample what it cost these processes and all that they started."""
    before = cpu_seconds(server), cpu_seconds(database)
    with watching(server) as watched:
        sample = work()
    return replace(
        sample,
        server_cpu=sample.server_cpu + cpu_seconds(server) - before[0],
        database_cpu=sample.database_cpu + cpu_seconds(database) - before[1],
        anonymous=max(sample.anonymous, watched.anonymous),
    )


@dataclass(frozen=True, slots=True)
class Figure:
    """What one target reached in one case of one scenario."""

    scenario: str
    case: str
    target: str
    unit: str
    samples: tuple[Sample, ...]
    note: str = ""

    @property
    def rates(self) -> list[float]:
        return [sample.rate for sample in self.samples]

    @property
    def rate(self) -> float:
        """The median of the repeats."""
        return statistics.median(self.rates)

    def latency(self, share: float) -> float:
        """The latency that this share of all requests kept within, in seconds; 0 without requests."""
        return quantile([one for sample in self.samples for one in sample.latencies], share)

    @property
    def server_cpu_per_thousand(self) -> float:
        return _per_thousand(self.samples, lambda sample: sample.server_cpu)

    @property
    def database_cpu_per_thousand(self) -> float:
        return _per_thousand(self.samples, lambda sample: sample.database_cpu)

    @property
    def cpu_per_thousand(self) -> float:
        """Of server and database together: what hardly changes when others use the machine, too."""
        return self.server_cpu_per_thousand + self.database_cpu_per_thousand

    @property
    def anonymous(self) -> int:
        """The most of all repeats, in bytes; 0 where it was not looked at."""
        return max(sample.anonymous for sample in self.samples)

    @property
    def client_share(self) -> float:
        return statistics.median(sample.client_share for sample in self.samples)

    @property
    def lost(self) -> int:
        return sum(sample.lost for sample in self.samples)

    @property
    def tenths(self) -> float | None:
        """Median latency of the last tenth of a sample's requests by that of the first; None for fewer than 20."""
        found = [_tenths(sample.latencies) for sample in self.samples if len(sample.latencies) >= 20]
        return statistics.median(found) if found else None


def _tenths(latencies: Sequence[float]) -> float:
    tenth = len(latencies) // 10
    return statistics.median(latencies[-tenth:]) / statistics.median(latencies[:tenth])


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _per_thousand(samples: Sequence[Sample], cost: Callable[[Sample], float]) -> float:
    count = sum(sample.count for sample in samples)
    return 1000 * sum(cost(sample) for sample in samples) / count if count else 0.0
