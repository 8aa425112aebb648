"""Exec and open by path: our end of the gate, the process that answers the kernel's permission events."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from intact.govern.plan import Part
from intact.model.errors import NotSupported

GATE = "from intact.govern.gate import main; main()"
STALL_S = 2.0
ANSWER_S = 10.0
_READ_BYTES = 1 << 20


class Fanotify:
    """The gate of one cgroup."""

    def __init__(self, cgroup: Path, mount: Path, members_fd: int, *, stall_s: float = STALL_S) -> None:
        self.lost: str | None = None  # why it no longer answers, once it does not
        self.counts: dict[int, int] = {}
        self.dropped = 0
        self.problems: dict[int, str] = {}
        self.marks = 0
        self._hits: list[dict[str, Any]] = []
        self._pending = b""
        self._epoch = 0
        self._applied = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", GATE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(members_fd,),
            start_new_session=True,
            cwd="/",
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._send(
            {
                "members_fd": members_fd,
                "cgroup": "/" + str(cgroup.relative_to(mount)),
                "directory": str(cgroup),
                "stall_s": stall_s,
            }
        )

    @property
    def pid(self) -> int:
        """Of the watchdog; the gate is its child."""
        return self._process.pid

    def apply(self, parts: Sequence[Part], *, closed: bool = False) -> None:
        """Make these parts, and no others, what is decided by; `problems` then holds what could not be marked.

        With `closed` the tree is killed when the gate, or the process that started it, is lost.

        Raises:
            NotSupported: the gate could not be opened.
        """
        self._epoch += 1
        self._send({"epoch": self._epoch, "closed": closed, "rules": [_rule(part) for part in parts]})
        end = time.monotonic() + ANSWER_S
        while self._applied < self._epoch:
            left = end - time.monotonic()
            if self.lost or left <= 0:
                raise NotSupported(self.lost or "the gate does not answer")
            select.select([self._output], [], [], left)
            self._read()

    def hits(self) -> list[dict[str, Any]]:
        """What was refused since the last call."""
        self._read()
        found, self._hits = self._hits, []
        return found

    def close(self) -> None:
        """Take all marks off and end the gate; `hits` still gives what it told last. May be called twice."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._send({"end": True})
            self._process.stdin.close()
            end = time.monotonic() + ANSWER_S
            while self._read() and (left := end - time.monotonic()) > 0:
                select.select([self._output], [], [], left)
            try:
                self._process.wait(max(1.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _send(self, message: dict[str, Any]) -> None:
        try:
            data = json.dumps(message).encode() + b"\n"
            while data:
                data = data[os.write(self._input, data) :]
        except BrokenPipeError:
            self.lost = self.lost or "the gate has ended"

    def _read(self) -> bool:
        """Take what the gate wrote; False at the end of it."""
        if self._process.stdout is None or self._process.stdout.closed:
            return False
        while True:
            try:
                piece = os.read(self._output, _READ_BYTES)
            except BlockingIOError:
                return True
            if not piece:
                if self._process.stdin is not None and not self._process.stdin.closed:
                    self.lost = self.lost or "the gate has ended"
                return False
            *lines, self._pending = (self._pending + piece).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if "hits" in message:
            self._hits += message["hits"]
            self.counts = {int(index): count for index, count in message["counts"].items()}
            self.dropped = message["dropped"]
        elif "applied" in message:
            self._applied = message["applied"]
            self.marks = message["marks"]
            self.problems = {}
            for index, text in message["problems"]:
                self.problems.setdefault(index, text)
            self.counts = {}
        else:
            self.lost = str(message.get("lost") or message.get("failed"))


def _rule(part: Part) -> dict[str, Any]:
    rule = part.rule
    is_exec = rule.exec is not None
    return {
        "index": part.index,
        "is_exec": is_exec,
        "reading": rule.exec.deny_reading if rule.exec is not None else "read" in part.access,
        "writing": "write" in part.access,
        "kill": rule.action == "kill",
        "groups": part.groups,
        "paths": part.paths,
        "exceptions": [[entry.path or [], entry.program or []] for entry in rule.exceptions],
    }
