"""Each real agent once: it runs, does what the script's tool calls say, and ends with the script's last words."""

import subprocess
from pathlib import Path

import pytest

from tests.agents.install import NAMES
from tests.agents.run import RUN_TIMEOUT_S, SMALL_NAMES, available, command
from tests.standin import Exchange, Script, Standin, Step, ToolCall

FINAL = "All three are done."
WIRE_APIS = {
    "claude-1.0.62": "anthropic_messages",
    "claude-native": "anthropic_messages",
    "gemini": "gemini",
    "langgraph": "openai_chat",
    "openai-agents": "openai_responses",
    "small": "anthropic_messages",
    "small-openai-chat": "openai_chat",
    "small-openai-responses": "openai_responses",
    "small-gemini": "gemini",
}
# Claude Code lets only tools that read run at the same time; a second command waits for the first.
ONE_AFTER_ANOTHER = ("claude-1.0.62", "claude-native")


def shell(command_line: str) -> ToolCall:
    return ToolCall(name="shell", arguments={"command": command_line})


def script_in(workdir: Path) -> Script:
    # Each of the two waits for the file of the other, so both meet only if they run at the same time.
    waits = [
        f"touch {mine}; timeout 2 bash -c 'until [ -e {other} ]; do sleep 0.05; done' && touch {mine}-met"
        for mine, other in (("one", "two"), ("two", "one"))
    ]
    note = {"path": str(workdir / "note.txt"), "content": "noted\n"}
    return Script(
        steps=(
            Step(text="First a command.", tool_calls=(shell("printf hi > out.txt"),)),
            Step(tool_calls=(ToolCall(name="write_file", arguments=note),)),
            Step(text="Now two at once.", tool_calls=(shell(waits[0]), shell(waits[1]))),
            Step(text=FINAL),
        )
    )


def run(name: str, *, workdir: Path, standin: Standin, home: Path) -> subprocess.CompletedProcess[str]:
    made = command(name, prompt="Please do the task.", home=home, workdir=workdir, standin=standin)
    return subprocess.run(
        made.argv,
        env=made.env,
        cwd=workdir,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


def served_steps(exchanges: list[Exchange]) -> list[int]:
    return [exchange.step for exchange in exchanges if exchange.step is not None]


@pytest.mark.parametrize("name", [*(pytest.param(name, marks=pytest.mark.agents) for name in NAMES), *SMALL_NAMES])
def test_agent_does_what_the_script_says(name: str, tmp_path: Path) -> None:
    reason = available(name)
    if reason:
        pytest.skip(reason)
    workdir = tmp_path / "work"
    with Standin(script_in(workdir), log_dir=tmp_path / "log") as standin:
        done = run(name, workdir=workdir, standin=standin, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert FINAL in done.stdout
    assert (workdir / "out.txt").read_text() == "hi"
    assert (workdir / "note.txt").read_text() == "noted\n"
    met = {path.name for path in workdir.glob("*-met")}
    exchanges = standin.exchanges()
    assert served_steps(exchanges) == [0, 1, 2, 3]
    assert {exchange.wire_api for exchange in exchanges if exchange.step is not None} == {WIRE_APIS[name]}
    assert all(exchange.response_status == 200 for exchange in exchanges), exchanges
    assert met == ({"two-met"} if name in ONE_AFTER_ANOTHER else {"one-met", "two-met"})


@pytest.mark.parametrize("name", SMALL_NAMES)
def test_small_agent_keeps_a_shell_and_tries_again(name: str, tmp_path: Path) -> None:
    def session(line: str) -> tuple[ToolCall, ...]:
        return (ToolCall(name="bash_session", arguments={"command": line}),)

    steps = (
        Step(tool_calls=session("mkdir deep; cd deep; kept=yes; false")),
        Step(error_status=529),
        Step(tool_calls=session("echo $kept > kept.txt"), close="middle"),
        Step(
            tool_calls=session("echo $kept > kept.txt"), chunk_bytes=(5,), compression="gzip", compression_forced=True
        ),
        Step(tool_calls=(ToolCall(name="read_file", arguments={"path": "deep/kept.txt"}),)),
        Step(tool_calls=(ToolCall(name="read_file", arguments={"path": "missing"}),)),
        Step(text=FINAL),
    )
    workdir = tmp_path / "work"
    with Standin(Script(steps=steps), log_dir=tmp_path / "log") as standin:
        done = run(name, workdir=workdir, standin=standin, home=tmp_path / "home")
        last = standin.exchanges()[-1]
        sent = standin.request_bytes(last)
    assert (done.returncode, done.stdout) == (0, f"{FINAL}\n"), done.stderr
    assert (workdir / "deep" / "kept.txt").read_text() == "yes\n"
    assert b"[exit 1]" in sent
    assert b"FileNotFoundError" in sent
    assert served_steps(standin.exchanges()) == [0, 1, 2, 3, 4, 5, 6]
