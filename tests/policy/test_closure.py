"""A collection is closed under reference, and the largest such set enters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.policy.closure import Candidate, State, settle

W, C, O = State.WHOLE, State.COPY, State.OUT  # noqa: E741  (the three states, short for the rows below)


def test_two_that_refer_to_each_other_enter_together():
    pair = [Candidate("a", W, frozenset("b"), ours=False), Candidate("b", W, frozenset("a"), ours=False)]
    assert settle(pair, {}).states == {"a": W, "b": W}


def test_a_cycle_with_one_hidden_member_waits_whole_when_it_is_another_s():
    ring = [
        Candidate("a", W, frozenset("b"), ours=False),
        Candidate("b", W, frozenset("c"), ours=False),
        Candidate("c", O, frozenset("a"), ours=False),
    ]
    settled = settle(ring, {})
    assert settled.states == {"a": O, "b": O, "c": O}
    assert settled.waits_for == {"a": frozenset("b"), "b": frozenset("c")}


@pytest.mark.parametrize(
    ("target", "ours", "as_posted", "expected"),
    [
        (W, True, False, W),
        (W, False, False, W),
        (C, True, False, C),  # the reference is rewritten, so the object is another one
        (C, False, False, O),
        (O, True, False, C),
        (O, False, False, O),
        (O, False, True, W),  # the writer's own disclosure
        (None, True, False, C),  # never here: as if hidden
        (None, False, False, O),
    ],
)
def test_one_reference(target, ours, as_posted, expected):
    standing = {} if target is None else {"t": target}
    settled = settle([Candidate("x", W, frozenset("t"), ours, as_posted)], standing)
    assert settled.states == {"x": expected}


def test_an_object_that_names_itself_is_no_obstacle():
    assert settle([Candidate("x", W, frozenset("x"), ours=False)], {}).states == {"x": W}


@st.composite
def _graphs(draw):
    ids = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1))
    return [
        Candidate(
            id_,
            draw(st.sampled_from([W, C, O])),
            frozenset(draw(st.sets(st.sampled_from("abcdefghxyz"), max_size=4))),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for id_ in ids
    ]


@given(_graphs(), st.dictionaries(st.sampled_from("xyz"), st.sampled_from([W, C, O])))
def test_what_is_whole_names_only_what_is_whole_and_nothing_more_could_enter(candidates, standing):
    states = settle(candidates, standing).states
    for candidate in candidates:
        state = states[candidate.id]
        assert state <= candidate.best
        reachable = all(
            {**standing, **states}.get(target, O) is W for target in candidate.targets if target != candidate.id
        )
        if state is W and not candidate.as_posted:
            assert reachable
        if state < candidate.best:
            assert not reachable
            assert candidate.best is W
