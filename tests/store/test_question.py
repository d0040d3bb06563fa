"""Statements that are put to the driver itself: the same answers on both databases, within the transaction."""

import pytest
from sqlalchemy import bindparam, func, insert, select, update

from tocsin.errors import NotFound
from tocsin.store import audit, bulk, releases
from tocsin.store.question import Question
from tocsin.store.tables import audit as audit_table
from tocsin.store.tables import collection

NOTE = Question(
    lambda lists: insert(audit_table).values(
        {name: bindparam(name) for name in ("at", "event", "subject", "details")}
    )
)
SUBJECTS = Question(
    lambda lists: (
        select(audit_table.c.subject)
        .where(lists.among(audit_table.c.subject, "subjects"))
        .order_by(audit_table.c.subject)
    )
)
COUNTED = Question(lambda lists: select(func.count()).select_from(lists.rows("values")))
MOVED = Question(
    lambda lists: update(collection).where(collection.c.id == bindparam("id")).values(stuck=bindparam("why"))
)


@pytest.mark.parametrize("number", [0, 1, 3_000], ids=["none", "one", "more than fit into a list of parameters"])
async def test_a_list_of_any_length_is_one_parameter(store, number):
    async with store.writing() as tx:
        for name in ("a", "b's", '"é'):
            await audit.append(tx, "event", name, {}, 1)
        wanted = [f"x{i}" for i in range(number)]
        assert await SUBJECTS.ask(tx, subjects=wanted) == []
        assert [row[0] for row in await SUBJECTS.ask(tx, subjects=['"é', *wanted, "a", "a"])] == ['"é', "a"]
        assert (await COUNTED.ask(tx, values=wanted))[0][0] == number


async def test_what_is_asked_first_in_a_transaction_is_undone_with_it(store):
    async def note_and_fail():
        async with store.writing() as tx:
            await NOTE.ask(tx, at=1, event="event", subject="s", details="{}")
            await NOTE.ask(tx, at=1, event="event", subject="s", details="{}")
            raise NotFound("nothing")

    with pytest.raises(NotFound):
        await note_and_fail()
    async with store.reading() as tx:
        assert await audit.entries(tx) == []


async def test_a_question_sees_what_was_written_behind_just_before(store):
    rows = [(1, "event", f"s{number:04}", "{}") for number in range(1_000)]
    async with store.writing() as tx:
        await bulk.insert(tx, audit_table, ("at", "event", "subject", "details"), rows)
        assert len(await SUBJECTS.ask(tx, subjects=[row[2] for row in rows])) == 1_000


async def test_a_held_head_is_known_without_asking_again_and_moves_with_the_log(store):
    async with store.writing() as tx:
        ids = await releases.ensure_collections(tx, {"one": None, "two": None}, {}, 1)
    async with store.writing() as tx:
        await releases.lock_all(tx)
        assert await releases.lock(tx, ids.values()) == {id_: releases.Head(0, 0) for id_ in ids.values()}
        with pytest.raises(NotFound):
            await releases.lock(tx, [ids["one"], "other"])
        await MOVED.ask(tx, id=ids["one"], why="because")
    async with store.reading() as tx:
        assert [row.stuck for row in await releases.collections(tx)] == ["because", None]
