"""Bodies: any coding and any cut give the same content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.standin.bodies import accepts, available, cut, decoded, encoder, in_time

SIZES = st.lists(st.integers(1, 50), max_size=4)


@pytest.mark.parametrize("coding", available())
@given(pieces=st.lists(st.binary(max_size=200), max_size=8), sizes=SIZES)
def test_any_cut_gives_the_same_content(coding: str, pieces: list[bytes], sizes: list[int]) -> None:
    bursts = list(in_time(pieces, encoder(coding), sizes))
    chunks = [chunk for burst in bursts for chunk in burst]
    assert len(bursts) == len(pieces) + 1
    assert decoded(b"".join(chunks), coding) == b"".join(pieces)
    assert all(chunks)
    if sizes:
        assert [len(chunk) for chunk in chunks[:-1]] == [sizes[i % len(sizes)] for i in range(len(chunks) - 1)]


@given(data=st.binary(max_size=300), sizes=SIZES, turn=st.integers(0, 9))
def test_cut_loses_nothing(data: bytes, sizes: list[int], turn: int) -> None:
    assert b"".join(cut(data, sizes, turn=turn)) == data


@pytest.mark.parametrize(
    ("accept_encoding", "answer"),
    [("gzip, br", True), ("GZIP;q=0.3", True), ("*", True), ("br", False), ("gzip;q=0", False), ("", False)],
)
def test_accept_encoding(accept_encoding: str, answer: bool) -> None:
    assert accepts(accept_encoding, "gzip") is answer
