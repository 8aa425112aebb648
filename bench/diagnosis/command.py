"""Faults, double faults and healthy workloads, each made for real, and what the diagnosis says; run: python -m bench diagnosis.

It is measured through the tool that the expert calls, with the reading kept and packed as for a real answer; a name as an
option runs only the scenes whose names hold it.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.diagnosis.faults import DOUBLES, FAULTS, Expected, Scene
from bench.diagnosis.healthy import HEALTHY, RED_HERRINGS, Workload
from bench.diagnosis.stage import Stage, Unable
from bench.outcome import Outcome
from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker
from intact.assist.servers.host_diagnose import Diagnose, diagnosed
from intact.assist.tool import Parts
from intact.collect.host_state import LocalHost
from intact.query.scope import Rows

REACH_FAULTS = 10  # of twelve
REACH_MS = 500.0
BESIDE_HERRINGS = ("cpu_hog", "log_storm_fills_disk", "refused_port", "thread_flood")
ASKER = Asker(name="bench")


class _Readings:
    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def put(self, asker: str, body: dict[str, Any]) -> str:
        key = f"{asker}-{len(self.kept)}"
        self.kept[key] = json.dumps(body)
        return key

    def get(self, asker: str, reading_id: str) -> dict[str, Any] | None:
        del asker
        text = self.kept.get(reading_id)
        return None if text is None else json.loads(text)


class _NoStore:
    def ask(self, *_: Any, **__: Any) -> Rows:
        return Rows(sql="", names=(), rows=(), truncated=False)


def causes_of(answer: ToolAnswer) -> Expected:
    """The causes that an answer names, each with its object."""
    fault, thing, role = (answer.columns.index(name) for name in ("fault", "object", "role"))
    return {(str(row[fault]), str(row[thing])) for row in answer.rows if row[role] == "cause"}


def diagnose_stage(stage: Stage) -> tuple[ToolAnswer, dict[str, float], bool]:
    """What the tool says of the scope of a stage, the milliseconds that it took, and whether it re-runs.

    `beyond_ms` is the time beyond the window, `processor_ms` what of all of it was work and not waiting for others' work.
    """
    readings = _Readings()
    parts = Parts(readers=_NoStore(), readings=readings, host=LocalHost())  # type: ignore[arg-type]
    within = stage.within
    given = Diagnose(pids=list(within.pids), cgroups=list(within.cgroups), paths=list(within.paths))
    began, worked = time.perf_counter(), time.process_time()
    answer = diagnosed(parts, ASKER, given)
    took = {
        "beyond_ms": round((time.perf_counter() - began - given.window_s) * 1e3, 1),
        "processor_ms": round((time.process_time() - worked) * 1e3, 1),
    }
    again = diagnosed(parts, ASKER, Diagnose.model_validate(answer.arguments))
    return answer, took, again.rows_hash == answer.rows_hash


def run_scene(makers: Sequence[Scene | Workload], place: Path) -> dict[str, Any]:
    """Make these together, diagnose, and compare."""
    with Stage(place) as stage:
        expected: Expected = set()
        for maker in makers:
            expected |= maker(stage) or set()
        answer, took, is_same = diagnose_stage(stage)
    found = causes_of(answer)
    return {
        "right": found == expected and is_same,
        "expected": sorted(expected),
        "found": sorted(found),
        "verdict": answer.cell(0, "fault"),
        "symptoms": sorted(
            str(row[answer.columns.index("fault")])
            for row in answer.rows
            if row[answer.columns.index("role")] == "symptom"
        ),
        **took,
    }


def scenes() -> dict[str, dict[str, tuple[Scene | Workload, ...]]]:
    """All scenes by kind and name."""
    by_name = {fault.__name__: fault for fault in FAULTS}
    return {
        "fault": {fault.__name__: (fault,) for fault in FAULTS},
        "double": {"+".join(each.__name__ for each in pair): pair for pair in DOUBLES},
        "herring": {f"{name} among red herrings": (*RED_HERRINGS, by_name[name]) for name in BESIDE_HERRINGS},
        "healthy": {workload.__name__: (workload,) for workload in HEALTHY},
    }


def measure(argv: Sequence[str]) -> Outcome:
    """Run the scenes one after the other and print each."""
    report: dict[str, Any] = {"window_s": Diagnose().window_s, "scenes": {}, "unable": {}}
    rights: dict[str, list[bool]] = {}
    times: list[float] = []
    worked: list[float] = []
    for kind, named in scenes().items():
        for name, makers in named.items():
            if argv and not any(word in name for word in argv):
                continue
            with tempfile.TemporaryDirectory(prefix="intact-diagnosis-") as place:
                try:
                    result = run_scene(makers, Path(place) / "stage")
                except Unable as error:
                    report["unable"][name] = str(error)
                    print(f"diagnosis: {kind} {name}: cannot be made here: {error}")
                    continue
            rights.setdefault(kind, []).append(result["right"])
            times.append(result["beyond_ms"])
            worked.append(result["processor_ms"])
            report["scenes"][f"{kind}: {name}"] = result
            told = "right" if result["right"] else f"WRONG: {result['found']} for {result['expected']}"
            print(f"diagnosis: {kind} {name}: {told}, {result['beyond_ms']:.0f} ms beyond the window")
    report["right"] = {kind: f"{sum(found)}/{len(found)}" for kind, found in rights.items()}
    report["load_1m"] = os.getloadavg()[0]
    for name, values in (("beyond_ms", times), ("processor_ms", worked)):
        report[name] = {"middle": round(statistics.median(values), 1), "most": max(values)} if values else {}
    print(
        f"diagnosis: right: {report['right']}; ms beyond sampling: {report['beyond_ms']}; of work: {report['processor_ms']}"
    )
    faults, healthy = rights.get("fault", []), rights.get("healthy", [])
    enough = sum(faults) >= len(faults) * REACH_FAULTS / 12 and all(healthy)
    return Outcome(reached=enough and max(times, default=0.0) <= REACH_MS, report=report)
