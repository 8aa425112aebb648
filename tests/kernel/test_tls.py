"""TLS plaintext, byte for byte against what a server of our own received and sent."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from intact.collect import targets
from intact.collect.linkage import libraries
from intact.collect.loader import LIBRARY, OBJECT, Loader, open_library
from intact.collect.resolver import Resolution, TlsRole, resolve
from tests.kernel.tls_recording import Heard, TlsRecording, listen
from tests.kernel.tls_server import TlsServer

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="attaching probes needs root"),
    pytest.mark.skipif(not (LIBRARY.exists() and OBJECT.exists()), reason="the kernel object is not built: make build"),
]

OPERATION_CAP = 4 << 20
PIECE = 16384 - 96

# Requests of one connection after another, each on a socket of its own; prints marker and descriptor.
SYNC_CLIENT = """
import socket, ssl, sys
context = ssl.create_default_context(cafile={ca!r})
def ask(marker, sizes, timeout=None):
    plain = socket.create_connection(("127.0.0.1", {port}))
    plain.settimeout(timeout)
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        for size in sizes:
            body = (marker.encode() * size)[:size]
            tls.sendall(b"POST /" + marker.encode() + b" HTTP/1.1\\r\\nContent-Length: %d\\r\\n\\r\\n" % size + body)
            got = b""
            while b"\\r\\n\\r\\n" not in got:
                got += tls.recv(65536)
            got = got.partition(b"\\r\\n\\r\\n")[2]
            while len(got) < size:
                got += tls.recv(65536)
            assert got == body
        print(marker, tls.fileno(), flush=True)
"""

ASYNC_CLIENT = """
import asyncio, ssl
context = ssl.create_default_context(cafile={ca!r})
async def ask(marker):
    reader, writer = await asyncio.open_connection("127.0.0.1", {port}, ssl=context, server_hostname="localhost")
    for size in (10, 5000, 100000):
        body = (marker.encode() * size)[:size]
        writer.write(b"POST /" + marker.encode() + b" HTTP/1.1\\r\\nContent-Length: %d\\r\\n\\r\\n" % size + body)
        await writer.drain()
        await reader.readuntil(b"\\r\\n\\r\\n")
        assert await reader.readexactly(size) == body
    print(marker, writer.get_extra_info("socket").fileno(), flush=True)
    writer.close()
async def main():
    await asyncio.gather(*(ask(f"async-{{i}}-") for i in range(7)))
