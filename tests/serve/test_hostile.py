"""Whatever is sent, the answer is never a fault of ours: requests drawn over /openapi.json, and bytes that are no request."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intact.store.runs import Run
from tests.serve.running import Server, record, serving, wait_for_run

EXAMPLES = 120
TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", "\0", "'", '"; --', "../../etc/passwd", "%00", "{x:String}", "\ud7ff", "９", "-1", "1e400", "nan", "null"]
    ),
)
NUMBERS = st.one_of(
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from([0, 1, -1, (1 << 63) - 1, 1 << 63]),
    st.just("9" * 5000),
    st.floats(),
    TEXT,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
SQL = st.one_of(
    TEXT,
    st.sampled_from(
        [
            "SELECT 1", "SELECT * FROM run", "SELECT (((((1", "SELECT " + "(" * 5000, "SELECT {x:String}",
            "SELECT 1/0", "SELECT 'a\\0'",
            "SELECT toUInt8('x')", "WITH x AS (SELECT 1) SELECT * FROM x", "SELECT nan, inf, -inf", "SELECT [], {}, tuple()",
            "DESCRIBE run", "SHOW TABLES", "SELECT unhex('ff')", "SELECT number FROM numbers(10)",
            "SELECT * FROM run FORMAT Native",
            "SELECT repeat('x', 1000000000)", "SELECT arrayMap(x -> x, range(100000000))", "SELECT NULL, now(), today()",
        ]
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Run, dict[str, Any]]]:
    data = tmp_path_factory.mktemp("data")
    run = record(data)
    with serving(data, "--auth", "dev") as server:
        wait_for_run(server, run)
        yield server, run, server.ask("/openapi.json").json
        assert "fault" not in server.end()


def some_request(draw: st.DrawFn, described: dict[str, Any], run_id: str) -> tuple[str, str, bytes | None]:
    """A request to one of the described routes, most of its values wrong in some way."""
    path = draw(st.sampled_from(sorted(described["paths"])))
    method = draw(st.sampled_from(sorted(described["paths"][path])))
    operation = described["paths"][path][method]
    query = []
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            known = [run_id, "effects", "links", "calls", "run", "ledger"] if "{" in path else []
            value = quote(draw(st.one_of(st.sampled_from(known), TEXT)).encode("utf-8", "replace"), safe="")
            path = path.replace("{" + parameter["name"] + "}", value)
        elif parameter["in"] == "query" and draw(st.booleans()):
            value = (
                draw(NUMBERS) if parameter["name"] != "wait_s" else draw(st.sampled_from(["0", "x", "-1", "61", "inf"]))
            )
            query.append((parameter["name"], str(value)))
    body = None
    if "requestBody" in operation:
        whole = st.fixed_dictionaries(
            {"sql": SQL},
            optional={"format": st.sampled_from(["json", "csv", "arrow", "x"]), "limit": NUMBERS, "params": JSON},
        )
        given_body = draw(st.one_of(whole, JSON, st.fixed_dictionaries({"text": TEXT})))
        body = draw(st.one_of(st.just(json.dumps(given_body, default=str).encode()), st.binary(max_size=60)))
    encoded = urlencode([(name, value.encode("utf-8", "replace")) for name, value in query])
    return method.upper(), path + (f"?{encoded}" if encoded else ""), body


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_no_request_is_a_fault_of_ours(target: tuple[Server, Run, dict[str, Any]], data: st.DataObject) -> None:
    server, run, described = target
    method, path, body = data.draw(st.composite(some_request)(described, run.id))
    answer = server.ask(path, method, body=body, headers={"Content-Type": "application/json"})
    assert answer.status < 500, (method, path, body, answer.body)
    allowed = {200, 202, 400, 401, 403, 404, 405, 409, 413, 422}
    is_mcp = path.startswith("/mcp")  # it has statuses of its own, and errors of JSON-RPC
    assert answer.status in (allowed | {406, 415} if is_mcp else allowed), (method, path, body, answer.body)
    if answer.status >= 400 and not (is_mcp and "jsonrpc" in answer.json):
        assert set(answer.json["error"]) == {"code", "message", "hint"}, (method, path, answer.body)
        assert answer.json["error"]["message"].isprintable()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    start=st.sampled_from(
        [b"", b"GET / HTTP/1.1\r\n", b"POST /api/query HTTP/1.1\r\nHost: localhost\r\n", b"\x16\x03\x01"]
    ),
    rest=st.binary(max_size=200),
)
def test_bytes_that_are_no_request_harm_nobody(
    target: tuple[Server, Run, dict[str, Any]], start: bytes, rest: bytes
) -> None:
    server = target[0]
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(start + rest)
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while chunk := raw.recv(4096):
                answer += chunk
        except ConnectionResetError:
            pass
    assert b"HTTP/1.1 5" not in answer
    assert server.ask("/healthz").status == 200
