"""What the pipeline makes of a capture, as plain values: all of it to compare runs with, and a summary for people to review."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from intact.collect.capture_file import CaptureReader
from intact.model.codec import fact_json
from intact.model.effects import FAMILIES, CauseKind, Kind, basis_names
from intact.model.facts import Loss, StageCount
from intact.model.slice import Host, RawSlice
from intact.pipeline import back, front

KEY = b"the key of the goldens"
# What every program reads before it begins.
SYSTEM = ("/usr/", "/lib", "/etc/", "/dev/", "/proc/")
Row = dict[str, Any]


class Outcome:
    """Everything the pipeline says, in its last word: facts and links that were corrected are there once."""

    def __init__(self, raw: Iterable[RawSlice], host: Host) -> None:
        self.facts: dict[str, dict[int, Row]] = defaultdict(dict)
        self.losses: Counter[tuple[str, str]] = Counter()
        self.passed: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.effects: dict[int, Row] = {}
        self.rows = 0
        self.links: dict[int, Row] = {}
        for part in back(front(raw, host, redaction_key=KEY), host):
            for fact in part.facts:
                if isinstance(fact, Loss):
                    self.losses[fact.stage, fact.cause] += fact.count
                elif isinstance(fact, StageCount):
                    self.seen[fact.stage] += fact.seen
                    self.passed[fact.stage] += fact.passed
                else:
                    kind, body = fact_json(fact)
                    self.facts[kind][fact.id] = json.loads(body)  # type: ignore[union-attr]
            for family, batch in part.effects.items():
                assert batch.schema == FAMILIES[family]
                self._take_effects(batch)
            if part.links is not None:
                self._take_links(part.links)

    def _take_effects(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            self.effects[row["id"]] = row
            self.rows += 1

    def _take_links(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            before = self.links.get(row["effect_id"])
            if before is None or row["revision"] >= before["revision"]:
                self.links[row["effect_id"]] = row

    def claims(self) -> dict[int, tuple[int, int, tuple[str, ...], float]]:
        """For each effect: cause, its kind, on what ground, how sure. How often it was corrected depends on the drains."""
        return {
            effect: (row["cause_id"], row["cause_kind"], tuple(basis_names(row["basis"])), round(row["confidence"], 3))
            for effect, row in self.links.items()
        }

    def digest(self) -> str:
        """A hash of the ids of all effects and of their claims, which the summary has no room for."""
        claims = self.claims()
        rows = [json.dumps([key, *claims.get(key, ())]) for key in sorted(self.effects)]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def summary(self) -> Row:
        """What a person can review."""
        return {
            "effects": {kind: count for kind, count in sorted(self._kinds().items())},
            "digest": self.digest(),
            "agents": self._of("Agent"),
            "processes": self._of("Process"),
            "turns": self._of("AgentTurn"),
            "calls": self._of("LlmCall"),
            "tool_calls": self._of("ToolCall"),
            "caused": self._caused(),
            "losses": {f"{stage}: {cause}": count for (stage, cause), count in sorted(self.losses.items())},
            "passed": {stage: [self.passed[stage], self.seen[stage]] for stage in sorted(self.seen)},
        }

    def _kinds(self) -> Counter[str]:
        return Counter(Kind(row["kind"]).label for row in self.effects.values())

    def _of(self, kind: str) -> list[Row]:
        facts = self.facts[kind].values()
        return sorted(facts, key=lambda fact: (fact.get("started_ns") or fact.get("start_ns") or 0, fact["id"]))

    def _caused(self) -> dict[str, list[str]]:
        names = {key: f"{fact['name']} {fact['arguments_text'][:60]}" for key, fact in self.facts["ToolCall"].items()}
        names |= {key: f"call {fact['request_model']} {key}" for key, fact in self.facts["LlmCall"].items()}
        caused: dict[str, Counter[str]] = defaultdict(Counter)
        claims = self.claims()
        for key, row in self.effects.items():
            cause, kind, _, confidence = claims.get(key, (0, 0, (), 0.0))
            if confidence < 0.5:
                name = "unexplained"
            elif kind == CauseKind.HOUSEKEEPING:
                name = "housekeeping"
            else:
                name = names[cause]
            caused[name][_words(row)] += 1
        caused["housekeeping"] = Counter({kind: count for kind, count in _by_kind(caused["housekeeping"]).items()})
        return {
            name: [words if count == 1 else f"{words} ×{count}" for words, count in sorted(what.items())]
            for name, what in sorted(caused.items())
        }


def _by_kind(effects: Counter[str]) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for words, count in effects.items():
        kinds[words.split()[0]] += count
    return kinds


def _words(row: Row) -> str:
    what = row.get("path") or row.get("exe") or row.get("address") or ""
    if row["kind"] in (Kind.FILE_OPEN, Kind.FILE_READ) and what.startswith(SYSTEM):
        return f"{Kind(row['kind']).label} of the system"
    failed = f" failed {-row['result']}" if row["result"] < 0 else ""
    return f"{Kind(row['kind']).label} {what}{failed}".strip()


def read(path: Path) -> tuple[Host, list[RawSlice]]:
    """A capture, whole."""
    with CaptureReader(path) as reader:
        return reader.host, list(reader.slices())


def outcome_of(path: Path) -> Outcome:
    """What the pipeline makes of a capture."""
    host, raw = read(path)
    return Outcome(raw, host)
