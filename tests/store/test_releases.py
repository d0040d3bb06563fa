"""Reading a log: filters, limits, and the indexes that serve them; and what is kept beside the log."""

import pytest
from sqlalchemy import event, text

from samples import NOW, incident, incident_id, keep, make_collection, observable, put, withdraw
from tocsin.errors import NotFound, Refused
from tocsin.stix.objects import make_object, version_key
from tocsin.store import copies, grants, objects, pages, parties, postings, releases
from tocsin.store.copies import CopyLink
from tocsin.store.pages import Filter
from tocsin.store.transaction import Store

V1, V2, V3 = (f"2025-01-0{day}T00:00:00.000Z" for day in (1, 2, 3))


async def _release(tx, collection_id, *versions):
    kept = await objects.add_versions(tx, versions, received=NOW)
    entries = [put(version, stored) for version, stored in zip(versions, kept, strict=True)]
    return await releases.append(tx, collection_id, entries, "c", NOW)


@pytest.fixture
async def log(store):
    """Three incidents, the first in three versions, an observable, and an object of STIX 2.0."""
    old = make_object(
        {
            "type": "tool",
            "id": "tool--00000009-0000-4000-8000-000000000000",
            "created": V1,
            "modified": V1,
            "name": "2.0",
        }
    )
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        await _release(
            tx,
            collection_id,
            incident(1, V1),
            incident(1, V2),
            incident(2, V2),
            observable(3),
            incident(1, V3),
            old,
            incident(4, V1),
        )
    return collection_id


FILTERS = [
    # (filter, the numbers of objects and the days of their versions, in the order of the log)
    ({}, ["2:2", "3:", "1:3", "9:1", "4:1"]),
    ({"versions": {"all"}}, ["1:1", "1:2", "2:2", "3:", "1:3", "9:1", "4:1"]),
    ({"versions": {"first"}}, ["1:1", "2:2", "3:", "9:1", "4:1"]),
    ({"versions": {"first", "last"}}, ["1:1", "2:2", "3:", "1:3", "9:1", "4:1"]),
    ({"versions": {version_key(V2)}}, ["1:2", "2:2"]),
    ({"versions": {version_key(V2), "last"}}, ["1:2", "2:2", "3:", "1:3", "9:1", "4:1"]),
    ({"versions": {"2030-01-01T00:00:00"}}, []),
    ({"versions": set()}, []),
    ({"ids": {incident_id(1)}}, ["1:3"]),
    ({"ids": {incident_id(1)}, "versions": {"all"}}, ["1:1", "1:2", "1:3"]),
    ({"ids": {incident_id(4), incident_id(2), incident_id(77)}}, ["2:2", "4:1"]),
    ({"ids": set()}, []),
    ({"ids": {incident_id(1)}, "types": {"tool"}}, []),
    ({"types": {"incident"}}, ["2:2", "1:3", "4:1"]),
    ({"types": {"incident", "tool"}}, ["2:2", "1:3", "9:1", "4:1"]),
    ({"types": {"incident", "tool"}, "versions": {"first"}}, ["1:1", "2:2", "9:1", "4:1"]),
    ({"types": {"x-unknown"}}, []),
    ({"types": {"incident", *(f"x-{n}" for n in range(30))}}, ["2:2", "1:3", "4:1"]),
    ({"types": set()}, []),
    ({"spec_versions": {"2.0"}}, ["9:1"]),
    ({"spec_versions": {"2.1"}, "types": {"incident", "tool"}}, ["2:2", "1:3", "4:1"]),
    ({"spec_versions": {"2.0", "2.1"}, "ids": {incident_id(1)}}, ["1:3"]),
]


@pytest.mark.parametrize(("fields", "expected"), FILTERS)
async def test_a_filter_shows_what_passes_it_in_the_order_of_the_log(store, log, fields, expected):
    async with store.reading() as tx:
        whole = await pages.page(tx, log, Filter(**fields), 100)
        assert [_short(row) for row in whole.rows] == expected
        assert not whole.more
        listed = await pages.manifest(tx, log, Filter(**fields), 100)
        assert [row._replace(raw=b"") for row in whole.rows] == listed.rows
        for limit in (1, 2, 3):
            assert await _paged(tx, log, fields, limit, None) == expected
        for max_bytes in (1, 300, 500, 10_000):
            assert await _paged(tx, log, fields, 4, max_bytes) == expected


