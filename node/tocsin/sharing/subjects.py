"""Subjects: an object as one collection sees it: what is in force, on whose word, and what a person said of it.

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
from tocsin.store import objects, parties, postings, publications, records
from tocsin.store.objects import HeldVersion, Source
from tocsin.store.parties import Party
from tocsin.store.publications import Publication
from tocsin.store.records import Belonging
from tocsin.store.releases import Standing
from tocsin.store.transaction import Transaction

Pending = Literal["", "waiting", "held", "gone"]

_EVERYTHING = "￿"  # sorts above every version key


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
class Subject:
    """One object before the court.

    `versions`: those in force here, oldest first. `pending`: why there is none, or why a newer one is not in
    force yet; `gone` when no source offers the object any more. `provenances`: one for each party whose word
    counts here. `held_keys`: the version keys still held at all, released here or not. `hops`: how far it would
    have travelled with us. `side`: whose it is, where an incident of ours says so.
    """

    id: str
    type: str
    versions: tuple[HeldVersion, ...]
    pending: Pending
    ours: bool
    posted_here: bool
    provenances: tuple[Provenance, ...]
    held_keys: frozenset[str]
    hops: int
    side: Side | None

    @property
    def newest(self) -> HeldVersion | None:
        return self.versions[-1] if self.versions else None


async def load_subjects(
    tx: Transaction, court: Court, ids: Sequence[str], standing: Mapping[str, Standing]
) -> dict[str, Subject]:
    """Each object as the collection sees it, given what stands there; one that is not held at all is `gone`."""
    held = await objects.held(tx, ids)
    belongings = await records.belongings_of(tx, ids)
    incidents = sorted({one.incident_id for found in belongings.values() for one in found})
    words = await publications.publications(tx, incidents)
    assessed = await records.assessed(tx, incidents)
    posted = await postings.postings(tx, court.collection_id, ids)
    people = {party.id: party for party in await parties.parties(tx)}
    return {
        id_: _subject(
            court,
            id_,
            held.get(id_, []),
            _Company(belongings.get(id_, []), words, assessed),
            id_ in posted,
            people,
            standing.get(id_),
        )
        for id_ in ids
    }


@dataclass(frozen=True, slots=True)
class _Company:
    """The incidents of ours that an object belongs to, and what people said of those."""

    belongings: Sequence[Belonging]
    words: Mapping[tuple[str, str], Publication]
    assessed: set[str]

    @property
    def reviewed(self) -> bool:
        return any(one.incident_id in self.assessed for one in self.belongings)

    @property
    def side(self) -> Side | None:
        """Whose the object is; what stands on the victim's side in any incident is the victim's."""
        sides = {_SIDES[one.role] for one in self.belongings if one.role in _SIDES}
        return next((side for side in ("victim", "reporter", "attacker") if side in sides), None)

    def covers(self, court: Court) -> tuple[str | None, Pending]:
        """Up to which version key people, or the collection's own rule, let it in; and what the rest waits for.

        What belongs to no incident (our identity, definitions) needs no word: it enters only because it is named.
        """
        if not self.belongings:
            return _EVERYTHING, ""
        covered: str | None = None
        pending: Pending = "waiting"
        for one in self.belongings:
            word = self.words.get((one.incident_id, court.collection_id)) or self.words.get(
                (one.incident_id, OURS)
            )
            upto = None if word is None else word.version_key
            if word is not None and word.state == "held":
                pending = "held"
            elif court.settings.release == "automatic" or (word is not None and (word.follow or upto is None)):
                upto = _EVERYTHING
            if upto is not None and (covered is None or upto > covered):
                covered = upto
        return covered, pending


_SIDES: Mapping[str, Side] = {
    "victim": "victim",
    "observable": "victim",
    "reporter": "reporter",
    "attacker": "attacker",
}


def _subject(
    court: Court,
    id_: str,
    versions: Sequence[HeldVersion],
    company: _Company,
    posted_here: bool,
    people: Mapping[str, Party],
    standing: Standing | None,
) -> Subject:
    covered, pending = company.covers(court)
    words = {version.seq: [one for one in version.sources if not _speaks_of_a_copy(one)] for version in versions}
    ours = any(source.party_id == OURS for said in words.values() for source in said)
    counts = {
        version.seq: [one for one in words[version.seq] if one.party_id != OURS or _is_covered(version, covered)]
        for version in versions
    }
    in_force = [version for version in versions if counts[version.seq]]
    if in_force and not in_force[-1].versioned:
        in_force = _one_content(in_force, standing)
    counting = {source.party_id: source for source in counts[in_force[-1].seq]} if in_force else {}
    if counting and all(party == OURS for party in counting):
        in_force = in_force[-1:]  # of our own, only the newest enters: older drafts were never released
    if not versions:
        pending = "gone"
    elif not ours or (in_force and (in_force[-1] is versions[-1] or not in_force[-1].versioned)):
        pending = ""
    nearest = sorted(counting.values(), key=lambda source: (source.hops, source.first_heard))
    return Subject(
        id=id_,
        type=id_.partition("--")[0],
        versions=tuple(in_force),
        pending=pending,
        ours=ours,
        posted_here=posted_here,
        provenances=tuple(_provenance(court, source, posted_here, people, company.reviewed) for source in nearest),
        held_keys=frozenset(version.version_key for version in versions),
        hops=_hops(counting, people),
        side=company.side,
    )


def _is_covered(version: HeldVersion, covered: str | None) -> bool:
    return covered is not None and version.version_key <= covered


def _one_content(contents: list[HeldVersion], standing: Standing | None) -> list[HeldVersion]:
    """An observable has several contents under one id, each with its source; a log carries the first that entered,
    and another only when that is no longer offered (DESIGN 1, `version`)."""
    stands = [one for one in contents if standing is not None and one.version_key in standing.versions]
    return stands[:1] or contents[:1]


def _speaks_of_a_copy(source: Source) -> bool:
    """A redacted copy is kept on our word for the one collection it was made for, and is judged nowhere."""
    return source.party_id == OURS and source.collection_id != OURS


def _provenance(
    court: Court, source: Source, posted_here: bool, people: Mapping[str, Party], reviewed: bool
) -> Provenance:
    ours = source.party_id == OURS
    return Provenance(
        origin="ours" if ours else people[source.party_id].name,
        posted_here=posted_here and source.collection_id == court.collection_id,
        owner="" if ours or people[source.party_id].kind == "peer" else people[source.party_id].name,
        authentic=source.authentic,
        hops=source.hops,
        reviewed=reviewed,
    )


def _hops(counting: Mapping[str, Source], people: Mapping[str, Party]) -> int:
    """0 for what is ours or what an account brought to us; else one more than the nearest peer's count."""
    return min(
        (
            0 if party == OURS or people[party].kind == "account" else source.hops + 1
            for party, source in counting.items()
        ),
        default=0,
    )
