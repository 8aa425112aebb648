"""The stand-in over a real socket: every wire API, every way a body travels, and a log equal to the bytes."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.small_agent import APIS
from tests.standin import Script, Standin, Step, ToolCall
from tests.standin.bodies import decoded
from tests.standin.raw_client import TARGETS, ask, body_for, connect, heard, request, send

PARALLEL = (
    ToolCall(name="shell", arguments={"command": "ls 'é'"}),
    ToolCall(name="write_file", arguments={"path": "/tmp/x", "content": "\n" * 40}),
)
SCRIPTS = {
    "default": Script(steps=(Step(text="Both.", thinking="I think.", tool_calls=PARALLEL), Step(text="over"))),
    "cut": Script(steps=(Step(text_bytes=5000, text="long ", chunk_bytes=(1, 7, 300)),)),
    "torn": Script(steps=(Step(text="torn", write_bytes=(3, 2)),)),
    "gzip": Script(steps=(Step(text="squeezed", compression="gzip", text_bytes=900),)),
    "br": Script(steps=(Step(text="squeezed", compression="br", text_bytes=900),)),
    "zstd": Script(steps=(Step(text="squeezed", compression="zstd", text_bytes=900, chunk_bytes=(11,)),)),
    "forced": Script(steps=(Step(text="squeezed", compression="gzip", compression_forced=True),)),
    "fails": Script(steps=(Step(error_status=529), Step(error_status=429, error_body="slow"), Step(text="at last"))),
    "middle": Script(steps=(Step(text="half of it", close="middle"),)),
    "before": Script(steps=(Step(close="before"),)),
    "slow": Script(steps=(Step(text="x" * 100, delay_s=0.2, delta_delay_s=0.02),)),
}


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    with Standin(SCRIPTS, log_dir=tmp_path_factory.mktemp("standin"), seed="test") as running:
        yield running


def events_of(body: bytes) -> list[dict[str, Any]]:
    data = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in data if line != b"[DONE]"]


def prompt(script: str) -> str:
    return f"do it [[script:{script}]]"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", ["anthropic", "openai-chat", "openai-responses", "gemini"])
def test_parallel_tool_calls_in_every_wire_api(standin: Standin, api: str, stream: bool) -> None:
    target = TARGETS["gemini-stream" if api == "gemini" and stream else api]
    got = ask(standin, target, body_for(api, stream=stream))
    whole = APIS[api].fold(events_of(got.body)) if stream else json.loads(got.body)
    entry = APIS[api].entry(whole)
    assert got.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    assert entry.text == "Both."
    assert [(call.name, call.arguments) for call in entry.calls] == [
        ("Bash", {"command": "ls 'é'"}),
        ("Write", {"file_path": "/tmp/x", "content": "\n" * 40}),
    ]
    served = standin.exchanges()[-1]
    assert served.answer["stream"] is stream
    assert [call["id"] for call in served.answer["tool_calls"] if api != "gemini"] == [
        call.id for call in entry.calls if api != "gemini"
    ]


def test_gemini_stream_as_one_json_array(standin: Standin) -> None:
    got = ask(standin, TARGETS["gemini-array"], body_for("gemini"))
    assert got.headers["transfer-encoding"] == "chunked"
    entry = APIS["gemini"].entry(APIS["gemini"].fold(json.loads(got.body)))
    assert entry.text == "Both."
    assert len(entry.calls) == 2


def test_usage_is_in_each_providers_words(standin: Standin) -> None:
    anthropic = json.loads(ask(standin, TARGETS["anthropic"], body_for("anthropic")).body)["usage"]
    truth = standin.exchanges()[-1].answer
    parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert sum(anthropic[part] for part in parts) == truth["input_tokens"]
    chat = events_of(ask(standin, TARGETS["openai-chat"], body_for("openai-chat", stream=True)).body)[-1]
    assert chat["choices"] == []
    assert chat["usage"]["completion_tokens_details"]["reasoning_tokens"] == truth["reasoning_tokens"] > 0
    responses = json.loads(ask(standin, TARGETS["openai-responses"], body_for("openai-responses")).body)["usage"]
    assert responses["total_tokens"] == responses["input_tokens"] + responses["output_tokens"]
    gemini = json.loads(ask(standin, TARGETS["gemini"], body_for("gemini")).body)["usageMetadata"]
    assert gemini["thoughtsTokenCount"] == truth["reasoning_tokens"]


def test_log_holds_the_bytes_of_two_pipelined_requests(standin: Standin) -> None:
    first = request("/v1/chat/completions", body_for("openai-chat"), close=False)
    second = request("/v1/messages", body_for("anthropic", stream=True))
    received = send(standin, first + second)
    one, two = standin.exchanges()[-2:]
    assert one.connection == two.connection
    base = standin.log_dir / f"conn-{one.connection}"
    assert base.with_suffix(".in").read_bytes() == first + second
    assert base.with_suffix(".out").read_bytes() == received
    assert (standin.request_bytes(one), standin.request_bytes(two)) == (first, second)
    assert standin.response_bytes(one) + standin.response_bytes(two) == received
    body = heard(standin.response_bytes(two)).body
    assert (two.response_body_bytes, two.response_body_sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert two.request_body_sha256 == hashlib.sha256(second.partition(b"\r\n\r\n")[2]).hexdigest()
    assert 0 < two.request_started_ns <= two.response_started_ns <= two.response_ended_ns


def test_request_in_chunks_and_compressed(standin: Standin) -> None:
    content = json.dumps(body_for("anthropic")).encode()
    packed = gzip.compress(content)
    chunks = b"".join(b"%x;note=1\r\n%b\r\n" % (len(part), part) for part in (packed[:9], packed[9:]))
    head = b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
    got = heard(send(standin, head + chunks + b"0\r\ntrailer: t\r\n\r\n"))
    assert got.status == 200
    served = standin.exchanges()[-1]
    assert served.request_body_bytes == len(packed)
    assert served.request_content_sha256 == hashlib.sha256(content).hexdigest()


def test_chunks_have_the_sizes_of_the_script(standin: Standin) -> None:
    got = ask(standin, TARGETS["anthropic"], body_for("anthropic", prompt=prompt("cut")))
    _, _, rest = got.raw.partition(b"\r\n\r\n")
    sizes = []
    while size := int(rest.partition(b"\r\n")[0], 16):
        sizes.append(size)
        rest = rest.partition(b"\r\n")[2][size + 2 :]
    assert sizes[:6] == [1, 7, 300, 1, 7, 300]
    assert len(json.loads(got.body)["content"][0]["text"]) == 5000


def test_torn_writes_change_no_byte(standin: Standin) -> None:
    got = ask(standin, TARGETS["openai-responses"], body_for("openai-responses", prompt=prompt("torn"), stream=True))
    assert APIS["openai-responses"].fold(events_of(got.body))["output"][0]["content"][0]["text"] == "torn"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_compression(standin: Standin, coding: str, stream: bool) -> None:
    pytest.importorskip({"gzip": "gzip", "br": "brotli", "zstd": "zstandard"}[coding])
    body = body_for("openai-chat", prompt=prompt(coding), stream=stream)
    got = ask(standin, TARGETS["openai-chat"], body, accept_encoding="gzip;q=0.5, br, zstd")
    assert got.headers["content-encoding"] == coding
    content = decoded(got.body, coding)
    assert hashlib.sha256(content).hexdigest() == standin.exchanges()[-1].response_content_sha256
    refused = ask(standin, TARGETS["openai-chat"], body, accept_encoding=f"identity, {coding};q=0")
    assert "content-encoding" not in refused.headers


def test_forced_compression_asks_nobody(standin: Standin) -> None:
    got = ask(standin, TARGETS["anthropic"], body_for("anthropic", prompt=prompt("forced")))
    assert got.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(got.body))["content"][0]["text"] == "squeezed"


def test_errors_then_the_answer(standin: Standin) -> None:
    body = body_for("anthropic", prompt=prompt("fails"))
    got = [ask(standin, TARGETS["anthropic"], body) for _ in range(3)]
    assert [answer.status for answer in got] == [529, 429, 200]
    assert json.loads(got[0].body)["error"]["type"] == "overloaded_error"
    assert got[1].body == b"slow"
    assert json.loads(got[2].body)["content"][0]["text"] == "at last"


@pytest.mark.parametrize("where", ["before", "middle"])
def test_dropped_connection_is_logged_as_incomplete(standin: Standin, where: str) -> None:
    received = send(standin, request("/v1/messages", body_for("anthropic", prompt=prompt(where), stream=True)))
    served = standin.exchanges()[-1]
    assert not served.response_complete
    assert standin.response_bytes(served) == received
    assert (received == b"") is (where == "before")
    assert b"message_stop" not in received


def test_delays(standin: Standin) -> None:
    ask(standin, TARGETS["anthropic"], body_for("anthropic", prompt=prompt("slow"), stream=True))
    served = standin.exchanges()[-1]
    assert served.response_started_ns - served.request_ended_ns >= 200_000_000
    assert served.response_ended_ns - served.response_started_ns >= 100_000_000


def test_side_requests_do_not_move_the_script(standin: Standin) -> None:
    side = ask(standin, TARGETS["anthropic"], body_for("anthropic", tools=False))
    assert json.loads(side.body)["content"] == [{"type": "text", "text": "ok"}]
    assert standin.exchanges()[-1].step is None
    count = ask(standin, "/v1/messages/count_tokens?beta=true", body_for("anthropic"))
    assert json.loads(count.body)["input_tokens"] > 0
    schema = {"type": "object", "properties": {"next_speaker": {"enum": ["model", "user"]}}}
    wanted = {**body_for("gemini"), "generationConfig": {"responseJsonSchema": schema}}
    answer = APIS["gemini"].entry(json.loads(ask(standin, TARGETS["gemini"], wanted).body))
    assert json.loads(answer.text) == {"next_speaker": "user"}


def test_head_and_unknown_paths(standin: Standin) -> None:
    head = heard(send(standin, b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n"))
    assert (head.status, head.body) == (200, b"")
    assert ask(standin, "/v1/nothing", {}).status == 404
    assert ask(standin, "/v1/messages", b"{not json").status == 400


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_logged(standin: Standin, data: bytes) -> None:
    received = send(standin, data)
    assert heard(received).status == 400
    newest = max(standin.log_dir.glob("conn-*.in"), key=lambda path: int(path.stem.removeprefix("conn-")))
    assert newest.read_bytes() == data
    assert newest.with_suffix(".out").read_bytes() == received


def test_speaks_http_1_only(standin: Standin) -> None:
    with connect(standin) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"  # type: ignore[attr-defined]


def test_script_added_while_running(standin: Standin) -> None:
    standin.add({"late": Script(steps=(Step(text="added"),))})
    got = ask(standin, TARGETS["anthropic"], body_for("anthropic", prompt=prompt("late")))
    assert json.loads(got.body)["content"][0]["text"] == "added"


def test_plain_http_and_stop(tmp_path: Path) -> None:
    standin = Standin(Script(steps=(Step(text="plain"),)), log_dir=tmp_path, tls=False)
    with standin:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", standin.base_url)
        got = ask(standin, TARGETS["anthropic"], body_for("anthropic"))
        assert json.loads(got.body)["content"][0]["text"] == "plain"
    assert len(standin.exchanges()) == 1
    with pytest.raises(ConnectionError):
        connect(standin)


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    ids = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        with Standin(SCRIPTS, log_dir=folder, seed="same") as standin:
            ask(standin, TARGETS["anthropic"], body_for("anthropic"))
            ids.append(standin.exchanges()[0].answer)
    assert ids[0] == ids[1]
