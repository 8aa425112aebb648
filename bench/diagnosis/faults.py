"""Faults made for real: each tells what the diagnosis has to find, and on which object."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from bench.diagnosis.stage import Stage, free_port

Expected: TypeAlias = set[tuple[str, str]]
Scene: TypeAlias = Callable[[Stage], Expected]

CPU_HOG = """
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
ready()
while True: pass
"""
MEMORY_LEAK = """
ready()
kept = []
while len(kept) < 300:
    kept.append(b"x" * (1 << 20)); time.sleep(0.025)
time.sleep(60)
"""
DESCRIPTORS = """
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
kept = [os.open("/etc/hostname", os.O_RDONLY) for _ in range(235)]
ready()
while True:
    if len(kept) < 245: kept.append(os.open("/etc/hostname", os.O_RDONLY))
    time.sleep(0.1)
"""
ZOMBIES = """
for _ in range(40):
    if os.fork() == 0: os._exit(0)
ready()
time.sleep(60)
"""
LOG_STORM = """
out = open(sys.argv[1], "a", buffering=1 << 16)
line = "request failed, trying again at once " * 5 + "\\n"
written, most = 0, int(sys.argv[2])
ready()
while True:
    for _ in range(1_000):
        if written + len(line) < most:
            try: written += out.write(line)
            except OSError: written = most
    try: out.flush()
    except OSError: pass
    time.sleep(0.02)
"""
REFUSED = """
out = open(sys.argv[1], "a", buffering=1)
port = int(sys.argv[2])
for number in range(10_000):
    try: socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError as error:
        out.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} ERROR cannot reach 127.0.0.1:{port}: {os.strerror(error.errno)}\\n")
    if number == 5: ready()
    time.sleep(0.05)
"""
THREADS = """
threading.stack_size(64 << 10)
ready()
for _ in range(600):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    time.sleep(0.01)
time.sleep(60)
"""
FORKS = """
ready()
for _ in range(250):
    if os.fork() == 0:
        time.sleep(60); os._exit(0)
    time.sleep(0.02)
time.sleep(60)
"""
EATER = """
group = sys.argv[1]
ready()
for _ in range(60):
    child = os.fork()
    if child == 0:
        open(group + "/cgroup.procs", "w").write("0")
        kept = b"x" * (96 << 20)
        os._exit(0)
    os.waitpid(child, 0)
    time.sleep(0.15)
time.sleep(60)
"""
IO_HOG = """
data = b"x" * (4 << 20)
out = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o600)
os.posix_fallocate(out, 0, 64 << 20)
os.fsync(out)
ready()
while True:
    for place in range(16):
        os.pwrite(out, data, place * len(data))
        os.fdatasync(out)
"""
SLEEPER = """
ready()
while True: time.sleep(0.05)
"""
CLOSE_WAIT = """
server = socket.create_server(("127.0.0.1", 0), backlog=64)
kept = []
for _ in range(40):
    client = socket.create_connection(server.getsockname())
    kept.append(server.accept()[0])
    client.close()
ready()
time.sleep(60)
"""
READ_ONLY = """
out = open(sys.argv[1], "a", buffering=1)
for number in range(10_000):
    try: open(sys.argv[2] + "/state.json", "w").close()
    except OSError as error: out.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} ERROR saving: {error}\\n")
    if number == 5: ready()
    time.sleep(0.05)
"""
OVERFLOW = """
server = socket.socket(); server.bind(("127.0.0.1", int(sys.argv[1]))); server.listen(4)
kept = []
for _ in range(12):
    client = socket.socket(); client.setblocking(False)
    client.connect_ex(server.getsockname()); kept.append(client)
