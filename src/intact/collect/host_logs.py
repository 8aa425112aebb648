"""The end of each log of this machine, and what its lines tell, by a closed list of kinds of trouble.

A log is text written by whoever wished to: of it only counts, kinds, and a bounded piece of the last line are handed on.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from intact.collect.masking import masked
from intact.model.host import LogClass, LogSource, LogTrouble, Look, Unread, Unreadable, Within

TAIL_BYTES = 128 << 10
MOST_LOGS = 60
MOST_ENTRIES = 4_000  # of directories that are looked through
DEPTH = 3
LINE_CHARACTERS = 300
MOST_FOUND = 16  # endpoints, and paths, of one kind in one log
RECENT_NS = 600_000_000_000  # what is older than ten minutes is history, not a present trouble
MOST_SEARCHED = 100  # recent lines of one kind in which endpoints and paths are looked for
COMMAND_S = 1.5
READ_S = 0.25  # for all files; those that changed last come first
KERNEL, JOURNAL = "kernel", "journal"
SYSTEM_LOGS = Path("/var/log")

_LOG_NAME = re.compile(r"(?:.*\.(?:log|err|out)|syslog|messages|kern\.log|daemon\.log|stderr|stdout)", re.IGNORECASE)
_KINDS: tuple[tuple[LogClass, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (LogClass.OOM, r"out of memory|oom[-_ ]?kill|killed process \d+|cannot allocate memory|\bENOMEM\b|MemoryError"),
        (LogClass.DISK_FULL, r"no space left|disk (?:is )?full|\bENOSPC\b|disk quota exceeded"),
        (LogClass.READ_ONLY, r"read-only file ?system|\bEROFS\b|remount(?:ing|ed)? .*read-only"),
        (LogClass.TOO_MANY_FILES, r"too many open files|\bEMFILE\b|\bENFILE\b|file descriptors? exhausted"),
        (LogClass.REFUSED, r"connection refused|\bECONNREFUSED\b|refused to connect|ConnectionRefused"),
        (LogClass.NAME_RESOLUTION, r"name or service not known|temporary failure in name|could not resolve|NXDOMAIN"),
        (LogClass.RESET, r"connection reset|\bECONNRESET\b|broken pipe|\bEPIPE\b"),
        (LogClass.TIMEOUT, r"timed? ?out|\bETIMEDOUT\b|deadline exceeded"),
        (LogClass.SEGFAULT, r"segfault|segmentation fault|SIGSEGV|core dumped|general protection fault"),
        (LogClass.IO_ERROR, r"i/o error|input/output error|\bEIO\b|blk_update_request|buffer i/o|medium error"),
        (LogClass.PERMISSION, r"permission denied|operation not permitted|\bEACCES\b|\bEPERM\b|access denied"),
        (LogClass.CRASH, r"\bpanic\b|traceback \(most recent|unhandled exception|\bfatal\b|assertion .*failed"),
        (LogClass.OTHER, r"\berror\b|\bcritical\b|\bfailed\b|\bfailure\b"),
    )
)
# A line without any of these is of no kind; looking for them is a tenth of the work.
_WORDS = (
    *(
        "memory",
        "oom",
        "killed process",
        "enomem",
        "no space",
        "full",
        "enospc",
        "quota",
        "read-only",
        "erofs",
        "too many",
    ),
    *(
        "emfile",
        "enfile",
        "descriptor",
        "refused",
        "service not known",
        "name resolution",
        "could not resolve",
        "nxdomain",
    ),
    *("reset", "broken pipe", "epipe", "time", "deadline", "segfault", "segmentation", "sigsegv", "core dumped"),
    *("protection fault", "i/o", "input/output", "eio", "blk_update", "medium error", "permission", "not permitted"),
    *("eacces", "eperm", "denied", "panic", "traceback", "unhandled", "fatal", "assert", "error", "critical", "fail"),
)
_DIGITS = str.maketrans("123456789", "000000000")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?")
_SYSLOG = re.compile(r"^(?:<\d+>)?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)")
_ENDPOINT = re.compile(
    r"(\d{1,3}(?:\.\d{1,3}){3}|localhost|\[[0-9a-f:]{2,39}\])['\"]?(?:,\s*|:| port )(\d{1,5})\b", re.I
)
_PATH = re.compile(r"(?<![\w.:/])(/[\w.@+-]+(?:/[\w.@+-]+)*)")
_CONTROL = re.compile(r"[^\x20-\x7e\u00a0-\ud7ff\uf900-\uffef]+")


@dataclass(slots=True)
class _Line:
    text: str
    at_ns: int | None
    is_new: bool  # it came since the log was marked


@dataclass(slots=True)
class _Count:
    count: int = 0
    recent: int = 0
    last_ns: int | None = None
    last_line: str = ""
    endpoints: dict[str, None] = field(default_factory=dict)
    paths: dict[str, None] = field(default_factory=dict)


class LogReader:
    """Reads the ends of logs; after `mark` it also knows which lines are new."""

    def __init__(self, within: Within) -> None:
        self._within = within
        self._marks: dict[str, int] = {}
        self.sources: tuple[LogSource, ...] = ()

    def mark(self) -> None:
        """Remember how long the logs are now."""
        self._marks = {str(path): _size(path) for path in self.files()}

    def files(self) -> list[Path]:
        """The log files of the scope, bounded, those that changed last first."""
        if not self._within.is_all and not self._within.paths:
            return []
        tops = [Path(path) for path in self._within.paths] or [SYSTEM_LOGS]
        found = [path for top in tops for path in _log_files(top)]
        found.sort(key=_changed_ns, reverse=True)
        return found[:MOST_LOGS]

    def read(self, now_ns: int) -> Look[LogTrouble]:
        """What the ends of the logs tell."""
        unread: list[Unread] = []
        rows: list[LogTrouble] = []
        sources: list[LogSource] = []
        files = self.files()
        until = time.monotonic() + READ_S
        for place, path in enumerate(files):
            if time.monotonic() > until:
                unread.append(Unread(what=Unreadable.REST, count=len(files) - place, detail="log files"))
                break
            try:
                lines, size = self._tail(path)
            except OSError as error:
                unread.append(Unread(what=Unreadable.LOG_FILE, detail=f"{path}: {error.strerror}"))
                continue
            grown = max(size - self._marks.get(str(path), size), 0)
            sources.append(
                LogSource(
                    source=str(path), bytes=size, lines=len(lines), changed_ns=_changed_ns(path), growth_bytes=grown
                )
            )
            rows += _troubles(str(path), lines, now_ns)
        if self._within.is_all:
            for name, read in ((KERNEL, _kernel_lines), (JOURNAL, _journal_lines)):
                ends = read(now_ns)
                if isinstance(ends, Unread):
                    unread.append(ends)
                else:
                    length = sum(len(line.text) for line in ends)
                    sources.append(LogSource(source=name, bytes=length, lines=len(ends), changed_ns=None))
                    rows += _troubles(name, ends, now_ns)
        self.sources = tuple(sources)
        rows.sort(key=lambda row: (row.recent, row.count), reverse=True)
        return Look(rows=tuple(rows), unread=tuple(unread))

    def _tail(self, path: Path) -> tuple[list[_Line], int]:
        with open(path, "rb", opener=_opener) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):  # a pipe that somebody put in the place of a file
                raise OSError(errno.EINVAL, "no file")
            size = status.st_size
            begin = max(size - TAIL_BYTES, 0)
            file.seek(begin)
            data = file.read(TAIL_BYTES)
        if begin:
            cut = data.find(b"\n") + 1
            data, begin = data[cut:], begin + cut
        mark = self._marks.get(str(path), 0 if self._marks else size)
        lines = []
        for text in data.split(b"\n"):
            if text:
                decoded = text[:2_000].decode("utf-8", "replace")
                lines.append(_Line(decoded, None, begin >= mark))
            begin += len(text) + 1
        return lines, size


def kind_of(line: str) -> LogClass | None:
    """What kind of trouble a line tells of; None: of none."""
    return _kind_of(line.translate(_DIGITS))


@lru_cache(maxsize=4_096)
def _kind_of(line: str) -> LogClass | None:
    """As `kind_of`, of a line whose digits are all zeros: what repeats itself in a log differs in nothing else."""
    lowered = line.lower()
    if not any(word in lowered for word in _WORDS):
        return None
    return next((kind for kind, pattern in _KINDS if pattern.search(line)), None)


def time_of(line: str, now_ns: int) -> int | None:
    """When a line says that it was written; local time where it does not tell a zone, this year or the last."""
    head = line[:80]
    with contextlib.suppress(ValueError):
        if match := _ISO.search(head):
            day, clock, fraction, zone = match.groups()
            text = f"{day}T{clock}" + (f"{'+00:00' if zone == 'Z' else zone}" if zone else "")
            seconds = datetime.fromisoformat(text).timestamp()
            return int(seconds) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
        if match := _SYSLOG.match(head):
            now = datetime.fromtimestamp(now_ns / 1e9, UTC).astimezone()
            found = datetime.strptime(f"{now.year} {match[1]}", "%Y %b %d %H:%M:%S").astimezone()
            if found.timestamp() * 1e9 > now_ns + 86_400e9:
                found = found.replace(year=now.year - 1)
            return int(found.timestamp()) * 1_000_000_000
    return None


def endpoints_in(line: str) -> list[str]:
    """Every `address:port` in a line."""
    found = []
    for address, port in _ENDPOINT.findall(line):
        if 0 < int(port) < 65_536:
            found.append(f"{'127.0.0.1' if address.lower() == 'localhost' else address.strip('[]')}:{port}")
    return found


def _troubles(source: str, lines: Iterable[_Line], now_ns: int) -> list[LogTrouble]:
    counts: dict[LogClass, _Count] = {}
    for line in lines:
        kind = kind_of(line.text)
        if kind is None:
            continue
        count = counts.setdefault(kind, _Count())
        count.count += 1
        count.last_line = line.text
        at_ns = line.at_ns or time_of(line.text, now_ns)
        count.last_ns = at_ns or count.last_ns
        if line.is_new if at_ns is None else now_ns - at_ns <= RECENT_NS:
            count.recent += 1
            if count.recent > MOST_SEARCHED:
                continue
            if len(count.endpoints) < MOST_FOUND:
                count.endpoints |= dict.fromkeys(endpoints_in(line.text))
            if len(count.paths) < MOST_FOUND:
                count.paths |= dict.fromkeys(_PATH.findall(line.text)[:4])
    return [
        LogTrouble(
            source=source,
            kind=kind,
            count=each.count,
            recent=each.recent,
            last_ns=each.last_ns,
            last_line=_CONTROL.sub(" ", masked(each.last_line))[:LINE_CHARACTERS],
            endpoints=tuple(each.endpoints),
            paths=tuple(each.paths),
        )
        for kind, each in counts.items()
    ]


def _opener(path: str, flags: int) -> int:
    """Open what is there under the name itself, and wait for nobody: what a link stands for is no log of this place."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _log_files(top: Path) -> Iterator[Path]:
    if top.is_file():
        if _LOG_NAME.fullmatch(top.name):
            yield top
        return
    entries = 0
    base = len(top.parts)
    for directory, names, files in os.walk(top):
        entries += len(files) + len(names)
        if entries > MOST_ENTRIES:
            return
        if len(Path(directory).parts) - base >= DEPTH:
            names.clear()
        yield from (Path(directory, name) for name in files if _LOG_NAME.fullmatch(name))


