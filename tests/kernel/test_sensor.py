"""The sensor on a cgroup of its own: who is an agent, whose plaintext leaves the kernel, and that nothing is lost meanwhile."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from intact.collect.cgroup import ScopeCgroup
from intact.collect.sensor import SensorCollector
from intact.identify.endpoint import KNOWN_ENDPOINTS
from intact.model.effects import Kind
from intact.model.facts import Agent, Process
from tests.kernel.tls_server import TlsServer
from tests.kernel.watching import ENVIRONMENT, INTACT, Program, Watch

CHAT = "/v1/chat/completions"

# A gateway: answers requests over TLS by asking another server the same over TLS.
RELAY = """
import http.client, http.server, ssl, sys
upstream = int(sys.argv[1])
class Relay(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if sys.argv[4] == "relay":
            asked = http.client.HTTPSConnection("127.0.0.1", upstream, context=ssl._create_unverified_context())
            asked.request("POST", self.path, body, {"content-type": "application/json"})
            body = asked.getresponse().read()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"""

CRAWLER = """
import http.client, ssl, sys
context = ssl._create_unverified_context()
connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=context)
for path in ("/", "/docs/v1/chat/completions", "/v1/chat/completions", "/v1/messages", "/robots.txt"):
    connection.request("GET", path)
    connection.getresponse().read()
for path in ("/upload", "/docs/v1/chat/completions/list", "/api/v2/messages", "/search?q=/v1/chat/completions"):
    connection.request("POST", path, b"POST /v1/chat/completions HTTP/1.1 secret-of-others")
    connection.getresponse().read()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with TlsServer(tmp_path_factory.mktemp("certificates")) as made:
        yield made


@pytest.fixture(scope="module")
def early(server: TlsServer, watch: Watch) -> Program:
    return watch.programs["early"]


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory, server: TlsServer) -> Iterator[Watch]:
    config = {
        "inputs": {
            "proc": {
                "process_matcher": [
                    {"match_type": "env", "match_regex": "^OUR_AGENT=yes$", "enabled_features": ["proc.ai_agent"]}
                ]
            }
        }
    }
    with Watch(tmp_path_factory.mktemp("sensor"), config) as made:
        first = made.client(server.port, CHAT, "early-bird", size=150_000, wait=True)
        assert first.says() == "there"  # its connection is open before anything watches
        made.programs["early"] = first
        yield made.start()
        assert made.stop() == 0
        assert made.recorded.ended_ns is not None


def body_of(watch: Watch, word: str) -> dict[str, object]:
    (exchange,) = watch.exchanges_with(word)
    assert exchange.complete
    assert exchange.missing_bytes == 0
    assert exchange.method == "POST"
    found = json.loads(exchange.request_body)
    assert isinstance(found, dict)
    return found


def is_agent(agent: Agent) -> bool:
    assert agent.process_id != 0
    assert agent.root_process_id != 0
    return (agent.role, agent.biz_type) == ("agent", 1)


def test_an_agent_from_before_is_seen_on_its_first_request(watch: Watch, early: Program) -> None:
    early.go_on()
    assert early.says() == "done"
    agent = watch.agent_of("early-bird")
    assert is_agent(agent)
    assert agent.recogniser == "wire_api"
    assert len(str(body_of(watch, "early-bird"))) > 150_000
    early.end()


def test_an_agent_from_after_is_seen_on_its_first_request(watch: Watch, server: TlsServer) -> None:
    program = watch.client(server.port, "/gateway/openai/v1/chat/completions", "late-riser", size=100_000)
    program.end()
    agent = watch.agent_of("late-riser")
    assert is_agent(agent)
    assert len(str(body_of(watch, "late-riser"))) > 100_000
    assert len(watch.calls_with("late-riser")) == 1
    assert agent.root_process_id == agent.process_id


