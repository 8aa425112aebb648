"""A TLS server on loopback that answers each request with its own body, and remembers every byte of each connection."""

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tests.standin.certificates import Certificates, make_certificates, server_context


@dataclass(slots=True)
class Served:
    """One connection, from the server's side."""

    client_port: int
    received: bytearray = field(default_factory=bytearray)
    sent: bytearray = field(default_factory=bytearray)


class TlsServer:
    """HTTP/1.1 with content lengths, keep-alive; one thread a connection."""

    def __init__(self, folder: Path) -> None:
        self.certificates: Certificates = make_certificates(folder)
        self.connections: list[Served] = []
        self._context: ssl.SSLContext = server_context(self.certificates)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "TlsServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def serving(self, marker: bytes) -> Served:
        """The one connection whose request has this marker."""
        (found,) = [c for c in self.connections if marker in c.received[:4096]]
        return found

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, (_, port) = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(plain, port), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket, port: int) -> None:
        plain.settimeout(20)
        served = Served(port)
        # A client that only says hello, or leaves early, is part of the tests.
        with contextlib.suppress(OSError, EOFError), plain, self._context.wrap_socket(plain, server_side=True) as tls:
            self.connections.append(served)
            while True:
                self._answer(tls, served)

    def _answer(self, tls: ssl.SSLSocket, served: Served) -> None:
        request = bytearray()
        while b"\r\n\r\n" not in request:
            request += self._read(tls, served)
        head, _, body = bytes(request).partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        length = int(lengths[0]) if lengths else 0
        whole = bytearray(body)
        while len(whole) < length:
            whole += self._read(tls, served)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + bytes(whole[:length])
        served.sent += answer
        tls.sendall(answer)

    def _read(self, tls: ssl.SSLSocket, served: Served) -> bytes:
        got = tls.recv(1 << 16)
        if not got:
            raise EOFError
        served.received += got
        return got
