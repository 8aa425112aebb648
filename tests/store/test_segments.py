"""What was written is read back, whole frames only, whatever happened to the writer."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intact.model.errors import CaptureError, IntactError
from intact.model.facts import Chunk, Loss, StageCount
from intact.model.slice import Slice
from intact.store.segments import (
    Limits,
    SegmentWriter,
    footer_of,
    has_writer,
    read_host,
    read_segments,
    segments_in,
)
from tests.store.slices import HOST, T0, effects, files, links, same


def a_slice(number: int, rows: int = 5) -> Slice:
    at_ns = T0 + number * 1_000_000_000
    count = StageCount(stage="decode", at_ns=at_ns, seen=number, passed=number)
    return Slice(until_ns=at_ns, facts=(count,), effects=files(rows, at_ns))


def written(directory: Path, pieces: list[Slice], **limits: Any) -> None:
    with SegmentWriter(directory, HOST, limits=Limits(**limits)) as writer:
        for piece in pieces:
            writer.write(piece)


def test_slices_come_back_equal(tmp_path: Path) -> None:
    families = {**files(3), **effects("process", 2, argv=[["sh", "-c", "x\x1b"], []], comm="sh"), **effects("net", 1)}
    pieces = [
        a_slice(1),
        Slice(until_ns=T0 + 2_000_000_000, effects=families, links=links(4, confidence=0.75)),
        Slice(until_ns=T0 + 3_000_000_000, facts=(Loss(stage="s", cause="é\x00", count=1, at_ns=1),)),
    ]
    written(tmp_path, pieces)
    back = list(read_segments(tmp_path))
    assert len(back) == 3
    assert all(same(one, other) for one, other in zip(pieces, back, strict=True))
    assert read_host(tmp_path) == HOST
    [segment] = segments_in(tmp_path)
    footer = footer_of(segment.path)
    assert footer is not None
    assert (footer.slices, footer.rows, footer.facts, footer.until_ns) == (3, 5 + 6 + 4, 2, T0 + 3_000_000_000)
    assert not (tmp_path / "reserve").exists()


def test_segments_turn_over_by_rows_by_bytes_and_by_age(tmp_path: Path) -> None:
    pieces = [a_slice(n, rows=40) for n in range(1, 6)]
    written(tmp_path / "rows", pieces, rows=100)
    assert [s.number for s in segments_in(tmp_path / "rows")] == [1, 2, 3]
    written(tmp_path / "bytes", pieces, file_bytes=1)
    assert len(segments_in(tmp_path / "bytes")) == 5
    with SegmentWriter(tmp_path / "age", HOST, limits=Limits(age_s=0.05, sync_s=0.02)) as writer:
        writer.write(pieces[0])
        time.sleep(0.3)
        assert [s.sealed for s in segments_in(tmp_path / "age")] == [True]
        writer.write(pieces[1])
    for name in ("rows", "bytes"):
        assert [piece.until_ns for piece in read_segments(tmp_path / name)] == [p.until_ns for p in pieces]


def test_boundaries_without_data_are_thinned_but_the_last_is_kept(tmp_path: Path) -> None:
    ticks = [Slice(until_ns=T0 + n * 20_000_000) for n in range(100)]
    written(tmp_path, ticks)
    read = [piece.until_ns for piece in read_segments(tmp_path)]
    assert read[0] == T0
    assert read[-1] == ticks[-1].until_ns
    assert 15 <= len(read) <= 25


def test_plaintext_never_reaches_a_segment(tmp_path: Path) -> None:
    chunk = Chunk(
        process_id=1, pid=1, tid=1, connection_id=1, source="tls", is_write=True, at_ns=T0, stream_offset=0,
        data=b"sk-canary",
    )  # fmt: skip
    written(tmp_path, [Slice(until_ns=T0, facts=(chunk,))])
    assert [piece.facts for piece in read_segments(tmp_path)] == [()]


@pytest.fixture(scope="module")
def segment_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("whole")
    written(directory, [a_slice(n) for n in range(1, 8)])
    return (directory / "000001.seg").read_bytes()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_cut_of_an_open_segment_gives_a_prefix(tmp_path: Path, segment_bytes: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(segment_bytes)))
    (tmp_path / "000001.open").write_bytes(segment_bytes[:cut])
    read = list(read_segments(tmp_path))
    assert [piece.until_ns for piece in read] == [T0 + n * 1_000_000_000 for n in range(1, len(read) + 1)]
    assert not any(isinstance(fact, Loss) for piece in read for fact in piece.facts)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_byte_is_told_and_the_next_segment_read(
    tmp_path: Path, segment_bytes: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(segment_bytes) - 1))
    damaged = bytearray(segment_bytes)
    damaged[place] ^= data.draw(st.integers(1, 255))
    (tmp_path / "000001.seg").write_bytes(damaged)
    (tmp_path / "000002.seg").write_bytes(segment_bytes)
    read = list(read_segments(tmp_path))
    told = [fact for piece in read for fact in piece.facts if isinstance(fact, Loss)]
    counts = [fact for piece in read for fact in piece.facts if isinstance(fact, StageCount)]
    # bytes that only fill up (reserved fields) may change without harm
    assert told or len(counts) == 14
    assert [fact.seen for fact in counts][-7:] == [1, 2, 3, 4, 5, 6, 7]


def test_an_unreadable_directory_is_explained(tmp_path: Path) -> None:
    assert list(read_segments(tmp_path / "none")) == []
    with pytest.raises(CaptureError, match="no readable segment"):
        read_host(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(IntactError, match="cannot record"):
        SegmentWriter(tmp_path / "file", HOST)


def test_following_sees_each_slice_once_and_over_segments(tmp_path: Path) -> None:
    alive = True
    seen: list[int] = []

    def follow() -> None:
        for piece in read_segments(tmp_path, follow=lambda: alive):
            seen.append(piece.until_ns)

    reader = threading.Thread(target=follow)
    reader.start()
    sent: list[int] = []
    with SegmentWriter(tmp_path, HOST, limits=Limits(rows=40)) as writer:
        for number in range(1, 31):
            sent.append(a_slice(number).until_ns)
            writer.write(a_slice(number, rows=17))
            time.sleep(0.01)
    alive = False
    reader.join(timeout=5)
    assert seen == sent
    assert len(segments_in(tmp_path)) == 15


WRITER = """
import sys
from pathlib import Path
from intact.store.segments import SegmentWriter, Limits
from tests.store.test_segments import a_slice
from tests.store.slices import HOST
writer = SegmentWriter(Path(sys.argv[1]), HOST, limits=Limits(rows=200))
for number in range(1, 1_000_000):
    writer.write(a_slice(number, rows=20))
    if number % 20 == 0:
        writer.flush()
        print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        flushed = 0
        for line in process.stdout:
            flushed = int(line)
            if flushed >= 100:
                assert any(has_writer(segment) for segment in segments_in(tmp_path))
                process.send_signal(signal.SIGKILL)
                break
    read = [piece.until_ns for piece in read_segments(tmp_path)]
    assert len(read) >= flushed
    assert read == [T0 + n * 1_000_000_000 for n in range(1, len(read) + 1)]
    assert not any(has_writer(segment) for segment in segments_in(tmp_path))


