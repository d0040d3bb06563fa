"""RFC 9110 §12.5.3: what an answer is coded in follows from what the client likes; what it says stays the same."""

import gzip
import json

import pytest
import zstandard

from taxii_node import indicator
from tocsin.taxii.coding import code, coded, coding_for


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),  # browsers
        ("gzip, deflate", "gzip"),  # requests
        ("GZIP;q=0.5", "gzip"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("zstd;q=0.9, gzip;q=0.9", "zstd"),
        ("gzip;q=0", None),
        ("zstd;q=0, gzip", "gzip"),
        ("br, *;q=0.1", "gzip"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("gzip;q=0, *", None),
        ("identity, gzip;q=0.5", None),  # would rather have none
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("identity;q=0", None),  # nothing else is said to be taken
        ("br", None),
        (";;,,", None),
        ("gzip;q=nonsense", "gzip"),
        ("gzip;q=nan", None),
    ],
)
def test_a_coding_is_the_one_that_the_client_likes_best(header, coding):
    assert coding_for(header) == coding


BACK = {"gzip": gzip.decompress, "zstd": lambda raw: zstandard.ZstdDecompressor().decompress(raw)}


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [0, 5000, 300_000])
async def test_the_same_answer_is_the_same_coded_bytes_and_comes_back(coding, size):
    body = bytes(n % 251 for n in range(size))
    assert await coded(body, coding) == code(body, coding)
    assert BACK[coding](code(body, coding)) == body


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [100, 10_000])
async def test_a_page_says_the_same_in_every_coding_under_one_tag(node, coding, size):
    await node.fill([indicator(n, description="x" * size) for n in range(12)])
    plain = await node.get("objects/", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    for _ in range(2):  # worked out, and remembered
        answer = await node.get("objects/", headers={"Accept-Encoding": coding})
        assert answer.headers["Content-Encoding"] == coding
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert answer.headers["ETag"] == plain.headers["ETag"]
        assert int(answer.headers["Content-Length"]) < len(plain.content) / 4
        said = BACK["zstd"](answer.content) if coding == "zstd" else answer.content  # the client knows gzip
        assert json.loads(said) == plain.json()
        unchanged = await node.get(
            "objects/", headers={"Accept-Encoding": coding, "If-None-Match": answer.headers["ETag"]}
        )
        assert (unchanged.status_code, unchanged.content) == (304, b"")
