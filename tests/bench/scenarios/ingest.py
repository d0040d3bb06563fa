"""Ingest: envelopes by POST, each acknowledged when it is durable and can be read."""

from collections.abc import Sequence

from tests.bench.bench import Bench
from tests.bench.corpus import Made
from tests.bench.goals import is_node
from tests.bench.measure import Figure, Sample
from tests.bench.scenarios.turns import Collection, in_turns
from tests.bench.targets.taxii import TaxiiTarget, check_complete


def ingest(bench: Bench, size: int) -> list[Figure]:
    """Envelopes of `size`, one after the other, into collections that begin empty and grow from repeat to repeat.

    The bare database writes the same bytes, a transaction for each envelope; medallion begins anew in every
    repeat, since it compares each object with all it has. What the node acknowledged is read back off the clock:
    every object once.
    """
    use, wanted = f"ingest-{size}", bench.wanted
    targets = bench.line_up("node", "bare", "opentaxii", "medallion", use=use)

    def measure(target: Collection, repeat: int) -> Sample:
        first, count = repeat * wanted.posts, min(wanted.posts, target.posts or wanted.posts)
        if target.name == "medallion":
            target = bench.medallion(use=f"{use}, {repeat}")
        sample = target.ingest(envelopes(bench, first, count, size), wanted.seconds)
        if isinstance(target, TaxiiTarget) and is_node(target.name):
            _, found = target.read(600, after=target.head)
            check_complete(target.name, found, bench.corpus.ids(first, sample.count))
            target.find_head()
        return sample

    figures = in_turns(bench, use, "", "objects/s", targets, measure)
    for target in targets:
        bench.close(target)
    return figures


def envelopes(bench: Bench, first: int, count: int, size: int) -> list[Sequence[Made]]:
    """`count` objects of the corpus in envelopes."""
    end = first + count
    return [bench.corpus.many(start, min(size, end - start)) for start in range(first, end, size)]
