"""Byte ranges to strings: what Python's own decoder would give, for any bytes and any order."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intact.decode.text import fixed_texts, gather, texts, to_text

ANY_TEXT = st.binary(max_size=12) | st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass"))


def laid_out(values: list[bytes], gaps: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ring, starts = bytearray(), []
    for value, gap in zip(values, gaps, strict=False):
        ring += b"\xff" * gap
        starts.append(len(ring))
        ring += value
    lengths = np.array([len(v) for v in values[: len(starts)]], np.int64)
    return np.frombuffer(bytes(ring), np.uint8), np.array(starts, np.int64), lengths


@given(st.lists(st.tuples(ANY_TEXT, st.integers(0, 5)), max_size=30), st.randoms())
def test_any_bytes_become_text(pairs: list[tuple[bytes, int]], random: object) -> None:
    values = [value for value, _ in pairs]
    ring, starts, lengths = laid_out(values, [gap for _, gap in pairs])
    expected = [value.decode("utf-8", "backslashreplace") for value in values]
    assert texts(ring, starts, lengths).to_pylist() == expected
    order = np.array(sorted(range(len(values)), key=lambda _: random.random()), np.int64)  # type: ignore[attr-defined]
    ordered = to_text(gather(ring, starts, lengths, order))
    ordered.validate(full=True)
    assert ordered.to_pylist() == [expected[i] for i in order]


@given(st.lists(st.binary(min_size=4, max_size=4), max_size=10))
def test_a_fixed_field_ends_at_its_first_nul(values: list[bytes]) -> None:
    column = np.array([np.void(value) for value in values], "V4")
    expected = [value.split(b"\0")[0].decode("utf-8", "backslashreplace") for value in values]
    assert fixed_texts(column).to_pylist() == expected


def test_a_slice_of_an_array_is_escaped_in_its_own_rows() -> None:
    ring, starts, lengths = laid_out([b"\xff", b"a", b"\xfe", b"b"], [0, 0, 0, 0])
    assert to_text(gather(ring, starts, lengths)[1:]).to_pylist() == ["a", "\\xfe", "b"]


def test_pandas_is_left_alone() -> None:
    code = (
        "import sys\nfrom tests.decode.test_stage import RUN, decoded, made\n"
        "decoded(*made.cut_at(RUN, [240]))\nassert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
