"""A real `intact serve` on loopback, and requests to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from intact.model.slice import Slice
from intact.store.runs import DataDirectory, Run
from intact.store.segments import SegmentWriter
from tests.query import recording as made
from tests.store.slices import HOST, T0

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """One serve in a process of its own."""

    def __init__(self, data: Path, *options: str) -> None:
        command = [sys.executable, "-m", "intact", "serve", "--data", str(data), "--port", "0", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line + self.process.stderr.read()
        self.port = int(line.rpartition(":")[2])

    def ask(
        self, path: str, method: str = "GET", *, token: str | None = None, body: Any = None, timeout: float = 60,
        headers: dict[str, str] | None = None, **query: Any,
    ) -> Answer:  # fmt: skip
        """One request; a dict as body goes as JSON."""
        sent = {"Host": f"127.0.0.1:{self.port}", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if isinstance(body, dict):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path + (f"?{urlencode(query)}" if query else ""), body, sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def end(self) -> str:
        """End it as an operator does; what it said on standard error."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return errors


@contextmanager
def serving(data: Path, *options: str) -> Iterator[Server]:
    server = Server(data, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


def environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "COLUMNS": "160"}


def command(*words: str) -> subprocess.CompletedProcess[bytes]:
    """An `intact` command."""
    return subprocess.run(
        [sys.executable, "-m", "intact", *words], capture_output=True, env=environment(), timeout=120, check=False
    )


def record(data: Path, slices: list[Slice] | None = None, *, name: str = "small", **changes: Any) -> Run:
    """A run that has ended, in segments only."""
    directory = DataDirectory(data)
    run = directory.new_run(HOST, name=name, command=["agent", "-p"], started_ns=changes.pop("started_ns", T0))
    with SegmentWriter(run.segments, HOST) as writer:
        for piece in made.slices() if slices is None else slices:
            writer.write(piece)
    run = replace(run, ended_ns=made.at(7), exit_code=0, **changes)
    directory.save(run)
    return run


def wait_for_run(server: Server, run: Run, token: str | None = None) -> dict[str, Any]:
    """The run as shown, once it is whole."""
    for _ in range(600):
        answer = server.ask(f"/api/runs/{run.id}", token=token)
        # what is asked for while the end is brought in may hold the run of before and the ledger of after
        whole = answer.status == 200 and answer.json["run"]["ended_ns"] is not None
        if whole and "the run goes on" not in " ".join(answer.json["ledger"]["notes"]):
            return dict(answer.json)
        time.sleep(0.05)
    raise AssertionError(f"{run.id} does not come: {answer.body[:300]!r}")
