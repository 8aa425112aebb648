"""What it costs to be observed: loops of one system call, a compile, Claude Code at work, and the neighbours on the host.

`python -m bench overhead [--pairs N] [--only NAME…] [--seed N]`. Needs root. Every ratio is of interleaved pairs in this run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.agents.run import available, command
from tests.standin import Script, Standin, Step, ToolCall

from bench.outcome import Outcome
from bench.pairs import Ratio, compare

ROOT = Path(__file__).parents[1]
INTACT = str(ROOT / ".venv" / "bin" / "intact")
PYTHON = "/usr/bin/python3"
LOOPS = {"open": 100_000, "fork_exec": 400, "write": 200_000, "connect": 5_000, "read": 300_000}
# What a measured ratio is held against; None is reported only.
BARS = {
    "open": 2.0,
    "fork_exec": 1.4,
    "compile": 1.05,
    "claude understand": 1.03,
    "claude write": 1.03,
    "claude build": 1.03,
}


class Bench:
    """A scratch directory, the compiled loops, and the two ways to run a command."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.data = base / "data"
        self.loops = base / "loops"
        subprocess.run(["gcc", "-O2", "-o", self.loops, ROOT / "bench" / "loops.c"], check=True)

    def bare(self, argv: Sequence[str], **options: object) -> str:
        """Run as it is; standard output."""
        return subprocess.run(argv, check=True, text=True, stdout=subprocess.PIPE, **options).stdout  # type: ignore[call-overload]

    def observed(self, argv: Sequence[str], **options: object) -> str:
        """Run under `intact record`; standard output. What was found out about a program the first time is kept."""
        shutil.rmtree(self.data / "runs", ignore_errors=True)
        line = [INTACT, "record", "--data", str(self.data), "--", *argv]
        options.setdefault("stderr", subprocess.DEVNULL)
        return self.bare(line, **options)


def loops(bench: Bench, pairs: int, seed: int) -> Iterator[Ratio]:
    """Nanoseconds of one call in a tight loop: the worst there is."""
    for name, count in LOOPS.items():
        argv = [str(bench.loops), name, str(count)]
        yield compare(
            name,
            lambda a=argv: float(bench.bare(a)),
            lambda a=argv: float(bench.observed(a)),
            pairs=pairs,
            unit="ns",
            seed=seed,
        )


def peers(bench: Bench, pairs: int, seed: int) -> Iterator[Ratio]:
    """The same open+close loop under the tracers people have; those that are not installed are left out and named."""
    argv = [str(bench.loops), "open", "20000"]
    tracers = {
        "open under strace": ["strace", "-f", "-o", "/dev/null", "-e", "trace=openat,close"],
        "open under perf trace": ["perf", "trace", "-o", "/dev/null", "-e", "openat,close"],
    }
    for name, tracer in tracers.items():
        if shutil.which(tracer[0]) is None:
            print(f"{name}: {tracer[0]} is not installed, left out", file=sys.stderr)
            continue
        line = [*tracer, *argv]
        yield compare(
            name,
            lambda: float(bench.bare(argv)),
            lambda x=line: float(bench.bare(x)),
            pairs=min(pairs, 10),
            unit="ns",
            seed=seed,
        )


def neighbours(bench: Bench, pairs: int, seed: int) -> Iterator[Ratio]:
    """Calls of a process out of scope while another is being recorded; the difference is what each call pays."""
    for name, count in {"getppid": 1_000_000, "open": 100_000}.items():
        argv = [str(bench.loops), name, str(count)]

        def beside(a: list[str] = argv) -> float:
            with recording_of_sleep(bench):
                return float(bench.bare(a))

        yield compare(
            f"neighbour {name}", lambda a=argv: float(bench.bare(a)), beside, pairs=pairs, unit="ns", seed=seed
        )


@contextmanager
def recording_of_sleep(bench: Bench) -> Iterator[None]:
    """A recording of something idle is on while the block runs."""
    shutil.rmtree(bench.data, ignore_errors=True)
    line = [INTACT, "record", "--data", str(bench.data), "--", "sh", "-c", "echo on; exec sleep 600"]
    front = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert front.stdout is not None
    front.stdout.readline()
    try:
        yield
    finally:
        front.terminate()
        front.wait()


def compile_(bench: Bench, pairs: int, seed: int) -> Iterator[Ratio]:
    """A real compile, this project's native part from nothing: job by job, and with every processor busy; many small files."""
    out = bench.base / "native"
    for name, jobs in {"compile": 1, "compile, all processors busy": os.cpu_count() or 1}.items():
        build = f"rm -rf {out} && make -s -j{jobs} -C {ROOT / 'bpf'} BUILD={out}/build NATIVE={out}/native"
        yield timed(bench, name, ["sh", "-c", build], None, bench.base, pairs=pairs, seed=seed)
    sources = " ".join(str(p) for p in sorted((ROOT / "bpf" / "loader").glob("*.c")))
    line = f"ls {sources} {sources} | xargs -P 2 -I F gcc -std=gnu11 -O2 -g -c F -o /dev/null"
    yield timed(bench, "compile of small files", ["sh", "-c", line], None, bench.base, pairs=pairs, seed=seed)


