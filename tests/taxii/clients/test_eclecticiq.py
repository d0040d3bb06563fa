"""EclecticIQ's incoming TAXII feed: a client that reads the headers strictly and stops at the first fault.

Its behaviour: peers.md 5.1, opencti#6973 (a header `undefined` on an empty answer broke it),
attack-workbench-taxii-server#32 (so did a date that is not RFC 3339). Basic; collection by id; `added_after` from
1970 on, 100 objects a request; the window advances with `X-TAXII-Date-Added-Last`. Documentation and threads only:
the product was not run.

Its protocol allows: everything once, whatever is added meanwhile.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from taxii_node import REGIONAL, ServedNode, indicator

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def strictly(text: str) -> datetime:
    """A header's date. Raises ValueError for whatever is not what TAXII §2 calls a timestamp."""
    if not RFC_3339.fullmatch(text):
        raise ValueError(f"Not a valid ISO 8601 datetime: {text!r}")
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)


@dataclass
class EclecticIq:
    """One incoming feed; `window` is where it goes on."""

    node: ServedNode
    window: str = "1970-01-01T00:00:00.000000Z"
    by_next: bool = False
    requests: int = 0
    dates: list[tuple[datetime, datetime]] = field(default_factory=list)

    async def poll(self) -> list[dict]:
        """Requests of a hundred until one brings nothing, each beginning where the one before ended."""
        found: list[dict] = []
        while objects := await self._request():
            found += objects
            assert len(found) < 1000, "it would never come to an end"
        return found

    async def _request(self) -> list[dict]:
        self.requests += 1
        answer = await self.node.http.get(
            f"{self.node.root}collections/{REGIONAL}/objects/",
            params={"added_after": self.window, "limit": 100},
            auth=("rita", self.node.tokens["rita"]),
            headers={"Accept": "application/taxii+json; version=2.1"},
        )
        assert answer.status_code == 200, answer.text
        given = [answer.headers.get(f"X-TAXII-Date-Added-{name}") for name in ("First", "Last")]
        dates = [strictly(text) for text in given if text is not None]
        objects = answer.json().get("objects", [])
        assert len(objects) <= 100
        if objects:
            first, last = dates
            self.dates.append((first, last))
            self.window = given[1]
        return objects


def ids(values) -> list[str]:
    return [value["id"] for value in values]


async def test_an_empty_collection_has_no_header_that_it_could_stumble_over(node):
    feed = EclecticIq(node)
    assert await feed.poll() == []
    answer = await node.get("objects/")
    assert not [name for name in answer.headers if name.startswith("x-taxii")]


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
async def test_its_window_advances_with_the_headers_and_every_object_comes_once(node, writer, count):
    await writer.burst(count)
    feed = EclecticIq(node)
    assert ids(await feed.poll()) == writer.added
    assert feed.requests == -(-count // 100) + 1
    flat = [date for pair in feed.dates for date in pair]
    assert flat == sorted(flat)
    assert await feed.poll() == []


async def test_poll_after_poll_everything_comes_once_while_a_writer_adds(node, writer):
    await writer.burst(130)
    feed = EclecticIq(node)
    found = await feed.poll() + await writer.watched(feed.poll)
    assert ids(found) == writer.added


async def test_versions_and_withdrawals_between_its_requests_leave_its_dates_in_order(node, writer):
    await writer.burst(5)
    feed = EclecticIq(node)
    await feed.poll()
    newer = indicator(2, "2025-03-02T00:00:00.000Z")
    await writer.post([newer])
    assert await feed.poll() == [newer]
    await node.get(f"objects/{newer['id']}/?match[version]=last", by="walt", method="DELETE")
    # the older one became the last again, at a new date
    assert await feed.poll() == [indicator(2)]
    assert await feed.poll() == []
    flat = [date for pair in feed.dates for date in pair]
    assert flat == sorted(flat)
