"""What the whole collector hears of one command: plaintext by connection, and who was not heard."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from intact.collect.cgroup import ScopeCgroup
from intact.collect.machine import Collector
from intact.decode.stage import decode
from intact.model.facts import Chunk, ConnectionEnd, Loss
from intact.model.slice import RawSlice


@dataclass(slots=True)
class Heard:
    """One connection as heard in the client."""

    chunks: list[Chunk] = field(default_factory=list)
    ended: bool = False

    def stream(self, *, is_write: bool) -> bytes:
        """One direction; asserts that nothing is missing or told twice."""
        data = bytearray()
        for chunk in sorted((c for c in self.chunks if c.is_write == is_write), key=lambda c: c.stream_offset):
            assert chunk.stream_offset == len(data), (chunk.stream_offset, len(data))
            data += chunk.data
        return bytes(data)

    @property
    def descriptors(self) -> set[int | None]:
        return {chunk.fd for chunk in self.chunks}


@dataclass(slots=True)
class TlsRecording:
    """All that was heard of one command."""

    connections: list[Heard]
    losses: list[Loss]
    raw: list[RawSlice]
    output: str
    pid: int

    def hearing(self, marker: bytes) -> Heard:
        """The one connection whose request has this marker."""
        (found,) = [c for c in self.connections if any(marker in x.data[:4096] for x in c.chunks if x.is_write)]
        return found

    @property
    def counters(self) -> tuple[int, ...]:
        return self.raw[-1].counters["tls"]

    def check_counts(self) -> None:
        """seen = submitted + lost by cause, and submitted = received."""
        seen, submitted, *lost = self.counters[:6]
        assert seen == submitted + sum(lost)
        sizes = {"256": 256, "1k": 1024, "4k": 4096, "16k": 16384}
        received = sum(
            len(part) // sizes[name.split("_")[1]]
            for raw in self.raw
            for name, part in raw.rings.items()
            if name.startswith("tls_")
        )
        assert submitted == received


def listen(
    argv: list[str] | str,
    *,
    cache: Path,
    stdin: bytes = b"",
    expect: bool = True,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> TlsRecording:
    """Run a command (an argv, or Python source) in a scope of its own under the whole collector.

    `expect=False` leaves the collector to find the command's files by itself, after it started.
    """
    command = [sys.executable, "-I", "-c", argv] if isinstance(argv, str) else argv
    scope = ScopeCgroup(f"intact-tls-{os.getpid()}-{threading.get_ident() & 0xFFFF}")
    gate, opener = os.pipe()
    raw: list[RawSlice] = []
    with scope, Collector(scope.path, cache=cache, command=command[0] if expect else None) as collector:
        collector.attach()
        child = subprocess.Popen(
            ["/bin/bash", "-c", 'read x <&"$0"; exec "$@"', str(gate), *command],
            pass_fds=(gate,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", **(environment or {})},
            cwd=cwd,
        )
        scope.add(child.pid)
        os.write(opener, b"\n")
        output: list[bytes] = []
        reader = threading.Thread(target=lambda: output.append(child.communicate(stdin)[0]))
        reader.start()
        raw += collector.slices(lambda: not reader.is_alive())
        reader.join()
        host = collector.host
    os.close(gate)
    os.close(opener)
    connections: dict[int, Heard] = {}
    losses: list[Loss] = []
    for part in decode(raw, host):
        for fact in part.facts:
            if isinstance(fact, Chunk):
                connections.setdefault(fact.connection_id, Heard()).chunks.append(fact)
            elif isinstance(fact, ConnectionEnd) and fact.connection_id in connections:
                connections[fact.connection_id].ended = True
            elif isinstance(fact, Loss):
                losses.append(fact)
    return TlsRecording(list(connections.values()), losses, raw, output[0].decode(errors="replace"), child.pid)
