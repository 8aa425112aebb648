import gzip
import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.assemble import masks as module
from intact.assemble.masks import Masks, Tally
from intact.assemble.scanner import Scanner
from intact.model.facts import Chunk

KEY = "sk-ant-" + "Zq8" * 12
SCANNER = Scanner()


def chunk(data: bytes, *, is_write: bool = True, offset: int = 0, connection: int = 1) -> Chunk:
    return Chunk(
        process_id=1,
        pid=1,
        tid=1,
        connection_id=connection,
        source="tls",
        is_write=is_write,
        at_ns=1,
        stream_offset=offset,
        data=data,
    )


def covered(chunks: Iterable[Chunk]) -> tuple[dict[bool, bytes], Tally]:
    """The two streams with what is secret overwritten."""
    chunks = list(chunks)
    finder = Masks(SCANNER)
    for one in chunks:
        finder.take(one)
    masks = finder.finish()
    streams: dict[bool, bytes] = {True: b"", False: b""}
    for one in chunks:
        data = bytearray(one.data)
        mask = masks.get((one.connection_id, one.is_write))
        if mask is not None:
            mask.cover(data, one.stream_offset, ord("x"))
        assert len(data) == len(one.data)
        streams[one.is_write] += data
    return streams, finder.tally


def request(body: bytes, *, headers: str = "", target: str = "/v1/messages") -> bytes:
    head = f"POST {target} HTTP/1.1\r\nhost: api.example\r\n{headers}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def response(body: bytes, *, headers: str = "", sizes: int = 0) -> bytes:
    if not sizes:
        return f"HTTP/1.1 200 OK\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body
    chunks = [body[at : at + sizes] for at in range(0, len(body), sizes)] + [b""]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in chunks)
    return f"HTTP/1.1 200 OK\r\n{headers}transfer-encoding: chunked\r\n\r\n".encode() + framed


def pieces(data: bytes, size: int, *, is_write: bool) -> list[Chunk]:
    return [chunk(data[at : at + size], is_write=is_write, offset=at) for at in range(0, len(data), size)]


def sse(*texts: str) -> bytes:
    events = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in texts]
    return b"".join(b"event: content_block_delta\ndata: %s\n\n" % json.dumps(event).encode() for event in events)


ASKED = request(
    json.dumps({"messages": [{"content": f"my key is {KEY}"}, {"content": "I see."}]}).encode(),
    headers=f"x-api-key: {KEY}\r\nx-custom-token: short1\r\n",
    target=f"/v1/messages?key={KEY}&beta=true",
)
ANSWERED = response(
    sse("your key ", "is sk-a", "nt-" + KEY[7:20], KEY[20:], " and no more"),
    headers="content-type: text/event-stream\r\n",
)
CHUNKED = response(json.dumps({"text": f"again {KEY}"}).encode(), sizes=11)


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 16])
def test_secrets_go_and_everything_else_stays_whatever_the_pieces(size: int) -> None:
    ways = [pieces(ASKED * 2, size, is_write=True), pieces(ANSWERED + CHUNKED, size, is_write=False)]
    streams, tally = covered([one for way in ways for one in way])
    expected = (ASKED * 2).decode().replace(KEY, "x" * len(KEY)).replace("short1", "xxxxxx")
    assert streams[True].decode() == expected
    answer = streams[False]
    assert len(answer) == len(ANSWERED + CHUNKED)
    changed = [at for at, (a, b) in enumerate(zip(answer, ANSWERED + CHUNKED, strict=True)) if a != b]
    assert b"".join(bytes([(ANSWERED + CHUNKED)[at]]) for at in changed).decode() == KEY * 2
    assert {answer[at] for at in changed} == {ord("x")}
    assert (tally.bodies, tally.foreign_bytes) == (0, 0)
    assert tally.secrets >= 2 * 4


@given(
    cuts=st.lists(st.integers(0, len(ASKED + CHUNKED)), max_size=12),
    holes=st.sets(st.integers(0, 12), max_size=3),
)
def test_any_cut_and_any_hole_leave_no_whole_secret(cuts: list[int], holes: set[int]) -> None:
    whole = ASKED + ASKED
    edges = sorted({0, *cuts, len(whole)})
    parts = [chunk(whole[a:b], offset=a) for a, b in pairwise(edges) if a < len(whole)]
    kept = [part for number, part in enumerate(parts) if number not in holes]
    streams, _ = covered(kept)
    assert KEY.encode() not in streams[True]
    if len(kept) == len(parts):
        assert streams[True] == covered([chunk(whole)])[0][True]


