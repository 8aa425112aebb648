"""Scores of the gate over labelled inputs: python -m tests.assist.intent.scoring. Of the kept half only numbers are told."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intact.assist.asking import Message
from intact.assist.intent.gate import Gate

DATA = Path(__file__).parent / "data"
INTENTS = ("invalid", "knowledge", "task", "greeting", "identity", "followup", "suspicious")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Of one half."""

    count: int
    macro_f1: float
    by_intent: dict[str, tuple[float, float, float]]  # precision, recall, F1
    suspicious_recall: float
    false_suspicious: float  # of what is not
    confused: dict[tuple[str, str], int]  # wanted and got, where they differ


def labelled(half: str) -> list[dict[str, Any]]:
    lines = (DATA / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line]


def said_before(row: dict[str, Any]) -> tuple[Message, ...]:
    return tuple(
        Message(role=role, content=content, at_ns=number, response_id=f"r{number}")
        for number, (role, content) in enumerate(row["history"])
    )


def score(rows: list[dict[str, Any]]) -> Score:
    gate = Gate()
    pairs = Counter((row["intent"], gate.judge(row["text"], None, said_before(row)).intent_type) for row in rows)
    by_intent = {}
    for intent in INTENTS:
        right = pairs[intent, intent]
        wanted = sum(n for (want, _), n in pairs.items() if want == intent)
        got = sum(n for (_, have), n in pairs.items() if have == intent)
        precision, recall = right / max(got, 1), right / max(wanted, 1)
        by_intent[intent] = (precision, recall, 2 * precision * recall / max(precision + recall, 1e-9))
    others = sum(n for (want, _), n in pairs.items() if want != "suspicious")
    false = sum(n for (want, have), n in pairs.items() if want != "suspicious" and have == "suspicious")
    return Score(
        count=len(rows),
        macro_f1=sum(f1 for _, _, f1 in by_intent.values()) / len(INTENTS),
        by_intent=by_intent,
        suspicious_recall=by_intent["suspicious"][1],
        false_suspicious=false / max(others, 1),
        confused={pair: n for pair, n in sorted(pairs.items()) if pair[0] != pair[1]},
    )


def told(half: str, found: Score) -> str:
    lines = [
        f"{half}: {found.count} inputs, macro-F1 {found.macro_f1:.4f}, suspicious recall {found.suspicious_recall:.4f}, "
        f"false {found.false_suspicious:.4f}"
    ]
    lines += [f"  {name:11} P {p:.3f} R {r:.3f} F1 {f1:.3f}" for name, (p, r, f1) in found.by_intent.items()]
    lines += [f"  {want} taken for {got}: {n}" for (want, got), n in found.confused.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    for each in ("tuned", "kept"):
        print(told(each, score(labelled(each))))
