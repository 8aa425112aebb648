"""The truth of the attribution set: read from labels and fork edges, on small runs written by hand."""

from pathlib import Path
from typing import Any

import pytest
from bench.attribution.command import judge
from bench.attribution.plan import PROMPT, Plan, Planned
from bench.attribution.recording import Recorded
from bench.attribution.score import Tally, best_match, claims_by_time, claims_of
from bench.attribution.truth import (
    LOOKED,
    NOISE,
    OWN,
    SESSION_ARGV,
    UNKNOWN,
    Truthteller,
    argv_label,
    path_label,
    results_in,
)

from tests.standin import Script

A, B = "caaaaaaa1", "cbbbbbbb2"
EMPTY: dict[str, Any] = {"path": None, "old_path": None, "address": None, "argv": [], "detail": {}, "result": 0}


PLANNED = {A: Planned(label=A, form="command"), B: Planned(label=B, form="write in process", in_process=True)}


def process(name: str, parent: str | None, *argv: str, at: int = 0) -> dict[str, Any]:
    return {"id": name, "pid": ord(name[0]), "parent_id": parent, "argv": list(argv), "start_ns": at}


def effect(name: str, process_id: str, kind: str, at: int, **more: Any) -> dict[str, Any]:
    return {**EMPTY, "id": name, "process_id": process_id, "kind": kind, "at_ns": at, **more}


