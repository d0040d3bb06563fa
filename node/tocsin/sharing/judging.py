"""Judging: what one collection makes of each object, and why. Reads and decides; changes nothing.

In this order: what each source's word amounts to here (`subjects`), what policy says of it, how far it has
travelled, which source is heard, whether all that it names stands here too, and what a redacted copy would
look like. `release` carries the verdicts out, `apply` counts them, `explain` shows them.
"""

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.policy.closure import Candidate, Settled, State, closed_copy, settle
from tocsin.policy.decide import decide_creator
from tocsin.policy.decision import Copy, Decision, Deny, Reason, Stuck, Whole, shortest
from tocsin.policy.pseudonyms import victim_pseudonyms
from tocsin.policy.redact import GROUPS, CopyImpossible, redacted
from tocsin.sharing.newcomers import Newcomers
from tocsin.sharing.node import OURS
from tocsin.sharing.subjects import Court, Lineage, Subject, load_subjects
from tocsin.stix.markings import kind_of_marking, marked
from tocsin.stix.objects import FREE_TYPES, ID, STATEMENTS, keyed_id, named
from tocsin.store import copies, objects, releases
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


@dataclass(frozen=True, slots=True)
class _Hearing:
    """What policy says of one source's account of an object.

    `free`: it needs no rule, because something names it. `revocation`: what may be told of a revoked version.
    """

    lineage: Lineage | None
    decision: Decision
    free: bool = False
    revocation: Mapping[str, Any] | None = None

    @property
    def allowed(self) -> bool:
        return isinstance(self.decision, Whole | Copy)


@dataclass(slots=True)
class _Case:
    """A subject while it is being judged: one source is heard, and the next one if that comes to nothing."""

    subject: Subject
    hearing: _Hearing
    others: list[_Hearing] = field(default_factory=list)
    barred: tuple[Reason, ...] = ()

    @property
    def lineage(self) -> Lineage | None:
        return self.hearing.lineage

    @property
    def decision(self) -> Decision:
        return self.hearing.decision

    @property
    def free(self) -> bool:
        return self.hearing.free

    @property
    def value(self) -> Mapping[str, Any]:
        return self.lineage.newest.value if self.lineage is not None else {}

    @property
    def names(self) -> frozenset[str]:
        return self.lineage.newest.names if self.lineage is not None else frozenset()

    def speakers(self, standing: Mapping[str, Standing]) -> set[str]:
        """On whose word it enters: who is heard; of what an error keeps as it stands, everybody who vouches."""
        if self.lineage is None:
            return set()
        here = standing.get(self.subject.id)
        if not isinstance(self.decision, Stuck) or here is None:
            return {self.lineage.party_id}
        seqs = {version.seq for version in here.versions.values()}
        return {one.party_id for one in self.subject.lineages if any(v.seq in seqs for v in one.versions)}

    @property
    def pruned(self) -> bool:
        """Whether this collection no longer keeps what is heard. Who is named as creator is kept for that; what
        was made with an incident comes and goes with it."""
        lineage = self.lineage
        return (
            lineage is not None
            and lineage.newest.seq in self.subject.pruned
            and not self.free
            and not lineage.anchors
        )

    @property
    def anchors(self) -> frozenset[str]:
        return self.lineage.anchors if self.lineage is not None else frozenset()

    @property
    def targets(self) -> frozenset[str]:
        """What has to stand here with it; a revocation speaks of nothing but itself."""
        if self.lineage is None or (self.lineage.newest.revoked and not self.lineage.provenance.posted_here):
            return frozenset()
        return frozenset(name for name in self.lineage.newest.names if name.partition("--")[0] not in FREE_TYPES)

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

    def hear_the_next(self) -> None:
        self.hearing, *self.others = self.others
        self.barred = ()


@dataclass(slots=True)
class _Docket:
    """All cases of one judgement, and what stands already."""

    court: Court
    cases: dict[str, _Case] = field(default_factory=dict)
    links: dict[str, CopyLink] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)  # by the id that stands: original's or copy's
    # who is named as creator, and on whose word: only those parties' own account of the identity is free
    creators: dict[str, set[str]] = field(default_factory=dict)
    # the same of what stands and is not judged here; and the definitions that it names
    created_elsewhere: dict[str, set[str]] = field(default_factory=dict)
    named_elsewhere: set[str] = field(default_factory=set)
    newcomers: Newcomers = field(default_factory=Newcomers)  # what enters whole without being judged here

    def stands(self, id_: str) -> State:
        if id_ in self.standing or id_ in self.newcomers.entering:
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


