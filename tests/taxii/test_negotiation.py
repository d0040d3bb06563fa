"""TAXII 2.1 §1.6.8 and §3.1: media types in every spelling that clients use."""

import gzip

import pytest

from tocsin.problems import NotAcceptable, UnknownMedia
from tocsin.taxii.negotiation import accepts_gzip, check_accept, check_content_type, compressed

ACCEPTED = [
    None,
    "",
    "*/*",
    "application/*",
    "application/json",
    "application/json, text/plain, */*",  # OpenCTI before 2023
    "application/taxii+json",
    "application/taxii+json;version=2.1",
    "application/taxii+json; version=2.1",
    "application/taxii+json ; version = 2.1",
    'application/taxii+json;version="2.1"',
    "APPLICATION/TAXII+JSON;VERSION=2.1",
    "application/taxii+json;version=2.1;q=0.1, text/html",
    "application/taxii+json;version=2.0, application/taxii+json;version=2.1",
    "application/vnd.oasis.taxii+json; version=2.0, application/taxii+json",
    'text/x;a="quoted, comma; semicolon", application/taxii+json',
    "application/taxii+json;version=2.1;q=high",  # a weight that is none
    "application/taxii+json;version=2.0;q=0, */*",
]
REFUSED = [
    "application/taxii+json;version=2.0",
    "application/vnd.oasis.taxii+json; version=2.0",  # what makes XSOAR fall back to 2.0
    "application/taxii+json;version=3.0",
    "application/stix+json;version=2.1",
    "text/html",
    "application/json;q=0",
    "*/*;q=0",
    "application/taxii+json;version=2.1;q=0, */*",  # the most specific range decides
    "application/taxii+json;q=0, application/*",
    ";;;,,,",
    '"',
]


@pytest.mark.parametrize("header", ACCEPTED)
def test_a_client_that_can_take_the_answer_gets_it(header):
    check_accept(header)


@pytest.mark.parametrize("header", REFUSED)
def test_only_what_asks_for_another_type_or_version_is_refused(header):
    with pytest.raises(NotAcceptable, match=r"version=2\.1"):
        check_accept(header)


@pytest.mark.parametrize(
    "header",
    [
        "application/taxii+json;version=2.1",
        "application/taxii+json",
        'Application/TAXII+json; Version="2.1"',
        "application/taxii+json;version=2.1; charset=UTF-8",
    ],
)
def test_a_body_may_be_called_taxii_json_in_any_spelling(header):
    check_content_type(header, None)
    check_content_type(header, "identity")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "application/json",
        "text/plain",
        "application/stix+json;version=2.1",
        "application/taxii+json;version=2.0",
        "application/vnd.oasis.taxii+json;version=2.0",
        "application/taxii+json;charset=utf-16",
    ],
)
def test_a_body_of_another_type_is_refused(header):
    with pytest.raises(UnknownMedia):
        check_content_type(header, None)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "aes128gcm"])
def test_a_coded_body_is_refused_since_its_size_would_be_unknown(coding):
    with pytest.raises(UnknownMedia, match="Content-Encoding"):
        check_content_type("application/taxii+json;version=2.1", coding)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("br, *;q=0.1", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("x-gzip", True),
    ],
)
def test_gzip_is_used_only_where_it_is_accepted(header, accepted):
    assert accepts_gzip(header) is accepted


def test_the_same_answer_is_the_same_compressed_bytes():
    assert compressed(b"a" * 5000) == compressed(b"a" * 5000)
    assert gzip.decompress(compressed(b"a" * 5000)) == b"a" * 5000
