"""What was read once, strictly, is read again quickly: with the same values."""

from decimal import Decimal

import pytest

from tocsin.errors import BadInput
from tocsin.stix.canonical import read_json, read_kept

TEXTS = (
    b'{"a":"\\u0022","b":"\\\\","c":"\\ud83d\\ude00"}',
    b'{"a":1.50,"b":50.0,"c":50,"d":1e2,"e":-0.0,"f":9007199254740991}',
    b'{"a":[],"b":{},"c":null,"d":[true,false,{"e":"\xc3\xa4"}]}',
    b' [ 1 , "2" ] ',
    b'"text"',
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_read_again_has_the_same_value_to_the_digit(text):
    first, again = read_json(text), read_kept(text)
    assert again == first
    assert repr(again) == repr(first)


def test_a_number_keeps_its_digits():
    assert read_kept(b"[1.50]") == [Decimal("1.50")]
    assert repr(read_kept(b"[1.50]")) == "[Decimal('1.50')]"


@pytest.mark.parametrize("text", [b"", b'{"a":', b"\xff", b"[1] x"])
def test_what_can_no_longer_be_read_is_refused(text):
    with pytest.raises(BadInput):
        read_kept(text)