asyncio.run(main())
"""

NODE_CLIENT = """
const https = require('https'), fs = require('fs');
const ca = fs.readFileSync(process.env.CA), port = +process.env.PORT;
const ask = (agent, marker, size, next) => {
  const request = https.request({host: '127.0.0.1', port, path: '/' + marker, method: 'POST', ca, agent,
    headers: {'Content-Length': size}}, response => {
      let got = 0;
      response.on('data', d => got += d.length);
      response.on('end', () => { if (got !== size) throw new Error('short'); next && next(); });
  });
  request.on('socket', s => s.on('secureConnect', () => console.log(marker, s._handle.fd)));
  request.end(marker.repeat(size).slice(0, size));
};
let left = 3;
for (let i = 0; i < 3; i++) {
  const agent = new https.Agent({keepAlive: true, maxSockets: 1});
  ask(agent, `node-${i}-`, 50021 * (i + 1), () => ask(agent, `node-${i}-`, 11, () => { if (!--left) process.exit(0); }));
}
"""


@pytest.fixture(name="server", scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with TlsServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(name="cache", scope="module")
def make_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("resolutions")


def ssl_module() -> Path:
    return Path(importlib.import_module("_ssl").__file__ or "")


def client(server: TlsServer, source: str, calls: str = "") -> str:
    return source.format(ca=str(server.certificates.ca_pem), port=server.port) + calls


def check_bytes(recording: TlsRecording, server: TlsServer, marker: str) -> Heard:
    """What was heard in the client is what the server received and sent."""
    heard = recording.hearing(marker.encode())
    served = server.serving(marker.encode())
    assert heard.stream(is_write=True) == bytes(served.received)
    assert heard.stream(is_write=False) == bytes(served.sent)
    assert {c.missing_bytes for c in heard.chunks} == {0}
    return heard


def check_descriptors(recording: TlsRecording, server: TlsServer, markers: list[str]) -> None:
    """Descriptor and peer of every chunk are those the client itself printed."""
    printed = dict(re.findall(r"^(\S+) (\d+)$", recording.output, re.MULTILINE))
    for marker in markers:
        heard = recording.hearing(marker.encode())
        assert heard.descriptors == {int(printed[marker])}, marker
        assert {(c.peer_address, c.peer_port) for c in heard.chunks} == {("127.0.0.1", server.port)}, marker


def test_sync_python_is_heard(server: TlsServer, cache: Path) -> None:
    recording = listen(client(server, SYNC_CLIENT, "ask('sync-', [1, 100, 1000, 5000, 17000, 100003])"), cache=cache)
    heard = check_bytes(recording, server, "sync-")
    assert heard.ended
    check_descriptors(recording, server, ["sync-"])
    recording.check_counts()
    assert recording.counters[6] == len(heard.stream(is_write=True)) + len(heard.stream(is_write=False))


def test_memory_buffers_of_asyncio_are_heard(server: TlsServer, cache: Path) -> None:
    recording = listen(client(server, ASYNC_CLIENT), cache=cache)
    markers = [f"async-{i}-" for i in range(7)]
    for marker in markers:
        check_bytes(recording, server, marker)
    assert len(recording.connections) == 7
    check_descriptors(recording, server, markers)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_is_heard(server: TlsServer, cache: Path) -> None:
    environment = {"CA": str(server.certificates.ca_pem), "PORT": str(server.port)}
    recording = listen(["node", "-e", NODE_CLIENT], cache=cache, environment=environment)
    markers = [f"node-{i}-" for i in range(3)]
    for marker in markers:
        check_bytes(recording, server, marker)
    check_descriptors(recording, server, markers)
    recording.check_counts()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")
def test_the_openssl_program_is_heard(server: TlsServer, cache: Path) -> None:
    argv = ["openssl", "s_client", "-quiet", "-no_ign_eof", "-connect", f"127.0.0.1:{server.port}"]
    argv += ["-CAfile", str(server.certificates.ca_pem)]
    request = b"POST /s_client- HTTP/1.1\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000
    # It leaves at the end of its input: the shell keeps that open until the answer is there.
    shell = 'cat > "$0"; (cat "$0"; sleep 1) | "$@"'
    scratch = str(server.certificates.ca_pem.parent / "request")
    recording = listen(["sh", "-c", shell, scratch, *argv], cache=cache, stdin=request)
    check_bytes(recording, server, "s_client-")


@pytest.mark.parametrize("way", [0, 1, 2], ids=["perf events", "multi", "session"])
def test_every_way_to_attach_hears(server: TlsServer, cache: Path, way: int) -> None:
    library = open_library()
    library.intact_uprobes_limit(way)
    try:
        if library.intact_uprobes_way() != way:
            pytest.skip(f"this kernel has no better way than {library.intact_uprobes_way()}")
        recording = listen(client(server, SYNC_CLIENT, f"ask('way-{way}-', [1, 40000])"), cache=cache)
    finally:
        library.intact_uprobes_limit(2)
    assert check_bytes(recording, server, f"way-{way}-").ended
    check_descriptors(recording, server, [f"way-{way}-"])


def test_files_are_found_after_the_command_began(server: TlsServer, cache: Path) -> None:
    source = client(server, SYNC_CLIENT, "import time; time.sleep(0.5); ask('late-', [2000])")
    check_bytes(listen(source, cache=cache, expect=False), server, "late-")


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_a_library_that_only_the_process_can_reach_is_hooked(server: TlsServer, cache: Path, tmp_path: Path) -> None:
    """In a mount namespace of its own, and deleted before anybody could look."""
    place = tmp_path / "private"
    place.mkdir()
    source = client(
        server,
        SYNC_CLIENT,
        f"""
import os, time
assert {str(place)!r} in open("/proc/self/maps").read()
os.unlink({str(place / "libssl.so.3")!r})
time.sleep(0.5)
ask('private-', [2000])
""",
    )
    library = next(iter(libraries(ssl_module(), "libssl")))
    shell = 'mount -t tmpfs none "$0" && cp "$1" "$0/libssl.so.3" && shift && LD_LIBRARY_PATH=$0 exec "$@"'
    argv = ["unshare", "-m", "sh", "-c", shell, str(place), str(library), sys.executable, "-I", "-c", source]
    check_bytes(listen(argv, cache=cache), server, "private-")


def test_what_the_ring_could_not_take_is_counted(
    server: TlsServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Loader.load

    def load_small(self: Loader) -> None:
        self.resize("ring_tls_16k", 1 << 16)
        load(self)

    monkeypatch.setattr(Loader, "load", load_small)
    recording = listen(client(server, SYNC_CLIENT, "ask('ring-', [1 << 20])"), cache=cache)
    chunks = [c for heard in recording.connections for c in heard.chunks if c.is_write]
    received = bytes(server.serving(b"ring-").received)
    assert recording.counters[2] > 0
    assert sum(len(c.data) + c.missing_bytes for c in chunks) == len(received)
    assert all(received[c.stream_offset :].startswith(c.data) for c in chunks)
    recording.check_counts()


def test_a_mebibyte_in_one_call_is_whole(server: TlsServer, cache: Path) -> None:
    # With a timeout the socket does not block, so the library asks for the same write again and again.
    recording = listen(client(server, SYNC_CLIENT, "ask('large-', [1 << 20], timeout=20)"), cache=cache)
    heard = check_bytes(recording, server, "large-")
    assert max(len(c.data) for c in heard.chunks if c.is_write) >= 1 << 20
    recording.check_counts()


def test_what_is_beyond_the_cap_is_counted(server: TlsServer, cache: Path) -> None:
    size = 6 << 20
    recording = listen(client(server, SYNC_CLIENT, f"ask('huge-', [{size}], timeout=20)"), cache=cache)
    received = bytes(server.serving(b"huge-").received)
    (chunk,) = [c for c in recording.hearing(b"huge-").chunks if c.is_write]
    assert chunk.data == received[:OPERATION_CAP]
    assert chunk.missing_bytes == len(received) - OPERATION_CAP
    assert recording.counters[5] == -(-chunk.missing_bytes // PIECE)
    recording.check_counts()


def test_twenty_connections_at_once(server: TlsServer, cache: Path) -> None:
    calls = """