async def judge(
    tx: Transaction, court: Court, object_ids: Iterable[str], newcomers: Newcomers | None = None
) -> list[Verdict]:
    """The verdict on each object, and on whatever would enter together with one of them because it is named.

    `newcomers` enter in any case, and what they name is judged. What is named enters before what names it: the
    order of the answer is the order in which to write it.
    """
    asked = dict.fromkeys(object_ids)
    for copy_id in await copies.originals_of(tx, asked):
        del asked[copy_id]  # a copy stands or falls with its original
    docket = _Docket(court, newcomers=newcomers or Newcomers())
    if not asked and not docket.newcomers.names:
        return []
    await _open_cases(tx, docket, asked)
    _follow_incidents(docket)
    await _look_elsewhere(tx, docket)
    settled, made = _settle(docket)
    states = _drop_unnamed(docket, settled.states, made)
    verdicts = [
        _verdict(docket, case, states[id_], made.get(id_), settled.waits_for.get(id_, frozenset()))
        for id_, case in docket.cases.items()
        if id_ in asked or states[id_] is not docket.stands(id_)
    ]
    verdicts = await name_kinds(tx, verdicts, posted=False)
    return sorted(verdicts, key=lambda verdict: rank(verdict.subject.type))


async def name_kinds(tx: Transaction, verdicts: list[Verdict], *, posted: bool) -> list[Verdict]:
    """The verdicts, saying of each marking that is not understood what it is, where its definition is here.

    Of what a writer posted here only with `posted`, for our people: he is told of his own objects, and would learn
    from it which definitions we hold.
    """
    strange = {
        one.id: marking
        for one in verdicts
        if one.lineage is not None
        and (posted or not one.lineage.provenance.posted_here)
        and any(reason.rule == "marking" for reason in one.reasons)
        for marking in marked(one.lineage.newest.value).strange[:1]
    }
    if not strange:
        return verdicts
    held = await objects.newest(tx, sorted({id_ for id_ in strange.values() if ID.match(id_)}))
    kinds = {id_: kind for id_, version in held.items() if (kind := kind_of_marking(version.value))}
    return [
        replace(one, reasons=tuple(_naming(reason, strange[one.id], kinds) for reason in one.reasons))
        if strange.get(one.id) in kinds
        else one
        for one in verdicts
    ]


def _naming(reason: Reason, marking: str, kinds: Mapping[str, str]) -> Reason:
    if reason.rule != "marking":
        return reason
    return replace(reason, text=reason.text.replace(f"{marking} is", f"{marking}, {kinds[marking]}, is"))


# --- opening: the cases, and what they name ------------------------------------------------------------------


async def _open_cases(tx: Transaction, docket: _Docket, asked: Collection[str]) -> None:
    """Open the cases asked for, then, wave by wave, those of what they name and is held but does not stand.

    The incident that something was made with is opened always: its own judgement counts for its company.
    """
    subjects: dict[str, Subject] = {}
    _note_creators(docket, docket.newcomers.creators)
    wave = [*asked, *await _unopened(tx, docket, docket.newcomers.names, asked)]
    while wave:
        await _look_up_standing(tx, docket, wave)
        subjects |= await load_subjects(tx, docket.court, wave, docket.standing)
        identities = [id_ for id_ in wave if subjects[id_].type == "identity" and not subjects[id_].constant]
        known = await releases.creators_standing(tx, docket.court.collection_id, identities)
        again = _note_creators(docket, known)
        opened = [id_ for id_ in wave if subjects[id_].lineages or id_ in asked]
        for id_ in opened:
            docket.cases[id_] = _case(docket, subjects[id_])
        # an identity opened before it was known who names it as creator is judged again
        for id_ in {*again, *_note_creators(docket, _speaking(docket, opened))} & set(docket.cases):
            docket.cases[id_] = _case(docket, subjects[id_])
            opened.append(id_)
        names: set[str] = set()
        anchors: set[str] = set()
        for id_ in opened:
            case = docket.cases[id_]
            for hearing in (case.hearing, *case.others):
                if hearing.allowed and hearing.lineage is not None:
                    names |= hearing.lineage.newest.names or {docket.court.node.identity}
                    anchors |= hearing.lineage.anchors
        created = await _created_by_whom(tx, docket, {id_: known[id_] for id_ in known if id_ in docket.cases})
        wave = await _unopened(tx, docket, names, subjects, anchors)
        wave += [id_ for id_ in created if id_ not in subjects and id_ not in wave]


