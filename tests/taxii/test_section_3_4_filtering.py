"""TAXII 2.1 §3.4 Filtering, §3.5 Pagination: the parameters of a request."""

import base64

import pytest
from stix2.registry import STIX2_OBJ_MAPS

from reading import LATER, MARKING, MIDDLE, NEW, OLD, SOFTWARE, ids
from taxii_node import domain, indicator
from tocsin.errors import BadInput
from tocsin.stix.objects import from_micros
from tocsin.taxii import query as parameters
from tocsin.taxii.query import (
    ALL,
    DEFAULT_LIMIT,
    LAST,
    MATCH_OBJECT,
    MATCH_OBJECTS,
    MATCH_VERSIONS,
    MAX_LIMIT,
    Cursor,
    cursor_key,
    read_parameters,
    read_query,
)

ID = indicator(1)["id"]
HERE = Cursor(cursor_key(b"n" * 32), "3f0c4d5e-0000-4000-8000-000000000001")
ELSEWHERE = Cursor(cursor_key(b"n" * 32), "3f0c4d5e-0000-4000-8000-000000000002")
OTHER_NODE = Cursor(cursor_key(b"o" * 32), "3f0c4d5e-0000-4000-8000-000000000001")
MARCH = 1741944413_000000  # 2025-03-14T09:26:53Z


def ask(text, fields=MATCH_OBJECTS, **more):
    return read_query(text.encode(), HERE, fields, **more)


def test_nothing_asked_is_everything_from_the_start_last_versions_only():
    query = ask("")
    assert (query.what.after, query.what.ids, query.what.versions) == (None, None, LAST)
    assert query.limit == DEFAULT_LIMIT


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2025-03-14T09:26:53Z", MARCH),
        ("2025-03-14T09:26:53.5Z", MARCH + 500_000),
        ("2025-03-14T09:26:53.123Z", MARCH + 123_000),
        ("2025-03-14T09:26:53.589793Z", MARCH + 589_793),
        ("2025-03-14T09:26:53.589793999Z", MARCH + 589_793),
        ("2025-03-14t09:26:53z", MARCH),
        ("2025-03-14T11:26:53%2B02:00", MARCH),
        ("2025-03-14T11:26:53+02:00", MARCH),  # the plus arrives as a space
        ("2025-03-14T04:26:53-05:00", MARCH),
        ("%32025-03-14T09%3A26%3A53Z", MARCH),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2016-12-31T23:59:60Z", 1483228800_000000),
    ],
)
def test_added_after_may_have_any_digits_and_an_offset(text, micros):
    assert ask(f"added_after={text}").what.after == micros


@pytest.mark.parametrize(
    "text",
    [
        "added_after=",
        "added_after=yesterday",
        "added_after=2025-03-14",
        "added_after=2025-03-14T09:26:53",
        "added_after=2025-02-30T00:00:00Z",
        "added_after=2025-03-14T24:00:00Z",
        "added_after=2025-03-14T09:26:61Z",
        "added_after=2025-03-14T09:26:53.Z",
        "added_after=2025-03-14T09:26:53%2B99:00",
        "added_after=0001-01-01T00:00:00%2B01:00",
        "added_after=1741944413",
        "added_after=%D9%A2025-03-14T09:26:53Z",  # a digit, but not ours
        "added_after=2025-03-14T09:26:53Z&added_after=2025-03-14T09:26:53Z",
        "limit=0",
        "limit=00",
        "limit=-1",
        "limit=%2B1",
        "limit=1.0",
        "limit=",
        "limit=ten",
        "limit=%D9%A1",
        "limit=1&limit=2",
        "next=x",
        "next=" + "A" * 32,
        "next=" + "A" * 60_000,
        "next=%FF",
        "next=%00",
        "match[version]=",
        "match[version]=,",
        "match[version]=newest",
        "match[version]=last,2025-13-01T00:00:00Z",
        "match[type]=indicator&match[type]=malware",
        "match[type]=a%00b",
        "match[id]=",
        "match[id]=" + ",".join(f"x{n}" for n in range(1001)),
        "&".join(f"x{n}=1" for n in range(101)),
    ],
)
def test_a_malformed_parameter_is_refused_by_name(text):
    with pytest.raises(BadInput) as refusal:
        ask(text)
    assert refusal.value.problems[0].place in (text.split("=")[0], "query")


