"""Judging: what one collection makes of each object, and why. Reads and decides; changes nothing.

In the order of DESIGN 2: what each source's word amounts to here (`subjects`), what policy says of it (2.4, 2.6),
how far it has travelled (2.8), which source is heard (2.7), whether all that it names stands here too (2.10), and
what a redacted copy would look like (2.9). `release` carries the verdicts out, `apply` counts them, `explain`
shows them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tocsin.policy.closure import Candidate, Settled, State, closed_copy, settle
from tocsin.policy.decide import decide, decide_creator
from tocsin.policy.decision import Copy, Decision, Deny, Reason, Stuck, Whole
from tocsin.policy.redact import GROUPS, CopyImpossible, redacted
from tocsin.sharing.subjects import Court, Lineage, Subject, load_subjects
from tocsin.stix.objects import FREE_TYPES, keyed_id, named, references
from tocsin.store import copies, releases
from tocsin.store.copies import CopyLink
from tocsin.store.objects import HeldVersion
from tocsin.store.releases import Standing
from tocsin.store.transaction import Transaction

_NO_DATE = "1970-01-01T00:00:00.000Z"  # publication sets the dates of a copy; they are not part of its content


@dataclass(frozen=True, slots=True)
class RedactedCopy:
    """A copy as it would stand, still without dates of its own, and what it leaves out, in words."""

    id: str
    generation: int
    value: Mapping[str, Any]
    omitted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a collection makes of one object: `state` is how it should stand, `stands` how it does.

    `lineage`: the source that is heard, if any. `entering`: its versions that may stand whole, oldest first.
    `revocation`: what stands in for a revoked version whose content may not enter: its id, type and dates.
    """

    subject: Subject
    lineage: Lineage | None
    decision: Decision
    state: State
    stands: State
    reasons: tuple[Reason, ...]
    entering: tuple[HeldVersion, ...] = ()
    standing: Standing | None = None
    copy: RedactedCopy | None = None
    link: CopyLink | None = None
    revocation: Mapping[str, Any] | None = None
    waits_for: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        return self.subject.id

    @property
    def stuck(self) -> bool:
        """A rule in error: what stands is left as it stands, and nothing new enters."""
        return isinstance(self.decision, Stuck)

    @property
    def hops(self) -> int:
        return self.lineage.hops if self.lineage is not None else 0


@dataclass(slots=True)
class _Case:
    """A subject while it is being judged."""

    subject: Subject
    lineage: Lineage | None
    decision: Decision
    free: bool = False
    barred: tuple[Reason, ...] = ()
    revocation: Mapping[str, Any] | None = None

    @property
    def value(self) -> Mapping[str, Any]:
        return self.lineage.newest.value if self.lineage is not None else {}

    @property
    def revoked(self) -> bool:
        return self.lineage is not None and self.lineage.newest.revoked

    @property
    def targets(self) -> frozenset[str]:
        """What has to stand here with it; a revocation speaks of nothing but itself."""
        if self.revocation is not None:
            return frozenset()
        return frozenset(t for _, t in references(self.value) if t.partition("--")[0] not in FREE_TYPES)

    @property
    def best(self) -> State:
        if self.barred:
            return State.OUT
        match self.decision:
            case Whole():
                return State.WHOLE
            case Copy():
                return State.COPY
            case _:
                return State.OUT


@dataclass(slots=True)
class _Docket:
    """All cases of one judgement, and what stands already."""

    court: Court
    cases: dict[str, _Case] = field(default_factory=dict)
    links: dict[str, CopyLink] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)  # by the id that stands: original's or copy's
    # who is named as creator, and on whose word: only those parties' own account of the identity is free
    creators: dict[str, set[str]] = field(default_factory=dict)

    def stands(self, id_: str) -> State:
        if id_ in self.standing:
            return State.WHOLE
        link = self.links.get(id_)
        return State.COPY if link is not None and link.copy_id in self.standing else State.OUT

    def copy_id(self, id_: str) -> tuple[str, int]:
        """The id of the copy of `id_` here: as stored once made, else foreseeable by this node alone."""
        link = self.links.get(id_)
        if link is not None:
            return link.copy_id, link.generation
        kind = id_.partition("--")[0]
        return keyed_id(self.court.node.secret, kind, "copy", self.court.collection_id, id_, "0"), 0


