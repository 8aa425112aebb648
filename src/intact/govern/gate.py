"""The gate: answers the kernel's question whether an open or an exec may go on, in a process of its own, under a watchdog.

Two processes. The gate holds the fanotify descriptor and nothing else does; whoever opens a marked file waits for its answer.
The watchdog hears its heartbeat and kills it after `stall_s` of silence: the kernel then closes the descriptor and lets
everybody go on. Only the standard library is imported here: it has to start and answer quickly.

Standard input: settings, then one line of rules, again whenever they change. Standard output: answers and hits, JSON lines.
"""

import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from collections import deque
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from intact.govern.bpf_calls import map_lookup
from intact.govern.gate_marks import GateRule, Marks
from intact.govern.layouts import Member

OPEN_PERM, OPEN_EXEC_PERM = 0x10000, 0x40000
ON_CHILD = 0x08000000
MARK_ADD = 1
# FAN_CLASS_CONTENT, CLOEXEC, NONBLOCK, UNLIMITED_QUEUE, UNLIMITED_MARKS, REPORT_TID: the thread's registers tell the flags
INIT_FLAGS = 0x4 | 0x1 | 0x2 | 0x10 | 0x20 | 0x100
# A pipe or device that somebody opens is opened for us too: it must not block us.
EVENT_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_LARGEFILE", 0)
ALLOW, DENY = 1, 2
EVENT = struct.Struct("=IBBHQii")
ANSWER = struct.Struct("=iI")
READ_BYTES = 64 * EVENT.size
MAX_WAITING_HITS = 20_000
BEAT_S = 0.2
PR_SET_PDEATHSIG = 1
# x86-64 numbers of the calls that open by flags in a register, and where the flags are; the others open for reading (exec).
FLAGS_AT = {2: 1, 257: 2, 304: 2}
CREAT, EXECVE, EXECVEAT = 85, 59, 322
# inotify: what arrives in a directory
ARRIVALS = 0x100 | 0x80  # CREATE, MOVED_TO
INOTIFY = struct.Struct("=iIII")

_libc = ctypes.CDLL(None, use_errno=True)


