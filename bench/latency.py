"""How soon after an effect its cause can be read while the run goes on: `python -m bench latency`. Needs root."""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.agents.run import command
from tests.standin import Script, Standin, Step, ToolCall

from bench.outcome import Outcome

ROOT = Path(__file__).parents[1]
INTACT = str(ROOT / ".venv" / "bin" / "intact")
BAR_S = 1.0


def script(calls: int) -> Script:
    """Tool calls one after the other, with pauses, so that effects come all the time."""
    shell = "for i in 1 2 3; do date > f$i; sleep 0.1; done; cat f1 f2 f3"
    step = Step(tool_calls=(ToolCall(name="shell", arguments={"command": shell}),), delay_s=0.2)
    return Script(steps=(*[step] * calls, Step(text="done")))


def measure(argv: Sequence[str]) -> Outcome:
    """Seconds from the end of each effect to the moment its link could be read by a follower."""
    parser = argparse.ArgumentParser(prog="python -m bench latency")
    parser.add_argument("--calls", type=int, default=12)
    parser.add_argument("--show-late", action="store_true", help="print each effect whose cause came too late")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="intact-bench-") as directory:
        base = Path(directory)
        (base / "work").mkdir()
        with Standin(script(options.calls), log_dir=base / "log") as standin:
            made = command("small", prompt="go", home=base / "home", workdir=base / "work", standin=standin)
            line = [INTACT, "record", "--data", str(base / "data"), "--", *made.argv]
            agent = subprocess.Popen(
                line, env=made.env, cwd=base / "work", stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            seconds = followed(base / "data", show_late=options.show_late)
            agent.wait()
    seconds.sort()
    report = {
        "links": len(seconds),
        "p50_s": statistics.median(seconds),
        "p99_s": seconds[int(len(seconds) * 0.99)],
        "max_s": seconds[-1],
    }
    print(
        f"{report['links']} links: p50 {report['p50_s']:.3f} s, p99 {report['p99_s']:.3f} s, max {report['max_s']:.3f} s"
    )
    return Outcome(report=report, reached=report["max_s"] <= BAR_S)


def followed(data: Path, *, show_late: bool) -> list[float]:
    """Follow the run from its first moment; the delay of each claim by a tool call."""
    deadline = time.monotonic() + 20
    while not list(data.glob("runs/*/segments/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    line = [INTACT, "show", "--data", str(data), "--follow", "--json"]
    delays: list[float] = []
    following_ns = 0
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        for text in follower.stdout:
            told = json.loads(text)
            following_ns = following_ns or time.time_ns()
            link = told.get("link")
            # What happened before the follower was up could not be read earlier.
            if (
                told["type"] == "effect"
                and link
                and link["cause_kind"] == "tool_call"
                and told["end_ns"] > following_ns
            ):
                delays.append((time.time_ns() - told["end_ns"]) / 1e9)
                if delays[-1] > BAR_S and show_late:
                    print(
                        f"  late by {delays[-1]:.2f} s: {told['kind']} {told.get('path') or told.get('argv')} {link['basis']}"
                    )
    return delays
