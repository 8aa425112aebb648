"""Real Claude Code asks Intact over MCP what was recorded: by command, and over HTTP of a running serve."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from intact.serve.auth import Tokens
from tests.agents.run import RUN_TIMEOUT_S, available, command
from tests.serve.running import environment, record, serving, wait_for_run
from tests.standin import Script, Standin, Step, ToolCall

# The script knows what it wants: the tools are to be there without being searched for, from the first request on.
PLAIN = {"ENABLE_TOOL_SEARCH": "false", "MCP_CONNECTION_NONBLOCKING": "false"}
FINAL = "That is what was recorded."
SQL = "SELECT run_id, count() AS n FROM process GROUP BY run_id"


def ask(agent: str, server: dict[str, Any], place: Path) -> bytes:
    """What the agent told its model after the tools were called."""
    config = place / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"intact": server}}))
    calls = (
        ToolCall(name="mcp__intact__query_sql", arguments={"sql": SQL}),
        ToolCall(name="mcp__intact__agents_runs", arguments={}),
    )
    script = Script(steps=(Step(tool_calls=calls[:1]), Step(tool_calls=calls[1:]), Step(text=FINAL)))
    with Standin(script, log_dir=place / "log") as standin:
        made = command(agent, prompt="What ran?", home=place / "home", workdir=place / "work", standin=standin)
        allowed = [*made.argv, "--mcp-config", str(config), "--allowedTools", "mcp__intact"]
        done = subprocess.run(
            allowed, env={**made.env, **PLAIN}, cwd=place / "work", stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=RUN_TIMEOUT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        assert FINAL in done.stdout
        served = [exchange for exchange in standin.exchanges() if exchange.step is not None]
        assert [exchange.step for exchange in served] == [0, 1, 2]
        return standin.request_bytes(served[-1])


@pytest.mark.agents
@pytest.mark.parametrize("agent", ["claude-native", "claude-1.0.62"])
def test_claude_code_asks_by_command(agent: str, tmp_path: Path) -> None:
    if available(agent):
        pytest.skip(available(agent))
    run = record(tmp_path / "data")
    words = ["-m", "intact", "mcp", "--data", str(tmp_path / "data")]
    told = ask(agent, {"command": sys.executable, "args": words, "env": environment()}, tmp_path)
    assert told.count(run.id.encode()) >= 2
    assert b"rows_hash" in told


@pytest.mark.agents
def test_claude_code_asks_a_running_serve(tmp_path: Path) -> None:
    agent = "claude-native"
    if available(agent):
        pytest.skip(available(agent))
    data = tmp_path / "data"
    mine, other = record(data), record(data, name="other", tenant_id=2, started_ns=1_700_000_000_000_000_001)
    token = Tokens(data).add("claude")
    with serving(data) as server:
        wait_for_run(server, mine, token)
        at = {
            "type": "http",
            "url": f"http://127.0.0.1:{server.port}/mcp",
            "headers": {"Authorization": f"Bearer {token}"},
        }
        told = ask(agent, at, tmp_path)
    assert told.count(mine.id.encode()) >= 2
    assert other.id.encode() not in told
