"""Servers of others from the config: what is allowed of them is offered; one that is away takes nothing with it."""

import json
import sys
import time
from pathlib import Path

import yaml

from tests.serve.running import ROOT, command, serving


def test_tools_of_others_are_listed_where_they_are_allowed(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.assist.authority.others", "stdio"]
    paths = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    servers = {
        "others": {"command": words, "environment": paths, "tools": ["table", "write"]},
        "away": {"url": "http://127.0.0.1:9/mcp", "tools": ["table"]},
    }
    config = tmp_path / "intact.yaml"
    config.write_text(yaml.safe_dump({"assist": {"mcp": servers}}))
    with serving(tmp_path / "data", "--auth", "dev", "--config", str(config)) as server:
        found: list[str] = []
        for _ in range(8):  # what is slow to start is there when it is asked again
            names = [tool["name"] for tool in server.ask("/api/tools").json["rows"]]
            found = [name for name in names if name.startswith(("others.", "away."))]
            if found:
                break
            time.sleep(5)
        assert found == ["others.table"]
        assert len(names) > 20


def test_a_server_that_cannot_be_is_named_at_the_start(tmp_path: Path) -> None:
    config = tmp_path / "intact.yaml"
    for server, words in (
        ({"url": "http://x/", "command": ["y"]}, b"assist.mcp.grafana: give url or command"),
        ({"url": "http://x.example/mcp", "send_identity": True}, b"assist.mcp.grafana.send_identity"),
        ({"tool": ["x"]}, b"assist.mcp.grafana.tool"),
    ):
        config.write_text(json.dumps({"assist": {"mcp": {"grafana": server}}}))
        refused = command("serve", "--data", str(tmp_path / "data"), "--port", "0", "--config", str(config))
        assert refused.returncode == 2
        assert words in refused.stderr
    config.write_text(json.dumps({"assist": {"auth_centre": {"callback": "no.such.module:f"}}}))
    refused = command("serve", "--data", str(tmp_path / "data"), "--port", "0", "--config", str(config))
    assert refused.returncode == 2
    assert b"assist.auth_centre.callback: no.such.module:f" in refused.stderr
