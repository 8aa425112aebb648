"""`python -m bench attribution [--seed N] [--agents NAME…]`: records agents, compares links with the truth, prints a table."""

import argparse
import json
import random
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.agents.run import available

from bench.attribution.plan import FORMS
from bench.attribution.recording import Recorded, record
from bench.attribution.score import Score, Scorer, best_match, claims_by_time, claims_of
from bench.attribution.truth import OUTSIDE_FOLDER, Truth, Truthteller
from bench.outcome import Outcome

AGENTS = ("small", "claude-1.0.62", "claude-native", "gemini", "langgraph", "openai-agents")
PRECISION = 0.99
RECALL = 0.97
CALLS = 60
GROUPS = 60
MADE = re.compile(r"made calls/(c[0-9a-f]{8})/w(\d+)")


@dataclass(slots=True)
class Judged:
    """One recorded agent, compared with the truth."""

    recorded: Recorded
    engine: Score
    by_time: Score
    missing_calls: list[str] = field(default_factory=list)
    """Labels whose tool call the engine does not show."""
    unseen_files: list[str] = field(default_factory=list)
    """Files that calls left on disk without any effect recorded for them."""
    unrelated: int = 0
    """Effects of processes outside the scope."""

    def grouped(self) -> list[dict[str, Any]]:
        """What was wrong, alike things once with their number, the most first."""
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for one in self.engine.wrong:
            key = (one["form"], one["claimed"], one["kind"], one["process"][:60])
            groups.setdefault(key, []).append(one)
        most = sorted(groups.values(), key=len, reverse=True)
        return [{"count": len(group), **group[0]} for group in most[:GROUPS]]

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "agent": self.recorded.agent,
            "exit_code": self.recorded.exit_code,
            "tool_calls_planned": self.recorded.plan.call_count,
            "tool_calls_served": self.recorded.served,
            "effects": len(self.recorded.shown["effects"]),
            "effects_by_truth": dict(self.engine.truths),
            "engine": self.engine.all.as_json(),
            "engine_with_looked": self.engine.all.and_also(self.engine.looked).as_json(),
            "time_only": self.by_time.all.as_json(),
            "missing_calls": self.missing_calls,
            "unseen_files": self.unseen_files,
            "unrelated_effects": self.unrelated,
            "ledger_complete": self.recorded.shown["ledger"]["complete"],
            "wrong": self.grouped(),
        }


def judge(recorded: Recorded) -> Judged:
    """Compare one run with its truth."""
    shown, planned = recorded.shown, recorded.plan.planned
    teller = Truthteller(shown, planned, recorded.served_ns)
    truth = teller.tell()
    judged = Judged(recorded=recorded, engine=Score(), by_time=Score())
    rows = _rows_by_label(shown, planned)
    judged.missing_calls = [label for label, one in planned.items() if len(rows[label]) < one.count]
    for name, claims in (("engine", claims_of(shown)), ("by_time", claims_by_time(shown))):
        causes = _causes(recorded, truth, rows, claims)
        setattr(judged, name, Scorer(shown, truth, planned, causes).score(claims))
    judged.unseen_files = _unseen(recorded)
    judged.unrelated = len(teller.strangers(shown["run"]["root_process_id"])) + sum(
        f"/{OUTSIDE_FOLDER}" in json.dumps([effect["path"], effect["argv"]]) for effect in shown["effects"]
    )
    return judged


