"""A pause: 503 with `Retry-After` to whoever is known and paused, from the next request on; 401 to strangers."""

import asyncio
import json

import pytest

from taxii_node import REGIONAL, indicator
from tocsin.store import parties, pauses
from tocsin.store.pauses import EVERYBODY

NEUTRAL = "The node cannot do this now; asking again later may succeed."
READING = [
    "/taxii2/",
    "/exchange/",
    "/exchange/collections/",
    "",
    "manifest/",
    "objects/",
    f"objects/{indicator(1)['id']}/",
    f"objects/{indicator(1)['id']}/versions/",
    "changes/",
    "changes/content/?at=2025-03-01T00:00:00Z",
    "digest/",
    f"/exchange/news/?after={REGIONAL}:&wait=0",
    "/exchange/status/3f0c4d5e-7a11-4c1e-9b0d-00000000dead/",
]


async def pause(node, *names, because="the token was seen on a forum"):
    async with node.store.writing() as tx:
        ids = [node.parties[name] if name else EVERYBODY for name in names]
        await pauses.put(tx, ids, because, "mari", await tx.now())


async def resume(node):
    async with node.store.writing() as tx:
        await pauses.lift(tx, await pauses.pauses(tx))


def is_a_pause(answer) -> bool:
    body = answer.json()
    assert body == {"title": "Not available now", "description": NEUTRAL, "http_status": "503"}
    assert int(answer.headers["Retry-After"]) >= 30
    return answer.status_code == 503


@pytest.mark.parametrize("path", READING)
async def test_a_paused_reader_is_paused_everywhere_from_the_next_request_on(node, path):
    await node.fill([indicator(1), indicator(2)])
    for _ in range(3):  # the last of them from memory, where that is kept
        before = await node.get(path)
    assert before.status_code != 503
    await pause(node, "rita")
    assert is_a_pause(await node.get(path))
    assert (await node.get(path, by=None)).status_code == 401
    assert (await node.get(path, by=None, headers={"Authorization": "Bearer nobody"})).status_code == 401
    assert (await node.get(path, by="walt")).status_code in (200, 400, 404)  # whoever is not paused
    await resume(node)
    after = await node.get(path)
    assert (after.status_code, after.content) == (before.status_code, before.content)


async def test_a_paused_writer_stores_and_deletes_nothing(node):
    await node.post({"objects": [indicator(1)]})
    await pause(node, "walt")
    assert is_a_pause(await node.post({"objects": [indicator(2)]}))
    assert is_a_pause(await node.get(f"objects/{indicator(1)['id']}/", by="walt", method="DELETE"))
    found = (await node.get("objects/")).json()["objects"]
    assert [one["id"] for one in found] == [indicator(1)["id"]]


async def test_who_is_paused_while_his_body_arrives_stores_nothing(node):
    async def body():
        yield b'{"objects":['
        await pause(node, "walt")
        yield json.dumps(indicator(1)).encode() + b"]}"

    headers = {"Content-Type": "application/taxii+json;version=2.1"}
    answer = await node.get("objects/", by="walt", method="POST", headers=headers, content=body())
    assert is_a_pause(answer)
    assert (await node.get("objects/")).json() == {}


async def test_with_everything_paused_everybody_known_gets_503_and_the_node_says_so(node):
    await pause(node, "")
    for by in node.tokens:
        assert is_a_pause(await node.get("/taxii2/", by=by))
    assert (await node.get("/taxii2/", by=None)).status_code == 401
    assert (await node.get("/healthz", by=None)).json() == {"status": "alive"}
    ready = await node.get("/readyz", by=None)
    assert (ready.status_code, ready.json()["status"]) == (200, "paused")
    await resume(node)
    assert (await node.get("/readyz", by=None)).json()["status"] == "ready"
    assert (await node.get("/taxii2/")).status_code == 200


async def test_who_waits_for_news_hears_none_once_he_is_paused(node):
    waiting = asyncio.create_task(node.get(f"/exchange/news/?after={REGIONAL}:&wait=20"))
    await asyncio.sleep(0.5)
    await pause(node, "rita")
    await node.fill([indicator(1)])
    assert is_a_pause(await asyncio.wait_for(waiting, 15))


async def test_a_suspension_is_said_before_a_pause(node):
    await pause(node, "rita")
    async with node.store.writing() as tx:
        await parties.set_suspended(tx, node.parties["rita"], suspended=True)
    assert (await node.get("/taxii2/")).status_code == 403