import threading
threads = [threading.Thread(target=ask, args=(f"thread-{i}-", [100 * i + 1, 40000])) for i in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
"""
    recording = listen(client(server, SYNC_CLIENT, calls), cache=cache)
    markers = [f"thread-{i}-" for i in range(20)]
    for marker in markers:
        check_bytes(recording, server, marker)
    check_descriptors(recording, server, markers)
    assert len(recording.connections) == 20


def test_a_session_object_used_again_is_another_connection(server: TlsServer, cache: Path) -> None:
    calls = "\nfor i in range(11):\n    ask(f'again-{i}-', [500])"
    recording = listen(client(server, SYNC_CLIENT, calls), cache=cache)
    for i in range(11):
        assert check_bytes(recording, server, f"again-{i}-").ended
    check_descriptors(recording, server, [f"again-{i}-" for i in range(11)])


def test_a_session_object_used_again_is_noticed_without_its_free(
    server: TlsServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program with the library inside and no symbols has no SSL_free to hook: the next ClientHello has to do."""

    def resolve_some(path: str, *, deep: bool, cache_directory: Path | None = None) -> Resolution:
        whole = resolve(path, deep=deep, cache_directory=cache_directory)
        kept = tuple(f for f in whole.functions if f.role in (TlsRole.SSL_READ_EX, TlsRole.SSL_WRITE_EX))
        return replace(whole, functions=kept)

    monkeypatch.setattr(targets, "resolve", resolve_some)
    source = (
        client(server, ASYNC_CLIENT)
        .replace("async-", "serial-")
        .replace("asyncio.gather(*(ask(", "one_by_one(ask(")
        .replace("(7)))", "(7))")
    )
    source = source.replace(
        "async def main", "async def one_by_one(asks):\n    for each in asks: await each\nasync def main"
    )
    recording = listen(source, cache=cache)
    markers = [f"serial-{i}-" for i in range(7)]
    for marker in markers:
        check_bytes(recording, server, marker)
    check_descriptors(recording, server, markers)


def test_others_on_the_machine_are_not_heard(server: TlsServer, cache: Path) -> None:
    outside = [sys.executable, "-I", "-c", client(server, SYNC_CLIENT, "[ask(f'out-{i}-', [100]) for i in range(20)]")]
    with subprocess.Popen(outside, stdout=subprocess.PIPE) as other:
        recording = listen(client(server, SYNC_CLIENT, "[ask(f'in-{i}-', [100]) for i in range(7)]"), cache=cache)
        assert other.communicate()[0].count(b"out-") == 20
    assert len(recording.connections) == 7
    assert all(b"out-" not in chunk.data for heard in recording.connections for chunk in heard.chunks)


RAW_CLIENT = """
import socket, time
plain = socket.create_connection(("127.0.0.1", {port}))
plain.send(bytes.fromhex("16030100650100006103") + bytes(96))
time.sleep({seconds})
"""


@pytest.mark.parametrize("seconds", [0, 5])
def test_a_talker_who_is_not_heard_is_named(server: TlsServer, cache: Path, seconds: int) -> None:
    recording = listen(RAW_CLIENT.format(port=server.port, seconds=seconds), cache=cache)
    (loss,) = [loss for loss in recording.losses if loss.cause == "not_heard"]
    assert loss.count == 1
    assert loss.note is not None
    assert f"pid {recording.pid}" in loss.note
    assert f"127.0.0.1:{server.port}" in loss.note
    told = next(raw for raw in recording.raw if raw.unheard)
    if seconds:
        assert os.path.realpath(sys.executable) in loss.note
        assert told.until_ktime_ns - told.unheard[0].ktime_ns < 10_000_000_000


def test_a_heard_talker_is_not_named(server: TlsServer, cache: Path) -> None:
    recording = listen(client(server, SYNC_CLIENT, "ask('named-', [10]); import time; time.sleep(4)"), cache=cache)
    assert not [loss for loss in recording.losses if loss.cause == "not_heard"]


def test_a_refused_certificate_is_not_deafness(server: TlsServer, cache: Path) -> None:
    source = client(server, SYNC_CLIENT) + "\ncontext = ssl.create_default_context()\nask('refused-', [10])"
    recording = listen(source, cache=cache)
    assert "CERTIFICATE_VERIFY_FAILED" in recording.output
    assert not [loss for loss in recording.losses if loss.cause == "not_heard"]
