"""The real sensor over a cgroup of the test's own, programs run in it, and what the spool says of them meanwhile."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from intact.collect.cgroup import ScopeCgroup
from intact.model.facts import Agent, Fact, HttpExchange, LlmCall
from intact.model.slice import Slice
from intact.store.runs import DataDirectory, Run
from intact.store.segments import read_segments

INTACT = str(Path(sys.executable).parent / "intact")
START_S, STOP_S, SEE_S = 120.0, 60.0, 60.0
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
Wanted = TypeVar("Wanted", bound=Fact)

# A client of a model's API, as small as it can be. It says when it is there, and goes on at each line it is sent.
CLIENT = """
import http.client, json, ssl, sys
port, path, size, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
context = ssl._create_unverified_context()
connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
connection.connect()
print("there", flush=True)
for number in range(count):
    if sys.argv[5] == "wait":
        sys.stdin.readline()
    words = "x" * size + f" {number} " + sys.argv[6]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": words}]}).encode()
    connection.request("POST", path, body, {"content-type": "application/json"})
    connection.getresponse().read()
print("done", flush=True)
sys.stdin.readline()
"""


class Program:
    """A process in the scope."""

    def __init__(self, argv: Sequence[str], scope: ScopeCgroup, env: dict[str, str]) -> None:
        gate, opener = os.pipe()
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", 'read x <&"$0"; exec "$@" ', str(gate), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**ENVIRONMENT, **env},
            pass_fds=(gate,),
        )
        os.close(gate)
        scope.add(self.process.pid)
        os.write(opener, b"\n")
        os.close(opener)
        self.pid = self.process.pid

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def end(self) -> str:
        """Let it end; what it still said."""
        with contextlib.suppress(BrokenPipeError):
            out, _ = self.process.communicate(timeout=STOP_S)
        return out

    def stop(self) -> None:
        """End it by force."""
        self.process.terminate()
        self.process.communicate(timeout=STOP_S)


class Watch:
    """`intact sensor` on a cgroup."""

    def __init__(self, folder: Path, config: dict[str, Any] | None = None) -> None:
        self.scope = ScopeCgroup(f"intact-sensor-{os.getpid()}-{threading.get_ident() & 0xFFFF}")
        self.data = DataDirectory(folder / "data")
        self.path = folder / "intact.yaml"
        self.log: list[str] = []
        self.programs: dict[str, Program] = {}
        self.process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread()
        self.configure(config or {})

    def configure(self, config: dict[str, Any]) -> None:
        """Write the config; JSON is YAML."""
        self.path.write_text(json.dumps({**config, "scope": {"cgroup": str(self.scope.path)}}))

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.scope.release()

    def start(self) -> "Watch":
        """Start the sensor; returns when it watches."""
        argv = [INTACT, "sensor", "--config", str(self.path), "--data", str(self.data.path)]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.wait(lambda: any("watching" in line for line in self.log) or self.process.poll() is not None, START_S)  # type: ignore[union-attr]
        assert self.process.poll() is None, self.log
        return self

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        return code

    def reload(self) -> None:
        """SIGHUP; returns when the sensor said that it took the config over, or that it did not."""
        assert self.process is not None
        before = len(self.log)
        self.process.send_signal(signal.SIGHUP)
        self.wait(lambda: any("config" in line for line in self.log[before:]))

    def run(self, *argv: str, env: dict[str, str] | None = None) -> Program:
        """A program in the scope."""
        return Program(argv, self.scope, env or {})

    def client(self, port: int, path: str, word: str, *, size: int = 0, count: int = 1, wait: bool = False) -> Program:
        """A client of a model's API in the scope."""
        how = "wait" if wait else "go"
        return self.run(sys.executable, "-I", "-c", CLIENT, str(port), path, str(size), str(count), how, word)

    def memory_kb(self) -> int:
        """Resident memory of the sensor."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    @property
    def recorded(self) -> Run:
        return self.data.run(None)

    def slices(self) -> Iterable[Slice]:
        return read_segments(self.recorded.segments)

    def facts(self, kind: type[Wanted]) -> list[Wanted]:
        """All facts of a kind that are in the spool by now."""
        return [fact for piece in self.slices() for fact in piece.facts if isinstance(fact, kind)]

    def agents(self) -> dict[int, Agent]:
        """The last word on each agent, by process id."""
        return {agent.process_id: agent for agent in self.facts(Agent)}

    def agent_of(self, word: str, *, count: int = 1) -> Agent:
        """The agent whose calls hold this word, once so many of them are over."""
        self.wait(lambda: len(self.exchanges_with(word)) >= count)
        exchange = self.exchanges_with(word)[0]
        self.wait(lambda: exchange.process_id in self.agents())
        return self.agents()[exchange.process_id]

    def exchanges_with(self, word: str) -> list[HttpExchange]:
        """Exchanges asked, and over, whose request holds a word."""
        needle = word.encode()
        found = {e.id: e for e in self.facts(HttpExchange) if not e.is_server and needle in e.request_body}
        return list(found.values())

    def calls_with(self, word: str) -> dict[int, LlmCall]:
        return {call.id: call for call in self.facts(LlmCall) if word in json.dumps(call.input_messages)}

    @staticmethod
    def wait(done: Callable[[], bool], seconds: float = SEE_S) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, "not seen in time"
            time.sleep(0.1)

    def _read_log(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.log.append(line)
