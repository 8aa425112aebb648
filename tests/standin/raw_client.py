"""A client for tests that knows exactly which bytes it sent and got."""

import http.client
import io
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from tests.standin.standin import Standin

TIMEOUT_S = 20.0
SCHEMAS: dict[str, dict[str, Any]] = {
    "Bash": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    "Write": {"type": "object", "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}}},
}
TARGETS = {
    "anthropic": "/v1/messages?beta=true",
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "gemini": "/v1beta/models/gemini-2.5-pro:generateContent",
    "gemini-stream": "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
    "gemini-array": "/v1beta/models/gemini-2.5-pro:streamGenerateContent",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came back on one connection."""

    raw: bytes
    status: int
    headers: dict[str, str]
    body: bytes
    """Free of transfer coding, as compressed as it came."""


def connect(standin: Standin) -> socket.socket:
    """A socket to the stand-in, with TLS where it has it."""
    plain = socket.create_connection(("127.0.0.1", standin.port), timeout=TIMEOUT_S)
    if standin.endpoint.ca_pem is None:
        return plain
    context = ssl.create_default_context(cafile=str(standin.ca_pem))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def request(target: str, body: Any, *, close: bool = True, accept_encoding: str = "") -> bytes:
    """The bytes of a POST."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {target} HTTP/1.1", "host: standin", f"content-length: {len(content)}"]
    lines += [f"accept-encoding: {accept_encoding}"] if accept_encoding else []
    lines += ["connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode() + content


def send(standin: Standin, data: bytes) -> bytes:
    """Send bytes on a new connection and read until the stand-in closes it."""
    received = bytearray()
    with connect(standin) as sock:
        sock.sendall(data)
        try:
            while part := sock.recv(65536):
                received += part
        except (ssl.SSLError, ConnectionError):
            # The stand-in was told to drop the connection.
            return bytes(received)
    return bytes(received)


def ask(standin: Standin, target: str, body: Any, *, accept_encoding: str = "") -> Heard:
    """POST on a connection of its own."""
    return heard(send(standin, request(target, body, accept_encoding=accept_encoding)))


def heard(raw: bytes) -> Heard:
    """The first response in some bytes."""

    class _Bytes(socket.socket):
        def makefile(self, *_args: Any, **_kwargs: Any) -> Any:
            return io.BytesIO(raw)

    with _Bytes() as source, http.client.HTTPResponse(source) as response:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Heard(raw=raw, status=response.status, headers=headers, body=response.read())


def body_for(api: str, *, prompt: str = "do it", tools: bool = True, stream: bool = False) -> dict[str, Any]:
    """A first request of a conversation."""
    named = list(SCHEMAS.items()) if tools else []
    if api == "anthropic":
        offered = [{"name": name, "input_schema": schema} for name, schema in named]
        messages = [{"role": "user", "content": prompt}]
        return {"model": "m", "max_tokens": 9, "stream": stream, "tools": offered, "messages": messages}
    if api == "openai-chat":
        functions = [{"type": "function", "function": {"name": n, "parameters": s}} for n, s in named]
        messages = [{"role": "user", "content": prompt}]
        options = {"stream_options": {"include_usage": True}} if stream else {}
        return {"model": "m", "stream": stream, "tools": functions, "messages": messages, **options}
    if api == "openai-responses":
        offered = [{"type": "function", "name": name, "parameters": schema} for name, schema in named]
        return {"model": "m", "stream": stream, "tools": offered, "input": prompt}
    declared = [{"name": name, "parametersJsonSchema": schema} for name, schema in named]
    contents = [{"role": "user", "parts": [{"text": prompt}]}]
    return {"contents": contents, "tools": [{"functionDeclarations": declared}] if declared else []}
