"""Page: the reader's side of the door out. A page is one indexed read of the log, bounded in count and bytes.

Nothing is filtered here, and nothing may be: what a reader may see was decided when it entered the log
(DESIGN 2.3). That is why `more`, dates, counts and timing can tell of nothing hidden. What is chosen here is only
what the reader himself asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tocsin.store import releases
from tocsin.store.objects import HeldVersion
from tocsin.store.releases import Released
from tocsin.store.transaction import Transaction

MAX_PAGE_BYTES = 8 * 1024 * 1024  # of objects; one object is always given
_FIRST_READ = 200  # rows; how large objects are is known only after reading some

SPEC_VERSIONS = frozenset({"2.1"})  # of what is stored: intake takes STIX 2.1 alone


@dataclass(frozen=True, slots=True)
class VersionSelector:
    """Which versions of an object are meant (TAXII 2.1 §3.4.1): any of the words, or of the exact instants."""

    words: frozenset[str]  # first | last | all
    keys: frozenset[str] = frozenset()  # version_key

    def choose(self, versions: Iterable[HeldVersion]) -> list[HeldVersion]:
        """Those of one object's versions that are meant, oldest first."""
        ordered = sorted(versions, key=lambda version: version.version_key)
        if "all" in self.words or not ordered:
            return ordered
        keys = set(self.keys)
        if "first" in self.words:
            keys.add(ordered[0].version_key)
        if "last" in self.words:
            keys.add(ordered[-1].version_key)
        return [version for version in ordered if version.version_key in keys]


LAST = VersionSelector(frozenset({"last"}))
ALL = VersionSelector(frozenset({"all"}))


@dataclass(frozen=True, slots=True)
class Selection:
    """What a reader asks for. None = not asked for. `after` is a position, exclusive."""

    after: int | None = None
    ids: frozenset[str] | None = None
    types: frozenset[str] | None = None
    spec_versions: frozenset[str] | None = None
    versions: VersionSelector = LAST

    @property
    def empty(self) -> bool:
        """Whether nothing that is stored here can be meant."""
        return self.spec_versions is not None and not self.spec_versions & SPEC_VERSIONS


@dataclass(frozen=True, slots=True)
class Page:
    """Some standing entries in the order of the log, and whether there are more after them."""

    rows: tuple[Released, ...]
    more: bool


EMPTY = Page((), more=False)
