"""`intact replay`: a capture file through the same pipeline as the machine's own records, to a run with the same rows."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import typer

from intact.assemble.redact import Redactor
from intact.cli.terminal import plural, progress
from intact.collect.capture_file import CaptureReader
from intact.model.errors import UsageError
from intact.model.facts import LlmCall, ToolCall
from intact.model.slice import RawSlice, Slice
from intact.pipeline import front
from intact.store.runs import DataDirectory, Run
from intact.store.segments import SegmentWriter


class Replayed(NamedTuple):
    """A replay that has ended: its run, and what was in it."""

    run: Run
    calls: int
    tool_calls: int
    effects: int
    cut: str | None  # why the capture could not be read to its end


def run(
    file: Path = typer.Argument(..., metavar="FILE", help="A capture, made by: intact record --capture FILE"),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    name: str | None = typer.Option(None, "--name", metavar="N", help="Name of the run; default: the recording's."),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON object about the run."),
) -> None:
    """Run a capture through the pipeline; the rows are those of its recording.

    A capture that was cut is replayed up to the break. Example: intact replay demo.capture && intact show
    """
    if name is not None and not name.strip():
        raise UsageError("the name of a run cannot be empty")
    with CaptureReader(file) as reader:
        done = replay(reader, DataDirectory.locate(data), name)
    if done.cut:
        print(f"intact: {file} is cut ({done.cut}): replayed up to there", file=sys.stderr)
    elif reader.ending is None:
        print(f"intact: {file} does not say how its recording ended: it was killed", file=sys.stderr)
    if as_json:
        typer.echo(json.dumps(_as_json(done), indent=2))
        return
    words = [
        plural(done.calls, "call"),
        plural(done.tool_calls, "tool call"),
        plural(done.effects, "effect"),
    ]
    print(f"intact: replayed {', '.join(words)}", file=sys.stderr)
    print(f"intact: run {done.run.id} (see it with: intact show {done.run.id})", file=sys.stderr)


def replay(reader: CaptureReader, directory: DataDirectory, name: str | None) -> Replayed:
    """The run that a capture gives in this data directory."""
    host, about = reader.host, reader.about
    key = directory.redaction_key()
    command = Redactor(key).argv(list(about.command))
    made = directory.new_run(host, name=name or about.name, command=command, started_ns=about.started_ns)
    calls: set[int] = set()
    tool_calls: set[int] = set()
    effects = until_ns = 0
    with SegmentWriter(made.segments, host) as writer:
        for part in front(_shown(reader), host, redaction_key=key):
            writer.write(part)
            calls |= {fact.id for fact in part.facts if isinstance(fact, LlmCall)}
            tool_calls |= {fact.id for fact in part.facts if isinstance(fact, ToolCall)}
            effects += _rows(part)
            until_ns = part.until_ns
    ending = reader.ending
    ended_ns = ending.ended_ns if ending else None
    problem = f"replayed from a capture that is cut: {reader.cut}" if reader.cut else None
    made = replace(
        made,
        started_ns=about.started_ns or made.started_ns,
        ended_ns=ended_ns or until_ns or made.started_ns,
        exit_code=ending.exit_code if ending else None,
        problem=problem,
    )
    directory.save(made)
    return Replayed(made, len(calls), len(tool_calls), effects, reader.cut)


def _shown(reader: CaptureReader) -> Iterator[RawSlice]:
    with progress("replaying", reader.size_bytes) as tell:
        for raw in reader.slices():
            yield raw
            tell(reader.read_bytes)


def _rows(part: Slice) -> int:
    return sum(batch.num_rows for batch in part.effects.values())


def _as_json(done: Replayed) -> dict[str, object]:
    made = done.run
    return {
        "id": made.id,
        "name": made.name,
        "command": list(made.command),
        "started_ns": made.started_ns,
        "ended_ns": made.ended_ns,
        "exit_code": made.exit_code,
        "calls": done.calls,
        "tool_calls": done.tool_calls,
        "effects": done.effects,
        "problem": made.problem,
    }
