"""Polling: asking what is new when nothing is."""

from tests.bench.bench import Bench
from tests.bench.client import Answer, Broken
from tests.bench.measure import Figure, Sample
from tests.bench.scenarios.turns import in_turns
from tests.bench.targets.taxii import TaxiiTarget

CLIENTS = (1, 8, 64)


def poll(bench: Bench) -> list[Figure]:
    """`added_after` the end of the collection, by 1, 8 and 64 clients at once, against bare routes."""
    wanted = bench.wanted
    makers = [lambda e=engine: bench.node(e, wanted.objects) for engine in wanted.engines]
    if "transport" in wanted.against:
        makers += [lambda k=kind: bench.transport(k) for kind in ("asgi", "fastapi", "fastapi-h11")]
    targets = bench.those_of(*makers)
    figures = []
    for clients in CLIENTS:

        def measure(target: TaxiiTarget, repeat: int, clients: int = clients) -> Sample:
            return target.ask([target.poll()], clients, wanted.poll_seconds, _nothing)

        figures += in_turns(bench, "poll", f"c={clients}", "requests/s", targets, measure, warm=clients == 1)
    return figures


def _nothing(answer: Answer) -> None:
    if len(answer.body) > 40:
        raise Broken(f"something is new: {answer.body[:200]!r}")
