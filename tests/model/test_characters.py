"""A character is written out in ASCII, and never as what it is."""

from hypothesis import given
from hypothesis import strategies as st

from intact.model.characters import written_out


@given(st.characters())
def test_what_is_written_out_acts_on_nothing(character: str) -> None:
    told = written_out(character)
    assert told.isascii()
    assert told.isprintable()


def test_the_usual_ones_are_short() -> None:
    assert [written_out(character) for character in "\n\t\r\x00"] == ["\\n", "\\t", "\\r", "\\x00"]
