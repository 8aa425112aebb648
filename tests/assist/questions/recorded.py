"""The runs that the questions are asked of: the shipped captures, and one night made up with all that can go wrong."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from intact.cli.replay import replay
from intact.collect.capture_file import CaptureReader
from intact.model.effects import Basis, CauseKind, Kind
from intact.model.facts import Agent, AgentTurn, Finding, LlmCall, Loss, Process, StageCount, ToolCall
from intact.model.slice import Slice
from intact.pipeline import back
from intact.store.database import Database
from intact.store.ingest import ingest_run
from intact.store.runs import DataDirectory
from intact.store.segments import SegmentWriter
from tests.store.slices import HOST, effects, links

CAPTURES = Path(__file__).parents[2] / "captures"
# "now" of the questions over runs: the captures are of this morning, the made-up night of the evening before
ASKED_NS = int(datetime(2026, 11, 20, 15, 30, tzinfo=UTC).timestamp()) * 1_000_000_000
NIGHT_NS = int(datetime(2026, 11, 19, 22, 15, tzinfo=UTC).timestamp()) * 1_000_000_000
WORKER, SHELL, STRAY = 8001, 8002, 8003
P1, P2, W1, W2, W3 = range(8101, 8106)
DELEGATE, CLEAN, FETCH, LOOK = range(8201, 8205)
WORDS = "Clean up the application folder and report what was removed."
COST = {P1: 0.0525, P2: 0.04875, W1: 0.000156, W3: 0.000183}


def at(seconds: float) -> int:
    return NIGHT_NS + int(seconds * 1e9)


def build(path: Path) -> Database:
    """A store with all the runs; to be closed."""
    data = DataDirectory(path)
    for name in ("demo", "background", "gemini", "responses"):
        with CaptureReader(CAPTURES / f"{name}.capture") as reader:
            replay(reader, data, name)
    replayed = data.runs()
    database = Database(data)
    for run in replayed:
        ingest_run(database, run, back)
    nightly(database, data)
    return database


def nightly(database: Database, data: DataDirectory, *, tenant: int = 1, name: str = "nightly") -> str:
    """The made-up night; the id of its run."""
    run = data.new_run(HOST, name=name, command=["planner", "--all"], started_ns=at(0))
    run = replace(run, tenant_id=tenant) if tenant != 1 else run
    with SegmentWriter(run.segments, HOST) as writer:
        for piece in _slices(run.root_process_id):
            writer.write(piece)
    run = replace(run, ended_ns=at(120), exit_code=3)
    data.save(run)
    ingest_run(database, run, lambda pieces, _: iter(pieces))
    return run.id


def _call(identity: int, process: int, model: str, start: float, took: float, **given: Any) -> LlmCall:
    asked = [{"role": "user", "parts": [{"type": "text", "content": WORDS}]}]
    values = {"status": 200, "complete": True, "cost_usd": COST.get(identity), "response_model": model, **given}
    return LlmCall(
        id=identity, exchange_id=identity, process_id=process, pid=100 if process != WORKER else 110, tid=100,
        provider_name="anthropic" if model.startswith("claude") else "openai", wire_api="anthropic.messages",
        operation_name="chat", request_model=model, server_address="api.example.org", server_port=443, started_ns=at(start),
        ended_ns=at(start + took), input_messages=asked, **values,
    )  # fmt: skip


def _tool(
    identity: int, call: int, process: int, name: str, start: float, *, is_error: bool, **arguments: Any
) -> ToolCall:
    return ToolCall(
        id=identity, tool_call_id=f"t{identity}", name=name, arguments=arguments, arguments_text=str(arguments), call_id=call,
        process_id=process, issued_ns=at(start), answered_ns=at(start + 2), is_error=is_error, result="x",
    )  # fmt: skip


def _facts(planner: int) -> list[Any]:
    def process(identity: int, pid: int, parent: int | None, comm: str) -> Process:
        return Process(
            id=identity, pid=pid, start_ns=at(0), parent_id=parent, comm=comm, argv=(comm,), exe=f"/opt/{comm}", cwd="/srv/app",
            uid=1000, gid=1000,
        )  # fmt: skip

    def agent(identity: int, name: str) -> Agent:
        return Agent(
            id=identity, process_id=identity, root_process_id=planner, biz_type=1, name=name, recogniser="wire_api", score=1.0,
            reason="speaks", role="agent", first_seen_ns=at(1), last_seen_ns=at(70),
        )  # fmt: skip

    return [
        process(planner, 100, None, "planner"), process(WORKER, 110, planner, "worker"), process(SHELL, 120, WORKER, "sh"),
        process(STRAY, 130, WORKER, "stray"), agent(planner, "planner"), agent(WORKER, "worker"),
        _call(P1, planner, "claude-opus-4", 1, 4, input_tokens=2000, output_tokens=300),
        _call(P2, planner, "claude-opus-4", 60, 2.5, input_tokens=2500, output_tokens=150),
        _call(W1, WORKER, "gpt-4o-mini", 10, 1, input_tokens=800, output_tokens=60),
        _call(W2, WORKER, "gpt-4o-mini", 20, 0.2, status=429, error_type="rate_limit_exceeded", response_model=None),
        _call(W3, WORKER, "gpt-4o-mini", 25, 1.5, input_tokens=900, output_tokens=80),
        _tool(DELEGATE, P1, planner, "delegate", 5, is_error=False, to="worker"),
        _tool(CLEAN, W1, WORKER, "Bash", 11, is_error=False, command="rm old.log cache.db; chmod 4755 helper"),
        _tool(FETCH, W3, WORKER, "WebFetch", 27, is_error=True, url="https://93.184.216.34/"),
        _tool(LOOK, W3, WORKER, "Bash", 27.5, is_error=False, command="cat ~/.ssh/id_ed25519"),
        AgentTurn(id=8301, agent_id=WORKER, conversation_id=None, call_ids=(W1, W2, W3), started_ns=at(10), ended_ns=at(27),
                  complete=True),
        Finding(id=8401, detector="policy", severity=4, title="A program was made setuid", message="helper", at_ns=at(12),
                agent_id=WORKER, evidence_ids=(8513,)),
        Finding(id=8402, detector="policy", severity=3, title="A private key was read", message="key", at_ns=at(28),
                agent_id=WORKER, evidence_ids=(8520,)),
        StageCount(stage="decode.file", at_ns=at(100), seen=100, passed=83),
        Loss(stage="decode.file", cause="ring_full", count=17, at_ns=at(50), note="the ring of files was full"),
        Loss(stage="assemble", cause="cut", count=2, at_ns=at(51)),
    ]  # fmt: skip


def _effects(planner: int) -> dict[str, Any]:
    files = [
        (8511, Kind.FILE_DELETE, "/srv/app/old.log", SHELL, 120, 0, 0, 11.5),
        (8512, Kind.FILE_DELETE, "/srv/app/cache.db", SHELL, 120, 0, 0, 11.6),
        (8513, Kind.FILE_CHMOD, "/srv/app/helper", SHELL, 120, 0o4755, 0, 11.7),
        (8514, Kind.FILE_DELETE, "/srv/app/missing", SHELL, 120, 0, -2, 11.8),
        (8515, Kind.FILE_OPEN, "/root/.ssh/id_ed25519", SHELL, 120, 0, 0, 28.0),
        (8516, Kind.FILE_CREATE, "/srv/app/surprise.bin", STRAY, 130, 0o644, 0, 40.0),
        (8517, Kind.FILE_CREATE, "/etc/cron.d/again", STRAY, 130, 0o644, 0, 41.0),
    ]  # fmt: skip
    each = list(zip(*files, strict=True))
    times = [at(seconds) for seconds in each[7]]
    found = effects(
        "file", len(files), id=list(each[0]), kind=[int(kind) for kind in each[1]], path=list(each[2]),
        process_id=list(each[3]), pid=list(each[4]), mode=list(each[5]), result=list(each[6]),
        at_ns=times, end_ns=times, uid=1000, gid=1000,
    )  # fmt: skip
    when = {"at_ns": [at(28.1)], "end_ns": [at(28.1)]}
    found |= effects("io", 1, id=[8520], kind=int(Kind.FILE_READ), path="/root/.ssh/id_ed25519", process_id=SHELL, pid=120,
                     bytes=[411], count=[1], fd_kind=1, uid=1000, **when)  # fmt: skip
    found |= effects("net", 1, id=[8521], kind=int(Kind.CONNECT), process_id=SHELL, pid=120, address="93.184.216.34", port=443,
                     family=2, protocol=6, sock_kind=1, at_ns=[at(27.2)], end_ns=[at(27.2)])  # fmt: skip
    found |= effects("signal", 1, id=[8522], kind=int(Kind.SIGNAL), process_id=SHELL, pid=120, target_pid=4242, signal=9,
                     at_ns=[at(12.5)], end_ns=[at(12.5)])  # fmt: skip
    found |= effects("credential", 1, id=[8523], kind=int(Kind.CREDENTIAL_CHANGE), process_id=SHELL, pid=120, call="setuid",
                     old_uid=1000, old_euid=1000, new_uid=0, new_euid=0, at_ns=[at(13)], end_ns=[at(13)])  # fmt: skip
    found |= effects("block", 2, id=[8524, 8525], kind=int(Kind.BLOCKED), process_id=SHELL, pid=120, rule_id="no-shadow",
                     target_type="open", action="deny", outcome="prevented", path=["/etc/shadow", "/etc/sudoers"],
                     at_ns=[at(14), at(15)], end_ns=[at(14), at(15)], errno=1, exe="/bin/cat")  # fmt: skip
    found |= effects("process", 2, id=[8526, 8527], kind=int(Kind.EXEC), process_id=[planner, SHELL], pid=[100, 120],
                     exe=["/opt/planner", "/bin/sh"], argv=[["planner"], ["sh", "-c", "rm"]], comm=["planner", "sh"],
                     at_ns=[at(0.5), at(11.2)], end_ns=[at(0.5), at(11.2)])  # fmt: skip
    return found


def _slices(planner: int) -> list[Slice]:
    caused = {
        **dict.fromkeys((8511, 8512, 8513, 8514, 8522, 8523, 8524, 8525, 8527), CLEAN),
        **dict.fromkeys((8515, 8520), LOOK),
        8521: FETCH,
    }
    kinds = [int(CauseKind.TOOL_CALL)] * len(caused) + [int(CauseKind.HOUSEKEEPING)]
    claims = links(
        len(caused) + 1, id=[8600 + n for n in range(len(caused) + 1)], effect_id=[*caused, 8526],
        cause_id=[*caused.values(), planner], cause_kind=kinds, basis=int(Basis.ANCESTRY | Basis.BRACKET), confidence=0.95,
        at_ns=at(50),
    )  # fmt: skip
    facts = _facts(planner)
    return [
        Slice(until_ns=at(1), facts=tuple(facts)),
        Slice(until_ns=at(119), effects=_effects(planner)),
        Slice(until_ns=at(120), links=claims),
    ]
