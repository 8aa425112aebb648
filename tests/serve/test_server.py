"""What a running serve answers: pages, ranges, queries, live facts, metrics; and that nothing is lost when it is killed."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from intact.model.effects import Kind
from intact.model.slice import Slice
from intact.store.runs import DataDirectory, Run
from intact.store.segments import SegmentWriter
from tests.query import recording as made
from tests.query.test_run import KEYS
from tests.serve.running import Server, command, record, serving, wait_for_run
from tests.store.slices import HOST, T0, effects, files

LISTS = [part for part in KEYS if part not in ("run", "ledger")]


def many() -> list[Slice]:
    """Effects of which many are of one time."""
    times = [made.at(2) + n // 11 for n in range(100)]
    opens = effects(
        "file", 100, id=[5000 + 7 * n % 100 for n in range(100)], kind=int(Kind.FILE_OPEN), process_id=made.SHELL, pid=101,
        at_ns=times, end_ns=times, path="/srv/looked-at",
    )  # fmt: skip
    extra = [Slice(until_ns=made.at(2) + 100, effects=opens)]
    return [made.slices()[0], *extra, *made.slices()[1:]]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Run, dict[str, Any]]]:
    data = tmp_path_factory.mktemp("data")
    run = record(data, many())
    with serving(data, "--auth", "dev") as server:
        yield server, run, wait_for_run(server, run)
        server.end()


def pages(server: Server, path: str, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in range(500):
        page = server.ask(path, **query, **cursor).json
        rows += page["rows"]
        assert len(page["rows"]) <= query.get("limit", 1000)
        if page["next"] is None:
            return rows
        cursor = {"cursor": page["next"]}
    raise AssertionError("the pages do not end")


def test_the_whole_run_is_the_object_of_show(one: tuple[Server, Run, dict[str, Any]]) -> None:
    _, run, shown = one
    assert set(shown) == set(KEYS)
    assert shown["run"]["id"] == run.id
    for part, keys in KEYS.items():
        for row in shown[part][:1] if isinstance(shown[part], list) else [shown[part]]:
            assert set(row) == set(keys.split()), part


@pytest.mark.parametrize("part", LISTS)
def test_pages_of_any_length_make_up_the_part(one: tuple[Server, Run, dict[str, Any]], part: str) -> None:
    server, run, shown = one
    for limit in (1, 3, 1000):
        if limit == 1 and len(shown[part]) > 50:
            continue
        assert pages(server, f"/api/runs/{run.id}/{part}", limit=limit) == shown[part]


def test_a_page_may_end_amid_effects_of_one_time(one: tuple[Server, Run, dict[str, Any]]) -> None:
    server, run, shown = one
    assert pages(server, f"/api/runs/{run.id}/effects", limit=7) == shown["effects"]
    assert len(shown["effects"]) > 50


def test_a_range_of_time_holds_its_start_and_not_its_end(one: tuple[Server, Run, dict[str, Any]]) -> None:
    server, run, shown = one
    for part, time_of in (("effects", "at_ns"), ("calls", "started_ns"), ("processes", "start_ns")):
        times = sorted({row[time_of] for row in shown[part]})
        first, last = times[len(times) // 3], times[-1]
        got = pages(server, f"/api/runs/{run.id}/{part}", limit=20, from_ns=first, to_ns=last)
        assert got == [row for row in shown[part] if first <= row[time_of] < last]
    everything = pages(server, f"/api/runs/{run.id}/links", limit=20, from_ns=0, to_ns=made.at(1000))
    assert everything == shown["links"]
    assert pages(server, f"/api/runs/{run.id}/links", limit=20, to_ns=1) == []


def test_single_objects_are_pages_of_one_row(one: tuple[Server, Run, dict[str, Any]]) -> None:
    server, run, shown = one
    for part in ("run", "ledger"):
        assert server.ask(f"/api/runs/{run.id}/{part}").json == {"rows": [shown[part]], "next": None}
    assert server.ask("/api/ledger").json["rows"] == [{"run_id": run.id, **shown["ledger"]}]
    assert server.ask("/api/runs").json["rows"] == [shown["run"]]
    agents = server.ask("/api/agents", run=run.id).json["rows"]
    assert agents == [{"run_id": run.id, **row} for row in shown["agents"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/runs/nothing", 404), ("/api/runs/nothing/effects", 404), ("/nowhere", 404),
        ("/api/runs/{run}/nothing", 404), ("/api/runs/", 404),
        ("/api/runs/{run}/effects?limit=0", 400), ("/api/runs/{run}/effects?limit=1001", 400),
        ("/api/runs/{run}/effects?cursor=%00", 400), ("/api/runs/{run}/effects?cursor=eA", 400),
        ("/api/runs/{run}/effects?from_ns=x", 400), ("/api/runs?cursor=-", 400), ("/api/catalog?table=x", 404),
        ("/api/catalog?lang=de", 400), ("/api/live?wait_s=1e9", 400), ("/api/live?run=nothing", 404), ("/docs", 404),
    ],
)  # fmt: skip
def test_errors_have_one_form(one: tuple[Server, Run, dict[str, Any]], path: str, status: int) -> None:
    server, run, _ = one
    answer = server.ask(path.replace("{run}", run.id))
    assert answer.status == status
    assert set(answer.json) == {"error"}
    assert set(answer.json["error"]) == {"code", "message", "hint"}
    assert server.ask("/api/runs", "DELETE").status == 405


def test_queries_are_answered_in_three_forms(one: tuple[Server, Run, dict[str, Any]]) -> None:
    server, _, shown = one
    sql = "SELECT id, name FROM tool_call ORDER BY revision DESC LIMIT 1"
    answer = server.ask("/api/query", "POST", body={"sql": sql}).json
    assert answer["columns"] == ["id", "name"]
    assert answer["rows"] == [[shown["tool_calls"][0]["id"], "Bash"]]
    assert answer["truncated"] is False
    assert server.ask("/api/query", "POST", body={"sql": sql, "format": "csv"}).body.splitlines()[0] == b"id,name"
    arrow = server.ask("/api/query", "POST", body={"sql": sql, "format": "arrow"})
    assert pa.ipc.open_stream(arrow.body).read_all().column("name").to_pylist() == ["Bash"]
    bound = {"sql": "SELECT name FROM tool_call WHERE name = {n:String}", "params": {"n": "Bash' OR 1 --"}}
    assert server.ask("/api/query", "POST", body=bound).json["rows"] == []
    assert server.ask("/api/query", "POST", body=bound | {"params": {"n": "Bash"}}).json["rows"]
    some = server.ask("/api/query", "POST", body={"sql": "SELECT id FROM process", "limit": 1}).json
    assert (len(some["rows"]), some["truncated"]) == (1, True)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1; SELECT 2",
        "SELECT * FROM file('/etc/passwd')",
        "SELECT sleep(3)",
        "DROP TABLE run",
        "SELECT nope FROM run",
        "\x00",
    ],
)
def test_a_query_that_may_not_be_asked_says_so(one: tuple[Server, Run, dict[str, Any]], sql: str) -> None:
    answer = one[0].ask("/api/query", "POST", body={"sql": sql})
    assert answer.status in (400, 422)
    assert answer.json["error"]["message"]


def test_a_body_is_bounded_and_has_to_be_what_is_taken(one: tuple[Server, Run, dict[str, Any]]) -> None:
    server, _, _ = one
    assert server.ask("/api/query", "POST", body=b"x" * (2 << 20)).status == 413
    assert server.ask("/api/query", "POST", body=iter([b"x" * 65536] * 40)).status == 413
    for body in (b"", b"{", b"[]", b"\xff", b'{"sql": 1}', b'{"sql": "SELECT 1", "more": 1}'):
        answer = server.ask("/api/query", "POST", body=body, headers={"Content-Type": "application/json"})
        assert (answer.status, answer.json["error"]["code"]) == (400, "invalid")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"y" * 200_000)
        with contextlib.suppress(ConnectionResetError):
            assert b" 400 " in raw.recv(1000)
    assert server.ask("/healthz").status == 200


def test_metrics_count_requests_rows_and_time(one: tuple[Server, Run, dict[str, Any]]) -> None:
    server, _, _ = one
    server.ask("/api/runs/nothing")
    text = server.ask("/metrics").body.decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    assert float(lines["intact_ingested_rows_total"]) > 200
    assert float(lines["intact_ingest_failures_total"]) == 0
    assert float(lines['intact_http_requests_total{method="GET",route="/api/runs/{run_id}",status="404"}']) >= 1
    assert "intact_ingest_lag_seconds" in lines
    assert any(name.startswith('intact_http_request_seconds_bucket{le="0.05"') for name in lines)


def test_the_description_tells_of_every_route(one: tuple[Server, Run, dict[str, Any]]) -> None:
    described = one[0].ask("/openapi.json").json
    routes = {
        *(
            "/healthz",
            "/readyz",
            "/metrics",
            "/api/runs",
            "/api/runs/{run_id}",
            "/api/runs/{run_id}/{part}",
            "/api/agents",
        ),
        *("/api/query", "/api/catalog", "/api/policies", "/api/ledger", "/api/live", "/mcp", "/mcp/{server}"),
        *("/api/chat", "/api/chat/{response_id}", "/api/agent", "/api/experts", "/api/tools", "/api/sessions"),
        *("/api/sessions/{session_id}", "/api/sessions/{session_id}/messages"),
        *("/api/responses/{response_id}/feedback", "/api/feedback/stats"),
    }
    assert set(described["paths"]) == routes
    assert set(described["paths"]["/api/policies"]) == {"get", "put"}
    assert "HTTPBearer" in described["components"]["securitySchemes"]
    for path, methods in described["paths"].items():
        for method in methods.values():
            assert method["description"], path
            assert "401" in method["responses"], path


def test_policies_are_kept_as_what_is_asked_for(one: tuple[Server, Run, dict[str, Any]]) -> None:
    server, run, _ = one
    answer = server.ask("/api/policies", "PUT", body={"text": POLICY})
    assert answer.status == 200, answer.body
    assert answer.json == {"policy": "quiet", "revision": 1}
    desired = server.ask("/api/policies").json["desired"]["quiet"]
    assert (desired["text"], desired["by"]) == (POLICY, "dev (token)")
    status = command("policy", "status", "--json", "--data", str(run.directory.parents[1]))
    assert json.loads(status.stdout)["revision"] == 1


POLICY = """\
name: quiet
rules:
  - id: no-curl
    action: audit
    exec: {path: curl}
