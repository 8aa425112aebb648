"""Records made by hand, as the kernel side would write them."""

from collections.abc import Iterable, Mapping, Sequence
from ctypes import Structure, sizeof
from dataclasses import dataclass
from typing import Any

from intact.decode import wire
from intact.model.slice import Host, RawSlice

HOST = Host(name="here", boot_id="b0", kernel="Linux", boot_offset_ns=1_700_000_000_000_000_000)
START = 5_000

FAMILY_OF = {
    wire.Fork: "process",
    wire.Exec: "process",
    wire.Argv: "process",
    wire.Exit: "process",
    wire.Credential: "process",
    wire.Signal: "process",
    wire.File: "file",
    wire.Io: "io",
    wire.Net: "net",
    wire.Tls: "tls",
}


@dataclass(frozen=True, slots=True)
class Made:
    ring: str
    ktime_ns: int
    data: bytes


def record(
    struct: type[Structure],
    record_type: int,
    ktime_ns: int,
    *,
    data: bytes = b"",
    size: str | None = None,
    **fields: Any,
) -> Made:
    """One record in the smallest class that holds it. `h_x` sets field x of the header, any other the structure's own."""
    made = struct()
    made.h.ktime_ns, made.h.type, made.h.start_ns = ktime_ns, record_type, START
    made.h.tgid = made.h.tid = 42
    made.h.uid, made.h.gid, made.h.cgroup_id, made.h.length = 1000, 1001, 7, len(data)
    for name, value in fields.items():
        target, name = (made.h, name[2:]) if name.startswith("h_") else (made, name)
        if isinstance(value, bytes) and name in ("address", "local_address"):
            value = (type(getattr(target, name)))(*value.ljust(16, b"\0"))
        setattr(target, name, value)
    begin = wire.data_offset(struct)
    whole = bytes(made)[:begin] + data
    class_name = size or next(
        name for name, n in wire.CLASS_BYTES.items() if n >= max(len(whole), min(sizeof(made), 256))
    )
    return Made(f"{FAMILY_OF[struct]}_{class_name}", ktime_ns, whole.ljust(wire.CLASS_BYTES[class_name], b"\0"))


def file(ktime_ns: int, path: bytes, old: bytes = b"", *, op: int = wire.FileOp.OPEN, **fields: Any) -> Made:
    lengths = {"path_length": len(path), "old_path_length": len(old)}
    fields = {"enter_ns": ktime_ns - 10, "fd": 3, "inode": 99, "device": 8, **lengths, **fields}
    return record(wire.File, wire.Type.FILE, ktime_ns, data=path + old, h_op=op, **fields)


def io(ktime_ns: int, path: bytes, *, op: int = wire.IoOp.WRITE, **fields: Any) -> Made:
    fields = {
        "first_ns": ktime_ns - 200,
        "last_ns": ktime_ns - 100,
        "bytes": 512,
        "count": 2,
        "fd": 3,
        "inode": 99,
        **fields,
    }
    return record(wire.Io, wire.Type.IO, ktime_ns, data=path, h_op=op, **fields)


def net(ktime_ns: int, address: bytes, *, op: int = wire.NetOp.CONNECT, family: int = 2, **fields: Any) -> Made:
    fields = {"enter_ns": ktime_ns - 10, "fd": 5, "port": 443, "socket": 77, "kind": 1, "protocol": 6, **fields}
    return record(wire.Net, wire.Type.NET, ktime_ns, address=address, family=family, h_op=op, **fields)


def fork(ktime_ns: int, child: int, **fields: Any) -> Made:
    fields = {"child_start_ns": ktime_ns - 1, "child_tgid": child, "child_tid": child, "comm": b"sh", **fields}
    return record(wire.Fork, wire.Type.FORK, ktime_ns, **fields)


def exec_(
    ktime_ns: int, exe: bytes, argv: bytes, *, kind: int = wire.Type.EXEC, cut: int = 16_000, **fields: Any
) -> list[Made]:
    """An exec and its argument pieces of at most `cut` bytes."""
    fields = {"parent_tgid": 41, "parent_start_ns": START - 1, "comm": b"prog", "argv_total": len(argv), **fields}
    lengths = {"exe_length": len(exe), "cwd_length": len(b"/tmp")}
    made = [record(wire.Exec, kind, ktime_ns, data=exe + b"/tmp", **lengths, **fields)]
    for i, at in enumerate(range(0, len(argv), cut)):
        piece = argv[at : at + cut]
        whole = {"offset": at, "total": len(argv), "h_sequence": i}
        made.append(record(wire.Argv, wire.Type.ARGV, ktime_ns, data=piece, **whole))
    return made


def exit_(ktime_ns: int, code: int = 0, signal: int = 0, **fields: Any) -> Made:
    return record(wire.Exit, wire.Type.EXIT, ktime_ns, exit_code=code, exit_signal=signal, comm=b"prog", **fields)


def credential(ktime_ns: int, before: Sequence[int] = (), after: Sequence[int] = (), /, **fields: Any) -> Made:
    """`before` and `after` are supplementary groups."""
    data = b"".join(group.to_bytes(4, "little") for group in (*before, *after))
    fields = {"h_op": wire.CredentialCall.SETUID, "enter_ns": ktime_ns - 10, "groups_before": len(before), **fields}
    return record(wire.Credential, wire.Type.CREDENTIAL, ktime_ns, data=data, **{"groups_after": len(after), **fields})


def signal(ktime_ns: int, number: int, target: int, **fields: Any) -> Made:
    fields = {"target_tgid": target, "target_start_ns": START + 1, **fields}
    return record(wire.Signal, wire.Type.SIGNAL, ktime_ns, signal=number, **fields)


def tls(ktime_ns: int, data: bytes, *, stream_offset: int = 0, cut: int = 16_000, **fields: Any) -> list[Made]:
    """One operation in pieces of at most `cut` bytes."""
    fields = {"connection": 0xABC, "generation": 1, "fd": 5, "direction": wire.Direction.WRITE, "basis": 4, **fields}
    whole = {"stream_offset": stream_offset, "total": len(data)}
    made = []
    for at in range(0, len(data), cut):
        piece = data[at : at + cut]
        flags = wire.Flag.LAST if at + len(piece) == len(data) else 0
        made.append(record(wire.Tls, wire.Type.TLS, ktime_ns, data=piece, offset=at, h_flags=flags, **whole, **fields))
    return made


def tls_end(ktime_ns: int, **fields: Any) -> Made:
    return record(wire.Tls, wire.Type.TLS_END, ktime_ns, **{"connection": 0xABC, "generation": 1, "fd": 5, **fields})


def raw(
    records: Iterable[Made], *, until: int = 1 << 40, counters: Mapping[str, tuple[int, ...]] | None = None
) -> RawSlice:
    """One slice of these records."""
    rings: dict[str, bytearray] = {}
    for made in records:
        rings.setdefault(made.ring, bytearray()).extend(made.data)
    return RawSlice(until_ktime_ns=until, rings=rings, counters=counters or {})


def cut_at(records: Iterable[Made], cuts: Iterable[int]) -> list[RawSlice]:
    """The same records in slices that end at these times, as a drain would bring them."""
    edges = [*sorted(set(cuts)), 1 << 40]
    known = list(records)
    slices = []
    before = 0
    for edge in edges:
        slices.append(raw((r for r in known if before <= r.ktime_ns < edge), until=edge))
        before = edge
    return slices
