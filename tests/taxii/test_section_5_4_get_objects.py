"""TAXII 2.1 §5.3 Get manifests, §5.4 Get objects; §3.2 headers, §3.3 order, §3.5 pages: one read behind both."""

import json

import pytest

from taxii_node import SECOND, domain, indicator
from tocsin.sharing import page as paging
from tocsin.stix.objects import from_micros

MARKING = {
    "type": "marking-definition",
    "spec_version": "2.1",
    "id": "marking-definition--00000000-0000-4000-8000-000000000001",
    "created": "2025-01-01T00:00:00.5Z",
    "definition_type": "statement",
    "definition": {"statement": "© Example"},
}
SOFTWARE = {  # has a property called `version`, which is not a version
    "type": "software",
    "spec_version": "2.1",
    "id": "software--00000000-0000-4000-8000-000000000001",
    "name": "Example",
    "version": "7.2",
}


def ids(answer):
    return [one["id"] for one in answer.json().get("objects", [])]


async def every_page(node, path, query=""):
    """Follow `next` to the end; the answers."""
    answers = [await node.get(f"{path}?{query}")]
    while answers[-1].json().get("more"):
        following = answers[-1].json()["next"]
        answers.append(await node.get(f"{path}?{query}&next={following}"))
    return answers


async def test_an_empty_collection_is_an_empty_envelope_and_an_empty_manifest_without_dates(node):
    for path in ("objects/", "manifest/"):
        answer = await node.get(path)
        assert answer.content == b"{}"
        assert not [name for name in answer.headers if name.startswith("x-taxii")]


async def test_an_object_is_served_with_the_bytes_that_came(node):
    odd = indicator(1, x_number=12345678901234567890.0, x_text="ü € 𝄞 \\u0000?", x_list=[[], {}, None])
    await node.fill([odd, SOFTWARE, MARKING])
    answer = await node.get("objects/")
    assert json.dumps(odd, ensure_ascii=False, separators=(",", ":")).encode()[:40] in answer.content
    assert answer.json()["objects"] == [odd, SOFTWARE, MARKING]


async def test_objects_come_in_the_order_in_which_they_were_added(node):
    numbers = [5, 3, 9, 1]
    for number in numbers:
        await node.fill([indicator(number)])
    expected = [indicator(number)["id"] for number in numbers]
    assert ids(await node.get("objects/")) == ids(await node.get("manifest/")) == expected


async def test_every_entry_has_a_date_of_its_own_and_the_headers_name_the_first_and_last(node):
    positions = await node.fill([indicator(1), domain(1), MARKING])
    manifest = await node.get("manifest/")
    dates = [record["date_added"] for record in manifest.json()["objects"]]
    assert dates == [from_micros(position) for position in positions]
    assert dates == sorted(set(dates))
    for answer in (manifest, await node.get("objects/")):
        assert answer.headers["X-TAXII-Date-Added-First"] == dates[0]
        assert answer.headers["X-TAXII-Date-Added-Last"] == dates[-1]


async def test_a_manifest_record_gives_the_version_as_the_object_writes_it(node):
    await node.fill([indicator(1, "2025-03-01T00:00:00.1Z"), MARKING, domain(1), SOFTWARE])
    records = (await node.get("manifest/")).json()["objects"]
    assert [record["version"] for record in records[:2]] == ["2025-03-01T00:00:00.1Z", "2025-01-01T00:00:00.5Z"]
    # an object with neither date has the date of its first receipt here
    assert all(record["version"].endswith("Z") and len(record["version"]) == 27 for record in records[2:])
    assert {record["media_type"] for record in records} == {"application/stix+json;version=2.1"}


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


async def test_added_after_is_exclusive_and_finer_than_a_microsecond_is_no_gap(node):
    first, second = await node.fill([indicator(1), indicator(2)])
    assert ids(await node.get(f"objects/?added_after={from_micros(first)}")) == [indicator(2)["id"]]
    assert ids(await node.get(f"objects/?added_after={from_micros(second)}")) == []
    assert len(ids(await node.get(f"objects/?added_after={from_micros(first - 1)}"))) == 2
    nanoseconds = from_micros(first - 1).replace("Z", "999Z")
    assert len(ids(await node.get(f"objects/?added_after={nanoseconds}"))) == 2


