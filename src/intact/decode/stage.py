"""Raw slices to slices: the stage, and the state it keeps between slices.

Everything that crosses slices is bounded: waiting TLS operations, descriptors, counts.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from intact.decode import wire
from intact.decode.argv import exec_keys, join_pieces
from intact.decode.columns import in_order
from intact.decode.credential import credential_batch
from intact.decode.file_io import file_batch, io_batch
from intact.decode.ledger import Ledger
from intact.decode.net import net_batch
from intact.decode.peers import Peers
from intact.decode.process import alive_processes, exec_batch, exit_batch, fork_batch
from intact.decode.records import Part, split_ring
from intact.decode.signals import signal_batch
from intact.decode.tls import Operations
from intact.model.facts import Chunk, ConnectionEnd, Fact, Loss, Process
from intact.model.identity import host_hash, process_id
from intact.model.slice import Host, RawSlice, Slice, Unheard

# Families whose records come in the rings of another.
_TOLD_BESIDE = {
    "credential": (wire.Type.CREDENTIAL, credential_batch),
    "signal": (wire.Type.SIGNAL, signal_batch),
}


def decode(raw: Iterable[RawSlice], host: Host) -> Iterator[Slice]:
    """Records as the kernel wrote them to effects and chunks, times in Unix epoch nanoseconds."""
    decoder = _Decoder(host)
    for one in raw:
        yield decoder.decode(one)
    last = decoder.finish()
    if last is not None:
        yield last


class _Decoder:
    def __init__(self, host: Host) -> None:
        self._host = host_hash(host.boot_id)
        self._offset_ns = host.boot_offset_ns
        self._ledger = Ledger()
        self._peers = Peers()
        self._operations = Operations(self._host, self._offset_ns, self._peers)
        self._until_ns: int | None = None

    def decode(self, raw: RawSlice) -> Slice:
        until_ns = self._until_ns = raw.until_ktime_ns + self._offset_ns
        parts = self._parts(raw)
        of_processes = parts.pop("process", [])
        process_rows, processes = self._process(of_processes)
        files, sums, nets = parts.pop("file", []), parts.pop("io", []), parts.pop("net", [])
        for part in nets:
            self._peers.note(part)
        batches = {
            "process": process_rows,
            "file": [file_batch(files, self._host, self._offset_ns)] if files else [],
            "io": [io_batch(sums, self._host, self._offset_ns)] if sums else [],
            "net": [net_batch(part, self._host, self._offset_ns) for part in nets],
        }
        for family, (kind, batch_of) in _TOLD_BESIDE.items():
            batches[family] = [batch_of(p, self._host, self._offset_ns) for p in of_processes if p.type == kind]
        chunks = self._operations.take(parts.pop("tls", []), raw.until_ktime_ns)
        self._ledger.count_kernel(raw.counters)
        facts: list[tuple[int, Fact]] = [*processes, *((_time(chunk), chunk) for chunk in chunks)]
        facts += [(unheard.ktime_ns + self._offset_ns, self._loss(unheard)) for unheard in raw.unheard]
        facts += [(until_ns, Loss(stage="collect", cause="note", count=0, at_ns=until_ns, note=n)) for n in raw.notes]
        facts += [(until_ns, fact) for fact in self._ledger.tell_due(until_ns)]
        facts.sort(key=lambda timed: timed[0])
        effects = {family: batch for family, rows in batches.items() if (batch := in_order(rows)) is not None}
        return Slice(until_ns=until_ns, facts=tuple(fact for _, fact in facts), effects=effects)

    def finish(self) -> Slice | None:
        """What waited for more, and the last counts."""
        if self._until_ns is None:
            return None
        chunks = sorted(self._operations.flush(), key=_time)
        facts: list[Fact] = [*chunks, *self._ledger.tell(self._until_ns)]
        return Slice(until_ns=self._until_ns, facts=tuple(facts)) if facts else None

    def _parts(self, raw: RawSlice) -> dict[str, list[Part]]:
        parts: dict[str, list[Part]] = {}
        for name, data in raw.rings.items():
            ring = split_ring(name, data)
            self._ledger.count_ring(ring)
            parts.setdefault(ring.family, []).extend(ring.parts)
        return parts

    def _process(self, parts: list[Part]) -> tuple[list[pa.RecordBatch], list[tuple[int, Process]]]:
        if not parts:
            return [], []
        of: dict[int, list[Part]] = {}
        for part in parts:
            of.setdefault(part.type, []).append(part)
        execs, alive = of.get(wire.Type.EXEC, []), of.get(wire.Type.ALIVE, [])
        pieces = of.get(wire.Type.ARGV, [])
        vectors = join_pieces(pieces, self._host)
        if pieces:
            keys = [exec_keys(self._host, part.rows) for part in (*execs, *alive)]
            self._ledger.count_lost("process", "argv_without_exec", vectors.orphans(keys))
        rows = [fork_batch(part, self._host, self._offset_ns) for part in of.get(wire.Type.FORK, [])]
        rows += [exec_batch(part, self._host, self._offset_ns, vectors) for part in execs]
        rows += [exit_batch(part, self._host, self._offset_ns) for part in of.get(wire.Type.EXIT, [])]
        return rows, [p for part in alive for p in alive_processes(part, self._host, self._offset_ns, vectors)]

    def _loss(self, unheard: Unheard) -> Loss:
        where = f"{unheard.address}:{unheard.port}" if unheard.address else "an unknown peer"
        return Loss(
            stage="collect",
            cause="not_heard",
            count=unheard.connections,
            at_ns=unheard.ktime_ns + self._offset_ns,
            process_id=process_id(self._host, unheard.tgid, unheard.start_ns),
            note=f"{unheard.exe} (pid {unheard.tgid}) talks TLS to {where} and is not heard: {unheard.reason}",
        )


def _time(fact: Chunk | ConnectionEnd) -> int:
    return fact.at_ns
