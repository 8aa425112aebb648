"""Socket calls of known conversations: addresses, results, and every byte at the close."""

import errno
import socket
from pathlib import Path

import pytest

from intact.decode.wire import NetOp, Type
from tests.kernel.recording import Record, Recording, record

pytestmark = pytest.mark.kernel

# A server and a client in one process: 1009 bytes there in odd pieces, 509 back; the addresses are printed.
CONVERSATION = """
import os, socket
def talk(family, address):
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind(address); server.listen(3)
    client = socket.socket(family, socket.SOCK_STREAM)
    client.connect(server.getsockname())
    accepted, _ = server.accept()
    client.send(b"x" * 499); client.sendmsg([b"x" * 7, b"x" * 3]); os.write(client.fileno(), b"x" * 251)
    os.writev(client.fileno(), [b"x" * 200, b"x" * 49])
    got = 0
    while got < 1009:
        got += len((accepted.recv, lambda n: accepted.recvmsg(n)[0], lambda n: os.read(accepted.fileno(), n))[got % 3](97))
    accepted.sendall(b"y" * 509)
    got = 0
    while got < 509: got += client.recv_into(bytearray(101))
    print(server.fileno(), client.fileno(), accepted.fileno(), *server.getsockname()[1:2], *client.getsockname()[1:2])
    client.close(); accepted.close(); server.close()
"""


def _address(r: Record, *, local: bool = False) -> tuple[str, int]:
    raw = bytes(r.fixed.local_address if local else r.fixed.address)  # type: ignore[attr-defined]
    text = socket.inet_ntop(r.family, raw[:4] if r.family == socket.AF_INET else raw)
    return text, r.local_port if local else r.port


def _net(recording: Recording, op: NetOp, fd: int | None = None) -> list[Record]:
    return [r for r in recording.of(Type.NET, op=op, tgid=recording.pid) if fd is None or r.fd == fd]