def write_through(writer: SegmentWriter, piece: Slice) -> None:
    writer.write(piece)
    writer.flush()


def fill(writer: SegmentWriter, slices: int) -> tuple[int, list[IntactError]]:
    errors: list[IntactError] = []
    for number in range(1, slices + 1):
        try:
            write_through(writer, a_slice(number, rows=2000))
        except IntactError as error:
            errors.append(error)
    try:
        writer.close()
    except IntactError as error:
        errors.append(error)
    return slices * 2000, errors


def read_back(directory: Path) -> tuple[int, list[Loss]]:
    pieces = list(read_segments(directory))
    rows = sum(batch.num_rows for piece in pieces for batch in piece.effects.values())
    return rows, [fact for piece in pieces for fact in piece.facts if isinstance(fact, Loss)]


def test_a_full_disk_is_told_once_counted_and_readable(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("a full disk needs a small tmpfs, and mounting one needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        writer = SegmentWriter(tmp_path / "segments", HOST, limits=Limits(retry_s=0.02, rows=5000))
        given, errors = fill(writer, 60)
        [error] = errors
        assert "no room left" in str(error)
        rows, losses = read_back(tmp_path / "segments")
        assert 0 < rows < given
        assert rows + writer.lost_rows == given
        assert sum(loss.count for loss in losses) == writer.lost_rows + writer.lost_facts
        assert segments_in(tmp_path / "segments")[-1].sealed
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_failed_write_that_passes_is_told_when_it_works_again(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = SegmentWriter(tmp_path, HOST, limits=Limits(retry_s=0))
    try:
        writer.write(a_slice(1))
        writer.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        with pytest.raises(IntactError):
            write_through(writer, a_slice(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.write(a_slice(3))
    writer.close()
    rows, [loss] = read_back(tmp_path)
    assert rows == 10
    assert (writer.lost_rows, writer.lost_facts, loss.count) == (5, 1, 6)
