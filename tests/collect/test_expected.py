"""What a command is expected to use, told before it runs."""

import os
import sys
from pathlib import Path

import pytest

from intact.collect.expected import MAX_NATIVE, NATIVE_BYTES, expected_files


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def large(path: Path) -> Path:
    executable(path, "")
    os.truncate(path, NATIVE_BYTES)
    return path


@pytest.mark.parametrize("line", ["#!{0}", "#! {0} --flag", "#!/usr/bin/env run", "#!/usr/bin/env -S X=1 run --flag"])
def test_the_interpreter_of_a_script(tmp_path: Path, line: str) -> None:
    interpreter = executable(tmp_path / "bin" / "run", "")
    script = executable(tmp_path / "script", line.format(interpreter) + "\nrest\n")
    found = expected_files(str(script), str(interpreter.parent))
    assert found[:2] == [script, interpreter]


def test_a_command_is_looked_up_in_its_path(tmp_path: Path) -> None:
    command = executable(tmp_path / "agent", "")
    assert expected_files("agent", str(tmp_path))[0] == command
    assert command not in expected_files("agent", "/nowhere")


def test_scripts_that_name_each_other_end(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    executable(one, f"#!{two}\n")
    executable(two, f"#!{one}\n")
    assert {one, two} <= set(expected_files(str(one), "/nowhere"))


def test_a_python_brings_its_tls_library(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\n")
    script = executable(venv / "bin" / "agent", f"#!{venv}/bin/python\n")
    found = expected_files(str(script), "/nowhere")
    assert Path(sys.executable).resolve() in found
    assert any(path.name.startswith("libssl") for path in found)


def test_the_native_program_a_launcher_starts(tmp_path: Path) -> None:
    modules = tmp_path / "node_modules" / "@maker"
    script = executable(modules / "agent" / "cli.js", "#!/usr/bin/env node\n")
    (modules / "agent" / "package.json").write_text("{}")
    native = large(modules / "agent-linux-x64" / "bin" / "agent")
    executable(modules / "agent-linux-x64" / "small", "")
    link = tmp_path / "agent"
    link.symlink_to(script)
    assert native in expected_files(str(link), "/nowhere")


def test_natives_are_bounded(tmp_path: Path) -> None:
    script = executable(tmp_path / "agent" / "cli.js", "")
    (tmp_path / "agent" / "package.json").write_text("{}")
    for i in range(2 * MAX_NATIVE):
        large(tmp_path / f"agent-linux-x64-{i}" / "agent")
    found = [path for path in expected_files(str(script), "/nowhere") if "linux-x64" in str(path)]
    assert len(found) == MAX_NATIVE


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    assert str(tmp_path / "missing") not in map(str, expected_files(str(tmp_path / "missing"), "/nowhere"))
    (tmp_path / "dangling").symlink_to(tmp_path / "missing")
    expected_files(str(tmp_path / "dangling"), "/nowhere")
    expected_files(str(tmp_path), "/nowhere")
    expected_files(None, "/nowhere")
