"""Socket calls to rows, addresses as text."""

import socket

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from intact.decode import wire
from intact.decode.arrow import array_of, binary_of, empty_texts
from intact.decode.columns import batch_of, epoch, join_texts, lengths_of, normalised, shared_columns, start_times
from intact.decode.records import Mask, Part, Rows
from intact.decode.text import texts
from intact.model.effects import NET, Kind
from intact.model.identity import mix_columns

_KINDS = {
    wire.NetOp.CONNECT: Kind.CONNECT,
    wire.NetOp.ACCEPT: Kind.ACCEPT,
    wire.NetOp.BIND: Kind.BIND,
    wire.NetOp.LISTEN: Kind.LISTEN,
    wire.NetOp.SEND: Kind.SEND,
    wire.NetOp.CLOSE: Kind.CLOSE,
}
NET_KIND = np.zeros(max(_KINDS) + 1, np.uint8)
NET_KIND[list(_KINDS)] = list(_KINDS.values())

_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, IPv4 seen through an IPv6 socket


def net_batch(part: Part, host: int, offset_ns: int) -> pa.RecordBatch:
    """TYPE_NET records as rows of `model.effects.NET`."""
    rows = part.rows
    ended = np.ascontiguousarray(rows["ktime_ns"])
    # bind and listen are about our own end; a probe may give it as the one or the other
    own = (rows["op"] == wire.NetOp.BIND) | (rows["op"] == wire.NetOp.LISTEN)
    own &= (rows["port"] == 0) & (rows["local_port"] != 0)
    address = _inet_texts(rows["family"], np.where(own, rows["local_address"], rows["address"]))
    is_unix = rows["family"] == socket.AF_UNIX
    if is_unix.any():
        address = join_texts(is_unix, _unix_texts(part, is_unix), address)
    socket_inode = np.ascontiguousarray(rows["socket"])
    columns = shared_columns(host, rows, NET_KIND[rows["op"]], socket_inode)
    columns |= {
        "at_ns": epoch(offset_ns, start_times(rows["enter_ns"], ended)),
        "end_ns": epoch(offset_ns, ended),
        "result": normalised(rows["result"]),
        "address": address,
        "port": np.where(own, rows["local_port"], rows["port"]),
        "local_address": _inet_texts(rows["family"], rows["local_address"]),
        "sock_kind": rows["kind"],
        "socket": socket_inode,
        "sent_bytes": rows["sent"],
        "received_bytes": rows["received"],
    }
    columns |= {name: rows[name] for name in ("local_port", "family", "protocol", "fd")}
    return batch_of(NET, columns)


def _unix_texts(part: Part, is_unix: Mask) -> pa.Array:
    """Paths of unix sockets; an abstract name begins with a NUL, which is shown as @."""
    lengths = np.where(is_unix, lengths_of(part, "length"), 0)
    abstract = (lengths > 0) & (part.ring[part.starts] == 0)
    path = texts(part.ring, part.starts + abstract, lengths - abstract)
    if not abstract.any():
        return path
    return join_texts(abstract, pc.binary_join_element_wise("@", path, ""), path)


def _inet_texts(family: npt.NDArray[np.uint16], addresses: npt.NDArray[np.void]) -> pa.Array:
    """One text an address; formatted once for each that is different."""
    inet = (family == socket.AF_INET) | (family == socket.AF_INET6)
    if not inet.any():
        return empty_texts(len(family))
    halves = np.ascontiguousarray(addresses).view(np.uint64).reshape(-1, 2)
    keys = mix_columns(halves[:, 0], halves[:, 1], np.where(inet, family, 0).astype(np.uint64))
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    names = [inet_text(int(family[i]), addresses[i].tobytes()) if inet[i] else "" for i in first.tolist()]
    return binary_of([name.encode() for name in names], pa.string()).take(array_of(inverse))


def inet_text(family: int, address: bytes) -> str:
    """An address as people write it; IPv4 seen through an IPv6 socket as IPv4."""
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, address[:4])
    if family == socket.AF_INET6:
        if address.startswith(_MAPPED):
            return socket.inet_ntop(socket.AF_INET, address[12:])
        return socket.inet_ntop(socket.AF_INET6, address)
    return ""


def connected(rows: Rows) -> Mask:
    """Rows that tell the peer of a descriptor: a connect that went through or goes on, an accept."""
    went = (rows["result"] >= 0) | (rows["result"] == -115)  # EINPROGRESS
    inet = (rows["family"] == socket.AF_INET) | (rows["family"] == socket.AF_INET6)
    mask: Mask = (
        went & inet & ((rows["op"] == wire.NetOp.CONNECT) | (rows["op"] == wire.NetOp.ACCEPT)) & (rows["fd"] >= 0)
    )
    return mask