def test_what_only_looks_like_it_is_no_agent(watch: Watch, server: TlsServer) -> None:
    url = f"https://127.0.0.1:{server.port}"
    seen = [watch.run(sys.executable, "-I", "-c", CRAWLER, str(server.port))]
    seen += [watch.run("/usr/bin/curl", "-sk", f"{url}{path}") for path in ("/", "/v1/models", CHAT)]
    seen.append(watch.run("/usr/bin/curl", "-sk", "-d", "secret-of-others", f"{url}/v1/files"))
    for program in seen:
        program.end()
    keys = server.certificates
    web = watch.run(sys.executable, "-I", "-c", RELAY, "0", str(keys.leaf_pem), str(keys.leaf_key), "answer")
    asked = subprocess.run(  # by who is not watched
        ["/usr/bin/curl", "-sk", "-d", '{"model": "m", "messages": []}', f"https://127.0.0.1:{web.says()}{CHAT}"],
        check=True,
        capture_output=True,
    )
    assert b"messages" in asked.stdout
    watch.client(server.port, CHAT, "sentinel-one").end()
    sentinel = watch.agent_of("sentinel-one")
    pids = {program.pid for program in seen} | {web.pid}
    told = {process.id for process in watch.facts(Process) if process.pid in pids}
    for piece in watch.slices():
        batch = piece.effects.get("process")
        for row in batch.to_pylist() if batch is not None else []:
            assert row["process_id"] != 0
            if row["pid"] in pids and row["kind"] == Kind.EXEC:
                told.add(row["process_id"])
    assert len(told) >= len(pids)
    assert not [agent.reason for agent in watch.agents().values() if agent.process_id in told]
    assert sentinel.process_id in watch.agents()
    assert not watch.exchanges_with("secret-of-others")
    web.stop()


def test_a_gateway_is_a_proxy_from_the_first(watch: Watch, server: TlsServer) -> None:
    keys = server.certificates
    argv = (str(server.port), str(keys.leaf_pem), str(keys.leaf_key), "relay")
    relay = watch.run(sys.executable, "-I", "-c", RELAY, *argv)
    port = int(relay.says())
    for number in range(3):
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"through-the-gate {number}"}]})
        subprocess.run(
            [
                "/usr/bin/curl",
                "-sk",
                "-d",
                body,
                "-H",
                "content-type: application/json",
                f"https://127.0.0.1:{port}{CHAT}",
            ],
            check=True,
            capture_output=True,
        )
    agent = watch.agent_of("through-the-gate", count=3)
    told = [each for each in watch.facts(Agent) if each.process_id == agent.process_id]
    assert {(each.role, each.biz_type) for each in told} == {("proxy", 0)}
    assert "gateway" in agent.reason
    assert CHAT in agent.reason
    relay.stop()


def test_a_child_of_an_agent_is_heard_and_has_its_root(watch: Watch, server: TlsServer) -> None:
    code = f"""
import http.client, json, ssl, subprocess
c = http.client.HTTPSConnection("127.0.0.1", {server.port}, context=ssl._create_unverified_context())
body = json.dumps(dict(model="m", messages=[dict(role="user", content="with-child")]))
c.request("POST", "{CHAT}", body)
c.getresponse().read()
inner = body.replace("with-child", "inner-child")
for path, data in (("/other", "from-the-child"), ("{CHAT}", inner)):
    subprocess.run(["/bin/sh", "-c", 'curl -sk -d "$1" "$0"', "https://127.0.0.1:{server.port}" + path, data])
"""
    program = watch.run(sys.executable, "-I", "-c", code)
    program.end()
    outer, inner = watch.agent_of("with-child"), watch.agent_of("inner-child")
    assert watch.exchanges_with("from-the-child")
    assert inner.process_id != outer.process_id
    assert inner.root_process_id == outer.root_process_id == outer.process_id


def test_a_matcher_and_a_person_know_agents_by_themselves(watch: Watch, server: TlsServer) -> None:
    matched = watch.run(
        sys.executable, "-I", "-c",
        f"""
import http.client, ssl, time
time.sleep(1.5)
c = http.client.HTTPSConnection("127.0.0.1", {server.port}, context=ssl._create_unverified_context())
c.request("POST", "/its/own/way", "known-by-environment")
c.getresponse().read()
""",
        env={"OUR_AGENT": "yes"},
    )  # fmt: skip
    matched.end()
    by_rule = watch.agent_of("known-by-environment")
    assert (by_rule.recogniser, is_agent(by_rule)) == ("process", True)
    assert "yes" not in by_rule.reason.replace("=yes$", "")

    person = watch.client(server.port, "/some/path", "known-by-hand", wait=True)
    refused = watch.client(server.port, CHAT, "refused-by-hand", wait=True)
    assert (person.says(), refused.says()) == ("there", "there")
    before = len(watch.log)
    for doing, program in (("add", person), ("remove", refused)):
        argv = [str(Path(sys.executable).parent / "intact"), "agents", doing, str(program.pid)]
        subprocess.run(
            [*argv, "--data", str(watch.data.path), "--reason", "we say so"], check=True, capture_output=True
        )
    watch.wait(lambda: any("list of agents" in line for line in watch.log[before:]))
    watch.wait(lambda: any(agent.role == "refused" for agent in watch.agents().values()))
    for program in (person, refused):
        program.go_on()
        assert program.says() == "done"
    by_hand = watch.agent_of("known-by-hand")
    assert (by_hand.recogniser, by_hand.reason, is_agent(by_hand)) == ("manual", "we say so", True)
    assert not watch.exchanges_with("refused-by-hand")
    for program in (person, refused):
        program.end()


