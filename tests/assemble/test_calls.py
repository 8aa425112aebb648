"""Each wire API, streamed and not: what was asked, what was answered, what it cost, which result belongs to which call."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from intact.assemble.llm.wire_apis import WIRE_APIS
from intact.model.facts import LlmCall, Loss, ToolCall
from tests.assemble.traffic import (
    MODEL,
    WIRES,
    Line,
    ask,
    calls,
    exchanges,
    request_bytes,
    response_bytes,
    say,
    told,
    tools,
    turn,
)

APIS = tuple(MODEL)
FINISH = {
    "anthropic.messages": "tool_use",
    "openai.chat": "tool_calls",
    "openai.responses": "completed",
    "gemini.generate_content": "STOP",
}
NEEDS_RESULT = [
    ("anthropic.messages", ["toolu_01call0", "toolu_01call1"]),
    ("openai.chat", ["call_call0", "call_call1"]),
    ("openai.responses", ["call_call0", "call_call1"]),
    ("gemini.generate_content", [None, None]),
]


def history(api: str, commands: list[str], results: list[str], ids: list[Any]) -> list[Any]:
    """What the next request says of tool calls and their results."""
    both = list(zip(ids, commands, strict=True))
    if api == "anthropic.messages":
        asked = [{"type": "tool_use", "id": i, "name": "bash", "input": {"command": c}} for i, c in both]
        given = [{"type": "tool_result", "tool_use_id": i, "content": r} for i, r in zip(ids, results, strict=True)]
        return [{"role": "assistant", "content": asked}, {"role": "user", "content": given}]
    if api == "openai.chat":
        asked = [
            {"id": i, "type": "function", "function": {"name": "bash", "arguments": json.dumps({"command": c})}}
            for i, c in both
        ]
        given = [{"role": "tool", "tool_call_id": i, "content": r} for i, r in zip(ids, results, strict=True)]
        return [{"role": "assistant", "content": None, "tool_calls": asked}, *given]
    if api == "openai.responses":
        asked = [
            {"type": "function_call", "call_id": i, "name": "bash", "arguments": json.dumps({"command": c})}
            for i, c in both
        ]
        given = [{"type": "function_call_output", "call_id": i, "output": r} for i, r in zip(ids, results, strict=True)]
        return [*asked, *given]
    asked = [{"functionCall": {"name": "bash", "args": {"command": c}}} for _, c in both]
    given = [{"functionResponse": {"name": "bash", "response": {"output": r}}} for r in results]
    return [{"role": "model", "parts": asked}, {"role": "user", "parts": given}]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("coding", ["", "gzip", "br", "zstd", "deflate"])
@pytest.mark.parametrize("api", APIS)
def test_a_call_is_understood(api: str, stream: bool, coding: str) -> None:
    facts = told(turn(api, Line(), stream=stream, coding=coding, text="I will look.", commands=["ls", "pwd"]))
    first, final = [fact for fact in facts if isinstance(fact, LlmCall)]
    assert first.ended_ns is None
    assert not first.complete
    assert first.input_messages[-1] == {"role": "user", "parts": [{"type": "text", "content": "list the files"}]}
    assert (final.id, final.wire_api, final.streamed) == (first.id, api, stream)
    assert final.complete
    assert final.problem is None
    assert final.request_model == final.response_model == MODEL[api]
    assert final.response_id
    assert (final.server_address, final.server_port, final.status) == ("localhost", 8443, 200)
    assert final.finish_reasons == (FINISH[api],)
    assert (final.started_ns, final.request_end_ns, final.first_chunk_ns, final.ended_ns) == (100, 100, 200, 200)
    assert final.tool_definitions[0]["name"] == "bash"
    assert final.cost_usd is not None
    assert final.cost_usd > 0
    [said] = final.output_messages
    assert said["parts"][0] == {"type": "text", "content": "I will look."}
    assert [part["arguments"] for part in said["parts"][1:]] == [{"command": "ls"}, {"command": "pwd"}]
    asked = [fact for fact in facts if isinstance(fact, ToolCall)]
    assert [tool.arguments for tool in asked] == [{"command": "ls"}, {"command": "pwd"}]
    assert [tool.order for tool in asked] == [0, 1]
    assert final.tool_call_ids == tuple(tool.id for tool in asked)
    assert all(json.loads(tool.arguments_text) == tool.arguments for tool in asked)
    [exchange] = exchanges(facts)
    assert exchange.complete
    assert exchange.id == final.exchange_id


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("api", APIS)
def test_tokens_are_counted_as_opentelemetry_says(api: str, stream: bool) -> None:
    [call] = calls(told(turn(api, Line(), stream=stream, text="hi", thinking="hm")))
    assert (call.input_tokens, call.output_tokens, call.cache_read_input_tokens) == (1000, 50, 200)
    assert call.cache_creation_input_tokens == (300 if api == "anthropic.messages" else None)
    assert call.reasoning_output_tokens == (None if api == "anthropic.messages" else 10)


@pytest.mark.parametrize("api", ["anthropic.messages", "openai.responses", "gemini.generate_content"])
def test_thinking_is_reasoning(api: str) -> None:
    [call] = calls(told(turn(api, Line(), text="hi", thinking="let me see")))
    assert call.output_messages[0]["parts"][0] == {"type": "reasoning", "content": "let me see"}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("api", "ids"), NEEDS_RESULT)
def test_parallel_results_are_joined_once(api: str, ids: list[Any], stream: bool) -> None:
    commands, results = ["ls", "pwd"], ["a.txt", "/home"]
    line = turn(api, Line(), commands=commands, stream=stream)
    later = history(api, commands, results, ids)
    turn(api, line, text="done", history=later, stream=stream)
    turn(api, line, text="again", history=later, stream=stream)
    facts = told(line)
    first, second, third = calls(facts)
    joined = tools(facts)
    wanted = [{"output": result} for result in results] if api.startswith("gemini") else results
    assert [tool.result for tool in joined] == wanted
    assert {tool.result_call_id for tool in joined} == {second.id}
    assert {tool.answered_ns for tool in joined} == {second.started_ns}
    assert first.tool_call_ids == second.answered_tool_call_ids == tuple(tool.id for tool in joined)
    assert len([fact for fact in facts if isinstance(fact, ToolCall)]) == 4
    assert first.conversation_id == second.conversation_id == third.conversation_id
    assert [message["role"] for message in second.input_messages][-1] == "tool"


def test_a_result_is_answered_when_its_request_begins() -> None:
    line = turn("anthropic.messages", Line(), commands=["ls"])
    later = history("anthropic.messages", ["ls"], ["x" * 5000], ["toolu_01call0"])
    target, body = ask("anthropic.messages", history=later)
    line.asks(request_bytes(target, body), cuts=[1, 2000, 4000], step_ns=10)
    [tool] = tools(told(line))
    assert tool.answered_ns == 300


def test_a_tool_call_is_issued_when_its_arguments_are_whole() -> None:
    target, body = ask("anthropic.messages")
    content_type, pieces = say("anthropic.messages", target, body, commands=["ls", "pwd"])
    line = Line().asks(request_bytes(target, body))
    head, *parts = response_bytes(pieces, content_type=content_type).partition(b"\r\n\r\n")
    line.hears(head + parts[0])
    stops = 0
    wanted = []
    for piece in pieces:
        line.hears(b"%x\r\n%s\r\n" % (len(piece), piece))
        if b"content_block_stop" in piece:
            stops += 1
            wanted.append(line.at_ns)
    facts = told(line)
    assert [tool.issued_ns for tool in tools(facts)] == wanted
    [call] = calls(facts)
    # The last chunk of HTTP never came: the client knew the end when it saw it.
    assert call.complete
    assert call.ended_ns == line.at_ns


@pytest.mark.parametrize("api", APIS)
def test_a_client_may_stop_reading_at_the_end(api: str) -> None:
    target, body = ask(api)
    content_type, pieces = say(api, target, body, text="hello")
    whole = response_bytes(pieces, content_type=content_type).removesuffix(b"0\r\n\r\n")
    facts = told(Line().asks(request_bytes(target, body)).hears(whole).ends())
    [call], [exchange] = calls(facts), exchanges(facts)
    assert call.complete
    assert exchange.complete
    assert exchange.problem is None


@pytest.mark.parametrize("api", APIS)
def test_a_cut_stream_is_incomplete(api: str) -> None:
    target, body = ask(api)
    content_type, pieces = say(api, target, body, text="a longer answer " * 30)
    whole = response_bytes(pieces[: len(pieces) // 2], content_type=content_type).removesuffix(b"0\r\n\r\n")
    facts = told(Line().asks(request_bytes(target, body)).hears(whole).ends())
    [call], [exchange] = calls(facts), exchanges(facts)
    assert not call.complete
    assert not exchange.complete
    assert call.problem == exchange.problem == "connection ended"
    assert call.ended_ns == 200
    assert call.output_messages[0]["parts"][0]["content"].startswith("a longer answer")


def test_a_stream_that_ends_too_early_by_its_framing_is_incomplete() -> None:
    target, body = ask("anthropic.messages")
    content_type, pieces = say("anthropic.messages", target, body, text="hello")
    [call] = calls(
        told(Line().asks(request_bytes(target, body)).hears(response_bytes(pieces[:-1], content_type=content_type)))
    )
    assert not call.complete
    assert call.problem == "response ended before the model did"


@pytest.mark.parametrize(
    ("api", "status", "error_type"),
    [
        ("anthropic.messages", 529, "overloaded_error"),
        ("openai.chat", 429, "rate_limit_exceeded"),
        ("openai.responses", 400, "invalid_request_error"),
        ("gemini.generate_content", 429, "RESOURCE_EXHAUSTED"),
    ],
)
def test_errors_are_named(api: str, status: int, error_type: str) -> None:
    target, body = ask(api)
    error = WIRES[api].error(status, "no")
    [call] = calls(told(Line().asks(request_bytes(target, body)).hears(response_bytes([error], status=status))))
    assert (call.status, call.error_type, call.complete) == (status, error_type, True)
    assert call.cost_usd is None


def test_an_error_without_words_is_its_status() -> None:
    target, body = ask("anthropic.messages")
    answer = response_bytes([b"<html>bad gateway</html>"], status=502, content_type="text/html")
    [call] = calls(told(Line().asks(request_bytes(target, body)).hears(answer)))
    assert call.error_type == "502"


@pytest.mark.parametrize(
    ("api", "event", "error_type"),
    [
        (
            "anthropic.messages",
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n',
            "overloaded_error",
        ),
        ("openai.chat", b'data: {"error":{"message":"x","type":"server_error","code":null}}\n\n', "server_error"),
        ("openai.responses", b'event: error\ndata: {"type":"error","code":"server_error"}\n\n', "server_error"),
        (
            "openai.responses",
            b'data: {"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded"}}}\n\n',
            "rate_limit_exceeded",
        ),
        ("gemini.generate_content", b'data: {"error":{"code":503,"status":"UNAVAILABLE"}}\n\n', "UNAVAILABLE"),
    ],
)
def test_errors_inside_a_stream_are_named(api: str, event: bytes, error_type: str) -> None:
    target, body = ask(api)
    content_type, pieces = say(api, target, body, text="hello")
    answer = response_bytes([*pieces[:2], event], content_type=content_type)
    [call] = calls(told(Line().asks(request_bytes(target, body)).hears(answer)))
    assert call.error_type == error_type
    assert call.complete


def test_gemini_streams_an_array_where_no_events_are_wanted() -> None:
    target, body = ask("gemini.generate_content")
    target = target.replace("?alt=sse", "")
    content_type, pieces = say("gemini.generate_content", target, body, text="hello " * 60, commands=["ls"])
    [call] = calls(
        told(Line().asks(request_bytes(target, body)).hears(response_bytes(pieces, content_type=content_type)))
    )
    assert call.complete
    assert call.output_messages[0]["parts"][0]["content"] == "hello " * 60
    assert call.output_tokens == 50


def test_gemini_inside_the_envelope_of_code_assist() -> None:
    _, body = ask("gemini.generate_content", stream=False)
    wrapped = {"model": "gemini-2.5-pro", "project": "p", "request": {**body, "session_id": "session-1"}}
    _, [piece] = say("gemini.generate_content", ask("gemini.generate_content", stream=False)[0], body, text="hello")
    answer = b"data: " + json.dumps({"response": json.loads(piece)}).encode() + b"\n\n"
    line = Line().asks(request_bytes("/v1internal:streamGenerateContent?alt=sse", wrapped))
    [call] = calls(told(line.hears(response_bytes([answer], content_type="text/event-stream"))))
    assert (call.request_model, call.conversation_id, call.complete) == ("gemini-2.5-pro", "session-1", True)
    assert call.output_messages[0]["parts"] == [{"type": "text", "content": "hello"}]


def test_the_session_of_anthropic_clients_is_the_conversation() -> None:
    target, body = ask("anthropic.messages")
    session = "1d3f6a0e-6d9c-4a44-8f0e-0a54a3f3a111"
    for user_id in (f"user_ab_account__session_{session}", json.dumps({"device_id": "x", "session_id": session})):
        body["metadata"] = {"user_id": user_id}
        [call] = calls(told(Line().asks(request_bytes(target, body))))
        assert call.conversation_id == session


def test_responses_follow_each_other_by_id() -> None:
    line = turn("openai.responses", Line(), words="first", text="one")
    [first] = calls(told(line))
    target, body = ask("openai.responses", "second")
    body["previous_response_id"] = first.response_id
    line.asks(request_bytes(target, body))
    one, two = calls(told(line))
    assert one.conversation_id == two.conversation_id


def test_conversations_are_told_apart_by_their_first_words_and_process() -> None:
    first = turn("openai.chat", Line(1), words="one", text="x")
    second = turn("openai.chat", Line(2), words="two", text="x")
    other = turn("openai.chat", Line(3, process_id=2), words="one", text="x")
    assert len({call.conversation_id for call in calls(told(first, second, other))}) == 3


def test_a_result_from_another_process_is_joined() -> None:
    line = turn("anthropic.messages", Line(1), commands=["ls"])
    child = Line(2, process_id=2)
    child.at_ns = 500
    turn(
        "anthropic.messages", child, text="ok", history=history("anthropic.messages", ["ls"], ["a"], ["toolu_01call0"])
    )
    [tool] = tools(told(line, child))
    assert tool.result == "a"


def test_errors_of_tools_are_kept() -> None:
    line = turn("anthropic.messages", Line(), commands=["ls"])
    later = history("anthropic.messages", ["ls"], ["no such file"], ["toolu_01call0"])
    later[1]["content"][0]["is_error"] = True
    turn("anthropic.messages", line, history=later, text="ok")
    [tool] = tools(told(line))
    assert (tool.is_error, tool.result) == (True, "no such file")


def test_tools_of_the_provider_are_marked() -> None:
    target, body = ask("anthropic.messages", stream=False)
    content = [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [{"url": "u", "encrypted_content": "E"}],
        },
    ]
    answer = {"id": "m", "type": "message", "model": "m", "content": content, "stop_reason": "end_turn", "usage": {}}
    facts = told(Line().asks(request_bytes(target, body)).hears(response_bytes([json.dumps(answer).encode()])))
    [tool], [call] = tools(facts), calls(facts)
    assert (tool.server_side, tool.name, tool.result, tool.result_call_id) == (
        True,
        "web_search",
        [{"url": "u"}],
        call.id,
    )


def test_responses_know_custom_and_shell_tools() -> None:
    target, body = ask("openai.responses", stream=False)
    items = [
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"},
        {"type": "local_shell_call", "call_id": "c2", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "web_search_call", "id": "ws", "action": {"query": "x"}},
    ]
    answer = {"id": "r", "object": "response", "status": "completed", "model": "gpt-4o", "output": items}
    facts = told(Line().asks(request_bytes(target, body)).hears(response_bytes([json.dumps(answer).encode()])))
    assert [(tool.name, tool.arguments_text[:9], tool.server_side) for tool in tools(facts)] == [
        ("apply_patch", "*** Begin", False),
        ("local_shell", '{"type": ', False),
        ("web_search", '{"query":', True),
    ]


def test_images_are_told_by_their_size() -> None:
    target, body = ask("anthropic.messages")
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD" * 100}}
    body["messages"].append({"role": "user", "content": [image]})
    [call] = calls(told(Line().asks(request_bytes(target, body))))
    assert call.input_messages[-1]["parts"] == [
        {"type": "blob", "modality": "image", "mime_type": "image/png", "size_bytes": 300}
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages/count_tokens", ask("anthropic.messages")[1]),
        ("/v1/models/m:countTokens", ask("gemini.generate_content")[1]),
        ("/v1/embeddings", {"model": "e", "input": "words"}),
        ("/v1/embeddings", {"model": "e", "input": ["words"]}),
        ("/telemetry", {"events": []}),
        ("/mcp", {"jsonrpc": "2.0", "method": "tools/call"}),
        ("/api/chat", {"model": "m", "messages": [{"role": "user", "content": "x"}]}),
    ],
)
def test_other_requests_are_no_calls(path: str, body: dict[str, Any]) -> None:
    assert calls(told(Line().asks(request_bytes(path, body)))) == []


@pytest.mark.parametrize("api", APIS)
def test_the_body_tells_the_api_whatever_the_path(api: str) -> None:
    _, body = ask(api)
    [call] = calls(told(Line().asks(request_bytes("/gateway/42", body))))
    assert call.wire_api == api


@pytest.mark.parametrize(
    ("path", "api"), [("/v1/messages", "anthropic.messages"), ("/v1/chat/completions", "openai.chat")]
)
def test_the_path_tells_where_the_body_does_not(path: str, api: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    [call] = calls(told(Line().asks(request_bytes(path, body))))
    assert call.wire_api == api


def test_an_unreadable_request_is_told_as_a_call_with_a_problem() -> None:
    content_type, pieces = say("openai.chat", *ask("openai.chat"), text="hello")
    line = Line().asks(request_bytes("/v1/chat/completions", b'{"model": "gpt'))
    [call] = calls(told(line.hears(response_bytes(pieces, content_type=content_type))))
    assert (call.problem, call.complete) == ("request body not readable", False)


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.anthropic.com", "anthropic"),
        ("x.openai.azure.com", "azure.ai.openai"),
        ("us-east5-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("localhost", "anthropic"),
    ],
)
def test_the_host_tells_the_provider(host: str, provider: str) -> None:
    target, body = ask("anthropic.messages")
    request = request_bytes(target, body).replace(b"localhost:8443", host.encode())
    [call] = calls(told(Line().asks(request)))
    assert (call.provider_name, call.server_address) == (provider, host)


def test_a_server_is_no_agent() -> None:
    target, body = ask("openai.chat")
    facts = told(Line().hears(request_bytes(target, body)).asks(response_bytes([b"{}"])))
    [exchange] = exchanges(facts)
    assert exchange.is_server
    assert calls(facts) == []


def test_a_hole_in_the_answer_is_told_down_to_the_call() -> None:
    target, body = ask("anthropic.messages")
    content_type, pieces = say("anthropic.messages", target, body, text="hello " * 40, commands=["ls"])
    data = b"".join(pieces)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    line = Line().asks(request_bytes(target, body))
    cut = data.index(b"hello") + 40
    line.facts.append(line.chunk(head + data[:cut], is_write=False, missing_bytes=300))
    line.hears(data[cut + 300 :])
    facts = told(line)
    [call] = calls(facts)
    assert (call.missing_bytes, call.complete) == (300, False)
    assert [tool.arguments for tool in tools(facts)] == [{"command": "ls"}]
    [loss] = [fact for fact in facts if isinstance(fact, Loss)]
    assert (loss.call_id, loss.count) == (call.id, 300)


@pytest.mark.parametrize("api", WIRE_APIS, ids=lambda api: api.name)
@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [1], {"a": 1}, [[[]]], [{}], {"type": []}])
def test_hostile_json_is_read_without_an_error(api: Any, value: Any) -> None:
    talk: list[tuple[bytes, bytes]] = []
    target, body = ask(api.name)
    inner = next(key for key in ("messages", "input", "contents") if key in body)
    for key in body:
        if key != inner:
            talk.append((request_bytes(target, {**body, key: value}), b""))
    for key in body[inner][0]:
        talk.append((request_bytes(target, {**body, inner: [{**body[inner][0], key: value}]}), b""))
    for streamed in (True, False):
        target, body = ask(api.name, stream=streamed)
        content_type, pieces = say(api.name, target, body, text="x", commands=["ls"])
        for piece in pieces:
            _prefix, _, event = piece.rpartition(b"data: ")
            try:
                members = json.loads(event)
            except ValueError:
                continue
            bent = [
                (b"data: " if streamed else b"") + json.dumps(each).encode() + b"\n\n" for each in bend(members, value)
            ]
            for each in [[pieces[0], *bent, *pieces[1:]]] if streamed else [[one] for one in bent]:
                talk.append((request_bytes(target, body), response_bytes(each, content_type=content_type)))
    told(*(Line(number).asks(asked).hears(answered) for number, (asked, answered) in enumerate(talk)))


def bend(value: Any, into: Any) -> Iterator[Any]:
    """The value with each of its parts replaced in turn, two levels deep and more."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[key] = into
        yield copy
        for deeper in bend(value[key], into):
            copy = dict(value) if isinstance(value, dict) else list(value)
            copy[key] = deeper
            yield copy
