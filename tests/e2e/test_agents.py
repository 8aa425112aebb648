"""Real agents, recorded as a person would: every call the stand-in served is there, byte for byte, and understood.

Bytes are compared before anything is removed from them: the capture is decoded here, in the test, and its streams are held
against the stand-in's log. What a client does not read cannot be heard: some leave when the last event came, without the empty
chunk that ends the body, and some drop a connection at the head of an error, without its body. Nothing else may be missing.
"""

import json
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from intact.collect.capture_file import read_capture
from intact.decode.stage import decode
from intact.model.facts import Chunk
from tests.agents.install import NAMES
from tests.agents.run import SMALL_NAMES, available, command
from tests.e2e.recorded import TIMEOUT_S, kernel_test, record_argv, runs, show
from tests.standin import Exchange, Script, Standin, Step, ToolCall

LAST_CHUNK = b"0\r\n\r\n"
FINAL = "All of it is done."
WIRE_APIS = {
    "anthropic_messages": "anthropic.messages",
    "openai_chat": "openai.chat",
    "openai_responses": "openai.responses",
    "gemini": "gemini.generate_content",
}
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One agent's recorded work, and both sides of what was said."""

    shown: Row
    run: Row
    done: subprocess.CompletedProcess[str]
    served: list[Exchange]
    """Requests to a model, in the order they came."""
    log: Path
    capture: Path
    port: int
    workdir: Path

    @property
    def answered(self) -> list[Exchange]:
        """Served with an answer and not with an error."""
        return [exchange for exchange in self.served if exchange.response_status == 200]


def script_in(workdir: Path) -> Script:
    def shell(line: str) -> ToolCall:
        return ToolCall(name="shell", arguments={"command": line})

    note = {"path": str(workdir / "note.txt"), "content": "noted: \u00e9\u4e16\n"}
    return Script(
        steps=(
            Step(text="First a command.", tool_calls=(shell("echo first-result | tee out.txt"),)),
            Step(
                tool_calls=(ToolCall(name="write_file", arguments=note),), chunk_bytes=(7, 1000), write_bytes=(11, 4096)
            ),
            Step(error_status=529),
            Step(text="Two at once.", tool_calls=(shell("echo left-result"), shell("echo right-result"))),
            Step(tool_calls=(shell("cat out.txt; false"),), compression="gzip", text_bytes=60_000),
            Step(text=FINAL, delta_delay_s=0.005),
        )
    )


