"""A digest is the same for the same things, in whatever order, and says where two differ."""

import random

from tocsin.store.digest import SHARES, Digest, Sum, number_of, share_of

PAIRS = [(f"incident--{n:08d}-0000-4000-8000-000000000000", f"{n:064x}") for n in range(500)]


def digest_of(pairs) -> Digest:
    total = Sum()
    total.add(pairs)
    return total.digest


def test_the_order_makes_no_difference():
    shuffled = random.Random("digest").sample(PAIRS, len(PAIRS))
    assert digest_of(shuffled) == digest_of(PAIRS)
    halves = Sum()
    halves.add(PAIRS[:100])
    halves.add(PAIRS[100:])
    assert halves.digest == digest_of(PAIRS)


def test_of_nothing_every_share_is_nothing():
    assert digest_of([]) == Digest(0, (0,) * SHARES)


def test_what_is_missing_or_another_shows_in_its_own_share():
    whole = digest_of(PAIRS)
    for index in (0, 77, 499):
        id_, _ = PAIRS[index]
        others = PAIRS[:index] + PAIRS[index + 1 :]
        for one in (digest_of(others), digest_of([*others, (id_, "f" * 64)])):
            assert whole.differing(one) == [share_of(id_)]
    assert whole.differing(whole) == []


def test_shares_and_numbers_are_those_of_the_protocol():
    id_, sha256 = "identity--00000000-0000-4000-8000-000000000001", "ab" * 32
    # printf '%s' "$id" | sha256sum; printf '%s\\n%s' "$id" "$sha256" | sha256sum
    assert f"{share_of(id_):02x}" == "1e"
    assert f"{number_of(id_, sha256):032x}" == "ee0124f3b7157bb35bd9ea957be6454f"
    many = digest_of([(id_, sha256)] * 2)
    assert many.shares[share_of(id_)] == 2 * number_of(id_, sha256) % 2**128
