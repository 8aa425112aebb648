"""Builds what an agent and a model's API say to each other, as chunks, from the stand-in's wire functions."""

import gzip
import itertools
import json
import zlib
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, TypeVar

import brotli
import zstandard

from intact.assemble.stage import assemble
from intact.model.facts import Chunk, ConnectionEnd, Fact, HttpExchange, LlmCall, Loss, ToolCall
from intact.model.slice import Slice
from tests.standin import wire_anthropic_messages, wire_gemini, wire_openai_chat, wire_openai_responses
from tests.standin.wire import Ids, PlacedCall, Reply, Usage

T = TypeVar("T")

WIRES: dict[str, ModuleType] = {
    "anthropic.messages": wire_anthropic_messages,
    "openai.chat": wire_openai_chat,
    "openai.responses": wire_openai_responses,
    "gemini.generate_content": wire_gemini,
}
USAGE = Usage(
    input_tokens=1000, cache_read_tokens=200, cache_creation_tokens=300, output_tokens=50, reasoning_tokens=10
)
PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}}
MODEL = {
    "anthropic.messages": "claude-sonnet-4-5",
    "openai.chat": "gpt-4o",
    "openai.responses": "gpt-4o",
    "gemini.generate_content": "gemini-2.5-pro",
}


def ask(
    api: str, words: str = "list the files", *, stream: bool = True, history: Iterable[Any] = ()
) -> tuple[str, dict[str, Any]]:
    """The target and body of a request with one tool."""
    model, later = MODEL[api], list(history)
    if api == "anthropic.messages":
        return "/v1/messages?beta=true", {
            "model": model,
            "max_tokens": 100,
            "stream": stream,
            "system": "be brief",
            "messages": [{"role": "user", "content": words}, *later],
            "tools": [{"name": "bash", "description": "runs", "input_schema": PARAMETERS}],
        }
    if api == "openai.chat":
        function = {"name": "bash", "description": "runs", "parameters": PARAMETERS}
        return "/v1/chat/completions", {
            "model": model,
            "stream": stream,
            "stream_options": {"include_usage": True},
            "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": words}, *later],
            "tools": [{"type": "function", "function": function}],
        }
    if api == "openai.responses":
        return "/v1/responses", {
            "model": model,
            "stream": stream,
            "instructions": "be brief",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": words}]}, *later],
            "tools": [{"type": "function", "name": "bash", "description": "runs", "parameters": PARAMETERS}],
        }
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    declared = {"name": "bash", "description": "runs", "parameters": PARAMETERS}
    return f"/v1beta/models/{model}:{verb}", {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [{"role": "user", "parts": [{"text": words}]}, *later],
        "tools": [{"functionDeclarations": [declared]}],
    }


def say(
    api: str, target: str, body: dict[str, Any], *, text: str = "", commands: Sequence[str] = (), thinking: str = ""
) -> tuple[str, list[bytes]]:
    """The content type and the pieces of the answer."""
    wire = WIRES[api]
    asked = wire.read(target, body)
    calls = tuple(
        PlacedCall(id=f"{wire.CALL_ID_PREFIX}call{index}", name="bash", arguments={"command": command})
        for index, command in enumerate(commands)
    )
    reply = Reply(text=text, thinking=thinking, calls=calls, usage=USAGE, ids=Ids(target), created_s=0)
    answer = wire.answer(asked, reply)
    return answer.content_type, answer.pieces


