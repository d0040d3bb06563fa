"""STIX patterns (reliability row 28): limited in size and nesting, kept as they are, and never run."""

import asyncio

import pytest
from wire import HANG

from taxii_node import indicator

KIB = 1024
COMPARISON = "ipv4-addr:value = '192.0.2.1'"


def padded(size: int) -> str:
    """A pattern of exactly so many bytes."""
    empty = "[file:name = '']"
    return f"[file:name = '{'a' * (size - len(empty))}']"


def in_parentheses(levels: int) -> str:
    return f"[{'(' * (levels - 1)}{COMPARISON}{')' * (levels - 1)}]"


PATTERNS = [
    ("64 KiB", padded(64 * KIB), True),
    ("64 KiB and a byte", padded(64 * KIB + 1), False),
    ("64 KiB in signs of three bytes", "[file:name = '" + "€" * 21_900 + "']", False),
    ("64 levels", in_parentheses(64), True),
    ("65 levels", in_parentheses(65), False),
    ("300 levels", in_parentheses(300), False),
    ("30,000 levels", in_parentheses(30_000), False),
    ("65 observations", "(" * 65 + f"[{COMPARISON}]" + ")" * 65, False),
    ("parentheses within a text", f"[file:name = '{'(' * 1000}']", True),
    ("an escaped quote, then parentheses", "[file:name = 'a\\'" + "(" * 1000 + "']", True),
    ("a text without end", "[file:name = '" + "(" * 1000, True),
    ("2,000 comparisons", "[" + " OR ".join([COMPARISON] * 1900) + "]", True),
    ("20,000 comparisons", "[" + " OR ".join([COMPARISON] * 20_000) + "]", False),
    ("a regular expression that never ends", "[file:name MATCHES '^(a+)+$']", True),
    ("and one that needs memory", "[file:name MATCHES '(.{1,32000}){1,32000}']", True),
    ("brackets alone", "[" * 60_000, False),
    ("closing ones alone", "]" * 60_000, True),
    ("nothing", "", True),
]


@pytest.mark.parametrize("kind", ["stix", "pcre", "yara"])
async def test_a_pattern_is_taken_within_its_limits_and_comes_back_as_it_came(node, kind):
    for number, (name, pattern, taken) in enumerate(PATTERNS, start=10):
        posted = indicator(number, pattern=pattern, pattern_type=kind)
        answer = await asyncio.wait_for(node.post({"objects": [posted, indicator(1)]}), HANG)
        assert answer.status_code == 202
        assert answer.json()["success_count"] == (2 if taken else 1), name
        found = (await node.get(f"objects/?match[id]={posted['id']}")).json()
        assert found == ({"more": False, "objects": [posted]} if taken else {}), name
