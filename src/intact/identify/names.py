"""A name a person knows an agent by, from what its process runs."""

import re
from posixpath import basename, dirname

_INTERPRETER = re.compile(r"^(?:python[\d.]*|node|nodejs|bun|deno|ruby|perl|php|java|sh|bash|dash|zsh|uv|npx|env)$")
_ENTRY = {"cli", "index", "main", "__main__", "app", "run", "agent", "bin", "start", "entry", "server"}
_PLACES = {"bin", "dist", "lib", "src", "build", "bundle", "out", "scripts", "vendor"}
_PACKAGE = re.compile(r"/(?:node_modules|site-packages)/((?:@[^/]+/)?[^/]+)")
_KNOWN = {
    "@anthropic-ai/claude-code": "claude",
    "@google/gemini-cli": "gemini",
    "@qwen-code/qwen-code": "qwen",
    "@openai/codex": "codex",
    "opencode-ai": "opencode",
}
_UNFIT = re.compile(r"[^\w.@+-]+")


def name_of(exe: str, argv: tuple[str, ...], cwd: str) -> str:
    """The name of the program, or of the script if the program only interprets one.

    >>> name_of("/usr/bin/node", ("node", "/opt/node_modules/@google/gemini-cli/dist/index.js", "-p", "hi"), "/")
    'gemini'
    >>> name_of("/usr/bin/python3.11", ("python3", "weather_agent.py"), "/work")
    'weather_agent'
    """
    program = basename(exe or (argv[0] if argv else ""))
    if argv and _INTERPRETER.match(program):
        script = _script_of(argv)
        if script:
            return _fit(_name_of_script(script, cwd))
    for path in (exe, argv[0] if argv else ""):
        package = _PACKAGE.search(path)
        if package and package.group(1) in _KNOWN:
            return _KNOWN[package.group(1)]
    if argv and re.fullmatch(r"[\d.]+", program):
        # A native build is installed under its version and started by a link that has the name.
        program = basename(argv[0])
    return _fit(program or "agent")


def script_of(exe: str, argv: tuple[str, ...]) -> str:
    """The file or module that an interpreter was given; "" if the program is none."""
    program = basename(exe or (argv[0] if argv else ""))
    return _script_of(argv) if argv and _INTERPRETER.match(program) else ""


def _script_of(argv: tuple[str, ...]) -> str:
    words = iter(argv[1:])
    for word in words:
        if word == "-m":
            return next(words, "")
        if word in ("-c", "-e"):
            return ""
        if word in ("-r", "--require", "--import", "-W", "-X"):
            next(words, "")
        elif not word.startswith("-"):
            return word
    return ""


def _name_of_script(script: str, cwd: str) -> str:
    package = _PACKAGE.search(script)
    if package:
        whole = package.group(1)
        return _KNOWN.get(whole, whole.rpartition("/")[2])
    path = script if script.startswith("/") else f"{cwd}/{script}"
    stem = re.sub(r"\.(?:js|mjs|cjs|ts|py|sh|rb|pl)$", "", basename(path))
    place = dirname(path)
    while stem in _ENTRY and stem != "agent" and basename(place) and place != cwd:
        stem, place = basename(place), dirname(place)
        if stem in _PLACES:
            stem = "main"
    return stem


def _fit(name: str) -> str:
    return _UNFIT.sub("_", name)[:64] or "agent"
