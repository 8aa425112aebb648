"""Server-sent events: any cut, any line end, bounded."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from intact.assemble.sse import ServerSentEvent, SseReader

STREAM = (
    'event: message_start\ndata: {"model": "m"}\n\n: keep-alive\n\ndata: first\ndata: second\n\n'
    'event: content_block_delta\r\ndata: {"text": "naïve ✓"}\r\n\r\ndata:tight\r\rid: 7\ndata\ndata:  two\n\nevent: none\n\n'
).encode()
EVENTS = [
    ServerSentEvent("message_start", b'{"model": "m"}'),
    ServerSentEvent("", b"first\nsecond"),
    ServerSentEvent("content_block_delta", '{"text": "naïve ✓"}'.encode()),
    ServerSentEvent("", b"tight"),
    ServerSentEvent("", b"\n two"),
]


def read(data: bytes, cuts: set[int], **options: int) -> tuple[list[ServerSentEvent], int]:
    edges = [0, *sorted(cuts), len(data)]
    reader = SseReader(**options)
    events = [event for a, b in itertools.pairwise(edges) for event in reader.feed(data[a:b])]
    return events + reader.finish(), reader.oversized


@given(st.sets(st.integers(0, len(STREAM))))
def test_any_cut_gives_the_same_events(cuts: set[int]) -> None:
    assert read(STREAM, cuts) == (EVENTS, 0)


@given(st.binary(max_size=200), st.sets(st.integers(0, 200)), st.integers(1, 30))
def test_any_cut_of_anything_gives_the_same(data: bytes, cuts: set[int], limit: int) -> None:
    data = data.replace(b"a", b"\n").replace(b"b", b"data:").replace(b"c", b"\r")
    inside = {cut for cut in cuts if cut <= len(data)}
    assert read(data, inside, max_bytes=limit) == read(data, set(), max_bytes=limit)


def test_an_event_is_told_when_its_empty_line_comes() -> None:
    reader = SseReader()
    assert reader.feed(b"data: a\n") == []
    assert reader.feed(b"\n") == [ServerSentEvent("", b"a")]


def test_the_last_event_needs_no_empty_line() -> None:
    reader = SseReader()
    reader.feed(b"data: [DONE]")
    assert reader.finish() == [ServerSentEvent("", b"[DONE]")]


def test_a_line_without_end_is_dropped_and_counted() -> None:
    reader = SseReader(max_bytes=1000)
    for _ in range(10_000):
        reader.feed(b"data: endless")
    assert sum(map(len, reader._line)) < 2000
    assert reader.feed(b"\n\ndata: next\n\n") == [ServerSentEvent("", b"next")]
    assert reader.oversized == 1


def test_an_event_of_many_lines_is_bounded() -> None:
    reader = SseReader(max_bytes=1000)
    for _ in range(100_000):
        reader.feed(b"data:\n")
    assert len(reader._data) <= 1000
    reader.feed(b"\n")
    assert reader.oversized == 1


def test_a_gap_drops_the_event_under_way() -> None:
    reader = SseReader()
    reader.feed(b"data: a\ndata: b")
    reader.gap()
    assert reader.feed(b"rest of a line\n\ndata: c\n\n") == [ServerSentEvent("", b"c")]
