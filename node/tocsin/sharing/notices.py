"""Notices: whom a withdrawal or revocation concerns, who has answered, who is late, and who cannot be told.

Offered counts as received: whoever had a grant of reading while an entry stood is its recipient, whether or not he
fetched it. Of what is then taken back he is told until he acknowledges it; also after his grant has ended, as long
as he stands in `tocsin.yaml`. Who reads TAXII alone finds an object gone, and cannot be told. Definitions (of
markings, of extensions) come and go with what names them, and are nobody's to answer for.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tocsin.policy.configuration import Configuration
from tocsin.sharing.node import OURS
from tocsin.stix.objects import FREE_TYPES
from tocsin.store import acknowledgements as answers
from tocsin.store import audit, copies, grants, objects, pages, parties, peers, releases, withdrawals
from tocsin.store.acknowledgements import Acknowledgement, Done, Owed, Shown, Taking
from tocsin.store.log import Entry
from tocsin.store.objects import HeldVersion
from tocsin.store.pages import ChangePage, ChangeRow
from tocsin.store.parties import Party
from tocsin.store.transaction import Transaction

LATE_AFTER = 24 * 3600 * 1_000_000  # µs that a node has to answer before a person is told
_CREATORS = "its creator's own node, "
STILL_STANDS = "a collection here still shows it, and cannot be judged now"

Granted = Collection[tuple[int, int | None]]  # first and last positions; last None: it holds
How = Literal["acknowledged", "waiting", "cannot be told"]

_GONE = ("withdraw", "prune")
_PAGE = 500  # of what one log took back, looked at in one go


# --- who was shown what (pure) -------------------------------------------------------------------------------


def was_shown(taking: Taking, entries: Sequence[Shown], granted: Granted) -> bool:
    """Whether what is taken back was shown to a reader with these grants. `entries`: the log about its object.

    Of a withdrawal it counts when this very content stood, and was not withdrawn before; a revocation concerns
    whoever was shown any version of the object.
    """
    before = [one for one in entries if one.position < taking.position]
    if taking.op == "revoke":
        return any(one.op == "put" and _stood_in(one, entries, granted) for one in before)
    shown = False
    for one in before:
        if one.version_key == taking.version_key:
            if one.op in _GONE:
                shown = False
            elif one.version_seq == taking.version_seq:
                shown = shown or _stood_in(one, entries, granted)
    return shown


def _stood_in(entry: Shown, entries: Iterable[Shown], granted: Granted) -> bool:
    """Whether an entry stood in one of the grants: it stands until the next one of its version."""
    later = (one for one in entries if one.version_key == entry.version_key and one.position > entry.position)
    until = min((one.position for one in later), default=None)
    return any(
        (until is None or until > first) and (last is None or entry.position <= last) for first, last in granted
    )


# --- what former readers are told ----------------------------------------------------------------------------


async def granted_to(tx: Transaction, party_id: str, collection_id: str) -> list[tuple[int, int | None]]:
    """Every grant of reading one log that a party ever had."""
    given = await grants.grants(tx, party_id=party_id, collection_id=collection_id)
    return [(grant.first_position, grant.last_position) for grant in given if grant.role == "reader"]


async def read_notices(tx: Transaction, collection_id: str, party_id: str, after: int, limit: int) -> ChangePage:
    """The log as a former reader is told of it: what was taken back of all that he was shown, and he has not
    acknowledged; names alone."""
    granted = await granted_to(tx, party_id, collection_id)
    answered = await answers.acknowledgements(tx, collection_id, party_id=party_id)
    rows: list[ChangeRow] = []
    while len(rows) <= limit and (found := await answers.takings(tx, collection_id, after=after, limit=_PAGE)):
        after = found[-1].position
        shown = await _shown(tx, collection_id, found, granted)
        rows += [_row(taking) for taking in shown if (party_id, taking.position) not in answered]
    return ChangePage(rows[:limit], len(rows) > limit)


async def has_heard(tx: Transaction, collection_id: str, party_id: str, position: int) -> bool:
    """Whether a former reader can have a position from this log: he read up to there, or was told of it since."""
    granted = await granted_to(tx, party_id, collection_id)
    ended = max((last for _, last in granted if last is not None), default=0)
    if position == 0 or (position <= ended and await pages.was_told(tx, collection_id, position, granted=granted)):
        return True
    at = await answers.takings(tx, collection_id, positions=[position])
    return bool(await _shown(tx, collection_id, at, granted))


async def _shown(tx: Transaction, collection_id: str, takings: Sequence[Taking], granted: Granted) -> list[Taking]:
    """Those that concern a reader with these grants."""
    wanted = [taking for taking in takings if taking.type not in FREE_TYPES]
    entries = await answers.shown(tx, collection_id, {taking.object_id for taking in wanted})
    return [taking for taking in wanted if was_shown(taking, entries[taking.object_id], granted)]


def _row(taking: Taking) -> ChangeRow:
    return ChangeRow(
        taking.position,
        taking.op,
        taking.object_id,
        taking.type,
        taking.version,
        taking.version_key,
        taking.spec_version,
        taking.sha256,
        taking.form,
        taking.hops,
        None,
    )


# --- logs that are no longer in the file ---------------------------------------------------------------------


async def leave_closed_logs(
    tx: Transaction, configuration: Configuration, object_ids: Collection[str], now: int
) -> None:
    """Withdraw objects, and copies of them, from the logs of collections that are no longer in `tocsin.yaml`.

    Nothing is judged for these any more, and nobody reads them; but who once did is to be told. The caller says
    which objects are to go.
    """
    for row in await releases.collections(tx):
        if row.key in configuration.settings.collections or not row.standing:
            continue
        links = await copies.copies_of(tx, row.id, object_ids)
        standing = await releases.standing(tx, row.id, [*object_ids, *(link.copy_id for link in links.values())])
        entries = [
            Entry("withdraw", id_, id_.partition("--")[0], None, None, where.form, 0)
            for id_, where in sorted(standing.items())
        ]
        await releases.append(tx, row.id, entries, configuration.sha256, now)
        await objects.forget_unheld(tx, standing)


# --- what readers answer -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What a reader says of one entry: what it did with it, why, and how many of its own readers are open."""

    position: int
    object_id: str
    outcome: Done
    reason: str
    open: int