async def _paged(tx, log, fields, limit, max_bytes):
    found, after = [], None
    while True:
        page = await pages.page(tx, log, Filter(after=after, **fields), limit, max_bytes=max_bytes)
        found += [_short(row) for row in page.rows]
        assert len(page.rows) <= limit
        if max_bytes is not None and len(page.rows) > 1:
            assert sum(len(row.raw) for row in page.rows) <= max_bytes
        if not page.more:
            return found
        assert page.rows  # whoever is told of more gets on
        after = page.rows[-1].position


def _short(row) -> str:
    number = int(row.object_id.partition("--")[2][:8], 16)
    return f"{number}:{row.version[9] if row.type != 'ipv4-addr' else ''}"


async def test_after_the_last_position_there_is_nothing(store, log):
    async with store.reading() as tx:
        end = (await releases.head(tx, log)).last_position
        assert (await pages.page(tx, log, Filter(after=end), 10)).rows == []
        assert len((await pages.page(tx, log, Filter(after=end - 1), 10)).rows) == 1


async def test_withdrawals_are_told_to_a_reader_who_was_always_there(store, log):
    async with store.writing() as tx:
        await releases.append(tx, log, [withdraw(incident(2))], "c", NOW)
        later = await releases.append(tx, log, [withdraw(incident(4), op="prune")], "c", NOW)
    async with store.reading() as tx:
        everything = await pages.changes(tx, log, 0, 100)
        assert [row.op for row in everything.rows if row.raw is None] == ["withdraw", "prune"]
        first = await pages.changes(tx, log, 0, 2)
        assert (len(first.rows), first.more) == (2, True)
        assert (await pages.changes(tx, log, later[0].position, 10)).rows == []
        one = await pages.changes(tx, log, 0, 100, max_bytes=1)
        assert (len(one.rows), one.more) == (1, True)


# a log of one version: what is written at each step, one entry a step
ONCE = ("put", "withdraw")
TWICE = ("put", "withdraw", "put", "withdraw")
ANEW = ("put", "put", "withdraw")  # the same content again
OTHER = ("put", "other", "withdraw")  # another content under the same version
BACK = ("put", "other", "put", "prune")

# (the log, grants as steps (given after, ended after), the steps whose withdrawals are told)
GRANTS = [
    (ONCE, [], []),
    (ONCE, [(0, None)], [2]),
    (ONCE, [(1, None)], [2]),  # he found it standing
    (ONCE, [(2, None)], []),  # let in afterwards
    (ONCE, [(0, 0)], []),  # removed before it came
    (ONCE, [(0, 1)], [2]),
    (ONCE, [(1, 1)], [2]),  # let in and removed while it stood
    (ONCE, [(0, 1), (1, None)], [2]),
    (ONCE, [(1, 1), (1, None)], [2]),  # let in again before anything happened
    (ONCE, [(0, 1), (2, None)], [2]),  # it went while he was away
    (ONCE, [(0, 0), (2, None)], []),  # it came and went while he was away
    (TWICE, [(0, 1), (4, None)], [2]),  # what came back and went again he never saw
    (TWICE, [(2, 2), (4, None)], []),
    (TWICE, [(2, None)], [4]),
    (TWICE, [(0, 1), (3, None)], [2, 4]),
    (TWICE, [(0, None)], [2, 4]),
    (ANEW, [(0, 1), (3, None)], [3]),
    (ANEW, [(0, 0), (3, None)], []),
    (OTHER, [(0, 1), (3, None)], []),  # he would learn the hash of what he never saw
    (OTHER, [(0, 2), (3, None)], [3]),
    (BACK, [(0, 1), (4, None)], [4]),
    (BACK, [(2, 2), (4, None)], []),
    (BACK, [(1, 1), (4, None)], [4]),
    (BACK, [(3, 3), (4, None)], [4]),
]


