"""The kernel side of TLS from Python: uprobes on files, files that became executable, and who talks TLS unheard."""

import os
import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_char,
    c_char_p,
    c_int,
    c_ubyte,
    c_uint,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass
from ipaddress import ip_address

from intact.collect.loader import Loader
from intact.collect.resolver import TlsFunction, TlsRole
from intact.model.errors import NotSupported

# What the return program has to see; the others are done with at entry.
AT_RETURN = frozenset({TlsRole.SSL_READ, TlsRole.SSL_WRITE, TlsRole.SSL_READ_EX, TlsRole.SSL_WRITE_EX, TlsRole.SSL_NEW})
AT_BOTH = 2  # enum intact_uprobe_end of uprobes.h: 0 entry, 1 return
MAX_CLOSERS = 16
MAX_PLACES = 64  # of uprobes.c
MAX_SOCKETS = 4096  # entries of the map tls_sockets
MAX_MAPPED = 1024  # length of the queue tls_mapped

_ADDRESS_BYTES = {2: 4, 10: 16}  # AF_INET, AF_INET6


class _Place(Structure):
    _fields_ = (("file_offset", c_uint64), ("cookie", c_uint64))


class _File(Structure):
    _fields_ = (("inode", c_uint64), ("device", c_uint32), ("pad", c_uint32))


class _Mapped(Structure):
    _fields_ = (("file", _File), ("tgid", c_uint32), ("is_exec", c_uint32))