async def take_answers(
    tx: Transaction, configuration: Configuration, collection_id: str, party: Party, said: Sequence[Said], now: int
) -> list[Said]:
    """Note what a reader says; what speaks of no entry that it was told of is left out of what is given back.

    What it thereby settles of our own answers to others is owed anew.
    """
    granted = await granted_to(tx, party.id, collection_id)
    holds = any(last is None for _, last in granted)
    at = await answers.takings(tx, collection_id, positions=[one.position for one in said])
    told = {one.position for one in await _shown(tx, collection_id, at, granted)}
    told |= {one.position for one in at if one.op == "revoke" and holds}  # it is told as whatever else stands
    names = {one.position: one.object_id for one in at if one.position in told}
    taken = [one for one in said if names.get(one.position) == one.object_id]
    new = await answers.put(
        tx,
        [
            Acknowledgement(
                party.id, collection_id, one.position, one.object_id, one.outcome, one.reason, one.open, now
            )
            for one in taken
        ],
    )
    if new:
        details: dict[str, object] = {"collection": collection_id}
        details |= Counter(one.outcome for one in new)
        await audit.append(tx, "acknowledged", party.name, details, now)
        await recount(tx, configuration, {one.object_id for one in new})
        await answers.hasten(tx, now)
    return taken


# --- the account of it ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recipient:
    """One who was offered what was taken back. `why`: he cannot be told; `open`: of those that he passed it on to,
    how many have not answered him. `answered` in µs."""

    party_id: str
    name: str
    contact: str | None
    former: bool
    how: How
    why: str = ""
    fetched: bool = False
    late: bool = False
    outcome: Done | None = None
    reason: str = ""
    open: int = 0
    answered: int | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """An object that a log took back at one moment, with all that stood of it, and everybody whom it concerns.

    `collection` is the key; `because`: why a person took it back, for this node's people; `original_id`: what it
    is a redacted copy of, which readers do not know, or its own id.
    """

    collection: str
    takings: tuple[Taking, ...]
    recipients: tuple[Recipient, ...]
    original_id: str
    because: str | None = None

    @property
    def object_id(self) -> str:
        return self.takings[0].object_id

    @property
    def op(self) -> Literal["withdraw", "revoke"]:
        return self.takings[0].op

    @property
    def since(self) -> int:
        return self.takings[0].released

    @property
    def late(self) -> bool:
        return any(one.late for one in self.recipients)


