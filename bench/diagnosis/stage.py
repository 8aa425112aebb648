"""Where a fault is made: processes, small mounts and control groups that are gone afterwards, all of our own."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from intact.model.host import Within

LIFE_S = 60  # of whatever we start, should we not come to end it
READY_S = 10.0
_PRELUDE = f"""
import ctypes, errno, os, resource, signal, socket, subprocess, sys, threading, time
signal.alarm({LIFE_S})
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
def ready():
    print("ready", flush=True)
"""
_NUMBERS = itertools.count()


class Unable(Exception):
    """This machine does not let us make that fault; the text says why."""


@dataclass(slots=True)
class Stage:
    """A directory, and what is started and mounted in it. Used as a context; clean up is by pid."""

    place: Path
    roots: list[subprocess.Popen[bytes]] = field(default_factory=list)
    mounts: list[Path] = field(default_factory=list)
    groups: list[Path] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.place.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.roots:
            for pid in [*_descendants(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for path in reversed(self.mounts):
            _until(
                lambda path=path: (
                    subprocess.run(["umount", str(path)], capture_output=True, check=False).returncode == 0
                )
            )
        for group in reversed(self.groups):
            _until(lambda group=group: _removed(group))

    @property
    def within(self) -> Within:
        """What the diagnosis may look at."""
        return Within(
            pids=tuple(process.pid for process in self.roots),
            cgroups=tuple(str(group) for group in self.groups),
            paths=(str(self.place),),
        )

    def run(self, code: str, *arguments: object, group: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a program; returns when it says that it is ready."""
        process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + code, *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.place,
            env={"PATH": os.environ["PATH"]},
            preexec_fn=(lambda: (group / "cgroup.procs").write_text("0")) if group is not None else None,
        )  # fmt: skip
        self.roots.append(process)
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise Unable("the program that makes the fault did not start")
        return process

    def label(self, process: subprocess.Popen[bytes]) -> str:
        """How the diagnosis calls it."""
        return f"{Path(f'/proc/{process.pid}/comm').read_text().strip()}[{process.pid}]"

    def mount(self, name: str, options: str) -> Path:
        """A small file system in memory."""
        if os.geteuid() != 0:
            raise Unable("mounting needs root")
        path = self.place / name
        path.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "intact-test", str(path)], capture_output=True, check=False
        )
        if done.returncode:
            raise Unable(f"cannot mount: {done.stderr.decode(errors='replace').strip()}")
        self.mounts.append(path)
        return path

    def memory_group(self, limit: int) -> Path:
        """A control group whose processes may have so much memory."""
        if os.geteuid() != 0:
            raise Unable("a limit of memory needs root")
        top, file = _memory_controller()
        group = top / f"intact-diagnosis-{os.getpid()}-{next(_NUMBERS)}"
        try:
            group.mkdir()
            self.groups.append(group)
            (group / file).write_text(str(limit))
        except OSError as error:
            raise Unable(f"cannot limit memory: {error.strerror}") from error
        return group


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _memory_controller() -> tuple[Path, str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        path = Path(before.split()[4])
        if kind == "cgroup" and "memory" in options.split(","):
            return path, "memory.limit_in_bytes"
        if kind == "cgroup2" and "memory" in (path / "cgroup.subtree_control").read_text().split():
            return path, "memory.max"
    raise Unable("no control group counts memory here")


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [*_descendants(int(child)), int(child)]
    return found


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_S
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