async def _created_by_whom(tx: Transaction, docket: _Docket, known: Mapping[str, set[str]]) -> list[str]:
    """What stands of creators in doubt: of whom several tell, perhaps one whose word of what stands is not heard
    here. Only judging that shows whose account of the creator is free. No doubt where a rule lets in them all."""
    doubtful = [
        id_
        for id_, party_ids in known.items()
        if len(party_ids - {OURS}) > 1
        and not all(_by_rule(docket, lineage).allowed for lineage in docket.cases[id_].subject.lineages)
    ]
    naming = sorted(await objects.referring(tx, doubtful)) if doubtful else []
    await _look_up_standing(tx, docket, naming)
    return [id_ for id_ in naming if id_ in docket.standing]


async def _unopened(
    tx: Transaction,
    docket: _Docket,
    names: Set[str],
    opened: Container[str],
    anchors: Set[str] = frozenset(),
) -> list[str]:
    """What is named and does not stand whole here, and what something was made with: whoever is not opened yet.

    What stands as a copy, for want of something, may become whole together with what names it."""
    if names:
        names = names | {docket.court.node.identity}
    unopened = sorted(id_ for id_ in names | anchors if id_ not in opened)
    await _look_up_standing(tx, docket, unopened)
    return [id_ for id_ in unopened if id_ in anchors or docket.stands(id_) is not State.WHOLE]


def _speaking(docket: _Docket, ids: Iterable[str]) -> dict[str, set[str]]:
    """Whom these would name as creator if they entered whole, and on whose word."""
    found: dict[str, set[str]] = {}
    for id_ in ids:
        case = docket.cases[id_]
        for hearing in (case.hearing, *case.others):
            lineage = hearing.lineage
            if isinstance(hearing.decision, Whole) and lineage is not None and lineage.newest.creator:
                found.setdefault(lineage.newest.creator, set()).add(lineage.party_id)
    return found


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
    """The case of the source that is heard first, with those that are heard if it comes to nothing."""
    if not subject.lineages:
        return _Case(subject, _Hearing(None, Deny((_why_absent(subject),))))
    if subject.taken_back:
        return _Case(subject, _Hearing(subject.lineages[0], Deny((_TAKEN_BACK,))))
    hearings = [_hear(docket, subject, lineage) for lineage in subject.lineages]
    if stuck := _keeps_what_stands(docket, subject, hearings):
        return _Case(subject, stuck)
    final = [one for one in hearings if _is_final(one)]
    allowed = [one for one in hearings if one.allowed]
    if len(allowed) > 1:
        allowed.sort(key=_order(docket, subject))
    # where nothing comes of what is allowed, a writer is told why his own is not, and nothing of others'
    hearings.sort(key=lambda one: not _is_posted_here(one))
    refused = [one for one in hearings if _is_posted_here(one) and not one.allowed]
    first, *others = final or [*allowed, *refused] or hearings
    return _Case(subject, first, others if first.allowed else [])


def _is_posted_here(hearing: _Hearing) -> bool:
    return hearing.lineage is not None and hearing.lineage.provenance.posted_here


def _keeps_what_stands(docket: _Docket, subject: Subject, hearings: list[_Hearing]) -> _Hearing | None:
    """The hearing that could not be judged, where it keeps an object as it stands: an error never recalls, and it
    lets nobody else in instead. Of what does not stand, an error keeps out only its own source."""
    stuck = [one for one in hearings if isinstance(one.decision, Stuck)]
    if not stuck or (docket.stands(subject.id) is State.OUT and any(one.allowed for one in hearings)):
        return None
    if docket.stands(subject.id) is State.OUT and any(_is_posted_here(one) for one in hearings):
        return next((one for one in stuck if _is_posted_here(one)), None)  # a writer is told of his own alone
    if docket.stands(subject.id) is not State.WHOLE:
        return stuck[0]
    seqs = {version.seq for version in docket.standing[subject.id].versions.values()}
    vouching = [one for one in stuck if one.lineage and any(v.seq in seqs for v in one.lineage.versions)]
    return next(iter(vouching), None if any(one.allowed for one in hearings) else stuck[0])


