"""The columns in which effects flow: one Arrow schema a family, kinds by code.

Times are Unix epoch nanoseconds. `result` is 0 or a negative errno. Ids are UInt64 (`model.identity`).
"""

from collections.abc import Mapping
from enum import IntEnum

import pyarrow as pa


class Kind(IntEnum):
    """What happened; the names in lower case are the `kind` of `show --json`. Codes are stored and never reused."""

    EXEC = 1
    FORK = 2
    EXIT = 3
    FILE_OPEN = 4
    FILE_READ = 5
    FILE_WRITE = 6
    FILE_CREATE = 7
    FILE_DELETE = 8
    FILE_RENAME = 9
    FILE_LINK = 10
    FILE_CHMOD = 11
    FILE_CHOWN = 12
    FILE_TRUNCATE = 13
    DIR_CREATE = 14
    DIR_DELETE = 15
    CONNECT = 16
    ACCEPT = 17
    BIND = 18
    LISTEN = 19
    DNS = 20
    CREDENTIAL_CHANGE = 21
    LOCK_WAIT = 22
    SIGNAL = 23
    MOUNT = 24
    MODULE_LOAD = 25
    NAMESPACE = 26
    MEMORY_EXEC = 27
    PTRACE = 28
    IO_URING = 29
    BLOCKED = 30
    SEND = 31
    CLOSE = 32

    @property
    def label(self) -> str:
        return self.name.lower()


class PathState(IntEnum):
    """Bits of `path_state`."""

    UNRESOLVED = 1  # resolved directory + given text; a symlink or .. may apply
    FAULT = 2  # the text could not be read
    CLIPPED = 4  # leading components are missing
    OLD_UNRESOLVED = 8
    FROM_FILE = 16  # taken from the open file itself
    REDACTED = 32


COMMON: tuple[pa.Field, ...] = (
    pa.field("id", pa.uint64(), nullable=False),
    pa.field("kind", pa.uint8(), nullable=False),
    pa.field("process_id", pa.uint64(), nullable=False),
    pa.field("pid", pa.uint32(), nullable=False),
    pa.field("tid", pa.uint32(), nullable=False),
    pa.field("uid", pa.uint32(), nullable=False),
    pa.field("gid", pa.uint32(), nullable=False),
    pa.field("at_ns", pa.int64(), nullable=False),  # start of the call, first of a sum
    pa.field("end_ns", pa.int64(), nullable=False),
    pa.field("result", pa.int32(), nullable=False),
)

PROCESS = pa.schema(
    [
        *COMMON,
        pa.field("parent_id", pa.uint64(), nullable=False),  # exec, exit: 0 if not known
        pa.field("ppid", pa.uint32(), nullable=False),
        pa.field("child_id", pa.uint64(), nullable=False),  # fork only, else 0
        pa.field("child_pid", pa.uint32(), nullable=False),
        pa.field("child_tid", pa.uint32(), nullable=False),
        pa.field("is_thread", pa.bool_(), nullable=False),
        pa.field("start_ns", pa.int64(), nullable=False),  # of the process (fork: of the child)
        pa.field("cgroup_id", pa.uint64(), nullable=False),
        pa.field("comm", pa.string(), nullable=False),
        pa.field("exe", pa.string(), nullable=False),
        pa.field("cwd", pa.string(), nullable=False),
        pa.field("argv", pa.list_(pa.string()), nullable=False),
        pa.field("argv_clipped", pa.uint32(), nullable=False),  # bytes of argv not captured
        pa.field("exit_code", pa.int32(), nullable=False),  # -1 if killed or not an exit
        pa.field("exit_signal", pa.int32(), nullable=False),
    ]
)

FILE = pa.schema(
    [
        *COMMON,
        pa.field("path", pa.string(), nullable=False),
        pa.field("old_path", pa.string(), nullable=False),
        pa.field("path_state", pa.uint8(), nullable=False),
        pa.field("flags", pa.uint32(), nullable=False),
        pa.field("mode", pa.uint32(), nullable=False),
        pa.field("new_uid", pa.uint32(), nullable=False),
        pa.field("new_gid", pa.uint32(), nullable=False),
        pa.field("fd", pa.int32(), nullable=False),
        pa.field("inode", pa.uint64(), nullable=False),
        pa.field("device", pa.uint32(), nullable=False),
    ]
)

IO = pa.schema(
    [
        *COMMON,
        pa.field("path", pa.string(), nullable=False),
        pa.field("path_state", pa.uint8(), nullable=False),
        pa.field("bytes", pa.uint64(), nullable=False),
        pa.field("count", pa.uint32(), nullable=False),
        pa.field("fd", pa.int32(), nullable=False),
        pa.field("fd_kind", pa.uint8(), nullable=False),  # enum intact_fd_kind of bpf/wire.h
        pa.field("inode", pa.uint64(), nullable=False),
        pa.field("device", pa.uint32(), nullable=False),
    ]
)

