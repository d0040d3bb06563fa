"""OpenCTI's own TAXII ingestion: one request each time its scheduler comes round, over an HTTP client like axios.

Its behaviour: peers.md 5.1 and its issues #4246, #4537, #5681, #10090; public source OpenCTI-Platform/opencti,
`opencti-graphql/src/manager/ingestionManager.ts`. The URL of the API root and the collection's id are typed in. It
sends what it has of `next` and `added_after`; where `more` is true it keeps `next` beside the old `added_after`,
else it forgets `next` and keeps `X-TAXII-Date-Added-Last`, cut to milliseconds (or, without that header, the time
of its own clock). Older builds take `application/json, text/plain, */*`.

Its protocol allows: everything once, whatever is added meanwhile. What it reads twice are at most the objects of
the last millisecond that it read; here the end of every write stands on a whole one, so there are none.
"""

import base64
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from taxii_node import REGIONAL, ServedNode, indicator, listening
from tocsin.app import make_app

NEWER_ACCEPT = "application/taxii+json;version=2.1"
OLDER_ACCEPT = "application/json, text/plain, */*"


def to_iso_string(header: str) -> str:
    """JavaScript's `new Date(header).toISOString()`: three digits, the rest cut off."""
    whole, fraction = re.fullmatch(r"(.{19})\.(\d+)Z", header).groups()
    return f"{whole}.{(fraction + '00')[:3]}Z"


@dataclass
class OpenCti:
    """One configured ingestion: `added_after` and `cursor` are its state between runs."""

    node: ServedNode
    uri: str
    authorization: str
    accept: str = NEWER_ACCEPT
    limit: int | None = None
    added_after: str | None = None
    cursor: str | None = None
    absorbed: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def run(self) -> int:
        """One run of the scheduler; how many objects it sent to its workers."""
        base = self.uri if self.uri.endswith("/") else f"{self.uri}/"
        given = {"next": self.cursor, "added_after": self.added_after, "limit": self.limit}
        query = "&".join(f"{name}={value}" for name, value in given.items() if value is not None)
        url = f"{base}collections/{REGIONAL}/objects/" + (f"?{query}" if query else "")
        self.requests.append(url)
        headers = {
            "Accept": self.accept,
            "Authorization": self.authorization,
            "User-Agent": "axios/1.13.2",
            "Accept-Encoding": "gzip, compress, deflate, br",
        }
        answer = await self.node.http.get(url, headers=headers)
        assert answer.status_code == 200, answer.text
        data, last = answer.json(), answer.headers.get("x-taxii-date-added-last")
        if not data.get("objects"):
            self.cursor = None
            return 0
        self.absorbed += [one["id"] for one in data["objects"]]
        if data.get("more") and data.get("next"):
            self.cursor = data["next"]
        else:
            self.cursor = None
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self.added_after = to_iso_string(last) if last else now
        return len(data["objects"])

    async def until_idle(self, runs: int = 60) -> None:
        """Until a run brings nothing."""
        for _ in range(runs):
            if await self.run() == 0:
                return
        pytest.fail(f"after {runs} runs it still reads: {self.requests[-2:]}")


def ingestion(node: ServedNode, **more) -> OpenCti:
    given = {"uri": node.root, "authorization": f"Bearer {node.tokens['rita']}", **more}
    return OpenCti(node, **given)


def basic(node: ServedNode) -> str:
    return "Basic " + base64.b64encode(f"rita:{node.tokens['rita']}".encode()).decode()


@pytest.mark.parametrize("accept", [NEWER_ACCEPT, OLDER_ACCEPT])
@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
async def test_it_reads_everything_with_each_of_its_headers(node, writer, accept, scheme):
    await writer.burst(3)
    authorization = basic(node) if scheme == "Basic" else f"Bearer {node.tokens['rita']}"
    opencti = ingestion(node, uri=node.root.rstrip("/"), accept=accept, authorization=authorization)
    assert await opencti.run() == 3
    assert await opencti.run() == 0
    assert opencti.absorbed == writer.added


async def test_an_empty_collection_leaves_it_where_it_was(node, writer):
    opencti = ingestion(node, added_after="2025-01-01T00:00:00.000Z")
    assert await opencti.run() == 0
    assert (opencti.cursor, opencti.added_after) == (None, "2025-01-01T00:00:00.000Z")
    await writer.burst(2)
    assert await opencti.run() == 2


@pytest.mark.parametrize("limit", [None, 7, 100])
async def test_after_bursts_it_reads_each_object_once_although_it_keeps_milliseconds(node, writer, limit):
    """Objects of one burst stand 20 µs apart, so fifty share a millisecond with those before and after."""
    opencti = ingestion(node, limit=limit)
    for size in (120, 1, 1, 53):
        await writer.burst(size)
        await opencti.until_idle()
    assert opencti.absorbed == writer.added
    asked = len(opencti.requests)
    for _ in range(5):
        assert await opencti.run() == 0
    assert set(opencti.requests[asked:]) == {opencti.requests[asked]}


async def test_where_its_last_object_was_taken_away_it_may_read_a_millisecond_again_and_no_more(node, writer):
    """The one before it then ends the log, within a millisecond; it is read again, and no new one is lost."""
    await writer.burst(60)
    await node.get(f"objects/{writer.added[-1]}/", by="walt", method="DELETE")
    opencti = ingestion(node)
    assert await opencti.run() == 59
    again = {await opencti.run() for _ in range(3)}
    assert len(again) == 1
    assert max(again) <= 50
    await writer.burst(2)
    await opencti.run()
    assert set(opencti.absorbed) == set(writer.added) - {writer.added[59]}
    assert await opencti.run() == 0


async def test_it_keeps_next_across_runs_beside_an_added_after_while_a_writer_adds(node, writer):
    await writer.burst(9)
    start = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    opencti = ingestion(node, limit=4, added_after=start)
    assert await opencti.run() == 4
    assert opencti.cursor
    assert opencti.added_after == start
    await writer.add(1)  # between its pages

    async def run():
        return [await opencti.run()]

    await writer.watched(run)
    await opencti.until_idle()
    assert any("next=" in url and f"added_after={start}" in url for url in opencti.requests)
    assert opencti.absorbed == writer.added


@pytest.mark.parametrize("days", [-400, 0, 400])
async def test_next_and_another_added_after_both_hold(node, writer, days):
    """An operator may set a new date in the middle (#5681); neither value leads back to page one."""
    await writer.burst(10)
    opencti = ingestion(node, limit=4)
    await opencti.run()
    moment = datetime.now(UTC) + timedelta(days=days, seconds=-3600)
    opencti.added_after = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    await opencti.until_idle()
    assert opencti.absorbed == (writer.added[:4] if days > 0 else writer.added)


async def test_its_next_outlives_the_node_and_its_own_change_of_limit(node, writer):
    await writer.burst(10)
    opencti = ingestion(node, limit=4)
    await opencti.run()
    async with listening(make_app(node.store, node.home)) as url:  # started anew, on another port
        opencti.uri, opencti.limit = f"{url}/exchange/", 5
        await opencti.until_idle()
    assert opencti.absorbed == writer.added


async def test_a_new_version_is_read_again_and_nothing_else_is(node, writer):
    await writer.burst(5)
    opencti = ingestion(node, limit=3)
    await opencti.run()
    await writer.post([indicator(number, "2025-03-02T00:00:00.000Z") for number in (0, 4)])
    await opencti.until_idle()
    # of number 4, not read until then, only the newer version
    assert opencti.absorbed == [writer.added[n] for n in (0, 1, 2, 3, 0, 4)]
