"""Ingest: envelopes by POST, each acknowledged when it is durable and can be read."""

from tests.bench.bench import Bench, Target
from tests.bench.measure import Figure, Sample
from tests.bench.scenarios.turns import in_turns
from tests.bench.targets.bare import BarePostgresql, BareSqlite
from tests.bench.targets.taxii import TaxiiTarget, check_complete


def ingest(bench: Bench, size: int) -> list[Figure]:
    """Envelopes of `size`, one after the other, into collections that begin empty and grow from repeat to repeat.

    The bare database writes the same bytes, a transaction for each envelope. What was acknowledged is read back
    afterwards, off the clock: every object once.
    """
    use, wanted = f"ingest-{size}", bench.wanted
    makers = [lambda e=engine: bench.node(e, use=use) for engine in wanted.engines]
    if "bare" in wanted.against:
        makers += [lambda e=engine: bench.bare(e, use=use) for engine in wanted.engines]
    targets = bench.those_of(*makers)

    def measure(target: Target, repeat: int) -> Sample:
        first = repeat * wanted.posts
        envelopes = [
            bench.corpus.many(start, min(size, first + wanted.posts - start))
            for start in range(first, first + wanted.posts, size)
        ]
        assert isinstance(target, TaxiiTarget | BareSqlite | BarePostgresql)
        sample = target.ingest(envelopes, wanted.seconds)
        if isinstance(target, TaxiiTarget):
            _check(bench, target, first, sample.count)
        return sample

    figures = in_turns(bench, use, "", "objects/s", targets, measure)
    for target in targets:
        bench.close(target)
    return figures


def _check(bench: Bench, target: TaxiiTarget, first: int, count: int) -> None:
    _, pages = target.read(600, after=target.head)
    check_complete(target.name, pages, bench.corpus.ids(first, count))
    target.find_head()
