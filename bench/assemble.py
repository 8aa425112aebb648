"""What `assemble` costs: a streamed answer by the event, a resent history by the megabyte, effect paths by the row.

Run: python -m bench assemble
"""

import json
import time
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from bench.outcome import Outcome
from intact.assemble.columns import ColumnRedactor
from intact.assemble.redact import Redactor
from intact.assemble.stage import assemble
from intact.model.effects import IO
from intact.model.facts import Chunk
from intact.model.slice import Slice

EVENTS = 5_000
HISTORY_BYTES = 1_000_000
ROWS = 200_000
ROUNDS = 5
# CPU. A model writes some hundred events a second, and a path is seen at machine speed.
BARS = {"sse_event_us": 60.0, "history_ms_per_mb": 50.0, "other_body_ms_per_mb": 10.0, "path_row_us": 0.1}


def measure(_argv: Sequence[str]) -> Outcome:
    """Measure each, the time to set up taken off, and print it beside its bar."""
    begin = _best(lambda: _run([]))
    numbers = {
        "sse_event_us": (_best(_events) - begin) / EVENTS * 1e6,
        "history_ms_per_mb": (_best(_history) - begin) * 1e3 / (HISTORY_BYTES / 1e6),
        "other_body_ms_per_mb": (_best(_download) - begin) * 1e3 / 20,
        "path_row_us": _best(_paths()) / ROWS * 1e6,
    }
    for name, number in numbers.items():
        print(f"assemble: {name:22}{number:9.3f}   bar {BARS[name]}")
    reached = all(number <= BARS[name] for name, number in numbers.items())
    return Outcome(reached=reached, report={"begin_ms": begin * 1e3, **numbers, "bars": BARS})


def _best(work: Callable[[], None]) -> float:
    """CPU seconds of the best of some rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def _run(said: list[tuple[bool, bytes]]) -> None:
    offsets = {True: 0, False: 0}
    chunks = []
    for at, (is_write, data) in enumerate(said):
        chunks.append(
            Chunk(
                process_id=1,
                pid=1,
                tid=1,
                connection_id=1,
                source="tls",
                is_write=is_write,
                at_ns=at,
                stream_offset=offsets[is_write],
                data=data,
            )
        )
        offsets[is_write] += len(data)
    for _ in assemble([Slice(until_ns=at, facts=(chunk,)) for at, chunk in enumerate(chunks)]):
        pass


def _request(messages: list[dict[str, str]]) -> bytes:
    body = json.dumps({"model": "claude-sonnet-4-5", "stream": True, "system": "", "messages": messages}).encode()
    return b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _events() -> None:
    """One streamed answer, each event in a TLS record of its own, as a client reads it."""
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "some words more "}}
    event = b"event: content_block_delta\ndata: " + json.dumps(delta).encode() + b"\n\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    frame = b"%x\r\n%s\r\n" % (len(event), event)
    _run([(True, _request([{"role": "user", "content": "x"}])), (False, head), *[(False, frame)] * EVENTS])


def _history() -> None:
    """One request that sends a long conversation again."""
    words = "def read(path: str) -> bytes:\n    return open(path, 'rb').read()  # see https://example.org/x?y=1\n" * 10
    messages = [{"role": "user", "content": words}, {"role": "assistant", "content": words}]
    _run([(True, _request(messages * (HISTORY_BYTES // (2 * len(words)))))])


def _download() -> None:
    """20 MB of JSON that is no call."""
    piece = (
        b'{"name": "left-pad", "version": "1.3.0", "dist": {"shasum": "5b8a3a7765dfe001261dde915589e782f8c94d1e"}},'
        * 150
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    count = 20_000_000 // len(piece)
    asked = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    _run([(True, asked), (False, head % (count * len(piece))), *[(False, piece)] * count])


def _paths() -> Callable[[], None]:
    """Rows of effects without a secret."""
    columns = []
    for field in IO:
        values = [f"/usr/lib/python3/dist-packages/package/module_{row}.py" for row in range(ROWS)]
        columns.append(pa.array(values if field.name == "path" else np.zeros(ROWS), field.type))
    batch = pa.RecordBatch.from_arrays(columns, schema=IO)
    redactor = ColumnRedactor(Redactor(b""))
    return lambda: [redactor.batch("io", batch)].clear()
