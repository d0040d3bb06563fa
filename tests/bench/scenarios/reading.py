"""Reading: a collection from its beginning to its end by pages of 1,000."""

from tests.bench.bench import Bench, Target
from tests.bench.measure import Figure, Sample
from tests.bench.scenarios.turns import in_turns
from tests.bench.targets.bare import BarePostgresql, BareSqlite
from tests.bench.targets.taxii import TaxiiTarget, check_complete


def read(bench: Bench, kind: str | None = None, scenario: str = "read") -> list[Figure]:
    """A full read, or of one type by `match[type]`; what came is checked off the clock: each id exactly once."""
    wanted = bench.wanted
    makers = [lambda e=engine: bench.node(e, wanted.objects) for engine in wanted.engines]
    if "bare" in wanted.against:
        makers += [lambda e=engine: bench.bare(e, wanted.objects) for engine in wanted.engines]
    targets = bench.those_of(*makers)
    ids = [id_ for id_ in bench.corpus.ids(0, wanted.objects) if kind is None or id_.startswith(f"{kind}--")]

    def measure(target: Target, repeat: int) -> Sample:
        assert isinstance(target, TaxiiTarget | BareSqlite | BarePostgresql)
        sample, pages = target.read(wanted.seconds, kind)
        if not target.slow:
            check_complete(target.name, pages, ids)
        return sample

    return in_turns(bench, scenario, "", "objects/s", targets, measure, warm=True)


def pages(bench: Bench) -> list[Figure]:
    """The transport limit of a full read: the same page from memory."""
    targets = bench.those_of(*(lambda k=kind: bench.transport(k) for kind in ("asgi", "fastapi")))

    def measure(target: TaxiiTarget, repeat: int) -> Sample:
        return target.ask([target.get("page")], 1, bench.wanted.poll_seconds, lambda answer: None)

    return in_turns(bench, "page", "", "pages/s", targets, measure, warm=True)
