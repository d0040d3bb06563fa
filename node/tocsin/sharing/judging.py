"""Judging: what one collection makes of each object, and why. Reads and decides; changes nothing.

In the order of DESIGN 2: which version is in force here (`subjects`), what policy says of it (2.4, 2.6), how far
it has travelled (2.8), whether all that it names stands here too (2.10), and what a redacted copy would look
like (2.9). `release` carries the verdicts out, `apply` counts them, `explain` shows them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.policy.closure import Candidate, Settled, State, closed_copy, settle
from tocsin.policy.decide import decide, decide_creator
from tocsin.policy.decision import Copy, Decision, Deny, Reason, Stuck, Whole
from tocsin.policy.redact import GROUPS, CopyImpossible, redacted
from tocsin.sharing.subjects import Court, Subject, load_subjects
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
    """What a collection makes of one object: `state` is how it should stand, `stands` how it does."""

    subject: Subject
    decision: Decision
    state: State
    stands: State
    reasons: tuple[Reason, ...]
    standing: Standing | None = None
    copy: RedactedCopy | None = None
    link: CopyLink | None = None
    waits_for: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        return self.subject.id

    @property
    def newest(self) -> HeldVersion | None:
        return self.subject.newest

    @property
    def keeps(self) -> bool:
        return _keeps(self.subject, self.decision)


@dataclass(slots=True)
class _Case:
    """A subject while it is being judged."""

    subject: Subject
    decision: Decision
    free: bool
    value: Mapping[str, Any]
    targets: frozenset[str] = frozenset()
    barred: tuple[Reason, ...] = ()

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
    settled, made = _settle(docket)
    states = await _drop_unnamed(tx, docket, settled.states)
    verdicts = [
        _verdict(docket, case, states[id_], made.get(id_), settled.waits_for.get(id_, frozenset()))
        for id_, case in docket.cases.items()
        if id_ in asked or states[id_] is not docket.stands(id_)
    ]
    return sorted(verdicts, key=lambda verdict: _rank(verdict.subject.type))


# --- opening: the cases, and what they name ------------------------------------------------------------------


async def _open_cases(tx: Transaction, docket: _Docket, asked: list[str]) -> None:
    """Open the cases asked for, then, wave by wave, those of what they name and is held but does not stand."""
    subjects: dict[str, Subject] = {}
    creators: set[str] = set()
    wave = asked
    while wave:
        await _look_up_standing(tx, docket, wave)
        subjects |= await load_subjects(tx, docket.court, wave, docket.standing)
        identities = [id_ for id_ in wave if subjects[id_].type == "identity"]
        found = await releases.creators_standing(tx, docket.court.collection_id, identities)
        found |= {creator for id_ in wave if (one := subjects[id_].newest) and (creator := one.creator)}
        # an identity opened before it was known to be a creator is judged again as one
        again = [id_ for id_ in found - creators if id_ in docket.cases]
        creators |= found
        names: set[str] = set()
        for id_ in [*wave, *again]:
            subject = subjects[id_]
            if subject.newest is None and id_ not in asked:
                continue  # never here, or not released: the same to whoever names it
            free = subject.type in FREE_TYPES or id_ in creators
            docket.cases[id_] = case = _case(docket.court, subject, docket.stands(id_), free=free)
            if case.best is not State.OUT:
                names |= named(case.value)
        unopened = sorted(names - set(subjects))
        await _look_up_standing(tx, docket, unopened)
        wave = [name for name in unopened if docket.stands(name) is State.OUT]


async def _look_up_standing(tx: Transaction, docket: _Docket, ids: list[str]) -> None:
    docket.links |= await copies.copies_of(tx, docket.court.collection_id, ids)
    ids_of_copies = [docket.links[id_].copy_id for id_ in ids if id_ in docket.links]
    docket.standing |= await releases.standing(tx, docket.court.collection_id, [*ids, *ids_of_copies])


def _case(court: Court, subject: Subject, stands: State, *, free: bool) -> _Case:
    newest = subject.newest
    if newest is None:
        return _Case(subject, Deny((_why_absent(subject),)), free, {})
    value = newest.value
    if newest.revoked and not subject.posted_here:
        return _Case(subject, _REVOCATION[stands], free, value)
    targets = frozenset(t for _, t in references(value) if t.partition("--")[0] not in FREE_TYPES)
    return _Case(subject, _decision(court, subject, value, free=free), free, value, targets)


_REVOKED = (Reason("revoked", "its creator revoked it: not judged, it enters every log that holds the id"),)
_REVOCATION: Mapping[State, Decision] = {
    State.WHOLE: Whole(_REVOKED),
    State.COPY: Copy(frozenset(GROUPS), frozenset(), _REVOKED),
    State.OUT: Deny(_REVOKED),
}


def _why_absent(subject: Subject) -> Reason:
    match subject.pending:
        case "waiting":
            return Reason("by-hand", "it waits until a person publishes it")
        case "held":
            return Reason("held", "a person holds it here")
        case _:
            return Reason("gone", "no source offers it any more")


def _decision(court: Court, subject: Subject, value: Mapping[str, Any], *, free: bool) -> Decision:
    """The most open decision among the parties whose word we hold it by: each is judged for itself."""
    if far := _travelled_too_far(court, subject):
        return Deny((far,))
    ask = decide_creator if free else decide
    decisions = [
        ask(court.configuration.policies[court.settings.policy], court.settings, value, provenance, court.readers)
        for provenance in subject.provenances
    ]
    best = min(decisions, key=lambda decision: _OPENNESS.index(type(decision)))
    if free and isinstance(best, Copy):
        # who speaks is not redacted: a creator enters whole, or what names it does not enter whole either
        return Whole(best.reasons) if subject.ours else Deny(best.reasons)
    return best


_OPENNESS: list[type[Decision]] = [Whole, Copy, Stuck, Deny]


def _travelled_too_far(court: Court, subject: Subject) -> Reason | None:
    """DESIGN 2.8: nothing is offered above `max_hops`, nor back to its only source."""
    limit = court.configuration.settings.node.max_hops
    if subject.hops > limit:
        return Reason("max-hops", f"it would be passed on for the {subject.hops}th time; at most {limit}")
    origins = {provenance.origin for provenance in subject.provenances}
    names = {reader.name for reader in court.readers}
    if len(origins) == 1 and names == origins and not subject.posted_here:
        return Reason("only-source", f"its only reader here, {min(names)}, is where it came from")
    return None


# --- settling: closure, and the copies -----------------------------------------------------------------------


def _settle(docket: _Docket) -> tuple[Settled, dict[str, RedactedCopy]]:
    """Closure and copies together: a copy that cannot be made is out, and so is what names it whole."""
    standing = {id_: docket.stands(id_) for id_ in {t for c in docket.cases.values() for t in c.targets}}
    while True:
        settled = settle(_candidates(docket), standing)
        made: dict[str, RedactedCopy] = {}
        impossible = False
        for id_, state in settled.states.items():
            if state is not State.COPY or _keeps(docket.cases[id_].subject, docket.cases[id_].decision):
                continue
            try:
                made[id_] = _copy(docket, docket.cases[id_], settled.states)
            except CopyImpossible as why:
                docket.cases[id_].barred = (Reason("copy", str(why)),)
                impossible = True
        if not impossible:
            return settled, made


def _candidates(docket: _Docket) -> Iterable[Candidate]:
    for id_, case in docket.cases.items():
        fixed = _keeps(case.subject, case.decision)
        yield Candidate(
            id=id_,
            best=docket.stands(id_) if fixed else case.best,
            targets=frozenset() if fixed else case.targets,
            ours=case.subject.ours,
            as_posted=case.subject.posted_here,
        )


def _keeps(subject: Subject, decision: Decision) -> bool:
    """Whether what stands is left as it stands: a rule in error never recalls, and what waits changes nothing."""
    return isinstance(decision, Stuck) or (subject.newest is None and subject.pending in ("waiting", "held"))


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


async def _drop_unnamed(tx: Transaction, docket: _Docket, states: Mapping[str, State]) -> dict[str, State]:
    """What needs no rule stands only as long as something that stands for its own sake names it."""
    entering = {id_ for id_, state in states.items() if state is not State.OUT}
    free = {id_ for id_ in entering if docket.cases[id_].free}
    needed: set[str] = set()
    wave = {name for id_ in entering - free for name in named(docket.cases[id_].value)}
    if any(states[id_] is State.COPY for id_ in entering):
        wave.add(docket.court.node.identity)  # every copy names us as its creator
    gone = sorted({*free, *(id_ for id_, state in states.items() if state is State.OUT)})
    gone += [link.copy_id for id_ in gone if (link := docket.links.get(id_))]
    here = docket.court.collection_id
    definitions = sorted(id_ for id_ in free if id_.partition("--")[0] in FREE_TYPES)
    wave |= await releases.named_by_standing(tx, here, definitions, without=gone)
    wave |= await releases.creators_standing(tx, here, sorted(free - set(definitions)), without=gone)
    wave |= {id_ for id_ in free if _allowed_by_rule(docket.court, docket.cases[id_])}
    while wave:
        needed |= wave
        wave = {name for id_ in wave & free for name in named(docket.cases[id_].value)} - needed
    return {id_: State.OUT if id_ in free - needed else state for id_, state in states.items()}


def _allowed_by_rule(court: Court, case: _Case) -> bool:
    """Whether a rule lets in, for its own sake, what would otherwise enter only because it is named."""
    if case.subject.type in FREE_TYPES:
        return False
    return isinstance(_decision(court, case.subject, case.value, free=False), Whole)


def _verdict(
    docket: _Docket, case: _Case, state: State, copy: RedactedCopy | None, waits_for: frozenset[str]
) -> Verdict:
    id_ = case.subject.id
    link = docket.links.get(id_)
    reasons = (*case.decision.reasons, *case.barred)
    if waits_for:
        missing = ", ".join(sorted(waits_for))
        reasons = (*reasons, Reason("closure", f"it names what does not stand whole here: {missing}"))
    return Verdict(
        subject=case.subject,
        decision=case.decision,
        state=state,
        stands=docket.stands(id_),
        reasons=reasons,
        standing=docket.standing.get(id_) or (docket.standing.get(link.copy_id) if link else None),
        copy=copy if state is State.COPY else None,
        link=link,
        waits_for=waits_for,
    )


_RANK = ("extension-definition", "marking-definition", "identity")


def _rank(kind: str) -> int:
    if kind in _RANK:
        return _RANK.index(kind)
    return len(_RANK) + (kind in ("relationship", "sighting"))