@pytest.mark.parametrize(
    ("text", "limit"), [("1", 1), ("07", 7), ("1000", 1000), ("1001", MAX_LIMIT), ("9" * 99, MAX_LIMIT)]
)
def test_a_limit_is_positive_and_clamped(text, limit):
    assert ask(f"limit={text}").limit == limit


@pytest.mark.parametrize(
    "text",
    [
        "colour=blue",
        "match[colour]=blue",
        "match[colour]=a&match[colour]=b",
        "after=x",
        "match=1",
        "&&",
        "=",
        "next=",
    ],
)
def test_what_is_not_a_parameter_of_taxii_is_ignored(text):
    assert ask(text) == ask("")


def test_brackets_may_be_percent_encoded_and_lists_have_commas():
    query = ask("match%5Btype%5D=indicator,%20malware&match[id]=a--1&match%5Bspec_version%5D=2.1,2.0")
    assert query.what.types == {"indicator", "malware"}
    assert query.what.ids == {"a--1"}
    assert query.what.spec_versions == {"2.0", "2.1"}


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("last", {"last"}),
        ("all", {"all"}),
        ("first,last", {"first", "last"}),
        ("2025-03-14T09:26:53.100Z", {"2025-03-14T09:26:53.1"}),
        ("2025-03-14T09:26:53.100000000Z,first", {"first", "2025-03-14T09:26:53.1"}),
        ("2025-03-14T09:26:53Z", {"2025-03-14T09:26:53"}),
        ("2025-03-14T11:26:53.123456789%2B02:00", {"2025-03-14T09:26:53.123456789"}),
        ("2016-12-31T23:59:60Z", {"2016-12-31T23:59:60"}),
        ("0999-12-31T23:59:59Z", {"0999-12-31T23:59:59"}),
    ],
)
def test_versions_are_words_or_exact_instants_whatever_their_digits(text, versions):
    assert ask(f"match[version]={text}").what.versions == versions


def test_a_match_field_that_an_endpoint_does_not_support_is_ignored_even_when_malformed():
    assert ask("match[type]=x&match[id]=&match[version]=first", MATCH_OBJECT).what.types is None
    assert ask("match[version]=nonsense", MATCH_VERSIONS, versions=ALL).what.versions == ALL


def test_next_leads_on_from_a_position_on_every_replica_and_after_a_restart():
    again = Cursor(cursor_key(b"n" * 32), HERE.collection_id)
    for position in (0, MARCH, 2**62):
        assert again.unseal(HERE.seal(position)) == position


def test_next_goes_with_any_limit_and_with_or_without_added_after():
    page_two = HERE.seal(MARCH)
    assert ask(f"next={page_two}").what.after == MARCH
    assert ask(f"next={page_two}&limit=3&added_after=1970-01-01T00:00:00Z").what.after == MARCH
    later = ask(f"next={page_two}&added_after=2025-03-14T09:26:54Z").what
    assert later.after == MARCH + 1_000_000  # both hold; never back to page one


@pytest.mark.parametrize("stranger", [ELSEWHERE, OTHER_NODE])
def test_next_of_another_collection_or_node_is_refused(stranger):
    with pytest.raises(BadInput, match="next"):
        ask(f"next={stranger.seal(MARCH)}")


def test_next_cannot_be_forged_not_even_in_one_bit():
    sealed = base64.urlsafe_b64decode(HERE.seal(MARCH))
    for index in range(len(sealed)):
        forged = bytearray(sealed)
        forged[index] ^= 1
        with pytest.raises(BadInput):
            HERE.unseal(base64.urlsafe_b64encode(bytes(forged)).decode())
    assert len(HERE.seal(0)) == len(HERE.seal(MARCH))


def test_positions_read_back_as_they_are_written():
    assert ask(f"added_after={from_micros(MARCH + 1)}").what.after == MARCH + 1


def test_the_changes_feed_has_parameters_of_its_own():
    assert read_parameters(b"after=x&limit=5&added_after=1&added_after=2", frozenset({"after", "limit"})) == {
        "after": "x",
        "limit": "5",
    }
    with pytest.raises(BadInput, match="given twice"):
        read_parameters(b"after=x&after=y", frozenset({"after"}))


