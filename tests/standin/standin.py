"""Run a stand-in in a process of its own, so that it is outside whatever a test observes."""

import json
import selectors
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.standin.exchange_log import Exchange, read_exchanges, request_bytes, response_bytes
from tests.standin.script import Script, Scripts, named, to_json

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class StandinError(Exception):
    """The stand-in did not start or did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a stand-in listens."""

    base_url: str
    port: int
    ca_pem: Path | None


class Standin:
    """A stand-in for a model's API: `with Standin(script, log_dir=folder) as standin: ...`."""

    def __init__(
        self,
        script: Script | Scripts,
        *,
        log_dir: Path,
        compression: str = "none",
        tls: bool = True,
        seed: str = "",
    ) -> None:
        self.log_dir = log_dir
        self._scripts = named(script)
        self._options = ["--compression", compression, "--seed", seed, *([] if tls else ["--plain"])]
        self._process: subprocess.Popen[str] | None = None
        self._endpoint: Endpoint | None = None

    def __enter__(self) -> "Standin":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and wait until it listens."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        script = self.log_dir / "script.json"
        script.write_text(json.dumps(to_json(self._scripts)))
        places = ["--script", str(script), "--log", str(self.log_dir.absolute()), "--controlled"]
        with (self.log_dir / "standin.err").open("w") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.standin", *places, *self._options],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
        hello = self._answer()
        ca_pem = Path(hello["ca"]) if hello["ca"] else None
        url = f"{'https' if ca_pem else 'http'}://127.0.0.1:{hello['port']}"
        self._endpoint = Endpoint(base_url=url, port=hello["port"], ca_pem=ca_pem)

    def stop(self) -> None:
        """End the process; its logs stay."""
        process, self._process = self._process, None
        if process is None or process.stdin is None or process.stdout is None:
            return
        process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def add(self, scripts: Mapping[str, Script]) -> None:
        """Add or replace scripts while the stand-in runs; a prompt with `[[script:NAME]]` follows one."""
        if self._process is None or self._process.stdin is None:
            raise StandinError("the stand-in does not run")
        self._process.stdin.write(json.dumps(to_json(scripts)) + "\n")
        self._process.stdin.flush()
        self._answer()

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens, once started."""
        if self._endpoint is None:
            raise StandinError("the stand-in does not run")
        return self._endpoint

    @property
    def base_url(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        return self.endpoint.base_url

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self.endpoint.port

    @property
    def ca_pem(self) -> Path:
        """The authority a client must trust."""
        if self.endpoint.ca_pem is None:
            raise StandinError("a stand-in without TLS has no authority")
        return self.endpoint.ca_pem

    @property
    def process_id(self) -> int:
        """The pid of the server process."""
        if self._process is None:
            raise StandinError("the stand-in does not run")
        return self._process.pid

    def exchanges(self) -> list[Exchange]:
        """All exchanges that have ended."""
        return read_exchanges(self.log_dir)

    def request_bytes(self, exchange: Exchange) -> bytes:
        """The whole request, as the client sent it."""
        return request_bytes(self.log_dir, exchange)

    def response_bytes(self, exchange: Exchange) -> bytes:
        """The whole response, as it was sent."""
        return response_bytes(self.log_dir, exchange)

    def _answer(self) -> dict[str, Any]:
        if self._process is None or self._process.stdout is None:
            raise StandinError("the stand-in does not run")
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(START_TIMEOUT_S) else ""
        if not line:
            said = (self.log_dir / "standin.err").read_text().strip()
            raise StandinError(f"the stand-in did not answer: {said}")
        answer: dict[str, Any] = json.loads(line)
        return answer
