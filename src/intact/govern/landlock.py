"""An allow-list of files and TCP ports, put by Landlock on what becomes the command: all else is refused with EACCES.

The rulesets are made before the fork and filled by the parent when the policies are known: the child, which has given up
its privileges by then and whose calls are recorded, only puts one on. Light on imports: the front of `record` uses it.
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from intact.model.errors import NotSupported

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_PR_SET_NO_NEW_PRIVS = 38

FILES, CONNECT, BIND = 1, 2, 4  # what a list is about; each sum has a ruleset of its own
TCP_SINCE = 4
_BIND_TCP, _CONNECT_TCP = 1, 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
# The kernel opens a program for reading to execute it: one that may be executed may be read.
_RIGHTS = {
    "read": _READ_FILE | _READ_DIR,
    "write": _WRITE_FILE | _REMOVE_AND_MAKE | _REFER | _TRUNCATE | _IOCTL_DEV,
    "execute": _EXECUTE | _READ_FILE,
}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV  # the rest is of directories
# Rights by the version that brought them, and what is so without them.
_SINCE = (
    (2, _REFER, "moving and linking between directories is refused everywhere"),
    (3, _TRUNCATE, "truncating by path is not refused"),
    (5, _IOCTL_DEV, "ioctl of devices is not refused"),
)
_EVERY_FILE_RIGHT = (1 << 16) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a tree may do; None: not held at all."""

    files: tuple[tuple[str, tuple[str, ...]], ...] | None = None  # paths, each with what may be done at and below it
    connect: tuple[int, ...] | None = None
    bind: tuple[int, ...] | None = None

    @property
    def kinds(self) -> int:
        """FILES, CONNECT and BIND, as far as they are held."""
        held = ((FILES, self.files), (CONNECT, self.connect), (BIND, self.bind))
        return sum(kind for kind, listed in held if listed is not None)

    def as_json(self) -> dict[str, Any]:
        return {"files": self.files, "connect": self.connect, "bind": self.bind}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "Allowed":
        files = body["files"]
        return cls(
            files=None if files is None else tuple((path, tuple(access)) for path, access in files),
            connect=None if body["connect"] is None else tuple(body["connect"]),
            bind=None if body["bind"] is None else tuple(body["bind"]),
        )


def version() -> int:
    """The version of the kernel's Landlock.

    Raises:
        NotSupported: it has none.
    """
    try:
        return _call(_CREATE, None, 0, _VERSION)
    except OSError as error:
        off = "built in, but not switched on (lsm=landlock,…)" if error.errno == errno.EOPNOTSUPP else "none"
        raise NotSupported(f"this kernel's Landlock: {off}; it is there since Linux 5.13") from None


def gaps(known: int) -> tuple[str, ...]:
    """What is not held as it should be by this version."""
    return tuple(said for since, _, said in _SINCE if known < since)


def file_rights(known: int) -> int:
    """The accesses to files that this version can hold."""
    return _EVERY_FILE_RIGHT & ~sum(right for since, right, _ in _SINCE if known < since)


def make_rulesets() -> dict[int, int]:
    """An empty ruleset for each sum of kinds, as descriptors that an exec closes; none where there is no Landlock."""
    try:
        known = version()
    except NotSupported:
        return {}
    most = FILES | CONNECT | BIND if known >= TCP_SINCE else FILES
    return {kinds: _make(kinds, known) for kinds in range(1, most + 1)}


def _make(kinds: int, known: int) -> int:
    files = file_rights(known) if kinds & FILES else 0
    ports = (_CONNECT_TCP if kinds & CONNECT else 0) | (_BIND_TCP if kinds & BIND else 0)
    attributes = struct.pack("=QQ", files, ports)[: 16 if known >= TCP_SINCE else 8]
    return _call(_CREATE, attributes, len(attributes), 0)


def fill(ruleset: int, allowed: Allowed) -> list[str]:
    """Put the list into a ruleset that was made for its kinds; returns the paths that are not there.

    Raises:
        OSError: the kernel does not take it.
    """
    known = version()
    missing = []
    for path, access in allowed.files or ():
        try:
            at = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            missing.append(path)  # what is not there is not allowed
            continue
        try:
            rights = _rights(access) & file_rights(known)
            if not stat.S_ISDIR(os.fstat(at).st_mode):
                rights &= _OF_FILES
            _call(_ADD, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, at), 0)
        finally:
            os.close(at)
    for right, ports in ((_CONNECT_TCP, allowed.connect), (_BIND_TCP, allowed.bind)):
        for port in ports or ():
            _call(_ADD, ruleset, _NET_PORT, struct.pack("=QQ", right, port), 0)
    return missing


def restrict(ruleset: int) -> None:
    """Put a ruleset on this process and what it becomes, with no_new_privs: setuid files give nothing any more.

    Raises:
        OSError: the kernel refuses it; nothing is in effect then.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(argument) for argument in (1, 0, 0, 0))) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    _call(_RESTRICT, ruleset, 0)


def _rights(access: Iterable[str]) -> int:
    rights = 0
    for kind in access:
        rights |= _RIGHTS[kind]
    return rights


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    passed = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    result = libc.syscall(ctypes.c_long(number), *passed)
    if result < 0:
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))
    return int(result)
