"""A small run made up for the questions: a user asks, the model calls a shell, the shell writes and renames a file."""

from dataclasses import replace
from typing import Any

import pyarrow as pa

from intact.model.effects import Basis, CauseKind, Kind, PathState
from intact.model.facts import Agent, AgentTurn, Finding, LlmCall, Loss, McpCall, Process, StageCount, ToolCall
from intact.model.slice import Slice
from intact.store.database import Database
from intact.store.ingest import ingest_run
from intact.store.runs import DataDirectory, Run
from intact.store.segments import SegmentWriter
from tests.store.slices import HOST, T0, effects, links

AGENT, SHELL, STRANGER = 11, 12, 13
CALL, CALL_2, TOOL, TURN, MCP = 21, 22, 31, 41, 51
OPEN, WRITE, RENAME, CONNECT, EXEC, FORK, EXIT, CHOWN = range(101, 109)
SECOND = 1_000_000_000


def at(seconds: float) -> int:
    return T0 + int(seconds * SECOND)


def messages(*texts: str) -> list[Any]:
    return [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in texts]


CALL_FACT = LlmCall(
    id=CALL, exchange_id=1, process_id=AGENT, pid=100, tid=100, provider_name="anthropic", wire_api="anthropic.messages",
    operation_name="chat", request_model="m-1", started_ns=at(1), server_address="api.example.org", server_port=443,
    input_messages=messages("be brief", "make /srv/out.txt"),
)  # fmt: skip
TOOL_FACT = ToolCall(
    id=TOOL, tool_call_id="toolu_1", name="Bash", arguments={"command": "echo 1 > /srv/tmp; mv /srv/tmp /srv/out.txt"},
    arguments_text="{}", call_id=CALL, process_id=AGENT, issued_ns=at(2),
)  # fmt: skip


def processes() -> tuple[Process, ...]:
    return (
        Process(id=AGENT, pid=100, start_ns=at(0), comm="agent", argv=("agent", "-p"), exe="/bin/agent", uid=1, gid=2),
        Process(
            id=SHELL,
            pid=101,
            start_ns=at(3),
            parent_id=AGENT,
            ppid=100,
            comm="sh",
            argv=("sh", "-c", "echo"),
            exit_code=0,
        ),
        Process(id=STRANGER, pid=102, start_ns=at(4), parent_id=STRANGER, ppid=1),
    )


def file_effects() -> dict[str, pa.RecordBatch]:
    mgmt = effects(
        "file", 4, id=[OPEN, RENAME, CHOWN, 109],
        kind=[int(Kind.FILE_OPEN), int(Kind.FILE_RENAME), int(Kind.FILE_CHOWN), int(Kind.FILE_CREATE)],
        process_id=[SHELL, SHELL, STRANGER, SHELL], pid=[101, 101, 102, 101],
        at_ns=[at(3.1), at(3.3), at(4), at(5)], end_ns=[at(3.1), at(3.3), at(4), at(5)],
        path=["/srv/tmp", "/srv/out.txt", "/srv/out.txt", "/srv/tmp"], old_path=["", "/srv/tmp", "", ""],
        path_state=[0, PathState.UNRESOLVED | PathState.FROM_FILE, 0, 0], result=[0, 0, -1, 0], mode=0o644, fd=[3, -1, -1, 3],
        new_uid=5, new_gid=6, uid=1000, gid=1000, flags=577,
    )  # fmt: skip
    io = effects(
        "io", 1, id=[WRITE], kind=int(Kind.FILE_WRITE), process_id=SHELL, pid=101, at_ns=[at(3.2)], end_ns=[at(3.2)],
        path="/srv/tmp", bytes=[2], count=[1], fd_kind=1, fd=3,
    )  # fmt: skip
    return {**mgmt, **io}


def process_effects() -> dict[str, pa.RecordBatch]:
    return effects(
        "process", 3, id=[FORK, EXEC, EXIT], kind=[int(Kind.FORK), int(Kind.EXEC), int(Kind.EXIT)],
        process_id=[AGENT, SHELL, SHELL], pid=[100, 101, 101], at_ns=[at(3), at(3.05), at(3.9)],
        end_ns=[at(3), at(3.05), at(3.9)], child_id=[SHELL, 0, 0], child_pid=[101, 0, 0], comm=["agent", "sh", "sh"],
        exe=["", "/bin/sh", ""], argv=[[], ["sh", "-c", "echo"], []], cwd=["", "/srv", ""], exit_code=[-1, -1, 3],
        ppid=[0, 100, 0],
    )  # fmt: skip


