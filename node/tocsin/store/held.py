"""Held: a version as this node keeps it and on whose word; and what came into being in this very transaction.

Most of what arrives was never here before. Of such an object no row can speak that this transaction did not
write itself, so nothing needs to be asked of the database about it: `Fresh` knows. That holds because whoever
writes objects holds the locks of the logs from before it looks (`releases.lock`), so nobody else writes meanwhile.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, cast

from tocsin.errors import NotFound
from tocsin.stix.canonical import read_kept
from tocsin.stix.objects import ObjectVersion, creator_of, named

Say = Literal["put", "withdraw", "revoke"]


class Source(NamedTuple):
    """The last word of one (party, collection) on a version. Times in microseconds."""

    party_id: str
    collection_id: str
    word: Say
    authentic: bool
    hops: int
    first_heard: int
    last_heard: int

    @property
    def live(self) -> bool:
        return self.word != "withdraw"


@dataclass(slots=True)
class Told:
    """What a version says of others and of itself, looked up once in a transaction however often it is read there:
    each collection reads it anew to judge it."""

    names: frozenset[str]
    creator: str | None
    revoked: bool


@dataclass(slots=True)
class HeldVersion:
    """One version as kept here. `sources`: the live ones, nearest first; `value` is parsed when it is read, and
    kept only of what came into being just now: a judgement of everything has all versions at hand.

    `raw` is empty once the content was forgotten. Nobody changes one; it is not frozen because that makes each
    three times as dear, and envelopes have a thousand.
    """

    seq: int
    id: str
    type: str
    version: str
    version_key: str
    sha256: str
    versioned: bool  # false: `version` is the time of first receipt here
    spec_version: str
    received: int
    raw: bytes = field(repr=False)
    sources: tuple[Source, ...] = ()
    _value: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    _told: Told | None = field(default=None, repr=False, compare=False)
    _told_before: dict[str, Told] | None = field(default=None, repr=False, compare=False)  # by hash

    @property
    def value(self) -> Mapping[str, Any]:
        """The object. Raises NotFound when its content was forgotten."""
        if self._value is not None:
            return self._value
        if not self.raw:
            raise NotFound(f"the content of {self.id}, version {self.version}, is no longer kept")
        return cast(Mapping[str, Any], read_kept(self.raw))

    @property
    def told(self) -> Told:
        """What it says, looked up once. Raises NotFound as `value` does."""
        if self._told is None:
            before = self._told_before if self._told_before is not None else {}
            if self.sha256 not in before:
                value = self.value
                names = frozenset(named(value))
                before[self.sha256] = Told(names, creator_of(value), value.get("revoked") is True)
            self._told = before[self.sha256]
        return self._told

    @property
    def names(self) -> frozenset[str]:
        """Every object that it names (`stix.objects.named`)."""
        return self.told.names

    @property
    def object(self) -> ObjectVersion:
        """The same as `stix.objects` reads it. Raises NotFound when its content was forgotten."""
        version = self.version if self.versioned else None
        return ObjectVersion(self.id, self.type, version, self.sha256, self.raw, self.value)

    @property
    def revoked(self) -> bool:
        return self.told.revoked

    @property
    def creator(self) -> str | None:
        return self.told.creator

    @property
    def authentic(self) -> bool:
        return any(source.authentic for source in self.sources)


@dataclass(slots=True)
class _Kept:
    """A version kept in this transaction, and what each source says of it."""

    version: HeldVersion
    words: dict[tuple[str, str], Source] = field(default_factory=dict)

    def say(self, said: Source) -> None:
        source = (said.party_id, said.collection_id)
        if (before := self.words.get(source)) is not None:
            said = said._replace(first_heard=before.first_heard)
        self.words[source] = said
        if len(self.words) == 1 and before is None:
            self.version.sources = (said,) if said.live else ()  # nobody has seen it yet
            return
        live = (one for one in self.words.values() if one.live)
        self.version = replace(self.version, sources=tuple(sorted(live, key=nearest_first)))


@dataclass(slots=True)
class Fresh:
    """The objects that came into being in this transaction, and which tables it wrote about them.

    What is not known here is asked of the database as always; forgetting an object here is never wrong.
    """

    _kept: dict[str, dict[int, _Kept]] = field(default_factory=dict)  # by object id and number
    _ids: dict[int, str] = field(default_factory=dict)  # by number
    _about: dict[str, set[str]] = field(default_factory=dict)  # by table: the ids it was written to about

    def begin(self, ids: Iterable[str]) -> None:
        """No row speaks of these objects yet."""
        for id_ in ids:
            self._kept.setdefault(id_, {})

    def __contains__(self, id_: str) -> bool:
        return id_ in self._kept

    def wrote(self, table: str, ids: Iterable[str]) -> None:
        """Rows of a table now speak of these objects."""
        self._about.setdefault(table, set()).update(ids)

    def to_ask(self, table: str, ids: Collection[str]) -> list[str]:
        """Those of the ids, each once, of which a table may hold a row."""
        once = dict.fromkeys(ids)
        if not self._kept:
            return list(once)
        about: Collection[str] = self._about.get(table, ())
        return [id_ for id_ in once if id_ not in self._kept or id_ in about]

    def keep(self, version: HeldVersion) -> None:
        """A version of a fresh object was stored; of any other, nothing is remembered."""
        if version.id in self._kept:
            self._kept[version.id][version.seq] = _Kept(version)
            self._ids[version.seq] = version.id

    def say(self, seq: int, said: Source) -> None:
        """A source's word on a version was stored."""
        if (id_ := self._ids.get(seq)) is not None:
            self._kept[id_][seq].say(said)

    def forget(self, ids: Iterable[str]) -> None:
        """Something unusual happened to these objects: ask the database."""
        for id_ in ids:
            for seq in self._kept.pop(id_, {}):
                del self._ids[seq]

    def offered(self, id_: str) -> list[HeldVersion]:
        """The versions of a fresh object that some source offers, oldest first (see `objects.offered`)."""
        held = (kept.version for kept in self._kept[id_].values())
        return sorted(
            (version for version in held if version.sources), key=lambda one: (one.version_key, one.sha256)
        )

    def written(self, table: str) -> Set[str]:
        """The ids about which a table was written to."""
        return self._about.get(table, frozenset())

    def sole(self, id_: str) -> HeldVersion | None:
        """The version of a fresh object that has one only, on the word of one source; None of any other."""
        kept = self._kept.get(id_, _NOTHING)
        if len(kept) != 1:
            return None
        (one,) = kept.values()
        return one.version if len(one.words) == 1 and one.version.sources else None

    def kept(self, ids: Iterable[str]) -> Iterator[HeldVersion]:
        """The versions of these objects that were stored in this transaction, where they are fresh."""
        for id_ in dict.fromkeys(ids):
            yield from (kept.version for kept in self._kept.get(id_, {}).values())

    def knows(self, seq: int) -> bool:
        """Whether this is a version of a fresh object."""
        return seq in self._ids

    def content(self, seq: int) -> tuple[int, str] | None:
        """The bytes and the SHA-256 of a version of a fresh object; None for any other."""
        if (id_ := self._ids.get(seq)) is None:
            return None
        version = self._kept[id_][seq].version
        return len(version.raw), version.sha256

    def sources(self, seq: int) -> list[Source]:
        """Every source's word on a version of a fresh object, withdrawn ones too, nearest first."""
        if (id_ := self._ids.get(seq)) is None:
            return []
        return sorted(self._kept[id_][seq].words.values(), key=nearest_first)


_NOTHING: Mapping[int, _Kept] = {}


def nearest_first(source: Source) -> tuple[int, int, str, str]:
    """The order of sources."""
    return (source.hops, source.first_heard, source.party_id, source.collection_id)
