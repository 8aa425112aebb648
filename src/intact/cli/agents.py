"""`intact agents`: who is an agent and why; and the last word of a person on it."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from intact.cli.reading import opened
from intact.cli.terminal import clip, clock, console, safe
from intact.collect.processes import start_ns_of
from intact.model.effects import Kind
from intact.model.errors import IntactError, UsageError
from intact.model.facts import Agent, LlmCall, ToolCall
from intact.model.recognition import BizType, ManualRule
from intact.model.slice import Slice
from intact.query.agents import Row, agents_known
from intact.store.frames import Damaged
from intact.store.manual_agents import ManualAgents
from intact.store.runs import DataDirectory, Run
from intact.store.segments import SegmentReader, segments_in

_MOST_REASON = 200
_IDS = ("id", "process_id", "root_process_id")
_COUNTS = ("calls", "tool_calls", "input_tokens", "output_tokens")
_NOTHING: Mapping[str, Any] = {
    "id": "",
    "pid": None,
    "ppid": None,
    "start_ns": None,
    "end_ns": None,
    **dict.fromkeys(_COUNTS, 0),
}


class Doing(StrEnum):
    SHOW = "show"
    ADD = "add"  # this is an agent
    REMOVE = "remove"  # this is none, whatever it asks
    FORGET = "forget"  # judge it by what it does again


def run(
    doing: Doing = typer.Argument(Doing.SHOW, metavar="[add|remove|forget]", help="Default: list the agents."),
    what: str | None = typer.Argument(None, metavar="[PID|EXE]", help="A process, or the path of a program."),
    reason: str | None = typer.Option(None, "--reason", metavar="TEXT", help="Why; shown with the agent."),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON list."),
) -> None:
    """List agents, live and past, with root, recogniser, score, reason, role and counts; or say who is one.

    A running sensor on the same data directory takes a change over within a second. Example: sudo intact agents add 4711
    """
    if doing is Doing.SHOW:
        if what is not None:
            raise UsageError(f"unexpected {what[:40]!r}; write: intact agents add|remove|forget PID|EXE")
        _show(data, as_json=as_json)
        return
    if what is None:
        raise UsageError(f"say which: intact agents {doing} PID|EXE")
    manual = ManualAgents(DataDirectory.locate(data))
    rule = _rule(what, is_agent=doing is Doing.ADD, reason=reason)
    if doing is Doing.FORGET:
        if not manual.drop(rule):
            raise IntactError(f"nothing was said about {safe(what[:80])}")
        typer.echo(f"forgot what was said about {safe(what)}")
        return
    manual.put(rule)
    typer.echo(f"{safe(what)} is {'an agent' if rule.is_agent else 'no agent'} from now on")


def _rule(what: str, *, is_agent: bool, reason: str | None) -> ManualRule:
    why = (reason or ("added by hand" if is_agent else "removed by hand"))[:_MOST_REASON]
    if what.startswith("/"):
        return ManualRule(is_agent=is_agent, reason=why, added_ns=time.time_ns(), exe=what)
    if not what.isdigit():
        raise UsageError(f"{what[:40]!r} is neither a pid nor an absolute path")
    started = start_ns_of(int(what))
    if started is None:
        raise IntactError(f"no process {what} runs")
    return ManualRule(
        is_agent=is_agent,
        reason=why,
        added_ns=time.time_ns(),
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        tgid=int(what),
        start_ns=started,
    )


def _show(data: Path | None, *, as_json: bool) -> None:
    with opened(data, all_runs=True) as (database, _):
        rows = agents_known(database)
    going = {run.id: run for run in DataDirectory.locate(data).runs() if run.is_going}
    known = {(row["run_id"], row["process_id"]): row for row in rows}
    for run in going.values():
        rows += _of_open_segments(run, known)
    for row in rows:
        row["live"] = row["run_id"] in going and row["end_ns"] is None
        row["biz_type_label"] = {lang: BizType(row["biz_type"]).label(lang) for lang in ("en", "zh")}
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        typer.echo("no agents yet; record one: sudo -E intact record -- CMD, or watch the host: sudo intact sensor")
        return
    console().print(_table(rows))


def _of_open_segments(run: Run, known: dict[tuple[str, str], Row]) -> list[Row]:
    """What the store takes in when their segment is closed: rows of new agents; those known are brought up to date."""
    new: list[Row] = []
    for piece in _open_slices(run):
        for agent in (fact for fact in piece.facts if isinstance(fact, Agent)):
            told = {**asdict(agent), "run_id": run.id} | {name: str(getattr(agent, name)) for name in _IDS}
            row = known.setdefault((run.id, told["process_id"]), dict(_NOTHING))
            if not row["id"]:
                new.append(row)
            row |= told
        for fact in piece.facts:
            if isinstance(fact, LlmCall | ToolCall) and (run.id, str(fact.process_id)) in known:
                _count(known[run.id, str(fact.process_id)], fact)
        batch = piece.effects.get("process")
        for life in [] if batch is None else batch.select(["kind", "process_id", "pid", "end_ns"]).to_pylist():
            if (run.id, str(life["process_id"])) in known:
                row = known[run.id, str(life["process_id"])]
                row["pid"] = life["pid"]
                row["end_ns"] = life["end_ns"] if life["kind"] == Kind.EXIT else row["end_ns"]
    return new


def _count(row: Row, fact: LlmCall | ToolCall) -> None:
    """A fact is told twice: it counts when it is first told, its tokens when it is over."""
    if isinstance(fact, LlmCall):
        row["pid"] = fact.pid
    if isinstance(fact, ToolCall):
        row["tool_calls"] += fact.answered_ns is None
    elif fact.ended_ns is None:
        row["calls"] += 1
    else:
        row["input_tokens"] += fact.input_tokens or 0
        row["output_tokens"] += fact.output_tokens or 0


def _open_slices(run: Run) -> Iterator[Slice]:
    for segment in segments_in(run.segments):
        if not segment.sealed:
            with contextlib.suppress(Damaged, FileNotFoundError), SegmentReader(segment.path) as reader:
                yield from reader.slices()


def _table(rows: list[Row]) -> Table:
    """Roots first, those they started below them."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in (
        "agent",
        "pid",
        "role",
        "recogniser",
        "score",
        "calls",
        "tools",
        "first seen",
        "last seen",
        "reason",
    ):
        table.add_column(heading, no_wrap=heading != "reason", overflow="fold")
    known = {row["process_id"] for row in rows}
    order = sorted(
        rows, key=lambda row: (row["root_process_id"] if row["root_process_id"] in known else row["id"], _depth(row))
    )
    for row in order:
        mark = "● " if row["live"] else "  "
        indent = "  " * _depth(row)
        cells = (
            indent + mark + safe(row["name"]), str(row["pid"] or "–"), safe(row["role"]), safe(row["recogniser"]),
            f"{row['score']:.2f}", str(row["calls"]), str(row["tool_calls"]), clock(row["first_seen_ns"], date=True),
            clock(row["last_seen_ns"], date=True), clip(safe(row["reason"]), 80),
        )  # fmt: skip
        table.add_row(*cells)
    return table


def _depth(row: Row) -> int:
    return int(row["root_process_id"] not in ("0", row["process_id"]))
