"""Changes of credentials to rows: what they were before the call, and after."""

import numpy as np
import pyarrow as pa

from intact.decode import wire
from intact.decode.arrow import array_of, binary_of, lists_of
from intact.decode.columns import Column, batch_of, epoch, lengths_of, normalised, shared_columns, start_times
from intact.decode.records import I64, Part
from intact.decode.text import gather
from intact.model.effects import CREDENTIAL, Kind

_GROUP_BYTES = 4
_CALLS = binary_of([b"", *(call.name.lower().encode() for call in wire.CredentialCall)], pa.string())
_SIDES = {"old": "before", "new": "after"}
_IDS = ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid")
# columns of the model -> fields of the record
_SETS = {"caps": "effective", "permitted": "permitted", "inheritable": "inheritable", "ambient": "ambient"}


def credential_batch(part: Part, host: int, offset_ns: int) -> pa.RecordBatch:
    """TYPE_CREDENTIAL records as rows of `model.effects.CREDENTIAL`."""
    rows = part.rows
    count = len(rows)
    ended = np.ascontiguousarray(rows["ktime_ns"])
    kind = np.full(count, Kind.CREDENTIAL_CHANGE, np.uint8)
    columns: dict[str, Column] = shared_columns(host, rows, kind, np.zeros(count, np.uint64))
    columns |= {
        "at_ns": epoch(offset_ns, start_times(rows["enter_ns"], ended)),
        "end_ns": epoch(offset_ns, ended),
        "result": normalised(rows["result"]),
        "call": _CALLS.take(array_of(rows["op"].astype(np.int64))),
        "groups_clipped": rows["clipped"] // _GROUP_BYTES,
    }
    for side, field in _SIDES.items():
        given = rows[field]
        columns |= {f"{side}_{name}": given[name] for name in _IDS}
        columns |= {f"{side}_{name}": given[of] for name, of in _SETS.items()}
    before = lengths_of(part, "groups_before") * _GROUP_BYTES
    columns["old_groups"] = _numbers(part, part.starts, before)
    columns["new_groups"] = _numbers(part, part.starts + before, lengths_of(part, "groups_after") * _GROUP_BYTES)
    return batch_of(CREDENTIAL, columns)


def _numbers(part: Part, starts: I64, lengths: I64) -> pa.Array:
    """Byte ranges as lists of 32-bit numbers."""
    bounds = np.concatenate([[0], np.cumsum(lengths)]) // _GROUP_BYTES
    heap = gather(part.ring, starts, lengths).buffers()[2]
    numbers = np.frombuffer(heap or b"", np.uint32, int(bounds[-1]))
    return lists_of(bounds, array_of(numbers))