async def account(
    tx: Transaction,
    configuration: Configuration,
    *,
    object_ids: Iterable[str] | None = None,
    late_after: int = LATE_AFTER,
) -> list[Notice]:
    """What was taken back (of some objects only, if given), the latest first; nothing that nobody was offered."""
    ids = None if object_ids is None else list(object_ids)
    people = {party.id: party for party in await parties.parties(tx)}
    now = await tx.now()
    notices: list[Notice] = []
    for row in await releases.collections(tx):
        log = await _log(tx, configuration, row.id, people)
        if log.granted:
            notices += [replace(one, collection=row.key) for one in await _of_log(tx, log, ids, now, late_after)]
    links = await copies.originals_of(tx, {notice.object_id for notice in notices})
    notices = [
        replace(one, original_id=links[one.object_id].original_id) if one.object_id in links else one
        for one in notices
    ]
    because = await withdrawals.withdrawals(tx, {notice.original_id for notice in notices})
    said = [replace(one, because=_because(one, because.get(one.original_id, {}))) for one in notices]
    return sorted(said, key=lambda notice: (-notice.since, notice.collection, notice.object_id))


def _because(notice: Notice, words: Mapping[str, withdrawals.Withdrawal]) -> str | None:
    word = words.get(notice.takings[0].collection_id) or words.get(withdrawals.EVERYWHERE)
    return word.reason if word is not None and word.at <= notice.since else None


@dataclass(frozen=True, slots=True)
class _Log:
    """One log, and what is known of whoever was ever its reader."""

    configuration: Configuration
    id: str
    people: Mapping[str, Party]
    granted: Mapping[str, Granted]  # by party id
    reads_changes: frozenset[str]
    fetched: Mapping[str, Sequence[tuple[int, int]]]
    foreign: frozenset[str]
    pushed: frozenset[str]

    def cannot_be_told(self, party: Party) -> str:
        """Why a party cannot be told; '' if it can be, or it is not known yet how it reads."""
        if self.configuration.settings.party(party.name) is None:
            return "no longer in tocsin.yaml"
        if party.id in self.reads_changes:
            return ""
        if party.id in self.pushed:
            return "we add it to a collection there"
        if party.id in self.foreign:
            return "a foreign TAXII server"
        if party.kind == "account" or party.id in self.fetched:
            return "reads TAXII alone"
        return ""

    def recipient(
        self,
        party: Party,
        concerns: Sequence[Taking],
        answered: Mapping[tuple[str, int], Acknowledgement],
        late_at: int,
    ) -> Recipient:
        """How one party stands with the entries about one object that concern it."""
        settings = self.configuration.settings.party(party.name)
        stretches = self.fetched.get(party.id, ())
        base = Recipient(
            party_id=party.id,
            name=party.name,
            contact=settings.contact if settings else None,
            former=all(last is not None for _, last in self.granted[party.id]),
            how="acknowledged",
            fetched=all(any(first <= one.position <= last for first, last in stretches) for one in concerns),
        )
        said = [one for taking in concerns if (one := answered.get((party.id, taking.position)))]
        if len(said) == len(concerns):
            worst = max(said, key=lambda one: (_WORSE.index(one.outcome), one.at))
            return replace(
                base,
                outcome=worst.outcome,
                reason=worst.reason,
                open=max(one.open for one in said),
                answered=max(one.at for one in said),
            )
        if why := self.cannot_be_told(party):
            return replace(base, how="cannot be told", why=why)
        return replace(base, how="waiting", late=concerns[0].released < late_at)


_WORSE: Sequence[Done] = ("purged", "retained", "refused")


async def _log(
    tx: Transaction, configuration: Configuration, collection_id: str, people: Mapping[str, Party]
) -> _Log:
    granted: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    for grant in await grants.grants(tx, collection_id=collection_id):
        if grant.role == "reader":
            granted[grant.party_id].append((grant.first_position, grant.last_position))
    reads = await answers.readers_of_changes(tx, collection_id, granted)
    foreign = {pull.party_id for pull in await peers.pulls(tx) if pull.protocol == "taxii"}
    return _Log(
        configuration=configuration,
        id=collection_id,
        people=people,
        granted=granted,
        reads_changes=frozenset(party_id for party_id, _ in reads),
        fetched=await answers.fetched(tx, collection_id),
        foreign=frozenset(foreign),
        pushed=frozenset(party_id for party_id, pushed in await answers.pushed(tx) if pushed == collection_id),
    )


