"""Memory: the most that the node's process holds which no file backs, over its largest collection."""

from tests.bench.bench import Bench
from tests.bench.measure import Figure
from tests.bench.scenarios import importing, polling
from tests.bench.scenarios.ingest import envelopes
from tests.bench.targets import node
from tests.bench.targets.taxii import TaxiiTarget


def memory(bench: Bench) -> list[Figure]:
    """A process started anew over the largest size: read whole, written to in envelopes of 1,000, polled by
    64 clients, and beside it an import (whose own process is what counts there)."""
    figures = []
    for engine in bench.wanted.engines:
        count = max(bench.wanted.sizes)
        target = _restarted(bench.node(engine, count))
        bench.say(f"memory n={count} {target.name}")
        works = {
            "reading": target.read(3600)[0],
            "writing": target.ingest(envelopes(bench, count, bench.wanted.posts, 1000), bench.wanted.seconds),
            "importing": importing.import_records(target, 0, bench.wanted.records),
        }
        target.find_head()
        works["polling c=64"] = polling.ask_for_news(bench, target, 64)
        figures += [
            Figure("memory", f"{work} n={count}", target.name, _UNITS.get(work, "objects/s"), (sample,))
            for work, sample in works.items()
        ]
        bench.close(target)  # it is no longer what others filled
    return figures


_UNITS = {"importing": "records/s", "polling c=64": "requests/s"}


def _restarted(target: TaxiiTarget) -> TaxiiTarget:
    """The same home served by a new process, which has nothing in memory from before."""
    target.server.stop()
    target.server = node.serve(target.server.log.parent)
    target.stop = target.server.stop
    return target