@pytest.mark.parametrize(("ops", "granted", "told"), GRANTS)
async def test_a_withdrawal_is_told_exactly_to_who_was_granted_what_it_names(store, ops, granted, told):
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        contents = {"put": incident(1), "other": incident(1, description="other")}
        kept = {name: await keep(tx, version) for name, version in contents.items()}
        positions = [0]
        for op in ops:
            entry = put(contents[op], kept[op]) if op in contents else withdraw(incident(1), op=op)
            await _release(tx, collection_id, incident(2))  # the log goes on in between
            positions += [line.position for line in await releases.append(tx, collection_id, [entry], "c", NOW)]
        pairs = [(positions[first], None if last is None else positions[last]) for first, last in granted]
        found = await pages.changes(tx, collection_id, 0, 100, granted=pairs)
        assert [positions.index(row.position) for row in found.rows if row.raw is None] == told
        # whatever is left out, pages follow each other
        paged, after = [], 0
        while page := (await pages.changes(tx, collection_id, after, 1, granted=pairs)).rows:
            paged += page
            after = page[-1].position
        assert paged == found.rows
        # the log ends for him with the last entry he is told of, and he knows the positions of these
        end = await pages.last_told(tx, collection_id, granted=pairs)
        assert end == (found.rows[-1].position if found.rows else 0)
        for row in found.rows:
            assert await pages.was_told(tx, collection_id, row.position, granted=pairs)
            assert not await pages.was_told(tx, collection_id, row.position + 1, granted=pairs)
        names = await pages.changes(tx, collection_id, 0, 100, granted=pairs, content=False)
        assert names.rows == [row._replace(raw=None) for row in found.rows]


OVERTAKEN = [
    # what happens to an object, the grants of a reader, and which of these entries he may know the position of
    (ONCE, [(0, None)], [1, 2]),
    (ONCE, [(1, None)], [1, 2]),  # it stood when he came
    (ONCE, [(2, None)], []),
    (ONCE, [(0, 0), (2, None)], []),
    (ONCE, [(0, 1)], [1, 2]),  # a former reader
    (ANEW, [(0, None)], [1, 2, 3]),
    (ANEW, [(2, None)], [2, 3]),  # the first put was replaced before he came
    (ANEW, [(0, 1)], [1, 3]),
    (OTHER, [(0, 1), (3, None)], [1]),
    (BACK, [(3, None)], [3, 4]),
]


@pytest.mark.parametrize(("ops", "granted", "known"), OVERTAKEN)
async def test_a_reader_knows_the_positions_of_what_was_told_though_it_was_overtaken(store, ops, granted, known):
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        contents = {"put": incident(1), "other": incident(1, description="other")}
        kept = {name: await keep(tx, version) for name, version in contents.items()}
        positions = [0]
        for op in ops:
            entry = put(contents[op], kept[op]) if op in contents else withdraw(incident(1), op=op)
            positions += [line.position for line in await releases.append(tx, collection_id, [entry], "c", NOW)]
        pairs = [(positions[first], None if last is None else positions[last]) for first, last in granted]
        found = [
            number
            for number, position in enumerate(positions)
            if number and await pages.was_told(tx, collection_id, position, granted=pairs)
        ]
        assert found == known
        assert not await pages.was_told(tx, collection_id, positions[1], granted=[])


async def test_contents_of_chosen_entries_are_of_what_stands_and_bounded_in_bytes(store):
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        values = [incident(n, description="x" * 100_000) for n in range(10)]
        positions = [row.position for row in await _release(tx, collection_id, *values)]
        await releases.append(tx, collection_id, [withdraw(values[3])], "c", NOW)
    async with store.reading() as tx:
        chosen = positions[2:6]
        page = await pages.contents(tx, collection_id, chosen, max_bytes=10**9)
        assert ([row.position for row in page.rows], page.more) == (
            [positions[2], positions[4], positions[5]],
            False,
        )
        assert page.rows[0].raw == values[2].raw
        page = await pages.contents(tx, collection_id, chosen, max_bytes=1)
        assert ([row.position for row in page.rows], page.more) == ([positions[2]], True)
        assert (await pages.contents(tx, collection_id, [positions[3], 7], max_bytes=1)).rows == []


