"""The file: whose it is, several processes at once, a death in the middle, a disk that is full."""

import asyncio
import ctypes
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from intact.assist.asking import Message
from intact.assist.keep.keep import Keep, KeepUnavailable
from intact.assist.keep.sqlite import SqliteKeep
from intact.assist.keep.sqlite_file import FILE
from tests.assist.keep.places import NOW, Place
from tests.assist.keep.test_keep import ANN, answer, new, said

ROOT = Path(__file__).parents[3]
_MS_NODEV_NOSUID = 4 | 2
_MS_REMOUNT_RDONLY = 32 | 1


def writer(directory: Path, name: str) -> "subprocess.Popen[str]":
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "tests.assist.keep.writing", str(directory), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True, cwd=ROOT)


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Place("sqlite", tmp_path).run(lambda keep: new(keep))
        (tmp_path / FILE).chmod(0o644)
        keep = SqliteKeep(tmp_path / FILE)
        asyncio.run(new(keep))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        keep.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys((FILE, f"{FILE}-wal", f"{FILE}-shm"), 0o600)


def test_a_link_in_its_place_is_not_followed_to_make_one(tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeepUnavailable):
        SqliteKeep(tmp_path / FILE)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("content", [b"not a database" * 1000, b"SQLite format 3\x00" + b"\xff" * 5000, b"x"])
def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(KeepUnavailable) as error:
        SqliteKeep(tmp_path / FILE)
    assert str(tmp_path / FILE) in str(error.value)
    assert "left as it is" in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / FILE).read_bytes() == content


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / FILE)
    other.execute("CREATE TABLE sessions (id)")
    other.commit()
    with pytest.raises(KeepUnavailable, match="another program's database"):
        SqliteKeep(tmp_path / FILE)
    other.execute("DROP TABLE sessions")
    other.execute("PRAGMA application_id = 7")
    with pytest.raises(KeepUnavailable, match="another program's database"):
        SqliteKeep(tmp_path / FILE)
    other.close()


def test_a_file_of_a_newer_version_is_left_as_it_is(tmp_path: Path) -> None:
    SqliteKeep(tmp_path / FILE).close()
    other = sqlite3.connect(tmp_path / FILE)
    other.execute("PRAGMA user_version = 9")
    other.close()
    with pytest.raises(KeepUnavailable, match="version 9, this intact knows 1"):
        SqliteKeep(tmp_path / FILE)


def test_damage_in_the_middle_is_one_line(tmp_path: Path) -> None:
    async def fill(keep: Keep) -> str:
        session = await new(keep)
        for _ in range(50):
            await keep.add_message(ANN, session.id, said("x" * 9_000))
        return session.id

    session_id = Place("sqlite", tmp_path).run(fill)
    size = (tmp_path / FILE).stat().st_size
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (size - 8192))

    async def read(keep: Keep) -> None:
        with pytest.raises(KeepUnavailable, match="left as it is") as error:
            await keep.messages(ANN, session_id)
        assert "\n" not in str(error.value)

    Place("sqlite", tmp_path).run(read)
    assert (tmp_path / FILE).stat().st_size == size


def test_processes_share_the_file(tmp_path: Path) -> None:
    """Two at once: nothing of either is lost, and an id is good in one of them only."""
    names = ("one", "two", "three")
    processes = [writer(tmp_path, name) for name in names]
    outputs = [process.communicate(timeout=120)[0].split("\n") for process in processes]
    firsts = [int(line.split()[1]) for output in outputs for line in output if line]
    assert len(firsts) == 3_000
    assert sum(firsts) == 1_000

    async def read(keep: Keep) -> None:
        for name in names:
            assert await keep.logged(f"rsp-{name}") == [(i, f"event {i}") for i in range(1_000)]
            page = await keep.messages(name, f"session-of-{name}", limit=2_000)
            assert [each.content for each in page.messages] == [f"message {i}" for i in range(1_000)]

    Place("sqlite", tmp_path).run(read)


