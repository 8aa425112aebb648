"""Workloads that are busy, big or odd, and healthy: the diagnosis has to say that nothing is wrong."""

import subprocess
from collections.abc import Callable
from typing import TypeAlias

from bench.diagnosis.stage import Stage, free_port

Workload: TypeAlias = Callable[[Stage], None]

BIG = """
kept = b"x" * (160 << 20)
ready()
time.sleep(60)
"""
SLEEPING_THREADS = """
threading.stack_size(64 << 10)
for _ in range(250): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
ready()
time.sleep(60)
"""
BURSTS = """
ready()
while True:
    until = time.monotonic() + 0.05
    while time.monotonic() < until: pass
    time.sleep(0.15)
"""
SERVER = """
server = socket.create_server(("127.0.0.1", 0), backlog=16)
def serve():
    while True:
        peer = server.accept()[0]; peer.recv(100); peer.sendall(b"ok"); peer.close()
threading.Thread(target=serve, daemon=True).start()
ready()
while True:
    with socket.create_connection(server.getsockname()) as client:
        client.sendall(b"hello"); client.recv(10)
    time.sleep(0.01)
"""
QUIET_LOG = """
out = open(sys.argv[1], "a", buffering=1)
old = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() - 86_400))
for _ in range(20): out.write(f"{old} ERROR cannot reach 127.0.0.1:{sys.argv[2]}: Connection refused\\n")
for _ in range(5): out.write(f"{old} ERROR write failed: No space left on device\\n")
ready()
while True:
    out.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} INFO request done in 12 ms\\n"); time.sleep(0.05)
"""
BATCH = """
ready()
while True:
    with open(sys.argv[1], "wb") as out: out.write(b"x" * (128 << 10))
    os.unlink(sys.argv[1])
    time.sleep(0.1)
"""
WARM = """
pool = [threading.Thread(target=time.sleep, args=(60,), daemon=True) for _ in range(16)]
for thread in pool: thread.start()
kept = [os.open("/etc/hostname", os.O_RDONLY) for _ in range(100)]
ready()
kept.append(b"x" * (48 << 20))
time.sleep(60)
"""
SPAWNER = """
ready()
while True:
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            time.sleep(0.02); os._exit(0)
        children.append(child)
    for child in children: os.waitpid(child, 0)
    time.sleep(0.05)
"""
RECOVERED = """
port = int(sys.argv[2])
now = time.strftime("%Y-%m-%dT%H:%M:%S")
with open(sys.argv[1], "a") as out:
    for _ in range(30): out.write(f"{now} ERROR cannot reach 127.0.0.1:{port}: Connection refused\\n")
server = socket.create_server(("127.0.0.1", port))
ready()
time.sleep(60)
"""
TEMPORARY = """
out = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
os.write(out, b"x" * (2 << 20)); os.unlink(sys.argv[1])
ready()
time.sleep(60)
"""
DOWNLOAD = """
out = open(sys.argv[1], "wb", buffering=0)
ready()
for _ in range(60):
    out.write(b"x" * (64 << 10)); time.sleep(0.05)
time.sleep(60)
"""


def big_and_stable(stage: Stage) -> None:
    stage.run(BIG)


def many_sleeping_threads(stage: Stage) -> None:
    stage.run(SLEEPING_THREADS)


def bursts_of_work(stage: Stage) -> None:
    stage.run(BURSTS)


def busy_server(stage: Stage) -> None:
    stage.run(SERVER)


def old_errors_in_log(stage: Stage) -> None:
    stage.run(QUIET_LOG, stage.place / "app.log", free_port())


def batches_of_files(stage: Stage) -> None:
    stage.run(BATCH, stage.place / "part.bin")


def warm_up(stage: Stage) -> None:
    stage.run(WARM)


def parent_that_waits(stage: Stage) -> None:
    stage.run(SPAWNER)


def recovered_service(stage: Stage) -> None:
    stage.run(RECOVERED, stage.place / "client.log", free_port())


def small_deleted_file(stage: Stage) -> None:
    stage.run(TEMPORARY, stage.place / "scratch")


def download(stage: Stage) -> None:
    stage.run(DOWNLOAD, stage.place / "image.bin")


def full_image(stage: Stage) -> None:
    """A full, read-only file system to which nobody writes."""
    path = stage.mount("image", "size=2m")
    with (path / "content").open("wb", buffering=0) as file:
        file.write(b"x" * (2 << 20))
    subprocess.run(["mount", "-o", "remount,ro", str(path)], check=True)


def half_full_disk(stage: Stage) -> None:
    path = stage.mount("data", "size=8m,nr_inodes=400")
    (path / "rows").write_bytes(b"x" * (5 << 20))
    for number in range(200):
        (path / f"row-{number}").touch()


HEALTHY: tuple[Workload, ...] = (
    big_and_stable,
    many_sleeping_threads,
    bursts_of_work,
    busy_server,
    old_errors_in_log,
    batches_of_files,
    warm_up,
    parent_that_waits,
    recovered_service,
    small_deleted_file,
    download,
    full_image,
    half_full_disk,
)
# Beside a fault they must not be taken for its cause.
RED_HERRINGS: tuple[Workload, ...] = (big_and_stable, many_sleeping_threads, old_errors_in_log, full_image)
