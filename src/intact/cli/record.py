"""`intact record`: runs a command under observation, and keeps its terminal, signals, user, environment and exit code.

Two processes: this front shares the child's terminal and process group, ignores what the terminal sends and mirrors the child's
stops; the collector (`intact.cli.collector`) is in a session of its own. The front imports neither numpy nor pyarrow: it has to
be quick and small.
"""

import errno
import json
import mmap
import os
import pwd
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import typer

from intact.collect.cgroup import ScopeCgroup, thaw
from intact.govern.landlock import Allowed, fill, make_rulesets, restrict
from intact.govern.seccomp import install
from intact.model.errors import IntactError, NotSupported, UsageError

CONTEXT = {"ignore_unknown_options": False, "allow_interspersed_args": False}

# Signals a person or a supervisor sends to the front and means for the child.
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# What the terminal sends to the whole foreground group: the child has got it too and decides.
IGNORED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN)
# Stops that come from job control; the front stops itself as well, so that the shell takes the terminal back.
JOB_STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

# A module of its own comes first, so that what the collector imports finds no pandas; then the kernel has to verify the
# programs, which it does while the collector imports the rest. Nothing that is imported is ever garbage: it is not looked at.
COLLECTOR = (
    "import gc; gc.disable(); "
    "import intact.cli.without_pandas; from intact.collect.loader import load_early; load_early(); "
    "from intact.cli.collector import main; gc.freeze(); gc.enable(); main()"
)
CLOSING = "import intact.cli.without_pandas; from intact.cli.closing import main; main()"

# A filter of seccomp has at most 4096 instructions of 8 bytes.
FILTER_BYTES = 4096 * 8
# What the child puts on: the descriptor of a ruleset of Landlock or -1, and the length of the filter that follows.
PUT_ON = struct.Struct("=iI")


def run(
    command: list[str] = typer.Argument(..., metavar="-- CMD ARG…", help="The command to run and observe."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    name: str | None = typer.Option(None, "--name", metavar="N", help="Name of the run; default: the command's."),
    capture: Path | None = typer.Option(
        None, "--capture", metavar="FILE", help="Also keep the raw records (mode 0600; they hold secrets as seen)."
    ),
    policy: list[Path] = typer.Option(
        [], "--policy", metavar="FILE", help="Hold the command to this policy as well; may be given several times."
    ),
    verbose: bool = typer.Option(False, "-v", "--verbose", help="Print the recorder's log at the end."),
) -> int:
    """Run a command under observation and record what it did and why.

    The exit code is the command's own (128+N after signal N). Example: sudo -E intact record -- claude -p "fix the tests"
    """
    if command and command[0] == "--":
        command = command[1:]
    if not command:
        raise UsageError("no command given; write: intact record -- CMD ARG…")
    if capture is not None and capture.exists():
        raise UsageError(f"{capture} exists already; a capture is never overwritten")
    person = calling_user()
    program = find_program(command[0])
    require_privilege()
    options = Options(data or _data_directory(person), name, capture, verbose, tuple(policy))
    return Recording(command, program, person, options).run()


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for beside the command."""

    data: Path
    name: str | None
    capture: Path | None
    verbose: bool
    policies: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """Whose command this is: under sudo the caller, else the one who runs us."""

    uid: int
    gid: int
    home: str
    environment: dict[str, str]
    changed: bool  # the child has to be given this identity


def calling_user() -> Person:
    """The user the child and the data belong to: SUDO_UID's under sudo, else our own."""
    sudo_uid = os.environ.get("SUDO_UID", "")
    if os.geteuid() != 0 or not sudo_uid.isdigit() or int(sudo_uid) == 0:
        return Person(os.getuid(), os.getgid(), os.path.expanduser("~"), {}, False)
    try:
        entry = pwd.getpwuid(int(sudo_uid))
    except KeyError:
        raise IntactError(f"SUDO_UID={sudo_uid} is not a user of this machine") from None
    environment = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name, "SHELL": entry.pw_shell}
    return Person(entry.pw_uid, entry.pw_gid, entry.pw_dir, environment, True)


def _data_directory(person: Person) -> Path:
    """`INTACT_DATA`, else the person's own: the same place where the commands that read look."""
    named = os.environ.get("INTACT_DATA")
    return Path(named) if named else Path(person.home, ".local", "share", "intact")


def find_program(name: str) -> str:
    """Absolute path of the program `name` as the shell would find it."""
    found = shutil.which(name)
    if found is None:
        where = "it does not exist or is not executable" if "/" in name else "not in PATH"
        raise IntactError(f"cannot run {name!r}: {where}")
    return os.path.abspath(found)