@pytest.mark.parametrize("after", [1, 40, 333])
def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, after: int) -> None:
    process = writer(tmp_path, "one")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    lines += process.communicate()[0].splitlines(keepends=True)
    told = [int(line.split()[0]) for line in lines if line.endswith("\n")]
    assert told == list(range(len(told)))

    async def read(keep: Keep) -> None:
        assert len(await keep.logged("rsp-one")) >= len(told)
        page = await keep.messages("one", "session-of-one", limit=2_000)
        assert [each.content for each in page.messages][: len(told)] == [f"message {i}" for i in told]
        assert not await keep.use_once(f"id {told[-1]}", NOW + 10**15)
        assert [row.id for row in await keep.unfinished()] == ["rsp-one"]

    Place("sqlite", tmp_path).run(read)


def test_it_waits_for_another_that_writes_and_not_for_ever(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)

    async def work(keep: Keep) -> None:
        session = await new(keep)
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
        timer.start()
        assert await keep.rename(ANN, session.id, "after")
        timer.join()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(KeepUnavailable, match="locked"):
            await keep.rename(ANN, session.id, "never")
        found = await keep.session(ANN, session.id)  # who reads waits for nobody
        assert found is not None
        assert found.title == "after"
        other.execute("ROLLBACK")
        assert await keep.rename(ANN, session.id, "again")

    SqliteKeep(tmp_path / FILE).close()
    Place("sqlite", tmp_path).run(work)
    other.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", str(disk).encode(), b"tmpfs", _MS_NODEV_NOSUID, b"size=1m") != 0:
        pytest.skip(f"a small file system cannot be mounted here: {os.strerror(ctypes.get_errno())}")
    yield disk
    libc.umount2(str(disk).encode(), 2)


def test_a_full_disk_is_one_line_and_loses_nothing(small_disk: Path) -> None:
    async def work(keep: Keep) -> None:
        session = await new(keep)
        assert await keep.open_response(answer(session))
        told = 0

        async def fill() -> None:
            nonlocal told
            while told < 1_000:
                await keep.add_message(ANN, session.id, said(f"{told} " + "x" * 9_000))
                told += 1

        with pytest.raises(KeepUnavailable, match=r"full|I/O") as error:
            await fill()
        assert "\n" not in str(error.value)
        with pytest.raises(KeepUnavailable):
            await keep.log("rsp_1", 0, ["x" * 500_000, "y"])
        with pytest.raises(KeepUnavailable):
            keep.readings.put(ANN, {"text": "x" * 500_000})
        page = await keep.messages(ANN, session.id, limit=1_000)
        assert [int(each.content.split()[0]) for each in page.messages] == list(range(told))
        (small_disk / "ballast").unlink()
        assert await keep.add_message(ANN, session.id, said("there is room again"))

    (small_disk / "ballast").write_bytes(bytes(200_000))
    Place("sqlite", small_disk).run(work)


def test_a_file_that_may_only_be_read_is_one_line(small_disk: Path) -> None:
    place = Place("sqlite", small_disk)
    session = place.run(new)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"tmpfs", str(small_disk).encode(), b"tmpfs", _MS_REMOUNT_RDONLY, None) == 0
    with pytest.raises(KeepUnavailable, match=r"cannot be used: .*(readonly|read-only|unable to open)") as error:
        place.run(
            lambda keep: keep.add_message(ANN, session.id, Message(role="user", content="", at_ns=1, response_id=""))
        )
    assert "\n" not in str(error.value)


def test_what_is_deleted_is_not_left_in_the_file(tmp_path: Path) -> None:
    async def work(keep: Keep) -> None:
        session = await new(keep)
        await keep.add_message(ANN, session.id, said("something private " * 20))
        await keep.delete(ANN, session.id)

    Place("sqlite", tmp_path).run(work)
    assert b"something private" not in (tmp_path / FILE).read_bytes()
