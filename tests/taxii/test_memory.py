"""What is remembered between requests is never stale, not for one request, whichever process made it so."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from taxii_node import SECOND, SETTINGS, indicator
from tocsin.errors import Unavailable
from tocsin.policy.configuration import read_configuration
from tocsin.store import accounts, audit, configuration, parties
from tocsin.store.moment import Moment, Session
from tocsin.store.transaction import Store
from tocsin.taxii import endpoint, memory
from tocsin.taxii.memory import Memory, OfOneMoment


@pytest.fixture
async def other(database_url):
    """Another store on the same database, as another process has it."""
    opened = await Store.open(database_url, require_durable=False)
    yield opened
    await opened.close()


@pytest.fixture
def worked_out(monkeypatch):
    """How often an answer was worked out, and not taken from memory."""
    count = []
    check = endpoint.check_accept
    monkeypatch.setattr(endpoint, "check_accept", lambda header: (count.append(header), check(header)))
    return count


PATHS = [
    "objects/",
    "objects/?added_after=2030-01-01T00:00:00Z",
    "manifest/",
    "",
    "changes/",
    "/taxii2/",
    "/exchange/",
]


async def test_what_is_asked_again_is_answered_from_memory_with_the_same_bytes(node, worked_out):
    await node.fill([indicator(1)])
    for path in [*PATHS, f"objects/{indicator(1)['id']}/", f"objects/{indicator(1)['id']}/versions/"]:
        await node.get(path)  # that a reader reads changes is noted when he does so first
        first = await node.get(path)
        before = len(worked_out)
        again = [await node.get(path) for _ in range(3)]
        assert len(worked_out) == before, path
        for one in again:
            assert one.status_code == 200
            assert one.content == first.content
            assert dict(one.headers) | {"date": ""} == dict(first.headers) | {"date": ""}
        assert (await node.get(path, method="HEAD")).content == b""
        assert (await node.get(path)).content == first.content


async def test_an_unchanged_poll_is_304_from_memory_however_large_the_page(node, worked_out):
    await node.fill([indicator(n, description="x" * 5000) for n in range(50)])
    tag = (await node.get("objects/")).headers["ETag"]
    for expected in (1, 0, 0):
        before = len(worked_out)
        assert (await node.get("objects/", headers={"If-None-Match": tag})).status_code == 304
        assert len(worked_out) - before == expected
    await node.fill([indicator(60)])
    changed = await node.get("objects/", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert len(changed.json()["objects"]) == 51


async def test_a_large_answer_is_not_kept(node, worked_out):
    await node.fill([indicator(1, description="x" * 20_000)])
    for _ in range(3):
        assert (await node.get("objects/", headers={"Accept-Encoding": "identity"})).status_code == 200
    assert len(worked_out) == 3


async def test_every_part_of_a_request_that_counts_makes_another_answer(node):
    await node.fill([indicator(1)])
    await node.fill([indicator(2)], collection_id=SECOND)
    for _ in range(2):
        assert (await node.get("objects/")).json()["objects"][0]["id"] == indicator(1)["id"]
        second = await node.get(f"/exchange/collections/{SECOND}/objects/")
        assert second.json()["objects"][0]["id"] == indicator(2)["id"]
        assert (await node.get(f"/exchange/collections/{SECOND}/objects/", by="walt")).status_code == 404
        assert (await node.get("objects/", by="pia")).status_code == 403
        assert (await node.get("objects/", by=None)).status_code == 401
        assert (await node.get("objects/?match[type]=malware")).json() == {}
        assert (await node.get("objects/", headers={"Accept": "text/html"})).status_code == 406
        basic = await node.get("objects/", by=None, auth=("rita", node.tokens["rita"]))
        assert basic.status_code == 200
        assert (await node.get("objects/", by=None, auth=("walt", node.tokens["rita"]))).status_code == 401
        assert len((await node.get("", by="rita")).json()) == len((await node.get("", by="walt")).json())
        assert (await node.get("", by="rita")).json()["can_write"] is False
        assert (await node.get("", by="walt")).json()["can_write"] is True


async def test_a_revoked_token_is_refused_at_the_very_next_request(node, other):
    for store in (node.store, other):
        async with store.writing() as tx:
            token = await accounts.make_token(tx, node.parties["rita"], await tx.now())
        headers = {"Authorization": f"Bearer {token}"}
        for path in PATHS:
            for _ in range(2):
                assert (await node.get(path, by=None, headers=headers)).status_code == 200
        async with store.writing() as tx:
            await accounts.revoke_tokens(tx, node.parties["rita"], await tx.now())
        for path in PATHS:
            assert (await node.get(path, by=None, headers=headers)).status_code == 401


async def test_a_revoked_writer_is_refused_before_his_body(node, other):
    assert (await node.post({"objects": [indicator(1)]})).status_code == 202
    assert (await node.get("objects/", by="walt")).status_code == 200
    async with other.writing() as tx:
        await accounts.revoke_tokens(tx, node.parties["walt"], await tx.now())
    assert (await node.post({"objects": [indicator(2)]})).status_code == 401


async def test_a_suspended_party_is_refused_at_the_very_next_request_and_let_in_again(node, other):
    for suspended in (True, False, True):
        async with other.writing() as tx:
            await parties.set_suspended(tx, node.parties["rita"], suspended)
        for _ in range(2):
            for path in PATHS:
                assert (await node.get(path)).status_code == (403 if suspended else 200)


async def test_a_configuration_is_in_force_at_the_very_next_request(node, other):
    without = SETTINGS.replace("readers: [rita, walt]", "readers: [walt]")
    renamed = SETTINGS.replace("CERT Alpha", "CERT Beta")
    assert (await node.get("objects/")).status_code == 200
    for text, status, title in (
        (without, 404, "CERT Alpha"),
        (renamed, 200, "CERT Beta"),
        (without, 404, "CERT Alpha"),
    ):
        files = {**node.configuration.files, "tocsin.yaml": text}
        async with other.writing() as tx:
            await configuration.apply(tx, files, read_configuration(files).sha256, await tx.now())
        for _ in range(2):
            assert (await node.get("objects/")).status_code == status
            assert (await node.get("/taxii2/")).json()["title"] == title


async def test_what_is_published_is_in_the_very_next_poll(node, other):
    del other  # the node's own store writes here; another process does below
    path = "objects/?added_after=2020-01-01T00:00:00Z"
    for number in range(5):
        for _ in range(2):
            assert len((await node.get(path)).json().get("objects", [])) == number
        await node.fill([indicator(number)])


ANOTHER_PROCESS = """
import asyncio, sys
sys.path[:0] = sys.argv[3:]
from taxii_node import ServedNode, indicator
from tocsin.policy.configuration import read_configuration
from tocsin.settings import Home
from pathlib import Path
from tocsin.store.transaction import Store

