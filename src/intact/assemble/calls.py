"""Exchanges understood as calls of a model: told when the request is whole, and again when the answer is."""

from dataclasses import dataclass, field, replace
from typing import Any

from intact.assemble.exchange import Exchange
from intact.assemble.http1 import header
from intact.assemble.json_array import JsonArrayReader
from intact.assemble.llm.json_values import parsed, record
from intact.assemble.llm.parts import opening_text
from intact.assemble.llm.reading import Answer, AskedTool, Asker, ModelRequest, ToolResult, WireApi
from intact.assemble.llm.wire_apis import recognise
from intact.assemble.pricing import Prices
from intact.assemble.providers import provider_name
from intact.assemble.redact import Redactor
from intact.assemble.sse import SseReader
from intact.assemble.tool_join import ToolJoin
from intact.model.facts import Fact, LlmCall, Loss, ToolCall
from intact.model.identity import text_id

# Responses that a later request may name as the one before it.
MAX_CONVERSATIONS = 10_000
_ERROR_TYPE_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


@dataclass(slots=True, kw_only=True, eq=False)
class _Call:
    """A call under way."""

    exchange: Exchange
    api: WireApi
    request: ModelRequest
    answer: Answer
    fact: LlmCall
    events: SseReader | JsonArrayReader | None = None
    form_known: bool = False
    first_chunk_ns: int | None = None
    last_event_ns: int | None = None
    tools: list[ToolCall] = field(default_factory=list)
    problem: str | None = None
    told: LlmCall | None = None


