"""The privileged half of `record`: probes on, records to segments, a summary at the end; JSON lines to and from the front.

Standard input: the settings, then how the child ended. End of input before that means that the front is gone: the run is
closed as it is.
"""

import importlib
import json
import os
import resource
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from intact.assemble.redact import Redactor
from intact.cli.terminal import duration, plural
from intact.collect.capture_file import About, CaptureWriter, Ending, write_capture
from intact.collect.cgroup import cgroup2_mount, own_cgroup, release
from intact.collect.machine import Collector
from intact.model.errors import IntactError
from intact.model.facts import LlmCall, Loss, ToolCall
from intact.model.slice import RawSlice, Slice
from intact.pipeline import front
from intact.store.runs import DataDirectory, Run
from intact.store.segments import SegmentWriter


class Front:
    """Our end of the pipe to the front."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.status: dict[str, Any] = {}

    def settings(self) -> dict[str, Any]:
        """The first line."""
        answer = json.loads(sys.stdin.readline())
        assert isinstance(answer, dict)
        return answer

    def listen(self) -> None:
        """From now on wait, beside the drain, for the line that tells how the child ended, or the end of input."""
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        line = sys.stdin.readline()
        if line:
            self.status = json.loads(line)
        self.ended.set()

    def say(self, **message: Any) -> None:
        try:
            print(json.dumps(message), flush=True)
        except BrokenPipeError:
            print("the front is gone; closing the run", file=sys.stderr)


class Summary:
    """What the front prints at the end, counted as slices pass."""

    def __init__(self) -> None:
        self.calls: set[int] = set()
        self.tool_calls: set[int] = set()
        self.effects = 0
        self.lost = 0
        self.unheard: list[str] = []

    def watch(self, slices: Iterator[Slice]) -> Iterator[Slice]:
        """Pass the slices on and count."""
        for part in slices:
            for fact in part.facts:
                if isinstance(fact, LlmCall):
                    self.calls.add(fact.id)
                elif isinstance(fact, ToolCall):
                    self.tool_calls.add(fact.id)
                elif isinstance(fact, Loss):
                    self.lost += fact.count
                    if fact.cause == "not_heard" and fact.note:
                        self.unheard.append(fact.note)
            self.effects += sum(batch.num_rows for batch in part.effects.values())
            yield part

    def text(self, took_ns: int, problem: str | None = None) -> str:
        parts = [
            plural(len(self.calls), "call"),
            plural(len(self.tool_calls), "tool call"),
            plural(self.effects, "effect"),
        ]
        verdict = "complete" if not self.lost else f"{plural(self.lost, 'thing')} lost or not heard"
        if problem:
            # Not all that was seen could be kept; how much is in the ledger.
            return f"saw {', '.join(parts)} in {duration(took_ns)}; incomplete"
        return f"recorded {', '.join(parts)} in {duration(took_ns)}; {verdict}"


def tee(raw: Iterator[RawSlice], capture: CaptureWriter | None) -> Iterator[RawSlice]:
    """Also write the records to the capture file; a capture that cannot be written on ends, the recording does not."""
    for part in raw:
        if capture is not None:
            try:
                capture.write(part)
            except OSError as error:
                print(f"the capture file ended early: {error.strerror}", file=sys.stderr)
                capture = None
        yield part


def enforcement_of(settings: dict[str, Any], run: Run) -> Any:
    """Policies over this run, those of `--policy` and those applied in the data directory; None if there are none."""
    if not settings["policies"] and not os.path.exists(os.path.join(settings["data"], "govern")):
        return None
    # Checking policies takes libraries that a recording without any should not pay for.
    governing = importlib.import_module("intact.cli.governing")
    place = Path(settings["data"]), settings["policies"], Path(settings["cgroup"])
    return governing.Enforcement(*place, run.host, program=settings["program"])


def collect(pipe: Front, settings: dict[str, Any]) -> None:
    """One recording from probes on to run closed."""
    directory = DataDirectory(Path(settings["data"]), owner=settings["owner"])
    cache = directory.cache()
    collector = Collector(
        Path(settings["cgroup"]), command=settings["program"], root_tgid=settings["child"], cache=cache
    )
    try:
        collector.attach()
        key = directory.redaction_key()
        command = Redactor(key).argv(settings["command"])
        run = directory.new_run(collector.host, name=settings["name"], command=command)
        enforcement = enforcement_of(settings, run)
        capture = open_capture(settings, run)
        put_on = {"filter": enforcement.filter.hex(), "allowed": enforcement.allowed} if enforcement is not None else {}
        pipe.say(ready=True, run_id=run.id, **put_on)
        pipe.listen()
        summary = Summary()
        raw = tee(collector.slices(pipe.ended.is_set), capture)
        slices = front(raw, run.host, redaction_key=key)
        if enforcement is not None:
            slices = enforcement.watch(slices, clean=Redactor(key).text)
        problem = write_segments(summary.watch(slices), run)
        if not pipe.status:
            problem = problem or "the front of the recording was killed: what went on after that was not observed"
        ended_ns = collector.now_ns()
        run = replace(run, ended_ns=ended_ns, problem=problem, exit_code=exit_of(pipe.status))
        directory.save(run)
        if capture is not None:
            close_capture(capture, run)
        print(own_cost(), file=sys.stderr)
        if problem:
            pipe.say(error=problem, text=summary.text(ended_ns - run.started_ns, problem))
        else:
            pipe.say(text=summary.text(ended_ns - run.started_ns), notes=summary.unheard)
    finally:
        collector.close()
        for entry in cache.iterdir():
            directory.own(entry)
        if pipe.ended.is_set() and not pipe.status:
            release(Path(settings["cgroup"]), own_cgroup(cgroup2_mount()))  # the front would have done it


def write_segments(slices: Iterator[Slice], run: Run) -> str | None:
    """Write until the slices end; returns what stopped the writing early, if anything did."""
    problem: str | None = None
    writer = SegmentWriter(run.segments, run.host)
    for part in slices:
        if problem is not None:
            continue  # go on draining: the child must not feel that our disk is full
        try:
            writer.write(part)
        except IntactError as error:
            problem = str(error)
            print(problem, file=sys.stderr)
    try:
        writer.close()
    except IntactError as error:
        problem = problem or str(error)
    return problem


def open_capture(settings: dict[str, Any], run: Run) -> CaptureWriter | None:
    """The capture file, if one was asked for; it belongs to the calling user."""
    if settings["capture"] is None:
        return None
    path = Path(settings["capture"])
    about = About(name=run.name, command=tuple(settings["command"]), started_ns=run.started_ns)
    capture = write_capture(path, run.host, about=about)
    if settings["owner"]:
        os.chown(path, *settings["owner"])
    return capture


def close_capture(capture: CaptureWriter, run: Run) -> None:
    """Close the capture with how the run ended."""
    try:
        capture.close(Ending(ended_ns=run.ended_ns, exit_code=run.exit_code))
    except OSError as error:
        print(f"the capture file ended early: {error.strerror}", file=sys.stderr)


def own_cost() -> str:
    """What this process has used, in words; `record -v` tells it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return f"recorder: {used.ru_utime:.3f} s user, {used.ru_stime:.3f} s system, {used.ru_maxrss // 1024} MiB at most"


def exit_of(status: dict[str, Any]) -> int | None:
    """The exit code as a shell gives it: 128+N after signal N; None if the front was gone first."""
    number = status.get("exit_signal")
    code: int | None = status.get("exit_code")
    return 128 + int(number) if number is not None else code


def main() -> None:
    """Entry point; errors go to the front as one line."""
    pipe = Front()
    settings = pipe.settings()
    try:
        collect(pipe, settings)
    except IntactError as error:
        pipe.say(error=str(error))
        sys.exit(1)