async def judge(tx: Transaction, court: Court, object_ids: Iterable[str]) -> list[Verdict]:
    """The verdict on each object, and on whatever would enter together with one of them because it is named.

    What is named enters before what names it: the order of the answer is the order in which to write it.
    """
    asked = list(dict.fromkeys(object_ids))
    ours = await copies.originals_of(tx, asked)
    asked = [id_ for id_ in asked if id_ not in ours]  # a copy stands or falls with its original
    docket = _Docket(court)
    await _open_cases(tx, docket, asked)
    _follow_incidents(docket)
    settled, made = _settle(docket)
    states = await _drop_unnamed(tx, docket, settled.states, made)
    verdicts = [
        _verdict(docket, case, states[id_], made.get(id_), settled.waits_for.get(id_, frozenset()))
        for id_, case in docket.cases.items()
        if id_ in asked or states[id_] is not docket.stands(id_)
    ]
    return sorted(verdicts, key=lambda verdict: _rank(verdict.subject.type))


# --- opening: the cases, and what they name ------------------------------------------------------------------


async def _open_cases(tx: Transaction, docket: _Docket, asked: list[str]) -> None:
    """Open the cases asked for, then, wave by wave, those of what they name and is held but does not stand.

    The incident that something was made with is opened always: its own judgement counts for its company.
    """
    subjects: dict[str, Subject] = {}
    wave = asked
    while wave:
        await _look_up_standing(tx, docket, wave)
        subjects |= await load_subjects(tx, docket.court, wave, docket.standing)
        identities = [id_ for id_ in wave if subjects[id_].type == "identity"]
        known = await releases.creators_standing(tx, docket.court.collection_id, identities)
        again = _note_creators(docket, known)
        opened = [id_ for id_ in wave if subjects[id_].lineages or id_ in asked]
        for id_ in opened:
            docket.cases[id_] = _case(docket, subjects[id_])
        speaking: dict[str, set[str]] = {}
        for id_ in opened:
            lineage = docket.cases[id_].lineage
            if docket.cases[id_].best is State.WHOLE and lineage is not None and lineage.newest.creator:
                speaking.setdefault(lineage.newest.creator, set()).add(lineage.party_id)
        # an identity opened before it was known who names it as creator is judged again
        for id_ in {*again, *_note_creators(docket, speaking)} & set(docket.cases):
            docket.cases[id_] = _case(docket, subjects[id_])
            opened.append(id_)
        names: set[str] = set()
        anchors: set[str] = set()
        for id_ in opened:
            if (case := docket.cases[id_]).best is not State.OUT:
                names |= named(case.value) | {docket.court.node.identity}
                anchors |= case.subject.anchors
        unopened = sorted((names | anchors) - set(subjects))
        await _look_up_standing(tx, docket, unopened)
        wave = [id_ for id_ in unopened if id_ in anchors or docket.stands(id_) is State.OUT]


def _note_creators(docket: _Docket, speaking: Mapping[str, set[str]]) -> set[str]:
    """Who is named as creator on whose word; those of whom that was not known before."""
    fresh = set()
    for creator, party_ids in speaking.items():
        known = docket.creators.setdefault(creator, set())
        if not party_ids <= known:
            known |= party_ids
            fresh.add(creator)
    return fresh


async def _look_up_standing(tx: Transaction, docket: _Docket, ids: list[str]) -> None:
    docket.links |= await copies.copies_of(tx, docket.court.collection_id, ids)
    ids_of_copies = [docket.links[id_].copy_id for id_ in ids if id_ in docket.links]
    docket.standing |= await releases.standing(tx, docket.court.collection_id, [*ids, *ids_of_copies])


def _case(docket: _Docket, subject: Subject) -> _Case:
    """The case of the source that is heard: of those that policy allows the authentic one, else the newest."""
    if not subject.lineages:
        return _Case(subject, None, Deny((_why_absent(subject),)))
    cases = [_case_of(docket, subject, lineage) for lineage in subject.lineages]
    allowed = [case for case in cases if isinstance(case.decision, Whole | Copy)]
    if allowed:
        return min(allowed, key=_hearing_order if _is_versioned(allowed) else partial(_first_entered, docket))
    return min(cases, key=lambda case: not isinstance(case.decision, Stuck))


