"""Secrets planted wherever an agent may put one survive in no fact and no batch."""

import json
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pytest

from intact.assemble.stage import assemble
from intact.model.effects import FAMILIES
from intact.model.facts import Fact, HttpExchange, LlmCall, Process, StageCount, ToolCall
from intact.model.slice import Slice
from tests.assemble.traffic import MODEL, Line, ask, request_bytes, response_bytes, say, turn

CANARIES = {
    "header": "sk-ant-api03-HeaderCanary0123456789abcdef",
    "cookie": "cookiecanaryvalue42",
    "query": "querycanaryvalue42",
    "body": "ghp_BodyCanary0123456789abcdefghijklmnop",
    "escaped": "sk-proj-EscapedCanary0123456789",
    "field": "fieldcanary42",
    "nested": "nestedcanary42",
    "events": "sk-ant-api03-EventsCanary0123456789abcdef",
    "answer": "AKIACANARY0123456789",
    "flag": "flagcanaryvalue42",
    "equals": "equalscanary42",
    "variable": "variablecanary42",
    "path": "sk-PathCanary0123456789abcdefghij",
    "old_path": "glpat-OldPathCanary0123456",
    "unix": "hf_UnixCanary0123456789abcdefghijklmn",
    "exe": "npm_ExeCanary0123456789abcdefghijklmnopq",
    "url": "urlcanary42",
}


def rows(family: str, **columns: list[Any]) -> pa.RecordBatch:
    """A batch of a family with these columns, all else zero."""
    size = len(next(iter(columns.values())))
    filled = []
    for field in FAMILIES[family]:
        empty: Any = "" if pa.types.is_string(field.type) else [] if pa.types.is_list(field.type) else 0
        empty = False if pa.types.is_boolean(field.type) else empty
        filled.append(pa.array(columns.get(field.name, [empty] * size), field.type))
    return pa.RecordBatch.from_arrays(filled, schema=FAMILIES[family])