def some_links() -> pa.RecordBatch:
    effect = [WRITE, RENAME, OPEN, FORK, EXEC, WRITE, CONNECT, EXIT, EXIT]
    cause = [99, TOOL, TOOL, TOOL, TOOL, TOOL, AGENT, TOOL, TOOL]
    kind = [int(CauseKind.TOOL_CALL)] * 6 + [int(CauseKind.HOUSEKEEPING)] + [int(CauseKind.TOOL_CALL)] * 2
    bits = Basis.ANCESTRY | Basis.BRACKET
    return links(
        9, id=[900 + n for n in range(9)], effect_id=effect, cause_id=cause, cause_kind=kind, basis=[bits] * 9,
        confidence=[0.9, 0.95, 0.95, 0.95, 0.95, 0.8, 0.7, 0.9, 0.0], revision=[0, 0, 0, 0, 0, 1, 0, 0, 1],
        at_ns=[at(3.5)] * 9,
    )  # fmt: skip


def slices() -> list[Slice]:
    agent = Agent(
        id=AGENT, process_id=AGENT, root_process_id=AGENT, biz_type=1, name="agent", recogniser="llm_call", score=1.0,
        reason="speaks anthropic.messages", role="agent", first_seen_ns=at(1), last_seen_ns=at(1),
    )  # fmt: skip
    net = effects(
        "net", 2, id=[CONNECT, 110], kind=[int(Kind.CONNECT), int(Kind.CLOSE)], process_id=AGENT, pid=100,
        at_ns=[at(0.9), at(6)], end_ns=[at(0.95), at(6)], address="10.0.0.7", port=[443, 443], family=2, protocol=6,
        sock_kind=1, fd=4, sent_bytes=[0, 10], received_bytes=[0, 20],
    )  # fmt: skip
    whole = replace(
        CALL_FACT,
        ended_ns=at(2),
        complete=True,
        output_tokens=5,
        finish_reasons=("tool_use",),
        missing_bytes=7,
        cost_usd=0.25,
    )
    second = replace(CALL_FACT, id=CALL_2, started_ns=at(5), input_messages=messages("make /srv/out.txt", "tool says"))
    turn = AgentTurn(
        id=TURN,
        agent_id=AGENT,
        conversation_id=None,
        call_ids=(CALL, CALL_2),
        started_ns=at(1),
        ended_ns=None,
        complete=False,
    )
    answered = replace(
        TOOL_FACT, result=[{"type": "text", "text": "1\x1b"}], is_error=False, result_call_id=CALL_2, answered_ns=at(5)
    )
    mcp = McpCall(
        id=MCP, process_id=AGENT, transport="stdio", method="tools/call", tool_name="t", arguments={"a": float("nan")},
        result=None, error={"code": -1}, started_ns=at(4), ended_ns=None,
    )  # fmt: skip
    finding = Finding(
        id=61, detector="d", severity=2, title="t", message="m", at_ns=at(6), agent_id=AGENT, evidence_ids=(CHOWN,)
    )
    counts = [StageCount(stage=s, at_ns=at(n), seen=10, passed=9 + n) for s in ("decode", "collect") for n in (0, 1)]
    losses = (
        Loss(stage="decode", cause="rejected", count=1, at_ns=at(1), note="one record was damaged"),
        Loss(stage="assemble", cause="not_heard", count=1, at_ns=at(2), call_id=CALL_2),
        Loss(stage="collect", cause="none", count=0, at_ns=at(2), note="said for its own sake"),
    )
    return [
        Slice(until_ns=at(1), facts=(*processes(), agent, CALL_FACT), effects=net),
        Slice(until_ns=at(4), facts=(TOOL_FACT, whole, turn), effects={**file_effects(), **process_effects()}),
        Slice(until_ns=at(6), facts=(answered, second, mcp, finding, *counts, *losses), links=some_links()),
    ]


def record(database: Database, data: DataDirectory) -> Run:
    run = data.new_run(HOST, name="small", command=["agent", "-p"], started_ns=T0)
    with SegmentWriter(run.segments, HOST) as writer:
        for piece in slices():
            writer.write(piece)
    run = replace(run, ended_ns=at(7), exit_code=0)
    data.save(run)
    ingest_run(database, run, lambda pieces, _: iter(pieces))
    return run
