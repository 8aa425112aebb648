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
