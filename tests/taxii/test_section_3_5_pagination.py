"""TAXII 2.1 §3.5 Pagination: by `next` and by `added_after`, everything once, whatever happens in between."""

import json

import httpx2
import pytest

from reading import MIDDLE, NEW, OLD, every_page, ids
from taxii_node import SECOND, domain, indicator, listening
from tocsin.app import make_app
from tocsin.sharing import page as paging
from tocsin.stix.objects import from_micros

ID = indicator(1)["id"]


@pytest.mark.parametrize("path", ["objects/", "manifest/"])
async def test_following_next_gives_everything_once_and_next_stands_exactly_with_more(node, path):
    await node.fill([indicator(number) for number in range(7)])
    for limit in (1, 2, 3, 7, 100):
        answers = await every_page(node, path, f"limit={limit}")
        assert [id_ for answer in answers for id_ in ids(answer)] == [indicator(n)["id"] for n in range(7)]
        assert all(len(ids(answer)) <= limit for answer in answers)
        for answer in answers:
            assert ("next" in answer.json()) is answer.json()["more"] is (answer is not answers[-1])


@pytest.mark.parametrize("path", ["objects/", "manifest/"])
async def test_following_added_after_alone_loses_nothing(node, path):
    await node.fill([indicator(number) for number in range(7)])
    seen, query = [], "limit=2"
    while found := ids(answer := await node.get(f"{path}?{query}")):
        seen += found
        query = f"limit=2&added_after={answer.headers['X-TAXII-Date-Added-Last']}"
    assert seen == [indicator(number)["id"] for number in range(7)]


async def test_what_came_in_one_post_has_dates_of_its_own_each_so_that_added_after_parts_it_anywhere(node):
    await node.post({"objects": [indicator(number) for number in range(20)]})
    seen, query = [], "limit=3"
    while found := ids(answer := await node.get(f"objects/?{query}")):
        seen += found
        query = f"limit=3&added_after={answer.headers['X-TAXII-Date-Added-Last']}"
    assert seen == [indicator(number)["id"] for number in range(20)]


async def test_the_limit_may_change_between_pages_and_filters_go_on_holding(node):
    await node.fill([indicator(1), domain(1), indicator(2), domain(2), indicator(3), domain(3)])
    first = await node.get("objects/?limit=2&match[type]=domain-name")
    second = await node.get(f"objects/?limit=1000&match[type]=domain-name&next={first.json()['next']}")
    assert ids(first) + ids(second) == [domain(n)["id"] for n in (1, 2, 3)]


async def test_a_second_page_may_be_asked_again_and_by_next_alone(node):
    await node.fill([indicator(number) for number in range(3)])
    following = (await node.get("objects/?limit=2&added_after=2020-01-01T00:00:00Z")).json()["next"]
    twice = [await node.get(f"objects/?next={following}") for _ in range(2)]  # Elastic sends `next` alone
    assert twice[0].content == twice[1].content
    assert ids(twice[0]) == [indicator(2)["id"]]


async def test_next_of_another_collection_is_400_and_an_empty_one_is_none(node):
    await node.fill([indicator(1), indicator(2)])
    following = (await node.get("objects/?limit=1")).json()["next"]
    assert (await node.get(f"/exchange/collections/{SECOND}/objects/?next={following}")).status_code == 400
    assert (await node.get("objects/?next=nonsense")).status_code == 400
    assert len(ids(await node.get("objects/?next="))) == 2


async def test_next_serves_manifest_and_objects_alike(node):
    await node.fill([indicator(1), indicator(2)])
    following = (await node.get("manifest/?limit=1")).json()["next"]
    assert ids(await node.get(f"objects/?next={following}")) == [indicator(2)["id"]]


async def test_next_without_a_limit_gives_the_rest(node):
    await node.fill([indicator(number) for number in range(5)])
    for path in ("objects/", "manifest/"):
        following = (await node.get(f"{path}?limit=2")).json()["next"]
        rest = await node.get(f"{path}?next={following}")
        assert ids(rest) == [indicator(number)["id"] for number in (2, 3, 4)]
        assert rest.json()["more"] is False


