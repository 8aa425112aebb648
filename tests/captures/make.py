"""Makes the captures of this folder again: `python -m tests.captures.make [NAME…]`, as root; then `make bless`.

Only an agent of our own writing is recorded, in folders of neutral names, and only the redacted copy is kept.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from intact.collect.capture_file import CaptureReader, write_capture
from tests.agents.run import DUMMY_KEY
from tests.standin import Script, Standin, Step, ToolCall

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BASE = Path("/tmp/intact-demo")
PROJECT = BASE / "project"
# In the form of a key, and a key to nobody: redaction has something to do.
KEY = "sk-ant-demo-" + "0123456789abcdef" * 2
PROGRAM = """limit = 50
primes = [n for n in range(2, limit) if all(n % d for d in range(2, n))]
print(*primes)
"""


def shell(command: str, *, name: str = "shell") -> ToolCall:
    return ToolCall(name=name, arguments={"command": command})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What the agent is told to do, how it speaks, and what the model says."""

    prompt: str
    steps: tuple[Step, ...]
    options: tuple[str, ...] = ()
    compression: str = "none"


SCENARIOS: Mapping[str, Scenario] = {
    "demo": Scenario(
        prompt="Write a program that finds the primes below 50, run it, and keep what it prints.",
        options=("--api", "anthropic"),
        steps=(
            Step(
                text="I will write the program first.",
                tool_calls=(
                    ToolCall(name="write_file", arguments={"path": str(PROJECT / "primes.py"), "content": PROGRAM}),
                ),
                delay_s=0.2,
            ),
            Step(
                text="Now I run it, and look at the machine it ran on.",
                tool_calls=(
                    shell("python3 -IS primes.py > primes.txt && cat primes.txt"),
                    shell("uname -sm > machine.txt"),
                ),
                delay_s=0.2,
            ),
            Step(text="Done: primes.txt holds the primes below 50.", delay_s=0.1),
        ),
    ),
    "background": Scenario(
        prompt="Start the job, work beside it, and say when all is there.",
        options=("--api", "openai-chat"),
        steps=(
            Step(
                text="The job runs in the background.", tool_calls=(shell("(sleep 0.5; date > late.txt) & echo begun"),)
            ),
            Step(
                text="Three things at once.",
                tool_calls=(
                    shell("echo one > 1.txt"),
                    shell("mkdir deep && echo two > deep/2.txt"),
                    shell("cat /nowhere"),
                ),
            ),
            Step(tool_calls=(shell("cd deep && echo three > 3.txt", name="bash_session"),)),
            Step(tool_calls=(shell("mv 3.txt three.txt; rm 2.txt; sleep 0.6", name="bash_session"),)),
            Step(tool_calls=(ToolCall(name="read_file", arguments={"path": str(PROJECT / "late.txt")}),)),
            Step(text="All is there."),
        ),
    ),
    "responses": Scenario(
        prompt="Make a file and check it.",
        options=("--api", "openai-responses", "--accept-encoding", "gzip"),
        compression="gzip",
        steps=(
            Step(text="Making it.", tool_calls=(shell("printf 'a file\\n' > file.txt; chmod 600 file.txt"),)),
            Step(error_status=529),
            Step(text="Checking it.", tool_calls=(shell("test -s file.txt && ln -s file.txt link.txt"),)),
            Step(text="It is right."),
        ),
    ),
    "gemini": Scenario(
        prompt="Tidy up.",
        options=("--api", "gemini", "--whole"),
        steps=(
            Step(
                text="I look first.",
                tool_calls=(ToolCall(name="read_file", arguments={"path": "/etc/hostname-of-nobody"}),),
            ),
            Step(text="Then I write.", tool_calls=(shell("touch done && rm done"),), chunk_bytes=(7, 100)),
            Step(text="Tidy."),
        ),
    ),
}


def make(name: str) -> Path:
    """Record one scenario and put its redacted copy here."""
    scenario = SCENARIOS[name]
    shutil.rmtree(BASE, ignore_errors=True)
    PROJECT.mkdir(parents=True)
    # The folder of this checkout is nobody's business.
    (BASE / "intact").symlink_to(ROOT)
    agent = BASE / "small_agent.py"
    shutil.copy(ROOT / "tests" / "agents" / "small_agent.py", agent)
    with Standin(
        Script(steps=scenario.steps), log_dir=BASE / "api", compression=scenario.compression, seed=name
    ) as standin:
        environment = {
            "HOME": str(BASE),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "SSL_CERT_FILE": str(standin.ca_pem),
            "MODEL_API_URL": standin.base_url,
            "MODEL_API_KEY": KEY if name == "demo" else DUMMY_KEY,
        }
        raw = BASE / "raw.capture"
        intact = [str(_interpreter()), "-P", "-m", "intact"]
        # Without site packages: those of this machine are nobody's business either.
        command = ["/usr/bin/python3", "-IS", str(agent), *scenario.options, "--prompt", scenario.prompt]
        recording = [
            *intact,
            "record",
            "--data",
            str(BASE / "data"),
            "--capture",
            str(raw),
            "--name",
            name,
            "--",
            *command,
        ]
        subprocess.run(recording, env=environment, cwd=PROJECT, stdin=subprocess.DEVNULL, check=True)
    renamed = BASE / "renamed.capture"
    _rename_host(raw, renamed)
    kept = HERE / f"{name}.capture"
    kept.unlink(missing_ok=True)
    subprocess.run([*intact, "redact", str(renamed), "-o", str(kept)], check=True)
    kept.chmod(0o644)
    return kept


def _interpreter() -> Path:
    """The system's Python with the packages of this checkout: where another one is installed is nobody's business."""
    made = BASE / "venv"
    if not made.exists():
        subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(made)], check=True)
        (site,) = (made / "lib").glob("python3*/site-packages")
        (packages,) = (ROOT / ".venv" / "lib").glob("python3*/site-packages")
        (site / "checkout.pth").write_text(f"{packages}\n{ROOT / 'src'}\n")
    return made / "bin" / "python"


def _rename_host(source: Path, target: Path) -> None:
    with CaptureReader(source) as reader:
        host = replace(reader.host, name="demo", kernel="Linux")
        with write_capture(target, host, about=reader.about) as writer:
            for raw in reader.slices():
                writer.write(raw)
            writer.close(reader.ending)


def main(names: list[str]) -> None:
    """Make the captures of these names, or all."""
    for name in names or list(SCENARIOS):
        path = make(name)
        print(f"{path.relative_to(ROOT)}: {os.path.getsize(path):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