def _is_final(hearing: _Hearing) -> bool:
    """Whether its creator's own node has revoked it: then nobody else is heard."""
    lineage = hearing.lineage
    return lineage is not None and lineage.newest.revoked and lineage.provenance.authentic


def _order(docket: _Docket, subject: Subject) -> Callable[[_Hearing], tuple[Any, ...]]:
    """Which source is heard first: authentic before asserted, whatever came first; nobody's mere
    assertion ends or redacts what others say; then the newest version, and of two contents what was posted here,
    for its writer is told of that and of nothing that waits beside it; then the lower hash.

    Of an observable, which has neither creator nor versions, the content that stands, and of one content whoever
    gave it to us before ourselves: else what we hold unpublished would show in what becomes of it.
    """
    here = docket.standing.get(subject.id)

    def key(hearing: _Hearing) -> tuple[Any, ...]:
        assert hearing.lineage is not None  # noqa: S101  (what has no lineage is not heard; for the type checker)
        newest, provenance = hearing.lineage.newest, hearing.lineage.provenance
        if not newest.versioned:
            stands = here is not None and newest.version_key in here.versions
            return (not stands, hearing.lineage.ours, not provenance.posted_here, newest.seq)
        later_first = tuple(-ord(character) for character in newest.version_key)
        merely_says = (newest.revoked, isinstance(hearing.decision, Copy))
        authentic = provenance.authentic
        return (
            not authentic,
            (False, False) if authentic else merely_says,
            (*later_first, 1),
            not provenance.posted_here,
            newest.sha256,
        )

    return key


def _hear(docket: _Docket, subject: Subject, lineage: Lineage) -> _Hearing:
    court = docket.court
    if subject.constant and subject.type not in FREE_TYPES:
        return _Hearing(lineage, Whole(()), free=True)  # who speaks for this node is told to everybody who asks
    naming = docket.creators.get(subject.id, set()) - {OURS}
    free = subject.constant or lineage.party_id in naming
    if subject.type in STATEMENTS and lineage.newest.seq in subject.pruned and not lineage.anchors:
        return _Hearing(lineage, Deny((_PRUNED,)))
    if far := _travelled_too_far(court, subject, lineage):
        return _Hearing(lineage, Deny((far,)))
    value, provenance = lineage.newest.value, lineage.provenance
    if free:
        decision = decide_creator(court.policy, court.settings, value, provenance, court.readers)
    else:
        decision = court.precedents.decide(value, provenance)
    if free and isinstance(decision, Copy):
        # who speaks is not redacted: a creator enters whole, or what names it does not enter whole either
        decision = Deny(decision.reasons)
    if lineage.newest.revoked and not lineage.provenance.posted_here:
        return _revoking(docket, subject, lineage, decision)
    return _Hearing(lineage, decision, free)


_TAKEN_BACK = Reason("withdrawn", "a person took it back; it stays out until it is published by name")
_PRUNED = Reason("pruned", "this collection no longer keeps it; it stays out until it is published by name")
_REVOKED = Reason("revoked", "its creator revoked it: that enters every log that holds the id, and no other")


def _revoking(docket: _Docket, subject: Subject, lineage: Lineage, decision: Decision) -> _Hearing:
    """A creator's revocation is not judged; where policy allows no more, it tells id, type and dates.

    What somebody else says was revoked is judged like anything else that he says.
    """
    stands = docket.stands(subject.id)
    if stands is State.OUT:
        return _Hearing(lineage, Deny((_REVOKED,)))
    if stands is State.WHOLE and isinstance(decision, Whole):
        return _Hearing(lineage, Whole((_REVOKED,)))
    if not lineage.provenance.authentic:
        return _Hearing(lineage, Deny(decision.reasons))
    if stands is State.COPY:
        return _Hearing(lineage, Copy(frozenset(GROUPS), frozenset(), (_REVOKED,)))
    bare = _bare(lineage.newest)
    return _Hearing(lineage, Deny((_REVOKED,)) if bare is None else Whole((_REVOKED,)), revocation=bare)


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
    """Why nothing is offered above `max_hops`, nor back to its only source; None where neither is so."""
    limit = court.configuration.settings.node.max_hops
    if lineage.hops > limit:
        return Reason("max-hops", f"it would be passed on for the {lineage.hops}th time; at most {limit}")
    origins = {one.provenance.origin for one in subject.lineages}
    names = {reader.name for reader in court.readers}
    if len(origins) == 1 and names == origins and not lineage.provenance.posted_here:
        return Reason("only-source", f"its only reader here, {min(names)}, is where it came from")
    return None


