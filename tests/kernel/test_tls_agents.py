"""Plaintext of real agents, byte for byte against the log of the stand-in they talk to."""

import os
from pathlib import Path

import pytest

from intact.collect.loader import LIBRARY, OBJECT
from tests.agents.install import NAMES
from tests.agents.run import SMALL_NAMES, available, command
from tests.kernel.tls_recording import Heard, listen
from tests.standin import Script, Standin, Step, ToolCall

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="attaching probes needs root"),
    pytest.mark.skipif(not (LIBRARY.exists() and OBJECT.exists()), reason="the kernel object is not built: make build"),
]

# Some clients leave when the last event came, without reading the last, empty chunk of the transfer coding.
LAST_CHUNK = b"0\r\n\r\n"


def script() -> Script:
    shell = ToolCall(name="shell", arguments={"command": "printf hi > out.txt"})
    return Script(steps=(Step(text="First a command.", tool_calls=(shell,)), Step(text="All done.")))


@pytest.mark.parametrize("name", [*(pytest.param(name, marks=pytest.mark.agents) for name in NAMES), *SMALL_NAMES])
def test_every_byte_of_an_agent_is_heard(name: str, tmp_path: Path) -> None:
    reason = available(name)
    if reason:
        pytest.skip(reason)
    workdir = tmp_path / "work"
    with Standin(script(), log_dir=tmp_path / "log") as standin:
        made = command(name, prompt="Do it.", home=tmp_path / "home", workdir=workdir, standin=standin)
        recording = listen(made.argv, cache=tmp_path / "cache", environment=made.env, cwd=workdir)
    assert (workdir / "out.txt").read_text() == "hi", recording.output
    served = {exchange.connection for exchange in standin.exchanges()}
    heard: dict[bytes, Heard] = {c.stream(is_write=True): c for c in recording.connections}
    for number in served:
        received = (tmp_path / "log" / f"conn-{number}.in").read_bytes()
        sent = (tmp_path / "log" / f"conn-{number}.out").read_bytes()
        assert received in heard, f"connection {number}: {received[:200]!r}"
        answers = heard[received].stream(is_write=False)
        assert sent.startswith(answers)
        assert sent[len(answers) :] in (b"", LAST_CHUNK)
        assert {c.peer_port for c in heard[received].chunks} == {standin.port}
    assert not [loss for loss in recording.losses if loss.cause == "not_heard"]
    recording.check_counts()
