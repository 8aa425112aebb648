"""Fetch the pinned agents once, into a cache folder outside the tree: `python -m tests.agents.install [NAME...]`."""

import argparse
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A download of 370 MB on a slow line is patient work; a hung registry is not.
INSTALL_TIMEOUT_S = 1800
HERE = Path(__file__).resolve().parent


class InstallError(Exception):
    """An agent could not be installed; the message says which, and what the installer said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One pinned agent: where it comes from and which file proves that it is there."""

    name: str
    registry: str
    packages: tuple[str, ...]
    program: str


# The native parts are optional dependencies of a launcher package: naming the platform package itself
# makes the install the same on every machine and leaves the launcher's install script out.
RELEASES: tuple[Release, ...] = (
    Release(
        name="claude-1.0.62",
        registry="npm",
        packages=("@anthropic-ai/claude-code@1.0.62",),
        program="node_modules/@anthropic-ai/claude-code/cli.js",
    ),
    Release(
        name="claude-native",
        registry="npm",
        packages=("@anthropic-ai/claude-code-linux-x64@2.1.328",),
        program="node_modules/@anthropic-ai/claude-code-linux-x64/claude",
    ),
    Release(
        name="gemini",
        registry="npm",
        packages=("@google/gemini-cli@0.61.0",),
        program="node_modules/@google/gemini-cli/bundle/gemini.js",
    ),
    # For the Python agents the whole closure is pinned, in a file beside this one: names here, versions there.
    Release(name="langgraph", registry="pypi", packages=("requirements_langgraph.txt",), program="bin/python"),
    Release(name="openai-agents", registry="pypi", packages=("requirements_openai_agents.txt",), program="bin/python"),
)
NAMES = tuple(release.name for release in RELEASES)
# What stands between an agent and a model: installed with them, run by a test of its own.
GATEWAYS: tuple[Release, ...] = (
    Release(name="litellm", registry="pypi", packages=("requirements_litellm.txt",), program="bin/litellm"),
)
INSTALLABLE = (*NAMES, *(release.name for release in GATEWAYS))


def cache_dir() -> Path:
    """The folder that holds all agents: `INTACT_AGENTS`, else one in the user's cache."""
    return Path(os.environ.get("INTACT_AGENTS") or Path.home() / ".cache" / "intact-agents").absolute()


def release_of(name: str) -> Release:
    """The pinned release of one agent."""
    for release in (*RELEASES, *GATEWAYS):
        if release.name == name:
            return release
    raise InstallError(f"no agent is called {name!r}; known: {', '.join(INSTALLABLE)}")


def program_of(name: str) -> Path | None:
    """The installed program of an agent, or None where it (in this version) is not installed."""
    release = release_of(name)
    folder = cache_dir() / name
    if _stamp(release) != _read_stamp(folder):
        return None
    program = folder / release.program
    return program if program.exists() else None


def install(name: str) -> Path:
    """Install one agent unless it is there already; gives its program."""
    present = program_of(name)
    if present is not None:
        return present
    release = release_of(name)
    folder = cache_dir() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (_install_npm if release.registry == "npm" else _install_pypi)(release, folder)
    program = folder / release.program
    if not program.exists():
        raise InstallError(f"{name}: installed, but {program} is missing")
    # Written last: a half-made folder has no stamp and is made again.
    (folder / "installed").write_text(_stamp(release))
    return program


def _stamp(release: Release) -> str:
    if release.registry == "npm":
        return "\n".join(release.packages)
    return "\n".join((HERE / package).read_text() for package in release.packages)


def _read_stamp(folder: Path) -> str | None:
    stamp = folder / "installed"
    return stamp.read_text() if stamp.is_file() else None


def _install_npm(release: Release, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError(f"{release.name}: npm is not on PATH; install Node.js 20 or newer")
    options = ("--ignore-scripts", "--omit=optional", "--no-save", "--no-audit", "--no-fund", "--loglevel=error")
    _run(release.name, [npm, "install", "--prefix", str(folder), *options, *release.packages])


def _install_pypi(release: Release, folder: Path) -> None:
    venv.create(folder, with_pip=True, symlinks=True)
    python = str(folder / "bin" / "python")
    for package in release.packages:
        _run(release.name, [python, "-m", "pip", "install", "--quiet", "--requirement", str(HERE / package)])


def _run(name: str, argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise InstallError(
            f"{name}: {argv[0]} ended with {done.returncode}\n{done.stderr.strip() or done.stdout.strip()}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Install the named agents (all by default), one line each."""
    parser = argparse.ArgumentParser(prog="python -m tests.agents.install", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(INSTALLABLE)} (default: all)")
    failed = 0
    for name in parser.parse_args(argv).names or INSTALLABLE:
        try:
            print(f"{name}  {install(name)}", flush=True)
        except (InstallError, subprocess.TimeoutExpired) as error:
            print(f"{name}  not installed: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
