"""Elements of a streamed JSON array."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from intact.assemble.json_array import JsonArrayReader

VALUES = [{"a": 'x"]}{['}, {"b": [1, {"c": "\\"}], "d": "ü\n"}, {}, {"e": {"f": []}}]
STREAM = ("[" + ",\r\n".join(json.dumps(value, ensure_ascii=False) for value in VALUES) + "\n]\n").encode()


@given(st.sets(st.integers(0, len(STREAM))))
def test_any_cut_gives_the_same_elements(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    reader = JsonArrayReader()
    elements = [each for a, b in itertools.pairwise(edges) for each in reader.feed(STREAM[a:b])]
    assert [json.loads(each) for each in elements] == VALUES


def test_an_element_without_end_is_bounded() -> None:
    reader = JsonArrayReader(max_bytes=1000)
    reader.feed(b'[{"a": "')
    for _ in range(1000):
        reader.feed(b"x" * 100)
    assert sum(map(len, reader._element)) <= 1000
    assert reader.feed(b'"}, {"b": 1}]') == [b'{"b": 1}']
    assert reader.oversized == 1
