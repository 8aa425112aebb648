"""The files a command will talk TLS with, told before it runs: hooks put there hear its first byte."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from intact.collect.linkage import libraries, system_folders

LIBRARY = "libssl"
# `env` starts a script that starts an interpreter: longer chains are rare, endless ones must end.
MAX_CHAIN = 4
SHEBANG_BYTES = 4096
# A package brings its native program for one platform, or a few kinds of one.
MAX_NATIVE = 8
NATIVE_BYTES = 8 << 20  # a program with a script runtime inside is tens of MB
_PLATFORM = "linux-x64"
# Runtimes that agents are written in: a wrapper script of any kind ends in one of them.
_RUNTIMES = ("node", "python3", "python", "bun", "deno")
_PYTHON_SSL = "lib/python3*/lib-dynload/_ssl*.so"


def expected_files(command: str | None, search: str | None = None) -> list[Path]:
    """Existing files, the surest first, without repetition; `search` is the PATH of the command."""
    search = search if search is not None else os.environ.get("PATH", os.defpath)
    chain = list(_chain(command, search)) if command is not None else []
    runtimes = [found for name in _RUNTIMES if (found := shutil.which(name, path=search))]
    files: dict[Path, None] = {}
    for program in (*chain, *map(Path, runtimes)):
        files.update(dict.fromkeys(_of_program(program)))
    for script in chain:
        files.update(dict.fromkeys(_natives_beside(script)))
    for folder in system_folders():
        files.update(dict.fromkeys(_real(Path(folder).glob(f"{LIBRARY}.so*"))))
    return list(files)


def _chain(command: str, search: str) -> Iterator[Path]:
    """The command, the interpreter of its first line, the interpreter of that, …"""
    current: str | None = command
    for _ in range(MAX_CHAIN):
        if current is None:
            return
        found = current if "/" in current else shutil.which(current, path=search)
        if found is None:
            return
        yield Path(found)
        current = _interpreter(Path(found))


def _interpreter(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            line = file.read(SHEBANG_BYTES).split(b"\n", 1)[0]
    except OSError:
        return None  # not readable for us: it is judged by what it maps when it runs
    words = os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
    if not words:
        return None
    if Path(words[0]).name != "env":
        return words[0]
    # `env -S node --flag`, `env NAME=value node`
    return next((word for word in words[1:] if not word.startswith("-") and "=" not in word), None)


def _of_program(program: Path) -> Iterator[Path]:
    """The program itself, and the TLS libraries it is linked with or will load."""
    yield from _real([program])
    yield from _real(libraries(program.resolve(), LIBRARY))
    for prefix in _prefixes(program):
        for module in sorted(prefix.glob(_PYTHON_SSL)):
            yield from _real(libraries(module.resolve(), LIBRARY))
        yield from _real(sorted((prefix / "lib").glob(f"{LIBRARY}.so*")))  # conda, and Pythons that bring their own


def _prefixes(program: Path) -> Iterator[Path]:
    """Where an interpreter's own libraries are: beside it, beside what it links to, and at a venv's home."""
    yield program.parent.parent
    yield program.resolve().parent.parent
    try:
        lines = (program.parent.parent / "pyvenv.cfg").read_text(errors="replace").splitlines()
    except OSError:
        return  # no venv
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() == "home":
            yield Path(value.strip()).parent


def _natives_beside(script: Path) -> Iterator[Path]:
    """Native programs of an npm package: the platform's package, of which the script is only the launcher."""
    package = next((parent for parent in script.resolve().parents if (parent / "package.json").exists()), None)
    if package is None:
        return
    folders = [package / "node_modules", package.parent, package.parent.parent]
    count = 0
    for folder in folders:
        for pattern in (f"{package.name}*{_PLATFORM}*", f"*{_PLATFORM}*", f"@*/*{_PLATFORM}*"):
            for native in sorted(folder.glob(pattern)):
                for found in _large_programs(native):
                    yield found
                    count += 1
                    if count == MAX_NATIVE:
                        return


def _large_programs(package: Path) -> Iterator[Path]:
    for file in (*package.glob("*"), *package.glob("bin/*")):
        try:
            status = file.stat()
        except OSError:
            continue  # a dangling link
        if file.is_file() and status.st_mode & 0o111 and status.st_size >= NATIVE_BYTES:
            yield from _real([file])


def _real(paths: Iterator[Path] | list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path.resolve()
