"""Polling: asking what is new when nothing is."""

from tests.bench.bench import Bench
from tests.bench.client import Answer, Broken
from tests.bench.measure import Figure, Sample
from tests.bench.scenarios.turns import in_turns
from tests.bench.targets.taxii import TaxiiTarget

CLIENTS = (1, 8, 64)


def poll(bench: Bench) -> list[Figure]:
    """`added_after` the end of the collection, by 1, 8 and 64 clients at once, against bare routes."""
    targets = bench.line_up("node", "transport", "opentaxii", count=bench.wanted.objects)
    figures = []
    for clients in CLIENTS:

        def measure(target: TaxiiTarget, repeat: int, clients: int = clients) -> Sample:
            return ask_for_news(bench, target, clients)

        figures += in_turns(
            bench, "poll", f"c={clients}", "requests/s", targets, measure, warm=clients == CLIENTS[0]
        )
    return figures


def ask_for_news(bench: Bench, target: TaxiiTarget, clients: int) -> Sample:
    """Polls that must find nothing."""
    return target.ask([target.poll()], clients, bench.wanted.poll_seconds, _nothing)


def _nothing(answer: Answer) -> None:
    if len(answer.body) > 40:
        raise Broken(f"something is new: {answer.body[:200]!r}")
