"""Records in, effects and facts out."""

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from intact.decode import wire
from intact.decode.stage import decode
from intact.model.effects import FAMILIES, Kind, PathState
from intact.model.facts import Chunk, ConnectionEnd, Loss, Process, StageCount
from intact.model.identity import host_hash, mix, process_id
from intact.model.slice import RawSlice, Slice, Unheard
from tests.decode import made
from tests.decode.made import HOST, START

EPOCH = HOST.boot_offset_ns
ME = process_id(host_hash(HOST.boot_id), 42, START)


def decoded(*slices: RawSlice) -> list[Slice]:
    return list(decode(slices, HOST))


def rows(slices: Iterable[Slice], family: str) -> list[dict[str, object]]:
    return [row for one in slices if family in one.effects for row in one.effects[family].to_pylist()]


def facts(slices: Iterable[Slice], kind: type) -> list[object]:
    return [fact for one in slices for fact in one.facts if isinstance(fact, kind)]


def test_a_file_record_is_a_row() -> None:
    record = made.file(1_000, b"/new", b"/old", op=wire.FileOp.RENAME, result=-2, h_flags=wire.Flag.PATH_UNRESOLVED)
    (row,) = rows(decoded(made.raw([record])), "file")
    assert row.pop("id")
    assert row == {
        "kind": Kind.FILE_RENAME,
        "process_id": ME,
        "pid": 42,
        "tid": 42,
        "uid": 1000,
        "gid": 1001,
        "at_ns": EPOCH + 990,
        "end_ns": EPOCH + 1_000,
        "result": -2,
        "path": "/new",
        "old_path": "/old",
        "path_state": PathState.UNRESOLVED,
        "flags": 0,
        "mode": 0,
        "new_uid": 0,
        "new_gid": 0,
        "fd": 3,
        "inode": 99,
        "device": 8,
    }


def test_the_batches_have_the_schemas_of_the_model() -> None:
    everything = [
        made.file(10, b"/a"),
        made.io(20, b"/a"),
        made.net(30, bytes([127, 0, 0, 1])),
        made.fork(40, 43),
        *made.exec_(50, b"/bin/x", b"x\0"),
        made.exit_(60),
        made.credential(70, [1, 2], [3]),
        made.signal(80, 9, 43),
    ]
    (one, _) = decoded(made.raw(everything))
    told_by_records = {family: schema for family, schema in FAMILIES.items() if family != "block"}
    assert {family: batch.schema for family, batch in one.effects.items()} == told_by_records
    for batch in one.effects.values():
        batch.validate(full=True)


def test_every_kind_of_record_gets_its_kind() -> None:
    ops = [made.file(i, b"/a", op=op) for i, op in enumerate(wire.FileOp, 20)]
    kinds = [row["kind"] for row in rows(decoded(made.raw(ops)), "file")]
    assert kinds == [
        Kind.FILE_OPEN,
        Kind.FILE_CREATE,
        Kind.FILE_DELETE,
        Kind.FILE_RENAME,
        Kind.FILE_LINK,
        Kind.FILE_LINK,
        Kind.DIR_CREATE,
        Kind.DIR_DELETE,
        Kind.FILE_TRUNCATE,
        Kind.FILE_CHMOD,
        Kind.FILE_CHOWN,
    ]
    nets = [made.net(i, b"\x7f\0\0\1", op=op) for i, op in enumerate(wire.NetOp, 20)]
    assert [row["kind"] for row in rows(decoded(made.raw(nets)), "net")] == [
        Kind.CONNECT,
        Kind.ACCEPT,
        Kind.BIND,
        Kind.LISTEN,
        Kind.SEND,
        Kind.CLOSE,
    ]


