"""The file systems of this machine, without asking those that may never answer."""

import os
import re
from pathlib import Path

from intact.model.host import Look, Mount, Unread, Unreadable, Within

MOST_MOUNTS = 500
# Kinds that hold no files of anybody's.
_PSEUDO = frozenset(
    {
        *("proc", "sysfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "mqueue", "debugfs", "tracefs", "securityfs"),
        *(
            "pstore",
            "bpf",
            "configfs",
            "fusectl",
            "hugetlbfs",
            "binfmt_misc",
            "autofs",
            "efivarfs",
            "nsfs",
            "rpc_pipefs",
        ),
        *("selinuxfs", "rootfs", "ramfs"),
    }
)
_IMAGES = frozenset({"squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"})
# A server that is gone makes whoever asks wait for ever.
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "lustre", "9p", "afs", "sshfs"})
_ESCAPE = re.compile(r"\\([0-7]{3})")


def read_mounts(within: Within) -> Look[Mount]:
    """The file systems of the scope with their room, each once; those of other machines only where they are asked for."""
    if not within.is_all and not within.paths:
        return Look(rows=())
    found: dict[int, Mount] = {}
    unread = []
    for path, device, kind, is_read_only in _lines():
        if kind in _PSEUDO or path.startswith("/sys/") or not _is_within(path, within):
            continue
        if (kind in _REMOTE or kind.startswith("fuse.")) and within.is_all:
            unread.append(Unread(what=Unreadable.MOUNT, detail=path))
            continue
        try:
            number, room = os.stat(path).st_dev, os.statvfs(path)
        except OSError:
            unread.append(Unread(what=Unreadable.MOUNT, detail=path))
            continue
        if not room.f_blocks or (number in found and len(found[number].path) <= len(path)):
            continue
        found[number] = Mount(
            path=path,
            device=device,
            filesystem=kind,
            size_bytes=room.f_blocks * room.f_frsize,
            used_bytes=(room.f_blocks - room.f_bfree) * room.f_frsize,
            free_bytes=room.f_bavail * room.f_frsize,
            inodes=room.f_files,
            inodes_used=room.f_files - room.f_ffree,
            is_read_only=is_read_only or bool(room.f_flag & os.ST_RDONLY),
            is_image=kind in _IMAGES,
        )
    rows = sorted(found.values(), key=lambda mount: mount.path)
    return Look(rows=tuple(rows), unread=tuple(unread))


def mounts_by_device() -> dict[int, str]:
    """The path of each mount by the number of its device, for files found open."""
    found: dict[int, str] = {}
    for path, _, kind, _ in _lines():
        if kind not in _PSEUDO and kind not in _REMOTE and not kind.startswith("fuse."):
            try:
                found.setdefault(os.stat(path).st_dev, path)
            except OSError:
                continue
    return found


def _lines() -> list[tuple[str, str, str, bool]]:
    """Path, device, kind, and whether it is read-only, of each mount; proc_pid_mountinfo(5)."""
    found: dict[str, tuple[str, str, str, bool]] = {}
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()[:MOST_MOUNTS]:
        before, _, after = line.partition(" - ")
        words, own = before.split(), after.split()
        if len(words) > 5 and len(own) > 2:
            path = _plain(words[4])
            is_read_only = "ro" in words[5].split(",") or "ro" in own[2].split(",")
            found[path] = (path, _plain(own[1]), own[0], is_read_only)  # the last one at a path hides those before
    return list(found.values())


def _is_within(path: str, within: Within) -> bool:
    return within.is_all or any(path == top or path.startswith(f"{top.rstrip('/')}/") for top in within.paths)


def _plain(text: str) -> str:
    whole = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
    return whole.encode("utf-8", "replace").decode()
