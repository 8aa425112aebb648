"""Runs the real command as a person would, in an environment of the test's own, and reads back what it kept."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

INTACT = str(Path(sys.executable).parent / "intact")
ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "src" / "intact" / "collect" / "native"
TIMEOUT_S = 90
Test = TypeVar("Test", bound=Callable[..., None])
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
ENVIRONMENT: Mapping[str, str] = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}


def why_not() -> str:
    """Empty where recordings can be made here, else the reason why not."""
    if os.geteuid() != 0:
        return "recording needs root"
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "this kernel has no BTF"
    if not (NATIVE / "intact.bpf.o").exists():
        return "the kernel object is not built: make build"
    return ""


def kernel_test(function: Test) -> Test:
    """Marks a test that records; skipped, with the reason, where that cannot be done."""
    reason = why_not()
    marked: Test = pytest.mark.kernel(pytest.mark.skipif(bool(reason), reason=reason)(function))
    return marked


def record_argv(data: Path, *command: str | bytes, options: Sequence[str] = ()) -> list[str | bytes]:
    """The command line of one recording."""
    return [INTACT, "record", "--data", str(data), *options, "--", *command]


def record(
    data: Path,
    *command: str | bytes,
    options: Sequence[str] = (),
    env: Mapping[str, str] = ENVIRONMENT,
    cwd: Path | None = None,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """Record a command to its end."""
    return subprocess.run(
        record_argv(data, *command, options=options),
        env=dict(env),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def intact(*arguments: str, env: Mapping[str, str] = ENVIRONMENT) -> subprocess.CompletedProcess[str]:
    """Any of our commands."""
    return subprocess.run(
        [INTACT, *arguments],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def runs(data: Path) -> list[dict[str, Any]]:
    """The runs, newest first."""
    said = intact("runs", "--json", "--data", str(data))
    assert said.returncode == 0, said.stderr
    found: list[dict[str, Any]] = json.loads(said.stdout)
    return found


def show(data: Path, run: str = "") -> dict[str, Any]:
    """What `show --json` says of a run, by default the latest."""
    said = intact("show", *([run] if run else []), "--json", "--data", str(data))
    assert said.returncode == 0, said.stderr
    shown: dict[str, Any] = json.loads(said.stdout)
    return shown


def lines(text: str | bytes) -> list[str]:
    """What was said, without empty lines."""
    decoded = text.decode(errors="replace") if isinstance(text, bytes) else text
    return [line for line in decoded.splitlines() if line.strip()]


def paths(shown: Mapping[str, Any], *kinds: str) -> set[str]:
    """Paths that effects of these kinds name."""
    return {effect["path"] for effect in shown["effects"] if effect["kind"] in kinds and effect["path"]}
