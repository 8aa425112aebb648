"""Fork, exec and exit to rows; processes that were there before the probes to facts."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from intact.decode import wire
from intact.decode.argv import Vectors, exec_keys
from intact.decode.arrow import empty_texts, lists_of
from intact.decode.columns import Column, batch_of, epoch, lengths_of, process_column, shared_columns
from intact.decode.records import I64, U64, Part, Rows
from intact.decode.text import fixed_texts, texts
from intact.model.effects import PROCESS, Kind
from intact.model.facts import Process
from intact.model.identity import process_ids

_KINDS = {wire.Type.FORK: Kind.FORK, wire.Type.EXEC: Kind.EXEC, wire.Type.EXIT: Kind.EXIT}


def fork_batch(part: Part, host: int, offset_ns: int) -> pa.RecordBatch:
    """TYPE_FORK records as rows of `model.effects.PROCESS`."""
    rows = part.rows
    columns = _process_columns(part, host, offset_ns)
    is_thread = (rows["flags"] & wire.Flag.THREAD) != 0
    child = process_ids(host, rows["child_tgid"].astype(np.uint64), np.ascontiguousarray(rows["child_start_ns"]))
    columns |= {
        "child_id": np.where(is_thread, columns["process_id"], child),
        "child_pid": rows["child_tgid"],
        "child_tid": rows["child_tid"],
        "is_thread": is_thread,
        "start_ns": epoch(offset_ns, rows["child_start_ns"]),
    }
    return batch_of(PROCESS, columns)


def exec_batch(part: Part, host: int, offset_ns: int, vectors: Vectors) -> pa.RecordBatch:
    """TYPE_EXEC records, each with its argument vector, as rows of `model.effects.PROCESS`."""
    columns = _process_columns(part, host, offset_ns)
    argv, clipped = _argv(part, host, vectors)
    columns |= {
        "parent_id": _parents(host, part.rows),
        "ppid": part.rows["parent_tgid"],
        "exe": _exe(part),
        "cwd": _cwd(part),
        "argv": argv,
        "argv_clipped": clipped,
    }
    return batch_of(PROCESS, columns)


def exit_batch(part: Part, host: int, offset_ns: int) -> pa.RecordBatch:
    """TYPE_EXIT records as rows of `model.effects.PROCESS`."""
    columns = _process_columns(part, host, offset_ns)
    told = (part.rows["flags"] & wire.Flag.PARENT) != 0
    columns |= {
        "parent_id": np.where(told, _parents(host, part.rows), np.uint64(0)),
        "ppid": np.where(told, part.rows["parent_tgid"], 0),
        "exit_code": part.rows["exit_code"],
        "exit_signal": part.rows["exit_signal"],
    }
    return batch_of(PROCESS, columns)


def alive_processes(part: Part, host: int, offset_ns: int, vectors: Vectors) -> Iterator[tuple[int, Process]]:
    """TYPE_ALIVE records as facts, each with the time it was seen; they are as few as the processes of the scope."""
    rows = part.rows
    argv, clipped = _argv(part, host, vectors)
    parents = _parents(host, rows)
    exes, cwds, comms = _exe(part), _cwd(part), fixed_texts(rows["comm"])
    seen = epoch(offset_ns, rows["ktime_ns"])
    started = epoch(offset_ns, rows["start_ns"])
    for i, process_id in enumerate(process_column(host, rows).tolist()):
        row = rows[i]
        yield (
            int(seen[i]),
            Process(
                id=process_id,
                pid=int(row["tgid"]),
                start_ns=int(started[i]),
                parent_id=int(parents[i]) or None,
                ppid=int(row["parent_tgid"]) or None,
                exe=exes[i].as_py() or None,
                comm=comms[i].as_py(),
                argv=tuple(argv[i].as_py()),
                argv_clipped=int(clipped[i]),
                cwd=cwds[i].as_py() or None,
                uid=int(row["uid"]),
                gid=int(row["gid"]),
                cgroup=str(int(row["cgroup_id"])),
            ),
        )


def _process_columns(part: Part, host: int, offset_ns: int) -> dict[str, Column]:
    """All columns, those that only one kind of event has left empty."""
    rows = part.rows
    count = len(rows)
    nothing = np.zeros(count, np.uint64)
    ended = epoch(offset_ns, rows["ktime_ns"])
    kind = np.full(count, _KINDS[wire.Type(part.type)], np.uint8)
    thing = rows["child_tid"].astype(np.uint64) if part.type == wire.Type.FORK else nothing
    columns = shared_columns(host, rows, kind, thing)
    columns |= {
        "at_ns": ended,
        "end_ns": ended,
        "start_ns": epoch(offset_ns, rows["start_ns"]),
        "cgroup_id": rows["cgroup_id"],
        "comm": fixed_texts(rows["comm"]),
        "exe": empty_texts(count),
        "cwd": empty_texts(count),
        "argv": lists_of(np.zeros(count + 1, np.int32), empty_texts(0)),
        "is_thread": np.zeros(count, bool),
        "exit_code": np.full(count, -1, np.int32),
    }
    return columns | {
        name: nothing
        for name in ("result", "parent_id", "ppid", "child_id", "child_pid", "child_tid", "argv_clipped", "exit_signal")
    }


def _parents(host: int, rows: Rows) -> U64:
    parent = process_ids(host, rows["parent_tgid"].astype(np.uint64), np.ascontiguousarray(rows["parent_start_ns"]))
    return np.where(rows["parent_tgid"] == 0, np.uint64(0), parent)


def _exe(part: Part) -> pa.Array:
    return texts(part.ring, part.starts, lengths_of(part, "exe_length"))


def _cwd(part: Part) -> pa.Array:
    return texts(part.ring, part.starts + lengths_of(part, "exe_length"), lengths_of(part, "cwd_length"))


def _argv(part: Part, host: int, vectors: Vectors) -> tuple[pa.Array, I64]:
    argv, received = vectors.of(exec_keys(host, part.rows))
    return argv, np.maximum(part.rows["argv_total"].astype(np.int64) - received, 0)
