"""Under `intact record` a terminal does what it does without: keys, stops, continuing, its size."""

import os
import signal
import time
from pathlib import Path

from tests.e2e.recorded import kernel_test, record_argv, runs, show
from tests.e2e.terminal import Terminal

PYTHON = "/usr/bin/python3"
# Says `interrupt` for each SIGINT and leaves with 9 at the second.
TWICE = """
import os, signal, sys, time
count = 0
def interrupt(number, frame):
    global count
    count += 1
    os.write(1, b"interrupt %d\\n" % count)
    if count == 2:
        sys.exit(9)
signal.signal(signal.SIGINT, interrupt)
os.write(1, b"ready\\n")
while True:
    time.sleep(0.1)
"""
# Says its terminal, its size, and each new size.
SIZES = """
import fcntl, os, select, signal, struct, sys, termios
def size(*_):
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))
    print(f"size {rows}x{columns}", flush=True)
signal.signal(signal.SIGWINCH, size)
print("ready", *(os.ttyname(fd) for fd in range(3)), os.tcgetpgrp(0) == os.getpgrp(), flush=True)
size()
# A signal between two steps of the interpreter is handled after the next one: which must not wait for long.
while not select.select([0], [], [], 0.1)[0]:
    pass
print("typed", input(), flush=True)
"""
COUNT = """
import time
print("ready", flush=True)
for number in range(10_000):
    print(f"<{number}>", flush=True)
    time.sleep(0.02)
"""


@kernel_test
def test_control_c_twice(tmp_path: Path) -> None:
    with Terminal(record_argv(tmp_path / "data", PYTHON, "-c", TWICE)) as terminal:
        terminal.read_until("ready")
        terminal.type(b"\x03")
        terminal.read_until("interrupt 1")
        terminal.type(b"\x03")
        terminal.read_until("interrupt 2")
        assert terminal.wait_told("exit") == "exit 9"
        terminal.read_until("intact: run ")
    (run,) = runs(tmp_path / "data")
    assert (run["exit_code"], run["problem"]) == (9, None)
    assert show(tmp_path / "data")["ledger"]["complete"]


@kernel_test
def test_control_c_ends_what_does_not_handle_it(tmp_path: Path) -> None:
    with Terminal(record_argv(tmp_path / "data", "/bin/sh", "-c", "echo ready; exec sleep 60")) as terminal:
        terminal.read_until("ready")
        # Hasty fingers: the second comes while the run is being closed.
        terminal.type(b"\x03\x03")
        time.sleep(0.1)
        terminal.type(b"\x03")
        assert terminal.wait_told("exit") == "exit 130"
    (run,) = runs(tmp_path / "data")
    assert run["exit_code"] == 130
    assert any(effect["kind"] == "exit" for effect in show(tmp_path / "data")["effects"])


@kernel_test
def test_control_backslash(tmp_path: Path) -> None:
    with Terminal(
        record_argv(tmp_path / "data", "/bin/sh", "-c", "ulimit -c 0; echo ready; exec sleep 60")
    ) as terminal:
        terminal.read_until("ready")
        terminal.type(b"\x1c")
        assert terminal.wait_told("exit") == "exit 131"
    assert runs(tmp_path / "data")[0]["exit_code"] == 131


@kernel_test
def test_stop_and_continue(tmp_path: Path) -> None:
    with Terminal(record_argv(tmp_path / "data", PYTHON, "-c", COUNT)) as terminal:
        terminal.read_until("<3>")
        terminal.type(b"\x1a")
        terminal.wait_told("stopped")
        assert "<" not in terminal.quiet(), "the child went on while its job was stopped"
        terminal.foreground()
        terminal.read_until("<")
        # And once more: one stop must not use up what makes the next one work.
        terminal.type(b"\x1a")
        terminal.wait_told("stopped")
        assert "<" not in terminal.quiet()
        terminal.foreground()
        terminal.read_until("<")
        terminal.type(b"\x03")
        assert terminal.wait_told("exit") in ("exit 130", "exit 1")
    assert show(tmp_path / "data")["ledger"]["complete"]


@kernel_test
def test_the_child_owns_the_terminal_and_hears_its_size(tmp_path: Path) -> None:
    with Terminal(record_argv(tmp_path / "data", PYTHON, "-c", SIZES)) as terminal:
        terminal.resize(11, 33)
        line = terminal.read_until("size")
        names = line.split("ready ")[1].split()
        assert len({*names[:3]}) == 1
        assert names[3] == "True"
        terminal.resize(44, 155)
        terminal.read_until("44x155")
        terminal.type(b"words\n")
        terminal.read_until("typed words")
        assert terminal.wait_told("exit") == "exit 0"


@kernel_test
def test_a_hangup_reaches_the_child(tmp_path: Path) -> None:
    script = f"trap 'touch {tmp_path}/hung; exit 5' HUP; echo ready; while :; do sleep 0.1; done"
    with Terminal(record_argv(tmp_path / "data", "/bin/bash", "-c", script)) as terminal:
        terminal.read_until("ready")
        for pid in terminal.session():
            if pid != terminal.process.pid and os.readlink(f"/proc/{pid}/exe").rpartition("/")[2].startswith("python"):
                os.kill(pid, signal.SIGHUP)
        assert terminal.wait_told("exit") == "exit 5"
    assert (tmp_path / "hung").exists()
