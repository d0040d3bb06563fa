"""Subjects: an object as one collection sees it, told apart by whose word each version is held on.

A word binds its source only, so an object is not one chain of versions but one *lineage* for
each source: what this node made, what a writer posted here, what each peer brought. Each is judged for itself;
nobody's later version speaks for, hides or drags along another's.

An object of ours waits until a person publishes it, or the collection releases automatically; what a peer or a
writer brought is their release and is only judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tocsin.policy.attributes import Provenance
from tocsin.policy.configuration import Configuration, Reader
from tocsin.policy.decide import Precedents
from tocsin.policy.redact import Side
from tocsin.policy.rules import Policy
from tocsin.settings import CollectionSettings
from tocsin.sharing.node import OURS, Node
from tocsin.stix.objects import FREE_TYPES
from tocsin.store import copies, objects, publications, records, withdrawals
from tocsin.store import pruned as prunes
from tocsin.store.objects import HeldVersion, Source
from tocsin.store.parties import Party
from tocsin.store.pruned import Pruned
from tocsin.store.publications import Publication
from tocsin.store.records import Belonging
from tocsin.store.releases import Standing
from tocsin.store.transaction import Transaction
from tocsin.store.withdrawals import Withdrawal

Pending = Literal["", "waiting", "held"]

_EVERYTHING = "\uffff"  # sorts above every version key


@dataclass(frozen=True, slots=True)
class Court:
    """Before what the objects of one collection are judged: its rules and readers, the node that judges, and who
    everybody is (by party id) on whose word something is held."""

    configuration: Configuration
    node: Node
    key: str
    collection_id: str
    people: Mapping[str, Party] = field(repr=False)
    has_pruned: bool = False  # whether it ever stopped keeping anything: else nobody has to ask what
    settings: CollectionSettings = field(init=False)
    policy: Policy = field(init=False)
    readers: tuple[Reader, ...] = field(init=False)
    precedents: Precedents = field(init=False, repr=False)
    hears_others: bool = field(init=False)  # some rule could let in what was brought, or posted elsewhere
    asks_for_pseudonyms: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", self.configuration.settings.collections[self.key])
        object.__setattr__(self, "policy", self.configuration.policy_of(self.key))
        object.__setattr__(self, "readers", self.configuration.readers(self.key))
        allowing = (rule for rule in self.policy.rules if rule.then == "allow")
        hears_others = not self.settings.direct and any("origin" in rule.match for rule in allowing)
        object.__setattr__(self, "hears_others", hears_others)
        asking = any(rule.pseudonyms is not None for rule in self.policy.rules)
        object.__setattr__(self, "asks_for_pseudonyms", asking)
        object.__setattr__(self, "precedents", Precedents(self.policy, self.settings, self.readers))


@dataclass(frozen=True, slots=True)
class Lineage:
    """What one source says of an object, as far as this collection may hear it: its versions, oldest first."""

    party_id: str
    versions: tuple[HeldVersion, ...]
    provenance: Provenance
    hops: int  # how far it would have travelled with us
    anchors: frozenset[str] = frozenset()  # the incidents of ours that let it in, of what was made with some

    @property
    def newest(self) -> HeldVersion:
        return self.versions[-1]

    @property
    def ours(self) -> bool:
        return self.party_id == OURS


@dataclass(frozen=True, slots=True)
class Subject:
    """One object before the court.

    `lineages`: one for each source that counts here; none when there is nothing to judge, and then `pending` says
    whether something of ours waits. `side`: whose it is, where an incident that it was made with says so.
    `constant`: what everything of ours names. `taken_back`: a person took it back from this collection. `pruned`:
    the numbers of the versions that this collection no longer keeps.
    """

    id: str
    type: str
    lineages: tuple[Lineage, ...]
    pending: Pending
    side: Side | None
    constant: bool
    taken_back: bool = False
    pruned: frozenset[int] = frozenset()
    victims: tuple[str, ...] = ()  # of an incident of ours, where this collection's policy asks for pseudonyms


async def load_subjects(
    tx: Transaction, court: Court, ids: Sequence[str], standing: Mapping[str, Standing]
) -> dict[str, Subject]:
    """Each object as the collection sees it, given what stands there."""
    offered = await objects.offered(tx, ids)
    belongings = await records.belongings_of(tx, ids)
    incidents = {one.incident_id for found in belongings.values() for one in found}
    words = await publications.publications(tx, sorted({*ids, *incidents}))
    assessed = await records.assessed(tx, sorted(incidents))
    back = await withdrawals.withdrawals(tx, ids)
    victims: dict[str, list[str]] = {}
    if court.asks_for_pseudonyms:
        for one in await records.belonging_to(tx, sorted(incidents)):
            if one.role == "victim":
                victims.setdefault(one.incident_id, []).append(one.object_id)
    pruned = await _no_longer_kept(tx, court, ids) if court.has_pruned else {}
    hearing = _Hearing(court, words, assessed, back, victims, pruned=pruned)
    return {
        id_: hearing.subject(id_, offered.get(id_, []), belongings.get(id_, []), standing.get(id_)) for id_ in ids
    }


async def _no_longer_kept(tx: Transaction, court: Court, ids: Sequence[str]) -> dict[str, Pruned]:
    links = await copies.copies_of(tx, court.collection_id, ids)
    return await prunes.pruned(tx, court.collection_id, {id_: link.copy_id for id_, link in links.items()}, ids)


_SIDES: Mapping[str, Side] = {
    "victim": "victim",
    "observable": "victim",
    "reporter": "reporter",
    "attacker": "attacker",
}
_BY_SIDE: tuple[Side, ...] = ("victim", "reporter", "attacker")  # what is the victim's anywhere is the victim's


@dataclass(frozen=True, slots=True)
class _Cover:
    """How far one incident lets an object in, and why not further."""

    upto: str | None
    pending: Pending = "waiting"


@dataclass(frozen=True, slots=True)
class _Hearing:
    """What is known beside the objects themselves: people's words and assessments, and what they took back."""

    court: Court
    words: Mapping[tuple[str, str, str], Publication]
    assessed: set[str]
    withdrawn: Mapping[str, Mapping[str, Withdrawal]]
    pruned: Mapping[str, Pruned] = field(kw_only=True)
    victims: Mapping[str, Sequence[str]]

    def subject(
        self, id_: str, versions: Sequence[HeldVersion], belongings: Sequence[Belonging], standing: Standing | None
    ) -> Subject:
        kind = id_.partition("--")[0]
        constant = kind in FREE_TYPES or id_ in self.court.node.creators
        covers = {one.incident_id: self._cover(one.incident_id, id_) for one in belongings}
        covered = max((cover.upto for cover in covers.values() if cover.upto is not None), default=None)
        ours = [version for version in versions if any(_is_ours(source) for source in version.sources)]
        waits = bool(ours) and not constant and (covered is None or ours[-1].version_key > covered)
        held = bool(covers) and all(cover.pending == "held" for cover in covers.values())
        # of whom it is said only where that incident may be heard: else what waits would show in what stands
        heard = [one for one in belongings if covers[one.incident_id].upto is not None]
        sides = {_SIDES[one.role] for one in heard if one.role in _SIDES}
        lineages = tuple(self._lineages(id_, versions, covers, standing, constant=constant))
        return Subject(
            id=id_,
            type=kind,
            lineages=lineages,
            pending=("held" if held else "waiting") if waits else "",
            side=next((side for side in _BY_SIDE if side in sides), None),
            constant=constant,
            taken_back=not constant
            and not {self.court.collection_id, withdrawals.EVERYWHERE}.isdisjoint(self.withdrawn.get(id_, ())),
            pruned=frozenset() if constant else self._no_longer_kept(id_, lineages, set(covers)),
            victims=tuple(self.victims.get(id_, ())),
        )

    def _no_longer_kept(self, id_: str, lineages: Sequence[Lineage], incidents: set[str]) -> frozenset[int]:
        """The versions that were pruned here, and those older; not if a person published the object by name since.

        A copy was made of what was known by then, and so was the content that stood of an observable.
        """
        found = self.pruned.get(id_)
        if found is None:
            return frozenset()
        words = [word for incident in {*incidents, id_} for word in self._words(incident, id_)]
        if any(word.state == "published" and word.decided > found.at for word in words):
            return frozenset()
        gone = {
            version.seq
            for lineage in lineages
            for version in lineage.versions
            if (version.versioned and found.version_key is not None and version.version_key <= found.version_key)
            or ((not version.versioned or found.as_copy) and version.received <= found.at)
        }
        return frozenset(gone if found.wholly else gone - {lineage.newest.seq for lineage in lineages})

    def _cover(self, incident: str, id_: str) -> _Cover:
        """How far one incident of ours lets an object that was made with it into this collection.

        A person's word for this collection goes before one for all. What has no word of its own follows its
        incident where that is published with `follow` or the collection is automatic, unless a person holds it.
        """
        own, leading = self._words(incident, id_), self._words(incident, incident)
        said = own or leading
        if said and said[0].state == "held":
            return _Cover(own[0].version_key if own else None, "held")
        if self.court.settings.release == "automatic" or any(word.follow for word in (*own, *leading)):
            return _Cover(_EVERYTHING, "")
        keys = [word.version_key for word in own if word.version_key]
        return _Cover(max(keys, default=None))

    def _words(self, incident: str, id_: str) -> list[Publication]:
        """What counts here, the foremost first: a person's word for this collection alone, or all there are."""
        here = self.words.get((incident, id_, self.court.collection_id))
        named = (
            self.court.settings.direct or self.court.settings.approvals > 1
        )  # only what is said of this one counts
        everywhere = None if named else self.words.get((incident, id_, OURS))
        if here is not None and here.state == "released" and named:
            here = None  # let in by the collection's own rule, when it still had one
        if here is not None and here.state != "released":
            return [here]
        return [word for word in (everywhere, here) if word is not None]

    def _lineages(
        self,
        id_: str,
        versions: Sequence[HeldVersion],
        covers: Mapping[str, _Cover],
        standing: Standing | None,
        *,
        constant: bool,
    ) -> list[Lineage]:
        said: dict[tuple[str, str], list[tuple[HeldVersion, Source]]] = {}
        for version in versions:
            for source in version.sources:
                if not _is_of_a_copy(source):
                    said.setdefault((source.party_id, source.collection_id), []).append((version, source))
        spoken_for = {version.creator for version in versions if version.authentic}
        authentic = {version.seq for version in versions if version.authentic}
        found = []
        for (party_id, collection_id), words in said.items():
            told = _one_content_each(words)
            if self.court.settings.direct and party_id != OURS and not constant:
                cover = self._cover(id_, id_)  # what others brought waits for a person here as well
                told = [(v, s) for v, s in told if _reaches(cover, v) or (cover.upto and not v.versioned)]
            if party_id == OURS and not constant:
                told = [(v, s) for v, s in told if any(_reaches(cover, v) for cover in covers.values())]
            elif party_id != OURS and collection_id != self.court.collection_id:
                # its creator's own node speaks: a peer that says otherwise is not heard, one that says the same is
                told = [(v, s) for v, s in told if v.creator not in spoken_for or v.seq in authentic]
            if told and (party_id == OURS or not told[-1][0].versioned):
                told = _standing_or_newest(told, standing)  # older drafts of ours were never released
            if told:
                newest, source = told[-1]
                letting = {incident for incident, cover in covers.items() if _reaches(cover, newest)}
                found.append(
                    Lineage(
                        party_id=party_id,
                        versions=tuple(version for version, _ in told),
                        provenance=provenance_of(
                            self.court,
                            self.court.people.get(source.party_id),
                            source,
                            reviewed=bool(self.assessed & set(covers)),
                        ),
                        hops=self._hops(source),
                        anchors=frozenset(letting) - {id_} if party_id == OURS and not constant else frozenset(),
                    )
                )
        return found

    def _hops(self, source: Source) -> int:
        """0 for what is ours or what an account brought to us; else one more than the peer's count."""
        party = self.court.people.get(source.party_id)
        return 0 if party is None or party.kind == "account" else source.hops + 1


