"""What /proc says of one process, asked by identity and not by pid alone."""

import os
from collections.abc import Mapping
from pathlib import Path

from intact.model.identity import ProcessKey

# The kernel's records count the start of a process in nanoseconds, /proc in ticks.
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
MAX_ENVIRONMENT_BYTES = 256 << 10


def start_ns_of(tgid: int, proc: Path = Path("/proc")) -> int | None:
    """When the process started, boot clock, to a tick; None if it is gone."""
    try:
        fields = (proc / str(tgid) / "stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19]) * TICK_NS
    except (OSError, IndexError, ValueError):
        return None


def is_running(key: ProcessKey, proc: Path = Path("/proc")) -> bool:
    """Whether this very process runs, and not another with its pid."""
    started = start_ns_of(key.tgid, proc)
    return started is not None and abs(started - key.start_ns) <= TICK_NS


def environment_of(key: ProcessKey, proc: Path = Path("/proc")) -> Mapping[str, str]:
    """The environment the process was given; nothing if it is gone or not ours to read. To be looked at, not kept."""
    try:
        with open(proc / str(key.tgid) / "environ", "rb") as file:
            text = file.read(MAX_ENVIRONMENT_BYTES)
    except OSError:
        return {}
    if not is_running(key, proc):
        return {}
    pairs = (pair.partition(b"=") for pair in text.split(b"\0") if b"=" in pair)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
