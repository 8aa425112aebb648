"""One agent recorded by the real `intact record`, with noise in and out of its scope, and read back by `intact show --json`."""

import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agents.run import command
from tests.standin import Standin

from bench.attribution.plan import LABEL, LINGER_S, PROMPT, Plan, Planner, forms_for
from bench.attribution.truth import NOISE_FOLDER, OUTSIDE_FOLDER, results_in

PROGRAMS = Path(__file__).parent / "programs"
PYTHON = "/usr/bin/python3"
INTACT = Path(sys.executable).parent / "intact"
RECORD_TIMEOUT_S = 300
SHOW_TIMEOUT_S = 300


class RecordingError(Exception):
    """The recording or its reading failed; the message holds what was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One run: what was planned, what the engine shows, and what the stand-in's log says."""

    agent: str
    plan: Plan
    shown: dict[str, Any]
    results: dict[str, str]
    """By the provider's call id: the result the agent sent back."""
    served_ns: dict[str, int]
    """By label: when the stand-in began to send the answer that asks for its call."""
    outside_pid: int
    exit_code: int
    said: str
    served: int
    """Tool calls the stand-in asked for."""


def record(agent: str, *, folder: Path, chance: random.Random, forms: Sequence[str] | None = None) -> Recorded:
    """Record one agent working through a plan drawn from `chance`."""
    workdir = folder / "work"
    workdir.mkdir(parents=True)
    with _listener() as port:
        plan = Planner(chance, workdir=workdir, port=port).plan(list(forms_for(agent)) if forms is None else forms)
        with Standin(plan.script, log_dir=folder / "log") as standin, _outside(folder, chance, port) as outside_pid:
            made = command(agent, prompt=PROMPT, home=folder / "home", workdir=workdir, standin=standin)
            eager = ["--eager"] if agent == "small" else []
            spec = folder / "spec.json"
            noise = [str(PROGRAMS / "noise.py"), str(folder / NOISE_FOLDER), str(chance.randrange(1 << 30)), str(port)]
            agent_spec = {"argv": [*made.argv, *eager], "env": made.env, "cwd": str(workdir)}
            document = {"agent": agent_spec, "noise": {"argv": [PYTHON, "-ISs", *noise]}, "linger_s": LINGER_S}
            spec.write_text(json.dumps(document))
            options = ["--data", str(folder / "data"), "--name", f"attribution-{agent}"]
            # The launcher hides the agent from the recorder, which would hook a command's own program before it runs. So the
            # program has been met before: here who caused what is measured, not how soon a new program is heard.
            intact(["record", *options, "--", made.argv[0], "--version"], timeout_s=RECORD_TIMEOUT_S)
            launch = [PYTHON, "-ISs", str(PROGRAMS / "launcher.py"), str(spec)]
            done = intact(["record", *options, "--", *launch], timeout_s=RECORD_TIMEOUT_S)
            served = sum(len(exchange.answer.get("tool_calls", ())) for exchange in standin.exchanges())
            results, served_ns = _results(standin), _served(standin)
    shown = intact(["show", "--data", str(folder / "data"), "--json"], timeout_s=SHOW_TIMEOUT_S)
    if shown.returncode != 0:
        raise RecordingError(f"{agent}: record said {done.stderr.strip()!r}, show said {shown.stderr.strip()!r}")
    return Recorded(
        agent=agent,
        plan=plan,
        shown=json.loads(shown.stdout),
        results=results,
        served_ns=served_ns,
        outside_pid=outside_pid,
        exit_code=done.returncode,
        said=done.stderr + done.stdout,
        served=served,
    )


def intact(arguments: Sequence[str], *, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run our command in a clean environment."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/root"), "LANG": "C.UTF-8"}
    return subprocess.run(
        [str(INTACT), *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


def _results(standin: Standin) -> dict[str, str]:
    found: dict[str, str] = {}
    for exchange in standin.exchanges():
        if exchange.wire_api:
            _, _, body = standin.request_bytes(exchange).partition(b"\r\n\r\n")
            if body.startswith(b"{"):
                found.update(results_in(json.loads(body)))
    return found


def _served(standin: Standin) -> dict[str, int]:
    served: dict[str, int] = {}
    for exchange in standin.exchanges():
        for label in LABEL.findall(json.dumps(exchange.answer.get("tool_calls", ()))):
            served[label] = min(served.get(label, exchange.response_started_ns), exchange.response_started_ns)
    return served


@contextmanager
def _outside(folder: Path, chance: random.Random, port: int) -> Iterator[int]:
    """The same noise beside the recording, outside its scope: nothing of it may be seen."""
    argv = [PYTHON, "-ISs", str(PROGRAMS / "noise.py"), str(folder / OUTSIDE_FOLDER)]
    process = subprocess.Popen([*argv, str(chance.randrange(1 << 30)), str(port)], stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _listener() -> Iterator[int]:
    """A port on loopback that accepts and closes."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        server.settimeout(0.2)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    server.accept()[0].close()
                except TimeoutError:
                    continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            ended.set()
            thread.join()
