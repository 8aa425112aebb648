"""How each agent is run without a terminal, in a clean environment, against the stand-in; try one by hand:
`python -m tests.agents.run NAME --script F`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.agents.install import HERE, NAMES, InstallError, program_of
from tests.standin import Standin
from tests.standin.script import load

# A word that is a key to nobody, in the form each client wants.
DUMMY_KEY = "sk-test"
SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
SMALL_NAMES = ("small", "small-openai-chat", "small-openai-responses", "small-gemini")
RUN_TIMEOUT_S = 120
CLAUDE_OPTIONS = ("--permission-mode", "acceptEdits", "--allowedTools", "Bash,Write,Read,Edit")
GEMINI_SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
    "privacy": {"usageStatisticsEnabled": False},
}


class Reachable(Protocol):
    """Where a model's API is to be found; a `Standin` is one."""

    @property
    def base_url(self) -> str:
        """Scheme, host and port."""

    @property
    def ca_pem(self) -> Path:
        """The authority to trust."""


class Command(NamedTuple):
    """What to execute, in which (whole) environment."""

    argv: list[str]
    env: dict[str, str]


def command(name: str, *, prompt: str, home: Path, workdir: Path, standin: Reachable) -> Command:
    """The command line and the environment of one agent.

    Args:
        name: an installed agent, or one of `SMALL_NAMES`.
        prompt: the user's words.
        home: a folder of the agent's own; its settings are written here.
        workdir: where the agent works; run it there, with stdin from /dev/null.
        standin: the API to talk to.
    """
    home.mkdir(parents=True, exist_ok=True)
    workdir.mkdir(parents=True, exist_ok=True)
    env = _clean_environment(home, standin.ca_pem)
    if name in SMALL_NAMES:
        return _small(name, prompt, env=env, base_url=standin.base_url)
    program = program_of(name)
    if program is None:
        raise InstallError(f"{name} is not installed; run `python -m tests.agents.install {name}`")
    if name.startswith("claude"):
        return _claude(program, prompt, env=env, base_url=standin.base_url)
    if name == "gemini":
        return _gemini(program, prompt, env=env, base_url=standin.base_url)
    return _python(name, program, prompt=prompt, env=env, base_url=standin.base_url)


def available(name: str) -> str:
    """Empty where an agent can run here, else the reason why it cannot."""
    if name in SMALL_NAMES:
        return ""
    if program_of(name) is None:
        return f"agent {name} is not installed: python -m tests.agents.install {name}"
    if name in ("claude-1.0.62", "gemini") and shutil.which("node") is None:
        return f"agent {name} needs node on PATH"
    return ""


def _clean_environment(home: Path, ca_pem: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "PATH": ":".join(SYSTEM_PATH),
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "TMPDIR": tempfile.gettempdir(),
        "NODE_EXTRA_CA_CERTS": str(ca_pem),
        "SSL_CERT_FILE": str(ca_pem),
        "REQUESTS_CA_BUNDLE": str(ca_pem),
    }


def _node(program: Path, env: dict[str, str]) -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise InstallError("node is not on PATH; install Node.js 20 or newer")
    # Resolved, so that a version manager's wrapper does not become part of what is observed.
    real = Path(node).resolve()
    env["PATH"] = f"{real.parent}:{env['PATH']}"
    return [str(real), str(program)]


def _claude(program: Path, prompt: str, *, env: dict[str, str], base_url: str) -> Command:
    env |= {
        "ANTHROPIC_API_KEY": DUMMY_KEY,
        "ANTHROPIC_BASE_URL": base_url,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
    }
    start = _node(program, env) if program.suffix == ".js" else [str(program)]
    return Command([*start, "-p", prompt, *CLAUDE_OPTIONS], env)


def _gemini(program: Path, prompt: str, *, env: dict[str, str], base_url: str) -> Command:
    settings = Path(env["HOME"]) / ".gemini" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(json.dumps(GEMINI_SETTINGS))
    env |= {
        "GEMINI_API_KEY": DUMMY_KEY,
        "GOOGLE_GEMINI_BASE_URL": base_url,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        "GEMINI_TELEMETRY_ENABLED": "false",
    }
    return Command([*_node(program, env), "--yolo", "-m", "gemini-2.5-pro", "-p", prompt], env)


def _python(name: str, program: Path, *, prompt: str, env: dict[str, str], base_url: str) -> Command:
    env |= {
        "OPENAI_API_KEY": DUMMY_KEY,
        "OPENAI_BASE_URL": f"{base_url}/v1",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "LANGSMITH_TRACING": "false",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    script = {"langgraph": "langgraph_agent.py", "openai-agents": "openai_agent.py"}[name]
    return Command([str(program), str(HERE / script), "--prompt", prompt], env)


def _small(name: str, prompt: str, *, env: dict[str, str], base_url: str) -> Command:
    api = name.removeprefix("small").removeprefix("-") or "anthropic"
    env |= {"MODEL_API_URL": base_url, "MODEL_API_KEY": DUMMY_KEY}
    return Command(["/usr/bin/python3", str(HERE / "small_agent.py"), "--api", api, "--prompt", prompt], env)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one agent through a script and say what was served."""
    parser = argparse.ArgumentParser(prog="python -m tests.agents.run", description="Run one agent through a script.")
    parser.add_argument("name", choices=(*NAMES, *SMALL_NAMES))
    parser.add_argument("--script", type=Path, required=True, help="{{workdir}} in it is the agent's working directory")
    parser.add_argument("--prompt", default="Do what the task says.")
    parser.add_argument("--keep", type=Path, help="a folder for home, work and log, kept afterwards")
    arguments = parser.parse_args(argv)
    base = (arguments.keep or Path(tempfile.mkdtemp(prefix="agent-"))).absolute()
    workdir = base / "work"
    workdir.mkdir(parents=True, exist_ok=True)
    with Standin(load(arguments.script, {"workdir": str(workdir)}), log_dir=base / "log") as standin:
        made = command(arguments.name, prompt=arguments.prompt, home=base / "home", workdir=workdir, standin=standin)
        done = subprocess.run(
            made.argv, env=made.env, cwd=workdir, stdin=subprocess.DEVNULL, timeout=RUN_TIMEOUT_S, check=False
        )
        for exchange in standin.exchanges():
            step = "side" if exchange.step is None else f"step {exchange.step}"
            calls = [call["name"] for call in exchange.answer.get("tool_calls", [])]
            print(
                f"conn {exchange.connection}  {exchange.method} {exchange.target}  {exchange.response_status}"
                f"  {exchange.request_body_bytes} B in  {exchange.response_body_bytes} B out  {step}  {calls}",
                file=sys.stderr,
            )
    print(f"exit {done.returncode}; in {workdir}: {sorted(os.listdir(workdir))}", file=sys.stderr)
    if arguments.keep is None:
        shutil.rmtree(base)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
