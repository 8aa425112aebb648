"""`intact mcp`: the real tools over a recorded run, for another agent and for an assistant elsewhere."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from intact.assist.asking import Asker
from intact.assist.expert import ToolFailed
from intact.assist.identity import Signer
from intact.assist.pool import ToolPool
from intact.assist.protocol import Client, StdioTransport
from intact.query.row_limits import Role
from intact.store.runs import Run
from tests.serve.running import command, environment, record


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run, Run]:
    """A data directory with a run of tenant 1 and one of tenant 2."""
    data = tmp_path_factory.mktemp("data")
    return data, record(data), record(data, name="other", tenant_id=2, started_ns=1_700_000_000_000_000_001)


def speaking(data: Path, *servers: str, mode: str = "auto") -> Any:
    words = ["-m", "intact", "mcp", "--data", str(data), *servers]
    return Client(StdioTransport(sys.executable, words, env=environment(), keep_alive=False), mode=mode)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_asks_over_standard_input(recorded: tuple[Path, Run, Run], mode: str) -> None:
    data, one, two = recorded

    async def ask() -> None:
        async with speaking(data, mode=mode) as client:
            tools = {tool.name: tool for tool in await client.list_tools()}
            assert {name.partition("_")[0] for name in tools} == {"agents", "query", "host", "knowledge"}
            assert all(tool.annotations.read_only_hint for tool in tools.values())
            assert len(tools) >= 25
            found = await client.call_tool_mcp(
                "query_sql", {"sql": "SELECT run_id, count() AS n FROM run GROUP BY run_id"}
            )
            assert not found.is_error, found.content
            assert {row[0] for row in found.structured_content["rows"]} == {one.id, two.id}  # the owner sees all
            assert one.id in found.content[0].text
            refused = await client.call_tool_mcp("query_sql", {"sql": "DROP TABLE run"})
            assert refused.is_error
            await asyncio.sleep(1.5)
            # nothing holds the store while the agent thinks
            seen = await asyncio.to_thread(command, "runs", "--data", str(data))
            assert seen.returncode == 0
            assert one.id.encode() in seen.stdout
            again = await client.call_tool_mcp("agents_runs", {})
            assert not again.is_error

    asyncio.run(ask())


def test_one_server_is_offered_by_its_own_names(recorded: tuple[Path, Run, Run]) -> None:
    async def ask() -> list[str]:
        async with speaking(recorded[0], "query") as client:
            return [tool.name for tool in await client.list_tools()]

    assert "sql" in asyncio.run(ask())
    wrong = command("mcp", "nowhere", "--data", str(recorded[0]))
    assert wrong.returncode == 2
    assert b"there are: agents, query, host, knowledge" in wrong.stderr


@contextmanager
def listening(data: Path) -> Iterator[int]:
    words = [sys.executable, "-m", "intact", "mcp", "--listen", "127.0.0.1:0", "--data", str(data)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), line
        yield int(line.removesuffix("/mcp\n").rpartition(":")[2])
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_servers_apart_answer_signed_identities_only(recorded: tuple[Path, Run, Run], tmp_path: Path) -> None:
    data, one, two = recorded
    sql = {"sql": "SELECT DISTINCT run_id FROM run"}

    async def ask(port: int) -> None:
        at = {name: f"http://127.0.0.1:{port}/mcp/{name}" for name in ("query", "agents")}
        async with ToolPool(at, Signer.load(data)) as pool:
            for tenant, run in ((1, one), (2, two)):
                asker = Asker(name=f"t{tenant}", tenant_id=tenant)
                assert (await pool.call(asker, "query.sql", sql)).rows == ((run.id,),)
                runs = await pool.call(asker, "agents.runs", {})
                assert {row[0] for row in runs.rows} == {run.id}
                member = Asker(name="m", tenant_id=tenant, role=Role.MEMBER, run_ids=("another",))
                assert (await pool.call(member, "query.sql", sql)).rows == ()
        async with ToolPool(at, Signer.load(tmp_path)) as strange:
            with pytest.raises(ToolFailed, match=r"^query refused the request$"):
                await strange.call(Asker(name="x"), "query.sql", sql)
        async with ToolPool({"host": f"http://127.0.0.1:{port}/mcp/all"}, Signer.load(data)) as wrong:
            with pytest.raises(ToolFailed):
                await wrong.call(Asker(name="x"), "host.x", {})

    with listening(data) as port:
        asyncio.run(ask(port))


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    for address in ("8741", "127.0.0.1:", "127.0.0.1:99999", ":1"):
        refused = command("mcp", "--listen", address, "--data", str(tmp_path))
        assert refused.returncode == 2
        assert b"HOST:PORT" in refused.stderr
