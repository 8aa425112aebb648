import os
import resource
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.collect import capture_file
from intact.collect.capture_file import About, CaptureReader, Ending, read_capture, write_capture
from intact.decode import wire
from intact.model.errors import CaptureError, IntactError
from intact.model.slice import Host, RawSlice, Unheard

HOST = Host(
    name="höst", boot_id="b0", kernel="Linux 6", boot_offset_ns=1_700_000_000_000_000_000, root_tgid=7, root_start_ns=9
)
UNHEARD = Unheard(
    tgid=1, start_ns=2, ktime_ns=3, connections=4, exe="/x\udcff", address="::1", port=443, reason="no TLS functions"
)
SLICES = [
    RawSlice(until_ktime_ns=10, rings={}, counters={"file": (1,) * 8}),
    RawSlice(
        until_ktime_ns=20,
        rings={"file_256": os.urandom(512), "tls_16k": bytearray(b"\0" * 16384)},
        counters={"file": (3,) * 8},
        notes=("a note",),
        unheard=(UNHEARD,),
    ),
    RawSlice(until_ktime_ns=30, rings={"io_256": memoryview(b"x" * 256)}, counters={"file": (3,) * 8}),
]


def plain(raw: RawSlice) -> RawSlice:
    return RawSlice(
        until_ktime_ns=raw.until_ktime_ns,
        rings={name: bytes(data) for name, data in raw.rings.items()},
        counters=raw.counters,
        notes=raw.notes,
        unheard=raw.unheard,
    )


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "a.capture"
    with write_capture(path, HOST, about=About(name="n", command=("a", "b\udcff"), started_ns=5)) as writer:
        for raw in SLICES:
            writer.write(raw)
        writer.close(Ending(ended_ns=40, exit_code=3))
    return path


def test_what_was_written_is_read(capture: Path) -> None:
    host, slices = read_capture(capture)
    assert host == HOST
    assert [plain(raw) for raw in slices] == [plain(raw) for raw in SLICES]
    with CaptureReader(capture) as reader:
        assert reader.about == About(name="n", command=("a", "b\udcff"), started_ns=5)
        assert len(list(reader.slices())) == len(SLICES)
        assert (reader.ending, reader.cut) == (Ending(ended_ns=40, exit_code=3), None)


def test_it_is_private_and_never_overwritten(capture: Path) -> None:
    assert stat.S_IMODE(capture.stat().st_mode) == 0o600
    with pytest.raises(IntactError, match="never overwritten"):
        write_capture(capture, HOST)
    link = capture.with_name("link")
    link.symlink_to(capture.with_name("elsewhere"))
    with pytest.raises(IntactError):
        write_capture(link, HOST)
    assert not capture.with_name("elsewhere").exists()


def test_it_holds_the_records_that_this_version_decodes() -> None:
    assert capture_file.WIRE_VERSION == wire.WIRE_VERSION


def test_any_beginning_of_a_file_reads_up_to_its_last_whole_frame(capture: Path, tmp_path: Path) -> None:
    whole = capture.read_bytes()
    known = [plain(raw) for raw in SLICES]
    counts = set()
    for length in range(len(whole)):
        part = tmp_path / "part"
        part.write_bytes(whole[:length])
        try:
            reader = CaptureReader(part)
        except CaptureError:
            continue
        with reader:
            found = [plain(raw) for raw in reader.slices()]
            assert found == known[: len(found)]
            assert reader.ending is None
            counts.add(len(found))
    assert counts == {0, 1, 2, 3}


@given(at=st.integers(0, 1 << 20), byte=st.integers(0, 255))
def test_any_wrong_byte_is_noticed_and_nothing_is_made_up(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("wrong")
    path = folder / "a"
    with write_capture(path, HOST) as writer:
        for raw in SLICES:
            writer.write(raw)
    data = bytearray(path.read_bytes())
    data[at % len(data)] = byte
    path.write_bytes(data)
    known = [plain(raw) for raw in SLICES]
    try:
        with CaptureReader(path) as reader:
            found = [plain(raw) for raw in reader.slices()]
            assert found == known[: len(found)]
    except CaptureError:
        pass


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a capture"),
        (b"\x7fELF" + bytes(100), "not a capture"),
        (b"intact capture 2\n", "version 2"),
        (b"intact capture \x1b[31m\n", "version ?"),
        (b"intact capture 1\n", "without a header"),
        (b"intact capture 1\n" + bytes(20), "damaged"),
    ],
)
def test_a_foreign_file_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=words.replace("?", r"\?")) as caught:
        CaptureReader(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(CaptureError, match="cannot read"):
            CaptureReader(path)


def test_a_hostile_size_is_not_allocated(capture: Path, tmp_path: Path) -> None:
    whole = capture.read_bytes()
    for size in (0xFFFFFFFF, 1 << 27):
        forged = bytearray(whole)
        forged[17 + 16 : 17 + 20] = size.to_bytes(4, "little")  # the header frame's word for its length
        path = tmp_path / "forged"
        path.write_bytes(forged)
        with pytest.raises(CaptureError, match="damaged"):
            CaptureReader(path)


def test_a_slice_too_large_to_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_file, "MAX_FRAME_BYTES", 1000)
    with write_capture(tmp_path / "a", HOST) as writer, pytest.raises(OSError, match="a slice of"):
        writer.write(RawSlice(until_ktime_ns=1, rings={"file_256": bytes(2000)}))


def test_a_full_disk_leaves_what_was_written(capture: Path) -> None:
    path = capture.with_name("full")
    writer = write_capture(path, HOST)
    writer.write(SLICES[0])
    size = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            writer.write(SLICES[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    writer.write(SLICES[2])
    writer.close(Ending(ended_ns=1))
    with CaptureReader(path) as reader:
        assert [plain(raw) for raw in reader.slices()] == [plain(SLICES[0])]
        assert (reader.cut, reader.ending) == (None, None)
