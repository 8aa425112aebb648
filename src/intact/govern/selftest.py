"""A harmless proof, at start, that each mechanism holds here: own cgroup, files and socket, and a few forbidden tries."""

import contextlib
import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from intact.govern.landlock import Allowed, fill, make_rulesets, restrict
from intact.govern.plan import CGROUP, EXEC_KILL, FANOTIFY
from intact.govern.policy import Policy
from intact.govern.seccomp import filter_of, install

PASSED = "passed"
TRY_S = 10.0
KILL_WORD = "intact-self-test-killed"

# Runs in the cgroup under test: tries what is forbidden and what is not, and says how each went.
TRIES = r"""
import errno, json, os, socket, sys
w = json.loads(sys.stdin.readline())
def attempt(f):
    try:
        f()
        return "done"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e.errno))
def connect(port, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_INET, kind)
    with s:
        s.sendto(b"x", ("127.0.0.1", port)) if kind == socket.SOCK_DGRAM else s.connect(("127.0.0.1", port))
def run(*argv):
    p = os.fork()
    if p == 0:
        try:
            os.execv(argv[0], argv)
        except OSError as e:
            os._exit(100 + e.errno)
    s = os.waitpid(p, 0)[1]
    if os.WIFSIGNALED(s):
        return "signal %d" % os.WTERMSIG(s)
    c = os.WEXITSTATUS(s)
    return "done" if c == 0 else errno.errorcode.get(c - 100, str(c))
told = {
    "connect_denied": attempt(lambda: connect(w["denied"])),
    "connect_allowed": attempt(lambda: connect(w["allowed"])),
    "send_denied": attempt(lambda: connect(w["denied"], socket.SOCK_DGRAM)),
    "exec_killed": run(w["program"], w["word"]),
    "exec_let": run(w["program"], "x"),
}
if w["files"]:
    told |= {
        "open_denied": attempt(lambda: os.close(os.open(w["held"], os.O_RDONLY))),
        "open_allowed": attempt(lambda: os.close(os.open(w["free"], os.O_RDONLY))),
        "exec_denied": run(w["held_program"]),
    }
print(json.dumps(told))
"""
WANTED = {
    CGROUP: {"connect_denied": "EPERM", "connect_allowed": "done", "send_denied": "EPERM"},
    EXEC_KILL: {"exec_killed": "signal 9", "exec_let": "done"},
    FANOTIFY: {"open_denied": "EPERM", "open_allowed": "done", "exec_denied": "EPERM", "open_outside": "done"},
}


