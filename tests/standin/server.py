"""The server: takes connections, finds what answers each request, sends it as the step says."""

import asyncio
import hashlib
import itertools
import json
import ssl
import sys
import time
import traceback
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.standin import wire_anthropic_messages, wire_gemini, wire_openai_chat, wire_openai_responses
from tests.standin.bodies import accepts, cut, decoded, encoder, in_time
from tests.standin.connection import Connection, Dropped, Request, RequestError
from tests.standin.conversation import Conversations, Due
from tests.standin.exchange_log import Exchange, ExchangeLog, sha256
from tests.standin.script import Script, Step
from tests.standin.wire import Answer, Asked, Reply, WireApi, dump

WIRE_APIS: tuple[WireApi, ...] = (
    wire_anthropic_messages,
    wire_openai_chat,
    wire_openai_responses,
    wire_gemini,
)
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 529: "Overloaded"}
MODELS = ("claude-sonnet-4-20250514", "gpt-5", "gemini-2.5-pro")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What will be sent, and how."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: list[bytes]
    step: Step = field(default_factory=Step)
    streamed: bool = False
    coding: str = "none"


class Server:
    """A stand-in for a model's API on loopback."""

    def __init__(
        self, conversations: Conversations, log: ExchangeLog, *, tls: ssl.SSLContext | None, compression: str
    ) -> None:
        self._conversations = conversations
        self._log = log
        self._tls = tls
        self._compression = compression
        self._connections = itertools.count()
        self._calls = itertools.count()

    async def listen(self, port: int) -> asyncio.Server:
        """Start to accept connections on 127.0.0.1."""
        return await asyncio.start_server(self._accept, "127.0.0.1", port, ssl=self._tls)

    def add(self, scripts: Mapping[str, Script]) -> None:
        """Add scripts to a server that already runs."""
        self._conversations.add(scripts)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._connections)
        log_in, log_out = self._log.open_connection(number)
        connection = Connection(reader, writer, log_in=log_in, log_out=log_out)
        try:
            await self._serve(connection, number)
        except RequestError as error:
            await connection.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            # Stdout answers whoever controls the stand-in.
            print(f"conn-{number}: {error}", file=sys.stderr, flush=True)
        except (Dropped, OSError):
            # A client that leaves, and a step that says so, are ordinary; the exchange is marked incomplete.
            connection.drop()
        except Exception:
            traceback.print_exc()
            connection.drop()
        finally:
            await connection.close()
            log_in.close()
            log_out.close()

    async def _serve(self, connection: Connection, number: int) -> None:
        while True:
            started_ns = time.time_ns()
            request = await connection.read_request()
            if request is None:
                return
            exchange = Exchange(
                connection=number,
                client_address=connection.client_address,
                client_port=connection.client_port,
                method=request.method,
                target=request.target,
                request_start=request.start,
                request_end=request.end,
                request_body_bytes=len(request.body),
                request_body_sha256=sha256(request.body),
                request_started_ns=started_ns,
                request_ended_ns=time.time_ns(),
            )
            response = self._respond(request, exchange)
            exchange.response_status = response.status
            exchange.response_coding = response.coding
            exchange.response_start = connection.sent
            try:
                await self._send(connection, request, response, exchange=exchange)
                exchange.response_complete = True
            finally:
                exchange.response_end = connection.sent
                exchange.response_ended_ns = time.time_ns()
                self._log.write(exchange)
            if request.headers.get("connection", "").lower() == "close":
                return

    def _respond(self, request: Request, exchange: Exchange) -> Response:
        try:
            content = decoded(request.body, request.headers.get("content-encoding", ""))
            body = json.loads(content) if content else {}
        except (ValueError, zlib.error, OSError) as error:
            return Response(status=400, pieces=[dump({"error": {"message": f"unreadable body: {error}"}})])
        exchange.request_content_sha256 = sha256(content)
        for api in WIRE_APIS:
            if request.method == "POST" and isinstance(body, dict) and api.path_matches(request.path):
                exchange.wire_api = api.NAME
                exchange.call_index = next(self._calls)
                return self._model_response(api, request, api.read(request.target, body), exchange=exchange)
        return _other_response(request, len(content))

    def _model_response(self, api: WireApi, request: Request, asked: Asked, *, exchange: Exchange) -> Response:
        due = self._conversations.due(asked)
        exchange.script, exchange.step = due.script_name, due.index
        step = due.step
        identity = {"request-id": self._conversations.draw_id("req_01"), **step.headers}
        if step.error_status:
            body = step.error_body.encode() or api.error(step.error_status, "the script says so")
            # Clients wait for seconds before they try again unless told otherwise.
            headers = {"content-type": "application/json", "retry-after-ms": "50", **identity}
            return Response(status=step.error_status, headers=headers, pieces=[body], step=step)
        reply = self._conversations.reply(
            due, asked, prompt_bytes=len(request.body), call_id_prefix=api.CALL_ID_PREFIX or "call"
        )
        answer = api.answer(asked, reply)
        exchange.answer = _facts(asked, reply, answer)
        return Response(
            headers={"content-type": answer.content_type, "cache-control": "no-cache", **identity},
            pieces=answer.pieces,
            step=step,
            streamed=asked.stream,
            coding=self._coding(request, due),
        )

    def _coding(self, request: Request, due: Due) -> str:
        wanted = due.step.compression if due.step.compression != "none" else self._compression
        accepted = accepts(request.headers.get("accept-encoding", ""), wanted)
        return wanted if accepted or due.step.compression_forced else "none"

    async def _send(self, connection: Connection, request: Request, response: Response, *, exchange: Exchange) -> None:
        step = response.step
        if step.delay_s:
            await asyncio.sleep(step.delay_s)
        if step.close == "before":
            connection.drop()
            raise Dropped("the script drops the connection before the answer")
        exchange.response_started_ns = time.time_ns()
        head_only = request.method == "HEAD"
        pieces = [] if head_only else response.pieces
        content = hashlib.sha256(b"".join(pieces))
        exchange.response_content_bytes = sum(len(piece) for piece in pieces)
        exchange.response_content_sha256 = content.hexdigest()
        bursts = list(in_time(pieces, encoder(response.coding), step.chunk_bytes))
        body = b"".join(itertools.chain.from_iterable(bursts))
        exchange.response_body_bytes, exchange.response_body_sha256 = len(body), sha256(body)
        chunked = not head_only and (response.streamed or bool(step.chunk_bytes))
        framing = ("transfer-encoding", "chunked") if chunked else ("content-length", str(len(body)))
        head = _head(response, framing)
        frames = _frames(bursts) if chunked else iter([[body]])
        await self._write_frames(connection, head, frames, step=step)

    async def _write_frames(
        self, connection: Connection, head: bytes, frames: Iterator[list[bytes]], *, step: Step
    ) -> None:
        bursts = list(frames)
        total = len(head) + sum(len(frame) for burst in bursts for frame in burst)
        stop = total // 2 if step.close == "middle" else total
        sent = 0
        for index, burst in enumerate([[head], *bursts]):
            if index > 1 and step.delta_delay_s:
                await asyncio.sleep(step.delta_delay_s)
            for frame in burst:
                for write in cut(frame, step.write_bytes):
                    kept = write[: stop - sent]
                    if kept:
                        await connection.write(kept)
                    sent += len(kept)
                    if sent == stop and stop < total:
                        # Let what was sent arrive: an aborted connection takes unsent bytes with it.
                        await asyncio.sleep(0.05)
                        connection.drop()
                        raise Dropped("the script drops the connection in the middle")


