"""The kernel object of enforcement as the enforcers use it; the loader is handed in, since this room loads nothing itself."""

import ctypes
import os
from pathlib import Path
from typing import Any, Protocol

from intact.govern.bpf_calls import map_delete, map_keys, map_lookup, map_update
from intact.govern.layouts import Config, Member
from intact.model.errors import NotSupported


class Kernel(Protocol):
    """What is needed of `intact.collect.loader.Loader`, opened on govern.bpf.o."""

    @property
    def rings(self) -> tuple[Any, ...]: ...
    def load(self) -> None: ...
    def set_scope(self, cgroup: Path) -> None: ...
    def attach(self) -> tuple[str, ...]: ...
    def iterate(self) -> bytes: ...
    def waiting(self, ring: Any) -> int: ...
    def drain(self, ring: Any, buffer: Any) -> Any: ...
    def counters(self, count: int, map_name: str = ...) -> tuple[int, ...]: ...
    def program_fd(self, name: str) -> int | None: ...
    def map_fd(self, name: str) -> int | None: ...
    def close(self) -> None: ...


def map_of(kernel: Kernel, name: str) -> int:
    """A map of the object.

    Raises:
        NotSupported: the object is of another version.
    """
    found = kernel.map_fd(name)
    if found is None:
        raise NotSupported(f"the kernel object of enforcement has no {name}; run: make setup")
    return found


class Scope:
    """Who is governed: one cgroup and what its processes make."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.settings = Config()
        self.members = map_of(kernel, "members")

    def enter(self, cgroup: Path) -> None:
        """From here on this cgroup is the scope; what ran in the last one is forgotten."""
        self.leave()
        self._kernel.set_scope(cgroup)
        self.settings.scope_id = os.stat(cgroup).st_ino
        self.write()
        self._kernel.iterate()

    def leave(self) -> None:
        """No scope: nothing is decided any more."""
        self.settings = Config()
        self.write()
        for tid in map_keys(self.members):
            map_delete(self.members, tid)

    def write(self) -> None:
        """Hand the settings to the kernel."""
        map_update(map_of(self._kernel, "govern_settings"), 0, self.settings)

    def set_entries(self, name: str, entries: list[Any]) -> None:
        """Replace the entries of a map; the number of them counts from the next `write`."""
        target = map_of(self._kernel, name)
        for i, entry in enumerate(entries):
            map_update(target, i, entry)

    def join(self, tgids: set[int], groups: int) -> None:
        """Put all threads of these processes into groups as well; their children will inherit them."""
        for tid in map_keys(self.members):
            member = Member()
            if map_lookup(self.members, tid, member) and member.tgid in tgids:
                member.groups |= groups
                map_update(self.members, tid, member)

    def part(self, tgids: set[int], groups: int) -> None:
        """Leave all threads of these processes in these groups and in no others."""
        for tid in map_keys(self.members):
            member = Member()
            if map_lookup(self.members, tid, member) and member.tgid in tgids:
                member.groups = groups
                map_update(self.members, tid, member)


def zeroed(kernel: Kernel, name: str, slots: int) -> None:
    """Clear a per-CPU array of u64."""
    target, cpus = map_of(kernel, name), _possible_cpus()
    value = ctypes.create_string_buffer(8 * cpus)
    for slot in range(slots):
        map_update(target, slot, value)


def _possible_cpus() -> int:
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().split(",")[-1]
    return int(last.rpartition("-")[2]) + 1