def _kernel_lines(now_ns: int) -> list[_Line] | Unread:
    """The records of the kernel's ring; https://www.kernel.org/doc/Documentation/ABI/testing/dev-kmsg."""
    boot_ns = now_ns - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    lines: list[_Line] = []
    try:
        fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Unread(what=Unreadable.KERNEL_LOG, detail=error.strerror or "")
    size = 0
    try:
        while size < 4 * TAIL_BYTES:
            try:
                record = os.read(fd, 8_192)
            except BlockingIOError:
                break
            except BrokenPipeError:  # what we were about to read was overwritten
                continue
            size += len(record)
            head, _, text = record.partition(b";")
            fields = head.split(b",")
            if len(fields) > 2 and int(fields[0]) & 7 <= 4:  # warnings and worse
                message = text.split(b"\n", 1)[0].decode("utf-8", "replace")
                lines.append(_Line(message, boot_ns + int(fields[2]) * 1_000, False))
    except OSError as error:
        return Unread(what=Unreadable.KERNEL_LOG, detail=error.strerror or "")
    finally:
        os.close(fd)
    return lines


def _journal_lines(now_ns: int) -> list[_Line] | Unread:
    del now_ns
    program = shutil.which("journalctl")
    if program is None or not any(Path(place, "journal").exists() for place in ("/run/log", "/var/log")):
        return Unread(what=Unreadable.JOURNAL, detail="there is none")
    command = [program, "--quiet", "--no-pager", "--output=json", "--lines=1000", "--priority=4"]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=COMMAND_S, check=False, stdin=subprocess.DEVNULL, env={"LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return Unread(what=Unreadable.JOURNAL, detail="it does not answer")
    if done.returncode:
        return Unread(what=Unreadable.JOURNAL, detail="it may not be read")
    lines = []
    for row in done.stdout.splitlines()[-1_000:]:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            entry = json.loads(row)
            text = entry["MESSAGE"]
            if isinstance(text, list):  # bytes that are no text
                text = bytes(text).decode("utf-8", "replace")
            lines.append(_Line(str(text)[:2_000], int(entry["__REALTIME_TIMESTAMP"]) * 1_000, False))
    return lines


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _changed_ns(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime_ns
    return 0
