"""What it costs to keep an event of an answer, a message, a used id: `python -m bench keep [DIRECTORY]`."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.outcome import Outcome
from intact.assist.asking import Message
from intact.assist.keep.keep import Keep, ResponseRow
from intact.assist.keep.opening import open_keep
from intact.assist.settings import AssistSettings

TIMES = 5_000
MOST_P50_US = 100.0  # of one event: it is kept before it is sent
TEXT = '{"type":"token","message":"' + "x" * 200 + '","timestamp":1790000000000}'


def measure(argv: list[str]) -> Outcome:
    """Measure in a directory that is given, or in a temporary one."""
    with tempfile.TemporaryDirectory(dir=argv[0] if argv else None) as directory:
        report = asyncio.run(_measure(Path(directory)))
    for name, row in report.items():
        print(f"{name:12} p50 {row['p50_us']:7.1f} µs   p99 {row['p99_us']:7.1f} µs")
    return Outcome(reached=report["log"]["p50_us"] < MOST_P50_US, report={"times": TIMES, "sqlite": report})


async def _measure(directory: Path) -> dict[str, dict[str, float]]:
    now = time.time_ns()
    async with open_keep(AssistSettings.model_validate({}), directory) as keep:
        session = await keep.new_session("ann", at_ns=now)
        assert session is not None
        for number in range(1 + TIMES // 10_000):
            row = ResponseRow(
                id=f"rsp_{number}", session_id=session.id, owner="ann", question={}, asker={}, started_ns=now
            )
            assert await keep.open_response(row)
        return {name: await _timed(act) for name, act in _acts(keep, session.id, now).items()}


def _acts(keep: Keep, session_id: str, now: int) -> dict[str, Callable[[int], Awaitable[object]]]:
    return {
        "log": lambda i: keep.log(f"rsp_{i // 10_000}", i % 10_000, [TEXT]),
        "add_message": lambda i: keep.add_message(
            "ann", session_id, Message(role="user", content=TEXT, at_ns=now + i, response_id="rsp_0")
        ),
        "use_once": lambda i: keep.use_once(f"id {i}", now + 10**15),
        "session": lambda _: keep.session("ann", session_id),
    }


async def _timed(act: Callable[[int], Awaitable[object]]) -> dict[str, float]:
    took = []
    for i in range(TIMES):
        began = time.perf_counter_ns()
        await act(i)
        took.append((time.perf_counter_ns() - began) / 1000)
        await asyncio.sleep(0)  # what is done beside gets its turn
    parts = statistics.quantiles(took, n=100)
    return {"p50_us": round(statistics.median(took), 1), "p99_us": round(parts[98], 1)}
