"""The tree of a run: each effect under its cause, what is unexplained by name, hostile text harmless."""

import io
from typing import Any

from rich.console import Console

from intact.cli.tree import MOST_LINES, RunTree

Row = dict[str, Any]
NONE = dict.fromkeys(
    ("path", "old_path", "flags", "mode", "bytes", "count", "address", "port", "protocol", "host_name", "argv"), None
)


def effect(number: int, kind: str, process: str, **fields: object) -> Row:
    return {
        "id": f"e{number}",
        "kind": kind,
        "process_id": process,
        "at_ns": number,
        "end_ns": number,
        "result": 0,
        **NONE,
        **fields,
    }


def process(name: str, parent: str | None, argv: list[str]) -> Row:
    return {
        "id": name,
        "pid": 7,
        "ppid": 1,
        "parent_id": parent,
        "start_ns": 10,
        "exec_ns": 10,
        "end_ns": 10_000_000,
        "exe": argv[0],
        "comm": argv[0],
        "argv": argv,
        "exit_code": 0,
        "exit_signal": None,
    }


def link(number: int, cause: str, kind: str = "tool_call", confidence: float = 0.9) -> Row:
    return {
        "cause_id": cause,
        "cause_kind": kind,
        "effect_id": f"e{number}",
        "basis": ["bracket"],
        "confidence": confidence,
    }


def shown() -> Row:
    call = {
        "id": "c1",
        "turn_id": "t1",
        "response_model": "model-1",
        "request_model": "model",
        "input_tokens": 1200,
        "output_tokens": 30,
        "cache_read_input_tokens": 1000,
        "cost_usd": 0.0123,
        "finish_reasons": ["tool_use"],
        "error_type": None,
        "started_ns": 0,
        "ended_ns": 2_000_000_000,
        "complete": True,
        "missing_bytes": 0,
        "problem": None,
        "tool_definitions": [{}],
        "input_messages": [{"role": "user", "parts": [{"type": "text", "content": "make it so"}]}],
        "output_messages": [{"role": "assistant", "parts": [{"type": "text", "content": "I shall"}]}],
    }
    tool = {
        "id": "x1",
        "name": "Bash",
        "arguments": {"command": "echo \x1b[31m"},
        "call_id": "c1",
        "issued_ns": 5,
        "answered_ns": 6_000_000,
        "is_error": False,
    }
    return {
        "run": {
            "id": "r1",
            "command": ["agent"],
            "started_ns": 0,
            "ended_ns": 3_000_000_000,
            "exit_code": 0,
            "host": "vm",
        },
        "processes": [
            process("p0", None, ["agent"]),
            process("p1", "p0", ["bash", "-c", "echo"]),
            process("p9", "p0", ["odd"]),
        ],
        "turns": [{"id": "t1", "call_ids": ["c1"], "started_ns": 0, "ended_ns": 3_000_000_000, "complete": True}],
        "calls": [call],
        "tool_calls": [tool],
        "effects": [
            effect(1, "exec", "p1", argv=["bash", "-c", "echo"]),
            effect(2, "file_write", "p1", path="/w/\u202eout.txt", bytes=2048),
            effect(3, "file_open", "p1", path="/usr/lib/libc.so"),
            effect(4, "file_open", "p0", path="/home/.agent/config"),
            effect(5, "file_delete", "p9", path="/w/precious", result=-13),
            effect(6, "connect", "p1", address="::1", port=443),
        ],
        "links": [
            link(1, "x1"),
            link(2, "x1"),
            link(3, "x1"),
            link(4, "p0", "housekeeping"),
            link(5, "x1", confidence=0.3),
            link(6, "x1"),
        ],
        "ledger": {
            "complete": False,
            "stages": [{"stage": "kernel.file", "lost": {"ring_full": 7}}],
            "clipped_calls": [],
            "notes": ["deaf"],
        },
    }


def text_of(tree: RunTree) -> str:
    out = io.StringIO()
    Console(file=out, width=200, markup=False, highlight=False).print(tree.build())
    return out.getvalue()


def test_each_effect_stands_under_its_cause() -> None:
    lines = text_of(RunTree(shown())).splitlines()
    at = {
        word: next(i for i, line in enumerate(lines) if word in line)
        for word in ("turn 1", "model-1", "tool Bash", "bash -c", "wrote")
    }
    assert list(at.values()) == sorted(at.values())
    assert "“make it so”" in lines[at["turn 1"]]
    assert "1,200 (1,000 cached) in / 30 out tokens  $0.0123" in lines[at["model-1"]]
    assert "2.0 KiB" in lines[at["wrote"]]
    assert any("connected to [::1]:443" in line for line in lines)
    assert any("and looked at 1 file" in line for line in lines)


def test_a_guess_is_no_explanation() -> None:
    text = text_of(RunTree(shown()))
    rest = text[text.index("unexplained") :]
    assert "deleted /w/precious  failed: EACCES (Permission denied)" in rest
    assert "odd" in rest


def test_losses_and_notes_are_told() -> None:
    text = text_of(RunTree(shown()))
    assert "ledger  incomplete: 7 lost at kernel.file: ring_full" in text
    assert "note: deaf" in text


def test_captured_text_cannot_act() -> None:
    text = text_of(RunTree(shown()))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "echo \\x1b[31m" in text


def test_full_lists_what_was_only_looked_at() -> None:
    assert "opened /usr/lib/libc.so" in text_of(RunTree(shown(), full=True))


def test_changes_of_credentials_and_signals_are_told_in_words() -> None:
    ids = {name: 0 for name in ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid")}
    sets = dict.fromkeys(("caps", "permitted", "inheritable", "ambient"), "0")
    same = {f"{side}_{name}": value for side in ("old", "new") for name, value in {**ids, **sets, "groups": []}.items()}
    changed = {**same, "call": "setresuid", "new_uid": 1000, "new_euid": 1001, "old_caps": "255"}
    run = {**shown(), "links": []}
    run["effects"] = [
        effect(1, "credential_change", "p9", detail=changed),
        effect(2, "credential_change", "p9", detail={**same, "call": "setuid"}, result=-1),
        effect(3, "signal", "p9", detail={"signal": 9, "target_pid": 42}),
        effect(4, "signal", "p9", detail={"signal": 10, "target_pid": 0}, result=-3),
        effect(5, "signal", "p9", detail={"signal": 77, "target_pid": 43}),
    ]
    text = text_of(RunTree(run))
    assert "changed credentials setresuid: uid 0→1000, euid 0→1001, capabilities ff→0" in text
    assert "changed credentials setuid: nothing  failed: EPERM" in text
    assert "sent signal SIGKILL to pid 42" in text
    assert "sent signal SIGUSR1 to an unknown process  failed: ESRCH" in text
    assert "sent signal 77 to pid 43" in text


def test_of_many_lines_of_one_process_the_rest_is_counted() -> None:
    busy = shown()
    busy["links"] = []
    busy["effects"] = [effect(n, "file_delete", "p9", path=f"/w/{n}") for n in range(MOST_LINES + 7)]
    text = text_of(RunTree(busy))
    assert text.count("deleted /w/") == MOST_LINES
    assert "more: 7 effects (7 file_delete); list them with --full" in text
    assert text_of(RunTree(busy, full=True)).count("deleted /w/") == MOST_LINES + 7


def test_a_narrow_terminal_still_tells_what_was_done() -> None:
    out = io.StringIO()
    Console(file=out, width=60, markup=False, highlight=False).print(RunTree(shown(), width=60).build())
    assert "bash -c echo" in out.getvalue()
    assert "“make it so”" in out.getvalue()