NET = pa.schema(
    [
        *COMMON,
        pa.field(
            "address", pa.string(), nullable=False
        ),  # peer; bind, listen: own. unix: path, abstract with leading @
        pa.field("port", pa.uint16(), nullable=False),
        pa.field("local_address", pa.string(), nullable=False),
        pa.field("local_port", pa.uint16(), nullable=False),
        pa.field("family", pa.uint16(), nullable=False),
        pa.field("protocol", pa.uint16(), nullable=False),  # IPPROTO_*; 0 for unix
        pa.field("sock_kind", pa.uint16(), nullable=False),  # SOCK_STREAM = 1, SOCK_DGRAM = 2, …
        pa.field("fd", pa.int32(), nullable=False),
        pa.field("socket", pa.uint64(), nullable=False),  # identity while open
        pa.field("sent_bytes", pa.uint64(), nullable=False),
        pa.field("received_bytes", pa.uint64(), nullable=False),
    ]
)

CREDENTIAL = pa.schema(
    [
        *COMMON,
        pa.field("old_uid", pa.uint32(), nullable=False),
        pa.field("new_uid", pa.uint32(), nullable=False),
        pa.field("old_euid", pa.uint32(), nullable=False),
        pa.field("new_euid", pa.uint32(), nullable=False),
        pa.field("old_gid", pa.uint32(), nullable=False),
        pa.field("new_gid", pa.uint32(), nullable=False),
        pa.field("old_egid", pa.uint32(), nullable=False),
        pa.field("new_egid", pa.uint32(), nullable=False),
        pa.field("old_caps", pa.uint64(), nullable=False),  # effective capabilities, one bit each
        pa.field("new_caps", pa.uint64(), nullable=False),
        pa.field("call", pa.string(), nullable=False),  # setuid, setgid, …, exec, capset, setgroups
        *(
            pa.field(f"{side}_{name}", pa.uint32(), nullable=False)
            for name in ("suid", "fsuid", "sgid", "fsgid")
            for side in ("old", "new")
        ),
        *(
            pa.field(f"{side}_{name}", pa.uint64(), nullable=False)  # capabilities
            for name in ("permitted", "inheritable", "ambient")
            for side in ("old", "new")
        ),
        pa.field("old_groups", pa.list_(pa.uint32()), nullable=False),  # supplementary
        pa.field("new_groups", pa.list_(pa.uint32()), nullable=False),
        pa.field("groups_clipped", pa.uint32(), nullable=False),  # of both, not captured
    ]
)

SIGNAL = pa.schema(
    [
        *COMMON,
        pa.field("target_id", pa.uint64(), nullable=False),  # process_id of who it was sent to; 0: not known
        pa.field("target_pid", pa.uint32(), nullable=False),
        pa.field("signal", pa.int32(), nullable=False),
    ]
)

# What a policy met. `outcome`: prevented | stopped_after | observed | missed; what was asked for is `action`.
BLOCK = pa.schema(
    [
        *COMMON,
        pa.field("rule_id", pa.string(), nullable=False),
        pa.field("target_type", pa.string(), nullable=False),  # exec | syscall | file | net | credential
        pa.field("action", pa.string(), nullable=False),  # audit | deny | kill
        pa.field("mechanism", pa.string(), nullable=False),
        pa.field("guarantee", pa.string(), nullable=False),  # prevented | best_effort | audit_only
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("errno", pa.int32(), nullable=False),  # given to the process; 0 if it was not denied
        pa.field("ppid", pa.uint32(), nullable=False),
        pa.field("exe", pa.string(), nullable=False),
        pa.field("argv", pa.list_(pa.string()), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("address", pa.string(), nullable=False),
        pa.field("port", pa.uint16(), nullable=False),
        pa.field("syscall_name", pa.string(), nullable=False),
        pa.field("syscall_id", pa.uint32(), nullable=False),
        pa.field("policy_epoch", pa.uint64(), nullable=False),
    ]
)

FAMILIES: Mapping[str, pa.Schema] = {
    "process": PROCESS,
    "file": FILE,
    "io": IO,
    "net": NET,
    "credential": CREDENTIAL,
    "signal": SIGNAL,
    "block": BLOCK,
}

LINKS = pa.schema(
    [
        pa.field("id", pa.uint64(), nullable=False),  # mix(cause_id, effect_id)
        pa.field("cause_id", pa.uint64(), nullable=False),
        pa.field("cause_kind", pa.uint8(), nullable=False),  # CauseKind
        pa.field("effect_id", pa.uint64(), nullable=False),
        pa.field("basis", pa.uint8(), nullable=False),  # bits of Basis
        pa.field("confidence", pa.float32(), nullable=False),
        pa.field("revision", pa.uint32(), nullable=False),  # of two links of one effect the higher revision stands
        pa.field("at_ns", pa.int64(), nullable=False),  # time of the evidence that gave the link
    ]
)


class CauseKind(IntEnum):
    TOOL_CALL = 1
    CALL = 2
    MCP_CALL = 3
    HOUSEKEEPING = 4


class Basis(IntEnum):
    """Bits of `basis`: on what ground a cause is claimed."""

    ANCESTRY = 1
    BRACKET = 2
    ARGUMENT = 4
    RESULT = 8
    TIME = 16
    CGROUP = 32
    DESCRIPTOR = 64


def basis_names(bits: int) -> list[str]:
    """`basis` as `show --json` lists it."""
    return [b.name.lower() for b in Basis if bits & b]
