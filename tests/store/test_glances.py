"""A page read by one question outside a transaction: the same page, of a known moment, by the same indexes."""

import asyncio
import json

import pytest

from samples import NOW, incident, incident_id, make_collection, observable
from test_releases import FILTERS, PLANS, V1, V2, V3, _release, log  # noqa: F401  (`log` is a fixture)
from tocsin.errors import Unavailable
from tocsin.store import audit, pages
from tocsin.store.pages import Filter
from tocsin.store.transaction import Store

MOST = 10**6


async def _seen(store, collection_id, what, limit, max_bytes=MOST):
    found = await pages.glance(store, collection_id, what, limit, max_bytes=max_bytes)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(("fields", "expected"), FILTERS)
async def test_a_glance_shows_what_a_transaction_shows(store, log, fields, expected):  # noqa: F811
    for limit in (1, 2, 3, 100, 999):
        for max_bytes in (1, 300, 500, 10_000, MOST):
            what = Filter(**fields)
            while True:
                async with store.reading() as tx:
                    wanted = await pages.content(tx, log, what, limit, max_bytes=max_bytes)
                found = await pages.glance(store, log, what, limit, max_bytes=max_bytes)
                if any(not value for value in fields.values()) or len(fields.get("types", ())) > 16:
                    assert found is None  # a rare shape
                    break
                assert found is not None
                page, _ = found
                assert (page.first, page.last, page.more) == (wanted.first, wanted.last, wanted.more)
                assert (list(page.positions), list(page.raws)) == (list(wanted.positions), list(wanted.raws))
                if not page.more:
                    break
                assert page.last is not None
                what = Filter(after=page.last, **fields)
    assert len(expected) == len({*expected})


async def test_the_longest_pages_and_the_longest_lists_are_for_a_transaction(store, log):  # noqa: F811
    assert await pages.glance(store, log, Filter(), 1024, max_bytes=MOST) is None
    many = Filter(ids={incident_id(n) for n in range(17)})
    assert await pages.glance(store, log, many, 10, max_bytes=MOST) is None


async def test_a_glance_of_a_collection_that_is_not_there_is_empty(store):
    page = await _seen(store, "nowhere", Filter(), 10)
    assert (page.first, page.last, list(page.raws), page.more) == (None, None, [], False)


async def test_a_long_page_is_cut_at_the_limit_of_bytes_and_lets_others_go_on_meanwhile(store):
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        await _release(tx, collection_id, *(incident(n, description="x" * 300_000) for n in range(22)))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    try:
        page = await _seen(store, collection_id, Filter(), 999, max_bytes=6_100_000)
    finally:
        beside.cancel()
    assert (len(page.raws), page.more) == (20, True)
    assert turns > 1
    assert page.last is not None
    rest = await _seen(store, collection_id, Filter(after=page.last), 999)
    assert (len(rest.raws), rest.more) == (2, False)


async def test_the_moment_of_a_glance_is_the_moment_of_what_it_shows(store, log):  # noqa: F811
    before = await store.moment()
    await _seen(store, log, Filter(), 10)  # PostgreSQL's first connection is opened here
    found = await pages.glance(store, log, Filter(), 10, max_bytes=MOST)
    assert found is not None
    assert found[1] == before
    async with store.writing() as tx:
        await _release(tx, log, incident(50))
    later = await pages.glance(store, log, Filter(), 10, max_bytes=MOST)
    assert later is not None
    assert later[1] != before
    assert later[1] == await store.moment()
    assert len(later[0].raws) == len(found[0].raws) + 1


async def test_glances_beside_writers_are_each_of_one_state(store):
    """Every transaction puts two objects: who sees one sees both; and an equal moment is an equal page."""
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
    done = False
    by_moment: dict[object, int] = {}
    sizes = set()
    looked = asyncio.Event()

    async def write() -> None:
        nonlocal done
        for number in range(40):
            async with store.writing() as tx:
                await _release(tx, collection_id, incident(2 * number), incident(2 * number + 1))
            looked.clear()
            await looked.wait()  # somebody sees it before there is more
        done = True

    async def read() -> None:
        while not done:
            found = await pages.glance(store, collection_id, Filter(), 999, max_bytes=MOST)
            assert found is not None
            size = len(found[0].raws)
            assert size % 2 == 0
            assert by_moment.setdefault(found[1], size) == size
            sizes.add(size)
            looked.set()
            await asyncio.sleep(0)

    await asyncio.gather(write(), *(read() for _ in range(12)))  # more than there are connections
    assert len(sizes) > 5  # many different states were seen


async def test_a_glance_in_the_middle_of_which_somebody_gives_up_leaves_the_others_whole(store):
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        await _release(tx, collection_id, *(incident(n, description="x" * 300_000) for n in range(12)))
    for _ in range(5):
        tasks = [asyncio.create_task(_seen(store, collection_id, Filter(), 999, 10**7)) for _ in range(4)]
        await asyncio.sleep(0.001)
        for task in tasks[::2]:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ended[1::2]:
            assert not isinstance(end, BaseException)
            assert len(end.raws) == 12


async def test_a_lost_connection_is_unavailable_and_the_next_glance_works(make_database):
    store = await Store.open(make_database("postgresql"), require_durable=False)
    try:
        async with store.writing() as tx:
            collection_id = await make_collection(tx)
            await _release(tx, collection_id, incident(1))
        await asyncio.gather(*(_seen(store, collection_id, Filter(), 10) for _ in range(4)))
        before = await store.moment()
        async with store.writing() as tx:
            await tx.connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(Unavailable):
            await _seen(store, collection_id, Filter(), 10)
        page = await _seen(store, collection_id, Filter(), 10)
        assert len(page.raws) == 1
        assert await store.moment() != before  # another session, so nothing is proven
        assert await store.moment() == await store.moment()
    finally:
        await store.close()