class Calls:
    """Reads the exchanges of agents that ask; joins tool results; tells `LlmCall` and `ToolCall`."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._prices = Prices()
        self._open: dict[int, _Call] = {}
        self._tools = ToolJoin()
        self._conversations: dict[str, str] = {}

    def request_whole(self, exchange: Exchange) -> list[Fact]:
        """The call, if the request is one, and the tool calls whose results it carries."""
        if exchange.is_server or exchange.request.method != "POST":
            return []
        asker = _asker(exchange)
        data = exchange.request_body.data
        value = parsed(data)
        body = value if isinstance(value, dict) else None
        api = recognise(asker, body)
        if api is None:
            return []
        self._prices.prepare()
        request = api.request(asker, self._clean(exchange, body))
        call_id = text_id("call", exchange.id)
        facts, answered = self._answered(request.results, exchange, call_id)
        fact = LlmCall(
            id=call_id,
            exchange_id=exchange.id,
            process_id=exchange.process_id,
            pid=exchange.pid,
            tid=exchange.tid,
            provider_name=provider_name(asker.host, api.provider_name),
            wire_api=api.name,
            operation_name=request.operation_name,
            request_model=request.model and self._redactor.text(request.model),
            server_address=exchange.server_address,
            server_port=exchange.server_port,
            streamed=request.streamed,
            conversation_id=self._conversation(request, exchange),
            started_ns=exchange.started_ns,
            request_end_ns=exchange.request_end_ns,
            input_messages=request.messages,
            system_instructions=request.system_instructions,
            tool_definitions=request.tool_definitions,
            answered_tool_call_ids=answered,
        )
        call = _Call(exchange=exchange, api=api, request=request, answer=api.answer(request), fact=fact)
        if body is None:
            call.problem = "request body not readable"
            call.fact = replace(fact, problem=exchange.all_problems or call.problem)
        self._open[exchange.id] = call
        call.told = call.fact
        facts.insert(0, call.fact)
        if exchange.response_body is not None and exchange.response_body.data:
            facts += self.response_data(exchange, bytes(exchange.response_body.data), exchange.last_ns)
        return facts

    def response_data(self, exchange: Exchange, data: bytes, at_ns: int) -> list[Fact]:
        """The tool calls that these bytes complete, and the call itself if they end it."""
        call = self._open.get(exchange.id)
        if call is None:
            return []
        if call.first_chunk_ns is None:
            call.first_chunk_ns = at_ns
        if not call.form_known:
            data = self._choose_form(call, data)
        if call.events is None:
            return []
        return self._events(call, call.events.feed(data), at_ns)

    def response_hole(self, exchange: Exchange) -> None:
        """Bytes of the answer are missing here."""
        call = self._open.get(exchange.id)
        if call is not None and isinstance(call.events, SseReader):
            call.events.gap()

    def ended(self, exchange: Exchange) -> list[Fact]:
        """What is left to tell of a call when its exchange is over."""
        call = self._open.pop(exchange.id, None)
        if call is None:
            return []
        at_ns = exchange.response_end_ns or exchange.last_ns
        facts: list[Fact] = []
        if isinstance(call.events, SseReader):
            facts += self._events(call, call.events.finish(), at_ns)
        elif call.events is None and exchange.response_body is not None:
            facts += self._whole(call, exchange.response_body.data, at_ns)
        facts += self._tell(call)
        if call.told is not None and call.told.missing_bytes:
            fact = call.told
            facts.append(
                Loss(
                    stage="assemble.gap",
                    cause="missing",
                    count=fact.missing_bytes,
                    at_ns=fact.ended_ns or fact.started_ns,
                    process_id=fact.process_id,
                    connection_id=exchange.connection_id,
                    call_id=fact.id,
                )
            )
        return facts

    def forget(self, exchange: Exchange) -> None:
        """Tell nothing more of this exchange."""
        self._open.pop(exchange.id, None)

    def _clean(self, exchange: Exchange, body: dict[str, Any] | None) -> dict[str, Any]:
        """The body without secrets. Looking at each string is dear, and needless where the raw text shows none."""
        data = bytes(exchange.request_body.data)
        if body is None:
            return {}
        is_hit = self._redactor.holds_secret(data)
        if not is_hit and b"\\u" not in data and b"\\/" not in data:
            return body
        count = self._redactor.count
        clean = record(self._redactor.json(body))
        if not is_hit and self._redactor.count > count:
            exchange.hides_secret = True  # behind escapes, where a scan of the raw text cannot see it
        return clean

    def _answered(
        self, results: list[ToolResult], exchange: Exchange, call_id: int
    ) -> tuple[list[Fact], tuple[int, ...]]:
        facts: list[Fact] = []
        answered: list[int] = []
        # New ones first: a provider that numbers its calls anew each turn repeats ids in the history.
        for result in sorted(results, key=lambda each: not each.is_new):
            tool_id, told = self._tools.answered(
                result, process_id=exchange.process_id, call_id=call_id, at_ns=exchange.started_ns
            )
            if told is not None:
                facts.append(told)
            if tool_id is not None and (told is not None or result.is_new) and tool_id not in answered:
                answered.append(tool_id)
        return facts, tuple(answered)

    def _conversation(self, request: ModelRequest, exchange: Exchange) -> str:
        if request.conversation_id:
            return request.conversation_id
        if request.previous_response_id:
            return self._conversations.get(request.previous_response_id, request.previous_response_id)
        return f"{text_id('conversation', exchange.process_id, opening_text(request.messages)):016x}"

    def _choose_form(self, call: _Call, data: bytes) -> bytes:
        """How the answer is written, by its first character: events, an array of responses, or one object."""
        data = data.lstrip()
        if not data:
            return data
        call.form_known = True
        response = call.exchange.response
        content_type = header(response.headers, "content-type") if response else ""
        if content_type.startswith("text/event-stream") or (call.request.streamed and data[:1] not in (b"{", b"[")):
            call.events = SseReader()
        elif data[:1] == b"[":
            call.events = JsonArrayReader()
        return data

    def _events(self, call: _Call, events: list[Any], at_ns: int) -> list[Fact]:
        facts: list[Fact] = []
        for event in events:
            data = event if isinstance(event, bytes) else event.data
            was_over = call.answer.is_over
            if not data.strip():
                continue
            if data.strip() == b"[DONE]":
                call.answer.done()
            elif body := record(parsed(data)):
                call.answer.event(body)
            else:
                call.problem = call.problem or "an event that is no JSON object"
            call.last_event_ns = at_ns
            facts += self._asked(call, at_ns)
            if call.answer.is_over and not was_over:
                call.exchange.understood_end_ns = at_ns
                facts += self._tell(call)
        return facts

    def _whole(self, call: _Call, data: bytearray, at_ns: int) -> list[Fact]:
        body = parsed(data)
        status = call.exchange.response.status if call.exchange.response else 0
        if status >= 400 or (isinstance(body, dict) and "error" in body and body["error"]):
            call.answer.error_type = call.api.error_type(record(body)) or (str(status) if status >= 400 else "error")
        elif isinstance(body, dict):
            call.answer.whole(body)
            call.last_event_ns = at_ns
        elif data and call.exchange.is_whole:
            call.problem = call.problem or "response body not readable"
        return self._asked(call, at_ns)

    def _asked(self, call: _Call, at_ns: int) -> list[Fact]:
        """Tell the tool calls that have become whole, and the results of those the provider ran itself."""
        facts: list[Fact] = []
        for asked in call.answer.asked():
            tool = self._tool(call, asked, at_ns)
            call.tools.append(tool)
            self._tools.asked(tool)
            facts.append(tool)
        for result in call.answer.results():
            clean = replace(result, result=self._redactor.json(result.result))
            _, told = self._tools.answered(
                clean, process_id=call.exchange.process_id, call_id=call.fact.id, at_ns=at_ns
            )
            if told is not None:
                facts.append(told)
        return facts

    def _tool(self, call: _Call, asked: AskedTool, at_ns: int) -> ToolCall:
        order = len(call.tools)
        return ToolCall(
            id=text_id("tool_call", call.fact.id, order),
            tool_call_id=asked.tool_call_id and self._redactor.text(asked.tool_call_id),
            name=self._redactor.text(asked.name),
            arguments=record(self._redactor.json(asked.arguments)),
            arguments_text=self._redactor.text(asked.arguments_text),
            call_id=call.fact.id,
            process_id=call.exchange.process_id,
            issued_ns=at_ns,
            order=order,
            server=asked.server and self._redactor.text(asked.server),
            server_side=asked.server_side,
        )

    def _tell(self, call: _Call) -> list[Fact]:
        """The call as it stands, if that differs from what was told."""
        exchange, answer = call.exchange, call.answer
        status = exchange.response.status if exchange.response else None
        if answer.response_id and answer.response_id not in self._conversations:
            self._conversations[answer.response_id] = call.fact.conversation_id or ""
            if len(self._conversations) > MAX_CONVERSATIONS:
                self._conversations.pop(next(iter(self._conversations)))
        is_over = answer.is_over or answer.may_be_over or answer.error_type is not None
        problem = exchange.all_problems or call.problem
        if exchange.response is not None and not is_over and not problem:
            problem = "response ended before the model did"
        usage = answer.usage
        models = (answer.model, call.request.model)
        fact = replace(
            call.fact,
            response_model=answer.model and self._redactor.text(answer.model),
            response_id=answer.response_id and self._redactor.text(answer.response_id),
            status=status,
            error_type=self._error_type(answer.error_type, status),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_input_tokens=usage.cache_read_input_tokens,
            cache_creation_input_tokens=usage.cache_creation_input_tokens,
            reasoning_output_tokens=usage.reasoning_output_tokens,
            cost_usd=self._prices.cost_usd(call.fact.provider_name, models, usage, exchange.started_ns),
            finish_reasons=tuple(map(self._redactor.text, answer.finish_reasons)),
            request_end_ns=exchange.request_end_ns,
            first_chunk_ns=call.first_chunk_ns,
            ended_ns=call.last_event_ns if is_over and call.last_event_ns else exchange.ended_ns,
            complete=exchange.is_whole and is_over and not problem,
            missing_bytes=exchange.missing_bytes,
            problem=problem,
            output_messages=self._redactor.json(answer.messages()),
            tool_call_ids=tuple(tool.id for tool in call.tools),
        )
        if fact == call.told:
            return []
        call.told = fact
        return [fact]

    def _error_type(self, named: str | None, status: int | None) -> str | None:
        """Low in cardinality, as OpenTelemetry wants it: a word, else the status."""
        if named is not None and len(named) <= 64 and set(named) <= _ERROR_TYPE_LETTERS:
            return self._redactor.text(named)
        if status is not None and status >= 400:
            return str(status)
        return "error" if named else None


def _asker(exchange: Exchange) -> Asker:
    path, _, query = exchange.request.target.partition("?")
    headers = {name.lower(): value for name, value in exchange.request.headers}
    return Asker(path=path, query=query, host=exchange.server_address or "", headers=headers)
