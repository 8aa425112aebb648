"""What really caused each effect, read from labels and fork edges alone; nothing here looks at a link.

A label stands in a path, or in the arguments of a program; a process without one has its forebear's. The shell that an agent of
ours keeps open is fenced by the two marks that each of its commands makes. What has neither is the agent's own doing, or noise.

A label in a path that no file tool named, touched by a process that runs no tool call, leaves the cause open: an agent checks
what a command may do, and looks at what it did, now or later. Such effects are `looked`: counted, and in neither number; the
report holds the two numbers with them as well, their label taken for their cause.
"""

import json
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.attribution.plan import LABEL, PROMPT, Planned

Row = dict[str, Any]
NOISE = "noise"
OWN = "own"
UNKNOWN = "unknown"
LOOKED = "looked"
NOISE_FOLDER = "noise-in"
OUTSIDE_FOLDER = "noise-out"
_NOISE = re.compile(rf"/{NOISE_FOLDER}(?:/|$)")
SESSION_ARGV = ["/bin/bash", "--noprofile", "--norc"]


@dataclass(frozen=True, slots=True)
class _Fence:
    """What one process does between two marks is of one label."""

    begin_ns: int
    end_ns: int
    label: str


@dataclass(slots=True)
class Truth:
    """The label of every effect of a run: a planned label, or `noise`, `own`, `looked` or `unknown`."""

    of_effect: dict[str, str] = field(default_factory=dict)
    looked: dict[str, str] = field(default_factory=dict)
    """The label in the path of an effect that is `looked`."""
    launch: dict[str, str] = field(default_factory=dict)
    """Effect to the topmost process of its label's tree, which tells identical calls apart; empty outside such a tree."""


class Truthteller:
    """Labels the effects of one run, given the object of `show --json`."""

    def __init__(self, shown: Row, planned: Mapping[str, Planned], served_ns: Mapping[str, int]) -> None:
        """`served_ns` is when the stand-in began to send the answer that asks for a label's call: nothing is caused before."""
        self._planned = planned
        self._served_ns = served_ns
        self._effects: list[Row] = shown["effects"]
        self._processes: dict[str, Row] = {process["id"]: process for process in shown["processes"]}
        self._argvs: dict[str, list[list[str]]] = defaultdict(list)
        self._by_pid: dict[int, list[tuple[int, str]]] = defaultdict(list)
        self._fences: dict[str, list[_Fence]] = {}
        self._looked: dict[str, str] = {}
        self._label_cache: dict[str, tuple[str, str]] = {}
        for process in shown["processes"]:
            self._argvs[process["id"]].append(process["argv"] or [])
            self._by_pid[process["pid"]].append((process["start_ns"], process["id"]))
        for effect in self._effects:
            if effect["kind"] == "exec":
                self._argvs[effect["process_id"]].append(effect["argv"] or [])
        for starts in self._by_pid.values():
            starts.sort()
        self._find_fences()

    def tell(self) -> Truth:
        """The truth of every effect."""
        truth = Truth(looked=self._looked)
        for effect in self._effects:
            label, launch = self._label(effect)
            truth.of_effect[effect["id"]] = label
            truth.launch[effect["id"]] = launch
        return truth

    def strangers(self, root_id: str) -> list[Row]:
        """Processes with effects that do not descend from the recorded command."""
        known: dict[str, bool] = {root_id: True}
        return [
            self._processes.get(process_id, {"id": process_id})
            for process_id in {effect["process_id"] for effect in self._effects}
            if not self._descends(process_id, known)
        ]

    def _descends(self, process_id: str, known: dict[str, bool]) -> bool:
        chain: list[str] = []
        answer = False
        while process_id not in known:
            chain.append(process_id)
            parent = self._processes.get(process_id, {}).get("parent_id")
            if parent is None or parent in chain:
                break
            process_id = parent
        else:
            answer = known[process_id]
        known.update(dict.fromkeys(chain, answer))
        return answer

    def _label(self, effect: Row) -> tuple[str, str]:
        process_id = effect["process_id"]
        if effect["kind"] == "fork":
            process_id = self._child_of(effect) or process_id
        label, launch = self._process_label(process_id, effect["at_ns"])
        in_path = path_label(effect["path"]) or path_label(effect["old_path"])
        if in_path is None or in_path == label:
            return label, launch
        if effect["at_ns"] < self._served_ns.get(in_path, 0):
            return label, ""  # an agent that looks through its folder before it is told anything
        if label == OWN and not self._is_file_tool(in_path, effect["process_id"]):
            self._looked[effect["id"]] = in_path
            return LOOKED, ""
        return in_path, ""

    def _is_file_tool(self, label: str, process_id: str) -> bool:
        known = self._planned.get(label)
        return known is not None and known.in_process and any(PROMPT in argv for argv in self._argvs[process_id])

    def _child_of(self, fork: Row) -> str | None:
        detail = fork["detail"] or {}
        if detail.get("is_thread"):
            return None
        if detail.get("child_id"):
            return str(detail["child_id"])
        starts = self._by_pid.get(detail.get("child_pid") or -1, [])
        # The child's start is taken a little before or after the fork is told.
        near = [(abs(start - fork["at_ns"]), found) for start, found in starts]
        return min(near)[1] if near and min(near)[0] < 1_000_000_000 else None

    def _process_label(self, process_id: str, at_ns: int) -> tuple[str, str]:
        fences = self._fences.get(process_id)
        if fences is not None:
            return _within(fences, at_ns), process_id
        known = self._label_cache.get(process_id)
        if known is None:
            # Filled first, so that a ring of parents (there is none) cannot run away.
            self._label_cache[process_id] = (OWN, process_id)
            known = self._label_cache[process_id] = self._find_label(process_id)
        return known

    def _find_label(self, process_id: str) -> tuple[str, str]:
        process = self._processes.get(process_id)
        own = next(filter(None, (argv_label(argv) for argv in self._argvs[process_id])), None)
        above, launch = OWN, process_id
        if process is not None and process["parent_id"] is not None:
            above, launch = self._process_label(process["parent_id"], process["start_ns"])
        if own is not None and own != above:
            return own, process_id
        return above, launch if above != OWN and above != UNKNOWN else process_id

    def _find_fences(self) -> None:
        marks: dict[str, list[tuple[int, str, bool]]] = defaultdict(list)
        sessions = {found for found, argvs in self._argvs.items() if SESSION_ARGV in argvs}
        for effect in self._effects:
            path = effect["path"] or ""
            if effect["process_id"] in sessions and effect["kind"] in ("file_create", "file_open"):
                label = path_label(path)
                if label and path.endswith(("/begin", "/end")):
                    marks[effect["process_id"]].append((effect["at_ns"], label, path.endswith("/begin")))
        for session in sessions:
            self._fences[session] = _fences(sorted(marks[session]), self._processes[session]["start_ns"])


