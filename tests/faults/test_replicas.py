"""Two processes over one database behind a proxy that gives each request to the other: nobody can tell.

Once two replicas over PostgreSQL, each with a home of its own; once two `tocsin serve` in one home over SQLite.
Each test has a collection to itself.
"""

import asyncio
from itertools import cycle, islice

import pytest

from replicas import (
    Deployment,
    deployed,
    follow,
    indicator,
    path_of,
    post,
    round_robin,
    settings,
    write_files,
)

ENVELOPES, SIZE = 10, 7


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pair(request, make_empty, tmp_path_factory):
    with deployed(tmp_path_factory.mktemp("pair"), make_empty(request.param), 2) as node:
        yield node


async def add(node: Deployment, address: str, by: str, first: int) -> set[tuple[str, str]]:
    """One envelope after the other: new objects, and the next version of an object that is always the same."""
    added = set()
    async with node.client(address, by) as http:
        for number in range(ENVELOPES):
            values = [indicator(first + number * SIZE + one) for one in range(SIZE)]
            values.append(indicator(first + 999_999, number))
            assert (await post(http, "a", values))["success_count"] == len(values)
            added |= {(value["id"], value["modified"]) for value in values}
    return added


WALKS = {
    "objects by next": {"limit": 7},
    "objects by date alone": {"limit": 11, "walking": False},
    "all versions by next": {"limit": 13, "match[version]": "all"},
    "manifest by next": {"what": "manifest/", "limit": 7},
    "manifest of all versions by date alone": {
        "what": "manifest/",
        "limit": 20,
        "match[version]": "all",
        "walking": False,
    },
}


async def test_walks_over_both_find_everything_once_while_writers_add_through_both(pair):
    done = asyncio.Event()
    changing = indicator(999_999)["id"]

    async def walked(asked) -> list[tuple[str, str]]:
        async with pair.client(proxy.address) as http:
            found = []
            async for answer in follow(http, "a", done, **asked):
                found += [(one["id"], one.get("modified") or one["version"]) for one in answer.json()["objects"]]
            return found

    async def versions() -> list[str]:
        async with pair.client(proxy.address) as http:
            found = []
            async for answer in follow(http, "a", done, f"objects/{changing}/versions/", limit=3):
                found += answer.json()["versions"]
            return found

    async with round_robin(pair) as proxy:
        async with pair.client(proxy.address, "writer-0") as http:
            await post(http, "a", [indicator(999_999)])
        reading = [asyncio.create_task(walked(asked)) for asked in WALKS.values()]
        of_one = asyncio.create_task(versions())
        writing = [
            add(pair, address, by, first)
            for address, by, first in (
                (proxy.address, "writer-0", 0),
                (proxy.address, "writer-1", 1_000_000),
                (pair.addresses[0], "writer-2", 2_000_000),
                (pair.addresses[1], "writer-3", 3_000_000),
            )
        ]
        added = set().union(*await asyncio.gather(*writing))
        done.set()
        views = dict(zip(WALKS, await asyncio.gather(*reading), strict=True))
        assert min(proxy.served.values()) > 20
        assert max(proxy.served.values()) - min(proxy.served.values()) <= 1
    last = {}
    for id_, version in added:
        last[id_] = max(version, last.get(id_, ""))
    for name, view in views.items():
        assert len(set(view)) == len(view), name
        assert set(view) <= added, name
        assert set(view) >= (added if "versions" in name else set(last.items())), name
    assert await of_one == [indicator(999_999, number)["modified"] for number in range(ENVELOPES)]


