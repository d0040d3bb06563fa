"""TAXII 2.1 §3.4 Filtering, §3.5 Pagination: the parameters of a request."""

import base64

import pytest

from tocsin.errors import BadInput
from tocsin.stix.objects import from_micros
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
    assert read_parameters(b"after=x&limit=5&added_after=1&added_after=2") == {"after": "x", "limit": "5"}
    with pytest.raises(BadInput, match="given twice"):
        read_parameters(b"after=x&after=y")