def _follow_incidents(docket: _Docket) -> None:
    """What was made with an incident is redacted as that is, and stuck where that is: else it would tell what the
    incident may not."""
    for case in docket.cases.values():
        case.hearing = _following(docket, case.hearing)
        case.others = [_following(docket, hearing) for hearing in case.others]


def _following(docket: _Docket, hearing: _Hearing) -> _Hearing:
    anchors = hearing.lineage.anchors if hearing.lineage is not None else frozenset()
    leading = [docket.cases[anchor].decision for anchor in sorted(anchors) if anchor in docket.cases]
    if not hearing.allowed or not leading:
        return hearing
    if stuck := next((decision for decision in leading if isinstance(decision, Stuck)), None):
        return replace(hearing, decision=stuck)
    redacting = [decision for decision in [hearing.decision, *leading] if isinstance(decision, Copy)]
    if not redacting:
        return hearing
    copy = Copy(
        groups=frozenset().union(*(decision.groups for decision in redacting)),
        keep=frozenset.intersection(*(decision.keep for decision in redacting)),
        reasons=tuple(dict.fromkeys(reason for decision in redacting for reason in decision.reasons)),
        pseudonyms=shortest(decision.pseudonyms for decision in redacting if "victim" in decision.groups),
    )
    return replace(hearing, decision=copy)


# --- settling: closure, and the copies -----------------------------------------------------------------------


def _settle(docket: _Docket) -> tuple[Settled, dict[str, RedactedCopy]]:
    """Closure and copies together, until nothing has to be heard again.

    A copy that cannot be made is out, and so is what names it whole. Who is named as creator by nothing that
    enters on the same word is out too, unless a rule lets him in. Where the source that is heard comes to
    nothing, the next one is: nobody keeps out what others may say by saying more himself. A case goes through
    each of its sources once, so it ends.
    """
    named_here = {target for case in docket.cases.values() for target in _may_name(case)}
    standing = {id_: docket.stands(id_) for id_ in named_here}
    unfounded: set[str] = set()
    while True:
        settled = settle(_candidates(docket, unfounded), standing)
        made, failed = _copies(docket, settled.states)
        heard = False
        for id_, state in settled.states.items():
            case = docket.cases[id_]
            if (state is State.OUT or case.barred) and case.others:
                case.hear_the_next()
                heard = True
        if heard:
            unfounded.clear()  # what is heard now may found what nothing did
        if heard or failed:
            continue
        fresh = _unfounded(docket, settled.states, made)
        if not fresh:
            break
        unfounded |= fresh
        for id_ in fresh:
            _judge_as_anybodys(docket, docket.cases[id_])
    for id_ in unfounded:
        case = docket.cases[id_]
        if case.free and case.lineage is not None:
            case.hearing = _by_rule(docket, case.lineage)
    return settled, made


def _judge_as_anybodys(docket: _Docket, case: _Case) -> None:
    """A creator of nothing that enters may still be let in by a rule, as anybody's identity."""
    if case.lineage is not None and (hearing := _by_rule(docket, case.lineage)).allowed:
        case.others.insert(0, hearing)


def _by_rule(docket: _Docket, lineage: Lineage) -> _Hearing:
    return _Hearing(lineage, docket.court.precedents.decide(lineage.newest.value, lineage.provenance))


def _copies(docket: _Docket, states: Mapping[str, State]) -> tuple[dict[str, RedactedCopy], bool]:
    """The copies of what should stand as one, and whether some turned out to be impossible."""
    made: dict[str, RedactedCopy] = {}
    failed = False
    for id_, state in states.items():
        case = docket.cases[id_]
        if state is not State.COPY or isinstance(case.decision, Stuck):
            continue
        try:
            made[id_] = _copy(docket, case, states)
        except CopyImpossible as why:
            case.barred = (Reason("copy", str(why)),)
            failed = True
    return made, failed


