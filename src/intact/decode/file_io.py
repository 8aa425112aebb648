"""File calls and sums of reads and writes: one row a record."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from intact.decode import wire
from intact.decode.columns import (
    Column,
    Ordered,
    batch_of,
    effect_ids,
    epoch,
    normalised,
    process_column,
    start_times,
)
from intact.decode.records import U64, Part
from intact.model.effects import FILE, IO, Kind, PathState

_FILE_KINDS = {
    wire.FileOp.OPEN: Kind.FILE_OPEN,
    wire.FileOp.CREATE: Kind.FILE_CREATE,
    wire.FileOp.UNLINK: Kind.FILE_DELETE,
    wire.FileOp.RENAME: Kind.FILE_RENAME,
    wire.FileOp.LINK: Kind.FILE_LINK,
    wire.FileOp.SYMLINK: Kind.FILE_LINK,
    wire.FileOp.MKDIR: Kind.DIR_CREATE,
    wire.FileOp.RMDIR: Kind.DIR_DELETE,
    wire.FileOp.TRUNCATE: Kind.FILE_TRUNCATE,
    wire.FileOp.CHMOD: Kind.FILE_CHMOD,
    wire.FileOp.CHOWN: Kind.FILE_CHOWN,
}
_IO_KINDS = {wire.IoOp.READ: Kind.FILE_READ, wire.IoOp.WRITE: Kind.FILE_WRITE}
_STATES = {
    wire.Flag.PATH_UNRESOLVED: PathState.UNRESOLVED,
    wire.Flag.PATH_FAULT: PathState.FAULT,
    wire.Flag.PATH_CLIPPED: PathState.CLIPPED,
    wire.Flag.OLD_PATH_UNRESOLVED: PathState.OLD_UNRESOLVED,
    wire.Flag.FROM_FILE: PathState.FROM_FILE,
}

# By op, and by the flags of a record, so that a column is one lookup.
FILE_KIND = np.zeros(max(_FILE_KINDS) + 1, np.uint8)
FILE_KIND[list(_FILE_KINDS)] = list(_FILE_KINDS.values())
IO_KIND = np.zeros(max(_IO_KINDS) + 1, np.uint8)
IO_KIND[list(_IO_KINDS)] = list(_IO_KINDS.values())
PATH_STATE = np.array([sum(state for flag, state in _STATES.items() if flags & flag) for flags in range(256)], np.uint8)


def file_batch(parts: Sequence[Part], host: int, offset_ns: int) -> pa.RecordBatch:
    """TYPE_FILE records as rows of `model.effects.FILE`, in order."""
    rows = Ordered(parts, [start_times(part.rows["enter_ns"], part.rows["ktime_ns"]) for part in parts])
    inode = rows["inode"]
    columns = _shared(rows, host, FILE_KIND, inode)
    columns |= {
        "at_ns": epoch(offset_ns, rows.started),
        "end_ns": epoch(offset_ns, rows["ktime_ns"]),
        "result": normalised(rows["result"]),
        "path": rows.texts("path_length"),
        "old_path": rows.texts("old_path_length", after_field="path_length"),
        "path_state": PATH_STATE[rows["h_flags"] & 0xFF],
        "inode": inode,
    }
    columns |= {name: rows[name] for name in ("flags", "mode", "new_uid", "new_gid", "fd", "device")}
    return batch_of(FILE, columns)


def io_batch(parts: Sequence[Part], host: int, offset_ns: int) -> pa.RecordBatch:
    """TYPE_IO records as rows of `model.effects.IO`, in order; a sum ends with its last call, not when it was cut."""
    lasts = [start_times(part.rows["last_ns"], part.rows["ktime_ns"]) for part in parts]
    rows = Ordered(parts, [start_times(part.rows["first_ns"], last) for part, last in zip(parts, lasts, strict=True)])
    inode, fd = rows["inode"], rows["fd"]
    # One cut may end the sums of many files, of one file by several descriptors, or of both directions of one.
    thing = inode ^ (fd.astype(np.uint32).astype(np.uint64) << np.uint64(40))
    columns = _shared(rows, host, IO_KIND, thing)
    columns |= {
        "at_ns": epoch(offset_ns, rows.started),
        "end_ns": epoch(offset_ns, rows.arrange(np.concatenate(lasts))),
        "result": np.zeros(len(fd), np.int32),
        "path": rows.texts("length"),
        "path_state": PATH_STATE[rows["flags"] & 0xFF],
        "inode": inode,
        "fd": fd,
    }
    columns |= {name: rows[name] for name in ("bytes", "count", "fd_kind", "device")}
    return batch_of(IO, columns)


def _shared(rows: Ordered, host: int, kinds: npt.NDArray[np.uint8], thing: U64) -> dict[str, Column]:
    process_id = rows.column(lambda part: process_column(host, part.rows))
    columns: dict[str, Column] = {
        "id": effect_ids(process_id, rows, thing),
        "kind": kinds[rows["op"]],
        "process_id": process_id,
    }
    return columns | {"pid": rows["tgid"], "tid": rows["tid"], "uid": rows["uid"], "gid": rows["gid"]}
