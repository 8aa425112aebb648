"""The record layouts of bpf/wire.h, once, as ctypes structures; numpy reads them through dtypes made from these.

tests/test_wire.py lets the compiler compare every size and offset with the C side.
"""

from collections.abc import Mapping
from ctypes import Array, Structure, c_char, c_int32, c_uint8, c_uint16, c_uint32, c_uint64, sizeof
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np

WIRE_VERSION = 1

CLASS_BYTES: Mapping[str, int] = {"256": 256, "1k": 1024, "4k": 4096, "16k": 16384}
FAMILIES = ("process", "file", "io", "net", "tls")  # in the order of enum intact_family


class Type(IntEnum):
    """`enum intact_type`."""

    FORK = 1
    EXEC = 2
    ARGV = 3
    EXIT = 4
    ALIVE = 5
    CREDENTIAL = 6
    SIGNAL = 7
    FILE = 16
    IO = 32
    NET = 48
    TLS = 64
    TLS_END = 65


class Counter(IntEnum):
    """`enum intact_counter`."""

    COUNT_SEEN = 0
    COUNT_SUBMITTED = 1
    LOST_RING_FULL = 2
    LOST_MAP_FULL = 3
    LOST_FAULT = 4
    LOST_TOO_LONG = 5
    COUNT_BYTES = 6
    COUNT_COMPAT = 7


class Flag(IntFlag):
    """`enum intact_flag`."""

    THREAD = 1
    PATH_UNRESOLVED = 2
    PATH_FAULT = 4
    PATH_CLIPPED = 8
    OLD_PATH_UNRESOLVED = 16
    LAST = 32
    UNTIMELY = 64
    FROM_FILE = 128
    PARENT = 256


class FileOp(IntEnum):
    """`enum intact_file_op`."""

    OPEN = 1
    CREATE = 2
    UNLINK = 3
    RENAME = 4
    LINK = 5
    SYMLINK = 6
    MKDIR = 7
    RMDIR = 8
    TRUNCATE = 9
    CHMOD = 10
    CHOWN = 11


class IoOp(IntEnum):
    """`enum intact_io_op`."""

    READ = 1
    WRITE = 2


class NetOp(IntEnum):
    """`enum intact_net_op`."""

    CONNECT = 1
    ACCEPT = 2
    BIND = 3
    LISTEN = 4
    SEND = 5
    CLOSE = 6


class CredentialCall(IntEnum):
    """`enum intact_credential_call`."""

    SETUID = 1
    SETGID = 2
    SETREUID = 3
    SETREGID = 4
    SETRESUID = 5
    SETRESGID = 6
    SETFSUID = 7
    SETFSGID = 8
    SETGROUPS = 9
    CAPSET = 10
    EXEC = 11


class Direction(IntEnum):
    """`enum intact_direction`."""

    READ = 1
    WRITE = 2


class Header(Structure):
    _fields_ = [
        ("ktime_ns", c_uint64),
        ("start_ns", c_uint64),
        ("tgid", c_uint32),
        ("tid", c_uint32),
        ("uid", c_uint32),
        ("gid", c_uint32),
        ("cgroup_id", c_uint64),
        ("type", c_uint16),
        ("op", c_uint16),
        ("length", c_uint16),
        ("flags", c_uint16),
        ("clipped", c_uint32),
        ("sequence", c_uint32),
    ]


class Fork(Structure):
    _fields_ = [
        ("h", Header),
        ("child_start_ns", c_uint64),
        ("child_tgid", c_uint32),
        ("child_tid", c_uint32),
        ("comm", c_char * 16),
        ("pad", c_uint8 * (256 - sizeof(Header) - 32)),
    ]


class Exec(Structure):
    """TYPE_EXEC and TYPE_ALIVE; exe and cwd follow."""

    _fields_ = [
        ("h", Header),
        ("parent_start_ns", c_uint64),
        ("parent_tgid", c_uint32),
        ("old_tid", c_uint32),
        ("euid", c_uint32),
        ("egid", c_uint32),
        ("exe_length", c_uint16),
        ("cwd_length", c_uint16),
        ("argv_total", c_uint32),
        ("comm", c_char * 16),
    ]


class Argv(Structure):
    _fields_ = [("h", Header), ("offset", c_uint32), ("total", c_uint32)]


class Exit(Structure):
    _fields_ = [
        ("h", Header),
        ("exit_code", c_int32),
        ("exit_signal", c_int32),
        ("comm", c_char * 16),
        ("parent_start_ns", c_uint64),
        ("parent_tgid", c_uint32),
        ("pad", c_uint8 * (256 - sizeof(Header) - 36)),
    ]


class Credentials(Structure):
    _fields_ = [
        ("uid", c_uint32),
        ("euid", c_uint32),
        ("suid", c_uint32),
        ("fsuid", c_uint32),
        ("gid", c_uint32),
        ("egid", c_uint32),
        ("sgid", c_uint32),
        ("fsgid", c_uint32),
        ("effective", c_uint64),
        ("permitted", c_uint64),
        ("inheritable", c_uint64),
        ("ambient", c_uint64),
    ]


