"""Run benchmarks: `python -m bench [NAME [OPTION…]]`; each writes `bench/results/NAME.json`.

With a name its own options may follow; without one all run as they are. The exit code is 1 if a number is not reached.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).resolve().parent / "results"


class Bench(NamedTuple):
    """A benchmark: its name, and the module whose `measure(argv)` gives a `bench.outcome.Outcome`."""

    name: str
    module: str


# To add a benchmark: one file (or folder), one line here.
BENCHES = (
    Bench("assemble", "bench.assemble"),
    Bench("attribution", "bench.attribution.command"),
    Bench("decode", "bench.decode"),
    Bench("first_byte", "bench.first_byte"),
    Bench("keep", "bench.keep"),
    Bench("knowledge", "bench.knowledge"),
    Bench("identity", "bench.identity"),
    Bench("diagnosis", "bench.diagnosis.command"),
    Bench("intent", "bench.intent"),
    Bench("latency", "bench.latency"),
    Bench("overhead", "bench.overhead"),
    Bench("query", "bench.query"),
    Bench("sensor", "bench.sensor"),
    Bench("throughput", "bench.throughput"),
)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark named first in `argv` with what follows, or all."""
    wanted = [bench for bench in BENCHES if bench.name == argv[0]] if argv else list(BENCHES)
    if not wanted:
        known = ", ".join(bench.name for bench in BENCHES)
        print(f"bench: no benchmark is called {argv[0]!r}; known: {known}", file=sys.stderr)
        return 2
    missed = False
    for bench in wanted:
        outcome = importlib.import_module(bench.module).measure(list(argv[1:]))
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{bench.name}.json").write_text(json.dumps(outcome.report, indent=1) + "\n")
        missed = missed or not outcome.reached
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
