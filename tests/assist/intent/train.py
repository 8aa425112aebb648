"""Trains `likeness`: python -m tests.assist.intent.train. On `tuned.jsonl` and `thought_of.tsv`, never on the kept half."""

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from intact.assist.intent import likeness
from intact.assist.intent.clean import clean
from tests.assist.intent.scoring import labelled

THOUGHT_OF = Path(__file__).with_name("thought_of.tsv")
LEAST_SEEN = 2
DECAY = 0.003
STEPS = 400
FOLDS = 5
TUNED_WEIGHT = 2.0  # as people type, where the others were thought up to have every kind

Numbers = NDArray[np.float64]


def examples() -> list[tuple[str, str, float]]:
    """Text, intent and weight."""
    found = [(row["text"], row["intent"], TUNED_WEIGHT) for row in labelled("tuned")]
    for line in THOUGHT_OF.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            intent, text = line.split("\t")
            found.append((text, intent, 1.0))
    return found


def table_of(sets: list[set[str]], names: list[str]) -> Numbers:
    place = {name: index for index, name in enumerate(names)}
    table = np.zeros((len(sets), len(names) + 1))
    table[:, -1] = 1
    for row, found in enumerate(sets):
        for feature in found & place.keys():
            table[row, place[feature]] = 1
    return table


def fit(table: Numbers, wanted: Numbers, weight: Numbers) -> Numbers:
    """Softmax regression with weight decay, by gradient descent with momentum."""
    found = np.zeros((table.shape[1], wanted.shape[1]))
    speed = np.zeros_like(found)
    scale = weight / weight.sum()
    for _ in range(STEPS):
        sums = table @ found
        odds = np.exp(sums - sums.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        slope = table.T @ ((odds - wanted) * scale[:, None]) + DECAY * found
        speed = 0.9 * speed - 1.0 * slope
        found += speed
    return found


def main() -> None:
    rows = examples()
    sets = [likeness.features(clean(text).folded) for text, _, _ in rows]
    counts = Counter(feature for found in sets for feature in found)
    names = sorted(name for name, count in counts.items() if count >= LEAST_SEEN)
    table = table_of(sets, names)
    wanted = np.array([[intent == each for each in likeness.CLASSES] for _, intent, _ in rows], dtype=float)
    weight = np.array([each for *_, each in rows])
    is_tuned = weight == TUNED_WEIGHT
    order = np.random.default_rng(4).permutation(len(rows)) % FOLDS
    right = np.zeros(len(rows), dtype=bool)
    for fold in range(FOLDS):
        found = fit(table[order != fold], wanted[order != fold], weight[order != fold])
        right[order == fold] = (table[order == fold] @ found).argmax(1) == wanted[order == fold].argmax(1)
    print(
        f"{len(rows)} examples, {len(names)} features; "
        f"cross-validated, by itself: {right[is_tuned].mean():.3f} of the tuned half"
    )
    found = np.round(100 * fit(table, wanted, weight)).astype(int)
    lines = [
        "# feature\t" + "\t".join(likeness.CLASSES) + "; hundredths; written by python -m tests.assist.intent.train"
    ]
    for name, numbers in zip([*names, ""], found, strict=True):
        if name == "" or np.abs(numbers).max() >= 4:
            lines.append("\t".join([name, *(str(number) if number else "" for number in numbers)]))
    likeness.TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
