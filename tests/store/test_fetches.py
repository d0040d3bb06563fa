"""What a party was sent is noted once, in one row as long as it reads on."""

from samples import make_collection
from tocsin.store import parties
from tocsin.store.fetches import Fetches, fetches

CASES = [
    # (what is asked, each [after, first, last, whole], with None for a flush in between; the rows that come of it)
    ([(0, 10, 20, True), (20, 30, 40, True)], [(10, 40, True)]),
    ([(0, 10, 20, True), None, (20, 30, 40, True)], [(10, 40, True)]),
    ([(None, 10, 20, True), None, (None, 10, 20, True)], [(10, 20, True)]),
    ([(0, 10, 20, True), None, (25, 30, 40, True)], [(10, 20, True), (30, 40, True)]),
    ([(0, 10, 20, True), (20, 30, 40, False)], [(10, 20, True), (30, 40, False)]),
    ([(0, 10, 20, False), (20, 30, 40, False)], [(10, 20, False), (30, 40, False)]),
    ([(0, 30, 40, True), None, (0, 10, 40, True)], [(10, 40, True), (30, 40, True)]),
]


async def test_stretches_that_follow_one_another_make_one_row(store):
    for asked, expected in CASES:
        async with store.writing() as tx:
            collection_id = await make_collection(tx, f"c{CASES.index((asked, expected))}")
            await parties.ensure_parties(tx, {"beta": "peer"}, {}, 1)
        sent = Fetches()
        for one in [*asked, None]:
            if one is None:
                await sent.flush(store)
                continue
            after, first, last, whole = one
            sent.note("p", collection_id, after=after, first=first, last=last, whole=whole)
        async with store.reading() as tx:
            rows = await fetches(tx, collection_id=collection_id)
        assert sorted((row.first_position, row.last_position, row.whole) for row in rows) == expected
        assert all(row.began <= row.ended for row in rows)


async def test_what_was_sent_already_writes_nothing_for_a_minute(store):
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
    sent = Fetches()
    for expected in (1, 0, 0):
        sent.note("p", collection_id, after=None, first=1, last=9, whole=True)
        assert await sent.flush(store) == expected
    assert await sent.flush(store) == 0
