"""Which files carry the TLS hooks: those the command is expected to use, then every file that becomes executable in scope.

A file is looked at once (an inode is what a uprobe hangs on). Before the command runs that is done at once; while it runs
it is done in a thread, since a program of 300 MB takes a second to search and the rings have to be drained meanwhile.
"""

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from intact.collect.expected import NATIVE_BYTES, expected_files
from intact.collect.resolver import resolve
from intact.collect.uprobes import Mapped, Talker, Uprobes
from intact.model.slice import Unheard

# Between a ClientHello and the first plaintext lie a handshake and, at most, a slow resolution of the file.
GRACE_NS = 3_000_000_000
CHECK_S = 0.1  # how often talkers are looked through: one that leaves sooner is named by its comm alone
# Files mapped by one process after an exec are looked for again: the linker, and what it loads later.
AGAIN_S = (0.02, 0.1, 0.5, 2.0)
# Bounds on what a hostile scope can make us keep.
MAX_PENDING = 256
MAX_FILES = 65536
MAX_MAPS_BYTES = 4 << 20
MAX_NOTES = 64
MAX_TALKERS = 4096
PROGRAM_NICE = -10


@dataclass(frozen=True, slots=True)
class _File:
    """Identity of what is at a path: the same inode with other contents is another file."""

    device: int
    inode: int
    changed_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What there is to tell since the last time."""

    notes: tuple[str, ...] = ()
    unheard: tuple[Unheard, ...] = ()


class Targets:
    """Finds files with TLS functions and hooks them; tells which talkers were not heard."""

    def __init__(
        self,
        uprobes: Uprobes,
        *,
        cache: Path | None,
        hold: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """`hold` keeps what is observed from running on while a large program is searched: it may talk before that is done."""
        self._uprobes = uprobes
        self._hold = hold
        self._searching = threading.Lock()
        self._cache = cache
        self._done: dict[_File, str] = {}  # why it is not hooked, "" if it is
        self._hooked: dict[int, int] = {}  # inode -> boot clock when its hooks were on
        self._asked: dict[tuple[int, int, int], None] = {}  # talkers looked at for how early they were heard
        self._pending: list[Future[list[str]]] = []
        self._again: list[tuple[float, int]] = []
        self._notes: list[str] = []
        self._exes: dict[tuple[int, int], tuple[str, _File | None]] = {}  # of talkers, read while they run
        self._next_check = 0.0
        self._closed = False
        self._busy: set[_File] = set()
        # Two threads may come upon one file: it is searched and hooked by the first.
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tls-targets")
        # A program that was just started is searched at once, beside what others map: it may talk within half a second.
        self._programs = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="tls-programs", initializer=_hurry, initargs=(PROGRAM_NICE,)
        )

    def expect(self, command: str | None, search: str | None = None) -> None:
        """Hook what `command` (None: any) is expected to use; returns when that is done."""
        for path in expected_files(command, search):
            self._notes += self._look(str(path), None, is_program=True) or []

    def follow_running(self, tgids: Iterable[int]) -> None:
        """Hook what processes that run already have mapped; returns when that is done."""
        self._notes += self._look_through(list(tgids))

    def poll(self, *, last: bool = False) -> Sighting:
        """Look at what became executable, and at who talks; call it at each drain. `last`: nothing more will come."""
        now = time.monotonic()
        self.look()
        self._reap(wait=last)
        unheard: tuple[Unheard, ...] = ()
        if last or now >= self._next_check:
            self._next_check = now + CHECK_S
            unheard = tuple(self._unheard(0 if last else GRACE_NS))
        notes, self._notes = tuple(self._notes[:MAX_NOTES]), []
        return Sighting(notes=notes, unheard=unheard)

    def look(self) -> None:
        """Begin to look at what became executable since the last time; cheap, and a program may talk soon."""
        if not self._closed:
            self._follow(time.monotonic())

    def close(self) -> None:
        """Take the hooks off; who was not heard can still be asked. May be called twice."""
        self._closed = True
        for pool in (self._pool, self._programs):
            pool.shutdown(wait=True, cancel_futures=True)
        self._uprobes.detach()

    def _follow(self, now: float) -> None:
        for mapped in self._uprobes.mapped():
            self._submit(mapped)
            if mapped.is_exec:
                self._again += [(now + after, mapped.tgid) for after in AGAIN_S][: MAX_PENDING - len(self._again)]
        due = {tgid for at, tgid in self._again if at <= now}
        if due and len(self._pending) < MAX_PENDING:
            self._again = [(at, tgid) for at, tgid in self._again if at > now]
            self._pending.append(self._pool.submit(self._look_through, sorted(due)))

    def _submit(self, mapped: Mapped) -> None:
        if len(self._pending) < MAX_PENDING:
            pool = self._programs if mapped.is_exec else self._pool
            self._pending.append(pool.submit(self._look_at, mapped))

    def _reap(self, *, wait: bool) -> None:
        running = []
        for future in self._pending:
            if future.cancelled():
                continue  # closed before its turn came
            if wait or future.done():
                error = future.exception()
                self._notes += [f"a file could not be looked at: {error}"] if error else future.result()
            else:
                running.append(future)
        self._pending = running

    def _look_at(self, mapped: Mapped) -> list[str]:
        """Look at one file the kernel side told of. Not found again, it stays unknown and is told of next time."""
        exe = f"/proc/{mapped.tgid}/exe"
        paths = [exe] if mapped.is_exec else [p for p, inode in _mapped_files(mapped.tgid) if inode == mapped.inode]
        for path in paths:
            notes = self._look(path, mapped.inode, is_program=mapped.is_exec)
            if notes is not None:
                self._uprobes.looked_at(mapped)
                return notes
        return []

    def _look_through(self, tgids: list[int]) -> list[str]:
        notes: list[str] = []
        for tgid in tgids:
            exe = _identity(f"/proc/{tgid}/exe")
            for path, inode in _mapped_files(tgid):
                notes += self._look(path, inode, is_program=exe is not None and exe.inode == inode) or []
        return notes

    def _look(self, path: str, inode: int | None, *, is_program: bool) -> list[str] | None:
        """Resolve and hook one file, once; what a person should know of it. None: it is not what is there now.

        The file is held open meanwhile: whoever owns the path must not be able to have one file searched and the places
        found there hooked in another.
        """
        try:
            held = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(held)
            if inode not in (None, status.st_ino) or not stat.S_ISREG(status.st_mode):
                return None
            return self._hook(f"/proc/self/fd/{held}", status, is_program=is_program)
        finally:
            os.close(held)

    def _hook(self, path: str, status: os.stat_result, *, is_program: bool) -> list[str]:
        file = _File(status.st_dev, status.st_ino, status.st_ctime_ns)
        with self._lock:
            if file in self._done or file in self._busy or len(self._done) >= MAX_FILES:
                return []
            self._busy.add(file)
        try:
            return self._resolve(path, file, status, is_program=is_program)
        finally:
            self._busy.discard(file)

    def _resolve(self, path: str, file: _File, status: os.stat_result, *, is_program: bool) -> list[str]:
        # Only large programs have a TLS library without symbols inside.
        deep = is_program and status.st_size >= NATIVE_BYTES
        with self._still() if deep else contextlib.nullcontext():
            resolution = resolve(path, deep=deep, cache_directory=self._cache)
            if not resolution.functions:
                self._done[file] = resolution.reason or "no TLS functions found"
                return []
            problem = self._uprobes.attach(path, resolution.functions)
        self._done[file] = problem
        if not problem:
            self._hooked[status.st_ino] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return [f"{os.readlink(path)}: TLS functions found but not hooked: {problem}"] if problem else []

    @contextlib.contextmanager
    def _still(self) -> Iterator[None]:
        # One at a time: the first to end would let run what the second wants held.
        with self._searching, self._hold():
            yield

    def _unheard(self, grace_ns: int) -> Iterator[Unheard]:
        """Talkers of whom nothing was heard, each told once; connections of one process to one peer are summed."""
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - grace_ns
        found: dict[tuple[int, int, str, int], Unheard] = {}
        for talker in self._uprobes.talkers():
            exe = self._exe_of(talker)
            late_ns = self._late_ns(talker)
            count = talker.earlier_unheard + self._is_unheard(talker, before) + (late_ns > 0)
            # The table is read often: what is settled, and what a process gone by now left, is not kept in it.
            if count or (talker.hello_ns <= before and (talker.heard or not exe)):
                self._uprobes.forget(talker)
            if not count:
                continue
            key = (talker.tgid, talker.start_ns, talker.address, talker.port)
            known = found.get(key) or self._describe(talker, exe, late_ns)
            found[key] = replace(
                known,
                connections=known.connections + count,
                ktime_ns=min(known.ktime_ns, talker.hello_ns),
            )
        yield from found.values()

    def _is_unheard(self, talker: Talker, before: int) -> bool:
        """A hooked process that never sent data had nothing to be heard: a handshake that failed, a spare connection."""
        if talker.heard or talker.hello_ns > before:
            return False
        return talker.sends > 0 or not self._uprobes.is_hooked(talker.tgid)

    def _late_ns(self, talker: Talker) -> int:
        """How long after the connection began the first hooks of its process were on; 0: before, or not known."""
        key = (talker.tgid, talker.fd, talker.hello_ns)
        if not talker.heard or key in self._asked:
            return 0
        if len(self._asked) >= MAX_TALKERS:
            self._asked.pop(next(iter(self._asked)))
        self._asked[key] = None
        inodes = [inode for _, inode in _mapped_files(talker.tgid)]
        _, exe = self._exes.get((talker.tgid, talker.hello_ns), ("", None))
        if exe is not None:
            inodes.append(exe.inode)
        since = [self._hooked[inode] for inode in inodes if inode in self._hooked]
        return max(0, min(since) - talker.hello_ns) if since else 0

    def _exe_of(self, talker: Talker) -> str:
        key = (talker.tgid, talker.hello_ns)  # an exec gives the process another exe
        if key not in self._exes:
            exe = _exe(talker.tgid, talker.start_ns)
            if not exe:
                return ""
            if len(self._exes) >= MAX_TALKERS:
                self._exes.pop(next(iter(self._exes)))
            self._exes[key] = (exe, _identity(f"/proc/{talker.tgid}/exe"))
        return self._exes[key][0]

    def _describe(self, talker: Talker, exe: str, late_ns: int) -> Unheard:
        _, file = self._exes.get((talker.tgid, talker.hello_ns), ("", None))
        why = self._done.get(file, "") if file else ""
        if self._uprobes.is_hooked(talker.tgid):
            why = "its hooked functions were not used for this"
        if late_ns:
            why = (
                f"its functions were found only {late_ns / 1e6:.0f} ms after it began, what was said before is missing"
            )
        return Unheard(
            tgid=talker.tgid,
            start_ns=talker.start_ns,
            ktime_ns=talker.hello_ns,
            connections=0,
            exe=exe or talker.comm,
            address=talker.address,
            port=talker.port,
            reason=why or "no TLS functions found",
        )


def _hurry(nice: int) -> None:
    """Let this thread go before what is observed, where we may."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


