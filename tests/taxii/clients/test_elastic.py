"""Elastic's integration `ti_custom`: a CEL program over an HTTP client of Go, one evaluation for each page.

Its behaviour: peers.md 5.1 and elastic/integrations#11324, #12874, #20184; public source elastic/integrations,
`packages/ti_custom/data_stream/indicator/agent/stream/cel.yml.hbs`. The whole URL of the objects is typed in,
often without a slash at its end. Its first request has `added_after` (of its cursor, else now less the initial
interval); before 1.8.2 the next ones had `next` alone. It goes on while `next` is not empty and never looks at
`more`. It reads `objects` without asking whether it is there, so `{}` is an error of the program, which leaves its
cursor as it was. Its cursor is `X-TAXII-Date-Added-Last`; an answer without that header resets it to the initial
interval.

Its protocol allows: everything within the initial interval once, whatever is added meanwhile. With the account's
`empty_page: list` it does so without the errors; an empty page then repeats the date that was asked for, because
without it Elastic would begin anew at each second poll.
"""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from busy_writer import BusyWriter

from taxii_node import SETTINGS, ServedNode, indicator, served


class EvaluationError(Exception):
    """`no such key: objects`; the agent reports itself as degraded, and tries again at the next interval."""


@dataclass
class Elastic:
    """One configured agent; `cursor` is what it keeps, `want_more` and `next_url` live for one interval."""

    node: ServedNode
    url: str
    authorization: str
    accept: str = "application/taxii+json;version=2.1"
    content_type: str | None = None
    initial_interval: timedelta | None = timedelta(days=120)
    limit: int | None = None
    keeps_filter: bool = False  # 1.8.2 and later
    cursor: str | None = None
    requests: list[str] = field(default_factory=list)

    async def interval(self) -> list[str]:
        """The ids of what one interval brings: page after page until there is no `next`."""
        url, found = self._first(), []
        for _ in range(50):
            body = await self._evaluate(url)
            found += [one["id"] for one in body["objects"]]
            following = body.get("next")
            if not following:
                return found
            url = self._with({"next": following, **(self.asked if self.keeps_filter else {})})
        pytest.fail("it would never come to an end")

    def _first(self) -> str:
        if self.initial_interval is None:
            return self.url
        start = (datetime.now(UTC) - self.initial_interval).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.asked = {"added_after": self.cursor or start}
        return self._with(self.asked)

    def _with(self, query: dict[str, str]) -> str:
        if self.limit is not None:
            query = {**query, "limit": str(self.limit)}
        # Go's url.Values.Encode: in the order of their names
        return self.url.rstrip("/") + "/?" + urlencode(sorted(query.items()))

    async def _evaluate(self, url: str) -> dict:
        self.requests.append(url)
        headers = {"Accept": self.accept, "Authorization": self.authorization, "User-Agent": "Go-http-client/1.1"}
        headers |= {"Content-Type": self.content_type} if self.content_type else {}
        answer = await self.node.http.get(url, headers=headers)
        assert answer.status_code in (200, 206), answer.text
        body = answer.json()
        if "objects" not in body:
            raise EvaluationError("no such key: objects")
        self.cursor = answer.headers.get("X-Taxii-Date-Added-Last")
        return body


def agent(node: ServedNode, **more) -> Elastic:
    given = {
        "url": f"{node.collection_url()}objects",
        "authorization": f"Bearer {node.tokens['rita']}",
        **more,
    }
    return Elastic(node, **given)


VERSIONS = pytest.mark.parametrize("keeps_filter", [False, True], ids=["before 1.8.2", "since 1.8.2"])


async def test_it_reads_with_each_of_its_headers_and_spellings(node, writer):
    await writer.burst(2)
    for accept in ("application/taxii+json;version=2.1", "application/taxii+json", "application/json", "*/*"):
        for content_type in (None, "application/taxii+json", "application/json", "text/plain"):
            for slash in ("", "/"):
                url = f"{node.collection_url()}objects{slash}"
                elastic = agent(node, url=url, content_type=content_type, accept=accept)
                assert await elastic.interval() == writer.added


async def test_it_is_let_in_by_each_of_its_keys(node, writer):
    await writer.burst(1)
    token = node.tokens["rita"]
    basic = base64.b64encode(f"rita:{token}".encode()).decode()
    for authorization in (f"Bearer {token}", f"Token {token}", f"Basic {basic}"):
        assert await agent(node, authorization=authorization).interval() == writer.added