async def main():
    store = await Store.open(sys.argv[1], require_durable=False)
    configuration = read_configuration(Home(Path(sys.argv[2])).configuration_files())
    node = ServedNode("", store, None, configuration, {}, {}, None)
    while line := await asyncio.to_thread(sys.stdin.readline):
        await node.fill([indicator(int(line))])
        print("done", flush=True)
    await store.close()

asyncio.run(main())
"""


async def test_what_another_process_publishes_is_in_the_very_next_poll(node, database_url):
    here = Path(__file__).parent
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ANOTHER_PROCESS,
        database_url,
        str(node.home.settings_file.parent),
        str(here),
        str(here.parent),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for number in range(6):
            for _ in range(3):
                assert len((await node.get("objects/")).json().get("objects", [])) == number
            process.stdin.write(f"{number}\n".encode())
            assert await process.stdout.readline() == b"done\n"
        assert len((await node.get("objects/")).json()["objects"]) == 6
    finally:
        process.stdin.close()
        await process.wait()


@pytest.mark.parametrize("seed", range(2))
async def test_in_a_hundred_random_interleavings_no_answer_is_older_than_its_question(node, other, seed):
    """Publishing and polling at random, over two stores: what was acknowledged is in every later answer."""
    rnd = random.Random(seed)
    published = 0  # acknowledged
    begun = 0
    lock = asyncio.Lock()  # the numbers below are of one publisher at a time

    async def publish() -> None:
        nonlocal published, begun
        async with lock:
            begun += 1
            await node.fill([indicator(begun)])
            published = begun

    async def disturb() -> None:
        async with other.writing() as tx:
            await audit.append(tx, "event", "s", {}, 1)

    async def poll() -> None:
        for _ in range(3):
            at_least = published
            found = (
                (await node.get("objects/?limit=1000", by=rnd.choice(["rita", "walt"]))).json().get("objects", [])
            )
            assert at_least <= len(found) <= begun
            await asyncio.sleep(rnd.random() / 500)

    for _ in range(20):
        await asyncio.gather(*(rnd.choice([publish, disturb, poll, poll, poll])() for _ in range(5)))
    assert published > 3


async def test_rights_and_page_are_of_one_state_even_if_everything_changes_in_between(node, other, monkeypatch):
    """He loses his right, then something is published: no answer shows the latter to him."""
    await node.fill([indicator(1)])
    for _ in range(2):
        assert (await node.get("objects/?limit=10")).status_code == 200
    glance = node.store.glance
    without = {
        **node.configuration.files,
        "tocsin.yaml": SETTINGS.replace("readers: [rita, walt]", "readers: [walt]"),
    }

    async def later(*question):
        async with other.writing() as tx:
            await configuration.apply(tx, without, read_configuration(without).sha256, await tx.now())
        await node.fill([indicator(2)])
        return await glance(*question)

    await node.get("objects/?limit=11")  # his rights are known at this moment
    monkeypatch.setattr(node.store, "glance", later)
    answer = await node.get("objects/?limit=12")
    assert answer.status_code == 404
    assert indicator(2)["id"] not in answer.text


# --- what is kept -----------------------------------------------------------------------------------------------


def test_values_of_another_moment_are_gone_and_there_are_never_more_than_so_many():
    session = Session()
    first, second = Moment(session, 1), Moment(session, 2)
    values: OfOneMoment[int] = OfOneMoment(3)
    for number in range(3):
        values.put(first, bytes([number]), number)
    assert [values.get(first, bytes([number])) for number in range(3)] == [0, 1, 2]
    assert values.get(second, bytes([0])) is None
    values.put(first, b"x", 7)
    assert values.get(first, b"x") == 7
    assert values.get(first, bytes([0])) is None
    values.put(second, b"y", 8)
    assert values.get(first, b"x") is None
    assert values.get(second, b"y") == 8


def _scope(**more):
    return {
        "type": "http",
        "method": "GET",
        "path": "/exchange/collections/",
        "raw_path": b"/exchange/collections/",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer tcn_secret"), (b"user-agent", b"x")],
        **more,
    }


def test_nothing_of_a_request_can_be_read_from_memory():
    kept = Memory()
    key = kept.question(_scope(query_string=b"match[id]=indicator--1"))
    assert key is not None
    for part in (b"secret", b"indicator", b"exchange"):
        assert part not in key
    assert "secret" not in repr(kept)
    assert Memory().question(_scope()) != kept.question(_scope())
    assert kept.caller(_scope()["headers"]) == kept.caller([(b"x", b"y"), *_scope()["headers"]])


def test_only_what_rests_on_the_request_and_the_database_is_kept():
    kept = Memory()
    assert kept.question(_scope()) == kept.question(_scope(headers=[_scope()["headers"][0]]))
    for more in (
        {"method": "POST"},
        {"path": "/readyz"},
        {"path": "/.well-known/tocsin.json"},
        {"headers": [(b"content-length", b"3")]},
        {"headers": [(b"transfer-encoding", b"chunked")]},
    ):
        assert kept.question(_scope(**more)) is None
    different = [
        {"method": "HEAD"},
        {"raw_path": b"/exchange/collections"},
        {"query_string": b"limit=1"},
        *({"headers": [(name, b"v")]} for name in memory._HOW),
        {"headers": [(b"accept", b"a"), (b"accept", b"b")]},
        {"headers": [(b"accept", b"a,b")]},
    ]
    keys = {kept.question(_scope(**more)) for more in different}
    assert len(keys) == len(different)


async def test_a_database_that_cannot_be_asked_is_503(node, monkeypatch):
    await node.get("objects/")

    async def gone(*_):
        raise Unavailable("nobody there")

    monkeypatch.setattr(node.store, "moment", gone)
    assert (await node.get("objects/")).status_code == 200  # from a transaction, which still answers
    assert (await node.post({"objects": []})).status_code == 503
