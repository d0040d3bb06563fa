"""An envelope joined in pieces is the envelope joined at once, of the length that it says."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tocsin.store.pages import ContentPage
from tocsin.taxii import resources
from tocsin.taxii.resources import envelope

OBJECTS = st.lists(st.integers(2, 400_000).map(lambda size: b'"%b"' % (b"x" * (size - 2))), max_size=30)


@given(OBJECTS, st.none() | st.text("abc-_", min_size=1), st.integers(1, 300_000))
def test_the_pieces_of_an_envelope_are_the_envelope(objects, next_, piece):
    page = ContentPage(range(len(objects)), objects, more=next_ is not None)
    made = envelope(page, next_)
    before, resources._PIECE = resources._PIECE, piece
    try:
        pieces = list(made)
    finally:
        resources._PIECE = before
    whole = b"".join(pieces)
    assert len(whole) == len(made)
    assert all(pieces)
    said = json.loads(whole)
    assert [len(one) + 2 for one in said.pop("objects", [])] == [len(raw) for raw in objects]
    if objects:
        assert said == {"more": next_ is not None} | ({"next": next_} if next_ is not None else {})


def test_no_piece_of_many_equal_objects_is_large():
    objects = [b'{"a":1}' + b" " * 1500] * 1000
    pieces = list(envelope(ContentPage(range(1000), objects, more=False), None))
    assert 8 < len(pieces) < 16
    assert max(map(len, pieces)) < 200_000
