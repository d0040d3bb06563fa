"""Extent: how much of a proof runs. An ordinary run takes a little of each, a full one all that is promised.

`TOCSIN_TEST_FULL=1` asks for the full form of everything, `TOCSIN_TEST_<NAME>=n` for a number of one kind.
`TOCSIN_TEST_SEED` makes another schedule. See tests/README.md.
"""

import os
import random

FULL = os.environ.get("TOCSIN_TEST_FULL", "") not in ("", "0")
SEED = os.environ.get("TOCSIN_TEST_SEED", "20260301")


def extent(name: str, ordinary: int, full: int) -> int:
    """How many of `name` (kills, cuts …) this run is to do."""
    return int(os.environ.get(f"TOCSIN_TEST_{name.upper()}") or (full if FULL else ordinary))


def dice_for(what: str) -> random.Random:
    """Chance that comes out the same in every run with the same seed."""
    return random.Random(f"{SEED} {what}")
