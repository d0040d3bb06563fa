"""Newcomers: what an account posts into a collection and was never here before.

Most of what comes in is of that kind. Nothing of it stands, nobody else speaks of it, nothing was made with it,
and where it was posted it is served with its references as posted (DESIGN 2.10). So policy's word on it is the
last: the way through `judging` (sources heard in turn, closure, copies) could only end as it began. Here it ends
at once; what such an object names is still judged there. Whatever is not so plain goes that way as a whole:
identities and definitions, which need no rule where they are named, revocations, what a rule redacts or cannot
judge, and what another collection lets in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tocsin.policy.attributes import Provenance
from tocsin.policy.decision import Decision, Deny, Whole
from tocsin.sharing.subjects import Court, provenance_of
from tocsin.stix.objects import FREE_TYPES
from tocsin.store.held import HeldVersion, Source
from tocsin.store.parties import Party
from tocsin.store.releases import log_of
from tocsin.store.transaction import Transaction

_NAMED_BY_OTHERS = FREE_TYPES | {"identity"}


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Newcomers by their id: those that enter whole, and those that are denied, each with policy's decision.

    `names`: what those that enter name. `creators`: whom they name as creator, and on whose word.
    """

    entering: dict[str, tuple[HeldVersion, Decision]] = field(default_factory=dict)
    denied: dict[str, Decision] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    creators: dict[str, set[str]] = field(default_factory=dict)


def tell_apart(
    tx: Transaction, court: Court, people: Mapping[str, Party], ids: Iterable[str]
) -> tuple[Newcomers, list[str]]:
    """The newcomers among these objects, and the rest, in their order."""
    newcomers = Newcomers()
    provenances: dict[Source, Provenance] = {}
    rest = []
    for id_ in ids:
        version = _sole_version(tx, court, id_)
        decision = _decision(court, people, version, provenances) if version is not None else None
        if version is None or decision is None:
            rest.append(id_)
        elif isinstance(decision, Deny):
            newcomers.denied[id_] = decision
        else:
            newcomers.entering[id_] = (version, decision)
            newcomers.names.update(version.names)
            if creator := version.creator:
                newcomers.creators.setdefault(creator, set()).add(version.sources[0].party_id)
    return newcomers, rest


def _sole_version(tx: Transaction, court: Court, id_: str) -> HeldVersion | None:
    """The one version, on the word of one source, of what came into being in this transaction and is not here."""
    if id_ not in tx.fresh or id_.partition("--")[0] in _NAMED_BY_OTHERS:
        return None
    if tx.fresh.to_ask(log_of(court.collection_id), [id_]):
        return None
    versions = tx.fresh.offered(id_)
    if len(versions) != 1 or len(versions[0].sources) != 1 or versions[0].revoked:
        return None
    return versions[0]


def _decision(
    court: Court, people: Mapping[str, Party], version: HeldVersion, provenances: dict[Source, Provenance]
) -> Decision | None:
    """Policy's decision, if it is the last word here."""
    (source,) = version.sources
    party = people.get(source.party_id)
    if party is None or party.kind != "account":
        return None
    if source not in provenances:
        provenances[source] = provenance_of(court, party, source, reviewed=False)
    provenance = provenances[source]
    decision = court.precedents.decide(version.value, provenance)
    if isinstance(decision, Deny) or (isinstance(decision, Whole) and provenance.posted_here):
        return decision
    return None
