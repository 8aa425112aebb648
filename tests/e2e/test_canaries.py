"""Planted secrets are nowhere in what a recording keeps, and all around them is: header, query, body, events, argv and path.

Files of the data directory are searched as they are; since some are compressed, so is all that our commands can read from them.
"""

import json
import secrets
import string
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.agents.run import SMALL_NAMES, command
from tests.e2e.recorded import TIMEOUT_S, intact, kernel_test, record, record_argv, show
from tests.standin import Script, Standin, Step, ToolCall

LETTERS = string.ascii_letters + string.digits


def drawn(length: int, letters: str = LETTERS) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


def draw_canaries() -> dict[str, str]:
    """Fresh ones each time, in the shapes that real ones have."""
    return {
        "key header": f"sk-ant-api03-{drawn(93)}-AA",
        "authorization header": drawn(40),
        "cookie header": drawn(32),
        "query": drawn(39),
        "words": f"ghp_{drawn(36)}",
        "argument": f"sk-proj-{drawn(48)}",
        "result": drawn(40),
        "streamed text": f"xoxb-{drawn(12, string.digits)}-{drawn(24)}",
        "streamed arguments": f"ghp_{drawn(36)}",
        "path": f"ghp_{drawn(36)}",
        "directory": f"sk-ant-api03-{drawn(93)}-AA",
        "option": drawn(24),
        "address": drawn(20),
    }


def kept_text(data: Path) -> Mapping[str, bytes]:
    """All that a recording left, as files and as told."""
    found = {str(path): path.read_bytes() for path in data.rglob("*") if path.is_file()}
    for arguments in (["show", "--json"], ["show"], ["runs", "--json"], ["export", "--format", "jsonl"]):
        wanted = [json.loads(found["runs --json"])[0]["id"]] if arguments[0] == "export" else []
        said = intact(arguments[0], *wanted, *arguments[1:], "--data", str(data))
        assert said.returncode == 0, said.stderr
        found[" ".join(arguments)] = said.stdout.encode()
    return found


def leaks(kept: Mapping[str, bytes], canaries: Mapping[str, str]) -> list[tuple[str, str]]:
    """Where which canary, or a good part of one, is found."""
    parts = {name: {canary[:-4], canary[4:], canary[-16:]} for name, canary in canaries.items()}
    return [
        (name, where)
        for where, content in kept.items()
        for name, pieces in parts.items()
        if any(piece.encode() in content for piece in pieces)
    ]


@kernel_test
@pytest.mark.parametrize("name", SMALL_NAMES)
def test_no_canary_survives(name: str, tmp_path: Path) -> None:
    canaries = draw_canaries()
    workdir, data = tmp_path / "work", tmp_path / "data"
    workdir.mkdir()
    (workdir / "settings.env").write_text(f"plain-setting=kept-word\nAWS_SECRET_ACCESS_KEY={canaries['result']}\n")
    secret_path = f"note-{canaries['path']}.txt"
    steps = (
        Step(
            text=f"kept-text before {canaries['streamed text']} after",
            tool_calls=(
                ToolCall(
                    name="shell",
                    arguments={
                        "command": f"printf kept-argument; export GITHUB_TOKEN={canaries['streamed arguments']}"
                    },
                ),
            ),
            chunk_bytes=(5, 3),
            write_bytes=(7,),
        ),
        Step(tool_calls=(ToolCall(name="read_file", arguments={"path": "settings.env"}),)),
        Step(
            tool_calls=(
                ToolCall(name="shell", arguments={"command": f"/bin/echo kept-echo --api-key {canaries['argument']}"}),
                ToolCall(name="write_file", arguments={"path": secret_path, "content": "x"}),
            )
        ),
        Step(text="All done."),
    )
    prompt = f"Please use kept-prompt {canaries['words']} for it."
    with Standin(Script(steps=steps), log_dir=tmp_path / "log") as standin:
        made = command(name, prompt=prompt, home=tmp_path / "home", workdir=workdir, standin=standin)
        headers = {
            "x-kept": "kept-header",
            "cookie": f"session={canaries['cookie header']}",
            "proxy-authorization": f"Basic {canaries['authorization header']}",
        }
        env = {
            **made.env,
            "MODEL_API_KEY": canaries["key header"],
            "MODEL_API_HEADERS": json.dumps(headers),
            "MODEL_API_QUERY": f"key={canaries['query']}",
        }
        done = subprocess.run(
            record_argv(data, *made.argv), env=env, cwd=workdir, capture_output=True, timeout=TIMEOUT_S, check=False
        )
        assert done.returncode == 0, done.stderr
        sent = b"".join(path.read_bytes() for path in (tmp_path / "log").glob("conn-*"))
    planted = {"key header", "cookie header", "query", "words", "result"}
    assert all(canaries[one].encode() in sent for one in planted)
    kept = kept_text(data)
    assert leaks(kept, canaries) == []
    for word in (b"kept-prompt", b"kept-text before", b"kept-argument", b"kept-echo", b"kept-word", b"note-"):
        assert word in kept["show --json"], word


@kernel_test
def test_no_canary_of_a_command_survives(tmp_path: Path) -> None:
    canaries = draw_canaries()
    folder = tmp_path / canaries["directory"]
    folder.mkdir()
    script = (
        "import os, socket, sys\n"
        "open('kept-file-' + sys.argv[1], 'w').close()\n"
        "os.rename('kept-file-' + sys.argv[1], 'kept-renamed-' + sys.argv[1])\n"
        "os.symlink('kept-renamed-' + sys.argv[1], 'kept-link')\n"
        "socket.socket(socket.AF_UNIX).bind('s-' + sys.argv[1])\n"
        "os.execv('/bin/echo', ['echo', 'kept-exec', sys.argv[1]])\n"
    )
    words = [
        canaries["path"],
        f"--password={canaries['option']}",
        f"https://person:{canaries['address']}@host.example/kept-path",
        f"Authorization: Bearer {canaries['authorization header']}",
    ]
    done = record(tmp_path / "data", "/usr/bin/python3", "-c", script, *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert canaries["path"].encode() in done.stdout
    kept = kept_text(tmp_path / "data")
    assert leaks(kept, canaries) == []
    shown = show(tmp_path / "data")
    files = {effect["path"].rpartition("/")[2] for effect in shown["effects"] if effect["path"]}
    for begin in ("kept-file-", "kept-renamed-"):
        assert any(name.startswith(begin) for name in files), files
    assert any("kept-path" in word for effect in shown["effects"] for word in effect["argv"] or [])
