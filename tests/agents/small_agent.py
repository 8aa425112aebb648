"""A small agent without dependencies, of our own writing: what the demo runs and the shipped captures show.

It speaks four wire APIs, streamed or whole, and acts in the four ways agents do: a child process for each command,
parallel commands in threads, a shell it keeps open, and files it touches within its own process.
`MODEL_API_URL` and `MODEL_API_KEY` say where the model is; `MODEL_API_HEADERS` (JSON) and `MODEL_API_QUERY` add to requests.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSTEM = "You are a small, careful agent. Work in the current directory with the tools you have."
MAX_CALLS_TO_MODEL = 200
TRIES = 4
COMMAND_TIMEOUT_S = 120
MAX_OUTPUT_CHARS = 16_000
NETWORK_TIMEOUT_S = 60

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call of the model."""

    id: str
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a tool call gave."""

    call: Call
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the conversation: the user's words, the model's words and calls, or results."""

    role: str
    text: str = ""
    calls: tuple[Call, ...] = ()
    results: tuple[Result, ...] = ()


# --- tools ---------------------------------------------------------------------------------------


class Session:
    """A bash that is kept open between calls."""

    def __init__(self) -> None:
        # One command at a time: its output ends at the mark that follows it.
        self._lock = threading.Lock()
        self._shell: subprocess.Popen[str] | None = None
        self._count = 0

    def run(self, command: str) -> str:
        """Run one command in the open shell."""
        with self._lock:
            if self._shell is None:
                self._shell = subprocess.Popen(
                    ["/bin/bash", "--noprofile", "--norc"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            shell, self._count = self._shell, self._count + 1
            mark = f"--- end of command {self._count}, exit "
            assert shell.stdin is not None
            assert shell.stdout is not None
            shell.stdin.write(f"{command}\nprintf '\\n{mark}%d\\n' $?\n")
            shell.stdin.flush()
            lines: list[str] = []
            for line in shell.stdout:
                if line.startswith(mark):
                    return f"{''.join(lines).rstrip()}\n[exit {line[len(mark) :].strip()}]"
                lines.append(line)
            self._shell = None
            return "".join(lines) + "[the shell ended]"

    def close(self) -> None:
        """End the shell."""
        if self._shell is not None and self._shell.stdin is not None:
            self._shell.stdin.close()
            self._shell.wait()


def shell(command: str) -> str:
    """Run one command in a shell of its own."""
    done = subprocess.run(
        ["/bin/bash", "-c", command], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )
    return f"{done.stdout}{done.stderr}[exit {done.returncode}]"


def write_file(path: str, content: str) -> str:
    """Write a file within this process."""
    Path(path).write_text(content)
    return f"wrote {len(content)} characters to {path}"


def read_file(path: str) -> str:
    """Read a file within this process."""
    return Path(path).read_text()


def _schema(**properties: str) -> Json:
    described = {name: {"type": "string", "description": text} for name, text in properties.items()}
    return {"type": "object", "properties": described, "required": list(properties)}


# name, what it does, the schema of its arguments
TOOLS: tuple[tuple[str, str, Json], ...] = (
    ("shell", "Run a command with bash.", _schema(command="the command line")),
    ("bash_session", "Run a command in a bash that stays open.", _schema(command="the command line")),
    ("write_file", "Write a text file.", _schema(path="where", content="the whole text")),
    ("read_file", "Read a text file.", _schema(path="which file")),
)


class Toolbox:
    """Executes calls, those of one answer at the same time."""

    def __init__(self) -> None:
        self._session = Session()
        self._tools: dict[str, Callable[..., str]] = {
            "shell": shell,
            "bash_session": self._session.run,
            "write_file": write_file,
            "read_file": read_file,
        }
        self._threads = ThreadPoolExecutor(8)
        self._started: dict[str, Future[Result]] = {}

    def start(self, call: Call) -> None:
        """Begin a call before the answer that asks for it has ended; `run` waits for its result."""
        self._started[call.id] = self._threads.submit(self._result, call)

    def run(self, calls: tuple[Call, ...]) -> tuple[Result, ...]:
        """The results, in the order of the calls."""
        if any(call.id in self._started for call in calls):
            return tuple(self._started.pop(call.id).result() for call in calls)
        if len(calls) == 1:
            return (self._result(calls[0]),)
        with ThreadPoolExecutor(len(calls)) as threads:
            return tuple(threads.map(self._result, calls))

    def close(self) -> None:
        """End what is still open."""
        self._session.close()

    def _result(self, call: Call) -> Result:
        try:
            output = self._tools[call.name](**call.arguments)
        except (KeyError, TypeError, OSError, ValueError, subprocess.TimeoutExpired) as error:
            # The model is told, as it would be by any agent.
            output = f"error: {error!r}"
        return Result(call=call, output=output[:MAX_OUTPUT_CHARS])


# --- wire APIs: a request body from the conversation, and an entry from the answer ---------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """How one provider is spoken to."""

    model: str
    target: str
    streamed_target: str
    key_header: str
    key_prefix: str
    body: Callable[[str, list[Entry], bool], Json]
    fold: Callable[[list[Json]], Json]
    """The events of a stream, put together to what an answer in one piece would be."""
    entry: Callable[[Json], Entry]


def anthropic_body(model: str, entries: list[Entry], stream: bool) -> Json:
    """An Anthropic Messages request."""
    messages: list[Json] = []
    for entry in entries:
        blocks: list[Json] = [{"type": "text", "text": entry.text}] if entry.text else []
        blocks += [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in entry.calls]
        blocks += [{"type": "tool_result", "tool_use_id": r.call.id, "content": r.output} for r in entry.results]
        messages.append({"role": "assistant" if entry.role == "assistant" else "user", "content": blocks})
    tools = [{"name": name, "description": text, "input_schema": schema} for name, text, schema in TOOLS]
    system = [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}]
    return {
        "model": model,
        "max_tokens": 8192,
        "stream": stream,
        "system": system,
        "tools": tools,
        "messages": messages,
    }


def anthropic_fold(events: list[Json]) -> Json:
    """A message from its events."""
    message: Json = {}
    pieces: dict[int, list[str]] = {}
    for event in events:
        if event["type"] == "message_start":
            message = event["message"]
        elif event["type"] == "content_block_start":
            message["content"].append(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            pieces.setdefault(event["index"], []).append(delta.get("text") or delta.get("partial_json") or "")
        elif event["type"] == "error":
            raise ModelError(json.dumps(event["error"]))
    for index, parts in pieces.items():
        block = message["content"][index]
        if block["type"] == "tool_use":
            block["input"] = json.loads("".join(parts) or "{}")
        elif block["type"] == "text":
            block["text"] = "".join(parts)
    return message


def anthropic_entry(message: Json) -> Entry:
    """The model's words and calls."""
    blocks = message["content"]
    calls = tuple(Call(id=b["id"], name=b["name"], arguments=b["input"]) for b in blocks if b["type"] == "tool_use")
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    return Entry(role="assistant", text=text, calls=calls)


def chat_body(model: str, entries: list[Entry], stream: bool) -> Json:
    """An OpenAI chat completion request."""
    messages: list[Json] = [{"role": "system", "content": SYSTEM}]
    for entry in entries:
        for result in entry.results:
            messages.append({"role": "tool", "tool_call_id": result.call.id, "content": result.output})
        if entry.results:
            continue
        message: Json = {"role": entry.role, "content": entry.text or None}
        if entry.calls:
            message["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
                for c in entry.calls
            ]
        messages.append(message)
    functions = [{"name": name, "description": text, "parameters": schema} for name, text, schema in TOOLS]
    tools = [{"type": "function", "function": function} for function in functions]
    body: Json = {"model": model, "messages": messages, "tools": tools, "stream": stream}
    return {**body, "stream_options": {"include_usage": True}} if stream else body


def chat_fold(events: list[Json]) -> Json:
    """A completion from its chunks."""
    text: list[str] = []
    calls: dict[int, Json] = {}
    for event in events:
        for choice in event.get("choices", []):
            delta = choice["delta"]
            text.append(delta.get("content") or "")
            for part in delta.get("tool_calls") or []:
                call = calls.setdefault(part["index"], {"id": "", "function": {"name": "", "arguments": ""}})
                call["id"] += part.get("id") or ""
                for key, value in part["function"].items():
                    call["function"][key] += value or ""
    message = {"content": "".join(text), "tool_calls": [calls[index] for index in sorted(calls)]}
    return {"choices": [{"message": message}]}


def chat_entry(completion: Json) -> Entry:
    """The model's words and calls."""
    message = completion["choices"][0]["message"]
    calls = tuple(
        Call(id=c["id"], name=c["function"]["name"], arguments=json.loads(c["function"]["arguments"] or "{}"))
        for c in message.get("tool_calls") or []
    )
    return Entry(role="assistant", text=message.get("content") or "", calls=calls)


def responses_body(model: str, entries: list[Entry], stream: bool) -> Json:
    """An OpenAI Responses request."""
    items: list[Json] = []
    for entry in entries:
        if entry.text:
            kind = "output_text" if entry.role == "assistant" else "input_text"
            content = [{"type": kind, "text": entry.text}]
            items.append({"type": "message", "role": entry.role, "content": content})
        for call in entry.calls:
            said = {"call_id": call.id, "name": call.name, "arguments": json.dumps(call.arguments)}
            items.append({"type": "function_call", **said})
        for result in entry.results:
            items.append({"type": "function_call_output", "call_id": result.call.id, "output": result.output})
    tools = [{"type": "function", "name": name, "description": text, "parameters": p} for name, text, p in TOOLS]
    return {"model": model, "instructions": SYSTEM, "input": items, "tools": tools, "stream": stream, "store": False}


def responses_fold(events: list[Json]) -> Json:
    """A response from its events: the last one holds it whole."""
    last: Json = events[-1]["response"]
    return last


def responses_entry(response: Json) -> Entry:
    """The model's words and calls."""
    text, calls = "", []
    for item in response["output"]:
        if item["type"] == "message":
            text += "".join(part["text"] for part in item["content"])
        elif item["type"] == "function_call":
            calls.append(Call(id=item["call_id"], name=item["name"], arguments=json.loads(item["arguments"])))
    return Entry(role="assistant", text=text, calls=tuple(calls))


def gemini_body(model: str, entries: list[Entry], stream: bool) -> Json:
    """A Gemini generateContent request; the model and the streaming are in its path."""
    contents: list[Json] = []
    for entry in entries:
        parts: list[Json] = [{"text": entry.text}] if entry.text else []
        parts += [{"functionCall": {"name": call.name, "args": call.arguments}} for call in entry.calls]
        for result in entry.results:
            response = {"name": result.call.name, "response": {"output": result.output}}
            parts.append({"functionResponse": response})
        contents.append({"role": "model" if entry.role == "assistant" else "user", "parts": parts})
    declared = [{"name": name, "description": text, "parametersJsonSchema": p} for name, text, p in TOOLS]
    system = {"parts": [{"text": SYSTEM}]}
    return {"contents": contents, "systemInstruction": system, "tools": [{"functionDeclarations": declared}]}


def gemini_fold(events: list[Json]) -> Json:
    """A response from its parts."""
    parts = [part for event in events for part in event["candidates"][0]["content"]["parts"]]
    return {"candidates": [{"content": {"parts": parts}}]}


def gemini_entry(response: Json) -> Entry:
    """The model's words and calls; this API gives calls no ids."""
    text, calls = "", []
    for part in response["candidates"][0]["content"]["parts"]:
        if "functionCall" in part:
            call = part["functionCall"]
            calls.append(Call(id="", name=call["name"], arguments=call.get("args") or {}))
        elif not part.get("thought"):
            text += part.get("text", "")
    return Entry(role="assistant", text=text, calls=tuple(calls))


GEMINI_TARGET = "/v1beta/models/gemini-2.5-pro:"
APIS = {
    "anthropic": Api(
        model="claude-sonnet-4-20250514",
        target="/v1/messages",
        streamed_target="/v1/messages",
        key_header="x-api-key",
        key_prefix="",
        body=anthropic_body,
        fold=anthropic_fold,
        entry=anthropic_entry,
    ),
    "openai-chat": Api(
        model="gpt-4o",
        target="/v1/chat/completions",
        streamed_target="/v1/chat/completions",
        key_header="authorization",
        key_prefix="Bearer ",
        body=chat_body,
        fold=chat_fold,
        entry=chat_entry,
    ),
    "openai-responses": Api(
        model="gpt-5",
        target="/v1/responses",
        streamed_target="/v1/responses",
        key_header="authorization",
        key_prefix="Bearer ",
        body=responses_body,
        fold=responses_fold,
        entry=responses_entry,
    ),
    "gemini": Api(
        model="gemini-2.5-pro",
        target=GEMINI_TARGET + "generateContent",
        streamed_target=GEMINI_TARGET + "streamGenerateContent?alt=sse",
        key_header="x-goog-api-key",
        key_prefix="",
        body=gemini_body,
        fold=gemini_fold,
        entry=gemini_entry,
    ),
}

# --- the road to the model -----------------------------------------------------------------------


class ModelError(Exception):
    """The model's API did not give an answer."""


class Eager:
    """Starts each call of an Anthropic stream as soon as its arguments are whole, while the answer still comes."""

    def __init__(self, start: Callable[[Call], None]) -> None:
        self._start = start
        self._blocks: dict[int, tuple[Json, list[str]]] = {}

    def see(self, event: Json) -> None:
        """Take one event of the stream."""
        kind = event["type"]
        if kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            self._blocks[event["index"]] = (event["content_block"], [])
        elif kind == "content_block_delta" and event["index"] in self._blocks:
            self._blocks[event["index"]][1].append(event["delta"]["partial_json"])
        elif kind == "content_block_stop" and event["index"] in self._blocks:
            block, parts = self._blocks.pop(event["index"])
            self._start(Call(id=block["id"], name=block["name"], arguments=json.loads("".join(parts) or "{}")))


class Model:
    """One provider over one kept-alive connection."""

    def __init__(self, api: Api, *, stream: bool, accept_encoding: str, eager: Eager | None = None) -> None:
        self._api = api
        self._stream = stream
        self._eager = eager
        url = urllib.parse.urlsplit(os.environ["MODEL_API_URL"])
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(url.netloc, timeout=NETWORK_TIMEOUT_S)
        self._headers = {
            "content-type": "application/json",
            "user-agent": "small-agent/1",
            "accept-encoding": accept_encoding,
            api.key_header: api.key_prefix + os.environ.get("MODEL_API_KEY", ""),
            **json.loads(os.environ.get("MODEL_API_HEADERS", "{}")),
        }
        query = os.environ.get("MODEL_API_QUERY", "")
        self._query = ("&" if "?" in (api.streamed_target if stream else api.target) else "?") + query if query else ""
        if api.key_header == "x-api-key":
            self._headers["anthropic-version"] = "2023-06-01"

    def answer(self, entries: list[Entry]) -> Entry:
        """What the model says to the conversation so far; errors that pass are tried again."""
        body = json.dumps(self._api.body(self._api.model, entries, self._stream)).encode()
        problem = ""
        for attempt in range(TRIES):
            time.sleep(0.05 * attempt)
            try:
                return self._api.entry(self._ask(body))
            except (http.client.HTTPException, OSError, ModelError) as error:
                problem = repr(error)
                self._connection.close()
        raise ModelError(f"no answer after {TRIES} tries: {problem}")

    def _ask(self, body: bytes) -> Json:
        target = (self._api.streamed_target if self._stream else self._api.target) + self._query
        self._connection.request("POST", target, body, self._headers)
        response = self._connection.getresponse()
        if response.status != 200:
            raise ModelError(f"status {response.status}: {response.read(2000)!r}")
        if not self._stream:
            whole: Json = json.loads(b"".join(_content(response)))
            return whole
        events: list[Json] = []
        for event in _events(_content(response)):
            events.append(event)
            if self._eager is not None:
                self._eager.see(event)
        return self._api.fold(events)


def _content(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The content as it arrives, without gzip."""
    inflate = zlib.decompressobj(wbits=31) if response.getheader("content-encoding") == "gzip" else None
    while data := response.read1(65536):
        yield inflate.decompress(data) if inflate else data


def _events(content: Iterator[bytes]) -> Iterator[Json]:
    buffer = b""
    for data in content:
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
                yield json.loads(line[6:])


# --- the agent -----------------------------------------------------------------------------------


def work(model: Model, toolbox: Toolbox, entries: list[Entry]) -> str:
    """Call the model and do what it asks until it has no more calls; gives its last words."""
    for _ in range(MAX_CALLS_TO_MODEL):
        said = model.answer(entries)
        entries.append(said)
        if not said.calls:
            return said.text
        if said.text:
            print(said.text, flush=True)
        entries.append(Entry(role="user", results=toolbox.run(said.calls)))
    raise ModelError(f"not done after {MAX_CALLS_TO_MODEL} calls to the model")


def main() -> int:
    """Work on each prompt in turn, in one conversation."""
    parser = argparse.ArgumentParser(description="A small agent: a model, a shell and files.")
    parser.add_argument("--prompt", action="append", required=True, help="the user's words; again for another turn")
    parser.add_argument("--api", choices=tuple(APIS), default="anthropic")
    parser.add_argument("--whole", action="store_true", help="ask for answers that are not streamed")
    parser.add_argument("--accept-encoding", default="identity", help="gzip is understood")
    parser.add_argument("--eager", action="store_true", help="start a call when it is written (Anthropic, streamed)")
    arguments = parser.parse_args()
    toolbox = Toolbox()
    model = Model(
        APIS[arguments.api],
        stream=not arguments.whole,
        accept_encoding=arguments.accept_encoding,
        eager=Eager(toolbox.start) if arguments.eager else None,
    )
    entries: list[Entry] = []
    try:
        for prompt in arguments.prompt:
            entries.append(Entry(role="user", text=prompt))
            print(work(model, toolbox, entries), flush=True)
    except ModelError as error:
        print(f"small_agent: {error}", file=sys.stderr)
        return 1
    finally:
        toolbox.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
