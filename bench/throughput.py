"""User CPU of the recorder from ring to segment, at full rate: `python -m bench throughput [--seconds N]`. Needs root.

A loop of open and close in scope, as fast as one CPU allows, while the recorder has the other. Its CPU without the loop (start,
end) is measured in the same run and taken off.
"""

import argparse
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.outcome import Outcome

ROOT = Path(__file__).parents[1]
INTACT = str(ROOT / ".venv" / "bin" / "intact")
BARS = {"user_ns": 1000, "memory_mib": 200}


def recorded(base: Path, argv: Sequence[str]) -> tuple[float, int, int, bool]:
    """Record a command: the recorder's user seconds, its peak memory in MiB, the effects it kept, whether all were."""
    line = [INTACT, "record", "-v", "--data", str(base / "data"), "--", *argv]
    text = subprocess.run(line, check=True, capture_output=True, text=True).stderr
    cost = re.search(r"recorder: ([\d.]+) s user, [\d.]+ s system, (\d+) MiB", text)
    told = re.search(r"([\d,]+) effects? in .*; (\w+)", text)
    assert cost, text
    assert told, text
    return float(cost[1]), int(cost[2]), int(told[1].replace(",", "")), told[2] == "complete"


def measure(argv: Sequence[str]) -> Outcome:
    """Effects a second, user microseconds an effect, memory, loss."""
    parser = argparse.ArgumentParser(prog="python -m bench throughput")
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="intact-bench-") as directory:
        base = Path(directory)
        loops = base / "loops"
        subprocess.run(["gcc", "-O2", "-o", loops, ROOT / "bench" / "loops.c"], check=True)
        idle, _, _, _ = recorded(base, ["true"])
        count = int(options.seconds * 260_000)
        before = time.perf_counter()
        user, memory, effects, complete = recorded(base, [str(loops), "open", str(count)])
        took = time.perf_counter() - before
    ns = (user - idle) / effects * 1e9
    report = {
        "effects": effects,
        "loop_opens": count,
        "wall_s": took,
        "user_ns_per_effect": ns,
        "memory_mib": memory,
        "complete": complete,
    }
    kept = "none lost" if complete else "SOME LOST"
    print(f"{effects:,} effects, {ns:.0f} ns user each, {memory} MiB, {kept}, {took:.1f} s in all")
    return Outcome(report=report, reached=complete and ns <= BARS["user_ns"] and memory <= BARS["memory_mib"])