def request_bytes(
    target: str, body: bytes | dict[str, Any], *, headers: Iterable[tuple[str, str]] = (), method: str = "POST"
) -> bytes:
    """A request with its length."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: localhost:8443",
        "Content-Type: application/json",
        *(f"{name}: {value}" for name, value in headers),
        f"Content-Length: {len(data)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def response_bytes(
    pieces: Iterable[bytes], *, content_type: str = "application/json", status: int = 200, coding: str = ""
) -> bytes:
    """A chunked response, a chunk for each piece."""
    encoded = encode(list(pieces), coding)
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n"
    head += f"Content-Encoding: {coding}\r\n" if coding else ""
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in encoded if piece)
    return head.encode() + b"\r\n" + chunked + b"0\r\n\r\n"


def encode(pieces: list[bytes], coding: str) -> list[bytes]:
    """Pieces in a content coding, flushed after each."""
    if coding == "gzip":
        packer = zlib.compressobj(wbits=31)
        return [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces] + [packer.flush()]
    if coding == "deflate":
        return [zlib.compress(b"".join(pieces))]
    if coding == "br":
        squeezer = brotli.Compressor()
        return [squeezer.process(piece) + squeezer.flush() for piece in pieces] + [squeezer.finish()]
    if coding == "zstd":
        return [zstandard.ZstdCompressor().compress(b"".join(pieces))]
    if coding == "x-gzip":
        return [gzip.compress(piece) for piece in pieces]
    return pieces


class Line:
    """One connection of one process, on which bytes are said in turn."""

    def __init__(self, connection_id: int = 7, *, process_id: int = 1, source: str = "tls") -> None:
        self.facts: list[Fact] = []
        self._connection_id = connection_id
        self._process_id = process_id
        self._source = source
        self._offsets = {True: 0, False: 0}
        self.at_ns = 0

    def say(self, data: bytes, *, is_write: bool, cuts: Iterable[int] = (), step_ns: int = 0) -> "Line":
        """Say bytes, cut at these places; all at the next time, or each piece `step_ns` later."""
        self.at_ns += 100
        edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
        for start, end in itertools.pairwise(edges):
            self.facts.append(self.chunk(data[start:end], is_write=is_write))
            self.at_ns += step_ns
        return self

    def chunk(self, data: bytes, *, is_write: bool, missing_bytes: int = 0) -> Chunk:
        """The next chunk of a direction."""
        offset = self._offsets[is_write]
        self._offsets[is_write] = offset + len(data) + missing_bytes
        return Chunk(
            process_id=self._process_id,
            pid=10,
            tid=10,
            connection_id=self._connection_id,
            source=self._source,
            is_write=is_write,
            at_ns=self.at_ns,
            stream_offset=offset,
            data=data,
            missing_bytes=missing_bytes,
            peer_address="127.0.0.1",
            peer_port=8443,
        )

    def asks(self, data: bytes, **options: Any) -> "Line":
        """The process writes."""
        return self.say(data, is_write=True, **options)

    def hears(self, data: bytes, **options: Any) -> "Line":
        """The process reads."""
        return self.say(data, is_write=False, **options)

    def ends(self) -> "Line":
        """The connection is gone."""
        self.at_ns += 100
        self.facts.append(
            ConnectionEnd(connection_id=self._connection_id, process_id=self._process_id, at_ns=self.at_ns)
        )
        return self


def told(*lines: Line, **options: Any) -> list[Fact]:
    """Every fact that is told, in order; all that is said lies in one slice."""
    facts = sorted((fact for line in lines for fact in line.facts), key=lambda fact: fact.at_ns)
    given = [Slice(until_ns=facts[-1].at_ns if facts else 0, facts=tuple(facts))]
    facts = [fact for each in assemble(given, **options) for fact in each.facts]
    assert not [fact for fact in facts if isinstance(fact, Loss) and fact.cause == "failed"]
    return facts


def last(facts: Iterable[Fact], kind: type[T]) -> list[T]:
    """The facts of a kind as they stand at the end, in order of their first telling."""
    by_id: dict[int, T] = {}
    for fact in facts:
        if isinstance(fact, kind):
            by_id[fact.id] = fact
    return list(by_id.values())


def calls(facts: Iterable[Fact]) -> list[LlmCall]:
    """The calls as they stand."""
    return last(facts, LlmCall)


def tools(facts: Iterable[Fact]) -> list[ToolCall]:
    """The tool calls as they stand."""
    return last(facts, ToolCall)


def exchanges(facts: Iterable[Fact]) -> list[HttpExchange]:
    """The exchanges."""
    return last(facts, HttpExchange)


def turn(api: str, line: Line, *, stream: bool = True, coding: str = "", **options: Any) -> Line:
    """One request and its answer on a line."""
    words = options.pop("words", "list the files")
    target, body = ask(api, words, stream=stream, history=options.pop("history", ()))
    content_type, pieces = say(api, target, body, **options)
    line.asks(request_bytes(target, body, headers=[("x-api-key", "sk-ant-api03-abcdefghijklmnop")]))
    return line.hears(response_bytes(pieces, content_type=content_type, coding=coding))