def _may_name(case: _Case) -> set[str]:
    """What any source's account of a case names, or was made with."""
    found: set[str] = set()
    for hearing in (case.hearing, *case.others):
        if hearing.lineage is not None:
            found |= hearing.lineage.newest.names | hearing.lineage.anchors
    return found


def _unfounded(docket: _Docket, states: Mapping[str, State], made: Mapping[str, RedactedCopy]) -> set[str]:
    """The identities that entered as creators of what then did not enter itself, or not on the same word."""
    free = [id_ for id_, case in docket.cases.items() if case.free and not case.subject.constant]
    if not any(states[id_] is not State.OUT for id_ in free):
        return set()
    founded = _founded(docket, states, made)
    return {id_ for id_ in free if states[id_] is not State.OUT and id_ not in founded}


def _founded(docket: _Docket, states: Mapping[str, State], made: Mapping[str, RedactedCopy]) -> set[str]:
    """What stands for its own sake, and beside it what needs no rule: the constants that it names, and the creator
    of what enters whole, on the word of who tells of both."""
    entering = {id_ for id_, state in states.items() if state is not State.OUT}
    free = {id_ for id_ in entering if docket.cases[id_].free}
    constant = {id_ for id_ in free if docket.cases[id_].subject.constant}
    told_by = {id_: case.lineage.party_id for id_ in free if (case := docket.cases[id_]).lineage is not None}

    def beside(id_: str) -> set[str]:
        case = docket.cases[id_]
        found = set(named(made[id_].value) if id_ in made else case.names) & constant
        creator = case.lineage.newest.creator if case.lineage is not None else None
        if creator in told_by and states[id_] is State.WHOLE:
            found |= {creator} if told_by[creator] in case.speakers(docket.standing) else set()
        return found

    wave = entering - free
    wave |= constant & (docket.newcomers.names | docket.named_elsewhere | docket.created_elsewhere.keys())
    for named_by in (docket.newcomers.creators, docket.created_elsewhere):
        wave |= {id_ for id_, party_id in told_by.items() if party_id in named_by.get(id_, ())}
    wave |= {id_ for id_ in free - wave if _stands_by_rule(docket, docket.cases[id_])}
    founded: set[str] = set()
    while wave:
        founded |= wave
        wave = {name for id_ in wave for name in beside(id_)} - founded
    return founded


def _candidates(docket: _Docket, unfounded: Set[str]) -> Iterable[Candidate]:
    back = _coming_back(docket)
    for id_, case in docket.cases.items():
        lineage = case.lineage
        if lineage is None or isinstance(case.decision, Stuck):
            yield Candidate(id_, docket.stands(id_) if isinstance(case.decision, Stuck) else State.OUT)
            continue
        yield Candidate(
            id=id_,
            best=State.OUT if id_ in unfounded else case.best,
            targets=case.targets,
            ours=lineage.ours and case.subject.type not in FREE_TYPES,
            as_posted=lineage.provenance.posted_here,
            anchors=lineage.anchors or back.get(id_, frozenset()),
        )


def _coming_back(docket: _Docket) -> dict[str, frozenset[str]]:
    """With what each thing that was pruned may stand again: with what names it and was not pruned itself, or comes
    back in turn."""
    gone = {id_ for id_, case in docket.cases.items() if case.pruned and case.subject.type not in STATEMENTS}
    if not gone:
        return {}
    naming: dict[str, set[str]] = {id_: set() for id_ in gone}
    for id_, case in docket.cases.items():
        for target in case.targets & gone - {id_}:
            naming[target].add(id_)
    wave = [id_ for id_, case in docket.cases.items() if not case.pruned and case.best is not State.OUT]
    reached = set(wave)
    while wave:
        targets = set().union(*(docket.cases[id_].targets for id_ in wave))
        wave = sorted(targets & gone - reached)
        reached |= set(wave)
    entered = gone & docket.newcomers.names
    nothing = frozenset({""})  # no id, so it never stands
    return {id_: frozenset(naming[id_]) if id_ in reached else nothing for id_ in gone - entered}