class Bench:
    """The own things of one self-test. Made, used and removed."""

    def __init__(self, scope: Path) -> None:
        self.cgroup = scope.parent / f"{scope.name}-selftest"
        with contextlib.suppress(FileExistsError):
            self.cgroup.mkdir()
        self.directory = Path(tempfile.mkdtemp(prefix="intact-selftest-"))
        self.held, self.free = self.directory / "held", self.directory / "free"
        self.program, self.held_program = self.directory / "program", self.directory / "held-program"
        self.held.write_text("nothing\n")
        self.free.write_text("nothing\n")
        for program in (self.program, self.held_program):
            shutil.copy(os.path.realpath("/bin/true"), program)
        self._sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.denied, self.allowed = (listening.getsockname()[1] for listening in self._sockets)

    def policy(self) -> Policy:
        """Rules over the own things, one a mechanism at least."""
        deny: dict[str, Any] = {"action": "deny"}
        rules = [
            {"id": "connect", "connect": {"address": "127.0.0.1", "port": self.denied}, **deny},
            {
                "id": "kill",
                "exec": {"path": str(self.program), "argv": [{"index": 1, "is": KILL_WORD}]},
                "action": "kill",
            },
            {"id": "open", "file": {"path": str(self.held)}, **deny},
            {"id": "exec", "exec": {"path": str(self.held_program)}, **deny},
        ]
        return Policy.model_validate({"name": "self-test", "rules": rules})

    def tries(self, *, files: bool) -> dict[str, str]:
        """How each try went: "done", the name of an errno, or "signal N"."""
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", TRIES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            text=True,
        )
        (self.cgroup / "cgroup.procs").write_text(str(child.pid))
        wanted = {
            "denied": self.denied,
            "allowed": self.allowed,
            "program": str(self.program),
            "word": KILL_WORD,
            "held": str(self.held),
            "free": str(self.free),
            "held_program": str(self.held_program),
            "files": files,
        }
        try:
            told, _ = child.communicate(json.dumps(wanted) + "\n", timeout=TRY_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return {}
        found = json.loads(told) if told else {}
        if files:
            found["open_outside"] = _open(self.held)
        return dict(found)

    def close(self) -> None:
        """Remove everything."""
        for listening in self._sockets:
            listening.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.cgroup.rmdir()


@contextlib.contextmanager
def bench(scope: Path) -> Iterator[Bench]:
    """The own things for one self-test, beside the cgroup `scope`."""
    made = Bench(scope)
    try:
        yield made
    finally:
        made.close()


def verdict(mechanism: str, told: dict[str, str]) -> str:
    """PASSED, or what was expected and what came."""
    wrong = [
        f"{name.replace('_', ' ')}: expected {wanted}, got {told.get(name, 'nothing')}"
        for name, wanted in WANTED[mechanism].items()
        if told.get(name) != wanted
    ]
    return "; ".join(wrong) if wrong else PASSED


def _open(path: Path) -> str:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return str(error.strerror)
    return "done"


def prove_seccomp() -> str:
    """PASSED if a child with a filter is refused a change of credentials (to the one it has) and nothing else."""
    program = filter_of(["gid"])
    if not program:
        return f"no filter is written for {os.uname().machine}"
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            install(program)
            os.setuid(os.getuid())
            code = 2
            os.setgid(os.getgid())
        except PermissionError:
            code = 0 if code == 2 else 3
        except OSError:
            code = 3
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return PASSED if code == 0 else "the filter did not refuse" if code == 2 else "the kernel does not take a filter"


def prove_landlock(*, ports: bool) -> str:
    """PASSED if a child with an allow-list reaches what is on it, and is refused what is not."""
    with (
        tempfile.TemporaryDirectory(prefix="intact-selftest-") as name,
        socket.create_server(("127.0.0.1", 0)) as listed,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        inside, outside = Path(name, "inside"), Path(name, "outside")
        for directory in (inside, outside):
            directory.mkdir()
            (directory / "file").touch()
        places = [listening.getsockname() for listening in (listed, other)]
        allowed = Allowed(files=((str(inside), ("read",)),), connect=(places[0][1],) if ports else None)
        wanted = [("listed file", lambda: _touched(inside, os.O_RDONLY), 0)]
        wanted += [("writing it", lambda: _touched(inside, os.O_WRONLY), errno.EACCES)]
        wanted += [("another file", lambda: _touched(outside, os.O_RDONLY), errno.EACCES)]
        if ports:
            wanted += [("listed port", lambda: _connected(places[0]), 0)]
            wanted += [("another port", lambda: _connected(places[1]), errno.EACCES)]
        found = _tried(allowed, [each for _, each, _ in wanted])
    if len(found) != len(wanted):
        return "the kernel does not take a list"
    wrong = [
        f"{name}: expected {errno.errorcode.get(want, 'done')}, got {errno.errorcode.get(got, 'done')}"
        for (name, _, want), got in zip(wanted, found, strict=True)
        if want != got
    ]
    return "; ".join(wrong) if wrong else PASSED


def _tried(allowed: Allowed, tries: Sequence[Callable[[], int]]) -> bytes:
    """The errno of each, in a child that may do nothing but what is allowed; empty if that cannot be put on."""
    rulesets = make_rulesets()
    told, tell = os.pipe()
    try:
        fill(rulesets[allowed.kinds], allowed)
        pid = os.fork()
        if pid == 0:
            try:
                restrict(rulesets[allowed.kinds])
                os.write(tell, bytes(each() for each in tries))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.close(tell)
        tell = -1
        return os.read(told, len(tries))
    except (OSError, KeyError):
        return b""
    finally:
        for descriptor in (told, tell, *rulesets.values()):
            if descriptor >= 0:
                os.close(descriptor)


def _touched(directory: Path, how: int) -> int:
    try:
        os.close(os.open(directory / "file", how | os.O_CLOEXEC))
    except OSError as error:
        return error.errno or 255
    return 0


def _connected(place: tuple[str, int]) -> int:
    try:
        with socket.socket() as own:
            own.connect(place)
    except OSError as error:
        return error.errno or 255
    return 0
