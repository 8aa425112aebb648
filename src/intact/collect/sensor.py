"""The collector of the sensor: many processes for a long time, smaller rings, and plaintext of agents alone."""

import os
from collections.abc import Sequence
from ctypes import byref, c_uint32
from pathlib import Path

from intact.collect.cgroup import cgroup2_mount, processes_in
from intact.collect.judgement import Judgement
from intact.collect.machine import Collector
from intact.collect.targets import Targets
from intact.collect.uprobes import Uprobes
from intact.model.errors import NotSupported
from intact.model.recognition import EndpointRule

# A ring counts in our memory and in the kernel's. Together they stay under 16 MB.
RING_BYTES = {
    "process_256": 1 << 19,
    "process_1k": 1 << 18,
    "process_4k": 1 << 18,
    "process_16k": 1 << 19,
    "file_256": 1 << 22,
    "file_1k": 1 << 19,
    "file_4k": 1 << 19,
    "file_16k": 1 << 18,
    "io_256": 1 << 20,
    "io_1k": 1 << 17,
    "io_4k": 1 << 17,
    "net_256": 1 << 19,
    "tls_256": 1 << 18,
    "tls_1k": 1 << 19,
    "tls_4k": 1 << 20,
    "tls_16k": 1 << 22,
}


class SensorCollector(Collector):
    """Observes a cgroup, or with None the whole host but ourselves. `endpoints`: the requests that make an agent known."""

    def __init__(self, cgroup: Path | None, endpoints: Sequence[EndpointRule], *, cache: Path | None = None) -> None:
        self._scope = cgroup or cgroup2_mount()
        super().__init__(self._scope, cache=cache)
        self._is_host = cgroup is None
        self._endpoints = endpoints
        self.judgement: Judgement | None = None

    def _load(self) -> None:
        for name, size in RING_BYTES.items():
            self.loader.resize(f"ring_{name}", size)
        self.loader.load()
        self.judgement = Judgement(self.loader)
        self.judgement.want(self._endpoints)
        if self._is_host:
            self._leave_us_out()

    def _leave_us_out(self) -> None:
        """What we write down would be something to write down."""
        descriptor = self.loader.map_fd("scope_except")
        key, us = c_uint32(0), c_uint32(os.getpid())
        if descriptor is None or self.loader.library.intact_map_set(descriptor, byref(key), byref(us)) < 0:
            raise NotSupported("the kernel object cannot leave the sensor out; run: make setup")

    def _new_targets(self) -> Targets:
        return Targets(
            Uprobes(self.loader), cache=self._cache
        )  # it watches what others started: nothing of that is held

    def _expect(self, targets: Targets) -> None:
        targets.expect(None)  # what agents are mostly written in: hooked before the first of them starts
        targets.follow_running(tgid for tgid in processes_in(self._scope) if tgid != os.getpid())
