"""Addresses and ports: what is denied does not happen, by any way to the same place; all else does."""

import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.govern.governed import governed, policy

pytestmark = pytest.mark.kernel

TRIES = """
denied, free = int(sys.argv[1]), int(sys.argv[2])
six = socket.AF_INET6
def fast_open():
    with socket.socket() as s:
        s.sendto(b"x", 0x20000000, ("127.0.0.1", denied))
def connected_udp():
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", denied))
def made(*a):
    socket.socket(*a).close()
print(json.dumps({
    "tcp": attempt(tcp, "127.0.0.1", denied),
    "mapped": attempt(tcp, "::ffff:127.0.0.1", denied, six),
    "unspecified": attempt(tcp, "0.0.0.0", denied),
    "unspecified six": attempt(tcp, "::", denied, six),
    "unspecified mapped": attempt(tcp, "::ffff:0.0.0.0", denied, six),
    "udp": attempt(udp, "127.0.0.1", denied),
    "udp mapped": attempt(udp, "::ffff:127.0.0.1", denied, six),
    "udp connected": attempt(connected_udp),
    "fast open": attempt(fast_open),
    "raw": attempt(made, socket.AF_INET, socket.SOCK_RAW, 255),
    "ping": attempt(made, socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
    "multipath": attempt(made, socket.AF_INET, socket.SOCK_STREAM, 262),
    "other port": attempt(tcp, "127.0.0.1", free),
    "other address": attempt(tcp, "127.0.0.2", denied),
    "udp other port": attempt(udp, "127.0.0.1", free),
    "unix": attempt(made, socket.AF_UNIX),
}))
"""
WAYS_OUT = ("other port", "other address", "udp other port", "unix")


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """Two ports of this machine that are listened on, on every address of it."""
    listening = [socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) for _ in range(2)]
    yield listening[0].getsockname()[1], listening[1].getsockname()[1]
    for server in listening:
        server.close()


def loopback(port: int) -> dict[str, object]:
    return {"id": "net", "connect": {"address": ["127.0.0.1", "::1"], "port": port}}


def test_no_way_to_a_denied_place_succeeds_and_others_do(ports: tuple[int, int]) -> None:
    with governed(loopback(ports[0])) as tree:
        told = tree.run(TRIES, *map(str, ports))
        assert tree.effective("net") == "prevented"
        hits = tree.hits()
    assert {way for way, went in told.items() if went == "done"} == set(WAYS_OUT), told
    # This kernel lets root's groups make no ping socket at all, which it says first.
    refused = {way: went for way, went in told.items() if way not in WAYS_OUT and (way, went) != ("ping", "EACCES")}
    assert set(refused.values()) == {"EPERM"}
    assert {hit.outcome for hit in hits} == {"prevented"}
    assert {(hit.address, hit.port) for hit in hits if hit.target == "connect"} == {("127.0.0.1", ports[0])}
    assert all(hit.process_id and hit.result == -1 for hit in hits)


def test_a_thousand_connects_in_a_race_none_succeed(ports: tuple[int, int]) -> None:
    source = "print(race(lambda n, i: attempt(tcp, '127.0.0.1', int(sys.argv[1]))))"
    with governed(loopback(ports[0])) as tree:
        assert tree.run(source, str(ports[0])) == 0
        assert tree.count("net") == 1000
        assert len([hit for hit in tree.hits() if hit.outcome == "prevented"]) == 1000


def test_others_are_not_touched(ports: tuple[int, int]) -> None:
    with governed(loopback(ports[0])), socket.create_connection(("127.0.0.1", ports[0]), timeout=2):
        pass


def test_exceptions_let_through(ports: tuple[int, int]) -> None:
    rule = {"id": "net", "connect": {"address": "127.0.0.0/8"}, "except": [{"address": "127.0.0.2", "port": ports[1]}]}
    source = """
a, b = int(sys.argv[1]), int(sys.argv[2])
print(json.dumps([attempt(tcp, "127.0.0.2", b), attempt(tcp, "127.0.0.2", a), attempt(tcp, "127.0.0.1", b)]))
"""
    with governed(rule) as tree:
        assert tree.run(source, *map(str, ports)) == ["done", "EPERM", "EPERM"]


def test_protocol_and_range_are_kept_apart(ports: tuple[int, int]) -> None:
    rule = {"id": "net", "connect": {"address": "127.0.0.1", "port": f"{ports[0]}-{ports[0]}", "protocol": "udp"}}
    source = "print(json.dumps([attempt(f, '127.0.0.1', int(sys.argv[1])) for f in (tcp, udp)]))"
    with governed(rule) as tree:
        assert tree.run(source, str(ports[0])) == ["done", "EPERM"]


def test_bind_is_refused() -> None:
    source = """
def bind(address, port, family=socket.AF_INET):
    with socket.socket(family) as s:
        s.bind((address, port))
print(json.dumps([attempt(bind, "127.0.0.1", 8099), attempt(bind, "::", 8099, socket.AF_INET6), attempt(bind, "127.0.0.1", 0)]))
"""
    with governed({"id": "listen", "bind": {"port": "8000-8100"}}) as tree:
        assert tree.run(source) == ["EPERM", "EPERM", "done"]
        assert {hit.target for hit in tree.hits()} == {"bind"}


