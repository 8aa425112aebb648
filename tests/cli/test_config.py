"""`intact config`: the config in force, key by key, and where each value comes from."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FILE = """
inputs:
  proc:
    ai_agent:
      file_io_enabled: false
      enforcement: {mode: block, rules: [{id: a, exec: {suffix: [reboot]}}]}
outputs: {webhook: {url: "https://me:word@hooks.example/T0/secret"}}
log_level: error
"""


def intact_config(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    path = folder / "intact.yaml"
    path.write_text(FILE)
    command = [sys.executable, "-m", "intact.cli.main", "config", "--config", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)


def test_the_value_in_force_and_where_it_comes_from(tmp_path: Path) -> None:
    said = intact_config(tmp_path, "--json", INTACT_LOG_LEVEL="info", INTACT_SCOPE__CGROUP="/x")
    assert (said.returncode, said.stderr) == (0, "")
    rows: dict[str, dict[str, Any]] = {row["key"]: row for row in json.loads(said.stdout)}
    told = {key.removeprefix("inputs.proc.ai_agent."): (row["value"], row["source"]) for key, row in rows.items()}
    assert told["file_io_enabled"] == (False, "file")
    assert told["enforcement.mode"] == ("block", "file")
    assert told["enforcement.max_rules"] == (256, "default")
    assert told["enforcement.rules[].id"] == (None, None)
    assert told["enforcement.rules"][0][0]["exec"]["suffix"] == ["reboot"]
    assert told["scope.cgroup"] == ("/x", "environment")
    assert told["log_level"] == ("info", "environment")
    assert told["outputs.webhook.url"] == ("https://hooks.example/…", "file")
    assert rows["inputs.proc.ai_agent.file_io_enabled"]["name_zh"] == "文件 IO 事件"


def test_a_person_reads_it_in_either_language(tmp_path: Path) -> None:
    said = intact_config(tmp_path, "--lang", "zh", PYTHONUTF8="1")
    lines = said.stdout.splitlines()
    place = lines.index("inputs.proc.ai_agent.file_io_enabled  文件 IO 事件")
    assert lines[place + 1] == "    false (file); boolean, true, false; default true; taken over on reload"
    assert lines[-1] == f"file: {tmp_path}/intact.yaml"
    assert "word" not in said.stdout
    assert "File IO Enabled" in intact_config(tmp_path).stdout


def test_a_wrong_config_is_one_line(tmp_path: Path) -> None:
    said = intact_config(tmp_path, INTACT_LOG_LEVEL="loud")
    assert (said.returncode, said.stdout, said.stderr.count("\n")) == (2, "", 1)
    assert "log_level" in said.stderr


OTHERS = """
serve: {port: 9000}
assist:
  model: {name: qwen3, base_url: "http://me:word@127.0.0.1:8000/v1?key=word"}
  sessions: redis://:word@127.0.0.1:6379/3
  mcp: {tickets: {command: [tickets], environment: {KEY: word}, tools: [search]}}
"""


def test_the_sections_of_serve_and_of_the_assistant_are_told_too(tmp_path: Path) -> None:
    path = tmp_path / "intact.yaml"
    path.write_text(OTHERS)
    command = [sys.executable, "-m", "intact.cli.main", "config", "--config", str(path)]
    environ = {"INTACT_SERVE_HOST": "::1", "PYTHONUTF8": "1"}
    said = subprocess.run([*command, "--json"], capture_output=True, text=True, env=environ, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    told = {row["key"]: (row["value"], row["source"]) for row in json.loads(said.stdout)}
    assert told["serve.host"] == ("::1", "environment")
    assert told["serve.port"] == (9000, "file")
    assert told["serve.auth"] == ("tokens", "default")
    assert told["assist.model.name"] == ("qwen3", "file")
    assert told["assist.model.base_url"] == ("http://127.0.0.1:8000/v1", "file")
    assert told["assist.small.name"] == (None, "default")
    assert told["assist.sessions"] == ("redis://127.0.0.1:6379/3", "file")
    assert told["assist.mcp"] == (["tickets"], "file")
    assert told["assist.mcp{}.tools"] == (None, None)
    assert told["assist.bounds.tokens"] == (100_000, "default")
    assert "word" not in said.stdout
    lines = subprocess.run(command, capture_output=True, text=True, env=environ, check=False).stdout.splitlines()
    place = lines.index("assist.small.name  Small Model Name")
    assert lines[place + 1] == "    none (default); string, 1 to 200 characters; required; taken over at restart"
