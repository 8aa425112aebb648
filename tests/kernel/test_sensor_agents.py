"""Real agents under the sensor, started before it and after it: known by their first request, which is captured whole."""

import os
import signal
from pathlib import Path

import pytest

from intact.model.facts import HttpExchange
from tests.agents.install import NAMES
from tests.agents.run import available, command
from tests.kernel.watching import Program, Watch
from tests.standin import Exchange, Script, Standin, Step, ToolCall
from tests.standin.exchange_log import sha256

pytestmark = [pytest.mark.kernel, pytest.mark.agents]

ESTABLISHED = "01"
IN_WORKDIR = 'cd "$0" && exec "$@" </dev/null'


def script() -> Script:
    shell = ToolCall(name="shell", arguments={"command": "printf hi > out.txt"})
    return Script(steps=(Step(text="First a command.", tool_calls=(shell,)), Step(text="All done.")))


def start(watch: Watch, name: str, folder: Path, standin: Standin) -> Program:
    workdir = folder / "work"
    made = command(name, prompt="Do it.", home=folder / "home", workdir=workdir, standin=standin)
    return watch.run("/bin/bash", "-c", IN_WORKDIR, str(workdir), *made.argv, env=made.env)


def has_client(port: int) -> bool:
    """Whether somebody connected to this port on 127.0.0.1."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:] + Path("/proc/net/tcp6").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return any(row[2].endswith(f":{port:04X}") and row[3] == ESTABLISHED for row in fields)


def model_requests(standin: Standin) -> list[Exchange]:
    asked = [exchange for exchange in standin.exchanges() if exchange.call_index is not None]
    return sorted(asked, key=lambda exchange: exchange.request_started_ns)


def check(watch: Watch, standin: Standin) -> None:
    """What was served from the first request to a model on is there, byte for byte, and its process is an agent."""
    served = model_requests(standin)
    assert len(served) >= 2

    def seen() -> list[HttpExchange]:
        found = {each.id: each for each in watch.facts(HttpExchange) if not each.is_server}
        return sorted(found.values(), key=lambda each: each.started_ns)

    wanted = {exchange.request_body_sha256 for exchange in served}
    watch.wait(lambda: wanted <= {sha256(each.request_body) for each in seen()})
    by_body = {sha256(each.request_body): each for each in seen()}
    first = by_body[served[0].request_body_sha256]
    for exchange in served:
        heard = by_body[exchange.request_body_sha256]
        assert (heard.method, heard.missing_bytes) == (exchange.method, 0)
        assert len(heard.request_body) == exchange.request_body_bytes
    assert first.complete
    watch.wait(lambda: first.process_id in watch.agents())
    agent = watch.agents()[first.process_id]
    assert (agent.role, agent.biz_type) == ("agent", 1)
    assert agent.root_process_id != 0
    assert 0 < agent.first_seen_ns <= served[1].request_started_ns


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_from_before_the_sensor(name: str, tmp_path: Path) -> None:
    reason = available(name)
    if reason:
        pytest.skip(reason)
    with Standin(script(), log_dir=tmp_path / "log") as standin, Watch(tmp_path) as watch:
        # It connects, and waits in its handshake for a server that stands still until the sensor watches.
        os.kill(standin.process_id, signal.SIGSTOP)
        try:
            program = start(watch, name, tmp_path, standin)
            watch.wait(lambda: has_client(standin.port))
            watch.start()
        finally:
            os.kill(standin.process_id, signal.SIGCONT)
        said = program.end()
        assert (tmp_path / "work" / "out.txt").read_text() == "hi", said
        check(watch, standin)


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_from_after_the_sensor(name: str, tmp_path: Path) -> None:
    reason = available(name)
    if reason:
        pytest.skip(reason)
    with Standin(script(), log_dir=tmp_path / "log") as standin, Watch(tmp_path) as watch:
        watch.start()
        said = start(watch, name, tmp_path, standin).end()
        assert (tmp_path / "work" / "out.txt").read_text() == "hi", said
        check(watch, standin)
