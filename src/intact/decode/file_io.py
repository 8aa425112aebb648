"""File calls and sums of reads and writes: one row a record."""

import numpy as np
import pyarrow as pa

from intact.decode import wire
from intact.decode.columns import batch_of, epoch, lengths_of, normalised, shared_columns, start_times
from intact.decode.records import Part
from intact.decode.text import texts
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


def file_batch(part: Part, host: int, offset_ns: int) -> pa.RecordBatch:
    """TYPE_FILE records as rows of `model.effects.FILE`."""
    rows = part.rows
    ended = np.ascontiguousarray(rows["ktime_ns"])
    path_length = lengths_of(part, "path_length")
    inode = np.ascontiguousarray(rows["inode"])
    columns = shared_columns(host, rows, FILE_KIND[rows["op"]], inode)
    columns |= {
        "at_ns": epoch(offset_ns, start_times(rows["enter_ns"], ended)),
        "end_ns": epoch(offset_ns, ended),
        "result": normalised(rows["result"]),
        "path": texts(part.ring, part.starts, path_length),
        "old_path": texts(part.ring, part.starts + path_length, lengths_of(part, "old_path_length")),
        "path_state": PATH_STATE[rows["h_flags"] & 0xFF],
        "inode": inode,
    }
    columns |= {name: rows[name] for name in ("flags", "mode", "new_uid", "new_gid", "fd", "device")}
    return batch_of(FILE, columns)


def io_batch(part: Part, host: int, offset_ns: int) -> pa.RecordBatch:
    """TYPE_IO records as rows of `model.effects.IO`; a sum ends with its last call, not when it was cut."""
    rows = part.rows
    cut = np.ascontiguousarray(rows["ktime_ns"])
    last = start_times(rows["last_ns"], cut)
    # One cut may end the sums of many files, of one file by several descriptors, or of both directions of one.
    thing = rows["inode"] ^ (rows["fd"].astype(np.uint32).astype(np.uint64) << np.uint64(40))
    columns = shared_columns(host, rows, IO_KIND[rows["op"]], thing)
    columns |= {
        "at_ns": epoch(offset_ns, start_times(rows["first_ns"], last)),
        "end_ns": epoch(offset_ns, last),
        "result": np.zeros(len(rows), np.int32),
        "path": texts(part.ring, part.starts, lengths_of(part, "length")),
        "path_state": PATH_STATE[rows["flags"] & 0xFF],
    }
    columns |= {name: rows[name] for name in ("bytes", "count", "fd", "fd_kind", "inode", "device")}
    return batch_of(IO, columns)
