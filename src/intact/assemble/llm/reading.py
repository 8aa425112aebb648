"""What every wire API reads out of a request and a response, in OpenTelemetry GenAI words."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from intact.model.facts import Json

Message = dict[str, Any]
Part = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The outside of a request, by which a wire API may know its own."""

    path: str
    query: str
    host: str
    headers: dict[str, str]
    """By lower-case name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """A tool's result that a request carries back; `is_new` where no word of the model follows it."""

    tool_call_id: str | None
    name: str | None
    result: Json
    is_error: bool | None = None
    is_new: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """What the model was asked."""

    operation_name: str = "chat"
    model: str | None = None
    streamed: bool = False
    messages: list[Message] = field(default_factory=list)
    system_instructions: list[Part] = field(default_factory=list)
    tool_definitions: list[dict[str, Any]] = field(default_factory=list)
    results: list[ToolResult] = field(default_factory=list)
    conversation_id: str | None = None
    previous_response_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Usage:
    """Tokens; input includes what was cached, output includes reasoning. None where nobody said."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTool:
    """A tool call whose arguments are whole. `result` only of a tool that the provider ran itself."""

    tool_call_id: str | None
    name: str
    arguments_text: str
    arguments: dict[str, Any]
    server: str | None = None
    server_side: bool = False


class Answer:
    """What the model has answered so far; one subclass a wire API."""

    def __init__(self) -> None:
        self.response_id: str | None = None
        self.model: str | None = None
        self.finish_reasons: list[str] = []
        self.usage = Usage()
        self.error_type: str | None = None
        self.is_over = False
        """The provider has said that nothing follows."""
        self.may_be_over = False
        """All that matters has come, though more may follow."""
        self._asked: list[AskedTool] = []
        self._results: list[ToolResult] = []

    def whole(self, body: dict[str, Any]) -> None:
        """Take a response that was not streamed."""
        raise NotImplementedError

    def event(self, body: dict[str, Any]) -> None:
        """Take the next event of a stream."""
        raise NotImplementedError

    def done(self) -> None:
        """The stream has said that nothing follows."""
        self.is_over = True

    def messages(self) -> list[Message]:
        """The output as it stands."""
        raise NotImplementedError

    def asked(self) -> list[AskedTool]:
        """The tool calls that have become whole since this was last asked."""
        asked, self._asked = self._asked, []
        return asked

    def results(self) -> list[ToolResult]:
        """The results of tools the provider ran itself that have come since this was last asked."""
        results, self._results = self._results, []
        return results


class WireApi(Protocol):
    """The shape of one HTTP API, whoever speaks it."""

    name: str
    provider_name: str
    """Of the API's flavour; the host may tell better."""

    def is_shape(self, body: dict[str, Any]) -> bool | None:
        """Whether the body of a request is of this API; None where it may be."""

    def is_path(self, path: str) -> bool:
        """Whether requests of this API go there."""

    def is_host(self, host: str) -> bool:
        """Whether this API is at home there."""

    def request(self, asker: Asker, body: dict[str, Any]) -> ModelRequest:
        """The request, understood; of an unreadable one, what its outside tells."""

    def answer(self, request: ModelRequest) -> Answer:
        """A reader for the answer."""

    def error_type(self, body: dict[str, Any]) -> str | None:
        """The provider's name for an error."""