async def test_an_epoch_is_another_one_for_each_log_and_each_beginning(store):
    async with store.writing() as tx:
        first, second = await make_collection(tx), await make_collection(tx, "second")
        before = [await releases.epoch(tx, id_) for id_ in (first, second)]
        began = await releases.begin_epoch(tx, first)
        assert [await releases.epoch(tx, id_) for id_ in (first, second)] == [began, before[1]]
        assert len({*before, began}) == 3
        for work in (releases.epoch(tx, "absent"), releases.begin_epoch(tx, "absent")):
            with pytest.raises(NotFound):
                await work


async def test_a_page_of_a_million_bytes_is_cut_at_the_limit_of_bytes(store):
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        await _release(tx, collection_id, *(incident(n, description="x" * 100_000) for n in range(10)))
    async with store.reading() as tx:
        page = await pages.page(tx, collection_id, Filter(), 1000, max_bytes=350_000)
    assert (len(page.rows), page.more) == (3, True)


# --- by which index ------------------------------------------------------------------------------------------

PLANS = [
    ({}, "ix_release_last"),
    ({"after": NOW}, "ix_release_last"),
    ({"types": {"incident"}, "after": NOW}, "ix_release_last_type"),
    ({"types": {"incident", "tool"}, "after": NOW}, "ix_release_last_type"),
    ({"ids": {incident_id(1)}, "after": NOW}, "ix_release_version_seq_collection_id"),
    (
        {"ids": {incident_id(n) for n in range(100)}, "after": NOW, "versions": {"all"}},
        "ix_release_version_seq_collection_id",
    ),
    ({"versions": {"all"}, "after": NOW}, "sqlite_autoindex_release_1"),
]


@pytest.mark.parametrize(("fields", "index"), PLANS)
@pytest.mark.parametrize("analysed", [False, True])
async def test_sqlite_reads_a_page_by_index(make_database, fields, index, analysed):
    store = await Store.open(make_database("sqlite"), require_durable=False)
    try:
        async with store.writing() as tx:
            collection_id = await make_collection(tx)
            await _release(
                tx, collection_id, *(incident(n) for n in range(300)), *(observable(n) for n in range(300))
            )
            if analysed:
                await tx.connection.execute(text("ANALYZE"))
        async with store.reading() as tx:
            plan = await _plan(tx, lambda: pages.page(tx, collection_id, Filter(**fields), 100, max_bytes=10**6))
    finally:
        await store.close()
    touching = [step for step in plan if " release" in step or " object_version" in step]
    assert any(index in step for step in touching), plan
    assert all("SEARCH" in step for step in touching), plan
    if "ids" not in fields and len(fields.get("types", ())) < 2:
        assert not any("ORDER BY" in step for step in plan), plan  # the index has the order already


async def test_sqlite_reads_changes_by_index(make_database):
    store = await Store.open(make_database("sqlite"), require_durable=False)
    try:
        async with store.writing() as tx:
            collection_id = await make_collection(tx)
            await _release(tx, collection_id, *(incident(n) for n in range(300)))
        async with store.reading() as tx:
            granted = [(0, 5), (7, None)]
            asked = [
                lambda: pages.changes(tx, collection_id, 0, 100, granted=granted, max_bytes=10**6),
                lambda: pages.changes(tx, collection_id, 0, 100, granted=granted, content=False),
                lambda: pages.last_told(tx, collection_id, granted=granted),
                lambda: pages.was_told(tx, collection_id, NOW, granted=granted),
            ]
            told = [await _plan(tx, ask) for ask in asked]
            asked = [
                lambda: pages.contents(tx, collection_id, [NOW, NOW + 1], max_bytes=10**6),
                lambda: pages.standing_after(tx, collection_id, 0, 100),
            ]
            standing = [await _plan(tx, ask) for ask in asked]
    finally:
        await store.close()
    for plan, names in [
        *((one, ("release", "shown", "later", "object_version")) for one in told),
        *((one, ("release", "object_version")) for one in standing),
    ]:
        for name in names:
            steps = [step for step in plan if f" {name} " in step]
            assert steps, plan
            assert all("SEARCH" in step for step in steps), plan
        assert not any("ORDER BY" in step for step in plan), plan


async def _plan(tx, ask) -> list[str]:
    statements = []
    connection = tx.connection.sync_connection

    def listen(_connection, _cursor, statement, parameters, _context, _many):
        statements.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", listen)
    await ask()
    event.remove(connection, "before_cursor_execute", listen)
    steps = []
    for statement, parameters in statements:
        rows = await tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        steps += [row[3] for row in rows]
    return steps


