"""What goes wrong around a recording leaves the child as it is and the run readable, and is said."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.recorded import ENVIRONMENT, INTACT, intact, kernel_test, lines, paths, record, record_argv, runs, show

WAIT_S = 30.0
# Works a step every 50 ms until the file `stop` is there, then leaves with 7; says when it has begun.
STEPS = """
import os, sys, time
folder = sys.argv[1]
print(os.getpid(), flush=True)
number = 0
while not os.path.exists(folder + "/stop"):
    with open(f"{folder}/step-{number}", "w") as file:
        file.write("step\\n")
    number += 1
    time.sleep(0.05)
sys.exit(7)
"""


def wait_for(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Steps:
    """A recorded program that works on until it is told to stop."""

    def __init__(self, folder: Path, data: Path, ignore: tuple[int, ...] = ()) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        ignored = "".join(f"import signal; signal.signal({number}, signal.SIG_IGN)\n" for number in ignore)
        command = ("/usr/bin/python3", "-c", ignored + STEPS, str(folder))
        self.front = subprocess.Popen(
            record_argv(data, *command),
            env=dict(ENVIRONMENT),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.front.stdout is not None
        self.child = int(self.front.stdout.readline())

    @property
    def count(self) -> int:
        """Steps done."""
        return len(list(self.folder.glob("step-*")))

    def wait_steps(self, more: int) -> None:
        """Wait until so many further steps are done."""
        wanted = self.count + more
        wait_for(lambda: self.count >= wanted, "the child does not go on")

    def stop(self) -> tuple[int, str]:
        """Let the child end; gives the front's exit code and what it said."""
        (self.folder / "stop").touch()
        _, said = self.front.communicate(timeout=WAIT_S)
        return self.front.returncode, said

    def collector(self) -> int:
        """The pid of the collector: the other child of the front."""
        (children,) = [path.read_text().split() for path in Path(f"/proc/{self.front.pid}/task").glob("*/children")]
        (collector,) = {int(pid) for pid in children} - {self.child}
        return collector


@contextmanager
def steps(folder: Path, data: Path, ignore: tuple[int, ...] = ()) -> Iterator[Steps]:
    """The program, ended in any case."""
    program = Steps(folder, data, ignore)
    try:
        yield program
    finally:
        (folder / "stop").touch()
        if program.front.poll() is None:
            program.front.communicate(timeout=WAIT_S)
        for pipe in (program.front.stdout, program.front.stderr):
            if pipe is not None:
                pipe.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@kernel_test
def test_a_child_that_ignores_sigterm_goes_on(tmp_path: Path) -> None:
    with steps(tmp_path / "steps", tmp_path / "data", ignore=(signal.SIGTERM,)) as program:
        program.front.send_signal(signal.SIGTERM)
        program.wait_steps(5)
        assert program.stop()[0] == 7
    (run,) = runs(tmp_path / "data")
    assert (run["exit_code"], run["problem"]) == (7, None)


@kernel_test
def test_sigterm_is_passed_on(tmp_path: Path) -> None:
    with steps(tmp_path / "steps", tmp_path / "data") as program:
        program.front.send_signal(signal.SIGTERM)
        program.front.communicate(timeout=WAIT_S)
        assert program.front.returncode == 143
    (run,) = runs(tmp_path / "data")
    assert (run["exit_code"], run["problem"]) == (143, None)


@kernel_test
def test_a_killed_front_leaves_a_readable_run(tmp_path: Path) -> None:
    with steps(tmp_path / "steps", tmp_path / "data") as program:
        collector = program.collector()
        program.wait_steps(10)
        program.front.kill()
        program.front.wait()
        wait_for(lambda: not alive(collector), "the collector does not end when the front is gone")
        assert alive(program.child), "the child was ended with the front"
        program.wait_steps(5)
        (program.folder / "stop").touch()
        wait_for(lambda: not alive(program.child), "the child did not end")
    shown = show(tmp_path / "data")
    assert str(program.folder / "step-5") in paths(shown, "file_write")
    (run,) = runs(tmp_path / "data")
    assert run["exit_code"] is None
    assert run["ended_ns"] is not None
    assert "front" in run["problem"]
    assert not shown["ledger"]["complete"]
    left = Path(f"/sys/fs/cgroup/unified/intact-{program.front.pid}")
    assert not left.exists(), "the cgroup of the recording stays behind"