# --- over HTTP -----------------------------------------------------------------------------------------------


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


LISTS = ["objects/", "manifest/", f"objects/{ID}/", f"objects/{ID}/versions/"]
MALFORMED = [
    "added_after=",
    "added_after=yesterday",
    "added_after=2025-03-14",
    "added_after=Tue%20Mar%2004%202025",
    "added_after=1741944413",
    f"added_after={OLD}&added_after={NEW}",
    "limit=0",
    "limit=-1",
    "limit=1.5",
    "limit=all",
    "limit=",
    "limit=1&limit=2",
    "match[spec_version]=",
    "match[spec_version]=2.1&match[spec_version]=2.1",
    "%FF=1&limit=%FF",
]


async def test_a_malformed_parameter_is_400_on_every_endpoint_that_has_it(node):
    await node.fill([indicator(1)])
    for path in LISTS:
        for text in MALFORMED:
            answer = await node.get(f"{path}?{text}")
            assert (answer.status_code, answer.json()["http_status"]) == (400, "400"), (path, text)


async def test_a_malformed_match_is_400_where_the_field_is_defined(node):
    await node.post({"objects": [indicator(1)]})
    for path in ("objects/", "manifest/", f"objects/{ID}/"):
        for text in ("match[version]=newest", "match[version]=", f"match[version]=last&match[version]={OLD}"):
            assert (await node.get(f"{path}?{text}")).status_code == 400, (path, text)
    for text in ("match[version]=newest", "match[version]=", "match[spec_version]=,"):
        answer = await node.get(f"objects/{ID}/?{text}", by="walt", method="DELETE")
        assert answer.status_code == 400, text
    for path in ("objects/", "manifest/"):
        for text in ("match[type]=", "match[id]=", "match[type]=a&match[type]=b", "match[id]=a&match[id]=a"):
            assert (await node.get(f"{path}?{text}")).status_code == 400, (path, text)
    assert (await node.get(f"objects/{ID}/")).status_code == 200


async def test_without_added_after_the_oldest_come_first(node):
    await node.fill([indicator(number) for number in (3, 1, 2)])
    for path in ("objects/", "manifest/"):
        assert ids(await node.get(f"{path}?limit=1")) == [indicator(3)["id"]]


async def test_added_after_means_our_date_and_no_date_of_the_object(node):
    await node.fill([indicator(1, "2001-01-01T00:00:00Z"), indicator(2, LATER)])
    date = (await node.get("objects/?limit=1")).headers["X-TAXII-Date-Added-Last"]
    await node.fill([indicator(3, "1999-01-01T00:00:00Z")])
    for path in ("objects/", "manifest/"):
        assert ids(await node.get(f"{path}?added_after={date}")) == [indicator(2)["id"], indicator(3)["id"]]
        assert len(ids(await node.get(f"{path}?added_after=2002-01-01T00:00:00Z"))) == 3


async def test_added_after_may_have_any_digits_or_none_on_every_endpoint(node):
    await node.fill([indicator(1)])
    for path in LISTS:
        whole = (await node.get(path)).content
        # taxii2-client: nought to six digits; OpenCTI: three; a `+` that nobody escaped arrives as a space
        for text in (".000000Z", ".123Z", ".1Z", "Z", ".123456789Z", "+00:00", "%2B02:00", "-05:00"):
            answer = await node.get(f"{path}?added_after=2025-03-14T09:26:53{text}")
            assert (answer.status_code, answer.content) == (200, whole), (path, text)
            assert (await node.get(f"{path}?added_after=2030-01-01T00:00:00{text}")).content == b"{}", (path, text)


async def test_a_limit_is_never_exceeded_and_what_fits_is_given_whole(node):
    await node.fill([indicator(number) for number in range(5)])
    for path in ("objects/", "manifest/"):
        for limit, given in ((1, 1), (4, 4), (5, 5), (6, 5), (10**30, 5)):
            answer = await node.get(f"{path}?limit={limit}")
            assert len(ids(answer)) == given
            assert answer.json()["more"] is (given < 5)
        assert len(ids(await node.get(path))) == 5