def _copy(docket: _Docket, case: _Case, states: Mapping[str, State]) -> RedactedCopy:
    id_, generation = docket.copy_id(case.subject.id)
    rewrite = _rewriting(docket, states)
    creator = docket.court.node.identity
    match case.decision:
        case Copy(groups=groups, keep=keep, pseudonyms=period):
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
                pseudonyms=_pseudonyms(docket.court, case, period),
            )
        case _:
            value, omitted = closed_copy(case.value, id=id_, creator=creator, rewrite=rewrite)
    return RedactedCopy(id_, generation, value, tuple(omitted))


def _pseudonyms(court: Court, case: _Case, period: int | None) -> tuple[str, ...]:
    """What stands for the victims of an incident of ours, where a policy asks for it."""
    if period is None or case.lineage is None or not case.lineage.ours or not case.subject.victims:
        return ()
    created = str(case.value["created"])
    return victim_pseudonyms(court.node.secret, court.collection_id, period, created, case.subject.victims)


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


async def _look_elsewhere(tx: Transaction, docket: _Docket) -> None:
    """What the rest of the collection names: what is judged here counts by how it will stand."""
    here = docket.court.collection_id
    judged = [*docket.cases, *(link.copy_id for id_ in docket.cases if (link := docket.links.get(id_)))]
    free = [id_ for id_, case in docket.cases.items() if any(one.free for one in (case.hearing, *case.others))]
    definitions = sorted(id_ for id_ in free if id_.partition("--")[0] in FREE_TYPES)
    creators = sorted(set(free) - set(definitions))
    docket.named_elsewhere = await releases.named_by_standing(tx, here, definitions, without=judged)
    docket.created_elsewhere = await releases.creators_standing(tx, here, creators, without=judged)


def _drop_unnamed(
    docket: _Docket, states: Mapping[str, State], made: Mapping[str, RedactedCopy]
) -> dict[str, State]:
    """What needs no rule stands only as long as something that stands for its own sake names it."""
    free = {id_ for id_, state in states.items() if state is not State.OUT and docket.cases[id_].free}
    gone = free - _founded(docket, states, made) if free else free
    return {id_: State.OUT if id_ in gone else state for id_, state in states.items()}


def _stands_by_rule(docket: _Docket, case: _Case) -> bool:
    """Whether a rule lets in, for its own sake, what would otherwise stand only because it is named; an error in
    one recalls nothing. A definition needs no rule, so it stands where a writer posted it: clients post it before
    what names it, in an envelope of its own (stix2, MISP)."""
    if case.lineage is None or case.lineage.newest.seq in case.subject.pruned:
        return False
    if case.subject.type in FREE_TYPES:
        return case.lineage.provenance.posted_here
    court = docket.court
    if court.settings.direct:
        return False  # nothing is there but what a person shared, and who is named as its creator
    decision = court.precedents.decide(case.value, case.lineage.provenance)
    stands = docket.stands(case.subject.id) is not State.OUT
    return isinstance(decision, Whole) or (isinstance(decision, Stuck) and stands)


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
    elif state is State.OUT and case.best is not State.OUT and case.anchors:
        reasons = (*reasons, Reason("company", "the incident that it was made with does not stand here"))
    if case.pruned and state is State.OUT and _PRUNED not in reasons:
        reasons = (*reasons, _PRUNED)
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
        revocation=case.hearing.revocation,
        waits_for=waits_for,
    )


def _entering(docket: _Docket, case: _Case) -> tuple[HeldVersion, ...]:
    """The versions of the heard source that may stand: the newest, which was judged, and older ones that stand
    already. A writer's older version enters too, where policy would have let it in by itself; nothing enters
    beside a revocation."""
    if case.lineage is None:
        return ()
    *older, newest = case.lineage.versions
    here = docket.standing.get(case.subject.id)
    stands = {version.seq for version in here.versions.values()} if here is not None else set()
    kept = [version for version in older if version.seq in stands]
    if case.lineage.provenance.posted_here and not newest.revoked:
        court, provenance = docket.court, case.lineage.provenance
        kept = [
            version
            for version in older
            if version.seq in stands
            or (
                version.seq not in case.subject.pruned
                and isinstance(court.precedents.decide(version.value, provenance), Whole)
            )
        ]
    return (*kept, newest)


_RANK = ("extension-definition", "marking-definition", "identity")


def rank(kind: str) -> int:
    """The place of a type when several objects enter at once: what is named before what names it."""
    if kind in _RANK:
        return _RANK.index(kind)
    return len(_RANK) + (kind in ("relationship", "sighting"))