def _fences(marks: list[tuple[int, str, bool]], start_ns: int) -> list[_Fence]:
    found: list[_Fence] = []
    begun: dict[str, int] = {}
    for at_ns, label, is_begin in marks:
        if is_begin:
            # The shell itself is started for the first command it is given.
            begun[label] = at_ns if found or begun else min(start_ns, at_ns)
        elif label in begun:
            found.append(_Fence(begun[label], at_ns, label))
    return found


def _within(fences: list[_Fence], at_ns: int) -> str:
    index = bisect_right([fence.begin_ns for fence in fences], at_ns) - 1
    if index >= 0 and at_ns <= fences[index].end_ns:
        return fences[index].label
    return UNKNOWN


def path_label(path: str | None) -> str | None:
    """The label in a path, if any."""
    if not path:
        return None
    found = LABEL.search(path)
    if found:
        return str(found[1])
    return NOISE if _NOISE.search(path) else None


def argv_label(argv: list[str]) -> str | None:
    """The label in a command line, if any; one that lists several (no tool of ours does) has none."""
    labels = {found for word in argv for found in LABEL.findall(word)}
    if len(labels) == 1:
        return str(labels.pop())
    return NOISE if any(_NOISE.search(word) for word in argv) else None


def results_in(body: Any) -> Iterator[tuple[str, str]]:
    """The provider's call ids in a request body, each with the text of its result."""
    if isinstance(body, Mapping):
        for key in ("tool_use_id", "tool_call_id", "call_id"):
            if key in body and ("content" in body or "output" in body):
                yield str(body[key]), json.dumps(body.get("content", body.get("output")))
        for value in body.values():
            yield from results_in(value)
    elif isinstance(body, list):
        for value in body:
            yield from results_in(value)