async def test_the_node_has_a_limit_of_its_own_whatever_is_asked_or_not(node, monkeypatch):
    monkeypatch.setattr(parameters, "MAX_LIMIT", 3)
    monkeypatch.setattr(parameters, "DEFAULT_LIMIT", 2)
    await node.fill([indicator(number) for number in range(5)])
    for path in ("objects/", "manifest/"):
        for query, given in (("", 2), ("?limit=4", 3), ("?limit=1000000", 3), ("?limit=1", 1)):
            answer = await node.get(path + query)
            assert (len(ids(answer)), answer.json()["more"]) == (given, True), (path, query)


STIX_TYPES = [type_ for kind in ("objects", "observables") for type_ in STIX2_OBJ_MAPS["2.1"][kind]]


async def test_no_type_of_stix_is_ever_an_error(node):
    assert len(STIX_TYPES) > 30
    await node.fill([indicator(1), domain(1), SOFTWARE])
    for path in ("objects/", "manifest/"):
        for type_ in (*STIX_TYPES, "no-such-type"):
            answer = await node.get(f"{path}?match[type]={type_}")
            assert answer.status_code == 200, type_
            assert all(id_.startswith(f"{type_}--") for id_ in ids(answer))
        assert len(ids(await node.get(f"{path}?match[type]={','.join(STIX_TYPES)}"))) == 3


async def test_only_the_stix_versions_that_are_named_are_given(node):
    """A log holds STIX 2.1 alone, so its latest version is what is given where none is named."""
    refused = (
        await node.post({"objects": [{k: v for k, v in indicator(2).items() if k != "spec_version"}]})
    ).json()
    assert "2.0" in refused["failures"][0]["message"]
    await node.fill([indicator(1), domain(1)])
    both = [indicator(1)["id"], domain(1)["id"]]
    for path in ("objects/", "manifest/"):
        for query, expected in (
            ("", both),
            ("match[spec_version]=2.1", both),
            ("match[spec_version]=2.0,2.1", both),
            ("match[spec_version]=2.0", []),
            ("match[spec_version]=3.0", []),
            ("match[spec_version]=all", []),
        ):
            assert ids(await node.get(f"{path}?{query}")) == expected, query


async def test_what_has_no_modified_is_matched_by_its_created_and_else_by_its_receipt(node):
    await node.fill([MARKING, SOFTWARE, indicator(1, OLD)])
    created = "2025-01-01T00:00:00.500000Z"  # the same instant, spelt otherwise
    assert ids(await node.get(f"objects/?match[version]={created}")) == [MARKING["id"]]
    receipt = (await node.get("manifest/?match[type]=software")).json()["objects"][0]["version"]
    assert ids(await node.get(f"objects/?match[version]={receipt}")) == [SOFTWARE["id"]]
    assert ids(await node.get(f"objects/?match[version]={receipt},{created},{OLD}")) == [
        MARKING["id"],
        SOFTWARE["id"],
        ID,
    ]


async def test_all_beside_other_versions_is_all(node):
    await node.fill([indicator(1, OLD), indicator(1, MIDDLE), indicator(1, NEW)])
    for query in ("all", "all,last", "first,all", f"{OLD},all", "all,all"):
        assert len(ids(await node.get(f"objects/?match[version]={query}"))) == 3, query


async def test_values_of_a_field_may_be_repeated_and_spaced(node):
    await node.fill([indicator(1), domain(1)])
    for query in (
        "match[type]=indicator,indicator",
        "match[type]=indicator,%20domain-name",
        "match[version]=last,last",
    ):
        answer = await node.get(f"objects/?{query}")
        assert len(ids(answer)) == len(set(ids(answer))) > 0, query


async def test_parameters_and_match_fields_that_taxii_does_not_know_are_ignored(node):
    await node.fill([indicator(1), domain(1)])
    for path in LISTS:
        whole = (await node.get(path)).content
        for text in (
            "page=2",
            "match[colour]=blue",
            "match[id",
            "match=x",
            "x_key=%00",
            "sort=desc&items=1",
            "&&=&",
        ):
            answer = await node.get(f"{path}?{text}")
            assert (answer.status_code, answer.content) == (200, whole), (path, text)


async def test_endpoints_without_filters_ignore_them(node):
    for path in ("/taxii2/", "/exchange/", "/exchange/collections/", ""):
        whole = (await node.get(path)).content
        answer = await node.get(f"{path}?limit=0&added_after=x&match[type]=&next=x")
        assert (answer.status_code, answer.content) == (200, whole), path
