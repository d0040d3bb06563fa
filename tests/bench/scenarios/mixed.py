"""Mixed: writers and pollers at once, as in a running exchange. Nothing that was acknowledged may be lost."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.bench.bench import Bench
from tests.bench.client import Broken, Script, drive, expect
from tests.bench.corpus import Made
from tests.bench.goals import is_node
from tests.bench.measure import Figure, Sample
from tests.bench.scenarios.ingest import envelopes
from tests.bench.targets.taxii import TaxiiTarget, ids_in, next_of

SIZE = 100  # objects in an envelope
PAUSE = 0.05  # seconds between two polls of one poller
CASES = ((1, 0), (1, 8), (8, 0), (8, 8))


@dataclass(slots=True)
class _Exchange:
    """What happened in one repeat. `writing`: writers that are not done yet."""

    writing: int
    until: float
    written: set[str] = field(default_factory=set)
    posts: list[float] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    seen: list[Counter[str]] = field(default_factory=list)
    wrote_until: float = 0.0

    @property
    def lost(self) -> int:
        """Objects that some poller never saw, once for each poller."""
        return sum(len(self.written - set(counter)) for counter in self.seen)


def mixed(bench: Bench) -> list[Figure]:
    """1 and 8 writers of envelopes of 100, alone and beside 8 pollers, who poll every 50 ms and note every id."""
    targets: list[TaxiiTarget] = bench.line_up("node", count=bench.wanted.objects, use="mixed")
    if "postgresql" in bench.wanted.engines and "opentaxii" in bench.wanted.against:
        targets += bench.those_of(lambda: bench.opentaxii("postgresql", bench.wanted.objects, "mixed"))
    numbers = {target.name: itertools.count(bench.wanted.objects, bench.wanted.posts) for target in targets}
    found: dict[tuple[str, str, str], list[Sample]] = {}
    for repeat in range(bench.wanted.repeats):
        for (writers, pollers), target in itertools.product(CASES, targets):
            if target.turns is not None and repeat >= target.turns:
                continue
            bench.say(f"mixed {_case(writers, pollers)} {target.name} {repeat + 1} of {bench.wanted.repeats}")
            count = min(bench.wanted.posts, target.posts or bench.wanted.posts)
            bodies = envelopes(bench, next(numbers[target.name]), count, SIZE)
            written, polled = _measure(target, bodies, writers, pollers, bench.wanted.seconds)
            found.setdefault((_case(writers, pollers), target.name, "objects/s"), []).append(written)
            if pollers:
                case = f"polls beside {_writers(writers)}"
                found.setdefault((case, target.name, "polls/s"), []).append(polled)
    return [Figure("mixed", case, name, unit, tuple(samples)) for (case, name, unit), samples in found.items()]


def _case(writers: int, pollers: int) -> str:
    return f"{_writers(writers)}, {pollers} pollers" if pollers else f"{_writers(writers)} alone"


def _writers(count: int) -> str:
    return "1 writer" if count == 1 else f"{count} writers"


def _measure(
    target: TaxiiTarget, bodies: Sequence[Sequence[Made]], writers: int, pollers: int, seconds: float
) -> tuple[Sample, Sample]:
    """What the writers reached, and the pollers."""
    exchange = _Exchange(writers, 0.0)
    exchange.seen = [Counter() for _ in range(pollers)]
    waiting = iter([(target.post(taken), [made.id for made in taken]) for taken in map(target.only_taken, bodies)])
    target.find_head()

    def work() -> Sample:
        began = time.perf_counter()
        exchange.until = began + seconds
        scripts = [_writer(exchange, waiting) for _ in range(writers)]
        scripts += [_poller(exchange, target, counter) for counter in exchange.seen]
        driven = drive(target.address, scripts)
        return Sample(
            len(exchange.written),
            exchange.wrote_until - began,
            exchange.posts,
            client_share=driven.cpu / driven.seconds,
            lost=exchange.lost,
        )

    written = target.sample(work)
    twice = sum(count > 1 for counter in exchange.seen for count in counter.values())
    if twice and is_node(target.name):
        raise Broken(f"{target.name}: {twice} objects came twice to a poller")
    return written, Sample(len(exchange.polls), written.seconds, exchange.polls)


def _writer(exchange: _Exchange, waiting: Iterator[tuple[bytes, list[str]]]) -> Script:
    for body, ids in waiting:
        answer = expect((yield body), 202)
        exchange.posts.append(answer.seconds)
        exchange.written.update(ids)
        if time.perf_counter() > exchange.until:
            break
    exchange.writing -= 1
    exchange.wrote_until = time.perf_counter()


def _poller(exchange: _Exchange, target: TaxiiTarget, seen: Counter[str]) -> Script:
    """Polls until the writers are done and nothing more is new."""
    after = target.head
    while True:
        last_time = exchange.writing == 0
        path = f"objects/?limit={target.page}" + (f"&added_after={quote(after)}" if after else "")
        cursor, news = "", 0
        while True:
            answer = expect((yield target.get(path + cursor)), 200)
            exchange.polls.append(answer.seconds)
            ids = ids_in([answer.body])
            seen.update(ids)
            news += len(ids)
            after = answer.header("x-taxii-date-added-last") or after
            following = next_of(answer.body)
            if following is None:
                break
            cursor = f"&next={quote(following)}"
        if last_time and not news:
            return
        yield PAUSE
