"""Fetches: what parties were really sent, as evidence: which entries of which log, and when.

What is sent is noted in memory and written down within a second, so no request waits for it. A process that is
killed takes the last second of it along: evidence is lost then, and nothing else. Asking on and on makes one row
longer; `whole` is false where the question left entries out, so that not all in between were sent. Who asks
again within a minute for what he was sent already is not noted again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from tocsin.store.tables import fetch
from tocsin.store.transaction import Store, Transaction

_MOST = 50_000  # stretches waiting to be written, where the database does not answer: then the oldest are lost
_AGAIN = 60 * 1_000_000  # µs until the same stretch is noted again


@dataclass(frozen=True, slots=True)
class Fetch:
    """A stretch of a log that a party was sent, and from when to when (µs, the clock as it was noted)."""

    party_id: str
    collection_id: str
    first_position: int
    last_position: int
    whole: bool
    began: int
    ended: int


@dataclass(slots=True)
class _Stretch:
    after: int  # what the party had read up to: nothing was offered between it and `first`
    first: int
    last: int

    def continues(self, other: "_Stretch") -> bool:
        return other.first <= self.first and self.after <= other.last


_Key = tuple[str, str, bool]  # party, collection, whole


class Fetches:
    """What was sent and is not written down yet. Belongs to one process."""

    def __init__(self) -> None:
        self._waiting: dict[_Key, list[_Stretch]] = {}
        self._written: dict[_Key, tuple[_Stretch, int]] = {}  # the last stretch of each, and when

    def note(
        self, party_id: str, collection_id: str, *, after: int | None, first: int, last: int, whole: bool
    ) -> None:
        """A party was sent entries from `first` to `last`, having asked for what follows `after` (None: all)."""
        key = (party_id, collection_id, whole)
        new = _Stretch(first if after is None or not whole else min(after, first), first, last)
        stretches = self._waiting.setdefault(key, [])
        if stretches and new.continues(stretches[-1]):
            stretches[-1].last = max(stretches[-1].last, new.last)
            return
        stretches.append(new)
        if len(stretches) > _MOST:
            del stretches[0]

    async def flush(self, store: Store) -> int:
        """Write down what waits; how many stretches. Raises Unavailable, and then all of it goes on waiting."""
        waiting = {key: list(stretches) for key, stretches in self._waiting.items()}
        if not waiting:
            return 0
        self._waiting = {}
        count = 0
        try:
            async with store.writing() as tx:
                now = await tx.now()
                news = {key: self._news(key, stretches, now) for key, stretches in waiting.items()}
                for key, stretches in news.items():
                    for one in stretches:
                        await _write(tx, key, one, now)
                        count += 1
        except BaseException:
            for key, stretches in waiting.items():
                self._waiting[key] = [*stretches, *self._waiting.get(key, [])]
            raise
        for key, stretches in news.items():
            if stretches:
                self._written[key] = (stretches[-1], now)
        return count

    def _news(self, key: _Key, stretches: Iterable[_Stretch], now: int) -> list[_Stretch]:
        """Those that say more than what was written a moment ago."""
        known, at = self._written.get(key, (None, 0))
        if known is None or now - at > _AGAIN:
            return list(stretches)
        return [one for one in stretches if one.first < known.first or one.last > known.last]


async def _write(tx: Transaction, key: _Key, one: _Stretch, now: int) -> None:
    party_id, collection_id, whole = key
    f = fetch.c
    of_party = (f.party_id == party_id) & (f.collection_id == collection_id) & (f.whole == whole)
    continued = (
        select(f.seq, f.last_position)
        .where(of_party, f.first_position <= one.first, f.last_position >= one.after)
        .order_by(f.seq.desc())
        .limit(1)
    )
    row = (await tx.connection.execute(continued)).one_or_none()
    if row is not None:
        longer = {"last_position": max(row.last_position, one.last), "ended": now}
        await tx.connection.execute(update(fetch).where(f.seq == row.seq).values(**longer))
        return
    values = {
        "party_id": party_id,
        "collection_id": collection_id,
        "first_position": one.first,
        "last_position": one.last,
        "whole": whole,
        "began": now,
        "ended": now,
    }
    await tx.connection.execute(insert(fetch).values(**values))


async def fetches(
    tx: Transaction, *, party_id: str | None = None, collection_id: str | None = None
) -> list[Fetch]:
    """What is noted, in the order in which it began."""
    f = fetch.c
    wanted = select(fetch).order_by(f.seq)
    if party_id is not None:
        wanted = wanted.where(f.party_id == party_id)
    if collection_id is not None:
        wanted = wanted.where(f.collection_id == collection_id)
    return [
        Fetch(
            row.party_id,
            row.collection_id,
            row.first_position,
            row.last_position,
            row.whole,
            row.began,
            row.ended,
        )
        for row in await tx.connection.execute(wanted)
    ]
