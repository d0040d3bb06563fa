"""Policy: what it costs to publish under many rules to many collections, to plan a change of them, to make it.

Publishing is measured in this process, planning and applying as an operator does them: by command, from its start
to its end but for what any command needs to start, while a reader polls the running node. `apply` plans first, so
what it takes beyond the plan is the re-judging itself. All ten collections hold every incident and change
together, so an object is judged ten times.
"""

import json
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.bench import Bench
from tests.bench.client import Broken, Script, drive, expect
from tests.bench.corpus import Made
from tests.bench.measure import Figure, Sample, sampled
from tests.bench.processes import watching
from tests.bench.targets import judging
from tests.bench.targets.taxii import TaxiiTarget

PAUSE = 0.02  # seconds between two polls
_ROWS = 2_000  # of the bare database in one transaction: as many as 200 incidents have entries in ten logs


@dataclass(frozen=True, slots=True)
class _Done:
    """A command that has ended: what it cost, what a reader felt meanwhile, and what the command said."""

    work: Sample
    polls: Sample
    said: Any


def policy(bench: Bench) -> list[Figure]:
    """Incidents published to ten collections under twenty rules; then a plan over all of them, carried out."""
    count = bench.wanted.records
    figures: list[Figure] = []
    for engine in bench.wanted.engines:
        for target in bench.those_of(partial(bench.judging, engine)):
            figures += _on(bench, target, count)
        if "bare" in bench.wanted.against:
            made = judging.incidents(bench.corpus, 0, count)
            for bare in bench.those_of(partial(bench.bare, engine, 0, "policy")):
                bench.say(f"policy publish {bare.name}")
                written = bare.ingest(_as_rows(made), 600)
                sample = replace(written, count=count)
                figures.append(Figure("policy", "publish", bare.name, "incidents/s", (sample,)))
    return figures


def _on(bench: Bench, target: TaxiiTarget, count: int) -> list[Figure]:
    portion = -(-count // bench.wanted.repeats)
    bench.say(f"policy publish {target.name}")
    published = [
        judging.publish_all(target, judging.incidents(bench.corpus, first, min(portion, count - first)))
        for first in range(0, count, portion)
    ]
    target.find_head()
    until = time.perf_counter() + bench.wanted.poll_seconds
    alone = _poll(target, lambda: time.perf_counter() > until)
    starting = _run(target, judging.nothing(target), count).work
    plans: list[_Done] = []
    applied: list[_Done] = []
    for changed in (True, False):
        bench.say(f"policy plan and apply {target.name}")
        text = judging.policy(changed=changed)
        plans.append(_run(target, judging.preview(target, text), count))
        if not plans[-1].said["touches_released"]:
            raise Broken(f"{target.name}: this change of policy would change nothing")
        applied.append(_run(target, judging.apply(target, text, plans[-1].said["confirm"]), count))
        target.find_head()
    return [
        Figure("policy", "publish", target.name, "incidents/s", tuple(published)),
        Figure("policy", "plan", target.name, "objects/s", _beyond(starting, plans)),
        Figure("policy", "apply", target.name, "objects/s", _beyond(starting, applied)),
        Figure("policy", "polls alone", target.name, "polls/s", (alone,)),
        Figure("policy", "polls beside plan", target.name, "polls/s", tuple(one.polls for one in plans)),
        Figure("policy", "polls beside apply", target.name, "polls/s", tuple(one.polls for one in applied)),
    ]


def _beyond(starting: Sample, done: Sequence[_Done]) -> tuple[Sample, ...]:
    """What these took beyond what it takes to start a command."""
    return tuple(
        replace(
            one.work,
            seconds=max(one.work.seconds - starting.seconds, 0.01),
            server_cpu=max(one.work.server_cpu - starting.server_cpu, 0.0),
        )
        for one in done
    )


def _run(target: TaxiiTarget, command: Sequence[str | Path], count: int) -> _Done:
    out = target.server.log.with_name("command.out")
    polled: list[Sample] = []

    def work() -> Sample:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        with out.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stdin=subprocess.DEVNULL)
        with watching(process.pid) as watched:
            polled.append(_poll(target, lambda: process.poll() is not None))
        seconds = time.perf_counter() - began
        if process.returncode != 0:
            raise Broken(f"{target.name}: {command[1]} ended with {process.returncode}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Sample(count, seconds, server_cpu=cpu, anonymous=watched.anonymous)

    sample = sampled(None, target.database_pid, work)
    return _Done(sample, polled[0], _value(out))


def _value(out: Path) -> Any:
    """What a command said as JSON; a list says nothing that is needed."""
    text = out.read_text()
    return json.loads(text) if text.startswith("{") and text.count("\n") == 1 else None


def _poll(target: TaxiiTarget, is_over: Callable[[], bool]) -> Sample:
    """One reader who asks what is new every 20 ms, and is answered each time."""

    def ask() -> Script:
        while not is_over():
            expect((yield target.poll()), 200)
            yield PAUSE

    driven = drive(target.address, [ask()])
    return Sample(len(driven.latencies), driven.seconds, driven.latencies)


def _as_rows(made: Sequence[Made]) -> list[list[Made]]:
    """What publishing writes: a row for each incident and collection; the content is there already."""
    rows = [
        Made(one.id, one.type, f"{one.version} {number}", b"")
        for one in made
        for number in range(judging.COLLECTIONS)
    ]
    return [rows[first : first + _ROWS] for first in range(0, len(rows), _ROWS)]
