from intact.decode import wire
from intact.decode.spans import Layout
from intact.decode.stage import decode
from intact.model.facts import Chunk
from intact.model.slice import RawSlice
from tests.decode.made import HOST, Made, exec_, exit_, file, fork, io, net, raw, tls, tls_end


def layout(made: list[Made]) -> tuple[dict[str, bytearray], Layout]:
    rings = {name: bytearray(data) for name, data in raw(made).rings.items()}
    return rings, Layout(rings, HOST)


def test_texts_are_where_they_are() -> None:
    made = [file(1, b"/a/b", b"/c"), io(2, b"/d"), net(3, b"", family=1, data=b"/run/x.sock")]
    _, found = layout([*made, *exec_(4, b"/bin/sh", b"sh\0-c\0")])
    assert sorted(span.data for span in found.texts()) == [b"/a/b", b"/bin/sh", b"/c", b"/d", b"/run/x.sock", b"/tmp"]


def test_an_argument_vector_is_one_whatever_its_pieces() -> None:
    argv = b"prog\0--token\0" + b"s" * 1500 + b"\0"
    _, found = layout([*exec_(4, b"/bin/prog", argv, cut=700), *exec_(5, b"/bin/other", b"o\0")])
    vectors = sorted(b"".join(span.data for span in vector) for vector in found.argument_vectors())
    assert vectors == [b"o\0", argv]


def test_plaintext_has_the_names_and_places_of_its_chunks() -> None:
    text = bytes(range(256)) * 100
    made = [*tls(1, text, stream_offset=40), *tls(2, b"answer", direction=wire.Direction.READ)]
    _, found = layout(made)
    by_place = {}
    for piece in found.plaintext():
        by_place.setdefault((piece.connection_id, piece.is_write), []).append((piece.stream_offset, piece.span.data))
    joined = {place: b"".join(data for _, data in sorted(pieces)) for place, pieces in by_place.items()}
    chunks = [fact for part in decode([raw(made)], HOST) for fact in part.facts if isinstance(fact, Chunk)]
    assert joined == {(chunk.connection_id, chunk.is_write): chunk.data for chunk in chunks}
    assert min(sorted(by_place[chunks[0].connection_id, True]))[0] == chunks[0].stream_offset == 40


def test_an_overwritten_span_changes_the_ring() -> None:
    rings, found = layout([file(1, b"/secret")])
    next(iter(found.texts())).overwrite(b"/******")
    assert b"/******" in rings["file_256"]
    assert b"secret" not in rings["file_256"]


FIXED = {
    wire.Type.EXEC: wire.data_offset(wire.Exec),
    wire.Type.ARGV: wire.data_offset(wire.Argv),
    wire.Type.EXIT: wire.Exit.pad.offset,
    wire.Type.FORK: wire.Fork.pad.offset,
    wire.Type.FILE: wire.data_offset(wire.File),
    wire.Type.IO: wire.data_offset(wire.Io),
    wire.Type.NET: wire.data_offset(wire.Net),
    wire.Type.TLS: wire.data_offset(wire.Tls),
    wire.Type.TLS_END: wire.data_offset(wire.Tls),
}


def stale(made: Made) -> Made:
    """The same record in memory that held something before: behind its end is what was there."""
    head = wire.Header.from_buffer_copy(made.data)
    used = FIXED[head.type] + head.length
    return Made(made.ring, made.ktime_ns, made.data[:used] + (b"STALE" * 4000)[: len(made.data) - used])


def test_what_is_not_used_is_cleared_and_nothing_else() -> None:
    made = [file(1, b"/a/b", b"/c"), io(2, b"/d"), net(3, b"\x7f\0\0\1"), *exec_(4, b"/bin/sh", b"sh\0-c\0x")]
    made += [exit_(6), fork(7, 50), *tls(8, b"GET / HTTP/1.1\r\n\r\n"), tls_end(9)]
    rings, clean = layout(made)
    dirty_rings, dirty = layout([stale(one) for one in made])
    assert any(b"STALE" in data for data in dirty_rings.values())
    clean.clear_unused()
    dirty.clear_unused()
    before = raw(made)
    for name, data in before.rings.items():
        assert bytes(rings[name]) == bytes(data)
        assert dirty_rings[name] == rings[name]
    one, other = (list(decode([RawSlice(until_ktime_ns=9, rings=r)], HOST)) for r in (rings, dirty_rings))
    assert [part.facts for part in one] == [part.facts for part in other]


def test_refused_records_keep_only_their_fixed_fields() -> None:
    wrong = file(1, b"/secret", path_length=60_000)
    odd = Made("file_256", 2, file(2, b"/secret").data[:100])
    rings = {"file_256": bytearray(wrong.data + odd.data), "strange_256": bytearray(b"secret" * 50)}
    before = [part.facts for part in decode([RawSlice(until_ktime_ns=9, rings=rings)], HOST)]
    Layout(rings, HOST).clear_unused()
    assert not any(b"secret" in data for data in rings.values())
    assert [part.facts for part in decode([RawSlice(until_ktime_ns=9, rings=rings)], HOST)] == before


def test_records_without_a_variable_part_may_be_all_there_is() -> None:
    rings, found = layout([fork(1, 50), fork(2, 51), fork(3, 52)])
    found.clear_unused()
    assert rings["process_256"] == raw([fork(1, 50), fork(2, 51), fork(3, 52)]).rings["process_256"]