def _hearing_order(case: _Case) -> tuple[bool, bool, tuple[int, ...], str]:
    """Authentic before asserted, whatever came first; nobody's mere assertion ends what others say by revoking it;
    then the newest version, and of two contents of one version the lower hash (DESIGN 2.7)."""
    assert case.lineage is not None  # noqa: S101  (only cases that are heard are ordered; for the type checker)
    newest = case.lineage.newest
    authentic = case.lineage.provenance.authentic
    later_first = tuple(-ord(character) for character in newest.version_key)
    return (not authentic, newest.revoked and not authentic, later_first, newest.sha256)


def _is_versioned(cases: Iterable[_Case]) -> bool:
    return all(case.lineage is not None and case.lineage.newest.versioned for case in cases)


def _first_entered(docket: _Docket, case: _Case) -> tuple[bool, int]:
    """Of an observable, which has no versions, the content that stands is heard, else the first that came."""
    assert case.lineage is not None  # noqa: S101  (only cases that are heard are ordered; for the type checker)
    newest, here = case.lineage.newest, docket.standing.get(case.subject.id)
    return (here is None or newest.version_key not in here.versions, newest.seq)


def _case_of(docket: _Docket, subject: Subject, lineage: Lineage) -> _Case:
    court = docket.court
    free = subject.constant or lineage.party_id in docket.creators.get(subject.id, set()) - {""}
    if far := _travelled_too_far(court, subject, lineage):
        return _Case(subject, lineage, Deny((far,)))
    ask = decide_creator if free else decide
    policy = court.configuration.policy_of(court.key)
    decision = ask(policy, court.settings, lineage.newest.value, lineage.provenance, court.readers)
    if free and isinstance(decision, Copy):
        # who speaks is not redacted: a creator enters whole, or what names it does not enter whole either
        decision = Whole(decision.reasons) if subject.constant else Deny(decision.reasons)
    if lineage.newest.revoked and not lineage.provenance.posted_here:
        return _revoking(docket, subject, lineage, decision)
    return _Case(subject, lineage, decision, free)


_REVOKED = Reason("revoked", "its creator revoked it: that enters every log that holds the id, and no other")


def _revoking(docket: _Docket, subject: Subject, lineage: Lineage, decision: Decision) -> _Case:
    """DESIGN 2.3: a creator's revocation is not judged; where policy allows no more, it tells id, type and dates.

    What somebody else says was revoked is judged like anything else that he says.
    """
    stands = docket.stands(subject.id)
    if stands is State.OUT:
        return _Case(subject, lineage, Deny((_REVOKED,)))
    if stands is State.WHOLE and isinstance(decision, Whole):
        return _Case(subject, lineage, Whole((_REVOKED,)))
    if not lineage.provenance.authentic:
        return _Case(subject, lineage, Deny(decision.reasons))
    if stands is State.COPY:
        return _Case(subject, lineage, Copy(frozenset(GROUPS), frozenset(), (_REVOKED,)))
    bare = _bare(lineage.newest)
    return _Case(subject, lineage, Deny((_REVOKED,)) if bare is None else Whole((_REVOKED,)), revocation=bare)


def _bare(version: HeldVersion) -> Mapping[str, Any] | None:
    """A revoked version without its content; None where its type says nothing without."""
    value = version.value
    try:
        bare, _ = redacted(
            value,
            frozenset(GROUPS),
            frozenset(),
            id=version.id,
            created=value["created"],
            modified=version.version,
            creator=str(value.get("created_by_ref", "")),
            rewrite=lambda target: target if target.partition("--")[0] in FREE_TYPES else None,
        )
    except CopyImpossible:
        return None
    return {name: member for name, member in bare.items() if member != ""}


def _why_absent(subject: Subject) -> Reason:
    match subject.pending:
        case "waiting":
            return Reason("by-hand", "it waits until a person publishes it")
        case "held":
            return Reason("held", "a person holds it here")
        case _:
            return Reason("gone", "no source offers it any more")


