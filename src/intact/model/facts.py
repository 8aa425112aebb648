"""What flows beside the columns: one frozen object a fact.

Ids are UInt64 as Python ints (text only at the JSON edge). Times are Unix epoch nanoseconds. Facts are never changed: a fact
with the id of an earlier one replaces it for readers (a call is told at its request and again, complete, at its end).
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process with its last image; earlier images are `exec` effects."""

    id: int
    pid: int
    start_ns: int
    parent_id: int | None = None
    ppid: int | None = None
    exec_ns: int | None = None
    end_ns: int | None = None
    exe: str | None = None
    comm: str | None = None
    argv: tuple[str, ...] = ()
    argv_clipped: int = 0
    cwd: str | None = None
    uid: int | None = None
    gid: int | None = None
    cgroup: str | None = None
    exit_code: int | None = None
    exit_signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Plaintext of one TLS, plain socket or pipe operation. Not stored: it holds secrets."""

    process_id: int
    pid: int
    tid: int
    connection_id: int
    source: str  # "tls" | "plain" | "pipe"
    is_write: bool  # True: the process sent it
    at_ns: int
    stream_offset: int  # bytes of this direction before this chunk
    data: bytes
    missing_bytes: int = 0  # lost after `data`, before the next chunk
    peer_address: str | None = None
    peer_port: int | None = None
    fd: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionEnd:
    """A connection or its TLS session is gone; what is unfinished on it stays so."""

    connection_id: int
    process_id: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpExchange:
    """One request and its response as seen; secrets removed, bodies decoded (content coding undone)."""

    id: int
    process_id: int
    pid: int
    tid: int
    connection_id: int
    is_server: bool  # the process answered this request, it did not ask
    method: str
    target: str
    request_headers: tuple[tuple[str, str], ...]
    request_body: bytes
    status: int | None
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    server_address: str | None
    server_port: int | None
    started_ns: int
    request_end_ns: int | None
    first_byte_ns: int | None
    ended_ns: int | None
    complete: bool
    missing_bytes: int
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmCall:
    """An exchange understood, in OpenTelemetry GenAI words. Told at the request (ended_ns None) and again at the end."""

    id: int
    exchange_id: int
    process_id: int
    pid: int
    tid: int
    provider_name: str
    wire_api: str  # "anthropic.messages" | "openai.chat" | "openai.responses" | "gemini.generate_content"
    operation_name: str
    request_model: str | None
    response_model: str | None = None
    response_id: str | None = None
    server_address: str | None = None
    server_port: int | None = None
    streamed: bool = False
    status: int | None = None
    error_type: str | None = None
    conversation_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    cost_usd: float | None = None
    finish_reasons: tuple[str, ...] = ()
    started_ns: int
    request_end_ns: int | None = None
    first_chunk_ns: int | None = None
    ended_ns: int | None = None
    complete: bool = False
    missing_bytes: int = 0
    problem: str | None = None
    # OpenTelemetry message JSON: [{role, parts: [{type, …}]}]
    input_messages: list[Any] = field(default_factory=list)
    output_messages: list[Any] = field(default_factory=list)
    system_instructions: list[Any] = field(default_factory=list)
    tool_definitions: list[Any] = field(default_factory=list)
    # tool calls asked by this call, and those whose results its request carried: ids of ToolCall
    tool_call_ids: tuple[int, ...] = ()
    answered_tool_call_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """What the model asked to be done. Told when its arguments are whole, and again with the result."""

    id: int
    tool_call_id: str | None  # the provider's
    name: str
    arguments: dict[str, Any]
    arguments_text: str  # as sent, secrets removed; the truth when it is not a JSON object
    call_id: int  # LlmCall that asked
    process_id: int
    issued_ns: int  # when the arguments were whole
    order: int = 0  # position among the tool calls of its call
    result_call_id: int | None = None
    result: Json = None
    is_error: bool | None = None
    answered_ns: int | None = None  # start of the request that carried the result back
    server: str | None = None
    server_side: bool = False  # run by the provider, not on this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class McpCall:
    """A JSON-RPC request and its answer."""

    id: int
    process_id: int
    transport: str  # "stdio" | "http"
    method: str
    tool_name: str | None
    arguments: dict[str, Any]
    result: Json
    error: Json
    started_ns: int
    ended_ns: int | None
    tool_call_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A recognised agent; its id is the process id of the process that talks to the model."""

    id: int
    process_id: int
    root_process_id: int
    biz_type: int
    name: str
    recogniser: str
    score: float
    reason: str
    role: str
    first_seen_ns: int
    last_seen_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTurn:
    """From the user's words to the agent's last word. Told again as it grows."""

    id: int
    agent_id: int
    conversation_id: str | None
    call_ids: tuple[int, ...]
    started_ns: int
    ended_ns: int | None
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim worth a person's eye."""

    id: int
    detector: str
    severity: int  # 1 to 5
    title: str
    message: str
    at_ns: int
    agent_id: int | None
    evidence_ids: tuple[int, ...]
    state: str = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCount:
    """What a stage took in and handed on since its last count: seen = passed + lost."""

    stage: str
    at_ns: int
    seen: int
    passed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What we know we missed: `count` things at `stage` for `cause`."""

    stage: str
    cause: str
    count: int
    at_ns: int
    process_id: int | None = None
    connection_id: int | None = None
    call_id: int | None = None
    note: str | None = None  # one line for a person, e.g. which process talks TLS and is not heard


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMetric:
    """One measurement of the host or of our own work on it."""

    id: int
    name: str
    value: float
    unit: str
    at_ns: int
    labels: dict[str, Any] = field(default_factory=dict)  # texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One question that the assistant answered: what it was about and what it took; the answer itself is not here."""

    id: int
    response_id: str
    session_id: str
    owner: str
    question: str  # secrets removed, at most 500 characters
    language: str
    intent_type: str
    expert: str  # empty: none
    model: str  # empty: none
    verdict: str
    struck: int  # claims that did not hold
    tool_calls: int
    input_tokens: int
    output_tokens: int
    started_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One piece of the assistant's own work, as OpenTelemetry knows it."""

    id: int
    trace_id: str
    span_id: str
    parent_id: str  # empty: the whole
    name: str
    kind: str  # `internal` or `client`
    started_ns: int
    ended_ns: int
    ok: bool
    attributes: dict[str, Any] = field(default_factory=dict)


Fact: TypeAlias = (
    Process
    | Chunk
    | ConnectionEnd
    | HttpExchange
    | LlmCall
    | ToolCall
    | McpCall
    | Agent
    | AgentTurn
    | Finding
    | StageCount
    | Loss
    | HostMetric
    | Answer
    | Span
)