async def test_next_and_another_added_after_both_hold(node):  # OpenCTI keeps `next` and moves `added_after`
    dates = [from_micros(one) for one in await node.fill([indicator(number) for number in range(5)])]
    following = (await node.get("objects/?limit=2")).json()["next"]
    for added_after, numbers in ((dates[0], (2, 3, 4)), (dates[1], (2, 3, 4)), (dates[3], (4,)), (dates[4], ())):
        found = ids(await node.get(f"objects/?next={following}&added_after={added_after}"))
        assert found == [indicator(number)["id"] for number in numbers], added_after


async def test_next_leads_on_at_another_replica_and_after_a_restart(node):
    await node.fill([indicator(number) for number in range(3)])
    following = (await node.get("objects/?limit=1")).json()["next"]
    path = f"/exchange/collections/regional/objects/?limit=1&next={following}"
    headers = {"X-API-Key": node.tokens["rita"]}
    async with listening(make_app(node.store, node.home)) as replica, httpx2.AsyncClient() as http:
        there = await http.get(replica + path, headers=headers)
        assert ids(there) == [indicator(1)["id"]]
        assert there.content == (await node.get(path)).content
        assert ids(await node.get(f"objects/?next={there.json()['next']}")) == [indicator(2)["id"]]


async def test_what_comes_while_a_client_pages_is_found_at_the_end(node):
    await node.fill([indicator(1, OLD), indicator(2)])
    first = await node.get("objects/?limit=1")
    await node.fill([indicator(3), indicator(1, NEW)])  # something new, and a new version of what was read
    rest = (await node.get(f"objects/?next={first.json()['next']}")).json()["objects"]
    assert rest == [indicator(2), indicator(3), indicator(1, NEW)]


async def test_what_goes_while_a_client_pages_takes_nothing_else_with_it(node):
    await node.post({"objects": [indicator(number) for number in range(5)]})
    first = await node.get("objects/?limit=2")
    for gone in (0, 1, 2):  # the page's own end among them
        assert (await node.get(f"objects/{indicator(gone)['id']}/", by="walt", method="DELETE")).status_code == 200
    rest = await node.get(f"objects/?limit=2&next={first.json()['next']}")
    assert ids(rest) == [indicator(3)["id"], indicator(4)["id"]]


async def test_the_versions_of_one_object_come_in_pages_too(node):
    await node.fill([indicator(1, OLD), domain(1), indicator(1, MIDDLE), indicator(1, NEW)])
    for path, name in ((f"objects/{ID}/versions/", "versions"), (f"objects/{ID}/", "objects")):
        answers = await every_page(node, path, "limit=1&match[version]=all")
        found = [one if name == "versions" else one["modified"] for a in answers for one in a.json()[name]]
        assert found == [OLD, MIDDLE, NEW]
        assert [answer.json()["more"] for answer in answers] == [True, True, False]


async def test_a_next_that_is_not_ours_is_400_and_never_page_one(node):
    await node.fill([indicator(1), indicator(2)])
    for text in ("x", "0", "null", "A" * 32, "A" * 60_000, "%00", "%FF", "../../etc/passwd"):
        for path in ("objects/", "manifest/", f"objects/{ID}/", f"objects/{ID}/versions/"):
            answer = await node.get(f"{path}?next={text}")
            assert answer.status_code == 400, (path, text[:40])


async def test_a_page_is_limited_in_bytes_and_gives_at_least_one_object(node, monkeypatch):
    monkeypatch.setattr(paging, "MAX_PAGE_BYTES", 3000)
    sizes = [10, 20_000, 10, 10, 2000, 2000]
    await node.fill([indicator(n, description="x" * size) for n, size in enumerate(sizes)])
    answers = await every_page(node, "objects/")
    assert [id_ for answer in answers for id_ in ids(answer)] == [indicator(n)["id"] for n in range(6)]
    assert ids(answers[1]) == [indicator(1)["id"]]
    for answer in answers:
        raw = sum(len(json.dumps(one, separators=(",", ":"))) for one in answer.json()["objects"])
        assert raw <= 3000 or len(ids(answer)) == 1
