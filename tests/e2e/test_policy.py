"""`intact policy` and `intact record --policy`: what is asked for holds in a recorded tree, is told, and is in its rows."""

import json
import subprocess
import time
from pathlib import Path

from tests.e2e.recorded import ENVIRONMENT, INTACT, intact, kernel_test, record, show

POLICY = """
name: {name}
rules:
  - id: secret
    file: {{path: {folder}/secret, access: [read, write, delete]}}
    action: deny
  - id: program
    exec: {{path: seq, argv: [{{index: 1, is: "3"}}]}}
    action: kill
  - id: place
    connect: {{address: 127.0.0.1, port: 9}}
    action: deny
"""
SCRIPT = """
cat {folder}/secret; echo $?
seq 3; echo $?
bash -c 'echo > /dev/tcp/127.0.0.1/9'; echo $?
cat {folder}/free
rm {folder}/secret; echo $?
"""


def place(folder: Path, name: str = "test") -> Path:
    for file in ("secret", "free"):
        (folder / file).write_text(f"{file}\n")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.format(folder=folder, name=name))
    return policy


@kernel_test
def test_a_recorded_command_is_held_and_its_rows_say_so(tmp_path: Path) -> None:
    policy, data = place(tmp_path), tmp_path / "data"
    ended = record(data, "bash", "-c", SCRIPT.format(folder=tmp_path), options=("--policy", str(policy)))
    assert ended.stdout.decode().split() == ["1", "137", "1", "free", "0"]
    assert b"Operation not permitted" in ended.stderr
    blocked = [e for e in show(data)["effects"] if e["kind"] == "blocked"]
    told = {(e["detail"]["rule_id"], e["detail"]["target_type"], e["detail"]["outcome"]) for e in blocked}
    assert told == {
        ("secret", "open", "prevented"),
        ("secret", "delete", "observed"),
        ("program", "exec", "prevented"),
        ("place", "connect", "prevented"),
    }
    processes = {process["id"]: process for process in show(data)["processes"]}
    for effect in blocked:
        assert effect["detail"]["ppid"] == processes[effect["process_id"]]["ppid"] != 0


@kernel_test
def test_a_policy_that_cannot_be_read_starts_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\nrules:\n  - {id: a, action: dny, connect: {}}\n")
    ended = record(tmp_path / "data", "touch", str(tmp_path / "ran"), options=("--policy", str(bad)))
    assert ended.returncode == 1
    assert b"line 3" in ended.stderr
    assert not (tmp_path / "ran").exists()


@kernel_test
def test_fail_closed_starts_nothing_that_cannot_be_held(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(f"name: x\nrules:\n  - {{id: a, action: deny, fail: closed, file: {{path: {tmp_path}/no/x}}}}\n")
    ended = record(tmp_path / "data", "touch", str(tmp_path / "ran"), options=("--policy", str(policy)))
    assert ended.returncode == 1
    assert b"rule a has fail: closed and cannot be held" in ended.stderr
    assert not (tmp_path / "ran").exists()


@kernel_test
def test_a_policy_applied_meanwhile_is_taken_and_given_up(tmp_path: Path) -> None:
    policy, data = place(tmp_path), tmp_path / "data"
    assert intact("policy", "apply", str(policy), "--data", str(data)).returncode == 0
    assert intact("policy", "remove", "test", "--data", str(data)).returncode == 0
    script = f"while read x; do cat {tmp_path}/secret 2>&1; done"
    running = subprocess.Popen(
        [INTACT, "record", "--data", str(data), "--", "sh", "-c", script],
        env=dict(ENVIRONMENT),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def ask() -> str:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write("\n")
        running.stdin.flush()
        return running.stdout.readline()

    def soon(word: str) -> bool:
        end = time.monotonic() + 8
        while time.monotonic() < end:
            if word in ask():
                return True
            time.sleep(0.2)
        return False

    assert ask() == "secret\n"
    assert intact("policy", "apply", str(policy), "--data", str(data)).returncode == 0
    assert soon("not permitted")
    time.sleep(1.2)
    status = json.loads(intact("policy", "status", str(policy), "--json", "--data", str(data)).stdout)
    assert {rule["rule_id"]: rule["effective"] for rule in status["effective"]} == {
        "secret": "observed",
        "program": "prevented",
        "place": "prevented",
    }
    secret = next(rule for rule in status["effective"] if rule["rule_id"] == "secret")
    assert [(part["mechanism"], part["effective"], part["self_test"]) for part in secret["parts"]] == [
        ("fanotify", "prevented", "passed"),
        ("observe", "observed", ""),
    ]
    assert secret["hits"] >= 1
    assert intact("policy", "remove", str(policy), "--data", str(data)).returncode == 0
    assert soon("secret\n")
    running.communicate(timeout=30)
    assert json.loads(intact("policy", "status", "--json", "--data", str(data)).stdout)["effective"] == []


def test_check_tells_every_problem_or_what_holds_each_rule(tmp_path: Path) -> None:
    policy = place(tmp_path)
    said = intact("policy", "check", str(policy), "--json")
    assert said.returncode == 0
    assert {rule["mechanism"] for rule in json.loads(said.stdout)["rules"]} == {
        "fanotify",
        "observe",
        "exec_kill",
        "cgroup",
    }
    policy.write_text(
        "name: x\nrules:\n  - {id: a, conect: {}, action: deny}\n  - {id: b, file: {path: x}, action: no}\n"
    )
    said = intact("policy", "check", str(policy))
    assert said.returncode == 1
    assert [line.split(": ")[1] for line in said.stderr.splitlines()] == ["line 3", "line 4", "line 4"]
    assert intact("policy", "check", str(tmp_path / "none")).returncode == 2
    assert intact("policy", "check").returncode == 2
    assert intact("policy", "remove", "none", "--data", str(tmp_path)).returncode == 1
