"""Addresses and ports, refused by programs of the cgroup: connect, sendmsg, bind and the making of sockets."""

import os
from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path

from intact.govern.bpf_calls import link_cgroup
from intact.govern.compile import net_entries
from intact.govern.kernel import Kernel, Scope
from intact.govern.plan import PREVENTED, Part
from intact.model.errors import NotSupported

# enum bpf_attach_type
HOOKS = {
    "sock_create": 2,
    "bind4": 8,
    "bind6": 9,
    "connect4": 10,
    "connect6": 11,
    "sendmsg4": 14,
    "sendmsg6": 15,
}


class CgroupNet:
    """The programs on one cgroup, and their entries."""

    def __init__(self, kernel: Kernel, scope: Scope) -> None:
        self._kernel = kernel
        self._scope = scope
        self._links: list[int] = []

    def attach(self, cgroup: Path) -> None:
        """Hold the programs to the cgroup.

        Raises:
            NotSupported: the kernel refuses one; none is left attached.
        """
        target = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name, kind in HOOKS.items():
                program = self._kernel.program_fd(name)
                if program is None:
                    raise NotSupported(f"the kernel object of enforcement has no {name}; run: make setup")
                self._links.append(link_cgroup(program, target, kind))
        except OSError as error:
            self.detach()
            raise NotSupported(
                f"cannot attach to the cgroup: {error.strerror}; needs CAP_BPF and CAP_NET_ADMIN"
            ) from None
        finally:
            os.close(target)

    def detach(self) -> None:
        """Take the programs off."""
        while self._links:
            os.close(self._links.pop())

    def apply(self, parts: Sequence[Part]) -> None:
        """Make these parts, and no others, what is decided by."""
        entries = net_entries(parts)
        refusing = [part for part in parts if part.promise == PREVENTED and part.rule.connect is not None]
        settings = self._scope.settings
        # Less is decided for the moment of the change than before or after it, never something else.
        settings.net_entries = 0
        self._scope.write()
        self._scope.set_entries("net_entries", entries)
        settings.net_entries = len(entries)
        settings.plain_sockets = bool(refusing)
        settings.plain_groups = reduce(or_, (part.groups for part in refusing), 0)
        settings.plain_rule = refusing[0].index if refusing else 0
        settings.hold = any(part.promise == PREVENTED for part in parts)
        self._scope.write()
