"""Reading: a collection from its beginning to its end by pages of 1,000, and objects by what they are."""

import random

from tests.bench.bench import Bench
from tests.bench.client import Answer, Broken
from tests.bench.measure import Figure, Sample
from tests.bench.scenarios.turns import Collection, in_turns
from tests.bench.targets.taxii import TaxiiTarget, check_complete

KIND = "indicator"  # two fifths of the corpus
CLIENTS = (1, 8)
IDS = 3  # asked for at once by `match[id]`
_DRAWN = 2_000  # different requests


def read(bench: Bench, kind: str | None = None) -> list[Figure]:
    """A full read, or of one type by `match[type]`; what came is checked off the clock: each id exactly once."""
    wanted = bench.wanted
    targets = bench.line_up("node", "bare", "opentaxii", "medallion", count=wanted.objects)
    ids = [id_ for id_ in bench.corpus.ids(0, wanted.objects) if kind is None or id_.startswith(f"{kind}--")]

    def measure(target: Collection, repeat: int) -> Sample:
        sample, found = target.read(wanted.seconds, kind)
        if target.name.startswith(("tocsin-", "bare-")):
            check_complete(target.name, found, ids)
        return sample

    name = "match-type" if kind else "read"
    return in_turns(bench, name, "", "objects/s", targets, measure, warm=True)


def pages(bench: Bench) -> list[Figure]:
    """The transport limit of a full read: one page of 1,000 from memory."""
    targets = bench.line_up("transport")

    def measure(target: TaxiiTarget, repeat: int) -> Sample:
        return target.ask([target.get("page")], 1, bench.wanted.poll_seconds, lambda answer: None)

    return in_turns(bench, "page", "", "pages/s", targets, measure, warm=True)


def one_object(bench: Bench) -> list[Figure]:
    """One object by its id, another one each time, by 1 and by 8 clients."""
    return _small(bench, "object", 1)


def match_id(bench: Bench) -> list[Figure]:
    """Three objects by `match[id]`, others each time, by 1 and by 8 clients."""
    return _small(bench, "match-id", IDS)


def _small(bench: Bench, scenario: str, count: int) -> list[Figure]:
    wanted = bench.wanted
    targets = bench.line_up("node", "opentaxii", "medallion", count=wanted.objects)
    figures = []
    for clients in CLIENTS:

        def measure(target: TaxiiTarget, repeat: int, clients: int = clients) -> Sample:
            return ask_for(bench, target, wanted.objects, count, clients)

        figures += in_turns(
            bench, scenario, f"c={clients}", "requests/s", targets, measure, warm=clients == CLIENTS[0]
        )
    return figures


def ask_for(bench: Bench, target: TaxiiTarget, objects: int, count: int, clients: int) -> Sample:
    """Requests for one object by id, or for `count` by `match[id]`, out of the first `objects`."""
    drawn = random.Random(1)  # the same ones for every target
    paths = []
    for _ in range(_DRAWN):
        ids = [bench.corpus.id_of(drawn.randrange(objects)) for _ in range(count)]
        paths.append(f"objects/{ids[0]}/" if count == 1 else f"objects/?match[id]={','.join(ids)}")

    def check(answer: Answer) -> None:
        if not 1 <= answer.body.count(b'"spec_version"') <= count:
            raise Broken(f"not what was asked for: {answer.body[:200]!r}")

    return target.ask([target.get(path) for path in paths], clients, bench.wanted.poll_seconds, check)