def _identity(path: str) -> _File | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _File(status.st_dev, status.st_ino, status.st_ctime_ns)


def _mapped_files(tgid: int) -> Iterable[tuple[str, int]]:
    """(path that works from here, inode) of every file the process has mapped executable."""
    try:
        with open(f"/proc/{tgid}/maps", encoding="utf-8", errors="surrogateescape") as maps:
            text = maps.read(MAX_MAPS_BYTES)
    except OSError:
        return []  # gone
    found: dict[str, int] = {}
    for line in text.splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and "x" in fields[1] and fields[4] != "0":
            # By address where we may: that also works for a file that was deleted or replaced since.
            low, _, high = fields[0].partition("-")
            by_address = f"/proc/{tgid}/map_files/{low.lstrip('0')}-{high.lstrip('0')}"
            path = by_address if os.path.exists(by_address) else f"/proc/{tgid}/root{fields[5]}"
            found.setdefault(path, int(fields[4]))
    return list(found.items())


def _exe(tgid: int, start_ns: int) -> str:
    """The exe of a process that still runs, else ""."""
    try:
        with open(f"/proc/{tgid}/stat", encoding="utf-8", errors="replace") as line:
            ticks = int(line.read().rpartition(")")[2].split()[19])
        if abs(ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK") - start_ns) > 1_000_000_000:
            return ""  # another process with its pid
        return os.readlink(f"/proc/{tgid}/exe")
    except (OSError, ValueError, IndexError):
        return ""
