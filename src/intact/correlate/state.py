"""What is known of processes, roots and agents while they matter, and the rows that wait for a decision.

They refer to each other: a process to the agent it is and the root it belongs to, a root to its agent, an agent to its roots.
"""

import re
from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from intact.correlate.brackets import Asked, Bracket, began, bracket_of, conversation_of
from intact.correlate.housekeeping import Learnt, is_runtime, is_write
from intact.correlate.links import I64, Claim
from intact.correlate.settings import CorrelateSettings
from intact.model.effects import CauseKind
from intact.model.facts import LlmCall, McpCall, Process, ToolCall
from intact.model.identity import U64

NEVER = 1 << 62
NO_CODES: npt.NDArray[np.int64] = np.zeros(0, np.int64)
_MOST_CALLS = 4_096
_MOST_EVIDENCE = 64
_MOST_TRACES = 64
_MOST_LOOKED_AT = 2_048
_NUMBER = re.compile(r"\d{2,10}")


@dataclass(slots=True)
class Held:
    """Rows of one process and family, kept with their columns until it is known whose they are."""

    family: str
    rows: pa.RecordBatch
    last_ns: int


@dataclass(slots=True, eq=False)
class Node:
    """A process as the tree knows it."""

    id: int
    process: Process
    parent: "Node | None" = None
    children: list["Node"] = field(default_factory=list)
    fork_ns: int = 0
    fork_tid: int = 0  # thread of the parent
    seen_ns: int = 0
    execs: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    arrived: bool = False  # the stage has come to its first step
    told: int = 0  # how often the Process fact was told
    agent: "AgentState | None" = None
    root: "Root | None" = None
    held: list[Held] = field(default_factory=list)
    cold: list[Any] = field(default_factory=list)  # id arrays
    cold_lost: int = 0

    @property
    def argv(self) -> tuple[str, ...]:
        """The last command line, inherited over forks."""
        node: Node | None = self
        while node is not None:
            if node.execs:
                return node.execs[-1][1]
            if node.process.argv:
                return node.process.argv
            node = node.parent
        return ()

    @property
    def cwd(self) -> str:
        """The working directory at the last exec, inherited over forks."""
        node: Node | None = self
        while node is not None:
            if node.process.cwd:
                return node.process.cwd
            node = node.parent
        return "/"


@dataclass(slots=True, eq=False)
class Root:
    """A process with its subtree, and the cause decided for it."""

    node: Node
    agent: "AgentState"
    fork_ns: int
    via: "Root | None" = None  # the standing root that started it
    fixed: bool = False  # a launcher: not to be decided, and no matter for what else it starts
    closed: bool = False  # so old that no evidence changes it
    doubted: bool = False  # evidence came since it was decided
    evidence: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    claim: Claim | None = None
    told: Claim | None = None
    revision: int = 0
    decided: bool = False
    standing: bool = False
    shell: bool = False
    bracket: Bracket | None = None
    score: float = 0.0
    kept: deque[tuple[int, U64]] = field(default_factory=deque)
    nodes: list[Node] = field(default_factory=list)
    traces: dict[str, None] = field(default_factory=dict)  # paths it touched, which a result may tell of
    looked_at: int = 0
    _scores: dict[tuple[int, str, int], float] = field(default_factory=dict)

    def note_exec(self, at_ns: int, argv: tuple[str, ...]) -> None:
        """A process of this subtree ran that command."""
        if len(self.evidence) < _MOST_EVIDENCE and at_ns <= self.fork_ns + self.agent.settings.horizon_ns:
            self.evidence.append((at_ns, argv))
            self.doubted = True

    def note_paths(self, paths: list[str]) -> None:
        """Some of the paths the subtree touched."""
        self.looked_at += len(paths)
        for path in paths:
            if len(self.traces) < _MOST_TRACES and not is_runtime(path, 0):
                self.traces[path] = None

    @property
    def wants_paths(self) -> bool:
        """Whether more paths could help."""
        return not self.closed and self.looked_at < _MOST_LOOKED_AT and len(self.traces) < _MOST_TRACES

    def told_in(self, result: str) -> int:
        """How many of the traces of the subtree, paths and pids, a result tells of."""
        if not result:
            return 0
        pids = {str(node.process.pid) for node in self.nodes[:_MOST_TRACES]}
        found = len(pids & set(_NUMBER.findall(result)))
        return found + sum("/".join(path.rsplit("/", 2)[1:]) in result for path in self.traces)

    @property
    def argv(self) -> tuple[str, ...]:
        """The first command line of the process itself."""
        return self.node.execs[0][1] if self.node.execs else ()

    def fits(self, bracket: Bracket) -> tuple[float, int]:
        """How well the commands of the subtree fit the tool call, and when the best of them ran."""
        best, when = 0.0, self.fork_ns
        for index, (at_ns, argv) in enumerate(self.evidence):
            key = (bracket.id, bracket.text, index)
            score = self._scores.get(key)
            if score is None:
                score = self._scores[key] = bracket.words.match_argv(argv)
            if score > best:
                best, when = score, at_ns
        return best, when


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """What equal rows did: a path or a peer, by one thread."""

    family: str
    kind: int
    tid: int
    path: str = ""
    old_path: str = ""
    address: str = ""
    port: int = 0
    is_plumbing: bool = False  # pipes, terminals and the like
    is_standard: bool = False  # through standard input, output or error

    @property
    def is_write(self) -> bool:
        return is_write(self.kind)


