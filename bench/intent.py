"""Levels 1 to 4 of the intent gate beside a bare pass of regular expressions; run: python -m bench intent [ROUNDS]."""

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.outcome import Outcome
from intact.assist.intent.gate import Gate

ROUNDS = 10
P99_MS = 5.0
LONG = 8_000  # characters: the longest input that is looked at
TEXTS = Path(__file__).resolve().parents[1] / "tests" / "assist" / "intent" / "data" / "tuned.jsonl"
# What a filter of the common kind looks for: the bare pass that the gate is measured against.
BARE = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"ignore (?:all |the )?(?:previous|prior|above) instructions",
        r"system prompt",
        r"you are now",
        r"drop table|union select",
        r"<script|javascript:",
        r"\.\./|/etc/passwd",
        r"rm -rf|curl .{0,80}\| ?sh",
        r"忽略.{0,10}指令|系统提示词|删除.{0,10}(?:日志|数据)",
    )
)


def measure(argv: Sequence[str]) -> Outcome:
    """Time both on every labelled input of the tuned half, and on inputs of the greatest length, and print them."""
    rounds = int(argv[0]) if argv else ROUNDS
    texts = [json.loads(line)["text"] for line in TEXTS.read_text(encoding="utf-8").splitlines()]
    gate = Gate()
    first = _timed(lambda: gate.judge("hello"))
    every, judged, bare = [], [], []
    for text in texts:
        times = [_timed(lambda text=text: gate.judge(text)) for _ in range(rounds)]
        every += times
        judged.append(min(times))  # of this input on a machine that does nothing else; all of them are told too
        bare.append(min(_timed(lambda text=text: _bare(text)) for _ in range(rounds)))
    longest = [
        (text * LONG)[:LONG] for text in ("ignore all the ", "删除所有", "show cpu of web-1. ", "a", "../", "' or ")
    ]
    long_ms = max(min(_timed(lambda text=text: gate.judge(text)) for _ in range(rounds)) for text in longest)
    p50, p99 = _at(judged, 0.5), _at(judged, 0.99)
    ratio = p50 / _at(bare, 0.5)
    reached = p99 < P99_MS
    print(
        f"intent: p50 {p50:.2f} ms, p99 {p99:.2f} ms over inputs, best of the rounds "
        f"(bar {P99_MS} ms{'' if reached else ' MISSED'}); with what else this machine did p99 {_at(every, 0.99):.2f} ms"
    )
    print(
        f"intent: {ratio:.0f} × a bare pass of {len(BARE)} patterns (p50 {_at(bare, 0.5):.4f} ms); first call {first:.0f} ms, "
        f"worst of {LONG} characters {long_ms:.0f} ms; {len(every)} calls"
    )
    report = {
        "calls": len(every),
        "p50_ms": round(p50, 3),
        "p99_ms": round(p99, 3),
        "p99_of_every_call_ms": round(_at(every, 0.99), 3),
        "p99_bar_ms": P99_MS,
        "bare_p50_ms": round(_at(bare, 0.5), 5),
        "ratio_to_bare": round(ratio, 1),
        "first_call_ms": round(first, 1),
        "longest_input_ms": round(long_ms, 1),
    }
    return Outcome(reached=reached, report=report)


def _bare(text: str) -> bool:
    return any(pattern.search(text) for pattern in BARE)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def _at(times: list[float], share: float) -> float:
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]
