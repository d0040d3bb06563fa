"""Log: what an append does to a collection's release log. Pure; `releases` carries it out.

Positions rise strictly, by at least `STEP` µs, and look like the time. Of each object the versions
that stand have one *current* entry each, and the greatest of them is *last*. An entry becomes last only when it
is written, so whoever reads the last entries in order misses none: what has to become last again, because what
came after it was withdrawn, is written again.

What a reader finds at the end of each write stands on a whole millisecond. Clients that keep the date of what they
read last in milliseconds (OpenCTI) would otherwise ask for it again at every poll, for ever.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

STEP = 20  # µs; more than clients lose when they round a date
MILLISECOND = 1000  # µs

Op = Literal["put", "revoke", "withdraw", "prune"]
Form = Literal["whole", "copy"]


class Entry(NamedTuple):
    """One thing to write into a log: `put` and `revoke` of a version, `withdraw` and `prune` of what stands.

    To withdraw or prune all versions of an object at once, leave the version out. What does not stand is neither
    withdrawn nor pruned: no entry is written.
    """

    op: Op
    object_id: str
    type: str
    version_seq: int | None
    version_key: str | None
    form: Form
    hops: int
    rules: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log ends, and how many entries are current."""

    last_position: int
    standing: int


@dataclass(frozen=True, slots=True)
class Current:
    """An entry that stands, as the log has it."""

    position: int
    op: Op
    object_id: str
    type: str
    version_seq: int
    version_key: str
    form: Form
    hops: int
    rules: Sequence[str]
    last: bool


@dataclass(slots=True)
class Line:
    """A new entry with its position. `again`: it stood before and became last again."""

    position: int
    op: Op
    object_id: str
    type: str
    version_seq: int
    version_key: str
    form: Form
    hops: int
    rules: Sequence[str]
    current: bool
    last: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Writing:
    """What to write: new lines in order, the positions that stand no longer, those no longer last, the head."""

    lines: Sequence[Line]
    ended: Sequence[int]
    demoted: Sequence[int]
    head: Head


def write(head: Head, standing: Iterable[Current], entries: Iterable[Entry], now: int) -> Writing:
    """What `entries`, in their order, do to a log whose entries for the same objects are `standing`.

    `now` is in microseconds. A reader sees only the whole: what became last and was overtaken within one call
    is not written again.
    """
    pen = _Pen(head.last_position, now)
    stands: dict[str, dict[str, Current | Line]] = {}
    for entry in standing:
        stands.setdefault(entry.object_id, {})[entry.version_key] = entry
    touched: dict[str, None] = {}
    for new in entries:
        touched[new.object_id] = None
        versions = stands.setdefault(new.object_id, {})
        if new.op in ("put", "revoke"):
            pen.put(new, versions)
        else:
            pen.take_away(new, versions)
    for object_id in touched:
        pen.settle_last(stands[object_id])
    pen.rest_on_a_millisecond()
    count = head.standing - len(pen.ended) + sum(line.current for line in pen.lines)
    return Writing(pen.lines, sorted(pen.ended), sorted(pen.demoted - pen.ended), Head(pen.last_position, count))


class _Pen:
    """Writes lines one after the other, and remembers what they end."""

    def __init__(self, last_position: int, now: int) -> None:
        self.last_position = last_position
        self.now = now
        self.lines: list[Line] = []
        self.ended: set[int] = set()
        self.demoted: set[int] = set()

    def put(self, entry: Entry, versions: dict[str, Current | Line]) -> None:
        if entry.version_seq is None or entry.version_key is None:
            raise ValueError(f"{entry.op} of {entry.object_id} names no version")
        if before := versions.get(entry.version_key):
            self._end(before)
        line = Line(
            self._position(),
            entry.op,
            entry.object_id,
            entry.type,
            entry.version_seq,
            entry.version_key,
            entry.form,
            entry.hops,
            entry.rules,
            current=True,
        )
        self.lines.append(line)
        versions[entry.version_key] = line

    def take_away(self, entry: Entry, versions: dict[str, Current | Line]) -> None:
        keys = sorted(versions) if entry.version_key is None else [entry.version_key]
        for key in keys:  # the oldest first: nobody who stops half way is left with an outdated version
            stood = versions.pop(key, None)
            if stood is None:
                continue
            self._end(stood)
            self.lines.append(
                Line(
                    self._position(),
                    entry.op,
                    stood.object_id,
                    stood.type,
                    stood.version_seq,
                    stood.version_key,
                    stood.form,
                    stood.hops,
                    entry.rules,
                    current=False,
                )
            )

    def settle_last(self, versions: dict[str, Current | Line]) -> None:
        """Make the greatest version last, and no other."""
        newest = max(versions, default=None)
        if newest is None:
            return
        self.demoted |= {
            entry.position
            for key, entry in versions.items()
            if isinstance(entry, Current) and entry.last and key != newest
        }
        match versions[newest]:
            case Line() as line:
                line.last = True
            case Current(last=True):
                pass  # it has been shown, or will be
            case Current() as stood:
                self.ended.add(stood.position)
                self.lines.append(
                    Line(
                        self._position(),
                        stood.op,
                        stood.object_id,
                        stood.type,
                        stood.version_seq,
                        stood.version_key,
                        stood.form,
                        stood.hops,
                        stood.rules,
                        current=True,
                        last=True,
                        again=True,
                    )
                )

    def rest_on_a_millisecond(self) -> None:
        """Move the last entry that readers find up to a whole millisecond, and what follows it along."""
        found = [index for index, line in enumerate(self.lines) if line.last]
        if not found:
            return
        at = -(-self.lines[found[-1]].position // MILLISECOND) * MILLISECOND
        for line in self.lines[found[-1] :]:
            line.position = self.last_position = at
            at += STEP

    def _end(self, entry: Current | Line) -> None:
        match entry:
            case Line() as line:
                line.current = False
            case Current() as stood:
                self.ended.add(stood.position)

    def _position(self) -> int:
        self.last_position = max(self.now, self.last_position + STEP)
        return self.last_position
