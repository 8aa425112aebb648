"""What processes hold open: sockets by their number, and files that grow, or that have no name any more."""

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from intact.model.host import OpenFile

MOST_DESCRIPTORS = 50_000
MOST_FILES = 400
# Below these, files are of no disk: they are looked at as nothing.
_NOT_FILES = ("/proc/", "/sys/", "/dev/", "/memfd:", "/SYSV", "/[")
_DELETED = " (deleted)"


@dataclass(slots=True)
class Descriptors:
    """One look at the descriptors of some processes."""

    sockets: dict[int, int] = field(default_factory=dict)  # number of the socket -> process
    files: dict[tuple[int, int], OpenFile] = field(default_factory=dict)  # device, inode
    refused: int = 0  # processes that may not be looked into
    left_out: int = 0  # processes that were one too many


def read_descriptors(pids: Iterable[int], mounts: dict[int, str]) -> Descriptors:
    """Look at the descriptors of these processes.

    Args:
        pids: of processes, which may be gone.
        mounts: path of the mount by number of the device.
    """
    found = Descriptors()
    seen = 0
    for pid in pids:
        if seen >= MOST_DESCRIPTORS:
            found.left_out += 1
            continue
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except PermissionError:
            found.refused += 1
            continue
        except OSError:
            continue
        seen += len(names)
        for name in names:
            with contextlib.suppress(OSError, ValueError):
                _take(found, pid, name, mounts)
    return found


def grown(before: Descriptors, after: Descriptors) -> tuple[OpenFile, ...]:
    """The files of the second look, with how much they grew since the first, the largest growth first."""
    files = []
    for key, file in after.files.items():
        old = before.files.get(key)
        growth = file.bytes - old.bytes if old is not None else 0
        files.append(replace(file, growth_bytes=max(growth, 0)))
    files.sort(key=lambda file: (file.growth_bytes, file.bytes), reverse=True)
    return tuple(files[:MOST_FILES])


def _take(found: Descriptors, pid: int, name: str, mounts: dict[int, str]) -> None:
    path = f"/proc/{pid}/fd/{name}"
    target = os.readlink(path)
    if target.startswith("socket:["):
        found.sockets.setdefault(int(target[8:-1]), pid)
        return
    if not target.startswith("/") or target.startswith(_NOT_FILES):
        return
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        return
    is_deleted = status.st_nlink == 0
    is_written = _is_written(pid, name)
    key = (status.st_dev, status.st_ino)
    old = found.files.get(key)
    if not (is_deleted or is_written) or (old is not None and (old.is_written or not is_written)):
        return
    found.files[key] = OpenFile(
        pid=pid,
        path=target.removesuffix(_DELETED) if is_deleted else target,
        bytes=max(status.st_blocks * 512, 0) if is_deleted else status.st_size,
        is_deleted=is_deleted,
        is_written=is_written,
        mount=mounts.get(status.st_dev, ""),
    )


def _is_written(pid: int, name: str) -> bool:
    with open(f"/proc/{pid}/fdinfo/{name}", "rb") as file:
        for line in file:
            if line.startswith(b"flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False