def _rows_by_label(shown: Mapping[str, Any], planned: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {label: [] for label in planned}
    for call in shown["tool_calls"]:
        text = json.dumps(call["arguments"])
        for label in planned:
            if label in text:
                rows[label].append(call)
    return rows


def _causes(
    recorded: Recorded, truth: Truth, rows: Mapping[str, list[dict[str, Any]]], claims: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    causes: dict[str, tuple[str, ...]] = {}
    for label, one in recorded.plan.planned.items():
        causes[label] = tuple(row["id"] for row in rows[label][: one.count])
        if one.count > 1:
            matched = _told(recorded, truth, label, rows[label]) or _matched(truth, label, rows[label], claims)
            # A tree that no call is left for is nobody's: whatever is claimed of it is false.
            causes |= {f"launch:{label}:{launch}": () for launch in _launches(truth, label)}
            causes |= {f"launch:{label}:{launch}": (call,) for launch, call in matched.items()}
    return causes


def _launches(truth: Truth, label: str) -> list[str]:
    found = {truth.launch[effect] for effect, of_label in truth.of_effect.items() if of_label == label}
    return sorted(found - {""})


def _told(recorded: Recorded, truth: Truth, label: str, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Identical calls whose results name what each made: process tree to tool call, by the stand-in's log."""
    by_provider_id = {row["tool_call_id"]: row["id"] for row in rows if row["tool_call_id"]}
    pids = {process["id"]: str(process["pid"]) for process in recorded.shown["processes"]}
    launch_of_pid: dict[str, str] = {}
    for effect in recorded.shown["effects"]:
        found = re.search(rf"calls/{label}/w(\d+)", effect["path"] or "")
        if found and pids.get(effect["process_id"]) == found[1]:
            launch_of_pid[found[1]] = truth.launch[effect["id"]]
    told: dict[str, str] = {}
    for provider_id, text in recorded.results.items():
        found = MADE.search(text)
        if found and found[1] == label and provider_id in by_provider_id and found[2] in launch_of_pid:
            told[launch_of_pid[found[2]]] = by_provider_id[provider_id]
    return told


def _matched(truth: Truth, label: str, rows: list[dict[str, Any]], claims: Mapping[str, str]) -> dict[str, str]:
    votes: dict[tuple[str, str], int] = {}
    for effect, found in truth.of_effect.items():
        if found == label and effect in claims:
            pair = (truth.launch[effect], claims[effect])
            votes[pair] = votes.get(pair, 0) + 1
    return best_match(_launches(truth, label), [row["id"] for row in rows], votes)


def _unseen(recorded: Recorded) -> list[str]:
    """What is on disk below `calls/` at the end and was not there at the start, but that no effect names."""
    named = {effect["path"] for effect in recorded.shown["effects"] if effect["path"]}
    # A rename names its target in `path` or in `old_path`, by the reader's taste: both count as seen.
    named |= {effect["old_path"] for effect in recorded.shown["effects"] if effect["old_path"]}
    found = (path for path in (recorded.plan.workdir / "calls").rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.name != "read.txt" and str(path) not in named)


def measure(argv: Sequence[str]) -> Outcome:
    """Record every agent asked for, print the table, and say whether the bars are reached."""
    parser = argparse.ArgumentParser(prog="python -m bench attribution", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    parser.add_argument("--agents", nargs="+", default=list(AGENTS), choices=AGENTS)
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), help="default: all the agent can show")
    parser.add_argument("--keep", type=Path, help="a folder for logs, runs and what `show` said, kept afterwards")
    options = parser.parse_args(argv)
    seed = secrets.randbelow(1 << 31) if options.seed is None else options.seed
    print(f"attribution: seed {seed}", flush=True)
    base = options.keep or Path(tempfile.mkdtemp(prefix="attribution-"))
    judged: list[Judged] = []
    skipped: dict[str, str] = {}
    for agent in options.agents:
        if reason := available(agent):
            skipped[agent] = reason
            print(f"  {agent}: left out, {reason}", flush=True)
            continue
        recorded = record(agent, folder=base / agent, chance=random.Random(f"{seed} {agent}"), forms=options.forms)
        if options.keep:
            (base / agent / "show.json").write_text(json.dumps(recorded.shown))
        judged.append(judge(recorded))
        _print_run(judged[-1])
    outcome = conclude(judged, seed=seed, skipped=skipped, enough=CALLS if options.agents == list(AGENTS) else 0)
    if not options.keep:
        shutil.rmtree(base, ignore_errors=True)
    return outcome


def conclude(judged: Sequence[Judged], *, seed: int, skipped: Mapping[str, str], enough: int) -> Outcome:
    """The totals, printed, and the report."""
    engine, by_time = Score(), Score()
    for one in judged:
        engine.add(one.engine)
        by_time.add(one.by_time)
    calls = sum(one.recorded.plan.call_count for one in judged)
    unrelated = sum(one.unrelated for one in judged)
    missing = sum(len(one.missing_calls) for one in judged)
    unseen = sum(len(one.unseen_files) for one in judged)
    _print_forms(engine, by_time)
    failures = [
        text
        for text, failed in (
            (f"precision {engine.all.precision:.4f} < {PRECISION}", engine.all.precision < PRECISION),
            (f"recall {engine.all.recall:.4f} < {RECALL}", engine.all.recall < RECALL),
            (f"{unrelated} effects or processes from outside the scope", unrelated > 0),
            (f"{missing} planned tool calls not shown", missing > 0),
            (f"{unseen} files made without an effect", unseen > 0),
            (f"{calls} tool calls, {enough} wanted", calls < enough),
        )
        if failed
    ]
    both = engine.all.and_also(engine.looked)
    print(f"  with what agents only looked at: precision {both.precision:.4f}  recall {both.recall:.4f}")
    print("reached" if not failures else "NOT reached: " + "; ".join(failures))
    report = {
        "seed": seed,
        "tool_calls": calls,
        "bars": {"precision": PRECISION, "recall": RECALL, "unrelated": 0},
        "engine": engine.all.as_json(),
        "engine_with_looked": engine.all.and_also(engine.looked).as_json(),
        "time_only": by_time.all.as_json(),
        "unrelated_effects": unrelated,
        "by_form": {form: tally.as_json() for form, tally in sorted(engine.by_form.items())},
        "time_only_by_form": {form: tally.as_json() for form, tally in sorted(by_time.by_form.items())},
        "runs": [one.as_json() for one in judged],
        "left_out": dict(skipped),
        "failures": failures,
    }
    return Outcome(reached=not failures, report=report)


def _print_run(one: Judged) -> None:
    shown, tally, rival = one.recorded.shown, one.engine.all, one.by_time.all
    print(
        f"  {one.recorded.agent:14} exit {one.recorded.exit_code}  {one.recorded.plan.call_count:3} tool calls"
        f"  {len(shown['effects']):6} effects ({', '.join(f'{n} {name}' for name, n in sorted(one.engine.truths.items()))})"
        f"  precision {tally.precision:.4f}  recall {tally.recall:.4f}"
        f"  | by time {rival.precision:.3f} / {rival.recall:.3f}  | outside {one.unrelated}",
        flush=True,
    )
    for text in (f"not shown: {', '.join(one.missing_calls)}",) if one.missing_calls else ():
        print(f"    {text}")
    if one.unseen_files:
        print(f"    no effect for: {', '.join(one.unseen_files[:3])}")


def _print_forms(engine: Score, by_time: Score) -> None:
    print(f"  {'form':20} {'effects':>8} {'precision':>10} {'recall':>8}   by time: {'precision':>9} {'recall':>8}")
    for form in [*FORMS, "unplanned"]:
        tally, rival = engine.by_form.get(form), by_time.by_form.get(form)
        if tally and rival:
            print(
                f"  {form:20} {tally.caused:8} {tally.precision:10.4f} {tally.recall:8.4f}"
                f"            {rival.precision:9.4f} {rival.recall:8.4f}"
            )
    tally, rival = engine.all, by_time.all
    print(
        f"  {'all':20} {tally.caused:8} {tally.precision:10.4f} {tally.recall:8.4f}"
        f"            {rival.precision:9.4f} {rival.recall:8.4f}"
    )


if __name__ == "__main__":
    sys.exit(0 if measure(sys.argv[1:]).reached else 1)
