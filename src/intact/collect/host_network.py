"""Ports, connections and interfaces of this machine; asked of the kernel over netlink, which needs no privilege."""

import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil

from intact.model.host import Connections, Interface, Listener

MOST_SOCKETS = 200_000
PROBE_S = 1.0
_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG, linux/netlink.h
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY, linux/sock_diag.h
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_STATES = (  # include/net/tcp_states.h, from 1 on
    "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK",
    "LISTEN", "CLOSING", "NEW_SYN_RECV",
)  # fmt: skip
_MESSAGE = struct.Struct("=BBBB2s2s16s16sI8sIIIII")  # struct inet_diag_msg


@dataclass(frozen=True, slots=True)
class Socket:
    """One socket as the kernel tells it."""

    protocol: str
    state: str
    address: str
    port: int
    received: int  # of a listening one: connections that wait to be accepted
    sent: int  # of a listening one: as many may wait
    inode: int


def sockets() -> list[Socket]:
    """The TCP and UDP sockets of our network namespace; empty where the kernel does not tell."""
    found: list[Socket] = []
    with contextlib.suppress(OSError):
        for protocol, number in (("tcp", socket.IPPROTO_TCP), ("udp", socket.IPPROTO_UDP)):
            for family in (socket.AF_INET, socket.AF_INET6):
                found += _dump(protocol, number, family)
    return found[:MOST_SOCKETS]


def listeners(
    found: list[Socket], owners: Mapping[int, int], names: Mapping[int, str], *, all_of_them: bool
) -> tuple[Listener, ...]:
    """The ports that are listened on, by these processes or, with `all_of_them`, by anybody."""
    rows = []
    for each in found:
        if each.state != "LISTEN" and not (each.protocol == "udp" and each.state == "CLOSE" and each.port):
            continue
        pid = owners.get(each.inode)
        if pid is None and not all_of_them:
            continue
        is_tcp = each.protocol == "tcp"
        rows.append(
            Listener(
                address=each.address,
                port=each.port,
                protocol=each.protocol,
                pid=pid,
                name=names.get(pid, "") if pid is not None else "",
                queued=each.received if is_tcp else 0,
                backlog=each.sent if is_tcp else None,
            )
        )
    return tuple(sorted(rows, key=lambda row: (row.protocol, row.port, row.address)))


def connections(
    found: list[Socket], owners: Mapping[int, int], names: Mapping[int, str], *, all_of_them: bool
) -> tuple[Connections, ...]:
    """Connections by process and state, most first."""
    counts: Counter[tuple[int | None, str]] = Counter()
    for each in found:
        pid = owners.get(each.inode)
        if each.protocol == "tcp" and each.state != "LISTEN" and (pid is not None or all_of_them):
            counts[pid, each.state] += 1
    rows = [
        Connections(pid=pid, name=names.get(pid, "") if pid is not None else "", state=state, count=count)
        for (pid, state), count in counts.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.count, row.pid or 0, row.state)))


def interfaces() -> tuple[Interface, ...]:
    """The network interfaces."""
    up = psutil.net_if_stats()
    return tuple(
        Interface(
            name=name,
            is_up=name in up and up[name].isup,
            received_bytes=each.bytes_recv,
            sent_bytes=each.bytes_sent,
            errors=each.errin + each.errout,
            dropped=each.dropin + each.dropout,
        )
        for name, each in sorted(psutil.net_io_counters(pernic=True).items())
    )


def connect(address: str, port: int, *, timeout_s: float = PROBE_S) -> tuple[str, int]:
    """Try to connect, say nothing, and close: what came of it, and the errno.

    Returns:
        `open`, `refused`, `timeout` or `error`.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as out:
        out.settimeout(timeout_s)
        try:
            out.connect((address, port))
        except TimeoutError:
            return "timeout", 0
        except ConnectionRefusedError as error:
            return "refused", error.errno or 0
        except OSError as error:
            return "error", error.errno or 0
    return "open", 0


def _dump(protocol: str, number: int, family: int) -> Iterator[Socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as line:
        line.settimeout(2.0)
        request = struct.pack("=BBBxI48x", family, number, 0, 0xFFFFFFFF)
        line.send(struct.pack("=IHHII", 16 + len(request), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + request)
        while True:
            data = line.recv(1 << 18)
            place = 0
            while place + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, place)
                if kind in (_ERROR, _DONE) or length < 16:
                    return
                if length >= 16 + _MESSAGE.size:
                    yield _socket(protocol, family, _MESSAGE.unpack_from(data, place + 16))
                place += (length + 3) & ~3


def _socket(protocol: str, family: int, row: tuple[int | bytes, ...]) -> Socket:
    _, state, _, _, port, _, address, _, _, _, _, received, sent, _, inode = row
    assert isinstance(port, bytes)
    assert isinstance(address, bytes)
    number = int(state)
    return Socket(
        protocol=protocol,
        state=_STATES[number - 1] if 1 <= number <= len(_STATES) else "",
        address=socket.inet_ntop(family, address[:4] if family == socket.AF_INET else address),
        port=int.from_bytes(port, "big"),
        received=int(received),
        sent=int(sent),
        inode=int(inode),
    )