def plain(value: Any) -> Any:
    """Facts as text that can be searched."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def dumped(slices: list[Slice]) -> str:
    """Every fact and every batch as text, escapes undone."""
    texts = [json.dumps(asdict(fact), default=plain, ensure_ascii=False) for each in slices for fact in each.facts]
    texts += [json.dumps(batch.to_pylist(), ensure_ascii=False) for each in slices for batch in each.effects.values()]
    return "\n".join(texts)


def talk(api: str, coding: str, stream: bool) -> Line:
    """A turn with a secret everywhere."""
    target, body = ask(api, stream=stream)
    body["note"] = {
        "token": CANARIES["body"],
        "password": CANARIES["field"],
        "inner": json.dumps({"api_key": CANARIES["nested"]}),
        "url": f"postgres://user:{CANARIES['url']}@db/x",
    }
    secret = CANARIES["events"]
    said = f"the key is {secret} and {CANARIES['answer']}, keep it"
    content_type, pieces = say(api, target, body, text=said, commands=[f"export KEY={secret}"])
    target += ("&" if "?" in target else "?") + f"key={CANARIES['query']}"
    headers = [("Authorization", f"Bearer {CANARIES['header']}"), ("Cookie", f"sid={CANARIES['cookie']}")]
    raw = json.dumps(body).encode()
    escaped = json.dumps(CANARIES["escaped"]).replace("sk", "\\u0073k").encode()
    raw = raw[:-1] + b', "escaped": ' + escaped + b"}"
    return (
        Line()
        .asks(request_bytes(target, raw, headers=headers))
        .hears(response_bytes(pieces, content_type=content_type, coding=coding))
    )


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("coding", ["", "gzip", "br"])
@pytest.mark.parametrize("api", tuple(MODEL))
def test_no_secret_survives_a_call(api: str, coding: str, stream: bool) -> None:
    line = talk(api, coding, stream)
    given = [Slice(until_ns=1, facts=tuple(line.facts))]
    text = dumped(list(assemble(given, redaction_key=b"key of this installation")))
    assert text.count("[REDACTED:") > 10
    for name, canary in CANARIES.items():
        assert canary not in text, name
    # Neither do the pieces that events cut it into.
    assert "EventsCanary"[:8] not in text
    assert "PathCanary" not in text


def test_no_secret_survives_effects_and_processes() -> None:
    argv = [
        ["tool", "--api-key", CANARIES["flag"], f"--password={CANARIES['equals']}", "x"],
        [
            "env",
            f"MY_TOKEN={CANARIES['variable']}",
            "sh",
            "-c",
            f"curl -H 'Authorization: Bearer {CANARIES['header']}' h",
        ],
        ["true"],
    ]
    effects = {
        "process": rows(
            "process", argv=argv, exe=[f"/x/{CANARIES['exe']}", "", "/bin/true"], cwd=["/", "/", f"/{CANARIES['path']}"]
        ),
        "file": rows("file", path=["/a", f"/tmp/{CANARIES['path']}/b", "/c"], old_path=["", "", CANARIES["old_path"]]),
        "io": rows("io", path=[f"/tmp/{CANARIES['path']}"] * 3),
        "net": rows("net", address=["127.0.0.1", f"@{CANARIES['unix']}", "::1"]),
    }
    process = Process(
        id=1, pid=1, start_ns=0, argv=tuple(argv[0]), exe=f"/{CANARIES['exe']}", cwd=f"/{CANARIES['path']}"
    )
    out = list(assemble([Slice(until_ns=1, facts=(process,), effects=effects)]))
    text = dumped(out)
    for name, canary in CANARIES.items():
        assert canary not in text, name
    file = out[0].effects["file"]
    assert file.column("path_state").to_pylist() == [0, 32, 32]
    assert file.column("path").to_pylist()[::2] == ["/a", "/c"]
    assert [len(row) for row in out[0].effects["process"].column("argv").to_pylist()] == [5, 5, 1]
    for family, batch in out[0].effects.items():
        assert batch.schema == FAMILIES[family]
        batch.validate(full=True)


def test_a_batch_without_secrets_is_passed_on_as_it_is() -> None:
    batch = rows("file", path=["/usr/lib/token.py", "/etc/passwd", "/tmp/sk-learn"])
    [out] = list(assemble([Slice(until_ns=1, effects={"file": batch})]))
    assert out.effects["file"] is batch


def test_the_same_secret_reads_the_same_and_keys_tell_installations_apart() -> None:
    def labels(key: bytes) -> set[str]:
        line = turn("anthropic.messages", Line(), text="x")
        turn("anthropic.messages", line, text="y")
        facts = [
            fact
            for each in assemble([Slice(until_ns=1, facts=tuple(line.facts))], redaction_key=key)
            for fact in each.facts
        ]
        found = [fact for fact in facts if isinstance(fact, HttpExchange)]
        return {value for each in found for name, value in each.request_headers if name == "x-api-key"}

    assert len(labels(b"one")) == 1
    assert labels(b"one") != labels(b"two")


def test_redactions_are_counted() -> None:
    line = turn("anthropic.messages", Line(), text="x")
    facts = [fact for each in assemble([Slice(until_ns=1, facts=tuple(line.facts))]) for fact in each.facts]
    [count] = [fact for fact in facts if isinstance(fact, StageCount) and fact.stage == "assemble.redaction"]
    assert count.seen == count.passed >= 1


def test_a_redacted_stream_is_still_understood() -> None:
    line = talk("anthropic.messages", "", True)
    facts: list[Fact] = [fact for each in assemble([Slice(until_ns=1, facts=tuple(line.facts))]) for fact in each.facts]
    [exchange] = [fact for fact in facts if isinstance(fact, HttpExchange)]
    call = [fact for fact in facts if isinstance(fact, LlmCall)][-1]
    [tool] = [fact for fact in facts if isinstance(fact, ToolCall)]
    events = [json.loads(line[6:]) for line in exchange.response_body.split(b"\n") if line.startswith(b"data: ")]
    assert events[-1] == {"type": "message_stop"}
    told = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    assert told == call.output_messages[0]["parts"][0]["content"]
    assert json.loads(tool.arguments_text) == tool.arguments
