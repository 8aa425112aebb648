"""Words by group (`lexicon.tsv`), read once, and what of a text they cover by longest match."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("lexicon.tsv")
LONGEST_WORDS = 4
LONGEST_IDEOGRAPHS = 8

# A word, a run of ideographs, or a mark by which one ends.
_TOKEN = re.compile(r"/?[a-z0-9_][a-z0-9_+'%-]{0,60}(?:[./:][a-z0-9_+%-]{1,60}){0,12}|[\u3400-\u9fff]{1,200}|[^\s\w]")
_STRETCHED = re.compile(r"([a-z])\1{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """What of a text belongs to some groups.

    Args:
        hits: the terms found, by group.
        left: words and ideographs that no term covered.
        size: how many words and ideographs there are.
    """

    hits: dict[str, list[str]] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    size: int = 0

    @property
    def share(self) -> float:
        return 1.0 if not self.size else 1 - len(self.left) / self.size


@cache
def vocabulary() -> dict[str, dict[str, float]]:
    """Weight by term, by group."""
    groups: dict[str, dict[str, float]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            group, weight, terms = line.split("\t")
            for term in terms.split(","):
                groups.setdefault(group, {}).setdefault(term.strip(), float(weight))
    return groups


def cover(text: str, *groups: str) -> Covered:
    """Longest match of the terms of these groups over a folded text."""
    tables = [(group, vocabulary()[group]) for group in groups]
    hits: dict[str, list[str]] = {}
    left: list[str] = []
    size = 0
    tokens = _TOKEN.findall(text)
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if "\u3400" <= token[0] <= "\u9fff":
            size += len(token)
            left += _ideographs(token, tables, hits)
            index += 1
        elif not token[-1].isalnum() and len(token) == 1 and token != "_":
            index += 1
        else:
            width = _words(tokens[index : index + LONGEST_WORDS], tables, hits)
            size += max(width, 1)
            if not width:
                left.append(token)
            index += max(width, 1)
    return Covered(hits=hits, left=tuple(left), size=size)


def spans(text: str, group: str) -> Iterator[tuple[int, int]]:
    """Where terms of a group stand in a folded text, leftmost longest, without overlap."""
    return ((m.start(), m.end()) for m in _pattern(group).finditer(text))


@cache
def _pattern(group: str) -> re.Pattern[str]:
    terms = sorted(vocabulary()[group], key=len, reverse=True)
    english = "|".join(re.escape(term) for term in terms if term.isascii())
    chinese = "|".join(re.escape(term) for term in terms if not term.isascii())
    return re.compile(f"(?<![a-z0-9_-])(?:{english})(?![a-z0-9_-])" + (f"|{chinese}" if chinese else ""))


def _words(words: list[str], tables: list[tuple[str, dict[str, float]]], hits: dict[str, list[str]]) -> int:
    """How many words the longest term takes that begins here."""
    for width in range(len(words), 0, -1):
        term = " ".join(words[:width])
        for form in _forms(term):
            for group, table in tables:
                if form in table:
                    hits.setdefault(group, []).append(form)
                    return width
    return 0


def _forms(term: str) -> tuple[str, ...]:
    forms = [term]
    if term.endswith("s") and len(term) > 3:
        forms += [term[:-1], term[:-2] if term.endswith("es") else term]
    if term.endswith("'s"):
        forms.append(term[:-2])
    if _STRETCHED.search(term):
        forms += [_STRETCHED.sub(r"\1", term), _STRETCHED.sub(r"\1\1", term)]
    return tuple(forms)


def _ideographs(run: str, tables: list[tuple[str, dict[str, float]]], hits: dict[str, list[str]]) -> list[str]:
    left = []
    index = 0
    while index < len(run):
        for width in range(min(LONGEST_IDEOGRAPHS, len(run) - index), 0, -1):
            term = run[index : index + width]
            group = next((group for group, table in tables if term in table), None)
            if group is not None:
                hits.setdefault(group, []).append(term)
                index += width
                break
        else:
            left.append(run[index])
            index += 1
    return left
