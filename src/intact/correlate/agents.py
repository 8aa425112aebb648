"""What is known of one agent: its calls, its open tool calls, what it does of itself, and what waits for a decision."""

from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from intact.correlate.brackets import Asked, Bracket, began, bracket_of, conversation_of
from intact.correlate.housekeeping import Learnt
from intact.correlate.links import I64, Claim
from intact.correlate.process_tree import Node
from intact.correlate.settings import CorrelateSettings
from intact.model.effects import CauseKind
from intact.model.facts import LlmCall, McpCall, ToolCall

if TYPE_CHECKING:
    from intact.correlate.roots import Root
    from intact.correlate.units import Unit, What

NEVER = 1 << 62
_MOST_CALLS = 4_096


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