async def _of_log(
    tx: Transaction, log: _Log, object_ids: Sequence[str] | None, now: int, late_after: int
) -> list[Notice]:
    groups: dict[tuple[str, str, int], list[tuple[Taking, set[str]]]] = defaultdict(list)
    answered: dict[tuple[str, int], Acknowledgement] = {}
    after = 0
    while found := await answers.takings(tx, log.id, after=after, limit=_PAGE, object_ids=object_ids):
        after = found[-1].position
        entries = await answers.shown(tx, log.id, {taking.object_id for taking in found})
        answered |= await answers.acknowledgements(tx, log.id, positions=[one.position for one in found])
        for taking in found:
            if taking.type in FREE_TYPES:
                continue
            about = entries[taking.object_id]
            concerns = {id_ for id_, granted in log.granted.items() if was_shown(taking, about, granted)}
            groups[taking.object_id, taking.op, taking.released].append((taking, concerns))
    notices = []
    for group in groups.values():
        concerned = sorted({id_ for _, ids in group for id_ in ids}, key=lambda id_: log.people[id_].name)
        recipients = tuple(
            log.recipient(
                log.people[id_], [taking for taking, ids in group if id_ in ids], answered, now - late_after
            )
            for id_ in concerned
        )
        if recipients:
            takings = tuple(taking for taking, _ in group)
            notices.append(Notice("", takings, recipients, takings[0].object_id))
    return notices


@dataclass(frozen=True, slots=True)
class Late:
    """What was not answered in time: how many objects that were taken back, and to how many of them each node owes
    an answer, by party id."""

    objects: int
    by_party: Counter[str]


async def late(tx: Transaction, configuration: Configuration, *, late_after: int = LATE_AFTER) -> Late:
    """The same as `account` says, counted: what is answered, or concerns nobody who can be told, is passed over by
    the database."""
    people = {party.id: party for party in await parties.parties(tx)}
    before = await tx.now() - late_after
    objects_, by_party = 0, Counter[str]()
    for row in await releases.collections(tx):
        log = await _log(tx, configuration, row.id, people)
        owing = await _owing(tx, log, before)
        objects_ += len(owing)
        by_party.update(party_id for ids in owing.values() for party_id in ids)
    return Late(objects_, by_party)


async def _owing(tx: Transaction, log: _Log, before: int) -> dict[tuple[str, str, int], set[str]]:
    """By what one log took back before a moment, who could be told, was shown it, and has not answered."""
    told = {id_: granted for id_, granted in log.granted.items() if not log.cannot_be_told(log.people[id_])}
    firsts = {id_: min(first for first, _ in granted) for id_, granted in told.items()}
    owing: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    after = 0
    while firsts and (
        found := await answers.unanswered(tx, log.id, firsts, before=before, after=after, limit=_PAGE)
    ):
        after = found[-1].position
        wanted = [taking for taking in found if taking.type not in FREE_TYPES]
        entries = await answers.shown(tx, log.id, {taking.object_id for taking in wanted})
        answered = await answers.acknowledgements(tx, log.id, positions=[taking.position for taking in wanted])
        for taking in wanted:
            about = entries[taking.object_id]
            concerns = {
                id_
                for id_, granted in told.items()
                if (id_, taking.position) not in answered and was_shown(taking, about, granted)
            }
            if concerns:
                owing[taking.object_id, taking.op, taking.released] |= concerns
    return owing


async def still_held(tx: Transaction, configuration: Configuration, party_id: str) -> int:
    """How many objects a party was offered and may still hold, as far as this node knows."""
    held: set[str] = set()
    for row in await releases.collections(tx):
        if granted := await granted_to(tx, party_id, row.id):
            reach = max(row.last_position if last is None else last for _, last in granted)
            held |= await answers.standing_up_to(tx, row.id, reach)
    for notice in await account(tx, configuration):
        if any(one.party_id == party_id and one.how != "acknowledged" for one in notice.recipients):
            held.add(notice.object_id)
    return len(held)


# --- what we owe to those we read from -----------------------------------------------------------------------


async def recount(tx: Transaction, configuration: Configuration, object_ids: Collection[str]) -> None:
    """Owe anew what has changed of our answers about these objects, or about what they are copies of."""
    originals = {link.original_id for link in (await copies.originals_of(tx, object_ids)).values()}
    if about := await answers.owed_about(tx, {*object_ids, *originals}):
        await answers.owe(tx, await answered(tx, configuration, about))


