"""How soon the first event of an answer comes, with the model stalled, beside a bare server: `python -m bench first_byte`.

Both servers run on the same loop, HTTP parser and machine; rounds of each follow one another. The full one checks a token,
makes a session, writes it and the response into the store, and works on every question meanwhile.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.outcome import Outcome

ROOT = Path(__file__).parents[1]
INTACT = str(ROOT / ".venv" / "bin" / "intact")
BAR = 2.0
WAIT_S = 30.0
BARE = """
import asyncio, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
async def chat(request):
    await request.body()
    async def events():
        yield 'id: 1\\ndata: {"type":"session_response_id"}\\n\\n'
        await asyncio.sleep(600)
    return StreamingResponse(events(), media_type="text/event-stream")
app = Starlette(routes=[Route("/api/chat", chat, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), loop="asyncio", http="h11", access_log=False, log_level="error", lifespan="off")
"""


def measure(argv: Sequence[str]) -> Outcome:
    """Milliseconds from sending a question to the first byte of its first event, of all streams of all rounds."""
    parser = argparse.ArgumentParser(prog="python -m bench first_byte")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="intact-bench-") as directory, contextlib.ExitStack() as stack:
        base = Path(directory)
        stalled = stack.enter_context(_stalled())
        bare = stack.enter_context(_bare())
        full, tokens = stack.enter_context(_full(base, stalled))
        body = json.dumps({"message": "which files did the last run change, and why?"}).encode()
        times: dict[str, list[float]] = {"bare": [], "full": []}
        for number in range(options.rounds + 1):
            for name, port in (("bare", bare), ("full", full)):
                found = asyncio.run(_round(port, tokens, body, options.streams))
                if number:  # the first round of each warms it up
                    times[name] += found
    report: dict[str, object] = {"streams": options.streams, "rounds": options.rounds}
    for name, found in times.items():
        found.sort()
        for percent in (50, 99):
            report[f"{name}_p{percent}_ms"] = round(found[len(found) * percent // 100] * 1e3, 2)
    ratio = float(str(report["full_p99_ms"])) / float(str(report["bare_p99_ms"]))
    report["ratio_p99"] = round(ratio, 2)
    print(
        f"{options.streams} streams at once, {len(times['full'])} answers: first byte p50 {report['full_p50_ms']} ms, "
        f"p99 {report['full_p99_ms']} ms; bare server p50 {report['bare_p50_ms']} ms, p99 {report['bare_p99_ms']} ms; "
        f"p99 ratio {ratio:.2f}"
    )
    return Outcome(report=report, reached=ratio <= BAR)


async def _round(port: int, tokens: list[str], body: bytes, streams: int) -> list[float]:
    """Open all connections, then ask on all of them at once; seconds of each."""
    first: dict[int, dict[str, str]] = {}
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(streams)]

    async def ask(number: int) -> float:
        reader, writer = opened[number]
        token = tokens[number % len(tokens)]
        head = (
            f"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        await reader.readuntil(b"data: ")
        took = time.perf_counter() - began
        first[number] = json.loads(await reader.readline())
        return took

    found = await asyncio.wait_for(asyncio.gather(*(ask(number) for number in range(streams))), WAIT_S)
    for _, writer in opened:
        writer.close()
    for number, event in first.items():
        if "message" in event:
            await _end(port, tokens[number % len(tokens)], event["message"])
    await asyncio.sleep(1.0)
    return list(found)


async def _end(port: int, token: str, response_id: str) -> None:
    """Cancel an answer, so that one round does not work while the next is measured."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"DELETE /api/chat/{response_id} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode())
    await reader.read()
    writer.close()


@contextlib.contextmanager
def _stalled() -> Iterator[int]:
    """A model that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def _bare() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port)])
    try:
        _wait(port)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _full(base: Path, stalled: int) -> Iterator[tuple[int, list[str]]]:
    config = base / "intact.yaml"
    model = {"name": "stalled", "base_url": f"http://127.0.0.1:{stalled}/v1", "timeout_s": 5}
    config.write_text(json.dumps({"assist": {"model": model, "host_metrics_s": 0}}))
    data = base / "data"
    environment = {**os.environ, "INTACT_DATA": str(data)}
    tokens = []
    for number in range(10):
        made = subprocess.run(
            [INTACT, "token", "add", f"user{number}"], env=environment, capture_output=True, text=True, check=True
        )
        tokens.append(made.stdout.split()[-1])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    log = (base / "serve.log").open("w")
    process = subprocess.Popen(
        [INTACT, "serve", "--config", str(config), "--port", str(port)], env=environment, stdout=log, stderr=log
    )
    try:
        _wait(port)
        yield port, tokens
    finally:
        process.terminate()
        process.wait()
        log.close()


def _wait(port: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing listens on port {port}")
        time.sleep(0.05)