def test_audit_only_tells(ports: tuple[int, int]) -> None:
    with governed({**loopback(ports[0]), "action": "audit"}) as tree:
        assert tree.run("print(json.dumps(attempt(tcp, '127.0.0.1', int(sys.argv[1]))))", str(ports[0])) == "done"
        assert tree.effective("net") == "observed"
        assert [(hit.outcome, hit.result) for hit in tree.hits()] == [("observed", 0)]


def test_kill_refuses_and_then_kills(ports: tuple[int, int]) -> None:
    source = "attempt(tcp, '127.0.0.1', int(sys.argv[1]))\nimport time\ntime.sleep(30)\nprint(1)"
    with governed({**loopback(ports[0]), "action": "kill"}) as tree:
        began = time.monotonic()
        assert tree.run(source, str(ports[0])) is None
        assert time.monotonic() - began < 10


def test_children_and_threads_are_held(ports: tuple[int, int]) -> None:
    source = """
import threading
out = []
t = threading.Thread(target=lambda: out.append(attempt(tcp, "127.0.0.1", int(sys.argv[1]))))
t.start(); t.join()
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(w, attempt(tcp, "127.0.0.1", int(sys.argv[1])).encode())
    os._exit(0)
os.wait()
out.append(os.read(r, 100).decode())
print(json.dumps(out))
"""
    with governed(loopback(ports[0])) as tree:
        assert tree.run(source, str(ports[0])) == ["EPERM", "EPERM"]


def test_who_leaves_the_cgroup_is_killed(ports: tuple[int, int]) -> None:
    source = """
import time
open(sys.argv[2] + "/cgroup.procs", "w").write("0")
print(json.dumps(attempt(tcp, "127.0.0.1", int(sys.argv[1]))))
"""
    with governed(loopback(ports[0])) as tree:
        assert tree.run(source, str(ports[0]), str(tree.cgroup.path.parent)) is None
        assert [(hit.target, hit.outcome) for hit in tree.hits()] == [("cgroup", "prevented")]


def test_a_subordinate_cgroup_is_no_way_out(ports: tuple[int, int]) -> None:
    source = """
os.mkdir(sys.argv[2] + "/below")
open(sys.argv[2] + "/below/cgroup.procs", "w").write("0")
print(json.dumps(attempt(tcp, "127.0.0.1", int(sys.argv[1]))))
"""
    with governed(loopback(ports[0])) as tree:
        assert tree.run(source, str(ports[0]), str(tree.cgroup.path)) == "EPERM"


def test_rules_change_while_it_runs(ports: tuple[int, int]) -> None:
    source = """
for line in sys.stdin:
    print(attempt(tcp, "127.0.0.1", int(sys.argv[1])), flush=True)
"""

    def ask(child: "subprocess.Popen[str]") -> str:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n")
        child.stdin.flush()
        return child.stdout.readline().strip()

    with governed() as tree:
        child = tree.start(source, str(ports[0]))
        assert ask(child) == "done"
        tree.governor.apply([policy(loopback(ports[0]))])
        assert ask(child) == "EPERM"
        tree.governor.apply([])
        assert ask(child) == "done"
        child.kill()
        child.communicate()


def test_rules_of_an_agent_hold_for_it_and_its_children_only(ports: tuple[int, int]) -> None:
    source = """
import time
for line in sys.stdin:
    r, w = os.pipe()
    if os.fork() == 0:
        os.write(w, attempt(tcp, "127.0.0.1", int(sys.argv[1])).encode())
        os._exit(0)
    os.wait()
    print(attempt(tcp, "127.0.0.1", int(sys.argv[1])), os.read(r, 50).decode(), flush=True)
"""

    def ask(child: "subprocess.Popen[str]") -> str:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n")
        child.stdin.flush()
        return child.stdout.readline().strip()

    with governed({**loopback(ports[0]), "agent": "claude*"}) as tree:
        one, other = tree.start(source, str(ports[0])), tree.start(source, str(ports[0]))
        assert (ask(one), ask(other)) == ("done done", "done done")
        tree.governor.learn(one.pid, "claude-code")
        assert (ask(one), ask(other)) == ("EPERM EPERM", "done done")
        for child in (one, other):
            child.kill()
            child.communicate()


def test_the_self_test_leaves_nothing_behind(ports: tuple[int, int]) -> None:
    with governed(loopback(ports[0])) as tree:
        proven = {name: said for name, said in tree.governor.self_tests.items() if name not in ("seccomp", "landlock")}
        assert proven == {"cgroup": "passed", "exec_kill": "passed", "fanotify": "passed"}
        assert not (tree.cgroup.path.parent / f"{tree.cgroup.path.name}-selftest").exists()
        assert tree.hits() == []
        assert tree.count("net") == 0
