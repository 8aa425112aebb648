"""What the kernel side says of one workload, as plain records: the ground these tests stand on."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from ctypes import Structure, sizeof
from dataclasses import dataclass

import numpy as np

from intact.collect.cgroup import ScopeCgroup
from intact.collect.loader import Loader
from intact.decode import wire
from intact.decode.wire import Counter, Type

_LAYOUTS: dict[int, type[Structure]] = {
    Type.FORK: wire.Fork,
    Type.EXEC: wire.Exec,
    Type.ALIVE: wire.Exec,
    Type.ARGV: wire.Argv,
    Type.EXIT: wire.Exit,
    Type.CREDENTIAL: wire.Credential,
    Type.SIGNAL: wire.Signal,
    Type.FILE: wire.File,
    Type.IO: wire.Io,
    Type.NET: wire.Net,
}
RINGS_BYTES = 1 << 23


@dataclass(slots=True)
class Record:
    """One record: its fixed part, and its variable part cut to its valid length."""

    fixed: Structure
    data: bytes

    @property
    def header(self) -> wire.Header:
        return self.fixed.h  # type: ignore[attr-defined, no-any-return]

    def __getattr__(self, name: str) -> int:
        return getattr(self.fixed, name)  # type: ignore[no-any-return]

    @property
    def op(self) -> int:
        return int(self.header.op)

    @property
    def path(self) -> bytes:
        return self.data[: self.fixed.path_length] if isinstance(self.fixed, wire.File) else self.data

    @property
    def old_path(self) -> bytes:
        return self.data[self.path_length : self.path_length + self.old_path_length]

    @property
    def exe(self) -> bytes:
        return self.data[: self.exe_length]

    @property
    def cwd(self) -> bytes:
        return self.data[self.exe_length : self.exe_length + self.cwd_length]


@dataclass(slots=True)
class Recording:
    """All records of a workload in order of time, the counters at the end, and what the workload printed."""

    records: list[Record]
    counters: dict[str, tuple[int, ...]]
    output: str
    pid: int
    returncode: int

    def of(self, kind: Type, *, op: int | None = None, tgid: int | None = None) -> list[Record]:
        return [
            r
            for r in self.records
            if r.header.type == kind and (op is None or r.op == op) and (tgid is None or r.header.tgid == tgid)
        ]

    def under(self, directory: str | os.PathLike[str], kind: Type, *, op: int | None = None) -> list[Record]:
        """Records whose path is in `directory`."""
        prefix = os.fsencode(directory)
        return [r for r in self.of(kind, op=op) if r.path.startswith(prefix)]

    def check_counts(self) -> None:
        """seen = submitted + lost by cause, and submitted = received, in each family."""
        received = {family: 0 for family in wire.FAMILIES}
        for r in self.records:
            received[_family(r.header.type)] += 1
        for family, values in self.counters.items():
            lost = sum(values[Counter.LOST_RING_FULL : Counter.LOST_TOO_LONG + 1])
            assert values[Counter.COUNT_SEEN] == values[Counter.COUNT_SUBMITTED] + lost, (family, values)
            if family != "tls":
                assert values[Counter.COUNT_SUBMITTED] == received[family], (family, values, received[family])


def _family(kind: int) -> str:
    return {0: "process", 1: "file", 2: "io", 3: "net", 4: "tls"}[kind >> 4]


def _parse(kind: int, raw: bytes) -> Record | None:
    layout = _LAYOUTS.get(kind)
    if layout is None:
        return None
    fixed = layout.from_buffer_copy(raw.ljust(sizeof(layout), b"\0"))
    length = fixed.h.length  # type: ignore[attr-defined]
    start = layout.data.offset if hasattr(layout, "data") else sizeof(layout)
    return Record(fixed, raw[start : start + length])


def record(
    workload: list[str] | str,
    *,
    cwd: str | os.PathLike[str] | None = None,
    beside: Callable[[int], None] | None = None,
    cgroup: ScopeCgroup | None = None,
    linger_s: float = 0.0,
    sweep_s: float = 0.05,
    ring_bytes: dict[str, int] | None = None,
) -> Recording:
    """Run `workload` (an argv, or Python source) in a scope of its own and return all the kernel said.

    `beside` is called with the pid once the workload was let go. With `ring_bytes` (sizes by map) nothing is drained
    before the end, so that rings overflow.
    """
    argv = [sys.executable, "-I", "-c", workload] if isinstance(workload, str) else workload
    scope = cgroup or ScopeCgroup(f"intact-test-{os.getpid()}-{threading.get_ident() & 0xFFFF}")
    gate, opener = os.pipe()
    buffers: dict[int, bytearray] = {}
    with scope, Loader() as loader:
        for name, size in (ring_bytes or {}).items():
            loader.resize(name, size)
        loader.load()
        loader.set_scope(scope.path)
        assert loader.attach() == ()
        child = subprocess.Popen(
            ["/bin/sh", "-c", 'read x; exec "$@" </dev/null', "sh", *argv],
            stdin=gate,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        )
        scope.add(child.pid)
        os.write(opener, b"\n")
        if beside is not None:
            beside(child.pid)
        output: list[bytes] = []
        os.close(gate)
        os.close(opener)
        assert child.stdout is not None
        reader = threading.Thread(target=lambda: output.append(child.stdout.read()))  # type: ignore[union-attr]
        reader.start()
        end = None
        swept = 0.0
        while end is None or time.monotonic() < end:
            if time.monotonic() - swept > sweep_s:
                loader.run("sweep")
                swept = time.monotonic()
            if ring_bytes is None:
                _drain(loader, buffers)
            if end is None and child.poll() is not None:
                end = time.monotonic() + linger_s
            time.sleep(0.005)
        reader.join()
        child.stdout.close()
        loader.run("sweep_all")
        loader.detach()
        _drain(loader, buffers)
        counters = loader.counters(40)
        parsed = parse_rings(loader, buffers)
    families = {family: counters[i * 8 : i * 8 + 8] for i, family in enumerate(wire.FAMILIES)}
    return Recording(parsed, families, output[0].decode(), child.pid, child.returncode)


def parse_rings(loader: Loader, buffers: dict[int, bytearray]) -> list[Record]:
    """What was drained as records in order of time."""
    found = [p for ring in loader.rings for p in _records(bytes(buffers.get(ring.index, b"")), ring.record_bytes)]
    return sorted(found, key=lambda r: (r.header.ktime_ns, r.header.sequence))


def drain_all(loader: Loader) -> dict[int, bytearray]:
    """All that is in the rings, by ring."""
    buffers: dict[int, bytearray] = {}
    _drain(loader, buffers)
    return buffers


def _drain(loader: Loader, buffers: dict[int, bytearray]) -> None:
    room = np.empty(RINGS_BYTES, np.uint8)
    for ring in loader.rings:
        while loader.waiting(ring):
            drained = loader.drain(ring, room)
            if not drained.bytes:
                break
            buffers.setdefault(ring.index, bytearray()).extend(room[: drained.bytes].tobytes())


def _records(raw: bytes, size: int) -> list[Record]:
    kinds = np.frombuffer(raw, np.uint16)[wire.Header.type.offset // 2 :: size // 2]
    found = (_parse(int(kind), raw[i * size : (i + 1) * size]) for i, kind in enumerate(kinds))
    return [r for r in found if r is not None]
