"""The machine as it is: known processes, files, sockets and mounts are found, and nothing outside of the scope is."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.collect import host_processes
from intact.collect.host_metrics import HostMeter, sample
from intact.collect.host_network import sockets
from intact.collect.host_space import read_mounts
from intact.collect.host_state import LocalHost
from intact.collect.masking import MASK, masked, masked_command
from intact.model.host import Part, Unreadable, Within

CHILD = """
import os, sys, time
kept = [os.open("/etc/hostname", os.O_RDONLY) for _ in range(20)]
out = open(sys.argv[1] + "/growing.log", "w")
gone = open(sys.argv[1] + "/gone", "w"); gone.write("x" * 100_000); gone.flush(); os.unlink(gone.name)
if os.fork() == 0: os._exit(0)
print("ready", flush=True)
while True: out.write("x" * 10_000); out.flush(); time.sleep(0.01)
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_process_with_all_that_it_holds(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    made = LocalHost(Within(pids=(child.pid,), paths=(str(tmp_path),))).sample(list(Part), window_s=0.3, steps=3)
    assert len(made.snapshots) == 4
    one = next(each for each in made.snapshots[-1].processes if each.pid == child.pid)
    assert {each.ppid for each in made.snapshots[-1].processes} <= {os.getpid(), child.pid}
    assert (one.ppid, one.zombies, one.uid) == (os.getpid(), 1, os.geteuid())
    assert one.fds is not None
    assert one.fds >= 25
    assert abs(time.time_ns() - one.started_ns) < 60 * 10**9
    files = {Path(each.path).name: each for each in made.files}
    assert files["growing.log"].growth_bytes > 50_000
    assert not files["growing.log"].is_deleted
    assert files["gone"].is_deleted
    assert files["gone"].bytes >= 100_000
    assert made.mounts == ()
    assert [log.source for log in made.logs] == [str(tmp_path / "growing.log")]
    assert 0 <= made.reading_s < 5


def test_nothing_of_others_is_in_a_scope() -> None:
    made = LocalHost(Within(pids=(1 << 22,))).sample(list(Part))
    assert made.snapshots[0].processes == ()
    assert made.files == made.listeners == made.connections == made.mounts == made.logs == ()


def test_the_whole_machine() -> None:
    made = LocalHost(name="me").sample(list(Part), window_s=0.2, steps=1)
    assert made.host == "me"
    assert os.getpid() in {each.pid for each in made.snapshots[-1].processes}
    assert "/" in {mount.path for mount in made.mounts}
    assert {each.name for each in made.interfaces} >= {"lo"}
    if not Path("/run/systemd/system").is_dir():
        assert Unreadable.SERVICES in {each.what for each in made.unread}


def test_sockets_of_the_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=7) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        found = [each for each in sockets() if each.port == port]
        client.close()
    assert {(each.state, each.received, each.sent) for each in found if each.state == "LISTEN"} == {("LISTEN", 1, 7)}


@given(st.binary(max_size=30).filter(lambda name: b"\0" not in name))
def test_a_name_may_hold_anything(name: bytes) -> None:
    line = b"42 (" + name + b") S 1 2 3 4 5 6 7 8 9 10 100 50 13 14 15 16 3 18 777 20 5 22\n"
    found = host_processes._stat(line)
    assert (found.pid, found.state, found.ppid, found.threads, found.start_ticks) == (42, "S", 1, 3, 777)


def test_metrics_are_cheap_and_have_their_host() -> None:
    meter = HostMeter()
    meter.measure()
    time.sleep(0.1)
    times = []
    for _ in range(5):
        began = time.thread_time()
        facts = sample(meter.measure(), "web-1", 7)
        times.append(time.thread_time() - began)
    assert min(times) < 0.010
    assert len({fact.id for fact in facts}) == len(facts)
    assert all(fact.labels["host"] == "web-1" and fact.at_ns == 7 for fact in facts)
    names = {fact.name for fact in facts}
    assert names >= {"cpu.count", "memory.used_percent", "load.1m", "uptime", "processes.count", "space.used_percent"}
    values = {fact.name: fact.value for fact in facts}
    assert values["cpu.count"] == os.cpu_count()
    assert 0 <= values["memory.used_percent"] <= 100


def test_mounts_agree_with_the_kernel() -> None:
    root = next(mount for mount in read_mounts(Within()).rows if mount.path == "/")
    room = os.statvfs("/")
    assert root.size_bytes == room.f_blocks * room.f_frsize
    assert 0 < root.used_percent <= 100


@pytest.mark.parametrize("address", ["8.8.8.8", "127.0.0.1.example.org", "localhost", ""])
def test_only_addresses_of_this_machine_are_tried(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        LocalHost().connect(address, 80)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("mysql --password=hunter2", "hunter2"),
        ("curl -H 'Authorization: Bearer abcdef' x", "abcdef"),
        ("git clone https://me:pw1234@host/x", "pw1234"),
        ("--api-key sk-abcdefgh12345 run", "sk-abcdefgh12345"),
        ("AWS_SECRET_ACCESS_KEY=abc/def+ghi cmd", "abc/def+ghi"),
        ("tool ghp_abcdefghijklmnop1234", "ghp_abcdefghijklmnop1234"),
        ("mysql -uroot -phunter2 db", "hunter2"),
        ("sh -c mysqldump -h x -phunter2", "hunter2"),
        ("redis-cli -h x -a hunter2", "hunter2"),
        ("curl -s -u admin:hunter2 http://x/", "hunter2"),
        ("sshpass -p hunter2 ssh x", "hunter2"),
        ("password=a,hunter2", "hunter2"),
        ('{"password": "a&hunter2"}', "hunter2"),
        ('--password="my hunter2 phrase"', "hunter2"),
        ("Cookie: sessionid=hunter2", "hunter2"),
        ('{\\"api_key\\": \\"hunter2\\"}', "hunter2"),
        ("postgres://u:p@hunter2@h/db", "hunter2"),
        ("db_pwd=hunter2", "hunter2"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIhunter2", "hunter2"),
        ("login failed: with password hunter2", "hunter2"),
        ("CREATE USER a IDENTIFIED BY 'hunter2 x'", "hunter2"),
        ("密码：hunter2", "hunter2"),
        ("intact_" + "a" * 12 + "_" + "b" * 43, "bbbb"),
        ("post https://hooks.slack.com/services/T00/B00/hunter2", "hunter2"),
    ],
)
def test_secrets_are_masked(text: str, secret: str) -> None:
    assert secret not in masked(text)
    assert MASK in masked(text)


@pytest.mark.parametrize(
    "words", [["x", "--password", "my hunter2 phrase"], ["x", "--db-password=my hunter2 phrase", "y"]]
)
def test_secrets_of_several_words_are_masked_whole(words: list[str]) -> None:
    assert masked_command(words).startswith("x --")
    assert "hunter2" not in masked_command(words)
    assert "phrase" not in masked_command(words)


@pytest.mark.parametrize(
    "piece", ["password", "--a", "mysql ", "cookie", "://a:", "-p ", "password=", "curl -u ", "\\", '"']
)
def test_masking_takes_no_longer_for_hostile_text(piece: str) -> None:
    began = time.process_time()
    masked(piece * (8_000 // len(piece)))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text",
    [
        "token expired for user 7", "auth service failed", "python -m pytest tests", "Failed password for root from 10.0.0.1",
        "PWD=/home/me", "nginx -p /etc/nginx", "http://web-1:8080/a/b", "mysqld --port 3306 -u mysql", "curl -u me http://x/",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text
