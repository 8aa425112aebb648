"""What one drain brought, and what each stage passes on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from intact.model.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What is true of a whole recording and needed to read its records."""

    name: str
    boot_id: str
    kernel: str
    boot_offset_ns: int  # add to the boot clock to get Unix epoch nanoseconds
    root_tgid: int = 0  # the command of `record`, 0 in host scope
    root_start_ns: int = 0  # boot clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """A process in scope that opened a TLS connection of which no plaintext was heard; becomes a `Loss`."""

    tgid: int
    start_ns: int  # boot clock
    ktime_ns: int  # of its first unheard ClientHello
    connections: int  # that this tells of; a later one of the same process tells of others
    exe: str  # or its comm, where the process was gone before its exe could be read
    address: str
    port: int
    reason: str  # why, as far as known: "no TLS functions found in its files", …


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSlice:
    """Records of one drain as the kernel wrote them: by ring name, contiguous fixed-size records.

    Keys are "<family>_<class>" ("file_256", "tls_16k", …). Everything with ktime_ns < until_ktime_ns that could be seen is in
    this slice or an earlier one; later records are held back by the drain.
    """

    until_ktime_ns: int
    rings: Mapping[str, bytes | bytearray | memoryview]
    counters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # family -> cumulative, enum intact_counter
    notes: tuple[str, ...] = ()  # one line each: targets that could not be hooked, …
    unheard: tuple[Unheard, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Facts in order of time, and one Arrow batch per effect family (`model.effects.FAMILIES`), ordered by `at_ns`."""

    until_ns: int
    facts: tuple[Fact, ...] = ()
    effects: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    links: pa.RecordBatch | None = None