def provenance_of(court: Court, party: Party | None, source: Source, *, reviewed: bool) -> Provenance:
    """A source's word as rules see it; `party` is None for this node itself."""
    return Provenance(
        origin="ours" if party is None else party.name,
        posted_here=source.collection_id == court.collection_id,
        owner="" if party is None or party.kind == "peer" else party.name,
        authentic=source.authentic,
        hops=source.hops,
        reviewed=reviewed and party is None,
    )


def _is_ours(source: Source) -> bool:
    return source.party_id == OURS and source.collection_id == OURS


def _is_of_a_copy(source: Source) -> bool:
    """A redacted copy is kept on our word for the one collection it was made for, and is judged nowhere."""
    return source.party_id == OURS and source.collection_id != OURS


def _reaches(cover: _Cover, version: HeldVersion) -> bool:
    return cover.upto is not None and version.version_key <= cover.upto


def _one_content_each(words: Sequence[tuple[HeldVersion, Source]]) -> list[tuple[HeldVersion, Source]]:
    """Of two contents that one source gave for one version, the lower hash; versions stand in that order."""
    found: dict[str, tuple[HeldVersion, Source]] = {}
    for version, source in words:
        found.setdefault(version.version_key, (version, source))
    return list(found.values())


def _standing_or_newest(
    told: list[tuple[HeldVersion, Source]], standing: Standing | None
) -> list[tuple[HeldVersion, Source]]:
    """The one version that counts: the newest; of an observable, which has several contents under one id and no
    versions, the content that stands."""
    keys = standing.versions if standing is not None else {}
    stands = [(v, s) for v, s in told if not v.versioned and v.version_key in keys]
    return stands[:1] or told[-1:]