@pytest.mark.parametrize("pack", [gzip.compress])
def test_a_compressed_body_with_a_secret_is_masked_whole_and_one_without_stays(pack) -> None:  # type: ignore[no-untyped-def]
    for text, is_masked in ((f"a key: {KEY}", True), ("no key", False)):
        body = pack(text.encode() * 3)
        answer = response(body, headers="content-encoding: gzip\r\n")
        streams, tally = covered([chunk(request(b"{}")), chunk(answer, is_write=False)])
        assert streams[True] == request(b"{}")
        assert streams[False].endswith(b"x" * 10 if is_masked else body)
        assert (b"\x1f\x8b" in streams[False]) is not is_masked
        assert (tally.bodies, tally.body_bytes) == ((1, len(body)) if is_masked else (0, 0))


def test_what_is_no_http1_is_masked_whole() -> None:
    secret = b"\x00\x01hunter2\xff" * 9
    streams, tally = covered([chunk(secret), chunk(b"+OK " + secret, is_write=False)])
    assert b"hunter2" not in streams[True] + streams[False]
    assert (tally.foreign_connections, tally.foreign_bytes) == (1, 2 * len(secret) + 4)


def test_of_http2_only_the_preface_stays() -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    streams, _ = covered([chunk(preface), chunk(b"\x82\x86hunter2", offset=len(preface))])
    assert streams[True].startswith(b"PRI * HTTP/2.0\r\n")
    assert b"hunter2" not in streams[True]


def test_an_upgraded_connection_and_what_follows_malformed_is_masked() -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"
    streams, _ = covered([chunk(request(b"")), chunk(switch + b"\x81\x07hunter2", is_write=False)])
    assert streams[False].startswith(switch)
    assert b"hunter2" not in streams[False]
    bad = request(b"{}") + b"what hunter2 is this\r\n\r\nhunter2"
    streams, _ = covered([chunk(bad)])
    assert streams[True].startswith(request(b"{}"))
    assert b"hunter2" not in streams[True]


def test_a_connection_taken_up_in_its_middle_is_masked_to_the_next_message() -> None:
    data = b"rest of hunter2\r\n" + ASKED
    streams, _ = covered([chunk(data, offset=5000)])
    assert b"hunter2" not in streams[True]
    assert b"POST /v1/messages" in streams[True]


def test_a_head_without_a_body_and_interim_answers_stay() -> None:
    asked = b"GET /a HTTP/1.1\r\nhost: h\r\nAuthorization: Basic aHVudGVyMg==\r\n folded\r\n\r\n" * 2
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nset-cookie: id=hunter2\r\n\r\n"
    streams, tally = covered([chunk(asked), chunk(answer, is_write=False)])
    assert b"aHVudGVyMg" not in streams[True]
    assert streams[True].count(b"GET /a HTTP/1.1\r\nhost: h\r\nAuthorization: ") == 2
    assert streams[False] == answer.replace(b"id=hunter2", b"xxxxxxxxxx")
    assert tally.foreign_bytes == 0


def test_memory_is_bounded_and_what_is_not_held_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD_BYTES", 1000)
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    body = b"hunter2 " * 500
    chunks = pieces(request(body), 64, is_write=True)
    streams, tally = covered([*chunks, *(replace(chunks[0], connection_id=n) for n in range(2, 9))])
    assert b"hunter2" not in streams[True][len(chunks[0].data) :][: len(body)]
    assert tally.bodies >= 1


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=200)), max_size=20))
def test_no_bytes_are_too_strange(given_pieces: list[tuple[bool, bytes]]) -> None:
    at = {True: 0, False: 0}
    chunks = []
    for is_write, data in given_pieces:
        chunks.append(chunk(data, is_write=is_write, offset=at[is_write]))
        at[is_write] += len(data)
    streams, _ = covered(chunks)
    assert {way: len(data) for way, data in streams.items()} == at
