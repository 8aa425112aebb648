"""HTTP/1.1 messages: any cut gives the same, every bound holds, what is malformed is named."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.assemble.http1 import (
    MAX_HEAD_BYTES,
    Body,
    End,
    Event,
    Gap,
    Lost,
    Malformed,
    MessageReader,
    RequestHead,
    ResponseHead,
    Upgraded,
)

REQUESTS = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    b"\r\nPOST /x?y=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    b"PUT /z HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: a\r\n b\r\n\r\n"
    b"5;ext=1\r\nhello\r\n006\r\n world\r\n0\r\nTrailer: t\r\n\r\n"
    b"DELETE / HTTP/1.0\n\n"
)
RESPONSES = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\nHTTP/1.1 200 OK\r\n\r\nuntil the end"
)


def read(data: bytes, cuts: set[int] = frozenset(), method: str | None = None) -> list[Event]:  # type: ignore[assignment]
    edges = [0, *sorted(cuts), len(data)]
    reader = MessageReader(answered_method=lambda _ahead: method)
    events = [event for a, b in itertools.pairwise(edges) for event in reader.feed(data[a:b])]
    return joined(events + reader.close())


def joined(events: list[Event]) -> list[Event]:
    """Events with neighbouring pieces of a body put together."""
    whole: list[Event] = []
    for event in events:
        if isinstance(event, Body) and whole and isinstance(before := whole[-1], Body):
            whole[-1] = Body(before.offset, before.data + event.data)
        else:
            whole.append(event)
    return whole


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def test_requests_are_read() -> None:
    events = read(REQUESTS)
    heads = [event for event in events if isinstance(event, RequestHead)]
    assert [(head.method, head.target) for head in heads] == [
        ("GET", "/"),
        ("POST", "/x?y=1"),
        ("PUT", "/z"),
        ("DELETE", "/"),
    ]
    assert heads[2].headers[1] == ("X", "a b")
    assert all(REQUESTS[head.offset :].startswith(head.method.encode()) for head in heads)
    assert kinds(events).count(End) == 4


def test_responses_are_read() -> None:
    events = read(RESPONSES)
    assert [event.status for event in events if isinstance(event, ResponseHead)] == [200, 204, 200, 304, 200]
    assert b"until the end" in [event.data for event in events if isinstance(event, Body)]
    assert kinds(events)[-1] is End


@given(st.sets(st.integers(1, len(REQUESTS) - 1)))
def test_any_cut_of_requests_gives_the_same(cuts: set[int]) -> None:
    whole = [event for event in read(REQUESTS) if not isinstance(event, Body)]
    assert [event for event in read(REQUESTS, cuts) if not isinstance(event, Body)] == whole


@given(st.sets(st.integers(1, len(RESPONSES) - 1)))
def test_any_cut_of_responses_gives_the_same(cuts: set[int]) -> None:
    assert [event for event in read(RESPONSES, cuts) if not isinstance(event, Body)] == [
        event for event in read(RESPONSES) if not isinstance(event, Body)
    ]


@given(st.binary(max_size=400), st.sets(st.integers(1, 400)))
def test_anything_is_read_without_an_error(data: bytes, cuts: set[int]) -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    for whole in (data, head + data, b"HTTP/1.1 200 OK\r\n" + data):
        inside = {cut for cut in cuts if cut < len(whole)}
        assert kinds(read(whole, inside)) == kinds(read(whole))


def test_head_has_no_body() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
    assert kinds(read(response, method="HEAD")) == [ResponseHead, End]


def test_an_upgrade_is_noticed() -> None:
    response = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello"
    reader = MessageReader()
    assert kinds(reader.feed(response)) == [ResponseHead, Upgraded]
    reader.feed(b"more")
    assert reader.skipped_bytes == 7 + 4


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\n", "chunk size of 2^63 or more"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "malformed chunk size"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd", "chunk data longer than its size"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 5000, "chunk line longer than 4096 bytes"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer coding that is not chunked"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5, 6\r\n\r\n", "malformed content-length"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "malformed content-length"),
        (b"POST / HTTP/1.1\r\nbad header\r\n\r\n", "malformed header"),
        (b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 2000 + b"\r\n", "more than 1000 headers"),
        (b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000 + b"\r\n", f"head longer than {MAX_HEAD_BYTES} bytes"),
        (b"POST / HTTP/1.1\r\nx: " + b"a" * 300_000, f"head longer than {MAX_HEAD_BYTES} bytes"),
    ],
)
def test_what_is_malformed_is_named(data: bytes, problem: str) -> None:
    events = read(data)
    assert Malformed(problem) in events
    assert kinds(events)[-1] is Malformed


def test_memory_is_bounded_while_nothing_is_found() -> None:
    reader = MessageReader()
    for _ in range(100):
        reader.feed(b"x" * 100_000)
    assert len(reader._buffer) <= 200_000
    assert reader.skipped_bytes > 9_000_000


def test_a_gap_inside_a_body_of_known_length_is_a_hole() -> None:
    reader = MessageReader()
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nab")
    assert reader.gap(3) == [Gap(3)]
    assert kinds(reader.feed(b"fghij")) == [Body, End]


def test_a_gap_inside_a_chunk_is_a_hole() -> None:
    reader = MessageReader()
    reader.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na\r\nab")
    assert reader.gap(3) == [Gap(3)]
    assert kinds(reader.feed(b"fghij\r\n0\r\n\r\n")) == [Body, End]


@pytest.mark.parametrize("before", [b"POST / HT", b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nab", b""])
def test_after_a_larger_gap_the_next_message_is_found(before: bytes) -> None:
    reader = MessageReader()
    reader.feed(b"GET /first HTTP/1.1\r\n\r\n" + before)
    assert reader.gap(500) == [Lost(500)]
    events = reader.feed(b"the tail of something\r\nGET /next HTTP/1.1\r\n\r\n")
    assert [event.target for event in events if isinstance(event, RequestHead)] == ["/next"]


def test_offsets_stay_true_after_a_gap() -> None:
    reader = MessageReader()
    reader.feed(b"GET /first HTTP/1.1\r\n\r\n")
    reader.gap(1000)
    [head, _] = reader.feed(b"GET /next HTTP/1.1\r\n\r\n")
    assert isinstance(head, RequestHead)
    assert head.offset == 23 + 1000
