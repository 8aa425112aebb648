"""Content codings: any cut, bombs, garbage."""

import itertools
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from intact.assemble.body import MAX_BINARY_BODY_BYTES, MAX_BODY_BYTES, BodyReader, Held
from intact.assemble.coding import CodingError, decoder
from tests.assemble.traffic import encode

TEXT = b"".join(b'data: {"n": %d}\n\n' % number for number in range(300))
HALVES = [TEXT[:1000], TEXT[1000:]]
CODINGS = ("gzip", "deflate", "br", "zstd", "x-gzip")


def decoded(data: bytes, coding: str, cuts: set[int] = frozenset()) -> bytes:  # type: ignore[assignment]
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    undo = decoder(coding)
    assert undo is not None
    return b"".join(piece for a, b in itertools.pairwise(edges) for piece in undo.feed(data[a:b]))


@given(st.sampled_from(CODINGS), st.sets(st.integers(0, 400)))
def test_any_cut_gives_the_same(coding: str, cuts: set[int]) -> None:
    assert decoded(b"".join(encode(HALVES, coding)), coding, cuts) == TEXT


def test_deflate_without_its_header_is_read() -> None:
    packer = zlib.compressobj(wbits=-15)
    assert decoded(packer.compress(TEXT) + packer.flush(), "deflate", {1, 2}) == TEXT


def test_two_codings_are_undone() -> None:
    assert decoded(b"".join(encode([b"".join(encode([TEXT], "gzip"))], "br")), "gzip, br") == TEXT


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_a_flushed_piece_is_read_when_it_comes(coding: str) -> None:
    undo = decoder(coding)
    assert undo is not None
    first, *_ = encode(HALVES, coding)
    assert b"".join(undo.feed(first)) == HALVES[0]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@given(data=st.binary(min_size=2, max_size=200))
def test_garbage_is_named(coding: str, data: bytes) -> None:
    with pytest.raises(CodingError, match=f"malformed {coding} body"):
        decoded(b"\xff\xfe\xfd" + data, coding)


@pytest.mark.parametrize("coding", ["snappy", "gzip, gzip, gzip"])
def test_unknown_codings_are_refused(coding: str) -> None:
    with pytest.raises(CodingError):
        decoder(coding)


BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: b"".join(encode([data], "gzip")),
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_does_not_unfold(coding: str) -> None:
    bomb = BOMBS[coding](bytes(MAX_BODY_BYTES + (8 << 20)))
    held = Held()
    body = BodyReader((("content-encoding", coding), ("content-type", "application/json")), held=held)
    body.add(bomb)
    assert len(body.data) == held.size == MAX_BODY_BYTES
    assert body.problem == f"body longer than {MAX_BODY_BYTES} bytes"
    assert body.missing_bytes > 0
    body.release()
    assert held.size == 0


def test_a_binary_body_is_kept_in_part() -> None:
    body = BodyReader((("content-type", "application/zip"),), held=Held())
    body.add(bytes(3 << 20))
    assert len(body.data) == MAX_BINARY_BODY_BYTES
    assert body.missing_bytes == (3 << 20) - MAX_BINARY_BODY_BYTES


def test_all_bodies_together_are_bounded() -> None:
    held = Held(max_bytes=1000)
    bodies = [BodyReader((), held=held) for _ in range(3)]
    for body in bodies:
        body.add(bytes(600))
    assert held.size == 1000
    assert [body.missing_bytes for body in bodies] == [0, 200, 600]