def _travelled_too_far(court: Court, subject: Subject, lineage: Lineage) -> Reason | None:
    """DESIGN 2.8: nothing is offered above `max_hops`, nor back to its only source."""
    limit = court.configuration.settings.node.max_hops
    if lineage.hops > limit:
        return Reason("max-hops", f"it would be passed on for the {lineage.hops}th time; at most {limit}")
    origins = {one.provenance.origin for one in subject.lineages}
    names = {reader.name for reader in court.readers}
    if len(origins) == 1 and names == origins and not lineage.provenance.posted_here:
        return Reason("only-source", f"its only reader here, {min(names)}, is where it came from")
    return None


def _follow_incidents(docket: _Docket) -> None:
    """What was made with an incident is redacted as that is: else it would tell what the incident may not."""
    for case in docket.cases.values():
        leading = [docket.cases[anchor].decision for anchor in case.subject.anchors if anchor in docket.cases]
        redactions = [decision for decision in leading if isinstance(decision, Copy)]
        if case.lineage is None or not case.lineage.ours or not redactions or case.best is State.OUT:
            continue
        own = [case.decision] if isinstance(case.decision, Copy) else []
        everything = [*own, *redactions]
        case.decision = Copy(
            groups=frozenset().union(*(decision.groups for decision in everything)),
            keep=frozenset.intersection(*(decision.keep for decision in everything)),
            reasons=tuple(dict.fromkeys(reason for decision in everything for reason in decision.reasons)),
        )


# --- settling: closure, and the copies -----------------------------------------------------------------------


def _settle(docket: _Docket) -> tuple[Settled, dict[str, RedactedCopy]]:
    """Closure and copies together: a copy that cannot be made is out, and so is what names it whole."""
    named_here = {target for case in docket.cases.values() for target in case.targets | case.subject.anchors}
    standing = {id_: docket.stands(id_) for id_ in named_here}
    while True:
        settled = settle(_candidates(docket), standing)
        made: dict[str, RedactedCopy] = {}
        impossible = False
        for id_, state in settled.states.items():
            case = docket.cases[id_]
            if state is not State.COPY or isinstance(case.decision, Stuck):
                continue
            try:
                made[id_] = _copy(docket, case, settled.states)
            except CopyImpossible as why:
                case.barred = (Reason("copy", str(why)),)
                impossible = True
        if not impossible:
            return settled, made


def _candidates(docket: _Docket) -> Iterable[Candidate]:
    for id_, case in docket.cases.items():
        lineage = case.lineage
        if lineage is None or isinstance(case.decision, Stuck):
            yield Candidate(id_, docket.stands(id_) if isinstance(case.decision, Stuck) else State.OUT)
            continue
        yield Candidate(
            id=id_,
            best=case.best,
            targets=case.targets,
            ours=lineage.ours,
            as_posted=lineage.provenance.posted_here,
            anchors=case.subject.anchors if lineage.ours else frozenset(),
        )


def _copy(docket: _Docket, case: _Case, states: Mapping[str, State]) -> RedactedCopy:
    id_, generation = docket.copy_id(case.subject.id)
    rewrite = _rewriting(docket, states)
    creator = docket.court.node.identity
    match case.decision:
        case Copy(groups=groups, keep=keep):
            value, omitted = redacted(
                case.value,
                groups,
                keep,
                id=id_,
                created=_NO_DATE,
                modified=_NO_DATE,
                creator=creator,
                rewrite=rewrite,
                side=case.subject.side,
            )
        case _:
            value, omitted = closed_copy(case.value, id=id_, creator=creator, rewrite=rewrite)
    return RedactedCopy(id_, generation, value, tuple(omitted))


def _rewriting(docket: _Docket, states: Mapping[str, State]) -> Callable[[str], str | None]:
    """By what id a referenced object stands here; None when it does not."""

    def rewrite(target: str) -> str | None:
        if target.partition("--")[0] in FREE_TYPES:
            return target
        match states.get(target, docket.stands(target)):
            case State.WHOLE:
                return target
            case State.COPY:
                return docket.copy_id(target)[0]
            case _:
                return None

    return rewrite