@pytest.mark.parametrize(("family", "host"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1")])
def test_a_tcp_conversation(family: str, host: str) -> None:
    recording = record(f"{CONVERSATION}\ntalk(socket.{family}, ({host!r}, 0))")
    recording.check_counts()
    server, client, accepted, port, client_port = map(int, recording.output.split())
    (bound,) = _net(recording, NetOp.BIND)
    (listening,) = _net(recording, NetOp.LISTEN)
    (connected,) = _net(recording, NetOp.CONNECT, client)
    (taken,) = _net(recording, NetOp.ACCEPT)
    ends = {r.fd: r for r in _net(recording, NetOp.CLOSE) if r.socket in (bound.socket, connected.socket, taken.socket)}
    assert bound.fd == listening.fd == server
    assert taken.fd == accepted
    assert _address(bound, local=True) == _address(listening, local=True) == (host, port)
    assert _address(connected) == (host, port)
    assert _address(connected, local=True) == _address(taken) == (host, client_port)
    assert _address(taken, local=True) == (host, port)
    assert {
        r.result for r in recording.of(Type.NET, tgid=recording.pid) if r.op != NetOp.CONNECT or r is connected
    } == {0}
    assert {(r.family, r.protocol, r.kind) for r in (bound, connected, taken)} == {
        (getattr(socket, family), socket.IPPROTO_TCP, socket.SOCK_STREAM)
    }
    assert {fd: (r.sent, r.received) for fd, r in ends.items()} == {
        client: (1009, 509),
        accepted: (509, 1009),
        server: (0, 0),
    }
    assert connected.header.ktime_ns >= connected.enter_ns > 0


@pytest.mark.parametrize(("address", "name"), [("named", None), ("\0intact-abstract", b"\0intact-abstract")])
def test_a_unix_conversation(tmp_path: Path, address: str, name: bytes | None) -> None:
    recording = record(f"{CONVERSATION}\nos.chdir({str(tmp_path)!r})\ntalk(socket.AF_UNIX, {address!r})")
    recording.check_counts()
    server, client, accepted = map(int, recording.output.split()[:3])
    wanted = name or bytes(tmp_path / "named")
    for op, fd in ((NetOp.BIND, server), (NetOp.LISTEN, server), (NetOp.CONNECT, client), (NetOp.ACCEPT, accepted)):
        told = [r for r in _net(recording, op, fd) if r.data == wanted]
        assert [(r.family, r.kind, r.result) for r in told] == [(socket.AF_UNIX, socket.SOCK_STREAM, 0)], op
    ends = {r.fd: (r.sent, r.received) for r in _net(recording, NetOp.CLOSE) if r.data == wanted}
    assert ends == {client: (1009, 509), accepted: (509, 1009), server: (0, 0)}


def test_connects_that_fail_tell_where_and_why(tmp_path: Path) -> None:
    recording = record(
        f"""
import socket
def attempt(family, kind, address, blocking=True):
    s = socket.socket(family, kind); s.setblocking(blocking)
    try: s.connect(address)
    except OSError: pass
attempt(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 1))
attempt(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 1))
attempt(socket.AF_INET6, socket.SOCK_STREAM, ("::ffff:127.0.0.1", 1))
attempt(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 1), blocking=False)
attempt(socket.AF_UNIX, socket.SOCK_STREAM, {str(tmp_path / "none")!r})
attempt(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53))
"""
    )
    recording.check_counts()
    inet = [r for r in _net(recording, NetOp.CONNECT) if r.family != socket.AF_UNIX]
    assert [(*_address(r), r.result) for r in inet] == [
        ("127.0.0.1", 1, -errno.ECONNREFUSED),
        ("::1", 1, -errno.ECONNREFUSED),
        ("::ffff:127.0.0.1", 1, -errno.ECONNREFUSED),
        ("127.0.0.1", 1, -errno.EINPROGRESS),
        ("127.0.0.1", 53, 0),
    ]
    unix = [r for r in _net(recording, NetOp.CONNECT) if r.data == bytes(tmp_path / "none")]
    assert [r.result for r in unix] == [-errno.ENOENT]


def test_the_first_datagram_to_each_destination() -> None:
    recording = record(
        """
import ctypes, os, socket
servers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
for s in servers: s.bind(("127.0.0.1", 0))
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(11):
    c.sendto(b"x" * 13, servers[0].getsockname())
    c.sendmsg([b"x" * 10, b"x" * 7], [], 0, servers[1].getsockname())
try: c.sendto(b"x", ("127.0.0.1", 0))
except OSError as e: print(e.errno)
# sendmmsg: three datagrams in one call
libc = ctypes.CDLL(None)
addr = bytes([2, 0]) + servers[2].getsockname()[1].to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
name = ctypes.create_string_buffer(addr, 16)
data = ctypes.create_string_buffer(b"z" * 19, 19)
iov = (ctypes.c_uint64 * 2)(ctypes.addressof(data), 19)
one = (ctypes.c_uint64 * 8)(ctypes.addressof(name), 16, ctypes.addressof(iov), 1, 0, 0, 0, 0)
vec = (ctypes.c_uint64 * 24)(*one, *one, *one)
assert libc.syscall(307, c.fileno(), vec, 3, 0) == 3
for s in servers: print(s.getsockname()[1])
print(c.fileno())
for s in servers: s.recv(100)
c.close()
"""
    )
    recording.check_counts()
    error, first, second, third, fd = map(int, recording.output.split())
    assert [(*_address(r), r.result) for r in _net(recording, NetOp.SEND, fd)] == [
        ("127.0.0.1", first, 0),
        ("127.0.0.1", second, 0),
        ("127.0.0.1", 0, -error),
        ("127.0.0.1", third, 0),
    ]
    (end,) = [r for r in _net(recording, NetOp.CLOSE, fd) if r.kind == socket.SOCK_DGRAM]
    assert end.sent == 11 * 13 + 11 * 17 + 3 * 19
    assert end.protocol == socket.IPPROTO_UDP


@pytest.mark.parametrize("end", ["close", "exit", "exec", "dup2", "child"])
def test_a_socket_ends_once_however_it_ends(end: str) -> None:
    code = {
        "close": "c.close()",
        "exit": "os._exit(0)",
        "exec": "os.execv('/bin/true', ['true'])",
        "dup2": "os.dup2(0, c.fileno())",
        "child": "pid = os.fork()\nif pid == 0: time.sleep(0.1); os._exit(0)\nc.close(); os.waitpid(pid, 0)",
    }[end]
    recording = record(
        f"""
import os, socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(1)
c = socket.create_connection(s.getsockname()); c.send(b"x" * 37)
{code}
"""
    )
    recording.check_counts()
    (connected,) = [r for r in recording.of(Type.NET, op=NetOp.CONNECT) if r.result == 0]
    ends = [r for r in recording.of(Type.NET, op=NetOp.CLOSE) if r.socket == connected.socket]
    assert [(r.sent, r.received) for r in ends] == [(37, 0)]
    assert (ends[0].header.tgid == recording.pid) == (end != "child")


@pytest.mark.parametrize("end", ["s.close()", "os.execv('/bin/true', ['true'])", "os._exit(0)"])
def test_an_exec_that_fails_closes_nothing(end: str) -> None:
    recording = record(
        f"""
import os, socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(1)
for _ in range(3):
    try: os.execv("/nonexistent", ["x"])
    except OSError: pass
{end}
"""
    )
    recording.check_counts()
    (listening,) = recording.of(Type.NET, op=NetOp.LISTEN)
    ends = [r for r in recording.of(Type.NET, op=NetOp.CLOSE) if r.socket == listening.socket]
    assert len(ends) == 1
