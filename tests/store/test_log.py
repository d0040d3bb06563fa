"""The release log: who reads it in order ends with what stands, whatever happens while he reads."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samples import NOW, incident, make_collection, put, withdraw
from tocsin.errors import NotFound
from tocsin.store import objects, pages, releases
from tocsin.store.log import STEP, Current, Entry, Head, write
from tocsin.store.pages import Filter

KEYS = ("2025-01-01T00:00:00", "2025-01-02T00:00:00", "2025-01-03T00:00:00")


@dataclass(frozen=True)
class Write:
    """One append: (object, version, content, op) in order, at a clock that may stand still or jump."""

    actions: tuple[tuple[int, int, int, str], ...]
    clock: int


@dataclass(frozen=True)
class Read:
    """One page asked for by one of the readers."""

    reader: int
    limit: int


ACTIONS = st.tuples(
    st.integers(0, 2),
    st.integers(0, len(KEYS) - 1),
    st.integers(0, 1),
    st.sampled_from(["put", "put", "put", "revoke", "withdraw", "withdraw", "prune", "withdraw all"]),
)
WRITES = st.builds(Write, st.lists(ACTIONS, min_size=1, max_size=4).map(tuple), st.integers(-100, 100))
READS = st.builds(Read, st.integers(0, 1), st.integers(1, 5))
STORIES = st.lists(st.one_of(WRITES, READS), max_size=25)


@dataclass
class Model:
    """What stands: for each object the content of each version. Nothing about positions."""

    stands: dict[int, dict[int, int]] = field(default_factory=dict)

    def apply(self, number: int, version: int, content: int, op: str) -> None:
        versions = self.stands.setdefault(number, {})
        if op in ("put", "revoke"):
            versions[version] = content
        elif op == "withdraw all":
            versions.clear()
        else:
            versions.pop(version, None)

    def last(self) -> dict[int, tuple[int, int]]:
        return {number: (max(v), v[max(v)]) for number, v in self.stands.items() if v}

    def all(self) -> dict[tuple[int, int], int]:
        return {(n, key): content for n, versions in self.stands.items() for key, content in versions.items()}


class MemoryLog:
    """A log kept in a list, written by `write` alone."""

    def __init__(self) -> None:
        self.head = Head(0, 0)
        self.lines = []

    def append(self, entries: list[Entry], now: int) -> None:
        touched = {entry.object_id for entry in entries}
        standing = [
            Current(
                line.position,
                line.op,
                line.object_id,
                line.type,
                line.version_seq,
                line.version_key,
                line.form,
                line.hops,
                line.rules,
                line.last,
            )
            for line in self.lines
            if line.current and line.object_id in touched
        ]
        writing = write(self.head, standing, entries, now)
        for line in self.lines:
            if line.position in writing.ended:
                line.current = line.last = False
            if line.position in writing.demoted:
                line.last = False
        self.lines += writing.lines
        self.head = writing.head

    def page(self, after: int, limit: int):
        return [line for line in self.lines if line.last and line.position > after][:limit]


def entry_of(number: int, version: int, content: int, op: str) -> Entry:
    every = op == "withdraw all"
    seq = 1 + number * 100 + version * 10 + content
    return Entry(
        "withdraw" if every else op, f"o{number}", "incident", seq, None if every else KEYS[version], "whole", 0
    )


@settings(max_examples=300, deadline=None)
@given(story=STORIES)
def test_a_reader_who_knows_only_positions_ends_with_the_last_version_of_everything(story):
    log, model = MemoryLog(), Model()
    cursors, shown = [0, 0], [{}, {}]

    def read(reader: int, limit: int) -> bool:
        lines = log.page(cursors[reader], limit)
        for line in lines:
            shown[reader][line.object_id] = line.version_seq
            cursors[reader] = line.position
        return bool(lines)

    for step in story:
        if isinstance(step, Read):
            read(step.reader, step.limit)
            continue
        log.append([entry_of(*action) for action in step.actions], NOW + step.clock)
        for action in step.actions:
            model.apply(*action)
        _check(log, model)
    for reader in (0, 1):
        while read(reader, 2):
            pass
        for number, (version, content) in model.last().items():
            assert shown[reader][f"o{number}"] == 1 + number * 100 + version * 10 + content


def _check(log: MemoryLog, model: Model) -> None:
    positions = [line.position for line in log.lines]
    assert all(later - earlier >= STEP for earlier, later in pairwise(positions))
    assert log.head.last_position == (positions[-1] if positions else 0)
    current = [line for line in log.lines if line.current]
    assert len({(line.object_id, line.version_key) for line in current}) == len(current) == log.head.standing
    assert {(line.object_id, line.version_key): line.version_seq for line in current} == {
        (f"o{n}", KEYS[v]): 1 + n * 100 + v * 10 + content for (n, v), content in model.all().items()
    }
    last = {line.object_id: line.version_key for line in log.lines if line.last}
    assert last == {f"o{n}": KEYS[v] for n, (v, _) in model.last().items()}
    assert sum(line.last for line in log.lines) == len(last)
    assert not any(line.last and not line.current for line in log.lines)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=STORIES)
async def test_the_log_in_the_database_is_what_its_readers_were_told(story, store):
    model = Model()
    async with store.writing() as tx:
        collection_id = await _new_collection(tx)
        contents = {
            (n, v, c): incident(n, KEYS[v] + "Z", content=c)
            for n in range(3)
            for v in range(len(KEYS))
            for c in (0, 1)
        }
        kept = await objects.add_versions(tx, list(contents.values()), received=NOW)
    seqs = {key: stored.seq for key, stored in zip(contents, kept, strict=True)}
    cursors, shown, followed = [0, 0], [{}, {}], [{}, {}]
    change_cursors = [0, 0]

    async def read(reader: int, limit: int) -> bool:
        async with store.reading() as tx:
            page = await pages.page(tx, collection_id, Filter(after=cursors[reader]), limit)
            feed = await pages.changes(tx, collection_id, change_cursors[reader], limit)
        for row in page.rows:
            shown[reader][row.object_id] = row.sha256
            cursors[reader] = row.position
        for row in feed.rows:
            if row.op in ("put", "revoke"):
                assert row.raw
                followed[reader][row.object_id, row.version_key] = row.sha256
            else:
                assert row.raw is None
                followed[reader].pop((row.object_id, row.version_key), None)
            change_cursors[reader] = row.position
        return page.more or feed.more

    for step in story:
        if isinstance(step, Read):
            await read(step.reader, step.limit)
            continue
        entries = []
        for number, version, content, op in step.actions:
            of = contents[number, version, content]
            every = op == "withdraw all"
            entries.append(
                Entry(
                    "withdraw" if every else op,
                    of.id,
                    "incident",
                    seqs[number, version, content],
                    None if every else KEYS[version],
                    "whole",
                    0,
                )
            )
            model.apply(number, version, content, op)
        async with store.writing() as tx:
            await releases.append(tx, collection_id, entries, "c" * 64, NOW + step.clock)
        async with store.reading() as tx:
            stands = await releases.standing(tx, collection_id, [incident(n).id for n in range(3)])
            assert {
                (one.object_id, key): version.sha256
                for one in stands.values()
                for key, version in one.versions.items()
            } == {(contents[n, v, c].id, KEYS[v]): contents[n, v, c].sha256 for (n, v), c in model.all().items()}
            assert {one.object_id: one.last_key for one in stands.values()} == {
                incident(n).id: KEYS[v] for n, (v, _) in model.last().items()
            }
            assert (await releases.head(tx, collection_id)).standing == len(model.all())
            assert await releases.standing_ids(tx, collection_id) == sorted(stands)
    for reader in (0, 1):
        while await read(reader, 5):
            pass
        for number, (version, content) in model.last().items():
            assert shown[reader][incident(number).id] == contents[number, version, content].sha256
        assert followed[reader] == {
            (contents[n, v, c].id, KEYS[v]): contents[n, v, c].sha256 for (n, v), c in model.all().items()
        }


async def _new_collection(tx) -> str:
    taken = await releases.collections(tx)
    return await make_collection(tx, f"c{len(taken)}")


# --- single rules --------------------------------------------------------------------------------------------


def _line(log: MemoryLog, index: int):
    line = log.lines[index]
    return line.op, line.version_key, line.current, line.last, line.again


def test_an_older_version_that_becomes_the_last_again_is_written_again():
    log = MemoryLog()
    log.append([entry_of(0, 0, 0, "put"), entry_of(0, 1, 0, "put")], NOW)
    log.append([entry_of(0, 1, 0, "withdraw")], NOW)
    assert [_line(log, i) for i in range(4)] == [
        ("put", KEYS[0], False, False, False),
        ("put", KEYS[1], False, False, False),
        ("withdraw", KEYS[1], False, False, False),
        ("put", KEYS[0], True, True, True),
    ]


def test_an_older_version_put_later_does_not_become_the_last_and_is_written_again_when_it_must():
    log = MemoryLog()
    log.append([entry_of(0, 1, 0, "put")], NOW)
    log.append([entry_of(0, 0, 0, "put")], NOW)  # every reader of last versions has passed this position
    assert _line(log, 1) == ("put", KEYS[0], True, False, False)
    log.append([entry_of(0, 1, 0, "withdraw")], NOW)
    assert _line(log, 3) == ("put", KEYS[0], True, True, True)


def test_what_is_overtaken_within_one_append_is_not_written_again():
    log = MemoryLog()
    log.append([entry_of(0, 0, 0, "put"), entry_of(0, 1, 0, "put")], NOW)
    log.append([entry_of(0, 1, 0, "withdraw"), entry_of(0, 2, 0, "put")], NOW)
    assert [line.op for line in log.lines] == ["put", "put", "withdraw", "put"]
    assert [line.version_key for line in log.lines if line.last] == [KEYS[2]]


def test_what_does_not_stand_is_not_withdrawn():
    log = MemoryLog()
    log.append([entry_of(0, 0, 0, "withdraw"), entry_of(1, 0, 0, "withdraw all"), entry_of(2, 0, 0, "prune")], NOW)
    assert (log.lines, log.head) == ([], Head(0, 0))


def test_all_versions_are_withdrawn_oldest_first():
    log = MemoryLog()
    log.append([entry_of(0, 1, 0, "put"), entry_of(0, 0, 0, "put")], NOW)
    log.append([entry_of(0, 0, 0, "withdraw all")], NOW)
    assert [line.version_key for line in log.lines[2:]] == [KEYS[0], KEYS[1]]
    assert log.head.standing == 0


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (0, NOW, NOW),
        (NOW, NOW, NOW + STEP),
        (NOW, NOW + STEP - 1, NOW + STEP),
        (NOW, NOW + STEP + 1, NOW + STEP + 1),
        (NOW + 10**15, NOW, NOW + 10**15 + STEP),  # a clock that was far ahead once
    ],
)
def test_a_position_is_now_or_just_beyond_the_last_one(last, now, expected):
    first, _ = write(Head(last, 0), [], [entry_of(0, 0, 0, "put"), entry_of(1, 0, 0, "put")], now).lines
    assert first.position == expected


@pytest.mark.parametrize(
    ("now", "actions", "expected"),
    [
        (NOW, ["put 0"], [NOW]),
        (NOW + 1, ["put 0"], [NOW + 1000]),
        (NOW + 999, ["put 0", "put 1"], [NOW + 999, NOW + 2000]),
        (NOW + 1, ["put 0", "put 0"], [NOW + 1, NOW + 1000]),  # the first is overtaken at once
        # what follows the last that readers find comes after it
        (NOW + 1, ["put 0", "put 1", "withdraw 1"], [NOW + 1000, NOW + 1020, NOW + 1040]),
        (NOW + 1, ["put 0", "withdraw 0"], [NOW + 1, NOW + 21]),
    ],
)
def test_what_readers_find_at_the_end_of_a_write_stands_on_a_whole_millisecond(now, actions, expected):
    entries = [entry_of(int(number), 0, 0, op) for op, number in (action.split() for action in actions)]
    writing = write(Head(0, 0), [], entries, now)
    assert [line.position for line in writing.lines] == expected
    assert writing.head.last_position == expected[-1]


def test_a_put_names_its_version():
    with pytest.raises(ValueError, match="names no version"):
        write(Head(0, 0), [], [Entry("put", "o", "incident", None, None, "whole", 0)], NOW)


async def test_a_version_that_is_not_kept_cannot_be_released(store):
    one = incident(1)
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        stored = await objects.add_version(tx, one, received=NOW)
        await objects.forget_unheld(tx, [one.id])
    with pytest.raises(NotFound, match="no longer kept"):
        async with store.writing() as tx:
            await releases.append(tx, collection_id, [put(one, stored)], "c", NOW)
    async with store.reading() as tx:
        assert await releases.head(tx, collection_id) == Head(0, 0)


async def test_withdrawing_all_says_which_versions(store):
    versions = [incident(1, f"2025-01-0{day}T00:00:00Z") for day in (1, 2)]
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        kept = await objects.add_versions(tx, versions, received=NOW)
        await releases.append(
            tx, collection_id, [put(v, s) for v, s in zip(versions, kept, strict=True)], "c", NOW
        )
        gone = await releases.append(tx, collection_id, [withdraw(versions[0])], "c", NOW)
    assert [(one.op, one.version_key, one.again) for one in gone] == [
        ("withdraw", "2025-01-01T00:00:00", False),
        ("withdraw", "2025-01-02T00:00:00", False),
    ]