time.sleep(0.3)
ready()
time.sleep(60)
"""
DELETED = """
out = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o600)
for _ in range(int(sys.argv[2])): os.write(out, b"x" * (1 << 20))
os.unlink(sys.argv[1])
ready()
time.sleep(60)
"""


def cpu_hog(stage: Stage) -> Expected:
    return {("cpu_hog", stage.label(stage.run(CPU_HOG)))}


def memory_leak(stage: Stage) -> Expected:
    process = stage.run(MEMORY_LEAK, group=stage.memory_group(512 << 20))
    return {("memory_leak", stage.label(process))}


def disk_full(stage: Stage) -> Expected:
    path = stage.mount("data", "size=8m")
    _fill(path / "old.bin", 8 << 20)
    return {("disk_full", str(path))}


def inodes_exhausted(stage: Stage) -> Expected:
    path = stage.mount("queue", "size=8m,nr_inodes=200")
    for number in range(199):
        (path / f"message-{number}").touch()
    return {("inodes_exhausted", str(path))}


def descriptor_leak(stage: Stage) -> Expected:
    return {("descriptor_leak", stage.label(stage.run(DESCRIPTORS)))}


def zombie_flood(stage: Stage) -> Expected:
    return {("zombie_flood", stage.label(stage.run(ZOMBIES)))}


def log_storm(stage: Stage) -> Expected:
    path = stage.place / "app.log"
    stage.run(LOG_STORM, path, 60 << 20)
    return {("log_storm", str(path))}


def log_storm_fills_disk(stage: Stage) -> Expected:
    """The full disk is a symptom."""
    path = stage.mount("var", "size=24m")
    stage.run(LOG_STORM, path / "app.log", 23 << 20)
    _until_filled(path, 0.9)
    return {("log_storm", str(path / "app.log"))}


def refused_port(stage: Stage) -> Expected:
    port = free_port()
    stage.run(REFUSED, stage.place / "client.log", port)
    return {("refused_port", f"127.0.0.1:{port}")}


def thread_flood(stage: Stage) -> Expected:
    return {("thread_flood", stage.label(stage.run(THREADS)))}


def fork_flood(stage: Stage) -> Expected:
    return {("fork_flood", stage.label(stage.run(FORKS)))}


def oom_kill(stage: Stage) -> Expected:
    group = stage.memory_group(48 << 20)
    stage.run(EATER, group)
    return {("oom_kill", str(group))}


def io_hog(stage: Stage) -> Expected:
    return {("io_hog", stage.label(stage.run(IO_HOG, stage.place / "data.bin")))}


def stuck_process(stage: Stage) -> Expected:
    process = stage.run(SLEEPER)
    os.kill(process.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 5  # on a busy machine it takes a moment until it stops
    while (
        Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T"
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    return {("stuck_process", stage.label(process))}


def connection_leak(stage: Stage) -> Expected:
    return {("connection_leak", stage.label(stage.run(CLOSE_WAIT)))}


def read_only_mount(stage: Stage) -> Expected:
    path = stage.mount("state", "size=4m")
    subprocess.run(["mount", "-o", "remount,ro", str(path)], check=True)
    stage.run(READ_ONLY, stage.place / "saver.log", path)
    return {("read_only_mount", str(path))}


def listen_overflow(stage: Stage) -> Expected:
    port = free_port()
    stage.run(OVERFLOW, port)
    return {("listen_overflow", f"127.0.0.1:{port}")}


def deleted_open_file(stage: Stage) -> Expected:
    path = stage.mount("spool", "size=32m")
    stage.run(DELETED, path / "upload.tmp", 28)
    return {("deleted_open_file", str(path / "upload.tmp"))}


def _fill(path: Path, size: int) -> None:
    with path.open("wb", buffering=0) as file:
        left = size
        while left > 0:
            try:
                left -= file.write(b"x" * min(left, 64 << 10))
            except OSError:  # it is full
                return


def _until_filled(path: Path, share: float) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        room = os.statvfs(path)
        if 1 - room.f_bfree / room.f_blocks >= share:
            return
        time.sleep(0.01)


FAULTS: tuple[Scene, ...] = (
    cpu_hog,
    memory_leak,
    disk_full,
    inodes_exhausted,
    descriptor_leak,
    zombie_flood,
    log_storm,
    refused_port,
    thread_flood,
    fork_flood,
    oom_kill,
    io_hog,
    stuck_process,
    connection_leak,
    read_only_mount,
    listen_overflow,
    deleted_open_file,
    log_storm_fills_disk,
)
DOUBLES: tuple[tuple[Scene, Scene], ...] = (
    (cpu_hog, disk_full),
    (descriptor_leak, zombie_flood),
    (log_storm_fills_disk, stuck_process),
    (thread_flood, refused_port),
    (memory_leak, inodes_exhausted),
)