def run_of(processes: list[dict[str, Any]], effects: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    run = {"root_process_id": "r"}
    ledger = {"complete": True}
    return {
        "run": run,
        "ledger": ledger,
        "processes": processes,
        "effects": effects,
        "links": [],
        "tool_calls": [],
        **more,
    }


def truth_of(processes: list[dict[str, Any]], effects: list[dict[str, Any]]) -> dict[str, str]:
    return Truthteller(run_of(processes, effects), PLANNED, {}).tell().of_effect


def test_labels() -> None:
    assert path_label(f"/tmp/w/calls/{A}/x") == A
    assert path_label(f"/tmp/w/calls/{A}") == A
    assert path_label(f"/tmp/w/calls/{A}0/x") is None
    assert path_label("/tmp/noise-in/3.txt") == NOISE
    assert path_label("/tmp/noise-inside/3.txt") is None
    assert path_label(None) is None
    assert argv_label(["bash", "-c", f"cat calls/{A}/a > calls/{A}/b"]) == A
    assert argv_label([f"calls/{A}", f"calls/{B}"]) is None


def test_a_process_has_its_forebears_label() -> None:
    processes = [
        process("r", None, "launcher"),
        process("g", "r", "agent", PROMPT, at=1),
        process("s", "g", "bash", "-c", f"worker calls/{A}", at=10),
        process("d", "s", at=11),
        process("e", "d", "/bin/cat", at=12),
        process("n", "r", "noise.py", "/tmp/noise-in", at=2),
        process("c", "n", "/bin/cat", at=3),
    ]
    effects = [
        effect("before exec", "s", "file_open", 10, path="/dev/null"),
        effect("fork", "g", "fork", 10, detail={"child_pid": ord("s"), "is_thread": False}),
        effect("thread", "g", "fork", 10, detail={"child_pid": ord("g"), "is_thread": True}),
        effect("orphan", "e", "exit", 99),
        effect("library", "e", "file_open", 13, path="/lib/libc.so.6"),
        effect("of noise", "c", "file_open", 4, path="/lib/libc.so.6"),
        effect("own", "g", "file_open", 12, path="/etc/hosts"),
        effect("tool in process", "g", "file_write", 50, path=f"/w/calls/{B}/written.txt"),
        effect("renamed", "g", "file_rename", 50, path="/w/x", old_path=f"/w/calls/{B}/y"),
    ]
    assert truth_of(processes, effects) == {
        "before exec": A,
        "fork": A,
        "thread": OWN,
        "orphan": A,
        "library": A,
        "of noise": NOISE,
        "own": OWN,
        "tool in process": B,
        "renamed": B,
    }


def test_a_kept_shell_is_fenced() -> None:
    processes = [process("g", None, "agent"), process("s", "g", *SESSION_ARGV, at=10), process("k", "s", "tr", at=25)]
    marks = [("begin", A, 12), ("end", A, 15), ("begin", B, 20), ("end", B, 30)]
    effects = [
        effect(f"{name} {label}", "s", "file_create", at, path=f"/w/calls/{label}/{name}") for name, label, at in marks
    ]
    effects += [
        effect("start", "s", "exec", 10, argv=SESSION_ARGV),
        effect("between", "s", "file_read", 17),
        effect("inside", "s", "file_open", 22, path="/dev/null"),
        effect("child", "k", "file_open", 90, path="/lib/libc.so.6"),
        effect("after", "s", "exit", 99),
    ]
    told = truth_of(processes, effects)
    assert [told[name] for name in ("start", "between", "inside", "child", "after")] == [A, UNKNOWN, B, B, UNKNOWN]


def test_strangers_are_found() -> None:
    processes = [process("r", None), process("g", "r"), process("x", None)]
    effects = [effect("1", "g", "exit", 1), effect("2", "x", "exit", 1), effect("3", "unheard of", "exit", 1)]
    assert {one["id"] for one in Truthteller(run_of(processes, effects), {}, {}).strangers("r")} == {"x", "unheard of"}


def test_results_by_wire_api() -> None:
    bodies = [
        {"messages": [{"content": [{"type": "tool_result", "tool_use_id": "a", "content": "one"}]}]},
        {"messages": [{"role": "tool", "tool_call_id": "b", "content": "two"}]},
        {"input": [{"type": "function_call", "call_id": "c"}, {"call_id": "c", "output": "three"}]},
    ]
    assert dict(pair for body in bodies for pair in results_in(body)) == {"a": '"one"', "b": '"two"', "c": '"three"'}


def test_only_claims_count_and_one_an_effect() -> None:
    def link(effect_id: str, kind: str, confidence: float) -> dict[str, Any]:
        return {"effect_id": effect_id, "cause_id": "t", "cause_kind": kind, "confidence": confidence}

    links = [link("1", "tool_call", 0.5), link("2", "tool_call", 0.4), link("3", "housekeeping", 0.9)]
    assert claims_of({"links": links}) == {"1": "t"}
    with pytest.raises(ValueError, match="more than one claim"):
        claims_of({"links": [*links, link("1", "housekeeping", 0.9)]})


def test_time_alone_takes_the_last_issued() -> None:
    second = 1_000_000_000
    shown = {
        "tool_calls": [{"id": "x", "issued_ns": 10 * second}, {"id": "y", "issued_ns": 11 * second}],
        "effects": [{"id": str(at), "at_ns": at} for at in (9 * second, 10 * second + 1, 11 * second, 12 * second)],
    }
    assert claims_by_time(shown) == {str(10 * second + 1): "x", str(11 * second): "y"}


def test_the_kindest_reading_of_mute_calls() -> None:
    votes = {("p", "y"): 5, ("q", "x"): 4, ("p", "x"): 6}
    assert best_match(["p", "q"], ["x", "y"], votes) == {"p": "y", "q": "x"}
    assert best_match(["p", "q"], [], votes) == {}
    assert best_match(["o", "p", "q"], ["x", "y"], votes) == {"p": "y", "q": "x"}


def test_what_an_agent_sees_before_it_is_told_is_its_own() -> None:
    processes = [process("g", None, "agent", PROMPT), process("h", "g", "rg")]
    effects = [effect(f"{n} {at}", "g", "file_open", at, path=f"/w/calls/{n}") for at in (5, 15) for n in (A, B)]
    effects += [effect("helper", "h", "file_open", 15, path=f"/w/calls/{B}/x")]
    told = Truthteller(run_of(processes, effects), PLANNED, {A: 10, B: 10}).tell().of_effect
    early = {f"{A} 5": OWN, f"{B} 5": OWN}
    assert told == {**early, f"{A} 15": LOOKED, f"{B} 15": B, "helper": LOOKED}


def test_tally_of_nothing() -> None:
    assert (Tally().precision, Tally().recall) == (1.0, 1.0)


def recorded(shown: dict[str, Any], folder: Path, *planned: Planned, results: dict[str, str] | None = None) -> Recorded:
    plan = Plan(script=Script(steps=()), planned={one.label: one for one in planned}, workdir=folder)
    return Recorded(
        agent="small",
        plan=plan,
        shown=shown,
        results=results or {},
        served_ns={},
        outside_pid=1,
        exit_code=0,
        said="",
        served=0,
    )


def call(name: str, label: str, provider_id: str | None = None) -> dict[str, Any]:
    return {"id": name, "tool_call_id": provider_id, "arguments": {"command": f"w calls/{label}"}, "issued_ns": 0}


def claim(effect_id: str, cause_id: str) -> dict[str, Any]:
    return {"effect_id": effect_id, "cause_id": cause_id, "cause_kind": "tool_call", "confidence": 0.9}


def test_judge_counts_false_missed_and_unheard_of(tmp_path: Path) -> None:
    processes = [process("r", None, PROMPT), process("s", "r", "w", f"calls/{A}")]
    effects = [
        effect("right", "s", "exec", 1),
        effect("missed", "s", "exit", 2),
        effect("false", "r", "file_open", 2, path="/etc/hosts"),
        effect("not captured", "r", "file_write", 2, path=f"/w/calls/{B}/x"),
    ]
    links = [claim("right", "t"), claim("false", "t")]
    shown = run_of(processes, effects, links=links, tool_calls=[call("t", A)])
    judged = judge(recorded(shown, tmp_path, Planned(label=A, form="command"), PLANNED[B]))
    assert (judged.engine.all.right, judged.engine.all.claims, judged.engine.all.caused) == (1, 2, 3)
    assert judged.missing_calls == [B]
    assert {one["effect_id"] for one in judged.engine.wrong} == {"missed", "false", "not captured"}
    assert judged.engine.by_form["write in process"].recall == 0.0


def test_judge_tells_identical_calls_apart_by_their_results(tmp_path: Path) -> None:
    processes = [process("r", None)]
    processes += [process(name, "r", "w", f"calls/{A}") for name in ("p", "q")]
    effects = [effect(f"{n}1", n, "file_write", 1, path=f"/w/calls/{A}/w{ord(n)}/f") for n in ("p", "q")]
    links = [claim("p1", "x"), claim("q1", "y")]
    calls = [call("x", A, "first"), call("y", A, "second")]
    shown = run_of(processes, effects, links=links, tool_calls=calls)
    planned = Planned(label=A, form="identical, telling", count=2)
    for first, second, right in (("p", "q", 2), ("q", "p", 0)):
        results = {"first": f"made calls/{A}/w{ord(first)}", "second": f"made calls/{A}/w{ord(second)}"}
        assert judge(recorded(shown, tmp_path, planned, results=results)).engine.all.right == right
    # Without results nobody can tell: the kindest reading.
    assert judge(recorded(shown, tmp_path, planned)).engine.all.right == 2


def test_files_without_effects_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "calls" / A
    folder.mkdir(parents=True)
    (folder / "read.txt").touch()
    (folder / "seen").touch()
    (folder / "unseen").touch()
    shown = run_of([process("r", None)], [effect("1", "r", "file_write", 1, path=str(folder / "seen"))])
    assert judge(recorded(shown, tmp_path, Planned(label=A, form="command"))).unseen_files == [str(folder / "unseen")]