class Credential(Structure):
    """Groups before and after follow."""

    _fields_ = [
        ("h", Header),
        ("enter_ns", c_uint64),
        ("before", Credentials),
        ("after", Credentials),
        ("result", c_int32),
        ("groups_before", c_uint16),
        ("groups_after", c_uint16),
    ]


class Signal(Structure):
    _fields_ = [
        ("h", Header),
        ("target_start_ns", c_uint64),
        ("target_tgid", c_uint32),
        ("signal", c_int32),
        ("result", c_int32),
        ("pad", c_uint8 * (256 - sizeof(Header) - 20)),
    ]


class File(Structure):
    """path and old_path follow."""

    _fields_ = [
        ("h", Header),
        ("enter_ns", c_uint64),
        ("inode", c_uint64),
        ("device", c_uint32),
        ("result", c_int32),
        ("fd", c_int32),
        ("flags", c_uint32),
        ("mode", c_uint32),
        ("new_uid", c_uint32),
        ("new_gid", c_uint32),
        ("path_length", c_uint16),
        ("old_path_length", c_uint16),
    ]


class Io(Structure):
    """path follows."""

    _fields_ = [
        ("h", Header),
        ("first_ns", c_uint64),
        ("last_ns", c_uint64),
        ("bytes", c_uint64),
        ("inode", c_uint64),
        ("count", c_uint32),
        ("device", c_uint32),
        ("fd", c_int32),
        ("fd_kind", c_uint16),
        ("pad", c_uint16),
    ]


class Net(Structure):
    """A unix path follows."""

    _fields_ = [
        ("h", Header),
        ("enter_ns", c_uint64),
        ("socket", c_uint64),
        ("sent", c_uint64),
        ("received", c_uint64),
        ("result", c_int32),
        ("fd", c_int32),
        ("family", c_uint16),
        ("protocol", c_uint16),
        ("kind", c_uint16),
        ("port", c_uint16),
        ("local_port", c_uint16),
        ("pad", c_uint16),
        ("address", c_uint8 * 16),
        ("local_address", c_uint8 * 16),
        ("pad2", c_uint32),
    ]


class Tls(Structure):
    """TYPE_TLS and TYPE_TLS_END; plaintext follows."""

    _fields_ = [
        ("h", Header),
        ("connection", c_uint64),
        ("generation", c_uint64),
        ("stream_offset", c_uint64),
        ("total", c_uint32),
        ("offset", c_uint32),
        ("fd", c_int32),
        ("direction", c_uint16),
        ("basis", c_uint16),
    ]


# By the name of the struct in wire.h.
STRUCTS: Mapping[str, type[Structure]] = {
    "intact_header": Header,
    "intact_fork": Fork,
    "intact_exec": Exec,
    "intact_argv": Argv,
    "intact_exit": Exit,
    "intact_credentials": Credentials,
    "intact_credential": Credential,
    "intact_signal": Signal,
    "intact_file": File,
    "intact_io": Io,
    "intact_net": Net,
    "intact_tls": Tls,
}
# Those that are a record, and not a part of one.
RECORDS: tuple[type[Structure], ...] = tuple(s for s in STRUCTS.values() if s is not Credentials)


def data_offset(struct: type[Structure]) -> int:
    """Where the variable part begins: `data` in C, which may lie before the end of a padded structure."""
    name, kind = struct._fields_[-1][:2]
    return int(getattr(struct, name).offset) + sizeof(kind)


def _format(kind: Any) -> Any:
    # Byte arrays become opaque: a numpy string would drop their NULs.
    return f"V{sizeof(kind)}" if issubclass(kind, Array) else kind


def _dtypes(struct: type[Structure]) -> dict[int, np.dtype[Any]]:
    header: list[tuple[str, Any]] = list(Header._fields_)  # type: ignore[arg-type]
    fields: dict[str, tuple[Any, int]] = {name: (kind, getattr(Header, name).offset) for name, kind in header}
    own: list[tuple[str, Any]] = [] if struct is Header else list(struct._fields_[1:])  # type: ignore[arg-type]
    for name, kind in own:
        if name in ("pad", "pad2"):
            continue
        # A field of the structure may be called like one of the header (file: flags); the header's is then h_flags.
        if name in fields:
            fields[f"h_{name}"] = fields.pop(name)
        fields[name] = (_format(kind), getattr(struct, name).offset)
    formats = [np.dtype(kind) for kind, _ in fields.values()]
    offsets = [offset for _, offset in fields.values()]
    return {
        size: np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": size})
        for size in CLASS_BYTES.values()
    }


# One dtype a structure and class: header fields first, then its own, the variable part left to be sliced by offset.
DTYPES: Mapping[type[Structure], Mapping[int, np.dtype[Any]]] = {s: _dtypes(s) for s in RECORDS}
DATA_OFFSET: Mapping[type[Structure], int] = {s: data_offset(s) for s in RECORDS}