def test_classes_are_put_together_in_order_of_time() -> None:
    long = b"/" + b"d" * 900
    records = [made.file(t, long if t // 1_000 % 2 else b"/s") for t in (5_000, 3_000, 4_000, 1_000, 2_000)]
    (one, _) = decoded(made.raw(records))
    assert one.effects["file"]["at_ns"].to_pylist() == [EPOCH + t - 10 for t in (1_000, 2_000, 3_000, 4_000, 5_000)]
    assert [len(path) for path in one.effects["file"]["path"].to_pylist()] == [901, 2, 901, 2, 901]


def test_bytes_that_are_not_text_are_escaped_and_their_neighbours_left_alone() -> None:
    paths = [b"/ok", b"/\xff\xfe", "/naïve✓".encode(), b"", b"/a\nb\x1b[31m", b"/cut\xe2\x9c"]
    found = rows(decoded(made.raw([made.file(i + 20, p) for i, p in enumerate(paths)])), "file")
    assert [row["path"] for row in found] == ["/ok", "/\\xff\\xfe", "/naïve✓", "", "/a\nb\x1b[31m", "/cut\\xe2\\x9c"]


def test_results_are_what_the_program_sees() -> None:
    results = {0: 0, 7: 0, -1: -1, -115: -115, -512: -4, -516: -4, -4095: -4095}
    records = [made.net(i + 20, b"\x7f\0\0\1", result=r) for i, r in enumerate(results)]
    assert [row["result"] for row in rows(decoded(made.raw(records)), "net")] == list(results.values())


def test_an_exec_gets_its_arguments_whatever_rings_they_came_by() -> None:
    argv = b"prog\0-c\0" + b"x" * 3_000 + b"\0\0last\0"
    records = [*made.exec_(1_000, b"/bin/prog", argv, cut=700), *made.exec_(2_000, b"/bin/two", b"two\0")]
    first, second = rows(decoded(made.raw(reversed(records))), "process")
    assert first["argv"] == ["prog", "-c", "x" * 3_000, "", "last"]
    assert (first["argv_clipped"], first["exe"], first["cwd"], first["comm"]) == (0, "/bin/prog", "/tmp", "prog")
    assert first["parent_id"] == process_id(host_hash(HOST.boot_id), 41, START - 1)
    assert second["argv"] == ["two"]


def test_clipped_and_missing_arguments_are_told() -> None:
    clipped = made.exec_(1_000, b"/bin/a", b"a\0bc", argv_total=50)
    without = made.exec_(2_000, b"/bin/b", b"b\0")[:1]
    orphan = made.exec_(3_000, b"/bin/c", b"c\0d\0", cut=2)[1:]
    slices = decoded(made.raw([*clipped, *without, *orphan]))
    first, second = rows(slices, "process")
    assert (first["argv"], first["argv_clipped"]) == (["a", "bc"], 46)
    assert (second["argv"], second["argv_clipped"]) == ([], 2)
    assert facts(slices, Loss) == [
        Loss(stage="decode.process", cause="argv_without_exec", count=2, at_ns=slices[-1].until_ns)
    ]


def test_forks_and_exits() -> None:
    records = [
        made.fork(1_000, 43),
        made.fork(2_000, 42, h_flags=wire.Flag.THREAD, child_tid=50),
        made.exit_(3_000, -1, 9),
    ]
    process, thread, end = rows(decoded(made.raw(records)), "process")
    assert process["child_id"] == process_id(host_hash(HOST.boot_id), 43, 999)
    assert (process["child_pid"], process["is_thread"], process["start_ns"]) == (43, False, EPOCH + 999)
    assert (thread["child_id"], thread["child_tid"], thread["is_thread"]) == (ME, 50, True)
    assert (end["exit_code"], end["exit_signal"], end["child_id"], end["argv"]) == (-1, 9, 0, [])


def test_a_process_that_was_there_before_is_a_fact() -> None:
    (alive,) = facts(decoded(made.raw(made.exec_(1_000, b"/bin/sh", b"sh\0", kind=wire.Type.ALIVE))), Process)
    assert alive == Process(
        id=ME,
        pid=42,
        start_ns=EPOCH + START,
        parent_id=process_id(host_hash(HOST.boot_id), 41, START - 1),
        ppid=41,
        exe="/bin/sh",
        comm="prog",
        argv=("sh",),
        cwd="/tmp",
        uid=1000,
        gid=1001,
        cgroup="7",
    )


def test_addresses_read_as_people_write_them() -> None:
    mapped = bytes(10) + b"\xff\xff\x7f\0\0\1"
    records = [
        made.net(20, bytes([10, 1, 2, 3]), local_address=bytes([10, 0, 0, 9]), local_port=5),
        made.net(21, bytes(15) + b"\1", family=10),
        made.net(22, mapped, family=10),
        made.net(23, b"", family=1, data=b"/run/x.sock"),
        made.net(24, b"", family=1, data=b"\0abstract"),
        made.net(25, b"", family=1),
        made.net(26, b"", family=16),
        made.net(27, b"", op=wire.NetOp.LISTEN, local_address=bytes([127, 0, 0, 1]), local_port=80, port=0),
    ]
    found = rows(decoded(made.raw(records)), "net")
    addresses = ["10.1.2.3", "::1", "127.0.0.1", "/run/x.sock", "@abstract", "", "", "127.0.0.1"]
    assert [row["address"] for row in found] == addresses
    assert (found[0]["local_address"], found[0]["local_port"], found[7]["port"]) == ("10.0.0.9", 5, 80)


def test_pieces_of_an_operation_are_one_chunk_with_its_peer() -> None:
    body = bytes(range(256)) * 200
    records = [
        made.net(500, bytes([10, 1, 2, 3]), result=-115),
        *made.tls(1_000, body, cut=16_000),
        made.tls_end(2_000),
    ]
    slices = decoded(made.raw(records))
    (chunk,) = facts(slices, Chunk)
    connection = mix(ME, 0xABC, 1)
    assert chunk == Chunk(
        process_id=ME,
        pid=42,
        tid=42,
        connection_id=connection,
        source="tls",
        is_write=True,
        at_ns=EPOCH + 1_000,
        stream_offset=0,
        data=body,
        peer_address="10.1.2.3",
        peer_port=443,
        fd=5,
    )
    assert facts(slices, ConnectionEnd) == [ConnectionEnd(connection_id=connection, process_id=ME, at_ns=EPOCH + 2_000)]


def test_the_peer_is_the_one_the_descriptor_had_then() -> None:
    records = [
        made.net(100, bytes([10, 0, 0, 1])),
        *made.tls(200, b"a", generation=1),
        made.net(300, bytes([10, 0, 0, 2]), port=8443),
        *made.tls(400, b"b", generation=2),
        *made.tls(500, b"c", generation=1, stream_offset=1),
        *made.tls(600, b"d", generation=3, fd=-1),
        made.net(700, bytes([10, 0, 0, 3]), op=wire.NetOp.ACCEPT, fd=4, result=9),
        *made.tls(800, b"e", generation=4, fd=9),
    ]
    peers = [(c.data, c.peer_address, c.peer_port) for c in facts(decoded(made.raw(records)), Chunk)]
    assert peers == [
        (b"a", "10.0.0.1", 443),
        (b"b", "10.0.0.2", 8443),
        (b"c", "10.0.0.1", 443),
        (b"d", None, None),
        (b"e", "10.0.0.3", 443),
    ]


def test_missing_pieces_are_counted_where_they_are_missing() -> None:
    pieces = made.tls(1_000, b"aabbccdd", cut=2)
    slices = decoded(made.raw([pieces[0], pieces[2]]), made.raw([], until=1 << 41))
    assert [(c.stream_offset, c.data, c.missing_bytes) for c in facts(slices, Chunk)] == [(0, b"aa", 2), (4, b"cc", 2)]
    slices = decoded(made.raw([pieces[1], pieces[3]], until=2_000))
    assert [(c.stream_offset, c.data, c.missing_bytes) for c in facts(slices, Chunk)] == [(2, b"bb", 2), (6, b"dd", 0)]


def test_an_operation_longer_than_the_cap_says_how_much_is_missing() -> None:
    (piece,) = made.tls(1_000, b"abc")
    clipped = made.record(
        wire.Tls, wire.Type.TLS, 1_000, data=b"abc", total=10, h_clipped=7, h_flags=wire.Flag.LAST, direction=1
    )
    assert piece.ring == clipped.ring == "tls_256"
    (chunk,) = facts(decoded(made.raw([clipped], until=1_001)), Chunk)
    assert (chunk.data, chunk.missing_bytes, chunk.is_write) == (b"abc", 7, False)


def test_the_counts_add_up() -> None:
    counters = {"file": (10, 6, 1, 1, 1, 1, 0, 2), "io": (0,) * 8}
    first = made.raw([made.file(10, b"/a")], until=1_000, counters=counters)
    later = made.raw([made.file(2_000, b"/b")], until=3_000_000_000, counters={"file": (15, 11, 1, 1, 1, 1, 0, 2)})
    slices = decoded(first, later)
    counts = [(c.stage, c.seen, c.passed) for c in facts(slices, StageCount)]
    assert counts == [("kernel.file", 17, 11), ("decode.file", 2, 2)]
    lost = {loss.cause: loss.count for loss in facts(slices, Loss)}
    assert lost == {"ring_full": 1, "map_full": 1, "fault": 1, "too_long": 1, "compat": 2}


def test_records_that_cannot_be_right_are_refused_and_counted() -> None:
    good = made.file(10, b"/a")
    bad = [
        made.file(1 << 63, b"/late"),
        made.file(11, b"/op", op=200),
        made.file(12, b"/long", h_length=60_000),
        made.file(13, b"/long", path_length=60_000),
        made.file(14, b"/type", h_type=999),
        made.record(wire.Exec, wire.Type.EXEC, 15, size="256", data=b"x", exe_length=400),
        *made.tls(16, b"x", direction=3),
        made.record(wire.Tls, wire.Type.TLS, 17, data=b"abc", total=2, direction=1),
    ]
    slices = decoded(made.raw([good, *bad]))
    assert len(rows(slices, "file")) == 1
    assert {loss.stage: loss.count for loss in facts(slices, Loss)} == {
        "decode.file": 5,
        "decode.process": 1,
        "decode.tls": 2,
    }


@given(
    st.dictionaries(
        st.sampled_from(["file_256", "tls_1k", "process_256", "net_256", "io_4k", "x_256", "file_9"]), st.binary()
    )
)
def test_random_bytes_are_refused_quietly(rings: dict[str, bytes]) -> None:
    decoded(RawSlice(until_ktime_ns=1, rings={name: data * 40 for name, data in rings.items()}))


def test_what_the_collector_could_not_hear_is_a_loss() -> None:
    unheard = Unheard(
        tgid=42, start_ns=START, ktime_ns=9, connections=2, exe="/bin/x", address="1.2.3.4", port=443, reason="rustls"
    )
    slices = decoded(replace(made.raw([]), unheard=(unheard,), notes=("a note",)))
    first, second = facts(slices, Loss)
    assert (first.stage, first.cause, first.count, first.process_id) == ("collect", "not_heard", 2, ME)
    assert first.note == "/bin/x (pid 42) talks TLS to 1.2.3.4:443 and is not heard: rustls"
    assert second.note == "a note"


RUN: list[made.Made] = [
    made.net(100, bytes([10, 0, 0, 1])),
    *(made.file(200 + i // 2, b"/f%d" % i, inode=i) for i in range(40)),
    *made.exec_(230, b"/bin/prog", b"prog\0" + b"a" * 900 + b"\0", cut=300),
    *made.tls(240, b"request" * 100, cut=100),
    *made.tls(241, b"answer" * 100, cut=90, direction=wire.Direction.READ),
    made.fork(245, 43),
    *made.tls(250, b"more", stream_offset=700),
    *made.tls(255, b"half of it is lost", cut=9, stream_offset=704)[:1],
    made.net(260, bytes([10, 0, 0, 2])),
    *made.tls(265, b"other", generation=2),
    *(made.io(270 + i, b"/f%d" % i, inode=i) for i in range(10)),
    made.tls_end(280),
    made.exit_(290),
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(90, 300), max_size=30))
def test_any_cut_gives_the_same(cuts: list[int]) -> None:
    def all_of(slices: list[Slice]) -> tuple[dict[str, list[object]], list[Chunk], list[object]]:
        effects = {f: sorted(rows(slices, f), key=lambda row: row["id"]) for f in FAMILIES}
        chunks = sorted(facts(slices, Chunk), key=lambda c: (c.at_ns, c.stream_offset))
        return effects, chunks, facts(slices, ConnectionEnd)

    whole = all_of(decoded(made.raw(RUN)))
    assert len({row["id"] for family in whole[0].values() for row in family}) == 40 + 10 + 2 + 3
    assert all_of(decoded(*made.cut_at(RUN, cuts))) == whole


def test_facts_are_in_order_of_time() -> None:
    (one, *_) = decoded(made.raw([*made.tls(300, b"b", stream_offset=1), *made.tls(200, b"a"), made.tls_end(400)]))
    assert [fact.at_ns - EPOCH for fact in one.facts] == [200, 300, 400]
    assert isinstance(one.effects, dict)
    assert not any(isinstance(batch, pa.Table) for batch in one.effects.values())