async def _drop_unnamed(
    tx: Transaction, docket: _Docket, states: Mapping[str, State], made: Mapping[str, RedactedCopy]
) -> dict[str, State]:
    """What needs no rule stands only as long as something that stands for its own sake names it."""
    entering = {id_ for id_, state in states.items() if state is not State.OUT}
    free = {id_ for id_ in entering if docket.cases[id_].free}

    def names(id_: str) -> set[str]:
        return named(made[id_].value if id_ in made else docket.cases[id_].value)

    wave = {name for id_ in entering - free for name in names(id_)}
    gone = sorted({*free, *(id_ for id_, state in states.items() if state is State.OUT)})
    gone += [link.copy_id for id_ in gone if (link := docket.links.get(id_))]
    here = docket.court.collection_id
    definitions = sorted(id_ for id_ in free if id_.partition("--")[0] in FREE_TYPES)
    wave |= await releases.named_by_standing(tx, here, definitions, without=gone)
    wave |= set(await releases.creators_standing(tx, here, sorted(free - set(definitions)), without=gone))
    wave |= {id_ for id_ in free if _allowed_by_rule(docket.court, docket.cases[id_])}
    needed: set[str] = set()
    while wave:
        needed |= wave
        wave = {name for id_ in wave & free for name in names(id_)} - needed
    return {id_: State.OUT if id_ in free - needed else state for id_, state in states.items()}


def _allowed_by_rule(court: Court, case: _Case) -> bool:
    """Whether a rule lets in, for its own sake, what would otherwise enter only because it is named."""
    if case.subject.type in FREE_TYPES or case.lineage is None:
        return False
    policy = court.configuration.policy_of(court.key)
    decision = decide(policy, court.settings, case.value, case.lineage.provenance, court.readers)
    return isinstance(decision, Whole)


def _verdict(
    docket: _Docket, case: _Case, state: State, copy: RedactedCopy | None, waits_for: frozenset[str]
) -> Verdict:
    id_ = case.subject.id
    link = docket.links.get(id_)
    stands = docket.stands(id_)
    reasons = (*case.decision.reasons, *case.barred)
    if waits_for:
        missing = ", ".join(sorted(waits_for))
        reasons = (*reasons, Reason("closure", f"it names what does not stand whole here: {missing}"))
    elif state is State.OUT and case.best is not State.OUT and case.subject.anchors:
        reasons = (*reasons, Reason("company", "the incident that it was made with does not stand here"))
    return Verdict(
        subject=case.subject,
        lineage=case.lineage,
        decision=case.decision,
        state=stands if isinstance(case.decision, Stuck) else state,
        stands=stands,
        reasons=reasons,
        entering=_entering(docket, case) if state is State.WHOLE else (),
        standing=docket.standing.get(id_) or (docket.standing.get(link.copy_id) if link else None),
        copy=copy if state is State.COPY else None,
        link=link,
        revocation=case.revocation,
        waits_for=waits_for,
    )


def _entering(docket: _Docket, case: _Case) -> tuple[HeldVersion, ...]:
    """The versions of the heard source that may stand: the newest decides, and an older one that is not here yet
    enters only if it could have entered by itself; none beside a revocation."""
    if case.lineage is None:
        return ()
    *older, newest = case.lineage.versions
    here = docket.standing.get(case.subject.id)
    stands = {version.seq for version in here.versions.values()} if here is not None else set()
    if newest.revoked:
        return (*(version for version in older if version.seq in stands), newest)
    policy = docket.court.configuration.policy_of(docket.court.key)
    settings, readers = docket.court.settings, docket.court.readers
    kept = [
        version
        for version in older
        if version.seq in stands
        or isinstance(decide(policy, settings, version.value, case.lineage.provenance, readers), Whole)
    ]
    return (*kept, newest)


_RANK = ("extension-definition", "marking-definition", "identity")


def _rank(kind: str) -> int:
    if kind in _RANK:
        return _RANK.index(kind)
    return len(_RANK) + (kind in ("relationship", "sighting"))