@kernel_test
def test_a_killed_collector_is_not_felt(tmp_path: Path) -> None:
    with steps(tmp_path / "steps", tmp_path / "data") as program:
        program.wait_steps(25)  # more than a second: the rows of the first have been written
        os.kill(program.collector(), signal.SIGKILL)
        program.wait_steps(5)
        code, said = program.stop()
    assert code == 7
    assert "incomplete" in said
    assert "Traceback" not in said
    shown = show(tmp_path / "data")
    assert str(program.folder / "step-3") in paths(shown, "file_write")
    assert not shown["ledger"]["complete"]
    (run,) = runs(tmp_path / "data")
    assert run["problem"]
    assert run["exit_code"] == 7


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "intact-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@kernel_test
@pytest.mark.parametrize("size", ["400k", "64k"])
def test_a_full_disk_is_not_felt(size: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    script = f"for i in $(seq 9000); do echo $i > {made}/some-file-with-a-rather-long-name-$RANDOM-$i; done; echo done; exit 3"
    with small_disk(tmp_path / "disk", size) as disk:
        done = record(disk / "data", "/bin/bash", "-c", script)
        assert (done.returncode, done.stdout) == (3, b"done\n")
        assert len(list(made.iterdir())) == 9000
        said = done.stderr.decode()
        assert "no room left" in said
        assert "Traceback" not in said
        (run,) = runs(disk / "data")
        assert run["exit_code"] == 3
        assert run["problem"]
        assert "no room left" in run["problem"]
        # Its copy, where there is room to read it: the store that `show` fills is on the same disk.
        subprocess.run(["cp", "-r", str(disk / "data"), str(tmp_path / "copy")], check=True)
    shown = show(tmp_path / "copy")
    assert not shown["ledger"]["complete"]
    assert shown["run"]["exit_code"] == 3


@kernel_test
def test_a_disk_that_is_full_from_the_start_is_said(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16k") as disk:
        (disk / "filling").write_bytes(bytes(8192))
        done = record(disk / "data", "/bin/sh", "-c", "echo ran")
        said = lines(done.stderr)
    # Either it runs, unrecorded in part and said so, or it does not run and one line says why.
    assert (done.returncode, done.stdout) in ((0, b"ran\n"), (1, b""))
    assert any("No space left" in line for line in said), said
    assert not any("Traceback" in line for line in said)


@kernel_test
def test_two_at_once_do_not_see_each_other(tmp_path: Path) -> None:
    with (
        steps(tmp_path / "one", tmp_path / "data") as one,
        steps(tmp_path / "two", tmp_path / "data") as two,
    ):
        one.wait_steps(10)
        two.wait_steps(10)
        assert one.stop()[0] == 7
        assert two.stop()[0] == 7
    found = runs(tmp_path / "data")
    assert len(found) == 2
    for run in found:
        shown = show(tmp_path / "data", run["id"])
        mine, other = (one, two) if str(one.folder) in run["command"] else (two, one)
        assert len({path for path in paths(shown, "file_write") if path.startswith(str(mine.folder))}) == mine.count
        assert str(other.folder) not in json.dumps([shown["effects"], shown["processes"]])
        assert shown["ledger"]["complete"]


@kernel_test
def test_a_recording_within_a_recording(tmp_path: Path) -> None:
    made = tmp_path / "made.txt"
    inner = [str(word) for word in record_argv(tmp_path / "inner", "/bin/sh", "-c", f"echo hi > {made}; exit 4")]
    done = record(tmp_path / "outer", *inner)
    said = done.stderr.decode()
    assert "Traceback" not in said
    assert done.returncode == 4, said
    assert made.read_text() == "hi\n"
    for data in ("inner", "outer"):
        assert str(made) in paths(show(tmp_path / data), "file_write"), data


@kernel_test
def test_what_goes_on_after_the_command_is_said(tmp_path: Path) -> None:
    script = "setsid sleep 5 > /dev/null 2>&1 & echo $!"
    done = record(tmp_path / "data", "/bin/bash", "-c", script)
    assert done.returncode == 0
    assert "1 process is still running and no longer observed" in done.stderr.decode()
    sleeping = int(done.stdout)
    assert alive(sleeping)
    os.kill(sleeping, signal.SIGTERM)


@kernel_test
def test_a_run_can_be_read_while_it_goes_on(tmp_path: Path) -> None:
    with steps(tmp_path / "steps", tmp_path / "data") as program:
        program.wait_steps(20)
        wanted = str(program.folder / "step-5")

        def seen() -> bool:
            return wanted in paths(show(tmp_path / "data"), "file_write")

        wait_for(seen, "what was done is not shown while the run goes on")
        (run,) = runs(tmp_path / "data")
        assert (run["ended_ns"], run["exit_code"]) == (None, None)
        assert program.front.poll() is None
        text = intact("runs", "--data", str(tmp_path / "data"))
        assert "going" in text.stdout


@kernel_test
def test_hostile_names_do_no_harm(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys\n"
        "folder = os.fsencode(sys.argv[1]) + b'/' + b'/'.join([b'd\\x1b[2J\\n' + b'x' * 200] * 15)\n"
        "os.makedirs(folder)\n"
        "os.chdir(folder)\n"
        "open(b'f\\xff\\xfe\\x1b]0;t\\x07\\n', 'w').close()\n"
        "subprocess.run([b'/bin/true', b'\\xff\\xfe', b'\\x1b[31m', b'a\\nb'])\n"
        "os.chdir('/')\n"
    )
    done = record(tmp_path / "data", "/usr/bin/python3", "-c", program, str(tmp_path))
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = show(tmp_path / "data")
    assert any(p.startswith(f"{tmp_path}/d\x1b[2J\n") for p in paths(shown, "file_create"))
    plain = subprocess.run(
        [INTACT, "show", "--data", str(tmp_path / "data")], env=dict(ENVIRONMENT), capture_output=True, check=True
    ).stdout
    assert b"\x1b" not in plain
    assert b"\x07" not in plain
    assert not {byte for byte in plain if byte < 32} - {10}
