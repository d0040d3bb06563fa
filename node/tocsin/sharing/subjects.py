"""Subjects: an object as one collection sees it, told apart by whose word each version is held on.

A word binds its source only (DESIGN 2.7, 2.8), so an object is not one chain of versions but one *lineage* for
each source: what this node made, what a writer posted here, what each peer brought. Each is judged for itself;
nobody's later version speaks for, hides or drags along another's.

An object of ours waits until a person publishes it, or the collection releases automatically; what a peer or a
writer brought is their release and is only judged (DESIGN 2.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tocsin.policy.attributes import Provenance
from tocsin.policy.configuration import Configuration, Reader
from tocsin.policy.redact import Side
from tocsin.settings import CollectionSettings
from tocsin.sharing.node import OURS, Node
from tocsin.stix.objects import FREE_TYPES
from tocsin.store import objects, parties, publications, records
from tocsin.store.objects import HeldVersion, Source
from tocsin.store.parties import Party
from tocsin.store.publications import Publication
from tocsin.store.records import Belonging
from tocsin.store.releases import Standing
from tocsin.store.transaction import Transaction

Pending = Literal["", "waiting", "held"]

_EVERYTHING = "\uffff"  # sorts above every version key


@dataclass(frozen=True, slots=True)
class Court:
    """Before what the objects of one collection are judged: its rules and readers, and the node that judges."""

    configuration: Configuration
    node: Node
    key: str
    collection_id: str

    @property
    def settings(self) -> CollectionSettings:
        return self.configuration.settings.collections[self.key]

    @property
    def readers(self) -> tuple[Reader, ...]:
        return self.configuration.readers(self.key)


@dataclass(frozen=True, slots=True)
class Lineage:
    """What one source says of an object, as far as this collection may hear it: its versions, oldest first."""

    party_id: str
    versions: tuple[HeldVersion, ...]
    provenance: Provenance
    hops: int  # how far it would have travelled with us

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
    whether something of ours waits. `anchors`: the incidents of ours that it was made with (not of an incident
    itself); `side`: whose it is, where one of them says so. `constant`: what everything of ours names.
    """

    id: str
    type: str
    lineages: tuple[Lineage, ...]
    pending: Pending
    anchors: frozenset[str]
    side: Side | None
    constant: bool


async def load_subjects(
    tx: Transaction, court: Court, ids: Sequence[str], standing: Mapping[str, Standing]
) -> dict[str, Subject]:
    """Each object as the collection sees it, given what stands there."""
    offered = await objects.offered(tx, ids)
    belongings = await records.belongings_of(tx, ids)
    incidents = {one.incident_id for found in belongings.values() for one in found}
    words = await publications.publications(tx, sorted({*ids, *incidents}))
    assessed = await records.assessed(tx, sorted(incidents))
    people = {party.id: party for party in await parties.parties(tx)}
    hearing = _Hearing(court, words, assessed, people)
    return {
        id_: hearing.subject(id_, offered.get(id_, []), belongings.get(id_, []), standing.get(id_)) for id_ in ids
    }


_SIDES: Mapping[str, Side] = {
    "victim": "victim",
    "observable": "victim",
    "reporter": "reporter",
    "attacker": "attacker",
}
_BY_SIDE: tuple[Side, ...] = ("victim", "reporter", "attacker")  # what is the victim's anywhere is the victim's