async def answered(
    tx: Transaction, configuration: Configuration, owed: Sequence[Owed], *, first: bool = False
) -> list[Owed]:
    """These answers as things stand now. `first`: it was just carried out, and is answered for the first time.

    Later a purged object stays purged, whoever brings it again; and of what a peer offers again its old word is no
    longer answered anew.
    """
    ids = sorted({one.object_id for one in owed})
    held = {
        (version.id, version.sha256): version
        for versions in (await objects.offered(tx, ids)).values()
        for version in versions
    }
    newest = await objects.newest(tx, ids)
    people = {party.id: party for party in await parties.parties(tx)}
    waiting = await _waiting(tx, configuration, ids)
    shown = await _still_shown(tx, ids)
    found = []
    for one in owed:
        version, whose = held.get((one.object_id, one.sha256)), people[one.party_id]
        may_change = first or one.outcome == "retained" or one.reason.startswith(_CREATORS)
        outcome, reason = one.outcome, one.reason
        if version is not None and any(_is_of(source, one) for source in version.sources):
            if may_change and version.revoked:
                outcome, reason = _ended(newest[one.object_id], people)
        elif may_change:
            nobodys = one.object_id not in newest
            stands = (one.object_id, one.sha256) in shown or (nobodys and (one.object_id, None) in shown)
            outcome, reason = _done(version, whose, people, stands=stands)
        found.append(replace(one, outcome=outcome, reason=reason, open=len(waiting.get(one.object_id, ()))))
    return found


def _is_of(source: objects.Source, one: Owed) -> bool:
    return source.party_id == one.party_id and source.collection_id.endswith(f":{one.collection_id}")


def _done(
    version: HeldVersion | None, whose: Party, people: Mapping[str, Party], *, stands: bool
) -> tuple[Done, str]:
    """What became here of a version that `whose` withdrew."""
    sources = version.sources if version is not None else ()
    if any(source.party_id == OURS and source.collection_id == OURS for source in sources):
        return "refused", "it is ours"
    others = [source for source in sources if source.party_id != OURS]
    if version is not None and others:
        best = next((source for source in others if source.authentic), others[0])
        if best.authentic and whose.identity_id not in (version.creator, version.id):
            return "refused", f"{_CREATORS}{_named(people[best.party_id])}, offers it"
        again = " in another collection" if best.party_id == whose.id else ""
        return "retained", f"held on the word of {_named(people[best.party_id])}{again}"
    return ("retained", STILL_STANDS) if stands else ("purged", "")


def _ended(newest: HeldVersion, people: Mapping[str, Party]) -> tuple[Done, str]:
    """What became here of an object that was revoked, by the version of it that is now in force."""
    if newest.revoked:
        return "purged", ""
    others = [people[source.party_id] for source in newest.sources if source.party_id != OURS]
    return ("retained", f"held on the word of {_named(others[0])}") if others else ("refused", "it is ours")


def _named(party: Party) -> str:
    """A peer by our name for it; who posts here is nobody else's affair."""
    return party.name if party.kind == "peer" else "a writer here"


async def _waiting(tx: Transaction, configuration: Configuration, ids: Sequence[str]) -> dict[str, set[str]]:
    """By object, our own readers who have not answered what we took back of it, or of a copy of it."""
    original: dict[str, str] = {id_: id_ for id_ in ids}
    for row in await releases.collections(tx):
        for id_, link in (await copies.copies_of(tx, row.id, ids)).items():
            original[link.copy_id] = id_
    waiting: dict[str, set[str]] = defaultdict(set)
    for notice in await account(tx, configuration, object_ids=original):
        who = {one.party_id for one in notice.recipients if one.how == "waiting"}
        waiting[original[notice.object_id]] |= who
    return waiting


async def _still_shown(tx: Transaction, ids: Sequence[str]) -> set[tuple[str, str | None]]:
    """What of the objects stands in a log of ours, as (id, SHA-256); (id, None): a copy of it."""
    shown: set[tuple[str, str | None]] = {
        (id_, version.sha256)
        for id_, places in (await releases.standing_everywhere(tx, ids)).items()
        for where in places.values()
        for version in where.versions.values()
    }
    for row in await releases.collections(tx):
        links = await copies.copies_of(tx, row.id, ids)
        standing = await releases.standing(tx, row.id, [link.copy_id for link in links.values()])
        shown |= {(id_, None) for id_, link in links.items() if link.copy_id in standing}
    return shown
