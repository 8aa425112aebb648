"""Which inodes and directories hold a rule about paths, and which rules an open file falls under: by identity, not by name.

Only the standard library: this runs in the gate, a small process of its own.
"""

import ctypes
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import NamedTuple

MAX_MARKS = 20_000
_AT_EMPTY_PATH = 0x1000
_HANDLE_BYTES = 128

_libc = ctypes.CDLL(None, use_errno=True)


class _Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint32), ("type", ctypes.c_int32), ("data", ctypes.c_char * _HANDLE_BYTES)]


def handle_of(descriptor: int) -> bytes:
    """What tells an inode from a later one of the same number; empty where the file system has no such thing."""
    handle, mount = _Handle(bytes=_HANDLE_BYTES), ctypes.c_int()
    result = _libc.name_to_handle_at(
        descriptor, b"", ctypes.byref(handle), ctypes.byref(mount), ctypes.c_int(_AT_EMPTY_PATH)
    )
    return bytes(handle)[8 : 8 + handle.bytes] if result == 0 else b""


class Inode(NamedTuple):
    device: int
    number: int


@dataclass(slots=True)
class GateRule:
    """One rule as the gate needs it."""

    index: int
    is_exec: bool
    reading: bool  # opens for reading are refused too (exec: and not only the exec)
    writing: bool
    kill: bool
    groups: int
    paths: tuple[str, ...]
    exceptions: tuple[
        tuple[tuple[str, ...], tuple[str, ...]], ...
    ] = ()  # (paths, programs): what is given of both holds


@dataclass(slots=True)
class Marks:
    """The table: what each inode is held for. `mark(path, rule, is_directory)` puts the mark into the kernel."""

    mark: Callable[[str, GateRule, bool], None]
    watch: Callable[[str], None]
    files: dict[Inode, tuple[bytes, set[int]]] = field(default_factory=dict)
    directories: dict[Inode, dict[int, set[str]]] = field(default_factory=dict)
    names: dict[str, list[tuple[GateRule, str, bool]]] = field(
        default_factory=dict
    )  # directory -> rule, pattern, below
    problems: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0

    def hold(self, rule: GateRule) -> None:
        """Put all marks of a rule; what cannot be held goes to `problems`."""
        for path in rule.paths:
            try:
                self._hold_path(rule, path)
            except OSError as error:
                self.problems.append((rule.index, f"{path}: {error.strerror}"))

    def arrived(self, directory: str, name: str) -> None:
        """Something new is in a directory that is watched."""
        for rule, pattern, below in self.names.get(directory, ()):
            if not fnmatchcase(name, pattern):
                continue
            path = os.path.join(directory, name)
            try:
                mode = os.lstat(path).st_mode
                if stat.S_ISDIR(mode) and below:
                    self._hold_below(rule, path)
                elif not stat.S_ISDIR(mode):
                    self._hold_file(rule, path, follow=True)
            except OSError:
                continue  # gone again, or a link to nowhere: nothing that could be opened

    def rules_of(self, descriptor: int, path: str) -> Iterator[int]:
        """Indexes of the rules an open file falls under."""
        opened = os.fstat(descriptor)
        inode = Inode(opened.st_dev, opened.st_ino)
        handle, indexes = self.files.get(inode, (b"", set()))
        if indexes and handle == handle_of(descriptor):
            yield from indexes
        elif indexes:
            del self.files[inode]  # the file is gone and its number is another's
        directory, _, name = path.rpartition("/")
        try:
            above = os.stat(directory or "/")
        except OSError:
            return  # the directory is gone or in another mount namespace: the inode has decided
        for index, patterns in self.directories.get(Inode(above.st_dev, above.st_ino), {}).items():
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                yield index

    def _hold_path(self, rule: GateRule, path: str) -> None:
        if path.endswith("/**"):
            self._hold_below(rule, os.path.realpath(path[:-3], strict=True))
            return
        directory, _, name = path.rpartition("/")
        directory = os.path.realpath(directory or "/", strict=True)
        self._hold_directory(rule, directory, name, below=False)
        if any(c in name for c in "*?["):
            for entry in list(os.scandir(directory)):
                if fnmatchcase(entry.name, name) and not entry.is_dir():
                    self._hold_file(rule, entry.path, follow=True)
        elif os.path.lexists(path):
            if os.path.isdir(path):
                self._hold_below(rule, os.path.realpath(path))
            else:
                self._hold_file(rule, path, follow=True)

    def _hold_below(self, rule: GateRule, base: str) -> None:
        for directory, _, names in os.walk(base):
            self._hold_directory(rule, directory, "*", below=True)
            for name in names:
                path = os.path.join(directory, name)
                try:
                    if stat.S_ISREG(os.lstat(path).st_mode):
                        self._hold_file(rule, path, follow=False)
                except FileNotFoundError:
                    continue  # removed while we looked

    def _hold_directory(self, rule: GateRule, directory: str, pattern: str, *, below: bool) -> None:
        self._room()
        # Watched before it is marked and read: what arrives in between is told.
        known = self.names.setdefault(directory, [])
        if (rule, pattern, below) not in known:
            known.append((rule, pattern, below))
        self.watch(directory)
        found = os.stat(directory)
        self.directories.setdefault(Inode(found.st_dev, found.st_ino), {}).setdefault(rule.index, set()).add(pattern)
        self.mark(directory, rule, True)
        self.count += 1

    def _hold_file(self, rule: GateRule, path: str, *, follow: bool) -> None:
        self._room()
        if follow and os.path.islink(path):
            path = os.path.realpath(path, strict=True)
            directory, _, name = path.rpartition("/")
            self._hold_directory(rule, directory or "/", name, below=False)
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return  # opening a device or a pipe to look at it would have effects
        inode, handle = Inode(found.st_dev, found.st_ino), _handle_at(path)
        known, indexes = self.files.get(inode, (handle, set()))
        self.files[inode] = (handle, {*(indexes if known == handle else ()), rule.index})
        self.mark(path, rule, False)
        self.count += 1

    def _room(self) -> None:
        if self.count >= MAX_MARKS:
            raise OSError(28, f"more than {MAX_MARKS} files and directories; name a smaller directory")


def _handle_at(path: str) -> bytes:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)  # raises no permission event
    try:
        return handle_of(descriptor)
    finally:
        os.close(descriptor)