@pytest.mark.parametrize(("fields", "index"), [plan for plan in PLANS if len(plan[0].get("ids", ())) < 17])
@pytest.mark.parametrize("analysed", [False, True])
async def test_sqlite_reads_a_glance_by_index(make_database, fields, index, analysed, monkeypatch):
    store = await Store.open(make_database("sqlite"), require_durable=False)
    try:
        plan = await _plan(store, fields, analysed, "EXPLAIN QUERY PLAN", monkeypatch)
    finally:
        await store.close()
    steps = [row[3] for row in plan]
    touching = [step for step in steps if " release" in step or " object_version" in step]
    assert any(index in step for step in touching), steps
    assert all("SEARCH" in step for step in touching), steps
    if "ids" not in fields and len(fields.get("types", ())) < 2:
        assert not any("ORDER BY" in step for step in steps), steps  # the index has the order already


@pytest.mark.parametrize(
    ("fields", "index"),
    [
        ({"after": NOW}, "ix_release_last"),
        ({"types": {"incident"}, "after": NOW}, "ix_release_last_type"),
        ({"ids": {incident_id(1)}, "after": NOW}, "ix_release_version_seq_collection_id"),
    ],
)
async def test_postgresql_reads_a_glance_by_index(make_database, fields, index, monkeypatch):
    store = await Store.open(make_database("postgresql"), require_durable=False)
    try:
        async with store.writing() as tx:  # so many that walking the table would cost more
            collection_id = await make_collection(tx)
            await _release(tx, collection_id, *(incident(n) for n in range(3000)))
        plan = await _plan(store, fields, True, "generic", monkeypatch)
    finally:
        await store.close()
    text = "\n".join(row[0] for row in plan)
    # the log's own key has its positions too: which of the two is taken is for the planner's sample to say
    assert index in text or "pk_release" in text, text
    assert "Seq Scan on release" not in text, text


async def _plan(store, fields, analysed, explain, monkeypatch):
    """How the database would answer the very question that a glance puts."""
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        await _release(tx, collection_id, *(incident(n, V1) for n in range(5000, 5300)))
        await _release(tx, collection_id, *(observable(n) for n in range(300)))
        if analysed:
            await tx.connection.exec_driver_sql("ANALYZE")
    asked = []
    put = store.glance

    async def listen(question, values, max_bytes):
        asked.append((question, values))
        return await put(question, values, max_bytes)

    monkeypatch.setattr(store, "glance", listen)
    await _seen(store, collection_id, Filter(**fields), 100)
    (question, values), *_ = asked
    async with store.reading() as tx:
        if explain != "generic":
            return list(await tx.connection.exec_driver_sql(f"{explain} {question}", tuple(values)))
        # the plan that is kept for all values, which PostgreSQL takes after a few times
        await tx.connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        await tx.connection.exec_driver_sql(f"PREPARE asked AS {question}")
        literals = ", ".join(str(value) if isinstance(value, int) else f"'{value}'" for value in values)
        return list(await tx.connection.exec_driver_sql(f"EXPLAIN EXECUTE asked({literals})"))


async def test_what_waits_in_a_transaction_is_in_no_glance(store, log):  # noqa: F811
    before = await store.moment()
    async with store.writing() as tx:
        await audit.append(tx, "event", "s", {}, 1)
        await _release(tx, log, incident(60))
        page = await _seen(store, log, Filter(), 100)
        assert len(page.raws) == 5
        if not tx.on_postgresql:
            assert await store.moment() == before
    assert len((await _seen(store, log, Filter(), 100)).raws) == 6


assert V1 < V2 < V3


async def test_pages_with_a_few_large_objects_among_small_ones_are_whole_and_cut_where_they_should_be(store):
    sizes = [10, 10, 30_000, 10, 9_000, 10, 200_000, 10, 10, 10]
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        await _release(tx, collection_id, *(incident(n, description="x" * size) for n, size in enumerate(sizes)))
    for limit in (1, 2, 5, 100, 999):
        for max_bytes in (1_000, 31_000, 60_000, 250_000, MOST):
            what = Filter()
            shown = []
            while True:
                async with store.reading() as tx:
                    wanted = await pages.content(tx, collection_id, what, limit, max_bytes=max_bytes)
                page = await _seen(store, collection_id, what, limit, max_bytes)
                assert (list(page.positions), page.more) == (list(wanted.positions), wanted.more)
                assert list(page.raws) == list(wanted.raws)
                shown += page.raws
                if not page.more:
                    break
                what = Filter(after=page.last)
            assert len(shown) == len(sizes)


async def test_a_log_in_another_order_than_versions_came_in_is_shown_in_its_own(store):
    async with store.writing() as tx:
        first, second = await make_collection(tx, "first"), await make_collection(tx, "second")
        await _release(tx, first, *(incident(n) for n in range(9)))
        await _release(tx, second, *(incident(n) for n in (4, 8, 0, 7, 3, 1, 2, 6, 5)))
    for limit in (1, 4, 100):
        what = Filter()
        shown = []
        while True:
            page = await _seen(store, second, what, limit)
            async with store.reading() as tx:
                wanted = await pages.content(tx, second, what, limit, max_bytes=MOST)
            assert (list(page.positions), list(page.raws)) == (list(wanted.positions), list(wanted.raws))
            shown += page.raws
            if not page.more:
                break
            what = Filter(after=page.last)
        assert [json.loads(raw)["id"] for raw in shown] == [incident_id(n) for n in (4, 8, 0, 7, 3, 1, 2, 6, 5)]
