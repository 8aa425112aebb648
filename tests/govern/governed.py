"""A governed cgroup of a test's own, and programs that try what is forbidden in it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intact.collect.cgroup import ScopeCgroup, cgroup2_mount
from intact.collect.loader import NATIVE, Loader
from intact.collect.machine import this_host
from intact.govern.governor import Governor
from intact.govern.hits import Hit
from intact.govern.policy import Policy

# Before each program: how a try went, in a word.
PRELUDE = """
import errno, json, os, signal, socket, sys
def attempt(f, *a):
    try:
        f(*a)
        return "done"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e.errno))
def tcp(address, port, family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(2)
        s.connect((address, port))
def udp(address, port, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", (address, port))
def read(path):
    os.close(os.open(path, os.O_RDONLY))
def write(path):
    os.close(os.open(path, os.O_WRONLY))
def run(*argv):
    p = os.fork()
    if p == 0:
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
        try:
            os.execv(argv[0], argv)
        except OSError as e:
            os._exit(100 + e.errno)
    s = os.waitpid(p, 0)[1]
    if os.WIFSIGNALED(s):
        return "signal %d" % os.WTERMSIG(s)
    c = os.WEXITSTATUS(s)
    return "done" if c == 0 else errno.errorcode.get(c - 100, str(c))
def race(what, workers=8, tries=125):
    'Successes of workers * tries attempts at once.'
    r, w = os.pipe()
    for n in range(workers):
        if os.fork() == 0:
            done = sum(what(n, i) == "done" for i in range(tries))
            os.write(w, b"%d\\n" % done)
            os._exit(0)
    for n in range(workers):
        os.wait()
    os.close(w)
    return sum(map(int, os.read(r, 65536).split()))
"""


@dataclass
class Governed:
    """A cgroup with a policy in effect."""

    cgroup: ScopeCgroup
    governor: Governor
    seen: list[Hit] = field(default_factory=list)

    def start(self, source: str, *argv: str) -> "subprocess.Popen[str]":
        """Start a program in the cgroup; it runs from its first line once it is in it."""
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.readline()\n" + PRELUDE + source, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            text=True,
        )
        self.cgroup.add(child.pid)
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        return child

    def run(self, source: str, *argv: str, timeout: float = 60) -> Any:
        """What a program in the cgroup printed, as JSON; None if it printed nothing."""
        child = self.start(source, *argv)
        end = time.monotonic() + timeout
        try:
            while child.poll() is None and time.monotonic() < end:
                self.seen += self.governor.hits()
                time.sleep(0.01)
            told, _ = child.communicate(timeout=5)
        finally:
            child.kill()
            child.wait()
        return json.loads(told) if told else None

    def hits(self) -> list[Hit]:
        """All hits up to now; the gate tells of its own a moment later."""
        time.sleep(0.1)
        self.seen += self.governor.hits()
        return self.seen

    def effective(self, rule: str) -> str:
        return next(status.effective for status in self.governor.status() if status.rule_id == rule)

    def count(self, rule: str) -> int:
        return next(status.hits for status in self.governor.status() if status.rule_id == rule)


def policy(*rules: dict[str, Any]) -> Policy:
    return Policy.model_validate({"name": "test", "rules": [{"action": "deny", **rule} for rule in rules]})


@contextmanager
def governed(*rules: dict[str, Any], stall_s: float = 2.0, program: str | None = None) -> Iterator[Governed]:
    """A policy in effect over a fresh cgroup."""
    with ScopeCgroup(f"intact-govern-{os.getpid()}-{time.monotonic_ns() % 100_000}") as cgroup:
        governor = Governor(
            cgroup.path,
            [policy(*rules)] if rules else [],
            this_host(),
            kernel=Loader(NATIVE / "govern.bpf.o"),
            mount=cgroup2_mount(),
            program=program,
        )
        governor.stall_s = stall_s
        governor.start()
        try:
            yield Governed(cgroup, governor)
        finally:
            governor.close()


def copy_of(program: str, to: Path) -> Path:
    to.write_bytes(Path(os.path.realpath(program)).read_bytes())
    to.chmod(0o755)
    return to
