"""Signals sent to other processes to rows."""

import numpy as np
import pyarrow as pa

from intact.decode.columns import Column, batch_of, epoch, normalised, shared_columns
from intact.decode.records import Part
from intact.model.effects import SIGNAL, Kind
from intact.model.identity import process_ids


def signal_batch(part: Part, host: int, offset_ns: int) -> pa.RecordBatch:
    """TYPE_SIGNAL records as rows of `model.effects.SIGNAL`."""
    rows = part.rows
    started = np.ascontiguousarray(rows["target_start_ns"])
    target = np.where(started > 0, process_ids(host, rows["target_tgid"].astype(np.uint64), started), np.uint64(0))
    # one call may send to many: they are told apart by who gets it
    thing = np.bitwise_xor(target, rows["signal"].astype(np.uint64))
    sent = epoch(offset_ns, rows["ktime_ns"])
    columns: dict[str, Column] = shared_columns(host, rows, np.full(len(rows), Kind.SIGNAL, np.uint8), thing)
    columns |= {
        "at_ns": sent,
        "end_ns": sent,
        "result": normalised(rows["result"]),
        "target_id": target,
        "target_pid": rows["target_tgid"],
        "signal": rows["signal"],
    }
    return batch_of(SIGNAL, columns)