async def test_milliseconds_cut_off_by_a_client_repeat_and_never_skip(node):
    await node.fill([indicator(number) for number in range(5)])
    last = (await node.get("objects/?limit=3")).headers["X-TAXII-Date-Added-Last"]
    cut = last[:23] + "Z"  # OpenCTI
    again = ids(await node.get(f"objects/?added_after={cut}"))
    assert {indicator(3)["id"], indicator(4)["id"]} <= set(again)


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


FILTERED = [
    ("match[type]=indicator", [1, 2, 3]),
    ("match[type]=indicator,domain-name", [1, 2, 3, "d"]),
    ("match%5Btype%5D=domain-name", ["d"]),
    ("match[type]=malware", []),
    (f"match[id]={indicator(2)['id']}", [2]),
    (f"match[id]={indicator(3)['id']},{indicator(1)['id']},nonsense", [1, 3]),
    (f"match[id]={indicator(2)['id']}&match[type]=domain-name", []),
    ("match[spec_version]=2.1", [1, 2, 3, "d"]),
    ("match[spec_version]=2.0,2.1", [1, 2, 3, "d"]),
    ("match[spec_version]=2.0", []),
    ("match[spec_version]=9.9", []),
    ("match[colour]=blue", [1, 2, 3, "d"]),
    ("match[type]=INDICATOR", []),
    ("match[type]='%20OR%201=1--", []),
]


async def test_match_fields_are_anded_and_their_values_ored(node):
    await node.fill([indicator(1), indicator(2), indicator(3), domain(1)])
    for query, expected in FILTERED:
        wanted = [domain(1)["id"] if one == "d" else indicator(one)["id"] for one in expected]
        for path in ("objects/", "manifest/"):
            assert ids(await node.get(f"{path}?{query}")) == wanted, (path, query)


OLD, MIDDLE, NEW = "2025-03-01T00:00:00.000Z", "2025-03-01T00:00:00.100000Z", "2025-03-02T00:00:00.000Z"
VERSIONS = [
    ("", [NEW]),
    ("match[version]=last", [NEW]),
    ("match[version]=first", [OLD]),
    ("match[version]=all", [OLD, MIDDLE, NEW]),
    ("match[version]=all,last", [OLD, MIDDLE, NEW]),
    ("match[version]=first,last", [OLD, NEW]),
    ("match[version]=2025-03-01T00:00:00.1Z", [MIDDLE]),
    ("match[version]=2025-03-01T00:00:00.1000000Z,last", [MIDDLE, NEW]),
    ("match[version]=2025-03-01T02:00:00%2B02:00", [OLD]),
    ("match[version]=2030-01-01T00:00:00Z", []),
    ("match[version]=2030-01-01T00:00:00Z,first", [OLD]),
]


async def test_versions_are_chosen_by_word_and_by_instant(node):
    await node.fill([indicator(1, OLD), indicator(1, MIDDLE), indicator(1, NEW)])
    for query, expected in VERSIONS:
        found = (await node.get(f"objects/?{query}")).json().get("objects", [])
        assert [one["modified"] for one in found] == expected, query
        records = (await node.get(f"manifest/?{query}")).json().get("objects", [])
        assert [record["version"] for record in records] == expected, query


async def test_an_object_with_one_version_is_first_and_last(node):
    await node.fill([indicator(1), domain(1)])
    for word in ("first", "last", "all"):
        assert len(ids(await node.get(f"objects/?match[version]={word}"))) == 2, word


async def test_an_older_version_that_arrives_late_is_not_the_last(node):
    await node.fill([indicator(1, NEW)])
    await node.fill([indicator(1, OLD)])
    found = (await node.get("objects/")).json()["objects"]
    assert [one["modified"] for one in found] == [NEW]


async def test_a_revoked_version_is_served_like_any_other(node):
    await node.fill([indicator(1)])
    await node.fill([indicator(1, NEW, revoked=True)], op="revoke")
    found = (await node.get("objects/")).json()["objects"]
    assert [(one["modified"], one.get("revoked")) for one in found] == [(NEW, True)]


async def test_objects_of_another_collection_do_not_show(node):
    await node.fill([indicator(1)], collection_id=SECOND)
    assert (await node.get("objects/")).content == b"{}"
    assert (await node.get(f"objects/?match[id]={indicator(1)['id']}")).content == b"{}"