def work(name: str, folder: Path) -> Session:
    workdir, data = folder / "work", folder / "data"
    with Standin(script_in(workdir), log_dir=folder / "log") as standin:
        made = command(name, prompt="Please do the task.", home=folder / "home", workdir=workdir, standin=standin)
        done = subprocess.run(
            record_argv(data, *made.argv, options=["--capture", str(folder / "capture")]),
            env=made.env,
            cwd=workdir,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        exchanges, port = standin.exchanges(), standin.port
    served = sorted((one for one in exchanges if one.wire_api), key=lambda one: one.request_started_ns)
    (run,) = runs(data)
    return Session(
        shown=show(data),
        run=run,
        done=done,
        served=served,
        log=folder / "log",
        capture=folder / "capture",
        port=port,
        workdir=workdir,
    )


@kernel_test
@pytest.mark.parametrize("name", [*(pytest.param(name, marks=pytest.mark.agents) for name in NAMES), *SMALL_NAMES])
def test_an_agent_is_recorded_whole(name: str, tmp_path: Path) -> None:
    reason = available(name)
    if reason:
        pytest.skip(reason)
    session = work(name, tmp_path)
    assert session.done.returncode == 0, session.done.stderr
    assert FINAL in session.done.stdout
    assert session.run["exit_code"] == 0
    assert session.shown["ledger"]["complete"], session.shown["ledger"]
    check_bytes(session)
    check_calls(session)
    check_tool_calls(session)
    check_turns(session)
    check_effects(session)


def check_bytes(session: Session) -> None:
    host, slices = read_capture(session.capture)
    sent: dict[int, bytearray] = defaultdict(bytearray)
    heard: dict[int, bytearray] = defaultdict(bytearray)
    for one in decode(slices, host):
        for fact in one.facts:
            if isinstance(fact, Chunk):
                stream = (sent if fact.is_write else heard)[fact.connection_id]
                assert (fact.stream_offset, fact.missing_bytes) == (len(stream), 0)
                assert fact.peer_port == session.port
                stream += fact.data
    by_sent: Mapping[bytes, int] = {bytes(data): connection for connection, data in sent.items()}
    for number in {exchange.connection for exchange in session.served}:
        received = (session.log / f"conn-{number}.in").read_bytes()
        answers = (session.log / f"conn-{number}.out").read_bytes()
        assert received in by_sent, f"connection {number} was not heard as it was sent: {received[:200]!r}"
        got = bytes(heard[by_sent[received]])
        assert answers.startswith(got)
        (*_, last) = [one for one in session.served if one.connection == number]
        head, _, body = answers[last.response_start : last.response_end].partition(b"\r\n\r\n")
        assert head
        assert answers[len(got) :] in (b"", LAST_CHUNK, *([body] if last.response_status >= 400 else []))


def check_calls(session: Session) -> None:
    def asked(exchange: Exchange) -> tuple[Any, ...]:
        answer = exchange.answer
        return (
            WIRE_APIS[exchange.wire_api],
            answer["model"],
            answer["stream"],
            answer["input_tokens"],
            answer["output_tokens"],
            answer["cache_read_tokens"] or None,
            answer["cache_creation_tokens"] or None,
        )

    def understood(call: Row) -> tuple[Any, ...]:
        return (
            call["wire_api"],
            call["request_model"],
            call["streamed"],
            call["input_tokens"],
            call["output_tokens"],
            call["cache_read_input_tokens"] or None,
            call["cache_creation_input_tokens"] or None,
        )

    calls = session.shown["calls"]
    assert Counter(call["status"] for call in calls) == Counter(one.response_status for one in session.served)
    good = [call for call in calls if call["status"] == 200]
    assert Counter(map(understood, good)) == Counter(map(asked, session.answered))
    for call in calls:
        if call["status"] == 200 or call["complete"]:
            assert (call["complete"], call["missing_bytes"], call["problem"]) == (True, 0, None), call["problem"]
        else:
            # A client that does not read the body of an error: the call says so itself.
            assert call["problem"] == "connection ended"
        assert (call["server_address"], call["server_port"]) == ("127.0.0.1", session.port)
        # Without a body there is no first chunk of it.
        times = [call[name] for name in ("started_ns", "request_end_ns", "first_chunk_ns", "ended_ns")]
        assert None not in times or call["status"] != 200
        assert (known := [at for at in times if at is not None]) == sorted(known)
        assert call["error_type"] if call["status"] != 200 else call["error_type"] is None
    texts = {text for call in good for text in _texts(call["output_messages"])}
    assert {exchange.answer["text"] for exchange in session.answered if exchange.answer["text"]} <= texts
    assert any("Please do the task." in json.dumps(call["input_messages"]) for call in good)


def _texts(messages: list[Row]) -> list[str]:
    return ["".join(part.get("content", "") for part in one["parts"] if part["type"] == "text") for one in messages]


def check_tool_calls(session: Session) -> None:
    issued = [call for exchange in session.answered for call in exchange.answer["tool_calls"]]
    shown = session.shown["tool_calls"]
    assert Counter(_key(call["name"], call["arguments"]) for call in issued) == Counter(
        _key(call["name"], call["arguments"]) for call in shown
    )
    ids = [call["tool_call_id"] for call in shown if call["tool_call_id"]]
    assert set(ids) <= {call["id"] for call in issued}
    calls = {call["id"]: call for call in session.shown["calls"]}
    for call in shown:
        asking, answering = calls[call["call_id"]], calls[call["result_call_id"]]
        assert asking["started_ns"] < call["issued_ns"] <= asking["ended_ns"]
        assert call["issued_ns"] < call["answered_ns"] == answering["started_ns"]
    wanted = {"tee out.txt": "first-result", "echo left": "left-result", "echo right": "right-result"}
    for words, result in wanted.items():
        (call,) = [call for call in shown if words in json.dumps(call["arguments"])]
        assert result in json.dumps(call["result"])


def _key(name: str, arguments: Mapping[str, Any]) -> str:
    return json.dumps([name, arguments], sort_keys=True)


def check_turns(session: Session) -> None:
    main = [call["call_id"] for call in session.shown["tool_calls"]]
    (turn,) = [turn for turn in session.shown["turns"] if main[0] in turn["call_ids"]]
    assert set(main) <= set(turn["call_ids"])
    assert turn["complete"]
    (agent,) = session.shown["agents"]
    assert turn["agent_id"] == agent["id"] == agent["process_id"]
    assert agent["root_process_id"] == session.run["root_process_id"]


def check_effects(session: Session) -> None:
    programs = {process["id"]: Path(process["exe"] or "").name for process in session.shown["processes"]}

    def cause_of(path: Path, program: str, *kinds: str) -> str:
        (effect, *_) = [
            e
            for e in session.shown["effects"]
            if str(path) in (e["path"], e["old_path"]) and e["kind"] in kinds and program in programs[e["process_id"]]
        ]
        (link,) = [k for k in session.shown["links"] if k["effect_id"] == effect["id"] and k["confidence"] >= 0.5]
        (call,) = [call for call in session.shown["tool_calls"] if call["id"] == link["cause_id"]]
        return json.dumps(call["arguments"])

    assert "tee out.txt" in cause_of(session.workdir / "out.txt", "tee", "file_write")
    assert "cat out.txt" in cause_of(session.workdir / "out.txt", "cat", "file_read")
    # Some write beside it and rename.
    assert "noted" in cause_of(session.workdir / "note.txt", "", "file_write", "file_rename")