# --- collections ---------------------------------------------------------------------------------------------


async def test_a_collection_keeps_the_id_it_once_had(store):
    given = "3f0c4d5e-0000-4000-8000-000000000001"
    async with store.writing() as tx:
        first = await releases.ensure_collections(tx, {"a": None, "b": given}, {}, NOW)
        assert first["b"] == given
        assert await releases.ensure_collections(tx, {"a": None, "b": None}, {}, NOW) == first
        assert await releases.ensure_collections(tx, {}, {}, NOW) == {}  # taken out of the file,
        assert await releases.ensure_collections(tx, {"a": first["a"], "b": given}, {}, NOW) == first  # and back


async def test_a_collection_is_renamed_by_was_or_by_its_id(store):
    async with store.writing() as tx:
        first = await releases.ensure_collections(tx, {"a": None, "b": None}, {}, NOW)
        moved = await releases.ensure_collections(tx, {"a2": None, "b2": first["b"]}, {"a2": "a"}, NOW)
        assert moved == {"a2": first["a"], "b2": first["b"]}
        again = await releases.ensure_collections(tx, {"a2": None, "b2": None}, {"a2": "a"}, NOW)
        assert again == moved  # `was:` may stay in the file
        assert {row.key for row in await releases.collections(tx)} == {"a2", "b2"}


async def test_names_may_move_in_a_chain(store):
    async with store.writing() as tx:
        first = await releases.ensure_collections(tx, {"a": None, "b": None}, {}, NOW)
        moved = await releases.ensure_collections(tx, {"b": None, "c": None}, {"b": "a", "c": "b"}, NOW)
        assert moved == {"b": first["a"], "c": first["b"]}
        assert await releases.ensure_collections(tx, {"b": None, "c": None}, {"b": "a", "c": "b"}, NOW) == moved


@pytest.mark.parametrize("key", ["a", "new"])
async def test_another_id_for_a_collection_is_refused(store, key):
    other = "3f0c4d5e-0000-4000-8000-000000000009"
    async with store.writing() as tx:
        first = await releases.ensure_collections(tx, {"a": None, "b": None}, {}, NOW)
    wanted = {"a": other, "b": None} if key == "a" else {"a": None, "b": None, "new": first["b"]}
    with pytest.raises(Refused, match="id"):
        async with store.writing() as tx:
            await releases.ensure_collections(tx, wanted, {}, NOW)


async def test_an_unknown_collection_is_not_found(store):
    async with store.writing() as tx:
        with pytest.raises(NotFound):
            await releases.lock(tx, ["nowhere"])
        with pytest.raises(NotFound):
            await releases.head(tx, "nowhere")
        with pytest.raises(NotFound):
            await releases.append(tx, "nowhere", [withdraw(incident(1))], "c", NOW)
        assert (await pages.page(tx, "nowhere", Filter(), 10)).rows == []


async def test_stuck_is_said_until_it_is_taken_back(store):
    async with store.writing() as tx:
        id_ = await make_collection(tx)
        for why in ("a rule fails", None):
            await releases.set_stuck(tx, id_, why)
            assert (await releases.collections(tx))[0].stuck == why


# --- what is kept beside the log -----------------------------------------------------------------------------


async def test_what_stands_is_told_for_each_collection(store):
    one = incident(1)
    async with store.writing() as tx:
        ids = await releases.ensure_collections(tx, {"a": None, "b": None}, {}, NOW)
        stored = await keep(tx, one)
        await releases.append(tx, ids["a"], [put(one, stored)], "c", NOW)
        await releases.append(tx, ids["b"], [put(one, stored, "revoke", form="copy", hops=2)], "c", NOW)
        everywhere = (await releases.standing_everywhere(tx, [one.id, "incident--none"]))[one.id]
    assert (everywhere[ids["a"]].form, everywhere[ids["a"]].op, everywhere[ids["a"]].last.hops) == (
        "whole",
        "put",
        0,
    )
    assert (everywhere[ids["b"]].form, everywhere[ids["b"]].op, everywhere[ids["b"]].last.hops) == (
        "copy",
        "revoke",
        2,
    )


