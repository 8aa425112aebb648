"""The cgroup that is the scope of one recording; light on imports, since the front of `record` uses it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from intact.model.errors import NotSupported


def cgroup2_mount(mountinfo: str = "/proc/self/mountinfo") -> Path:
    """Where the unified hierarchy is mounted.

    Raises:
        NotSupported: no cgroup v2 mount is visible.
    """
    for line in Path(mountinfo).read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] == "cgroup2":
            return Path(before.split()[4])
    raise NotSupported("no cgroup v2 mount found; mount one: mount -t cgroup2 none /sys/fs/cgroup/unified")


def own_cgroup(mount: Path) -> Path:
    """The v2 cgroup this process is in."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return mount / line[3:].lstrip("/")
    return mount


class ScopeCgroup:
    """A fresh cgroup under the hierarchy's root, removed at the end; what is left in it moves back to where we are."""

    def __init__(self, name: str | None = None) -> None:
        mount = cgroup2_mount()
        self._home = own_cgroup(mount)
        self.path = mount / (name or f"intact-{os.getpid()}")
        try:
            self.path.mkdir()
        except FileExistsError:
            # Left by a front that was killed; only an empty one may be taken over.
            self.path.rmdir()
            self.path.mkdir()
        except OSError as error:
            raise NotSupported(f"cannot make the cgroup {self.path}: {error.strerror}; run as root") from error

    def __enter__(self) -> "ScopeCgroup":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def add(self, pid: int) -> None:
        """Move the process into the scope."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def processes(self) -> list[int]:
        """Pids in the scope now, of this cgroup and those below it."""
        return processes_in(self.path)

    def release(self) -> int:
        """Move what still runs out, remove the cgroup, and tell how many processes were left."""
        return release(self.path, self._home)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """No process of a cgroup runs on while the block does; they do not notice, and who waits for one does not either."""
    _freeze(path, "1")
    try:
        yield
    finally:
        thaw(path)


def thaw(path: Path) -> None:
    """Let the processes of a cgroup go on."""
    _freeze(path, "0")


def _freeze(path: Path, state: str) -> None:
    # A cgroup that is gone holds nobody; a kernel without the freezer (before 5.2) lets all run on.
    with suppress(OSError):
        (path / "cgroup.freeze").write_text(state)


def processes_in(path: Path) -> list[int]:
    """Pids in a cgroup and those below it."""
    found: list[int] = []
    for procs in [path / "cgroup.procs", *path.glob("**/cgroup.procs")]:
        try:
            found += [int(pid) for pid in procs.read_text().split()]
        except FileNotFoundError:
            continue  # removed meanwhile
    return sorted(set(found))


def release(path: Path, home: Path) -> int:
    """Move what still runs in a cgroup to another, remove it, and tell how many processes were left."""
    thaw(path)
    left = processes_in(path)
    for pid in left:
        try:
            (home / "cgroup.procs").write_text(str(pid))
        except OSError:
            continue  # gone meanwhile
    for directory in sorted((p for p in path.glob("**/") if p.is_dir()), reverse=True):
        try:
            directory.rmdir()
        except OSError:
            continue  # a process arrived or a sub-cgroup is busy: the kernel keeps it, nothing is observed in it
    return len(left)