class _Socket(Structure):
    """`struct tls_socket_key` and `struct tls_socket` of bpf/tls.bpf.h."""

    _fields_ = (
        ("tgid", c_uint32),
        ("fd", c_int),
        ("hello_ns", c_uint64),
        ("start_ns", c_uint64),
        ("heard_ns", c_uint64),
        ("connection", c_uint64),
        ("sends", c_uint32),
        ("unheard", c_uint32),
        ("family", c_uint16),
        ("port", c_uint16),
        ("address", c_ubyte * 16),
        ("comm", c_char * 16),
        ("pad", c_uint32),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A file not looked at before that became executable in a process of the scope"""

    inode: int
    device: int
    tgid: int
    is_exec: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Talker:
    """A descriptor on which a process of the scope sent a ClientHello."""

    tgid: int
    fd: int
    hello_ns: int  # boot clock
    start_ns: int  # of the process
    heard: bool
    sends: int  # of more than an alert, since the hello
    earlier_unheard: int  # connections before this one on the same descriptor
    address: str
    port: int
    comm: str


class Uprobes:
    """Uprobes of the TLS programs; closing takes them off. One file may be attached by one thread at a time."""

    def __init__(self, loader: Loader) -> None:
        self._library = loader.library
        number = c_int
        self._library.intact_uprobes_attach.argtypes = [
            number,
            c_char_p,
            POINTER(_Place),
            c_uint,
            number,
            POINTER(number),
            c_uint,
        ]
        self._library.intact_map_entries.argtypes = [number, c_void_p, c_uint]
        self._library.intact_queue_pop.argtypes = [number, c_void_p]
        self._library.intact_map_set.argtypes = [number, c_void_p, c_void_p]
        self._library.intact_map_has.argtypes = [number, c_void_p]
        self._library.intact_map_remove.argtypes = [number, c_void_p]
        # One program for both ends of a call where the kernel has that, else one for each.
        self._session = loader.program_fd("tls_session")
        if self._session is None:
            self._enter = self._need(loader.program_fd("tls_enter"))
            self._return = self._need(loader.program_fd("tls_return"))
        self._sockets = self._need(loader.map_fd("tls_sockets"))
        self._callers = self._need(loader.map_fd("tls_callers"))
        self._files = self._need(loader.map_fd("tls_files"))
        self._mapped = self._need(loader.map_fd("tls_mapped"))
        self._links: dict[tuple[int, int], list[int]] = {}  # by device and inode

    def attach(self, path: str, functions: Iterable[TlsFunction]) -> str:
        """Hook the functions of one file; the reason in words if that failed, else ""."""
        functions = list(functions)[:MAX_PLACES]
        try:
            status = os.stat(path)
        except OSError as error:
            return error.strerror or "gone"
        # What hung on this inode is about other contents: breakpoints there would break the program.
        for link in self._links.pop((status.st_dev, status.st_ino), []):
            os.close(link)
        links = self._links[(status.st_dev, status.st_ino)] = []
        if self._session is not None:
            return self._attach(self._session, path, functions, links)
        returning = [f for f in functions if f.role in AT_RETURN]
        return self._attach(self._enter, path, functions, links) or self._attach(self._return, path, returning, links)

    def detach(self) -> None:
        """Take every hook off. May be called twice."""
        links = [link for made in self._links.values() for link in made]
        self._links.clear()
        if links:
            # The kernel waits for a grace period at each close, and those can be waited for together.
            with ThreadPoolExecutor(max_workers=min(len(links), MAX_CLOSERS)) as closers:
                list(closers.map(os.close, links))

    def mapped(self) -> list[Mapped]:
        """Files that became executable since the last call."""
        found: list[Mapped] = []
        item = _Mapped()
        while len(found) < MAX_MAPPED and self._library.intact_queue_pop(self._mapped, byref(item)) == 1:
            file = item.file
            found.append(Mapped(inode=file.inode, device=file.device, tgid=item.tgid, is_exec=bool(item.is_exec)))
        return found

    def looked_at(self, mapped: Mapped) -> None:
        """Tell the kernel side that this file need not be named again."""
        key, value = _File(inode=mapped.inode, device=mapped.device), c_uint32(1)
        self._library.intact_map_set(self._files, byref(key), byref(value))

    def talkers(self) -> list[Talker]:
        """Every descriptor that carries TLS from our side of the handshake."""
        entries = (_Socket * MAX_SOCKETS)()
        count = self._library.intact_map_entries(self._sockets, entries, MAX_SOCKETS)
        return [_talker(entry) for entry in entries[: max(count, 0)]]

    def forget(self, talker: Talker) -> None:
        """Drop one descriptor: it has been reported."""
        key = struct.pack("=Ii", talker.tgid, talker.fd)
        self._library.intact_map_remove(self._sockets, key)

    def is_hooked(self, tgid: int) -> bool:
        """Whether the process has called any hooked function."""
        key = c_uint32(tgid)
        return bool(self._library.intact_map_has(self._callers, byref(key)) == 1)

    def _attach(self, program: int, path: str, functions: list[TlsFunction], links: list[int]) -> str:
        if not functions:
            return ""
        places = (_Place * len(functions))(*[_Place(f.file_offset, f.role.value) for f in functions])
        made = (c_int * len(functions))()
        end = AT_BOTH if self._session is not None else int(program == self._return)
        count = self._library.intact_uprobes_attach(
            program, os.fsencode(path), places, len(functions), end, made, len(functions)
        )
        if count < 0:
            return os.strerror(-count)
        links.extend(made[:count])
        return ""

    @staticmethod
    def _need(descriptor: int | None) -> int:
        if descriptor is None:
            raise NotSupported("the kernel object has no TLS probes; run: make setup")
        return descriptor


def _talker(entry: _Socket) -> Talker:
    length = _ADDRESS_BYTES.get(entry.family, 0)
    return Talker(
        tgid=entry.tgid,
        fd=entry.fd,
        hello_ns=entry.hello_ns,
        start_ns=entry.start_ns,
        heard=entry.heard_ns >= entry.hello_ns,
        sends=entry.sends,
        earlier_unheard=entry.unheard,
        address=str(ip_address(bytes(entry.address)[:length])) if length else "",
        port=entry.port,
        comm=entry.comm.decode("utf-8", "replace"),
    )