def claude(bench: Bench, pairs: int, seed: int) -> Iterator[Ratio]:
    """Claude Code 1.0.62 on the three workflows of the AgentSight paper, with a stand-in of fixed delays for the model."""
    reason = available("claude-1.0.62")
    if reason:
        print(f"claude: left out: {reason}", file=sys.stderr)
        return
    for name, script in workflows(bench.base / "repository").items():
        repository = bench.base / "repository"
        with Standin(script, log_dir=bench.base / f"log-{name}") as standin:
            made = command(
                "claude-1.0.62",
                prompt=f"{name} this repository",
                home=bench.base / "home",
                workdir=repository,
                standin=standin,
            )
            yield timed(bench, f"claude {name}", made.argv, made.env, repository, pairs=pairs, seed=seed)


def timed(
    bench: Bench, name: str, argv: Sequence[str], env: dict[str, str] | None, cwd: Path, *, pairs: int, seed: int
) -> Ratio:
    """Wall seconds of the command itself, from inside: starting and ending the recording is not the command's cost."""
    took = bench.base / "took"
    line = [PYTHON, str(ROOT / "bench" / "timed.py"), str(took), *argv]

    def one(run: Callable[..., str]) -> float:
        run(line, cwd=cwd, env=env or dict(os.environ), stdin=subprocess.DEVNULL)
        return float(took.read_text())

    return compare(name, lambda: one(bench.bare), lambda: one(bench.observed), pairs=pairs, unit="s", seed=seed)


def workflows(repository: Path) -> dict[str, Script]:
    """Understand a repository, write code, build in parallel: what the model says, with a fixed delay before each answer."""
    repository.mkdir(parents=True, exist_ok=True)
    for index in range(24):
        (repository / f"part{index}.c").write_text(f"int part{index}(int x) {{ return x * {index} + 1; }}\n" * 1)
    (repository / "Makefile").write_text(
        "OBJS := $(patsubst %.c,%.o,$(wildcard part*.c))\nall: $(OBJS)\n%.o: %.c\n\tgcc -O2 -c $< -o $@\nclean:\n\trm -f *.o\n"
    )

    def shell(*commands: str) -> Step:
        calls = tuple(ToolCall(name="shell", arguments={"command": c}) for c in commands)
        return Step(tool_calls=calls, delay_s=0.8, delta_delay_s=0.01)

    def write(name: str, content: str) -> Step:
        call = ToolCall(name="write_file", arguments={"path": str(repository / name), "content": content})
        return Step(tool_calls=(call,), delay_s=0.8, delta_delay_s=0.01)

    end = Step(text="Done. " * 40, delay_s=0.8, delta_delay_s=0.01)
    return {
        "understand": Script(
            steps=(shell("ls -la"), shell("cat part*.c | wc -l"), shell("grep -rn return . | head -40"), end)
        ),
        "write": Script(
            steps=(write("tool.py", "print(sum(range(100)))\n"), shell("python3 tool.py"), shell("rm tool.py"), end)
        ),
        "build": Script(steps=(shell("make clean"), shell("make -j8"), shell("ls *.o | wc -l"), end)),
    }


def start(bench: Bench, pairs: int, seed: int) -> Iterator[Ratio]:
    """What `record` adds to `true`, start to end."""

    def wall(run: Callable[..., str]) -> float:
        before = time.perf_counter()
        run(["true"])
        return time.perf_counter() - before

    yield compare("true", lambda: wall(bench.bare), lambda: wall(bench.observed), pairs=pairs, unit="s", seed=seed)


PARTS = {
    "loops": loops,
    "peers": peers,
    "neighbours": neighbours,
    "compile": compile_,
    "start": start,
    "claude": claude,
}


def measure(argv: Sequence[str]) -> Outcome:
    """Run the parts asked for; each ratio beside its bar."""
    parser = argparse.ArgumentParser(prog="python -m bench overhead")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    results: list[dict[str, object]] = []
    reached = True
    with tempfile.TemporaryDirectory(prefix="intact-bench-") as directory:
        bench = Bench(Path(directory))
        for part in options.only:
            for ratio in PARTS[part](bench, options.pairs, options.seed):
                bar = BARS.get(ratio.name)
                held = bar is None or ratio.high <= bar
                reached = reached and held
                print(ratio.line() + (f"  bar {bar}: {'held' if held else 'NOT HELD'}" if bar else ""), flush=True)
                results.append({**asdict(ratio), "bar": bar})
    return Outcome(report={"pairs": options.pairs, "seed": options.seed, "ratios": results}, reached=reached)
