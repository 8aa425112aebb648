"""A terminal for tests: a job under a shell with job control, keys typed, the screen read."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.e2e.recorded import ENVIRONMENT

WAIT_S = 30.0


class Terminal:
    """One job on a pseudo-terminal; `with Terminal(argv) as terminal: terminal.read_until("ready")`."""

    def __init__(self, argv: Sequence[str | bytes]) -> None:
        self._screen, slave = pty.openpty()
        told_read, told_write = os.pipe()
        orders_read, orders_write = os.pipe()

        shell = [sys.executable, str(Path(__file__).parent / "job_shell.py"), str(told_write), str(orders_read)]
        self.process = subprocess.Popen(
            [*shell, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**ENVIRONMENT, "TERM": "dumb"},
            start_new_session=True,
            preexec_fn=_take_terminal,
            pass_fds=(told_write, orders_read),
        )
        for descriptor in (slave, told_write, orders_read):
            os.close(descriptor)
        self._told, self._orders = told_read, orders_write
        self.seen = ""
        self.told = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in (self._told, self._orders):
            os.close(descriptor)
        if self.process.poll() is None:
            # Its session: the shell and the job it may have left.
            for pid in self.session():
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._screen)

    def type(self, keys: bytes) -> None:
        """Type keys; the line discipline makes signals of some."""
        os.write(self._screen, keys)

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size."""
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, text: str) -> str:
        """The screen up to and with a text, which is taken from it."""
        self._read(text)
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def quiet(self, seconds: float = 0.3) -> str:
        """What still appears within that time; the screen is empty then."""
        self._drain(0.05)
        self.seen = ""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._drain(left)
        appeared, self.seen = self.seen, ""
        return appeared

    def foreground(self) -> None:
        """Continue the stopped job, as `fg` does."""
        os.write(self._orders, b"fg\n")

    def wait_told(self, text: str) -> str:
        """Wait until the shell tells that the job stopped or ended; gives the line."""
        deadline = time.monotonic() + WAIT_S
        while True:
            for line in self.told.splitlines(keepends=True):
                if line.startswith(text) and line.endswith("\n"):
                    self.told = self.told.replace(line, "", 1)
                    return line.strip()
            self._drain(0.05)
            if select.select([self._told], [], [], 0.05)[0]:
                self.told += os.read(self._told, 4096).decode()
            if time.monotonic() > deadline:
                raise AssertionError(f"the shell did not tell {text!r}; told {self.told!r}; screen {self.seen!r}")

    def _read(self, text: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while text not in self.seen:
            self._drain(0.2)
            if time.monotonic() > deadline:
                raise AssertionError(f"no {text!r} on the screen: {self.seen!r}")

    def _drain(self, timeout_s: float) -> None:
        if select.select([self._screen], [], [], timeout_s)[0]:
            try:
                self.seen += os.read(self._screen, 65536).decode(errors="replace")
            except OSError:
                # The other end of a pseudo-terminal is closed: reading it fails instead of ending.
                return

    def session(self) -> list[int]:
        """Pids of the terminal's session: the shell, the job and what it started."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    if os.getsid(int(entry)) == self.process.pid:
                        found.append(int(entry))
                except ProcessLookupError:
                    continue
        return found


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