def _head(response: Response, framing: tuple[str, str]) -> bytes:
    headers = dict([*response.headers.items(), framing])
    if response.coding != "none":
        headers["content-encoding"] = response.coding
    reason = REASONS.get(response.status, "Error" if response.status >= 400 else "OK")
    lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _frames(bursts: list[list[bytes]]) -> Iterator[list[bytes]]:
    for burst in bursts:
        yield [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in burst]
    yield [b"0\r\n\r\n"]


def _facts(asked: Asked, reply: Reply, answer: Answer) -> dict[str, object]:
    usage = reply.usage
    return {
        "model": asked.model,
        "stream": asked.stream,
        "response_id": answer.response_id,
        "finish_reason": answer.finish_reason,
        "text": reply.text,
        "thinking": reply.thinking,
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in reply.calls],
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_creation_tokens": usage.cache_creation_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def _other_response(request: Request, content_bytes: int) -> Response:
    """What the APIs offer beside the model itself, as far as the agents ask for it."""
    headers = {"content-type": "application/json"}
    tokens = content_bytes // 4 + 1
    if request.method == "HEAD":
        return Response(headers=headers, pieces=[b""])
    if request.path.endswith("/count_tokens"):
        return Response(headers=headers, pieces=[dump({"input_tokens": tokens})])
    if request.path.endswith(":countTokens"):
        return Response(headers=headers, pieces=[dump({"totalTokens": tokens})])
    if request.method == "GET" and request.path.endswith("/models"):
        models = [{"id": model, "object": "model", "created": 1, "owned_by": "stand-in"} for model in MODELS]
        return Response(headers=headers, pieces=[dump({"object": "list", "data": models})])
    error = {"type": "error", "error": {"type": "not_found_error", "message": "the stand-in has no such path"}}
    return Response(status=404, headers=headers, pieces=[dump(error)])
