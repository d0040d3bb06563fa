"""Disclosures: who was offered an object, from when to when, under which rule; what was fetched and acknowledged.

Offered counts as received: whoever was entitled to a log while an entry stood in it is its recipient. That follows
from the log and the grants, former readers included. What was fetched is evidence beside it: noted by stretches of
the log, and lost for the last second before a kill.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from tocsin.store import acknowledgements, copies, fetches, grants, parties, releases
from tocsin.store.fetches import Fetch
from tocsin.store.grants import Grant
from tocsin.store.parties import Party
from tocsin.store.spans import Offer, Span, offers, spans
from tocsin.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One version of an object, as one reader was offered it. Times in µs; `until` None: it still is.

    `copy_of`: the original, where a redacted copy was offered, and `omitted` what that leaves out. `fetched`: from
    and to when a stretch of the log with it was sent to him, `whole` if nothing in that stretch was left out.
    """

    collection: str
    reader: str
    object_id: str
    version_key: str
    form: str
    position: int
    since: int
    until: int | None
    rules: tuple[str, ...]
    configuration_sha256: str
    copy_of: str | None
    omitted: tuple[str, ...]
    fetched: tuple[int, int] | None
    whole: bool
    acknowledged: str | None  # what he said he did when it was taken back: purged, retained, refused


async def disclosures(tx: Transaction, object_id: str) -> list[Disclosure]:
    """To whom an object, or redacted copies of it, were ever offered, in the order of the log."""
    original = (await copies.originals_of(tx, [object_id])).get(object_id)
    source = original.original_id if original else object_id
    links = {link.copy_id: link for link in await copies.all_copies_of(tx, source)}
    stood = await spans(tx, [source, *links])
    given = [grant for grant in await grants.grants(tx) if grant.role == "reader"]
    noted = {span.collection_id: await fetches.fetches(tx, collection_id=span.collection_id) for span in stood}
    answers = {id_: await acknowledgements.acknowledgements(tx, id_) for id_ in noted}
    names = {party.id: party.name for party in await parties.parties(tx)}
    keys = {row.id: row.key for row in await releases.collections(tx)}
    found = []
    for span in stood:
        link = links.get(span.object_id)
        for grant in given:
            if grant.collection_id != span.collection_id or not _offered(span, grant):
                continue
            taken_back = span.ended_position if span.ended_position is not None else -1
            answer = answers[span.collection_id].get((grant.party_id, taken_back))
            offer = Offer(
                span,
                source if link else None,
                link.omitted if link else (),
                answer.outcome if answer else None,
            )
            evidence = noted[span.collection_id]
            found.append(_disclosure(offer, grant, keys[span.collection_id], names[grant.party_id], evidence))
    return found


async def offered_to(tx: Transaction, party: Party, *, since: int = 0) -> AsyncGenerator[Disclosure, None]:
    """All that one reader was ever offered and that still stood for him at `since` (µs) or later, log by log.

    Each log is read once, and few of its entries are in memory at a time, beside the notes of what was sent of it.
    """
    keys = {row.id: row.key for row in await releases.collections(tx)}
    given = [one for one in await grants.grants(tx, party_id=party.id) if one.role == "reader"]
    for collection_id, key in sorted(keys.items(), key=lambda one: one[1]):
        here = [one for one in given if one.collection_id == collection_id]
        if not here:
            continue
        ends = [one.last_position for one in here]
        up_to = _NO_END if None in ends else max(end for end in ends if end is not None)
        sent = _Sweep(await fetches.fetches(tx, party_id=party.id, collection_id=collection_id))
        async with aclosing(offers(tx, collection_id, party.id, up_to)) as found:
            async for offer in found:
                near = sent.at(offer.span.position)
                for grant in here:
                    if _offered(offer.span, grant):
                        one = _disclosure(offer, grant, key, party.name, near)
                        if one.until is None or one.until >= since:
                            yield one


_NO_END = 2**63 - 1


class _Sweep:
    """What was sent of one log, asked for by ascending positions: only the stretches about each are looked at."""

    def __init__(self, noted: Iterable[Fetch]) -> None:
        self._to_come = sorted(noted, key=lambda one: one.first_position, reverse=True)
        self._near: list[Fetch] = []

    def at(self, position: int) -> list[Fetch]:
        self._near = [one for one in self._near if one.last_position >= position]
        while self._to_come and self._to_come[-1].first_position <= position:
            self._near.append(self._to_come.pop())
        return self._near


def _disclosure(offer: Offer, grant: Grant, key: str, reader: str, noted: Iterable[Fetch]) -> Disclosure:
    span = offer.span
    since, until = _from_to(span, grant)
    evidence = _fetched(span, grant, noted, until)
    return Disclosure(
        collection=key,
        reader=reader,
        object_id=span.object_id,
        version_key=span.version_key,
        form=span.form,
        position=span.position,
        since=since,
        until=until,
        rules=span.rules,
        configuration_sha256=span.configuration_sha256,
        copy_of=offer.copy_of,
        omitted=offer.omitted,
        fetched=(evidence.began, evidence.ended) if evidence else None,
        whole=evidence is not None and evidence.whole,
        acknowledged=offer.acknowledged,
    )


def _offered(span: Span, grant: Grant) -> bool:
    """Whether the entry stood while the grant held, by positions: clocks may go back."""
    began_in_time = grant.last_position is None or span.position <= grant.last_position
    return began_in_time and (span.ended_position is None or span.ended_position > grant.first_position)


def _from_to(span: Span, grant: Grant) -> tuple[int, int | None]:
    ends = [end for end in (span.ended, grant.ended) if end is not None]
    return max(span.released, grant.given), min(ends, default=None)


def _fetched(span: Span, grant: Grant, noted: Iterable[Fetch], until: int | None) -> Fetch | None:
    """The best evidence that this entry was sent to this reader."""
    fitting = [
        one
        for one in noted
        if one.party_id == grant.party_id
        and one.first_position <= span.position <= one.last_position
        and (until is None or one.began <= until)
    ]
    return min(fitting, key=lambda one: (not one.whole, one.began), default=None)