async def test_without_an_initial_interval_it_asks_the_bare_url_each_time(node, writer):
    """It then never uses its cursor, and reads everything again; so it configures itself."""
    await writer.burst(2)
    elastic = agent(node, initial_interval=None)
    assert await elastic.interval() == await elastic.interval() == writer.added
    assert set(elastic.requests) == {f"{node.collection_url()}objects"}


@VERSIONS
async def test_its_next_alone_leads_on_and_ends(node, writer, keeps_filter):
    await writer.burst(11)
    elastic = agent(node, limit=4, keeps_filter=keeps_filter)
    assert await elastic.interval() == writer.added
    assert ["added_after" in url for url in elastic.requests] == [True, keeps_filter, keeps_filter]
    assert ["next" in url for url in elastic.requests] == [False, True, True]


async def test_a_full_last_page_has_no_next_so_it_does_not_ask_for_an_empty_one(node, writer):
    await writer.burst(8)
    elastic = agent(node, limit=4)
    assert await elastic.interval() == writer.added
    assert len(elastic.requests) == 2


@VERSIONS
async def test_its_next_alone_stays_beyond_the_start_of_its_interval(node, writer, keeps_filter):
    """Before 1.8.2 the date was dropped on page two; the position in `next` lies beyond it all the same."""
    await writer.burst(6)
    date = (await node.get("manifest/")).json()["objects"][1]["date_added"]
    elastic = agent(node, limit=3, keeps_filter=keeps_filter, cursor=date)
    assert await elastic.interval() == writer.added[2:]


@VERSIONS
async def test_interval_after_interval_everything_comes_once_while_a_writer_adds(node, writer, keeps_filter):
    await writer.burst(9)
    elastic = agent(node, limit=4, keeps_filter=keeps_filter)

    async def interval():
        try:
            return await elastic.interval()
        except EvaluationError:  # nothing new just then
            return []

    found = await interval() + await writer.watched(interval)
    assert found == writer.added


async def test_an_empty_page_is_an_error_to_it_which_costs_it_nothing_but_a_warning(node, writer):
    """The strict answer. Its cursor stays, so what comes later is read, and nothing twice."""
    elastic = agent(node)
    with pytest.raises(EvaluationError):
        await elastic.interval()
    await writer.burst(3)
    assert await elastic.interval() == writer.added
    for _ in range(2):
        with pytest.raises(EvaluationError):
            await elastic.interval()
    await writer.post([indicator(90)])
    assert await elastic.interval() == [indicator(90)["id"]]


# --- with the account's `empty_page: list` ----------------------------------------------------------------------


@pytest.fixture
async def listing_node(store, tmp_path):
    """A node whose operator chose a list for this reader's empty pages."""
    chosen = SETTINGS.replace("rita: {kind: company,", "rita: {kind: company, empty_page: list,", 1)
    async with served(store, tmp_path, settings=chosen) as running:
        yield running


@VERSIONS
async def test_with_a_list_for_an_empty_page_it_never_stumbles_and_nothing_comes_twice(listing_node, keeps_filter):
    """Its cursor follows the header, so an empty answer repeats the date that was asked for."""
    writer = BusyWriter(listing_node)
    elastic = agent(listing_node, limit=4, keeps_filter=keeps_filter)
    assert await elastic.interval() == []
    await writer.burst(9)
    found = await elastic.interval()
    for _ in range(3):
        assert await elastic.interval() == []
    found += await writer.watched(elastic.interval)
    assert found == writer.added
    assert await elastic.interval() == []


async def test_after_an_idle_time_longer_than_its_initial_interval_nothing_is_lost(listing_node):
    """With a cursor that an empty page had reset it would begin where the interval does, and miss the rest."""
    writer = BusyWriter(listing_node)
    elastic = agent(listing_node, initial_interval=timedelta(minutes=5))
    await writer.burst(2)
    found = await elastic.interval() + await elastic.interval()
    await writer.burst(2)
    elastic.initial_interval = timedelta(seconds=-60)  # as if it had been switched off for that long
    assert found + await elastic.interval() == writer.added


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ("2025-03-01T00:00:00Z", "2025-03-01T00:00:00.000000Z"),
        ("2025-03-01T01:00:00.1234567+01:00", "2025-03-01T00:00:00.123456Z"),
        ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:60.5Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
async def test_the_date_on_an_empty_page_is_one_whatever_was_asked(listing_node, after, told):
    answer = await listing_node.get("objects/", params={"added_after": after})
    assert (answer.status_code, answer.json()) == (200, {"more": False, "objects": []})
    assert answer.headers["X-TAXII-Date-Added-First"] == answer.headers["X-TAXII-Date-Added-Last"] == told
