"""Pages read ahead: given once, only of the moment at which they are asked for, and forgotten soon."""

import asyncio
import gc
import weakref

import pytest

from taxii_node import SETTINGS, indicator
from tocsin.errors import Unavailable
from tocsin.policy.configuration import read_configuration
from tocsin.store import configuration
from tocsin.store.moment import Moment, Session
from tocsin.store.pages import ContentPage
from tocsin.taxii import ahead
from tocsin.taxii.ahead import Ahead

PLAIN = {"Accept-Encoding": "identity"}


async def _pages(node, *, by="rita", before_each=None, limit=2):
    found, query = [], f"limit={limit}"
    while True:
        answer = await node.get(f"objects/?{query}", by=by, headers=PLAIN)
        if answer.status_code != 200:
            return found, answer.status_code
        body = answer.json()
        found += [one["id"] for one in body.get("objects", [])]
        if not body.get("more"):
            return found, 200
        if before_each is not None:
            await before_each()
        query = f"limit={limit}&next={body['next']}"


@pytest.fixture
def glances(node, monkeypatch):
    """The positions after which pages were read."""
    asked = []
    put = node.store.glance

    async def listen(question, values, max_bytes):
        asked.append(values)
        return await put(question, values, max_bytes)

    monkeypatch.setattr(node.store, "glance", listen)
    return asked


async def test_who_reads_on_gets_everything_once_and_no_page_is_read_twice(node, glances):
    await node.fill([indicator(n) for n in range(11)])
    await _pages(node)
    await node.fill([indicator(11)])  # so that no answer is remembered
    await node.get("manifest/")
    glances.clear()
    found, _ = await _pages(node)
    assert found == [indicator(n)["id"] for n in range(12)]
    assert len(glances) in (6, 7)  # a page each, and who asks


async def test_what_changes_between_two_pages_is_in_the_next_though_it_was_read_ahead(node):
    await node.fill([indicator(n) for n in range(8)])
    await _pages(node)
    added = iter(range(20, 24))

    async def publish():
        await asyncio.sleep(0.02)  # the next page has been read
        if (number := next(added, None)) is not None:
            await node.fill([indicator(number)])

    found, _ = await _pages(node, before_each=publish)
    assert found == [indicator(n)["id"] for n in (*range(8), *range(20, 24))]


async def test_who_lost_his_right_gets_nothing_that_was_read_ahead(node):
    await node.fill([indicator(n) for n in range(10)])
    files = {
        **node.configuration.files,
        "tocsin.yaml": SETTINGS.replace("readers: [rita, walt]", "readers: [walt]"),
    }
    pages = 0

    async def take_away():
        nonlocal pages
        pages += 1
        await asyncio.sleep(0.02)
        if pages == 3:
            async with node.store.writing() as tx:
                await configuration.apply(tx, files, read_configuration(files).sha256, await tx.now())

    found, status = await _pages(node, before_each=take_away)
    assert (len(found), status) == (6, 404)


async def test_what_was_read_is_given_once_and_no_more_than_so_much_is_kept(monkeypatch):
    monkeypatch.setattr(ahead, "SECONDS", 0.1)
    page = ContentPage((1,), (b"{}",), more=False), Moment(Session(), 1)
    kept = Ahead()

    async def read():
        return page

    async def gone():
        raise Unavailable("the database is gone")

    assert await kept.take("a") is None
    kept.begin("a", read)
    assert await kept.take("a") == page
    assert await kept.take("a") is None
    kept.begin("b", gone)
    assert await kept.take("b") is None
    for key in range(ahead.MOST + 2):
        kept.begin(key, read)
    assert await kept.take(0) is None
    assert await kept.take(ahead.MOST + 1) == page
    await asyncio.sleep(0.2)
    assert await kept.take(ahead.MOST) is None
    kept.begin("c", read)
    kept.close()
    assert await kept.take("c") is None


async def test_a_page_that_was_given_is_kept_nowhere():
    class Many(list):
        """A list that can be watched."""

    kept = Ahead()
    gone = []

    async def read():
        raws = Many([b"{}"])
        gone.append(weakref.ref(raws))
        return ContentPage((1,), raws, more=False), Moment(Session(), 1)

    for key in range(3 * ahead.MOST):
        kept.begin(key, read)
        assert await kept.take(key) is not None
    await asyncio.sleep(0)
    gc.collect()
    assert [ref() for ref in gone if ref() is not None] == []
    kept.close()