class Gate:
    """One fanotify group, its marks, and the decisions."""

    def __init__(self, settings: dict[str, Any], beat: int) -> None:
        self.members = int(settings["members_fd"])
        self.cgroup = str(settings["cgroup"])  # as /proc/PID/cgroup shows it
        self.beat = beat
        self.rules: dict[int, GateRule] = {}
        self.fanotify = self._init()
        self.inotify = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        self.watched: dict[int, str] = {}
        self.marks = Marks(self._mark, self._watch)
        self.hits: deque[dict[str, Any]] = deque()
        self.counts: dict[int, int] = {}
        self.dropped = 0
        self.output = b""
        self.closed = False  # what to do when we are lost: the last beat says it
        self.ended = False

    def run(self) -> bool:
        """Answer until standard input ends. False if nobody had said before that it would."""
        pending, beaten = b"", 0.0
        while True:
            poll = select.poll()
            for descriptor in (0, self.fanotify, self.inotify):
                poll.register(descriptor, select.POLLIN)
            ready = {descriptor for descriptor, _ in poll.poll(20 if self.hits or self.output else int(BEAT_S * 1000))}
            now = time.monotonic()
            if now - beaten > BEAT_S:
                self._beat()
                beaten = now
            if self.fanotify in ready:
                self._answer(self.fanotify)
            if self.inotify in ready:
                self._arrivals()
            if 0 in ready:
                piece = os.read(0, 1 << 16)
                if not piece:
                    self._last_flush()
                    return self.ended or not self.closed
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    self._replace(json.loads(line))
            self._flush()

    def _beat(self) -> None:
        os.write(self.beat, b"c" if self.closed else b".")

    def _init(self) -> int:
        return _checked(_libc.fanotify_init(ctypes.c_uint(INIT_FLAGS), ctypes.c_uint(EVENT_FLAGS)), "fanotify_init")

    def _replace(self, wanted: dict[str, Any]) -> None:
        """New marks first, in a group of their own, then the old group goes: no moment without rules."""
        if "end" in wanted:
            self.ended = True
            return
        old, old_inotify = self.fanotify, self.inotify
        self.fanotify = self._init()
        self.inotify = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        self.rules = {rule["index"]: _rule(rule) for rule in wanted["rules"]}
        self.watched = {}
        self.counts = {}
        self.marks = Marks(self._mark, self._watch)
        for rule in self.rules.values():
            self.marks.hold(rule)
        # Who waits at the old group is answered by the new rules, not let go by its end.
        while self._answer(old):
            pass
        os.close(old)
        os.close(old_inotify)
        self.closed = bool(wanted["closed"])
        self._beat()
        self._say({"applied": wanted["epoch"], "marks": self.marks.count, "problems": self.marks.problems})

    def _mark(self, path: str, rule: GateRule, is_directory: bool) -> None:
        mask = OPEN_EXEC_PERM if rule.is_exec else OPEN_PERM
        # A directory of programs is busy: only the inodes known are held against reading, the directory against exec.
        if rule.is_exec and rule.reading and not is_directory:
            mask |= OPEN_PERM
        mask |= ON_CHILD if is_directory else 0
        result = _libc.fanotify_mark(
            self.fanotify, ctypes.c_uint(MARK_ADD), ctypes.c_uint64(mask), -100, os.fsencode(path)
        )
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def _watch(self, directory: str) -> None:
        watch = _libc.inotify_add_watch(self.inotify, os.fsencode(directory), ctypes.c_uint32(ARRIVALS))
        if watch < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot watch for new files: {os.strerror(number)}")
        self.watched[watch] = directory

    def _arrivals(self) -> None:
        data = os.read(self.inotify, 1 << 16)
        at = 0
        while at < len(data):
            watch, mask, _, length = INOTIFY.unpack_from(data, at)
            name = data[at + INOTIFY.size : at + INOTIFY.size + length].rstrip(b"\0")
            at += INOTIFY.size + length
            if mask & ARRIVALS and watch in self.watched:
                self.marks.arrived(self.watched[watch], os.fsdecode(name))

    def _answer(self, group: int) -> bool:
        """Answer what waits at a group, if anything does."""
        try:
            data = os.read(group, READ_BYTES)
        except BlockingIOError:
            return False
        at = 0
        while at < len(data):
            length, _, _, _, mask, descriptor, tid = EVENT.unpack_from(data, at)
            at += length
            if descriptor < 0:
                continue
            try:
                answer = self._decide(mask, descriptor, tid)
            except OSError as error:
                # A member of the tree is held when its file cannot be looked at; nobody else ever is.
                print(f"gate: {error}", file=sys.stderr, flush=True)
                answer = DENY if self._is_member(tid) else ALLOW
            try:
                os.write(group, ANSWER.pack(descriptor, answer))
            except FileNotFoundError:
                pass  # it was killed while it waited
            finally:
                os.close(descriptor)
        return True

    def _is_member(self, tid: int) -> Member | None:
        member = Member()
        if map_lookup(self.members, tid, member):
            return member
        # Threads that joined the cgroup later are not in the map; the cgroup has the last word.
        try:
            with open(f"/proc/{tid}/cgroup") as file:
                own = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "")
        except OSError:
            return None
        if own == self.cgroup or own.startswith(self.cgroup + "/"):
            return Member(groups=1)
        return None

    def _decide(self, mask: int, descriptor: int, tid: int) -> int:
        member = self._is_member(tid)
        if member is None:
            return ALLOW
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        is_exec = bool(mask & OPEN_EXEC_PERM)
        reads, writes = (True, False) if is_exec else _access(tid)
        answer = ALLOW
        for index in sorted(set(self.marks.rules_of(descriptor, path))):
            rule = self.rules[index]
            if not rule.groups & member.groups:
                continue
            if is_exec:
                wanted = rule.is_exec
            else:
                wanted = (reads and rule.reading) or (writes and rule.writing)
            if not wanted or self._excepted(rule, path, tid):
                continue
            answer = DENY
            if rule.kill:
                _kill(tid)
            self._hit(rule, member, path, {"tid": tid, "kind": "exec" if is_exec else "open", "write": writes})
        return answer

    def _excepted(self, rule: GateRule, path: str, tid: int) -> bool:
        program = os.readlink(f"/proc/{tid}/exe") if any(programs for _, programs in rule.exceptions) else ""
        return any(
            (not paths or any(_path_is(path, pattern) for pattern in paths))
            and (not programs or any(_path_is(program, pattern) for pattern in programs))
            for paths, programs in rule.exceptions
        )

    def _hit(self, rule: GateRule, member: Member, path: str, told: dict[str, Any]) -> None:
        self.counts[rule.index] = self.counts.get(rule.index, 0) + 1
        if len(self.hits) >= MAX_WAITING_HITS:
            self.dropped += 1
            return
        told |= {
            "rule": rule.index,
            "path": path,
            "tgid": member.tgid or told["tid"],
            "start_ns": member.start_ns,
            "ktime_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        }
        self.hits.append(told)

    def _last_flush(self) -> None:
        """Let everybody go on, then tell all that is left, however slow the reader is."""
        os.close(self.fanotify)
        if self.ended:
            self.closed = False  # nothing is held any more, and rightly so
        self._beat()
        os.set_blocking(1, True)
        while self.hits or self.output:
            self._flush()
            self._beat()

    def _say(self, message: dict[str, Any]) -> None:
        self.output += json.dumps(message).encode() + b"\n"
        self._flush()

    def _flush(self) -> None:
        """Write what the reader takes; a reader that is slow costs hits told, never an answer late."""
        if self.hits and len(self.output) < 1 << 16:
            some = [self.hits.popleft() for _ in range(min(len(self.hits), 256))]
            body = {"hits": some, "counts": self.counts, "dropped": self.dropped}
            self.output += json.dumps(body).encode() + b"\n"
        if not self.output:
            return
        try:
            self.output = self.output[os.write(1, self.output) :]
        except BlockingIOError:
            return


def _path_is(path: str, pattern: str) -> bool:
    if pattern.endswith("/**"):
        return path.startswith(pattern[:-2])
    if not pattern.startswith("/"):
        return path.rpartition("/")[2] == pattern
    directory, _, name = pattern.rpartition("/")
    return path.rpartition("/")[0] == directory and fnmatchcase(path.rpartition("/")[2], name)


def _access(tid: int) -> tuple[bool, bool]:
    """Whether the open that `tid` waits in reads and writes. Registers cannot change while it waits; where only user memory
    could tell (openat2, io_uring), both."""
    try:
        with open(f"/proc/{tid}/syscall") as file:
            fields = file.read().split()
        number = int(fields[0])
    except (OSError, ValueError, IndexError):
        return True, True
    if number in (EXECVE, EXECVEAT):
        return True, False
    if number == CREAT:
        return False, True
    if number not in FLAGS_AT:
        return True, True
    flags = int(fields[1 + FLAGS_AT[number]], 16)
    mode = flags & os.O_ACCMODE
    return mode != os.O_WRONLY, mode != os.O_RDONLY or bool(flags & os.O_TRUNC)


def _kill(tid: int) -> None:
    try:
        os.kill(tid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it was killed while it waited


def _rule(wanted: dict[str, Any]) -> GateRule:
    exceptions = tuple((tuple(paths), tuple(programs)) for paths, programs in wanted.pop("exceptions"))
    return GateRule(paths=tuple(wanted.pop("paths")), exceptions=exceptions, **wanted)


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def watch(child: int, beat: int, settings: dict[str, Any]) -> None:
    """Kill the gate when it falls silent; then, if the rules ask for it, the tree it governed."""
    poll = select.poll()
    poll.register(beat, select.POLLIN)
    stalled = closed = False
    while True:
        if not poll.poll(int(settings["stall_s"] * 1000)):
            stalled = True
            os.kill(child, signal.SIGKILL)
            break
        beats = os.read(beat, 4096)
        if not beats:
            break
        closed = beats.endswith(b"c")
    _, status = os.waitpid(child, 0)
    orderly = not stalled and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
    if not orderly:
        if closed:
            try:
                with open(os.path.join(settings["directory"], "cgroup.kill"), "w") as file:
                    file.write("1")
            except FileNotFoundError:
                pass  # the tree is gone already
        reason = f"silent for {settings['stall_s']} s" if stalled else "it ended unasked"
        try:
            os.write(1, json.dumps({"lost": reason, "tree_killed": closed}).encode() + b"\n")
        except (BrokenPipeError, BlockingIOError):
            return  # nobody is left to be told, or nobody listens: the end of the pipe says it too


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _be_gate(settings: dict[str, Any], beat: int) -> NoReturn:
    try:
        _die_with_parent()
        soft = min(1 << 16, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
        gate = Gate(settings, beat)
        os.set_blocking(1, False)
        orderly = gate.run()
    except BrokenPipeError:
        os._exit(1)  # who started us is gone
    except OSError as error:
        os.set_blocking(1, True)
        os.write(1, json.dumps({"failed": error.strerror or str(error)}).encode() + b"\n")
        os._exit(1)
    os._exit(0 if orderly else 1)


def main() -> None:
    """Entry point of the process that `intact.govern.fanotify` starts."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)  # one line and no more: the rest is the gate's
        if not piece:
            return
        line += piece
    settings = json.loads(line)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    beat_out, beat_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(beat_out)
        _be_gate(settings, beat_in)
    os.close(beat_in)
    os.close(0)
    watch(child, beat_out, settings)
