"""Policies applied to a running sensor: held for the agents of its scope, told to the table, a webhook and syslog."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from intact.collect.loader import NATIVE
from tests.govern.governed import copy_of
from tests.kernel.watching import ENVIRONMENT, INTACT, Program, Watch

pytestmark = pytest.mark.skipif(
    not (NATIVE / "govern.bpf.o").exists(), reason="the kernel object of enforcement was not built: make -C bpf"
)

# Tries to connect, or to run something, each time it is sent a line, and says how that went.
CONNECTS = """
import errno, json, socket, subprocess, sys
code = '''
import errno, socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2).close()
    print("done")
except OSError as error:
    print(errno.errorcode.get(error.errno))
'''
print("there", flush=True)
for line in sys.stdin:
    if not line.strip():
        break
    if line.startswith("["):
        try:
            print(subprocess.run(json.loads(line), stdout=-3, stderr=-3).returncode, flush=True)
        except OSError as error:
            print(errno.errorcode.get(error.errno), flush=True)
        continue
    out = subprocess.run([sys.executable, "-I", "-S", "-c", code, line.strip()], capture_output=True, text=True)
    print(out.stdout.strip(), flush=True)
"""


class Receiver:
    """A webhook and a syslog server on the loopback; the first post is answered with 503."""

    def __init__(self, folder: Path) -> None:
        posts: list[dict[str, Any]] = []
        answers = iter([503])

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posts.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(next(answers, 204))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.posts = posts
        self.http = HTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.log.bind(str(folder / "log"))
        self.log.settimeout(30)
        self.outputs = {
            "webhook": {"url": f"http://127.0.0.1:{self.http.server_port}/hits"},
            "syslog": {"address": str(folder / "log")},
        }

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.log.close()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    made = Receiver(tmp_path_factory.mktemp("receiver"))
    yield made
    made.close()


def settings(mode: str, receiver: Receiver) -> dict[str, Any]:
    matcher = {"match_type": "env", "match_regex": "^OUR_AGENT=yes$", "enabled_features": ["proc.ai_agent"]}
    enforcement = {"enabled": True, "mode": mode}
    proc = {"process_matcher": [matcher], "ai_agent": {"enforcement": enforcement}}
    return {"inputs": {"proc": proc}, "outputs": receiver.outputs}


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Watch]:
    with Watch(tmp_path_factory.mktemp("sensor"), settings("block", receiver)) as made:
        yield made.start()
        assert made.stop() == 0, made.log


@pytest.fixture(scope="module")
def place() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def policy(watch: Watch, doing: str, *more: str) -> Any:
    argv = [INTACT, "policy", doing, *more, "--json", "--data", str(watch.data.path)]
    found = subprocess.run(argv, check=True, capture_output=True, text=True, env=ENVIRONMENT)
    return json.loads(found.stdout)


def effective(watch: Watch) -> dict[str, Any]:
    return {rule["rule_id"]: rule for rule in policy(watch, "status")["effective"]}


def agent(watch: Watch) -> Program:
    program = watch.run(sys.executable, "-I", "-S", "-c", CONNECTS, env={"OUR_AGENT": "yes"})
    assert program.says() == "there"
    watch.wait(
        lambda: program.pid in {row["pid"] for row in rows(watch, "process") if row["process_id"] in watch.agents()}
    )
    return program


def rows(watch: Watch, family: str) -> list[dict[str, Any]]:
    return [row for piece in watch.slices() if family in piece.effects for row in piece.effects[family].to_pylist()]


def connect(program: Program, port: int) -> str:
    return ask(program, str(port))


def ask(program: Program, line: str) -> str:
    assert program.process.stdin is not None
    program.process.stdin.write(f"{line}\n")
    program.process.stdin.flush()
    return program.says()


def apply(watch: Watch, folder: Path, port: int) -> None:
    file = folder / "policy.yaml"
    rule = {"id": "no-place", "connect": {"address": "127.0.0.1", "port": port}, "action": "deny"}
    file.write_text(json.dumps({"name": "sensor-test", "rules": [rule]}))
    policy(watch, "apply", str(file))
    watch.wait(lambda: "no-place" in effective(watch))


def test_a_policy_holds_for_the_agents_of_the_scope(
    watch: Watch, receiver: Receiver, place: int, tmp_path: Path
) -> None:
    program = agent(watch)
    assert connect(program, place) == "done"
    apply(watch, tmp_path, place)
    status = effective(watch)["no-place"]
    assert (status["asked"], status["effective"], status["scope"]) == ("deny", "prevented", watch.scope.path.name)
    assert [part["self_test"] for part in status["parts"]] == ["passed"]

    assert connect(program, place) == "EPERM"
    other = watch.run(sys.executable, "-I", "-S", "-c", CONNECTS)  # in the scope, and no agent
    assert other.says() == "there"
    assert connect(other, place) == "done"
    socket.create_connection(("127.0.0.1", place), 2).close()  # out of the scope

    watch.wait(lambda: bool(rows(watch, "block")))
    (row,) = rows(watch, "block")
    assert (row["rule_id"], row["outcome"], row["errno"], row["port"]) == ("no-place", "prevented", 1, place)
    assert row["process_id"] != 0
    watch.wait(lambda: len(receiver.posts) >= 2)
    first, second = receiver.posts[:2]
    assert first == second  # it was told again after the 503
    (told,) = second["hits"]
    assert (told["rule_id"], told["process_id"]) == ("no-place", str(row["process_id"]))
    line = receiver.log.recv(4096)
    assert line.startswith(b"<84>1 20")
    assert json.loads(line[line.index(b"{") :])["outcome"] == "prevented"
    watch.wait(lambda: effective(watch)["no-place"]["hits"] == 1)

    policy(watch, "remove", "sensor-test")
    watch.wait(lambda: not effective(watch))
    assert connect(program, place) == "done"
    for each in (program, other):
        each.go_on()
        each.end()


def test_the_mode_of_the_config_counts_and_is_reloaded(
    watch: Watch, receiver: Receiver, place: int, tmp_path: Path
) -> None:
    program = agent(watch)
    apply(watch, tmp_path, place)
    assert connect(program, place) == "EPERM"
    before = len(rows(watch, "block"))

    watch.configure(settings("audit_only", receiver))
    watch.reload()
    watch.wait(lambda: effective(watch)["no-place"]["effective"] == "observed")
    status = effective(watch)["no-place"]
    assert (status["asked"], "audit_only" in status["parts"][0]["note"]) == ("deny", True)
    assert connect(program, place) == "done"
    watch.wait(lambda: "observed" in {row["outcome"] for row in rows(watch, "block")})
    assert len(rows(watch, "block")) > before
    observed = [row for row in rows(watch, "block") if row["outcome"] == "observed"]
    assert {(row["guarantee"], row["errno"]) for row in observed} == {("audit_only", 0)}

    off = settings("block", receiver)
    off["inputs"]["proc"]["ai_agent"]["enforcement"]["enabled"] = False
    watch.configure(off)
    watch.reload()
    watch.wait(lambda: effective(watch)["no-place"]["effective"] == "not_enforced")
    assert "enabled is false" in effective(watch)["no-place"]["parts"][0]["note"]
    assert connect(program, place) == "done"

    tight = settings("block", receiver)
    tight["inputs"]["proc"]["ai_agent"]["enforcement"]["max_rules"] = 0
    watch.configure(tight)
    watch.reload()
    watch.wait(lambda: "max_rules" in effective(watch)["no-place"]["parts"][0]["note"])

    watch.configure(settings("block", receiver))
    watch.reload()
    watch.wait(lambda: effective(watch)["no-place"]["effective"] == "prevented")
    assert connect(program, place) == "EPERM"  # known as an agent from before
    program.go_on()
    program.end()


def test_programs_are_held_and_secrets_are_not_told(watch: Watch, receiver: Receiver, tmp_path: Path) -> None:
    held, seen = copy_of("/bin/true", tmp_path / "held"), copy_of("/bin/true", tmp_path / "seen")
    program, other = agent(watch), watch.run(sys.executable, "-I", "-S", "-c", CONNECTS)
    assert other.says() == "there"
    file = tmp_path / "policy.yaml"
    rules = [
        {"id": "held", "exec": {"path": str(held)}, "action": "deny"},
        {"id": "seen", "exec": {"path": str(seen)}, "action": "audit"},
        {"id": "nowhere", "connect": {"address": "192.0.2.1"}, "action": "deny"},
    ]
    file.write_text(json.dumps({"name": "programs", "rules": rules}))
    policy(watch, "apply", str(file))
    watch.wait(lambda: "held" in effective(watch))
    secret = "sk-ant-api03-" + "Zq8Lw2Xc" * 11 + "AA"
    ping = [sys.executable, "-I", "-S", "-c", "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)"]
    assert ask(program, json.dumps([str(held)])) == "EPERM"
    assert ask(program, json.dumps([str(seen), secret])) == "0"
    assert ask(program, json.dumps(ping)) == "1"
    assert ask(other, json.dumps([str(held)])) == "0"
    assert ask(other, json.dumps(ping)) == "0"

    def told() -> dict[str, Any]:
        return {hit["rule_id"]: hit for post in receiver.posts for hit in post["hits"]}

    watch.wait(lambda: {"held", "seen", "nowhere"} <= told().keys())
    assert told()["held"]["outcome"] == "prevented"
    assert told()["seen"]["argv"][0] == str(seen)
    assert "REDACTED" in told()["seen"]["argv"][1]
    assert secret not in json.dumps(receiver.posts)
    assert secret not in str(rows(watch, "block"))
    policy(watch, "remove", "programs")
    watch.wait(lambda: "held" not in effective(watch))
    assert ask(program, json.dumps([str(held)])) == "0"
    for each in (program, other):
        each.go_on()
        each.end()