"""


def growing(data: Path) -> tuple[DataDirectory, Run, SegmentWriter]:
    directory = DataDirectory(data)
    run = directory.new_run(HOST, name="grows", command=["agent"], started_ns=T0)
    return directory, run, SegmentWriter(run.segments, HOST)


def test_a_growing_run_is_seen_as_it_grows(tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "dev") as server:
        start = server.ask("/api/live").json["cursor"]
        directory, run, writer = growing(tmp_path)
        pieces = made.slices()
        writer.write(pieces[0])
        began = time.monotonic()
        first = server.ask("/api/live", after=start, wait_s=20).json
        assert time.monotonic() - began < 3
        assert not first["gap"]
        assert {item["run_id"] for item in first["items"]} == {run.id}
        assert {"process", "agent", "call", "effects"} <= {item["type"] for item in first["items"]}
        assert [row["id"] for row in server.ask("/api/runs").json["rows"]] == [run.id]
        writer.write(pieces[1])
        began = time.monotonic()
        while len(server.ask(f"/api/runs/{run.id}/effects").json.get("rows", [])) < 9:
            assert time.monotonic() - began < 2.5, "what was written is not seen within two seconds"
            time.sleep(0.05)
        second = server.ask("/api/live", after=first["cursor"], wait_s=20, run=run.id).json
        assert [item["name"] for item in second["items"] if item["type"] == "tool_call"] == ["Bash"]
        assert second["items"][-1]["type"] == "effects"
        assert server.ask("/api/live", after=second["cursor"]).json["items"] == []
        assert server.ask("/api/live", after="dead-1").json["gap"] is True
        shown = server.ask(f"/api/runs/{run.id}").json
        assert "the run goes on: this is what is in the store so far" in shown["ledger"]["notes"]
        writer.close()
        directory.save(replace(run, ended_ns=made.at(7), exit_code=3))
        assert wait_for_run(server, run)["run"]["exit_code"] == 3


def test_live_facts_come_as_events(tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "dev") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", "/api/live", headers={"Accept": "text/event-stream"})
        stream = connection.getresponse()
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.readline().startswith(b"id: ")
        _, _, writer = growing(tmp_path)
        writer.write(made.slices()[0])
        writer.flush()
        lines = [stream.readline() for _ in range(12)]
        events = [json.loads(line[6:]) for line in lines if line.startswith(b'data: {"run_id')]
        assert events
        assert sum(line.startswith(b"id: ") for line in lines) >= len(events)
        connection.close()
        writer.close()


def test_killing_serve_loses_and_doubles_nothing(tmp_path: Path) -> None:
    directory, run, writer = growing(tmp_path)
    total = 0
    for round_ in range(3):
        with serving(tmp_path, "--auth", "dev") as server:
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                writer.write(Slice(until_ns=T0 + total * 1000, effects=files(1, T0 + total * 1000)))
                total += 1
                time.sleep(0.005)
            assert server.ask("/healthz").status == 200
            server.kill()
        assert (tmp_path / "serve.sock").exists(), round_
    writer.close()
    run = replace(run, ended_ns=made.at(7), exit_code=0)
    directory.save(run)
    with serving(tmp_path, "--auth", "dev") as server:
        found = wait_for_run(server, run)["effects"]
        assert len(found) == len({row["id"] for row in found}) == total
        server.end()
    assert not (tmp_path / "serve.sock").exists()


def test_a_second_serve_says_who_holds_the_store(one: tuple[Server, Run, dict[str, Any]]) -> None:
    server, run, _ = one
    second = command("serve", "--data", str(run.directory.parents[1]), "--port", "0", "--auth", "dev")
    assert second.returncode == 1
    assert f"in use by process {server.process.pid}".encode() in second.stderr
    assert second.stderr.count(b"\n") == 1
    other = command(
        "serve", "--data", str(run.directory.parents[1] / "other"), "--port", str(server.port), "--auth", "dev"
    )
    assert b"cannot listen on 127.0.0.1 port" in other.stderr
    assert other.returncode == 1
    assert server.ask("/healthz").status == 200


def test_many_ask_at_once(one: tuple[Server, Run, dict[str, Any]]) -> None:
    server, run, _ = one
    found: list[int] = []

    def ask() -> None:
        for path in ("/api/runs", f"/api/runs/{run.id}", f"/api/runs/{run.id}/effects"):
            found.append(server.ask(path).status)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {200}
