"""One signal of level 3 among others: how much a text is like labelled ones, by words and characters (`weights.tsv`)."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("weights.tsv")
CLASSES = ("task", "knowledge", "identity", "followup", "invalid", "greeting", "suspicious")
LOOKED_AT = 300  # characters

_NAMES = re.compile(r"\b[a-z]{2,12}-\d{1,4}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b")
_NUMBERS = re.compile(r"\d+")
_TOKEN = re.compile(r"[a-z_#@]{1,40}|[\u3400-\u9fff]{1,300}|[?!;'\"`<>{}$|=/]")
JOINT = re.compile(r"(?<=[a-z0-9_])(?=[\u3400-\u9fff])|(?<=[\u3400-\u9fff])(?=[a-z0-9_])")


def features(folded: str) -> set[str]:
    """Words and pairs of words; single ideographs, pairs and threes; how it begins and how long it is."""
    text = _NUMBERS.sub(" # ", _NAMES.sub(" @ ", JOINT.sub(" ", folded[:LOOKED_AT])))
    tokens = _TOKEN.findall(text)
    found = set(_grams(tokens))
    if tokens:
        found.add(f"^{tokens[0][:2] if _is_ideograph(tokens[0]) else tokens[0]}")
        found.add(f"{tokens[-1][-2:] if _is_ideograph(tokens[-1]) else tokens[-1]}$")
    size = sum(len(token) / 2 if _is_ideograph(token) else 1 for token in tokens)
    found.add(f"~{min(int(size) // 2, 8)}")
    return found


def likeness(folded: str) -> tuple[float, ...]:
    """A number for each of CLASSES, about 0 in the middle: the sum of the weights of its features."""
    bias, table = _weights()
    sums = list(bias)
    for feature in features(folded):
        for index, weight in enumerate(table.get(feature, ())):
            sums[index] += weight
    middle = sum(sums) / len(sums)
    return tuple(each - middle for each in sums)


def _grams(tokens: list[str]) -> Iterator[str]:
    for first, second in zip(tokens, [*tokens, ""][1:], strict=True):
        if _is_ideograph(first):
            for width in (1, 2, 3):
                yield from (first[i : i + width] for i in range(len(first) - width + 1))
        else:
            yield first
            if second and not _is_ideograph(second):
                yield f"{first} {second}"


def _is_ideograph(token: str) -> bool:
    return token[0] >= "\u3400"


@cache
def _weights() -> tuple[tuple[float, ...], dict[str, tuple[float, ...]]]:
    table = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            feature, *numbers = line.split("\t")
            table[feature] = tuple(int(number or 0) / 100 for number in numbers)
    return table.pop(""), table
