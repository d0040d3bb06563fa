"""Microsoft Sentinel's data connector "Threat Intelligence – TAXII".

Its behaviour: peers.md 5.1, opencti#2102, Azure-Sentinel#8164 and #12234, and the resource `TiTaxiiDataConnector`
of its public interface: API root URL, collection id, user name and password are typed in; it asks for no discovery
and knows no bearer; it polls once a minute, an hour or a day; it begins with all, or at most a day, a week or a
month of the past. From documentation and threads only: no such client was run, so how it advances is not known.
Both ways are replayed: by the header of its last answer, and by a window of its own clock that reaches back a day.

Its protocol allows: everything once by the header; by windows everything at least once, as long as each begins
before the one before it ended.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from busy_writer import BusyWriter

from taxii_node import REGIONAL, Clock, ServedNode, served
from tocsin.store.transaction import Store

DAY = timedelta(days=1)


@dataclass
class Sentinel:
    """One configured connector. `reaches_back`: None takes all there is."""

    node: ServedNode
    api_root: str
    user: str = "rita"
    password: str = ""
    reaches_back: timedelta | None = DAY
    by_header: bool = True
    last: str | None = None

    async def connect(self) -> int:
        """What it tries when the connector is added."""
        return (await self._get("")).status_code

    async def poll(self, now: datetime) -> list[str]:
        """All pages of one scheduled poll; the ids of the indicators in them."""
        after = self.last if self.by_header else None
        if after is None and self.reaches_back is not None:
            after = (now - self.reaches_back).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        asked = {} if after is None else {"added_after": after}
        found, following = [], {}
        while True:
            answer = await self._get("objects/", asked | following)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            found += [one["id"] for one in body.get("objects", []) if one["type"] == "indicator"]
            self.last = answer.headers.get("X-TAXII-Date-Added-Last", self.last)
            if not body.get("more"):
                return found
            following = {"next": body["next"]}

    async def _get(self, path: str, query: dict[str, str] | None = None):
        root = self.api_root if self.api_root.endswith("/") else f"{self.api_root}/"
        return await self.node.http.get(
            f"{root}collections/{REGIONAL}/{path}",
            params=query,
            auth=(self.user, self.password or self.node.tokens["rita"]),
            headers={"Accept": "application/taxii+json;version=2.1"},
        )


@pytest.fixture
async def calendar():
    """The clock of the node's database, turned by the test."""
    return Clock()


@pytest.fixture
async def dated_node(database_url, tmp_path, calendar):
    store = await Store.open(database_url, clock=calendar, require_durable=False)
    try:
        async with served(store, tmp_path) as running:
            yield running
    finally:
        await store.close()


def moment(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.at / 1_000_000, UTC)


@pytest.mark.parametrize("slash", ["", "/"])
async def test_what_was_typed_in_is_enough(node, writer, slash):
    await writer.burst(3)
    sentinel = Sentinel(node, node.root.rstrip("/") + slash)
    assert await sentinel.connect() == 200
    assert await sentinel.poll(datetime.now(UTC)) == writer.added


@pytest.mark.parametrize(
    ("more", "status"),
    [({"password": "wrong"}, 401), ({"user": "walt"}, 401), ({"user": "RITA"}, 401), ({}, 200)],
)
async def test_user_name_and_password_must_belong_together(node, more, status):
    assert await Sentinel(node, node.root, **more).connect() == status


@pytest.mark.parametrize("by_header", [True, False])
async def test_everything_of_many_days_comes_by_daily_polls(dated_node, calendar, by_header):
    sentinel = Sentinel(dated_node, dated_node.root, by_header=by_header)

    writer, found = BusyWriter(dated_node), []
    await writer.burst(4)
    for hours in (1, 23, 23, 1, 23, 23, 23):
        found += await sentinel.poll(moment(calendar))
        await writer.burst(3)
        calendar.at += hours * 3_600_000_000
    found += await sentinel.poll(moment(calendar))
    assert set(found) == set(writer.added)
    if by_header:
        assert found == writer.added
        assert await sentinel.poll(moment(calendar)) == []


@pytest.mark.parametrize(("reaches_back", "expected"), [(DAY, 2), (7 * DAY, 5), (None, 9)])
async def test_it_begins_as_far_back_as_was_chosen(dated_node, calendar, reaches_back, expected):

    writer = BusyWriter(dated_node)
    for count, days in ((4, 20), (3, 3), (2, 0)):
        await writer.burst(count)
        calendar.at += days * 86_400_000_000
    sentinel = Sentinel(dated_node, dated_node.root, reaches_back=reaches_back)
    assert await sentinel.poll(moment(calendar)) == writer.added[-expected:]


async def test_poll_after_poll_everything_comes_once_while_a_writer_adds(node, writer):
    await writer.burst(5)
    sentinel = Sentinel(node, node.root)
    found = await sentinel.poll(datetime.now(UTC))
    found += await writer.watched(lambda: sentinel.poll(datetime.now(UTC)))
    assert found == writer.added