def require_privilege() -> None:
    """Refuse at once what can only fail later, and name the remedy."""
    if not sys.platform.startswith("linux"):
        raise NotSupported("recording needs Linux; reading runs, replay and query work here")
    if os.geteuid() != 0 and not _has_capabilities():
        raise NotSupported(
            "recording needs root or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE; run: sudo -E intact record -- …"
        )
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        raise NotSupported(
            "this kernel has no BTF (/sys/kernel/btf/vmlinux); use a kernel with CONFIG_DEBUG_INFO_BTF=y"
        )


def _has_capabilities() -> bool:
    needed = (1 << 39) | (1 << 38) | (1 << 19)  # CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16) & needed == needed
    return False


class Recording:
    """One run: child, cgroup and collector, and what is told about it at the end."""

    def __init__(self, command: list[str], program: str, person: Person, options: Options) -> None:
        self.command = command
        self.program = program
        self.person = person
        self.options = options
        self.child = 0
        # Shared with the child: what the policies make it put on. Read without a call, which would be an effect.
        self._put_on = mmap.mmap(-1, PUT_ON.size + FILTER_BYTES)
        self._rulesets: dict[int, int] = {}

    def run(self) -> int:
        """Start all, wait for the child, and return its exit code."""
        if self.options.policies or Path(self.options.data, "govern").exists():
            self._rulesets = make_rulesets()
        with ScopeCgroup() as cgroup:
            self.child, release = self._fork_child()
            try:
                cgroup.add(self.child)
                collector = CollectorProcess(self._settings(cgroup))
            except BaseException:
                os.close(release)  # the child sees the end of its pipe and leaves
                os.waitpid(self.child, 0)
                raise
            if not collector.ready():
                os.close(release)
                os.waitpid(self.child, 0)
                raise IntactError(collector.problem or "the recorder did not start")
            try:
                self._prepare(collector)
            except OSError as error:
                os.close(release)
                os.waitpid(self.child, 0)
                what = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
                raise IntactError(f"the allow-list cannot be put on the command: {what}") from None
            self._handle_signals()
            # A collector that dies while it holds the scope for a moment must not leave it so.
            signal.signal(signal.SIGCHLD, lambda _number, _frame: self._thaw_without(collector, cgroup))
            os.write(release, b"x")
            os.close(release)
            status = self._wait()
            summary = collector.finish(status)
            code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            if collector.problem:
                self._close_run(collector, code)
            left = cgroup.release()
        self._tell(summary, collector, left)
        return code

    def _prepare(self, collector: "CollectorProcess") -> None:
        """Make ready what the child puts on before it becomes the command."""
        ruleset = -1
        if collector.allowed is not None:
            if collector.allowed.kinds not in self._rulesets:
                raise OSError(errno.EOPNOTSUPP, "no ruleset was made; record again")
            ruleset = self._rulesets[collector.allowed.kinds]
            fill(ruleset, collector.allowed)
        self._put_on[: PUT_ON.size] = PUT_ON.pack(ruleset, len(collector.filter))
        self._put_on[PUT_ON.size : PUT_ON.size + len(collector.filter)] = collector.filter
        for other in self._rulesets.values():
            os.close(other)  # the child has its own

    @staticmethod
    def _thaw_without(collector: "CollectorProcess", cgroup: ScopeCgroup) -> None:
        if collector.is_gone():
            thaw(cgroup.path)

    def _close_run(self, collector: "CollectorProcess", code: int) -> None:
        """Write down how the run ended where the collector cannot have done so."""
        told = {
            "data": os.path.abspath(self.options.data),
            "owner": [self.person.uid, self.person.gid] if self.person.changed else None,
            "run_id": collector.run_id,
            "ended_ns": time.time_ns(),
            "exit_code": code,
            "problem": f"the recorder stopped early: {collector.problem}",
        }
        subprocess.run([sys.executable, "-P", "-c", CLOSING], input=json.dumps(told), text=True, cwd="/", check=False)

    def _settings(self, cgroup: ScopeCgroup) -> dict[str, Any]:
        return {
            "data": os.path.abspath(self.options.data),
            "name": self.options.name or os.path.basename(self.command[0]),
            "command": self.command,
            "program": self.program,
            "capture": str(self.options.capture.absolute()) if self.options.capture else None,
            "cgroup": str(cgroup.path),
            "child": self.child,
            "owner": [self.person.uid, self.person.gid] if self.person.changed else None,
            "verbose": self.options.verbose,
            "policies": [str(path.absolute()) for path in self.options.policies],
        }

    def _fork_child(self) -> tuple[int, int]:
        """Fork the child, which waits on a pipe before it execs; returns its pid and the pipe's writing end."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(write_end)
            self._become_command(read_end)
        os.close(read_end)
        return pid, write_end

    def _become_command(self, gate: int) -> NoReturn:
        # Between fork and exec only calls that cannot raise into the parent's code paths: the child leaves by _exit.
        ruleset = -1
        try:
            environment = {**os.environ, **self.person.environment}
            if self.person.changed:
                groups = os.getgrouplist(self.person.environment["USER"], self.person.gid)
                os.setgroups(groups)
                os.setgid(self.person.gid)
                os.setuid(self.person.uid)
            # Waited for and not read: a read would be the first effect of a run that begins at the exec.
            waiting = select.poll()
            waiting.register(gate, select.POLLIN)
            if not any(events & select.POLLIN for _, events in waiting.poll()):
                os._exit(125)
            ruleset, length = PUT_ON.unpack_from(self._put_on)
            if ruleset >= 0:
                restrict(ruleset)
            if length:
                install(self._put_on[PUT_ON.size : PUT_ON.size + length])
            os.execve(self.program, self.command, environment)
        except OSError as error:
            why = "; the allow-list has to let it and its loader be executed" if ruleset >= 0 else ""
            said = f"intact: cannot run {self.command[0]!r}: {error.strerror}{why}\n"
            os.write(2, said.encode(errors="replace"))
        os._exit(126)

    def _handle_signals(self) -> None:
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        for number in FORWARDED:
            signal.signal(number, lambda received, _frame: self._forward(received))

    def _forward(self, number: int) -> None:
        try:
            os.kill(self.child, number)
        except ProcessLookupError:
            return  # it ended between the signal and this line; the wait will tell

    def _wait(self) -> int:
        while True:
            _, status = os.waitpid(self.child, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                return status
            if os.WSTOPSIG(status) in JOB_STOPS:
                os.kill(os.getpid(), signal.SIGSTOP)

    def _tell(self, summary: dict[str, Any], collector: "CollectorProcess", left: int) -> None:
        out = sys.stderr
        if collector.problem:
            print(f"intact: the recorder stopped early, this run is incomplete: {collector.problem}", file=out)
        if summary:
            print(f"intact: {summary['text']}", file=out)
        if left:
            noun = "process is" if left == 1 else "processes are"
            print(f"intact: {left} {noun} still running and no longer observed", file=out)
        if self.options.capture is not None:
            print(
                f"intact: {self.options.capture} holds the bytes as seen, secrets included; share only `intact redact`'s copy",
                file=out,
            )
        if collector.run_id:
            print(f"intact: run {collector.run_id} (see it with: intact show {collector.run_id})", file=out)
        if self.options.verbose:
            sys.stderr.write(collector.log())


class CollectorProcess:
    """The front's end of the collector: JSON lines over its standard input and output."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.problem: str | None = None
        self.run_id: str | None = None
        self.filter = b""
        self.allowed: Allowed | None = None
        self._log_path = Path(f"/proc/self/fd/{os.memfd_create('intact-log')}")
        log_fd = int(self._log_path.name)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", COLLECTOR],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_fd,
            start_new_session=True,  # the terminal's signals do not reach it
            cwd="/",
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # no threads for a linear algebra not done here
            text=True,
        )
        self._say(settings)

    def is_gone(self) -> bool:
        """Whether the collector has ended."""
        return self._process.poll() is not None

    def ready(self) -> bool:
        """Wait until the probes are on. False, with `problem` set, if they cannot be."""
        answer = self._hear()
        if answer.get("ready"):
            self.run_id = str(answer["run_id"])
            self.filter = bytes.fromhex(answer.get("filter", ""))
            allowed = answer.get("allowed")
            self.allowed = None if allowed is None else Allowed.from_json(allowed)
            return True
        self.problem = answer.get("error") or self._last_log_line() or "the recorder ended at once"
        return False

    def finish(self, status: int) -> dict[str, Any]:
        """Tell the collector how the child ended, and take its summary."""
        code = None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        self._say({"exit_code": code, "exit_signal": number})
        answer = self._hear()
        self._process.wait()
        if not answer or "error" in answer:
            self.problem = answer.get("error") or self._last_log_line() or "the recorder was killed"
        return answer if "text" in answer else {}

    def log(self) -> str:
        """What the collector wrote to its standard error."""
        return self._log_path.read_text(errors="replace")

    def _say(self, message: dict[str, Any]) -> None:
        pipe: IO[str] | None = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()
        except BrokenPipeError:
            self.problem = self._last_log_line() or "the recorder was killed"

    def _hear(self) -> dict[str, Any]:
        pipe: IO[str] | None = self._process.stdout
        assert pipe is not None
        line = pipe.readline()
        answer = json.loads(line) if line else {}
        return answer if isinstance(answer, dict) else {}

    def _last_log_line(self) -> str | None:
        lines = [line for line in self.log().splitlines() if line.strip()]
        return lines[-1] if lines else None