@dataclass(frozen=True, slots=True)
class _Hearing:
    """What is known beside the objects themselves: people's words, assessments, and who the parties are."""

    court: Court
    words: Mapping[tuple[str, str], Publication]
    assessed: set[str]
    people: Mapping[str, Party]

    def subject(
        self, id_: str, versions: Sequence[HeldVersion], belongings: Sequence[Belonging], standing: Standing | None
    ) -> Subject:
        kind = id_.partition("--")[0]
        incidents = [one.incident_id for one in belongings]
        constant = kind in FREE_TYPES or id_ in self.court.node.creators
        covered, pending = (_EVERYTHING, "") if constant else self._covered(id_, incidents)
        ours = [version for version in versions if any(_is_ours(source) for source in version.sources)]
        sides = {_SIDES[one.role] for one in belongings if one.role in _SIDES}
        return Subject(
            id=id_,
            type=kind,
            lineages=tuple(self._lineages(versions, covered, incidents, standing)),
            pending=pending if ours and not (covered and ours[-1].version_key <= covered) else "",
            anchors=frozenset(incidents) - {id_},
            side=next((side for side in _BY_SIDE if side in sides), None),
            constant=constant,
        )

    def _covered(self, id_: str, incidents: Sequence[str]) -> tuple[str | None, Pending]:
        """Up to which version key our own object was let in here, and what the rest waits for.

        A person's word for this collection goes before one for all; what belongs to an incident follows that
        incident where it is published with `follow` or released automatically, unless a person holds either.
        """
        here, everywhere = self.words.get((id_, self.court.collection_id)), self.words.get((id_, OURS))
        said = here if here is not None and here.state != "released" else everywhere
        if said is not None and said.state == "held":
            return said.version_key, "held"
        leading = [word for incident in incidents if (word := self._word(incident))]
        if incidents and len(leading) == len(incidents) and all(word.state == "held" for word in leading):
            return (here.version_key if here else None), "held"
        follows = any(word.follow and word.state == "published" for word in [*leading, *([said] if said else [])])
        if incidents and (follows or self.court.settings.release == "automatic"):
            return _EVERYTHING, ""
        keys = [word.version_key for word in (here, everywhere) if word is not None and word.version_key]
        return max(keys, default=None), "waiting"

    def _word(self, incident: str) -> Publication | None:
        here = self.words.get((incident, self.court.collection_id))
        return here if here is not None and here.state != "released" else self.words.get((incident, OURS), here)

    def _lineages(
        self,
        versions: Sequence[HeldVersion],
        covered: str | None,
        incidents: Sequence[str],
        standing: Standing | None,
    ) -> list[Lineage]:
        said: dict[tuple[str, str], list[tuple[HeldVersion, Source]]] = {}
        for version in versions:
            for source in version.sources:
                if not _is_of_a_copy(source):
                    said.setdefault((source.party_id, source.collection_id), []).append((version, source))
        authentic = {version.seq for version in versions if version.authentic}
        found = []
        for (party_id, _), words in said.items():
            source = words[-1][1]
            told = [version for version, _ in words]
            if party_id == OURS:
                told = [version for version in told if covered is not None and version.version_key <= covered]
                told = _standing_or_newest(told, standing)  # older drafts were never released
            elif authentic and not source.authentic and source.collection_id != self.court.collection_id:
                # its creator's own node speaks: a peer that says otherwise is not heard, one that says the same is
                told = [version for version in told if version.seq in authentic]
            if told and not told[-1].versioned:
                told = _standing_or_newest(told, standing)
            if told:
                reviewed = any(incident in self.assessed for incident in incidents) and party_id == OURS
                found.append(
                    Lineage(party_id, tuple(told), self._provenance(source, reviewed=reviewed), self._hops(source))
                )
        return found

    def _provenance(self, source: Source, *, reviewed: bool) -> Provenance:
        party = self.people.get(source.party_id)
        return Provenance(
            origin="ours" if party is None else party.name,
            posted_here=source.collection_id == self.court.collection_id,
            owner="" if party is None or party.kind == "peer" else party.name,
            authentic=source.authentic,
            hops=source.hops,
            reviewed=reviewed,
        )

    def _hops(self, source: Source) -> int:
        """0 for what is ours or what an account brought to us; else one more than the peer's count."""
        party = self.people.get(source.party_id)
        return 0 if party is None or party.kind == "account" else source.hops + 1


def _is_ours(source: Source) -> bool:
    return source.party_id == OURS and source.collection_id == OURS


def _is_of_a_copy(source: Source) -> bool:
    """A redacted copy is kept on our word for the one collection it was made for, and is judged nowhere."""
    return source.party_id == OURS and source.collection_id != OURS


def _standing_or_newest(told: list[HeldVersion], standing: Standing | None) -> list[HeldVersion]:
    """The one version that counts: the newest; of an observable, which has several contents under one id and no
    versions, the content that stands (DESIGN 1, `version`)."""
    stands = [
        one for one in told if not one.versioned and standing is not None and one.version_key in standing.versions
    ]
    return stands[:1] or told[-1:]