async def test_what_is_named_by_something_that_stands(store):
    one, two = incident(1), incident(2)
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        await _release(tx, collection_id, one, two)
        older = await objects.add_version(tx, incident(1, "2001-01-01T00:00:00.000Z"), received=NOW)
        standing = await releases.standing(tx, collection_id, [one.id, two.id])
        seqs = {id_: here.last.seq for id_, here in standing.items()}
        await objects.note_references(
            tx,
            [
                (seqs[one.id], ["identity--x", "identity--y"]),
                (seqs[two.id], ["identity--y"]),
                (older.seq, ["identity--z"]),  # a version that does not stand
            ],
        )
        asked = ["identity--x", "identity--y", "identity--z"]
        assert await releases.named_by_standing(tx, collection_id, asked) == {"identity--x", "identity--y"}
        assert await releases.named_by_standing(tx, collection_id, asked, without=[one.id]) == {"identity--y"}
        many = [one.id, two.id, *(f"incident--{n}" for n in range(40_000))]
        assert await releases.named_by_standing(tx, collection_id, asked, without=many) == set()


async def test_the_link_to_a_copy_is_kept_and_renewed(store):
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        link = CopyLink(collection_id, incident_id(1), incident_id(2), 0, "h1", ("victim",))
        await copies.put_copy(tx, link)
        assert await copies.copies_of(tx, collection_id, [incident_id(1), incident_id(2)]) == {
            incident_id(1): link
        }
        renewed = CopyLink(collection_id, incident_id(1), incident_id(3), 1, "h2", ("victim", "narrative"))
        await copies.put_copy(tx, renewed)
        assert await copies.originals_of(tx, [incident_id(2), incident_id(3)]) == {incident_id(3): renewed}


async def test_who_posted_an_object_first_stays_its_poster_until_he_deletes_it(store):
    async with store.writing() as tx:
        collection_id = await make_collection(tx)

        async def poster():
            return {
                id_: (p.party_id, p.posted)
                for id_, p in (await postings.postings(tx, collection_id, ["o"])).items()
            }

        assert await poster() == {}
        await postings.put_postings(tx, collection_id, ["o"], "anna", 1)
        await postings.put_postings(tx, collection_id, ["o"], "bert", 2)
        assert await poster() == {"o": ("anna", 1)}
        await postings.delete_posting(tx, collection_id, "o", 3)
        assert await poster() == {}
        with pytest.raises(NotFound):
            await postings.delete_posting(tx, collection_id, "o", 4)
        await postings.put_postings(tx, collection_id, ["o"], "bert", 5)
        assert await poster() == {"o": ("bert", 5)}


async def test_a_status_is_for_whoever_posted_and_forgotten_in_time(store):
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        await postings.put_status(tx, "s1", "anna", collection_id, b'{"total_count":1}', 100)
        assert await postings.status(tx, "s1", "anna") == {"total_count": 1}
        assert await postings.status(tx, "s1", "bert") is None
        assert await postings.prune_statuses(tx, 100) == 0
        assert await postings.prune_statuses(tx, 101) == 1
        assert await postings.status(tx, "s1", "anna") is None


async def test_a_grant_has_a_first_and_a_last_position(store):
    async with store.writing() as tx:
        people = await parties.ensure_parties(tx, {"anna": "account"}, {}, NOW)
        collection_id = await make_collection(tx)
        reader = (people["anna"], collection_id, "reader")
        await grants.set_grants(tx, {reader}, NOW)
        (entry,) = await _release(tx, collection_id, incident(1))
        await grants.set_grants(tx, {reader}, NOW + 1)  # unchanged
        await grants.set_grants(tx, {(people["anna"], collection_id, "writer")}, NOW + 2)
        await grants.set_grants(tx, {reader}, NOW + 3)
        everyone = await grants.grants(tx, party_id=people["anna"], collection_id=collection_id)
        holding = await grants.grants(tx, holding=True)
    assert [(g.role, g.first_position, g.last_position, g.given, g.ended) for g in everyone] == [
        ("reader", 0, entry.position, NOW, NOW + 2),
        ("writer", entry.position, entry.position, NOW + 2, NOW + 3),
        ("reader", entry.position, None, NOW + 3, None),
    ]
    assert holding == everyone[-1:]
