"""When an action could have happened: from a tool call's whole arguments to the request that carries its result."""

from dataclasses import dataclass, field

from intact.correlate.arguments import Words
from intact.model.effects import CauseKind
from intact.model.facts import LlmCall, McpCall, ToolCall

_MOST_RUNS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The LLM call that asked for a tool call."""

    call_id: int  # what was asked together runs together
    tid: int = 0
    at_ns: int = 0  # its start: nothing it asked for can have happened before
    conversation: str = ""


@dataclass(slots=True, eq=False)
class Bracket:
    """One tool call as a span of time with words."""

    id: int
    kind: CauseKind
    asked: Asked
    issued_ns: int
    answered_ns: int | None
    order: int
    words: Words
    text: str
    result: str
    superseded_ns: int | None = None  # its conversation, or one it began, went on: only its words bind from here
    runs: dict[int, int] = field(default_factory=dict)  # processes that fit its words, and since when
    touched_ns: int | None = None  # first path in the agent's own process that fits them

    @property
    def run_ns(self) -> int | None:
        """When the first process that fits its words ran."""
        return min(self.runs.values(), default=None)

    def note_run(self, process_id: int, at_ns: int) -> None:
        """A process fits its words."""
        known = self.run_ns
        if len(self.runs) < _MOST_RUNS or (known is not None and at_ns < known):
            self.runs[process_id] = at_ns

    def forget_run(self, process_id: int) -> None:
        """The process turned out to be another's."""
        self.runs.pop(process_id, None)

    @property
    def place(self) -> tuple[int, int, int]:
        """Order of issue, the same in every replay."""
        return (self.issued_ns, self.order, self.id)

    def covers(self, at_ns: int, early_ns: int = 0) -> bool:
        """Whether an effect at that time could be this tool call's."""
        start = max(self.issued_ns - early_ns, min(self.asked.at_ns, self.issued_ns))
        return start <= at_ns and (self.answered_ns is None or at_ns <= self.answered_ns)

    def binds(self, at_ns: int) -> bool:
        """Whether time alone may bind to it: it is open and nothing newer took its place."""
        return self.covers(at_ns) and (self.superseded_ns is None or at_ns < self.superseded_ns)

    def update(self, fact: ToolCall | McpCall, cwd: str) -> bool:
        """Take the newer telling of the fact; true if it changed what the bracket says."""
        newer = bracket_of(fact, asked=self.asked, cwd=cwd)
        changed = (newer.issued_ns, newer.answered_ns, newer.text) != (self.issued_ns, self.answered_ns, self.text)
        if newer.text != self.text:
            self.words, self.text = newer.words, newer.text
        self.issued_ns, self.order, self.result = newer.issued_ns, newer.order, newer.result
        self.answered_ns = newer.answered_ns if newer.answered_ns is not None else self.answered_ns
        return changed


def bracket_of(fact: ToolCall | McpCall, *, asked: Asked, cwd: str) -> Bracket:
    """The bracket of a tool call, or of an MCP call that no tool call stands for."""
    if isinstance(fact, ToolCall):
        name, text, order = fact.name, fact.arguments_text, fact.order
        start, end, kind = fact.issued_ns, fact.answered_ns, CauseKind.TOOL_CALL
    else:
        name, text, order = fact.tool_name or fact.method, str(fact.arguments), 0
        start, end, kind = fact.started_ns, fact.ended_ns, CauseKind.MCP_CALL
    result = fact.result if isinstance(fact.result, str) else str(fact.result or "")
    return Bracket(
        id=fact.id,
        kind=kind,
        asked=asked,
        issued_ns=start,
        answered_ns=end,
        order=order,
        words=Words(name=name, arguments=fact.arguments, text=text, cwd=cwd),
        text=text or str(fact.arguments),
        result=result[:65_536],
    )


def first_words(call: LlmCall) -> str:
    """What the user said first: it tells one conversation from another where no id does."""
    for message in call.input_messages:
        if isinstance(message, dict) and message.get("role") == "user":
            texts = [
                str(part.get("content", ""))
                for part in message.get("parts", ())
                if isinstance(part, dict) and part.get("type") == "text"
            ]
            if any(texts):
                return "\n".join(texts)[:8192]
    return ""


def conversation_of(call: LlmCall) -> str:
    """A key that is equal for calls of one conversation."""
    return f"{call.conversation_id or ''}\0{first_words(call)}"


def began(bracket: Bracket, call: LlmCall) -> bool:
    """Whether the call belongs to a conversation that the tool call itself began (a sub-agent in the same process)."""
    said = first_words(call)
    return any(len(value) >= 16 and value[:4096] in said for _, value in bracket.words.leaves)