def test_a_reload_in_the_middle_loses_nothing(watch: Watch, server: TlsServer) -> None:
    program = watch.client(server.port, CHAT, "all-the-while", count=211)
    assert program.says() == "there"
    config = json.loads(watch.path.read_text())
    before = watch.path.read_text()
    config["inputs"]["proc"]["ai_agent"] = {"http_endpoints": ["/added/later"], "max_payload_size": 1 << 20}
    watch.path.write_text(json.dumps(config))
    watch.reload()
    watch.path.write_text(before.replace("cgroup", "cgruop"))
    watch.reload()
    assert any("the old config stays" in line and "scope.cgruop" in line for line in watch.log)
    watch.path.write_text(json.dumps(config))
    for _ in range(3):
        watch.reload()
    program.end()
    watch.agent_of("all-the-while", count=211)
    assert all(exchange.complete for exchange in watch.exchanges_with("all-the-while"))
    watch.client(server.port, "/added/later/x", "the-new-endpoint").end()
    assert is_agent(watch.agent_of("the-new-endpoint"))


def test_memory_is_flat_over_short_processes(watch: Watch) -> None:
    def burst(count: int) -> None:
        watch.run("/bin/bash", "-c", f"for ((i = 0; i < {count}; i++)); do /bin/true; done").end()

    burst(1500)
    before = watch.memory_kb()
    burst(3000)
    assert watch.memory_kb() - before < 8 << 10
    assert watch.memory_kb() < 150 << 10


def test_no_port_is_open_and_no_database_is_loaded(watch: Watch) -> None:
    assert watch.process is not None
    proc = Path(f"/proc/{watch.process.pid}")
    assert "chdb" not in (proc / "maps").read_text()
    links = [os.readlink(entry) for entry in (proc / "fd").iterdir() if entry.is_symlink()]
    ours = {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:")}
    listening = {
        line.split()[9]
        for name in ("tcp", "tcp6")
        for line in (proc / "net" / name).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    assert not ours & listening


def test_the_agents_command_lists_them(watch: Watch) -> None:
    argv = [INTACT, "agents", "--json", "--data", str(watch.data.path)]
    found = subprocess.run(argv, check=True, capture_output=True, text=True, env=ENVIRONMENT)
    rows = {row["process_id"]: row for row in json.loads(found.stdout)}
    for agent in watch.agents().values():
        row = rows.get(str(agent.process_id)) or pytest.fail(f"not listed: {agent}, of {len(rows)}")
        assert (row["recogniser"], row["role"], row["reason"]) == (agent.recogniser, agent.role, agent.reason)
        assert row["root_process_id"] == str(agent.root_process_id)
        assert row["first_seen_ns"] <= row["last_seen_ns"]
    early = rows[str(watch.agent_of("early-bird").process_id)]
    assert (early["calls"], early["live"], early["biz_type_label"]["zh"]) == (1, False, "智能体")
    assert not {row["process_id"] for row in rows.values()} & {"0"}
    text = subprocess.run(argv[:2] + argv[3:], check=True, capture_output=True, text=True, env=ENVIRONMENT).stdout
    assert "proxy" in text
    assert "refused" in text


def test_plaintext_of_others_stays_in_the_kernel(server: TlsServer, tmp_path: Path) -> None:
    code = f"""
import http.client, ssl, time
time.sleep(1)  # this library was not hooked yet
c = http.client.HTTPSConnection("127.0.0.1", {server.port}, context=ssl._create_unverified_context())
for _ in range(10):
    c.request("POST", "/upload", b"x" * (1 << 20))
    assert len(c.getresponse().read()) == 1 << 20
"""
    scope = ScopeCgroup(f"intact-judged-{os.getpid()}")
    with scope, SensorCollector(scope.path, KNOWN_ENDPOINTS, cache=tmp_path) as collector:
        collector.attach()
        assert sum(ring.size_bytes for ring in collector.loader.rings) <= 16 << 20
        program = Program([sys.executable, "-I", "-c", code], scope, {})
        raw = list(collector.slices(lambda: program.process.poll() is not None))
        assert program.end() == ""
        judged = collector.judgement.judged() if collector.judgement is not None else None
    counters = raw[-1].counters["tls"]
    assert set(counters) == {0}  # seen, submitted, lost, bytes
    assert judged is not None
    assert judged.bytes >= 20 << 20
    assert judged.known == 0
    assert not any(name.startswith("tls_") for piece in raw for name in piece.rings)
    assert not [talker for piece in raw for talker in piece.unheard]
