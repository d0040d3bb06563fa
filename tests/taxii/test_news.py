"""Our own resource for nodes: a request that waits until a log goes on."""

import asyncio
import time

import pytest

from taxii_node import PRIVATE, REGIONAL, SECOND, indicator
from tocsin.stix.objects import from_micros
from tocsin.store import accounts, audit
from tocsin.store.transaction import Store
from tocsin.taxii import waiting


def since(position: int = 0, collection: str = REGIONAL) -> str:
    return f"after={collection}:{from_micros(position)}"


async def news(node, *after, wait=10, by="rita"):
    return await node.get(f"/exchange/news/?{'&'.join(after)}&wait={wait}", by=by)


async def told(node, *after, **more) -> list[str]:
    answer = await news(node, *after, **more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()["news"]


async def begun(task) -> None:
    """Give a request the time to arrive and to wait."""
    await asyncio.sleep(0.4)
    assert not task.done()


async def test_of_what_was_not_read_yet_it_is_told_at_once(node):
    await node.fill([indicator(1)])
    (position,) = await node.fill([indicator(1)], collection_id=SECOND)
    assert await told(node, since(), since(0, SECOND)) == [REGIONAL, SECOND]
    assert await told(node, since(), since(position, SECOND)) == [REGIONAL]
    assert await told(node, "after=regional:") == [REGIONAL]


async def test_who_waits_is_told_when_any_process_lets_his_log_go_on(node, database_url):
    (position,) = await node.fill([indicator(1)])
    waits = asyncio.create_task(told(node, since(position), since(0, SECOND)))
    await begun(waits)
    other = await Store.open(database_url, require_durable=False)
    try:
        async with other.writing() as tx:  # something else
            await audit.append(tx, "tested", "nobody", {}, await tx.now())
        await node.fill([indicator(1)], collection_id=PRIVATE)  # another's
        await begun(waits)
        before = time.monotonic()
        await node.fill([indicator(2)], collection_id=SECOND)
        assert await waits == [SECOND]
        assert time.monotonic() - before < 5
    finally:
        await other.close()


async def test_when_nothing_comes_the_answer_is_empty_and_the_same_question_waits_again(node):
    (position,) = await node.fill([indicator(1)])
    for _ in range(2):
        began = time.monotonic()
        answer = await news(node, since(position), wait=1)
        assert answer.json() == {"news": []}
        assert answer.headers["Cache-Control"] == "no-store"
        assert time.monotonic() - began >= 0.9
    assert await told(node, since(position), wait=0) == []


async def test_a_collection_that_is_not_to_be_read_is_not_there(node):
    await node.fill([indicator(1)])
    unknown = "3f0c4d5e-7a11-4c1e-9b0d-000000000009"
    refusals = [
        await news(node, since(), since(0, PRIVATE)),
        await news(node, since(), since(0, unknown)),
        await news(node, since(), by="pia"),
        await news(node, since(), by="nora"),
    ]
    assert {answer.status_code for answer in refusals} == {404}
    assert len({answer.content for answer in refusals}) == 1
    assert (await news(node, since(), by=None)).status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "",
        "after=",
        f"after={REGIONAL}",
        f"after={REGIONAL}:yesterday",
        f"{since()}&{since()}",
        "&".join(f"after=c{number}:" for number in range(101)),
        f"{since()}&wait=soon",
        f"{since()}&wait=-1",
        f"{since()}&wait=1&wait=2",
    ],
)
async def test_a_malformed_question_is_400(node, query):
    assert (await node.get(f"/exchange/news/?{query}")).status_code == 400


async def test_who_loses_his_rights_while_he_waits_is_told_nothing(node):
    (position,) = await node.fill([indicator(1)])
    waits = asyncio.create_task(news(node, since(position)))
    await begun(waits)
    async with node.store.writing() as tx:
        await accounts.revoke_tokens(tx, node.parties["rita"], await tx.now())
    await node.fill([indicator(2)])
    assert (await waits).status_code == 401


async def test_who_waits_too_often_is_told_so_and_nobody_else_is_held_up(node):
    (position,) = await node.fill([indicator(1)])
    waits = [asyncio.create_task(told(node, since(position))) for _ in range(waiting.MOST_OF_ONE)]
    await asyncio.sleep(0.5)
    assert (await news(node, since(position), wait=0)).status_code == 429
    others = [asyncio.create_task(told(node, since(position), by="walt")) for _ in range(waiting.MOST_OF_ONE)]
    await asyncio.sleep(0.5)
    reads = await asyncio.gather(*(node.get("objects/", by=by) for by in ("rita", "walt") * 20))
    assert {answer.status_code for answer in reads} == {200}
    assert not any(task.done() for task in (*waits, *others))
    await node.fill([indicator(2)])
    assert await asyncio.gather(*waits, *others) == [[REGIONAL]] * 8


async def test_a_client_that_goes_away_waits_no_longer(node):
    (position,) = await node.fill([indicator(1)])
    for _ in range(3):  # more than may wait at once
        waits = [asyncio.create_task(news(node, since(position), wait=30)) for _ in range(waiting.MOST_OF_ONE)]
        await asyncio.sleep(0.5)
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await asyncio.sleep(0.2)
    assert (await news(node, since(position), wait=0)).status_code == 200
