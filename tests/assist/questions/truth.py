"""What is true, worked out from the objects of `show --json` and from /proc by plain Python: none of the SQL of the answers."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

Shown = dict[str, dict[str, Any]]  # by name of the run
Truth = Any


def truth(name: str, runs: Shown) -> Truth:
    """The true value that a question is about: a number, a text or a set of texts."""
    key, *arguments = name.split(":")
    return RULES[key](runs, *arguments)


def _of(runs: Shown, run: str | None, part: str) -> list[dict[str, Any]]:
    return [row for name, shown in runs.items() if run in (None, name) for row in shown[part]]


def _failed(call: dict[str, Any]) -> bool:
    return call["error_type"] is not None or (call["status"] or 0) >= 400


def _cost(runs: Shown, run: str | None = None) -> float:
    return sum(call["cost_usd"] or 0 for call in _of(runs, run, "calls"))


def _paths(runs: Shown, kind: str) -> set[str]:
    return {row["path"] for row in _of(runs, None, "effects") if row["kind"] == kind and row["result"] == 0}


def _models(runs: Shown, run: str | None = None) -> set[str]:
    return {call["response_model"] or call["request_model"] for call in _of(runs, run, "calls")}


def _tools(runs: Shown, run: str) -> tuple[str, int]:
    return Counter(tool["name"] for tool in _of(runs, run, "tool_calls")).most_common(1)[0]


def _kinds(runs: Shown, kind: str, run: str | None = None) -> int:
    return sum(row["kind"] == kind for row in _of(runs, run, "effects"))


def _lost(runs: Shown, run: str) -> int:
    return sum(count for stage in runs[run]["ledger"]["stages"] for count in stage["lost"].values())


def _dearest(runs: Shown) -> str:
    names = {row["id"]: row["name"] for row in _of(runs, None, "agents")}
    spent: Counter[str] = Counter()
    for call in _of(runs, None, "calls"):
        spent[names[call["agent_id"]]] += call["cost_usd"] or 0
    return spent.most_common(1)[0][0]


def _top_model(runs: Shown) -> str:
    tokens: Counter[str] = Counter()
    for call in _of(runs, None, "calls"):
        tokens[call["response_model"] or call["request_model"]] += (call["input_tokens"] or 0) + (
            call["output_tokens"] or 0
        )
    return tokens.most_common(1)[0][0]


def _unexplained(runs: Shown, run: str) -> set[str]:
    explained = {link["effect_id"] for link in runs[run]["links"] if link["confidence"] >= 0.5}
    return {row["path"] for row in runs[run]["effects"] if row["id"] not in explained}


def _took(call: dict[str, Any]) -> int | None:
    return None if call["ended_ns"] is None else call["ended_ns"] - call["started_ns"]


def _mean_latency(runs: Shown, model: str) -> float:
    took = [_took(c) for c in _of(runs, None, "calls") if model in (c["response_model"], c["request_model"])]
    known = [each for each in took if each is not None]
    return sum(known) / len(known)


def _words(runs: Shown, run: str) -> str:
    messages = runs[run]["calls"][0]["input_messages"]
    texts: list[str] = [
        part["content"] for message in messages if message["role"] == "user" for part in message["parts"]
    ]
    return texts[-1]


def _written(runs: Shown, name: str) -> int:
    rows = _of(runs, None, "effects")
    return sum(row["bytes"] for row in rows if row["kind"] == "file_write" and (row["path"] or "").endswith(f"/{name}"))


def _blocked(runs: Shown) -> list[str]:
    return [row["path"] for row in _of(runs, None, "effects") if row["kind"] == "blocked"]


def _meminfo(*names: str) -> list[int]:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return [int(lines[name].split()[0]) * 1024 for name in names]


def _fattest(_: Shown) -> str:
    sizes: dict[str, int] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        if "VmRSS" in lines:
            sizes[lines["Pid"].strip()] = int(lines["VmRSS"].split()[0])
    return max(sizes, key=lambda pid: sizes[pid])


def _listening(_: Shown) -> set[str]:
    ports: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                ports.add(str(int(words[1].rpartition(":")[2], 16)))
    return ports


def _zombies(_: Shown) -> int:
    found = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            found += stat.read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
    return found


def _root_free(_: Shown) -> int:
    stat = os.statvfs("/")
    return stat.f_bavail * stat.f_frsize


def _root_percent(_: Shown) -> float:
    stat = os.statvfs("/")
    used = stat.f_blocks - stat.f_bfree
    return used / (used + stat.f_bavail) * 100


RULES: dict[str, Callable[..., Truth]] = {
    "run_count": len,
    "cost": _cost,
    "paths": _paths,
    "failed_calls": lambda runs, run=None: sum(_failed(call) for call in _of(runs, run, "calls")),
    "top_model": _top_model,
    "models": _models,
    "tokens": lambda runs, run: sum((c["input_tokens"] or 0) + (c["output_tokens"] or 0) for c in runs[run]["calls"]),
    "top_tool": lambda runs, run: _tools(runs, run)[0],
    "top_tool_count": lambda runs, run: _tools(runs, run)[1],
    "words": _words,
    "kinds": _kinds,
    "addresses": lambda runs: {
        row["address"] for row in _of(runs, None, "effects") if row["kind"] in ("connect", "send") and row["address"]
    },
    "lost": _lost,
    "duration": lambda runs, run: runs[run]["run"]["ended_ns"] - runs[run]["run"]["started_ns"],
    "failed_tools": lambda runs, run: sum(tool["is_error"] is True for tool in runs[run]["tool_calls"]),
    "path": lambda _, path: path,
    "blocked_paths": lambda runs: set(_blocked(runs)),
    "blocked_count": lambda runs: len(_blocked(runs)),
    "written": _written,
    "dearest_agent": _dearest,
    "unexplained_paths": _unexplained,
    "mean_latency": _mean_latency,
    "errors": lambda runs, run: {call["error_type"] for call in runs[run]["calls"] if _failed(call)},
    "agent_count": lambda runs: len(_of(runs, None, "agents")),
    "slowest": lambda runs: max(_took(call) or 0 for call in _of(runs, None, "calls")),
    "finding_titles": lambda runs: {row["title"] for row in _of(runs, None, "findings")},
    "cpus": lambda _: os.cpu_count(),
    "root_percent": _root_percent,
    "root_free": _root_free,
    "memory_total": lambda _: _meminfo("MemTotal")[0],
    "memory_used": lambda _: _meminfo("MemTotal")[0] - _meminfo("MemAvailable")[0],
    "fattest": _fattest,
    "listening": _listening,
    "load": lambda _: os.getloadavg()[0],
    "zombies": _zombies,
}