async def test_a_cursor_a_tag_and_a_status_of_one_are_good_at_the_other(pair):
    one, other = pair.addresses
    values = [indicator(number) for number in range(40)]
    async with pair.client(one) as first, pair.client(other) as second:
        readers = (first, second)
        async with pair.client(one, "writer-0") as poster, pair.client(other, "writer-0") as asker:
            status = await post(poster, "b", values[:20])
            assert (await asker.get(f"/exchange/status/{status['id']}/")).json() == status
            await post(asker, "b", values[20:])
        for what, field in (("objects/", "objects"), ("manifest/", "objects")):
            seen, query = [], {"limit": 6}
            for http in cycle(readers):
                page = (await http.get(path_of("b", what), params=query)).json()
                seen += [entry["id"] for entry in page[field]]
                if not page["more"]:
                    break
                query["next"] = page["next"]
            assert seen == [value["id"] for value in values], what
        for path in (
            "/taxii2/",
            "/exchange/collections/",
            path_of("b", ""),
            path_of("b"),
            path_of("b", "manifest/"),
        ):
            for asked, then in (readers, readers[::-1]):
                answer = await asked.get(path)
                again = await then.get(path, headers={"If-None-Match": answer.headers["ETag"]})
                assert (again.status_code, again.content) == (304, b""), path
        # and no longer, as soon as the other one has taken in something more
        tag = {"If-None-Match": (await first.get(path_of("b"))).headers["ETag"]}
        async with pair.client(other, "writer-0") as http:
            await post(http, "b", [indicator(40)])
        assert (await first.get(path_of("b"), headers=tag)).status_code == 200


async def test_what_one_has_acknowledged_the_other_shows_at_once(pair):
    one, other = pair.addresses
    async with (
        pair.client(one, "writer-0") as first,
        pair.client(other, "writer-0") as second,
        pair.client(other) as reader,
        pair.client(one) as its_reader,
    ):
        for number, (writer, http) in enumerate(islice(cycle([(first, reader), (second, its_reader)]), 20)):
            path = path_of("c", f"objects/{indicator(number)['id']}/")
            assert (await http.get(path)).status_code == 404
            await post(writer, "c", [indicator(number)])
            assert (await http.get(path)).json()["objects"] == [indicator(number)]


async def test_a_token_revoked_on_the_command_line_is_refused_by_both_at_the_next_request(pair):
    for at in (0, 1):
        pair.make_tokens("tess")
        async with (
            pair.client(pair.addresses[0], "tess") as first,
            pair.client(pair.addresses[1], "tess") as second,
        ):
            for path in ("/exchange/collections/", path_of("d"), path_of("d", "manifest/")):
                for http in (first, second) * 2:  # twice: the second answer may come from memory
                    assert (await http.get(path)).status_code == 200
            await asyncio.to_thread(pair.command, "account", "revoke", "tess", "--yes", at=at)
            for path in ("/exchange/collections/", path_of("d"), path_of("d", "manifest/")):
                for http in (first, second):
                    assert (await http.get(path)).status_code == 401


async def test_a_configuration_applied_on_the_command_line_is_followed_by_both(pair):
    async def seen_by(name: str) -> list[dict[str, str]]:
        return [(await http.get("/exchange/collections/")).json() for http in clients[name]]

    one, other = pair.addresses
    async with (
        pair.client(one) as rita_here,
        pair.client(other) as rita_there,
        pair.client(one, "sven") as sven_here,
        pair.client(other, "sven") as sven_there,
    ):
        clients = {"rita": (rita_here, rita_there), "sven": (sven_here, sven_there)}
        before = await seen_by("rita")
        assert before[0] == before[1]
        assert await seen_by("sven") == [{}, {}]
        home = pair.replicas[1].home
        write_files(home, settings(pair.database, readers=("sven", "tess"), title="Renamed"))
        await asyncio.to_thread(pair.command, "apply", "--yes", at=1)
        here, there = await seen_by("sven")
        assert here == there
        assert [found["title"] for found in here["collections"]] == [f"Renamed {key}" for key in "abcdef"]
        assert await seen_by("rita") == [{}, {}]
        for http in clients["rita"]:
            assert (await http.get(path_of("e"))).status_code == 404
        # whose files are others follows all the same, and says so
        files = [(await http.get("/readyz")).json()["files"] for http in clients["sven"]]
        apart = pair.replicas[0].home != home
        assert files == ["changed: run tocsin apply" if apart else "as applied", "as applied"]
        write_files(home, settings(pair.database))
        await asyncio.to_thread(pair.command, "apply", "--yes", at=1)
        assert await seen_by("rita") == before