@dataclass(slots=True, eq=False)
class Unit:
    """Rows of one process that did the same, within one slice."""

    node: Node
    what: What
    ids: U64
    at: I64
    first_ns: int
    last_ns: int
    is_decided: bool = False
    revision: int = 0
    claims: list[Claim | None] = field(default_factory=list)
    codes: npt.NDArray[np.int64] = field(
        default_factory=lambda: NO_CODES
    )  # which claim is each row's; empty if there is but one


@dataclass(slots=True, eq=False)
class AgentState:
    """One agent while it runs."""

    node: Node
    settings: CorrelateSettings
    first_call_ns: int
    outer: "Root | None" = None  # the tool call of another agent that started this one
    brackets: list[Bracket] = field(default_factory=list)
    roots: "list[Root]" = field(default_factory=list)  # whose decision may still change
    fresh: "list[Unit]" = field(default_factory=list)  # not decided yet
    units: "deque[Unit]" = field(default_factory=deque)  # decided, open to revision
    loose: list[Node] = field(default_factory=list)  # below a root that may turn out to serve many
    endpoints: set[tuple[str, int]] = field(default_factory=set)
    first_issued_ns: int = NEVER
    changed_ns: int = NEVER  # decisions from this time on are to be made anew
    dropped: int = 0
    learnt: Learnt = field(init=False)
    claims: "dict[tuple[int, What, int], Claim | None]" = field(default_factory=dict)  # of units, by span
    _by_id: dict[int, Bracket] = field(default_factory=dict)
    _asked: dict[int, Asked] = field(default_factory=dict)
    _edges: I64 | None = None
    _open: dict[int, tuple[Bracket, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.learnt = Learnt(capacity=self.settings.learnt_paths)

    @property
    def id(self) -> int:
        return self.node.id

    @property
    def cwd(self) -> str:
        return self.node.cwd

    @property
    def is_inner(self) -> bool:
        """Whether a tool call of another agent started this one."""
        claim = self.outer.claim if self.outer is not None else None
        return claim is not None and claim.stands and claim.cause_kind != CauseKind.HOUSEKEEPING

    def take_call(self, call: LlmCall) -> None:
        """An LLM call of this agent: where its model is, and which conversation went on."""
        if call.id not in self._asked:
            if len(self._asked) >= _MOST_CALLS:
                del self._asked[next(iter(self._asked))]
            self._asked[call.id] = Asked(
                call_id=call.id, tid=call.tid, at_ns=call.started_ns, conversation=conversation_of(call)
            )
        if call.started_ns < self.first_call_ns:
            self.first_call_ns = call.started_ns
            self._touch(0)
        if call.server_address and call.server_port:
            self.endpoints.add((call.server_address, call.server_port))
        if call.tool_definitions:
            self._supersede(call)

    def _supersede(self, call: LlmCall) -> None:
        conversation = conversation_of(call)
        for bracket in self.brackets:
            if bracket.issued_ns >= call.started_ns or bracket.id in call.answered_tool_call_ids:
                continue
            if bracket.answered_ns is not None and bracket.answered_ns <= call.started_ns:
                continue
            if bracket.asked.conversation == conversation or began(bracket, call):
                old = bracket.superseded_ns
                if old is None or call.started_ns < old:
                    bracket.superseded_ns = call.started_ns
                    self._touch(call.started_ns)

    def take_tool_call(self, fact: ToolCall | McpCall) -> None:
        """A tool call was asked for, or its result came."""
        known = self._by_id.get(fact.id)
        if known is None:
            group, start = (fact.call_id, fact.issued_ns) if isinstance(fact, ToolCall) else (0, fact.started_ns)
            asked = self._asked.get(group, Asked(call_id=group, at_ns=start))
            bracket = bracket_of(fact, asked=asked, cwd=self.cwd)
            self._by_id[fact.id] = bracket
            insort(self.brackets, bracket, key=lambda b: b.place)
            self.first_issued_ns = min(self.first_issued_ns, bracket.issued_ns)
            self._touch(bracket.issued_ns - self.settings.early_ns)
            if len(self.brackets) > self.settings.open_brackets:
                self._drop(self.brackets[0])
                self.dropped += 1
        elif known.update(fact, self.cwd):
            self.brackets.sort(key=lambda b: b.place)
            self._touch(known.issued_ns - self.settings.early_ns)

    def _drop(self, bracket: Bracket) -> None:
        self.brackets.remove(bracket)
        del self._by_id[bracket.id]

    def _touch(self, from_ns: int) -> None:
        self.changed_ns = min(self.changed_ns, from_ns)
        self._forget_spans()

    def _forget_spans(self) -> None:
        self._edges = None
        self._open.clear()
        self.claims.clear()

    def prune(self, before_ns: int) -> None:
        """Forget tool calls that were answered so long ago that nothing of theirs can come."""
        for bracket in [b for b in self.brackets if b.answered_ns is not None and b.answered_ns < before_ns]:
            self._drop(bracket)
            self._forget_spans()

    def intervals(self, at: I64) -> I64:
        """For each time the number of the span in which the same tool calls are open."""
        if self._edges is None:
            window = self.settings.time_window_ns
            edges = {self.first_call_ns}
            for b in self.brackets:
                edges |= {b.issued_ns, b.issued_ns + window}
                if b.answered_ns is not None:
                    edges |= {b.answered_ns + 1, b.answered_ns + window}
                if b.superseded_ns is not None:
                    edges.add(b.superseded_ns)
            self._edges = np.array(sorted(edges), np.int64)
        return np.searchsorted(self._edges, at, side="right").astype(np.int64)

    def open_at(self, at_ns: int) -> tuple[Bracket, ...]:
        """Tool calls an effect at that time could belong to."""
        key = int(self.intervals(np.array([at_ns], np.int64))[0])
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = tuple(b for b in self.brackets if b.covers(at_ns))
        return found

    def nearly_open_at(self, at_ns: int) -> list[Bracket]:
        """Also those whose arguments were whole only soon after: an agent may start before the reply has ended."""
        return [b for b in self.brackets if b.covers(at_ns, self.settings.early_ns)]

    def lone(self, candidates: "list[Bracket]", at_ns: int, tid: int) -> Bracket | None:
        """The only tool call that time alone can bind to, if there is but one."""
        binding = [b for b in candidates if b.binds(at_ns) and b.words.acts]
        if len(binding) == 1:
            return binding[0]
        # Two conversations in one process, a thread each: the effect is its own thread's.
        mine = [b for b in binding if b.asked.tid == tid]
        if len(mine) == 1 and len({b.asked.call_id for b in binding}) > 1:
            return mine[0]
        return None

    def near(self, at_ns: int) -> Bracket | None:
        """The tool call last issued or answered shortly before: a hint and no more."""
        window = self.settings.time_window_ns
        for bracket in reversed(self.brackets):
            for edge in (bracket.answered_ns, bracket.issued_ns):
                if edge is not None and 0 <= at_ns - edge <= window:
                    return bracket
        return None

    def known_before(self, evidence_ns: int | None, at_ns: int) -> bool:
        """Whether that evidence counts for an effect at that time: evidence after the horizon changes nothing."""
        return evidence_ns is not None and evidence_ns <= at_ns + self.settings.horizon_ns
