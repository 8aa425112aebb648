"""Programs by name and arguments: the image is killed before its first instruction, and nothing else is."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.govern.governed import copy_of, governed

pytestmark = pytest.mark.kernel


@pytest.fixture
def touch(tmp_path: Path) -> Path:
    """A program that leaves a trace if it ran at all."""
    return copy_of("/usr/bin/touch", tmp_path / "touch-it")


RUNS = "print(json.dumps([run(*argv) for argv in json.loads(sys.argv[1])]))"


def runs(tree: "object", *commands: list[str]) -> list[str]:

    return tree.run(RUNS, json.dumps(commands))  # type: ignore[attr-defined, no-any-return]


def test_conditions_on_arguments(touch: Path) -> None:
    cases = {
        "is": ([{"index": 1, "is": "push"}], ["push"], ["pushed"], ["-", "push"]),
        "anywhere": ([{"is": "--force"}], ["a", "--force"], ["a", "--forced"], ["--for", "ce"]),
        "starts": ([{"starts": "--for"}], ["--force"], ["-force"], ["x--force"]),
        "ends": ([{"ends": ".pem"}], ["a", "b.pem"], ["b.pem2"], [".pe", "m"]),
        "contains": ([{"contains": "rm -rf"}], ["x; rm -rf /"], ["rm", "-rf"], ["rm  -rf"]),
        "two": ([{"index": 1, "is": "a"}, {"index": 2, "is": "b"}], ["a", "b"], ["b", "a"], ["a"]),
    }
    trace = str(touch.parent / "trace-")
    for name, (argv, matching, *others) in cases.items():
        with governed({"id": "x", "exec": {"path": str(touch), "argv": argv}, "action": "kill"}) as tree:
            told = runs(tree, [str(touch), *matching], *([str(touch), *other] for other in others))
            assert told[0] == "signal 9", name
            assert "signal 9" not in told[1:], (name, told)
            hits = tree.hits()
            assert [(hit.outcome, hit.path, list(hit.argv)) for hit in hits] == [
                ("prevented", str(touch), [str(touch), *matching])
            ]
    assert not list(touch.parent.glob(os.path.basename(trace) + "*"))


def test_a_thousand_execs_in_a_race_leave_no_trace(touch: Path) -> None:
    source = """
d = sys.argv[1]
def tries(n, i):
    return run(d + "/touch-it", "--", d + "/ran-%d-%d" % (n, i))
print(race(tries))
"""
    with governed({"id": "x", "exec": {"path": "touch-it", "argv": [{"index": 1, "is": "--"}]}}) as tree:
        assert tree.run(source, str(touch.parent)) == 0
        assert tree.effective("x") == "prevented"
        assert tree.count("x") == 1000
        assert len([hit for hit in tree.hits() if hit.outcome == "prevented"]) == 1000
    assert not list(touch.parent.glob("ran-*"))


def test_a_name_is_held_wherever_it_stands_and_others_are_not(touch: Path) -> None:
    other = copy_of("/bin/true", touch.parent / "dont-touch-it")
    with governed({"id": "x", "exec": {"path": "touch-it"}}) as tree:
        assert runs(tree, [str(touch), "x"], [str(other)]) == ["signal 9", "done"]
        subprocess.run([touch, touch.parent / "mine"], check=True)
    assert (touch.parent / "mine").exists()


def test_a_script_is_held_by_its_own_path(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(0o755)
    with governed({"id": "x", "exec": {"path": "script", "argv": [{"contains": "a"}]}}) as tree:
        assert runs(tree, [str(script), "a"]) == ["signal 9"]
    assert not (tmp_path / "ran").exists()


def test_the_line_as_a_person_reads_it(touch: Path) -> None:
    with governed({"id": "x", "exec": {"line": {"contains": "touch-it a b"}}}) as tree:
        assert runs(tree, [str(touch), "a", "b", "c"], [str(touch), "a b"], ["/bin/true", "a", "b"]) == [
            "signal 9",
            "signal 9",
            "done",
        ]


def test_exceptions(touch: Path) -> None:
    rule = {"id": "x", "exec": {"path": str(touch)}, "except": [{"argv": [{"index": 1, "is": "--version"}]}]}
    with governed(rule) as tree:
        assert runs(tree, [str(touch), "--version"], [str(touch), "x"]) == ["done", "signal 9"]


def test_audit_tells_and_lets_run(touch: Path) -> None:
    with governed({"id": "x", "exec": {"path": str(touch)}, "action": "audit"}) as tree:
        assert runs(tree, [str(touch), str(touch.parent / "ran")]) == ["done"]
        assert [(hit.outcome, hit.signal, hit.result) for hit in tree.hits()] == [("observed", 0, 0)]
    assert (touch.parent / "ran").exists()


def test_arguments_too_long_to_read_are_told_or_killed(touch: Path) -> None:
    rule = {"id": "x", "exec": {"path": str(touch), "argv": [{"is": "--evil"}]}, "action": "kill"}
    command = [str(touch), "--version", "x" * 20_000, "--evil"]
    with governed(rule) as tree:
        assert runs(tree, command) == ["done"]
        assert [(hit.outcome, hit.signal) for hit in tree.hits()] == [("missed", 0)]
        assert tree.governor.losses()["argv_clipped"] == 1
    with governed({**rule, "fail": "closed"}) as tree:
        assert runs(tree, command) == ["signal 9"]
    # An argument whose place was read is decided, however long the rest is.
    with governed({**rule, "exec": {"path": str(touch), "argv": [{"index": 1, "is": "-"}]}, "fail": "closed"}) as tree:
        assert runs(tree, command) == ["done"]
        assert tree.hits() == []


def test_a_match_behind_much_else_is_found(touch: Path) -> None:
    with governed({"id": "x", "exec": {"path": str(touch), "argv": [{"ends": "evil"}]}, "action": "kill"}) as tree:
        assert runs(tree, [str(touch), "--version", "x" * 15_000, "--evil"]) == ["signal 9"]


def test_a_thread_that_execs_is_still_governed(touch: Path) -> None:
    source = """
import threading
d = sys.argv[1]
r, w = os.pipe()
if os.fork() == 0:
    t = threading.Thread(target=lambda: os.execv("/bin/sh", ["sh", "-c", "%s/touch-it %s/ran; echo $?" % (d, d)]))
    os.dup2(w, 1)
    t.start()
    t.join()
os.close(w)
os.wait()
print(os.read(r, 100).decode())
"""
    with governed({"id": "x", "exec": {"path": "touch-it"}}) as tree:
        assert tree.run(source, str(touch.parent)) == 137
    assert not (touch.parent / "ran").exists()
