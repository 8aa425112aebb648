"""When the gate stalls or dies, nobody hangs; what then becomes of the tree is what the policy says."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intact.model.errors import NotSupported
from tests.govern.governed import Governed, governed

pytestmark = pytest.mark.kernel

TRIES = """
import time
began = time.monotonic()
went = attempt(read, sys.argv[1])
print(json.dumps([went, time.monotonic() - began]))
"""


def gate_of(tree: Governed) -> int:
    """The process that holds the fanotify descriptor."""
    watchdog = tree.governor._gate.pid  # type: ignore[union-attr]
    return int(Path(f"/proc/{watchdog}/task/{watchdog}/children").read_text().split()[0])


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("x\n")
    return path


def rule(secret: Path, **more: object) -> dict[str, object]:
    return {"id": "open", "file": {"path": str(secret)}, **more}


def test_only_the_gate_holds_the_descriptor(secret: Path) -> None:
    with governed(rule(secret)) as tree:
        holders = []
        for pid in (gate_of(tree), tree.governor._gate.pid, os.getpid()):  # type: ignore[union-attr]
            entries = Path(f"/proc/{pid}/fd").iterdir()
            holders.append(sum(entry.is_symlink() and "fanotify" in os.readlink(entry) for entry in entries))
        assert holders == [1, 0, 0]


def test_a_gate_that_stalls_is_ended_and_all_go_on(secret: Path) -> None:
    with governed(rule(secret)) as tree:
        assert tree.run(TRIES, str(secret))[0] == "EPERM"
        os.kill(gate_of(tree), signal.SIGSTOP)
        began = time.monotonic()
        outside = subprocess.run([sys.executable, "-I", "-S", "-c", f"open({str(secret)!r})"], check=False, timeout=10)
        took = time.monotonic() - began
        assert outside.returncode == 0
        assert took < 3.0, took
        went, _ = tree.run(TRIES, str(secret))
        assert went == "done"  # fail: open
        tree.hits()
        status = tree.governor.status()[0]
        assert status.effective == "not_enforced"
        assert "silent" in status.parts[0].note


def test_a_gate_that_is_killed_is_told_and_all_go_on(secret: Path) -> None:
    with governed(rule(secret)) as tree:
        os.kill(gate_of(tree), signal.SIGKILL)
        time.sleep(0.3)
        assert tree.run(TRIES, str(secret))[0] == "done"
        tree.hits()
        assert tree.effective("open") == "not_enforced"


def test_a_watchdog_that_is_killed_takes_the_gate_with_it(secret: Path) -> None:
    with governed(rule(secret)) as tree:
        gate = gate_of(tree)
        os.kill(tree.governor._gate.pid, signal.SIGKILL)  # type: ignore[union-attr]
        time.sleep(0.3)
        assert not Path(f"/proc/{gate}").exists() or "Z" in Path(f"/proc/{gate}/stat").read_text().split()[2]
        tree.hits()
        assert tree.effective("open") == "not_enforced"


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_fail_closed_kills_the_tree_when_the_gate_is_lost(secret: Path, number: int) -> None:
    with governed(rule(secret, fail="closed")) as tree:
        child = tree.start("import time\ntime.sleep(30)")
        os.kill(gate_of(tree), number)
        assert child.wait(timeout=5) == -signal.SIGKILL
        child.communicate()


def test_fail_closed_kills_the_tree_when_its_governor_dies(tmp_path: Path) -> None:
    # A governor in a process of its own, which is killed: nothing that it held is left, so the tree must not be either.
    source = """
import sys, time
from tests.govern.governed import governed
with governed({"id": "net", "connect": {"port": 9}, "fail": "closed"}) as tree:
    child = tree.start("import time\\ntime.sleep(60)")
    print(child.pid, tree.cgroup.path, flush=True)
    time.sleep(60)
"""
    root = Path(__file__).parents[2]
    governor = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, cwd=root, env={"PYTHONPATH": str(root)}
    )
    assert governor.stdout is not None
    pid, cgroup = governor.stdout.readline().split()
    governor.kill()
    governor.communicate()
    for _ in range(100):
        if not Path(cgroup, "cgroup.procs").read_text().split():
            break
        time.sleep(0.05)
    assert Path(cgroup, "cgroup.procs").read_text() == ""
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    os.rmdir(cgroup)


def test_fail_closed_refuses_to_start_on_what_it_cannot_hold(tmp_path: Path) -> None:
    with (
        pytest.raises(NotSupported, match="rule open has fail: closed and cannot be held"),
        governed(rule(tmp_path / "none" / "secret", fail="closed")),
    ):
        pass


def test_the_end_leaves_the_tree_running_and_free(secret: Path) -> None:
    with governed(rule(secret, fail="closed")) as tree:
        child = tree.start("import time\ntime.sleep(1)\nprint(attempt(read, sys.argv[1]))", str(secret))
        tree.governor.close()
        assert child.communicate()[0] == "done\n"
