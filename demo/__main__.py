"""`make demo`: records a real agent writing and running a program, then shows the run and asks why a file is what it is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.agents.run import available, command
from tests.standin import Script, Standin, Step, ToolCall

ROOT = Path(__file__).parents[1]
INTACT = str(ROOT / ".venv" / "bin" / "intact")
CAPTURE = ROOT / "tests" / "captures" / "demo.capture"
AGENTS = ("claude-native", "claude-1.0.62", "small")
PROMPT = "Write a program that finds the primes below 50, run it, and keep what it prints."
PROGRAM = """limit = 50
primes = [n for n in range(2, limit) if all(n % d for d in range(2, n))]
print(*primes)
"""


def script(work: Path) -> Script:
    """What the stand-in lets the model say: it has no model behind it, the agent's actions are real."""
    return Script(
        steps=(
            Step(
                text="I will write the program first.",
                tool_calls=(
                    ToolCall(name="write_file", arguments={"path": str(work / "primes.py"), "content": PROGRAM}),
                ),
                delay_s=0.4,
            ),
            Step(
                text="Now I run it, and look at the machine it ran on.",
                tool_calls=(
                    ToolCall(name="shell", arguments={"command": "python3 primes.py > primes.txt && cat primes.txt"}),
                    ToolCall(name="shell", arguments={"command": "uname -srm > machine.txt"}),
                ),
                delay_s=0.4,
            ),
            Step(text="Done: primes.txt holds the primes below 50.", delay_s=0.3),
        )
    )


def say(text: str) -> None:
    print(f"\n\033[1m▶ {text}\033[0m" if sys.stdout.isatty() else f"\n> {text}", flush=True)


def can_record() -> bool:
    """Whether this kernel and this user allow a recording."""
    return (
        subprocess.run([INTACT, "record", "--data", str(BASE / "try"), "--", "true"], capture_output=True).returncode
        == 0
    )


BASE = ROOT / "build" / "demo"
DATA = BASE / "data"


def record() -> None:
    """A live recording of the first agent that can run here."""
    name = next(agent for agent in AGENTS if not available(agent))
    work = BASE / "work"
    work.mkdir(parents=True)
    with Standin(script(work), log_dir=BASE / "standin") as standin:
        made = command(name, prompt=PROMPT, home=BASE / "home", workdir=work, standin=standin)
        say(
            f"intact record -- {Path(made.argv[0]).name} …   ({name}, a real agent; the model's API is a local stand-in)"
        )
        recording = [INTACT, "record", "--data", str(DATA), "--name", name, "--", *made.argv]
        # stdin and environment are the agent's own: nothing of this shell leaks into it
        subprocess.run(recording, env=made.env, cwd=work, stdin=subprocess.DEVNULL, check=True)
    show()
    say("intact why primes.txt")
    subprocess.run([INTACT, "why", "--data", str(DATA), str(work / "primes.txt")], check=True)


def show() -> None:
    say("intact show")
    subprocess.run([INTACT, "show", "--data", str(DATA)], check=True)


def main() -> None:
    """Entry point."""
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.mkdir(parents=True)
    if can_record():
        record()
    else:
        say(
            "recording needs root and a kernel with eBPF, which is not given here: a capture made elsewhere is replayed"
        )
        subprocess.run([INTACT, "replay", "--data", str(DATA), str(CAPTURE)], check=True)
        show()
    where = f"INTACT_DATA={os.path.relpath(DATA)} .venv/bin/intact"
    print("\nTry yourself:")
    print(f'  {where} ask "which files did the last run change, and why?"')
    print(f"  {where} serve --auth dev    # the page: http://127.0.0.1:8740")
    print(f"  {where} show --json | less")


if __name__ == "__main__":
    main()
