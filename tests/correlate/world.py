"""A made-up machine with an agent on it: effects whose cause is known because we are the cause."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from intact.model.effects import FAMILIES, Kind
from intact.model.facts import Agent, Fact, LlmCall, ToolCall
from intact.model.identity import host_hash, mix, process_id
from intact.model.slice import Host, Slice

MS = 1_000_000
SECOND = 1_000 * MS
BASE_NS = 1_790_000_000 * SECOND
HOST = Host(name="made-up", boot_id="b0", kernel="6", boot_offset_ns=BASE_NS, root_tgid=100, root_start_ns=5 * MS)
NOBODY = 0
FD_REGULAR, FD_PIPE, FD_SOCKET = 1, 3, 4
CWD = "/work/project"
HOME = "/home/dev"
MODEL = ("203.0.113.7", 443)


@dataclass(slots=True)
class Proc:
    """A process of the made-up machine."""

    id: int
    pid: int
    start_ns: int
    parent: "Proc | None"
    cwd: str = CWD


@dataclass(slots=True)
class Row:
    """One effect row, when its record arrives, and who caused it."""

    family: str
    arrives_ns: int
    values: dict[str, Any]
    truth: int


@dataclass(slots=True)
class World:
    """Builds slices with known truth."""

    rng: Random
    rows: list[Row] = field(default_factory=list)
    facts: list[tuple[int, Fact]] = field(default_factory=list)
    tools: dict[int, ToolCall] = field(default_factory=dict)
    asked: dict[int, LlmCall] = field(default_factory=dict)
    pids: int = 100

    def _row(self, room: str, p: Proc, at: int, kind: Kind, truth: int, **values: Any) -> None:
        end = values.pop("end_ns", at)
        arrives = values.pop("arrives_ns", end)
        values |= {
            "id": mix(len(self.rows), 77), "kind": int(kind), "process_id": p.id, "pid": p.pid,
            "tid": values.get("tid", p.pid), "uid": 1000, "gid": 1000, "at_ns": at, "end_ns": end,
        }  # fmt: skip
        self.rows.append(Row(room, arrives, values, truth))

    def process(self, at: int, parent: "Proc | None" = None, *, pid: int | None = None) -> Proc:
        """A process without any record of how it came."""
        self.pids += 1
        pid = self.pids if pid is None else pid
        start = at - BASE_NS
        return Proc(process_id(host_hash(HOST.boot_id), pid, start), pid, at, parent, parent.cwd if parent else CWD)

    def fork(self, parent: Proc, at: int, truth: int, *, tid: int = 0, pid: int | None = None) -> Proc:
        child = self.process(at, parent, pid=pid)
        self._row(
            "process", parent, at, Kind.FORK, truth, tid=tid or parent.pid, child_id=child.id, child_pid=child.pid,
            child_tid=child.pid, start_ns=at, comm="x",
        )  # fmt: skip
        return child

    def thread(self, p: Proc, at: int, truth: int) -> None:
        self._row(
            "process",
            p,
            at,
            Kind.FORK,
            truth,
            child_id=p.id,
            child_pid=p.pid,
            child_tid=p.pid + 7,
            start_ns=at,
            is_thread=True,
        )

    def exec(self, p: Proc, at: int, argv: Sequence[str], truth: int, *, cwd: str = "") -> None:
        p.cwd = cwd or p.cwd
        exe = argv[0] if argv[0].startswith("/") else f"/usr/bin/{argv[0]}"
        parent = p.parent
        self._row(
            "process", p, at, Kind.EXEC, truth, parent_id=parent.id if parent else 0, ppid=parent.pid if parent else 1,
            start_ns=p.start_ns, comm=argv[0][-15:], exe=exe, cwd=p.cwd, argv=list(argv),
        )  # fmt: skip

    def exit(self, p: Proc, at: int, truth: int) -> None:
        self._row("process", p, at, Kind.EXIT, truth, start_ns=p.start_ns, exit_code=0)

    def file(self, p: Proc, at: int, kind: Kind, path: str, truth: int, *, old: str = "", tid: int = 0) -> None:
        self._row("file", p, at, kind, truth, path=path, old_path=old, tid=tid or p.pid)

    def io(
        self, p: Proc, at: int, kind: Kind, path: str, truth: int, *, fd_kind: int = FD_REGULAR, inode: int = 0
    ) -> None:
        end = at + self.rng.randrange(0, 3 * MS)
        late = self.rng.choice((0, 100 * MS, 700 * MS))
        self._row(
            "io",
            p,
            at,
            kind,
            truth,
            path=path,
            end_ns=end,
            arrives_ns=end + late,
            fd_kind=fd_kind,
            inode=inode,
            bytes=10,
        )

    def connect(self, p: Proc, at: int, peer: tuple[str, int], truth: int, *, socket: int = 0) -> None:
        self._row("net", p, at, Kind.CONNECT, truth, address=peer[0], port=peer[1], family=2, socket=socket)

    def start_files(self, p: Proc, at: int, truth: int) -> None:
        """What the loader and the C library read when a program starts."""
        for path in ("/etc/ld.so.cache", "/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/locale/locale-archive"):
            self.file(p, at, Kind.FILE_OPEN, path, truth)

    def run(
        self,
        parent: Proc,
        at: int,
        argv: Sequence[str],
        truth: int,
        *,
        files: Iterable[str] = (),
        last_ns: int = 0,
        tid: int = 0,
    ) -> Proc:
        """A child that runs a program, touches files and ends."""
        p = self.fork(parent, at, truth, tid=tid)
        step = max(10_000, (last_ns - at) // 8) if last_ns else 200_000
        self.exec(p, at + step, argv, truth)
        self.start_files(p, at + 2 * step, truth)
        for path in files:
            self.file(p, at + 3 * step, Kind.FILE_CREATE, path, truth)
            self.io(p, at + 4 * step, Kind.FILE_WRITE, path, truth)
        self.exit(p, at + 5 * step, truth)
        return p

    def tell(self, at: int, fact: Fact) -> None:
        self.facts.append((at, fact))

    def call(
        self, agent: Proc, start: int, end: int, *, says: str = "do it", answered: Sequence[int] = (), tools: bool = True,
        conversation: str = "", tid: int = 0, depth: int = 1,
    ) -> LlmCall:  # fmt: skip
        """An LLM call; its tool calls are added with `tool`."""
        words = [{"role": "user", "parts": [{"type": "text", "content": f"{conversation} {says}"}]}]
        for _ in range(depth - 1):
            words.append({"role": "assistant", "parts": [{"type": "tool_call"}]})
            words.append({"role": "tool", "parts": [{"type": "tool_call_response", "response": "ok"}]})
        call = LlmCall(
            id=mix(agent.id, start, end), exchange_id=mix(agent.id, start), process_id=agent.id, pid=agent.pid,
            tid=tid or agent.pid, provider_name="p", wire_api="anthropic.messages", operation_name="chat",
            request_model="m", server_address=MODEL[0], server_port=MODEL[1], started_ns=start, request_end_ns=start + MS,
            input_messages=words, tool_definitions=[{"name": "t"}] if tools else [],
            answered_tool_call_ids=tuple(answered),
        )  # fmt: skip
        self.tell(start + MS, call)
        self.asked[call.id] = replace(call, ended_ns=end, complete=True)
        for each in answered:
            self.tools[each] = replace(
                self.tools[each], answered_ns=start, result=self.tools[each].result or "ok", result_call_id=call.id
            )
            self.tell(start + MS, self.tools[each])
        seen = Agent(
            id=agent.id, process_id=agent.id, root_process_id=agent.id, biz_type=1, name="a", recogniser="wire_api",
            score=1.0, reason="r", role="agent", first_seen_ns=start, last_seen_ns=end,
        )  # fmt: skip
        self.tell(start + MS, seen)
        return call

    def tool(
        self, call: LlmCall, name: str, arguments: dict[str, Any], issued: int, *, order: int = 0, late_ns: int = 0,
        result: str = "",
    ) -> int:  # fmt: skip
        """A tool call of that call, told `late_ns` after its arguments were whole."""
        fact = ToolCall(
            id=mix(call.id, order, issued), tool_call_id=f"t{order}", name=name, arguments=arguments,
            arguments_text=str(arguments), call_id=call.id, process_id=call.process_id, issued_ns=issued, order=order,
        )  # fmt: skip
        self.tools[fact.id] = fact if not result else replace(fact, result=result)
        self.asked[call.id] = replace(self.asked[call.id], tool_call_ids=(*self.asked[call.id].tool_call_ids, fact.id))
        self.tell(issued + late_ns, fact)
        return fact.id

    @property
    def truth(self) -> dict[int, int]:
        return {row.values["id"]: row.truth for row in self.rows}

    def slices(self, cuts: Iterable[int]) -> list[Slice]:
        """All that happened, cut at those times."""
        facts = list(self.facts)
        for call in self.asked.values():
            facts.append(((call.ended_ns or call.started_ns) + MS, call))
        facts.sort(key=lambda pair: pair[0])
        last = max([row.arrives_ns for row in self.rows] + [at for at, _ in facts]) + 1
        edges = [*sorted({cut for cut in cuts if cut < last}), last]
        fact_edge = np.searchsorted(edges, [at for at, _ in facts], side="right")
        row_edge = np.searchsorted(edges, [row.arrives_ns for row in self.rows], side="right")
        of_slice: list[list[Row]] = [[] for _ in range(len(edges) + 1)]
        for edge, row in zip(row_edge.tolist(), self.rows, strict=True):
            of_slice[edge].append(row)
        return [
            Slice(
                until_ns=until,
                facts=tuple(fact for edge, (_, fact) in zip(fact_edge, facts, strict=True) if edge == number),
                effects=_batches(of_slice[number]),
            )
            for number, until in enumerate(edges)
        ]

    def span(self) -> tuple[int, int]:
        times = [row.arrives_ns for row in self.rows] + [at for at, _ in self.facts]
        return min(times), max(times)


def _default(kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return ""
    if pa.types.is_list(kind):
        return []
    return False if pa.types.is_boolean(kind) else 0


def _batches(rows: list[Row]) -> dict[str, pa.RecordBatch]:
    found = {}
    for family, schema in FAMILIES.items():
        mine = sorted((row.values for row in rows if row.family == family), key=lambda v: (v["at_ns"], v["id"]))
        if mine:
            columns = [pa.array([v.get(f.name, _default(f.type)) for v in mine], f.type) for f in schema]
            found[family] = pa.RecordBatch.from_arrays(columns, schema=schema)
    return found
